/**
 * VXLAN ports: rows with small stable ids, and the sockets they listen on. Several tunnels may share sockets; what has come in by a socket is
 * told apart by its VNI (RFC 7348 section 5). Option names are those of ip-link(8), type vxlan.
 */

/** Flags of a tunnel. */
export const T_LEARNING = 1
export const T_PROXY = 2
export const T_L2MISS = 4
export const T_L3MISS = 8
export const T_GBP = 16
export const T_DROP_INNER_VLAN = 32
/** UDP_SEGMENT may be used. */
export const T_GSO = 64

/** ttl, tos: taken from the inner packet. */
export const INHERIT = -1
export const DF_UNSET = 0
export const DF_SET = 1
export const DF_INHERIT = 2

/** Bytes that encapsulation adds between the inner Ethernet frame and the underlay's IP packet: IPv4 or IPv6, UDP, VXLAN. */
export const OVERHEAD_4 = 20 + 8 + 8
export const OVERHEAD_6 = 40 + 8 + 8

/** Cells of a tunnel's counters. */
export const TC_MOVED = 0 // learned stations that moved from one peer to another
export const TC_L2MISS = 1
export const TC_L3MISS = 2
export const TC_UNREACHABLE = 3 // errors that the underlay reported (ICMP unreachable)
export const TC_FULL = 4 // stations not learned: maxaddress, or no row for the peer
export const TUNNEL_CELLS = 8

export type Tunnels = ReturnType<typeof createTunnels>

/** A row of a socket; descriptors are what the I/O layer knows. */
export interface TunnelSocket {
  descriptor: number
  users: number
  /** Tunnel row by VNI; of a socket that only sends, none. */
  byVni: Map<number, number>
}

export const createTunnels = (capacity = 1024, socketCapacity = 4096) => {
  const column = () => new Int32Array(capacity)
  const used = column()
  const port = column()
  const vni = column()
  const flags = column()
  const family = column() // 4 or 6
  const dstport = column()
  const ttl = column()
  const tos = column()
  const df = column()
  const macHi = column()
  const macLo = column()
  const counters = new Float64Array(new SharedArrayBuffer(capacity * TUNNEL_CELLS * 8))
  const uplink = column() // descriptor of the TAP that takes super-frames whole, -1: none
  const uplinkTtl = column() // of outer packets, where `ttl` leaves it to the machine
  const uplinkCsum = column() // whether its UDP packets have a checksum
  const local = column() // IPv4 address, host order; of those with an uplink
  /** UDP ports of the sockets in `send` and `sendDf`, in their order; for uplinks. */
  const sendPorts: Int32Array[] = []
  const sendPortsDf: Int32Array[] = []
  /** Descriptors to send by, chosen by the flow's hash: without and with DF. Their number is a power of two or not, as it comes. */
  const send: Int32Array[] = []
  const sendDf: Int32Array[] = []
  const sockets: (TunnelSocket | undefined)[] = []
  let cachedSocket = -1
  let cachedVni = -1
  let cachedTunnel = -1

  const forget = (): void => {
    cachedSocket = -1
    cachedVni = -1
    cachedTunnel = -1
  }

  return {
    capacity, socketCapacity, used, port, vni, flags, family, dstport, ttl, tos, df, macHi, macLo, counters, send, sendDf, sockets,
    uplink, uplinkTtl, uplinkCsum, local, sendPorts, sendPortsDf,
    /** A free row, counters cleared; -1 when all are taken. */
    add: (): number => {
      const t = used.indexOf(0)
      if (t < 0) return -1
      used[t] = 1
      flags[t] = 0
      uplink[t] = -1
      counters.fill(0, t * TUNNEL_CELLS, (t + 1) * TUNNEL_CELLS)
      return t
    },
    remove: (t: number): void => {
      used[t] = 0
      send[t] = new Int32Array(0)
      sendDf[t] = new Int32Array(0)
      uplink[t] = -1
      forget()
    },
    /** The row of a descriptor, made if need be; `fresh` says that it has to be watched from now on. -1 when all are taken. */
    useSocket: (descriptor: number): { row: number; fresh: boolean } => {
      const known = sockets.findIndex((s) => s?.descriptor === descriptor)
      if (known >= 0) {
        sockets[known]!.users++
        return { row: known, fresh: false }
      }
      let row = sockets.indexOf(undefined)
      if (row < 0) row = sockets.length
      if (row >= socketCapacity) return { row: -1, fresh: false }
      sockets[row] = { descriptor, users: 1, byVni: new Map() }
      return { row, fresh: true }
    },
    /** One user less; true when it was the last: the socket need not be watched any longer. */
    leaveSocket: (row: number): boolean => {
      const s = sockets[row]!
      if (--s.users > 0) return false
      sockets[row] = undefined
      forget()
      return true
    },
    /** Frames with that VNI by that socket are the tunnel's. False when they are another one's. */
    listen: (row: number, id: number, t: number): boolean => {
      const { byVni } = sockets[row]!
      if (byVni.has(id)) return false
      byVni.set(id, t)
      forget()
      return true
    },
    unlisten: (row: number, id: number): void => {
      sockets[row]!.byVni.delete(id)
      forget()
    },
    /** The tunnel of what came by a socket; -1 for a VNI that is nobody's. */
    find: (row: number, id: number): number => {
      if (row === cachedSocket && id === cachedVni) return cachedTunnel
      const t = sockets[row]?.byVni.get(id) ?? -1
      cachedSocket = row
      cachedVni = id
      cachedTunnel = t
      return t
    }
  }
}
