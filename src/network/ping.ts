/** `tapway ping`: names to rows for the ping element, its events to those of the protocol. */
import type { PingEvent } from '../control/protocol.js'
import type { Engine } from '../engine/engine.js'
import { NetworkError } from './operations.js'
import { addressOf } from './parse.js'
import type { Registry } from './registry.js'

export interface PingArguments {
  router?: string
  bridge?: string
  dev?: string
  address: string
  count?: number
  interval_ms: number
  size: number
  ttl?: number
}

/** Data of an echo request: an IPv4 packet has 65535 bytes. */
const MAX_SIZE = 65507
