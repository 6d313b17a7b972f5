/**
 * The way out of a bridge: `output(p, port)` owns the packet and either queues it for the port's device, hands it to the layer-3
 * interface behind the port, or drops it with a reason. Here a frame is fitted to what the port can carry.
 */
import type { Packets } from '../core/packets.js'
import { F_NEEDS_CSUM } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO, PORT_INTERFACE, P_FORWARDING } from '../core/ports.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_HDR } from '../core/layout.js'
import { CANNOT_SEGMENT, MTU_EXCEEDED, NO_BUFFER, PORT_DOWN } from '../reason.js'
import { createSegmenter } from '../offload/segment.js'
import type { Rings } from './rings.js'
import { CTL_TX_COUNT } from './rings.js'

/** Ethernet header and one VLAN tag: what may stand before the MTU's bytes (net/core/dev.c is_skb_forwardable). */
const FRAME_OVERHEAD = 18

export interface OutputParts {
  packets: Packets
  ports: Ports
  rings: Rings
  /** Makes room in the full tx ring by sending what is queued. */
  flush: () => void
  /** Takes frames for the interface behind a port. */
  toInterface: (p: number, port: number) => void
}

export const createOutput = ({ packets, ports, rings, flush, toInterface }: OutputParts) => {
  const { start, length, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, i32, u16 } = packets
  const { kind, state, mtu, offloads, handle, vnetHeader } = ports
  const { control, txCapacity } = rings

  const offloadOf = (gso: number): number => {
    switch (gso & ~GSO_ECN) {
      case GSO_TCPV4: return OFFLOAD_TSO4
      case GSO_TCPV6: return OFFLOAD_TSO6
      case GSO_UDP_L4: return OFFLOAD_USO
      default: return 0
    }
  }

  /** Queues a frame that fits its port. The virtio-net header is written before it: the same bytes for every port that has one. */
  const queue = (p: number, port: number): void => {
    if (control[CTL_TX_COUNT]! >= txCapacity) flush()
    if (vnetHeader[port] !== 0) {
      const w = (start[p]! - VNET_HDR) >> 2
      const gso = gsoType[p]!
      if ((flags[p]! & F_NEEDS_CSUM) === 0) {
        i32[w] = 0
        i32[w + 1] = 0
        u16[(w << 1) + 4] = 0
      } else {
        i32[w] = 1 | (gso << 8) | ((gso === 0 ? 0 : headerLength[p]!) << 16)
        i32[w + 1] = (gso === 0 ? 0 : gsoSize[p]!) | (csumStart[p]! << 16)
        u16[(w << 1) + 4] = csumOffset[p]!
      }
    }
    rings.push(p, port, handle[port]!, vnetHeader[port]!)
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
    if (length[p]! > mtu[port]! + FRAME_OVERHEAD) packets.drop(p, MTU_EXCEEDED)
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
    if (gsoType[p] === 0 && (flags[p]! & F_NEEDS_CSUM) === 0 && length[p]! <= mtu[port]! + FRAME_OVERHEAD) queue(p, port)
    else fit(p, port)
  }

  return { output, completeChecksum: segmenter.completeChecksum }
}
