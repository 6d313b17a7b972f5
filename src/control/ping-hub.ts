/** `tapway ping`: sessions run in the data plane; here their events go to the clients that asked. */
import type { DataPlane } from './data-plane.js'
import type { PingResult, Request } from './protocol.js'
import type { Client } from './server.js'

type PingRequest = Extract<Request, { method: 'ping' }>

export class PingHub {
  private readonly sessions = new Map<number, { id: number; client: Client }>()
  /** Events of a session that ended its first turn before its start was answered. */
  private readonly early = new Map<number, { events: unknown[]; done: boolean }[]>()

  constructor(private readonly plane: DataPlane) {
    plane.on('restarted', (_error: Error, worker: number) => {
      if (worker !== 0) return // sessions are the first one's
      for (const { client } of this.sessions.values()) client.end()
      this.sessions.clear()
    })
    plane.on('ping', (session: number, events: unknown[], done: boolean) => {
      const listener = this.sessions.get(session)
      if (listener === undefined) {
        const waiting = this.early.get(session) ?? []
        waiting.push({ events, done })
        this.early.set(session, waiting)
        if (this.early.size > 64) this.early.clear()
        return
      }
      this.forward(session, listener, events, done)
    })
  }

  /** Starts a session; its events follow the answer. The session ends with its count, or when the client leaves. */
  async start(request: PingRequest, client: Client): Promise<PingResult> {
    const { session, source, destination } = await this.plane.startPing({
      ...request.from, address: request.address, interval_ms: request.interval_ms, size: request.size,
      ...(request.dev === undefined ? {} : { dev: request.dev }),
      ...(request.count === undefined ? {} : { count: request.count }),
      ...(request.ttl === undefined ? {} : { ttl: request.ttl })
    })
    const listener = { id: request.id, client }
    this.sessions.set(session, listener)
    client.onClose(() => {
      if (this.sessions.delete(session)) this.plane.stopPing(session).catch(() => undefined)
    })
    // After the answer has been written
    setImmediate(() => {
      for (const { events, done } of this.early.get(session) ?? []) this.forward(session, listener, events, done)
      this.early.delete(session)
    })
    return { source, destination }
  }

  private forward(session: number, { id, client }: { id: number; client: Client }, events: unknown[], done: boolean): void {
    for (const event of events) client.send({ id, ...(event as object) })
    if (done) this.sessions.delete(session)
  }
}
