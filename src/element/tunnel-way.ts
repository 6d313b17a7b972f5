/**
 * The way of the last packet into a tunnel, which the next one of its flow takes, too: peer, socket, and the outer header's TTL and TOS. Only for
 * the plain case, a packet over IPv4 in one piece and without tags or options, to a station with one peer whose path has told nothing. It holds
 * for the second, and the state of the tables, it was found in.
 */
import type { Packets } from '../core/packets.js'
import { ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'
import { FLAG_DF_LE, NO_OPTIONS } from '../wire/ipv4.js'

/** Words of what is remembered: what a packet must be like, */
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
const SECOND = 10
const CHANGES = 11
const OPERATIONS = 12
/** and where it goes. */
const REMOTE = 13
const DESCRIPTOR = 14
const TTL_TOS = 15

/** Ethernet header, IPv4 header and ports. */
const LEAST = 38

export type TunnelWay = ReturnType<typeof createTunnelWay>

/** `changes` goes up with stations behind tunnels, `operations` with commands and what else answers are remembered for. */
export const createTunnelWay = (packets: Packets, clock: { second: number }, changes: () => number, operations: () => number, isOn = true) => {
  const { start, length, gsoType, u16, i32 } = packets
  const last = new Int32Array(16).fill(-1)
  return {
    /** Does it take the way of the last one? */
    isSame: (p: number, port: number): boolean => {
      const at = start[p]!
      const w = (at + 14) >> 2
      return last[PORT] === port && gsoType[p] === 0 && u16[(at + 12) >> 1] === ETHERTYPE_IPV4_LE && last[MAC_LO] === i32[w - 3] &&
        last[MAC_HI] === u16[at >> 1] && last[DESTINATION] === i32[w + 4] && last[SOURCE] === i32[w + 3] && last[PORTS] === i32[w + 5] &&
        last[VERSION_TOS] === (i32[w]! & 0xffff) && last[FRAGMENT] === i32[w + 1]! >>> 16 && last[TTL_PROTOCOL] === (i32[w + 2]! & 0xffff) &&
        length[p]! <= last[LENGTH]! && length[p]! >= LEAST && last[SECOND] === clock.second && last[CHANGES] === changes() &&
        last[OPERATIONS] === operations()
    },
    /** Remembers the way of a packet that fits and was sent by itself, to a station that has this one peer. */
    note: (p: number, port: number, remote: number, descriptor: number, ttlTos: number): void => {
      const at = start[p]!
      const w = (at + 14) >> 2
      const fragment = i32[w + 1]! >>> 16
      if (!isOn || gsoType[p] !== 0 || u16[(at + 12) >> 1] !== ETHERTYPE_IPV4_LE || length[p]! < LEAST || (i32[w]! & 0xff) !== NO_OPTIONS ||
        (fragment !== 0 && fragment !== FLAG_DF_LE)) return
      last[PORT] = port
      last[MAC_HI] = u16[at >> 1]!
      last[MAC_LO] = i32[w - 3]!
      last[VERSION_TOS] = i32[w]! & 0xffff
      last[FRAGMENT] = fragment
      last[TTL_PROTOCOL] = i32[w + 2]! & 0xffff
      last[SOURCE] = i32[w + 3]!
      last[DESTINATION] = i32[w + 4]!
      last[PORTS] = i32[w + 5]!
      last[LENGTH] = length[p]!
      last[SECOND] = clock.second
      last[CHANGES] = changes()
      last[OPERATIONS] = operations()
      last[REMOTE] = remote
      last[DESCRIPTOR] = descriptor
      last[TTL_TOS] = ttlTos
    },
    remote: (): number => last[REMOTE]!,
    descriptor: (): number => last[DESCRIPTOR]!,
    ttlTos: (): number => last[TTL_TOS]!
  }
}
