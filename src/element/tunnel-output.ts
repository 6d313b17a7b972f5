/**
 * Into a VXLAN tunnel (RFC 7348 section 4.1, vxlan_xmit() of drivers/net/vxlan/vxlan_core.c): where a frame of the bridge goes, and with
 * which outer header. A station's peer is looked up in the tunnel's own table; what is not there goes to every peer of the
 * flood list (head-end replication), the first of them last, as Linux does.
 *
 * The socket, and with it the outer source port, is chosen by a hash of the inner flow (section 4.2), so that one flow keeps its way and
 * its order; fragments have no ports, so a datagram's all go one way. Congestion marks are copied out (RFC 6040 4.1).
 */
import type { Packets } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { P_NEIGH_SUPPRESS } from '../core/ports.js'
import { NO_REMOTE, UNDERLAY_UNREACHABLE } from '../reason.js'
import type { Fdb } from '../table/fdb.js'
import type { Remotes } from '../table/remotes.js'
import {
  DF_INHERIT, DF_SET, INHERIT, OVERHEAD_4, OVERHEAD_6, T_GBP, T_GSO, T_L2MISS, T_PROXY, TC_L2MISS, TUNNEL_CELLS, type Tunnels
} from '../table/tunnels.js'
import {
  ETHERNET_HEADER, ETHERTYPE_ARP_LE, ETHERTYPE_IPV4_LE, ETHERTYPE_IPV6_LE, ETHERTYPE_QINQ_LE, ETHERTYPE_VLAN_LE, VLAN_TAG
} from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as vxlan from '../wire/vxlan.js'
import type { TunnelWay } from './tunnel-way.js'

/** Of a path that nobody has told anything about. */
const MAX_MTU = 65535

const ECN_MASK = 3
const ECN_ECT0 = 2
const ECN_CE = 3

export interface TunnelOutputParts {
  packets: Packets
  ports: Ports
  tunnels: Tunnels
  remotes: Remotes
  fdb: Fdb
  clock: { second: number }
  /** ARP that ends here, and ARP that may be answered here (true: it was). */
  proxy: (p: number, tunnel: number) => void
  suppress: (p: number, tunnel: number) => boolean
  /** A frame that does not fit: answers or drops it. */
  tooBig: (p: number, tunnel: number, mtu: number) => void
  /** A unicast station that nobody knows. */
  miss: (tunnel: number, hi: number, lo: number) => void
  /** A super-frame through the tunnel's uplink; false, and nothing has happened, when that is not for it. */
  sendWhole: (
    p: number, port: number, tunnel: number, way: number, isDf: boolean, remote: number, header0: number, header1: number, ttlTos: number
  ) => boolean
  way: TunnelWay
  send: (p: number, port: number, descriptor: number, remote: number, header0: number, header1: number, ttlTos: number, gso: boolean) => void
}

export const createTunnelOutput = ({
  packets, ports, tunnels, remotes, fdb, clock, proxy, suppress, tooBig, miss, sendWhole, way, send
}: TunnelOutputParts) => {
  const { start, length, gsoType, gsoSize, headerLength, mark, u16, i32, bytes, view } = packets
  const { state, mtu, layer3 } = ports
  const { flags, ttl, tos, df, family } = tunnels

  // What the last look at a frame has found: EtherType and offset of what lies behind the tags
  let type = 0
  let o = 0
  let tagged = false

  const look = (p: number): void => {
    const at = start[p]!
    type = u16[(at + 12) >> 1]!
    o = at + ETHERNET_HEADER
    tagged = type === ETHERTYPE_VLAN_LE || type === ETHERTYPE_QINQ_LE
    while ((type === ETHERTYPE_VLAN_LE || type === ETHERTYPE_QINQ_LE) && o + 4 <= at + length[p]! && o < at + 22) {
      type = u16[(o + 2) >> 1]!
      o += VLAN_TAG
    }
    // Too short for its header: nothing that can be read
    const end = at + length[p]!
    if ((type === ETHERTYPE_IPV4_LE && o + ipv4.IPV4_HEADER > end) || (type === ETHERTYPE_IPV6_LE && o + 40 > end)) type = 0
  }

  const mix = (h: number, word: number): number => {
    const x = Math.imul(h ^ word, 0x9e3779b1)
    return x ^ (x >>> 15)
  }

  /** Hash of the inner flow: addresses, protocol and ports where they can be had. */
  const flowHash = (p: number): number => {
    const end = start[p]! + length[p]!
    let h = type ^ (tagged ? u16[(start[p]! + 14) >> 1]! << 16 : 0)
    if (type === ETHERTYPE_IPV4_LE) {
      const w = o >> 2
      h = mix(mix(h, i32[w + 3]!), i32[w + 4]!)
      const protocol = bytes[o + ipv4.OFF_PROTOCOL]!
      h = mix(h, protocol)
      const l4 = o + ipv4.headerLength(view, o)
      const whole = (view.getUint16(o + ipv4.OFF_FLAGS_FRAGMENT) & (ipv4.FLAG_MF | ipv4.FRAGMENT_MASK)) === 0
      if (whole && (protocol === ipv4.PROTOCOL_TCP || protocol === ipv4.PROTOCOL_UDP) && l4 + 4 <= end) h = mix(h, i32[l4 >> 2]!)
    } else if (type === ETHERTYPE_IPV6_LE) {
      for (let w = (o >> 2) + 2; w < (o >> 2) + 10; w++) h = mix(h, i32[w]!)
      const protocol = bytes[o + 6]!
      h = mix(h, protocol)
      if ((protocol === ipv4.PROTOCOL_TCP || protocol === ipv4.PROTOCOL_UDP) && o + 44 <= end) h = mix(h, i32[(o + 40) >> 2]!)
    }
    return h
  }

  /** TTL and TOS of the outer header, -1 where both are the socket's own. */
  const ttlTosOf = (t: number): number => {
    let innerTos = 0
    let innerTtl = 0
    if (type === ETHERTYPE_IPV4_LE) {
      innerTos = bytes[o + ipv4.OFF_TOS]!
      innerTtl = bytes[o + ipv4.OFF_TTL]!
    } else if (type === ETHERTYPE_IPV6_LE) {
      innerTos = ((bytes[o]! & 15) << 4) | (bytes[o + 1]! >>> 4)
      innerTtl = bytes[o + 7]!
    }
    const outerTtl = ttl[t] === INHERIT ? innerTtl : ttl[t]!
    const ecn = innerTos & ECN_MASK
    const outerTos = ((tos[t] === INHERIT ? innerTos : tos[t]!) & ~ECN_MASK) | (ecn === ECN_CE ? ECN_ECT0 : ecn)
    return outerTtl === 0 && outerTos === 0 ? -1 : outerTtl | (outerTos << 8)
  }

  const isDontFragment = (): boolean =>
    !tagged && (type === ETHERTYPE_IPV6_LE || (type === ETHERTYPE_IPV4_LE && (view.getUint16(o + ipv4.OFF_FLAGS_FRAGMENT) & ipv4.FLAG_DF) !== 0))

  /** Largest IP packet in the tunnel to a peer that the underlay's path takes, where it has told. */
  const pathMtuTo = (t: number, r: number): number => {
    const path = remotes.pathMtu[r]!
    if (path === 0) return MAX_MTU
    if (clock.second > remotes.pathMtuUntil[r]!) {
      remotes.pathMtu[r] = 0
      return MAX_MTU
    }
    return path - ETHERNET_HEADER - (family[t] === 6 ? OVERHEAD_6 : OVERHEAD_4)
  }

  const header0Of = (p: number, t: number): number => {
    const m = (flags[t]! & T_GBP) === 0 ? 0 : mark[p]! & vxlan.MARK_MASK
    return m === 0 ? vxlan.FLAG_VNI : vxlan.FLAG_VNI | vxlan.FLAG_GBP | m
  }

  const sendTo = (p: number, port: number, t: number, r: number, descriptor: number, ttlTos: number): void =>
    send(p, port, descriptor, r, header0Of(p, t), remotes.vni[r]! << 8, ttlTos, (flags[t]! & T_GSO) !== 0)

  /** To one peer, which is the only one or not. Owns the packet. */
  const to = (p: number, port: number, t: number, r: number, isOnly: boolean): void => {
    look(p)
    // What a super-frame's segments are, or the frame
    const size = gsoType[p] === 0 || length[p]! < headerLength[p]! + gsoSize[p]! ? length[p]! : headerLength[p]! + gsoSize[p]!
    const own = mtu[port]!
    if (size > own + ETHERNET_HEADER + (tagged ? VLAN_TAG : 0) && !packets.recut(p, own + ETHERNET_HEADER)) {
      tooBig(p, t, own)
      return
    }
    const mode = df[t]!
    const isDf = mode === DF_SET || (mode === DF_INHERIT && isDontFragment())
    // Without DF the underlay cuts what its path does not take
    if (isDf) {
      const path = pathMtuTo(t, r)
      if (size > path + ETHERNET_HEADER && !packets.recut(p, path + ETHERNET_HEADER)) {
        tooBig(p, t, path)
        return
      }
    }
    const pool = isDf ? tunnels.sendDf[t]! : tunnels.send[t]!
    if (pool.length === 0) {
      packets.drop(p, UNDERLAY_UNREACHABLE)
      return
    }
    const h = flowHash(p)
    const index = ((h ^ (h >>> 16)) & 0x7fff) % pool.length
    const ttlTos = ttlTosOf(t)
    if (gsoType[p] !== 0 && tunnels.uplink[t]! >= 0 &&
      sendWhole(p, port, t, index, isDf, r, header0Of(p, t), remotes.vni[r]! << 8, ttlTos)) return
    if (isOnly) way.note(p, port, r, pool[index]!, ttlTos)
    sendTo(p, port, t, r, pool[index]!, ttlTos)
  }

  /** The first of a station's peers; -1, after telling who wants to know, when nobody knows any. */
  const remoteOf = (t: number, hi: number, lo: number): number => {
    let entry = fdb.find(t, hi, lo)
    if (entry < 0) entry = fdb.find(t, 0, 0)
    if (entry < 0) {
      if ((hi & 1) === 0 && (flags[t]! & T_L2MISS) !== 0) {
        tunnels.counters[t * TUNNEL_CELLS + TC_L2MISS]!++
        miss(t, hi, lo)
      }
      return -1
    }
    fdb.use(entry, clock.second)
    return fdb.portOf(entry)
  }

  /** A frame leaves the bridge by the port of a tunnel. Owns the packet. */
  return (p: number, port: number): void => {
    const t = layer3[port]!
    const known = way.find(p, port)
    if (known >= 0 && remotes.pathMtu[way.remote(known)] === 0) {
      sendTo(p, port, t, way.remote(known), way.descriptor(known), way.ttlTos(known))
      return
    }
    const at = start[p]!
    if (u16[(at + 12) >> 1] === ETHERTYPE_ARP_LE) {
      if ((flags[t]! & T_PROXY) !== 0) {
        proxy(p, t)
        return
      }
      if ((state[port]! & P_NEIGH_SUPPRESS) !== 0 && suppress(p, t)) return
    }
    const first = remoteOf(t, u16[at >> 1]!, i32[(at + 2) >> 2]!)
    if (first < 0) {
      packets.drop(p, NO_REMOTE)
      return
    }
    for (let r = remotes.next[first]!; r >= 0; r = remotes.next[r]!) {
      const c = packets.copy(p)
      if (c >= 0) to(c, port, t, r, false)
    }
    to(p, port, t, first, remotes.next[first]! < 0)
  }
}
