/** Operations on the forwarding database, and its rows as `bridge -j fdb` prints them. */
import type { Engine } from '../engine/engine.js'
import { F_DYNAMIC, F_EXTERN_LEARN, F_LOCAL, F_STATIC, F_STICKY, FDB_EXISTS, FDB_FULL } from '../table/fdb.js'
import { formatMac } from '../wire/mac.js'
import { NetworkError, type FdbRow, type Operation, type Query } from './operations.js'
import { stationMacOf } from './parse.js'
import { linkName, type BridgeEntry, type LinkEntry, type Registry } from './registry.js'

type FdbOperation = Extract<Operation, { op: 'fdb.add' | 'fdb.append' | 'fdb.replace' | 'fdb.del' | 'fdb.flush' }>
type FdbQuery = Extract<Query, { show: 'fdb' }>

/** Slots of the table looked at between two rows of a show. */
const SCAN_SLOTS = 1024

const bridgeOf = (e: LinkEntry): BridgeEntry => (e.kind === 'bridge' ? e : e.bridge)

export type FdbCommands = ReturnType<typeof createFdbCommands>

export const createFdbCommands = (engine: Engine, registry: Registry) => {
  const { fdb, clock } = engine

  const set = (operation: Exclude<FdbOperation, { op: 'fdb.flush' }>): void => {
    const e = registry.link(operation.dev)
    const b = bridgeOf(e)
    const [hi, lo] = stationMacOf(operation.mac)
    const what = `${operation.mac} on ${operation.dev}`
    if (operation.op === 'fdb.del') {
      if (!fdb.remove(b.filter, hi, lo, e.port)) throw new NetworkError(`no entry ${what}`, 1)
      return
    }
    const state = operation.state ?? 'permanent'
    const flags = (state === 'permanent' ? F_LOCAL : state === 'static' ? F_STATIC : F_DYNAMIC) | (operation.sticky === true ? F_STICKY : 0)
    // An address has one entry in a bridge: append differs from replace for tunnels only (fdb_add_entry of net/bridge/br_fdb.c)
    const put = operation.op === 'fdb.add' ? fdb.add : fdb.replace
    const code = put(b.filter, b.row, hi, lo, e.port, flags, clock.now)
    if (code === FDB_EXISTS) throw new NetworkError(`an entry for ${operation.mac} exists already on bridge ${b.name}`, 1)
    if (code === FDB_FULL) throw new NetworkError('the forwarding database is full', 1)
  }

  const row = (slot: number): FdbRow | undefined => {
    const e = registry.byPort(fdb.portOf(slot))
    if (e === undefined) return undefined
    const flags = fdb.flagsOf(slot)
    return {
      mac: formatMac(fdb.hiOf(slot), fdb.loOf(slot)),
      ifname: linkName(e),
      flags: [...((flags & F_STICKY) !== 0 ? ['sticky'] : []), ...((flags & F_EXTERN_LEARN) !== 0 ? ['extern_learn'] : [])],
      master: bridgeOf(e).name,
      state: (flags & F_LOCAL) !== 0 ? 'permanent' : (flags & F_STATIC) !== 0 ? 'static' : '',
      used: Math.floor(clock.now / 1000) - fdb.usedOf(slot),
      updated: Math.floor(clock.now / 1000) - fdb.updatedOf(slot)
    }
  }

  return {
    /** The address of an interface behind a port: local, never aged, never moved. */
    addLocal: (b: { row: number; filter: number }, mac: readonly [hi: number, lo: number], port: number): void => {
      fdb.replace(b.filter, b.row, mac[0], mac[1], port, F_LOCAL, clock.now)
    },
    apply: (operation: FdbOperation): void => {
      if (operation.op !== 'fdb.flush') return set(operation)
      if (operation.dev !== undefined) fdb.removeByPort(registry.link(operation.dev).port)
      else for (const b of operation.bridge === undefined ? registry.bridges : [registry.bridge(operation.bridge)]) fdb.flush({ bridge: b.row, flagsMask: F_STATIC | F_EXTERN_LEARN, flags: 0 })
    },
    show: function* (query: FdbQuery): Generator<FdbRow> {
      const bridge = query.bridge === undefined ? undefined : registry.bridge(query.bridge)
      const device = query.dev === undefined ? undefined : registry.link(query.dev)
      const mac = query.mac === undefined ? undefined : formatMac(...stationMacOf(query.mac))
      let found = false
      for (let cursor = 0; cursor >= 0;) {
        const slots: FdbRow[] = []
        cursor = fdb.scan(cursor, SCAN_SLOTS, (slot) => {
          const shown = row(slot)
          if (shown !== undefined) slots.push(shown)
        })
        // Together by port, for who reads it; a large table comes in several such parts
        slots.sort((a, b) => (a.ifname < b.ifname ? -1 : a.ifname > b.ifname ? 1 : a.mac < b.mac ? -1 : 1))
        for (const shown of slots) {
          if (bridge !== undefined && shown.master !== bridge.name) continue
          if (device !== undefined && shown.ifname !== linkName(device)) continue
          if (mac !== undefined && shown.mac !== mac) continue
          found = true
          yield shown
        }
      }
      if (mac !== undefined && !found) throw new NetworkError(`no entry for ${query.mac}`, 1)
    }
  }
}
