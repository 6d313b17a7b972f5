/** Which of several routes a removal means (net/ipv4/fib_trie.c fib_table_delete, fib_semantics.c fib_nh_match). */
import type { RouteReader } from './route-reader.js'

interface HopMatch {
  readonly via?: number | undefined
  readonly iface?: number | undefined
  readonly weight?: number | undefined
}

/** Which route to remove; what is left out, or 0 as a metric, protocol, address or owner, matches all (fib_table_delete). */
export interface RouteMatch {
  readonly prefix: number
  readonly length: number
  /** Default: by type, TABLE_MAIN without one. */
  readonly table?: number | undefined
  readonly type?: number | undefined
  readonly metric?: number | undefined
  readonly protocol?: number | undefined
  readonly scope?: number | undefined
  readonly preferredSource?: number | undefined
  readonly owner?: number | undefined
  /** Gateway and interface of the first next hop. */
  readonly via?: number | undefined
  readonly iface?: number | undefined
  /** All next hops, in order. */
  readonly hops?: readonly HopMatch[] | undefined
}

/** 0 stands for anything. */
const allows = (wanted: number | undefined, value: number): boolean => wanted === undefined || wanted === 0 || wanted === value

const matchesHop = ({ infos }: RouteReader, hop: number, m: HopMatch): boolean =>
  allows(m.via, infos.via[hop]!) && (m.iface === undefined || infos.iface[hop] === m.iface) && allows(m.weight, infos.weight[hop]!)

const matchesHops = (table: RouteReader, id: number, m: RouteMatch): boolean => {
  const count = table.hopCount(id)
  if (m.hops !== undefined) return m.hops.length === count && m.hops.every((h, n) => matchesHop(table, table.hopAt(id, n), h))
  if (allows(m.via, 0) && m.iface === undefined) return true
  return count > 0 && matchesHop(table, table.hopAt(id, 0), { via: m.via, iface: m.iface })
}

/** Is a route, known to have the prefix, one that the match means? The table is the caller's concern. */
export const matchesRoute = (table: RouteReader, id: number, m: RouteMatch): boolean =>
  allows(m.type, table.typeOf(table.infoOf(id))) && allows(m.metric, table.metricOf(id)) && allows(m.protocol, table.protocolOf(id)) &&
  (m.scope === undefined || table.scopeOf(id) === m.scope) && allows(m.preferredSource, table.preferredSource(table.infoOf(id))) &&
  allows(m.owner, table.ownerOf(id)) && matchesHops(table, id, m)
