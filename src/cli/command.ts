/** What the words of a command line mean. */
import type { Operation, Query } from '../network/operations.js'
import type { Without } from '../optimisations.js'

export interface Globals {
  readonly name: string
  readonly json: boolean
  readonly pretty: boolean
  /** How often -s was given. */
  readonly stats: number
  readonly details: boolean
  readonly brief: boolean
  readonly logLevel: LogLevel
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export const POLLS = ['sleep', 'adaptive', 'busy'] as const
export type Poll = (typeof POLLS)[number]

/** What to leave out of the rows that a query gives. */
export interface Where {
  readonly up?: true
  readonly kind?: string
  readonly protocol?: string
}

export interface ShowCommand {
  readonly kind: 'show'
  readonly query: Query
  readonly where?: Where
  /** `get`: the message when there is no row. */
  readonly missing?: string
}

export interface ApplyCommand {
  readonly kind: 'apply'
  readonly operation: Operation
}

export interface PingCommand {
  readonly kind: 'ping'
  readonly address: string
  readonly from: { readonly router?: string; readonly bridge?: string }
  readonly dev?: string
  readonly count?: number
  readonly intervalMs: number
  /** Bytes of data behind the ICMP header. */
  readonly size: number
  readonly ttl?: number
  readonly quiet: boolean
}

export interface CaptureCommand {
  readonly kind: 'capture'
  readonly ports: readonly string[]
  readonly filter: string
  readonly ethernet: boolean
  readonly count?: number
  /** A path, or `-` for stdout. */
  readonly write?: string
  readonly snaplen: number
}

/** Exit status 0 when it is allowed, 1 when not. */
export interface PolicyCheckCommand {
  readonly kind: 'policy-check'
  readonly query: Extract<Query, { show: 'policy-check' }>
}

export type ObjectCommand = ShowCommand | ApplyCommand | PolicyCheckCommand

export type Command =
  | ObjectCommand | PingCommand | CaptureCommand
  | { readonly kind: 'help'; readonly topic: string }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'up'; readonly file: string; readonly poll: Poll
      /** Optimisations to be left out. */
      readonly without: Without
      /** Threads that forward. */
      readonly workers?: number
    }
  | { readonly kind: 'check'; readonly file: string }
  | { readonly kind: 'down' }
  /** Without `argv`: a shell. */
  | { readonly kind: 'exec'; readonly host: string; readonly argv?: readonly string[] }

export interface Invocation {
  readonly globals: Globals
  readonly command: Command
}
