/** What a command touches of the process it runs in; tests give their own. */
import { runDirectory } from '../control/client.js'

export interface Io {
  out(text: string): void
  err(text: string): void
  /** Folder of control sockets and records. */
  readonly directory: string
  /** Calls `listener` at the first SIGINT or SIGTERM instead of ending the process; returns what takes that back. */
  onInterrupt(listener: () => void): () => void
  /** From now on nobody need read our output: `up` goes on forwarding. Before, the end of the reader (`| head`) is ours. */
  outliveReader(): void
  /** Ends the process soon, even where nobody takes the last of its output: full pipes would keep it for ever. */
  endUnread(status: number): void
}

/** How long last words may wait for their reader: milliseconds. */
const LAST_WORDS_MS = 500

/** The process's own streams. */
export const processIo = (): Io => {
  let outlive = false
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') {
      if (!outlive) process.exit()
    } else if (process.stdout.listenerCount('error') === 1) { // else capture says it
      process.stderr.write(`tapway: cannot write to stdout: ${message.replace(/^E[A-Z0-9]+: |, write$/g, '')}\n`)
      if (!outlive) process.exit(1)
    }
  })
  process.stderr.on('error', () => {}) // nobody is there to be told
  return {
    out: (text) => { process.stdout.write(text) },
    err: (text) => { process.stderr.write(text) },
    directory: runDirectory(),
    onInterrupt: (listener) => {
      process.on('SIGINT', listener).on('SIGTERM', listener)
      return () => { process.off('SIGINT', listener).off('SIGTERM', listener) }
    },
    outliveReader: () => { outlive = true },
    endUnread: (status) => {
      setTimeout(() => {
        process.removeAllListeners('exit') // the log's would wait for its reader
        process.exit(status)
      }, LAST_WORDS_MS).unref()
    },
  }
}
