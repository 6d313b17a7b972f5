/** Operations on routes and their rows, as `ip route` takes and prints them (ip-route(8), net/ipv4/fib_semantics.c fib_check_nh). */
import type { Engine } from '../engine/engine.js'
import * as fib from '../table/routes.js'
import * as ip4 from '../wire/ip4.js'
import { NetworkError, type NextHopText, type Operation, type Query, type RouteRow } from './operations.js'
import { addressOf, formatPrefix, hostAddressOf, prefixOf } from './parse.js'
import type { AddressedEntry, Registry, StackEntry } from './registry.js'
import { sortRoutes } from './route-order.js'

type RouteOperation = Extract<Operation, { op: 'route.add' | 'route.replace' | 'route.append' | 'route.del' }>
type RouteQuery = Extract<Query, { show: 'route' | 'route-get' }>

const TYPES: Readonly<Record<string, fib.RouteType>> = {
  unicast: fib.ROUTE_UNICAST, local: fib.ROUTE_LOCAL, broadcast: fib.ROUTE_BROADCAST,
  blackhole: fib.ROUTE_BLACKHOLE, unreachable: fib.ROUTE_UNREACHABLE, prohibit: fib.ROUTE_PROHIBIT
}
const TYPE_NAMES = new Map(Object.entries(TYPES).map(([name, number]) => [number, name]))
/** /etc/iproute2/rt_protos */
const PROTOCOLS: Readonly<Record<string, number>> = { kernel: fib.PROTOCOL_KERNEL, boot: fib.PROTOCOL_BOOT, static: fib.PROTOCOL_STATIC }
const PROTOCOL_NAMES = new Map(Object.entries(PROTOCOLS).map(([name, number]) => [number, name]))
const MAX_METRIC = 0xffffffff
const MAX_WEIGHT = 256
/** Rows of the table looked at between two rows of a show. */
const SCAN_ROWS = 256

export const createRouteCommands = (engine: Engine, registry: Registry) => {
  const { layer3, interfaces } = engine
  const { routing } = layer3

  const all = (): AddressedEntry[] => [...registry.bridges, ...registry.routers.flatMap((r) => r.interfaces)]

  /** Whose table an operation means: the router named, that of the device, or the only router there is. */
  const ownerOf = (router: string | undefined, dev: string | undefined): StackEntry => {
    if (router !== undefined) return registry.stack(router)
    if (dev !== undefined) {
      const e = registry.addressed(dev)
      return e.kind === 'bridge' ? e : e.router
    }
    if (registry.routers.length === 1) return registry.routers[0]!
    if (registry.routers.length === 0 && registry.bridges.length === 1) return registry.bridges[0]!
    const names = [...registry.routers, ...registry.bridges].map((e) => e.name)
    throw new NetworkError(names.length === 0 ? 'there is no router' : `which router? say router NAME, one of ${names.join(', ')}`, 2)
  }

  const interfaceOf = (owner: StackEntry, dev: string): AddressedEntry => registry.addressed(dev, owner.name)

  /** A next hop as fib_check_nh takes it: a gateway must be on a link of ours unless `onlink` says that it is. */
  const hopOf = (owner: StackEntry, text: NextHopText): fib.NextHopSpec => {
    const weight = text.weight ?? 1
    if (!Number.isInteger(weight) || weight < 1 || weight > MAX_WEIGHT) throw new NetworkError(`a weight is 1 to ${MAX_WEIGHT}`, 2)
    const onlink = text.onlink === true
    if (text.via === undefined) {
      if (text.dev === undefined) throw new NetworkError('a route needs a gateway (via) or a device (dev)', 2)
      return { via: 0, iface: up(interfaceOf(owner, text.dev)).iface, weight, onlink: false }
    }
    const via = hostAddressOf(addressOf(text.via), text.via)
    if (onlink && text.dev === undefined) throw new NetworkError('onlink needs a device (dev)', 2)
    if (onlink) return { via, iface: up(interfaceOf(owner, text.dev!)).iface, weight, onlink }
    const wanted = text.dev === undefined ? undefined : up(interfaceOf(owner, text.dev))
    const table = routing.of(owner.stack)
    const info = table.lookup(via)
    if (info !== 0 && table.typeOf(info) === fib.ROUTE_UNICAST && table.isOnLink(info) && (wanted === undefined || table.leavesBy(info, wanted.iface))) {
      return { via, iface: wanted?.iface ?? table.interfaceOf(table.select(info, 0)), weight, onlink }
    }
    throw new NetworkError(`Nexthop has invalid gateway: ${text.via} is on no link of ${owner.name}${wanted === undefined ? '' : `'s ${text.dev}`}`, 1)
  }

  const up = (e: AddressedEntry): AddressedEntry => {
    if (interfaces.up[e.iface] === 0) throw new NetworkError(`Network is down: ${e.name}`, 1)
    return e
  }

  const metricOf = (metric: number | undefined): number => {
    if (metric === undefined) return 0
    if (!Number.isInteger(metric) || metric < 0 || metric > MAX_METRIC) throw new NetworkError(`a metric is 0 to ${MAX_METRIC}`, 2)
    return metric
  }

  const protocolOf = (word: string | undefined): number => {
    if (word === undefined) return fib.PROTOCOL_BOOT
    const number = PROTOCOLS[word] ?? (/^\d{1,3}$/.test(word) && Number(word) < 256 ? Number(word) : undefined)
    if (number === undefined) throw new NetworkError(`"${word}" is no routing protocol; there is ${Object.keys(PROTOCOLS).join(', ')} or a number`, 2)
    return number
  }

  const remove = (owner: StackEntry, o: RouteOperation): void => {
    const [prefix, length] = prefixOf(o.prefix)
    const hop = o.nexthops?.[0]
    const found = routing.of(owner.stack).remove({
      prefix, length,
      ...(o.type === undefined ? {} : { type: TYPES[o.type]! }),
      ...(o.metric === undefined ? {} : { metric: metricOf(o.metric) }),
      ...(o.protocol === undefined ? {} : { protocol: protocolOf(o.protocol) }),
      ...(hop?.via === undefined ? {} : { via: addressOf(hop.via) }),
      ...(hop?.dev === undefined ? {} : { iface: interfaceOf(owner, hop.dev).iface })
    })
    if (!found) throw new NetworkError(`no such route: ${o.prefix} (router ${owner.name})`, 1)
  }

  const apply = (o: RouteOperation): void => {
    const owner = ownerOf(o.router, o.nexthops?.find((h) => h.dev !== undefined)?.dev)
    if (o.op === 'route.del') return remove(owner, o)
    const [prefix, length] = prefixOf(o.prefix)
    const type = TYPES[o.type ?? 'unicast']
    if (type === undefined) throw new NetworkError(`"${o.type}" is no type of route; there is ${Object.keys(TYPES).join(', ')}`, 2)
    const hops = o.nexthops ?? []
    if (type === fib.ROUTE_UNICAST && hops.length === 0) throw new NetworkError('a route needs a gateway (via) or a device (dev)', 2)
    if ((type === fib.ROUTE_BLACKHOLE || type === fib.ROUTE_UNREACHABLE || type === fib.ROUTE_PROHIBIT) && hops.length > 0) {
      throw new NetworkError(`a ${o.type} route has no next hop`, 2)
    }
    const source = o.src === undefined ? 0 : addressOf(o.src)
    if (source !== 0 && !routing.isLocal(owner.stack, source)) throw new NetworkError(`${o.src} is no address of ${owner.name}`, 2)
    const code = routing.of(owner.stack)[o.op === 'route.replace' ? 'replace' : o.op === 'route.append' ? 'append' : 'add']({
      prefix, length, type, metric: metricOf(o.metric), protocol: protocolOf(o.protocol), preferredSource: source, owner: -1,
      hops: hops.map((h) => hopOf(owner, h))
    })
    if (code === fib.ROUTE_EXISTS) throw new NetworkError(`a route to ${o.prefix} with that metric exists already (router ${owner.name})`, 1)
    if (code === fib.ROUTE_FULL) throw new NetworkError('the routing table is full', 1)
  }

  const nameOf = (iface: number): string => all().find((e) => e.iface === iface)?.name ?? '?'

  const scopeOf = (type: number, hops: readonly fib.NextHopSpec[]): string | undefined => {
    if (type === fib.ROUTE_LOCAL) return 'host'
    if (type === fib.ROUTE_BROADCAST) return 'link'
    return type === fib.ROUTE_UNICAST && hops.length === 1 && hops[0]!.via === 0 ? 'link' : undefined
  }

  /** In the order of print_rt_flags (iproute2); a link that is down is both, as fib_sync_down_dev leaves it. */
  const flagsOf = (hop: fib.RouteRow['hops'][number]): string[] =>
    [...(hop.dead ? ['dead'] : []), ...(hop.onlink ? ['onlink'] : []), ...(hop.dead ? ['linkdown'] : [])]

  /** The table is named, as by `ip route`, unless one was asked for (iproute2 ip/iproute.c print_route). */
  const rowOf = (owner: StackEntry, r: fib.RouteRow, named: boolean): RouteRow => {
    const scope = scopeOf(r.type, r.hops)
    const single = r.hops.length === 1 ? r.hops[0]! : undefined
    return {
      ...(r.type === fib.ROUTE_UNICAST ? {} : { type: TYPE_NAMES.get(r.type)! }),
      dst: formatPrefix(r.prefix, r.length),
      ...(single === undefined || single.via === 0 ? {} : { gateway: ip4.formatIp4(single.via) }),
      ...(single === undefined ? {} : { dev: nameOf(single.iface) }),
      ...(named && (r.type === fib.ROUTE_LOCAL || r.type === fib.ROUTE_BROADCAST) ? { table: 'local' } : {}),
      ...(r.protocol === fib.PROTOCOL_BOOT ? {} : { protocol: PROTOCOL_NAMES.get(r.protocol) ?? String(r.protocol) }),
      ...(scope === undefined ? {} : { scope }),
      ...(r.preferredSource === 0 ? {} : { prefsrc: ip4.formatIp4(r.preferredSource) }),
      ...(r.metric === 0 ? {} : { metric: r.metric }),
      flags: single === undefined ? [] : flagsOf(single),
      ...(r.hops.length < 2 ? {} : {
        nexthops: r.hops.map((h) => ({
          ...(h.via === 0 ? {} : { gateway: ip4.formatIp4(h.via) }), dev: nameOf(h.iface), weight: h.weight, flags: flagsOf(h)
        }))
      }),
      router: owner.name
    }
  }

  /** Does a row belong to what was asked? */
  const matches = (q: Extract<RouteQuery, { show: 'route' }>, prefix: [number, number] | undefined, iface: number | undefined, r: fib.RouteRow): boolean => {
    const inLocal = r.type === fib.ROUTE_LOCAL || r.type === fib.ROUTE_BROADCAST
    const table = q.table ?? 'main'
    if (table !== 'all' && (table === 'local') !== inLocal) return false
    if (prefix !== undefined && (r.prefix !== prefix[0] || r.length !== prefix[1])) return false
    if (iface !== undefined && !r.hops.some((h) => h.iface === iface)) return false
    return q.type === undefined || TYPES[q.type] === r.type
  }

  /**
   * Rows come sorted from a small table; a large one gives them as it has them, a part at a time with `undefined` between the parts, so that
   * the packet path is never kept waiting: `sortRoutes` puts them in order where there is time.
   */
  function* list(q: Extract<RouteQuery, { show: 'route' }>): Generator<RouteRow | undefined> {
    const prefix = q.prefix === undefined ? undefined : prefixOf(q.prefix)
    const device = q.dev === undefined ? undefined : registry.addressed(q.dev, q.router)
    if (q.type !== undefined && TYPES[q.type] === undefined) throw new NetworkError(`"${q.type}" is no type of route`, 2)
    const owners: StackEntry[] = q.router !== undefined ? [registry.stack(q.router)]
      : device !== undefined ? [device.kind === 'bridge' ? device : device.router] : [...registry.routers, ...registry.bridges]
    for (const owner of owners) {
      const table = routing.of(owner.stack)
      for (let cursor = 0; cursor >= 0;) {
        const found: RouteRow[] = []
        cursor = table.scan(cursor, SCAN_ROWS, (id) => {
          const r = table.describe(id)
          if (matches(q, prefix, device?.iface, r)) found.push(rowOf(owner, r, q.table === 'all'))
        })
        yield* sortRoutes(found)
        if (cursor >= 0) yield undefined
      }
    }
  }

  /** `ip route get`: which way a packet to this address would go. */
  function* get(q: Extract<RouteQuery, { show: 'route-get' }>): Generator<RouteRow> {
    const owner = ownerOf(q.router, q.iif)
    const destination = addressOf(q.address)
    const table = routing.of(owner.stack)
    const id = table.routeTo(destination)
    if (id === 0) throw new NetworkError(`Network is unreachable: ${owner.name} has no route to ${q.address}`, 1)
    const r = table.describe(id)
    if (r.type === fib.ROUTE_BLACKHOLE) throw new NetworkError(`Invalid argument: ${q.address} lies in a blackhole route`, 1)
    if (r.type === fib.ROUTE_UNREACHABLE) throw new NetworkError(`No route to host: ${q.address} lies in an unreachable route`, 1)
    if (r.type === fib.ROUTE_PROHIBIT) throw new NetworkError(`Permission denied: ${q.address} lies in a prohibit route`, 1)
    const source = q.from === undefined ? routing.sourceFor(owner.stack, destination) : addressOf(q.from)
    const hop = table.select(table.infoOf(id), routing.hash(source, destination))
    const gateway = table.gatewayOf(hop, destination)
    yield {
      ...(r.type === fib.ROUTE_UNICAST ? {} : { type: TYPE_NAMES.get(r.type)! }),
      dst: ip4.formatIp4(destination),
      ...(gateway === destination ? {} : { gateway: ip4.formatIp4(gateway) }),
      dev: nameOf(table.interfaceOf(hop)),
      ...(r.type === fib.ROUTE_UNICAST ? {} : { table: 'local' }),
      prefsrc: ip4.formatIp4(source),
      flags: [],
      router: owner.name
    }
  }

  return {
    apply,
    show: (q: RouteQuery): Iterable<RouteRow | undefined> => (q.show === 'route' ? list(q) : get(q))
  }
}
