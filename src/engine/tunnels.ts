/** The tunnels of an engine: tables and elements wired, what the underlay reports, and what is told about it. */
import type { Packets } from '../core/packets.js'
import { C_RX_BYTES, C_RX_MULTICAST, C_RX_PACKETS, PORT_CELLS, type Ports } from '../core/ports.js'
import { createTunnelArp } from '../element/tunnel-arp.js'
import { createTunnelInput } from '../element/tunnel-input.js'
import { createTunnelOutput } from '../element/tunnel-output.js'
import { createTunnelSender } from '../element/tunnel-sender.js'
import { createTunnelWay } from '../element/tunnel-way.js'
import { createTooBig } from '../element/tunnel-too-big.js'
import { createRuns, MAX_DATAGRAMS } from '../offload/runs.js'
import type { Without } from '../optimisations.js'
import { createDatagrams } from '../port/datagrams.js'
import { DATAGRAM_LEAD, RX_ERROR, SENDER_LEAD, type Rings } from '../port/rings.js'
import { createUplink } from '../port/uplink.js'
import { createFdb, type Fdb } from '../table/fdb.js'
import type { Sharing } from './sharing.js'
import type { Interfaces } from '../table/interfaces.js'
import { AF_INET, REMOTE_FREE, type Remotes } from '../table/remotes.js'
import { TC_L3MISS, TC_UNREACHABLE, T_L3MISS, TUNNEL_CELLS, createTunnels } from '../table/tunnels.js'
import { createRemoteCollector } from '../table/tunnel-collect.js'
import { createTunnelNeighbors } from '../table/tunnel-neighbors.js'
import { createUnmarkedPeers } from '../table/unmarked-peers.js'
import { VXLAN_HEADER } from '../wire/vxlan.js'

/** What is told about tunnels. */
export const TUNNEL_L2MISS = 0 // a: MAC hi, b: MAC lo
export const TUNNEL_L3MISS = 1 // a: IPv4 address
export const TUNNEL_UNREACHABLE = 2 // a: row of the remote, b: errno
export const TUNNEL_PATH_MTU = 3 // a: row of the remote, b: largest packet of the underlay
export const TUNNEL_UNMARKED = 4 // a: place of unmarkedPeers, b: its identity

export type OnTunnelEvent = (kind: number, tunnel: number, a: number, b: number) => void

/** Errors of a socket's queue (linux/errqueue.h). */
const EMSGSIZE = 90
const ORIGIN_ICMP = 2
const ORIGIN_ICMP6 = 3
/** How long a path MTU is believed (RFC 1191 6.3; net.ipv4.route.mtu_expires). */
const PATH_MTU_SECONDS = 600
const MIN_PATH_MTU = 68

export interface TunnelParts {
  packets: Packets
  ports: Ports
  rings: Rings
  remotes: Remotes
  bridgeFdb: Fdb
  interfaces: Interfaces
  clock: { now: number; second: number }
  random: () => number
  /** Optimisations left out. */
  without: Without
  sumRanges: (count: number) => void
  flush: () => void
  completeChecksum: (p: number) => boolean
  /** A frame enters the bridge by a tunnel's port; counted already. */
  deliver: (p: number, port: number) => void
  onEvent: OnTunnelEvent
  /** Other workers, who are to know what this one hears. */
  sharing: Sharing | undefined
}

export const createTunnelPath = ({
  packets, ports, rings, remotes, bridgeFdb, interfaces, clock, random, without, sumRanges, flush, completeChecksum, deliver, onEvent,
  sharing
}: TunnelParts) => {
  const tunnels = createTunnels()
  // Filtering id and bridge are the tunnel's row, port is the row of the remote
  const fdb = createFdb({
    seed: Math.floor(random() * 0x7fffffff),
    ...(sharing === undefined ? {} : { heard: (t, _bridge, hi, lo, remote, second) => sharing.farStation(t, hi, lo, remote, second) })
  })
  const neighbors = createTunnelNeighbors()
  const unmarked = createUnmarkedPeers()
  const { counters } = ports
  const { slotData, length, bytes, start, view, i32 } = packets

  const enter = (p: number, port: number): void => {
    const cells = port * PORT_CELLS
    counters[cells + C_RX_PACKETS]!++
    counters[cells + C_RX_BYTES]! += length[p]!
    if ((bytes[start[p]!]! & 1) !== 0) counters[cells + C_RX_MULTICAST]!++
    packets.inPort[p] = port
    deliver(p, port)
  }

  const collector = createRemoteCollector(fdb, remotes, flush)
  const collect = (): boolean => collector.collect(clock.second) > 0

  /** Does the tunnel's bridge have a station at another port? */
  const isElsewhere = (t: number, hi: number, lo: number): boolean => {
    const port = tunnels.port[t]!
    const entry = bridgeFdb.find(ports.filter[port]!, hi, lo)
    return entry >= 0 && bridgeFdb.portOf(entry) !== port
  }

  /** Is it an address of the tunnel's bridge, or of a router at it? */
  const isOwn = (t: number, address: number): boolean => {
    const bridge = ports.bridge[tunnels.port[t]!]!
    for (let i = 0; i < interfaces.capacity; i++) {
      if (interfaces.used[i] !== 0 && ports.bridge[interfaces.port[i]!] === bridge && interfaces.addresses[i]!.some((own) => own.address === address)) return true
    }
    return false
  }

  const answer = (p: number, t: number): void => enter(p, tunnels.port[t]!)
  const arp = createTunnelArp({
    packets, neighbors, tunnels, clock, answer, isOwn, isElsewhere,
    isBridgeLocal: (t, hi, lo) => {
      const entry = fdb.find(t, hi, lo)
      return entry >= 0 && remotes.isAddress(fdb.portOf(entry), AF_INET, 0, 0, 0, 0)
    },
    miss: (t, address) => {
      if ((tunnels.flags[t]! & T_L3MISS) === 0) return
      tunnels.counters[t * TUNNEL_CELLS + TC_L3MISS]!++
      onEvent(TUNNEL_L3MISS, t, address, 0)
    }
  })
  const tooBig = createTooBig({ packets, tunnels, clock, random, inject: answer })
  const headroom = !without.includes('headroom')
  const output = createTunnelOutput({
    packets, ports, tunnels, remotes, fdb, clock, proxy: arp.proxy, suppress: arp.suppress, tooBig: tooBig.tooBig,
    miss: (t, hi, lo) => onEvent(TUNNEL_L2MISS, t, hi, lo),
    way: createTunnelWay(packets, clock, () => (fdb.changes() + bridgeFdb.changes()) | 0, !without.includes('tunnel-way')),
    sendWhole: createUplink({ packets, rings, tunnels, flush, random, headroom }),
    send: createDatagrams({ packets, rings, sumRanges, flush, completeChecksum, headroom, gathers: !without.includes('tunnel-gather') })
  })
  const input = createTunnelInput({
    packets, ports, tunnels, fdb, clock, deliver: enter,
    sender: createTunnelSender({ i32, tunnels, remotes, unmarked, remembers: !without.includes('peer-cache'), collect }),
    coalesce: !without.includes('coalesce-tunnel'), slices: !without.includes('slices'), pieces: !without.includes('pieces'),
    runs: createRuns(packets, rings.sums, sumRanges, VXLAN_HEADER), maxDatagrams: MAX_DATAGRAMS
  })

  // Errors so far, and which of them each tunnel was told about last
  let errors = 0
  const toldOf = new Float64Array(tunnels.capacity)

  /** The underlay has told the largest packet on the way to an address; rows of it are told. */
  const setPathMtu = (family: number, a: number, b: number, c: number, d: number, mtu: number): void => {
    for (let r = 0; r < remotes.capacity; r++) {
      if (remotes.kind[r] === REMOTE_FREE || !remotes.isAddress(r, family, a, b, c, d)) continue
      remotes.pathMtu[r] = mtu
      remotes.pathMtuUntil[r] = clock.second + PATH_MTU_SECONDS
    }
  }

  /** An entry of a socket's error queue: struct sock_extended_err at the place of a frame, the destination before it. */
  const onError = (data: number): void => {
    const errno = view.getUint32(data, true)
    const origin = bytes[data + 4]!
    const info = view.getUint32(data + 8, true)
    const w = (data - SENDER_LEAD) >> 2
    const family = i32[w]! & 0xffff
    const o = family === AF_INET ? w + 1 : w + 2
    const fromPath = origin === ORIGIN_ICMP || origin === ORIGIN_ICMP6
    errors++
    if (sharing !== undefined && errno === EMSGSIZE && info >= MIN_PATH_MTU) {
      if (family === AF_INET) sharing.pathMtu(family, i32[o]!, 0, 0, 0, info)
      else sharing.pathMtu(family, i32[o]!, i32[o + 1]!, i32[o + 2]!, i32[o + 3]!, info)
    }
    for (let r = 0; r < remotes.capacity; r++) {
      if (remotes.kind[r] === REMOTE_FREE || !remotes.isAddress(r, family, i32[o]!, i32[o + 1]!, i32[o + 2]!, i32[o + 3]!)) continue
      const t = remotes.tunnel[r]!
      // A peer may have several rows; it is told and counted once
      const again = toldOf[t] === errors
      if (errno === EMSGSIZE && info >= MIN_PATH_MTU) {
        if (remotes.pathMtu[r] !== info && !again) onEvent(TUNNEL_PATH_MTU, t, r, info)
        remotes.pathMtu[r] = info
        remotes.pathMtuUntil[r] = clock.second + PATH_MTU_SECONDS
      } else if (fromPath) {
        remotes.unreachable[r] = remotes.unreachable[r]! + 1
        if (!again) {
          tunnels.counters[t * TUNNEL_CELLS + TC_UNREACHABLE]!++
          onEvent(TUNNEL_UNREACHABLE, t, r, errno)
        }
      }
      toldOf[t] = errors
    }
  }

  return {
    tunnels, fdb, neighbors, unmarked, output, collector, collect, setPathMtu,
    /** A packet with this mark was let in to no app, as it has none: a peer's, where it came out of a tunnel, is told. */
    onUnmarked: (mark: number): void => {
      const place = unmarked.placeOf(mark)
      if (place >= 0) onEvent(TUNNEL_UNMARKED, unmarked.tunnelOf(place), place, unmarked.identityOf(place))
    },
    /** An rx entry of a socket: `flags` are those of port/rings.ts. */
    receive: (slot: number, size: number, socket: number, flags: number): void => {
      if ((flags & RX_ERROR) !== 0) {
        onError(slotData[slot]!)
        packets.giveSlot(slot)
      } else input.receive(slot, size, socket, flags >>> 16, (flags >>> 8) & 0xff)
    },
    /** Looks through part of the table for entries that are too old. */
    sweep: (now: number, slots: number): void => {
      fdb.sweep(now, slots)
    }
  }
}

/** The payload of a datagram begins as far before a frame as its header is long. */
if (DATAGRAM_LEAD !== VXLAN_HEADER) throw new Error('datagrams are received where the frames in them do not lie right')

