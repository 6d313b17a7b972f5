/** Operations on neighbours, those of routers and bridges and those of VXLAN ports, and their rows (ip-neighbour(8)). */
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_FULL, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_REPLACE, NO_MAC
} from '../table/neighbors.js'
import type { Engine } from '../engine/engine.js'
import * as nud from '../table/neighbors.js'
import * as ip4 from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import { NetworkError, type NeighRow, type Operation, type Query } from './operations.js'
import { addressOf, hostAddressOf, stationMacOf } from './parse.js'
import type { AddressedEntry, Registry, VxlanEntry } from './registry.js'

type NeighborOperation = Extract<Operation, { op: 'neigh.add' | 'neigh.replace' | 'neigh.change' | 'neigh.del' | 'neigh.flush' }>
type NeighborQuery = Extract<Query, { show: 'neigh' }>

/** ip-neighbour(8)'s words for states, in the order it prints them. */
const STATES: readonly [name: string, state: number][] = [
  ['incomplete', nud.NUD_INCOMPLETE], ['reachable', nud.NUD_REACHABLE], ['stale', nud.NUD_STALE], ['delay', nud.NUD_DELAY],
  ['probe', nud.NUD_PROBE], ['failed', nud.NUD_FAILED], ['noarp', nud.NUD_NOARP], ['permanent', nud.NUD_PERMANENT]
]
const SETTABLE = new Set(['permanent', 'reachable', 'stale', 'noarp', 'delay', 'probe', 'failed'])
const MODES = { 'neigh.add': NEIGH_ADD, 'neigh.replace': NEIGH_REPLACE, 'neigh.change': NEIGH_CHANGE }
const OWNER_COMMAND = 1
/** Rows of the table looked at between two rows of a show. */
const SCAN_ROWS = 256

const stateOf = (word: string): number => {
  const found = STATES.find(([name]) => name === word)
  if (found === undefined) throw new NetworkError(`"${word}" is no neighbour state; there is ${STATES.map(([name]) => name).join(', ')}`, 2)
  return found[1]
}

export const createNeighborCommands = (engine: Engine, registry: Registry) => {
  const { neighbors, neighborOutput } = engine.layer3
  const { tunnelNeighbors, clock } = engine

  const all = (): AddressedEntry[] => [...registry.bridges, ...registry.routers.flatMap((r) => r.interfaces)]

  const set = (operation: Exclude<NeighborOperation, { op: 'neigh.flush' }>): void => {
    const e = registry.neighboring(operation.dev, operation.router)
    const address = hostAddressOf(addressOf(operation.address), operation.address)
    const what = `neighbour ${operation.address} on ${operation.dev}`
    if (operation.op === 'neigh.del') {
      const code = e.kind === 'vxlan' ? tunnelNeighbors.remove(e.tunnel, address) : neighborOutput.remove(e.iface, address)
      if (code === NEIGH_NOT_FOUND) throw new NetworkError(`no ${what}`, 1)
      return
    }
    const word = operation.nud ?? 'permanent'
    if (!SETTABLE.has(word)) throw new NetworkError(`the state of a neighbour can be set to ${[...SETTABLE].join(', ')}, not to "${word}"`, 2)
    const [hi, lo] = operation.lladdr === undefined ? [NO_MAC, 0] : stationMacOf(operation.lladdr)
    const mode = MODES[operation.op]
    const code = e.kind === 'vxlan' ? tunnelNeighbors.set(e.tunnel, address, hi, lo, stateOf(word), mode, clock.now)
      : neighborOutput.set(e.iface, address, hi, lo, stateOf(word), mode, OWNER_COMMAND, 0)
    switch (code) {
      case NEIGH_EXISTS: throw new NetworkError(`${what} exists already`, 1)
      case NEIGH_NOT_FOUND: throw new NetworkError(`no ${what}`, 1)
      case NEIGH_FULL: throw new NetworkError('the neighbour table is full', 1)
      case NEIGH_INVALID: throw new NetworkError(`a neighbour that is ${word} needs an lladdr`, 2)
    }
  }

  /** Columns that both tables have. */
  type Columns = Pick<typeof tunnelNeighbors, 'address' | 'state' | 'macHi' | 'macLo'>

  const rowOf = (table: Columns, r: number, e: AddressedEntry | VxlanEntry): NeighRow => {
    const state = table.state[r]!
    const valid = (state & nud.NUD_VALID) !== 0
    return {
      dst: ip4.formatIp4(table.address[r]!),
      dev: e.name,
      ...(valid ? { lladdr: formatMac(table.macHi[r]!, table.macLo[r]!) } : {}),
      state: STATES.filter(([, bit]) => (state & bit) !== 0).map(([name]) => name.toUpperCase()),
      ...(e.kind === 'vxlan' ? {} : { router: e.kind === 'bridge' ? e.name : e.router.name })
    }
  }

  interface Found {
    entry: AddressedEntry | VxlanEntry
    state: number
    row: NeighRow
  }

  /** Rows of both tables, a part at a time. */
  function* rows(): Generator<Found> {
    const found: Found[] = []
    const take = (table: Columns, r: number, entry: AddressedEntry | VxlanEntry | undefined): void => {
      if (entry !== undefined) found.push({ entry, state: table.state[r]!, row: rowOf(table, r, entry) })
    }
    for (let cursor = 0; cursor >= 0;) {
      cursor = neighbors.scan(cursor, SCAN_ROWS, (r) => take(neighbors, r, all().find((e) => e.iface === neighbors.interfaceOf[r])))
      yield* found.splice(0)
    }
    for (let cursor = 0; cursor >= 0;) {
      cursor = tunnelNeighbors.scan(cursor, SCAN_ROWS, clock.now, (r) => take(tunnelNeighbors, r, registry.byTunnel(tunnelNeighbors.tunnelOf[r]!)))
      yield* found.splice(0)
    }
  }

  return {
    apply: (operation: NeighborOperation): void => {
      if (operation.op !== 'neigh.flush') {
        set(operation)
        return
      }
      const { dev, router } = operation
      const wanted = dev !== undefined ? [registry.neighboring(dev, router)]
        : router === undefined ? [...all(), ...registry.vxlans] : all().filter((e) => (e.kind === 'bridge' ? e.name : e.router.name) === router)
      for (const e of wanted) {
        if (e.kind === 'vxlan') tunnelNeighbors.flush(e.tunnel, true)
        else neighborOutput.flush(e.iface, true)
      }
    },
    show: function* (query: NeighborQuery): Generator<NeighRow> {
      const device = query.dev === undefined ? undefined : registry.neighboring(query.dev, query.router)
      const router = query.router === undefined ? undefined : registry.stack(query.router).name
      const address = query.address === undefined ? undefined : ip4.formatIp4(addressOf(query.address))
      const state = query.nud === undefined || query.nud === 'all' ? undefined : stateOf(query.nud)
      for (const found of rows()) {
        if (state === undefined ? found.state === nud.NUD_NONE : (found.state & state) === 0) continue
        if (device !== undefined && found.entry !== device) continue
        const { row } = found
        if ((router !== undefined && row.router !== router) || (address !== undefined && row.dst !== address)) continue
        yield row
      }
    }
  }
}
