/**
 * Out of a VXLAN tunnel (RFC 7348 section 4, vxlan_rcv() of drivers/net/vxlan/vxlan_core.c): the header is checked, the tunnel found by its VNI,
 * the sender learned, congestion marks brought in (RFC 6040 4.2), and the frame enters the bridge by the tunnel's port.
 *
 * The underlay may hand over several datagrams as one (UDP_GRO): runs of one inner flow go on as a single super-frame. A kernel peer on
 * the same machine shows two more things, because its packets never saw a wire: a super-frame in one datagram, and checksums still to
 * be completed. Both are recognised here.
 */
import type { Packets } from '../core/packets.js'
import { F_GUESSED, F_NEEDS_CSUM } from '../core/packets.js'
import { P_UP, type Ports } from '../core/ports.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6 } from '../core/layout.js'
import {
  ECN_INVALID, NO_BUFFER, OK, PORT_DOWN, VXLAN_INNER_MALFORMED, VXLAN_INNER_VLAN, VXLAN_OWN_SOURCE, VXLAN_STATION_ELSEWHERE, VXLAN_TRUNCATED,
  VXLAN_VNI_UNKNOWN
} from '../reason.js'
import { FDB_FULL, FDB_MOVED, FDB_STICKY, type Fdb } from '../table/fdb.js'
import {
  T_DROP_INNER_VLAN, T_GBP, T_LEARNING, TC_FULL, TC_MOVED, TUNNEL_CELLS, type Tunnels
} from '../table/tunnels.js'
import { fold, pseudoSum, sumAligned, swap16, updateChecksum } from '../wire/checksum.js'
import {
  ETHERNET_HEADER, ETHERTYPE_IPV4_LE, ETHERTYPE_IPV6_LE, ETHERTYPE_QINQ_LE, ETHERTYPE_VLAN_LE, VLAN_TAG
} from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import * as udp from '../wire/udp.js'
import * as vxlan from '../wire/vxlan.js'
import type { TunnelSender } from './tunnel-sender.js'

const { VXLAN_HEADER } = vxlan
const IPV6_HEADER = 40
const MAX_TAGS = 2

const ECN_MASK = 3
const ECN_ECT1 = 1
const ECN_ECT0 = 2
const ECN_CE = 3

/** Finds runs in a piece of memory: offload/runs.ts. */
export interface RunFinder {
  look(at: number, size: number, each: number, count: number): void
  extent(first: number, count: number): number
  join(p: number, first: number, run: number): void
}

export interface TunnelInputParts {
  packets: Packets
  ports: Ports
  tunnels: Tunnels
  sender: TunnelSender
  fdb: Fdb
  clock: { second: number }
  runs: RunFinder
  /** Datagrams that `runs` looks at in one go. */
  maxDatagrams: number
  /** Off: datagrams that came as one go on one by one. */
  coalesce: boolean
  /** Off: frames that came in one piece of memory are moved apart; super-frames in pieces are put together. */
  slices: boolean
  pieces: boolean
  /** A frame enters the bridge by a tunnel's port. */
  deliver: (p: number, port: number) => void
}

export const createTunnelInput = ({
  packets, ports, tunnels, sender, fdb, clock, runs, maxDatagrams, coalesce, slices, pieces, deliver
}: TunnelInputParts) => {
  const { start, length, inPort, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, mark, slotData, u16, i32, bytes, view } = packets
  const { counters } = tunnels

  /** Learns who sent it from where; false when a static entry says that this cannot be. */
  const learn = (p: number, t: number): boolean => {
    const word = (start[p]! + 6) >> 1
    const hi = u16[word]!
    const lo = u16[word + 1]! | (u16[word + 2]! << 16)
    if ((hi & 1) !== 0 || (hi | lo) === 0) return true // the bridge drops it
    const r = sender.row(t)
    if (r < 0) {
      counters[t * TUNNEL_CELLS + TC_FULL]!++
      return true
    }
    switch (fdb.learn(t, t, hi, lo, r, clock.second)) {
      case FDB_STICKY: return sender.is(fdb.portOf(fdb.find(t, hi, lo)))
      case FDB_MOVED:
        counters[t * TUNNEL_CELLS + TC_MOVED]!++
        return true
      case FDB_FULL:
        counters[t * TUNNEL_CELLS + TC_FULL]!++
        return true
      default: return true
    }
  }

  /** Brings the outer congestion mark in; false for a packet that must be dropped. */
  const decapsulateEcn = (p: number, outer: number): boolean => {
    const o = start[p]! + ETHERNET_HEADER
    const type = u16[(o - 2) >> 1]!
    const v4 = type === ETHERTYPE_IPV4_LE
    if (!v4 && type !== ETHERTYPE_IPV6_LE) return true
    if (length[p]! < ETHERNET_HEADER + (v4 ? ipv4.IPV4_HEADER : IPV6_HEADER)) return outer !== ECN_CE
    const inner = (v4 ? bytes[o + ipv4.OFF_TOS]! : bytes[o + 1]! >>> 4) & ECN_MASK
    if (inner === 0) return outer !== ECN_CE
    const ecn = outer === ECN_CE ? ECN_CE : outer === ECN_ECT1 && inner === ECN_ECT0 ? ECN_ECT1 : inner
    if (ecn === inner) return true
    if (v4) {
      const before = view.getUint16(o)
      bytes[o + ipv4.OFF_TOS] = (bytes[o + ipv4.OFF_TOS]! & ~ECN_MASK) | ecn
      view.setUint16(o + ipv4.OFF_CHECKSUM, updateChecksum(view.getUint16(o + ipv4.OFF_CHECKSUM), before, view.getUint16(o)))
    } else bytes[o + 1] = (bytes[o + 1]! & ~(ECN_MASK << 4)) | (ecn << 4)
    return true
  }

  /**
   * A checksum that only holds the sum of the pseudo-header is one that was never completed: its packet came without a wire. One in 65536
   * complete ones looks the same; completing it again does no harm.
   */
  const seePartial = (p: number, port: number): void => {
    const at = start[p]!
    const end = at + length[p]!
    let o = at + ETHERNET_HEADER
    let type = u16[(o - 2) >> 1]!
    while ((type === ETHERTYPE_VLAN_LE || type === ETHERTYPE_QINQ_LE) && o < at + ETHERNET_HEADER + MAX_TAGS * VLAN_TAG && o + VLAN_TAG <= end) {
      type = u16[(o + 2) >> 1]!
      o += VLAN_TAG
    }
    let l4 = 0
    let protocol = 0
    let sum = 0 // of little-endian words
    if (type === ETHERTYPE_IPV4_LE) {
      if (o + ipv4.IPV4_HEADER > end || bytes[o]! >>> 4 !== 4) return
      if ((view.getUint16(o + ipv4.OFF_FLAGS_FRAGMENT) & (ipv4.FLAG_MF | ipv4.FRAGMENT_MASK)) !== 0) return
      l4 = o + ipv4.headerLength(view, o)
      protocol = bytes[o + ipv4.OFF_PROTOCOL]!
      const size = swap16(o + ipv4.totalLength(view, o) - l4)
      sum = pseudoSum(i32[(o + ipv4.OFF_SOURCE) >> 2]!, i32[(o + ipv4.OFF_DESTINATION) >> 2]!, protocol << 8, size)
    } else if (type === ETHERTYPE_IPV6_LE) {
      if (o + IPV6_HEADER > end) return
      l4 = o + IPV6_HEADER
      protocol = bytes[o + 6]!
      sum = sumAligned(i32, o + 8, 32) + (protocol << 8) + u16[(o + 4) >> 1]!
    } else return
    const isTcp = protocol === ipv4.PROTOCOL_TCP
    if (!isTcp && protocol !== ipv4.PROTOCOL_UDP) return
    const offset = isTcp ? tcp.OFF_CHECKSUM : udp.OFF_CHECKSUM
    if (l4 + (isTcp ? tcp.TCP_HEADER : udp.UDP_HEADER) > end || u16[(l4 + offset) >> 1] !== fold(sum)) return
    flags[p] = flags[p]! | F_NEEDS_CSUM
    csumStart[p] = l4 - at
    csumOffset[p] = offset
    // Larger than the link: a super-frame whose segment size nobody told; segments as large as the link takes are right for any receiver
    const most = o - at + ports.mtu[port]!
    if (!isTcp || length[p]! <= most) return
    const header = l4 - at + tcp.headerLength(view, l4)
    const segment = most - header
    if (header < l4 - at + tcp.TCP_HEADER || at + header > end || segment <= 0) return
    const isCwr = (bytes[l4 + tcp.OFF_FLAGS]! & tcp.FLAG_CWR) !== 0
    gsoType[p] = (type === ETHERTYPE_IPV4_LE ? GSO_TCPV4 : GSO_TCPV6) | (isCwr ? GSO_ECN : 0)
    gsoSize[p] = segment
    flags[p] = flags[p]! | F_GUESSED
    headerLength[p] = header
  }

  /** A frame, alone or a super-frame of several, is out of its tunnel. Owns the packet. */
  const accept = (p: number, t: number, outerTos: number): void => {
    const port = tunnels.port[t]!
    const at = start[p]!
    inPort[p] = port
    if (length[p]! < ETHERNET_HEADER) {
      packets.drop(p, VXLAN_INNER_MALFORMED)
      return
    }
    if ((ports.state[port]! & P_UP) === 0) { // and nothing is learned
      packets.drop(p, PORT_DOWN)
      return
    }
    const f = tunnels.flags[t]!
    if (u16[(at + 6) >> 1] === tunnels.macHi[t] && (u16[(at + 8) >> 1]! | (u16[(at + 10) >> 1]! << 16)) === tunnels.macLo[t]) {
      packets.drop(p, VXLAN_OWN_SOURCE)
      return
    }
    if ((f & T_LEARNING) !== 0 && !learn(p, t)) {
      packets.drop(p, VXLAN_STATION_ELSEWHERE)
      return
    }
    const outer = outerTos & ECN_MASK
    if (outer !== 0 && !decapsulateEcn(p, outer)) {
      packets.drop(p, ECN_INVALID)
      return
    }
    if ((f & T_DROP_INNER_VLAN) !== 0) {
      const type = u16[(at + 12) >> 1]!
      if (type === ETHERTYPE_VLAN_LE || type === ETHERTYPE_QINQ_LE) {
        packets.drop(p, VXLAN_INNER_VLAN)
        return
      }
    }
    if (gsoType[p] === 0) seePartial(p, port)
    deliver(p, port)
  }

  /** The tunnel of the datagram at `at`, `size` bytes; -1 when `p` was dropped for it. */
  const tunnelOf = (p: number, at: number, size: number, socket: number): number => {
    if (size < VXLAN_HEADER) {
      packets.drop(p, VXLAN_TRUNCATED)
      return -1
    }
    let why = vxlan.check(view, at)
    if (why !== OK) {
      packets.drop(p, why)
      return -1
    }
    const t = tunnels.find(socket, vxlan.vni(view, at))
    if (t < 0) {
      packets.drop(p, VXLAN_VNI_UNKNOWN)
      return -1
    }
    inPort[p] = tunnels.port[t]!
    const gbp = (tunnels.flags[t]! & T_GBP) !== 0
    why = vxlan.checkReserved(view, at, gbp)
    if (why !== OK) {
      packets.drop(p, why)
      return -1
    }
    if (gbp) {
      const m = vxlan.mark(view, at)
      mark[p] = (m & vxlan.GBP_ID_MASK) === 0 ? m | sender.tag(t) : m
    }
    return t
  }

  const datagram = (p: number, at: number, size: number, socket: number, outerTos: number): void => {
    const t = tunnelOf(p, at, size, socket)
    if (t >= 0) accept(p, t, outerTos)
  }

  /** A frame of its own for datagrams that lie where frames must not begin; `p` is their slice. */
  const aligned = (p: number): number => {
    if (slices && (start[p]! & 3) === 2) return p
    const own = packets.piece(p, length[p]!)
    if (own < 0) {
      packets.drop(p, NO_BUFFER)
      return -1
    }
    bytes.copyWithin(start[own]!, start[p]!, start[p]! + length[p]!)
    mark[own] = mark[p]!
    packets.merged(p)
    return own
  }

  /** The super-frame that the run of datagrams from `i` on has become; `p` begins as the first of them. */
  const joined = (p: number, i: number, run: number): number => {
    runs.join(p, i, run)
    if (!slices) packets.moveApart(p)
    else if (!pieces) packets.linearize(p)
    return p
  }

  /** Several datagrams of `each` bytes in one piece of memory. */
  const several = (whole: number, at: number, size: number, each: number, socket: number, outerTos: number): void => {
    const count = Math.ceil(size / each)
    for (let from = 0; from < count; from += maxDatagrams) {
      const n = Math.min(maxDatagrams, count - from)
      const base = at + from * each
      const part = Math.min(size - from * each, n * each)
      if (coalesce) runs.look(base, part, each, n)
      for (let i = 0; i < n;) {
        const begin = base + i * each
        const bytesOf = Math.min(each, part - i * each)
        // What comes later in this memory must not be overwritten before it was looked at: `join` writes to its run only
        const run = coalesce && ((begin + VXLAN_HEADER) & 3) === 2 ? runs.extent(i, n) : 1
        if (run === count) { // all of it is one flow: the packet itself goes on
          const t = tunnelOf(whole, begin, bytesOf, socket)
          if (t < 0) return
          runs.join(whole, i, run)
          if (!pieces) packets.linearize(whole)
          accept(whole, t, outerTos)
          return
        }
        const p = packets.slice(whole, begin + VXLAN_HEADER, Math.max(bytesOf - VXLAN_HEADER, 0), -1)
        if (p >= 0) {
          const t = tunnelOf(p, begin, bytesOf, socket)
          if (t >= 0) {
            const q = run > 1 ? joined(p, i, run) : aligned(p)
            if (q >= 0) accept(q, t, outerTos)
          }
        }
        i += run
      }
    }
    packets.merged(whole)
  }

  /**
   * What a socket has received: `size` bytes at 8 before the place of a frame in slot `s`, its sender's sockaddr at 42 before it. `each`: bytes of
   * each datagram of several, 0 for one.
   */
  const receive = (s: number, size: number, socket: number, each: number, outerTos: number): void => {
    const data = slotData[s]!
    sender.heard((data - 42) >> 2)
    const p = packets.received(s, size < VXLAN_HEADER ? 0 : size - VXLAN_HEADER, -1)
    if (p < 0) return
    const at = data - VXLAN_HEADER
    if (each === 0 || each >= size) datagram(p, at, size, socket, outerTos)
    else several(p, at, size, each, socket, outerTos)
  }

  return { receive }
}
