/**
 * Where the data plane's thread runs: while there is much to do it keeps to one processor, since whoever wakes it would draw it to its own, back and
 * forth. But when that processor is full (the other end of a tunnel on the same machine keeps to it, too) and others stand idle, the
 * scheduler knows better, and the thread runs anywhere for a while.
 */
import { openSync, readFileSync, readSync } from 'node:fs'

/** How often a thread that stays looks how full its processor is, and how long it stays away from one that was too full: milliseconds. */
const LOOK_MS = 100
const AWAY_MS = 10_000
/** Too full: so much of the time the thread had to wait for it, while others were idle for so much of theirs, as shares. */
const WAITED = 0.25
const OTHERS_IDLE = 0.5

/** What the scheduler has counted up to now. */
export interface SchedulerCounts {
  /** Milliseconds that this thread has stood in the queue of a processor. */
  waited(): number
  /** Time of all other processors that this thread may use, and how much of it they were idle: clock ticks. */
  others(): { ticks: number; idle: number }
}

/**
 * Returns what is to be called once a turn, with whether there is much to do and the time in milliseconds. `keep(true)` has the thread stay on its
 * processor, `keep(false)` lets it run anywhere.
 */
export const createStay = (counts: SchedulerCounts, keep: (on: boolean) => void): ((isBusy: boolean, now: number) => void) => {
  let stays = false
  let nextLook = 0
  let lookedAt = 0
  let waited = 0
  let awayUntil = -Infinity
  // Of the last look, when the thread had waited too long in the time before it
  let before: { ticks: number; idle: number } | undefined

  const set = (on: boolean): void => {
    stays = on
    keep(on)
  }

  const begin = (now: number): void => {
    lookedAt = now
    nextLook = now + LOOK_MS
    waited = counts.waited()
  }

  const look = (now: number): void => {
    const share = (counts.waited() - waited) / (now - lookedAt)
    begin(now)
    const was = before
    before = share > WAITED ? counts.others() : undefined
    if (was === undefined || before === undefined) return
    const ticks = before.ticks - was.ticks
    if (ticks === 0 || (before.idle - was.idle) / ticks < OTHERS_IDLE) return
    awayUntil = now + AWAY_MS
    before = undefined
    set(false)
  }

  return (isBusy, now) => {
    if (!isBusy) {
      if (stays) set(false)
    } else if (stays) {
      if (now >= nextLook) look(now)
    } else if (now >= awayUntil) {
      before = undefined
      begin(now)
      set(true)
    }
  }
}

/** Fields of a processor's line in /proc/stat (proc_stat(5)) behind its name that are time, and those that are time without work: idle and iowait. */
const TIMES = 8
const IDLE = [3, 4]

/** Sums of some processors' lines of /proc/stat. */
export const timesOf = (text: string, cpus: ReadonlySet<number>): { ticks: number; idle: number } => {
  const sums = { ticks: 0, idle: 0 }
  for (const [, cpu, fields] of text.matchAll(/^cpu(\d+) (.*)$/gm)) {
    if (!cpus.has(Number(cpu))) continue
    const times = fields!.split(' ').slice(0, TIMES).map(Number)
    sums.ticks += times.reduce((a, b) => a + b, 0)
    for (const i of IDLE) sums.idle += times[i] ?? 0
  }
  return sums
}

/** The kernel's counts of the calling thread, which keeps to `cpu` of those that it may use. Where the kernel tells nothing, they never grow. */
export const schedulerCounts = (cpu: number, allowed: readonly number[]): SchedulerCounts => {
  const others = new Set(allowed.filter((each) => each !== cpu))
  const line = Buffer.alloc(128)
  let schedstat = -1
  try {
    schedstat = openSync('/proc/thread-self/schedstat', 'r')
  } catch {
    // A kernel without: nothing is known, and the thread stays
  }
  return {
    waited: () => {
      if (schedstat < 0) return 0
      // Nanoseconds on a processor and in its queue, and how often (Documentation/scheduler/sched-stats.rst)
      const words = line.toString('latin1', 0, readSync(schedstat, line, 0, line.length, 0)).split(' ')
      return Number(words[1]) / 1e6
    },
    others: () => timesOf(readFileSync('/proc/stat', 'latin1'), others)
  }
}
