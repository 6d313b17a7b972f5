/** The short way of forwarded packets (element/fast-path.ts): nothing that anybody can see depends on it. */
import test from 'ava'
import fc from 'fast-check'
import { FORWARDED } from '../../src/element/fast-path.js'
import type { Operation } from '../../src/network/operations.js'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { assertSame } from '../helpers/same.js'
import { isLeftOut } from '../helpers/without.js'
import { ethernet, ipv4, udp } from '../oracle/naive-frames.js'
import { carryOut, createMesh, type Event } from './mesh.js'
import { announce, carry, events, HOSTS, R1 } from './traffic.js'

/** Counts packets that go the short way. */
const count = (lab: MemoryLab): { forwarded: number } => {
  const { fastPath } = lab.network.engine
  const { forward } = fastPath
  const counter = { forwarded: 0 }
  fastPath.forward = (p, port, iface) => {
    const done = forward(p, port, iface)
    if (done === FORWARDED) counter.forwarded++
    return done
  }
  return counter
}

test('whatever happens: the same frames, at the same time, the same counters, as by the long way', (t) => {
  let forwarded = 0
  fc.assert(fc.property(events, fc.integer({ min: 1, max: 12 }), fc.nat(1000), (list, perTurn, seed) => {
    const short = createMesh(seed)
    const counter = count(short)
    assertSame(t, carry(short, list, perTurn), carry(createMesh(seed, undefined, { without: ['fast-path'] }), list, perTurn))
    forwarded += counter.forwarded
  }), { numRuns: 100 })
  t.is(forwarded > 300, !isLeftOut('fast-path'), `${forwarded} packets went the short way`)
})

const [A, C, D] = HOSTS
const operation = (o: Operation): Event => ({ kind: 'operation', operation: o })
const CHANGES: Record<string, Event[]> = {
  'the next hop has another MAC address, at another port': announce(C, '02:00:00:00:00:77', 'd.eth0'),
  'a station that is known is the next hop': announce(C, D.mac, D.port),
  'its address is set by hand': [operation({ op: 'neigh.replace', dev: 'eth0', router: 'r1', address: C.address, lladdr: '02:00:00:00:00:03', nud: 'permanent' })],
  'it is forgotten': [operation({ op: 'neigh.flush' })],
  'its station moves': [{ kind: 'frame', port: 'd.eth0', frame: [...ethernet(R1[1], C.mac, 0x88b5, [1, 2, 3])], offload: {} }],
  'its station is forgotten': [operation({ op: 'fdb.flush', bridge: 'two' })],
  'another route': [operation({ op: 'route.add', router: 'r1', prefix: `${C.address}/32`, nexthops: [{ via: '10.1.2.9' }] })],
  'no route': [operation({ op: 'route.add', router: 'r1', prefix: `${C.address}/32`, type: 'prohibit' })],
  'the source is nobody any more': [operation({ op: 'addr.add', dev: 'eth0', router: 'r1', prefix: `${A.address}/24` })],
  'forwarding is off': [operation({ op: 'link.set', dev: 'r1', forwarding: false })],
  'the way out is down': [operation({ op: 'link.set', dev: 'eth0', router: 'r1', up: false })],
  'the way in is down': [operation({ op: 'link.set', dev: 'eth1', router: 'r1', up: false })],
  'a smaller MTU': [operation({ op: 'link.set', dev: 'eth0', router: 'r1', mtu: 68 })],
  'another MAC address of the router': [operation({ op: 'link.set', dev: 'eth0', router: 'r1', address: '02:00:00:00:09:09' })],
  'the port out is down': [operation({ op: 'link.set', dev: 'c.eth0', up: false })],
  'the port out is gone': [operation({ op: 'port.del', name: 'c.eth0' })],
  'the router is gone': [operation({ op: 'router.del', name: 'r1' })],
  'time passes': [{ kind: 'time', milliseconds: 400_000 }]
}

for (const [what, change] of Object.entries(CHANGES)) {
  test(`${what}: the next packet goes as if there were no short way`, (t) => {
    const frame = [...ethernet(R1[0], A.mac, 0x0800, ipv4(17, A.address, C.address, udp(A.address, 1000, C.address, 2000, [...Array(100).keys()]), { ttl: 64 }))]
    const packets = Array.from({ length: 5 }, (): Event => ({ kind: 'frame', port: A.port, frame, offload: {} }))
    const list = [...announce(A), ...announce(C), ...announce(D), ...packets, ...change, ...packets]
    const short = createMesh(1)
    const counter = count(short)
    assertSame(t, carry(short, list, 1), carry(createMesh(1, undefined, { without: ['fast-path'] }), list, 1))
    t.is(counter.forwarded >= 3, !isLeftOut('fast-path'), `${counter.forwarded} packets went the short way`)
  })
}

test('the last fragment, which the second router does not cut again, does not overtake those that it cuts', (t) => {
  const E = HOSTS[3]
  const body = udp(A.address, 1000, E.address, 2000, [...Array(1380).keys()].map((n) => n & 255))
  const packet: Event = { kind: 'frame', port: A.port, frame: [...ethernet(R1[0], A.mac, 0x0800, ipv4(17, A.address, E.address, body, { ttl: 64, flags: 0 }))], offload: {} }
  const list = [...HOSTS.flatMap((host) => announce(host)), operation({ op: 'link.set', dev: 'eth1', router: 'r2', mtu: 68 }), packet, packet]
  const short = createMesh()
  for (const event of list) {
    carryOut(short, event, new Set())
    short.run()
  }
  const offsets = short.taken(E.port).filter(({ bytes }) => bytes[23] === 17).map(({ bytes }) => (bytes[20]! & 0x1f) * 256 + bytes[21]!)
  const once = [...Array(28).keys()].map((n) => n * 6).concat(168, 172)
  t.deepEqual(offsets, [...once, ...once], 'in units of eight bytes')
})
