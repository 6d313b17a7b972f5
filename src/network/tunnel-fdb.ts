/**
 * A VXLAN port's own forwarding database, by the rules of the kernel (vxlan_fdb_update and __vxlan_fdb_delete of
 * drivers/net/vxlan/vxlan_core.c): a station has one destination; a group address, and the zero address of what is flooded, have a list.
 */
import type { Engine } from '../engine/engine.js'
import { F_DYNAMIC, F_STATIC, F_STICKY, FDB_FULL } from '../table/fdb.js'
import { AF_INET, AF_INET6, REMOTE_SET } from '../table/remotes.js'
import type { RemoteCollector } from '../table/tunnel-collect.js'
import { formatMac, isGroup, isZero } from '../wire/mac.js'
import { NetworkError, type FdbRow, type OperationOf } from './operations.js'
import { macOf } from './parse.js'
import type { VxlanEntry } from './registry.js'
import { formatUnderlay, isAnyAddress, underlayAddressOf, type UnderlayAddress } from './underlay.js'

export type TunnelEntryOperation = OperationOf<'fdb.add' | 'fdb.append' | 'fdb.replace' | 'fdb.del'>

/** Flags of tunnels' entries only: both states set by hand are static and sticky, as neither ages or migrates; these tell them apart. */
const F_STATE_STATIC = 64
const F_ASKED_STICKY = 128
const STATE_FLAGS = { permanent: F_STATIC | F_STICKY, static: F_STATIC | F_STICKY | F_STATE_STATIC, dynamic: F_DYNAMIC }

/** Has the entry of an address a list of destinations? */
const isList = (hi: number, lo: number): boolean => isGroup(hi) || isZero(hi, lo)

/** A row of remotes that is to be. */
interface Destination {
  address: UnderlayAddress
  port: number
  vni: number
}

export type TunnelFdbCommands = ReturnType<typeof createTunnelFdbCommands>

export const createTunnelFdbCommands = (engine: Engine, collector: RemoteCollector) => {
  const { tunnels, tunnelFdb, remotes, clock } = engine

  const destinationOf = (e: VxlanEntry, o: TunnelEntryOperation): Destination | undefined => {
    if (o.dst === undefined) {
      if (o.port !== undefined || o.vni !== undefined) throw new NetworkError('port and vni belong to a destination: say dst ADDRESS too', 2)
      return undefined
    }
    const address = underlayAddressOf(o.dst)
    const port = o.port ?? tunnels.dstport[e.tunnel]!
    const vni = o.vni ?? tunnels.vni[e.tunnel]!
    if (!Number.isInteger(port) || port < 1 || port > 0xffff) throw new NetworkError('a UDP port is 1 to 65535', 2)
    if (!Number.isInteger(vni) || vni < 0 || vni > 0xffffff) throw new NetworkError('a VNI is 0 to 16777215', 2)
    return { address, port, vni }
  }

  /** The row of a list that is this destination, -1 when none is, and the row before it. */
  const search = (first: number, d: Destination): [row: number, before: number] => {
    const { family, words } = d.address
    for (let r = first, before = -1; r >= 0; before = r, r = remotes.next[r]!) {
      if (remotes.vni[r] === d.vni && remotes.portOf(r) === d.port && remotes.isAddress(r, family, ...words)) return [r, before]
    }
    return [-1, -1]
  }

  /**
   * A row for an entry. A dynamic entry of a station points to the row that is learned from, where it can, so that hearing the station at
   * that peer is no move.
   */
  const newRow = (t: number, d: Destination, flags: number, group: boolean): number => {
    const { family, words } = d.address
    const learns = !group && (flags & F_STATIC) === 0 && d.port === tunnels.dstport[t] && d.vni === tunnels.vni[t]
    const take = learns ? remotes.learned : remotes.add
    let r = take(t, family, ...words, d.port, d.vni)
    if (r < 0 && collector.collect(clock.second) > 0) r = take(t, family, ...words, d.port, d.vni)
    if (r < 0) throw new NetworkError(`there can be no more than ${remotes.capacity} destinations of tunnels`, 1)
    return r
  }

  /** Learned rows are shared, and collected when nobody points to them. */
  const freeRows = (first: number): void => {
    for (let r = first; r >= 0;) {
      const following = remotes.next[r]!
      if (remotes.kind[r] === REMOTE_SET) remotes.remove(r)
      r = following
    }
  }

  /** Entries of a tunnel that were set by hand; those that were learned are counted by the table. */
  const countSet = (t: number): number => {
    let set = 0
    for (let cursor = 0; cursor >= 0;) {
      cursor = tunnelFdb.scan(cursor, tunnelFdb.slots(), (entry) => {
        if (tunnelFdb.filterOf(entry) === t) set++
      })
    }
    return set - tunnelFdb.learnedCount(t)
  }

  /** maxaddress counts all entries; the table only those it learns. */
  const setLimit = (e: VxlanEntry, set: number): void => {
    const { maxaddress } = e.options
    tunnelFdb.setLimit(e.tunnel, maxaddress === 0 ? 0 : maxaddress > set ? maxaddress - set : -1)
  }

  const limit = (e: VxlanEntry): void => {
    if (e.options.maxaddress !== 0) setLimit(e, countSet(e.tunnel))
  }

  const create = (e: VxlanEntry, o: TunnelEntryOperation, hi: number, lo: number, flags: number, d: Destination): void => {
    const t = e.tunnel
    const { maxaddress } = e.options
    if (maxaddress !== 0 && countSet(t) + tunnelFdb.learnedCount(t) >= maxaddress) {
      throw new NetworkError(`No space left on device: ${o.dev} has ${maxaddress} entries, its maxaddress`, 1)
    }
    const row = newRow(t, d, flags, isList(hi, lo))
    if (tunnelFdb.add(t, t, hi, lo, row, flags, clock.now) !== FDB_FULL) return
    freeRows(row)
    throw new NetworkError('the forwarding database of tunnels is full', 1)
  }

  /** `append` or `replace` where there is an entry: its state is what is asked for now; only `replace` changes a station's destination. */
  const change = (e: VxlanEntry, o: TunnelEntryOperation, entry: number, hi: number, lo: number, flags: number, d: Destination): void => {
    const t = e.tunnel
    const first = tunnelFdb.portOf(entry)
    const known = search(first, d)[0] >= 0
    let to = first
    if (!known && isList(hi, lo)) {
      let last = first
      while (remotes.next[last]! >= 0) last = remotes.next[last]!
      remotes.next[last] = newRow(t, d, flags, true)
    } else if (!known && o.op === 'fdb.replace') {
      to = newRow(t, d, flags, false)
    }
    tunnelFdb.replace(t, t, hi, lo, to, flags, clock.now)
    if (to !== first) freeRows(first)
  }

  const set = (e: VxlanEntry, o: TunnelEntryOperation): void => {
    const [hi, lo] = macOf(o.mac)
    const t = e.tunnel
    const d = destinationOf(e, o)
    if (d === undefined) {
      throw new NetworkError(`an entry of ${o.dev} needs a destination: dst ADDRESS (or say master, for an entry of its bridge)`, 2)
    }
    if (d.address.family !== (tunnels.family[t] === 4 ? AF_INET : AF_INET6)) {
      throw new NetworkError(`${o.dst} is of another family: ${o.dev} goes over IPv${tunnels.family[t]}`, 2)
    }
    if (isAnyAddress(d.address)) throw new NetworkError(`"${o.dst}" is no address of a peer`, 2)
    if (o.op === 'fdb.replace' && isList(hi, lo)) {
      throw new NetworkError(`Cannot replace non-unicast fdb entries: append to ${o.mac} and delete from it`, 1)
    }
    const flags = STATE_FLAGS[o.state ?? 'permanent'] | (o.sticky === true ? F_ASKED_STICKY : 0)
    const entry = tunnelFdb.find(t, hi, lo)
    if (entry >= 0 && o.op === 'fdb.add') throw new NetworkError(`File exists: ${o.dev} has an entry for ${o.mac} already`, 1)
    if (entry >= 0) change(e, o, entry, hi, lo, flags, d)
    else create(e, o, hi, lo, flags, d)
    limit(e)
  }

  /** Takes one destination away, and the entry with the last one, or all. A destination that is not there is none to take away. */
  const remove = (e: VxlanEntry, o: TunnelEntryOperation): void => {
    const [hi, lo] = macOf(o.mac)
    const t = e.tunnel
    const d = destinationOf(e, o)
    const entry = tunnelFdb.find(t, hi, lo)
    if (entry < 0) throw new NetworkError(`no entry ${o.mac} on ${o.dev}`, 1)
    const first = tunnelFdb.portOf(entry)
    if (d !== undefined && !isAnyAddress(d.address)) {
      const [row, before] = search(first, d)
      if (row < 0) return
      if (remotes.next[first]! >= 0) {
        if (before >= 0) remotes.next[before] = remotes.next[row]!
        else tunnelFdb.replace(t, t, hi, lo, remotes.next[row]!, tunnelFdb.flagsOf(entry), clock.now)
        remotes.remove(row)
        return
      }
    }
    tunnelFdb.remove(t, hi, lo)
    freeRows(first)
    limit(e)
  }

  /** Removes the entries of a tunnel that match; their rows are free when they were set by hand. */
  const flush = (e: VxlanEntry, mask: number): void => {
    const t = e.tunnel
    const first: number[] = []
    for (let cursor = 0; cursor >= 0;) {
      cursor = tunnelFdb.scan(cursor, tunnelFdb.slots(), (entry) => {
        if (tunnelFdb.filterOf(entry) === t && (tunnelFdb.flagsOf(entry) & mask) === 0) first.push(tunnelFdb.portOf(entry))
      })
    }
    tunnelFdb.flush({ filter: t, flagsMask: mask, flags: 0 })
    // An entry may have been visited twice; a row that was given back is free already
    for (const row of new Set(first)) if (remotes.kind[row] === REMOTE_SET) freeRows(row)
    limit(e)
  }

  return {
    set, remove, limit,
    /** Learned ones and those added as dynamic, as when the link goes down. */
    flushDynamic: (e: VxlanEntry): void => flush(e, F_STATIC),
    /** All, the flood list too, as `bridge fdb flush dev NAME` does. */
    flushAll: (e: VxlanEntry): void => flush(e, 0),
    /** Rows of an entry: one a destination. */
    rows: (e: VxlanEntry, entry: number): FdbRow[] => {
      const t = e.tunnel
      const flags = tunnelFdb.flagsOf(entry)
      const list: FdbRow[] = []
      for (let r = tunnelFdb.portOf(entry); r >= 0; r = remotes.next[r]!) {
        const port = remotes.portOf(r)
        const vni = remotes.vni[r]!
        list.push({
          mac: formatMac(tunnelFdb.hiOf(entry), tunnelFdb.loOf(entry)),
          ifname: e.name,
          dst: formatUnderlay(remotes.octetsOf(r)),
          ...(port === tunnels.dstport[t] ? {} : { port }),
          ...(vni === tunnels.vni[t] ? {} : { vni }),
          used: Math.floor(clock.now / 1000) - tunnelFdb.usedOf(entry),
          updated: Math.floor(clock.now / 1000) - tunnelFdb.updatedOf(entry),
          flags: ['self', ...((flags & F_ASKED_STICKY) !== 0 ? ['sticky'] : [])],
          state: (flags & F_STATE_STATIC) !== 0 ? 'static' : (flags & F_STATIC) !== 0 ? 'permanent' : ''
        })
      }
      return list
    }
  }
}
