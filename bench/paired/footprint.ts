/** What an instance costs that does nothing: the smol internet's way to `ready`, its processor time at rest, its memory. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { single, type Single } from '../result.js'
import { scope } from './command.js'
import { processSeconds, residentMiB } from './cpu.js'
import { ROOT, tapwayUp } from './tapway.js'

const FILE = join(ROOT, 'examples', 'smol-internet.yaml')
const IDLE_SECONDS = 10
/** After `ready` the process is left alone for a moment, so that its start is not counted. */
const SETTLE_MS = 1000
/** What a start leaves to do takes longer: V8 collects what it allocated once nothing has happened for 8 s, and hosts look for IPv6 routers for 12 s. */
const REST_MS = 20_000

/** What a process takes of a core, in percent, in the next IDLE_SECONDS. */
const share = async (pid: number): Promise<number> => {
  const before = processSeconds(pid)
  await sleep(IDLE_SECONDS * 1000)
  return ((processSeconds(pid) - before) / IDLE_SECONDS) * 100
}

/** Starts the smol internet `runs` times; rest is watched in the last of them. */
export const runFootprint = async (runs: number, say: (line: string) => void): Promise<Single[]> => {
  const fromStart: number[] = []
  const fromMain: number[] = []
  const memory: number[] = []
  let first = NaN
  let idle = NaN
  for (let i = 1; i <= runs; i++) {
    const leave = scope()
    try {
      const { pid, line, readyAfter } = await tapwayUp(FILE, 'bench-idle')
      fromStart.push(readyAfter)
      const said = /in (\d+) ms/.exec(line)
      if (said !== null) fromMain.push(Number(said[1]))
      await sleep(SETTLE_MS)
      memory.push(residentMiB(pid))
      if (i === runs) {
        first = await share(pid)
        await sleep(REST_MS - SETTLE_MS - IDLE_SECONDS * 1000)
        idle = await share(pid)
      }
      say(`smol internet ${i}/${runs}: ready after ${Math.round(readyAfter)} ms, ${Math.round(memory.at(-1)!)} MiB resident`)
    } finally {
      await leave()
    }
  }
  return [
    single('footprint', 'up until ready, from process start', 'ms', fromStart, { bound: 'at most', value: 1000 }),
    ...(fromMain.length === 0 ? [] : [single('footprint', 'up until ready, as the ready line says', 'ms', fromMain)]),
    single('footprint', `CPU in the ${IDLE_SECONDS} s that follow the first`, '% of a core', [first]),
    single('footprint', `idle CPU over ${IDLE_SECONDS} s, ${REST_MS / 1000} s after ready`, '% of a core', [idle], { bound: 'at most', value: 1, aim: 0.2 }),
    single('footprint', 'resident memory of the smol internet', 'MiB', memory, { bound: 'at most', value: 150, aim: 100 })
  ]
}
