/**
 * Addresses of interfaces and the routes that come with them (net/ipv4/fib_frontend.c fib_add_ifaddr, fib_del_ifaddr): a local
 * route to the address, a connected route to its network, a broadcast route. Interfaces going down and up.
 */
import type { Engine } from '../engine/engine.js'
import type { InterfaceAddress } from '../table/interfaces.js'
import { PROTOCOL_KERNEL, ROUTE_BROADCAST, ROUTE_LOCAL, ROUTE_UNICAST, type RouteType } from '../table/routes.js'
import * as ip4 from '../wire/ip4.js'
import { NetworkError, type Operation } from './operations.js'
import { addressOf, hostAddressOf, interfaceAddressOf } from './parse.js'
import { linkName, type AddressedEntry, type Registry } from './registry.js'

type AddressOperation = Extract<Operation, { op: 'addr.add' | 'addr.replace' | 'addr.del' }>

/** Local routes stay when an interface goes down; these go. */
const LINK_ROUTES = new Set<number>([ROUTE_UNICAST, ROUTE_BROADCAST])

export type Addresses = ReturnType<typeof createAddresses>

export const createAddresses = (engine: Engine, registry: Registry) => {
  const { interfaces, layer3 } = engine
  const { routing } = layer3

  const stackOf = (iface: number): number => interfaces.stack[iface]!

  /** The routes of an address: [type, prefix, length]. A secondary one adds none to the network. */
  const routesOf = (a: InterfaceAddress, primary: InterfaceAddress): [type: RouteType, prefix: number, length: number][] => {
    const list: [RouteType, number, number][] = [[ROUTE_LOCAL, a.address, 32]]
    if (a !== primary) return list
    const network = ip4.networkOf(a.peer ?? a.address, a.prefixLength)
    if (a.prefixLength < 32 || network !== a.address) list.push([ROUTE_UNICAST, network, a.prefixLength])
    if (a.prefixLength < 31) list.push([ROUTE_BROADCAST, ip4.broadcastOf(network, a.prefixLength), 32])
    return list
  }

  const addRoutes = (iface: number, a: InterfaceAddress, which: (type: number) => boolean): void => {
    const table = routing.of(stackOf(iface))
    const primary = interfaces.inNetworkOf(iface, a)[0]!
    for (const [type, prefix, length] of routesOf(a, primary)) {
      if (which(type)) {
        table.append({
          prefix, length, type, metric: 0, protocol: PROTOCOL_KERNEL, preferredSource: primary.address, owner: iface,
          hops: [{ via: 0, iface, weight: 1, onlink: false }]
        })
      }
    }
  }

  const removeRoutes = (iface: number, a: InterfaceAddress): void => {
    const table = routing.of(stackOf(iface))
    const primary = interfaces.inNetworkOf(iface, a)[0]!
    for (const [type, prefix, length] of routesOf(a, primary)) {
      table.remove({ prefix, length, type, protocol: PROTOCOL_KERNEL, preferredSource: primary.address, iface })
    }
  }

  const add = (entry: AddressedEntry, operation: AddressOperation): void => {
    const [address, prefixLength] = interfaceAddressOf(operation.prefix)
    hostAddressOf(address, operation.prefix)
    const peer = operation.peer === undefined ? undefined : addressOf(operation.peer.split('/')[0]!)
    const a: InterfaceAddress = peer === undefined ? { address, prefixLength } : { address, prefixLength, peer }
    const { iface } = entry
    if (!interfaces.addAddress(iface, a)) {
      if (operation.op === 'addr.replace') return
      throw new NetworkError(`${linkName(entry)} has ${operation.prefix} already`, 1)
    }
    addRoutes(iface, a, (type) => type === ROUTE_LOCAL || interfaces.up[iface] !== 0)
    if (interfaces.up[iface] !== 0 && interfaces.addresses[iface]!.length === 1) routing.of(stackOf(iface)).setInterfaceState(iface, true)
  }

  const remove = (entry: AddressedEntry, operation: AddressOperation): void => {
    const { iface } = entry
    const text = operation.prefix
    const [address, given] = interfaceAddressOf(text)
    // Without a prefix length the address alone says which one, as `ip addr del` takes it with a warning
    const listed = interfaces.addresses[iface]!.find((a) => a.address === address && (text.includes('/') ? a.prefixLength === given : true))
    if (listed === undefined) throw new NetworkError(`${linkName(entry)} has no address ${text}`, 1)
    const inNetwork = interfaces.inNetworkOf(iface, listed)
    // Without promote_secondaries the secondary ones go with the primary, and before it (__inet_del_ifa)
    for (const a of inNetwork[0] === listed ? inNetwork.reverse() : [listed]) removeOne(iface, a)
    if (interfaces.addresses[iface]!.length === 0) disable(iface)
  }

  /** IPv4 is over on a link: nothing goes by it any more, neighbours are forgotten (fib_disable_ip; RFC 1812 5.3.12). */
  const disable = (iface: number): void => {
    routing.of(stackOf(iface)).removeByInterface(iface, (type) => LINK_ROUTES.has(type))
    layer3.neighborOutput.flush(iface, false)
  }

  const removeOne = (iface: number, a: InterfaceAddress): void => {
    removeRoutes(iface, a)
    interfaces.removeAddress(iface, a.address, a.prefixLength)
    // Routes with this preferred source go with it, unless another interface has it, too (fib_del_ifaddr, fib_sync_down_addr)
    if (!routing.isLocal(stackOf(iface), a.address)) routing.of(stackOf(iface)).removeByPreferredSource(a.address)
  }

  return {
    apply: (operation: AddressOperation): void => {
      const entry = registry.addressed(operation.dev, operation.router)
      if (operation.op === 'addr.del') remove(entry, operation)
      else add(entry, operation)
    },
    /** The link came up: connected routes are back. */
    up: (iface: number): void => {
      interfaces.up[iface] = 1
      routing.of(stackOf(iface)).setInterfaceState(iface, true)
      for (const a of interfaces.addresses[iface]!) addRoutes(iface, a, (type) => LINK_ROUTES.has(type))
    },
    /** The link went down. */
    down: (iface: number): void => {
      interfaces.up[iface] = 0
      disable(iface)
    },
    /** The interface is being removed: everything of it goes. */
    clear: (iface: number): void => {
      routing.of(stackOf(iface)).removeByInterface(iface, () => true, true)
      layer3.neighborOutput.flush(iface, false)
    }
  }
}
