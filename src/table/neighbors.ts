/**
 * The neighbour table: (interface row, IPv4 address) to MAC address and reachability state, for all stacks (net/core/neighbour.c,
 * RFC 4861 7.3.2 for the states). State only: timers are compared with the `now` that callers give, packets waiting for an
 * address are known by number, and their links belong to the element that holds them.
 *
 * Rows are stable; whoever keeps a row id keeps its generation too, which changes when the row is given up.
 *
 * Policy when full (`gcThresh3` rows, all interfaces together): a new entry takes the place of the failed entry, else of the
 * stale or noarp entry, whose last change is the longest ago; stale ones must have been left alone for 5 seconds. Entries being
 * resolved or probed, reachable, permanent and extern_learn ones are never pushed out. With nothing to push out `create` refuses.
 * The kernel's soft limit gc_thresh2 is not needed, as finding a victim is O(1) here.
 */

/** Neighbour unreachability detection states (linux/neighbour.h). */
export const NUD_NONE = 0
export const NUD_INCOMPLETE = 1
export const NUD_REACHABLE = 2
export const NUD_STALE = 4
export const NUD_DELAY = 8
export const NUD_PROBE = 16
export const NUD_FAILED = 32
export const NUD_NOARP = 64
export const NUD_PERMANENT = 128
/** States with a timer. */
export const NUD_IN_TIMER = NUD_INCOMPLETE | NUD_REACHABLE | NUD_DELAY | NUD_PROBE
/** States with a MAC address that may be used. */
export const NUD_VALID = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY
/** States in which it is used without doubt. */
export const NUD_CONNECTED = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE

/** What `set` does about an existing and a missing entry: `ip neigh add`, `replace`, `change`. */
export const NEIGH_ADD = 0
export const NEIGH_REPLACE = 1
export const NEIGH_CHANGE = 2

/** Answers of `set` and `remove`. */
export const NEIGH_OK = 0
export const NEIGH_EXISTS = 1
export const NEIGH_NOT_FOUND = 2
export const NEIGH_FULL = 3
/** A state that cannot be set by hand, or one that needs a MAC address and has none. */
export const NEIGH_INVALID = 4

/** Stands for "no MAC address given" in place of its high half. */
export const NO_MAC = -1

/** Entry flag: learned by a control plane, not subject to garbage collection (linux/neighbour.h NTF_EXT_LEARNED). */
export const NTF_EXT_LEARNED = 16

export interface NeighborsOptions {
  /** Below this number of entries nothing is collected (net.ipv4.neigh.default.gc_thresh1). */
  gcThresh1?: number
  /** Most entries there can be (gc_thresh3). */
  gcThresh3?: number
  /** Milliseconds an unused stale entry is kept (gc_stale_time). */
  gcStaleTime?: number
  /** Any integer; makes hash collisions hard to arrange. */
  seed?: number
}

export type Neighbors = ReturnType<typeof createNeighbors>

/** Milliseconds a stale entry is safe from being pushed out by a new one, as in neigh_forced_gc. */
const FORCED_GC_GRACE = 5000
/** Least milliseconds between two scans for due timers: the kernel's HZ/100. */
export const TIMER_GRAIN = 10
/** Most timers handled in one scan; the rest follows a grain later. */
const TIMER_BATCH = 1024
/**
 * Timers lie in a wheel of so many lists, one a grain: 82 seconds until a place comes round again, longer than any of them runs (one
 * that did would be met too early, and left where it is).
 */
const WHEEL = 8192

const NO_LIST = 0
const IDLE_LIST = 1 // stale and noarp, the longest unchanged first
const FAILED_LIST = 2 // the longest failed first
const TIMER_LISTS = 3 // and all behind it

export const createNeighbors = (options: NeighborsOptions = {}) => {
  const gcThresh1 = options.gcThresh1 ?? 128
  const capacity = options.gcThresh3 ?? 131_072
  const gcStaleTime = options.gcStaleTime ?? 60_000
  const seed = (options.seed ?? 0) | 0

  const int = () => new Int32Array(capacity)
  const float = () => new Float64Array(capacity)
  const used = new Uint8Array(capacity) // 1: the row holds an entry
  const interfaceOf = int()
  const address = int()
  const state = int()
  const macHi = int()
  const macLo = int()
  const generation = int()
  const stamp = int() // another one whenever state or MAC address have changed, or the row is given up
  const flags = int() // NTF_
  const owner = int() // who made it: 0 learned, else the caller's number
  const probes = int()
  const queueHead = int() // packets waiting for the address, linked by the pool's `next`; -1: none
  const queueTail = int()
  const queueCount = int()
  const queueBytes = int()
  const confirmed = float() // milliseconds; last proof that it is reachable
  const updated = float() // last change of state or MAC address
  const lastUsed = float() // last packet sent in a state that is not connected
  const solicited = float() // last request sent
  const timer = float() // when a state in NUD_IN_TIMER is to be looked at

  const list = new Uint16Array(capacity)
  const following = int()
  const preceding = int()
  const head = new Int32Array(TIMER_LISTS + WHEEL).fill(-1)
  const tail = new Int32Array(TIMER_LISTS + WHEEL).fill(-1)
  const due = new Int32Array(TIMER_BATCH)
  let earliest = Infinity // no timer is due before
  let lastScan = -Infinity
  let reached = -Infinity // grain up to which the wheel has been looked at, itself to be looked at again

  // Memory of rows that were never used is never touched, so that an idle table costs address space only.
  const freeRows = int()
  let freeCount = 0
  let high = 0 // rows 0..high-1 have been used
  const count = (): number => high - freeCount

  // Buckets hold row + 1, at most half of them taken; linear probing, deletion by shifting back.
  const bits = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const mask = (1 << bits) - 1
  const buckets = new Int32Array(mask + 1)
  const counters = { forcedGc: 0, collected: 0, full: 0 }

  const bucketOf = (iface: number, ip: number): number => {
    let h = Math.imul(ip ^ seed, 0x9e3779b1)
    h = Math.imul((h ^ (h >>> 15)) + iface, 0x85ebca6b) ^ seed
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return (h ^ (h >>> 16)) & mask
  }

  /** Row of the entry; -1 when there is none. */
  const lookup = (iface: number, ip: number): number => {
    let b = bucketOf(iface, ip)
    for (let row = buckets[b]! - 1; row >= 0; row = buckets[b]! - 1) {
      if (address[row] === ip && interfaceOf[row] === iface) return row
      b = (b + 1) & mask
    }
    return -1
  }

  const unlink = (row: number): void => {
    const l = list[row]!
    if (l === NO_LIST) return
    const a = preceding[row]!
    const b = following[row]!
    if (a < 0) head[l] = b
    else following[a] = b
    if (b < 0) tail[l] = a
    else preceding[b] = a
    list[row] = NO_LIST
  }

  const append = (row: number, l: number): void => {
    const last = tail[l]!
    preceding[row] = last
    following[row] = -1
    if (last < 0) head[l] = row
    else following[last] = row
    tail[l] = row
    list[row] = l
  }

  /** The list of a grain, counted from the clock's zero. */
  const timerList = (grain: number): number => TIMER_LISTS + (grain % WHEEL)

  const listFor = (row: number, newState: number, at: number): number => {
    if ((newState & NUD_IN_TIMER) !== 0) return timerList(Math.max(Math.floor(at / TIMER_GRAIN), reached, 0))
    if ((flags[row]! & NTF_EXT_LEARNED) !== 0) return NO_LIST
    if (newState === NUD_FAILED) return FAILED_LIST
    return (newState & (NUD_STALE | NUD_NOARP)) !== 0 ? IDLE_LIST : NO_LIST
  }

  /**
   * Puts an entry into a state; `at` is when its timer is due, for the states that have one. Set `updated`, and `flags` where they
   * change, before: lists for garbage collection are kept in that order.
   */
  const setState = (row: number, newState: number, at: number): void => {
    if (state[row] !== newState) stamp[row] = (stamp[row]! + 1) | 0
    state[row] = newState
    const l = listFor(row, newState, at)
    if (l < TIMER_LISTS || list[row] !== l) {
      unlink(row)
      if (l !== NO_LIST) append(row, l)
    }
    if (l >= TIMER_LISTS) {
      timer[row] = at
      if (at < earliest) earliest = at
    }
  }

  const setMac = (row: number, hi: number, lo: number): void => {
    if (macHi[row] !== hi || macLo[row] !== lo) stamp[row] = (stamp[row]! + 1) | 0
    macHi[row] = hi
    macLo[row] = lo
  }

  /** Takes an entry away. No packets may be waiting for it. */
  const remove = (row: number): void => {
    if (queueCount[row] !== 0) throw new Error(`neighbour ${row} removed with packets waiting`)
    unlink(row)
    let hole = bucketOf(interfaceOf[row]!, address[row]!)
    while (buckets[hole] !== row + 1) hole = (hole + 1) & mask
    for (let b = (hole + 1) & mask; buckets[b] !== 0; b = (b + 1) & mask) {
      const other = buckets[b]! - 1
      const home = bucketOf(interfaceOf[other]!, address[other]!)
      // It may move to the hole unless its home lies between the hole and itself.
      if (((b - home) & mask) >= ((b - hole) & mask)) {
        buckets[hole] = other + 1
        hole = b
      }
    }
    buckets[hole] = 0
    state[row] = NUD_NONE
    used[row] = 0
    generation[row] = (generation[row]! + 1) | 0
    stamp[row] = (stamp[row]! + 1) | 0
    freeRows[freeCount++] = row
  }

  /** Makes room by pushing out one entry; false when all are needed. */
  const forcedGc = (now: number): boolean => {
    let victim = head[FAILED_LIST]!
    if (victim < 0) {
      victim = head[IDLE_LIST]!
      if (victim < 0 || updated[victim]! + FORCED_GC_GRACE > now) return false
    }
    counters.forcedGc++
    remove(victim)
    return true
  }

  /** A new entry in state NONE for a key that is not in the table; -1 when the table is full. The caller sets its state. */
  const create = (iface: number, ip: number, now: number): number => {
    if (count() === capacity && !forcedGc(now)) {
      counters.full++
      return -1
    }
    const row = freeCount > 0 ? freeRows[--freeCount]! : high++
    used[row] = 1
    interfaceOf[row] = iface
    address[row] = ip
    state[row] = NUD_NONE
    macHi[row] = 0
    macLo[row] = 0
    flags[row] = 0
    owner[row] = 0
    probes[row] = 0
    queueHead[row] = -1
    queueTail[row] = -1
    confirmed[row] = -Infinity
    updated[row] = now
    lastUsed[row] = now
    solicited[row] = -Infinity
    let b = bucketOf(iface, ip)
    while (buckets[b] !== 0) b = (b + 1) & mask
    buckets[b] = row + 1
    return row
  }

  /** Collects what is due in the list of a grain, as far as there is room; returns the time of the next that is not, or `now` when more are. */
  let dueCount = 0
  const collectDue = (grain: number, now: number): number => {
    let least = Infinity
    for (let row = head[timerList(grain)]!; row >= 0; row = following[row]!) {
      const at = timer[row]!
      if (at <= now) {
        if (dueCount === TIMER_BATCH) return now
        due[dueCount++] = row
      } else if (at < least) least = at
    }
    return least
  }

  /** Time of the next timer after a grain; what is a round of the wheel away counts when there is nothing else. */
  const timerAfter = (grain: number): number => {
    let later = Infinity
    for (let g = grain + 1; g < grain + WHEEL; g++) {
      if (head[timerList(g)]! < 0) continue
      const at = collectDue(g, -Infinity)
      if (at < (g + 1) * TIMER_GRAIN) return Math.min(at, later)
      later = Math.min(at, later)
    }
    return later
  }

  /**
   * Calls `visit(row, now)` for every entry whose timer is due; it must put the entry into a state again. It may change the table as
   * it likes. Looks no more often than every TIMER_GRAIN milliseconds, and only when something can be due; what it costs depends on what
   * is due and not on how many timers run.
   */
  const expire = (now: number, visit: (row: number, now: number) => void): void => {
    if (now < earliest || now < lastScan + TIMER_GRAIN) return
    lastScan = now
    const end = Math.floor(now / TIMER_GRAIN)
    let grain = Math.max(reached, Math.floor(earliest / TIMER_GRAIN), end - WHEEL + 1, 0)
    let least = Infinity
    dueCount = 0
    for (; grain <= end; grain++) {
      const at = collectDue(grain, now)
      if (at <= now) { // the rest of it a grain later
        least = grain * TIMER_GRAIN
        break
      }
      if (at < least) least = at
    }
    reached = Math.min(grain, end)
    earliest = least
    for (let i = 0; i < dueCount; i++) {
      const row = due[i]!
      if (list[row]! >= TIMER_LISTS && timer[row]! <= now) visit(row, now)
    }
    // What was due is out of the lists by now
    if (earliest > now) earliest = Math.min(earliest, timerAfter(end))
  }

  /**
   * Periodic garbage collection: failed entries, and stale or noarp ones not used for gcStaleTime, when there are gcThresh1
   * entries or more.
   */
  const collect = (now: number): void => {
    if (count() < gcThresh1) return
    while (head[FAILED_LIST]! >= 0) {
      counters.collected++
      remove(head[FAILED_LIST]!)
    }
    for (let row = head[IDLE_LIST]!, then = -1; row >= 0; row = then) {
      then = following[row]!
      if (Math.max(lastUsed[row]!, confirmed[row]!) + gcStaleTime > now) continue
      counters.collected++
      remove(row)
    }
  }

  /**
   * Removes the entries of an interface, all or all but permanent ones; `visit(row)` comes before each removal and takes the
   * waiting packets away.
   */
  const removeByInterface = (iface: number, keepPermanent: boolean, visit: (row: number) => void): void => {
    for (let row = 0; row < capacity; row++) {
      if (used[row] === 0 || interfaceOf[row] !== iface || (keepPermanent && state[row] === NUD_PERMANENT)) continue
      visit(row)
      remove(row)
    }
  }

  /**
   * Visits entries from row `cursor` on, looking at `max` rows at most; the next cursor, -1 at the end. Entries made
   * meanwhile may be missed.
   */
  const scan = (cursor: number, max: number, visit: (row: number) => void): number => {
    const end = Math.min(capacity, cursor + max)
    for (let row = cursor; row < end; row++) if (used[row] === 1) visit(row)
    return end === capacity ? -1 : end
  }

  return {
    capacity, interfaceOf, address, state, macHi, macLo, generation, stamp, setMac, flags, owner, probes,
    queueHead, queueTail, queueCount, queueBytes, confirmed, updated, lastUsed, solicited, timer, counters,
    lookup, create, setState, remove, removeByInterface, expire, collect, scan,
    /** Entries in the table. */
    count,
    /** No timer is due before this time (milliseconds; Infinity when none runs). */
    nextTimer: () => (earliest === Infinity ? Infinity : Math.max(earliest, lastScan + TIMER_GRAIN))
  }
}
