/** What a benchmark finds out, as it is printed and written to JSON. */
import { median, rounded } from './statistics.js'

export interface Goal {
  /** `at least` for what shall be high, `at most` for what shall be low. */
  bound: 'at least' | 'at most'
  value: number
  /** What would be better still. */
  aim?: number
}

/** Another switch's figure, taken in the same runs. */
export interface Other {
  /** As of OTHER_SIDES of paired/side.ts. */
  name: string
  version: string
  runs: number[]
  median: number
  /** Tapway's median by this one. */
  ratio: number
}

/** A figure of Tapway beside the kernel's, or beside Tapway's own without policies, taken alternately. */
export interface Paired {
  scenario: string
  what: string
  /** How Tapway waits for packets: tapway up --poll MODE. */
  poll: string
  unit: string
  /** What `kernel` and `kernelMedian` are of, where it is not the kernel: Tapway without apps. */
  base?: 'plain'
  kernel: number[]
  tapway: number[]
  kernelMedian: number
  tapwayMedian: number
  /** Tapway's median by the kernel's (or that of `base`). */
  ratio: number
  goal?: Goal
  met?: boolean
  others?: Other[]
  /** Round trips: beside each run of Tapway, nanoseconds that a cache line took from one processor to another and back. */
  lines?: number[]
  /** Processor seconds by who took them, medians of the runs, by side: of the whole machine, of the switch, of the programs in the hosts. */
  cpu?: Record<string, Record<string, number>>
}

/** A figure that has no counterpart. */
export interface Single {
  group: string
  what: string
  unit: string
  runs: number[]
  median: number
  goal?: Goal
  met?: boolean
}

const reaches = (value: number, { bound }: Goal, limit: number): boolean => (bound === 'at least' ? value >= limit : value <= limit)
const meets = (value: number, goal: Goal): boolean => reaches(value, goal, goal.value)

/** The goal in words, and whether it is met; '' without one. */
export const goalText = (value: number, goal: Goal | undefined): string => {
  if (goal === undefined) return ''
  const floor = `${goal.bound} ${goal.value}: ${meets(value, goal) ? 'met' : 'NOT met'}`
  return goal.aim === undefined ? floor : `${floor}; aim ${goal.aim}: ${reaches(value, goal, goal.aim) ? 'met' : 'not met'}`
}

/** The goal of a paired figure is one for its ratio. */
export const paired = (
  scenario: string, what: string, poll: string, unit: string, kernel: readonly number[], tapway: readonly number[], goal?: Goal
): Paired => {
  const ratio = median(tapway) / median(kernel)
  return {
    scenario, what, poll, unit, kernel: kernel.map(rounded), tapway: tapway.map(rounded),
    kernelMedian: rounded(median(kernel)), tapwayMedian: rounded(median(tapway)), ratio: rounded(ratio),
    ...(goal === undefined ? {} : { goal, met: meets(ratio, goal) })
  }
}

/** Another switch's row beside one of `tapwayMedian`. */
export const other = (name: string, version: string, runs: readonly number[], tapwayMedian: number): Other => ({
  name, version, runs: runs.map(rounded), median: rounded(median(runs)), ratio: rounded(tapwayMedian / median(runs))
})

export const single = (group: string, what: string, unit: string, runs: readonly number[], goal?: Goal): Single => {
  const value = median(runs)
  return {
    group, what, unit, runs: runs.map(rounded), median: rounded(value),
    ...(goal === undefined ? {} : { goal, met: meets(value, goal) })
  }
}
