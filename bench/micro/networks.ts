/** Networks on replayed frames, for the benches of the pipeline: operations, and what arrives. */
import { createNetwork, type Network, type NetworkOptions } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import { VNET_HDR } from '../../src/core/layout.js'
import { udpFrame } from '../frames.js'
import { createReplayIo, type ReplayFrame, type ReplayIo } from './replay-io.js'

/** Checksum and TCP super-frames; and UDP super-frames too. */
export const OFFLOADS = 7
export const OFFLOADS_WITH_USO = 15
const two = (n: number): string => n.toString(16).padStart(2, '0')
/** Station n of side 1 or 2. */
export const stationMac = (side: number, n: number): string => `02:42:0a:0${side}:${two(n >> 8)}:${two(n & 255)}`
export const stationAddress = (side: number, n: number): string => `10.${side}.${n >> 8}.${n & 255}`
export const FIRST = 10
export const ROUTER_MACS = ['02:00:00:00:01:01', '02:00:00:00:02:02']

export interface Made {
  network: Network
  io: ReplayIo
  /** Under which tag a descriptor is watched. */
  tags: ReadonlyMap<number, number>
}

export const open = (operations: Operation[], options: Partial<NetworkOptions> = {}): Made => {
  let io: ReplayIo | undefined
  const tags = new Map<number, number>()
  const network = createNetwork({
    instance: 'bench', seed: 1, poll: 'sleep', makeIo: (packets, rings) => (io = createReplayIo(packets, rings)),
    attachPort: (tag, handle) => tags.set(handle, tag), detachPort: () => undefined, ...options
  })
  for (const operation of operations) network.apply(operation)
  return { network, io: io!, tags }
}

export const bridge = (name: string, stations = 65536): Operation => ({
  op: 'bridge.add', name, mac: `02:00:00:00:00:0${name.slice(-1)}`, mtu: 1500, ageing_time: 300, fdb_max_learned: stations
})

export const port = (name: string, of: string, handle: number, offloads = OFFLOADS): Operation => ({
  op: 'port.add', name, bridge: of, mtu: 1500, handle, vnet_header: VNET_HDR, offloads, mac: stationMac(9, handle),
  netns: name, ifname: 'eth0'
})

/** Frames between station n of side 1 and station n of side 2, there and back; so many come by one port before the other's turn. */
export const exchanges = (network: Network, flows: number, gateways: readonly string[] | undefined, inARow = 1): ReplayFrame[] => {
  const [one, other] = network.resolvePorts(['one', 'other']).map((p) => p.id)
  const frame = (side: number, i: number): ReplayFrame => ({
    port: side === 1 ? one! : other!,
    bytes: udpFrame({
      sourceMac: stationMac(side, FIRST + i), destinationMac: gateways?.[side - 1] ?? stationMac(3 - side, FIRST + i),
      source: stationAddress(side, FIRST + i), destination: stationAddress(3 - side, FIRST + i), sourcePort: 1000 + i, destinationPort: 9
    })
  })
  return Array.from({ length: Math.ceil(flows / inARow) }, (_, row) => [1, 2].map((side) =>
    Array.from({ length: inARow }, (__, i) => frame(side, (row * inARow + i) % flows)))).flat(2)
}

export const bridgeOf = (flows: number, offloads = OFFLOADS, options: Partial<NetworkOptions> = {}): Made => {
  const made = open([bridge('b1'), port('one', 'b1', 0, offloads), port('other', 'b1', 1, offloads)], options)
  made.io.load(exchanges(made.network, flows, undefined))
  return made
}

/** `others`: further neighbours that are reachable, half of them on each side; their timers run. */
export const routerOf = (flows: number, others = 0, offloads = OFFLOADS, options: Partial<NetworkOptions> = {}): Made => {
  const switches = { forwarding: true, proxy_arp: false, rp_filter: 0, send_redirects: true, bc_forwarding: false }
  const operations: Operation[] = [
    bridge('b1'), bridge('b2'), port('one', 'b1', 0, offloads), port('other', 'b2', 1, offloads), { op: 'router.add', name: 'r', forwarding: true }
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
  const made = open(operations, options)
  for (let i = 0; i < others; i++) {
    const side = 1 + (i & 1)
    const n = FIRST + flows + (i >> 1)
    made.network.apply({
      op: 'neigh.add', router: 'r', dev: `eth${side}`, address: stationAddress(side, n), lladdr: stationMac(side, n), nud: 'reachable'
    })
  }
  made.io.load(exchanges(made.network, flows, ROUTER_MACS))
  return made
}

/** Turns until so many frames have arrived. */
export const turns = ({ network, io }: Made, packets: number) => (): void => {
  for (const end = io.arrived() + packets; io.arrived() < end;) network.engine.turn(false)
}
