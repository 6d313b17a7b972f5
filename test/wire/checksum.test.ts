import test from 'ava'
import fc from 'fast-check'
import { checksum, fold, isSumGood, pseudoSum, sumAligned, sumBytes, updateChecksum } from '../../src/wire/checksum.js'
import { naiveChecksum, naiveSum } from '../oracle/naive-checksum.js'
import { be16, ip4 } from '../oracle/naive-frames.js'
import { viewOf } from '../oracle/poison.js'

const sumOf = (bytes: readonly number[], initial = 0): number => {
  const [view, o] = viewOf(bytes)
  return sumBytes(view, o, bytes.length, initial)
}

test('the example of RFC 1071 section 3', (t) => {
  const bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]
  t.is(fold(sumOf(bytes)), 0xddf2)
  const [view, o] = viewOf(bytes)
  t.is(checksum(view, o, bytes.length), 0x220d)
})

test('every length from 0 to 2000', (t) => {
  const bytes = Array.from({ length: 2000 }, (_, i) => (i * 151 + (i >> 3) * 29 + 17) & 255)
  const [view, o] = viewOf(bytes)
  for (let length = 0; length <= 2000; length++) {
    if (checksum(view, o, length) !== naiveChecksum(bytes.slice(0, length))) t.fail(`length ${length}`)
  }
  t.pass()
})

test('random bytes, and words that carry', (t) => {
  const bytes = fc.oneof(fc.array(fc.nat(255), { maxLength: 300 }), fc.array(fc.constantFrom(0, 1, 0xfe, 0xff), { maxLength: 300 }))
  fc.assert(fc.property(bytes, (b) => {
    t.is(fold(sumOf(b)), naiveSum(b))
    const [view, o] = viewOf(b)
    t.is(checksum(view, o, b.length), naiveChecksum(b))
  }))
})

test('64 KiB of ones do not overflow', (t) => {
  const bytes = new Array<number>(65535).fill(0xff)
  t.is(fold(sumOf(bytes)), naiveSum(bytes))
  t.is(fold(sumOf(bytes, 0x7fffffff)), naiveSum([0x7f, 0xff, 0xff, 0xff, ...bytes.slice(0, -1), 0xff]))
})

test('a sum goes on where another ended, at even lengths', (t) => {
  fc.assert(fc.property(fc.array(fc.nat(255), { maxLength: 100 }), fc.array(fc.nat(255), { maxLength: 100 }), (a, b) => {
    const even = a.slice(0, a.length & ~1)
    t.is(fold(sumOf(b, sumOf(even))), naiveSum([...even, ...b]))
  }))
})

test('fold keeps the value modulo 0xffff, and 0 only for 0', (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (sum) => {
    const folded = fold(sum)
    t.true(folded >= 0 && folded <= 0xffff)
    t.is(folded % 0xffff, sum % 0xffff)
    t.is(folded === 0, sum === 0)
  }))
})

test('the pseudo-header of TCP and UDP', (t) => {
  const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  fc.assert(fc.property(address, address, fc.nat(255), fc.nat(65535), (source, destination, protocol, length) => {
    const number = (b: readonly number[]): number => Buffer.from(b).readInt32BE(0)
    const sum = pseudoSum(number(source), number(destination), protocol, length)
    t.is(fold(sum), naiveSum([...ip4(source.join('.')), ...ip4(destination.join('.')), 0, protocol, ...be16(length)]))
  }))
})

/** Words where one's-complement arithmetic has its corners. */
const word = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 1, 0x00ff, 0x0100, 0x7fff, 0x8000, 0xfffe, 0xffff))

test('an update is what a full computation gives', (t) => {
  // The other words of a header never add up to nothing: version and length are not zero.
  const others = fc.array(word, { minLength: 1, maxLength: 9 }).filter((words) => words.some((w) => w !== 0))
  fc.assert(fc.property(others, word, word, (words, from, to) => {
    const full = (first: number): number => naiveChecksum([first, ...words].flatMap(be16))
    t.is(updateChecksum(full(from), from, to), full(to))
  }), { numRuns: 3000 })
})

test('a wrong checksum stays wrong by the same difference', (t) => {
  const others = fc.array(word, { minLength: 1, maxLength: 9 }).filter((words) => words.some((w) => w !== 0))
  fc.assert(fc.property(others, word, word, fc.nat(0xffff), (words, from, to, sum) => {
    const verifies = (first: number, field: number): boolean => naiveSum([first, field, ...words].flatMap(be16)) === 0xffff
    t.is(verifies(to, updateChecksum(sum, from, to)), verifies(from, sum))
  }), { numRuns: 3000 })
})

test('the example of RFC 1624 section 4: no 0xffff where the sum says 0x0000', (t) => {
  t.is(updateChecksum(0xdd2f, 0x5555, 0x3285), 0x0000)
})

test('nothing changes when the word does not, but 0xffff, which no header has, becomes 0', (t) => {
  for (const w of [0, 1, 0x4500, 0xffff]) {
    for (let sum = 0; sum < 0xffff; sum += 5) if (updateChecksum(sum, w, w) !== sum) t.fail(`${sum} ${w}`)
    t.is(updateChecksum(0xffff, w, w), 0)
  }
})

test('sumAligned is the same sum in the other byte order, for all lengths', (t) => {
  const memory = new Uint8Array(4096)
  const words = new Int32Array(memory.buffer)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 0, max: 500 }), (data, word) => {
    memory.fill(0xa5) // what follows the data must not count
    memory.set(data, word * 4)
    const sum = fold(sumAligned(words, word * 4, data.length))
    const swapped = ((sum & 0xff) << 8) | (sum >>> 8)
    t.is(swapped % 0xffff, naiveSum([...data]) % 0xffff)
  }), { numRuns: 300 })
})

test('isSumGood: what folds to 0xffff and nothing else', (t) => {
  t.true([0xffff, 0x1fffe, 0xfffe0001 >>> 0, 0x2fffd].every(isSumGood))
  t.false([0, 0xfffe, 0x10000, 0x1ffff].some(isSumGood))
})
