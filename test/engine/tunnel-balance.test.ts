/**
 * Tunnels in networks where anything may happen: datagrams right and wrong, alone and in pieces, rubbish from the underlay's error queue, sockets that
 * fail, tunnels that come and go. Nothing throws, every packet ends exactly once, and the pool is whole again.
 */
import test from 'ava'
import fc from 'fast-check'
import type { PoolOptions } from '../../src/core/packets.js'
import type { Operation } from '../../src/network/operations.js'
import type { MemoryDatagram } from '../../src/port/memory.js'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { anyEvent, attempt, carryOut, createMesh, type Event, play } from './mesh.js'
import { addressText, sockaddr, VNI, type VxlanAdd } from './tunnel-lab.js'

/** Tunnels: name, bridge, VNI, what is special about them. The first two share their sockets. */
const TUNNELS: readonly [name: string, bridge: string, more: Partial<VxlanAdd>][] = [
  ['v1', 'one', { id: 42, proxy: true, l3miss: true, mtu: 1450 }],
  ['v2', 'two', { id: 43, neigh_suppress: true, df: 'inherit', gbp: true, ttl: 'inherit', tos: 'inherit', l2miss: true, mtu: 1400,
    maxaddress: 3 }],
  ['v3', 'three', { id: 42, family: 6, inner_vlan: 'drop', gso: false, df: 'set', mtu: 9000, learning: false }]
]
const PEERS = ['192.168.77.2', '192.168.77.3', '192.168.77.4']
const PEERS_6 = ['fd000000000000000000000000000002', 'fd000000000000000000000000000003']
const MACS = ['02:00:00:00:00:00', '02:00:00:00:00:03', '02:00:00:00:01:03', '00:00:00:00:00:00', '01:00:5e:00:00:01']

interface Tunnelled {
  lab: MemoryLab
  receive: number[]
  send: number[]
  options: VxlanAdd[]
}

const createTunnelled = (seed = 1, pool?: PoolOptions): Tunnelled => {
  const lab = createMesh(seed, pool)
  const open = (n: number): number[] => Array.from({ length: n }, () => lab.io.open(false))
  const [receive, six] = open(2) as [number, number]
  const send = [open(3), open(2)] as const
  const options = TUNNELS.map(([name, bridge, more], i): VxlanAdd => ({
    op: 'vxlan.add', name, bridge, mac: `02:00:00:00:42:0${i}`, mtu: 1450, id: 42, local: '', dstport: 4789, srcport: [1, 2],
      learning: true, proxy: false, neigh_suppress: false, ttl: 0, tos: 0,
    df: 'unset', udpcsum: true, ageing: 300, maxaddress: 0, l2miss: false, l3miss: false, gbp: false, inner_vlan: 'pass',
      netns: '', family: 4, gso: true,
    receive: [more.family === 6 ? six : receive], send: [...send[more.family === 6 ? 1 : 0]],
      send_df: [...send[more.family === 6 ? 1 : 0]], ...more
  }))
  lab.apply(...options)
  for (const [i, [name]] of TUNNELS.entries()) {
    for (const dst of i === 2 ? ['fd00::2', 'fd00::3'] : PEERS.slice(0, 2)) lab.apply({ op: 'fdb.append',
      mac: '00:00:00:00:00:00', dev: name, dst })
  }
  return { lab, receive: [receive, six], send: [...send[0], ...send[1]], options }
}

type TunnelEvent =
  | Event
  | { kind: 'datagrams'; inner: number[][]; vni: number; flags: number; damage: [number,
    number][]; pieces: boolean; end: number; tos: number; peer: number }
  | { kind: 'rubbish'; bytes: Uint8Array; gso: number; peer: number; socket: number }
  | { kind: 'error'; bytes: Uint8Array; peer: number; socket: number }
  | { kind: 'come back'; socket: number }
  | { kind: 'socket fails'; socket: number; errno: number }
  | { kind: 'change'; operation: Operation }

/** Frames of the mesh, for the inside of tunnels. */
const frame = anyEvent.filter((e) => e.kind === 'frame').map((e) => (e as Extract<Event, { kind: 'frame' }>).frame)

const change: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: fc.constantFrom('fdb.add' as const, 'fdb.append' as const, 'fdb.replace' as const, 'fdb.del' as const),
    mac: fc.constantFrom(...MACS), dev: fc.constantFrom('v1', 'v2'), dst: fc.constantFrom(...PEERS) }),
  fc.record({ op: fc.constantFrom('fdb.append' as const, 'fdb.replace' as const), mac: fc.constantFrom(...MACS),
    dev: fc.constant('v3'), dst: fc.constantFrom('fd00::2', 'fd00::4'), state: fc.constantFrom('dynamic' as const, 'static' as const) }),
  fc.constantFrom('v1', 'v2', 'v3').chain((dev) => fc.oneof(
    fc.boolean().map((up): Operation => ({ op: 'link.set', dev, up })),
    fc.constantFrom(68, 600, 1450, 9000).map((mtu): Operation => ({ op: 'link.set', dev, mtu })),
    fc.constant<Operation>({ op: 'vxlan.del', name: dev }),
    fc.constant<Operation>({ op: 'fdb.flush', dev }),
    fc.constantFrom(...TUNNELS.keys()).map((i): Operation => ({ op: 'vxlan.add', name: String(i) } as unknown as Operation)),
    fc.constant<Operation>({ op: 'neigh.replace', dev, address: '10.1.1.9', lladdr: '02:00:00:00:00:04', nud: 'permanent' })
  ))
)

const pairs = fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 3 })

const tunnelEvent: fc.Arbitrary<TunnelEvent> = fc.oneof(
  { weight: 6, arbitrary: anyEvent as fc.Arbitrary<TunnelEvent> },
  { weight: 10, arbitrary: fc.record({
    kind: fc.constant('datagrams' as const), inner: fc.oneof(fc.array(frame, { minLength: 1, maxLength: 6 }),
      fc.tuple(frame, fc.integer({ min: 1, max: 20 })).map(([f, n]) => Array.from({ length: n }, () => f))),
    vni: fc.constantFrom(42, 42, 43, 43, 44), flags: fc.constantFrom(8, 8, 8, 8, 0x88, 0), damage: pairs, pieces: fc.boolean(),
      end: fc.nat(2000), tos: fc.nat(255), peer: fc.nat(4)
  }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rubbish' as const), bytes: fc.uint8Array({ maxLength: 3000 }),
    gso: fc.constantFrom(0, 1, 7, 8, 9, 60, 61, 2999), peer: fc.nat(4), socket: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('error' as const), bytes: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    peer: fc.nat(4), socket: fc.nat(10) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('come back' as const), socket: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('socket fails' as const), socket: fc.nat(10),
    errno: fc.constantFrom(0, 11, 90, 101, 111, 1) }) },
  { weight: 2, arbitrary: change.map((operation): TunnelEvent => ({ kind: 'change', operation })) }
)

const peerOf = (n: number): Int32Array => sockaddr([...PEERS, ...PEERS_6][n % 5]!)

const carryOutTunnelled = ({ lab, receive, send, options }: Tunnelled, event: TunnelEvent, gone: Set<string>): void => {
  const sockets = [...receive, ...send]
  switch (event.kind) {
    case 'change': {
      const { operation: o } = event
      attempt(lab, o.op === 'vxlan.add' ? options[Number(o.name)]! : o)
      break
    }
    case 'datagrams': {
      const { inner, vni, flags, damage, pieces, end, tos, peer } = event
      const from = peerOf(peer)
      const socket = receive[from[0]! & 8 ? 1 : 0]!
      // In pieces all are as long as the first one; the last may be shorter
      const size = inner[0]!.length
      const list = inner.map((f, i) => {
        const d = [...VNI(vni), ...(pieces ? Array.from({ length: size }, (_, k) => f[k] ?? 0) : f)]
        d[0] = flags
        for (const [at, value] of i % 3 === 2 ? damage : []) if (at < d.length) d[at] = value
        return pieces && i === inner.length - 1 ? d.slice(0, 1 + (end % d.length)) : d
      })
      if (pieces && list.length > 1) lab.io.injectDatagram(socket,
        { bytes: Uint8Array.from(list.flat().slice(0, 65_507)), from, gso: list[0]!.length, tos })
      else for (const d of list) lab.io.injectDatagram(socket, { bytes: Uint8Array.from(d), from, tos })
      break
    }
    case 'rubbish':
      lab.io.injectDatagram(receive[event.socket % 2]!, { bytes: event.bytes, from: peerOf(event.peer),
        gso: Math.min(event.gso, event.bytes.length) })
      break
    case 'error':
      lab.io.injectDatagram(sockets[event.socket % sockets.length]!, { bytes: event.bytes, from: peerOf(event.peer), error: true })
      break
    case 'come back': {
      const sent: MemoryDatagram[] = send.flatMap((s) => lab.io.takenDatagrams(s))
      for (const { bytes, gso, address } of sent.slice(0, 20)) {
        addressText(address)
        lab.io.injectDatagram(receive[event.socket]!, { bytes, from: peerOf(event.socket * 3), gso })
      }
      break
    }
    case 'socket fails':
      lab.io.fail(sockets[event.socket % sockets.length]!, event.errno)
      break
    default:
      carryOut(lab, event, gone)
  }
}

const playOn = (tunnelled: Tunnelled, events: readonly TunnelEvent[], perTurn: number): void => {
  const { lab, receive, send } = tunnelled
  const gone = new Set<string>()
  play(lab, events, perTurn, (event) => carryOutTunnelled(tunnelled, event, gone), [...receive, ...send])
}

test('after every turn, whatever happened in it, the balance holds; at the end nothing is held and the pool is whole', (t) => {
  fc.assert(
    fc.property(fc.array(tunnelEvent, { minLength: 1, maxLength: 100 }), fc.integer({ min: 1, max: 12 }), fc.nat(1000),
      (events, perTurn, seed) => {
      playOn(createTunnelled(seed), events, perTurn)
    }),
    { numRuns: 150 }
  )
  t.pass()
})

test('a pool that is far too small: the same', (t) => {
  fc.assert(
    fc.property(fc.array(tunnelEvent, { minLength: 1, maxLength: 100 }), fc.integer({ min: 1, max: 40 }),
      fc.constantFrom(256, 65_536), (events, perTurn, scratchBytes) => {
      playOn(createTunnelled(1, { packets: 24, largeSlots: 9, smallSlots: 8, scratchBytes }), events, perTurn)
    }),
    { numRuns: 150 }
  )
  t.pass()
})
