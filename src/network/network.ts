/**
 * A network: an engine with names. `apply` carries out one operation, whole or not at all; `show` gives the rows of a query one by
 * one, so that the caller can spread a long answer over many turns. Runs on the engine's thread, between two turns.
 */
import type { Packets, PoolOptions } from '../core/packets.js'
import {
  B_COPIED, B_DELIVERED, B_DROPPED, B_MERGED, B_ORIGINATED, B_PIECES, B_RECEIVED, B_TRANSMITTED
} from '../core/packets.js'
import { P_CAPTURE, P_CARRIER } from '../core/ports.js'
import type { Posts } from '../core/posts.js'
import type { TapRingProducer } from '../core/tap-ring.js'
import { createEngine, type Engine } from '../engine/engine.js'
import type { Io, Rings } from '../port/rings.js'
import type { Without } from '../optimisations.js'
import { REASONS } from '../reason.js'
import { createAddresses } from './addresses.js'
import { createBuilding, type Attachment } from './building.js'
import { createFdbCommands } from './fdb.js'
import { createLinkSet } from './link-set.js'
import { createLinkRows } from './links.js'
import { createNeighborCommands } from './neighbors.js'
import { NetworkError, type ApplyResult, type Operation, type Query, type StatsResult } from './operations.js'
import { createPingCommands } from './ping.js'
import { createPolicyCommands } from './policies.js'
import { createRegistry, linkName, type InterfaceEntry } from './registry.js'
import { createRouteCommands } from './routes.js'
import { createTunnelFdbCommands } from './tunnel-fdb.js'
import { createTunnelNotices, type OnNotice } from './tunnel-notices.js'
import { createVxlanRows } from './vxlan-rows.js'
import { createVxlans } from './vxlans.js'

/** `attachPort` has a descriptor watched under a tag: a port's row, or SOCKET_TAGS and a socket's row (kinds: PORT_FILE and so on of port/rings.ts). */
export interface NetworkOptions extends Attachment {
  instance: string
  seed: number
  poll: 'sleep' | 'adaptive' | 'busy'
  pool?: PoolOptions
  makeIo: (packets: Packets, rings: Rings) => Io
  onDeviceLost?: (name: string, errno: number) => void
  /** Something a user should know, for the log. */
  onNotice?: OnNotice
  /** Optimisations to be left out, for experiments and tests; none by default. */
  without?: Without
  /** Posts to other workers with the same network (engine/sharing.ts), and how one that sleeps is woken. */
  posts?: Posts
  wake?: (worker: number) => void
  /** Flows are spread over several paths by this; of several workers all have the same. One of its own when left out. */
  flowSeed?: number
  /** Clocks of their own, for tests. */
  readClock?: () => number
  wallClock?: () => number
}

/**
 * How long to poll before sleeping, in microseconds. Waking a processor that has gone idle takes tens of microseconds, several
 * times what a packet's way through the switch does, and a request's answer comes sooner than that. So even `sleep` looks around for
 * a moment; `adaptive` waits for answers that take their time. Both only while traffic is sparse (engine.ts).
 */
const SPIN_US = { sleep: 30, adaptive: 100, busy: 1_000_000 }

/** Random numbers from a seed (mulberry32): everything random in a network comes from here. */
const createRandom = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Operations after which what other workers have heard before may be about something else, or was just forgotten. */
export const RESTRUCTURING: ReadonlySet<string> = new Set<Operation['op']>([
  'bridge.add', 'bridge.del', 'router.add', 'router.del', 'interface.add', 'interface.del', 'port.add', 'port.del', 'vxlan.add', 'vxlan.del',
  'link.set', 'addr.del', 'fdb.flush', 'neigh.flush'
])

export type Network = ReturnType<typeof createNetwork>

export const createNetwork = (options: NetworkOptions) => {
  const { without = [] } = options
  const polls = !without.includes('polling')
  const registry = createRegistry()
  const engine: Engine = createEngine({
    makeIo: options.makeIo,
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.readClock === undefined ? {} : { readClock: options.readClock }),
    wallClock: options.wallClock ?? (() => performance.timeOrigin + performance.now()),
    random: createRandom(options.seed),
    spinUs: polls ? SPIN_US[options.poll] : 0,
    busy: polls && options.poll === 'busy',
    without,
    ...(options.posts === undefined ? {} : { posts: options.posts }),
    ...(options.flowSeed === undefined ? {} : { flowSeed: options.flowSeed }),
    ...(options.wake === undefined ? {} : { wake: options.wake }),
    onTunnelEvent: createTunnelNotices(() => engine, registry, (level, text) => options.onNotice?.(level, text)),
    onDeviceLost: (row, errno) => {
      ports.state[row] = ports.state[row]! & ~P_CARRIER
      options.onDeviceLost?.(registry.ports.find((p) => p.port === row)?.name ?? String(row), errno)
    }
  })
  const { ports, packets } = engine
  const addresses = createAddresses(engine, registry)
  const routes = createRouteCommands(engine, registry)
  const neighbors = createNeighborCommands(engine, registry)
  const collector = engine.remoteCollector
  const tunnelFdbCommands = createTunnelFdbCommands(engine, collector)
  const fdbCommands = createFdbCommands(engine, registry, tunnelFdbCommands)
  const rows = createLinkRows(engine, registry)
  const vxlanRows = createVxlanRows(engine, registry)
  const ping = createPingCommands(engine, registry)
  const policies = createPolicyCommands(engine, registry)
  const building = createBuilding(engine, registry, addresses, fdbCommands, options)
  const vxlans = createVxlans({ engine, registry, building, fdbCommands, tunnelFdbCommands, collector, options })
  const setLink = createLinkSet(engine, registry, addresses, fdbCommands, vxlans)

  const apply = (o: Operation): ApplyResult => {
    // Also when it fails half-way: what was remembered of routes is looked up again
    engine.fdb.touch()
    // What is queued names descriptors, ports and peers, whose rows may become another one's
    engine.flush()
    let result: ApplyResult = {}
    if (o.op === 'link.set') result = setLink(o)
    else change(o)
    if (RESTRUCTURING.has(o.op)) engine.sharing?.restructured()
    return result
  }

  const change = (o: Exclude<Operation, { op: 'link.set' }>): void => {
    switch (o.op) {
      case 'bridge.add': return building.addBridge(o)
      case 'bridge.del': return building.removeBridge(registry.bridge(o.name))
      case 'router.add': return building.addRouter(o)
      case 'router.del': return building.removeRouter(o)
      case 'interface.add': return building.addInterface(o)
      case 'interface.del': return building.removeInterface(registry.link(o.name, o.router) as InterfaceEntry)
      case 'port.add': return building.addPort(o)
      case 'port.del':
        for (const entry of registry.ports) if (entry.name === o.name) policies.leave(entry)
        return building.removePort(o.name)
      case 'vxlan.add': return vxlans.add(o)
      case 'vxlan.del': return vxlans.remove(o.name)
      case 'vxlan.uplink': return vxlans.setUplink(o.name, o.on)
      case 'addr.add': case 'addr.replace': case 'addr.del': return addresses.apply(o)
      case 'route.add': case 'route.replace': case 'route.append': case 'route.del': return routes.apply(o)
      case 'neigh.add': case 'neigh.replace': case 'neigh.change': case 'neigh.del': case 'neigh.flush': return neighbors.apply(o)
      case 'app.add': case 'app.del': case 'app.member': case 'policy.add': case 'policy.del': return policies.apply(o)
      case 'fdb.add': case 'fdb.append': case 'fdb.replace': case 'fdb.del': case 'fdb.flush': return fdbCommands.apply(o)
      default: throw new NetworkError(`unknown operation ${JSON.stringify((o as { op: unknown }).op)}`, 2)
    }
  }

  const show = (q: Exclude<Query, { show: 'stats' }>): Iterable<object | undefined> => {
    switch (q.show) {
      case 'link': return rows.links(q)
      case 'addr': return rows.addresses(q)
      case 'route': case 'route-get': return routes.show(q)
      case 'neigh': return neighbors.show(q)
      case 'fdb': return fdbCommands.show(q)
      case 'vxlan': return vxlanRows(q)
      case 'app': case 'policy': case 'policy-check': case 'denied': case 'flow': return policies.show(q)
      default: throw new NetworkError(`unknown query ${JSON.stringify((q as { show: unknown }).show)}`, 2)
    }
  }

  const stats = (): StatsResult => {
    const b = packets.balance
    const held = engine.held()
    const created = b[B_RECEIVED]! + b[B_ORIGINATED]! + b[B_COPIED]! + b[B_PIECES]!
    const ended = b[B_TRANSMITTED]! + b[B_DELIVERED]! + b[B_DROPPED]! + b[B_MERGED]!
    return {
      ports: rows.ports(),
      drops: REASONS.slice(1).map(({ name, help }, i) => ({ reason: name, packets: packets.drops[i + 1]!, help })),
      balance: {
        received: b[B_RECEIVED]!, originated: b[B_ORIGINATED]!, copied: b[B_COPIED]!, pieces: b[B_PIECES]!,
        transmitted: b[B_TRANSMITTED]!, delivered: b[B_DELIVERED]!, dropped: b[B_DROPPED]!, merged: b[B_MERGED]!,
        held, ok: created - ended === held && packets.packetsInUse() === held
      },
      ...(engine.sharing === undefined ? {} : { posts: engine.sharing.counts() })
    }
  }

  return {
    engine, registry, apply, show, stats, ping,
    /** Port rows for names of ports; full name given back. */
    resolvePorts: (names: string[]): { id: number; name: string }[] =>
      names.map((name) => {
        const e = registry.link(name)
        return { id: e.port, name: linkName(e) }
      }),
    /** Watches these ports and no others; none ends it. */
    capture: (ring: TapRingProducer, watched: number[], snaplen: number): void => {
      for (let p = 0; p < ports.count(); p++) ports.state[p] = watched.includes(p) ? ports.state[p]! | P_CAPTURE : ports.state[p]! & ~P_CAPTURE
      engine.capture(watched.length === 0 ? undefined : ring, snaplen)
    }
  }
}
