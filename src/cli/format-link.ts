/**
 * Links and addresses as ip-link(8) and ip-address(8) print them. The printers go by the keys of the JSON rows: what a row
 * does not have is not printed, so that rows of `ip -j` give exactly the text of `ip`.
 */
import type { AddrRow, LinkRow } from '../network/operations.js'
import { vxlanOptions } from './format-vxlan.js'

/** What both kinds of rows have, with the keys that only ip's rows carry. */
type LinkHead = Pick<AddrRow, 'ifindex' | 'ifname' | 'flags' | 'mtu' | 'operstate' | 'link_type' | 'address' | 'broadcast'> & {
  link?: string | null
  link_index?: number
  link_netnsid?: number
  qdisc?: string
  master?: string
  linkmode?: string
  group?: string
  txqlen?: number
  stats64?: LinkRow['stats64']
}
export type LinkText = LinkHead & Partial<Pick<LinkRow, 'linkinfo' | 'tapway'>>
type LifeTimes = 'valid_life_time' | 'preferred_life_time'
type AddressText = Omit<AddrRow['addr_info'][number], LifeTimes> & { [key in LifeTimes]?: number } & Record<string, unknown>
export type AddrText = LinkHead & { addr_info: readonly AddressText[]; router?: string }

/** `router R ` behind what belongs to router R, or nothing where nobody would ask. */
export type Owner = (router: string | undefined, dev: string | undefined) => string

export interface LinkStyle {
  /** 1: with counters. */
  readonly stats?: number
  readonly details?: boolean
  readonly brief?: boolean
  /** Words that say whose an address is; empty where that is clear. */
  readonly owner?: Owner
}

/** `br0`, `veth0@veth1`, `eth0@if5`. */
const fullName = ({ ifname, link, link_index: index }: LinkHead): string =>
  link != null ? `${ifname}@${link}` : index !== undefined && index > 0 ? `${ifname}@if${index}` : ifname

const flagList = (row: LinkHead): string => `<${row.flags.join(',')}>`

const head = (row: LinkHead): string => {
  const words = [`${row.ifindex}: ${fullName(row)}: ${flagList(row)} mtu ${row.mtu}`]
  const add = (key: string, value: string | number | undefined): void => { if (value !== undefined) words.push(`${key} ${value}`) }
  add('qdisc', row.qdisc)
  add('master', row.master)
  add('state', row.operstate)
  add('mode', row.linkmode)
  add('group', row.group)
  add('qlen', row.txqlen)
  return words.join(' ')
}

const lowerLayer = (row: LinkHead): string => {
  const netns = row.link_netnsid === undefined ? '' : ` link-netnsid ${row.link_netnsid}`
  return `    link/${row.link_type} ${row.address} brd ${row.broadcast}${netns}`
}

const brief = (row: LinkHead, rest: string): string => `${fullName(row).padEnd(16)} ${row.operstate.padEnd(14)} ${rest} \n`

/** Least widths of the columns; a larger number widens its column in both tables of a link. */
const COLUMNS = [10, 7, 6, 7, 7, 7]
/** ip keeps room for a seventh column, which stays empty. */
const EMPTY_COLUMN = ' '.repeat(11)

const statsTable = ({ rx, tx }: LinkRow['stats64']): string => {
  const received = [rx.bytes, rx.packets, rx.errors, rx.dropped, rx.over_errors, rx.multicast]
  const sent = [tx.bytes, tx.packets, tx.errors, tx.dropped, tx.carrier_errors, tx.collisions]
  const widths = COLUMNS.map((width, i) => Math.max(width, String(received[i]).length, String(sent[i]).length))
  const titles = (side: string, names: readonly string[]): string =>
    `    ${side}: ${names.map((name, i) => name.padStart(i === 0 ? widths[0]! - 4 : widths[i]!)).join(' ')}${EMPTY_COLUMN}\n`
  const numbers = (values: readonly number[]): string => `    ${values.map((value, i) => `${String(value).padStart(widths[i]!)} `).join('')}\n`
  return titles('RX', ['bytes', 'packets', 'errors', 'dropped', 'missed', 'mcast']) + numbers(received)
    + titles('TX', ['bytes', 'packets', 'errors', 'dropped', 'carrier', 'collsns']) + numbers(sent)
}

const valueText = (value: unknown): string => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value))

const pairs = (data: Readonly<Record<string, unknown>> = {}): string =>
  Object.entries(data).filter(([, value]) => typeof value !== 'object').map(([key, value]) => ` ${key} ${valueText(value)}`).join('')

/** What `-d` adds: the kind of link with its options, then its options as a port, then what Tapway knows. */
const details = ({ linkinfo, tapway }: LinkText): string => {
  const lines: string[] = []
  if (linkinfo !== undefined) {
    const { info_kind: kind, info_data: data } = linkinfo
    lines.push(`    ${kind}${kind === 'vxlan' ? vxlanOptions(data ?? {}) : pairs(data)} \n`)
    if (linkinfo.info_slave_kind !== undefined) lines.push(`    ${linkinfo.info_slave_kind}_slave${pairs(linkinfo.info_slave_data)} \n`)
  }
  if (tapway !== undefined) lines.push(`    tapway${pairs(tapway)} \n`)
  return lines.join('')
}

/** `ip link`, `ip -s link`, `ip -br link`. */
export const formatLinks = (rows: readonly LinkText[], style: LinkStyle = {}): string =>
  rows.map((row) => {
    if (style.brief === true) return brief(row, `${row.address} ${flagList(row)}`)
    const lines = `${head(row)}\n${lowerLayer(row)}\n${style.details === true ? details(row) : ''}`
    return (style.stats ?? 0) > 0 && row.stats64 !== undefined ? lines + statsTable(row.stats64) : lines
  }).join('')

const local = ({ local: address, address: peer, prefixlen }: AddressText): string =>
  peer === undefined ? `${address}/${prefixlen}` : `${address} peer ${peer}/${prefixlen}`

const FOREVER = 0xffffffff

const lifetime = (seconds: number | undefined): string => (seconds === FOREVER ? 'forever' : `${seconds}sec`)

const addressText = (row: AddressText): string => {
  const { family, broadcast, scope, label, valid_life_time: valid, preferred_life_time: preferred } = row
  // secondary, dynamic, noprefixroute …: keys of their own, in the order of the text
  const flags = Object.keys(row).filter((key) => row[key] === true).map((flag) => `${flag} `).join('')
  const line = `    ${family} ${local(row)}${broadcast === undefined ? '' : ` brd ${broadcast}`} scope ${scope} ${flags}${label ?? ''}\n`
  return valid === undefined ? line : `${line}       valid_lft ${lifetime(valid)} preferred_lft ${lifetime(preferred)}\n`
}

/** `ip addr`, `ip -br addr`. */
export const formatAddresses = (rows: readonly AddrText[], style: LinkStyle = {}): string =>
  rows.map((row) => {
    const owner = style.owner?.(row.router, row.ifname).trimEnd() ?? ''
    const router = owner === '' ? '' : ` ${owner}`
    if (style.brief === true) return brief(row, row.addr_info.map(local).join(' ') + router)
    const link = `${head(row)}${router}\n${row.link_type === undefined ? '' : `${lowerLayer(row)}\n`}${row.addr_info.map(addressText).join('')}`
    return (style.stats ?? 0) > 0 && row.stats64 !== undefined ? link + statsTable(row.stats64) : link
  }).join('')
