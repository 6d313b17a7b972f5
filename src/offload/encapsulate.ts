/**
 * Cutting a super-frame for a tunnel: the headers of every segment are written to scratch, behind room for the tunnel's own header, and
 * the payload stays where it is; a gather list brings them together. Checksums are complete, for a socket cannot say that an inner one is
 * still to be made. As Linux's tcp_gso_segment and __udp_gso_segment do it; see segment.ts for the way that copies.
 */
import type { Packets } from '../core/packets.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../core/layout.js'
import { fold, sumBytes } from '../wire/checksum.js'
import * as ethernet from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import * as udp from '../wire/udp.js'

const IPV6_HEADER = 40
/** Segments of one super-frame; more is no honest sender's. */
export const MAX_SEGMENTS = 1024

/** `sums` takes `ranges` triples for one call of `sumRanges`. */
export const createCutter = (packets: Packets, sums: Int32Array, sumRanges: (count: number) => void) => {
  const { view, bytes, u16, i32, start, length, gsoType, gsoSize, csumStart, stride } = packets
  const ranges = Math.floor(sums.length / 3)
  // Of the super-frame in hand
  const payloadSum = new Int32Array(MAX_SEGMENTS)
  let at = 0
  let end = 0
  let size = 0
  let step = 0
  let network = 0
  let l4 = 0
  let headers = 0
  let count = 0
  let v6 = false
  let isTcp = false
  let id = 0
  let sequence = 0
  let tcpFlags = 0
  let networkSum = 0 // of the IPv4 header without what differs
  let transportSum = 0 // of pseudo-header and transport header without what differs

  const sizeOf = (i: number): number => Math.min(size, end - headers - i * size)
  const payloadAt = (i: number): number => at + headers + i * step

  const sumPayloads = (): void => {
    for (let from = 0; from < count; from += ranges) {
      const n = Math.min(ranges, count - from)
      for (let k = 0; k < n; k++) {
        sums[k * 3] = payloadAt(from + k)
        sums[k * 3 + 1] = sizeOf(from + k)
      }
      sumRanges(n)
      for (let k = 0; k < n; k++) payloadSum[from + k] = sums[k * 3 + 2]!
    }
  }

  return {
    /** Takes a super-frame in hand and sums its payloads; the number of segments, 0 when it cannot be cut. Bytes are only read. */
    begin: (p: number): number => {
      const kind = gsoType[p]! & ~GSO_ECN
      at = start[p]!
      end = length[p]!
      size = gsoSize[p]!
      l4 = csumStart[p]!
      network = ethernet.networkOffset(view, at)
      isTcp = kind === GSO_TCPV4 || kind === GSO_TCPV6
      v6 = kind === GSO_TCPV6 || (kind === GSO_UDP_L4 && bytes[at + network]! >>> 4 === 6)
      const minimum = l4 + (isTcp ? tcp.TCP_HEADER : udp.UDP_HEADER)
      if ((!isTcp && kind !== GSO_UDP_L4) || size === 0 || end < minimum || l4 < network + (v6 ? IPV6_HEADER : ipv4.IPV4_HEADER)) return 0
      headers = l4 + (isTcp ? tcp.headerLength(view, at + l4) : udp.UDP_HEADER)
      if (headers < minimum || headers > end) return 0
      step = stride[p] === 0 ? size : stride[p]!
      count = end === headers ? 1 : Math.ceil((end - headers) / size)
      if (count > MAX_SEGMENTS) return 0
      const o = at + l4
      const n = at + network
      transportSum = v6
        ? sumBytes(view, n + 8, 32, isTcp ? ipv4.PROTOCOL_TCP : ipv4.PROTOCOL_UDP)
        : sumBytes(view, n + ipv4.OFF_SOURCE, 8, isTcp ? ipv4.PROTOCOL_TCP : ipv4.PROTOCOL_UDP)
      if (isTcp) {
        sequence = tcp.sequence(view, o)
        tcpFlags = tcp.flags(view, o)
        transportSum += view.getUint16(o) + view.getUint16(o + 2) + sumBytes(view, o + 8, 4, 0) + (view.getUint8(o + tcp.OFF_DATA_OFFSET) << 8) +
          view.getUint16(o + tcp.OFF_WINDOW) + sumBytes(view, o + 18, headers - l4 - 18, 0)
      } else transportSum += view.getUint16(o) + view.getUint16(o + 2)
      if (!v6) {
        id = ipv4.identification(view, n)
        networkSum = view.getUint16(n) + view.getUint16(n + ipv4.OFF_FLAGS_FRAGMENT) + view.getUint16(n + ipv4.OFF_TTL) +
          sumBytes(view, n + ipv4.OFF_SOURCE, l4 - network - ipv4.OFF_SOURCE, 0)
      }
      sumPayloads()
      return count
    },

    /** Bytes of headers of each segment, of its payload, and where the payload lies. */
    headers: (): number => headers,
    sizeOf,
    payloadAt,

    /** Writes the headers of segment i at `to`, which is 2 modulo 4 as a frame's start is. */
    write: (i: number, to: number): void => {
      u16[to >> 1] = u16[at >> 1]!
      let d = (to + 2) >> 2
      let s = (at + 2) >> 2
      for (const last = (to + headers) >> 2; d < last; ) i32[d++] = i32[s++]!
      for (let b = d << 2, from = s << 2; b < to + headers; ) bytes[b++] = bytes[from++]!
      const data = sizeOf(i)
      const segment = headers - l4 + data
      const n = to + network
      const o = to + l4
      if (v6) view.setUint16(n + 4, l4 - network - IPV6_HEADER + segment)
      else {
        const total = l4 - network + segment
        const number = (id + i) & 0xffff
        view.setUint16(n + ipv4.OFF_TOTAL_LENGTH, total)
        view.setUint16(n + ipv4.OFF_IDENTIFICATION, number)
        view.setUint16(n + ipv4.OFF_CHECKSUM, ~fold(networkSum + total + number) & 0xffff)
      }
      if (isTcp) {
        const seq = (sequence + i * size) | 0
        let f = tcpFlags
        if (i < count - 1) f &= ~(tcp.FLAG_FIN | tcp.FLAG_PSH)
        if (i > 0) f &= ~tcp.FLAG_CWR
        view.setInt32(o + tcp.OFF_SEQUENCE, seq)
        view.setUint8(o + tcp.OFF_FLAGS, f)
        view.setUint16(o + tcp.OFF_CHECKSUM, ~fold(transportSum + segment + (seq >>> 16) + (seq & 0xffff) + f + payloadSum[i]!) & 0xffff)
      } else {
        const sum = ~fold(transportSum + 2 * segment + payloadSum[i]!) & 0xffff
        view.setUint16(o + udp.OFF_LENGTH, segment)
        view.setUint16(o + udp.OFF_CHECKSUM, sum === 0 ? 0xffff : sum)
      }
    }
  }
}
