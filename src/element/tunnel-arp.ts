/**
 * ARP at the mouth of a VXLAN port: answers in place of the stations behind it, from the tunnel's neighbours. An answer is a frame that comes
 * into the bridge as if by the tunnel, so that the bridge learns the station there.
 *
 * `proxy` is the kernel's arp_reduce() (drivers/net/vxlan/vxlan_core.c): no ARP packet gets into the tunnel, answered or not.
 *
 * `suppress` is the softer neigh_suppress of the bridge (net/bridge/br_arp_nd_proxy.c, br_do_proxy_suppress_arp()): what is known is
 * answered, the rest floods on. As there, any entry with a usable MAC address will do, also a stale one, unicast requests go on, and a
 * request for an address of the bridge itself or for a station that is known on this side stays out of the tunnel, as whom it is for hears
 * it anyway. Besides that the neighbours are the tunnel's and not the bridge's, two things differ. Announcements and probes (RFC 5227: the
 * sender is the target, or 0) go on into the tunnel: the kernel keeps them out because a control plane tells the other side, and here there
 * may be none. And a station that the bridge has not heard of yet is answered for: the kernel wants it in the forwarding table, which a
 * static entry here should not need.
 */
import type { Packets } from '../core/packets.js'
import { ARP_MALFORMED, NO_BUFFER, OK, TUNNEL_ARP_NO_REQUEST, TUNNEL_ARP_SUPPRESSED, TUNNEL_ARP_UNANSWERED } from '../reason.js'
import { NUD_CONNECTED, NUD_VALID } from '../table/neighbors.js'
import type { TunnelNeighbors } from '../table/tunnel-neighbors.js'
import * as arp from '../wire/arp.js'
import { ETHERNET_HEADER, ETHERTYPE_ARP, OFF_DESTINATION, etherType, writeEthernet } from '../wire/ethernet.js'
import { isLoopback, isMulticast } from '../wire/ip4.js'
import { isGroup, macHi } from '../wire/mac.js'
import { ARP_FRAME } from './arp-send.js'

export interface TunnelArpParts {
  packets: Packets
  neighbors: Pick<TunnelNeighbors, 'find' | 'state' | 'macHi' | 'macLo'>
  /** Port of each tunnel row, for the counters of answers. */
  tunnels: { port: Int32Array }
  clock: { now: number }
  /** Does the tunnel's own table say that a MAC address is on this side (an entry whose remote is 0.0.0.0)? */
  isBridgeLocal: (tunnel: number, hi: number, lo: number) => boolean
  /** Does the bridge have a MAC address at another port than the tunnel's? Default: nobody knows. */
  isElsewhere?: (tunnel: number, hi: number, lo: number) => boolean
  /** Is it an address of the tunnel's bridge, or of a router at it? Default: no. */
  isOwn?: (tunnel: number, address: number) => boolean
  /** Takes a frame as if it came from the tunnel. Owns it. */
  answer: (p: number, tunnel: number) => void
  /** Nothing at all is known about an address (l3miss). */
  miss: (tunnel: number, address: number) => void
}

export type TunnelArp = ReturnType<typeof createTunnelArp>

export const createTunnelArp = (parts: TunnelArpParts) => {
  const { packets, neighbors, tunnels, clock, isBridgeLocal, isElsewhere, isOwn, answer, miss } = parts
  const { start, length, view } = packets

  const counters = {
    /** Requests answered by `proxy`, and by `suppress`. */
    proxied: 0, suppressed: 0,
    /** Requests for which there was no entry at all, by `proxy`. */
    missed: 0
  }

  /** The target of a request can be no station: nobody answers for it. */
  const isNoStation = (target: number): boolean => isLoopback(target) || isMulticast(target)

  /**
   * Sends the reply to the request whose ARP packet is at `o`: to the sender that the packet names, whatever its Ethernet source, from
   * the MAC address of row `n`. False when the pool is empty.
   */
  const reply = (o: number, n: number, tunnel: number): boolean => {
    const p = packets.originate(ARP_FRAME, tunnels.port[tunnel]!)
    if (p < 0) return false
    const at = start[p]!
    const hi = neighbors.macHi[n]!
    const lo = neighbors.macLo[n]!
    const toHi = arp.senderMacHi(view, o)
    const toLo = arp.senderMacLo(view, o)
    writeEthernet(view, at, toHi, toLo, hi, lo, ETHERTYPE_ARP)
    arp.writeArp(view, at + ETHERNET_HEADER, arp.ARP_REPLY, hi, lo, arp.targetIp(view, o), toHi, toLo, arp.senderIp(view, o))
    answer(p, tunnel)
    return true
  }

  /**
   * An untagged ARP frame would leave by a tunnel with proxy. Owns the packet and ends it; does not write to it. In the order of the kernel:
   * a well-formed request for a unicast address whose neighbour is connected and not bridge-local is answered.
   */
  const proxy = (p: number, tunnel: number): void => {
    const o = start[p]! + ETHERNET_HEADER
    if (arp.checkArp(view, o, length[p]! - ETHERNET_HEADER) !== OK) {
      packets.drop(p, ARP_MALFORMED)
      return
    }
    const target = arp.targetIp(view, o)
    if (arp.operation(view, o) !== arp.ARP_REQUEST || isNoStation(target)) {
      packets.drop(p, TUNNEL_ARP_NO_REQUEST)
      return
    }
    const n = neighbors.find(tunnel, target, clock.now)
    if (n < 0) {
      counters.missed++
      packets.drop(p, TUNNEL_ARP_UNANSWERED)
      miss(tunnel, target)
    } else if ((neighbors.state[n]! & NUD_CONNECTED) === 0 || isBridgeLocal(tunnel, neighbors.macHi[n]!, neighbors.macLo[n]!)) {
      packets.drop(p, TUNNEL_ARP_UNANSWERED)
    } else if (reply(o, n, tunnel)) {
      counters.proxied++
      packets.delivered(p)
    } else packets.drop(p, NO_BUFFER)
  }

  /**
   * A frame would leave by a tunnel with neigh_suppress. True: it was an ARP request that need not, and has ended. False: it is still the
   * caller's, who sends it on. Does not write to it.
   */
  const suppress = (p: number, tunnel: number): boolean => {
    const at = start[p]!
    // A unicast request asks whether that very station is still there
    if (length[p]! < ARP_FRAME || etherType(view, at) !== ETHERTYPE_ARP || !isGroup(macHi(view, at + OFF_DESTINATION))) return false
    const o = at + ETHERNET_HEADER
    if (arp.checkArp(view, o, length[p]! - ETHERNET_HEADER) !== OK || arp.operation(view, o) !== arp.ARP_REQUEST) return false
    const target = arp.targetIp(view, o)
    const sender = arp.senderIp(view, o)
    if (isNoStation(target) || sender === 0 || sender === target) return false
    if (isOwn !== undefined && isOwn(tunnel, target)) {
      packets.drop(p, TUNNEL_ARP_SUPPRESSED)
      return true
    }
    const n = neighbors.find(tunnel, target, clock.now)
    if (n < 0 || (neighbors.state[n]! & NUD_VALID) === 0) return false
    const hi = neighbors.macHi[n]!
    const lo = neighbors.macLo[n]!
    if (isBridgeLocal(tunnel, hi, lo) || (isElsewhere !== undefined && isElsewhere(tunnel, hi, lo))) {
      packets.drop(p, TUNNEL_ARP_SUPPRESSED)
      return true
    }
    // Without a buffer for the answer the station itself may give it
    if (!reply(o, n, tunnel)) return false
    counters.suppressed++
    packets.delivered(p)
    return true
  }

  return { proxy, suppress, counters }
}
