/** Echo requests cut at random, pieces lost, doubled, moved, overlapping: both routers answer the same ones. */
import test from 'ava'
import fc from 'fast-check'
import { echo } from '../oracle/naive-frames.js'
import { createNormaliser, line } from '../helpers/compare.js'
import { data, ICMP, MF } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { ownAddresses, type Sent, type Step } from './box.js'
import { allClosed } from './kernel-box.js'
import { aToB, NEAR, router } from './router-plan.js'
import { sideBySide } from './side-by-side.js'

const RUNS = 300
const SEED = 20263
const plan = router()

/** Where a datagram is cut, in units of eight bytes; then the order of its pieces, and what goes wrong with some. */
const cut = fc.record({
  size: fc.integer({ min: 100, max: 4000 }), cuts: fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { maxLength: 6 }),
  order: fc.array(fc.nat(100), { minLength: 7, maxLength: 7 }), mischief: fc.oneof(
    { weight: 3, arbitrary: fc.constant('none') },
    { weight: 1, arbitrary: fc.constantFrom('lost', 'doubled', 'longer', 'shorter', 'early', 'second end', 'tos') }
  ), victim: fc.nat(6), by: fc.integer({ min: 1, max: 3 })
})

type Cut = typeof cut extends fc.Arbitrary<infer T> ? T : never

const pieces = ({ size, cuts, order, mischief, victim, by }: Cut, id: number): Step[] => {
  const whole = echo(8, id, 1, data(size))
  const at = [0, ...cuts.map((c) => c * 8).filter((c) => c < whole.length).sort((a, b) => a - b), whole.length]
  const list = at.slice(0, -1).map((from, i) => ({ from, to: at[i + 1]!, more: i < at.length - 2, tos: 0 }))
  const chosen = list[victim % list.length]!
  if (mischief === 'longer') chosen.to += by * 8
  if (mischief === 'shorter') chosen.to -= Math.min(by * (chosen.more ? 8 : 1), chosen.to - chosen.from - 1)
  if (mischief === 'early') chosen.from = Math.max(0, chosen.from - by * 8)
  if (mischief === 'second end') chosen.more = !chosen.more
  if (mischief === 'tos') chosen.tos = by
  if (mischief === 'doubled') list.push({ ...chosen })
  if (mischief === 'lost') list.splice(list.indexOf(chosen), 1)
  const longer = [...whole, ...data(24)]
  return list.map((p, i) => ({ p, rank: order[i % order.length]! })).sort((a, b) => a.rank - b.rank).map(({ p }) => aToB({
    dst: NEAR, protocol: ICMP, id, tos: p.tos, flags: (p.more ? MF : 0) | (p.from / 8), payload: longer.slice(p.from, p.to)
  }))
}

netnsTest(test)(`random fragments (seed ${SEED})`, (t) => {
  sideBySide(t, plan, RUNS, ({ compare }) => {
    for (const [i, recipe] of fc.sample(cut, { numRuns: RUNS, seed: SEED }).entries()) {
      const text = () => {
        const normalise = createNormaliser(ownAddresses(plan))
        return (frames: readonly Sent[]): string[] => frames.map((f) => line(f.port, normalise(f.bytes)))
      }
      const [theirs, mine] = [text(), text()]
      for (const step of pieces(recipe, i + 1)) compare(step, () => JSON.stringify(recipe), theirs, mine)
    }
  })
})

test.after.always(allClosed)
