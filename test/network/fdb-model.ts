/**
 * The kernel's rules for a VXLAN device's own forwarding database, as naively as they can be said: a list of destinations by address. Commands
 * are made at random for it, for Tapway and for the kernel itself.
 */
import fc from 'fast-check'
import type { Operation } from '../../src/network/operations.js'

export type SelfOperation = Extract<Operation, { op: 'fdb.add' | 'fdb.append' | 'fdb.replace' | 'fdb.del' }> | Extract<Operation, { op: 'fdb.flush' }>

const ZERO = '00:00:00:00:00:00'
const MACS = [ZERO, '01:00:5e:00:00:fb', '02:42:0a:00:0a:0b', '02:42:0a:00:0a:0c'] as const
const TUNNEL = { port: 4789, vni: 42 }

const isList = (mac: string): boolean => mac === ZERO || mac.startsWith('01:')

interface Destination { dst: string; port: number; vni: number }
interface Entry { state: string; sticky: boolean; destinations: Destination[] }

export class FdbModel {
  readonly entries = new Map<string, Entry>()

  constructor(private readonly most = Infinity) {}

  /** Carries an operation out; false when it is refused. */
  apply(o: SelfOperation): boolean {
    if (o.op === 'fdb.flush') {
      this.entries.clear()
      return true
    }
    const d = { dst: o.dst ?? '', port: o.port ?? TUNNEL.port, vni: o.vni ?? TUNNEL.vni }
    const entry = this.entries.get(o.mac)
    const at = entry?.destinations.findIndex((e) => e.dst === d.dst && e.port === d.port && e.vni === d.vni) ?? -1
    if (o.op === 'fdb.del') {
      if (entry === undefined) return false
      if (o.dst === undefined || (at >= 0 && entry.destinations.length === 1)) this.entries.delete(o.mac)
      else if (at >= 0) entry.destinations.splice(at, 1)
      return true
    }
    if (o.dst === undefined) return false
    if (o.op === 'fdb.replace' && isList(o.mac)) return false
    const state = o.state ?? 'permanent'
    const sticky = o.sticky === true
    if (entry === undefined) {
      if (this.entries.size >= this.most) return false
      this.entries.set(o.mac, { state, sticky, destinations: [d] })
      return true
    }
    if (o.op === 'fdb.add') return false
    entry.state = state
    entry.sticky = sticky
    if (at >= 0) return true
    if (isList(o.mac)) entry.destinations.push(d)
    else if (o.op === 'fdb.replace') entry.destinations = [d]
    return true
  }

  /** As selfRows (vxlan-lab.ts) gives them. */
  rows(): string[] {
    return [...this.entries].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([mac, { state, sticky, destinations }]) => destinations.map(({ dst, port, vni }) =>
      [mac, dst, ...(port === TUNNEL.port ? [] : [`port ${port}`]), ...(vni === TUNNEL.vni ? [] : [`vni ${vni}`]), ...(sticky ? ['sticky'] : []),
        state === 'dynamic' ? '' : state].join(' ').trim()))
  }
}

/** A random command for the device `dev`; of few addresses and destinations, so that they meet. */
export const operation = (dev = 'vxlan1'): fc.Arbitrary<SelfOperation> =>
  fc.record({
    op: fc.constantFrom('fdb.add' as const, 'fdb.append' as const, 'fdb.append' as const, 'fdb.replace' as const, 'fdb.del' as const),
    mac: fc.constantFrom(...MACS),
    dev: fc.constant(dev),
    dst: fc.option(fc.constantFrom('192.168.77.2', '192.168.77.3', '192.168.77.4'), { nil: undefined, freq: 8 }),
    port: fc.constantFrom(undefined, undefined, 4789, 5000),
    vni: fc.constantFrom(undefined, undefined, 42, 43),
    state: fc.constantFrom(undefined, 'static' as const, 'dynamic' as const, 'permanent' as const),
    sticky: fc.constantFrom(undefined, undefined, undefined, true as const)
  }).map((o): SelfOperation => {
    const { op, mac, dst, port, vni, state, sticky } = o
    const where = dst === undefined ? {} : { dst, ...(port === undefined ? {} : { port }), ...(vni === undefined ? {} : { vni }) }
    // A refused replace of a list changes its state in the kernel all the same: here nothing is done by halves
    const same = isList(mac) && op !== 'fdb.del' ? {} : { ...(state === undefined ? {} : { state }), ...(sticky === undefined ? {} : { sticky }) }
    return { op, mac, dev, ...where, ...(op === 'fdb.del' ? {} : same) }
  }).chain((o) => fc.integer({ min: 0, max: 24 }).map((n): SelfOperation => (n === 0 ? { op: 'fdb.flush', dev } : o)))

/** The words of bridge(8) for it. */
export const wordsOf = (o: SelfOperation): string[] =>
  o.op === 'fdb.flush' ? ['fdb', 'flush', 'dev', o.dev!] : [
    'fdb', o.op.slice(4), o.mac, 'dev', o.dev, ...(o.dst === undefined ? [] : ['dst', o.dst]), ...(o.port === undefined ? [] : ['port', String(o.port)]),
    ...(o.vni === undefined ? [] : ['vni', String(o.vni)]), ...(o.state === undefined ? [] : [o.state]), ...(o.sticky === true ? ['sticky'] : [])
  ]
