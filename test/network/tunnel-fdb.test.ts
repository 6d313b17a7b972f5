import test from 'ava'
import fc from 'fast-check'
import type { FdbRow, Operation } from '../../src/network/operations.js'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { FdbModel, operation } from './fdb-model.js'
import { createVxlanLab, selfRows } from './vxlan-lab.js'

const ZERO = '00:00:00:00:00:00'
const GROUP = '01:00:5e:00:00:fb'
const MAC = '02:42:0a:00:0a:0b'
const on = { dev: 'vxlan1' }

/** Whether an operation is taken, and if not, what is said. */
const attempt = (lab: MemoryLab, o: Operation): { code: number; message: string } | undefined => {
  try {
    lab.apply(o)
    return undefined
  } catch (error) {
    return error as { code: number; message: string }
  }
}

test('a station has one destination', (t) => {
  const lab = createVxlanLab()
  const refused = (o: Operation, code: number, message: RegExp): void => {
    const error = attempt(lab, o)
    t.is(error?.code, code)
    t.regex(error?.message ?? '', message)
  }
  lab.apply({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2' })
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.3' }, 1, /File exists: vxlan1 has an entry for 02:42:0a:00:0a:0b/)
  lab.apply({ op: 'fdb.append', mac: MAC, ...on, dst: '192.168.77.3', state: 'static' })
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.2 static`])
  lab.apply({ op: 'fdb.replace', mac: MAC, ...on, dst: '192.168.77.3', vni: 43, port: 5000 })
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.3 port 5000 vni 43 permanent`])
  // What is its own is not said
  lab.apply({ op: 'fdb.replace', mac: MAC, ...on, dst: '192.168.77.3', vni: 42, port: 4789, sticky: true })
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.3 sticky permanent`])
  lab.apply({ op: 'fdb.del', mac: MAC, ...on, dst: '192.168.77.9' })
  t.is(selfRows(lab).length, 1)
  lab.apply({ op: 'fdb.del', mac: MAC, ...on, dst: '192.168.77.3' })
  refused({ op: 'fdb.del', mac: MAC, ...on }, 1, /no entry/)
  refused({ op: 'fdb.add', mac: MAC, ...on }, 2, /needs a destination: dst ADDRESS/)
  refused({ op: 'fdb.add', mac: MAC, ...on, vni: 9 }, 2, /say dst/)
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: 'fd00::1' }, 2, /of another family: vxlan1 goes over IPv4/)
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: '0.0.0.0' }, 2, /no address of a peer/)
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: 'vtep2' }, 2, /no IPv4 or IPv6 address/)
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2', port: 65536 }, 2, /UDP port/)
  refused({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2', vni: -1 }, 2, /VNI/)
  refused({ op: 'fdb.add', mac: MAC, dev: 'client.eth0', dst: '192.168.77.2' }, 2, /"client.eth0" is no VXLAN port/)
  refused({ op: 'fdb.add', mac: MAC, dev: 'br0', vni: 4 }, 2, /"br0" is no VXLAN port/)
  t.is(lab.network.engine.remotes.count(), 0)
})

test('group addresses and the zero address have lists of destinations', (t) => {
  for (const mac of [ZERO, GROUP]) {
    const lab = createVxlanLab()
    t.regex(attempt(lab, { op: 'fdb.replace', mac, ...on, dst: '192.168.77.2' })?.message ?? '', /Cannot replace non-unicast fdb entries/)
    for (const dst of ['192.168.77.2', '192.168.77.3', '192.168.77.2', '192.168.77.4']) lab.apply({ op: 'fdb.append', mac, ...on, dst })
    lab.apply({ op: 'fdb.append', mac, ...on, dst: '192.168.77.3', port: 5000 })
    t.regex(attempt(lab, { op: 'fdb.add', mac, ...on, dst: '192.168.77.9' })?.message ?? '', /File exists/)
    t.regex(attempt(lab, { op: 'fdb.replace', mac, ...on, dst: '192.168.77.2' })?.message ?? '', /Cannot replace non-unicast fdb entries/)
    const row = (dst: string, more = ''): string => `${mac} ${dst}${more} permanent`
    t.deepEqual(selfRows(lab), [row('192.168.77.2'), row('192.168.77.3'), row('192.168.77.4'), row('192.168.77.3', ' port 5000')])
    // The first, one in the middle, the last
    lab.apply({ op: 'fdb.del', mac, ...on, dst: '192.168.77.2' })
    t.deepEqual(selfRows(lab), [row('192.168.77.3'), row('192.168.77.4'), row('192.168.77.3', ' port 5000')])
    lab.apply({ op: 'fdb.del', mac, ...on, dst: '192.168.77.4' }, { op: 'fdb.del', mac, ...on, dst: '192.168.77.3', port: 5000 })
    t.deepEqual(selfRows(lab), [row('192.168.77.3')])
    lab.apply({ op: 'fdb.append', mac, ...on, dst: '192.168.77.2' }, { op: 'fdb.del', mac, ...on })
    t.deepEqual(selfRows(lab), [])
    t.is(lab.network.engine.remotes.count(), 0)
  }
})

test('self and master: one table, the other, both or none', (t) => {
  const lab = createVxlanLab()
  const rows = (): string[] => ([...lab.network.show({ show: 'fdb', dev: 'vxlan1', mac: MAC })] as FdbRow[]).map((r) => `${r.master ?? 'self'} ${r.state}`)
  lab.apply({ op: 'fdb.add', mac: MAC, ...on, master: true, state: 'static' })
  t.deepEqual(rows(), ['br0 static'])
  // The bridge has it already: neither table is changed
  t.regex(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, self: true, master: true, dst: '192.168.77.2' })?.message ?? '', /exists already on bridge br0/)
  t.deepEqual(rows(), ['br0 static'])
  lab.apply({ op: 'fdb.del', mac: MAC, ...on, master: true })
  t.throws(rows, { message: /no entry/ })
  lab.apply({ op: 'fdb.add', mac: MAC, ...on, self: true, master: true, dst: '192.168.77.2', state: 'dynamic' })
  t.deepEqual(rows(), ['br0 ', 'self '])
  t.is(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, master: true, dst: '192.168.77.2' })?.code, 2)
  lab.apply({ op: 'fdb.del', mac: MAC, ...on, self: true, master: true })
  t.throws(rows, { message: /no entry/ })
  // A destination of the wrong family: nothing is done to the bridge's table either
  t.is(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, self: true, master: true, dst: 'fd00::1' })?.code, 2)
  t.throws(rows, { message: /no entry/ })
  t.is(attempt(lab, { op: 'fdb.add', mac: ZERO, ...on, self: true, master: true, dst: '192.168.77.2' })?.code, 2)
})

test('flush empties the own table, or with master the learned ones of the bridge', (t) => {
  const lab = createVxlanLab()
  const fill = (): void => lab.apply(
    { op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.2' }, { op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.3' },
    { op: 'fdb.append', mac: MAC, ...on, dst: '192.168.77.2' }, { op: 'fdb.replace', mac: MAC, ...on, master: true, state: 'dynamic' }
  )
  const masters = (): number => [...lab.network.show({ show: 'fdb', dev: 'vxlan1', master: true })].length
  fill()
  lab.apply({ op: 'fdb.flush', ...on })
  t.deepEqual([selfRows(lab).length, masters()], [0, 2])
  fill()
  lab.apply({ op: 'fdb.flush', ...on, master: true })
  t.deepEqual([selfRows(lab).length, masters()], [3, 1])
  fill()
  lab.apply({ op: 'fdb.flush', ...on, master: true, self: true })
  t.deepEqual([selfRows(lab).length, masters()], [0, 1])
  fill()
  lab.apply({ op: 'fdb.flush', bridge: 'br0' })
  t.deepEqual([selfRows(lab).length, masters()], [3, 1])
})

test('what is learned at a peer and what was set by hand', (t) => {
  const lab = createVxlanLab()
  const { tunnelFdb, remotes, clock } = lab.network.engine
  lab.wait(100)
  const peer = (last: number): number => remotes.learned(0, 2, 0x004da8c0 | (last << 24), 0, 0, 0, 4789, 42)
  const hear = (last: number): number => tunnelFdb.learn(0, 0, 0x4202, 0x0b0a000a, peer(last), clock.second)
  // A learned one is moved, and becomes what is said of it
  hear(2)
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.2`])
  lab.apply({ op: 'fdb.append', mac: MAC, ...on, dst: '192.168.77.9', state: 'static' })
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.2 static`])
  t.is(tunnelFdb.learnedCount(0), 0)
  t.is(hear(3), 4)
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.2 static`])
  lab.apply({ op: 'fdb.del', mac: MAC, ...on })
  // A dynamic one that is heard at its peer has not moved; elsewhere it has
  lab.apply({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2', state: 'dynamic' })
  t.is(hear(2), 0)
  t.is(hear(3), 2)
  t.deepEqual(selfRows(lab), [`${MAC} 192.168.77.3`])
  // It ages as a learned one does
  lab.wait(302_000, 1000)
  t.deepEqual(selfRows(lab), [])
})

test('maxaddress counts learned entries and those set by hand', (t) => {
  const lab = createVxlanLab({ maxaddress: 3 })
  const { tunnelFdb, remotes, clock } = lab.network.engine
  const hear = (n: number): number => tunnelFdb.learn(0, 0, 0x4202, n, remotes.learned(0, 2, 0x024da8c0, 0, 0, 0, 4789, 42), clock.second)
  lab.apply({ op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.2' }, { op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.3' })
  t.deepEqual([hear(1), hear(2), hear(3)], [1, 1, 3])
  t.regex(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2' })?.message ?? '', /No space left on device: vxlan1 has 3 entries, its maxaddress/)
  lab.apply({ op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.4' }, { op: 'fdb.replace', mac: '02:42:01:00:00:00', ...on, dst: '192.168.77.4' })
  t.is(hear(3), 3)
  lab.apply({ op: 'fdb.flush', ...on })
  for (const n of [1, 2, 3]) lab.apply({ op: 'fdb.add', mac: `02:00:00:00:00:0${n}`, ...on, dst: '192.168.77.2' })
  t.is(hear(1), 3)
  lab.apply({ op: 'fdb.del', mac: '02:00:00:00:00:01', ...on })
  t.is(hear(1), 1)
})

test('IPv6 destinations, in the text of RFC 5952', (t) => {
  const lab = createVxlanLab({ family: 6, local: 'fd00::1' })
  for (const dst of ['fd00:0:0:0:0:0:0:2', 'FD00::A', '::ffff:192.168.77.2', '2001:db8::1:0:0:1']) lab.apply({ op: 'fdb.append', mac: ZERO, ...on, dst })
  t.deepEqual(selfRows(lab).map((r) => r.split(' ')[1]), ['fd00::2', 'fd00::a', '::ffff:c0a8:4d02', '2001:db8::1:0:0:1'])
  t.regex(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2' })?.message ?? '', /goes over IPv6/)
  t.is(attempt(lab, { op: 'fdb.add', mac: MAC, ...on, dst: 'fe80::1%eth0' })?.code, 2)
  lab.apply({ op: 'fdb.del', mac: ZERO, ...on, dst: 'fd00::000a' })
  t.is(selfRows(lab).length, 3)
})

test('rows of remotes run out: those nobody points to are collected, and when there are none nothing is done', (t) => {
  const lab = createVxlanLab()
  const { remotes, tunnelFdb } = lab.network.engine
  while (remotes.add(0, 2, 1, 0, 0, 0, 4789, 42) >= 0);
  lab.apply({ op: 'fdb.add', mac: MAC, ...on, dst: '192.168.77.2' })
  t.is(remotes.count(), 1)
  const mac = (i: number): string => `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`
  for (let i = 1; i < remotes.capacity; i++) lab.apply({ op: 'fdb.add', mac: mac(i), ...on, dst: '192.168.77.3' })
  t.is(remotes.count(), remotes.capacity)
  for (const op of ['fdb.add', 'fdb.append'] as const) {
    t.regex(attempt(lab, { op, mac: ZERO, ...on, dst: '192.168.77.2' })?.message ?? '', /no more than 16384 destinations/)
  }
  t.regex(attempt(lab, { op: 'fdb.replace', mac: MAC, ...on, dst: '192.168.77.9' })?.message ?? '', /no more than/)
  t.is(tunnelFdb.count(), remotes.capacity)
  t.true(selfRows(lab).includes(`${MAC} 192.168.77.2 permanent`))
  lab.apply({ op: 'fdb.del', mac: mac(1), ...on }, { op: 'fdb.append', mac: ZERO, ...on, dst: '192.168.77.2' })
  t.is(remotes.count(), remotes.capacity)
})

test('any sequence of operations leaves what the kernel\'s rules say, and no row of remotes behind', (t) => {
  fc.assert(fc.property(fc.array(operation(), { maxLength: 60 }), fc.constantFrom(0, 2, 3), (operations, maxaddress) => {
    const lab = createVxlanLab({ maxaddress })
    const model = new FdbModel(maxaddress === 0 ? Infinity : maxaddress)
    for (const o of operations) {
      const taken = model.apply(o)
      const error = attempt(lab, o)
      if ((error === undefined) !== taken) throw new Error(`${JSON.stringify(o)}: ${error === undefined ? 'taken' : error.message}`)
      const rows = selfRows(lab)
      if (JSON.stringify(rows) !== JSON.stringify(model.rows())) throw new Error(`after ${JSON.stringify(o)}: ${JSON.stringify(rows)}, not ${JSON.stringify(model.rows())}`)
    }
    lab.apply({ op: 'fdb.flush', ...on })
    const { remotes } = lab.network.engine
    remotes.collect(-1, new Uint8Array(remotes.capacity))
    t.is(remotes.count(), 0)
  }), { numRuns: 150 })
  t.pass()
})
