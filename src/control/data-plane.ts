/**
 * The data plane as the main thread sees it: one worker thread or several, each with an engine of its own and all tables. The first one
 * decides about operations and answers for what is learned; the others do as it did, in the same order, so that rows are equal.
 */
import { EventEmitter } from 'node:events'
import { createPosts, MAX_WORKERS, retire } from '../core/posts.js'
import { close } from '../native.js'
import {
  NetworkError, type ApplyResult, type LinkRow, type NeighRow, type Operation, type Query, type RouteRow, type StatsResult
} from '../network/operations.js'
import type { PingArguments } from '../network/ping.js'
import { sortRoutes } from '../network/route-order.js'
import type { Without } from '../optimisations.js'
import { asFollower, mayDiffer, operationOf } from './followers.js'
import { mergeLinks, mergeNeighbors, mergeStats } from './merge.js'
import type { PollMode, WorkerEvent } from './messages.js'
import { Thread, type RequestBody } from './thread.js'

export interface DataPlaneOptions {
  instance: string
  poll: PollMode
  /** Threads that forward; one when left out. TAPs have a queue for each, tunnels sockets (Operation's `queues`, `others`). */
  workers?: number
  /** The processor that each of them stays on while there is much to do; wherever the scheduler likes when left out or empty. */
  cpus?: readonly number[]
  /** Optimisations to be left out; none by default. */
  without?: Without
  operations: Operation[]
}

/** A thread that dies again sooner than this is not started once more. */
const RESTART_AFTER_MS = 10_000
/** Operations remembered for a restart; an instance that was changed more often cannot be built again. */
const MAX_OPERATIONS = 200_000
/** All queues of a device are gone at once: this long, its name is told once. */
const LOST_AGAIN_MS = 1000

/**
 * Emits `device-lost` (port, errno), `notice` (level, text), `ping` (session, events, done), `restarted` (error, worker) when a thread died and
 * a new one took over its ports, and `failed` (error) when that was no use. The descriptors are the main thread's, so a new thread gets
 * the same TAPs; what the old one had learned is gone.
 */
export class DataPlane extends EventEmitter {
  /** How many threads forward. */
  readonly workers: number
  private readonly threads: Thread[]
  private readonly restartedAt: number[]
  private readonly posts: SharedArrayBuffer | undefined
  private readonly operations: Operation[]
  private readonly seed = Math.floor(Math.random() * 0x7fffffff)
  private readonly lostAt = new Map<string, number>()
  private running = 0
  private stopping = false
  private last: Promise<StatsResult> | undefined
  private dead: Error | undefined

  private constructor(private readonly options: DataPlaneOptions) {
    super()
    this.operations = [...options.operations]
    const { workers = 1 } = options
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) throw new RangeError(`there may be 1 to ${MAX_WORKERS} workers`)
    this.workers = workers
    for (const operation of options.operations) this.check(operation)
    this.posts = workers === 1 ? undefined : createPosts(workers)
    this.restartedAt = new Array<number>(workers).fill(-Infinity)
    this.threads = Array.from({ length: workers }, (_, index) => {
      const thread = new Thread(workers === 1 ? 'tapway-data-plane' : `tapway-data-plane-${index}`)
      thread.on('event', (event: WorkerEvent) => this.take(event))
      thread.on('ended', (error: Error) => this.ended(index, error))
      return thread
    })
  }

  /** Starts the threads and resolves when they have carried out all operations. */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const plane = new DataPlane(options)
    try {
      await Promise.all(plane.threads.map((_, index) => plane.launch(index, false)))
      return plane
    } catch (error) {
      plane.stopping = true
      for (const { worker } of plane.threads) await worker?.terminate()
      throw error
    }
  }

  private launch(index: number, again: boolean): Promise<void> {
    const { options: { instance, poll, cpus, without = [] }, workers, posts, threads } = this
    this.running++
    return threads[index]!.start({
      instance, poll, without, again, worker: index, workers, flowSeed: this.seed,
      operations: this.operations.map((o) => operationOf(index === 0 ? o : asFollower(o), index, workers)),
      eventFds: threads.map(({ eventFd }) => eventFd), seed: Math.floor(Math.random() * 0x7fffffff),
      ...(posts === undefined ? {} : { posts }), ...(cpus?.[index] === undefined ? {} : { cpu: cpus[index] })
    })
  }

  /** A thread is gone: a new one takes over where that makes sense. */
  private ended(index: number, error: Error): void {
    this.running--
    if (this.posts !== undefined) retire(this.posts, this.workers, index)
    if (this.stopping || this.dead !== undefined) {
      if (this.running === 0) for (const { eventFd } of this.threads) close(eventFd)
      return
    }
    const now = performance.now()
    if (now - this.restartedAt[index]! < RESTART_AFTER_MS || this.operations.length > MAX_OPERATIONS) {
      this.fail(error)
      return
    }
    this.restartedAt[index] = now
    this.launch(index, true).then(() => this.emit('restarted', error, index), (second: Error) => this.fail(second))
  }

  /** Refuses what several workers cannot do yet. */
  private check(operation: Operation): void {
    if (this.workers > 1 && operation.op === 'app.add') throw new NetworkError('not supported yet: apps with several workers', 2)
  }

  async apply(operation: Operation): Promise<ApplyResult> {
    this.check(operation)
    const { threads, workers } = this
    const result = await this.request<ApplyResult>(0, { kind: 'apply', operation: operationOf(operation, 0, workers) })
    // Answers come in order, and nothing comes between one and what follows here: all workers see the same order
    if (this.operations.length <= MAX_OPERATIONS) this.operations.push(operation)
    if (workers === 1) return result
    const followed = asFollower(operation)
    await Promise.all(threads.slice(1).map(async (thread, i) => {
      const { worker } = thread
      try {
        await this.request(i + 1, { kind: 'apply', operation: operationOf(followed, i + 1, workers) })
      } catch (error) {
        // One that died meanwhile is started again with this operation
        if (thread.worker !== worker || mayDiffer(operation)) return
        this.emit('notice', 'warn', `worker ${i + 1} could not follow ${operation.op}, and is started again: ${(error as Error).message}`)
        await worker?.terminate()
      }
    }))
    return result
  }

  async show(query: Query): Promise<unknown> {
    const several = this.workers > 1
    if (query.show === 'stats' && several) return mergeStats(await this.askAll<StatsResult>({ kind: 'show', query }))
    if (query.show === 'link' && several) return mergeLinks(await this.askAll<LinkRow[]>({ kind: 'show', query }))
    if (query.show === 'neigh' && several) {
      return mergeNeighbors(await this.askAll<NeighRow[]>({ kind: 'show', query: query.nud === undefined ? query : { ...query, nud: 'all' } }), query.nud)
    }
    const result = await this.request<unknown>(0, { kind: 'show', query })
    return query.show === 'route' ? sortRoutes(result as RouteRow[]) : result
  }

  resolvePorts(names: string[]): Promise<{ id: number; name: string }[]> {
    return this.request(0, { kind: 'resolve-ports', names })
  }

  /** `rings`: one for each worker. */
  async capture(rings: readonly SharedArrayBuffer[], ports: number[], snaplen: number): Promise<void> {
    await Promise.all(rings.map((ring, index) => this.request(index, { kind: 'capture', ring, ports, snaplen })))
  }

  startPing(ping: PingArguments): Promise<{ session: number; source: string; destination: string }> {
    return this.request(0, { kind: 'ping', ping })
  }

  stopPing(session: number): Promise<{ transmitted: number; received: number }> {
    return this.request(0, { kind: 'ping-stop', session })
  }

  /** Ends the loops; resolves with the last counters, every time. */
  stop(): Promise<StatsResult> {
    this.stopping = true
    return (this.last ??= this.askAll<StatsResult>({ kind: 'stop' }).then(mergeStats))
  }

  private request<T>(index: number, body: RequestBody): Promise<T> {
    return this.dead === undefined ? this.threads[index]!.request<T>(body) : Promise.reject(this.dead)
  }

  /** The answers of all; the first worker's must be there, others may be dead at the moment. */
  private async askAll<T>(body: RequestBody): Promise<T[]> {
    const answers = await Promise.allSettled(this.threads.map((_, index) => this.request<T>(index, body)))
    if (answers[0]!.status === 'rejected') throw answers[0]!.reason
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  }

  private take(m: WorkerEvent): void {
    if (m.event === 'device-lost') {
      const now = performance.now()
      if (now - (this.lostAt.get(m.port) ?? -Infinity) < LOST_AGAIN_MS) return
      this.lostAt.set(m.port, now)
      this.emit('device-lost', m.port, m.errno)
    } else if (m.event === 'notice') this.emit('notice', m.level, m.text)
    else if (m.event === 'ping') this.emit('ping', m.session, m.events, m.done)
  }

  private fail(error: Error): void {
    if (this.dead !== undefined) return
    this.dead = error
    this.emit('failed', error)
  }
}
