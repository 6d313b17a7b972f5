/**
 * A VXLAN endpoint described once, to be built twice: of the kernel's bridge and vxlan device, and of Tapway. One side are inner
 * ports of the bridge, p0, p1 and so on, with stations behind them; the other is the underlay u0, a network with three peers.
 */
import { ALL, data, type Bytes } from '../helpers/frames.js'
import { ethernet } from '../oracle/naive-frames.js'

export const BRIDGE = 'br0'
export const BRIDGE_MAC = '02:00:00:00:00:01'
/** The end of the underlay's wire in the box, and its addresses. */
export const UNDERLAY = 'u0'
export const UNDERLAY_MAC = '02:cc:00:00:00:01'
export const LOCAL = '192.168.77.1'
export const LOCAL6 = 'fd77::1'
/** A second address of the box. */
export const SECOND = '192.168.77.11'
export const VNI = 42
export const PORT = 4789
/** Source ports by default (RFC 7348 section 5); the kernel would take those of the namespace's own connections. */
export const SRCPORT = [49152, 65535] as const

/** Stations; A is behind p0 in most scenarios. */
export const A = '02:00:00:00:00:0a'
export const B = '02:00:00:00:00:0b'
export const C = '02:00:00:00:00:0c'
export const D = '02:00:00:00:00:0d'
export const FLOOD = '00:00:00:00:00:00'
export const EXPERIMENTAL = 0x88b5

/** Peers 2, 3 and 4 are static neighbours on the underlay. */
export const PEERS = [2, 3, 4] as const
export const peer = (n: number): string => `192.168.77.${n}`
export const peer6 = (n: number): string => `fd77::${n}`
export const peerMac = (n: number): string => `02:cc:00:00:00:${n.toString(16).padStart(2, '0')}`
export const tunnelMac = (i: number): string => `02:dd:00:00:00:${(i + 1).toString(16).padStart(2, '0')}`

/**
 * Keys of `ip link add type vxlan`; what is left out is the kernel's default, but dstport 4789, srcport 49152 65535 and an MTU
 * that fits.
 */
export interface Tunnel {
  id?: number
  local?: string
  /** Where floods go. */
  remote?: string[]
  group?: string
  dev?: string
  dstport?: number
  srcport?: [low: number, high: number]
  mtu?: number
  ttl?: number | 'inherit'
  tos?: number | 'inherit'
  df?: 'unset' | 'set' | 'inherit'
  udpcsum?: boolean
  learning?: boolean
  proxy?: boolean
  neigh_suppress?: boolean
  l2miss?: boolean
  l3miss?: boolean
  gbp?: boolean
  ageing?: number
  maxaddress?: number
  /** Permanent entries of the tunnel's own FDB. */
  fdb?: { mac: string; dst: string; vni?: number; port?: number }[]
  /** Permanent ones: of the tunnel's device, but with neigh_suppress of the kernel's bridge. */
  neighbors?: { address: string; lladdr: string }[]
}

export interface VtepPlan {
  /** vx0, vx1 and so on, all ports of one bridge. */
  tunnels: Tunnel[]
  /** Inner ports; two unless said otherwise. */
  ports?: number
  /** The bridge's own address. */
  address?: string
  /** Of bridge and inner ports. */
  mtu?: number
  underlayMtu?: number
  /** An underlay of IPv6, beside that of IPv4. */
  ipv6?: boolean
}

export const portNames = (plan: VtepPlan): string[] => Array.from({ length: plan.ports ?? 2 }, (_, i) => `p${i}`)
export const tunnelName = (i: number): string => `vx${i}`

/** The MTU that fits: that of the underlay less the outer headers and the inner Ethernet header. */
export const innerMtu = (plan: VtepPlan): number => (plan.underlayMtu ?? 1500) - (plan.ipv6 === true ? 70 : 50)

/** One tunnel, VNI 42 from 192.168.77.1, without remotes. */
export const vtep = (tunnel: Tunnel = {}, more: Partial<VtepPlan> = {}): VtepPlan =>
  ({ tunnels: [{ local: LOCAL, ...tunnel }], ...more })
/** The same with peer 2 as remote. */
export const toPeer2 = (tunnel: Tunnel = {}, more: Partial<VtepPlan> = {}): VtepPlan =>
  vtep({ remote: [peer(2)], ...tunnel }, more)
/** The same over IPv6. */
export const overIpv6 = (tunnel: Tunnel = {}, more: Partial<VtepPlan> = {}): VtepPlan =>
  vtep({ local: LOCAL6, remote: [peer6(2)], ...tunnel }, { ipv6: true, ...more })

/** A frame of 60 bytes that says nothing to anybody. */
export const plain = (to: string, from: string, payload: Bytes = data(46), type = EXPERIMENTAL): number[] =>
  ethernet(to, from, type, payload)
/** A frame by which a station makes itself known. */
export const hello = (from: string): number[] => plain(ALL, from)

/** What happens to a box. After each step what it has sent is collected. */
export type Step = ({
  /** A frame from the station behind an inner port, or on the underlay's wire (u0). */
  send: string
  frame: readonly number[]
} | {
  /** Milliseconds, as they are. */
  wait: number
} | {
  /** Words of `bridge` (fdb) or `ip` (everything else), and the very same words of `tapway`. */
  command: string
} | {
  /** The rows of the FDB that are about tunnels; or the addresses told as unknown (l2miss, l3miss) since this was asked last. */
  show: 'fdb' | 'misses'
}) & {
  /** In a word, what it is. */
  what?: string
  /** Not the same on purpose: why, and what both send (of the line, up to its bytes). */
  deviation?: { why: string; kernel: string[]; tapway: string[] }
}

export const send = (port: string, frame: readonly number[], what?: string): Step =>
  ({ send: port, frame, ...(what !== undefined && { what }) })
/** The step, but the two differ in it on purpose. */
export const deviates = (why: string, step: Step, kernel: string[], tapway: string[]): Step =>
  ({ ...step, deviation: { why, kernel, tapway } })
export const command = (words: string): Step => ({ command: words })
export const show: Step = { show: 'fdb' }
export const misses: Step = { show: 'misses' }

export interface Seen {
  port: string
  bytes: Uint8Array
}

/** A row of `bridge -j fdb`. */
export interface FdbRow {
  mac: string
  ifname: string
  dst?: string
  vni?: number
  port?: number
  via?: string
  flags: string[]
  master?: string
  state: string
}

export interface VtepBox {
  /** Lets a frame arrive; the frames sent because of it. */
  send(port: string, frame: readonly number[]): Seen[]
  /** What is sent meanwhile. */
  wait(ms: number): Promise<Seen[]>
  /** Whether it was taken, and what was said. */
  command(words: string): Promise<{ ok: boolean; text: string }>
  fdb(): Promise<FdbRow[]>
  /** Addresses that were told as unknown since the last call. */
  misses(): Promise<string[]>
  close(): Promise<void>
}
