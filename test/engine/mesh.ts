/**
 * Three networks in a row with two routers between them, over memory ports, and arbitrary things that may happen there: frames
 * right and wrong, commands, devices that fail, time that passes.
 */
import fc from 'fast-check'
import { LARGE, SMALL, type PoolOptions } from '../../src/core/packets.js'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../src/core/ports.js'
import type { NetworkOptions } from '../../src/network/network.js'
import { NetworkError, type Operation } from '../../src/network/operations.js'
import type { Offload } from '../../src/port/memory.js'
import { createMemoryLab, interfaceWith, type MemoryLab } from '../helpers/memory-lab.js'
import { arp, echo, ethernet, icmp, ipv4, tcp, udp } from '../oracle/naive-frames.js'
import { build, data, SUPER } from './naive-segments.js'

const OFFLOADS = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO

/** Ports: name, bridge, virtio-net header, offloads. */
export const PORTS = [
  ['a.eth0', 'one', true, OFFLOADS],
  ['b.eth0', 'one', false, 0],
  ['c.eth0', 'two', true, OFFLOAD_CSUM],
  ['d.eth0', 'two', true, OFFLOADS],
  ['e.eth0', 'three', false, 0]
] as const

const ROUTER_MACS = ['02:00:00:00:01:03', '02:00:00:00:02:03', '02:00:00:00:02:04', '02:00:00:00:03:04']
const STATIONS = ['a', 'b', 'c', 'd', 'e'].map((_, i) => `02:00:00:00:00:0${i}`)
const HOSTS = ['10.1.1.2', '10.1.1.9', '10.1.2.2', '10.1.2.9', '10.1.3.2']

const INTERFACES = [
  ['r1', 'eth1', 'one', '10.1.1.3/24'],
  ['r1', 'eth0', 'two', '10.1.2.3/24'],
  ['r2', 'eth0', 'two', '10.1.2.4/24'],
  ['r2', 'eth1', 'three', '10.1.3.4/24']
] as const

export const createMesh = (seed = 1, pool?: PoolOptions, more: Partial<NetworkOptions> = {}): MemoryLab => {
  const lab = createMemoryLab(seed, pool, more)
  for (const [i, name] of ['one', 'two', 'three'].entries()) {
    lab.apply({
      op: 'bridge.add',
      name,
      mac: `02:00:00:00:0a:0${i}`,
      mtu: i === 1 ? 1400 : 1500,
      ageing_time: 300,
      fdb_max_learned: 16
    })
  }
  lab.apply({ op: 'addr.add', dev: 'one', router: 'one', prefix: '10.1.1.1/24' })
  for (const name of ['r1', 'r2']) lab.apply({ op: 'router.add', name, forwarding: true })
  for (const [i, [router, name, bridge, prefix]] of INTERFACES.entries()) {
    const switches = { mtu: bridge === 'two' ? 1400 : 1500, proxy_arp: i === 0, rp_filter: i % 2, bc_forwarding: i === 1 }
    lab.apply(...interfaceWith(router, name, bridge, ROUTER_MACS[i]!, prefix, switches))
  }
  lab.apply(
    { op: 'route.add', router: 'r1', prefix: '10.1.3.0/24', nexthops: [{ via: '10.1.2.4' }] },
    { op: 'route.add', router: 'r2', prefix: 'default', nexthops: [{ via: '10.1.2.3' }, { via: '10.1.2.9' }] },
    { op: 'route.add', router: 'r1', prefix: '10.8.0.0/16', type: 'blackhole' },
    { op: 'route.add', router: 'r1', prefix: '10.7.0.0/16', type: 'prohibit' },
    // A packet for nobody goes round between the two until its time to live is over
    { op: 'route.add', router: 'r1', prefix: '10.66.0.0/16', nexthops: [{ via: '10.1.2.4' }] }
  )
  for (const [name, bridge, vnet, offloads] of PORTS)
    lab.port(name, bridge, { mtu: bridge === 'two' ? 1400 : 1500, vnet, offloads })
  return lab
}

const macs = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...ROUTER_MACS) },
  { weight: 4, arbitrary: fc.constantFrom(...STATIONS) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'ff:ff:ff:ff:ff:ff',
      '01:00:5e:00:00:01',
      '33:33:00:00:00:01',
      '01:80:c2:00:00:00',
      '01:80:c2:00:00:0e',
      '00:00:00:00:00:00',
      '02:00:00:00:0a:00'
    )
  },
  {
    weight: 1,
    arbitrary: fc
      .uint8Array({ minLength: 6, maxLength: 6 })
      .map((b) => [...b].map((x) => x.toString(16).padStart(2, '0')).join(':'))
  }
)
const addresses = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...HOSTS) },
  { weight: 3, arbitrary: fc.constantFrom('10.1.1.3', '10.1.2.3', '10.1.2.4', '10.1.3.4', '10.1.1.1') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '255.255.255.255',
      '10.1.2.255',
      '10.1.1.0',
      '224.0.0.1',
      '239.1.1.1',
      '127.0.0.1',
      '0.0.0.0',
      '240.0.0.1',
      '10.8.0.1',
      '10.7.0.1',
      '10.66.0.1',
      '10.1.3.77',
      '10.1.2.77'
    )
  }
)
const bytes = (maxLength: number) => fc.nat(maxLength).chain((length) => fc.nat(255).map((from) => data(length, from)))

const payload = (src: string, dst: string): fc.Arbitrary<[protocol: number, bytes: number[]]> =>
  fc.oneof(
    fc.tuple(fc.constantFrom(8, 0), bytes(3000)).map(([type, d]): [number, number[]] => [1, echo(type, 7, 1, d)]),
    fc
      .tuple(fc.nat(40), fc.nat(16), bytes(100))
      .map(([type, code, d]): [number, number[]] => [1, icmp(type, code, [0, 0, 5, 0], d)]),
    bytes(2000).map((d): [number, number[]] => [17, udp(src, 1000, dst, 2000, d)]),
    bytes(1400).map((d): [number, number[]] => [6, tcp(src, 1000, dst, 80, d)]),
    fc.tuple(fc.nat(255), bytes(100))
  )

const options = fc.oneof(
  { weight: 5, arbitrary: fc.constant<number[]>([]) },
  fc.nat(10).chain((n) => fc.array(fc.nat(255), { minLength: n * 4, maxLength: n * 4 })),
  fc.constantFrom([7, 7, 4, 0, 0, 0, 0, 0], [68, 8, 5, 0, 0, 0, 0, 0], [131, 7, 4, 10, 1, 2, 3, 0], [1, 1, 1, 0], [148, 4, 0, 0])
)

const packet = fc.tuple(macs, macs, addresses, addresses).chain(([dst, src, from, to]) =>
  fc
    .record({
      content: payload(from, to),
      ttl: fc.constantFrom(0, 1, 2, 3, 64, 255),
      flags: fc.constantFrom(0, 0, 0x4000, 0x2000, 0x2001, 185, 0x20b9, 0x1fff, 0x8000),
      options,
      id: fc.nat(3)
    })
    .map(({ content: [protocol, body], ...more }) => ethernet(dst, src, 0x0800, ipv4(protocol, from, to, body, more)))
)

const arpFrame = fc
  .tuple(macs, macs, fc.constantFrom(1, 2, 3, 9), addresses, addresses)
  .map(([dst, src, op, from, to]) => ethernet(dst, src, 0x0806, arp(op, src, from, dst, to)))

const other = fc
  .tuple(macs, macs, fc.constantFrom(0x86dd, 0x88cc, 0x8100, 0x88a8, 100, 0x0600), bytes(1500))
  .map(([dst, src, type, d]) => ethernet(dst, src, type, d))

const garbage = fc.uint8Array({ maxLength: 2000 }).map((b) => [...b])

/** A frame with bytes changed, cut off or added. */
const damaged = (frame: fc.Arbitrary<number[]>) =>
  fc
    .tuple(frame, fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 4 }), fc.option(fc.nat(100)), fc.nat(20))
    .map(([b, changes, end, more]) => {
      const copy = end === null ? [...b, ...data(more)] : b.slice(0, end)
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value
      return copy
    })

const right = fc.oneof(packet, packet, arpFrame, other)
const header: fc.Arbitrary<Offload> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Offload>({}) },
  fc.record({
    needsCsum: fc.boolean(),
    gsoType: fc.constantFrom(0, 0, 1, 2, 3, 4, 5, 0x81, 0x84, 0xff),
    gsoSize: fc.constantFrom(0, 1, 100, 536, 1448, 65535),
    csumStart: fc.constantFrom(0, 13, 14, 34, 38, 54, 58, 2000, 65535),
    csumOffset: fc.constantFrom(0, 6, 16, 2000, 65535),
    headerLength: fc.nat(200)
  })
)

const superFrame = fc
  .record({
    size: fc.integer({ min: 1, max: 40_000 }),
    gso: fc.constantFrom(100, 536, 1348, 1448, 9000),
    protocol: fc.constantFrom(6, 17),
    to: addresses,
    dst: macs,
    df: fc.constantFrom(0, 0x4000)
  })
  .map(({ size, gso, protocol, to, dst, df }) => build({ ...SUPER, to, dst, protocol, df, gso, data: data(size) }))

const portName = fc.constantFrom(...PORTS.map(([name]) => name))
const onOff = fc.boolean()
const device = fc.constantFrom(['r1', 'eth0'], ['r1', 'eth1'], ['r2', 'eth0'], ['r2', 'eth1'])

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(portName, onOff).map(([dev, up]): Operation => ({ op: 'link.set', dev, up })),
  fc.tuple(device, onOff).map(([[router, dev], up]): Operation => ({ op: 'link.set', dev: dev!, router: router!, up })),
  fc
    .tuple(device, fc.constantFrom(68, 576, 1400, 1500))
    .map(([[router, dev], mtu]): Operation => ({ op: 'link.set', dev: dev!, router: router!, mtu })),
  fc.tuple(fc.constantFrom('r1', 'r2'), onOff).map(([dev, forwarding]): Operation => ({ op: 'link.set', dev, forwarding })),
  fc.constantFrom<Operation>(
    { op: 'neigh.flush' },
    { op: 'fdb.flush', bridge: 'one' },
    { op: 'route.del', router: 'r1', prefix: '10.1.3.0/24' },
    { op: 'route.replace', router: 'r1', prefix: '10.1.3.0/24', nexthops: [{ via: '10.1.2.4' }] },
    { op: 'addr.del', dev: 'eth0', router: 'r2', prefix: '10.1.2.4/24' },
    { op: 'addr.replace', dev: 'eth0', router: 'r2', prefix: '10.1.2.4/24' },
    { op: 'interface.del', router: 'r2', name: 'eth1' },
    { op: 'router.del', name: 'r2' },
    { op: 'port.del', name: 'd.eth0' },
    { op: 'neigh.replace', dev: 'eth0', router: 'r1', address: '10.1.2.9', lladdr: STATIONS[2]!, nud: 'permanent' }
  )
)

export type Event =
  | { kind: 'frame'; port: string; frame: number[]; offload: Offload }
  | { kind: 'time'; milliseconds: number }
  | { kind: 'operation'; operation: Operation }
  | { kind: 'fail'; port: number; errno: number }

const toFrame = (port: string, frame: number[], offload: Offload): Event => ({ kind: 'frame', port, frame, offload })

/** Anything at all. */
export const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(portName, right).map(([port, b]): Event => toFrame(port, b, {})) },
  { weight: 6, arbitrary: fc.tuple(portName, damaged(right), header).map(([port, b, o]) => toFrame(port, b, o)) },
  { weight: 2, arbitrary: fc.tuple(portName, garbage, header).map(([port, b, o]) => toFrame(port, b, o)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('a.eth0', 'd.eth0'), superFrame)
      .map(([port, { frame, offload }]) => toFrame(port, [...frame], offload))
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, 100, 1100, 31_000, 400_000).map((milliseconds): Event => ({ kind: 'time', milliseconds }))
  },
  { weight: 2, arbitrary: operation.map((o): Event => ({ kind: 'operation', operation: o })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(PORTS.length - 1), fc.constantFrom(0, 5, 11, 77, 22))
      .map(([port, errno]): Event => ({ kind: 'fail', port, errno }))
  }
)

/** A frame of rubbish behind a router's address: every one of them ends under a reason. */
export const rubbish: fc.Arbitrary<number[]> = fc
  .tuple(fc.constantFrom(0x0800, 0x0806), fc.uint8Array({ maxLength: 200 }))
  .map(([type, b]) => [...ethernet(ROUTER_MACS[0]!, STATIONS[0]!, type, []), ...b])

/** An operation on what may not be there any more. */
export const attempt = (lab: MemoryLab, operation: Operation): void => {
  try {
    lab.apply(operation)
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error
  }
}

/** `gone`: ports that were removed; it is kept here. */
export const carryOut = (lab: MemoryLab, event: Event, gone: Set<string>): void => {
  switch (event.kind) {
    case 'frame':
      if (!gone.has(event.port)) lab.send(event.port, Uint8Array.from(event.frame), event.offload)
      break
    case 'time':
      lab.clock.now += event.milliseconds
      break
    case 'fail':
      lab.io.fail(event.port, event.errno)
      break
    case 'operation':
      attempt(lab, event.operation)
      if (event.operation.op === 'port.del') gone.add(event.operation.name)
  }
}

const pool = (lab: MemoryLab) => {
  const { packets } = lab.network.engine
  return { inUse: packets.packetsInUse(), large: packets.freeSlots(LARGE), small: packets.freeSlots(SMALL) }
}

/**
 * Has events carried out, some a turn, and then time enough for every timer there is, with devices and sockets working again.
 * The balance holds after every turn; at the end nothing is held, the reasons add up and the pool is whole. Throws if not.
 */
export const play = <E>(lab: MemoryLab, events: readonly E[], perTurn: number, carry: (event: E) => void, sockets: readonly number[] = []): void => {
  const before = pool(lab)
  for (let i = 0; i < events.length; i += perTurn) {
    for (const event of events.slice(i, i + perTurn)) carry(event)
    lab.network.engine.turn(false)
    lab.held()
  }
  for (const port of [...PORTS.keys(), ...sockets]) lab.io.fail(port, 0)
  lab.run()
  lab.wait(120_000, 500)
  lab.run()
  if (lab.held() !== 0) throw new Error(`${lab.held()} packets are held for ever`)
  const { drops, balance } = lab.network.stats()
  if (drops.reduce((sum, { packets }) => sum + packets, 0) !== balance.dropped) throw new Error('the reasons do not add up')
  for (const [what, count] of Object.entries(pool(lab))) if (count !== before[what as keyof typeof before]) throw new Error(`${what}: ${count}`)
}
