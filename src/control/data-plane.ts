/** The main thread's handle on the data plane: starts the worker, sends requests, gives answers back. */
import { EventEmitter } from 'node:events'
import { Worker } from 'node:worker_threads'
import { close, newEventFd, signal } from '../native.js'
import { NetworkError, type ApplyResult, type Operation, type Query, type RouteRow, type StatsResult } from '../network/operations.js'
import type { PingArguments } from '../network/ping.js'
import { sortRoutes } from '../network/route-order.js'
import type { PollMode, WorkerReply, WorkerRequest, WorkerSetup } from './messages.js'

export interface DataPlaneOptions {
  instance: string
  poll: PollMode
  /** Offloads of tunnels; all on when left out. */
  udpSegment?: boolean
  udpGro?: boolean
  coalesce?: boolean
  operations: Operation[]
}

type Body<T> = T extends { id: number } ? Omit<T, 'id'> : never

/** A thread that dies again sooner than this is not started once more. */
const RESTART_AFTER_MS = 10_000
/** Operations remembered for a restart; an instance that was changed more often cannot be built again. */
const MAX_OPERATIONS = 200_000

/**
 * Emits `device-lost` (port, errno), `notice` (level, text), `ping` (session, events, done), `restarted` (error) when the thread died and a new one took
 * over its ports, and `failed` (error) when that was no use. The descriptors are the main thread's, so a new thread gets the same
 * TAPs; what the old one had learned is gone.
 */
export class DataPlane extends EventEmitter {
  /** `rows`: what has come of a result in parts. */
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void; rows: unknown[][] }>()
  private readonly operations: Operation[]
  private nextId = 1
  private worker: Worker | undefined
  private eventFd = -1
  private restartedAt = -Infinity
  private stopping = false
  private last: Promise<StatsResult> | undefined
  private dead: Error | undefined

  private constructor(private readonly options: DataPlaneOptions) {
    super()
    this.operations = [...options.operations]
  }

  /** Starts the thread and resolves when it has carried out all operations. */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const plane = new DataPlane(options)
    await plane.launch(false)
    return plane
  }

  private async launch(again: boolean): Promise<void> {
    const eventFd = newEventFd()
    const { instance, poll, udpSegment = true, udpGro = true, coalesce = true } = this.options
    const setup: WorkerSetup = {
      instance, poll, udpSegment, udpGro, coalesce, operations: this.operations, again, eventFd, seed: Math.floor(Math.random() * 0x7fffffff)
    }
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: setup, name: 'tapway-data-plane', resourceLimits: { maxYoungGenerationSizeMb: 8 }
    })
    this.worker = worker
    this.eventFd = eventFd
    await new Promise<void>((resolve, reject) => {
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
        close(eventFd)
        const error = failure ?? new Error('the data plane has ended')
        reject(error)
        this.ended(error)
      })
    })
  }

  /** The thread is gone: nobody waits for it any longer, and a new one takes over where that makes sense. */
  private ended(error: Error): void {
    for (const waiter of this.waiting.values()) waiter.reject(error)
    this.waiting.clear()
    if (this.stopping || this.dead !== undefined) return
    this.worker = undefined
    const now = performance.now()
    if (now - this.restartedAt < RESTART_AFTER_MS || this.operations.length > MAX_OPERATIONS) {
      this.fail(error)
      return
    }
    this.restartedAt = now
    this.launch(true).then(() => this.emit('restarted', error), (second: Error) => this.fail(second))
  }

  async apply(operation: Operation): Promise<ApplyResult> {
    const result = await this.request<ApplyResult>({ kind: 'apply', operation })
    if (this.operations.length <= MAX_OPERATIONS) this.operations.push(operation)
    return result
  }

  async show(query: Query): Promise<unknown> {
    const result = await this.request<unknown>({ kind: 'show', query })
    return query.show === 'route' ? sortRoutes(result as RouteRow[]) : result
  }

  resolvePorts(names: string[]): Promise<{ id: number; name: string }[]> {
    return this.request({ kind: 'resolve-ports', names })
  }

  capture(ring: SharedArrayBuffer, ports: number[], snaplen: number): Promise<void> {
    return this.request({ kind: 'capture', ring, ports, snaplen })
  }

  startPing(ping: PingArguments): Promise<{ session: number; source: string; destination: string }> {
    return this.request({ kind: 'ping', ping })
  }

  stopPing(session: number): Promise<{ transmitted: number; received: number }> {
    return this.request({ kind: 'ping-stop', session })
  }

  /** Ends the loop; resolves with the last counters, every time. */
  stop(): Promise<StatsResult> {
    this.stopping = true
    return (this.last ??= this.request({ kind: 'stop' }))
  }

  private request<T>(body: Body<WorkerRequest>): Promise<T> {
    const { worker } = this
    if (this.dead !== undefined) return Promise.reject(this.dead)
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
      if (m.event === 'device-lost') this.emit('device-lost', m.port, m.errno)
      else if (m.event === 'notice') this.emit('notice', m.level, m.text)
      else if (m.event === 'ping') this.emit('ping', m.session, m.events, m.done)
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

  private fail(error: Error): void {
    if (this.dead !== undefined) return
    this.dead = error
    this.emit('failed', error)
  }
}
