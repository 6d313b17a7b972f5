/** The main thread's handle on one data-plane thread: starts it, sends it requests, gives its answers back. */
import { EventEmitter } from 'node:events'
import { Worker } from 'node:worker_threads'
import { newEventFd, signal } from '../native.js'
import { NetworkError } from '../network/operations.js'
import type { WorkerReply, WorkerRequest, WorkerSetup } from './messages.js'

/** worker.ts and all that it imports as one module (docs/decisions/0012), from where this file is once compiled. */
const BUNDLE = '../../bundle/worker.js'

type Body<T> = T extends { id: number } ? Omit<T, 'id'> : never
export type RequestBody = Body<WorkerRequest>

/** Emits `event` with every event of the thread but `ready`, and `ended` with an error when the thread is gone: it may be started again. */
export class Thread extends EventEmitter {
  /** `rows`: what has come of a result in parts. */
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void; rows: unknown[][] }>()
  private nextId = 1
  /** Wakes the thread; stays the same when it is started again. */
  readonly eventFd = newEventFd()
  worker: Worker | undefined

  constructor(private readonly name: string) {
    super()
  }

  /** Resolves when the thread has carried out its operations. Requests may be made at once: they come after those. */
  start(setup: WorkerSetup): Promise<void> {
    const worker = new Worker(new URL(setup.without.includes('bundle') ? './worker.js' : BUNDLE, import.meta.url), {
      workerData: setup, name: this.name, resourceLimits: { maxYoungGenerationSizeMb: 8 }
    })
    this.worker = worker
    return new Promise<void>((resolve, reject) => {
      let failure: Error | undefined
      worker.on('message', (m: WorkerReply) => {
        if ('event' in m && m.event === 'ready') resolve()
        else this.take(m)
      })
      worker.on('error', (error) => {
        failure = error
        reject(error)
      })
      worker.on('exit', () => {
        const error = failure ?? new Error('the data plane has ended')
        this.worker = undefined
        for (const waiter of this.waiting.values()) waiter.reject(error)
        this.waiting.clear()
        reject(error)
        this.emit('ended', error)
      })
    })
  }

  request<T>(body: RequestBody): Promise<T> {
    const { worker } = this
    if (worker === undefined) return Promise.reject(new NetworkError('the data plane is being restarted: try again', 1))
    const id = this.nextId++
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: never) => void, reject, rows: [] })
      worker.postMessage({ ...body, id })
      signal(this.eventFd)
    })
  }

  private take(m: WorkerReply): void {
    if ('event' in m) {
      this.emit('event', m)
      return
    }
    const waiter = this.waiting.get(m.id)
    if ('rows' in m) {
      waiter?.rows.push(m.rows)
      return
    }
    this.waiting.delete(m.id)
    if ('error' in m) waiter?.reject(new NetworkError(m.error.message, m.error.code))
    else waiter?.resolve((waiter.rows.length === 0 ? m.result : [...waiter.rows, m.result as unknown[]].flat()) as never)
  }
}
