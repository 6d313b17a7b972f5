import test from 'ava'
import fc from 'fast-check'
import { chooseCpus } from '../../src/lab/cpus.js'

test('the last processors, at most half of them, those that fewest others have', (t) => {
  t.deepEqual(chooseCpus(1, [0], []), [])
  t.deepEqual(chooseCpus(1, [0, 1], []), [1])
  t.deepEqual(chooseCpus(1, [0, 1], [1, 1]), [1])
  t.deepEqual(chooseCpus(2, [0, 1], []), [])
  t.deepEqual(chooseCpus(1, [0, 1, 2, 3], []), [3])
  t.deepEqual(chooseCpus(1, [0, 1, 2, 3], [3]), [2])
  t.deepEqual(chooseCpus(2, [0, 1, 2, 3], [3]), [2, 3])
  t.deepEqual(chooseCpus(2, [4, 9, 11, 20, 21], []), [21, 20])
})

test('property: each thread has one of its own that is allowed, or none has', (t) => {
  const cpus = fc.uniqueArray(fc.nat(63), { minLength: 1, maxLength: 16 })
  fc.assert(fc.property(fc.integer({ min: 1, max: 8 }), cpus, fc.array(fc.nat(63)), (threads, allowed, inUse) => {
    const chosen = chooseCpus(threads, allowed, inUse)
    t.is(chosen.length, threads <= Math.floor(allowed.length / 2) ? threads : 0)
    t.is(new Set(chosen).size, chosen.length)
    t.true(chosen.every((cpu) => allowed.includes(cpu)))
  }))
})
