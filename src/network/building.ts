/** What bridges and routers are made of: their rows, interfaces and ports come and go here. */
import { P_CARRIER, P_LEARNING, P_UP, PORT_INTERFACE, PORT_IO } from '../core/ports.js'
import type { Engine } from '../engine/engine.js'
import { PORT_FILE, PORT_PACKET } from '../port/rings.js'
import { STACK_BRIDGE, STACK_ROUTER } from '../table/interfaces.js'
import type { Addresses } from './addresses.js'
import type { FdbCommands } from './fdb.js'
import { NetworkError, type OperationOf } from './operations.js'
import { stationMacOf } from './parse.js'
import type { BridgeEntry, InterfaceEntry, PortEntry, Registry } from './registry.js'

/** Has descriptors watched, and ends it (NetworkOptions). */
export interface Attachment {
  attachPort: (tag: number, handle: number, kind: number, vnetHeader: number) => void
  detachPort: (tag: number) => void
}

export type Building = ReturnType<typeof createBuilding>

export const createBuilding = (engine: Engine, registry: Registry, addresses: Addresses, fdbCommands: FdbCommands, options: Attachment) => {
  const { ports, interfaces, fdb, bridge: bridgeElement, layer3 } = engine
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
    if (o.reads !== false) options.attachPort(port, o.handle, o.io === 'packet' ? PORT_PACKET : PORT_FILE, o.vnet_header)
    registry.ports.push({
      kind: 'port', name: o.name, bridge: b, ifindex: registry.nextIndex(), port, handle: o.handle, mac: o.mac, netns: o.netns, ifname: o.ifname,
      io: o.io ?? 'tap'
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

  return {
    newPort, plug, unplug, addBridge, addRouter, addInterface, removeInterface, addPort, removeBridge, removeRouter,
    removePort: (name: string): void => {
      const entry = registry.ports.find((p) => p.name === name)
      if (entry === undefined) throw registry.unknown('port', name, registry.ports.map((p) => p.name))
      removePort(entry)
    }
  }
}
