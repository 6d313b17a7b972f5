/**
 * Fewer and larger writes: a run of UDP datagrams of one flow and one size, queued for one port in one turn, leaves as a single
 * super-frame (UDP segmentation offload), gathered from where the datagrams lie: the headers of the first, the payloads of all.
 * The kernel behind the TAP cuts it again where somebody wants datagrams.
 *
 * Nothing waits for more to come, and nothing changes but the identification of datagrams with DF, which says nothing
 * (RFC 6864 section 4): datagrams without DF, with options, without a checksum or with a wrong one are left alone. A datagram is
 * only joined to the entry queued last for its port, so that order is kept; a shorter one ends the run.
 */
import type { Packets } from '../core/packets.js'
import { F_CSUM_OK, F_NEEDS_CSUM } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { OFFLOAD_USO } from '../core/ports.js'
import { fold, isSumGood, pseudoSum, sumAligned } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as udp from '../wire/udp.js'

/** Where the UDP header of a run's datagrams begins, and their payload, from the start of the frame. */
export const L4 = ETHERNET_HEADER + ipv4.IPV4_HEADER
export const HEADERS = L4 + udp.UDP_HEADER
/** Of the checksum in the UDP header. */
export const CHECKSUM_OFFSET = udp.OFF_CHECKSUM
/** Datagrams in a super-frame; the kernel takes 128, older ones 64 (UDP_MAX_SEGMENTS). */
export const MAX_RUN = 64
const MAX_TOTAL = 65535

/** EtherType 0800 as a little-endian load sees it. */
const ETHERTYPE_IPV4_LE = 0x0008
const PROTOCOL_UDP_LE = ipv4.PROTOCOL_UDP << 8
/** Flags and fragment offset: DF alone. */
const ONLY_DF = ipv4.FLAG_DF

export const createCoalescer = (packets: Packets, ports: Ports, entries: number) => {
  const { view, u16, i32, bytes, start, length, flags, gsoType, next } = packets
  const { offloads } = ports
  // By tx entry: the run's last packet, how many, payload bytes of the first and of all, and whether another may join
  const tail = new Int32Array(entries)
  const count = new Int32Array(entries)
  const segment = new Int32Array(entries)
  const payload = new Int32Array(entries)
  const open = new Uint8Array(entries)

  /** Payload bytes of a datagram that may be joined to others; -1 for all else. Looks at nothing but the headers. */
  const candidate = (p: number): number => {
    const at = start[p]!
    const size = length[p]!
    if (size < HEADERS || gsoType[p] !== 0 || u16[(at + 12) >> 1] !== ETHERTYPE_IPV4_LE || bytes[at + ETHERNET_HEADER] !== 0x45) return -1
    const o = at + ETHERNET_HEADER
    if (bytes[o + ipv4.OFF_PROTOCOL] !== ipv4.PROTOCOL_UDP || view.getUint16(o + ipv4.OFF_FLAGS_FRAGMENT) !== ONLY_DF) return -1
    const data = size - HEADERS
    if (ipv4.totalLength(view, o) !== size - ETHERNET_HEADER || udp.udpLength(view, at + L4) !== data + udp.UDP_HEADER) return -1
    return data === 0 || udp.udpChecksum(view, at + L4) === 0 ? -1 : data
  }

  /** Is the UDP checksum right, or to be completed by the kernel anyway? */
  const isChecksumGood = (p: number): boolean => {
    if ((flags[p]! & (F_NEEDS_CSUM | F_CSUM_OK)) !== 0) return true
    const at = start[p]!
    const size = length[p]! - L4
    // Little-endian like sumAligned: the addresses, protocol and length of the pseudo-header
    const pseudo = sumAligned(i32, at + ETHERNET_HEADER + ipv4.OFF_SOURCE, 8) + PROTOCOL_UDP_LE + ((size >>> 8) | ((size & 0xff) << 8))
    const good = isSumGood(sumAligned(i32, at + L4, size) + pseudo)
    if (good) flags[p] = flags[p]! | F_CSUM_OK
    return good
  }

  /** Same addresses at layer 2 and 3, ports, TOS and TTL; the IPv4 header checksum of both is right or wrong with the header itself. */
  const isSameFlow = (p: number, q: number): boolean => {
    const a = start[p]!
    const b = start[q]!
    const x = (a + 2) >> 2
    const y = (b + 2) >> 2
    return i32[x] === i32[y] && u16[a >> 1] === u16[b >> 1] && i32[x + 1] === i32[y + 1] && i32[x + 2] === i32[y + 2] &&
      i32[x + 6] === i32[y + 6] && i32[x + 7] === i32[y + 7] && i32[x + 8] === i32[y + 8] && // source, destination, ports
      bytes[a + 15] === bytes[b + 15] && bytes[a + 22] === bytes[b + 22]
  }

  const isHeaderGood = (p: number): boolean => isSumGood(sumAligned(i32, start[p]! + ETHERNET_HEADER, ipv4.IPV4_HEADER))

  return {
    count, segment,
    /** A packet has been queued as entry `e`: it may begin a run. */
    begin: (e: number, p: number, port: number): void => {
      next[p] = -1
      count[e] = 1
      tail[e] = p
      open[e] = (offloads[port]! & OFFLOAD_USO) === 0 ? 0 : 1
    },
    /** Joins `p` to the run of entry `e` of its port, whose first packet is `head`; false when it does not belong there. */
    join: (e: number, head: number, p: number): boolean => {
      // Most packets fail here, at no more cost than a few loads
      if (open[e] === 0 || length[p]! > length[head]! || length[p]! < HEADERS || !isSameFlow(head, p)) return false
      const n = count[e]!
      if (n === 1) {
        const whole = candidate(head)
        if (whole < 0 || packets.isShared(head) || !isHeaderGood(head) || !isChecksumGood(head)) {
          open[e] = 0
          return false
        }
        segment[e] = whole
        payload[e] = whole
      }
      const size = segment[e]!
      const data = candidate(p)
      if (data < 0) return false
      if (n === MAX_RUN || payload[e]! + data + udp.UDP_HEADER + ipv4.IPV4_HEADER > MAX_TOTAL) return false
      if (packets.isShared(p) || !isHeaderGood(p) || !isChecksumGood(p)) return false
      next[tail[e]!] = p
      next[p] = -1
      tail[e] = p
      count[e] = n + 1
      payload[e] = payload[e]! + data
      if (data < size) open[e] = 0 // a shorter one is the last
      return true
    },
    /** Makes the headers of `head` those of the whole run: lengths, IPv4 checksum, the sum of the pseudo-header. */
    writeHeaders: (e: number, head: number): void => {
      const o = start[head]! + ETHERNET_HEADER
      const size = payload[e]! + udp.UDP_HEADER
      view.setUint16(o + ipv4.OFF_TOTAL_LENGTH, size + ipv4.IPV4_HEADER)
      ipv4.writeHeaderChecksum(view, o)
      view.setUint16(o + ipv4.IPV4_HEADER + udp.OFF_LENGTH, size)
      view.setUint16(o + ipv4.IPV4_HEADER + udp.OFF_CHECKSUM,
        fold(pseudoSum(ipv4.source(view, o), ipv4.destination(view, o), ipv4.PROTOCOL_UDP, size)))
    }
  }
}
