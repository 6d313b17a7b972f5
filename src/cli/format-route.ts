/** Routes, neighbours and FDB entries as ip-route(8), ip-neighbour(8) and bridge(8) print them: by the keys of the JSON rows. */
import type { FdbRow, NeighRow, RouteRow } from '../network/operations.js'
import type { Owner } from './format-link.js'

export type RouteText = Omit<RouteRow, 'router'> & {
  router?: string
  from?: string
  pref?: string
  uid?: number
  cache?: readonly string[]
  iif?: string
}
export type NeighText = Omit<NeighRow, 'dev' | 'router'> & {
  dev?: string
  router?: string
  refcnt?: number
  used?: number
  confirmed?: number
  updated?: number
  probes?: number
}
export type FdbText = Omit<FdbRow, 'ifname'> & { ifname?: string; vlan?: number; port?: number; vni?: number }

/** `key value ` for a value that is there. */
const pair = (key: string, value: string | number | undefined): string => (value === undefined ? '' : `${key} ${value} `)
const word = (value: string | undefined): string => (value === undefined ? '' : `${value} `)
const words = (values: readonly string[]): string => values.map(word).join('')

const hop = ({ gateway, dev, weight, flags }: NonNullable<RouteRow['nexthops']>[number]): string =>
  `\tnexthop ${pair('via', gateway)}${pair('dev', dev)}${pair('weight', weight)}${words(flags)}\n`

const route = (row: RouteText, owner: Owner): string => {
  const line = word(row.type) + word(row.dst) + pair('from', row.from) + pair('via', row.gateway) + pair('dev', row.dev)
    + pair('table', row.table) + pair('proto', row.protocol) + pair('scope', row.scope) + pair('src', row.prefsrc)
    + pair('metric', row.metric) + words(row.flags) + pair('uid', row.uid) + (row.pref === undefined ? '' : `pref ${row.pref}`)
    + owner(row.router, row.dev)
  const cached = row.cache === undefined ? '' : `\n    cache ${row.cache.length === 0 ? '' : `<${row.cache.join(',')}> `}${pair('iif', row.iif)}`
  return `${line}${cached}\n${(row.nexthops ?? []).map(hop).join('')}`
}

/** `ip route`, `ip route get`. */
export const formatRoutes = (rows: readonly RouteText[], owner: Owner = () => ''): string => rows.map((row) => route(row, owner)).join('')

const usage = ({ refcnt, used, confirmed, updated, probes }: NeighText): string =>
  used === undefined ? '' : ` ${pair('ref', refcnt)}used ${used}/${confirmed}/${updated}probes ${probes} `

/** `ip neigh`. */
export const formatNeighbors = (rows: readonly NeighText[], owner: Owner = () => ''): string =>
  rows.map((row) => word(row.dst) + pair('dev', row.dev) + pair('lladdr', row.lladdr) + usage(row) + words(row.state)
    + owner(row.router, row.dev) + '\n').join('')

/** `bridge fdb`, with `used` and `updated` where the rows have them (-s). */
export const formatFdb = (rows: readonly FdbText[]): string =>
  rows.map((row) => word(row.mac) + pair('dev', row.ifname) + pair('dst', row.dst) + pair('vlan', row.vlan) + pair('port', row.port)
    + pair('vni', row.vni) + (row.used === undefined ? '' : `used ${row.used}/${row.updated} `) + words(row.flags)
    + pair('master', row.master) + row.state + '\n').join('')
