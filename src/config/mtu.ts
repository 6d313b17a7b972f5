/** Default MTUs around tunnels: what fits into a packet of the underlay, and so what a bridge with a tunnel may carry. */
import { namespaceOf } from './check-names.js'
import { MIN_MTU, type VxlanShape, VXLAN_MAX_MTU } from './schema.js'
import { type Family } from './underlay.js'

export const ETHERNET_MTU = 1500

/** Outer IP, UDP and VXLAN header and the inner Ethernet header (VXLAN_HEADROOM, VXLAN6_HEADROOM of include/net/vxlan.h). */
export const VXLAN_OVERHEAD: Readonly<Record<Family, number>> = { 4: 50, 6: 70 }

/** Highest MTU over a family, with outer packets of at most 65535 bytes in both. */
export const vxlanMaxMtu = (family: Family): number => VXLAN_MAX_MTU + VXLAN_OVERHEAD[4] - VXLAN_OVERHEAD[family]

/**
 * MTU of a VXLAN port over an underlay of MTU `underlay`. Never below 68, which every IPv4 link has to carry (RFC 791 3.2): outer
 * packets are cut into fragments then.
 */
export const vxlanMtu = (underlay: number, family: Family): number =>
  Math.min(Math.max(underlay - VXLAN_OVERHEAD[family], MIN_MTU), vxlanMaxMtu(family))

/** What a tunnel's underlay is known by. */
export interface Underlay {
  readonly family: Family
  /** Absent: any address. */
  readonly local?: string
  /** Every peer that the file names: `remote`, then `fdb`. */
  readonly remote: readonly string[]
  readonly group?: string
  readonly dev?: string
  readonly netns?: string
}

/** Family of a tunnel's underlay: that of its first address, 4 where it has none. */
export const familyOf = ({ local, group, remote, fdb }: VxlanShape): Family =>
  (local ?? group ?? remote[0] ?? fdb[0]?.dst)?.family ?? 4

/** The address to send from; undefined is any. */
export const localOf = ({ local }: VxlanShape): string | undefined => (local?.unspecified === true ? undefined : local?.text)

/** Where the tunnel goes, for someone who finds out its MTU. */
export const underlayOf = (shape: VxlanShape): Underlay => {
  const { remote, fdb, group, dev, netns } = shape
  const local = localOf(shape)
  return {
    family: familyOf(shape),
    ...(local !== undefined && { local }),
    remote: [...new Set([...remote, ...fdb.map(({ dst }) => dst)].map(({ text }) => text))],
    ...(group !== undefined && { group: group.text }),
    ...(dev !== undefined && { dev }),
    ...(netns !== undefined && { netns: namespaceOf(netns) })
  }
}
