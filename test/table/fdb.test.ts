import test from 'ava'
import fc from 'fast-check'
import {
  F_DYNAMIC, F_EXTERN_LEARN, F_LEARNED, F_LOCAL, F_STATIC, F_STICKY, F_USER,
  FDB_EXISTS, FDB_FULL, FDB_KNOWN, FDB_LOCAL, FDB_MOVED, FDB_NEW, FDB_OFF, FDB_STICKY, createFdb, type Fdb
} from '../../src/table/fdb.js'
import { parseMac } from '../../src/wire/mac.js'

const [HI, LO] = parseMac('02:00:00:00:00:0a')!
const FILTER = 7
const BRIDGE = 3

/** Port of a station, -1 when it is not there. */
const portOf = (fdb: Fdb, filter: number, hi: number, lo: number): number => {
  const entry = fdb.find(filter, hi, lo)
  return entry < 0 ? -1 : fdb.portOf(entry)
}

/** All entries by one scan without changes. */
const rows = (fdb: Fdb, max = 1 << 20): string[] => {
  const list: string[] = []
  for (let cursor = 0; cursor >= 0;) {
    cursor = fdb.scan(cursor, max, (e) => list.push([fdb.filterOf(e), fdb.hiOf(e), fdb.loOf(e), fdb.portOf(e), fdb.flagsOf(e)].join()))
  }
  return list.sort()
}

test('a station is learned, known, and moves; each filtering id has its own', (t) => {
  const fdb = createFdb()
  t.is(fdb.find(FILTER, HI, LO), -1)
  t.is(fdb.learn(FILTER, BRIDGE, HI, LO, 5, 1), FDB_NEW)
  t.is(fdb.learn(FILTER, BRIDGE, HI, LO, 5, 2), FDB_KNOWN)
  const entry = fdb.find(FILTER, HI, LO)
  t.is(fdb.portOf(entry), 5)
  t.is(fdb.flagsOf(entry), F_LEARNED)
  t.is(fdb.updatedOf(entry), 2)
  t.is(fdb.filterOf(entry), FILTER)
  t.is(fdb.bridgeOf(entry), BRIDGE)
  t.deepEqual([fdb.hiOf(entry), fdb.loOf(entry)], [HI, LO])
  t.is(portOf(fdb, FILTER + 1, HI, LO), -1)
  t.is(fdb.learn(FILTER, BRIDGE, HI, LO, 6, 3), FDB_MOVED)
  t.is(portOf(fdb, FILTER, HI, LO), 6)
  t.is(fdb.learnedCount(BRIDGE), 1)
  t.is(fdb.learnedTotal(BRIDGE), 1)
  t.is(fdb.movedTotal(BRIDGE), 1)
  t.is(fdb.count(), 1)
})

test('keys and ports of all bits are kept apart', (t) => {
  const fdb = createFdb()
  const keys = [[0, 0, 0], [65535, 0xffff, -1], [65535, 0xfffe, -1], [65534, 0xffff, -1], [0, 0xfffe, 0], [1, 0, 0], [0, 0, -2147483648]] as const
  keys.forEach(([f, hi, lo], i) => t.is(fdb.add(f, 0, hi, lo, 65535 - i, F_STATIC, 0), FDB_NEW))
  keys.forEach(([f, hi, lo], i) => {
    const entry = fdb.find(f, hi, lo)
    t.is(fdb.portOf(entry), 65535 - i)
    t.deepEqual([fdb.filterOf(entry), fdb.hiOf(entry), fdb.loOf(entry)], [f, hi, lo])
  })
})

test('used and remote lie beside, and move with the entry', (t) => {
  const fdb = createFdb({ capacityLog2: 2 })
  fdb.learn(FILTER, BRIDGE, HI, LO, 1, 1)
  fdb.setRemote(fdb.find(FILTER, HI, LO), 77)
  fdb.use(fdb.find(FILTER, HI, LO), 9)
  for (let i = 0; i < 100; i++) fdb.learn(FILTER, BRIDGE, HI, LO + 256 * (i + 1), 1, 1000)
  t.is(fdb.remoteOf(fdb.find(FILTER, HI, LO)), 77)
  t.is(fdb.usedOf(fdb.find(FILTER, HI, LO)), 9)
  for (let i = 0; i < 100; i++) fdb.remove(FILTER, HI, LO + 256 * (i + 1))
  t.is(fdb.remoteOf(fdb.find(FILTER, HI, LO)), 77)
  t.is(fdb.usedOf(fdb.find(FILTER, HI, LO)), 9)
  t.is(fdb.updatedOf(fdb.find(FILTER, HI, LO)), 1)
})

test('entries set by hand: local ones are not learned, sticky ones do not move, static ones move as in the kernel', (t) => {
  const fdb = createFdb()
  fdb.add(FILTER, BRIDGE, HI, 1, 0, F_LOCAL, 0)
  fdb.add(FILTER, BRIDGE, HI, 2, 1, F_STATIC | F_STICKY, 0)
  fdb.add(FILTER, BRIDGE, HI, 3, 1, F_STATIC, 0)
  fdb.add(FILTER, BRIDGE, HI, 4, 1, F_STATIC | F_EXTERN_LEARN, 0)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 1, 0, 0), FDB_LOCAL)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 1, 2, 0), FDB_LOCAL)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 2, 2, 0), FDB_STICKY)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 2, 1, 0), FDB_KNOWN)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 3, 2, 0), FDB_MOVED)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 4, 2, 0), FDB_MOVED)
  t.deepEqual([1, 2, 3, 4].map((lo) => portOf(fdb, FILTER, HI, lo)), [0, 1, 2, 2])
  t.deepEqual([1, 2, 3, 4].map((lo) => fdb.flagsOf(fdb.find(FILTER, HI, lo))), [
    F_LOCAL | F_STATIC | F_USER, F_STATIC | F_STICKY | F_USER, F_STATIC | F_USER, F_STATIC | F_USER
  ])
  t.is(fdb.learnedCount(BRIDGE), 0)
})

test('add refuses what exists, replace takes it over', (t) => {
  const fdb = createFdb()
  t.is(fdb.add(FILTER, BRIDGE, HI, LO, 1, F_STATIC, 0), FDB_NEW)
  t.is(fdb.add(FILTER, BRIDGE, HI, LO, 1, F_STATIC, 0), FDB_EXISTS)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 1, 2, 1), FDB_NEW)
  t.is(fdb.add(FILTER, BRIDGE, HI, 1, 2, F_STATIC, 2000), FDB_EXISTS)
  t.is(fdb.learnedCount(BRIDGE), 1)
  t.is(fdb.replace(FILTER, BRIDGE, HI, 1, 2, F_STATIC, 3000), FDB_KNOWN)
  t.is(fdb.flagsOf(fdb.find(FILTER, HI, 1)), F_STATIC | F_USER)
  t.is(fdb.updatedOf(fdb.find(FILTER, HI, 1)), 3)
  t.is(fdb.learnedCount(BRIDGE), 0)
  t.is(fdb.replace(FILTER, BRIDGE, HI, 1, 4, F_STATIC, 3000), FDB_MOVED)
  t.is(fdb.replace(FILTER, BRIDGE, HI, 9, 4, F_DYNAMIC, 3000), FDB_NEW)
  t.is(fdb.flagsOf(fdb.find(FILTER, HI, 9)), F_USER)
  t.false(fdb.remove(FILTER, HI, 9, 5))
  t.true(fdb.remove(FILTER, HI, 9, 4))
  t.false(fdb.remove(FILTER, HI, 9))
})

test('the limit of a bridge bounds what it learns, and nothing else', (t) => {
  const fdb = createFdb()
  fdb.setLimit(BRIDGE, 2)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 1, 1, 0), FDB_NEW)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 2, 1, 0), FDB_NEW)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 3, 1, 0), FDB_FULL)
  t.is(fdb.fullTotal(BRIDGE), 1)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 2, 2, 0), FDB_MOVED)
  t.is(fdb.add(FILTER, BRIDGE, HI, 4, 1, F_STATIC, 0), FDB_NEW)
  t.is(fdb.learn(FILTER + 1, BRIDGE + 1, HI, 3, 1, 0), FDB_NEW)
  fdb.remove(FILTER, HI, 1)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 3, 1, 0), FDB_NEW)
  fdb.setLimit(BRIDGE, 0)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 5, 1, 0), FDB_NEW)
})

test('a table at its maximum refuses, and says so', (t) => {
  const fdb = createFdb({ capacityLog2: 3, maxLog2: 4 })
  for (let lo = 0; lo < 10; lo++) t.is(fdb.learn(FILTER, BRIDGE, HI, lo, 1, 0), FDB_NEW)
  t.is(fdb.slots(), 16)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 10, 1, 0), FDB_FULL)
  t.is(fdb.add(FILTER, BRIDGE, HI, 10, 1, F_STATIC, 0), FDB_FULL)
  t.is(fdb.fullTotal(BRIDGE), 2)
  t.is(fdb.count(), 10)
  for (let lo = 0; lo < 10; lo++) t.is(portOf(fdb, FILTER, HI, lo), 1)
})

test('ageing counts from the last frame, spares what is static, and is a matter of the bridge', (t) => {
  const fdb = createFdb()
  fdb.setAgeing(BRIDGE, 10_000)
  const sweep = (now: number) => fdb.sweep(now, fdb.slots())
  fdb.learn(FILTER, BRIDGE, HI, 1, 1, 0)
  fdb.learn(FILTER, BRIDGE, HI, 2, 1, 0)
  fdb.learn(FILTER + 1, BRIDGE + 1, HI, 1, 1, 0)
  fdb.add(FILTER, BRIDGE, HI, 3, 1, F_STATIC, 900)
  fdb.add(FILTER, BRIDGE, HI, 4, 1, F_DYNAMIC, 900)
  fdb.add(FILTER, BRIDGE, HI, 5, 1, F_EXTERN_LEARN, 900)
  fdb.learn(FILTER, BRIDGE, HI, 2, 1, 8)
  t.is(sweep(10_899), 0)
  t.is(sweep(11_000), 2)
  t.deepEqual([1, 2, 3, 4, 5].map((lo) => portOf(fdb, FILTER, HI, lo)), [-1, 1, 1, -1, 1])
  t.is(portOf(fdb, FILTER + 1, HI, 1), 1)
  t.is(fdb.learnedCount(BRIDGE), 1)
  t.is(sweep(19_000), 1)
  t.is(sweep(301_000), 1)
  t.is(fdb.count(), 2)
})

test('with ageing time 0 nothing is learned, and what was goes', (t) => {
  const fdb = createFdb()
  fdb.learn(FILTER, BRIDGE, HI, 1, 1, 0)
  fdb.setAgeing(BRIDGE, 0)
  t.is(fdb.learn(FILTER, BRIDGE, HI, 2, 1, 0), FDB_OFF)
  t.is(fdb.sweep(0, fdb.slots()), 1)
  t.is(fdb.count(), 0)
})

test('a sweep looks at no more than its budget, and gets everywhere', (t) => {
  const fdb = createFdb({ capacityLog2: 10 })
  fdb.setAgeing(BRIDGE, 1000)
  for (let lo = 0; lo < 500; lo++) fdb.learn(FILTER, BRIDGE, HI, lo, 1, 0)
  let gone = 0
  for (let i = 0; i < 16; i++) {
    const n = fdb.sweep(5000, 64)
    t.true(n <= 64)
    gone += n
  }
  t.is(gone + fdb.count(), 500)
  gone += fdb.sweep(5000, 1024)
  t.is(gone, 500)
})

test('ports, filtering ids and bridges are cleared by themselves', (t) => {
  const fill = (): Fdb => {
    const fdb = createFdb()
    for (let i = 0; i < 400; i++) fdb.learn(i % 4, i % 2, HI, i, i % 8, 0)
    for (let i = 400; i < 440; i++) fdb.add(i % 4, i % 2, HI, i, i % 8, i % 3 === 0 ? F_LOCAL : F_STATIC, 0)
    return fdb
  }
  const byPort = fill()
  t.is(byPort.removeByPort(3), 50)
  t.is(byPort.removeByPort(3, true), 5)
  t.is(byPort.count(), 385)
  const byFilter = fill()
  t.is(byFilter.flush({ filter: 2 }), 110)
  t.is(byFilter.flush({ bridge: 1, flagsMask: F_STATIC, flags: 0 }), 200)
  t.is(byFilter.learnedCount(1), 0)
  t.is(byFilter.learnedCount(0), 100)
  const byBridge = fill()
  byBridge.setAgeing(1, 0)
  byBridge.removeBridge(1)
  t.is(byBridge.count(), 220)
  t.is(byBridge.learnedTotal(1), 0)
  t.is(byBridge.learn(1, 1, HI, 1, 1, 0), FDB_NEW)
  t.is(byBridge.flush({}), 221)
  t.is(byBridge.count(), 0)
})

type Step =
  | { op: 'learn' | 'add' | 'replace' | 'remove'; key: number; port: number; flags: number }
  | { op: 'sweep' } | { op: 'port'; port: number } | { op: 'filter'; filter: number } | { op: 'wait'; seconds: number }

const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({
    op: fc.constantFrom('learn' as const, 'learn' as const, 'add' as const, 'replace' as const, 'remove' as const, 'remove' as const),
    key: fc.nat(60), port: fc.nat(3), flags: fc.constantFrom(0, F_STATIC, F_LOCAL, F_STATIC | F_STICKY, F_EXTERN_LEARN)
  }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('port' as const), port: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('filter' as const), filter: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), seconds: fc.nat(4) }) }
)

interface ModelEntry { port: number; flags: number; updated: number }

/** The same in the plainest words; returns what the table's function should return. */
const runModel = (model: Map<string, ModelEntry>, s: Extract<Step, { key: number }>, key: string, now: number): number | boolean => {
  const old = model.get(key)
  const flags = s.flags | F_USER | ((s.flags & F_LOCAL) !== 0 ? F_STATIC : 0)
  if (s.op === 'remove') return model.delete(key)
  if (s.op === 'learn') {
    if (old === undefined) {
      model.set(key, { port: s.port, flags: F_LEARNED, updated: now })
      return FDB_NEW
    }
    if ((old.flags & F_LOCAL) !== 0) return FDB_LOCAL
    old.updated = now
    if (old.port === s.port) return FDB_KNOWN
    if ((old.flags & F_STICKY) !== 0) return FDB_STICKY
    old.port = s.port
    old.flags &= ~F_EXTERN_LEARN
    return FDB_MOVED
  }
  if (s.op === 'add' && old !== undefined) return FDB_EXISTS
  if (old === undefined) {
    model.set(key, { port: s.port, flags, updated: now })
    return FDB_NEW
  }
  model.set(key, { port: s.port, flags, updated: old.flags === flags && old.port === s.port ? old.updated : now })
  return old.port === s.port ? FDB_KNOWN : FDB_MOVED
}

test('any order of operations gives what a plain map gives', (t) => {
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), fc.integer({ min: 1, max: 7 }), (steps, seed, scanMax) => {
    const fdb = createFdb({ capacityLog2: 2, seed })
    for (let b = 0; b < 3; b++) fdb.setAgeing(b, 5000)
    const model = new Map<string, ModelEntry>()
    const split = (k: number): [number, number, number] => [k % 3, k % 5, Math.imul(k, 0x01000193)]
    const purge = (dead: (filter: number, e: ModelEntry) => boolean): number => {
      const before = model.size
      for (const [key, e] of model) if (dead(Number(key.split(',')[0]), e)) model.delete(key)
      return before - model.size
    }
    let now = 0
    for (const s of steps) {
      if (s.op === 'wait') now += s.seconds
      else if (s.op === 'sweep') {
        let gone = 0
        for (let i = 0; i < 2; i++) gone += fdb.sweep(now * 1000, fdb.slots())
        t.is(gone, purge((_, e) => (e.flags & (F_STATIC | F_EXTERN_LEARN)) === 0 && now - e.updated > 5))
      } else if (s.op === 'port') t.is(fdb.removeByPort(s.port), purge((_, e) => e.port === s.port && (e.flags & (F_STATIC | F_EXTERN_LEARN)) === 0))
      else if (s.op === 'filter') t.is(fdb.flush({ filter: s.filter }), purge((f) => f === s.filter))
      else {
        const [f, hi, lo] = split(s.key)
        const got = s.op === 'remove' ? fdb.remove(f, hi, lo)
          : s.op === 'learn' ? fdb.learn(f, f, hi, lo, s.port, now) : fdb[s.op](f, f, hi, lo, s.port, s.flags, now * 1000)
        t.is(got, runModel(model, s, [f, hi, lo].join(), now))
      }
    }
    t.is(fdb.count(), model.size)
    t.deepEqual(rows(fdb, scanMax), [...model].map(([key, e]) => [key, e.port, e.flags].join()).sort())
    for (let b = 0; b < 3; b++) {
      t.is(fdb.learnedCount(b), [...model].filter(([key, e]) => key.startsWith(`${b},`) && (e.flags & F_LEARNED) !== 0).length)
    }
    for (let k = 0; k <= 60; k++) {
      const [f, hi, lo] = split(k)
      t.is(portOf(fdb, f, hi, lo), model.get([f, hi, lo].join())?.port ?? -1)
    }
  }), { numRuns: 300 })
})

test('a scan misses no entry that stays, whatever comes and goes meanwhile', (t) => {
  fc.assert(fc.property(
    fc.integer(), fc.integer({ min: 1, max: 20 }), fc.array(fc.tuple(fc.boolean(), fc.nat(300)), { maxLength: 400 }),
    (seed, max, changes) => {
      const fdb = createFdb({ capacityLog2: 5, seed })
      const STAY = 1000
      for (let i = 0; i < 18; i++) fdb.learn(0, 0, HI, STAY + i, 1, 0)
      for (let i = 0; i < 40; i++) fdb.learn(0, 0, HI, i, 1, 0)
      const seen = new Set<number>()
      let at = 0
      for (let cursor = 0; cursor >= 0;) {
        cursor = fdb.scan(cursor, max, (e) => seen.add(fdb.loOf(e)))
        for (let i = 0; i < 30 && at < changes.length; i++, at++) {
          const [come, lo] = changes[at]!
          if (come) fdb.learn(0, 0, HI, lo, 1, 0)
          else fdb.remove(0, HI, lo)
        }
      }
      for (let i = 0; i < 18; i++) t.true(seen.has(STAY + i), `${i}`)
    }
  ), { numRuns: 500 })
})

test('a scan misses nothing when the table grows in the midst of it', (t) => {
  fc.assert(fc.property(fc.integer(), fc.nat(7), (seed, growAt) => {
    const fdb = createFdb({ capacityLog2: 3, seed })
    for (let i = 0; i < 5; i++) fdb.learn(0, 0, HI, i, 1, 0)
    const seen = new Set<number>()
    let calls = 0
    for (let cursor = 0; cursor >= 0;) {
      if (calls++ === growAt) fdb.learn(0, 0, HI, 5, 1, 0)
      cursor = fdb.scan(cursor, 1, (e) => seen.add(fdb.loOf(e)))
    }
    t.is(fdb.slots(), 16)
    for (let i = 0; i < 5; i++) t.true(seen.has(i), `${i}`)
  }), { numRuns: 5000 })
})

test('200 000 stations are found again, in clusters that stay short', (t) => {
  const fdb = createFdb({ seed: 12345 })
  const n = 200_000
  for (let i = 0; i < n; i++) fdb.learn(i & 1, 0, HI, i << 8, i & 0xfff, 0)
  t.is(fdb.count(), n)
  t.is(fdb.slots(), 1 << 19)
  let wrong = 0
  for (let i = 0; i < n; i++) if (portOf(fdb, i & 1, HI, i << 8) !== (i & 0xfff) || fdb.find(2, HI, i << 8) >= 0) wrong++
  t.is(wrong, 0)
  t.log(`${n} entries: ${(fdb.memoryBytes() / 2 ** 20).toFixed(1)} MiB; empty: ${(createFdb().memoryBytes() / 2 ** 10).toFixed(0)} KiB`)
  fdb.setAgeing(0, 1000)
  let gone = 0
  for (let i = 0; i < 1000 && fdb.count() > 0; i++) gone += fdb.sweep(10_000, 4096)
  t.is(gone, n)
})
