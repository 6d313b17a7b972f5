/**
 * The short way of forwarded packets: what went the long way a moment ago, through all elements, from one interface of a router to a bridge port,
 * goes there again at once when nothing has changed. (The kernel's flow tables do the same, net/netfilter/nf_flow_table_ip.c.)
 *
 * Only the plain case is short: IPv4 without options, its header sound, to the interface's own address, alone in its slot, with time to live,
 * that fits the link, to a neighbour that is reachable. All else, and the first packet of every second, goes the long way, which alone
 * decides. Addresses of packets are compared as they lie in the frame.
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST, F_OWN } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { C_RX_BYTES, C_RX_PACKETS, C_TX_BYTES, C_TX_PACKETS, PORT_CELLS, P_FORWARDING } from '../core/ports.js'
import type { Interfaces } from '../table/interfaces.js'
import { NUD_CONNECTED, type Neighbors } from '../table/neighbors.js'
import { createPathCache, MAC_HI, MAC_LO, NEIGHBOR, outOf, portOf, STAMP, WAY } from '../table/path-cache.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'
import { IPV4_HEADER, NO_OPTIONS } from '../wire/ipv4.js'

/** Answers of `forward` that are no places. */
export const FORWARDED = -2
export const NOT_PLAIN = -1

export interface FastPathParts {
  packets: Packets
  ports: Ports
  interfaces: Interfaces
  neighbors: Neighbors
  clock: { second: number }
  /** Counts changes of the bridges' forwarding databases, and operations: of routes, addresses, interfaces, switches. */
  changes: () => number
  /** The way out of a bridge by a port. Owns the packet. */
  output: (p: number, port: number) => void
}

export type FastPath = ReturnType<typeof createFastPath>

export const createFastPath = ({ packets, ports, interfaces, neighbors, clock, changes, output }: FastPathParts) => {
  const { start, length, flags, gsoType, gsoSize, headerLength, inPort, l3, l4, u16, i32 } = packets
  const { counters, state } = ports
  const { macHi, macLo, mtu, port: bridgeSide } = interfaces
  const { state: neighborState, stamp } = neighbors
  const cache = createPathCache()
  const { words } = cache
  // The packet that goes the long way and may be followed by others; -1 when there is none
  let watched = -1
  let place = 0
  let from = 0
  let to = 0
  let by = 0

  const epoch = (): number => cache.epoch(changes(), clock.second)

  /** RFC 1071 over the five words from `w` on. */
  const isSound = (w: number): boolean => {
    const a = i32[w]!
    const b = i32[w + 1]!
    const c = i32[w + 2]!
    const d = i32[w + 3]!
    const e = i32[w + 4]!
    const sum = (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) + (c & 0xffff) + (c >>> 16) + (d & 0xffff) + (d >>> 16) + (e & 0xffff) + (e >>> 16)
    const folded = (sum & 0xffff) + (sum >>> 16)
    return (folded & 0xffff) + (folded >>> 16) === 0xffff
  }

  /**
   * Sends a frame that has come to interface `iface` through bridge port `port` the short way: FORWARDED. Else nothing has happened to it, and
   * the answer is NOT_PLAIN or the place to `watch` it for.
   */
  const forward = (p: number, port: number, iface: number): number => {
    const at = start[p]!
    const w = (at + 2) >> 2 // the frame starts at 2 modulo 4: word of its bytes 2 to 5
    const available = length[p]! - ETHERNET_HEADER
    if (
      available < IPV4_HEADER || i32[w + 2]! >>> 16 !== ETHERTYPE_IPV4_LE || i32[w] !== macLo[iface] || u16[at >> 1] !== macHi[iface] ||
      (flags[p]! & (F_LINK_BROADCAST | F_OWN)) !== 0
    ) return NOT_PLAIN
    const first = i32[w + 3]!
    if ((first & 0xff) !== NO_OPTIONS || packets.isShared(p)) return NOT_PLAIN
    const source = i32[w + 6]!
    const destination = i32[w + 7]!
    const slot = cache.slotOf(iface, source, destination)
    if (!cache.holds(slot, iface, source, destination, epoch()) || words[slot + STAMP] !== stamp[words[slot + NEIGHBOR]!]) return slot
    const way = words[slot + WAY]!
    const out = outOf(way)
    const onward = bridgeSide[out]!
    const lifetime = i32[w + 5]!
    const total = ((first >>> 8) & 0xff00) | (first >>> 24)
    if (
      total > available || total < IPV4_HEADER || (lifetime & 0xff) <= 1 || !isSound(w + 3) || (state[onward]! & P_FORWARDING) !== P_FORWARDING ||
      (gsoType[p] === 0 ? total : headerLength[p]! + gsoSize[p]! - ETHERNET_HEADER) > mtu[out]!
    ) return NOT_PLAIN
    const size = length[p]!
    const c = port * PORT_CELLS
    counters[c + C_TX_PACKETS]!++
    counters[c + C_TX_BYTES]! += size
    // TTL minus one and RFC 1624 on the word that holds TTL, protocol and checksum. A sum of 0xffff becomes 0: no full computation gives 0xffff
    let sum = (((lifetime >>> 24) & 0xff) | ((lifetime >>> 8) & 0xff00)) + 0x100
    if (sum >= 0xffff) sum = (sum + 1) & 0xffff
    i32[w + 5] = ((lifetime & 0xffff) - 1) | ((sum >>> 8) << 16) | ((sum & 0xff) << 24)
    const hi = macHi[out]!
    const lo = macLo[out]!
    u16[at >> 1] = words[slot + MAC_HI]!
    i32[w] = words[slot + MAC_LO]!
    i32[w + 1] = hi | (lo << 16)
    i32[w + 2] = (lo >>> 16) | (ETHERTYPE_IPV4_LE << 16)
    l3[p] = at + ETHERNET_HEADER
    l4[p] = at + ETHERNET_HEADER + IPV4_HEADER
    inPort[p] = onward
    const left = ETHERNET_HEADER + total
    if (left < size) length[p] = left // what follows is the link's padding
    const d = onward * PORT_CELLS
    counters[d + C_RX_PACKETS]!++
    counters[d + C_RX_BYTES]! += left
    output(p, portOf(way))
    return FORWARDED
  }

  return {
    forward,
    /** A packet that `forward` gave this place goes the long way from interface `iface` on, as the next thing that happens. */
    watch: (p: number, at: number, iface: number): void => {
      const w = (start[p]! + 2) >> 2
      watched = p
      place = at
      from = i32[w + 6]!
      to = i32[w + 7]!
      by = iface
    },
    /** Packet `p` leaves by interface row `out`, to the neighbour of row `neighbor`: is it the one that came, and others may follow? Its bytes are looked at. */
    mayFollow: (p: number, out: number, neighbor: number): boolean => {
      if (p !== watched || (flags[p]! & F_OWN) !== 0 || out === by || neighbor < 0 || (neighborState[neighbor]! & NUD_CONNECTED) === 0) return false
      const w = (start[p]! + 2) >> 2
      return i32[w + 2]! >>> 16 === ETHERTYPE_IPV4_LE && i32[w + 6] === from && i32[w + 7] === to
    },
    /** The packet that may be followed has left by that bridge port: others go there at once. */
    remember: (out: number, port: number, neighbor: number): void => {
      cache.put(place, by, from, to, epoch(), out, port, neighbor, stamp[neighbor]!, neighbors.macHi[neighbor]!, neighbors.macLo[neighbor]!)
      watched = -1
    },
    /** The packet that came has ended, or waits. */
    end: (): void => {
      watched = -1
    }
  }
}
