/**
 * The far ends of tunnels: rows that forwarding entries point to. A row is an underlay address, a UDP port and a VNI; its address lies in
 * `addresses` as the sockaddr that the kernel takes, so that nobody makes one per packet. Rows of one entry with several destinations
 * (a flood list) are linked by `next`.
 *
 * Addresses are words as they lie on the wire: one for IPv4, four for IPv6. Learned rows are found again by (tunnel, address). Policy when
 * full: rows that no entry points to any more are collected; if there are none, nothing more is learned, which the caller counts.
 */
import { ADDRESS_WORDS } from '../io-layout.js'

export const AF_INET = 2
export const AF_INET6 = 10

export const REMOTE_FREE = 0
export const REMOTE_LEARNED = 1
/** Set by hand; belongs to one entry. */
export const REMOTE_SET = 2

const BUCKETS_LOG2 = 12
const BUCKETS = 1 << BUCKETS_LOG2

/** Spreads a seed; murmur3's finaliser. */
const spread = (n: number): number => {
  let h = Math.imul(n ^ (n >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

export type Remotes = ReturnType<typeof createRemotes>

/**
 * At most 65535 rows, as an entry of the FDB has 16 bits for one. `seed`: any integer; unknown to hosts, so that senders cannot be made up
 * that all fall into one bucket.
 */
export const createRemotes = (capacity = 16384, seed = 0) => {
  const m1 = spread(seed + 0x9e3779b9) | 1
  const m2 = spread(seed + 0x3c6ef372) | 1
  const addresses = new Int32Array(new SharedArrayBuffer(capacity * ADDRESS_WORDS * 4))
  const bytes = new Uint8Array(addresses.buffer)
  // Memory of rows that were never used is never touched, so that an idle table costs address space only.
  const column = () => new Int32Array(capacity)
  const kind = column()
  const tunnel = column()
  const vni = column()
  const next = column() // of the same entry; -1: none
  const chain = column() // of the same bucket, or of the free list; -1: none
  const pathMtu = column() // largest packet that the underlay takes to there; 0: not told
  const pathMtuUntil = column() // second
  const unreachable = column() // errors of the underlay about it
  const buckets = new Int32Array(BUCKETS).fill(-1)
  let free = -1
  let high = 0 // rows 0..high-1 have been used
  let changes = 0
  let count = 0

  const bucketOf = (t: number, a: number, b: number, c: number, d: number): number => {
    let h = Math.imul(a ^ seed, m1) + Math.imul(t, m2)
    if ((b | c | d) !== 0) {
      h = Math.imul(h ^ (h >>> 15) ^ b, m1)
      h = Math.imul(h ^ (h >>> 15) ^ c, m2)
      h = Math.imul(h ^ (h >>> 15) ^ d, m1)
    }
    return Math.imul(h ^ (h >>> 15), m2) >>> (32 - BUCKETS_LOG2)
  }

  const familyOf = (r: number): number => addresses[r * ADDRESS_WORDS]! & 0xffff

  /** Is the address of row `r` that of the words? Of IPv4 only `a` counts. */
  const isAddress = (r: number, family: number, a: number, b: number, c: number, d: number): boolean => {
    const w = r * ADDRESS_WORDS
    if ((addresses[w]! & 0xffff) !== family) return false
    if (family === AF_INET) return addresses[w + 1] === a
    return addresses[w + 2] === a && addresses[w + 3] === b && addresses[w + 4] === c && addresses[w + 5] === d
  }

  const take = (kindOf: number, t: number, family: number, a: number, b: number, c: number, d: number, port: number, id: number): number => {
    const r = free < 0 ? high : free
    if (r === capacity) return -1
    if (r === high) high++
    else free = chain[r]!
    count++
    kind[r] = kindOf
    tunnel[r] = t
    vni[r] = id
    next[r] = -1
    pathMtu[r] = 0
    unreachable[r] = 0
    const w = r * ADDRESS_WORDS
    addresses.fill(0, w, w + ADDRESS_WORDS)
    addresses[w] = family | ((port & 0xff) << 24) | ((port >> 8) << 16)
    if (family === AF_INET) addresses[w + 1] = a
    else {
      addresses[w + 2] = a
      addresses[w + 3] = b
      addresses[w + 4] = c
      addresses[w + 5] = d
    }
    if (kindOf === REMOTE_LEARNED) {
      const bucket = bucketOf(t, a, b, c, d)
      chain[r] = buckets[bucket]!
      buckets[bucket] = r
    }
    return r
  }

  const give = (r: number): void => {
    if (kind[r] === REMOTE_LEARNED) {
      const w = r * ADDRESS_WORDS
      const v4 = familyOf(r) === AF_INET
      const bucket = v4 ? bucketOf(tunnel[r]!, addresses[w + 1]!, 0, 0, 0)
        : bucketOf(tunnel[r]!, addresses[w + 2]!, addresses[w + 3]!, addresses[w + 4]!, addresses[w + 5]!)
      if (buckets[bucket] === r) buckets[bucket] = chain[r]!
      else {
        let before = buckets[bucket]!
        while (chain[before] !== r) before = chain[before]!
        chain[before] = chain[r]!
      }
    }
    changes++
    kind[r] = REMOTE_FREE
    chain[r] = free
    free = r
    count--
  }

  return {
    capacity, addresses, kind, tunnel, vni, next, pathMtu, pathMtuUntil, unreachable, familyOf, isAddress,
    /** The row of a peer that a tunnel learned of, made if need be; -1 when all rows are taken. For IPv4, b, c and d are 0. */
    learned: (t: number, family: number, a: number, b: number, c: number, d: number, port: number, id: number): number => {
      for (let r = buckets[bucketOf(t, a, b, c, d)]!; r >= 0; r = chain[r]!) {
        if (tunnel[r] === t && isAddress(r, family, a, b, c, d)) return r
      }
      return take(REMOTE_LEARNED, t, family, a, b, c, d, port, id)
    },
    /** A row of its own; -1 when all are taken. */
    add: (t: number, family: number, a: number, b: number, c: number, d: number, port: number, id: number): number =>
      take(REMOTE_SET, t, family, a, b, c, d, port, id),
    /** Gives a row back; the caller has unlinked it. */
    remove: give,
    /** Gives back the learned rows of `tunnel` (-1: all) that are not marked; returns how many. `marks` has a byte a row. */
    collect: (t: number, marks: Uint8Array): number => {
      const before = count
      for (let r = 0; r < high; r++) {
        if (kind[r] === REMOTE_LEARNED && marks[r] === 0 && (t < 0 || tunnel[r] === t)) give(r)
      }
      return before - count
    },
    /** Raised when a row is given back: what was remembered of rows may be wrong. */
    changes: (): number => changes,
    /** The UDP port of a row. */
    portOf: (r: number): number => {
      const w = addresses[r * ADDRESS_WORDS]!
      return ((w >>> 24) & 0xff) | (((w >>> 16) & 0xff) << 8)
    },
    /** Octets of the address of a row: 4 or 16; for display. */
    octetsOf: (r: number): Uint8Array => {
      const at = r * ADDRESS_WORDS * 4
      return familyOf(r) === AF_INET ? bytes.slice(at + 4, at + 8) : bytes.slice(at + 8, at + 24)
    },
    count: (): number => count
  }
}
