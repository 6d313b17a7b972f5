/**
 * Which processor a data-plane thread stays on while there is much to do. The scheduler moves a thread that is woken to where it was woken from,
 * above all; a thread that takes from one core and gives to another is then moved all the time.
 */
import { readdirSync } from 'node:fs'
import { RUN_DIR } from './lock.js'
import { isAlive, readRecord } from './record.js'

/** Processors of all other instances that run, one entry for each of their threads. */
export const cpusInUse = (instance: string, directory = RUN_DIR): number[] => {
  const names = readdirSync(directory).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
  return names.filter((name) => name !== instance).flatMap((name) => {
    try {
      const record = readRecord(name, directory)
      return record !== undefined && isAlive(record) ? record.cpus : []
    } catch {
      return [] // another version's
    }
  })
}

/**
 * Processors for so many threads, one each, out of those allowed: from the last on, as the first has most interrupts, and at most half of them,
 * for the programs that make and take the traffic need the rest; of these those that fewest others have. None where they are too few: there the
 * scheduler knows better.
 */
export const chooseCpus = (threads: number, allowed: readonly number[], inUse: readonly number[]): number[] => {
  const half = [...allowed].sort((a, b) => b - a).slice(0, Math.floor(allowed.length / 2))
  if (threads > half.length) return []
  const count = (cpu: number): number => inUse.filter((each) => each === cpu).length
  return half.sort((a, b) => count(a) - count(b) || b - a).slice(0, threads)
}
