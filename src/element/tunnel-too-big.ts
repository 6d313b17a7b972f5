/**
 * What becomes of a frame that does not fit a tunnel's MTU, or that of the path to its peer. A bridge has no address to send errors from, so
 * the tunnel answers in the name of the destination, as the kernel does for a tunnel that is a bridge port (skb_tunnel_check_pmtu() and
 * iptunnel_pmtud_build_icmp() of net/ipv4/ip_tunnel_core.c): fragmentation needed (RFC 1191) about an IPv4 packet with DF, packet too big
 * (RFC 8201) about an IPv6 packet. The answer goes to the frame's source MAC address from its destination's, has the packet's own TTL,
 * and comes into the bridge as if by the tunnel.
 *
 * Beyond the kernel: tagged frames are answered too, with their tags; there is no answer about a frame to a group MAC address (nobody
 * takes a frame from one), about a broken IPv4 header, to an IPv6 source that is no station, or about an ICMPv6 error of unknown type
 * (RFC 4443 2.4 (e)); and there is a limit on how many there are.
 */
import type { Packets } from '../core/packets.js'
import { FRAGMENTATION_NEEDED, MTU_EXCEEDED, OK } from '../reason.js'
import { createRateLimit, type RateLimit } from '../table/rate-limit.js'
import { checksum } from '../wire/checksum.js'
import {
  ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, OFF_DESTINATION, OFF_ETHERTYPE, OFF_SOURCE, VLAN_TAG
} from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import { LIMITED_BROADCAST, isLoopback, isMulticast } from '../wire/ip4.js'
import * as ipv4 from '../wire/ipv4.js'
import { isGroup, macHi, macLo, setMac } from '../wire/mac.js'

/** No IPv4 error is longer (RFC 1812 4.3.2.3), nor is one sent that tells less: every host takes that much (RFC 791 3.2). */
const MAX_ERROR_4 = 576
/** The least MTU of an IPv6 link: no ICMPv6 error is longer (RFC 4443 2.4 (c)), none tells less (RFC 8200 section 5). */
const MAX_ERROR_6 = 1280
const MAX_TAGS = 2
/** Bytes of a frame that lie together in any case: its headers. */
const LEAST_QUOTED = ETHERNET_HEADER + MAX_TAGS * VLAN_TAG + 48

// IPv6 header (RFC 8200 section 3), offsets from its first byte
const IPV6_HEADER = 40
const OFF_PAYLOAD_LENGTH = 4
const OFF_NEXT_HEADER = 6
const OFF_HOP_LIMIT = 7
const OFF_SOURCE_6 = 8
const OFF_DESTINATION_6 = 24
const ADDRESS_6 = 16

// Next headers
const HOP_BY_HOP = 0
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const ICMPV6 = 58
const NO_NEXT_HEADER = 59
const DESTINATION_OPTIONS = 60
/** Of a fragment header's second word. */
const FRAGMENT_OFFSET = 0xfff8

// ICMPv6 (RFC 4443)
const PACKET_TOO_BIG = 2
/** Types below are errors (RFC 4443 2.1). */
const FIRST_INFORMATIONAL = 128
/** Of neighbour discovery, and an error by its nature (RFC 4861 4.5). */
const REDIRECT_6 = 137

/** Milliseconds between answers to one address when it has used up its first six, and all answers of one tunnel in a second and at once. */
const LIMITS = { ratelimit: 10, messagesPerSecond: 1000, messagesBurst: 50 }

export interface TooBigParts {
  packets: Packets
  /** Port of each tunnel row, for the counters of answers. */
  tunnels: { port: Int32Array }
  clock: { now: number }
  random: () => number
  /** Takes a frame as if it came from the tunnel. Owns it. */
  inject: (p: number, tunnel: number) => void
  limiter?: RateLimit
}

export type TooBig = ReturnType<typeof createTooBig>

export const createTooBig = (parts: TooBigParts) => {
  const { packets, tunnels, clock, random, inject } = parts
  const { start, length, gsoType, gsoSize, headerLength, l3, l4, view, bytes } = packets
  const limiter = parts.limiter ?? createRateLimit({ random, stacks: tunnels.port.length, ...LIMITS })
  const counters = { answered4: 0, answered6: 0, limited: 0, noBuffer: 0 }

  /** May this sender have another one? Asked as about any unreachable destination: fragmentation needed itself is never limited there. */
  const allow = (tunnel: number, sender: number): boolean => {
    if (limiter.allow(tunnel, sender, icmp4.DESTINATION_UNREACHABLE, icmp4.NETWORK_UNREACHABLE, clock.now)) return true
    counters.limited++
    return false
  }

  /** Bytes at `o` of the packet that may be quoted: of a super-frame no further than the first segment, as what follows may lie elsewhere. */
  const quotable = (p: number, o: number): number => {
    const whole = length[p]!
    const size = gsoType[p] === 0 ? whole : Math.min(whole, Math.max(headerLength[p]! + gsoSize[p]!, LEAST_QUOTED))
    return start[p]! + size - o
  }

  /** A frame with the header of `p` up to `o`, its MAC addresses swapped, and room for `size` bytes behind; -1 when the pool is empty. */
  const turned = (p: number, o: number, size: number, tunnel: number): number => {
    const from = start[p]!
    const head = o - from
    const e = packets.originate(head + size, tunnels.port[tunnel]!)
    if (e < 0) {
      counters.noBuffer++
      return -1
    }
    const at = start[e]!
    setMac(view, at + OFF_DESTINATION, macHi(view, from + OFF_SOURCE), macLo(view, from + OFF_SOURCE))
    setMac(view, at + OFF_SOURCE, macHi(view, from + OFF_DESTINATION), macLo(view, from + OFF_DESTINATION))
    bytes.copyWithin(at + OFF_ETHERTYPE, from + OFF_ETHERTYPE, o)
    l3[e] = at + head
    return e
  }

  /** Is it an IPv4 packet whose sender is told? `size` bytes are at `o`. */
  const deserves4 = (o: number, size: number): boolean => {
    if (ipv4.checkIpv4(view, o, size) !== OK || ipv4.flagsFragment(view, o) !== ipv4.FLAG_DF) return false
    const source = ipv4.source(view, o)
    const destination = ipv4.destination(view, o)
    if (destination === LIMITED_BROADCAST || isMulticast(destination)) return false
    if (source === 0 || isLoopback(source) || source === LIMITED_BROADCAST || isMulticast(source)) return false
    if (ipv4.protocol(view, o) !== ipv4.PROTOCOL_ICMP) return true
    const header = ipv4.headerLength(view, o)
    return size > header && !icmp4.isError(icmp4.type(view, o + header))
  }

  const answer4 = (p: number, o: number, tunnel: number, mtu: number): boolean => {
    if (mtu < MAX_ERROR_4 || !deserves4(o, start[p]! + length[p]! - o) || !allow(tunnel, ipv4.source(view, o))) return false
    const head = ipv4.IPV4_HEADER + icmp4.ICMP_HEADER
    const quoted = Math.min(MAX_ERROR_4 - head, quotable(p, o))
    const e = turned(p, o, head + quoted, tunnel)
    if (e < 0) return false
    const at = l3[e]!
    const message = at + ipv4.IPV4_HEADER
    l4[e] = message
    bytes.copyWithin(message + icmp4.ICMP_HEADER, o, o + quoted)
    icmp4.writeIcmp4(view, message, icmp4.ICMP_HEADER + quoted, icmp4.DESTINATION_UNREACHABLE, icmp4.FRAGMENTATION_NEEDED_CODE, Math.min(mtu, 0xffff))
    ipv4.writeIpv4(
      view, at, 0, head + quoted, 0, ipv4.FLAG_DF, ipv4.ttl(view, o), ipv4.PROTOCOL_ICMP, ipv4.destination(view, o), ipv4.source(view, o))
    counters.answered4++
    inject(e, tunnel)
    return true
  }

  /** `::` or `::1`, at `o`. */
  const isAnyOrLoopback = (o: number): boolean =>
    (view.getInt32(o) | view.getInt32(o + 4) | view.getInt32(o + 8)) === 0 && view.getUint32(o + 12) <= 1

  const isMulticast6 = (o: number): boolean => view.getUint8(o) === 0xff

  /**
   * Are the headers from `o` to `end` whole, and behind them something that may have an error: no ICMPv6 error, as far as can be seen?
   * What a later fragment is part of cannot; the kernel answers it.
   */
  const isNoError = (o: number, end: number): boolean => {
    let next = view.getUint8(o + OFF_NEXT_HEADER)
    let at = o + IPV6_HEADER
    while (next === HOP_BY_HOP || next === ROUTING || next === DESTINATION_OPTIONS || next === FRAGMENT || next === AUTHENTICATION) {
      if (at + 8 > end) return false
      if (next === FRAGMENT && (view.getUint16(at + 2) & FRAGMENT_OFFSET) !== 0) return true
      const words = view.getUint8(at + 1)
      const size = next === FRAGMENT ? 8 : next === AUTHENTICATION ? (words + 2) << 2 : (words + 1) << 3
      next = view.getUint8(at)
      at += size
    }
    if (next !== ICMPV6) return at <= end && next !== NO_NEXT_HEADER
    if (at >= end) return false
    const type = view.getUint8(at)
    return type >= FIRST_INFORMATIONAL && type !== REDIRECT_6
  }

  /** Is it an IPv6 packet whose sender is told? `end` is where its bytes end. */
  const deserves6 = (o: number, end: number): boolean =>
    o + IPV6_HEADER <= end && view.getUint8(o) >>> 4 === 6 &&
    !isAnyOrLoopback(o + OFF_SOURCE_6) && !isMulticast6(o + OFF_SOURCE_6) && !isMulticast6(o + OFF_DESTINATION_6) && isNoError(o, end)

  /** One number for an IPv6 address, for the rate limit. */
  const digest = (o: number): number =>
    view.getInt32(o) ^ Math.imul(view.getInt32(o + 4), 0x9e3779b1) ^ Math.imul(view.getInt32(o + 8), 0x85ebca6b) ^ view.getInt32(o + 12)

  const answer6 = (p: number, o: number, tunnel: number, mtu: number): boolean => {
    if (mtu < MAX_ERROR_6 || !deserves6(o, start[p]! + length[p]!) || !allow(tunnel, digest(o + OFF_SOURCE_6))) return false
    const head = IPV6_HEADER + icmp4.ICMP_HEADER
    const quoted = Math.min(MAX_ERROR_6 - head, quotable(p, o))
    const e = turned(p, o, head + quoted, tunnel)
    if (e < 0) return false
    const at = l3[e]!
    const message = at + IPV6_HEADER
    const size = icmp4.ICMP_HEADER + quoted
    l4[e] = message
    view.setInt32(at, 0x60000000)
    view.setUint16(at + OFF_PAYLOAD_LENGTH, size)
    view.setUint8(at + OFF_NEXT_HEADER, ICMPV6)
    view.setUint8(at + OFF_HOP_LIMIT, view.getUint8(o + OFF_HOP_LIMIT))
    bytes.copyWithin(at + OFF_SOURCE_6, o + OFF_DESTINATION_6, o + OFF_DESTINATION_6 + ADDRESS_6)
    bytes.copyWithin(at + OFF_DESTINATION_6, o + OFF_SOURCE_6, o + OFF_SOURCE_6 + ADDRESS_6)
    bytes.copyWithin(message + icmp4.ICMP_HEADER, o, o + quoted)
    view.setUint16(message, PACKET_TOO_BIG << 8)
    view.setUint16(message + icmp4.OFF_CHECKSUM, 0)
    view.setInt32(message + icmp4.OFF_REST, mtu)
    // With the pseudo-header: both addresses stand right before the message (RFC 8200 8.1)
    view.setUint16(message + icmp4.OFF_CHECKSUM, checksum(view, at + OFF_SOURCE_6, 2 * ADDRESS_6 + size, size + ICMPV6))
    counters.answered6++
    inject(e, tunnel)
    return true
  }

  /** Offset of the packet behind an Ethernet header and up to two VLAN tags; behind the frame's end when it is too short for them. */
  const payloadOf = (p: number): number => {
    let o = start[p]! + ETHERNET_HEADER
    for (let tags = 0; tags < MAX_TAGS && o <= start[p]! + length[p]!; tags++) {
      const type = view.getUint16(o - 2)
      if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) break
      o += VLAN_TAG
    }
    return o
  }

  /**
   * Tells the sender of a frame what fits: `mtu` is the most bytes of an IP packet (behind the Ethernet header and the tags). False when
   * nobody is told: not IP, no DF, an error itself, a limit. Does not own `p` and does not write to it. The kernel sends what it tells
   * nobody about into the tunnel all the same, for the underlay to fragment the outer packets if it may.
   */
  const answer = (p: number, tunnel: number, mtu: number): boolean => {
    const o = payloadOf(p)
    if (o > start[p]! + length[p]! || isGroup(macHi(view, start[p]!)) || isGroup(macHi(view, start[p]! + OFF_SOURCE))) return false
    const type = view.getUint16(o - 2)
    if (type === ETHERTYPE_IPV4) return answer4(p, o, tunnel, mtu)
    return type === ETHERTYPE_IPV6 && answer6(p, o, tunnel, mtu)
  }

  /**
   * Ends a frame that does not fit, as fragmentation-needed when its sender was told and as mtu-exceeded when not. `mtu` as for `answer`.
   * Owns the packet.
   */
  const tooBig = (p: number, tunnel: number, mtu: number): void => packets.drop(p, answer(p, tunnel, mtu) ? FRAGMENTATION_NEEDED : MTU_EXCEEDED)

  return { tooBig, answer, counters, limiter }
}
