/** When the data plane's thread keeps to its processor: with literal counts of the scheduler, and what the kernel's files say. */
import test from 'ava'
import { readFileSync } from 'node:fs'
import { createStay, schedulerCounts, timesOf } from '../../src/control/stay.js'

/** A scheduler by hand: shares of the time that the thread waits and the others are idle. */
const lab = () => {
  const said: boolean[] = []
  let now = 0
  let waited = 0
  const others = { ticks: 0, idle: 0 }
  const step = createStay({ waited: () => waited, others: () => ({ ...others }) }, (on) => said.push(on))
  /** Turns of a millisecond each. */
  const run = (milliseconds: number, isBusy: boolean, waits = 0, idle = 0): void => {
    for (let i = 0; i < milliseconds; i++) {
      now++
      waited += waits
      others.ticks += 0.1
      others.idle += 0.1 * idle
      step(isBusy, now)
    }
  }
  return { said, run }
}

test('it stays while there is much to do', (t) => {
  const { said, run } = lab()
  run(1000, false)
  t.deepEqual(said, [])
  run(1000, true)
  t.deepEqual(said, [true])
  run(1, false)
  t.deepEqual(said, [true, false])
  run(1, true)
  t.deepEqual(said, [true, false, true])
})

test('it leaves a processor that is full while others are idle, and comes back', (t) => {
  const { said, run } = lab()
  run(150, true, 0.5, 0.9)
  t.deepEqual(said, [true], 'one look is none')
  run(60, true, 0.5, 0.9)
  t.deepEqual(said, [true, false])
  run(5000, true, 0, 0.9)
  run(100, false)
  run(4000, true)
  t.deepEqual(said, [true, false], 'for ten seconds')
  run(1500, true)
  t.deepEqual(said, [true, false, true])
})

test('it stays when others have as much to do, or it need not wait', (t) => {
  const { said, run } = lab()
  run(3000, true, 0.9, 0.4)
  run(3000, true, 0.2, 1)
  // Never two looks in a row
  for (let i = 0; i < 10; i++) {
    run(100, true, 0.9, 1)
    run(100, true, 0, 1)
  }
  t.deepEqual(said, [true])
})

test('times of some processors', (t) => {
  const text = [
    'cpu  30 0 6 300 3 0 9 0 0 0', 'cpu0 10 0 2 100 1 0 3 0 0 0', 'cpu1 10 0 2 100 1 0 3 5 7 0', 'cpu10 1 1 1 1 1 1 1 1 1 1', 'intr 1 2 3'
  ].join('\n')
  t.deepEqual(timesOf(text, new Set([1])), { ticks: 121, idle: 101 })
  t.deepEqual(timesOf(text, new Set([0, 10])), { ticks: 124, idle: 103 })
  t.deepEqual(timesOf(text, new Set()), { ticks: 0, idle: 0 })
})

test("the kernel's counts", (t) => {
  const counts = schedulerCounts(0, [0, 1])
  t.true(counts.waited() >= 0)
  const { ticks, idle } = counts.others()
  if (/^cpu1 /m.test(readFileSync('/proc/stat', 'latin1'))) t.true(ticks > 0 && idle <= ticks)
  else t.is(ticks, 0)
})
