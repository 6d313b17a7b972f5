/** What the main thread and the data-plane thread say to each other. Plain data; every request is answered once, under its id. */
import type { Operation, Query } from '../network/operations.js'
import type { Without } from '../optimisations.js'
import type { PingArguments, PingReport } from '../network/ping.js'

export { MAX_WORKERS } from '../core/posts.js'

export interface WorkerSetup {
  /** Which of how many threads this is. */
  worker: number
  workers: number
  /** Eventfds of all threads: its own wakes it, the others' wake them. */
  eventFds: readonly number[]
  /** Where threads post what they have heard (core/posts.ts), when there are several. */
  posts?: SharedArrayBuffer
  /** Equal for all threads: a flow takes the same of several paths by whichever it goes. */
  flowSeed: number
  instance: string
  poll: PollMode
  /** The processor to stay on while there is much to do. */
  cpu?: number
  /** Optimisations left out. */
  without: Without
  seed: number
  operations: Operation[]
  /** A thread before this one died: an operation that no longer works is passed over. */
  again: boolean
}

export type PollMode = 'sleep' | 'adaptive' | 'busy'

export type WorkerRequest = { id: number } & (
  | { kind: 'apply'; operation: Operation }
  | { kind: 'show'; query: Query }
  /** Watches ports: the ring is created by the main thread and stays for the life of the instance. */
  | { kind: 'capture'; ring: SharedArrayBuffer; ports: number[]; snaplen: number }
  | { kind: 'resolve-ports'; names: string[] }
  | { kind: 'ping'; ping: PingArguments }
  | { kind: 'ping-stop'; session: number }
  | { kind: 'stop' }
)

export type WorkerReply =
  | { id: number; result: unknown }
  /** Part of a long result, which is rows; the rest follows. */
  | { id: number; rows: unknown[] }
  | { id: number; error: { code: 1 | 2; message: string } }
  | { event: 'ready' }
  | WorkerEvent

export type WorkerEvent =
  | { event: 'device-lost'; port: string; errno: number }
  /** Something a user should know, for the log; whoever sends them limits their rate. */
  | { event: 'notice'; level: 'info' | 'warn'; text: string }
  | { event: 'ping'; session: number; events: PingReport[]; done: boolean }
