/** `show`: asks the running instance and prints its rows, as iproute2 or as JSON. */
import type { ControlClient } from '../control/client.js'
import type {
  AddrRow, AppRow, DeniedRow, FdbRow, FlowRow, LinkRow, NeighRow, PolicyRow, Query, RouteRow, StatsResult, VxlanRow,
} from '../network/operations.js'
import type { Globals, ShowCommand, Where } from './command.js'
import { CliError } from './error.js'
import { formatAddresses, formatLinks, type Owner } from './format-link.js'
import { formatApps, formatDenied, formatFlows, formatPolicies } from './format-policy.js'
import { formatFdb, formatNeighbors, formatRoutes } from './format-route.js'
import { formatStats } from './format-stats.js'
import { formatVxlans } from './format-vxlan.js'

type Row = LinkRow & AddrRow & RouteRow & NeighRow & FdbRow & VxlanRow

/** One line, or with -p readable. */
export const formatJson = (value: unknown, { pretty }: Pick<Globals, 'pretty'>): string =>
  `${JSON.stringify(value, undefined, pretty ? 4 : undefined)}\n`

const wanted = (row: Partial<Row>, { up, kind, protocol }: Where): boolean =>
  (up === undefined || row.flags?.includes('UP') === true)
  && (kind === undefined || row.linkinfo?.info_kind === kind)
  && (protocol === undefined || (row.protocol ?? 'boot') === protocol)

/** A row without these keys. */
const without = (row: Partial<Row>, ...keys: (keyof Row)[]): Partial<Row> =>
  Object.fromEntries(Object.entries(row).filter(([key]) => !(keys as string[]).includes(key)))

/** ip gives counters only with -s and the kind of link only with -d. */
const asAsked = (query: Query, globals: Globals) => (row: Partial<Row>): Partial<Row> => {
  if (query.show === 'link') {
    const counted = globals.stats > 0 ? row : without(row, 'stats64')
    return globals.details ? counted : without(counted, 'linkinfo')
  }
  return query.show === 'fdb' && globals.stats === 0 ? without(row, 'used', 'updated') : row
}

/** Text leaves out the device that was asked for, as ip does. */
const withoutDevice = (query: Query, row: Partial<Row>): Partial<Row> => {
  if (query.show === 'fdb') return query.dev === undefined ? row : without(row, 'ifname')
  return (query.show === 'route' || query.show === 'neigh') && query.dev !== undefined ? without(row, 'dev') : row
}

/**
 * Says `router R` where that is not clear: with several routers when neither router nor device was chosen, and for a bridge's own
 * table, unless the device is the bridge.
 */
const ownerText = async (client: ControlClient, query: Query): Promise<Owner> => {
  if (('router' in query && query.router !== undefined) || ('dev' in query && query.dev !== undefined)) return () => ''
  const links = await client.request<LinkRow[]>({ method: 'show', query: { show: 'link' } })
  const routers = new Set(links.flatMap(({ tapway }) => tapway.router ?? []))
  return (router, dev) => (router === undefined || router === dev || (routers.size === 1 && routers.has(router)) ? '' : `router ${router} `)
}

const format = async (client: ControlClient, query: Query, rows: readonly Partial<Row>[], globals: Globals): Promise<string> => {
  const shown = rows.map((row) => withoutDevice(query, row)) as Row[]
  const own: readonly unknown[] = rows // none of iproute2's
  switch (query.show) {
    case 'link': return formatLinks(shown, globals)
    case 'addr': return formatAddresses(shown, { ...globals, owner: await ownerText(client, query) })
    case 'neigh': return formatNeighbors(shown, await ownerText(client, query))
    case 'fdb': return formatFdb(shown)
    case 'vxlan': return formatVxlans(shown)
    case 'app': return formatApps(own as readonly AppRow[])
    case 'policy': return formatPolicies(own as readonly PolicyRow[])
    case 'denied': return formatDenied(own as readonly DeniedRow[])
    case 'flow': return formatFlows(own as readonly FlowRow[])
    default: return formatRoutes(shown, await ownerText(client, query))
  }
}

/** The text of a query's answer. Throws ClientError, and CliError when what `get` asked for is not there. */
export const show = async (client: ControlClient, { query, where, missing }: ShowCommand, globals: Globals): Promise<string> => {
  const result = await client.request<Partial<Row>[] | StatsResult>({ method: 'show', query })
  if (!Array.isArray(result)) return globals.json ? formatJson(result, globals) : formatStats(result, globals.stats > 0)
  const rows = where === undefined ? result : result.filter((row) => wanted(row, where))
  if (missing !== undefined && rows.length === 0) throw new CliError(missing, 1)
  const asked = rows.map(asAsked(query, globals))
  return globals.json ? formatJson(asked, globals) : format(client, query, asked, globals)
}
