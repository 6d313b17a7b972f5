/** `tapway stats`: ports, drops by reason, and the balance. */
import type { StatsResult } from '../network/operations.js'

/** Columns as wide as their widest cell; the first `left` ones flush left, numbers flush right, the last never padded. */
const table = (rows: readonly (readonly (string | number)[])[], left: readonly number[]): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)))
  return rows.map((row) => row.map((cell, column) => {
    const text = String(cell)
    if (!left.includes(column)) return text.padStart(widths[column]!)
    return column === row.length - 1 ? text : text.padEnd(widths[column]!)
  }).join('  ') + '\n').join('')
}

const portTable = (ports: StatsResult['ports']): string => {
  const rows = ports.map((port) => [
    port.name, port.bridge, port.rx_packets, port.rx_bytes, port.tx_packets, port.tx_bytes, port.tx_errors,
    Object.values(port.drops).reduce((sum, packets) => sum + packets, 0),
  ])
  return table([['port', 'bridge', 'rx packets', 'rx bytes', 'tx packets', 'tx bytes', 'tx errors', 'dropped'], ...rows], [0, 1])
}

const dropTable = (drops: StatsResult['drops']): string =>
  drops.length === 0 ? 'no drops\n' : table([['reason', 'packets', 'help'], ...drops.map(({ reason, packets, help }) => [reason, packets, help])], [0, 2])

/** Every packet that came to be has ended or is held: the identity, with what it is made of. */
const formatBalance = (b: StatsResult['balance']): string => {
  const created = b.received + b.originated + b.copied + b.pieces
  const ended = b.transmitted + b.delivered + b.dropped + b.merged
  const sums = `balance: created ${created} ${b.ok ? '=' : '!='} ended ${ended} + held ${b.held}\n`
  return `${sums}  created: received ${b.received}, originated ${b.originated}, copied ${b.copied}, pieces ${b.pieces}\n`
    + `  ended: transmitted ${b.transmitted}, delivered ${b.delivered}, dropped ${b.dropped}, merged ${b.merged}\n`
}

/** Which port lost what: the rows of -s. */
const dropsByPort = (ports: StatsResult['ports']): string => {
  const rows = ports.flatMap((port) => Object.entries(port.drops).filter(([, packets]) => packets > 0).map(([reason, packets]) => [port.name, reason, packets]))
  return rows.length === 0 ? '' : `\n${table([['port', 'reason', 'packets'], ...rows], [0, 1])}`
}

/** Ports, drops and balance. `all` (-s): every reason, also those that never happened, and drops by port. */
export const formatStats = ({ ports, drops, balance }: StatsResult, all = false): string => {
  const shown = all ? drops : drops.filter(({ packets }) => packets > 0)
  return `${portTable(ports)}\n${dropTable(shown)}${all ? dropsByPort(ports) : ''}\n${formatBalance(balance)}`
}
