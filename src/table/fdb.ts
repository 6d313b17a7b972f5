/**
 * The forwarding database of all bridges: (filtering id, MAC address) to port (IEEE 802.1D 7.9, net/bridge/br_fdb.c). A filtering
 * id stands for one (bridge, VLAN); a MAC address is the wire-order pair of wire/mac.ts.
 *
 * Open addressing with linear probing. A slot is 16 bytes, so that a probe is one cache line; what the packet path does not
 * need lies beside. Deletion shifts back the entries behind, hence no tombstones. An `entry` is a place in the table: it is good
 * until the next change, not longer.
 *
 * Policy when full: at 5/8 of its slots the table doubles, up to `maxLog2`; beyond, and beyond the limit of a bridge
 * (fdb_max_learned), new stations are not learned, which is counted, and frames to them are flooded. It never shrinks.
 *
 * An entry counts until `sweep` takes it away. Seconds are whole: an entry lives its ageing time and at most a second and a round
 * of `sweep` more.
 */
import { FdbBridges } from './fdb-bridges.js'

/** The entry is one of the bridge's own addresses ("permanent" for bridge(8)); always static. */
export const F_LOCAL = 1
/** Set by hand and not aged. */
export const F_STATIC = 2
/** Stays at its port, wherever the station is heard. */
export const F_STICKY = 4
/** Made by a control plane, not aged. */
export const F_EXTERN_LEARN = 8
/** Made by the bridge itself; counts against fdb_max_learned. */
export const F_LEARNED = 16
/** Set by hand. Alone: "dynamic" for bridge(8), aged as a learned one. */
export const F_USER = 32
/** No flag: set by hand, but aged. */
export const F_DYNAMIC = 0

/** Known at that port. */
export const FDB_KNOWN = 0
/** A new entry. */
export const FDB_NEW = 1
/** The entry has changed its port. */
export const FDB_MOVED = 2
/** Not learned: the table or the bridge's share of it is full. */
export const FDB_FULL = 3
/** A sticky entry at another port; nothing changed. */
export const FDB_STICKY = 4
/** One of the bridge's own addresses; nothing changed. */
export const FDB_LOCAL = 5
/** Not learned: the bridge's ageing time is 0. */
export const FDB_OFF = 6
/** `add` of what is there already (EEXIST). */
export const FDB_EXISTS = 7

export interface FdbOptions {
  /** Slots at first, and at most, as powers of two. */
  capacityLog2?: number
  maxLog2?: number
  /** Any integer; unknown to hosts, so that they cannot arrange collisions. */
  seed?: number
  /**
   * Told of each station learned: at once when it is new or has moved, and as long as it goes on talking once in SHARE_SECONDS (where
   * entries live less than ageing times of SHARE_AGEING, once a second). For others who have a table of the same stations.
   */
  heard?: (filter: number, bridge: number, hi: number, lo: number, port: number, second: number) => void
}

/** What `flush` takes away; what is left out matches all. */
export interface FdbMatch {
  bridge?: number
  filter?: number
  port?: number
  /** Only entries with `(flags & flagsMask) === flags`. */
  flagsMask?: number
  flags?: number
}

export type Fdb = ReturnType<typeof createFdb>

// A slot: MAC bytes 2..5 | MAC bytes 0..1 and the filtering id above | port, flags, OCCUPIED | second last seen as a source
const STRIDE = 4
const OCCUPIED = 1 << 24
const FLAGS_SHIFT = 16
const PORT_MASK = 0xffff
const LOCAL_BIT = F_LOCAL << FLAGS_SHIFT
const STICKY_BIT = F_STICKY << FLAGS_SHIFT
const EXTERN_BIT = F_EXTERN_LEARN << FLAGS_SHIFT
/** Seconds, a power of two, and least ageing time in seconds to which that is little. */
const SHARE_SECONDS = 8
const SHARE_AGEING = 64
const UNAGED_BITS = (F_STATIC << FLAGS_SHIFT) | EXTERN_BIT
/** A scan's cursor holds the size of the table it was made for, times this. */
const CURSOR_SIZE = 2 ** 32

/** Spreads a seed; murmur3's finaliser. */
const mix = (n: number): number => {
  let h = Math.imul(n ^ (n >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

export const createFdb = (options: FdbOptions = {}) => {
  const maxLog2 = options.maxLog2 ?? 21
  const seed = (options.seed ?? 0) | 0
  const heard = options.heard ?? (() => undefined)
  const m1 = mix(seed + 0x9e3779b9) | 1
  const m2 = mix(seed + 0x3c6ef372) | 1
  const m3 = mix(seed + 0x78dde6e4) | 1

  let log2 = Math.max(2, Math.min(options.capacityLog2 ?? 12, maxLog2))
  let t = new Int32Array(STRIDE << log2)
  let cold = new Int32Array(2 << log2) // remote id, second last used as a destination
  let mask = t.length - 1
  let shift = 32 - log2
  let count = 0
  let sweepAt = 0
  // In an array: a variable that changes is checked and untagged at each use
  const changes = new Int32Array(1)

  const bridges = new FdbBridges()

  /** Place in `t` where a key belongs. The high bits count, so that doubling keeps the order, which `scan` relies on. */
  const home = (key: number, lo: number): number => {
    let h = Math.imul(lo ^ seed, m1) + Math.imul(key, m2)
    h = Math.imul(h ^ (h >>> 15), m3)
    return ((h ^ (h >>> 16)) >>> shift) << 2
  }

  /** The entry of a station; -1 when there is none. */
  const find = (filter: number, hi: number, lo: number): number => {
    const key = hi | (filter << 16)
    let i = home(key, lo)
    for (;;) {
      if (t[i + 2] === 0) return -1
      if (t[i] === lo && t[i + 1] === key) return i
      i = (i + STRIDE) & mask
    }
  }

  const put = (key: number, lo: number, value: number, updated: number, remote: number, used: number): number => {
    let i = home(key, lo)
    while (t[i + 2] !== 0) i = (i + STRIDE) & mask
    changes[0]!++
    t[i] = lo
    t[i + 1] = key
    t[i + 2] = value
    t[i + 3] = updated
    cold[i >> 1] = remote
    cold[(i >> 1) + 1] = used
    return i
  }

  const mayGrow = (): boolean => {
    if ((count + 1) * 8 <= 5 << log2) return true
    if (log2 >= maxLog2) return false
    const old = t
    const oldCold = cold
    log2++
    t = new Int32Array(STRIDE << log2)
    cold = new Int32Array(2 << log2)
    mask = t.length - 1
    shift = 32 - log2
    sweepAt = 0
    for (let i = 0; i < old.length; i += STRIDE) {
      if (old[i + 2] !== 0) put(old[i + 1]!, old[i]!, old[i + 2]!, old[i + 3]!, oldCold[i >> 1]!, oldCold[(i >> 1) + 1]!)
    }
    return true
  }

  /** Takes an entry away; entries behind it in its cluster may come nearer to their homes. */
  const drop = (entry: number): void => {
    if ((t[entry + 2]! & (F_LEARNED << FLAGS_SHIFT)) !== 0) bridges.learned[bridges.ofFilter[t[entry + 1]! >>> 16]!]!--
    count--
    changes[0]!++
    let hole = entry
    for (let i = (entry + STRIDE) & mask; t[i + 2] !== 0; i = (i + STRIDE) & mask) {
      // It may move to the hole unless its home lies between the hole and itself
      const far = (i - home(t[i + 1]!, t[i]!)) & mask
      if (far < ((i - hole) & mask)) continue
      t[hole] = t[i]!
      t[hole + 1] = t[i + 1]!
      t[hole + 2] = t[i + 2]!
      t[hole + 3] = t[i + 3]!
      cold[hole >> 1] = cold[i >> 1]!
      cold[(hole >> 1) + 1] = cold[(i >> 1) + 1]!
      hole = i
    }
    t[hole + 2] = 0
  }

  const learnNew = (key: number, bridge: number, lo: number, port: number, second: number): number => {
    bridges.claim(key >>> 16, bridge)
    if (bridges.ageing[bridge] === 0) return FDB_OFF
    if ((bridges.limit[bridge] !== 0 && bridges.learned[bridge]! >= bridges.limit[bridge]!) || !mayGrow()) {
      bridges.full[bridge]!++
      return FDB_FULL
    }
    put(key, lo, port | (F_LEARNED << FLAGS_SHIFT) | OCCUPIED, second, 0, second)
    count++
    bridges.added(bridge)
    heard(key >>> 16, bridge, key & 0xffff, lo, port, second)
    return FDB_NEW
  }

  const learnElsewhere = (entry: number, bridge: number, port: number, second: number): number => {
    const value = t[entry + 2]!
    if ((value & LOCAL_BIT) !== 0) return FDB_LOCAL
    t[entry + 3] = second
    if ((value & STICKY_BIT) !== 0) return FDB_STICKY
    t[entry + 2] = (value & ~(PORT_MASK | EXTERN_BIT)) | port
    changes[0]!++
    bridges.moved[bridge]!++
    heard(t[entry + 1]! >>> 16, bridge, t[entry + 1]! & 0xffff, t[entry]!, port, second)
    return FDB_MOVED
  }

  /** A station is heard for the first time in this second. Not all are shared in the same one: their spans begin at different times. */
  const refresh = (entry: number, bridge: number, port: number, second: number): void => {
    const lo = t[entry]!
    const spans = (t[entry + 3]! + (lo >>> 24)) ^ (second + (lo >>> 24))
    t[entry + 3] = second
    if (spans >= SHARE_SECONDS || bridges.ageing[bridge]! < SHARE_AGEING) heard(t[entry + 1]! >>> 16, bridge, t[entry + 1]! & 0xffff, lo, port, second)
  }

  /**
   * A frame from a station came by a port (br_fdb_update). An entry set by hand moves with its station as a learned one does,
   * unless it is sticky. Writes at most once a second for a station that stays. `second` is the time in whole seconds: a fraction
   * would be an object of its own wherever this is not inlined.
   */
  const learn = (filter: number, bridge: number, hi: number, lo: number, port: number, second: number): number => {
    const key = hi | (filter << 16)
    let i = home(key, lo)
    for (;;) {
      const value = t[i + 2]!
      if (value === 0) return learnNew(key, bridge, lo, port, second)
      if (t[i] === lo && t[i + 1] === key) {
        if ((value & (PORT_MASK | LOCAL_BIT)) !== port) return learnElsewhere(i, bridge, port, second)
        if (t[i + 3] !== second) refresh(i, bridge, port, second)
        return FDB_KNOWN
      }
      i = (i + STRIDE) & mask
    }
  }

  const valueOf = (port: number, flags: number): number =>
    port | ((flags | F_USER | ((flags & F_LOCAL) !== 0 ? F_STATIC : 0)) << FLAGS_SHIFT) | OCCUPIED

  /** Sets an entry by hand; FDB_EXISTS for any that is there, also a learned one (fdb_add_entry with NLM_F_EXCL). FDB_NEW or FDB_FULL. */
  const add = (filter: number, bridge: number, hi: number, lo: number, port: number, flags: number, now: number): number => {
    if (find(filter, hi, lo) >= 0) return FDB_EXISTS
    bridges.claim(filter, bridge)
    if (!mayGrow()) {
      bridges.full[bridge]!++
      return FDB_FULL
    }
    const second = (now * 0.001) | 0
    put(hi | (filter << 16), lo, valueOf(port, flags), second, 0, second)
    count++
    return FDB_NEW
  }

  /** As `add`, but an entry that is there, learned or not, becomes this one: FDB_MOVED at another port, else FDB_KNOWN. */
  const replace = (filter: number, bridge: number, hi: number, lo: number, port: number, flags: number, now: number): number => {
    const entry = find(filter, hi, lo)
    if (entry < 0) return add(filter, bridge, hi, lo, port, flags, now)
    const old = t[entry + 2]!
    if ((old & (F_LEARNED << FLAGS_SHIFT)) !== 0) bridges.learned[bridges.ofFilter[filter]!]!--
    const value = valueOf(port, flags)
    const second = (now * 0.001) | 0
    t[entry + 2] = value
    changes[0]!++
    if (value !== old) t[entry + 3] = second
    cold[(entry >> 1) + 1] = second
    return (old & PORT_MASK) === port ? FDB_KNOWN : FDB_MOVED
  }

  /** Takes the entry of a station away, whoever made it; with `port`, only at that port. False when there is none. */
  const remove = (filter: number, hi: number, lo: number, port = -1): boolean => {
    const entry = find(filter, hi, lo)
    if (entry < 0 || (port >= 0 && (t[entry + 2]! & PORT_MASK) !== port)) return false
    drop(entry)
    return true
  }

  /** Takes away all entries that match; returns how many. Walks the whole table. */
  const flush = (match: FdbMatch): number => {
    const { bridge = -1, filter = -1, port = -1, flagsMask = 0, flags = 0 } = match
    const before = count
    // Backwards from a free slot: no cluster reaches across it, so what moves into a hole was looked at already.
    let free = 0
    while (t[free + 2] !== 0) free = (free + STRIDE) & mask
    for (let i = (free - STRIDE) & mask; i !== free; i = (i - STRIDE) & mask) {
      const value = t[i + 2]!
      if (value === 0) continue
      const f = t[i + 1]! >>> 16
      if ((port < 0 || (value & PORT_MASK) === port) && (filter < 0 || f === filter) && (bridge < 0 || bridges.ofFilter[f] === bridge) &&
        ((value >>> FLAGS_SHIFT) & flagsMask) === flags) drop(i)
    }
    return before - count
  }

  /**
   * Takes away old entries among the next `budget` slots; returns how many went. Static and control-plane entries stay. Call it
   * so often that a round of `slots()` takes seconds, as ageing is late by up to a round.
   */
  const sweep = (now: number, budget: number): number => {
    const second = (now * 0.001) | 0
    const before = count
    let i = sweepAt
    for (let left = Math.min(budget, 1 << log2); left > 0; left--) {
      // Backwards, as in flush; an entry that moves across the table's end waits for the next round.
      i = (i - STRIDE) & mask
      const value = t[i + 2]!
      if (value === 0 || (value & UNAGED_BITS) !== 0) continue
      const time = bridges.ageing[bridges.ofFilter[t[i + 1]! >>> 16]!]!
      if (time === 0 || second - t[i + 3]! > time) drop(i)
    }
    sweepAt = i
    return before - count
  }

  const isWrapped = (i: number): boolean => home(t[i + 1]!, t[i]!) > i

  /**
   * Calls `visit(entry)` for the entries of about `max` slots; returns the next cursor, -1 at the end; 0 to begin. The table may
   * change between calls, not in `visit`: an entry that stays all the time is visited at least once, and twice if it moved.
   */
  const scan = (cursor: number, max: number, visit: (entry: number) => void): number => {
    let p = STRIDE << log2 // all from here on are visited
    let begin = cursor === 0
    if (!begin) {
      const size = Math.floor(cursor / CURSOR_SIZE)
      p = (cursor % CURSOR_SIZE) * 2 ** (log2 - size)
      // In a table that grew, the rest of the cluster may belong to the part not yet visited
      if (size !== log2) while (p <= mask && t[p + 2] !== 0) p += STRIDE
      begin = p > mask
    }
    // Clusters that reach across the table's end: their wrapped entries are visited first, as they may move to the end
    if (begin) for (let i = 0; t[i + 2] !== 0; i += STRIDE) if (isWrapped(i)) visit(i)
    const end = Math.max(0, p - max * STRIDE)
    for (let i = p - STRIDE; i >= end; i -= STRIDE) if (t[i + 2] !== 0 && !isWrapped(i)) visit(i)
    return end === 0 ? -1 : log2 * CURSOR_SIZE + end
  }

  return {
    find, learn, add, replace, remove, flush, sweep, scan,
    /** Goes up with every change of what `find` answers, and by `touch`; wraps. */
    changes: (): number => changes[0]!,
    /** Something else has changed that answers were remembered for. */
    touch: (): void => {
      changes[0]!++
    },
    portOf: (entry: number): number => t[entry + 2]! & PORT_MASK,
    /** F_ flags. */
    flagsOf: (entry: number): number => (t[entry + 2]! >>> FLAGS_SHIFT) & 0xff,
    /** Second at which the station was last heard, or the entry last set. */
    updatedOf: (entry: number): number => t[entry + 3]!,
    /** Second at which `use` was last called, or the entry made. */
    usedOf: (entry: number): number => cold[(entry >> 1) + 1]!,
    /** Remote id (of a tunnel); 0 for none. */
    remoteOf: (entry: number): number => cold[entry >> 1]!,
    setRemote: (entry: number, remote: number): void => {
      cold[entry >> 1] = remote
    },
    filterOf: (entry: number): number => t[entry + 1]! >>> 16,
    bridgeOf: (entry: number): number => bridges.ofFilter[t[entry + 1]! >>> 16]!,
    hiOf: (entry: number): number => t[entry + 1]! & 0xffff,
    loOf: (entry: number): number => t[entry]!,
    /** A frame was sent to this entry; writes at most once a second. */
    use: (entry: number, second: number): void => {
      if (cold[(entry >> 1) + 1] !== second) cold[(entry >> 1) + 1] = second
    },
    /** A port goes down or away: its dynamic entries go, with `all` every one (br_fdb_delete_by_port). Returns how many. */
    removeByPort: (port: number, all = false): number => flush(all ? { port } : { port, flagsMask: F_STATIC | F_EXTERN_LEARN, flags: 0 }),
    /** The bridge goes: its entries go, its settings and counters return to what they are at first. */
    removeBridge: (bridge: number): void => {
      bridges.need(bridge)
      flush({ bridge })
      bridges.reset(bridge)
    },
    /** ageing_time of a bridge, rounded up to seconds. With 0 nothing is learned, and what was goes with the next sweep. */
    setAgeing: (bridge: number, milliseconds: number): void => {
      bridges.need(bridge)
      bridges.ageing[bridge] = Math.min(Math.ceil(milliseconds / 1000), 0x7fffffff)
    },
    /** fdb_max_learned of a bridge; 0 for no limit but the table's. Entries beyond a new limit stay. */
    setLimit: (bridge: number, entries: number): void => {
      bridges.need(bridge)
      bridges.limit[bridge] = entries
    },
    /** Entries, slots, and bytes of the table. */
    count: (): number => count,
    slots: (): number => 1 << log2,
    memoryBytes: (): number => t.byteLength + cold.byteLength + bridges.memoryBytes(),
    /** Entries that count against the bridge's limit now (fdb_n_learned). */
    learnedCount: (bridge: number): number => bridges.learned[bridge] ?? 0,
    /** Since the bridge was made: stations learned, moves between ports, stations not learned for want of room. */
    learnedTotal: (bridge: number): number => bridges.learnedTotal[bridge] ?? 0,
    movedTotal: (bridge: number): number => bridges.moved[bridge] ?? 0,
    fullTotal: (bridge: number): number => bridges.full[bridge] ?? 0
  }
}
