/** What a benchmark finds out, as it is printed and written to JSON. */
import { median, rounded } from './statistics.js'

export interface Goal {
  /** `at least` for what shall be high, `at most` for what shall be low. */
  bound: 'at least' | 'at most'
  value: number
}

/** A figure of Tapway beside the kernel's, taken alternately. */
export interface Paired {
  scenario: string
  what: string
  /** How Tapway waits for packets: tapway up --poll MODE. */
  poll: string
  unit: string
  kernel: number[]
  tapway: number[]
  kernelMedian: number
  tapwayMedian: number
  /** Tapway's median by the kernel's. */
  ratio: number
  goal?: Goal
  met?: boolean
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

const meets = (value: number, goal: Goal): boolean => (goal.bound === 'at least' ? value >= goal.value : value <= goal.value)

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

export const single = (group: string, what: string, unit: string, runs: readonly number[], goal?: Goal): Single => {
  const value = median(runs)
  return {
    group, what, unit, runs: runs.map(rounded), median: rounded(value),
    ...(goal === undefined ? {} : { goal, met: meets(value, goal) })
  }
}
