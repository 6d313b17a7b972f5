/**
 * How many ICMP errors a stack may send: a token bucket for each destination, one for all of them together, and the growing
 * distance between redirects to a source that ignores them (net/ipv4/icmp.c, inetpeer.c inet_peer_xrlim_allow, route.c
 * ip_rt_send_redirect). Names and defaults of the options are those of Documentation/networking/ip-sysctl.rst.
 *
 * Policy when full: a destination has eight places it can be in. If they are taken, it gets that of the destination not asked
 * about for the longest time, which starts anew when it comes back; the limit on all errors together holds meanwhile.
 */
import { DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED_CODE } from '../wire/icmp4.js'

/** Errors a destination that was quiet may get at once, as multiples of one. */
const BURST_FACTOR = 6
/** The bucket of all errors is filled no more often than this (HZ/50), and by no more than a second's worth. */
const GLOBAL_GRAIN_MS = 20
const GLOBAL_MAX_MS = 1000
/** A sent error costs 0, 1 or 2 of that bucket, so that nobody can count another's errors by it. */
const GLOBAL_COST_RANGE = 3

const REDIRECT_NUMBER = 9
const REDIRECT_LOAD_MS = 20
const REDIRECT_SILENCE_MS = REDIRECT_LOAD_MS << (REDIRECT_NUMBER + 1)

const WAYS = 8

export interface RateLimitOptions {
  /** 0 <= x < 1. */
  random: () => number
  /** Milliseconds between errors to one destination; 0 is no limit (icmp_ratelimit). */
  ratelimit?: number
  /** Bit `type` set: that type is limited (icmp_ratemask). */
  ratemask?: number
  /** Limited errors a second of one stack (icmp_msgs_per_sec), and how many at once (icmp_msgs_burst). */
  messagesPerSecond?: number
  messagesBurst?: number
  /** Destinations remembered, of all stacks; rounded up to a power of two. */
  capacity?: number
  /** How many stacks there can be. */
  stacks?: number
}

export type RateLimit = ReturnType<typeof createRateLimit>

export const createRateLimit = (options: RateLimitOptions) => {
  const { random } = options
  const ratelimit = options.ratelimit ?? 1000
  const ratemask = options.ratemask ?? 6168
  const messagesPerSecond = options.messagesPerSecond ?? 1000
  const messagesBurst = options.messagesBurst ?? 50
  const capacity = 1 << (32 - Math.clz32(Math.max(options.capacity ?? 4096, WAYS) - 1))
  const sets = capacity / WAYS
  const seed = Math.floor(random() * 0x7fffffff)
  const stacks = options.stacks ?? 512

  const credit = new Int32Array(stacks)
  const filled = new Float64Array(stacks).fill(-Infinity)

  const stackOf = new Int32Array(capacity)
  const address = new Int32Array(capacity)
  const asked = new Float64Array(capacity).fill(-Infinity) // last use; -Infinity: never
  const tokens = new Float64Array(capacity) // milliseconds
  const refilled = new Float64Array(capacity)
  const redirects = new Int32Array(capacity)
  const redirected = new Float64Array(capacity)
  const counters = { host: 0, global: 0, redirect: 0, replaced: 0 }

  /** The row of a destination, a new one where there is none. */
  const rowOf = (stack: number, destination: number, now: number): number => {
    let h = Math.imul(destination ^ seed, 0x9e3779b1) + Math.imul(stack, 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35)
    const first = ((h ^ (h >>> 13)) & (sets - 1)) * WAYS
    let victim = first
    for (let row = first; row < first + WAYS; row++) {
      if (address[row] === destination && stackOf[row] === stack && asked[row] !== -Infinity) {
        asked[row] = now
        return row
      }
      if (asked[row]! < asked[victim]!) victim = row
    }
    if (asked[victim] !== -Infinity) counters.replaced++
    address[victim] = destination
    stackOf[victim] = stack
    asked[victim] = now
    tokens[victim] = BURST_FACTOR * ratelimit
    refilled[victim] = now
    redirects[victim] = 0
    redirected[victim] = -Infinity
    return victim
  }

  const allowGlobal = (stack: number, now: number): boolean => {
    if (credit[stack]! > 0) return true
    const delta = Math.min(now - filled[stack]!, GLOBAL_MAX_MS)
    if (delta < GLOBAL_GRAIN_MS) return false
    const more = Math.floor((messagesPerSecond * delta) / 1000)
    if (more === 0) return false
    filled[stack] = now
    credit[stack] = Math.min(credit[stack]! + more, messagesBurst)
    return true
  }

  /** May an ICMP message of this type and code go to `destination`? If so, it counts as sent. `now` in milliseconds. */
  const allow = (stack: number, destination: number, type: number, code: number, now: number): boolean => {
    // Path MTU discovery is not held up (icmpv4_mask_allow)
    if (type === DESTINATION_UNREACHABLE && code === FRAGMENTATION_NEEDED_CODE) return true
    if (((1 << type) & ratemask) === 0) return true
    if (!allowGlobal(stack, now)) {
      counters.global++
      return false
    }
    const row = rowOf(stack, destination, now)
    tokens[row] = Math.min(tokens[row]! + now - refilled[row]!, BURST_FACTOR * ratelimit)
    refilled[row] = now
    if (tokens[row]! < ratelimit) {
      counters.host++
      return false
    }
    tokens[row]! -= ratelimit
    credit[stack]! -= Math.floor(random() * GLOBAL_COST_RANGE)
    return true
  }

  /** May a redirect go to `source`? It counts as sent. After nine that were ignored, only 20 seconds of silence help. */
  const allowRedirect = (stack: number, source: number, now: number): boolean => {
    const row = rowOf(stack, source, now)
    if (now > redirected[row]! + REDIRECT_SILENCE_MS) redirects[row] = 0
    const sent = redirects[row]!
    if (sent >= REDIRECT_NUMBER) {
      redirected[row] = now
      counters.redirect++
      return false
    }
    if (sent !== 0 && now <= redirected[row]! + (REDIRECT_LOAD_MS << sent)) {
      counters.redirect++
      return false
    }
    redirected[row] = now
    redirects[row] = sent + 1
    return true
  }

  return {
    allow, allowRedirect,
    /** What was held back: by the limit of one destination, by that of all, redirects; and destinations forgotten for want of room. */
    counters
  }
}
