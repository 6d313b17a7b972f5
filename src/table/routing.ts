/** The routing tables of all stacks, and the questions elements ask of them (net/ipv4/fib_frontend.c, devinet.c). */
import * as ip4 from '../wire/ip4.js'
import type { Interfaces } from './interfaces.js'
import { createRoutes, ROUTE_BROADCAST, ROUTE_LOCAL, ROUTE_UNICAST, type Routes } from './routes.js'

export type Routing = ReturnType<typeof createRouting>

/** `flatFrom`: when a table becomes flat (fib.ts). */
export const createRouting = (interfaces: Interfaces, seed: number, flatFrom?: number) => {
  const tables: Routes[] = []

  const of = (stack: number): Routes => tables[stack]!

  /**
   * The address of `iface` to speak to `neighbor` with: one whose network it is in, else the first; of another interface of the
   * stack where it has none (inet_select_addr). 0 when the stack has no address.
   */
  const addressOn = (iface: number, neighbor: number): number => {
    const list = interfaces.addresses[iface]!
    for (const a of list) if (ip4.inPrefix(neighbor, a.peer ?? a.address, a.prefixLength)) return a.address
    if (list.length > 0) return list[0]!.address
    for (let i = 0; i < interfaces.capacity; i++) {
      if (interfaces.used[i] !== 0 && interfaces.stack[i] === interfaces.stack[iface] && interfaces.primary[i] !== 0) return interfaces.primary[i]!
    }
    return 0
  }

  return {
    of,
    /** Gives a new stack its empty table. */
    add: (stack: number): Routes => (tables[stack] = createRoutes({ flatFrom })),
    remove: (stack: number): void => {
      delete tables[stack]
    },
    addressOn,
    /** Flow hash for ECMP over layer-3 addresses (fib_multipath_hash_policy 0), 31 bits. */
    hash: (source: number, destination: number): number => {
      let h = Math.imul(source ^ seed, 0x9e3779b1) ^ Math.imul(destination, 0x85ebca6b)
      h ^= h >>> 15
      h = Math.imul(h, 0xc2b2ae35)
      return (h ^ (h >>> 13)) & 0x7fffffff
    },
    isLocal: (stack: number, address: number): boolean => {
      const table = of(stack)
      const info = table.lookup(address)
      return info !== 0 && table.typeOf(info) === ROUTE_LOCAL
    },
    /** A broadcast address of a network on any interface of the stack. */
    isBroadcast: (stack: number, _iface: number, address: number): boolean => {
      const table = of(stack)
      const info = table.lookup(address)
      return info !== 0 && table.typeOf(info) === ROUTE_BROADCAST
    },
    /** The source address a packet of the stack's own gets for a destination: the route's preferred one, else one of the link's. 0 when there is no route. */
    sourceFor: (stack: number, destination: number): number => {
      const table = of(stack)
      const info = table.lookup(destination)
      if (info === 0) return 0
      const type = table.typeOf(info)
      if (type === ROUTE_LOCAL) return destination
      if (type !== ROUTE_UNICAST && type !== ROUTE_BROADCAST) return 0
      const preferred = table.preferredSource(info)
      if (preferred !== 0) return preferred
      const hop = table.select(info, 0)
      return addressOn(table.interfaceOf(hop), table.gatewayOf(hop, destination))
    },
    /** MTU of the link by which a packet of the stack's own leaves for a destination. */
    mtuFor: (stack: number, destination: number): number => {
      const table = of(stack)
      const info = table.lookup(destination)
      return info === 0 ? 0xffff : interfaces.mtu[table.interfaceOf(table.select(info, 0))]!
    },
    /** Does an interface with proxy_arp answer for `target`: forwarding is on and the way there is another interface (arp_fwd_proxy). */
    proxies: (stack: number, iface: number, target: number): boolean => {
      if (interfaces.forwarding[stack] === 0 || interfaces.interfaceForwarding[iface] === 0) return false
      const table = of(stack)
      const info = table.lookup(target)
      return info !== 0 && table.typeOf(info) === ROUTE_UNICAST && !table.leavesBy(info, iface)
    }
  }
}
