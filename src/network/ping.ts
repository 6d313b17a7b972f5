/** `tapway ping`: names to rows for the ping element, its events to those of the control protocol. */
import { MAX_PING_SIZE, PING_BUSY, PING_NO_ROUTE, type PingEvent } from '../element/ping.js'
import type { Engine } from '../engine/engine.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ip4 from '../wire/ip4.js'
import { NetworkError } from './operations.js'
import { addressOf } from './parse.js'
import type { Registry, StackEntry } from './registry.js'

export interface PingArguments {
  router?: string
  bridge?: string
  /** Source by interface name, or an own address as text. */
  dev?: string
  address: string
  count?: number
  interval_ms: number
  size: number
  ttl?: number
}

/** What a client is told, addresses as text. */
export type PingReport =
  | { event: 'reply'; from: string; seq: number; ttl: number; bytes: number; time_ms: number; duplicate?: boolean }
  | { event: 'error'; from: string; seq: number; type: number; code: number; text: string }
  | { event: 'done'; transmitted: number; received: number; end: true }

const UNREACHABLE: Readonly<Record<number, string>> = {
  [icmp4.NETWORK_UNREACHABLE]: 'Destination Net Unreachable',
  [icmp4.HOST_UNREACHABLE]: 'Destination Host Unreachable',
  [icmp4.PROTOCOL_UNREACHABLE_CODE]: 'Destination Protocol Unreachable',
  [icmp4.PORT_UNREACHABLE_CODE]: 'Destination Port Unreachable',
  [icmp4.SOURCE_ROUTE_FAILED]: 'Source Route Failed',
  [icmp4.ADMIN_PROHIBITED]: 'Packet filtered'
}

/** The words of ping(8) for an ICMP error. */
const describe = (type: number, code: number, rest: number): string => {
  if (type === icmp4.DESTINATION_UNREACHABLE) {
    if (code === icmp4.FRAGMENTATION_NEEDED_CODE) return `Frag needed and DF set (mtu = ${rest & 0xffff})`
    return UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`
  }
  if (type === icmp4.TIME_EXCEEDED) return code === icmp4.REASSEMBLY_TIME ? 'Frag reassembly time exceeded' : 'Time to live exceeded'
  if (type === icmp4.REDIRECT) return `Redirect Host(New nexthop: ${ip4.formatIp4(rest)})`
  if (type === icmp4.PARAMETER_PROBLEM) return `Parameter problem: pointer = ${rest >>> 24}`
  return `Bad ICMP type: ${type}`
}

export const createPingCommands = (engine: Engine, registry: Registry) => {
  const { layer3, interfaces } = engine
  const { ping, routing } = layer3
  const running = new Set<number>()

  const ownerOf = (a: PingArguments): StackEntry => {
    if (a.bridge !== undefined) return registry.bridge(a.bridge)
    if (a.router !== undefined) return registry.router(a.router)
    if (a.dev !== undefined && ip4.parseIp4(a.dev) === undefined) {
      const e = registry.addressed(a.dev)
      return e.kind === 'bridge' ? e : e.router
    }
    if (registry.routers.length === 1) return registry.routers[0]!
    if (registry.routers.length === 0 && registry.bridges.length === 1) return registry.bridges[0]!
    const choices = [...registry.routers.map((r) => `router ${r.name}`), ...registry.bridges.map((b) => `bridge ${b.name}`)]
    throw new NetworkError(choices.length === 0 ? 'there is nothing to ping from' : `ping from where? say ${choices.join(' or ')}`, 2)
  }

  const sourceOf = (owner: StackEntry, dev: string | undefined): number | undefined => {
    if (dev === undefined) return undefined
    const address = ip4.parseIp4(dev)
    if (address === undefined) {
      const primary = interfaces.primary[registry.addressed(dev, owner.name).iface]!
      if (primary === 0) throw new NetworkError(`${dev} has no address to ping from`, 1)
      return primary
    }
    if (!routing.isLocal(owner.stack, address)) throw new NetworkError(`${dev} is no address of ${owner.name}`, 2)
    return address
  }

  const report = (e: PingEvent): PingReport | undefined => {
    switch (e.kind) {
      case 'reply': return {
        event: 'reply', from: ip4.formatIp4(e.from), seq: e.sequence, ttl: e.ttl, bytes: e.bytes, time_ms: e.timeMs,
        ...(e.duplicate ? { duplicate: true } : {})
      }
      case 'error': return {
        event: 'error', from: ip4.formatIp4(e.from), seq: e.sequence, type: e.type, code: e.code, text: describe(e.type, e.code, e.rest)
      }
      case 'done': return { event: 'done', transmitted: e.transmitted, received: e.received, end: true }
      case 'timeout': return undefined
    }
  }

  return {
    start: (a: PingArguments): { session: number; source: string; destination: string } => {
      const owner = ownerOf(a)
      const destination = addressOf(a.address)
      if (ip4.isMulticast(destination) || destination === ip4.LIMITED_BROADCAST) throw new NetworkError(`${a.address}: broadcast and multicast are not pinged`, 2)
      if (!Number.isInteger(a.size) || a.size < 0 || a.size > MAX_PING_SIZE) throw new NetworkError(`a size is 0 to ${MAX_PING_SIZE}`, 2)
      if (a.ttl !== undefined && !(Number.isInteger(a.ttl) && a.ttl >= 1 && a.ttl <= 255)) throw new NetworkError('a TTL is 1 to 255', 2)
      if (!(a.interval_ms >= 2)) throw new NetworkError('an interval is at least 0.002 seconds', 2)
      if (a.count !== undefined && !(Number.isInteger(a.count) && a.count > 0)) throw new NetworkError('a count is a whole number above 0', 2)
      const source = sourceOf(owner, a.dev)
      const session = ping.start({
        stack: owner.stack, destination, size: a.size, intervalMs: a.interval_ms,
        ...(source === undefined ? {} : { source }), ...(a.ttl === undefined ? {} : { ttl: a.ttl }), ...(a.count === undefined ? {} : { count: a.count })
      })
      if (session === PING_NO_ROUTE) throw new NetworkError('connect: Network is unreachable', 1)
      if (session === PING_BUSY) throw new NetworkError('too many pings run already', 1)
      running.add(session)
      engine.wake()
      return { session, source: ip4.formatIp4(ping.sourceOf(session)), destination: a.address }
    },
    stop: (session: number): { transmitted: number; received: number } => {
      running.delete(session)
      return ping.stop(session)
    },
    hasEvents: (): boolean => running.size > 0 && ping.hasEvents(),
    /** What happened since the last call, by session. A session that is done is forgotten. */
    drain: (): { session: number; events: PingReport[]; done: boolean }[] => {
      const batches: { session: number; events: PingReport[]; done: boolean }[] = []
      for (const session of running) {
        const events = ping.drain(session)
        if (events.length === 0) continue
        const done = events.some((e) => e.kind === 'done')
        batches.push({ session, events: events.map(report).filter((r) => r !== undefined), done })
        if (done) {
          running.delete(session)
          ping.stop(session)
        }
      }
      return batches
    }
  }
}
