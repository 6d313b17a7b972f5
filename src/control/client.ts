/**
 * The client's side of the control socket (protocol.ts): one connection to a running instance, requests answered by id,
 * and streams of events.
 */
import { createConnection, type Socket } from 'node:net'
import type { Request, Response, StreamEvent } from './protocol.js'

/** Folder of control sockets and records; the variable is for tests. */
export const runDirectory = (): string => process.env['TAPWAY_RUN_DIR'] ?? '/run/tapway'

/** It cannot be done: `exitCode` 1 it failed at run time (nobody runs, connection lost), 2 the words are wrong. `running` is false when nobody listens. */
export class ClientError extends Error {
  constructor(message: string, readonly exitCode: 1 | 2, readonly running = true) {
    super(message)
    this.name = 'ClientError'
  }
}

type Body<R> = R extends unknown ? Omit<R, 'id'> : never
/** A request without its id, which the client gives out. */
export type RequestBody = Body<Request>

/** Nobody waits longer than this for an answer: milliseconds. */
const PATIENCE = 30_000

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

/** More events than this wait in the socket, where the instance sees that we are slow and counts what it drops. */
const MAX_QUEUED = 1024

/** Events of one stream that nobody has taken yet. */
class EventQueue {
  private readonly events: StreamEvent[] = []
  private over = false
  private wake = (): void => {}

  constructor(private readonly socket: Socket) {}

  push(event: StreamEvent): void {
    this.events.push(event)
    if (event.end === true) this.over = true
    if (this.events.length >= MAX_QUEUED) this.socket.pause()
    this.wake()
  }

  end(): void {
    this.over = true
    this.wake()
  }

  /** The events in order, up to and with the one that has `end`, or until the connection is closed. */
  async * drain(): AsyncGenerator<StreamEvent, void, undefined> {
    for (;;) {
      yield * this.events.splice(0)
      this.socket.resume()
      if (this.events.length > 0) continue
      if (this.over) return
      await new Promise<void>((resolve) => { this.wake = resolve })
    }
  }
}

export interface Stream<R> {
  /** The answer to the request. */
  readonly result: R
  /** To be read once. Without an event that has `end`, the connection was lost or closed. */
  readonly events: AsyncIterable<StreamEvent>
}

export class ControlClient {
  private readonly waiting = new Map<number, Waiting>()
  private readonly streams = new Map<number, EventQueue>()
  private rest: string[] = []
  private lastId = 0
  /** Resolves when the connection is closed, by whichever side. */
  readonly closed: Promise<void>

  private constructor(private readonly socket: Socket, readonly name: string) {
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.take(text))
    socket.on('error', () => {}) // what it means is told by close
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.lost()
        resolve()
      })
    })
  }

  /** Connects to the instance `name`. Throws ClientError. */
  static async connect(name: string, directory = runDirectory()): Promise<ControlClient> {
    const path = `${directory}/${name}.sock`
    const socket = createConnection({ path })
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve)
        socket.once('error', reject)
      })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const up = name === 'default' ? 'tapway up FILE' : `tapway up FILE --name ${name}`
      if (code === 'ENOENT' || code === 'ECONNREFUSED') throw new ClientError(`no instance "${name}" is running (start one: ${up})`, 1, false)
      if (code === 'EACCES' || code === 'EPERM') throw new ClientError(`no right to open ${path}: run it as root (sudo tapway ...)`, 1)
      throw new ClientError(`cannot open ${path}: ${message}`, 1)
    }
    socket.removeAllListeners('error')
    return new ControlClient(socket, name)
  }

  /** Sends a request and gives the result. Throws ClientError: the instance's own error, or a lost connection. */
  async request<R>(body: RequestBody): Promise<R> {
    return await this.send(body) as R
  }

  /** Sends a request that opens a stream. Throws ClientError. */
  async stream<R>(body: RequestBody): Promise<Stream<R>> {
    const queue = new EventQueue(this.socket)
    const result = await this.send(body, queue) as R
    return { result, events: queue.drain() }
  }

  close(): void {
    this.socket.destroy()
  }

  private send(body: RequestBody, queue?: EventQueue): Promise<unknown> {
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(this.lostError())
        return
      }
      const timer = setTimeout(() => {
        this.waiting.delete(id)
        reject(new ClientError(`instance "${this.name}" did not answer within ${PATIENCE / 1000} s`, 1))
      }, PATIENCE)
      if (queue !== undefined) this.streams.set(id, queue)
      this.waiting.set(id, { resolve, reject, timer })
      this.socket.write(`${JSON.stringify({ id, ...body })}\n`)
    })
  }

  /** A piece of what the instance says; a line may come in many pieces, and is put together once. */
  private take(text: string): void {
    let from = 0
    for (let to = text.indexOf('\n'); to >= 0; to = text.indexOf('\n', from)) {
      this.rest.push(text.slice(from, to))
      from = to + 1
      const line = this.rest.join('')
      this.rest = []
      if (line !== '') this.message(line)
    }
    if (from < text.length) this.rest.push(text.slice(from))
  }

  private message(line: string): void {
    let message: Response | StreamEvent
    try {
      message = JSON.parse(line) as Response | StreamEvent
    } catch {
      this.socket.destroy()
      return
    }
    if ('event' in message) {
      this.streams.get(message.id)?.push(message)
      if (message.end === true) this.streams.delete(message.id)
      return
    }
    const waiting = this.waiting.get(message.id)
    if (waiting === undefined) return
    this.waiting.delete(message.id)
    clearTimeout(waiting.timer)
    if ('error' in message) {
      this.streams.delete(message.id)
      waiting.reject(new ClientError(message.error.message, message.error.code))
    } else {
      waiting.resolve(message.result)
    }
  }

  private lostError(): ClientError {
    return new ClientError(`instance "${this.name}" closed the connection: it is going down, or see its log`, 1)
  }

  private lost(): void {
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer)
      reject(this.lostError())
    }
    this.waiting.clear()
    for (const queue of this.streams.values()) queue.end()
    this.streams.clear()
  }
}
