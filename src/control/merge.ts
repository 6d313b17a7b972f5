/** One answer from those of all workers: what is counted is summed, what is learned is the first one's. */
import type { LinkRow, NeighRow, StatsResult } from '../network/operations.js'

const sumInto = (to: Record<string, number>, from: Readonly<Record<string, number>>): void => {
  for (const [key, n] of Object.entries(from)) to[key] = (to[key] ?? 0) + n
}

/** Counters of all. The balance holds when it does for each. */
export const mergeStats = ([first, ...others]: readonly StatsResult[]): StatsResult => {
  const sum = structuredClone(first!)
  const ports = new Map(sum.ports.map((p) => [p.name, p]))
  const reasons = new Map(sum.drops.map((d) => [d.reason, d]))
  for (const other of others) {
    for (const { name, bridge: _bridge, drops, ...counters } of other.ports) {
      const port = ports.get(name)
      if (port === undefined) continue
      sumInto(port as unknown as Record<string, number>, counters)
      sumInto(port.drops, drops)
    }
    for (const { reason, packets } of other.drops) reasons.get(reason)!.packets += packets
    const { ok, ...balance } = other.balance
    sumInto(sum.balance as unknown as Record<string, number>, balance)
    sum.balance.ok = sum.balance.ok && ok
    if (sum.posts !== undefined && other.posts !== undefined) sumInto(sum.posts, other.posts)
  }
  return sum
}

/** Counted by each worker for itself; moves of a bridge's stations are told to all, and counted by all. */
const COUNTED = ['l2miss', 'l3miss', 'unreachable', 'full'] as const

export const mergeLinks = ([first, ...others]: readonly (readonly LinkRow[])[]): LinkRow[] =>
  first!.map((row) => {
    const sum = structuredClone(row)
    for (const other of others) {
      const its = other.find((r) => r.ifindex === row.ifindex)
      if (its === undefined) continue
      sumInto(sum.stats64.rx, its.stats64.rx)
      sumInto(sum.stats64.tx, its.stats64.tx)
      for (const key of COUNTED) if (its.tapway[key] !== undefined) sum.tapway[key] = (sum.tapway[key] ?? 0) + its.tapway[key]
    }
    return sum
  })

/** The state of a neighbour is that of the worker that knows most. */
const BEST_FIRST = ['PERMANENT', 'NOARP', 'REACHABLE', 'PROBE', 'DELAY', 'STALE', 'INCOMPLETE', 'FAILED']
const rank = ({ state }: NeighRow): number => {
  const at = BEST_FIRST.indexOf(state[0] ?? '')
  return at < 0 ? BEST_FIRST.length : at
}

/** `state`: only rows in this state, as a query asks for; `all` or undefined for any. */
export const mergeNeighbors = (answers: readonly (readonly NeighRow[])[], state: string | undefined): NeighRow[] => {
  const rows = new Map<string, NeighRow>()
  for (const row of answers.flat()) {
    const key = `${row.router ?? ''} ${row.dev} ${row.dst}`
    const known = rows.get(key)
    if (known === undefined || rank(row) < rank(known)) rows.set(key, row)
  }
  return [...rows.values()].filter((row) => state === undefined || state === 'all' || row.state.includes(state.toUpperCase()))
}
