/**
 * Conversations: who talks with whom since when, so that answers find their way. One entry is both directions of a 5-tuple; its originator
 * is the end that opened it. ICMP queries have their identifier and the type of request in place of ports.
 *
 * Open addressing with linear probing; an entry is 64 bytes and lies in one cache line. The hash is the same for both directions.
 * Deletion shifts back the entries behind: an entry is a place in the table, good until the next change.
 *
 * Addresses and ports are kept as an aligned little-endian load of a header sees them ("as loaded"); getters that say so give host order.
 *
 * Policy when full (`capacity` entries; the table has twice as many places): among the entries near the place of the new one, one
 * whose time is over goes, else of those that were not answered yet or are closing the one whose time is over first; where there is none,
 * the new one is refused and counted.
 */
import { PROTOCOL_ICMP, PROTOCOL_TCP } from '../wire/ipv4.js'
import { firstTcp, ICMP_QUERY, isEvictable, nextTcp, TIMEOUTS, UDP_REPLIED, UDP_UNREPLIED } from './flow-states.js'

/** Words of an entry. */
export const SOURCE = 0
export const DESTINATION = 1
export const PORTS = 2
/** IP protocol, state << 8, bits << 16; 0: free. */
export const KIND = 3
/** The state of the policies under which it was let in; 0: it was not. */
export const GENERATION = 4
/** App of the originator, app of the responder << 16; 0: of no app here. */
export const APPS = 5
/** Last second in which it counts. */
export const DEADLINE = 6
/** Second in which it was opened. */
export const SINCE = 7
/** Ports of originator and responder here, NO_PORT for elsewhere; of the responder << 16. Good while GENERATION is. */
export const ROWS = 8
/** Epoch in which packets of the originator, and behind it of the responder, change nothing any more; but for TCP's SYN, FIN and RST. */
export const STAMP = 9
const STRIDE = 16

export const NO_PORT = 0xffff
const NOWHERE = -1
/** TCP flags that mean more than "here is more": FIN, SYN and RST. */
export const TCP_EVENTS = 7

/** `find` adds this to the entry when the packet comes from the responder. */
export const REPLY = 1

/** Places that are looked at for one that may go. */
const WINDOW = 32

export interface FlowsOptions {
  capacity?: number
  /** Any integer; unknown to hosts, so that they cannot arrange collisions. */
  seed?: number
}

/** Spreads a seed; murmur3's finaliser. */
const mix = (n: number): number => {
  let h = Math.imul(n ^ (n >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

const swap = (word: number): number => ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)

export type Flows = ReturnType<typeof createFlows>

export const createFlows = (options: FlowsOptions = {}) => {
  const capacity = options.capacity ?? 65536
  const seed = (options.seed ?? 0) | 0
  const m1 = mix(seed + 0x9e3779b9) | 1
  const m2 = mix(seed + 0x3c6ef372) | 1
  const m3 = mix(seed + 0x78dde6e4) | 1
  const log2 = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const places = 1 << log2
  // Shared memory begins at a page, so that no entry lies in two cache lines
  const t = new Int32Array(new SharedArrayBuffer(places * STRIDE * 4))
  const mask = t.length - 1
  const shift = 32 - log2
  let count = 0
  let last = 0 // where `peek` found something
  let changes = 0
  let sweepAt = 0
  const counters = { opened: 0, replaced: 0, refused: 0 }

  const end = (address: number, port: number): number => {
    const h = Math.imul(address ^ Math.imul(port + seed, m2), m1)
    return h ^ (h >>> 15)
  }

  const home = (source: number, destination: number, ports: number): number =>
    (Math.imul(end(source, ports & 0xffff) + end(destination, ports >>> 16), m3) >>> shift) * STRIDE

  /** Takes an entry away. */
  const remove = (entry: number): void => {
    let hole = entry
    for (let i = (hole + STRIDE) & mask; t[i + KIND] !== 0; i = (i + STRIDE) & mask) {
      const at = home(t[i + SOURCE]!, t[i + DESTINATION]!, t[i + PORTS]!)
      // It may stay where it is if its home lies behind the hole
      if (((i - at) & mask) < ((i - hole) & mask)) continue
      t.copyWithin(hole, i, i + STRIDE)
      hole = i
    }
    t[hole + KIND] = 0
    count--
    changes = (changes + 1) | 0
  }

  const search = (source: number, destination: number, ports: number, protocol: number, swapped: number): number => {
    let i = home(source, destination, ports)
    for (;;) {
      const kind = t[i + KIND]!
      if (kind === 0) return -1
      if ((kind & 0xff) === protocol) {
        if (t[i] === source && t[i + DESTINATION] === destination && t[i + PORTS] === ports) return i
        if (t[i] === destination && t[i + DESTINATION] === source && t[i + PORTS] === swapped) return i + REPLY
      }
      i = (i + STRIDE) & mask
    }
  }

  /** Like `find`, but of an entry whose time may be over. */
  const peek = (source: number, destination: number, ports: number, protocol: number): number => {
    const swapped = (ports << 16) | (ports >>> 16)
    const i = last
    if ((t[i + KIND]! & 0xff) === protocol) {
      // Mostly the same conversation as before
      if (t[i] === source) {
        if (t[i + DESTINATION] === destination && t[i + PORTS] === ports) return i
      } else if (t[i] === destination && t[i + DESTINATION] === source && t[i + PORTS] === swapped) return i + REPLY
    }
    const found = search(source, destination, ports, protocol, swapped)
    if (found >= 0) last = found & ~REPLY
    return found
  }

  /**
   * The conversation of a packet, by its addresses and ports as loaded: the entry if it comes from the originator, the entry + REPLY if it
   * comes from the responder, -1 if there is none. An entry whose time is over goes.
   */
  const find = (source: number, destination: number, ports: number, protocol: number, second: number): number => {
    const found = peek(source, destination, ports, protocol)
    if (found < 0 || t[(found & ~REPLY) + DEADLINE]! >= second) return found
    remove(found & ~REPLY)
    return -1
  }

  /** The entry of an ICMP query, whose originator is the asker: only that direction. -1 when there is none. */
  const findQuery = (asker: number, asked: number, identity: number, second: number): number => {
    let i = home(asker, asked, identity)
    for (;; i = (i + STRIDE) & mask) {
      const kind = t[i + KIND]!
      if (kind === 0) return -1
      if ((kind & 0xff) === PROTOCOL_ICMP && t[i] === asker && t[i + DESTINATION] === asked && t[i + PORTS] === identity) break
    }
    if (t[i + DEADLINE]! >= second) return i
    remove(i)
    return -1
  }

  /** Makes room near `at`; false when nothing there may go. */
  const makeRoom = (at: number, second: number): boolean => {
    let victim = -1
    for (let n = 0, i = at; n < WINDOW; n++, i = (i + STRIDE) & mask) {
      const kind = t[i + KIND]!
      if (kind === 0) continue
      if (t[i + DEADLINE]! < second) {
        remove(i)
        return true
      }
      if (isEvictable((kind >>> 8) & 0xff) && (victim < 0 || t[i + DEADLINE]! < t[victim + DEADLINE]!)) victim = i
    }
    if (victim < 0) return false
    remove(victim)
    counters.replaced++
    return true
  }

  /**
   * A new conversation, which is not there yet, from source to destination; its entry, or -1 when there is no room. `tcpFlags` are those of
   * the first segment.
   */
  const open = (
    source: number, destination: number, ports: number, protocol: number, tcpFlags: number, generation: number, apps: number, second: number,
    rows = NOWHERE
  ): number => {
    let i = home(source, destination, ports)
    if (count >= capacity && !makeRoom(i, second)) {
      counters.refused++
      return -1
    }
    while (t[i + KIND] !== 0) i = (i + STRIDE) & mask
    const state = protocol === PROTOCOL_TCP ? firstTcp(tcpFlags) : protocol === PROTOCOL_ICMP ? ICMP_QUERY : UDP_UNREPLIED
    t[i + SOURCE] = source
    t[i + DESTINATION] = destination
    t[i + PORTS] = ports
    t[i + KIND] = protocol | (state << 8)
    t[i + GENERATION] = generation
    t[i + APPS] = apps
    t[i + DEADLINE] = second + TIMEOUTS[state & 0xff]!
    t[i + SINCE] = second
    t[i + ROWS] = rows
    t[i + STAMP] = t[i + STAMP + REPLY] = 0
    count++
    counters.opened++
    last = i
    return i
  }

  /** The responder opens a conversation of its own: it is the originator from now on, and nothing of the old one counts. */
  const turn = (entry: number, tcpFlags: number, generation: number, apps: number, second: number, rows = NOWHERE): void => {
    const source = t[entry + SOURCE]!
    const ports = t[entry + PORTS]!
    const protocol = t[entry + KIND]! & 0xff
    const state = protocol === PROTOCOL_TCP ? firstTcp(tcpFlags) : UDP_UNREPLIED
    t[entry + SOURCE] = t[entry + DESTINATION]!
    t[entry + DESTINATION] = source
    t[entry + PORTS] = (ports << 16) | (ports >>> 16)
    t[entry + KIND] = protocol | (state << 8)
    t[entry + GENERATION] = generation
    t[entry + APPS] = apps
    t[entry + DEADLINE] = second + TIMEOUTS[state & 0xff]!
    t[entry + SINCE] = second
    t[entry + ROWS] = rows
    t[entry + STAMP] = t[entry + STAMP + REPLY] = 0
    changes = (changes + 1) | 0
  }

  /** State and bits of an entry after one more packet, << 8. */
  const step = (kind: number, tcpFlags: number, reply: number): number => {
    const protocol = kind & 0xff
    if (protocol === PROTOCOL_TCP) return nextTcp((kind >>> 8) & 0xff, kind >>> 16, tcpFlags, reply !== 0) << 8
    return reply !== 0 && protocol !== PROTOCOL_ICMP ? UDP_REPLIED << 8 : kind & ~0xff
  }

  /**
   * One more packet of a conversation: it has come further, and has time again. `reply`: REPLY or 0; `tcpFlags` 0 for others than TCP.
   * `epoch`: others like it change nothing while this is the epoch; 0 where they may.
   */
  const track = (entry: number, reply: number, tcpFlags: number, second: number, epoch: number): void => {
    const kind = t[entry + KIND]!
    const next = (kind & 0xff) | step(kind, tcpFlags, reply)
    if (next !== kind) {
      t[entry + KIND] = next
      t[entry + STAMP] = t[entry + STAMP + REPLY] = 0
    }
    t[entry + DEADLINE] = second + TIMEOUTS[(next >>> 8) & 0xff]!
    if ((tcpFlags & TCP_EVENTS) === 0) t[entry + STAMP + reply] = epoch
  }

  /** It has time again, and has come no further. */
  const refresh = (entry: number, second: number): void => {
    t[entry + DEADLINE] = second + TIMEOUTS[(t[entry + KIND]! >>> 8) & 0xff]!
  }

  /** Takes away entries whose time is over among the next `budget` places; returns how many went. */
  const sweep = (second: number, budget: number): number => {
    const before = count
    if (count === 0) return 0
    for (let n = Math.min(budget, places); n > 0; n--) {
      // Backwards: what moves into the hole was looked at already
      sweepAt = (sweepAt - STRIDE) & mask
      if (t[sweepAt + KIND] !== 0 && t[sweepAt + DEADLINE]! < second) remove(sweepAt)
    }
    return before - count
  }

  return {
    capacity, places,
    /** The entries' words. */
    t,
    counters, peek, find, findQuery, open, turn, track, refresh, sweep, remove,
    count: (): number => count,
    /** Goes up when an entry goes, moves or is turned; wraps. */
    changes: (): number => changes,
    /** Calls `visit(entry)` for all entries that count; it must not change the table. */
    forEach: (second: number, visit: (entry: number) => void): void => {
      for (let i = 0; i < t.length; i += STRIDE) if (t[i + KIND] !== 0 && t[i + DEADLINE]! >= second) visit(i)
    },
    /** In host order. */
    sourceOf: (entry: number): number => swap(t[entry + SOURCE]!) | 0,
    destinationOf: (entry: number): number => swap(t[entry + DESTINATION]!) | 0,
    /** In host order: of a query the identifier, and the type of request. */
    sourcePortOf: (entry: number): number => swap(t[entry + PORTS]!) >>> 16,
    destinationPortOf: (entry: number): number => swap(t[entry + PORTS]!) & 0xffff,
    protocolOf: (entry: number): number => t[entry + KIND]! & 0xff,
    /** Of flow-states.ts. */
    stateOf: (entry: number): number => (t[entry + KIND]! >>> 8) & 0xff,
    /** App ids; 0 for an end that is of no app here. */
    fromOf: (entry: number): number => t[entry + APPS]! & 0xffff,
    toOf: (entry: number): number => t[entry + APPS]! >>> 16,
    sinceOf: (entry: number): number => t[entry + SINCE]!,
    /** Last second in which it counts. */
    deadlineOf: (entry: number): number => t[entry + DEADLINE]!,
    generationOf: (entry: number): number => t[entry + GENERATION]!
  }
}
