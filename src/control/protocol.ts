/**
 * The control socket's language: one JSON object a line, both ways. The client sends `Request`s; every one is answered by a
 * `Response` with its id. `capture` and `ping` are answered by a stream: first a Response, then `Event` lines until the
 * last one, which has `end: true`; the client ends it earlier by closing the connection.
 */
import type { Operation, Query } from '../network/operations.js'
import type { PingReport } from '../network/ping.js'

export type Request = { id: number } & (
  | { method: 'apply'; operation: Operation }
  | { method: 'show'; query: Query }
  | { method: 'down' }
  /** Who is running: pid, version, hosts with the reference `exec` enters. */
  | { method: 'info' }
  | { method: 'capture'; ports: string[]; snaplen: number }
  | { method: 'ping'; from: { router?: string; bridge?: string }; dev?: string; address: string; count?: number; interval_ms: number; size: number; ttl?: number }
)

export interface InfoResult {
  name: string
  pid: number
  version: string
  file: string
  hosts: { name: string; netns: string; made: boolean }[]
}

/** `capture` is answered with the ports it found. */
export interface CaptureResult {
  ports: { id: number; name: string }[]
}

/** A captured frame. `data` is base64 of at most snaplen bytes, `time` nanoseconds since the epoch as decimal text. `direction` is the switch's view. */
export interface CaptureEvent {
  event: 'packet'
  port: number
  direction: 'rx' | 'tx'
  time: string
  length: number
  data: string
}

/** Captures that were lost because nobody took them away fast enough; the running total. */
export interface LostEvent {
  event: 'lost'
  packets: number
}

/** `ping` is answered with the address it will use as source. */
export interface PingResult {
  source: string
  destination: string
}

export type PingEvent = PingReport

export type StreamEvent = (CaptureEvent | LostEvent | PingEvent | { event: 'closed'; end: true }) & { id: number; end?: boolean }

export type Response =
  | { id: number; result: unknown }
  /** `code` is the exit code: 1 it failed at run time, 2 the words are wrong. */
  | { id: number; error: { code: 1 | 2; message: string } }
