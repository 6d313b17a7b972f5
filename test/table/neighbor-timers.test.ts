/** Timers of neighbours against a naive model: a list that is looked through. */
import test from 'ava'
import fc from 'fast-check'
import { createNeighbors, NUD_INCOMPLETE, NUD_PROBE, NUD_STALE } from '../../src/table/neighbors.js'

const GRAIN = 10

test('timers are visited as by a look at all of them, whatever time does', (t) => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ set: fc.nat(39), after: fc.oneof(fc.integer({ min: -500, max: 200_000 }), fc.integer({ min: 0, max: 50 })) }) },
    { weight: 1, arbitrary: fc.record({ stop: fc.nat(39) }) },
    { weight: 4, arbitrary: fc.record({ advance: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 300_000 })), again: fc.integer({ min: 1, max: 60_000 }) }) }
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 1, max: 7 }), (steps, begin, part) => {
    const table = createNeighbors({ gcThresh3: 64, seed: begin })
    const rows = Array.from({ length: 40 }, (_, i) => table.create(0, i, begin))
    const due = new Map<number, number>()
    let now = begin + part / 8
    let scanned = -Infinity
    const next = (): number => (due.size === 0 ? Infinity : Math.max(Math.min(...due.values()), scanned + GRAIN))
    const set = (row: number, at: number): void => {
      table.setState(row, NUD_INCOMPLETE, at)
      due.set(row, at)
    }
    for (const s of steps) {
      if ('set' in s) set(rows[s.set]!, now + s.after)
      else if ('stop' in s) {
        table.setState(rows[s.stop]!, NUD_STALE, 0)
        due.delete(rows[s.stop]!)
      } else {
        now += s.advance
        const looks = now >= table.nextTimer()
        const expected = now < next() ? [] : [...due].filter(([, at]) => at <= now).map(([row]) => row)
        if (looks) scanned = now
        const seen: number[] = []
        table.expire(now, (row) => {
          seen.push(row)
          if (row % 2 === 0) set(row, now + s.again)
          else {
            table.setState(row, NUD_STALE, 0)
            due.delete(row)
          }
        })
        if (looks && due.size === 0) t.is(table.nextTimer(), Infinity)
        t.deepEqual(seen.sort((a, b) => a - b), expected.sort((a, b) => a - b))
      }
      // A timer that was stopped may still be looked for
      t.true(table.nextTimer() <= next())
    }
  }), { numRuns: 300 })
})

test('more timers than one look handles are all handled, a grain later each time', (t) => {
  const count = 5000
  const table = createNeighbors({ gcThresh3: count })
  for (let i = 0; i < count; i++) table.setState(table.create(0, i, 0), NUD_PROBE, 1000 + (i % 40))
  let visits = 0
  const visit = (row: number): void => {
    visits++
    table.setState(row, NUD_STALE, 0)
  }
  let looks = 0
  for (let now = 1000; visits < count; now += GRAIN) {
    table.expire(now, visit)
    t.true(++looks < 12)
  }
  t.is(visits, count)
  t.is(table.nextTimer(), Infinity)
})
