/**
 * A network: an engine with names. `apply` carries out one operation, whole or not at all; `show` gives the rows of a query one by
 * one, so that the caller can spread a long answer over many turns. Runs on the engine's thread, between two turns.
 */
import type { Packets, PoolOptions } from '../core/packets.js'
import {
  B_COPIED, B_DELIVERED, B_DROPPED, B_MERGED, B_ORIGINATED, B_PIECES, B_RECEIVED, B_TRANSMITTED
} from '../core/packets.js'
import { P_CAPTURE, P_CARRIER, P_FLOOD, P_LEARNING, P_UP, PORT_INTERFACE, PORT_IO } from '../core/ports.js'
import type { TapRingProducer } from '../core/tap-ring.js'
import { createEngine } from '../engine/engine.js'
import { PORT_FILE, PORT_PACKET, type Io, type Rings } from '../port/rings.js'
import { REASONS } from '../reason.js'
import { STACK_BRIDGE, STACK_ROUTER } from '../table/interfaces.js'
import { createAddresses } from './addresses.js'
import { createFdbCommands } from './fdb.js'
import { createLinkRows } from './links.js'
import { createNeighborCommands } from './neighbors.js'
import { NetworkError, type ApplyResult, type Operation, type Query, type StatsResult } from './operations.js'
import { stationMacOf } from './parse.js'
import { createPingCommands } from './ping.js'
import { createRegistry, linkName, type BridgeEntry, type InterfaceEntry, type LinkEntry, type PortEntry } from './registry.js'
import { createRouteCommands } from './routes.js'

/** Highest MTU of a TAP: 65535 without the Ethernet header (tun_net_initialize() of drivers/net/tun.c). */
const TAP_MAX_MTU = 65521

export interface NetworkOptions {
  instance: string
  seed: number
  poll: 'sleep' | 'adaptive' | 'busy'
  pool?: PoolOptions
  makeIo: (packets: Packets, rings: Rings) => Io
  /** Has a descriptor watched (`kind` is PORT_FILE and so on of port/rings.ts) under a tag: a port's row, or SOCKET_TAGS and a socket's row. */
  attachPort: (tag: number, handle: number, kind: number, vnetHeader: number) => void
  detachPort: (tag: number) => void
  onDeviceLost?: (name: string, errno: number) => void
  /** Clocks of their own, for tests. */
  readClock?: () => number
  wallClock?: () => number
}

type OperationOf<Name extends Operation['op']> = Extract<Operation, { op: Name }>

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

export type Network = ReturnType<typeof createNetwork>

export const createNetwork = (options: NetworkOptions) => {
  const registry = createRegistry()
  const engine = createEngine({
    makeIo: options.makeIo,
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    readClock: options.readClock ?? (() => performance.now()),
    wallClock: options.wallClock ?? (() => performance.timeOrigin + performance.now()),
    random: createRandom(options.seed),
    spinUs: SPIN_US[options.poll],
    busy: options.poll === 'busy',
    onDeviceLost: (row, errno) => {
      ports.state[row] = ports.state[row]! & ~P_CARRIER
      options.onDeviceLost?.(registry.ports.find((p) => p.port === row)?.name ?? String(row), errno)
    }
  })
  const { ports, interfaces, fdb, bridge: bridgeElement, layer3, packets } = engine
  const addresses = createAddresses(engine, registry)
  const routes = createRouteCommands(engine, registry)
  const neighbors = createNeighborCommands(engine, registry)
  const fdbCommands = createFdbCommands(engine, registry)
  const rows = createLinkRows(engine, registry)
  const ping = createPingCommands(engine, registry)
  let lastBridge = 0

  const newPort = (kind: number, b: { row: number; filter: number }, mtu: number): number => {
    const p = ports.add(kind)
    if (p < 0) throw new NetworkError(`there can be no more than ${ports.capacity} ports`, 1)
    ports.bridge[p] = b.row
    ports.filter[p] = b.filter
    ports.mtu[p] = mtu
    ports.state[p] = ports.state[p]! | P_UP | P_CARRIER
    return p
  }

  const plug = (b: BridgeEntry, port: number): void => {
    b.members.push(port)
    bridgeElement.setMembers(b.row, b.members)
  }

  const unplug = (b: BridgeEntry, port: number): void => {
    b.members = b.members.filter((p) => p !== port)
    bridgeElement.setMembers(b.row, b.members)
    fdb.removeByPort(port, true)
    ports.remove(port)
  }

  /** A layer-3 interface behind a new port of a bridge. */
  const newInterface = (b: { row: number; filter: number }, stack: number, mac: readonly [number, number], mtu: number): { port: number; iface: number } => {
    const port = newPort(PORT_INTERFACE, b, mtu)
    // Its own frames are not learned from: its address is in the table, as the kernel has a bridge's own.
    ports.state[port] = ports.state[port]! & ~P_LEARNING
    const iface = interfaces.add(stack, port, mac[0], mac[1], mtu)
    if (iface < 0) {
      ports.remove(port)
      throw new NetworkError(`there can be no more than ${interfaces.capacity} interfaces`, 1)
    }
    ports.layer3[port] = iface
    fdbCommands.addLocal(b, mac, port)
    return { port, iface }
  }

  const newStack = (kind: number): number => {
    const stack = interfaces.addStack(kind)
    if (stack < 0) throw new NetworkError(`there can be no more than ${interfaces.stackCapacity} routers and bridges`, 1)
    layer3.routing.add(stack)
    return stack
  }

  const addBridge = (o: OperationOf<'bridge.add'>): void => {
    registry.refuseTaken(o.name)
    const mac = stationMacOf(o.mac)
    const place = { row: lastBridge, filter: lastBridge }
    fdb.setAgeing(place.row, o.ageing_time * 1000)
    fdb.setLimit(place.row, o.fdb_max_learned)
    const stack = newStack(STACK_BRIDGE)
    const { port, iface } = newInterface(place, stack, mac, o.mtu)
    lastBridge++
    const entry: BridgeEntry = {
      kind: 'bridge', name: o.name, ifindex: registry.nextIndex(), ...place, stack, iface, port, mac: o.mac, mtu: o.mtu,
      ageingTime: o.ageing_time, fdbMaxLearned: o.fdb_max_learned, members: []
    }
    registry.bridges.push(entry)
    plug(entry, port)
  }

  const addRouter = (o: OperationOf<'router.add'>): void => {
    registry.refuseTaken(o.name)
    const stack = newStack(STACK_ROUTER)
    interfaces.forwarding[stack] = o.forwarding ? 1 : 0
    registry.routers.push({ kind: 'router', name: o.name, stack, interfaces: [] })
  }

  const addInterface = (o: OperationOf<'interface.add'>): void => {
    const router = registry.router(o.router)
    const b = registry.bridge(o.bridge)
    if (router.interfaces.some((i) => i.name === o.name)) throw new NetworkError(`router "${o.router}" has an interface "${o.name}" already`, 1)
    const { port, iface } = newInterface(b, router.stack, stationMacOf(o.mac), o.mtu)
    interfaces.interfaceForwarding[iface] = o.forwarding ? 1 : 0
    interfaces.proxyArp[iface] = o.proxy_arp ? 1 : 0
    interfaces.rpFilter[iface] = o.rp_filter
    interfaces.sendRedirects[iface] = o.send_redirects ? 1 : 0
    interfaces.broadcastForwarding[iface] = o.bc_forwarding ? 1 : 0
    router.interfaces.push({ kind: 'interface', name: o.name, router, bridge: b, ifindex: registry.nextIndex(), iface, port, mac: o.mac })
    plug(b, port)
  }

  const removeInterface = (i: InterfaceEntry): void => {
    addresses.clear(i.iface)
    i.router.interfaces.splice(i.router.interfaces.indexOf(i), 1)
    unplug(i.bridge, i.port)
    interfaces.remove(i.iface)
  }

  const addPort = (o: OperationOf<'port.add'>): void => {
    registry.refuseTaken(o.name)
    const b = registry.bridge(o.bridge)
    const port = newPort(PORT_IO, b, o.mtu)
    ports.handle[port] = o.handle
    ports.vnetHeader[port] = o.vnet_header
    ports.offloads[port] = o.offloads
    options.attachPort(port, o.handle, o.io === 'packet' ? PORT_PACKET : PORT_FILE, o.vnet_header)
    registry.ports.push({
      kind: 'port', name: o.name, bridge: b, ifindex: registry.nextIndex(), port, handle: o.handle, mac: o.mac, netns: o.netns, ifname: o.ifname
    })
    plug(b, port)
  }

  const removePort = (entry: PortEntry): void => {
    options.detachPort(entry.port)
    registry.ports.splice(registry.ports.indexOf(entry), 1)
    unplug(entry.bridge, entry.port)
  }

  const removeBridge = (b: BridgeEntry): void => {
    if (b.members.length > 1) throw new NetworkError(`bridge "${b.name}" has ports: remove them first`, 1)
    addresses.clear(b.iface)
    unplug(b, b.port)
    fdb.removeBridge(b.row)
    interfaces.remove(b.iface)
    layer3.removeStack(b.stack)
    registry.bridges.splice(registry.bridges.indexOf(b), 1)
  }

  const removeRouter = (o: OperationOf<'router.del'>): void => {
    const router = registry.router(o.name)
    for (const i of [...router.interfaces]) removeInterface(i)
    layer3.removeStack(router.stack)
    registry.routers.splice(registry.routers.indexOf(router), 1)
  }

  const setLink = (o: OperationOf<'link.set'>): ApplyResult => {
    if (o.forwarding !== undefined && o.router === undefined) {
      const router = registry.routers.find((r) => r.name === o.dev)
      if (router !== undefined) {
        if (o.up !== undefined || o.mtu !== undefined || o.address !== undefined || o.learning !== undefined || o.flood !== undefined) {
          throw new NetworkError(`"${o.dev}" is a router: only forwarding can be set`, 2)
        }
        interfaces.forwarding[router.stack] = o.forwarding ? 1 : 0
        return {}
      }
    }
    const e = registry.link(o.dev, o.router)
    // All is checked before anything is changed
    if (o.forwarding !== undefined && e.kind !== 'interface') throw new NetworkError(`"${o.dev}" does not forward: only routers and their interfaces do`, 2)
    if (o.mtu !== undefined && (!Number.isInteger(o.mtu) || o.mtu < 68 || o.mtu > 65535)) throw new NetworkError('an MTU is 68 to 65535', 2)
    if (o.mtu !== undefined && o.mtu > TAP_MAX_MTU && e.kind === 'port') {
      throw new NetworkError(`the MTU of "${o.dev}" is ${TAP_MAX_MTU} at most: its host's device takes no more`, 2)
    }
    if (o.address !== undefined && e.kind === 'port') throw new NetworkError(`the address of "${o.dev}" is its host's: set it there`, 2)
    if ((o.learning !== undefined || o.flood !== undefined) && e.kind === 'bridge') throw new NetworkError('learning and flood are options of a port', 2)
    const mac = o.address === undefined ? undefined : stationMacOf(o.address)
    if (o.forwarding !== undefined && e.kind === 'interface') interfaces.interfaceForwarding[e.iface] = o.forwarding ? 1 : 0
    if (o.mtu !== undefined) setMtu(e, o.mtu)
    if (mac !== undefined && e.kind !== 'port') setMac(e, mac, o.address!)
    if (o.learning !== undefined) setFlag(e.port, P_LEARNING, o.learning)
    if (o.flood !== undefined) setFlag(e.port, P_FLOOD, o.flood)
    if (o.up !== undefined) setUp(e, o.up)
    if (e.kind !== 'port' || (o.up === undefined && o.mtu === undefined)) return {}
    return {
      device: {
        handle: e.handle, netns: e.netns, ifname: e.ifname,
        ...(o.up === undefined ? {} : { up: o.up }), ...(o.mtu === undefined ? {} : { mtu: o.mtu })
      }
    }
  }

  const setFlag = (port: number, flag: number, on: boolean): void => {
    ports.state[port] = on ? ports.state[port]! | flag : ports.state[port]! & ~flag
  }

  const setMtu = (e: LinkEntry, mtu: number): void => {
    ports.mtu[e.port] = mtu
    if (e.kind === 'bridge') e.mtu = mtu
    if (e.kind !== 'port') interfaces.mtu[e.iface] = mtu
  }

  const setMac = (e: BridgeEntry | InterfaceEntry, mac: readonly [number, number], text: string): void => {
    const b = e.kind === 'bridge' ? e : e.bridge
    fdb.removeByPort(e.port, true)
    interfaces.macHi[e.iface] = mac[0]
    interfaces.macLo[e.iface] = mac[1]
    e.mac = text
    fdbCommands.addLocal(b, mac, e.port)
    layer3.neighborOutput.flush(e.iface, true)
  }

  const setUp = (e: LinkEntry, up: boolean): void => {
    if (((ports.state[e.port]! & P_UP) !== 0) === up) return
    setFlag(e.port, P_UP, up)
    if (e.kind === 'port') {
      if (!up) fdb.removeByPort(e.port)
    } else if (up) addresses.up(e.iface)
    else addresses.down(e.iface)
  }

  const apply = (o: Operation): ApplyResult => {
    // Also when it fails half-way: what was remembered of routes is looked up again
    layer3.routing.changed()
    if (o.op === 'link.set') return setLink(o)
    change(o)
    return {}
  }

  const change = (o: Exclude<Operation, { op: 'link.set' }>): void => {
    switch (o.op) {
      case 'bridge.add': return addBridge(o)
      case 'bridge.del': return removeBridge(registry.bridge(o.name))
      case 'router.add': return addRouter(o)
      case 'router.del': return removeRouter(o)
      case 'interface.add': return addInterface(o)
      case 'interface.del': return removeInterface(registry.link(o.name, o.router) as InterfaceEntry)
      case 'port.add': return addPort(o)
      case 'port.del': {
        const entry = registry.ports.find((p) => p.name === o.name)
        if (entry === undefined) throw registry.unknown('port', o.name, registry.ports.map((p) => p.name))
        return removePort(entry)
      }
      case 'addr.add': case 'addr.replace': case 'addr.del': return addresses.apply(o)
      case 'route.add': case 'route.replace': case 'route.append': case 'route.del': return routes.apply(o)
      case 'neigh.add': case 'neigh.replace': case 'neigh.change': case 'neigh.del': case 'neigh.flush': return neighbors.apply(o)
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
      }
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
      for (let p = 0; p < ports.count(); p++) setFlag(p, P_CAPTURE, watched.includes(p))
      engine.capture(watched.length === 0 ? undefined : ring, snaplen)
    }
  }
}
