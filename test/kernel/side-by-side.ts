/** One plan at the kernel and at Tapway, and arbitrary steps done to both as they come: what comes out of the two is the same. */
import type { ExecutionContext } from 'ava'
import type { Plan, Sent, Step } from './box.js'
import { createKernelBox } from './kernel-box.js'
import { createTapwayBox } from './tapway-box.js'

/** Lines to compare, of what came out. */
type Text = (frames: readonly Sent[]) => string[]

export interface SideBySide {
  /** Does a step to both; returns what came out of ours. `what`: its text, for those that differ. The two may need texts of their own, which remember. */
  compare(step: Step, what: () => string, kernel: Text, tapway?: Text): readonly Sent[]
  /** Lets time pass for Tapway alone. */
  wait(milliseconds: number): void
}

/** Fails unless all that was compared was the same, nothing got lost inside, and more than `least` frames came out. */
export const sideBySide = (t: ExecutionContext, plan: Plan, least: number, play: (boxes: SideBySide) => void): void => {
  const ours = createTapwayBox(plan, true)
  const kernel = createKernelBox(plan)
  const differences: string[] = []
  let sent = 0
  try {
    play({
      compare: (step, what, kernelText, tapwayText = kernelText) => {
        const frames = ours.step(step, 0)
        const theirs = kernelText(kernel.step(step, frames.length))
        const mine = tapwayText(frames)
        sent += frames.length
        if (JSON.stringify(mine) !== JSON.stringify(theirs)) {
          differences.push([what(), 'kernel:', ...theirs, 'Tapway:', ...mine].join('\n  '))
        }
        return frames
      },
      wait: (milliseconds) => void ours.step({ wait: milliseconds }, 0)
    })
    t.deepEqual(differences.slice(0, 5), [])
    t.true(ours.balanced())
    ours.drops()
    t.true(sent > least, `${sent} frames came out`)
  } finally {
    ours.close()
    kernel.close()
  }
}
