/** Timing and allocation of loops. Each bench file runs in a process of its own, so that no loop meets the other's types. */
import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { threadCpuTime } from '../../src/native.js'
import { goalText, single, type Goal, type Single } from '../result.js'

declare const gc: (() => void) | undefined

process.stdout.on('error', () => process.exit(1)) // nobody reads any more

/** Prints a result and hands it to the parent process, if there is one. */
export const report = (result: Single): void => {
  const goal = result.goal === undefined ? '' : `  (${goalText(result.median, result.goal)})`
  process.stdout.write(`${result.group.padEnd(10)} ${result.what.padEnd(46)} ${String(result.median).padStart(9)} ${result.unit}${goal}\n`)
  process.send?.(result)
}

/**
 * Runs a loop of `operations` operations, `warmUp` times unmeasured and then `runs` times; nanoseconds an operation of each run.
 * They are nanoseconds of processor time of this thread: what other programs take of the machine meanwhile does not count.
 */
export const timeLoop = (loop: () => void, operations: number, runs = 7, warmUp = 3): number[] => {
  for (let i = 0; i < warmUp; i++) loop()
  const result: number[] = []
  for (let i = 0; i < runs; i++) {
    const begin = threadCpuTime()
    loop()
    result.push((threadCpuTime() - begin) / operations)
  }
  return result
}

/** Reports a loop as nanoseconds an operation. */
export const reportLoop = (group: string, what: string, loop: () => void, operations: number, goal?: Goal): void =>
  report(single(group, what, 'ns', timeLoop(loop, operations), goal))

export interface Allocation {
  /** Heap growth by operation, of each run in which no garbage was collected. */
  bytes: number[]
  /** Collections of any kind while it ran. */
  collections: number
}

/**
 * What a loop allocates on the JavaScript heap. Measured as growth of the used heap between two points without a collection in
 * between (nothing is freed then); collections are counted too. Needs --expose-gc.
 */
export const allocationOf = async (loop: () => void, operations: number, runs = 5): Promise<Allocation> => {
  if (typeof gc !== 'function') throw new Error('run node with --expose-gc')
  let seen = 0
  const observer = new PerformanceObserver((list) => {
    seen += list.getEntries().length
  })
  observer.observe({ entryTypes: ['gc'] })
  const settle = async (): Promise<number> => {
    for (let i = 0; i < 3; i++) await nextTurn()
    return seen
  }
  const bytes: number[] = []
  let collections = 0
  for (let i = 0; i < runs; i++) {
    gc()
    const before = await settle()
    const from = process.memoryUsage().heapUsed
    loop()
    const grown = process.memoryUsage().heapUsed - from
    const during = (await settle()) - before
    collections += during
    if (during === 0) bytes.push(grown / operations)
  }
  observer.disconnect()
  return { bytes, collections }
}
