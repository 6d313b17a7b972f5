/** `tapway app`, `tapway policy`, `tapway flow`: one line each, a policy in the words that would add it. */
import type { AppRow, DeniedRow, FlowRow, PolicyCheckRow, PolicyRow } from '../network/operations.js'

/** ` word value`, or nothing. */
const pair = (word: string, value: string | number | undefined): string => (value === undefined ? '' : ` ${word} ${value}`)

export const formatApps = (rows: readonly AppRow[]): string =>
  rows.map(({ name, id, members }) =>
    `${name} id ${id}\n${members.map(({ port, mac, addresses }) => `    port ${port} address ${mac} inet ${addresses.join(' ')}\n`).join('')}`).join('')

const range = ([low, high]: readonly [number, number]): string => (low === high ? String(low) : `${low}-${high}`)

const policyText = ({ from, to, protocol, ports }: PolicyRow): string =>
  `from ${from} to ${to} protocol ${protocol}${pair('port', ports && range(ports))}`

export const formatPolicies = (rows: readonly PolicyRow[]): string => rows.map((row) => `${policyText(row)} hits ${row.hits}\n`).join('')

/** `tapway policy check`: which policy says so. */
export const formatPolicyCheck = ({ allowed, policy }: PolicyCheckRow): string =>
  allowed && policy !== undefined ? `allowed by policy ${policyText(policy)}\n` : 'denied: no policy\n'

/** The name of a mark's app; else the mark. */
const markText = (name: string | undefined, mark: number): string => name ?? (mark === 0 ? 'unmarked' : `mark ${mark}`)

export const formatDenied = (rows: readonly DeniedRow[]): string =>
  rows.map((row) =>
    `from ${markText(row.from, row.mark)} to ${markText(row.to, row.to_id)} protocol ${row.protocol}${pair('port', row.port)} packets ${row.packets} `
    + `src ${row.source} dst ${row.destination} age ${row.age}sec\n`).join('')

/** Where the other end is no app's of this cell, nothing is said of it. */
export const formatFlows = (rows: readonly FlowRow[]): string =>
  rows.map((row) =>
    `${row.protocol} ${row.state} src ${row.source}${pair('sport', row.sport)} dst ${row.destination}${pair('dport', row.dport)}${pair('id', row.id)}`
    + `${row.mark === 0 ? '' : ` from ${markText(row.from, row.mark)}`}${pair('to', row.to)} ${row.verdict} `
    + `age ${row.age}sec expires ${row.expires}sec\n`).join('')
