import test from 'ava'
import fc from 'fast-check'
import { createRateLimit } from '../../src/table/rate-limit.js'

const UNREACHABLE = 3
const make = (options = {}) => createRateLimit({ random: () => 0.5, stacks: 4, ...options })

test('six errors at once to a destination, then one a second', (t) => {
  const limit = make()
  const burst = Array.from({ length: 8 }, () => limit.allow(0, 1, UNREACHABLE, 1, 0))
  t.deepEqual(burst, [true, true, true, true, true, true, false, false])
  t.false(limit.allow(0, 1, UNREACHABLE, 1, 999))
  t.true(limit.allow(0, 1, UNREACHABLE, 1, 1000))
  t.false(limit.allow(0, 1, UNREACHABLE, 1, 1001))
  t.is(limit.counters.host, 4)
})

test('a long silence saves up no more than six', (t) => {
  const limit = make()
  limit.allow(0, 1, 11, 0, 0)
  const later = Array.from({ length: 8 }, () => limit.allow(0, 1, 11, 0, 3_600_000))
  t.is(later.filter(Boolean).length, 6)
})

test('destinations and stacks have buckets of their own', (t) => {
  const limit = make()
  for (let i = 0; i < 7; i++) limit.allow(0, 1, UNREACHABLE, 1, 0)
  t.false(limit.allow(0, 1, UNREACHABLE, 1, 0))
  t.true(limit.allow(0, 2, UNREACHABLE, 1, 0))
  t.true(limit.allow(1, 1, UNREACHABLE, 1, 0))
})

test('fragmentation needed, redirects and echo replies are not limited', (t) => {
  const limit = make()
  for (let i = 0; i < 200; i++) {
    t.true(limit.allow(0, 1, UNREACHABLE, 4, 0))
    t.true(limit.allow(0, 1, 5, 1, 0))
    t.true(limit.allow(0, 1, 0, 0, 0))
  }
})

test('a stack sends 50 errors at once, at a cost of one each on average, and fills up every 20 ms', (t) => {
  const limit = make() // costs one each: floor(0.5 * 3)
  let sent = 0
  for (let d = 0; d < 100; d++) if (limit.allow(0, d, UNREACHABLE, 1, 0)) sent++
  t.is(sent, 50)
  t.is(limit.counters.global, 50)
  t.false(limit.allow(0, 1000, UNREACHABLE, 1, 19))
  sent = 0
  for (let d = 0; d < 100; d++) if (limit.allow(0, 2000 + d, UNREACHABLE, 1, 20)) sent++
  t.is(sent, 20)
  t.true(limit.allow(1, 1, UNREACHABLE, 1, 20), 'another stack has its own')
})

test('ratelimit, ratemask, messagesPerSecond and messagesBurst are options', (t) => {
  const free = make({ ratelimit: 0 })
  for (let i = 0; i < 20; i++) t.true(free.allow(0, 1, UNREACHABLE, 1, 0))
  const unmasked = make({ ratemask: 0 })
  for (let i = 0; i < 100; i++) t.true(unmasked.allow(0, 1, UNREACHABLE, 1, 0))
  const few = make({ messagesBurst: 2, messagesPerSecond: 100 })
  t.deepEqual([0, 0, 0, 15, 20, 20, 20].map((now, d) => few.allow(0, d, UNREACHABLE, 1, now)), [true, true, false, false, true, true, false])
})

test('redirects come at growing distances, nine of them, and again after 20.48 s of silence', (t) => {
  const limit = make()
  let now = 1000
  t.true(limit.allowRedirect(0, 1, now))
  for (let n = 1; n < 9; n++) {
    t.false(limit.allowRedirect(0, 1, now + (20 << n)), `not yet ${n}`)
    now += (20 << n) + 1
    t.true(limit.allowRedirect(0, 1, now), `again ${n}`)
  }
  t.false(limit.allowRedirect(0, 1, now + 20_000))
  now += 20_000
  t.false(limit.allowRedirect(0, 1, now + 20_480), 'the silence begins anew with every packet')
  now += 20_480
  t.true(limit.allowRedirect(0, 1, now + 20_481))
  t.true(limit.allowRedirect(0, 2, 0))
})

test('more destinations than places: the one not asked about for longest is forgotten', (t) => {
  const limit = make({ capacity: 8, messagesBurst: 100 })
  for (let i = 0; i < 6; i++) limit.allow(0, 1, UNREACHABLE, 1, 0)
  for (let d = 2; d <= 8; d++) limit.allow(0, d, UNREACHABLE, 1, d)
  t.false(limit.allow(0, 1, UNREACHABLE, 1, 9))
  t.is(limit.counters.replaced, 0)
  t.true(limit.allow(0, 9, UNREACHABLE, 1, 10)) // takes the place of 2
  t.is(limit.counters.replaced, 1)
  t.false(limit.allow(0, 1, UNREACHABLE, 1, 11), 'still known')
})

test('property: never more than six and one a second to a destination', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 2 })), { maxLength: 200 }), (steps) => {
    const limit = make()
    const sent = [0, 0, 0]
    let now = 0
    for (const [wait, d] of steps) {
      now += wait
      if (limit.allow(0, d, UNREACHABLE, 0, now)) sent[d]!++
    }
    for (const n of sent) if (n > 6 + Math.floor(now / 1000)) return false
    return true
  }))
  t.pass()
})
