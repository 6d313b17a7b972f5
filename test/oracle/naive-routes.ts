/** Routing tables in the plainest words: arrays, scanned. */
import * as ip4 from '../../src/wire/ip4.js'

export interface NaivePrefix {
  prefix: number
  length: number
  id: number
}

/** Longest-prefix match by looking at every prefix; undefined when none holds the address. */
export const naiveMatch = (table: readonly NaivePrefix[], address: number): NaivePrefix | undefined => {
  let best: NaivePrefix | undefined
  for (const e of table) {
    if (ip4.inPrefix(address, e.prefix, e.length) && (best === undefined || e.length > best.length)) best = e
  }
  return best
}

/** The longest prefix around another one, itself excluded. */
export const naiveCover = (table: readonly NaivePrefix[], prefix: number, length: number): NaivePrefix | undefined =>
  table.filter((e) => e.length < length && ip4.inPrefix(prefix, e.prefix, e.length)).sort((a, b) => b.length - a.length)[0]

/** A small repeatable random source: int32 values (xorshift32). */
export const random32 = (seed: number): (() => number) => {
  let x = seed | 0 || 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x
  }
}

/** Share of each prefix length in a full Internet table, percent (rounded from public routing-table reports). */
const MIX: readonly (readonly [length: number, percent: number])[] = [
  [8, 0.01], [10, 0.01], [11, 0.02], [12, 0.05], [13, 0.08], [14, 0.16], [15, 0.3], [16, 1.4], [17, 0.9], [18, 1.5], [19, 2.7],
  [20, 4.6], [21, 5.2], [22, 11.3], [23, 10.4], [24, 61.3], [32, 0.07]
]

/** A prefix length drawn from that mix; `r` is any int32. */
export const drawLength = (r: number): number => {
  let left = ((r >>> 0) / 2 ** 32) * 100
  for (const [length, percent] of MIX) {
    left -= percent
    if (left < 0) return length
  }
  return 24
}
