/**
 * VXLAN (RFC 7348 section 5) with the group policy extension (draft-smith-vxlan-group-policy 2.1), behind a UDP header:
 *
 *   0 flags: I (08) says that the VNI is valid; G (80) that the group policy id is
 *   1 of the extension: D (40) do not learn, A (08) policy applied
 *   2 group policy id (16 bits)
 *   4 VNI (24 bits), then 8 reserved bits
 *
 * `o` is the offset of the header. Reserved bits are those that Linux refuses (vxlan_rcv() of drivers/net/vxlan/vxlan_core.c).
 */
import { OK, VXLAN_FLAGS_INVALID, VXLAN_RESERVED_BITS } from '../reason.js'

export const VXLAN_HEADER = 8
/** IANA's port for it. */
export const VXLAN_PORT = 4789

export const FLAG_VNI = 0x08000000
export const FLAG_GBP = 0x80000000 | 0
export const GBP_DONT_LEARN = 0x00400000
export const GBP_POLICY_APPLIED = 0x00080000
export const GBP_ID_MASK = 0xffff
/** What of a packet's mark goes into the header. */
export const MARK_MASK = GBP_ID_MASK | GBP_POLICY_APPLIED | GBP_DONT_LEARN
/** VXLAN_GBP_USED_BITS: with the extension its whole three bytes are no longer reserved. */
const GBP_USED = FLAG_GBP | 0xffffff

/** Is this the header of a VXLAN packet? 8 bytes are there. */
export const check = (view: DataView, o: number): number => ((view.getInt32(o) & FLAG_VNI) === 0 ? VXLAN_FLAGS_INVALID : OK)

/** Are all bits known? With `gbp` those of group policy are, else they are reserved. The VNI is looked at before. */
export const checkReserved = (view: DataView, o: number, gbp: boolean): number => {
  const known = gbp ? FLAG_VNI | GBP_USED : FLAG_VNI
  return (view.getInt32(o) & ~known) !== 0 || view.getUint8(o + 7) !== 0 ? VXLAN_RESERVED_BITS : OK
}

/** 24 bits. */
export const vni = (view: DataView, o: number): number => view.getUint32(o + 4) >>> 8

/** Mark of a packet from its group policy: id in the low 16 bits, A and D at their bits as Linux has them; 0 without. */
export const mark = (view: DataView, o: number): number => {
  const flags = view.getInt32(o)
  return (flags & FLAG_GBP) === 0 ? 0 : flags & MARK_MASK
}
