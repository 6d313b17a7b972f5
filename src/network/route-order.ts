/** The order `ip route` lists routes in: the default route first, then by prefix, longer ones before shorter; then by metric. */
import { parsePrefix } from '../wire/ip4.js'
import type { RouteRow } from './operations.js'

const keyOf = (dst: string): [number, number] => {
  const [address, length] = dst === 'default' ? [0, 0] : parsePrefix(dst)!
  return [address >>> 0, length === 0 ? -1 : 32 - length]
}

/** Sorts rows of routes in place: routers stay in the order they come in, their routes are put in ip's. */
export const sortRoutes = (rows: RouteRow[]): RouteRow[] => {
  const routers = new Map<string, number>()
  for (const { router } of rows) if (!routers.has(router)) routers.set(router, routers.size)
  const keyed = rows.map((row) => ({ row, at: routers.get(row.router)!, key: keyOf(row.dst) }))
  keyed.sort((a, b) => a.at - b.at || a.key[0] - b.key[0] || a.key[1] - b.key[1] || (a.row.metric ?? 0) - (b.row.metric ?? 0))
  keyed.forEach(({ row }, i) => (rows[i] = row))
  return rows
}
