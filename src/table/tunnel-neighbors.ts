/**
 * Neighbours of VXLAN ports: (tunnel row, IPv4 address) to MAC address and state, what `ip neigh ... dev` a VXLAN port changes and the
 * tunnel's ARP answers are made from. The stations are on the far side: nobody here asks for them, so that entries are set by hand or by a
 * control plane and only age. A reachable entry becomes stale when its time is over (base_reachable_time of net/core/neighbour.c, without
 * its random spread); there is nothing to wait for and nothing to probe.
 *
 * Rows are stable as long as the entry lives. Policy when full (`capacity` entries, all tunnels together): a new entry is refused.
 */
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_FULL, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_OK, NO_MAC, NUD_DELAY, NUD_FAILED,
  NUD_NONE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE, NUD_VALID
} from './neighbors.js'

/** Milliseconds an entry set reachable stays so (net.ipv4.neigh.default.base_reachable_time_ms). */
const REACHABLE_TIME_MS = 30_000

const SETTABLE = NUD_VALID | NUD_FAILED

export interface TunnelNeighborsOptions {
  /** Most entries there can be, of all tunnels. */
  capacity?: number
  /** Milliseconds from reachable to stale. */
  reachableTime?: number
  /** Any integer; makes hash collisions hard to arrange. */
  seed?: number
}

export type TunnelNeighbors = ReturnType<typeof createTunnelNeighbors>

export const createTunnelNeighbors = (options: TunnelNeighborsOptions = {}) => {
  const capacity = options.capacity ?? 65536
  const reachableTime = options.reachableTime ?? REACHABLE_TIME_MS
  const seed = (options.seed ?? 0) | 0

  // Memory of rows that were never used is never touched, so that an idle table costs address space only.
  const int = () => new Int32Array(capacity)
  const tunnelOf = int()
  const address = int()
  const state = int() // NUD_NONE: the row is free
  const macHi = int()
  const macLo = int()
  const updated = new Float64Array(capacity) // milliseconds; last change, or confirmation by hand
  const freeRows = int()
  let freeCount = 0
  let high = 0 // rows 0..high-1 have been used
  let count = 0

  // Buckets hold row + 1, at most half of them taken; linear probing, deletion by shifting back.
  const bits = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const mask = (1 << bits) - 1
  const buckets = new Int32Array(mask + 1)

  const bucketOf = (tunnel: number, ip: number): number => {
    let h = Math.imul(ip ^ seed, 0x9e3779b1)
    h = Math.imul((h ^ (h >>> 15)) + tunnel, 0x85ebca6b) ^ seed
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return (h ^ (h >>> 16)) & mask
  }

  const rowOf = (tunnel: number, ip: number): number => {
    let b = bucketOf(tunnel, ip)
    for (let row = buckets[b]! - 1; row >= 0; row = buckets[b]! - 1) {
      if (address[row] === ip && tunnelOf[row] === tunnel) return row
      b = (b + 1) & mask
    }
    return -1
  }

  const decay = (row: number, now: number): void => {
    const until = updated[row]! + reachableTime
    if (state[row] !== NUD_REACHABLE || now < until) return
    state[row] = NUD_STALE
    updated[row] = until
  }

  const removeRow = (row: number): void => {
    let hole = bucketOf(tunnelOf[row]!, address[row]!)
    while (buckets[hole] !== row + 1) hole = (hole + 1) & mask
    for (let b = (hole + 1) & mask; buckets[b] !== 0; b = (b + 1) & mask) {
      const other = buckets[b]! - 1
      const home = bucketOf(tunnelOf[other]!, address[other]!)
      // It may move to the hole unless its home lies between the hole and itself.
      if (((b - home) & mask) >= ((b - hole) & mask)) {
        buckets[hole] = other + 1
        hole = b
      }
    }
    buckets[hole] = 0
    state[row] = NUD_NONE
    freeRows[freeCount++] = row
    count--
  }

  /** Row of a new entry; -1 when the table is full. */
  const create = (tunnel: number, ip: number): number => {
    if (count === capacity) return -1
    const row = freeCount > 0 ? freeRows[--freeCount]! : high++
    count++
    tunnelOf[row] = tunnel
    address[row] = ip
    let b = bucketOf(tunnel, ip)
    while (buckets[b] !== 0) b = (b + 1) & mask
    buckets[b] = row + 1
    return row
  }

  /** Row of the entry of a tunnel for an IPv4 address, its state as of `now` (milliseconds); -1 when there is none. */
  const find = (tunnel: number, ip: number, now: number): number => {
    const row = rowOf(tunnel, ip)
    if (row >= 0) decay(row, now)
    return row
  }

  /**
   * Sets an entry as `ip neigh` does (neigh_add of net/core/neighbour.c): `mode` is one of NEIGH_ADD and so on, hi NO_MAC keeps the MAC
   * address there is, `newState` is one NUD_ state. Delay and probe mean that somebody asks, which nobody does for a tunnel: they become
   * stale. Set reachable again, an entry has its time anew. Answers NEIGH_OK or what is wrong, in which case nothing has changed.
   */
  const set = (tunnel: number, ip: number, hi: number, lo: number, newState: number, mode: number, now: number): number => {
    let row = rowOf(tunnel, ip)
    if (row >= 0 && mode === NEIGH_ADD) return NEIGH_EXISTS
    if (row < 0 && mode === NEIGH_CHANGE) return NEIGH_NOT_FOUND
    if ((newState & SETTABLE) === 0 || (newState & (newState - 1)) !== 0) return NEIGH_INVALID
    const known = row >= 0 && (state[row]! & NUD_VALID) !== 0
    if (hi === NO_MAC && newState !== NUD_FAILED && !known) return NEIGH_INVALID
    if (row < 0) row = create(tunnel, ip)
    if (row < 0) return NEIGH_FULL
    state[row] = (newState & (NUD_DELAY | NUD_PROBE)) !== 0 ? NUD_STALE : newState
    if (newState === NUD_FAILED) {
      macHi[row] = 0
      macLo[row] = 0
    } else if (hi !== NO_MAC) {
      macHi[row] = hi
      macLo[row] = lo
    }
    updated[row] = now
    return NEIGH_OK
  }

  /** Takes an entry away: NEIGH_OK, or NEIGH_NOT_FOUND. */
  const remove = (tunnel: number, ip: number): number => {
    const row = rowOf(tunnel, ip)
    if (row < 0) return NEIGH_NOT_FOUND
    removeRow(row)
    return NEIGH_OK
  }

  /** Takes the entries of a tunnel away and says how many there were; with `keepSet`, all but permanent and noarp ones, as `ip neigh flush`. */
  const flush = (tunnel: number, keepSet: boolean): number => {
    const before = count
    const kept = keepSet ? NUD_PERMANENT | NUD_NOARP : 0
    for (let row = 0; row < high; row++) {
      if (state[row] !== NUD_NONE && tunnelOf[row] === tunnel && (state[row]! & kept) === 0) removeRow(row)
    }
    return before - count
  }

  /**
   * Visits entries from row `cursor` on, looking at `max` rows at most, states as of `now`; the next cursor, -1 at the end. Entries made
   * meanwhile may be missed.
   */
  const scan = (cursor: number, max: number, now: number, visit: (row: number) => void): number => {
    const end = Math.min(high, cursor + max)
    for (let row = cursor; row < end; row++) {
      if (state[row] === NUD_NONE) continue
      decay(row, now)
      visit(row)
    }
    return end === high ? -1 : end
  }

  return {
    capacity, tunnelOf, address, state, macHi, macLo, updated, find, set, remove, flush, scan,
    /** Entries in the table. */
    count: () => count
  }
}
