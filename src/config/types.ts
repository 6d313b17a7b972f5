/**
 * What a network file says once it is read: typed, checked, every default filled in. Lists keep the order of the file,
 * which is the order of creation and of display.
 */

/** `(hi, lo)` of src/wire/mac.ts. */
export type Mac = readonly [hi: number, lo: number]

export interface Address {
  /** int32, host order; host bits kept */
  readonly address: number
  readonly prefixLength: number
  /** int32; the other end of a point-to-point address (`ip addr add A peer B`); the prefix length is 32 then. */
  readonly peer?: number
}

export interface Prefix {
  /** int32, host order; host bits are zero */
  readonly address: number
  readonly prefixLength: number
}

export type RouteType = 'unicast' | 'blackhole' | 'unreachable' | 'prohibit'

export interface NextHop {
  readonly via?: number
  readonly dev?: string
  /** 1..256 */
  readonly weight: number
  readonly onlink: boolean
}

export interface Route {
  /** `{ address: 0, prefixLength: 0 }` is the default route. */
  readonly to: Prefix
  readonly type: RouteType
  readonly metric: number
  /** A single next hop is `via`, `dev`, `onlink`; several are `nexthops`, and then those are absent (false). */
  readonly via?: number
  readonly dev?: string
  readonly onlink: boolean
  readonly nexthops: readonly NextHop[]
}

/** A permanent neighbour. */
export interface Neighbor {
  readonly address: number
  readonly lladdr: Mac
  readonly dev: string
}

export interface Bridge {
  readonly name: string
  readonly addresses: readonly Address[]
  readonly mac: Mac
  readonly mtu: number
  /** seconds */
  readonly ageingTime: number
  /** 0: no limit */
  readonly fdbMaxLearned: number
  /** Existing devices that are its ports. */
  readonly devices: readonly BridgeDevice[]
  /** What the file says about other ports of it. */
  readonly portOptions: readonly PortOptions[]
}

/** Options of a port that the file makes, in the words of `bridge link set`: only those that it gives. */
export interface PortOptions {
  /** `client.eth0`, or the name of a VXLAN port (whose `neighSuppress` stands with it, not here). */
  readonly port: string
  readonly learning?: boolean
  readonly flood?: boolean
  readonly neighSuppress?: boolean
}

/** An existing network device plugged into a bridge (`bridges.*.ports.NAME.device`). */
export interface BridgeDevice {
  /** Name of the port. */
  readonly name: string
  readonly device: string
  /** Namespace it is in: a name under /var/run/netns where it has one there, else an absolute path. Absent: that of the process. */
  readonly netns?: string
  readonly learning: boolean
  readonly flood: boolean
  readonly neighSuppress: boolean
}

/** A static entry of a VXLAN port's forwarding table. `mac` [0, 0] is the flood list. */
export interface VxlanFdbEntry {
  readonly mac: Mac
  readonly dst: string
  readonly vni?: number
  readonly port?: number
}

/** A VXLAN port of a bridge; names and meaning of `ip link add type vxlan`. Underlay addresses are text in canonical form. */
export interface Vxlan {
  readonly name: string
  readonly bridge: string
  readonly mac: Mac
  readonly mtu: number
  /** VNI, 1..16777215 (0 is refused, as the kernel's tools do) */
  readonly id: number
  /** Absent: any address. */
  readonly local?: string
  /** Of all addresses here; 4 where the file has none. */
  readonly family: 4 | 6
  readonly dstport: number
  readonly srcport: readonly [low: number, high: number]
  readonly remote: readonly string[]
  /** Multicast address; `dev` is there then, and `remote` empty. */
  readonly group?: string
  /** Device of the underlay to send by: needed for `group` and for link-local addresses. */
  readonly dev?: string
  readonly learning: boolean
  readonly proxy: boolean
  readonly neighSuppress: boolean
  /** 0: as the route says */
  readonly ttl: number | 'inherit'
  readonly tos: number | 'inherit'
  readonly df: 'unset' | 'set' | 'inherit'
  readonly udpcsum: boolean
  /** seconds; 0: for ever */
  readonly ageing: number
  /** 0: no limit */
  readonly maxaddress: number
  readonly l2miss: boolean
  readonly l3miss: boolean
  readonly gbp: boolean
  readonly innerVlan: 'pass' | 'drop'
  /** Namespace of the underlay, as of devices; absent: that of the process. */
  readonly netns?: string
  /** How super-frames are sent: cut, by the UDP sockets; whole, through a TAP; so where that can be had. */
  readonly uplink: 'socket' | 'tap' | 'auto'
  readonly fdb: readonly VxlanFdbEntry[]
  readonly neighbors: readonly { readonly address: number; readonly lladdr: Mac }[]
}

export interface RouterInterface {
  readonly name: string
  readonly bridge: string
  readonly addresses: readonly Address[]
  readonly mac: Mac
  readonly mtu: number
  readonly up: boolean
  readonly forwarding: boolean
  readonly proxyArp: boolean
  /** 0 off, 1 strict, 2 loose */
  readonly rpFilter: 0 | 1 | 2
  readonly sendRedirects: boolean
  readonly bcForwarding: boolean
}

export interface Router {
  readonly name: string
  readonly forwarding: boolean
  readonly interfaces: readonly RouterInterface[]
  readonly routes: readonly Route[]
  readonly neighbors: readonly Neighbor[]
}

export interface HostInterface {
  readonly name: string
  readonly bridge: string
  readonly addresses: readonly Address[]
  readonly mac: Mac
  readonly mtu: number
}

export interface Host {
  readonly name: string
  /** An existing namespace to adopt: a name under /var/run/netns or an absolute path. Absent: a new one, named after the host. */
  readonly netns?: string
  readonly interfaces: readonly HostInterface[]
  readonly routes: readonly Route[]
  /** Names with dots, `net.ipv4.ip_forward`; set in this order. */
  readonly sysctls: readonly (readonly [name: string, value: string])[]
}

/** What runs in hosts here or elsewhere, and is known by its mark. */
export interface App {
  readonly name: string
  /** The mark of its packets (VXLAN group policy id), 1..65535 */
  readonly id: number
  /** Hosts of this file that are its own. */
  readonly hosts: readonly string[]
}

/** One app may reach another by a protocol. */
export interface Policy {
  readonly from: string
  readonly to: string
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  /** Of destinations; not with icmp. */
  readonly ports?: readonly [low: number, high: number]
}

export interface NetworkFile {
  readonly bridges: readonly Bridge[]
  readonly routers: readonly Router[]
  readonly vxlans: readonly Vxlan[]
  readonly hosts: readonly Host[]
  readonly apps: readonly App[]
  readonly policies: readonly Policy[]
}
