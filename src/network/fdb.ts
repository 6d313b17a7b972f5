/**
 * Operations on forwarding databases, and their rows as `bridge -j fdb` prints them: the one of all bridges, and on VXLAN ports their own
 * one (tunnel-fdb.ts), which bridge(8) calls `self`.
 */
import type { Engine } from '../engine/engine.js'
import { F_DYNAMIC, F_EXTERN_LEARN, F_LOCAL, F_STATIC, F_STICKY, FDB_EXISTS, FDB_FULL } from '../table/fdb.js'
import { formatMac } from '../wire/mac.js'
import { NetworkError, type FdbRow, type Operation, type Query } from './operations.js'
import { macOf, stationMacOf } from './parse.js'
import { linkName, type BridgeEntry, type LinkEntry, type Registry } from './registry.js'
import type { TunnelEntryOperation, TunnelFdbCommands } from './tunnel-fdb.js'

type FdbOperation = Extract<Operation, { op: 'fdb.add' | 'fdb.append' | 'fdb.replace' | 'fdb.del' | 'fdb.flush' }>
type FdbQuery = Extract<Query, { show: 'fdb' }>

/** Rows of one part of a show, or a few more, and slots of a table looked at for it: in between traffic goes on. */
const PART_ROWS = 512
const PART_SLOTS = 16384
const SCAN_SLOTS = 256

const bridgeOf = (e: LinkEntry): BridgeEntry => (e.kind === 'bridge' ? e : e.bridge)

export type FdbCommands = ReturnType<typeof createFdbCommands>

export const createFdbCommands = (engine: Engine, registry: Registry, tunnelCommands: TunnelFdbCommands) => {
  const { fdb, tunnelFdb, clock } = engine

  const noEntry = (o: TunnelEntryOperation): NetworkError => new NetworkError(`no entry ${o.mac} on ${o.dev}`, 1)

  /** An entry of the bridge's. */
  const setMaster = (e: LinkEntry, o: TunnelEntryOperation): void => {
    const b = bridgeOf(e)
    const [hi, lo] = stationMacOf(o.mac)
    if (o.op === 'fdb.del') {
      if (!fdb.remove(b.filter, hi, lo, e.port)) throw noEntry(o)
      return
    }
    const state = o.state ?? 'permanent'
    const flags = (state === 'permanent' ? F_LOCAL : state === 'static' ? F_STATIC : F_DYNAMIC) | (o.sticky === true ? F_STICKY : 0)
    // An address has one entry in a bridge: append differs from replace for tunnels only (fdb_add_entry of net/bridge/br_fdb.c)
    const put = o.op === 'fdb.add' ? fdb.add : fdb.replace
    const code = put(b.filter, b.row, hi, lo, e.port, flags, clock.now)
    if (code === FDB_EXISTS) throw new NetworkError(`an entry for ${o.mac} exists already on bridge ${b.name}`, 1)
    if (code === FDB_FULL) throw new NetworkError('the forwarding database is full', 1)
  }

  /** With `self master` both tables are changed, or none: what the bridge's would refuse is looked at first. */
  const checkMaster = (e: LinkEntry, o: TunnelEntryOperation): void => {
    const b = bridgeOf(e)
    const [hi, lo] = stationMacOf(o.mac)
    const entry = fdb.find(b.filter, hi, lo)
    if (o.op === 'fdb.add' && entry >= 0) throw new NetworkError(`an entry for ${o.mac} exists already on bridge ${b.name}`, 1)
    if (o.op === 'fdb.del' && (entry < 0 || fdb.portOf(entry) !== e.port)) throw noEntry(o)
  }

  const set = (o: TunnelEntryOperation): void => {
    const e = registry.link(o.dev)
    const destined = o.dst !== undefined || o.vni !== undefined || o.port !== undefined
    if (e.kind !== 'vxlan') {
      if (destined) throw new NetworkError(`"${o.dev}" is no VXLAN port: dst, vni and port belong to entries of theirs`, 2)
      return setMaster(e, o)
    }
    if (o.master === true && o.self !== true) {
      if (destined) throw new NetworkError(`dst, vni and port belong to the own table of ${o.dev}: leave out master, or say self too`, 2)
      return setMaster(e, o)
    }
    if (o.master === true) checkMaster(e, o)
    if (o.op === 'fdb.del') tunnelCommands.remove(e, o)
    else tunnelCommands.set(e, o)
    if (o.master === true) setMaster(e, o)
  }

  const flush = (o: Extract<FdbOperation, { op: 'fdb.flush' }>): void => {
    if (o.dev === undefined) {
      for (const b of o.bridge === undefined ? registry.bridges : [registry.bridge(o.bridge)]) {
        fdb.flush({ bridge: b.row, flagsMask: F_STATIC | F_EXTERN_LEARN, flags: 0 })
      }
      return
    }
    const e = registry.link(o.dev)
    if (e.kind === 'vxlan' && (o.self === true || o.master !== true)) tunnelCommands.flushAll(e)
    if (e.kind !== 'vxlan' || o.master === true) fdb.removeByPort(e.port)
  }

  const bridgeRows = (entry: number): FdbRow[] => {
    const e = registry.byPort(fdb.portOf(entry))
    if (e === undefined) return []
    const flags = fdb.flagsOf(entry)
    return [{
      mac: formatMac(fdb.hiOf(entry), fdb.loOf(entry)),
      ifname: linkName(e),
      used: Math.floor(clock.now / 1000) - fdb.usedOf(entry),
      updated: Math.floor(clock.now / 1000) - fdb.updatedOf(entry),
      flags: [...((flags & F_EXTERN_LEARN) !== 0 ? ['extern_learn'] : []), ...((flags & F_STICKY) !== 0 ? ['sticky'] : [])],
      master: bridgeOf(e).name,
      state: (flags & F_LOCAL) !== 0 ? 'permanent' : (flags & F_STATIC) !== 0 ? 'static' : ''
    }]
  }

  const tunnelRows = (entry: number): FdbRow[] => {
    const e = registry.byTunnel(tunnelFdb.filterOf(entry))
    return e === undefined ? [] : tunnelCommands.rows(e, entry)
  }

  /**
   * Rows of a table, a part at a time, with `undefined` between the parts: together by port within a part, for who reads it. Entries of
   * one address keep their order.
   */
  function* scan(table: typeof fdb, rowsOf: (entry: number) => FdbRow[]): Generator<FdbRow | undefined> {
    for (let cursor = 0; cursor >= 0;) {
      const found: FdbRow[] = []
      for (let slots = 0; cursor >= 0 && slots < PART_SLOTS && found.length < PART_ROWS; slots += SCAN_SLOTS) {
        cursor = table.scan(cursor, SCAN_SLOTS, (entry) => found.push(...rowsOf(entry)))
      }
      found.sort((a, b) => (a.ifname < b.ifname ? -1 : a.ifname > b.ifname ? 1 : a.mac < b.mac ? -1 : a.mac > b.mac ? 1 : 0))
      yield* found
      if (cursor >= 0) yield undefined
    }
  }

  return {
    /** The address of an interface behind a port: local, never aged, never moved. */
    addLocal: (b: { row: number; filter: number }, mac: readonly [hi: number, lo: number], port: number): void => {
      fdb.replace(b.filter, b.row, mac[0], mac[1], port, F_LOCAL, clock.now)
    },
    apply: (o: FdbOperation): void => (o.op === 'fdb.flush' ? flush(o) : set(o)),
    /** Rows of the bridges' table, then those of tunnels. `master` or `self` in a query leaves out the other table. */
    show: function* (query: FdbQuery): Generator<FdbRow | undefined> {
      const bridge = query.bridge === undefined ? undefined : registry.bridge(query.bridge)
      const device = query.dev === undefined ? undefined : registry.link(query.dev)
      const mac = query.mac === undefined ? undefined : formatMac(...macOf(query.mac))
      const masters = bridge === undefined ? undefined : new Set(registry.links().filter((e) => bridgeOf(e) === bridge).map(linkName))
      let found = false
      // Elsewhere than on VXLAN ports both words mean the bridge's table
      const self = query.self === true && (device === undefined || device.kind === 'vxlan')
      for (const source of [...(self ? [] : [scan(fdb, bridgeRows)]), ...(query.master === true ? [] : [scan(tunnelFdb, tunnelRows)])]) {
        for (const shown of source) {
          if (shown === undefined) {
            yield undefined // traffic goes on, also while nothing is found
            continue
          }
          if (masters !== undefined && !masters.has(shown.ifname)) continue
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
