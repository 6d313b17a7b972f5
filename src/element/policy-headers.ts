/**
 * What policies look at in an IPv4 packet: addresses, protocol, ports, whether it opens, answers or reports. Headers are checked before they
 * are read; checksums are left to the ends. Values are as an aligned little-endian load sees them (table/flows.ts) where nothing else is said.
 */
import type { Packets } from '../core/packets.js'
import { ICMP_MALFORMED, IP_HEADER_INVALID, IP_TRUNCATED, TCP_MALFORMED, UDP_MALFORMED } from '../reason.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import { UDP_HEADER } from '../wire/udp.js'

/** Of the header's second word: more fragments, fragment offset. */
export const FRAGMENT_LE = 0xff3f0000 | 0
export const MF_LE = 0x00200000

/** Kinds of packets. */
export const KIND_OTHER = 0 // a protocol that no policy knows
export const KIND_PORTS = 1 // TCP, UDP
export const KIND_QUERY = 2 // an ICMP request
export const KIND_ANSWER = 3 // the answer to one
export const KIND_ERROR = 4 // an ICMP error
export const KIND_NOTICE = 5 // other ICMP
export const KIND_LATER = 6 // a fragment that is not the first of its datagram

/** Requests with answers: echo, timestamp (RFC 792), information (RFC 792), address mask (RFC 950). */
const REQUESTS = (1 << icmp4.ECHO_REQUEST) | (1 << icmp4.TIMESTAMP_REQUEST) | (1 << 15) | (1 << 17)
/** The answers have the number behind, but echo. */
const ANSWERS = (1 << icmp4.ECHO_REPLY) | (1 << icmp4.TIMESTAMP_REPLY) | (1 << 16) | (1 << 18)

/** Cells of what `look` has found. */
export const L4 = 0 // arena offset of the transport header
export const PROTOCOL = 1
export const SOURCE = 2
export const DESTINATION = 3
/** TCP, UDP: ports. ICMP queries and answers: identifier, and the type of the request << 16. */
export const PORTS = 4
export const TCP_FLAGS = 5
/** Destination port in host order; 0 for ICMP and others. */
export const TO_PORT = 6
/** 1: the first fragment of several. */
export const FIRST = 7
/** Offset in its datagram, in units of 8 bytes, of KIND_LATER. */
export const OFFSET = 8
/** Identification | protocol << 16. */
export const IDENTITY = 9
/** Arena offset behind the last byte that may be read. */
export const END = 10
const CELLS = 11

/** Is the IPv4 address (as loaded) one of a group: multicast, or 255.255.255.255? */
export const isGroupAddress = (address: number): boolean => (address & 0xf0) === 0xe0 || address === -1

/** Type of request that an ICMP answer answers, or the type itself if it is a request; -1 for others. */
const requestOf = (type: number): number => {
  if (type > 18) return -1
  if (((REQUESTS >>> type) & 1) !== 0) return type
  return ((ANSWERS >>> type) & 1) === 0 ? -1 : type === icmp4.ECHO_REPLY ? icmp4.ECHO_REQUEST : type - 1
}

export const createPolicyHeaders = (packets: Packets) => {
  const { start, length, stride, headerLength, i32, u16, bytes, view } = packets
  const f = new Int32Array(CELLS)
  const quoted = new Int32Array(CELLS)

  /** Reads an ICMP query or answer at `o` into PORTS of `into`; which of the two it is, or that it is neither. */
  const lookIcmp = (o: number, into: Int32Array): number => {
    const type = bytes[o]!
    const request = requestOf(type)
    if (request < 0) return icmp4.isError(type) ? KIND_ERROR : KIND_NOTICE
    into[PORTS] = u16[(o + icmp4.OFF_IDENTIFIER) >> 1]! | (request << 16)
    return request === type ? KIND_QUERY : KIND_ANSWER
  }

  /**
   * Looks at an untagged IPv4 frame of at least an Ethernet header, and fills `f`. A KIND_, or the reason why it cannot be read as
   * `-1 - reason`.
   */
  const look = (p: number): number => {
    const o = start[p]! + ETHERNET_HEADER
    const size = length[p]! - ETHERNET_HEADER
    if (size < ipv4.IPV4_HEADER) return -1 - IP_TRUNCATED
    const header = ipv4.headerLength(view, o)
    const total = ipv4.totalLength(view, o)
    if (bytes[o]! >>> 4 !== 4 || header < ipv4.IPV4_HEADER || total < header) return -1 - IP_HEADER_INVALID
    if (size < total) return -1 - IP_TRUNCATED
    const w = o >> 2
    const protocol = bytes[o + ipv4.OFF_PROTOCOL]!
    const l4 = o + header
    // Of a super-frame in pieces only the headers lie together
    const end = stride[p] === 0 ? o + total : start[p]! + headerLength[p]!
    f[L4] = l4
    f[PROTOCOL] = protocol
    f[SOURCE] = i32[w + 3]!
    f[DESTINATION] = i32[w + 4]!
    f[PORTS] = 0
    f[TCP_FLAGS] = 0
    f[TO_PORT] = 0
    f[END] = end
    const fragment = ipv4.flagsFragment(view, o)
    f[IDENTITY] = ipv4.identification(view, o) | (protocol << 16)
    f[OFFSET] = fragment & ipv4.FRAGMENT_MASK
    f[FIRST] = (fragment & (ipv4.FLAG_MF | ipv4.FRAGMENT_MASK)) === ipv4.FLAG_MF ? 1 : 0
    if (f[OFFSET] !== 0) return KIND_LATER
    if (protocol === ipv4.PROTOCOL_TCP) {
      if (end - l4 < tcp.TCP_HEADER) return -1 - TCP_MALFORMED
      f[TCP_FLAGS] = bytes[l4 + tcp.OFF_FLAGS]!
    } else if (protocol === ipv4.PROTOCOL_UDP) {
      if (end - l4 < UDP_HEADER) return -1 - UDP_MALFORMED
    } else if (protocol === ipv4.PROTOCOL_ICMP) return end - l4 < icmp4.ICMP_HEADER ? -1 - ICMP_MALFORMED : lookIcmp(l4, f)
    else return KIND_OTHER
    f[PORTS] = i32[l4 >> 2]!
    f[TO_PORT] = tcp.destinationPort(view, l4)
    return KIND_PORTS
  }

  /**
   * Looks at the packet that the ICMP error of the last `look` quotes, and fills `quoted` with its SOURCE, DESTINATION, PROTOCOL and
   * PORTS. Its KIND_; KIND_OTHER when it cannot be told.
   */
  const lookQuoted = (): number => {
    const q = f[L4]! + icmp4.ICMP_HEADER
    const header = ipv4.headerLength(view, q)
    const l4 = q + header
    // Eight bytes of its data are quoted at least (RFC 792). What lies behind the end is not its, but can be read
    if (bytes[q]! >>> 4 !== 4 || header < ipv4.IPV4_HEADER || l4 + 8 > f[END]!) return KIND_OTHER
    if ((ipv4.flagsFragment(view, q) & ipv4.FRAGMENT_MASK) !== 0) return KIND_OTHER
    const protocol = bytes[q + ipv4.OFF_PROTOCOL]!
    quoted[PROTOCOL] = protocol
    quoted[SOURCE] = i32[(q >> 2) + 3]!
    quoted[DESTINATION] = i32[(q >> 2) + 4]!
    if (protocol === ipv4.PROTOCOL_ICMP) return lookIcmp(l4, quoted)
    if (protocol !== ipv4.PROTOCOL_TCP && protocol !== ipv4.PROTOCOL_UDP) return KIND_OTHER
    quoted[PORTS] = i32[l4 >> 2]!
    return KIND_PORTS
  }

  return { f, quoted, look, lookQuoted }
}

export type PolicyHeaders = ReturnType<typeof createPolicyHeaders>
