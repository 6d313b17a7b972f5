/**
 * The way out of IPv4: a packet whose next hop is known is fitted to the link's MTU and given to the neighbour element; a packet
 * of our own gets its route here first (net/ipv4/ip_output.c).
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import { FRAGMENTATION_NEEDED, NO_ROUTE, PORT_DOWN } from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import * as routes from '../table/routes.js'
import type { Routing } from '../table/routing.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ipv4 from '../wire/ipv4.js'
import { BROADCAST_HI, BROADCAST_LO } from '../wire/mac.js'

export interface Ipv4OutputParts {
  packets: Packets
  interfaces: Interfaces
  routing: Routing
  /** Owns the packet: resolves the next hop, writes the Ethernet header, sends. */
  neighborOutput: (p: number, iface: number, nextHop: number) => void
  toBridge: (p: number, port: number) => void
  /** Cuts a packet into pieces of at most `mtu` bytes, each given to `sendPiece` with `a` and `b`. */
  fragment: (p: number, mtu: number, a: number, b: number) => void
  /** Cuts a super-frame; every segment is given to `sendSegment` with `a`. */
  segment: (p: number, a: number) => void
  icmpError: (p: number, iface: number, type: number, code: number, rest: number) => void
  /** A packet of our own to one of our own addresses. */
  deliver: (p: number, iface: number) => void
}

export type Ipv4Output = ReturnType<typeof createIpv4Output>

export const createIpv4Output = (parts: Ipv4OutputParts) => {
  const { packets, interfaces, routing, neighborOutput, toBridge, fragment, segment, icmpError, deliver } = parts
  const { start, length, flags, gsoType, gsoSize, headerLength, l3, view } = packets
  const { mtu, up, port, macHi, macLo } = interfaces

  /** Does it fit the MTU of `out`, a super-frame when cut into its segments? */
  const fits = (p: number, out: number): boolean =>
    (gsoType[p] === 0 ? length[p]! : headerLength[p]! + gsoSize[p]!) - ETHERNET_HEADER <= mtu[out]! || packets.recut(p, mtu[out]! + ETHERNET_HEADER)

  /** Drops a packet with DF that does not fit, telling its sender the MTU (RFC 1191 section 4). */
  const tooBig = (p: number, iface: number, out: number): void => {
    icmpError(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.FRAGMENTATION_NEEDED_CODE, mtu[out]!)
    packets.drop(p, FRAGMENTATION_NEEDED)
  }

  /** Sends to `gateway` by `out`; `iface` is where it came from, -1 for our own. Fragments what may be fragmented. */
  const send = (p: number, out: number, gateway: number, iface: number): void => {
    if (up[out] === 0) packets.drop(p, PORT_DOWN)
    else if (fits(p, out)) neighborOutput(p, out, gateway)
    else if ((ipv4.flagsFragment(view, l3[p]!) & ipv4.FLAG_DF) !== 0) tooBig(p, iface, out)
    else if (gsoType[p] !== 0) {
      segmentOut = out
      segmentIface = iface
      segment(p, gateway)
    } else fragment(p, mtu[out]!, out, gateway)
  }
  // What a segment needs besides its gateway; set right before the call that emits the segments.
  let segmentOut = 0
  let segmentIface = 0

  /** A segment of a super-frame too big for the link: it is fragmented in its turn. */
  const sendSegment = (p: number, gateway: number): void => {
    l3[p] = start[p]! + ETHERNET_HEADER
    packets.l4[p] = l3[p]! + ipv4.headerLength(view, l3[p]!)
    send(p, segmentOut, gateway, segmentIface)
  }

  /** A fragment, cut to fit. */
  const sendPiece = (p: number, out: number, gateway: number): void => {
    if (gateway === BROADCAST_GATEWAY) writeBroadcast(p, out)
    else neighborOutput(p, out, gateway)
  }

  const writeBroadcast = (p: number, out: number): void => {
    writeEthernet(view, start[p]!, BROADCAST_HI, BROADCAST_LO, macHi[out]!, macLo[out]!, ETHERTYPE_IPV4)
    flags[p] = flags[p]! | F_LINK_BROADCAST
    toBridge(p, port[out]!)
  }

  /** Sends to everybody on the link of `out`. */
  const broadcast = (p: number, out: number, iface: number): void => {
    if (up[out] === 0) packets.drop(p, PORT_DOWN)
    else if (fits(p, out)) writeBroadcast(p, out)
    else if ((ipv4.flagsFragment(view, l3[p]!) & ipv4.FLAG_DF) !== 0) tooBig(p, iface, out)
    else fragment(p, mtu[out]!, out, BROADCAST_GATEWAY)
  }

  /** Sends a packet of stack `s` itself, its header complete, by the route to its destination. Owns it. */
  const originate = (p: number, s: number): void => {
    const destination = ipv4.destination(view, l3[p]!)
    const table = routing.of(s)
    const info = table.lookup(destination)
    const type = info === 0 ? 0 : table.typeOf(info)
    if (type === routes.ROUTE_LOCAL) deliver(p, table.interfaceOf(table.select(info, 0)))
    else if (type === routes.ROUTE_BROADCAST) broadcast(p, table.interfaceOf(table.select(info, 0)), -1)
    else if (type !== routes.ROUTE_UNICAST) {
      icmpError(p, -1, icmp4.DESTINATION_UNREACHABLE, icmp4.NETWORK_UNREACHABLE, 0)
      packets.drop(p, NO_ROUTE)
    } else {
      const hop = table.select(info, routing.hash(ipv4.source(view, l3[p]!), destination))
      send(p, table.interfaceOf(hop), table.gatewayOf(hop, destination), -1)
    }
  }

  return { fits, tooBig, send, sendSegment, sendPiece, broadcast, originate }
}

/** Stands for the next hop of a broadcast; 255.255.255.255 is no neighbour's address. */
const BROADCAST_GATEWAY = -1

