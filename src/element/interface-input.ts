/**
 * A frame has come to a layer-3 interface: is it for us, and who takes it? (net/ethernet/eth.c eth_type_trans decides the same
 * from the destination address; then the protocol's handler is called.)
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import { NOT_FOR_US, PORT_DOWN, PROTOCOL_UNKNOWN } from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, OFF_ETHERTYPE } from '../wire/ethernet.js'

/** EtherTypes as a little-endian load sees them. */
const swap = (n: number): number => ((n & 0xff) << 8) | (n >>> 8)
const IPV4_LE = swap(ETHERTYPE_IPV4)
const ARP_LE = swap(ETHERTYPE_ARP)

export interface InterfaceInputParts {
  packets: Packets
  interfaces: Interfaces
  ipv4: (p: number, iface: number) => void
  arp: (p: number, iface: number) => void
}

export const createInterfaceInput = ({ packets, interfaces, ipv4, arp }: InterfaceInputParts) => {
  const { start, flags, u16, i32 } = packets
  const { macHi, macLo, up } = interfaces

  /** Owns the packet. The bridge has set F_LINK_BROADCAST on frames to group addresses. */
  return (p: number, iface: number): void => {
    const at = start[p]!
    if (up[iface] === 0) {
      packets.drop(p, PORT_DOWN)
      return
    }
    if ((flags[p]! & F_LINK_BROADCAST) === 0 && (i32[(at + 2) >> 2] !== macLo[iface] || u16[at >> 1] !== macHi[iface])) {
      packets.drop(p, NOT_FOR_US)
      return
    }
    const type = u16[(at + OFF_ETHERTYPE) >> 1]!
    if (type === IPV4_LE) ipv4(p, iface)
    else if (type === ARP_LE) arp(p, iface)
    else packets.drop(p, PROTOCOL_UNKNOWN)
  }
}
