/**
 * A scenario: the same plan built of the kernel and of Tapway, the same steps done to both, what they send compared byte by byte.
 *
 * A row that is an intended deviation (docs/decisions/0010-deviations-from-linux.md) says so, and what both send is written
 * down in it: it fails when either side begins to do otherwise.
 */
import type { ExecutionContext, TestFn } from 'ava'
import { createNormaliser, line, summary } from '../helpers/compare.js'
import { describe } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { ownAddresses, type Box, type Plan, type Step } from './box.js'
import { allClosed, createKernelBox } from './kernel-box.js'
import { createTapwayBox } from './tapway-box.js'

export interface Scenario {
  name: string
  plan: Plan
  steps: Step[]
  /** How many frames both send in all, so that "nothing" is never equal to "nothing" by mistake; given where both agree. */
  frames?: number
  /** Drop reasons that our side counted, with their numbers; asserted where given. */
  drops?: Record<string, number>
  /** Not the same on purpose: why (as the decision calls it), what both send; `tapway` left out: the same but for some bytes. */
  deviation?: { why: string; kernel: string[]; tapway?: string[] }
}

/** What a box sends in each step, as lines. */
const play = (box: Box, plan: Plan, steps: readonly Step[], expected: readonly number[]): string[][] => {
  const operations = steps.flatMap((s) => ('operations' in s ? s.operations : []))
  const added = operations.flatMap((o) => (o.op === 'addr.add' ? [o.prefix.split('/')[0]!] : []))
  const normalise = createNormaliser([...ownAddresses(plan), ...added])
  return steps.map((step, i) => box.step(step, expected[i] ?? 0).map(({ port, bytes }) => line(port, normalise(bytes))))
}

const stepText = (s: Step): string =>
  'send' in s ? `${s.send} < ${describe(s.frame)}` : 'wait' in s ? `wait ${s.wait}` : s.change

/** Lines of all steps, each step's under what was done. */
export const script = (steps: readonly Step[], sent: readonly string[][]): string[] =>
  steps.flatMap((s, i) => [`step ${i + 1}: ${stepText(s)}`, ...sent[i]!.map((l) => `  ${l}`)])

export interface Outcome {
  kernel: string[][]
  tapway: string[][]
  drops: Record<string, number>
  balanced: boolean
}

/** Plays a scenario on both boxes and takes them down again. */
export const playBoth = (plan: Plan, steps: readonly Step[]): Outcome => {
  const ours = createTapwayBox(plan)
  const tapway = play(ours, plan, steps, [])
  const drops = ours.drops()
  const balanced = ours.balanced()
  ours.close()
  const theirs = createKernelBox(plan)
  try {
    return { tapway, drops, balanced, kernel: play(theirs, plan, steps, tapway.map((lines) => lines.length)) }
  } finally {
    theirs.close()
  }
}

const judge = (t: ExecutionContext, s: Scenario): void => {
  const { kernel, tapway, drops, balanced } = playBoth(s.plan, s.steps)
  if (s.deviation === undefined) {
    t.deepEqual(script(s.steps, tapway), script(s.steps, kernel), 'Tapway (actual) and the kernel (expected)')
    t.is(tapway.flat().length, s.frames ?? -1, 'frames sent in all')
  } else {
    t.deepEqual(kernel.flat().map(summary), s.deviation.kernel, 'the kernel')
    t.deepEqual(tapway.flat().map(summary), s.deviation.tapway ?? s.deviation.kernel, 'Tapway')
    t.notDeepEqual(tapway, kernel, 'no deviation any more')
  }
  for (const [reason, count] of Object.entries(s.drops ?? {})) {
    t.is(drops[reason] ?? 0, count, `drops for ${reason}; all: ${JSON.stringify(drops)}`)
  }
  t.true(balanced, 'every packet ended once')
}

/** One test for every row. */
export const scenarios = (test: TestFn, rows: readonly Scenario[]): void => {
  const run = netnsTest(test)
  test.after.always(allClosed)
  for (const s of rows) run(`${s.name}${s.deviation === undefined ? '' : ` (deviation: ${s.deviation.why})`}`, (t) => judge(t, s))
}
