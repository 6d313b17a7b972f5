/** Two engines of one network that tell each other what packets teach, as the workers of a data plane do. */
import test from 'ava'
import fc from 'fast-check'
import { attachPosts, createPosts } from '../../src/core/posts.js'
import { NetworkError, type FdbRow, type NeighRow, type Operation } from '../../src/network/operations.js'
import type { NetworkOptions } from '../../src/network/network.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { arpFrame, data } from '../helpers/frames.js'
import { ethernet, ipv4, udp } from '../oracle/naive-frames.js'
import { anyEvent, createMesh, PORTS } from './mesh.js'
import { createMachine, VNI } from './tunnel-lab.js'

type Pair = [MemoryLab, MemoryLab]

/** Two workers: `make` builds the network of each with these options. */
const workers = <T>(make: (options: Partial<NetworkOptions>) => T): [T, T] => {
  const memory = createPosts(2)
  return [0, 1].map((w) => make({ posts: attachPosts(memory, 2, w) })) as [T, T]
}

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const frame = (from: string, to: string): Uint8Array => Uint8Array.from(ethernet(to, from, 0x88b5, data(46)))

const switches = (ageing = 300): Pair => workers((options) => {
  const lab = createMemoryLab(1, undefined, options)
  lab.apply({ op: 'bridge.add', name: 'br0', mac: '02:00:00:00:ff:01', mtu: 1500, ageing_time: ageing, fdb_max_learned: 0 })
  for (const name of ['one.eth0', 'two.eth0', 'three.eth0']) lab.port(name, 'br0')
  return lab
})

const both = (labs: Pair, milliseconds: number): void => {
  for (const lab of labs) lab.clock.now += milliseconds
}

const station = (lab: MemoryLab, mac: string): string | undefined =>
  ([...lab.network.show({ show: 'fdb' })] as (FdbRow | undefined)[]).find((row) => row?.mac === mac)?.ifname

test('a station heard by one worker is known to the other: frames to it are not flooded', (t) => {
  const labs = switches()
  const [first, second] = labs
  first.send('one.eth0', frame(A, B))
  first.run()
  second.send('two.eth0', frame(B, A))
  second.run()
  t.is(second.taken('one.eth0').length, 1)
  t.is(second.taken('three.eth0').length, 0)
  first.run()
  t.is(station(first, B), 'two.eth0')
  t.is(first.held() + second.held(), 0)
})

test('a station that moves has moved for both, whoever hears it', (t) => {
  const labs = switches()
  const [first, second] = labs
  first.send('one.eth0', frame(A, B))
  first.run()
  second.run()
  both(labs, 1000)
  second.send('three.eth0', frame(A, B))
  second.run()
  first.run()
  t.deepEqual([station(first, A), station(second, A)], ['three.eth0', 'three.eth0'])
})

test('what was heard earlier does not undo what was heard later', (t) => {
  const labs = switches()
  const [first, second] = labs
  first.send('one.eth0', frame(A, B))
  first.run()
  both(labs, 2000)
  // Its post lies there while the other worker hears the station elsewhere, later
  second.network.engine.clock.second = Math.floor(second.clock.now / 1000)
  second.network.engine.fdb.learn(0, 0, 0x0002, 0x0a000000, 3, second.network.engine.clock.second)
  second.run()
  t.is(station(second, A), 'three.eth0')
})

for (const ageing of [300, 20]) {
  test(`a station that only one worker hears stays known to the other (ageing time ${ageing} s), and goes when it is silent`, (t) => {
    const labs = switches(ageing)
    const [first, second] = labs
    for (let passed = 0; passed < 2 * ageing; passed += 5) {
      first.send('one.eth0', frame(A, B))
      first.run()
      second.run()
      t.is(station(second, A), 'one.eth0', `after ${passed} s`)
      both(labs, 5000)
    }
    for (const lab of labs) lab.wait((ageing + 40) * 1000, 1000)
    t.deepEqual([station(first, A), station(second, A)], [undefined, undefined])
  })
}

test('a station that goes on talking is told of once in eight seconds, not with every frame', (t) => {
  const labs = switches()
  const [first, second] = labs
  for (let second_ = 0; second_ < 80; second_++) {
    for (let i = 0; i < 10; i++) first.send('one.eth0', frame(A, B))
    first.run()
    both(labs, 1000)
  }
  second.run()
  const { applied } = second.network.engine.sharing!.counts()
  t.true(applied >= 10 && applied <= 12, `${applied} posts in 80 seconds`)
})

test('what one worker has heard before an operation took it away is not brought back by the other', (t) => {
  const labs = switches()
  const [first, second] = labs
  first.send('three.eth0', frame(A, B))
  first.run()
  for (const lab of labs) lab.apply({ op: 'port.del', name: 'three.eth0' })
  second.run()
  t.is(station(second, A), undefined)
  t.is(second.network.engine.sharing!.counts().outdated, 1)
  for (const lab of labs) lab.port('four.eth0', 'br0')
  first.send('four.eth0', frame(A, B))
  first.run()
  second.run()
  t.is(station(second, A), 'four.eth0', 'and then they agree again')
})

const HOST = '02:00:00:00:00:02'
const ROUTER = '02:00:00:00:02:03'
const routers = (): Pair => workers((options) => createMesh(1, undefined, options))
const neighbor = (lab: MemoryLab, address: string): NeighRow | undefined =>
  ([...lab.network.show({ show: 'neigh' })] as (NeighRow | undefined)[]).find((row) => row?.dst === address)

test('a packet waits for a neighbour with one worker, the answer comes to the other: it goes out', (t) => {
  const labs = routers()
  const [first, second] = labs
  const packet = ethernet('02:00:00:00:01:03', '02:00:00:00:00:00', 0x0800, ipv4(17, '10.1.1.2', '10.1.2.2', udp('10.1.1.2', 1, '10.1.2.2', 2, data(10))))
  second.send('a.eth0', Uint8Array.from(packet))
  second.run()
  t.is(second.held(), 1)
  const asked = second.taken('c.eth0')
  t.is(asked.length, 1, 'an ARP request')
  first.send('c.eth0', Uint8Array.from(arpFrame({ op: 2, to: ROUTER, senderMac: HOST, sender: '10.1.2.2', targetMac: ROUTER, target: '10.1.2.3' })))
  first.run()
  t.deepEqual(neighbor(first, '10.1.2.2')?.state, ['REACHABLE'])
  second.run()
  t.deepEqual(neighbor(second, '10.1.2.2')?.state, ['REACHABLE'])
  t.is(second.held(), 0)
  t.is(second.taken('c.eth0').filter(({ bytes }) => bytes[12] === 8 && bytes[13] === 0).length, 1)
})

test('who asks for a router\'s address is known to both workers, and a neighbour that does not answer fails for who asked', (t) => {
  const labs = routers()
  const [first, second] = labs
  first.send('c.eth0', Uint8Array.from(arpFrame({ senderMac: HOST, sender: '10.1.2.2', target: '10.1.2.3' })))
  first.run()
  second.run()
  t.is(neighbor(second, '10.1.2.2')?.lladdr, HOST)
  const packet = ethernet('02:00:00:00:01:03', '02:00:00:00:00:00', 0x0800, ipv4(17, '10.1.1.2', '10.1.2.77', udp('10.1.1.2', 1, '10.1.2.77', 2, data(10))))
  second.send('a.eth0', Uint8Array.from(packet))
  for (let i = 0; i < 250; i++) {
    for (const lab of labs) {
      lab.clock.now += 50
      lab.run()
    }
  }
  t.is(second.held(), 0)
  t.true(second.drops('neigh-failed') >= 1)
  t.is(first.taken('c.eth0').length, 1, 'the other one has answered once and has not asked itself')
})

test('pings of the first worker take answers that come to the other', (t) => {
  const labs = routers()
  const [first, second] = labs
  for (const lab of labs) {
    lab.apply({ op: 'neigh.replace', dev: 'eth0', router: 'r1', address: '10.1.2.2', lladdr: HOST, nud: 'permanent' })
  }
  const { session } = first.network.ping.start({ router: 'r1', address: '10.1.2.2', interval_ms: 1000, size: 56, count: 1 })
  first.run()
  const [request] = first.taken('c.eth0')
  const bytes = [...request!.bytes]
  const icmp = bytes.slice(34)
  const sum = ((icmp[2]! << 8) | icmp[3]!) + 0x0800
  const answer = ethernet(ROUTER, HOST, 0x0800, ipv4(1, '10.1.2.2', '10.1.2.3', [
    0, 0, ((sum & 0xffff) + (sum >>> 16)) >> 8, ((sum & 0xffff) + (sum >>> 16)) & 255, ...icmp.slice(4)
  ]))
  second.send('c.eth0', Uint8Array.from(answer))
  second.run()
  first.run()
  const events = first.network.ping.drain().find((batch) => batch.session === session)!.events
  t.is(events[0]?.event, 'reply')
  t.is(second.drops('icmp-ignored'), 0)
})

test('stations behind a tunnel are known to both workers, with the peer they are behind', (t) => {
  const machines = workers((network) => createMachine({ network, ports: { 'client.eth0': {} } }))
  const [first, second] = machines
  first.arrive([...VNI(42), ...frame(A, B)])
  first.run()
  second.lab.send('client.eth0', frame(B, A))
  second.run()
  const sent = second.sent()
  t.deepEqual(sent.map(({ to }) => to), ['192.168.77.2'])
  const rows = [...second.lab.network.show({ show: 'fdb', dev: 'vxlan1', self: true })] as FdbRow[]
  t.deepEqual(rows.filter((row) => row?.mac === A).map(({ dst }) => dst), ['192.168.77.2'])
})

test('a path MTU that one worker is told counts for both', (t) => {
  const machines = workers((network) => createMachine({ network, ports: { 'client.eth0': {} } }))
  const [first, second] = machines
  for (const machine of machines) {
    machine.lab.apply({ op: 'fdb.add', mac: A, dev: 'vxlan1', dst: '192.168.77.2', self: true, state: 'permanent' })
  }
  const error = new Uint8Array(16)
  const view = new DataView(error.buffer)
  view.setUint32(0, 90, true)
  view.setUint8(4, 2)
  view.setUint32(8, 1400, true)
  first.arrive(error, { error: true })
  first.run()
  second.run()
  for (const { lab } of machines) {
    const { remotes } = lab.network.engine
    t.true([...remotes.pathMtu].includes(1400))
  }
})

test('whatever happens to whichever worker, both balances hold after every turn, and nothing is held in the end', (t) => {
  const events = fc.array(fc.tuple(fc.nat(1), anyEvent), { minLength: 1, maxLength: 100 })
  fc.assert(fc.property(events, fc.nat(1000), (list, seed) => {
    const memory = createPosts(2)
    const labs = [0, 1].map((w) => createMesh(seed + w, undefined, { posts: attachPosts(memory, 2, w) })) as Pair
    const gone = new Set<string>()
    for (const [w, event] of list) {
      const lab = labs[w]!
      if (event.kind === 'frame' && !gone.has(event.port)) lab.send(event.port, Uint8Array.from(event.frame), event.offload)
      else if (event.kind === 'time') both(labs, event.milliseconds)
      else if (event.kind === 'fail') lab.io.fail(event.port, event.errno)
      else if (event.kind === 'operation') applyTo(labs, event.operation, gone)
      lab.network.engine.turn(false)
      lab.held()
    }
    for (let port = 0; port < PORTS.length; port++) for (const lab of labs) lab.io.fail(port, 0)
    for (let i = 0; i < 240; i++) {
      both(labs, 500)
      for (const lab of labs) lab.run()
    }
    for (const lab of labs) if (lab.held() !== 0) throw new Error(`${lab.held()} packets are held for ever`)
  }), { numRuns: 60 })
  t.pass()
})

/** The first worker decides, the second does the same. */
const applyTo = ([first, second]: Pair, operation: Operation, gone: Set<string>): void => {
  try {
    first.apply(operation)
    second.apply(operation)
    if (operation.op === 'port.del') gone.add(operation.name)
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
  }
}
