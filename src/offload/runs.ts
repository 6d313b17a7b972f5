/**
 * Datagrams that came in one piece of memory (UDP_GRO), seen as what they carry: runs of TCP segments, or of UDP datagrams of equal size, of
 * one inner flow. A run becomes a single super-frame without moving a byte: its payloads stay where they lie, `stride` bytes apart,
 * and the headers of the first are made those of the whole. The rules are those of the kernel's GRO (net/ipv4/tcp_offload.c,
 * udp_offload.c): nothing is lost that cutting would not bring back, but the identification of packets with DF.
 *
 * Datagram i begins at `base + i * gso`; a frame lies `lead` bytes behind the beginning, and the lead is compared, too. Offsets need no
 * alignment here: sizes of datagrams are the sender's.
 */
import type { Packets } from '../core/packets.js'
import { F_NEEDS_CSUM } from '../core/packets.js'
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../core/layout.js'
import { fold, sumBytes } from '../wire/checksum.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import * as udp from '../wire/udp.js'

/** Datagrams looked at in one go. */
export const MAX_DATAGRAMS = 128
/** UDP datagrams in one super-frame: what older kernels take (UDP_MAX_SEGMENTS). */
const MAX_UDP_RUN = 64

const IPV6_HEADER = 40
const OTHER = 0
const TCP = 1
const UDP = 2
/** Of a TCP segment that may be part of a run: ACK, with PSH and ECE or without. */
const ALLOWED = tcp.FLAG_PSH | 0x40

export type Runs = ReturnType<typeof createRuns>

export const createRuns = (packets: Packets, sums: Int32Array, sumRanges: (count: number) => void, lead: number) => {
  const { view, bytes, u16, i32 } = packets
  const { length, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, stride } = packets
  // Of each datagram: what it is, where its transport header begins in the frame, header bytes of the frame, payload bytes
  const kind = new Int32Array(MAX_DATAGRAMS)
  const l4 = new Int32Array(MAX_DATAGRAMS)
  const headers = new Int32Array(MAX_DATAGRAMS)
  const payload = new Int32Array(MAX_DATAGRAMS)
  /** Place among the sums; -1 where neither neighbour is of its flow. */
  const sumOf = new Int32Array(MAX_DATAGRAMS)
  // 1: it follows the one before it, which is of the same length
  const isTwin = new Uint8Array(MAX_DATAGRAMS)
  let base = 0
  let gso = 0
  let runPayload = 0

  /** Big-endian 16-bit words of 4 bytes, added. */
  const sumWord = (at: number): number => {
    const word = view.getInt32(at)
    return (word & 0xffff) + (word >>> 16)
  }

  /** RFC 1071 over an IPv4 header without options, written out: this is asked of every datagram. */
  const isHeaderSound = (o: number): boolean =>
    fold(sumWord(o) + sumWord(o + 4) + sumWord(o + 8) + sumWord(o + 12) + sumWord(o + 16)) === 0xffff

  /** Looks at the headers of one frame of `size` bytes at `f`; OTHER when it cannot be part of a run. */
  const parse = (i: number, f: number, size: number): number => {
    if (size < 54) return OTHER
    const type = view.getUint16(f + 12)
    let o = ETHERNET_HEADER
    let protocol = 0
    if (type === ETHERTYPE_IPV4) {
      if (bytes[f + o] !== ipv4.NO_OPTIONS || (view.getUint16(f + o + ipv4.OFF_FLAGS_FRAGMENT) & ~ipv4.FLAG_DF) !== 0) return OTHER
      if (ipv4.totalLength(view, f + o) !== size - o || !isHeaderSound(f + o)) return OTHER
      protocol = bytes[f + o + ipv4.OFF_PROTOCOL]!
      o += ipv4.IPV4_HEADER
    } else if (type === ETHERTYPE_IPV6) {
      if (bytes[f + o]! >>> 4 !== 6 || view.getUint16(f + o + 4) !== size - o - IPV6_HEADER) return OTHER
      protocol = bytes[f + o + 6]!
      o += IPV6_HEADER
    } else return OTHER
    let header = 0
    let found = OTHER
    if (protocol === ipv4.PROTOCOL_TCP) {
      if (size < o + tcp.TCP_HEADER || (bytes[f + o + tcp.OFF_FLAGS]! & ~ALLOWED) !== tcp.FLAG_ACK) return OTHER
      header = tcp.headerLength(view, f + o)
      if (header < tcp.TCP_HEADER) return OTHER
      found = TCP
    } else if (protocol === ipv4.PROTOCOL_UDP) {
      if (udp.udpLength(view, f + o) !== size - o || udp.udpChecksum(view, f + o) === 0) return OTHER
      header = udp.UDP_HEADER
      found = UDP
    } else return OTHER
    if (size <= o + header) return OTHER
    l4[i] = o
    headers[i] = o + header
    payload[i] = size - o - header
    return found
  }

  /**
   * Is the frame at `f` UDP over IPv4 with DF, as sound and as long as the one `each` bytes before it, and alike in all that `follows` asks?
   * Asked of frames that lie 2 modulo 4 behind a lead of 8 bytes, the one before being UDP over IPv4: most datagrams are, and this is all that
   * they cost.
   */
  const resembles = (f: number, each: number): boolean => {
    const w = (f - 6) >> 2 // from the third byte of the lead on
    const v = w - (each >> 2)
    const identification = i32[w + 6]!
    const before = i32[v + 6]!
    if (u16[(f - 8) >> 1] !== u16[(f - 8 - each) >> 1] || i32[w] !== i32[v] || i32[w + 1] !== i32[v + 1] || i32[w + 2] !== i32[v + 2] ||
      i32[w + 3] !== i32[v + 3] || i32[w + 4] !== i32[v + 4] || i32[w + 5] !== i32[v + 5] || identification >>> 16 !== ipv4.FLAG_DF_LE ||
      before >>> 16 !== ipv4.FLAG_DF_LE || i32[w + 8] !== i32[v + 8] || i32[w + 9] !== i32[v + 9] || i32[w + 10] !== i32[v + 10]) return false
    const ttl = i32[w + 7]!
    const ttlBefore = i32[v + 7]!
    const udpWord = i32[w + 11]!
    if (((ttl ^ ttlBefore) & 0xffff) !== 0 || ((udpWord ^ i32[v + 11]!) & 0xffff) !== 0 || udpWord >>> 16 === 0) return false
    // Identification and header checksum have the same sum as before, so the header's is as right (RFC 1071 2.B: in any byte order)
    const sum = (identification & 0xffff) + (ttl >>> 16)
    const sumBefore = (before & 0xffff) + (ttlBefore >>> 16)
    return sum === sumBefore || (sum & 0xffff) + (sum >>> 16) === (sumBefore & 0xffff) + (sumBefore >>> 16)
  }

  /** Sum of the pseudo-header of datagram i, its frame being at `f`, for `size` bytes behind the network header. */
  const pseudo = (i: number, f: number, size: number): number => {
    const protocol = kind[i] === TCP ? ipv4.PROTOCOL_TCP : ipv4.PROTOCOL_UDP
    return l4[i] === ETHERNET_HEADER + ipv4.IPV4_HEADER
      ? sumWord(f + ETHERNET_HEADER + ipv4.OFF_SOURCE) + sumWord(f + ETHERNET_HEADER + ipv4.OFF_SOURCE + 4) + protocol + size
      : sumBytes(view, f + ETHERNET_HEADER + 8, 32, protocol + size)
  }

  /** Are datagrams h and i, `n` places further, alike in all that must be? `seq` is the sequence number that is due. */
  const follows = (h: number, i: number, n: number, seq: number): boolean => {
    if (kind[i] !== kind[h] || l4[i] !== l4[h] || headers[i] !== headers[h] || payload[i]! > payload[h]!) return false
    const a = base + h * gso
    const b = base + i * gso
    const f = a + lead
    const g = b + lead
    for (let o = 0; o < lead; o += 4) if (view.getInt32(a + o, true) !== view.getInt32(b + o, true)) return false
    if (view.getInt32(f, true) !== view.getInt32(g, true) || view.getInt32(f + 4, true) !== view.getInt32(g + 4, true) ||
      view.getInt32(f + 8, true) !== view.getInt32(g + 8, true) || view.getInt16(f + 12, true) !== view.getInt16(g + 12, true)) return false
    const o = l4[h]!
    if (o === ETHERNET_HEADER + ipv4.IPV4_HEADER) {
      // TOS, TTL, DF, addresses; identification as cutting will number it, or of no meaning (RFC 6864)
      if (bytes[f + 15] !== bytes[g + 15] || bytes[f + 22] !== bytes[g + 22] || view.getInt16(f + 20, true) !== view.getInt16(g + 20, true)) return false
      if (view.getInt32(f + 26, true) !== view.getInt32(g + 26, true) || view.getInt32(f + 30, true) !== view.getInt32(g + 30, true)) return false
      if (view.getUint16(f + 20) !== ipv4.FLAG_DF && view.getUint16(g + 18) !== ((view.getUint16(f + 18) + n) & 0xffff)) return false
    } else {
      // Version, traffic class, flow label; hop limit; addresses
      if (view.getInt32(f + 14, true) !== view.getInt32(g + 14, true) || bytes[f + 21] !== bytes[g + 21]) return false
      for (let w = 22; w < 54; w += 4) if (view.getInt32(f + w, true) !== view.getInt32(g + w, true)) return false
    }
    if (view.getInt32(f + o, true) !== view.getInt32(g + o, true)) return false // ports
    if (kind[h] === UDP) return true
    if (tcp.sequence(view, g + o) !== seq || view.getInt32(f + o + 8, true) !== view.getInt32(g + o + 8, true)) return false
    // Data offset, flags but PSH, window; the urgent pointer, which GRO forgets where it is not in force
    if (((view.getInt32(f + o + 12, true) ^ view.getInt32(g + o + 12, true)) & ~(tcp.FLAG_PSH << 8)) !== 0) return false
    if (view.getInt16(f + o + 18, true) !== view.getInt16(g + o + 18, true)) return false
    for (let w = o + 20; w < headers[h]!; w += 4) if (view.getInt32(f + w, true) !== view.getInt32(g + w, true)) return false
    return true
  }

  /** May datagram i, whose frame is at `f`, be of the flow of the one before it? Where none is near, no checksum is of interest. */
  const isNear = (i: number, f: number, each: number): boolean =>
    kind[i] !== OTHER && kind[i] === kind[i - 1] && l4[i] === l4[i - 1] && view.getInt32(f + l4[i]!) === view.getInt32(f + l4[i]! - each)

  const toSum = (i: number, s: number, f: number, size: number): void => {
    sums[s * 3] = f + l4[i]!
    sums[s * 3 + 1] = size - l4[i]!
    sumOf[i] = s
  }

  return {
    /** Looks at `count` datagrams of `size` bytes in all from `at` on, `each` bytes one; checksums are verified in one call. */
    look: (at: number, size: number, each: number, count: number): void => {
      base = at
      gso = each
      let summed = 0
      // Datagrams of full length that lie as `resembles` wants them
      const whole = lead === 8 && (each & 3) === 0 && ((at + lead) & 3) === 2 ? Math.floor(size / each) : 0
      for (let i = 0; i < count; i++) {
        const f = at + i * each + lead
        const bytesOf = Math.min(each, size - i * each) - lead
        if (i > 0 && i < whole && kind[i - 1] === UDP && l4[i - 1] === ETHERNET_HEADER + ipv4.IPV4_HEADER && resembles(f, each)) {
          isTwin[i] = 1
          kind[i] = UDP
          l4[i] = l4[i - 1]!
          headers[i] = headers[i - 1]!
          payload[i] = payload[i - 1]!
        } else {
          isTwin[i] = 0
          kind[i] = parse(i, f, bytesOf)
        }
        sumOf[i] = -1
        if (i === 0 || (isTwin[i] === 0 && !isNear(i, f, each))) continue
        if (sumOf[i - 1]! < 0) toSum(i - 1, summed++, f - each, each - lead)
        toSum(i, summed++, f, bytesOf)
      }
      if (summed > 0) sumRanges(summed)
      let addresses = 0
      for (let i = 0; i < count; i++) {
        const s = sumOf[i]!
        if (s >= 0 && isTwin[i] === 0) addresses = pseudo(i, at + i * each + lead, sums[s * 3 + 1]!)
        if (s < 0 || fold(sums[s * 3 + 2]! + addresses) !== 0xffff) kind[i] = OTHER
      }
    },

    /** How many of the datagrams from `first` on (`count` are there) make one run; at least 1. */
    extent: (first: number, count: number): number => {
      if (kind[first] === OTHER) return 1
      const size = payload[first]!
      const isTcp = kind[first] === TCP
      const f = base + first * gso + lead
      let seq = isTcp ? tcp.sequence(view, f + l4[first]!) : 0
      let end = first + 1
      runPayload = size
      if (isTcp && (bytes[f + l4[first]! + tcp.OFF_FLAGS]! & tcp.FLAG_PSH) !== 0) return 1
      while (end < count && (isTcp || end - first < MAX_UDP_RUN)) {
        seq = (seq + size) | 0
        if ((isTwin[end] === 0 || kind[end] === OTHER) && !follows(first, end, end - first, seq)) break
        const last = payload[end]!
        const pushed = isTcp && (bytes[base + end * gso + lead + l4[first]! + tcp.OFF_FLAGS]! & tcp.FLAG_PSH) !== 0
        runPayload += last
        end++
        if (last < size || pushed) break
      }
      return end - first
    },

    /** Makes packet `p`, which begins with the frame of datagram `first`, the super-frame of the run that `extent` has just found. */
    join: (p: number, first: number, run: number): void => {
      const f = base + first * gso + lead
      const o = l4[first]!
      const isTcp = kind[first] === TCP
      const v4 = o === ETHERNET_HEADER + ipv4.IPV4_HEADER
      const total = headers[first]! - o + runPayload
      if (v4) {
        view.setUint16(f + ETHERNET_HEADER + ipv4.OFF_TOTAL_LENGTH, total + ipv4.IPV4_HEADER)
        ipv4.writeHeaderChecksum(view, f + ETHERNET_HEADER)
      } else view.setUint16(f + ETHERNET_HEADER + 4, total)
      if (isTcp) {
        const last = bytes[base + (first + run - 1) * gso + lead + o + tcp.OFF_FLAGS]!
        view.setUint8(f + o + tcp.OFF_FLAGS, bytes[f + o + tcp.OFF_FLAGS]! | (last & tcp.FLAG_PSH))
      } else view.setUint16(f + o + udp.OFF_LENGTH, total)
      const field = isTcp ? tcp.OFF_CHECKSUM : udp.OFF_CHECKSUM
      view.setUint16(f + o + field, fold(pseudo(first, f, total)))
      flags[p] = flags[p]! | F_NEEDS_CSUM
      gsoType[p] = isTcp ? (v4 ? GSO_TCPV4 : GSO_TCPV6) : GSO_UDP_L4
      gsoSize[p] = payload[first]!
      csumStart[p] = o
      csumOffset[p] = field
      headerLength[p] = headers[first]!
      length[p] = headers[first]! + runPayload
      stride[p] = gso
    }
  }
}
