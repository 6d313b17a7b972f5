/**
 * Several data-plane workers, memory to memory: the real engine in each thread, flows sharded as the kernel would, tables replicated
 * by posts. Says what scales before any device is in the way. Frames of a worker's own flows, half of them each way; with `learning` every
 * worker hears a new station with each so many frames and has to take in what the others have heard.
 *
 * Throughput of several is that of all together from the first to the last frame, by the wall clock, as they run at the same time: on a
 * machine that is busy otherwise it is too low. Beside it what a worker does in a second of its own processor time.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { attachPosts, createPosts } from '../../src/core/posts.js'
import { inlineMore } from '../../src/engine/compiler.js'
import { threadCpuTime } from '../../src/native.js'
import type { NetworkOptions } from '../../src/network/network.js'
import { single } from '../result.js'
import { report } from './measure.js'
import { bridgeOf, OFFLOADS, routerOf, type Made } from './networks.js'

const PACKETS = 4_000_000
const RUNS = 5
const WARM_UP = 2
/** Stations heard beside the flows: each a MAC address of its own, one with so many frames, again and again the same. */
const LEARN_EVERY = 256
const LEARNED = 65536

type Variant = 'bridge' | 'router' | 'learning'

interface Setup {
  variant: Variant
  flows: number
  worker: number
  workers: number
  /** Undefined: the engine of a data plane with one worker. */
  posts: SharedArrayBuffer | undefined
  /** [workers that are ready, run they may begin]. */
  gate: SharedArrayBuffer
}

interface Run { begin: number; end: number; cpu: number; heard: number }

const make = ({ variant, flows, posts, workers, worker }: Setup): Made => {
  const options: Partial<NetworkOptions> = posts === undefined ? {} : { posts: attachPosts(posts, workers, worker) }
  return variant === 'router' ? routerOf(flows, 0, OFFLOADS, options) : bridgeOf(flows, OFFLOADS, options)
}

/** Milliseconds on a clock that all threads share. */
const wallClock = (): number => Number(process.hrtime.bigint()) / 1e6

const runWorker = (setup: Setup): void => {
  inlineMore()
  const { network, io } = make(setup)
  const { engine } = network
  const gate = new Int32Array(setup.gate)
  const port = network.resolvePorts(['one'])[0]!.id
  let heard = 0
  const learn = setup.variant === 'learning'
  for (let run = 1; run <= WARM_UP + RUNS; run++) {
    Atomics.add(gate, 0, 1)
    Atomics.notify(gate, 0)
    Atomics.wait(gate, 1, run - 1)
    const begin = wallClock()
    const cpu = threadCpuTime()
    const end = io.arrived() + PACKETS
    for (let told = io.arrived(); io.arrived() < end;) {
      engine.turn(false)
      for (; learn && told < io.arrived(); told += LEARN_EVERY) {
        // New each time: an old one was heard in another second, or moved from where another worker has heard it
        engine.fdb.learn(0, 0, 0x4202, Math.imul(heard++ % LEARNED, 0x9e3779b1) + setup.worker, port, engine.clock.second)
      }
    }
    const result: Run = { begin, end: wallClock(), cpu: threadCpuTime() - cpu, heard: engine.sharing?.counts().applied ?? 0 }
    parentPort!.postMessage(result)
  }
}

/** Mpps of all together, and of each by processor time, run by run. */
const measure = async (variant: Variant, flows: number, workers: number, alone: boolean): Promise<{ wall: number[]; cpu: number[]; heard: number }> => {
  const gate = new Int32Array(new SharedArrayBuffer(8))
  const posts = alone ? undefined : createPosts(workers)
  const results: Run[][] = []
  const threads = Array.from({ length: workers }, (_, worker) => {
    const runs: Run[] = (results[worker] = [])
    const workerData: Setup = { variant, flows, worker, workers, posts, gate: gate.buffer as SharedArrayBuffer }
    const thread = new Worker(new URL(import.meta.url), { workerData })
    thread.on('message', (run: Run) => runs.push(run))
    return new Promise<void>((resolve, reject) => {
      thread.on('error', reject)
      thread.on('exit', () => resolve())
    })
  })
  for (let run = 1; run <= WARM_UP + RUNS; run++) {
    while (Atomics.load(gate, 0) < run * workers) await new Promise((resolve) => setTimeout(resolve, 2))
    Atomics.store(gate, 1, run)
    Atomics.notify(gate, 1)
  }
  await Promise.all(threads)
  const wall: number[] = []
  const cpu: number[] = []
  for (let run = WARM_UP; run < WARM_UP + RUNS; run++) {
    const all = results.map((runs) => runs[run]!)
    wall.push((workers * PACKETS) / (Math.max(...all.map((r) => r.end)) - Math.min(...all.map((r) => r.begin))) / 1000)
    cpu.push(...all.map((r) => (PACKETS * 1000) / r.cpu))
  }
  return { wall, cpu, heard: Math.min(...results.map((runs) => runs.at(-1)!.heard)) }
}

const compare = async (variant: Variant, flows: number): Promise<void> => {
  const one = await measure(variant, flows, 1, true)
  const two = await measure(variant, flows, 2, false)
  if (variant === 'learning' && two.heard === 0) throw new Error('the workers have heard nothing of each other')
  const what = `${variant}, ${flows} flows a worker`
  report(single('workers', `${what}: 1 worker`, 'Mpps', one.wall))
  report(single('workers', `${what}: 2 workers together`, 'Mpps', two.wall))
  report(single('workers', `${what}: 1 worker, by processor time`, 'Mpps', one.cpu))
  report(single('workers', `${what}: each of 2, by processor time`, 'Mpps', two.cpu))
}

if (workerData !== null) runWorker(workerData as Setup)
else {
  const [variant = 'bridge', flows = '256'] = process.argv.slice(2)
  await compare(variant as Variant, Number(flows))
}
