/** The short way of forwarded packets (element/fast-path.ts): nothing that anybody can see depends on it. */
import test from 'ava'
import fc from 'fast-check'
import { FORWARDED } from '../../src/element/fast-path.js'
import type { Operation } from '../../src/network/operations.js'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { arp, echo, ethernet, ipv4, udp } from '../oracle/naive-frames.js'
import { anyEvent, carryOut, createMesh, type Event, PORTS } from './mesh.js'

const R1 = ['02:00:00:00:01:03', '02:00:00:00:02:03'] as const
const R2 = ['02:00:00:00:02:04', '02:00:00:00:03:04'] as const

/** Hosts as they would speak: with the address they have, to the router that is next. */
const HOSTS = [
  { port: 'a.eth0', mac: '02:00:00:00:00:00', address: '10.1.1.2', router: R1[0] },
  { port: 'c.eth0', mac: '02:00:00:00:00:02', address: '10.1.2.2', router: R1[1] },
  { port: 'd.eth0', mac: '02:00:00:00:00:03', address: '10.1.2.9', router: R2[0] },
  { port: 'e.eth0', mac: '02:00:00:00:00:04', address: '10.1.3.2', router: R2[1] }
] as const

const conversation = fc
  .record({
    from: fc.constantFrom(...HOSTS), to: fc.constantFrom('10.1.1.2', '10.1.2.2', '10.1.2.9', '10.1.3.2', '10.66.0.1'), length: fc.constantFrom(0, 10, 500, 1372, 1380),
    ttl: fc.constantFrom(2, 64, 64, 64), flags: fc.constantFrom(0, 0x4000), kind: fc.nat(1), packets: fc.integer({ min: 1, max: 6 }), padding: fc.constantFrom(0, 0, 7)
  })
  .map(({ from, to, length, ttl, flags, kind, packets, padding }): Event[] => {
    const body = Array.from({ length }, (_, i) => i & 255)
    const content = kind === 0 ? ipv4(17, from.address, to, udp(from.address, 1000, to, 2000, body), { ttl, flags }) : ipv4(1, from.address, to, echo(8, 1, 1, body), { ttl, flags })
    const frame = [...ethernet(from.router, from.mac, 0x0800, content), ...Array.from({ length: padding }, () => 0)]
    return Array.from({ length: packets }, () => ({ kind: 'frame', port: from.port, frame, offload: {} }))
  })

type Host = (typeof HOSTS)[number]

/** A host asks its router for it, and answers its question. */
const announce = (host: Host, mac: string = host.mac, port: string = host.port): Event[] => {
  const target = { 'a.eth0': '10.1.1.3', 'c.eth0': '10.1.2.3', 'd.eth0': '10.1.2.4', 'e.eth0': '10.1.3.4' }[host.port]
  const frames = [arp(1, mac, host.address, '00:00:00:00:00:00', target), arp(2, mac, host.address, host.router, target)]
  return frames.map((body) => ({ kind: 'frame', port, frame: [...ethernet(host.router, mac, 0x0806, body)], offload: {} }))
}

/** With another MAC address than before, sometimes, and sometimes by another port. */
const announcement = fc
  .tuple(fc.constantFrom(...HOSTS), fc.constantFrom(undefined, undefined, '02:00:00:00:00:77'), fc.constantFrom(undefined, 'b.eth0', 'd.eth0'))
  .map(([host, mac, port]) => announce(host, mac, port))

const events = fc
  .array(fc.oneof({ weight: 6, arbitrary: conversation }, { weight: 2, arbitrary: announcement }, { weight: 1, arbitrary: anyEvent.map((e) => [e]) }), { minLength: 5, maxLength: 80 })
  .map((lists) => [...HOSTS.flatMap((host) => announce(host)), ...lists.flat()])

const carry = (lab: MemoryLab, list: readonly Event[], perTurn: number): unknown[] => {
  const gone = new Set<string>()
  const seen: unknown[] = []
  for (let i = 0; i < list.length; i += perTurn) {
    for (const event of list.slice(i, i + perTurn)) carryOut(lab, event, gone)
    lab.network.engine.turn(false)
    seen.push(lab.held(), ...PORTS.map(([name]) => lab.taken(name)))
  }
  lab.run()
  const tables = (['link', 'neigh', 'fdb'] as const).map((show) => [...lab.network.show({ show })])
  return [...seen, ...PORTS.map(([name]) => lab.taken(name)), lab.network.stats(), ...tables]
}

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
    t.deepEqual(carry(short, list, perTurn), carry(createMesh(seed, undefined, { fastPath: false }), list, perTurn))
    forwarded += counter.forwarded
  }), { numRuns: 100 })
  t.true(forwarded > 300, `${forwarded} packets went the short way`)
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
    t.deepEqual(carry(short, list, 1), carry(createMesh(1, undefined, { fastPath: false }), list, 1))
    t.true(counter.forwarded >= 3, `${counter.forwarded} packets went the short way`)
  })
}
