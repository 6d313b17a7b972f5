/**
 * The whole data plane memory to memory: the real engine with the real tables, on frames that lie in memory. 60-byte UDP frames,
 * half of them each way, of one flow or of many stations. What a core can decide, without the kernel's share of the work. The ports
 * take no UDP super-frames; `joined` is the same for ports that do: the datagrams of one flow are verified and leave as runs, which
 * costs here and pays at a TAP, where each write is a system call.
 */
import type { Engine } from '../../src/engine/engine.js'
import { createNetwork, type Network } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import { VNET_HDR } from '../../src/core/layout.js'
import { udpFrame } from '../frames.js'
import { single, type Goal } from '../result.js'
import { median } from '../statistics.js'
import { allocationOf, report, timeLoop } from './measure.js'
import { createReplayIo, type ReplayFrame, type ReplayIo } from './replay-io.js'

const PACKETS = 2_000_000
/** Few enough that the young generation, 1 MiB at first, is not full before the end. */
const ALLOCATION_PACKETS = 64_000
const ALLOCATION_RUNS = 50
/** Checksum and TCP super-frames; and UDP super-frames too. */
const OFFLOADS = 7
const OFFLOADS_WITH_USO = 15
const BRIDGE_GOAL: Goal = { bound: 'at least', value: 8 }
const ROUTER_GOAL: Goal = { bound: 'at least', value: 6 }
/** The least object has 16 bytes: below half a byte a packet nothing is allocated by packet, but once a batch (the clock's number). */
const NO_ALLOCATION: Goal = { bound: 'at most', value: 0.5 }

const two = (n: number): string => n.toString(16).padStart(2, '0')
/** Station n of side 1 or 2. */
const stationMac = (side: number, n: number): string => `02:42:0a:0${side}:${two(n >> 8)}:${two(n & 255)}`
const stationAddress = (side: number, n: number): string => `10.${side}.${n >> 8}.${n & 255}`
const FIRST = 10
const ROUTER_MACS = ['02:00:00:00:01:01', '02:00:00:00:02:02']

const open = (operations: Operation[]): { network: Network; io: ReplayIo } => {
  let io: ReplayIo | undefined
  const network = createNetwork({
    instance: 'bench', seed: 1, poll: 'sleep', makeIo: (packets, rings) => (io = createReplayIo(packets, rings)),
    attachPort: () => undefined, detachPort: () => undefined
  })
  for (const operation of operations) network.apply(operation)
  return { network, io: io! }
}

const bridge = (name: string): Operation => ({
  op: 'bridge.add', name, mac: `02:00:00:00:00:0${name.slice(-1)}`, mtu: 1500, ageing_time: 300, fdb_max_learned: 65536
})

const port = (name: string, of: string, handle: number): Operation => ({
  op: 'port.add', name, bridge: of, mtu: 1500, handle, vnet_header: VNET_HDR, offloads: process.argv[4] === 'joined' ? OFFLOADS_WITH_USO : OFFLOADS, mac: stationMac(9, handle),
  netns: name, ifname: 'eth0'
})

/** Frames between station n of side 1 and station n of side 2, there and back. */
const exchanges = (network: Network, flows: number, gateways: readonly string[] | undefined): ReplayFrame[] => {
  const [one, other] = network.resolvePorts(['one', 'other']).map((p) => p.id)
  return Array.from({ length: flows }, (_, i) => [1, 2].map((side) => ({
    port: side === 1 ? one! : other!,
    bytes: udpFrame({
      sourceMac: stationMac(side, FIRST + i), destinationMac: gateways?.[side - 1] ?? stationMac(3 - side, FIRST + i),
      source: stationAddress(side, FIRST + i), destination: stationAddress(3 - side, FIRST + i), sourcePort: 1000 + i, destinationPort: 9
    })
  }))).flat()
}

const bridgeOf = (flows: number): { network: Network; io: ReplayIo } => {
  const { network, io } = open([bridge('b1'), port('one', 'b1', 0), port('other', 'b1', 1)])
  io.load(exchanges(network, flows, undefined))
  return { network, io }
}

const routerOf = (flows: number): { network: Network; io: ReplayIo } => {
  const switches = { forwarding: true, proxy_arp: false, rp_filter: 0, send_redirects: true, bc_forwarding: false }
  const operations: Operation[] = [
    bridge('b1'), bridge('b2'), port('one', 'b1', 0), port('other', 'b2', 1), { op: 'router.add', name: 'r', forwarding: true }
  ]
  for (const side of [1, 2]) {
    const dev = `eth${side}`
    operations.push(
      { op: 'interface.add', router: 'r', name: dev, bridge: `b${side}`, mac: ROUTER_MACS[side - 1]!, mtu: 1500, ...switches },
      { op: 'addr.add', router: 'r', dev, prefix: `10.${side}.0.1/16` }
    )
    for (let i = 0; i < flows; i++) {
      operations.push({
        op: 'neigh.add', router: 'r', dev, address: stationAddress(side, FIRST + i), lladdr: stationMac(side, FIRST + i), nud: 'permanent'
      })
    }
  }
  const { network, io } = open(operations)
  io.load(exchanges(network, flows, ROUTER_MACS))
  return { network, io }
}

const turns = (engine: Engine, packets: number) => (): void => {
  for (let n = 0; n < packets;) n += engine.turn(false)
}

/** Every frame must have left by the other port, on its own or in a super-frame: what is fast because it drops is no result. */
const verify = (network: Network, io: ReplayIo): void => {
  io.load([])
  network.engine.turn(false)
  const { drops, balance } = network.stats()
  const lost = drops.filter((d) => d.packets > 0).map((d) => `${d.packets} ${d.reason}`)
  // The first frame to a station that was not heard yet is flooded, and the bridge's own address drops its copy.
  if (!balance.ok || io.sent() < balance.received || balance.dropped > balance.received / 1000) {
    throw new Error(`the pipeline lost packets: received ${balance.received}, sent ${io.sent()}, ${lost.join(', ')}`)
  }
}

const measure = async (what: string, made: { network: Network; io: ReplayIo }, goal: Goal | undefined): Promise<void> => {
  const { network, io } = made
  const loop = turns(network.engine, PACKETS)
  report(single('pipeline', what, 'Mpps', timeLoop(loop, PACKETS).map((ns) => 1000 / ns), goal))
  const { bytes, collections } = await allocationOf(turns(network.engine, ALLOCATION_PACKETS), ALLOCATION_PACKETS, ALLOCATION_RUNS)
  report(single('pipeline', `${what}: allocated`, 'B/packet', bytes, NO_ALLOCATION))
  report(single('pipeline', `${what}: collections in ${(ALLOCATION_PACKETS * ALLOCATION_RUNS) / 1e6} M packets`, '', [collections]))
  verify(network, io)
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

/** Each variant wants a process of its own: V8 knows a single engine's columns as constants; of a second engine it does not. */
const [variant, count, joined] = process.argv.slice(2)
const flows = Number(count ?? 1)
const label = `${variant}, ${flows} flow${flows === 1 ? '' : 's'}${joined === 'joined' ? ', joined' : ''}`
const goalOf = (goal: Goal): Goal | undefined => (joined === 'joined' ? undefined : goal)
switch (variant) {
  case 'replay':
    measureReplay()
    break
  case 'bridge':
    await measure(label, bridgeOf(flows), goalOf(BRIDGE_GOAL))
    break
  case 'router':
    await measure(label, routerOf(flows), goalOf(ROUTER_GOAL))
    break
  default:
    throw new Error('pipeline.bench.js replay | bridge FLOWS [joined] | router FLOWS [joined]')
}
