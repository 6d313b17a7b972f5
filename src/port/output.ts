/**
 * The way out of a bridge: `output(p, port)` owns the packet and either queues it for the port's device, hands it to the layer-3
 * interface behind the port, or drops it with a reason. Here a frame is fitted to what the port can carry.
 */
import type { Packets } from '../core/packets.js'
import { F_NEEDS_CSUM, F_SLICE } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PORT_INTERFACE, PORT_TUNNEL, P_FORWARDING } from '../core/ports.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_F_NEEDS_CSUM, VNET_HDR } from '../core/layout.js'
import { CANNOT_SEGMENT, MTU_EXCEEDED, NO_BUFFER, PORT_DOWN } from '../reason.js'
import { createCoalescer, type CoalesceOptions } from '../offload/coalesce.js'
import { createSegmenter } from '../offload/segment.js'
import { ETHERTYPE_QINQ_LE, ETHERTYPE_VLAN_LE, VLAN_TAG } from '../wire/ethernet.js'
import type { Rings } from './rings.js'
import { CTL_TX_COUNT, MAX_WRITEV_PAIRS, TX_STRIDE, TX_WRITEV } from './rings.js'

/**
 * Ethernet header and one VLAN tag: what may stand before the MTU's bytes (is_skb_forwardable of linux netdevice.h). The outermost
 * tag of a tagged frame comes on top: the kernel has it beside the frame.
 */
const FRAME_OVERHEAD = 18

export interface OutputParts {
  packets: Packets
  ports: Ports
  rings: Rings
  /** Makes room in the full tx ring by sending what is queued. */
  flush: () => void
  /** Takes frames for the interface behind a port. */
  toInterface: (p: number, port: number) => void
  /** Takes frames for the tunnel behind a port. */
  toTunnel: (p: number, port: number) => void
  /** May a frame leave by a port with an app? False: it was dropped. */
  admit: (p: number, port: number) => boolean
  /** Join runs of packets of one flow before they are sent. */
  coalesce: CoalesceOptions
  /** Off: a port's header never stands before the frame, but apart. */
  headroom: boolean
  /** Sums the first ranges in rings.sums (Io of rings.ts). */
  sumRanges: (count: number) => void
}

export const createOutput = ({ packets, ports, rings, flush, toInterface, toTunnel, admit, coalesce, headroom, sumRanges }: OutputParts) => {
  const { start, length, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, next, stride, i32, u16 } = packets
  const { kind, state, mtu, offloads, handle, vnetHeader, app } = ports
  const { control, txCapacity, tx, txPacket, txPort, gather } = rings
  const coalescer = createCoalescer(packets, ports, txCapacity, rings.sums, sumRanges, coalesce)
  const joins = coalesce.tcp !== false || coalesce.udp !== false
  // A run needs a part for each packet and, when the first is a slice, one more: never more parts than there are packets in the pool,
  // which is what `rings` keeps for runs
  const maxJoined = Math.floor((packets.capacity * 2) / 3)

  const offloadOf = (gso: number): number => {
    switch (gso & ~GSO_ECN) {
      case GSO_TCPV4: return OFFLOAD_TSO4
      case GSO_TCPV6: return OFFLOAD_TSO6
      case GSO_UDP_L4: return OFFLOAD_USO
      default: return 0
    }
  }

  const writeWords = (at: number, word0: number, word1: number, offset: number): void => {
    const w = at >> 2
    i32[w] = word0
    i32[w + 1] = word1
    u16[(w << 1) + 4] = offset
  }

  /** The virtio-net header of a packet, before a frame that would begin at `frame`. */
  const writeVnetHeader = (p: number, frame: number): void => {
    const gso = gsoType[p]!
    const at = frame - VNET_HDR
    if ((flags[p]! & F_NEEDS_CSUM) === 0) writeWords(at, 0, 0, 0)
    else if (gso === 0) writeWords(at, VNET_F_NEEDS_CSUM, csumStart[p]! << 16, csumOffset[p]!)
    else writeWords(at, VNET_F_NEEDS_CSUM | (gso << 8) | (headerLength[p]! << 16), gsoSize[p]! | (csumStart[p]! << 16), csumOffset[p]!)
  }

  /**
   * Queues a frame whose bytes do not lie together, or have no room before them: the port's header stands in scratch, pieces where
   * they came in. False when there was no room to put too many pieces together; the packet has ended then.
   */
  const queueGathered = (p: number, port: number): boolean => {
    const size = gsoSize[p]!
    const pieces = stride[p] === 0 ? 1 : Math.ceil((length[p]! - headerLength[p]!) / size)
    if (pieces >= MAX_WRITEV_PAIRS && !packets.linearize(p)) {
      packets.drop(p, NO_BUFFER)
      return false
    }
    const parts = stride[p] === 0 ? 1 : pieces
    if (!rings.hasRoom(parts + 1, VNET_HDR + 4, 1)) flush()
    const before = vnetHeader[port] !== 0
    const first = rings.takePairs(parts + (before ? 1 : 0))
    let pair = first
    if (before) {
      const scratch = rings.takeScratch(VNET_HDR + 2)
      writeVnetHeader(p, scratch + 2 + VNET_HDR)
      gather[pair * 2] = scratch + 2
      gather[pair++ * 2 + 1] = VNET_HDR
    }
    gather[pair * 2] = start[p]!
    gather[pair++ * 2 + 1] = stride[p] === 0 ? length[p]! : Math.min(length[p]!, headerLength[p]! + size)
    let from = start[p]! + headerLength[p]! + stride[p]!
    for (let o = headerLength[p]! + size; pair < first + parts + (before ? 1 : 0); o += size, from += stride[p]!) {
      gather[pair * 2] = from
      gather[pair++ * 2 + 1] = Math.min(size, length[p]! - o)
    }
    next[p] = -1
    rings.pushGathered(TX_WRITEV, p, port, handle[port]!, first, pair - first)
    return true
  }

  /** Queues a frame on its own. The virtio-net header is written before it: the same bytes for every port that has one. False when it was dropped. */
  const queueAlone = (p: number, port: number): boolean => {
    if (stride[p] !== 0 || (flags[p]! & F_SLICE) !== 0 || !headroom) return queueGathered(p, port)
    if (control[CTL_TX_COUNT]! >= txCapacity) flush()
    if (vnetHeader[port] !== 0) writeVnetHeader(p, start[p]!)
    next[p] = -1
    rings.push(p, port, handle[port]!, vnetHeader[port]!)
    return true
  }

  /** Queues a frame that may be part of a run. */
  const queueJoinable = (p: number, port: number): void => {
    const place = coalescer.placeOf(p, port)
    if (place >= 0 && rings.queued() < maxJoined && coalescer.join(place, p)) rings.addQueued()
    else if (queueAlone(p, port) && place >= 0) coalescer.begin(place, control[CTL_TX_COUNT]! - 1, p)
  }

  /** Queues a frame that fits its port. */
  const queue = (p: number, port: number): void => {
    if (joins && coalescer.isJoinable(p, port)) queueJoinable(p, port)
    else queueAlone(p, port)
  }

  /** Before an exchange: entries that have become runs are written as one super-frame, gathered from where their packets lie. */
  const seal = (): void => {
    let pair = rings.pairsUsed()
    for (let i = 0; i < coalescer.runCount(); i++) {
      const e = coalescer.runs[i]!
      const head = txPacket[e]!
      const before = vnetHeader[txPort[e]!]!
      const headers = coalescer.writeHeaders(e)
      const { l4, field } = coalescer.transportOf(e)
      const t = e * TX_STRIDE
      const first = pair
      const apart = tx[t] === TX_WRITEV // a slice: the port's header stands in scratch
      const at = apart ? gather[tx[t + 2]! * 2]! : start[head]! - before
      writeWords(at, VNET_F_NEEDS_CSUM | (coalescer.gsoOf(e) << 8) | (headers << 16), coalescer.segment[e]! | (l4 << 16), field)
      gather[pair * 2] = at
      gather[pair++ * 2 + 1] = apart ? before : before + length[head]!
      if (apart) {
        gather[pair * 2] = start[head]!
        gather[pair++ * 2 + 1] = length[head]!
      }
      for (let p = next[head]!; p >= 0; p = next[p]!) {
        gather[pair * 2] = start[p]! + headers
        gather[pair++ * 2 + 1] = length[p]! - headers
      }
      tx[t] = TX_WRITEV
      tx[t + 2] = first
      tx[t + 3] = pair - first
    }
    coalescer.endTurn()
  }

  const segmenter = createSegmenter(packets, (p, port) => fit(p, port))

  /** The slow part of output: super-frames and partial checksums for ports without the offload. */
  const fit = (p: number, port: number): void => {
    const gso = gsoType[p]!
    if (gso !== 0) {
      const needed = offloadOf(gso)
      if (needed === 0) packets.drop(p, CANNOT_SEGMENT)
      else if ((offloads[port]! & needed) === 0) segmenter.segment(p, port)
      else queue(p, port)
      return
    }
    const type = u16[(start[p]! + 12) >> 1]!
    const tag = type === ETHERTYPE_VLAN_LE || type === ETHERTYPE_QINQ_LE ? VLAN_TAG : 0
    if (length[p]! > mtu[port]! + FRAME_OVERHEAD + tag) packets.drop(p, MTU_EXCEEDED)
    else if ((offloads[port]! & OFFLOAD_CSUM) === 0 && !segmenter.completeChecksum(p)) packets.drop(p, NO_BUFFER)
    else queue(p, port)
  }

  const output = (p: number, port: number): void => {
    if ((state[port]! & P_FORWARDING) !== P_FORWARDING) {
      packets.drop(p, PORT_DOWN)
      return
    }
    if (kind[port] === PORT_INTERFACE) {
      toInterface(p, port)
      return
    }
    if (kind[port] === PORT_TUNNEL) {
      toTunnel(p, port)
      return
    }
    if (app[port] !== 0 && !admit(p, port)) return
    if (gsoType[p] === 0 && (flags[p]! & F_NEEDS_CSUM) === 0 && length[p]! <= mtu[port]! + FRAME_OVERHEAD) queue(p, port)
    else fit(p, port)
  }

  return {
    output, seal,
    completeChecksum: segmenter.completeChecksum
  }
}
