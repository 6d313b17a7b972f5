/**
 * IPv4 of every router and bridge address: receive, decide, forward (RFC 791, RFC 1812 chapter 5).
 *
 * The order of decisions is Linux's (net/ipv4/ip_input.c, route.c, ip_forward.c), because which of two faults is reported shows:
 * header, addresses, route, options, link broadcast, TTL, size, redirect, next hop. Errors are made by the ICMP element; here
 * every packet that is not passed on is dropped under its reason.
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import {
  DIRECTED_BROADCAST, FORWARDING_DISABLED, IP_CHECKSUM, IP_HEADER_INVALID, IP_OPTIONS_INVALID, IP_TRUNCATED,
  LINK_BROADCAST, MARTIAN_DESTINATION, MARTIAN_SOURCE, MULTICAST_NOT_ROUTED, NO_BUFFER, NO_ROUTE, OK, ROUTE_BLACKHOLE, ROUTE_PROHIBIT,
  ROUTE_UNREACHABLE, RP_FILTER, SOURCE_ROUTE_REFUSED, TTL_EXCEEDED
} from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import * as routes from '../table/routes.js'
import type { Routing } from '../table/routing.js'
import { isSumGood, sumAligned } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ip4 from '../wire/ip4.js'
import * as ipv4 from '../wire/ipv4.js'
import type { IcmpError } from './icmp-error.js'
import type { IpOptions } from './ip-options.js'
import { OPTIONS_REFUSED } from './ip-options.js'
import { ALL_HOSTS, isSpecial } from './ipv4-address-check.js'
import type { Ipv4Output } from './ipv4-output.js'

export interface Ipv4Parts {
  packets: Packets
  interfaces: Interfaces
  routing: Routing
  icmp: IcmpError
  options: IpOptions
  output: Ipv4Output
  /** Takes packets for own addresses and broadcasts. */
  deliver: (p: number, iface: number) => void
  /** Read and change headers by whole words; on when left out. */
  byWords?: boolean
}

export const createIpv4 = ({ packets, interfaces, routing, icmp, options, output, deliver, byWords = true }: Ipv4Parts) => {
  const { start, length, flags, l3, l4, view, i32 } = packets
  const { stack, forwarding, interfaceForwarding, rpFilter, sendRedirects, broadcastForwarding } = interfaces

  /** As checkIpv4, for the aligned header every frame of ours has. */
  const checkWords = (o: number, available: number): number => {
    if (available < ipv4.IPV4_HEADER) return IP_TRUNCATED
    const first = i32[o >> 2]!
    if ((first & 0xff) !== ipv4.NO_OPTIONS) return ipv4.checkIpv4(view, o, available)
    if (!isSumGood(sumAligned(i32, o, ipv4.IPV4_HEADER))) return IP_CHECKSUM
    const total = ((first >>> 8) & 0xff00) | (first >>> 24)
    if (available < total) return IP_TRUNCATED
    return total < ipv4.IPV4_HEADER ? IP_HEADER_INVALID : OK
  }

  /**
   * As decrementTtl: RFC 1624 on the word that holds TTL, protocol and checksum, as little-endian loads see them. A sum of 0xffff becomes 0:
   * no full computation gives 0xffff.
   */
  const decrementWord = (o: number): void => {
    const w = (o + ipv4.OFF_TTL) >> 2
    const word = i32[w]!
    let sum = (((word >>> 24) & 0xff) | ((word >>> 8) & 0xff00)) + 0x100
    if (sum >= 0xffff) sum = (sum + 1) & 0xffff
    i32[w] = ((word & 0xffff) - 1) | ((sum >>> 8) << 16) | ((sum & 0xff) << 24)
  }

  const check = byWords ? checkWords : (o: number, available: number): number => ipv4.checkIpv4(view, o, available)
  const decrementTtl = byWords ? decrementWord : (o: number): void => ipv4.decrementTtl(view, o)

  const fail = (p: number, iface: number, type: number, code: number, rest: number, reason: number): void => {
    icmp.error(p, iface, type, code, rest)
    packets.drop(p, reason)
  }

  /** A route that is no way on, or none at all (ip_error): silent where forwarding is off. */
  const noWay = (p: number, iface: number, type: number): void => {
    const s = stack[iface]!
    if (forwarding[s] === 0 || interfaceForwarding[iface] === 0) packets.drop(p, FORWARDING_DISABLED)
    else if (type === routes.ROUTE_BLACKHOLE) packets.drop(p, ROUTE_BLACKHOLE)
    else if (type === routes.ROUTE_UNREACHABLE) fail(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.HOST_UNREACHABLE, 0, ROUTE_UNREACHABLE)
    else if (type === routes.ROUTE_PROHIBIT) fail(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.ADMIN_PROHIBITED, 0, ROUTE_PROHIBIT)
    else fail(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.NETWORK_UNREACHABLE, 0, NO_ROUTE)
  }

  /**
   * May a packet with this source come by this interface (fib_validate_source)? An own or broadcast address never may; rp_filter
   * asks for a route back. Returns a reason, or OK.
   */
  const checkSource = (s: number, iface: number, source: number): number => {
    const table = routing.of(s)
    const back = table.lookup(source)
    if (back !== 0) {
      const type = table.typeOf(back)
      if (type === routes.ROUTE_LOCAL || type === routes.ROUTE_BROADCAST) return MARTIAN_SOURCE
    }
    if (rpFilter[iface] === 0) return OK
    if (back === 0 || table.typeOf(back) !== routes.ROUTE_UNICAST) return RP_FILTER
    return rpFilter[iface] === 1 && !table.leavesBy(back, iface) ? RP_FILTER : OK
  }

  /** Broadcast and multicast destinations: taken by the local stack or by nobody. */
  const receiveGroup = (p: number, iface: number, destination: number): void => {
    if (!ip4.isMulticast(destination) || destination === ALL_HOSTS) deliver(p, iface)
    else packets.drop(p, MULTICAST_NOT_ROUTED)
  }

  /** A broadcast address of a connected network: for us if it is that of the interface it came by, else forwarded only where allowed. */
  const receiveBroadcast = (p: number, iface: number, info: number): void => {
    const s = stack[iface]!
    const table = routing.of(s)
    if (table.leavesBy(info, iface)) deliver(p, iface)
    else if (broadcastForwarding[iface] === 0 || forwarding[s] === 0 || interfaceForwarding[iface] === 0) packets.drop(p, DIRECTED_BROADCAST)
    else if ((flags[p]! & F_LINK_BROADCAST) !== 0) packets.drop(p, LINK_BROADCAST)
    else if (ipv4.ttl(view, l3[p]!) <= 1) fail(p, iface, icmp4.TIME_EXCEEDED, icmp4.TTL_IN_TRANSIT, 0, TTL_EXCEEDED)
    else if (!packets.makeWritable(p)) packets.drop(p, NO_BUFFER)
    else {
      ipv4.decrementTtl(view, l3[p]!)
      output.broadcast(p, table.interfaceOf(table.select(info, 0)), iface)
    }
  }

  /** Options are looked at after the route is known (ip_rcv_finish); false when the packet was dropped for them. */
  const acceptOptions = (p: number, iface: number): boolean => {
    const verdict = options.check(p)
    if (verdict === 0) return true
    if (verdict === OPTIONS_REFUSED) packets.drop(p, SOURCE_ROUTE_REFUSED)
    else fail(p, iface, icmp4.PARAMETER_PROBLEM, 0, (verdict - 1) << 24, IP_OPTIONS_INVALID)
    return false
  }

  /** An IPv4 packet has come by `iface`; the frame's Ethernet header is still before it. Owns the packet. */
  const receive = (p: number, iface: number): void => {
    const o = start[p]! + ETHERNET_HEADER
    const available = length[p]! - ETHERNET_HEADER
    const reason = check(o, available)
    if (reason !== OK) {
      packets.drop(p, reason)
      return
    }
    const total = ipv4.totalLength(view, o)
    const header = ipv4.headerLength(view, o)
    if (total < available) length[p] = ETHERNET_HEADER + total // what follows is the link's padding
    l3[p] = o
    l4[p] = o + header
    const source = ipv4.source(view, o)
    const destination = ipv4.destination(view, o)
    if (isSpecial(source) || isSpecial(destination)) {
      if (!receiveSpecial(p, iface, source, destination)) return
    }
    const s = stack[iface]!
    const table = routing.of(s)
    const info = table.lookup(destination)
    const type = info === 0 ? 0 : table.typeOf(info)
    if (type === routes.ROUTE_BROADCAST || type === routes.ROUTE_LOCAL) {
      const bad = source === 0 ? OK : checkSource(s, iface, source)
      if (bad !== OK) packets.drop(p, bad)
      else if (header > ipv4.IPV4_HEADER && !acceptOptions(p, iface)) return
      else if (type === routes.ROUTE_BROADCAST) receiveBroadcast(p, iface, info)
      else deliver(p, iface)
      return
    }
    if (type !== routes.ROUTE_UNICAST || forwarding[s] === 0 || interfaceForwarding[iface] === 0) {
      if (header === ipv4.IPV4_HEADER || acceptOptions(p, iface)) noWay(p, iface, type)
      return
    }
    const bad = checkSource(s, iface, source)
    if (bad !== OK) {
      packets.drop(p, bad)
      return
    }
    if (header > ipv4.IPV4_HEADER && !acceptOptions(p, iface)) return
    if ((flags[p]! & F_LINK_BROADCAST) !== 0) {
      packets.drop(p, LINK_BROADCAST)
      return
    }
    const hop = table.select(info, routing.hash(source, destination))
    forward(p, iface, table.interfaceOf(hop), table.gatewayOf(hop, destination), source)
  }

  /** Sources and destinations that are no unicast addresses; false when the packet was dealt with. */
  const receiveSpecial = (p: number, iface: number, source: number, destination: number): boolean => {
    if (ip4.isMulticast(source) || source === ip4.LIMITED_BROADCAST) packets.drop(p, MARTIAN_SOURCE)
    else if (destination === ip4.LIMITED_BROADCAST || (source === 0 && destination === 0)) {
      const bad = source === 0 ? OK : checkSource(stack[iface]!, iface, source)
      if (bad === OK) deliver(p, iface)
      else packets.drop(p, bad)
    } else if (ip4.isMulticast(destination)) {
      if (ip4.isLoopback(source)) packets.drop(p, MARTIAN_SOURCE)
      else receiveGroup(p, iface, destination)
    } else if (source === 0 || ip4.isLoopback(source)) packets.drop(p, MARTIAN_SOURCE)
    else if (destination === 0 || ip4.isLoopback(destination)) packets.drop(p, MARTIAN_DESTINATION)
    else return true // class E and the rest of network 0: Linux routes them
    return false
  }

  const forward = (p: number, iface: number, out: number, gateway: number, source: number): void => {
    const o = l3[p]!
    if (ipv4.ttl(view, o) <= 1) {
      fail(p, iface, icmp4.TIME_EXCEEDED, icmp4.TTL_IN_TRANSIT, 0, TTL_EXCEEDED)
      return
    }
    if (!output.fits(p, out) && (ipv4.flagsFragment(view, o) & ipv4.FLAG_DF) !== 0) {
      output.tooBig(p, iface, out)
      return
    }
    if (!packets.makeWritable(p)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    decrementTtl(l3[p]!)
    if (out === iface && sendRedirects[iface] !== 0) redirect(p, iface, gateway, source)
    if (l4[p]! - l3[p]! > ipv4.IPV4_HEADER) options.update(p, routing.addressOn(out, gateway), iface)
    output.send(p, out, gateway, iface)
  }

  /** It leaves by the interface it came by: a source on that very link is told the better next hop (RFC 1812 5.2.7.2); the packet goes on. */
  const redirect = (p: number, iface: number, gateway: number, source: number): void => {
    const table = routing.of(stack[iface]!)
    const back = table.lookup(source)
    if (back !== 0 && table.typeOf(back) === routes.ROUTE_UNICAST && table.isOnLink(back) && table.leavesBy(back, iface)) icmp.redirect(p, iface, gateway)
  }

  return { receive }
}
