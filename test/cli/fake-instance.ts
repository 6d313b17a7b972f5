/** A Unix socket that answers as a test says, and an Io that remembers what was printed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import type { Io } from '../../src/cli/io.js'
import type { Request } from '../../src/control/protocol.js'

/** A folder that is removed after the test. */
export const temporaryFolder = (t: ExecutionContext): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-cli-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export interface Printed extends Io {
  readonly printed: { out: string; err: string }
  /** As Ctrl-C does. */
  interrupt(): void
}

export const memoryIo = (directory: string): Printed => {
  const printed = { out: '', err: '' }
  let listener = (): void => {}
  return {
    printed, directory,
    out: (text) => { printed.out += text },
    err: (text) => { printed.err += text },
    onInterrupt: (wanted) => {
      listener = wanted
      return () => { listener = () => {} }
    },
    interrupt: () => listener(),
    outliveReader: () => {},
    endUnread: () => {},
  }
}

/** What the instance does with a request: lines to send are objects, `socket` is for worse. */
export type Answer = (request: Request, send: (message: object) => void, socket: Socket) => void

/** Listens as instance `name` in a folder of its own; gives that folder and the requests as they come. */
export const fakeInstance = async (t: ExecutionContext, answer: Answer, name = 'default') => {
  const directory = temporaryFolder(t)
  const requests: Request[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let rest = ''
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const lines = (rest + String(data)).split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const request = JSON.parse(line) as Request
        requests.push(request)
        answer(request, (message) => socket.write(`${JSON.stringify(message)}\n`), socket)
      }
    })
  })
  await new Promise<void>((resolve) => { server.listen(join(directory, `${name}.sock`), resolve) })
  const stop = (): void => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  t.teardown(stop)
  return { directory, requests, stop }
}
