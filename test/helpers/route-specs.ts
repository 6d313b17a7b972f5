/** Routes as tests write them. */
import { PROTOCOL_STATIC, ROUTE_UNICAST, type NextHopSpec, type RouteSpec, type Routes } from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'

export const ip = (text: string): number => ip4.parseIp4(text)!

export const cidr = (text: string): { prefix: number; length: number } => {
  const [prefix, length] = ip4.parsePrefix(text)!
  return { prefix, length }
}

export const hop = (iface: number, via = 0, weight = 1): NextHopSpec => ({ via, iface, weight, onlink: false })

export const route = (to: string, hops: NextHopSpec[], more: Partial<RouteSpec> = {}): RouteSpec =>
  ({ ...cidr(to), type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_STATIC, preferredSource: 0, hops, ...more })

/** Interface a packet leaves by; -1 without a way. */
export const out = (table: Routes, to: string, hash = 0): number => {
  const info = table.lookup(ip(to))
  return info === 0 || table.infos.hopCount[info] === 0 ? -1 : table.interfaceOf(table.select(info, hash))
}
