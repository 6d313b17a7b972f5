/**
 * Cutting super-frames for a port that cannot carry them, and completing partial checksums.
 *
 * A super-frame's headers stand once; each segment gets a copy of them with its own lengths, IPv4 identification, sequence
 * number, flags and checksums, as Linux's tcp_gso_segment and __udp_gso_segment do. Payload is copied: this is the slow way out,
 * for ports without offloads and for links with a smaller MTU.
 */
import type { Packets } from '../core/packets.js'
import { F_CSUM_OK, F_NEEDS_CSUM } from '../core/packets.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../core/layout.js'
import { CANNOT_SEGMENT, NO_BUFFER } from '../reason.js'
import { checksum, fold, pseudoSum, sumBytes } from '../wire/checksum.js'
import * as ethernet from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import * as udp from '../wire/udp.js'

const IPV6_HEADER = 40
const IPV6_OFF_PAYLOAD_LENGTH = 4
const IPV6_OFF_SOURCE = 8

/** `emit(segment, a)` is given every segment, with the `a` of the call. */
export const createSegmenter = (packets: Packets, emit: (p: number, a: number) => void) => {
  const { view, bytes, start, length, flags, gsoType, gsoSize, csumStart, csumOffset, stride } = packets

  /**
   * Writes the full L4 checksum where a partial one stands (VIRTIO_NET_HDR_F_NEEDS_CSUM): the field holds the
   * pseudo-header sum, so summing from csumStart to the end gives the whole. UDP's 0 becomes 0xffff (RFC 768).
   * False when the pool cannot give the packet bytes of its own.
   */
  const completeChecksum = (p: number): boolean => {
    if ((flags[p]! & F_NEEDS_CSUM) === 0) return true
    if (!packets.makeWritable(p)) return false
    const at = start[p]! + csumStart[p]!
    const field = at + csumOffset[p]!
    const sum = checksum(view, at, length[p]! - csumStart[p]!)
    view.setUint16(field, sum === 0 && csumOffset[p] === udp.OFF_CHECKSUM ? 0xffff : sum)
    flags[p] = (flags[p]! & ~F_NEEDS_CSUM) | F_CSUM_OK
    return true
  }

  /** Pseudo-header sum of a segment without its length, for IPv4 or IPv6. */
  const addressSum = (network: number, v6: boolean, protocol: number): number =>
    v6
      ? sumBytes(view, network + IPV6_OFF_SOURCE, 32, protocol)
      : pseudoSum(ipv4.source(view, network), ipv4.destination(view, network), protocol, 0)

  /** Cuts super-frame `p` and ends it (merged); each segment goes to `emit` with `a`. A frame that cannot be cut is dropped. */
  const segment = (p: number, a: number): void => {
    const kind = gsoType[p]! & ~GSO_ECN
    const at = start[p]!
    const network = ethernet.networkOffset(view, at)
    const v6 = kind === GSO_TCPV6 || (kind === GSO_UDP_L4 && view.getUint8(at + network) >>> 4 === 6)
    const isTcp = kind === GSO_TCPV4 || kind === GSO_TCPV6
    const l4 = csumStart[p]!
    const size = gsoSize[p]!
    const minimum = l4 + (isTcp ? tcp.TCP_HEADER : udp.UDP_HEADER)
    if ((!isTcp && kind !== GSO_UDP_L4) || size === 0 || length[p]! < minimum || l4 < network + (v6 ? IPV6_HEADER : ipv4.IPV4_HEADER)) {
      packets.drop(p, CANNOT_SEGMENT)
      return
    }
    const headers = l4 + (isTcp ? tcp.headerLength(view, at + l4) : udp.UDP_HEADER)
    const end = length[p]!
    if (headers < minimum || headers > end) {
      packets.drop(p, CANNOT_SEGMENT)
      return
    }
    const protocol = isTcp ? ipv4.PROTOCOL_TCP : ipv4.PROTOCOL_UDP
    const sequence = isTcp ? tcp.sequence(view, at + l4) : 0
    const tcpFlags = isTcp ? tcp.flags(view, at + l4) : 0
    const id = v6 ? 0 : ipv4.identification(view, at + network)
    const step = stride[p] === 0 ? size : stride[p]!
    let index = 0
    for (let o = headers; o < end || index === 0; o += size, index++) {
      const data = Math.min(size, end - o)
      const s = packets.piece(p, headers + data)
      if (s < 0) {
        packets.drop(p, NO_BUFFER)
        return
      }
      const to = start[s]!
      bytes.copyWithin(to, at, at + headers)
      const from = at + headers + index * step
      bytes.copyWithin(to + headers, from, from + data)
      const l4Length = headers - l4 + data
      if (v6) view.setUint16(to + network + IPV6_OFF_PAYLOAD_LENGTH, headers + data - network - IPV6_HEADER)
      else {
        view.setUint16(to + network + ipv4.OFF_TOTAL_LENGTH, headers + data - network)
        view.setUint16(to + network + ipv4.OFF_IDENTIFICATION, id + index)
        ipv4.writeHeaderChecksum(view, to + network)
      }
      let field = to + l4 + udp.OFF_CHECKSUM
      if (isTcp) {
        field = to + l4 + tcp.OFF_CHECKSUM
        view.setInt32(to + l4 + tcp.OFF_SEQUENCE, (sequence + index * size) | 0)
        let f = tcpFlags
        if (o + size < end) f &= ~(tcp.FLAG_FIN | tcp.FLAG_PSH)
        if (index > 0) f &= ~tcp.FLAG_CWR
        view.setUint8(to + l4 + tcp.OFF_FLAGS, f)
      } else view.setUint16(to + l4 + udp.OFF_LENGTH, l4Length)
      view.setUint16(field, 0)
      const sum = ~fold(sumBytes(view, to + l4, l4Length, addressSum(to + network, v6, protocol) + l4Length)) & 0xffff
      view.setUint16(field, sum === 0 && !isTcp ? 0xffff : sum)
      flags[s] = flags[s]! | F_CSUM_OK
      emit(s, a)
    }
    packets.merged(p)
  }

  return { segment, completeChecksum }
}
