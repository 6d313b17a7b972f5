import test from 'ava'
import fc from 'fast-check'
import { Fib } from '../../src/table/fib.js'
import * as ip4 from '../../src/wire/ip4.js'
import { naiveCover, naiveLookup, random32, type NaivePrefix } from '../oracle/naive-routes.js'

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

/** Prefixes that cover each other often: few bits are free. */
const prefix = fc.tuple(fc.integer({ min: 0, max: 32 }), fc.constantFrom(0x0a010100, 0x0a01ff80, 0x0affffff, -1, 0x0a018000), fc.nat(63), fc.nat(28))
  .map(([length, base, bits, shift]): [number, number] => [ip4.networkOf(base ^ (bits << shift), length), length])

test('any order of changes gives what an array scan gives, and leaves nothing behind', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(prefix, fc.boolean()), { maxLength: 120 }), fc.integer(), (steps, seed) => {
    const fib = new Fib()
    let table: NaivePrefix[] = []
    const removed = (p: number, length: number): void => {
      const cover = naiveCover(table, p, length)
      fib.remove(p, length, cover?.id ?? 0, cover?.length ?? 0)
    }
    steps.forEach(([[p, length], insert], i) => {
      const known = table.some((e) => e.prefix === p && e.length === length)
      if (!insert && !known) return
      table = table.filter((e) => e.prefix !== p || e.length !== length)
      if (insert) {
        fib.insert(p, length, i + 1)
        table.push({ prefix: p, length, id: i + 1 })
      } else removed(p, length)
    })
    const random = random32(seed)
    for (const e of table) {
      const inside = e.prefix | (random() & ~ip4.maskOf(e.length))
      const last = ip4.broadcastOf(e.prefix, e.length)
      for (const a of [e.prefix, last, inside, (e.prefix - 1) | 0, (last + 1) | 0]) t.is(fib.lookup(a), naiveLookup(table, a))
    }
    for (let i = 0; i < 50; i++) {
      const a = i % 2 === 0 ? random() : ip('10.1.0.0') | (random() & 0xffff)
      t.is(fib.lookup(a), naiveLookup(table, a))
    }
    while (table.length > 0) {
      const { prefix: p, length } = table.shift()!
      removed(p, length)
    }
    t.is(fib.chunkCount(), 0)
    for (const [[p]] of steps) t.is(fib.lookup(p), 0)
  }), { numRuns: 300 })
})
