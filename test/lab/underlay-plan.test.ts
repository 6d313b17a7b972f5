/** Which UDP sockets the VXLANs of a file need. */
import test from 'ava'
import fc from 'fast-check'
import { parseNetworkFile } from '../../src/config/load.js'
import type { Vxlan } from '../../src/config/types.js'
import { LabError } from '../../src/lab/types.js'
import { planUnderlay, POOL_SOCKETS } from '../../src/lab/underlay-plan.js'

const [ONE] = parseNetworkFile('{ version: 1, bridges: { br0: {} }, vxlans: { a: { bridge: br0, id: 1, local: 192.168.77.1 } } }', 'f').vxlans

const vxlan = (name: string, more: Partial<Vxlan> = {}): Vxlan => ({ ...ONE!, name, ...more })

const anywhere = (name: string, more: Partial<Vxlan> = {}): Vxlan => {
  const { local: _, ...rest } = vxlan(name, more)
  return rest
}

test('VNIs of one address share their sockets', (t) => {
  const { receives, pools } = planUnderlay([vxlan('a'), vxlan('b', { id: 2 })])
  t.like(receives, { length: 1, 0: { address: '192.168.77.1', port: 4789, vxlans: ['a', 'b'] } })
  t.like(pools, { length: 1, 0: { address: '192.168.77.1', size: POOL_SOCKETS, vxlans: ['a', 'b'] } })
})

test('another port, address, family or namespace is another socket', (t) => {
  const { receives } = planUnderlay([
    vxlan('a'), vxlan('b', { dstport: 8472 }), vxlan('c', { local: '192.168.77.9' }), vxlan('d', { local: 'fd00::1', family: 6 }),
    vxlan('e', { netns: 'm' })
  ])
  t.deepEqual(receives.map(({ vxlans }) => vxlans), [['a'], ['b'], ['c'], ['d'], ['e']])
})

test('where one listens on any address, its socket does for the others on its port', (t) => {
  const { receives, pools } = planUnderlay([vxlan('a'), anywhere('b', { id: 2 }), vxlan('c', { id: 3, dstport: 8472 })])
  t.deepEqual(receives.map(({ address, vxlans }) => [address, ...vxlans]), [['', 'a', 'b'], ['192.168.77.1', 'c']])
  t.deepEqual(pools.map(({ address, vxlans }) => [address, ...vxlans]), [['192.168.77.1', 'a', 'c'], ['', 'b']])
  t.is(t.throws(() => planUnderlay([vxlan('a'), anywhere('b')]), { instanceOf: LabError }).exitCode, 2)
})

test('pools with DF only where it may be set', (t) => {
  const dfs = (df: Vxlan['df']) => planUnderlay([vxlan('a', { df })]).pools.map((pool) => pool.df)
  t.deepEqual(dfs('unset'), [false])
  t.deepEqual(dfs('set'), [true])
  t.deepEqual(dfs('inherit'), [false, true])
})

test('checksums: what is received without one over IPv6, and pools of their own', (t) => {
  const six: Partial<Vxlan> = { local: 'fd00::1', family: 6 }
  const { receives, pools } = planUnderlay([vxlan('a', six), vxlan('b', { ...six, id: 2, udpcsum: false })])
  t.deepEqual(receives.map(({ checksum }) => checksum), [false])
  t.deepEqual(pools.map(({ checksum }) => checksum), [true, false])
})

test('a group: a socket of its address, or a membership for a socket of any address', (t) => {
  const group = { group: '239.1.1.1', dev: 'eth0' }
  const member = { address: '239.1.1.1', device: 'eth0' }
  t.like(planUnderlay([vxlan('a', group)]).receives, {
    length: 2, 0: { address: '192.168.77.1', port: 4789, group: undefined }, 1: { address: '239.1.1.1', port: 4789, group: member }
  })
  const two = [anywhere('a', group), anywhere('b', { ...group, id: 2, group: '239.1.1.2' })]
  t.deepEqual(planUnderlay(two).receives.map(({ address, port, group: joined }) => [address, port, joined?.address]),
    [['', 4789, undefined], ['', 0, '239.1.1.1'], ['', 0, '239.1.1.2']])
})

test('pools of one range divide it between them', (t) => {
  const sizes = (...vxlans: Vxlan[]) => planUnderlay(vxlans).pools.map(({ size }) => size)
  t.deepEqual(sizes(vxlan('a', { srcport: [40000, 40000] })), [1])
  t.deepEqual(sizes(vxlan('a', { srcport: [40000, 40019], df: 'inherit' })), [10, 10])
  t.deepEqual(sizes(vxlan('a', { srcport: [40000, 40019] }), vxlan('b', { id: 2, srcport: [40010, 40029], udpcsum: false })), [10, 10])
  t.deepEqual(sizes(vxlan('a', { srcport: [40000, 40019] }), vxlan('b', { id: 2, srcport: [40020, 40039] })), [20, 20])
  t.deepEqual(sizes(vxlan('a', { srcport: [0, 0] })), [POOL_SOCKETS])
})

test('whatever the file, every VXLAN can receive and send, and no two plans are the same', (t) => {
  const any = fc.record({
    local: fc.constantFrom('10.0.0.1', '10.0.0.2', undefined), dstport: fc.constantFrom(4789, 8472), udpcsum: fc.boolean(),
    df: fc.constantFrom<Vxlan['df'][]>('unset', 'set', 'inherit'), low: fc.integer({ min: 1, max: 300 }), count: fc.integer({ min: 1, max: 300 })
  })
  fc.assert(fc.property(fc.array(any, { maxLength: 8 }), (list) => {
    const vxlans = list.map(({ low, count, local, ...more }, i) =>
      (local === undefined ? anywhere : vxlan)(`v${i}`, { id: i + 1, srcport: [low, low + count - 1], ...more, ...(local === undefined ? {} : { local }) }))
    const { receives, pools } = planUnderlay(vxlans)
    for (const { name, df } of vxlans) {
      t.is(receives.filter((plan) => plan.vxlans.includes(name)).length, 1)
      t.deepEqual(pools.filter((plan) => plan.vxlans.includes(name)).map((plan) => plan.df).sort(),
        { unset: [false], set: [true], inherit: [false, true] }[df])
    }
    for (const { size, srcport: [low, high] } of pools) t.true(size >= 1 && size <= Math.min(POOL_SOCKETS, high - low + 1))
    const bound = receives.map(({ address, port }) => `${address} ${port}`)
    t.is(new Set(bound).size, bound.length)
    for (const port of [4789, 8472]) t.true(!bound.includes(` ${port}`) || bound.filter((text) => text.endsWith(` ${port}`)).length === 1)
  }))
  t.pass()
})
