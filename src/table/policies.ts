/**
 * Policies: which app may open conversations with which other, by protocol and destination port. What no row allows is denied.
 *
 * Rows lie in columns; a hash of (from, to, protocol) leads to those of a pair, which are linked in the order they were added. The first
 * that has the port answers. ICMP has no ports: its rows go from 0 to 65535, whatever `add` is told.
 *
 * Policy when full (`capacity` rows): no row is added. The generation goes up with every change: what was decided under another one must
 * be decided again.
 */
import { PROTOCOL_ICMP } from '../wire/ipv4.js'

export interface PoliciesOptions {
  /** Rows at most. */
  capacity?: number
}

/** `add`: what is there already, and no room. */
export const POLICY_EXISTS = -1
export const POLICIES_FULL = -2

const MAX_PORT = 65535

export type Policies = ReturnType<typeof createPolicies>

export const createPolicies = (options: PoliciesOptions = {}) => {
  const capacity = options.capacity ?? 16384
  const int = () => new Int32Array(capacity)
  const from = int()
  const to = int()
  const protocol = int() // 0: the row is free
  const low = int()
  const high = int()
  const following = int() // of the same bucket
  const hits = new Float64Array(capacity)
  const bits = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const buckets = new Int32Array(1 << bits).fill(-1)
  let used = 0 // rows ever used
  let count = 0
  let generation = 1

  const bucketOf = (a: number, b: number, p: number): number => {
    const h = Math.imul(a | (b << 16), 0x9e3779b1) ^ Math.imul(p, 0x85ebca6b)
    return Math.imul(h ^ (h >>> 15), 0xc2b2ae35) >>> (32 - bits)
  }

  /** Something else has changed that decisions were made by: they are made again. */
  const touch = (): void => {
    generation = generation === 0x7fffffff ? 1 : generation + 1
  }

  /** Row of exactly this policy; -1 when there is none. */
  const row = (a: number, b: number, p: number, lowest: number, highest: number): number => {
    const isIcmp = p === PROTOCOL_ICMP
    let r = buckets[bucketOf(a, b, p)]!
    while (r >= 0 && (from[r] !== a || to[r] !== b || protocol[r] !== p || (!isIcmp && (low[r] !== lowest || high[r] !== highest)))) r = following[r]!
    return r
  }

  /** A new row; POLICY_EXISTS or POLICIES_FULL. App ids, IP protocol number, and the ports from the lowest to the highest. */
  const add = (a: number, b: number, p: number, lowest: number, highest: number): number => {
    if (row(a, b, p, lowest, highest) >= 0) return POLICY_EXISTS
    let r = 0
    if (count < used) while (protocol[r] !== 0) r++
    else r = used
    if (r === capacity) return POLICIES_FULL
    if (r === used) used++
    count++
    from[r] = a
    to[r] = b
    protocol[r] = p
    low[r] = p === PROTOCOL_ICMP ? 0 : lowest
    high[r] = p === PROTOCOL_ICMP ? MAX_PORT : highest
    hits[r] = 0
    following[r] = -1
    const bucket = bucketOf(a, b, p)
    let last = buckets[bucket]!
    if (last < 0) buckets[bucket] = r
    else {
      while (following[last]! >= 0) last = following[last]!
      following[last] = r
    }
    touch()
    return r
  }

  const remove = (r: number): void => {
    const bucket = bucketOf(from[r]!, to[r]!, protocol[r]!)
    if (buckets[bucket] === r) buckets[bucket] = following[r]!
    else {
      let before = buckets[bucket]!
      while (following[before] !== r) before = following[before]!
      following[before] = following[r]!
    }
    protocol[r] = 0
    count--
    touch()
  }

  /** Takes exactly this policy away; false when there is none. */
  const del = (a: number, b: number, p: number, lowest: number, highest: number): boolean => {
    const r = row(a, b, p, lowest, highest)
    if (r < 0) return false
    remove(r)
    return true
  }

  /** The row that lets app `a` reach app `b`; -1 when none does. `port` in host order, any for ICMP. */
  const find = (a: number, b: number, p: number, port: number): number => {
    let r = buckets[bucketOf(a, b, p)]!
    while (r >= 0 && (from[r] !== a || to[r] !== b || protocol[r] !== p || port < low[r]! || port > high[r]!)) r = following[r]!
    return r
  }

  return {
    capacity, from, to, protocol, low, high,
    /** Conversations, and packets that belong to none, that a row has let in; counted by who decides. */
    hits,
    add, del, find, row, touch,
    /** Takes away all policies from or to an app; returns how many. */
    removeApp: (id: number): number => {
      const before = count
      for (let r = 0; r < used; r++) if (protocol[r] !== 0 && (from[r] === id || to[r] === id)) remove(r)
      return before - count
    },
    /** Goes up with every change; never 0. */
    generation: (): number => generation,
    count: (): number => count,
    /** Rows by number, for showing. */
    rows: (): number[] => Array.from({ length: used }, (_, r) => r).filter((r) => protocol[r] !== 0)
  }
}
