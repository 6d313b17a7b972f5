/**
 * Every change of a running network is an operation, every look at it a query: plain JSON, so that file, command, library and
 * a later control plane all say the same thing and it can be written down. Addresses, prefixes and MAC addresses are text,
 * names are those a user sees. `Network.apply` and `Network.show` carry them out.
 */

export interface NextHopText {
  via?: string
  dev?: string
  /** 1..256 */
  weight?: number
  onlink?: boolean
}

export type RouteType = 'unicast' | 'local' | 'broadcast' | 'blackhole' | 'unreachable' | 'prohibit'

export type PolicyProtocol = 'tcp' | 'udp' | 'icmp'

export type Operation =
  // The building blocks, as the network file has them
  | { op: 'bridge.add'; name: string; mac: string; mtu: number; ageing_time: number; fdb_max_learned: number }
  | { op: 'bridge.del'; name: string }
  | { op: 'router.add'; name: string; forwarding: boolean }
  | { op: 'router.del'; name: string }
  | {
      op: 'interface.add'; router: string; name: string; bridge: string; mac: string; mtu: number
      forwarding: boolean; proxy_arp: boolean; rp_filter: number; send_redirects: boolean; bc_forwarding: boolean
    }
  | { op: 'interface.del'; router: string; name: string }
  /** A port with a device behind it. `handle` is what the I/O layer knows it by (a descriptor), `netns` and `ifname` say what the user sees. */
  | {
      op: 'port.add'; name: string; bridge: string; mtu: number; handle: number; vnet_header: number; offloads: number
      mac: string; netns: string; ifname: string
      /** What the descriptor is: a TAP, or the packet socket of an existing device. */
      io?: 'tap' | 'packet'
      /** Descriptors of further queues, for the further workers of a data plane. */
      queues?: readonly number[]
      /** False: frames are only written to it, as another worker reads them. */
      reads?: boolean
    }
  | { op: 'port.del'; name: string }
  /**
   * A VXLAN port of a bridge; keys as in `ip link add type vxlan`. `receive`, `send` and `send_df` are descriptors of its UDP sockets (those
   * of `send_df` set DF); VXLANs that name the same descriptors share them, and are told apart by `id`.
   */
  | {
      op: 'vxlan.add'; name: string; bridge: string; mac: string; mtu: number; id: number
      /** Empty: any address. */
      local: string; dstport: number; srcport: readonly [low: number, high: number]
      group?: string; dev?: string
      /** The first of the file's, for display: peers are entries of the FDB. */
      remote?: string
      learning: boolean; proxy: boolean; neigh_suppress: boolean
      /** 0: as the route says */
      ttl: number | 'inherit'; tos: number | 'inherit'; df: 'unset' | 'set' | 'inherit'; udpcsum: boolean
      /** Seconds; 0: for ever. */
      ageing: number
      /** 0: no limit but the table's. */
      maxaddress: number
      l2miss: boolean; l3miss: boolean; gbp: boolean; inner_vlan: 'pass' | 'drop'
      /** Of the underlay; empty: that of the process. */
      netns: string
      family: 4 | 6; receive: readonly number[]; send: readonly number[]; send_df: readonly number[]
      /** Whether the sockets know UDP_SEGMENT. */
      gso: boolean
      /** Sockets of the further workers of a data plane, at the same ports. */
      others?: readonly { receive: readonly number[]; send: readonly number[]; send_df: readonly number[] }[]
      /**
       * TAP for super-frames (`local` is there then, `family` 4): its descriptor, the machine's TTL, and the UDP ports of `send` and `send_df`
       * in their order. Off at first when `on` is false.
       */
      uplink?: { handle: number; ttl: number; on: boolean; ports: readonly number[]; ports_df: readonly number[] }
    }
  | { op: 'vxlan.del'; name: string }
  /** `id` is the mark of the app's packets, 1..65535. An app goes with its policies, but not before its ports. */
  | { op: 'app.add'; name: string; id: number }
  | { op: 'app.del'; name: string }
  /** A port of a host that is the app's: what comes in there has this MAC address and one of these IPv4 addresses, or is forged. */
  | { op: 'app.member'; name: string; port: string; addresses: readonly string[]; mac: string }
  /** Super-frames go by the uplink that `vxlan.add` named, or by the sockets as all else. */
  | { op: 'vxlan.uplink'; name: string; on: boolean }
  // What commands change
  | {
      op: 'link.set'; dev: string; router?: string; up?: boolean; mtu?: number; address?: string; forwarding?: boolean; learning?: boolean; flood?: boolean
      neigh_suppress?: boolean
    }
  | { op: 'addr.add' | 'addr.replace' | 'addr.del'; dev: string; router?: string; prefix: string; peer?: string }
  | {
      op: 'route.add' | 'route.replace' | 'route.append' | 'route.del'; router?: string; prefix: string; type?: RouteType; metric?: number
      src?: string; protocol?: string; nexthops?: NextHopText[]
    }
  | { op: 'neigh.add' | 'neigh.replace' | 'neigh.change' | 'neigh.del'; dev: string; router?: string; address: string; lladdr?: string; nud?: string }
  | { op: 'neigh.flush'; dev?: string; router?: string }
  /** On a VXLAN port an entry of its own table unless `master` is said, with both words one of each table; elsewhere of the bridge's. */
  | {
      op: 'fdb.add' | 'fdb.append' | 'fdb.replace' | 'fdb.del'; mac: string; dev: string; state?: 'static' | 'dynamic' | 'permanent'; sticky?: boolean
      dst?: string; vni?: number; port?: number; self?: boolean; master?: boolean
    }
  /** On a VXLAN port: its own table, or with `master` the bridge's. */
  | { op: 'fdb.flush'; bridge?: string; dev?: string; self?: boolean; master?: boolean }
  /** App `from` may open conversations to app `to`. `ports` are the destination's, not with icmp. */
  | { op: 'policy.add' | 'policy.del'; from: string; to: string; protocol: PolicyProtocol; ports?: readonly [low: number, high: number] }

export type OperationOf<Name extends Operation['op']> = Extract<Operation, { op: Name }>

/** What an operation leaves to whoever owns the devices: a port whose device has to follow. */
export interface ApplyResult {
  device?: { handle: number; netns: string; ifname: string; up?: boolean; mtu?: number }
}

export type Query =
  | { show: 'link'; dev?: string; router?: string; bridge?: string }
  | { show: 'addr'; dev?: string; router?: string }
  | { show: 'route'; router?: string; prefix?: string; table?: 'main' | 'local' | 'all'; dev?: string; type?: string }
  | { show: 'route-get'; router?: string; address: string; from?: string; iif?: string }
  | { show: 'neigh'; dev?: string; router?: string; address?: string; nud?: string }
  | { show: 'fdb'; bridge?: string; dev?: string; mac?: string; self?: boolean; master?: boolean }
  | { show: 'vxlan'; dev?: string }
  | { show: 'app'; name?: string }
  | { show: 'policy'; from?: string; to?: string }
  /** One row: what would be decided about a conversation that begins now. */
  | { show: 'policy-check'; from: string; to: string; protocol: PolicyProtocol; port?: number }
  | { show: 'denied' }
  | { show: 'flow' }
  | { show: 'stats' }

/** A link as `ip -j -s -d link` prints it; what Tapway adds stands under `tapway`. */
export interface LinkRow {
  ifindex: number
  ifname: string
  flags: string[]
  mtu: number
  /** Name of the bridge it is a port of. */
  master?: string
  operstate: 'UP' | 'DOWN'
  link_type: 'ether'
  address: string
  broadcast: 'ff:ff:ff:ff:ff:ff'
  linkinfo: {
    info_kind: 'bridge' | 'tap' | 'router' | 'vxlan' | 'device'; info_data?: Record<string, unknown>
    info_slave_kind?: 'bridge'; info_slave_data?: Record<string, unknown>
  }
  stats64: {
    rx: { bytes: number; packets: number; errors: number; dropped: number; over_errors: number; multicast: number }
    tx: { bytes: number; packets: number; errors: number; dropped: number; carrier_errors: number; collisions: number }
  }
  /**
   * `kind`: 'bridge' | 'host' (a port with a TAP) | 'interface' (of a router) | 'device' | 'vxlan'. `moved`: stations heard elsewhere than
   * before; `full`: stations not learned for want of room; `uplink`: how super-frames go now, of a VXLAN port that has one.
   */
  tapway: {
    kind: string; router?: string; netns?: string; forwarding?: boolean; device?: string
    inner_vlan?: 'pass' | 'drop'; uplink?: 'tap' | 'socket'; n_learned?: number; moved?: number; l2miss?: number; l3miss?: number; unreachable?: number; full?: number
  }
}

/** `ip -j addr`: the link's keys that ip prints there, and its addresses. */
export interface AddrRow {
  ifindex: number
  ifname: string
  flags: string[]
  mtu: number
  operstate: string
  link_type: 'ether'
  address: string
  broadcast: string
  router?: string
  addr_info: {
    family: 'inet'; local: string; address?: string; prefixlen: number; broadcast?: string; scope: 'global' | 'link'
    /** Not the first address of its network. */
    secondary?: true
    label: string
    /** seconds; all bits set: for ever */
    valid_life_time: number
    preferred_life_time: number
  }[]
}

/** `ip -j route`. */
export interface RouteRow {
  type?: string
  dst: string
  gateway?: string
  dev?: string
  protocol?: string
  scope?: string
  prefsrc?: string
  metric?: number
  flags: string[]
  nexthops?: { gateway?: string; dev: string; weight: number; flags: string[] }[]
  table?: string
  router: string
}

/** `ip -j neigh`. */
export interface NeighRow {
  dst: string
  dev: string
  lladdr?: string
  state: string[]
  /** Not of VXLAN ports. */
  router?: string
}

/** `bridge -j fdb`. */
export interface FdbRow {
  mac: string
  ifname: string
  flags: string[]
  master?: string
  state: 'permanent' | 'static' | ''
  dst?: string
  /** Of a tunnel's entry, where they differ from the tunnel's own. */
  vni?: number
  port?: number
  /** Seconds since last used and updated, with -s. */
  used?: number
  updated?: number
}

/** `tapway vxlan`: a tunnel with the keys of `ip -j -d link`'s info_data, its peers and what it has counted. */
export interface VxlanRow {
  ifname: string
  master: string
  operstate: 'UP' | 'DOWN'
  mtu: number
  address: string
  info_data: Record<string, unknown>
  tapway: LinkRow['tapway']
  /** UDP_SEGMENT is used where a socket knows it. */
  sockets: { receive: number; send: number; send_df: number; gso: boolean }
  peers: VxlanPeer[]
}

export interface VxlanPeer {
  dst: string
  /** Where they differ from the tunnel's own. */
  port?: number
  vni?: number
  /** Unknown, broadcast and multicast frames go there. */
  flood: boolean
  /** Entries of the forwarding database that lead there, besides the flood list. */
  entries: number
  /** Largest packet of the underlay, where one was told. */
  path_mtu?: number
  /** Errors that the underlay reported. */
  unreachable: number
}

/** `tapway app`. */
export interface AppRow {
  name: string
  id: number
  /** Ports that are the app's, here: what may come in by each. */
  members: { port: string; mac: string; addresses: string[] }[]
}

/** `tapway policy`; also what an operation says. */
export interface PolicyRow {
  from: string
  to: string
  protocol: PolicyProtocol
  /** Not with icmp. */
  ports?: [low: number, high: number]
  /** Conversations that it has let in here. */
  hits: number
}

/** `tapway policy check`. */
export interface PolicyCheckRow {
  from: string
  to: string
  protocol: PolicyProtocol
  port?: number
  allowed: boolean
  /** The one that says so. */
  policy?: PolicyRow
}

/** `tapway policy denied`: packets of one kind that were not let in, the latest kind first. */
export interface DeniedRow {
  /** Source app; absent when nobody here knows the mark. */
  from?: string
  /** 0: unmarked. */
  mark: number
  to?: string
  to_id: number
  protocol: PolicyProtocol | number
  /** With TCP and UDP. */
  port?: number
  packets: number
  /** Of the last one. */
  source: string
  destination: string
  /** Seconds since the last one. */
  age: number
}

/** `tapway flow`: a conversation. */
/**
 * Whether a conversation may go on. `sent`: who is asked is behind no app's port here, so that it is decided elsewhere, and nothing is
 * known of it here but what the answers tell. `denied`: nothing of it was let in here, or not any more.
 */
export type FlowVerdict = 'admitted' | 'sent' | 'denied'

export interface FlowRow {
  protocol: PolicyProtocol | number
  /** Of table/flow-states.ts. */
  state: string
  /** Of who opened it, and of the other end. */
  source: string
  destination: string
  /** With TCP and UDP. */
  sport?: number
  dport?: number
  /** With ICMP: identifier and type of the request. */
  id?: number
  icmp_type?: number
  /** App of who opened it, if its mark is known here; 0: no app of this cell, and no mark yet. */
  from?: string
  mark: number
  /** App of the other end, if that is here. */
  to?: string
  verdict: FlowVerdict
  /** Seconds since it was opened. */
  age: number
  /** Seconds until it is forgotten, when nothing more comes. */
  expires: number
}

export interface StatsResult {
  ports: { name: string; bridge: string; rx_packets: number; rx_bytes: number; tx_packets: number; tx_bytes: number; tx_errors: number; drops: Record<string, number> }[]
  drops: { reason: string; packets: number; help: string }[]
  balance: {
    received: number; originated: number; copied: number; pieces: number
    transmitted: number; delivered: number; dropped: number; merged: number
    /** In the hands of the ARP queue, reassembly or the like. */
    held: number
    /** created = ended + held, and held is what the holders say. */
    ok: boolean
  }
  /** With several workers: what they have told each other, and what found no room or came too late to be true. */
  posts?: { applied: number; lost: number; outdated: number }
}

/** An operation or query that cannot be done: `code` 2 when the words are wrong (no such name), 1 when it failed (exists already). */
export class NetworkError extends Error {
  constructor(message: string, readonly code: 1 | 2) {
    super(message)
    this.name = 'NetworkError'
  }
}
