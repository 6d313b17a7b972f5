/** Operations on neighbours, and their rows (ip-neighbour(8)). */
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_FULL, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_REPLACE, NO_MAC
} from '../element/neighbor.js'
import type { Engine } from '../engine/engine.js'
import * as nud from '../table/neighbors.js'
import * as ip4 from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import { NetworkError, type NeighRow, type Operation, type Query } from './operations.js'
import { addressOf, hostAddressOf, stationMacOf } from './parse.js'
import type { AddressedEntry, Registry } from './registry.js'

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

  const all = (): AddressedEntry[] => [...registry.bridges, ...registry.routers.flatMap((r) => r.interfaces)]

  const set = (operation: Exclude<NeighborOperation, { op: 'neigh.flush' }>): void => {
    const { iface } = registry.addressed(operation.dev, operation.router)
    const address = hostAddressOf(addressOf(operation.address), operation.address)
    const what = `neighbour ${operation.address} on ${operation.dev}`
    if (operation.op === 'neigh.del') {
      if (neighborOutput.remove(iface, address) === NEIGH_NOT_FOUND) throw new NetworkError(`no ${what}`, 1)
      return
    }
    const word = operation.nud ?? 'permanent'
    if (!SETTABLE.has(word)) throw new NetworkError(`the state of a neighbour can be set to ${[...SETTABLE].join(', ')}, not to "${word}"`, 2)
    const [hi, lo] = operation.lladdr === undefined ? [NO_MAC, 0] : stationMacOf(operation.lladdr)
    switch (neighborOutput.set(iface, address, hi, lo, stateOf(word), MODES[operation.op], OWNER_COMMAND, 0)) {
      case NEIGH_EXISTS: throw new NetworkError(`${what} exists already`, 1)
      case NEIGH_NOT_FOUND: throw new NetworkError(`no ${what}`, 1)
      case NEIGH_FULL: throw new NetworkError('the neighbour table is full', 1)
      case NEIGH_INVALID: throw new NetworkError(`a neighbour that is ${word} needs an lladdr`, 2)
    }
  }

  function* rows(): Generator<number> {
    for (let cursor = 0; cursor >= 0;) {
      const found: number[] = []
      cursor = neighbors.scan(cursor, SCAN_ROWS, (r) => found.push(r))
      yield* found
    }
  }

  const row = (r: number): NeighRow | undefined => {
    const iface = neighbors.interfaceOf[r]!
    const entry = all().find((e) => e.iface === iface)
    if (entry === undefined) return undefined
    const state = neighbors.state[r]!
    const valid = (state & nud.NUD_VALID) !== 0
    return {
      dst: ip4.formatIp4(neighbors.address[r]!),
      dev: entry.name,
      ...(valid ? { lladdr: formatMac(neighbors.macHi[r]!, neighbors.macLo[r]!) } : {}),
      state: STATES.filter(([, bit]) => (state & bit) !== 0).map(([name]) => name.toUpperCase()),
      router: entry.kind === 'bridge' ? entry.name : entry.router.name
    }
  }

  return {
    apply: (operation: NeighborOperation): void => {
      if (operation.op !== 'neigh.flush') {
        set(operation)
        return
      }
      const wanted = operation.dev === undefined
        ? all().filter((e) => operation.router === undefined || (e.kind === 'bridge' ? e.name : e.router.name) === operation.router)
        : [registry.addressed(operation.dev, operation.router)]
      for (const { iface } of wanted) neighborOutput.flush(iface, true)
    },
    show: function* (query: NeighborQuery): Generator<NeighRow> {
      const device = query.dev === undefined ? undefined : registry.addressed(query.dev, query.router)
      const router = query.router === undefined ? undefined : registry.stack(query.router).name
      const address = query.address === undefined ? undefined : ip4.formatIp4(addressOf(query.address))
      const state = query.nud === undefined || query.nud === 'all' ? undefined : stateOf(query.nud)
      for (const r of rows()) {
        if (state === undefined ? neighbors.state[r] === nud.NUD_NONE : (neighbors.state[r]! & state) === 0) continue
        if (device !== undefined && neighbors.interfaceOf[r] !== device.iface) continue
        const shown = row(r)
        if (shown === undefined || (router !== undefined && shown.router !== router) || (address !== undefined && shown.dst !== address)) continue
        yield shown
      }
    }
  }
}
