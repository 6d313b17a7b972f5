/**
 * The whole data plane memory to memory: the real engine with the real tables, on frames that lie in memory. 60-byte UDP frames,
 * half of them each way, of one flow or of many stations. What a core can decide, without the kernel's share of the work. The ports
 * take no UDP super-frames; `joined` is the same for ports that do: the datagrams of one flow are verified and leave as runs, which
 * costs here and pays at a TAP, where each write is a system call.
 *
 * `vxlan` is both ends of a tunnel in one engine: a frame comes in by a port, is encapsulated, its datagram (or the run of datagrams it is
 * sent with) comes back by the socket of the other end, is decapsulated, and leaves by a port there. A packet counts once. What is asked
 * of it is asked for ports that take UDP super-frames, as TAPs do: a run of datagrams that has come as one leaves as one.
 */
import { inlineMore } from '../../src/engine/compiler.js'
import type { Operation } from '../../src/network/operations.js'
import { udpFrame } from '../frames.js'
import { CTL_PORT_BUDGET } from '../../src/port/rings.js'
import { threadCpuTime } from '../../src/native.js'
import { single, type Goal } from '../result.js'
import { median } from '../statistics.js'
import { allocationOf, report, timeLoop } from './measure.js'
import {
  bridge, bridgeOf, exchanges, FIRST, OFFLOADS, OFFLOADS_WITH_USO, open, port, ROUTER_MACS, routerOf, stationAddress, stationMac, turns, type Made
} from './networks.js'
import type { ReplayFrame, ReplayPeer } from './replay-io.js'

const PACKETS = 2_000_000
/** Few enough that the young generation, 1 MiB at first, is not full before the end. */
const ALLOCATION_PACKETS = 64_000
const ALLOCATION_RUNS = 50
const BRIDGE_GOAL: Goal = { bound: 'at least', value: 15, aim: 25 }
const ROUTER_GOAL: Goal = { bound: 'at least', value: 10, aim: 15 }
const VXLAN_GOAL: Goal = { bound: 'at least', value: 7, aim: 10 }
/** The least object has 16 bytes: below half a byte a packet nothing is allocated by packet, but once a batch (the clock's number). */
const NO_ALLOCATION: Goal = { bound: 'at most', value: 0.5 }

/**
 * The flows among so many stations that the bridge knows. Growing is part of it: how long the longest learning took is how long nothing was
 * forwarded, as the table moves into one of twice the size.
 */
const bridgeAmong = (flows: number, stations: number): Made => {
  const made = open([bridge('b1', stations + 2 * flows), port('one', 'b1', 0), port('other', 'b1', 1)])
  const { fdb, clock } = made.network.engine
  const ids = made.network.resolvePorts(['one', 'other']).map((p) => p.id)
  let longest = 0
  for (let i = 0; i < stations; i++) {
    const begin = threadCpuTime()
    fdb.learn(0, 0, 0x4202, Math.imul(i, 0x9e3779b1), ids[i & 1]!, clock.second)
    longest = Math.max(longest, threadCpuTime() - begin)
  }
  if (fdb.learnedCount(0) !== stations) throw new Error(`${fdb.learnedCount(0)} stations are known instead of ${stations}`)
  report(single('scale', `FDB, ${stations} entries: memory`, 'MiB', [fdb.memoryBytes() / 2 ** 20]))
  report(single('scale', `FDB, ${stations} entries: longest stop while it grew`, 'ms', [longest / 1e6]))
  made.io.load(exchanges(made.network, flows, undefined))
  return made
}

/** Address of an end of the tunnel: as text, and as a little-endian load of its octets sees it. */
const UNDERLAY = ['192.168.77.1', '192.168.77.2'] as const
const underlayWord = (end: number): number => new Int32Array(Uint8Array.from(UNDERLAY[end]!.split('.'), Number).buffer)[0]!
const VXLAN_PORT = 4789
/** Sockets that an end sends by: inner flows are spread over them, and with them over the source ports. */
const SEND_SOCKETS = 16
const receiveSocket = (end: number): number => 100 * (end + 1)

const vxlan = (end: number): Operation[] => {
  const name = `vxlan${end + 1}`
  const receive = receiveSocket(end)
  const send = Array.from({ length: SEND_SOCKETS }, (_, i) => receive + 1 + i)
  return [
    {
      op: 'vxlan.add', name, bridge: `b${end + 1}`, mac: stationMac(8, end), mtu: 1450, id: 42, local: UNDERLAY[end]!, dstport: VXLAN_PORT,
      srcport: [32768, 60999], remote: UNDERLAY[1 - end]!, learning: true, proxy: false, neigh_suppress: false, ttl: 64, tos: 0, df: 'unset',
      udpcsum: true, ageing: 300, maxaddress: 0, l2miss: false, l3miss: false, gbp: false, inner_vlan: 'pass', netns: '', family: 4,
      receive: [receive], send, send_df: [], gso: true
    },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: name, dst: UNDERLAY[1 - end]!, self: true, state: 'permanent' }
  ]
}

const vxlanOf = (flows: number, offloads: number): Made => {
  const made = open([bridge('b1'), bridge('b2'), port('one', 'b1', 0, offloads), port('other', 'b2', 1, offloads), ...vxlan(0), ...vxlan(1)])
  const peer = (end: number): ReplayPeer => ({ address: underlayWord(end), port: VXLAN_PORT, tag: made.tags.get(receiveSocket(end))! })
  made.io.link(peer(0), peer(1))
  // What lies next to each other may go into the tunnel with one call: as many as a turn takes from one TAP
  made.io.load(exchanges(made.network, flows, undefined, made.network.engine.rings.control[CTL_PORT_BUDGET]))
  return made
}

/** Two hosts with a router between them, and so many conversations of theirs; with policies they are of two apps, of which one may reach the other. */
const routerWith = (flows: number, hasPolicies: boolean): Made => {
  const made = routerOf(1)
  const { network, io } = made
  if (hasPolicies) {
    for (const [i, name] of ['one', 'other'].entries()) {
      network.apply({ op: 'app.add', name: `${name}-app`, id: 1001 + i })
      network.apply({ op: 'app.member', name: `${name}-app`, port: name, mac: stationMac(i + 1, FIRST), addresses: [stationAddress(i + 1, FIRST)] })
    }
    network.apply({ op: 'policy.add', from: 'one-app', to: 'other-app', protocol: 'udp', ports: [9, 9] })
  }
  const frames = exchanges(network, 1, ROUTER_MACS).map(({ port: row }, i) => Array.from({ length: flows }, (_, n): ReplayFrame => ({
    port: row,
    bytes: udpFrame({
      sourceMac: stationMac(i + 1, FIRST), destinationMac: ROUTER_MACS[i]!, source: stationAddress(i + 1, FIRST), destination: stationAddress(2 - i, FIRST),
      sourcePort: i === 0 ? 1000 + n : 9, destinationPort: i === 0 ? 9 : 1000 + n
    })
  })))
  io.load(frames[0]!.flatMap((frame, n) => [frame, frames[1]![n]!]))
  return made
}

/** Every frame must have left by the other port, on its own or in a super-frame: what is fast because it drops is no result. */
const verify = ({ network, io }: Made): void => {
  io.load([])
  // The last frames are sent; the last datagrams come back; what was in them is sent.
  for (let i = 0; i < 3; i++) network.engine.turn(false)
  const { drops, balance } = network.stats()
  const lost = drops.filter((d) => d.packets > 0).map((d) => `${d.packets} ${d.reason}`)
  // The first frame to a station that was not heard yet is flooded, and the bridge's own address drops its copy.
  if (!balance.ok || io.sent() < io.arrived() || balance.dropped > balance.received / 1000) {
    throw new Error(`the pipeline lost packets: arrived ${io.arrived()}, sent ${io.sent()}, ${lost.join(', ')}`)
  }
}

const measure = async (what: string, made: Made, goal: Goal | undefined): Promise<void> => {
  const { io } = made
  const loop = turns(made, PACKETS)
  report(single('pipeline', what, 'Mpps', timeLoop(loop, PACKETS).map((ns) => 1000 / ns), goal))
  const { bytes, collections } = await allocationOf(turns(made, ALLOCATION_PACKETS), ALLOCATION_PACKETS, ALLOCATION_RUNS)
  report(single('pipeline', `${what}: allocated`, 'B/packet', bytes, NO_ALLOCATION))
  report(single('pipeline', `${what}: collections in ${(ALLOCATION_PACKETS * ALLOCATION_RUNS) / 1e6} M packets`, '', [collections]))
  if (io.sends() > 0) report(single('pipeline', `${what}: packets in a datagram call`, '', [io.arrived() / io.sends()]))
  verify(made)
}

/** Throughput alone, for a figure that is taken beside another process's, by turns (run.ts). */
const measureSpeed = (group: string, what: string, made: Made): void => {
  report(single(group, what, 'Mpps', timeLoop(turns(made, PACKETS), PACKETS, 5).map((ns) => 1000 / ns)))
  verify(made)
}

/** The replay itself, without an engine's decisions: slots are taken, filled and given back. */
const measureReplay = (): void => {
  const { network, io } = bridgeOf(1)
  const { packets, rings } = network.engine
  const loop = (): void => {
    for (let n = 0; n < PACKETS;) {
      const got = io.exchange()
      for (let i = 0; i < got; i++) packets.giveSlot(rings.rxSlotIds[i]!)
      rings.refill(got)
      n += got
    }
  }
  report(single('pipeline', 'replay alone, part of all below', 'ns', [median(timeLoop(loop, PACKETS))]))
}

// As the data plane's thread does
inlineMore()

/** Each variant wants a process of its own: V8 knows a single engine's columns as constants; of a second engine it does not. */
const [variant, count, joined] = process.argv.slice(2)
const flows = Number(count ?? 1)
const offloads = joined === 'joined' ? OFFLOADS_WITH_USO : OFFLOADS
const label = `${variant}, ${flows} flow${flows === 1 ? '' : 's'}${joined === 'joined' ? ', joined' : ''}`
/** Each goal is for one kind of ports; the other kind is for comparison. */
const goalOf = (goal: Goal, kind?: string): Goal | undefined => (joined === kind ? goal : undefined)
switch (variant) {
  case 'replay':
    measureReplay()
    break
  case 'bridge':
    await measure(label, bridgeOf(flows, offloads), goalOf(BRIDGE_GOAL))
    break
  case 'router':
    await measure(label, routerOf(flows, 0, offloads), goalOf(ROUTER_GOAL))
    break
  case 'vxlan':
    await measure(label, vxlanOf(flows, offloads), goalOf(VXLAN_GOAL, 'joined'))
    break
  case 'bridge-among':
    measureSpeed('scale', `bridge, ${flows} flows among ${joined} FDB entries`, bridgeAmong(flows, Number(joined)))
    break
  case 'router-among':
    measureSpeed('scale', `router, ${flows} flows among ${joined} reachable neighbours`, routerOf(flows, Number(joined)))
    break
  case 'router-with':
    measureSpeed('policy', `router, ${flows} flow${flows === 1 ? '' : 's'}, with ${joined === '0' ? 'no policies' : 'policies'}`, routerWith(flows, joined !== '0'))
    break
  default:
    throw new Error('pipeline.bench.js replay | bridge FLOWS [joined] | router FLOWS [joined] | vxlan FLOWS [joined] | bridge-among FLOWS STATIONS | router-among FLOWS NEIGHBOURS | router-with FLOWS 0|1')
}
