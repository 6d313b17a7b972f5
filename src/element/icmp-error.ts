/**
 * ICMP errors about packets (RFC 792, RFC 1812 4.3.2, net/ipv4/icmp.c __icmp_send): whether one may be sent at all, what it quotes,
 * whose address it comes from, and how often.
 *
 * An error quotes the packet as it stands in the pool; where the kernel has written to its options before it noticed the fault,
 * the quote here has them as they came.
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import type { Interfaces } from '../table/interfaces.js'
import { createRateLimit, type RateLimit } from '../table/rate-limit.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ip4 from '../wire/ip4.js'
import * as ipv4 from '../wire/ipv4.js'
import type { IpOptions } from './ip-options.js'

/** No error is longer, headers included (RFC 1812 4.3.2.3). */
const MAX_ERROR = 576
const DEFAULT_TTL = 64
/** Of the type of service an error keeps the four TOS bits; its precedence is 6, internetwork control (RFC 1812 4.3.2.5). */
const TOS_MASK = 0x1e
const PRECEDENCE_INTERNETWORK_CONTROL = 0xc0
/** Types the kernel knows (NR_ICMP_TYPES). */
const TYPES = 19
/** Types about which errors may be sent: queries and their answers. What is unknown is taken for an error. */
const QUERIES = (1 << icmp4.ECHO_REPLY) | (1 << icmp4.ECHO_REQUEST) | (0x3f << icmp4.TIMESTAMP_REQUEST)

export interface IcmpErrorParts {
  packets: Packets
  interfaces: Interfaces
  clock: { now: number }
  random: () => number
  /** Sends an IPv4 packet of `stack`, complete with header, behind 14 bytes for Ethernet. Owns it. */
  send: (p: number, stack: number) => void
  /** The source address for a destination by its route; 0 when there is no route. */
  sourceFor: (stack: number, destination: number, iface: number) => number
  isLocal: (stack: number, address: number) => boolean
  isBroadcast: (stack: number, iface: number, address: number) => boolean
  options: Pick<IpOptions, 'echo' | 'reply'>
  limiter?: RateLimit
  /** MTU of the route to a destination: an error is no longer than that. Default: no limit but 576. */
  mtuFor?: (stack: number, destination: number) => number
  /** An error about a packet of our own that did not leave: `ping` wants to know. It does not own the packet. */
  ownError?: (p: number, type: number, code: number, rest: number) => void
}

export type IcmpError = ReturnType<typeof createIcmpError>

export const createIcmpError = (parts: IcmpErrorParts) => {
  const { packets, interfaces, clock, random, send, sourceFor, isLocal, isBroadcast, options, mtuFor, ownError } = parts
  const { start, length, flags, l3, l4, view, bytes } = packets
  const { stack, port } = interfaces
  const limiter = parts.limiter ?? createRateLimit({ random, stacks: interfaces.stackCapacity })

  /** Errors sent, by ICMP type. */
  const sent = new Float64Array(TYPES)
  const counters = { noBuffer: 0, noSource: 0 }
  let identification = Math.floor(random() * 0x10000)

  /** Not one host's address (RFC 1122 3.2.2, RFC 1812 4.3.2.7). */
  const isNoHost = (s: number, iface: number, address: number): boolean =>
    address === 0 || ip4.isLoopback(address) || ip4.isMulticast(address) || isBroadcast(s, iface, address)

  /** Is `p` a packet about which errors are sent at all? */
  const deserves = (p: number, s: number, iface: number): boolean => {
    if ((flags[p]! & F_LINK_BROADCAST) !== 0) return false
    const o = l3[p]!
    const destination = ipv4.destination(view, o)
    if (ip4.isMulticast(destination) || isBroadcast(s, iface, destination)) return false
    if (ipv4.fragmentOffset(view, o) !== 0) return false
    if (isNoHost(s, iface, ipv4.source(view, o))) return false
    if (ipv4.protocol(view, o) !== ipv4.PROTOCOL_ICMP) return true
    if (l4[p]! >= start[p]! + length[p]!) return false
    const about = icmp4.type(view, l4[p]!)
    return about < TYPES && ((1 << about) & QUERIES) !== 0
  }

  /**
   * Sends an ICMP error about `p`, which came by `iface` (-1: our own), to its source, where one may be sent and the rate limits let it.
   * `rest` is the second word of the ICMP header (an MTU, a gateway, a pointer in its first byte). Does not own `p`.
   */
  const error = (p: number, iface: number, type: number, code: number, rest: number): void => {
    if (iface < 0) {
      ownError?.(p, type, code, rest)
      return
    }
    const s = stack[iface]!
    if (!deserves(p, s, iface) || !packets.linearize(p)) return
    const o = l3[p]!
    const offender = ipv4.source(view, o)
    const destination = ipv4.destination(view, o)
    const source = isLocal(s, destination) ? destination : sourceFor(s, offender, iface)
    if (source === 0) {
      counters.noSource++
      return
    }
    if (!limiter.allow(s, offender, type, code, clock.now)) return
    const optionBytes = options.echo(p, iface, source)
    if (optionBytes < 0) return
    const mtu = mtuFor === undefined ? MAX_ERROR : Math.min(mtuFor(s, offender), MAX_ERROR)
    const header = ipv4.IPV4_HEADER + optionBytes
    const room = mtu - header - icmp4.ICMP_HEADER
    if (room <= ipv4.IPV4_HEADER) return
    const quoted = Math.min(room, start[p]! + length[p]! - o)
    const total = header + icmp4.ICMP_HEADER + quoted
    const e = packets.originate(ETHERNET_HEADER + total, port[iface]!)
    if (e < 0) {
      counters.noBuffer++
      return
    }
    const at = start[e]! + ETHERNET_HEADER
    const message = at + header
    l3[e] = at
    l4[e] = message
    bytes.copyWithin(message + icmp4.ICMP_HEADER, o, o + quoted)
    icmp4.writeIcmp4(view, message, icmp4.ICMP_HEADER + quoted, type, code, rest)
    identification = (identification + 1) & 0xffff
    const tos = (ipv4.tos(view, o) & TOS_MASK) | PRECEDENCE_INTERNETWORK_CONTROL
    ipv4.writeIpv4(view, at, tos, total, identification, 0, DEFAULT_TTL, ipv4.PROTOCOL_ICMP, source, offender)
    if (optionBytes > 0) ipv4.writeOptions(view, at, options.reply, optionBytes)
    sent[type]!++
    send(e, s)
  }

  /**
   * Tells the source of `p` that `gateway` is the better next hop (RFC 792, host redirect), less and less often while it does not
   * listen. Does not own `p`.
   */
  const redirect = (p: number, iface: number, gateway: number): void => {
    if (!limiter.allowRedirect(stack[iface]!, ipv4.source(view, l3[p]!), clock.now)) return
    error(p, iface, icmp4.REDIRECT, icmp4.REDIRECT_HOST, gateway)
  }

  return { error, redirect, sent, counters, limiter }
}
