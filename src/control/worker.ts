/**
 * The data-plane thread: one loop, `turn` after `turn`, blocking only in the native part. It never relies on its event loop;
 * requests lie in the message port and an eventfd in the wait set says that there are some.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { attachPosts } from '../core/posts.js'
import { dropCapabilities, getAffinity, setAffinity, setSchedBatch, signal } from '../native.js'
import { inlineMore } from '../engine/compiler.js'
import { NetworkError, type ApplyResult, type Operation } from '../network/operations.js'
import { createNetwork, RESTRUCTURING } from '../network/network.js'
import { createNativeIo, type NativeIo } from '../port/native-io.js'
import { CTL_WOKEN } from '../port/rings.js'
import { attachTapRing } from '../core/tap-ring.js'
import type { WorkerReply, WorkerRequest, WorkerSetup } from './messages.js'
import { createStay, schedulerCounts } from './stay.js'

/** Rows of a `show` that are collected in one turn; traffic goes on in between. */
const ROWS_A_TURN = 256
/** Rows that are handed over at once: copying them takes the time of as many packets. */
const ROWS_A_MESSAGE = 1024

const setup = workerData as WorkerSetup
const port = parentPort!
const reply = (message: WorkerReply): void => port.postMessage(message)

if (!setup.without.includes('inlining')) inlineMore()
let io: NativeIo | undefined
const network = createNetwork({
  instance: setup.instance,
  seed: setup.seed,
  poll: setup.poll,
  without: setup.without,
  flowSeed: setup.flowSeed,
  ...(setup.posts === undefined ? {} : {
    posts: attachPosts(setup.posts, setup.workers, setup.worker), wake: (worker) => signal(setup.eventFds[worker]!)
  }),
  makeIo: (packets, rings) => (io = createNativeIo(packets, rings, setup.eventFds[setup.worker]!)),
  attachPort: (tag, descriptor, kind, header) => io!.addPort(tag, descriptor, kind, header),
  detachPort: (tag) => io!.removePort(tag),
  onDeviceLost: (name, errno) => reply({ event: 'device-lost', port: name, errno }),
  onNotice: (level, text) => reply({ event: 'notice', level, text })
})

const jobs: { id: number; rows: unknown[]; source: Iterator<unknown> }[] = []
let stopping = -1

/** What the first worker has done counts for its followers also when they could not do the same: all have to agree about rows. */
const apply = (operation: Operation): ApplyResult => {
  try {
    return network.apply(operation)
  } catch (error) {
    if ((setup.worker > 0 || setup.again) && RESTRUCTURING.has(operation.op)) network.engine.sharing?.restructured()
    throw error
  }
}

const handle = (m: WorkerRequest): unknown => {
  switch (m.kind) {
    case 'apply': return apply(m.operation)
    case 'resolve-ports': return network.resolvePorts(m.names)
    case 'capture': return network.capture(attachTapRing(m.ring), m.ports, m.snaplen)
    case 'ping': return network.ping.start(m.ping)
    case 'ping-stop': return network.ping.stop(m.session)
    case 'stop':
      stopping = m.id
      return undefined
    case 'show': throw new Error('show is a job')
  }
}

const serve = (m: WorkerRequest): void => {
  try {
    if (m.kind === 'show') {
      if (m.query.show === 'stats') reply({ id: m.id, result: network.stats() })
      else jobs.push({ id: m.id, rows: [], source: network.show(m.query)[Symbol.iterator]() })
      return
    }
    const result = handle(m)
    if (m.kind !== 'stop') reply({ id: m.id, result: result ?? null })
  } catch (error) {
    reply({ id: m.id, error: errorOf(error) })
  }
}

const errorOf = (error: unknown): { code: 1 | 2; message: string } =>
  error instanceof NetworkError
    ? { code: error.code, message: error.message }
    : { code: 1, message: error instanceof Error ? (error.stack ?? error.message) : String(error) }

/** Collects a bounded number of rows for the first waiting `show`. */
const work = (): void => {
  const job = jobs[0]!
  try {
    for (let i = 0; i < ROWS_A_TURN; i++) {
      const step = job.source.next()
      if (step.done === true) {
        jobs.shift()
        reply({ id: job.id, result: job.rows })
        return
      }
      // A source that has worked without a row to show for it says so, and goes on in the next turn
      if (step.value === undefined) return
      job.rows.push(step.value)
    }
    if (job.rows.length < ROWS_A_MESSAGE) return
    reply({ id: job.id, rows: job.rows })
    job.rows = []
  } catch (error) {
    jobs.shift()
    reply({ id: job.id, error: errorOf(error) })
  }
}

for (const operation of setup.operations) {
  try {
    apply(operation)
  } catch (error) {
    if (!setup.again) throw error
  }
}
// Work in larger batches: a thread that is woken does not push away who woke it (sched(7))
if (!setup.without.includes('batch-thread')) setSchedBatch(true)
dropCapabilities()
reply({ event: 'ready' })

const { engine } = network
const { control } = engine.rings
const anywhere = getAffinity()
const keep = (on: boolean): void => {
  try {
    setAffinity(on ? [setup.cpu!] : anywhere)
  } catch {
    // Not allowed any more (cpuset(7)): it goes without
  }
}
const stay = setup.cpu === undefined ? undefined : createStay(schedulerCounts(setup.cpu, anywhere), keep)
while (stopping < 0) {
  engine.turn(jobs.length === 0 && !network.ping.hasEvents())
  stay?.(engine.isBusy(), engine.clock.now)
  if (control[CTL_WOKEN] !== 0) {
    for (let m = receiveMessageOnPort(port); m !== undefined; m = receiveMessageOnPort(port)) serve(m.message as WorkerRequest)
  }
  if (jobs.length > 0) work()
  if (network.ping.hasEvents()) for (const batch of network.ping.drain()) reply({ event: 'ping', ...batch })
}
const last = network.stats()
engine.close()
reply({ id: stopping, result: last })
port.close()
