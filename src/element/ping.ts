/**
 * Echo requests of a stack's own, and what comes back (`tapway ping`; habits and figures are those of iputils' ping). A session
 * sends on `tick`, matches answers by identifier, sequence number and address, and keeps a bounded list of events, which the
 * control side takes away. Times are the loop's: a turn's `now`.
 */
import type { Packets } from '../core/packets.js'
import { F_OWN } from '../core/packets.js'
import type { Interfaces } from '../table/interfaces.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import { isMulticast, LIMITED_BROADCAST } from '../wire/ip4.js'
import * as ipv4 from '../wire/ipv4.js'

const DEFAULT_SIZE = 56
const DEFAULT_TTL = 64
const MAX_SESSIONS = 64
/** Requests whose sending time is remembered; answers to older ones are ignored. */
const RING = 4096
/** Events kept for who does not fetch them; the newest are lost, and counted. */
const MAX_EVENTS = 4096
/** Data begins with room for a time, then byte i has the value i. */
const TIME_BYTES = 16
/** Most bytes of data a datagram has room for. */
export const MAX_PING_SIZE = 0xffff - ipv4.IPV4_HEADER - icmp4.ICMP_HEADER

/** `start` found no session free. */
export const PING_BUSY = -1
/** `start` found no source address: no route to the destination. */
export const PING_NO_ROUTE = -2

export interface PingOptions {
  stack: number
  /** int32. */
  destination: number
  /** Default: by route. */
  source?: number
  /** Bytes of data, default 56, at most 65507. */
  size?: number
  ttl?: number
  /** Default or 0: until stopped. */
  count?: number
  intervalMs?: number
  /** How long an answer may take (default 10 s); after the last request twice the longest round trip is enough, and an interval. */
  timeoutMs?: number
}

export type PingEvent =
  | { kind: 'reply'; from: number; sequence: number; ttl: number; timeMs: number; bytes: number; duplicate: boolean }
  | { kind: 'error'; from: number; sequence: number; type: number; code: number; rest: number }
  | { kind: 'timeout'; sequence: number }
  | { kind: 'done'; transmitted: number; received: number }

export interface PingParts {
  packets: Packets
  interfaces: Interfaces
  clock: { now: number }
  random: () => number
  /** Sends an IPv4 packet of `stack`, complete with header, behind 14 bytes for Ethernet. Owns it. */
  send: (p: number, stack: number) => void
  sourceFor: (stack: number, destination: number, iface: number) => number
  /**
   * Told of answers that are for no session here, where somebody else of the same stack may have one; false when nobody takes them. The
   * arguments are those of `heardReply` and `heardError`.
   */
  replyElsewhere?: (stack: number, identifier: number, sequence: number, from: number, ttl: number, bytes: number) => boolean
  errorElsewhere?: (
    stack: number, identifier: number, sequence: number, source: number, destination: number, from: number, type: number, code: number, rest: number
  ) => boolean
}

interface Session {
  readonly stack: number
  readonly destination: number
  readonly source: number
  readonly identifier: number
  readonly size: number
  readonly ttl: number
  readonly count: number
  readonly interval: number
  readonly timeout: number
  readonly sentAt: Float64Array
  readonly state: Uint8Array
  events: PingEvent[]
  lost: number
  transmitted: number
  received: number
  /** First request that has neither been answered nor given up. */
  settled: number
  longest: number
  nextAt: number
  done: boolean
}

const WAITING = 0
const ANSWERED = 1
const REFUSED = 2

export type Ping = ReturnType<typeof createPing>

export const createPing = (parts: PingParts) => {
  const { packets, interfaces, clock, random, send, sourceFor } = parts
  const replyElsewhere = parts.replyElsewhere ?? (() => false)
  const errorElsewhere = parts.errorElsewhere ?? (() => false)
  const { start: frameStart, length, l3, l4, flags, view, bytes } = packets
  const sessions: (Session | undefined)[] = []
  let running = 0
  let identifier = Math.floor(random() * 0x10000)
  // Odd: see local.ts
  let identification = (Math.floor(random() * 0x8000) << 1) | 1

  const push = (s: Session, event: PingEvent): void => {
    if (s.events.length < MAX_EVENTS) s.events.push(event)
    else s.lost++
  }

  /** Sends the next request; false when the pool is empty. */
  const request = (s: Session): boolean => {
    const message = icmp4.ICMP_HEADER + s.size
    const p = packets.originate(ETHERNET_HEADER + ipv4.IPV4_HEADER + message, -1)
    if (p < 0) return false
    const o = frameStart[p]! + ETHERNET_HEADER
    const at = o + ipv4.IPV4_HEADER
    l3[p] = o
    l4[p] = at
    const data = at + icmp4.ICMP_HEADER
    for (let i = 0; i < s.size; i++) bytes[data + i] = i
    if (s.size >= TIME_BYTES) {
      bytes.fill(0, data, data + TIME_BYTES)
      view.setFloat64(data, clock.now)
    }
    const n = ++s.transmitted
    s.sentAt[n % RING] = clock.now
    s.state[n % RING] = WAITING
    icmp4.writeIcmp4(view, at, message, icmp4.ECHO_REQUEST, 0, (s.identifier << 16) | (n & 0xffff))
    identification = (identification + 2) & 0xffff
    ipv4.writeIpv4(view, o, 0, ipv4.IPV4_HEADER + message, identification, 0, s.ttl, ipv4.PROTOCOL_ICMP, s.source, s.destination)
    send(p, s.stack)
    return true
  }

  const finish = (s: Session): void => {
    s.done = true
    running--
    push(s, { kind: 'done', transmitted: s.transmitted, received: s.received })
  }

  /** How long to wait for the answer to the last request. */
  const patience = (s: Session): number => (s.received > 0 ? Math.max(2 * s.longest, s.interval) : s.timeout)

  const advance = (s: Session, now: number): void => {
    if ((s.count === 0 || s.transmitted < s.count) && now >= s.nextAt && request(s)) {
      // No burst to catch up after a late turn
      s.nextAt = Math.max(s.nextAt + s.interval, now)
    }
    const last = s.count > 0 && s.transmitted >= s.count
    while (s.settled <= s.transmitted) {
      const i = s.settled % RING
      if (s.state[i] === WAITING && s.transmitted - s.settled < RING) {
        const over = s.sentAt[i]! + s.timeout <= now || (last && s.sentAt[s.transmitted % RING]! + patience(s) <= now)
        if (!over) return
        push(s, { kind: 'timeout', sequence: s.settled & 0xffff })
      }
      s.settled++
    }
    if (last) finish(s)
  }

  /** Number of the request a 16-bit sequence number means; 0 when it is none that is remembered. */
  const numberOf = (s: Session, sequence: number): number => {
    const n = s.transmitted - ((s.transmitted - sequence) & 0xffff)
    return n >= 1 && s.transmitted - n < RING ? n : 0
  }

  const find = (stack: number, id: number): Session | undefined => {
    for (let i = 0; i < sessions.length; i++) {
      const s = sessions[i]
      if (s !== undefined && s.identifier === id && s.stack === stack) return s
    }
    return undefined
  }

  const takesFromAnybody = (destination: number): boolean => destination === LIMITED_BROADCAST || isMulticast(destination)

  const isEchoRequest = (header: number, o: number): boolean =>
    ipv4.protocol(view, header) === ipv4.PROTOCOL_ICMP && icmp4.type(view, o) === icmp4.ECHO_REQUEST

  /** Notes an error about the echo request whose ICMP header is at `o`; false when it is none of ours. */
  const fail = (stack: number, header: number, o: number, from: number, type: number, code: number, rest: number): boolean =>
    isEchoRequest(header, o) && heardError(stack, icmp4.identifier(view, o), icmp4.sequence(view, o), ipv4.source(view, header),
      ipv4.destination(view, header), from, type, code, rest)

  /** An error about an echo request; false when it is none of ours. */
  const heardError = (
    stack: number, id: number, sequence: number, source: number, destination: number, from: number, type: number, code: number, rest: number
  ): boolean => {
    const s = find(stack, id)
    if (s === undefined || destination !== s.destination || source !== s.source) return false
    const n = numberOf(s, sequence)
    if (n === 0) return false
    // After a redirect the answer still comes
    if (type !== icmp4.REDIRECT && s.state[n % RING] === WAITING) s.state[n % RING] = REFUSED
    push(s, { kind: 'error', from, sequence: n & 0xffff, type, code, rest })
    return true
  }

  /** An echo reply to `stack`; false when it answers no request of ours. */
  const heardReply = (stack: number, id: number, sequence: number, from: number, ttl: number, size: number): boolean => {
    const s = find(stack, id)
    if (s === undefined) return false
    const n = numberOf(s, sequence)
    if (n === 0 || (from !== s.destination && !takesFromAnybody(s.destination))) return false
    const timeMs = clock.now - s.sentAt[n % RING]!
    const duplicate = s.state[n % RING] === ANSWERED
    if (!duplicate) {
      s.received++
      s.state[n % RING] = ANSWERED
      if (timeMs > s.longest) s.longest = timeMs
    }
    push(s, { kind: 'reply', from, sequence: n & 0xffff, ttl, timeMs, bytes: size, duplicate })
    return true
  }

  return {
    /** Begins a session and sends its first request. Its number (0 to 63), or PING_BUSY, PING_NO_ROUTE. Throws on a size out of range. */
    start: (options: PingOptions): number => {
      const size = options.size ?? DEFAULT_SIZE
      if (!Number.isInteger(size) || size < 0 || size > MAX_PING_SIZE) throw new RangeError(`ping: size must be 0 to ${MAX_PING_SIZE}`)
      let row = 0
      while (sessions[row] !== undefined) row++
      if (row === MAX_SESSIONS) return PING_BUSY
      const source = options.source ?? sourceFor(options.stack, options.destination, -1)
      if (source === 0) return PING_NO_ROUTE
      do identifier = (identifier + 1) & 0xffff
      while (sessions.some((s) => s !== undefined && s.identifier === identifier))
      const s: Session = {
        stack: options.stack, destination: options.destination, source, identifier, size,
        ttl: options.ttl ?? DEFAULT_TTL, count: options.count ?? 0, interval: options.intervalMs ?? 1000, timeout: options.timeoutMs ?? 10_000,
        sentAt: new Float64Array(RING), state: new Uint8Array(RING),
        events: [], lost: 0, transmitted: 0, received: 0, settled: 1, longest: 0, nextAt: clock.now, done: false
      }
      sessions[row] = s
      running++
      advance(s, clock.now)
      return row
    },

    /** Sends what is due and gives up what was not answered. `now` in milliseconds, equal to the clock's. */
    tick: (now: number): void => {
      for (let i = 0; i < sessions.length; i++) {
        const s = sessions[i]
        if (s !== undefined && !s.done) advance(s, now)
      }
    },

    /** An echo reply to the stack of `iface`, its checksum verified. True when it answers a request of ours. Does not own `p`. */
    onReply: (p: number, iface: number): boolean => {
      const o = l4[p]!
      const stack = interfaces.stack[iface]!
      const id = icmp4.identifier(view, o)
      const sequence = icmp4.sequence(view, o)
      const from = ipv4.source(view, l3[p]!)
      const ttl = ipv4.ttl(view, l3[p]!)
      const size = frameStart[p]! + length[p]! - o
      return heardReply(stack, id, sequence, from, ttl, size) || replyElsewhere(stack, id, sequence, from, ttl, size)
    },

    /** An ICMP error to the stack of `iface`, its checksum verified. True when it quotes a request of ours. Does not own `p`. */
    onError: (p: number, iface: number): boolean => {
      const inner = l4[p]! + icmp4.ICMP_HEADER
      const end = frameStart[p]! + length[p]!
      if (inner + ipv4.IPV4_HEADER > end || view.getUint8(inner) >>> 4 !== 4) return false
      const o = inner + ipv4.headerLength(view, inner)
      if (ipv4.headerLength(view, inner) < ipv4.IPV4_HEADER || o + icmp4.ICMP_HEADER > end || ipv4.fragmentOffset(view, inner) !== 0) return false
      if (!isEchoRequest(inner, o)) return false
      const stack = interfaces.stack[iface]!
      const id = icmp4.identifier(view, o)
      const sequence = icmp4.sequence(view, o)
      const source = ipv4.source(view, inner)
      const destination = ipv4.destination(view, inner)
      const from = ipv4.source(view, l3[p]!)
      const type = icmp4.type(view, l4[p]!)
      const code = icmp4.code(view, l4[p]!)
      const rest = view.getInt32(l4[p]! + icmp4.OFF_REST)
      return heardError(stack, id, sequence, source, destination, from, type, code, rest) ||
        errorElsewhere(stack, id, sequence, source, destination, from, type, code, rest)
    },

    /** What another worker of this data plane has got (createPing's `replyElsewhere`, `errorElsewhere`). */
    heardReply, heardError,

    /** A request of ours did not leave: nobody answers ARP, no route. `p` is that packet; its stack is told by the session. Does not own `p`. */
    onOwnError: (p: number, type: number, code: number, rest: number): void => {
      if ((flags[p]! & F_OWN) === 0 || ipv4.fragmentOffset(view, l3[p]!) !== 0) return
      for (let i = 0; i < sessions.length; i++) {
        const s = sessions[i]
        if (s !== undefined && fail(s.stack, l3[p]!, l4[p]!, s.source, type, code, rest)) return
      }
    },

    /** The source address of a session. */
    sourceOf: (session: number): number => sessions[session]?.source ?? 0,
    /** Events since the last call, oldest first. The last one of a session with a count is `done`; then it is to be stopped. */
    drain: (session: number): PingEvent[] => {
      const s = sessions[session]
      if (s === undefined) return []
      const { events } = s
      s.events = []
      return events
    },
    /** Events lost because nobody drained. */
    lost: (session: number): number => sessions[session]?.lost ?? 0,
    /** Is there something to drain? */
    hasEvents: (): boolean => sessions.some((s) => s !== undefined && s.events.length > 0),
    /** Ends a session and forgets it. */
    stop: (session: number): { transmitted: number; received: number } => {
      const s = sessions[session]
      if (s === undefined) return { transmitted: 0, received: 0 }
      if (!s.done) running--
      sessions[session] = undefined
      return { transmitted: s.transmitted, received: s.received }
    },
    /** Sessions that still send or wait. */
    active: (): number => running,
    /** When `tick` has something to send; Infinity when nothing. */
    nextTimer: (): number => {
      let at = Infinity
      for (const s of sessions) if (s !== undefined && !s.done) at = Math.min(at, s.nextAt)
      return at
    }
  }
}
