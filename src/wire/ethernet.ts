/** Ethernet II frames (IEEE 802.3 clause 3, RFC 894) and the 802.1Q tag (IEEE 802.1Q 9.3). Offsets from the frame's first byte. */
import { setMac } from './mac.js'

export const ETHERNET_HEADER = 14
export const OFF_DESTINATION = 0
export const OFF_SOURCE = 6
export const OFF_ETHERTYPE = 12

export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_ARP = 0x0806
export const ETHERTYPE_IPV6 = 0x86dd
export const ETHERTYPE_VLAN = 0x8100
export const ETHERTYPE_QINQ = 0x88a8
export const VLAN_TAG = 4
/** The same as a little-endian load of 16 bits sees them. */
export const ETHERTYPE_IPV4_LE = 0x0008
export const ETHERTYPE_ARP_LE = 0x0608
export const ETHERTYPE_IPV6_LE = 0xdd86
export const ETHERTYPE_VLAN_LE = 0x0081
export const ETHERTYPE_QINQ_LE = 0xa888

/** Offset from the frame's beginning to what lies behind the Ethernet header and at most two tags; the frame is that long. */
export const networkOffset = (view: DataView, o: number): number => {
  let n = ETHERNET_HEADER
  let type = etherType(view, o)
  while ((type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ) && n < ETHERNET_HEADER + 2 * VLAN_TAG) {
    type = view.getUint16(o + n + 2)
    n += VLAN_TAG
  }
  return n
}

export const etherType = (view: DataView, o: number): number => view.getUint16(o + OFF_ETHERTYPE)
/** Tag control information of a tagged frame: priority 3 bits, DEI 1, VLAN id 12. */

/** Writes the 14-byte header; MAC addresses as (hi, lo) pairs. */
export const writeEthernet = (
  view: DataView, o: number, dstHi: number, dstLo: number, srcHi: number, srcLo: number, type: number
): void => {
  setMac(view, o + OFF_DESTINATION, dstHi, dstLo)
  setMac(view, o + OFF_SOURCE, srcHi, srcLo)
  view.setUint16(o + OFF_ETHERTYPE, type)
}
