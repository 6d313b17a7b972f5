/** Logs go to stderr by pino: readable on a terminal, JSON lines elsewhere. Written without blocking: nobody may be reading. */
import { pino, type Logger } from 'pino'
import pretty from 'pino-pretty'

export const createLog = (level: string): Logger =>
  process.stderr.isTTY
    ? pino({ level, base: null }, pretty({ destination: 2, colorize: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' }))
    : pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: false }))
