/** The main thread's handle on the data plane: starts the worker, sends requests, gives answers back. */
import { EventEmitter } from 'node:events'
import { Worker } from 'node:worker_threads'
import { close, newEventFd, signal } from '../native.js'
import { NetworkError, type Operation, type Query, type StatsResult } from '../network/operations.js'
import type { PingRequest, PollMode, WorkerReply, WorkerRequest, WorkerSetup } from './messages.js'

export interface DataPlaneOptions {
  instance: string
  poll: PollMode
  operations: Operation[]
}

type Body<T> = T extends { id: number } ? Omit<T, 'id'> : never

/** Emits `device-lost` (port, errno), `ping` (session, events, done) and `failed` (error) when the thread died. */
export class DataPlane extends EventEmitter {
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  private nextId = 1
  private dead: Error | undefined

  private constructor(private readonly worker: Worker, private readonly eventFd: number) {
    super()
    worker.on('message', (m: WorkerReply) => this.take(m))
    worker.on('error', (error) => this.fail(error))
    worker.on('exit', () => {
      this.fail(new Error('the data plane has ended'))
      close(eventFd)
    })
  }

  /** Starts the thread and resolves when it has carried out all operations. */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const eventFd = newEventFd()
    const setup: WorkerSetup = { ...options, eventFd, seed: Math.floor(Math.random() * 0x7fffffff) }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: setup, name: 'tapway-data-plane', resourceLimits: { maxYoungGenerationSizeMb: 8 }
    })
    const plane = new DataPlane(worker, eventFd)
    await new Promise<void>((resolve, reject) => {
      plane.once('ready', resolve)
      plane.once('failed', reject)
    })
    return plane
  }

  apply(operation: Operation): Promise<unknown> {
    return this.request({ kind: 'apply', operation })
  }

  show(query: Query): Promise<unknown> {
    return this.request({ kind: 'show', query })
  }

  resolvePorts(names: string[]): Promise<{ id: number; name: string }[]> {
    return this.request({ kind: 'resolve-ports', names })
  }

  capture(ring: SharedArrayBuffer, ports: number[], snaplen: number): Promise<void> {
    return this.request({ kind: 'capture', ring, ports, snaplen })
  }

  startPing(ping: PingRequest): Promise<{ session: number; source: string; destination: string }> {
    return this.request({ kind: 'ping', ping })
  }

  stopPing(session: number): Promise<{ transmitted: number; received: number }> {
    return this.request({ kind: 'ping-stop', session })
  }

  /** Ends the loop; resolves with the last counters. */
  async stop(): Promise<StatsResult> {
    return this.request({ kind: 'stop' })
  }

  private request<T>(body: Body<WorkerRequest>): Promise<T> {
    if (this.dead !== undefined) return Promise.reject(this.dead)
    const id = this.nextId++
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as (value: never) => void, reject })
      this.worker.postMessage({ ...body, id })
      signal(this.eventFd)
    })
  }

  private take(m: WorkerReply): void {
    if ('event' in m) {
      if (m.event === 'ready') this.emit('ready')
      else if (m.event === 'device-lost') this.emit('device-lost', m.port, m.errno)
      else this.emit('ping', m.session, m.events, m.done)
      return
    }
    const waiter = this.waiting.get(m.id)
    this.waiting.delete(m.id)
    if ('error' in m) waiter?.reject(new NetworkError(m.error.message, m.error.code))
    else waiter?.resolve(m.result as never)
  }

  private fail(error: Error): void {
    if (this.dead !== undefined) return
    this.dead = error
    for (const waiter of this.waiting.values()) waiter.reject(error)
    this.waiting.clear()
    this.emit('failed', error)
  }
}
