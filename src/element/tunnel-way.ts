/**
 * The ways that packets took into tunnels, which the next ones of their flows take, too: peer, socket, and the outer header's TTL and TOS. A
 * direct-mapped cache, only for the plain case: a packet over IPv4 in one piece and without tags or options, to a station with one peer whose
 * path has told nothing. An entry holds for the second, and the state of the tables, it was made in. Two flows that fall on one place push each
 * other out.
 */
import type { Packets } from '../core/packets.js'
import { createEpoch } from '../table/epoch.js'
import { ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'
import { FLAG_DF_LE, NO_OPTIONS } from '../wire/ipv4.js'

const BITS = 16
/** Words of an entry: what a packet must be like, */
const STRIDE = 16
const PORT = 0
const MAC_HI = 1
const MAC_LO = 2
const VERSION_TOS = 3
const FRAGMENT = 4
const TTL_PROTOCOL = 5
const SOURCE = 6
const DESTINATION = 7
const PORTS = 8
/** no longer than, */
const LENGTH = 9
/** when, */
const EPOCH = 10
/** and where it goes. */
const REMOTE = 11
const DESCRIPTOR = 12
const TTL_TOS = 13

/** Ethernet header, IPv4 header and ports. */
const LEAST = 38

export type TunnelWay = ReturnType<typeof createTunnelWay>

/** `changes` goes up with stations behind tunnels, with commands and with what else answers are remembered for. */
export const createTunnelWay = (packets: Packets, clock: { second: number }, changes: () => number, isOn = true) => {
  const { start, length, gsoType, u16, i32 } = packets
  // Zero is no epoch, and memory that was never written takes none of the machine's
  const t = new Int32Array(STRIDE << BITS)
  const epoch = createEpoch(() => t.fill(0))

  /** Of a packet whose IPv4 header is at word `w`. */
  const slotOf = (w: number): number => {
    const source = i32[w + 3]!
    const h = Math.imul(i32[w + 5]! ^ source ^ (source >>> 15), 0x9e3779b1) ^ i32[w + 4]! ^ i32[w - 3]!
    return (Math.imul(h ^ (h >>> 15), 0x85ebca6b) >>> (32 - BITS)) * STRIDE
  }

  return {
    /** The entry that has the way of a packet, -1 when there is none. */
    find: (p: number, port: number): number => {
      const at = start[p]!
      const w = (at + 14) >> 2
      const e = slotOf(w)
      return t[e + SOURCE] === i32[w + 3] && t[e + PORTS] === i32[w + 5] && t[e + DESTINATION] === i32[w + 4] && t[e + MAC_LO] === i32[w - 3] &&
        t[e + MAC_HI] === u16[at >> 1] && t[e + PORT] === port && gsoType[p] === 0 && u16[(at + 12) >> 1] === ETHERTYPE_IPV4_LE &&
        t[e + VERSION_TOS] === (i32[w]! & 0xffff) && t[e + FRAGMENT] === i32[w + 1]! >>> 16 && t[e + TTL_PROTOCOL] === (i32[w + 2]! & 0xffff) &&
        length[p]! <= t[e + LENGTH]! && length[p]! >= LEAST && t[e + EPOCH] === epoch(changes(), clock.second)
        ? e
        : -1
    },
    /** Remembers the way of a packet that fits and was sent by itself, to a station that has this one peer. */
    note: (p: number, port: number, remote: number, descriptor: number, ttlTos: number): void => {
      const at = start[p]!
      const w = (at + 14) >> 2
      const fragment = i32[w + 1]! >>> 16
      if (!isOn || gsoType[p] !== 0 || u16[(at + 12) >> 1] !== ETHERTYPE_IPV4_LE || length[p]! < LEAST || (i32[w]! & 0xff) !== NO_OPTIONS ||
        (fragment !== 0 && fragment !== FLAG_DF_LE)) return
      const e = slotOf(w)
      t[e + PORT] = port
      t[e + MAC_HI] = u16[at >> 1]!
      t[e + MAC_LO] = i32[w - 3]!
      t[e + VERSION_TOS] = i32[w]! & 0xffff
      t[e + FRAGMENT] = fragment
      t[e + TTL_PROTOCOL] = i32[w + 2]! & 0xffff
      t[e + SOURCE] = i32[w + 3]!
      t[e + DESTINATION] = i32[w + 4]!
      t[e + PORTS] = i32[w + 5]!
      t[e + LENGTH] = length[p]!
      t[e + EPOCH] = epoch(changes(), clock.second)
      t[e + REMOTE] = remote
      t[e + DESCRIPTOR] = descriptor
      t[e + TTL_TOS] = ttlTos
    },
    remote: (e: number): number => t[e + REMOTE]!,
    descriptor: (e: number): number => t[e + DESCRIPTOR]!,
    ttlTos: (e: number): number => t[e + TTL_TOS]!
  }
}
