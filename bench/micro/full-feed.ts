/**
 * A full table of Internet routes, made up: prefix lengths in their real shares (drawLength), prefixes anywhere in unicast space,
 * in random order. Harder than the real table, in which prefixes lie close together and come sorted: here hardly anything a
 * route needs is in a cache because of the route before.
 */
import { drawLength } from '../../test/oracle/naive-routes.js'
import { maskOf, networkOf } from '../../src/wire/ip4.js'

/** Gateways that routes share, by number. */
export const GATEWAYS = 256

export interface Feed {
  prefix: Int32Array
  length: Int32Array
  /** Number of its gateway. */
  gateway: Int32Array
}

/** Numbers of 32 bits (mulberry32), the same at each run. */
export const createRandom = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return t ^ (t >>> 14)
}

/** So many different prefixes. */
export const createFeed = (routes: number, seed = 1): Feed => {
  const random = createRandom(seed)
  const feed = { prefix: new Int32Array(routes), length: new Int32Array(routes), gateway: new Int32Array(routes) }
  const seen = new Set<number>()
  while (seen.size < routes) {
    const length = drawLength(random())
    const prefix = networkOf(random(), length)
    const first = prefix >>> 24
    if (first === 0 || first === 10 || first === 127 || first >= 224) continue
    const i = seen.size
    if (seen.add((prefix >>> 0) * 64 + length).size === i) continue
    feed.prefix[i] = prefix
    feed.length[i] = length
    feed.gateway[i] = (random() >>> 0) % GATEWAYS
  }
  return feed
}

/** Addresses in prefixes of the feed, each prefix as likely as any other. */
export const addressesIn = ({ prefix, length }: Feed, count: number, seed = 2): Int32Array => {
  const random = createRandom(seed)
  return Int32Array.from({ length: count }, () => {
    const i = (random() >>> 0) % prefix.length
    return prefix[i]! | (random() & ~maskOf(length[i]!))
  })
}
