/**
 * TCP segments that may be one super-frame (TCP segmentation offload), by the rules of the kernel's GRO (tcp_gro_receive() of
 * net/ipv4/tcp_offload.c, inet_gro_receive(), ipv6_gro_receive()): data that continues each other, and all alike but the sequence number;
 * ACK is set, ECE may be, PSH ends a run. Cutting gives back what was joined, but the identification of IPv4 packets with DF, which
 * says nothing (RFC 6864 section 4).
 *
 * Frames are untagged, IPv4 has no options, IPv6 no extension headers: the caller has seen to that.
 */
import type { Packets } from '../core/packets.js'
import { fold, sumBytes } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import type { Transport, Verifier } from './verify.js'

const IPV6_HEADER = 40
const IPV6_OFF_PAYLOAD_LENGTH = 4
const IPV6_OFF_SOURCE = 8
const FLAG_ECE = 0x40
/** Flags that may be set or not. */
const ALLOWED = tcp.FLAG_PSH | FLAG_ECE
/** PSH in the word of data offset, flags and window, as a little-endian load sees it. */
const PSH_LE = tcp.FLAG_PSH << 8

/** Where things are in the frame of such a segment. */
export const TCP4: Transport = {
  protocol: ipv4.PROTOCOL_TCP, addresses: ETHERNET_HEADER + ipv4.OFF_SOURCE, l4: ETHERNET_HEADER + ipv4.IPV4_HEADER, field: tcp.OFF_CHECKSUM
}
export const TCP6: Transport = {
  protocol: ipv4.PROTOCOL_TCP, addresses: ETHERNET_HEADER + IPV6_OFF_SOURCE, l4: ETHERNET_HEADER + IPV6_HEADER, field: tcp.OFF_CHECKSUM
}

export const createTcpRule = (packets: Packets, verifier: Verifier) => {
  const { view, u16, i32, bytes, start, length } = packets
  const { isIpv4HeaderGood, isTransportGood, areTransportsGood } = verifier

  const isPushed = (p: number, l4: number): boolean => (bytes[start[p]! + l4 + tcp.OFF_FLAGS]! & tcp.FLAG_PSH) !== 0

  /** Same addresses of Ethernet? Frames start at 2 modulo 4. */
  const isSameLink = (a: number, b: number): boolean => {
    const x = (a + 2) >> 2
    const y = (b + 2) >> 2
    return u16[a >> 1] === u16[b >> 1] && i32[x] === i32[y] && i32[x + 1] === i32[y + 1] && i32[x + 2] === i32[y + 2]
  }

  /** TOS, TTL, DF and addresses; identification as cutting will number the n-th, or of no meaning. */
  const isSameIpv4 = (a: number, b: number, n: number): boolean => {
    const x = (a + 2) >> 2
    const y = (b + 2) >> 2
    if (i32[x + 6] !== i32[y + 6] || i32[x + 7] !== i32[y + 7]) return false
    if (bytes[a + 15] !== bytes[b + 15] || bytes[a + 22] !== bytes[b + 22] || u16[(a + 20) >> 1] !== u16[(b + 20) >> 1]) return false
    return u16[(a + 20) >> 1] !== 0 || view.getUint16(b + 18) === ((view.getUint16(a + 18) + n) & 0xffff)
  }

  /** Traffic class and flow label, hop limit, addresses. */
  const isSameIpv6 = (a: number, b: number): boolean => {
    const x = (a + 2) >> 2
    const y = (b + 2) >> 2
    if (i32[x + 3] !== i32[y + 3] || u16[(a + 20) >> 1] !== u16[(b + 20) >> 1]) return false
    for (let i = 5; i < 13; i++) if (i32[x + i] !== i32[y + i]) return false
    return true
  }

  /** Ports, acknowledgment, data offset, flags but PSH, window, urgent pointer, options. */
  const isSameTcp = (a: number, b: number): boolean => {
    const x = a >> 2
    const y = b >> 2
    if (i32[x] !== i32[y] || i32[x + 2] !== i32[y + 2] || ((i32[x + 3]! ^ i32[y + 3]!) & ~PSH_LE) !== 0) return false
    if (u16[(a + 18) >> 1] !== u16[(b + 18) >> 1]) return false
    for (let i = 5, words = bytes[a + tcp.OFF_DATA_OFFSET]! >>> 4; i < words; i++) if (i32[x + i] !== i32[y + i]) return false
    return true
  }

  return {
    /** Payload bytes of a segment that may be joined to others, 0 or less for all else. Looks at the headers only. */
    dataOf: (p: number, { l4 }: Transport): number => {
      const at = start[p]!
      if ((bytes[at + l4 + tcp.OFF_FLAGS]! & ~ALLOWED) !== tcp.FLAG_ACK) return 0
      const header = tcp.headerLength(view, at + l4)
      const data = length[p]! - l4 - header
      if (data <= 0 || header < tcp.TCP_HEADER) return 0
      const o = at + ETHERNET_HEADER
      const size = length[p]! - ETHERNET_HEADER
      if (l4 === TCP4.l4) return ipv4.totalLength(view, o) === size ? data : 0
      return bytes[o]! >>> 4 === 6 && view.getUint16(o + IPV6_OFF_PAYLOAD_LENGTH) === size - IPV6_HEADER ? data : 0
    },

    isPushed,

    /** Is `p` what follows `before` bytes of data from segment `head` on, being the n-th after it? */
    isNext: (head: number, p: number, n: number, before: number, { l4 }: Transport): boolean => {
      const a = start[head]!
      const b = start[p]!
      if (tcp.sequence(view, b + l4) !== ((tcp.sequence(view, a + l4) + before) | 0)) return false
      return isSameLink(a, b) && (l4 === TCP4.l4 ? isSameIpv4(a, b, n) : isSameIpv6(a, b)) && isSameTcp(a + l4, b + l4)
    },

    /** Are its bytes its own, and both its checksums right? */
    isSound: (p: number, t: Transport): boolean => !packets.isShared(p) && (t !== TCP4 || isIpv4HeaderGood(p)) && isTransportGood(p, t),

    /** The same of two segments at once. */
    areSound: (p: number, q: number, t: Transport): boolean =>
      !packets.isShared(p) && !packets.isShared(q) && (t !== TCP4 || (isIpv4HeaderGood(p) && isIpv4HeaderGood(q))) && areTransportsGood(p, q, t),

    /** Makes the headers of `head`, `headers` bytes, those of a segment of `payload` bytes that ends with `tail`. */
    writeHeaders: (head: number, tail: number, headers: number, payload: number, { l4, addresses }: Transport): void => {
      const at = start[head]!
      const size = headers - l4 + payload
      if (l4 === TCP4.l4) {
        view.setUint16(at + ETHERNET_HEADER + ipv4.OFF_TOTAL_LENGTH, size + ipv4.IPV4_HEADER)
        ipv4.writeHeaderChecksum(view, at + ETHERNET_HEADER)
      } else view.setUint16(at + ETHERNET_HEADER + IPV6_OFF_PAYLOAD_LENGTH, size)
      if (isPushed(tail, l4)) bytes[at + l4 + tcp.OFF_FLAGS] = bytes[at + l4 + tcp.OFF_FLAGS]! | tcp.FLAG_PSH
      view.setUint16(at + l4 + tcp.OFF_CHECKSUM, fold(sumBytes(view, at + addresses, l4 - addresses, ipv4.PROTOCOL_TCP + size)))
    }
  }
}
