/**
 * UDP datagrams over IPv4 that may be one super-frame (UDP segmentation offload): one flow, one size, the last may be shorter. Only
 * datagrams with DF, for cutting numbers them anew, and only with a checksum, for cutting makes one.
 */
import type { Packets } from '../core/packets.js'
import { fold, pseudoSum } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as udp from '../wire/udp.js'
import type { Transport, Verifier } from './verify.js'

const L4 = ETHERNET_HEADER + ipv4.IPV4_HEADER
const HEADERS = L4 + udp.UDP_HEADER

/** Where things are in the frame of such a datagram. */
export const UDP4: Transport = {
  protocol: ipv4.PROTOCOL_UDP, addresses: ETHERNET_HEADER + ipv4.OFF_SOURCE, l4: L4, field: udp.OFF_CHECKSUM
}

export const createUdpRule = (packets: Packets, verifier: Verifier) => {
  const { view, u16, i32, bytes, start, length } = packets
  const { isIpv4HeaderGood, isTransportGood } = verifier

  return {
    /** Payload bytes of a datagram (of IPv4 without options) that may be joined to others; -1 for all else. Looks at the headers only. */
    dataOf: (p: number): number => {
      const at = start[p]!
      const size = length[p]!
      const data = size - HEADERS
      if (data <= 0 || view.getUint16(at + ETHERNET_HEADER + ipv4.OFF_FLAGS_FRAGMENT) !== ipv4.FLAG_DF) return -1
      if (ipv4.totalLength(view, at + ETHERNET_HEADER) !== size - ETHERNET_HEADER || udp.udpLength(view, at + L4) !== size - L4) return -1
      return udp.udpChecksum(view, at + L4) === 0 ? -1 : data
    },

    /** Same addresses at layer 2 and 3, ports, TOS and TTL? */
    isSameFlow: (p: number, q: number): boolean => {
      const a = start[p]!
      const b = start[q]!
      const x = (a + 2) >> 2
      const y = (b + 2) >> 2
      return i32[x] === i32[y] && u16[a >> 1] === u16[b >> 1] && i32[x + 1] === i32[y + 1] && i32[x + 2] === i32[y + 2] &&
        i32[x + 6] === i32[y + 6] && i32[x + 7] === i32[y + 7] && i32[x + 8] === i32[y + 8] && // source, destination, ports
        bytes[a + 15] === bytes[b + 15] && bytes[a + 22] === bytes[b + 22]
    },

    /** Are its bytes its own, and both its checksums right? */
    isSound: (p: number): boolean => !packets.isShared(p) && isIpv4HeaderGood(p) && isTransportGood(p, UDP4),

    /** Makes the headers those of a datagram of `payload` bytes, with the sum of the pseudo-header for a checksum. */
    writeHeaders: (p: number, payload: number): void => {
      const o = start[p]! + ETHERNET_HEADER
      const size = payload + udp.UDP_HEADER
      view.setUint16(o + ipv4.OFF_TOTAL_LENGTH, size + ipv4.IPV4_HEADER)
      ipv4.writeHeaderChecksum(view, o)
      view.setUint16(o + ipv4.IPV4_HEADER + udp.OFF_LENGTH, size)
      view.setUint16(o + ipv4.IPV4_HEADER + udp.OFF_CHECKSUM,
        fold(pseudoSum(ipv4.source(view, o), ipv4.destination(view, o), ipv4.PROTOCOL_UDP, size)))
    }
  }
}
