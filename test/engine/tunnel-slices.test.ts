/**
 * Frames that came in one piece of memory: what becomes of each is what becomes of it when it comes alone. One machine is given datagrams
 * by themselves, another the same ones in pieces; both must send the same.
 */
import test from 'ava'
import fc from 'fast-check'
import { attachTapRing, createTapRing } from '../../src/core/tap-ring.js'
import { COALESCE, type Without } from '../../src/optimisations.js'
import { interfaceWith } from '../helpers/memory-lab.js'
import { assertSame } from '../helpers/same.js'
import { leavingOut } from '../helpers/without.js'
import { arp, be16, be32, echo, ethernet, icmp, ipv4, tcp, udp } from '../oracle/naive-frames.js'
import { withoutIdentification } from '../offload/naive-cut.js'
import { allDrops, ALL_OFFLOADS, createMachine, type Machine, seen, TUNNEL, VNI, whole } from './tunnel-lab.js'

const BRIDGE_MAC = '02:00:00:00:00:01'
const ROUTER_NEAR = '02:00:00:00:01:01'
const ROUTER_FAR = '02:00:00:00:01:02'
const BEHIND = '02:00:00:00:0b:01' // a station behind the tunnel
const LOCAL = '02:00:00:00:0a:01' // one at a port here
const HOST = '02:00:00:00:0c:01' // one beyond the router
const EVERYBODY = 'ff:ff:ff:ff:ff:ff'
const SOURCE = '10.0.10.2'

interface Setting {
  farMtu: number
  farOffloads: boolean
  capture: boolean
  without: Without
}

/** A bridge with an address, a tunnel, a local port of each kind; a router between it and another bridge with one host. */
const createRouted = ({ farMtu, farOffloads, capture, without }: Setting): Machine => {
  const m = createMachine({ without, ports: { 'whole.eth0': { vnet: true, offloads: ALL_OFFLOADS }, 'none.eth0': { vnet: true },
    'plain.eth0': {} } })
  const { lab } = m
  lab.apply(
    { op: 'bridge.add', name: 'far', mac: '02:00:00:00:00:02', mtu: farMtu, ageing_time: 300, fdb_max_learned: 0 },
    { op: 'addr.add', dev: 'br0', router: 'br0', prefix: '10.0.10.1/24' },
    { op: 'router.add', name: 'r', forwarding: true },
    ...interfaceWith('r', 'near', 'br0', ROUTER_NEAR, '10.0.10.254/24', { mtu: 9000 }),
    ...interfaceWith('r', 'out', 'far', ROUTER_FAR, '10.2.0.1/24', { mtu: farMtu }),
    { op: 'neigh.add', dev: 'out', router: 'r', address: '10.2.0.2', lladdr: HOST, nud: 'permanent' },
    { op: 'neigh.add', dev: 'near', router: 'r', address: SOURCE, lladdr: BEHIND, nud: 'permanent' },
    { op: 'neigh.add', dev: 'br0', address: SOURCE, lladdr: BEHIND, nud: 'permanent' },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: TUNNEL, dst: '192.168.77.2' }
  )
  lab.port('far.eth0', 'far', { mtu: farMtu, ...(farOffloads ? { vnet: true, offloads: ALL_OFFLOADS } : {}) })
  lab.send('far.eth0', Uint8Array.from(ethernet(ROUTER_FAR, HOST, 0x88b5, [0])))
  lab.send('whole.eth0', Uint8Array.from(ethernet(EVERYBODY, LOCAL, 0x88b5, [0])))
  m.arrive([...VNI(42), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [0])])
  m.run()
  m.sent()
  for (const port of [...PORTS, 'far.eth0']) lab.taken(port)
  if (capture) lab.network.capture(attachTapRing(createTapRing(1 << 24)),
    lab.network.resolvePorts([TUNNEL, 'whole.eth0']).map(({ id }) => id), 262144)
  return m
}

const PORTS = ['whole.eth0', 'none.eth0', 'plain.eth0']

const data = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + 3) & 255)

/** A frame of about `size` bytes; `n` is its number, which orders a TCP stream. */
type Make = (n: number, size: number) => number[]

const RECORD_ROUTE = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]
const TIMESTAMP = [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]

const room = (size: number, headers: number): number => Math.max(0, size - headers)
const local = (mac: string, packet: number[]): number[] => ethernet(mac, BEHIND, 0x0800, packet)

const KINDS: Record<string, Make> = {
  'an echo request to the bridge': (n, size) => local(BRIDGE_MAC, ipv4(1, SOURCE, '10.0.10.1', echo(8, 7, n, data(room(size, 42), n)))),
  'an echo request with options': (n, size) =>
    local(ROUTER_NEAR, ipv4(1, SOURCE, '10.0.10.254', echo(8, 7, n, data(room(size, 54), n)),
      { options: n % 2 === 0 ? RECORD_ROUTE : TIMESTAMP })),
  'a timestamp request, as short as it may be': (n) => local(BRIDGE_MAC,
    ipv4(1, SOURCE, '10.0.10.1', icmp(13, 0, [...be16(7), ...be16(n)], be32(n)))),
  'a datagram to a closed port': (n, size) => local(BRIDGE_MAC,
    ipv4(17, SOURCE, '10.0.10.1', udp(SOURCE, 1000 + n, '10.0.10.1', 9, data(room(size, 42), n)))),
  'a segment to no connection': (n, size) => local(BRIDGE_MAC,
    ipv4(6, SOURCE, '10.0.10.1', tcp(SOURCE, 1000 + n, '10.0.10.1', 9, data(room(size, 54), n), { flags: 2 }))),
  'a stream through the router': (n, size) =>
    local(ROUTER_NEAR, ipv4(6, SOURCE, '10.2.0.2', tcp(SOURCE, 1000, '10.2.0.2', 80, data(room(size, 54), n),
      { seq: n * room(size, 54) }), { flags: 0, id: n })),
  'datagrams through the router': (n, size) => local(ROUTER_NEAR,
    ipv4(17, SOURCE, '10.2.0.2', udp(SOURCE, 1000, '10.2.0.2', 9, data(room(size, 42), n)), { flags: 0, id: n })),
  'a stream to a host that must be asked for': (n, size) =>
    local(ROUTER_NEAR, ipv4(6, SOURCE, '10.2.0.9', tcp(SOURCE, 1001, '10.2.0.9', 80, data(room(size, 54), n),
      { seq: n * room(size, 54) }), { flags: 0, id: n })),
  'a packet whose time is over': (n, size) => local(ROUTER_NEAR,
    ipv4(17, SOURCE, '10.2.0.2', udp(SOURCE, 1000, '10.2.0.2', n, data(room(size, 42), n)), { ttl: 1 })),
  'a packet with options through the router': (n, size) =>
    local(ROUTER_NEAR, ipv4(17, SOURCE, '10.2.0.2', udp(SOURCE, 1000, '10.2.0.2', n, data(room(size, 54), n)),
      { flags: 0, options: RECORD_ROUTE })),
  'a fragment to the bridge': (n, size) => local(BRIDGE_MAC,
    ipv4(17, SOURCE, '10.0.10.1', data(room(size, 34) & ~7, n), { id: n, flags: n % 2 === 0 ? 0x2000 : 3 })),
  'a packet tagged for VLAN 0': (n, size) => ethernet(BRIDGE_MAC, BEHIND, 0x8100,
    [0, 0, 8, 0, ...ipv4(1, SOURCE, '10.0.10.1', echo(8, 8, n, data(room(size, 46), n)))]),
  'an ARP request': (n) => ethernet(EVERYBODY, BEHIND, 0x0806,
    arp(1, BEHIND, SOURCE, '00:00:00:00:00:00', n % 2 === 0 ? '10.0.10.1' : '10.0.10.77')),
  'a stream to a station here': (n, size) =>
    ethernet(LOCAL, BEHIND, 0x0800, ipv4(6, SOURCE, '10.0.10.3',
      tcp(SOURCE, 1002, '10.0.10.3', 80, data(room(size, 54), n), { seq: n * room(size, 54) }), { flags: 0, id: n })),
  'a stream to a station unknown': (n, size) =>
    ethernet('02:00:00:00:99:99', BEHIND, 0x0800, ipv4(6, SOURCE, '10.0.10.4',
      tcp(SOURCE, 1003, '10.0.10.4', 80, data(room(size, 54), n), { seq: n * room(size, 54) }), { flags: 0, id: n })),
  'datagrams to everybody': (n, size) =>
    ethernet('01:00:5e:01:02:03', BEHIND, 0x0800, ipv4(17, SOURCE, '239.1.2.3',
      udp(SOURCE, 1004, '239.1.2.3', 9, data(room(size, 42), n)), { flags: 0, id: n })),
  'something else': (n, size) => ethernet(LOCAL, BEHIND, 0x88b5, data(room(size, 14), n)),
  'rubbish': (n, size) => data(size, n * 31)
}

interface Frames {
  setting: Setting
  size: number
  /** In a row: so many of that kind. */
  rows: { kind: string; count: number }[]
  /** Frames in one piece. */
  each: number[]
  perTurn: number
}

const frames: fc.Arbitrary<Frames> = fc.record({
  setting: fc.record({ farMtu: fc.constantFrom(576, 1500, 9000), farOffloads: fc.boolean(), capture: fc.boolean(),
    without: leavingOut(...COALESCE, 'peer-cache', 'slices', 'pieces', 'tunnel-gather', 'headroom', 'native-sums', 'shared-frames', 'bridge-cache',
      'fast-path', 'batches') }),
  size: fc.oneof(fc.integer({ min: 46, max: 120 }), fc.constantFrom(200, 594, 1514, 3000)),
  rows: fc.array(fc.record({ kind: fc.constantFrom(...Object.keys(KINDS)),
    count: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9 })) }), { minLength: 1, maxLength: 10 }),
  each: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
  perTurn: fc.integer({ min: 1, max: 3 })
})

/** All that left a machine: by port, by socket, as frames of the wire. */
const leftFrom = (m: Machine): Record<string, string[]> => {
  const hex = (frame: readonly number[]): string => Buffer.from(withoutIdentification(frame)).toString('hex')
  const out: Record<string, string[]> = {}
  for (const port of [...PORTS, 'far.eth0']) out[port] = m.lab.taken(port).flatMap(seen).map(hex)
  for (const d of m.sent()) (out[`socket ${d.socket} to ${d.to}`] ??= []).push(hex(d.bytes.slice(8)))
  return out
}

test('what becomes of a frame does not depend on whether it came alone or in one piece with others', (t) => {
  fc.assert(
    fc.property(frames, ({ setting, size, rows, each, perTurn }) => {
      const made: number[][] = []
      for (const { kind, count } of rows) for (let i = 0; i < count; i++) made.push(KINDS[kind]!(made.length, size))
      const length = Math.max(...made.map((f) => f.length))
      // All as long as the longest, with bytes behind the packet that are none of its
      const datagrams = made.map((f, n) => [...VNI(42), ...f, ...data(length - f.length, n + 100)])
      const alone = createRouted({ ...setting, capture: false, without: [] })
      const together = createRouted(setting)
      const before = [alone, together].map(({ lab }) => whole(lab))
      let inTurn = 0
      for (let i = 0, k = 0; i < datagrams.length; k++) {
        const piece = datagrams.slice(i, i + Math.min(each[k % each.length]!, Math.floor(65_507 / datagrams[0]!.length)))
        for (const d of piece) alone.arrive(d)
        together.arrive(piece.flat(), { gso: piece.length > 1 ? piece[0]!.length : 0 })
        i += piece.length
        if (++inTurn === perTurn || i >= datagrams.length) {
          inTurn = 0
          alone.run()
          together.run()
        }
      }
      const compare = (what: string): void => {
        const a = leftFrom(alone)
        const b = leftFrom(together)
        assertSame(t, b, a, what)
      }
      compare('at once')
      // Who was asked for answers; then all that waits is over
      for (const { lab } of [alone, together]) lab.send('far.eth0',
        Uint8Array.from(ethernet(ROUTER_FAR, HOST, 0x0806, arp(2, '02:00:00:00:0c:09', '10.2.0.9', ROUTER_FAR, '10.2.0.1'))))
      for (const m of [alone, together]) m.run()
      compare('after the answer')
      t.is(together.lab.held(), alone.lab.held())
      for (const m of [alone, together]) m.lab.wait(40_000, 1000)
      compare('at the end')
      const joins = rows.some(({ kind }) => kind.startsWith('a stream') || kind.startsWith('datagrams'))
      if (!joins) t.deepEqual(allDrops(together.lab), allDrops(alone.lab))
      for (const [i, { lab }] of [alone, together].entries()) assertSame(t, whole(lab), before[i])
    }),
    { numRuns: 150 }
  )
})

test('a timestamp request may be shorter than its reply: what lies behind it is not overwritten', (t) => {
  const m = createRouted({ farMtu: 1500, farOffloads: true, capture: false, without: [] })
  const before = allDrops(m.lab)
  const requests = [0, 1, 2, 3, 4, 5].map((n) => [...VNI(42), ...KINDS['a timestamp request, as short as it may be']!(n, 0)])
  m.arrive(requests.flat(), { gso: requests[0]!.length })
  m.run()
  t.deepEqual(m.sent().map(({ bytes }) => [bytes[42], bytes[48]! * 256 + bytes[49]!]), requests.map((_, n) => [14, n]))
  t.deepEqual(allDrops(m.lab), before)
})
