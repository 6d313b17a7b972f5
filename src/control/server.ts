/**
 * The control socket: newline-delimited JSON (protocol.ts) over a Unix socket of mode 0600. A client's mistake costs it its
 * connection at worst; a client that does not read loses captures, nothing else.
 */
import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { NetworkError } from '../network/operations.js'
import type { Request } from './protocol.js'

/** A line longer than this is no request of ours. */
const MAX_LINE = 1 << 20

/** One connected client: what a handler may send, and when it leaves. */
export interface Client {
  send(message: object): void
  /** Bytes that wait because the client does not read. */
  backlog(): number
  onClose(listener: () => void): void
  end(): void
}

/** Answers a request; what it returns goes back as the result. */
export type Handler = (request: Request, client: Client) => unknown

export class ControlServer {
  private readonly sockets = new Set<Socket>()

  private constructor(private readonly server: Server, readonly path: string) {}

  /** Listens on `path`, which must not exist. */
  static async listen(path: string, handler: Handler): Promise<ControlServer> {
    const server = createServer()
    const control = new ControlServer(server, path)
    server.on('connection', (socket) => control.serve(socket, handler))
    const mask = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(path, resolve)
      })
    } finally {
      process.umask(mask)
    }
    chmodSync(path, 0o600)
    return control
  }

  /** Stops listening and ends every connection once what was sent is out. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    for (const socket of this.sockets) {
      socket.end()
      setTimeout(() => socket.destroy(), 500).unref()
    }
    await closed
  }

  private serve(socket: Socket, handler: Handler): void {
    this.sockets.add(socket)
    const leave: (() => void)[] = []
    socket.on('close', () => {
      this.sockets.delete(socket)
      for (const listener of leave) listener()
    })
    socket.on('error', () => socket.destroy())
    const client: Client = {
      send: (message) => {
        if (!socket.destroyed && socket.writable) socket.write(JSON.stringify(message) + '\n')
      },
      backlog: () => socket.writableLength,
      onClose: (listener) => leave.push(listener),
      end: () => socket.end()
    }
    let rest = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      rest += text
      const lines = rest.split('\n')
      rest = lines.pop()!
      if (rest.length > MAX_LINE) {
        socket.destroy()
        return
      }
      for (const line of lines) if (line.trim() !== '') void answer(line, client, handler)
    })
  }
}

const answer = async (line: string, client: Client, handler: Handler): Promise<void> => {
  let id = 0
  try {
    const request: unknown = JSON.parse(line)
    if (typeof request !== 'object' || request === null || !Number.isFinite((request as Request).id)) {
      throw new NetworkError('a request is a JSON object with a numeric id', 2)
    }
    id = (request as Request).id
    const result = await handler(request as Request, client)
    client.send({ id, result: result ?? null })
  } catch (error) {
    const code = error instanceof NetworkError ? error.code : error instanceof SyntaxError ? 2 : 1
    client.send({ id, error: { code, message: error instanceof Error ? error.message : String(error) } })
  }
}
