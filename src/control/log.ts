/** Logs go to stderr by pino: readable on a terminal, JSON lines elsewhere. Written without blocking: nobody may be reading. */
import { pino, type DestinationStream, type Logger } from 'pino'
import pretty from 'pino-pretty'

/**
 * stderr, until it fails (a full disk, a terminal that was closed): the rest is lost then. pino by itself would end the process,
 * and try for ever at its exit.
 */
const stderrLines = (): DestinationStream => {
  const stream = pino.destination({ dest: 2, sync: false })
  const lost = (): void => {}
  stream.on('error', () => Object.assign(stream, { write: lost, flush: lost, flushSync: lost, end: lost }))
  return stream
}

export const createLog = (level: string): Logger =>
  process.stderr.isTTY
    ? pino({ level, base: null }, pretty({
      destination: stderrLines(), colorize: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname'
    }))
    : pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, stderrLines())
