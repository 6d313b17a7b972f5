import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { Fib, FIB_MAX_ID } from '../../src/table/fib.js'
import * as ip4 from '../../src/wire/ip4.js'
import { naiveCover, naiveMatch, random32, type NaivePrefix } from '../oracle/naive-routes.js'

const ip = (text: string): number => ip4.parseIp4(text)!

test('the longest prefix wins', (t) => {
  const fib = new Fib()
  const look = (text: string) => fib.lookup(ip(text))
  t.is(look('10.1.1.1'), 0)
  fib.insert(0, 0, 1)
  fib.insert(ip('10.0.0.0'), 8, 2)
  fib.insert(ip('10.1.0.0'), 16, 3)
  fib.insert(ip('10.1.1.0'), 24, 4)
  fib.insert(ip('10.1.1.1'), 32, 5)
  fib.insert(ip('10.1.1.2'), 31, 6)
  fib.insert(ip('192.0.0.0'), 3, 7)
  const expected: Record<string, number> = {
    '9.9.9.9': 1, '10.2.0.0': 2, '10.1.2.0': 3, '10.1.1.0': 4, '10.1.1.1': 5, '10.1.1.2': 6, '10.1.1.3': 6, '10.1.1.4': 4,
    '223.1.1.1': 7, '255.255.255.255': 1, '0.0.0.0': 1
  }
  for (const [address, id] of Object.entries(expected)) t.is(look(address), id, address)
})

test('the order of insertion does not matter, and a new id takes the place of the old', (t) => {
  const fib = new Fib()
  fib.insert(ip('10.1.1.1'), 32, 5)
  fib.insert(ip('10.1.0.0'), 16, 3)
  fib.insert(ip('10.0.0.0'), 8, 2)
  fib.insert(ip('10.1.1.0'), 25, 4)
  fib.insert(ip('10.1.0.0'), 16, 33)
  t.deepEqual(['10.1.1.1', '10.1.1.2', '10.1.1.200', '10.9.9.9', '11.0.0.0'].map((a) => fib.lookup(ip(a))), [5, 4, 33, 2, 0])
})

test('removing a prefix brings back what it covered, and its chunks are used again', (t) => {
  const fib = new Fib()
  fib.insert(ip('10.0.0.0'), 8, 2)
  fib.insert(ip('10.1.1.1'), 32, 5)
  t.is(fib.chunkCount(), 4)
  fib.remove(ip('10.0.0.0'), 8, 0, 0)
  t.is(fib.lookup(ip('10.1.1.1')), 5)
  t.is(fib.lookup(ip('10.1.1.2')), 0)
  fib.insert(0, 0, 1)
  t.is(fib.lookup(ip('10.1.1.2')), 1)
  fib.insert(ip('10.1.0.0'), 16, 3)
  fib.remove(ip('10.1.1.1'), 32, 3, 16)
  t.is(fib.lookup(ip('10.1.1.1')), 3)
  t.is(fib.chunkCount(), 0)
  fib.remove(0, 0, 0, 0)
  t.is(fib.lookup(ip('99.1.1.1')), 0)
})

test('an empty match is small', (t) => {
  const bytes = new Fib().memoryBytes()
  t.true(bytes <= 300 * 1024)
  t.log(`${(bytes / 1024).toFixed(0)} KiB`)
})

/** Prefixes that cover each other often: few bits are free. Some lie about the end of a flat table, some reach beyond it. */
const BASES = [0x0a010100, 0x0a01ff80, 0x0affffff, -1, 0x0a018000, ip('223.255.255.0'), ip('224.0.0.0')]
const length = fc.oneof({ weight: 15, arbitrary: fc.integer({ min: 8, max: 32 }) }, { weight: 1, arbitrary: fc.nat(7) })
const prefix = fc.tuple(length, fc.constantFrom(...BASES), fc.nat(63), fc.nat(28))
  .map(([l, base, bits, shift]): [number, number] => [ip4.networkOf(base ^ (bits << shift), l), l])
/** A few ids, so that neighbours have the same; those about 65535 have no place in a flat table, or just one. */
const id = fc.constantFrom(1, 2, 3, 65533, 65534, 65535, 65536, FIB_MAX_ID)
const step = fc.record({ at: prefix, insert: fc.boolean(), id })
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** Does all steps, with a table made flat before one of them, and compares with a list of prefixes. */
const change = (t: ExecutionContext, steps: readonly Step[], flatFrom: number, seed: number): void => {
  const fib = new Fib()
  let table: NaivePrefix[] = []
  const removed = (p: number, length: number): void => {
    const cover = naiveCover(table, p, length)
    fib.remove(p, length, cover?.id ?? 0, cover?.length ?? 0)
  }
  steps.forEach(({ at: [p, length], insert, id: n }, i) => {
    if (i === flatFrom) fib.flatten()
    const known = table.some((e) => e.prefix === p && e.length === length)
    if (!insert && !known) return
    table = table.filter((e) => e.prefix !== p || e.length !== length)
    if (insert) {
      fib.insert(p, length, n)
      table.push({ prefix: p, length, id: n })
    } else removed(p, length)
  })
  const check = (a: number): void => {
    const best = naiveMatch(table, a)
    t.is(fib.lookup(a), best?.id ?? 0)
    t.is(fib.lengthAt(a), best?.length ?? 0)
  }
  const random = random32(seed)
  for (const e of table) {
    const inside = e.prefix | (random() & ~ip4.maskOf(e.length))
    const last = ip4.broadcastOf(e.prefix, e.length)
    for (const a of [e.prefix, last, inside, (e.prefix - 1) | 0, (last + 1) | 0]) check(a)
  }
  for (let i = 0; i < 50; i++) check(i % 2 === 0 ? random() : ip('10.1.0.0') | (random() & 0xffff))
  while (table.length > 0) {
    const { prefix: p, length } = table.shift()!
    removed(p, length)
  }
  t.is(fib.chunkCount(), 0)
  for (const { at: [p] } of steps) t.is(fib.lookup(p), 0)
}

test('any order of changes gives what an array scan gives, and leaves nothing behind', (t) => {
  const steps = fc.array(step, { maxLength: 120 })
  fc.assert(fc.property(steps, fc.integer(), (list, seed) => change(t, list, -1, seed)), { numRuns: 300 })
})

test('the same in a table that is flat from the beginning, or becomes so', (t) => {
  fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), fc.nat(119), fc.integer(), (steps, n, seed) =>
    change(t, steps, n % steps.length, seed)), { numRuns: 100 })
})

test('a table becomes flat when it is large, stays so, and is right before, at that point and after', (t) => {
  const random = random32(7)
  const fib = new Fib()
  const ids = new Map<number, number>()
  const wrong = (): number => {
    let n = 0
    for (const [i, expected] of ids) if (fib.lookup((i << 8) | (random() & 0xff)) !== expected) n++
    for (let i = 0; i < 1000; i++) {
      const a = random()
      if (fib.lookup(a) !== (ids.get(a >>> 8) ?? 0)) n++
    }
    return n
  }
  const grow = (): void => {
    const i = random() >>> 8
    ids.set(i, (random() >>> 12) + 1)
    fib.insert(i << 8, 24, ids.get(i)!)
  }
  for (let n = 0; n < 30_000; n++) grow()
  t.false(fib.isFlat())
  t.true(fib.memoryBytes() < 8 * 2 ** 20)
  t.is(wrong(), 0)
  while (!fib.isFlat()) grow()
  t.log(`${ids.size} prefixes`)
  t.true(fib.memoryBytes() < 64 * 2 ** 20)
  t.is(wrong(), 0)
  for (let n = 0; n < 5000; n++) grow()
  for (const i of [...ids.keys()].filter((_, n) => n % 2 === 0)) {
    fib.remove(i << 8, 24, 0, 0)
    ids.delete(i)
  }
  t.is(wrong(), 0)
  for (const i of ids.keys()) fib.remove(i << 8, 24, 0, 0)
  ids.clear()
  t.is(wrong(), 0)
  t.is(fib.chunkCount(), 0)
  t.true(fib.isFlat())
})
