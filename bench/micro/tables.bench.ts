/**
 * Tables: the FDB, the FIB and the neighbour table, filled to different sizes and asked in random order. Own loops: a call of
 * a closure by `benchmark` costs more than a lookup.
 */
import { threadCpuTime } from '../../src/native.js'
import { createFdb } from '../../src/table/fdb.js'
import { Fib } from '../../src/table/fib.js'
import { createNeighbors, NUD_REACHABLE } from '../../src/table/neighbors.js'
import { single } from '../result.js'
import { addressesIn, createFeed, createRandom } from './full-feed.js'
import { report, reportLoop, timeLoop } from './measure.js'

const LOOKUPS = 1 << 20
/** Questions asked in turn; more than fit into the caches beside a large table would measure themselves. */
const QUESTIONS = 1 << 16

let sink = 0

const benchFdb = (stations: number): void => {
  const random = createRandom(stations)
  const fdb = createFdb({ seed: 1 })
  const lo = Int32Array.from({ length: stations }, random)
  const hi = 0x4202
  for (let i = 0; i < stations; i++) fdb.learn(0, 0, hi, lo[i]!, i & 7, 0)
  const asked = Int32Array.from({ length: QUESTIONS }, () => (random() >>> 0) % stations)
  // What the bridge does for each frame: learn the source, find the destination, read its port
  reportLoop('tables', `FDB learn and find, ${stations} stations`, () => {
    for (let i = 0; i < LOOKUPS; i++) {
      const from = asked[i & (QUESTIONS - 1)]!
      const to = asked[(i + 1) & (QUESTIONS - 1)]!
      fdb.learn(0, 0, hi, lo[from]!, from & 7, 1)
      sink ^= fdb.portOf(fdb.find(0, hi, lo[to]!))
    }
  }, LOOKUPS)
}

const benchFib = (prefixes: number): void => {
  const feed = createFeed(prefixes)
  const fib = new Fib()
  for (let i = 0; i < prefixes; i++) fib.insert(feed.prefix[i]!, feed.length[i]!, feed.gateway[i]! + 1)
  const asked = addressesIn(feed, QUESTIONS)
  reportLoop('tables', `FIB lookup, ${prefixes} routes`, () => {
    for (let i = 0; i < LOOKUPS; i++) sink ^= fib.lookup(asked[i & (QUESTIONS - 1)]!)
  }, LOOKUPS)
}

const benchNeighbors = (entries: number): void => {
  const random = createRandom(entries)
  const neighbors = createNeighbors({ gcThresh3: Math.max(entries, 1024), seed: 1 })
  for (let i = 0; i < entries; i++) neighbors.create(i & 3, 0x0a000000 + i, 0)
  const asked = Int32Array.from({ length: QUESTIONS }, () => (random() >>> 0) % entries)
  reportLoop('tables', `neighbour lookup, ${entries} entries`, () => {
    for (let i = 0; i < LOOKUPS; i++) {
      const n = asked[i & (QUESTIONS - 1)]!
      sink ^= neighbors.lookup(n & 3, 0x0a000000 + n)
    }
  }, LOOKUPS)
}

/** Reachable neighbours are looked at once in 15 to 45 seconds each: what that takes of each second, asked as often as the loop turns. */
const benchNeighborTimers = (entries: number): void => {
  const random = createRandom(entries)
  const neighbors = createNeighbors({ gcThresh3: entries, seed: 1 })
  const time = new Float64Array(1)
  const reachableTime = (): number => 15_000 + ((random() >>> 0) % 30_000)
  const begin = threadCpuTime()
  for (let i = 0; i < entries; i++) neighbors.setState(neighbors.create(i & 3, 0x0a000000 + i, 0), NUD_REACHABLE, reachableTime())
  report(single('tables', `neighbours, fill ${entries}`, 'ms', [(threadCpuTime() - begin) / 1e6]))
  const visit = (row: number, now: number): void => neighbors.setState(row, NUD_REACHABLE, now + reachableTime())
  const SECONDS = 60
  const loop = (): void => {
    for (let i = 0; i < SECONDS * 1000; i++) neighbors.expire((time[0] = time[0]! + 1), visit)
  }
  report(single('tables', `neighbour timers, ${entries} reachable`, 'µs in a second', timeLoop(loop, SECONDS).map((ns) => ns / 1000)))
}

for (const stations of [16, 1024, 100_000, 1_000_000]) benchFdb(stations)
for (const prefixes of [10, 10_000, 100_000]) benchFib(prefixes) // a full table: routes.bench.ts
for (const entries of [16, 8192, 100_000]) benchNeighbors(entries)
for (const entries of [16, 100_000]) benchNeighborTimers(entries)
if (sink === 0.5) process.stdout.write('')
