/**
 * A frame has come to a layer-3 interface: is it for us, and who takes it? (net/ethernet/eth.c eth_type_trans decides the same
 * from the destination address; then the protocol's handler is called.)
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST, F_OWN } from '../core/packets.js'
import { NOT_FOR_US, NO_BUFFER, PORT_DOWN, PROTOCOL_UNKNOWN } from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import { ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_QINQ, ETHERTYPE_VLAN, OFF_ETHERTYPE, VLAN_TAG } from '../wire/ethernet.js'

/** EtherTypes as a little-endian load sees them. */
const swap = (n: number): number => ((n & 0xff) << 8) | (n >>> 8)
const IPV4_LE = swap(ETHERTYPE_IPV4)
const ARP_LE = swap(ETHERTYPE_ARP)
const VLAN_LE = swap(ETHERTYPE_VLAN)
const QINQ_LE = swap(ETHERTYPE_QINQ)

export interface InterfaceInputParts {
  packets: Packets
  interfaces: Interfaces
  ipv4: (p: number, iface: number) => void
  arp: (p: number, iface: number) => void
}

export const createInterfaceInput = ({ packets, interfaces, ipv4, arp }: InterfaceInputParts) => {
  const { start, length, flags, csumStart, headerLength, bytes, u16, i32 } = packets
  const { macHi, macLo, up } = interfaces

  /** A tag of VLAN 0 says a priority and nothing else: such a frame is for us as if it had none (net/core/dev.c). */
  const hasPriorityTag = (p: number, type: number): boolean => {
    if ((type !== VLAN_LE && type !== QINQ_LE) || length[p]! < ETHERNET_HEADER + VLAN_TAG) return false
    const tci = start[p]! + ETHERNET_HEADER
    return ((bytes[tci]! & 0x0f) | bytes[tci + 1]!) === 0
  }

  const untag = (p: number, iface: number): void => {
    if (!packets.makeWritable(p)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    const at = start[p]!
    bytes.copyWithin(at + VLAN_TAG, at, at + OFF_ETHERTYPE)
    start[p] = at + VLAN_TAG // still 2 modulo 4
    length[p] = length[p]! - VLAN_TAG
    csumStart[p] = csumStart[p]! - VLAN_TAG
    headerLength[p] = headerLength[p]! - VLAN_TAG
    receive(p, iface)
  }

  /** Owns the packet. The bridge has set F_LINK_BROADCAST on frames to group addresses. */
  const receive = (p: number, iface: number): void => {
    const at = start[p]!
    if (up[iface] === 0) {
      packets.drop(p, PORT_DOWN)
      return
    }
    if ((flags[p]! & F_LINK_BROADCAST) === 0 && (i32[(at + 2) >> 2] !== macLo[iface] || u16[at >> 1] !== macHi[iface])) {
      packets.drop(p, NOT_FOR_US)
      return
    }
    // Whoever made it, it is another stack's here
    flags[p] = flags[p]! & ~F_OWN
    const type = u16[(at + OFF_ETHERTYPE) >> 1]!
    if (type === IPV4_LE) ipv4(p, iface)
    else if (type === ARP_LE) arp(p, iface)
    else if (hasPriorityTag(p, type)) untag(p, iface)
    else packets.drop(p, PROTOCOL_UNKNOWN)
  }
  return receive
}
