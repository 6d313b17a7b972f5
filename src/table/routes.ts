/**
 * The routing table of one router or bridge address: routes with metrics and next hops, on top of the longest-prefix match
 * (net/ipv4/fib_trie.c, ip-route(8)). Local and broadcast routes of own addresses are in the same match, as they are in the
 * kernel's while there are no routing rules.
 *
 * Routes to one prefix form a chain: table local before main, then by metric, then in the order they came. The first whose next
 * hops are not all dead is the one in the match. A route is a row, id 1 and up, stable until it is removed; 12 bytes, and what it
 * says is an info shared with its like (fib-info.ts). The match leads to infos, not to routes, so that no packet asks for a row.
 *
 * Bounded by `maxRoutes`; beyond, adding is refused with ROUTE_FULL. Changes that concern an interface walk all rows.
 */
import { tableOfType } from './fib-info.js'
import { matchesRoute, type RouteMatch } from './route-match.js'
import { networkOf, RouteReader, type RouteRow, type RouteSpec } from './route-reader.js'
import { MAX_ROWS } from './route-rows.js'

export * from './fib-info.js'
export type { RouteMatch } from './route-match.js'
export type { RouteRow, RouteSpec } from './route-reader.js'

/** `add` or `append` of what exists (EEXIST). */
export const ROUTE_EXISTS = -1
/** No room for another route. */
export const ROUTE_FULL = -2

export interface RoutesOptions {
  maxRoutes?: number | undefined
  /** When the match becomes flat (fib.ts). */
  flatFrom?: number | undefined
}

export type Routes = RouteTable

const ADD = 0
const APPEND = 1
const REPLACE = 2

export class RouteTable extends RouteReader {
  private readonly maxRoutes: number

  constructor(options: RoutesOptions = {}) {
    super(options.flatFrom)
    this.maxRoutes = Math.min(options.maxRoutes ?? 2_000_000, MAX_ROWS)
  }

  // Changes

  /** A new route; its id, ROUTE_EXISTS when the table has one with this prefix and metric, ROUTE_FULL. RangeError for a spec that cannot be. */
  add(spec: RouteSpec): number {
    return this.insert(spec, ADD)
  }

  /** A new route after those with the same prefix and metric; ROUTE_EXISTS only when one of them says the same. */
  append(spec: RouteSpec): number {
    return this.insert(spec, APPEND)
  }

  /** Overwrites the first route with the same prefix and metric; adds it when there is none. ROUTE_EXISTS when a later one says the same. */
  replace(spec: RouteSpec): number {
    return this.insert(spec, REPLACE)
  }

  /** Removes the first route that matches; false when none does (ESRCH). */
  remove(match: RouteMatch): boolean {
    const table = match.table ?? tableOfType(match.type ?? 0)
    for (let id = this.find(match.prefix, match.length); id !== 0; id = this.next(id)) {
      if (this.tableOf(id) === table && matchesRoute(this, id, match)) {
        this.removeRow(id)
        return true
      }
    }
    return false
  }

  /** Removes every route that `which` accepts; returns how many. */
  removeWhere(which: (id: number) => boolean): number {
    const before = this.rows.count
    for (let id = 1; id < this.rows.end; id++) if (this.rows.infoOf(id) !== 0 && which(id)) this.removeRow(id)
    return before - this.rows.count
  }

  /**
   * An interface is no longer to be routed over (fib_sync_down_dev). Of the routes whose type `which` accepts, those go that have
   * no other live next hop, or with `whole`, when the interface is given up for good, all that lead there; the others lose that
   * next hop until setInterfaceState says it is up. Returns what was removed.
   */
  removeByInterface(iface: number, which: (type: number) => boolean = () => true, whole = false): RouteRow[] {
    const { infos } = this
    const removed: RouteRow[] = []
    const go = (id: number): boolean => {
      const info = this.rows.infoOf(id)
      const goes = infos.usesInterface(info, iface) && which(this.typeOf(info)) && (whole || infos.dependsOn(info, iface))
      if (goes) removed.push(this.describe(id))
      return goes
    }
    this.removeWhere(go)
    const dead = new Set<number>()
    infos.loseHops(iface, (info) => dead.add(info))
    this.refreshWhere(dead)
    return removed
  }

  /** Removes the routes that prefer a source address that is gone (fib_sync_down_addr); returns how many. */
  removeByPreferredSource(address: number): number {
    return this.removeWhere((id) => this.preferredSource(this.infoOf(id)) === address)
  }

  /**
   * Next hops of an interface are dead while it is down; a route without a live one stays in the table, but is not followed.
   * Local routes are not concerned.
   */
  setInterfaceState(iface: number, up: boolean): void {
    const changed = new Set<number>()
    this.infos.setInterfaceState(iface, up, (info) => changed.add(info))
    this.refreshWhere(changed)
  }

  // How it is kept

  private insert(spec: RouteSpec, mode: number): number {
    const { prefix, length } = spec
    if (!(length >= 0 && length <= 32) || networkOf(prefix, length) !== prefix) throw new RangeError(`${prefix}/${length} is not a prefix`)
    const { infos, rows } = this
    const table = spec.table ?? tableOfType(spec.type)
    const metric = spec.metric >>> 0
    const head = this.find(prefix, length)
    let before = 0
    let at = head
    while (at !== 0 && (this.tableOf(at) > table || (this.tableOf(at) === table && this.metricOf(at) < metric))) {
      before = at
      at = this.next(at)
    }
    const isSame = (id: number): boolean => id !== 0 && this.tableOf(id) === table && this.metricOf(id) === metric
    if (mode === ADD && isSame(at)) return ROUTE_EXISTS
    const info = infos.acquire(spec)
    const first = isSame(at) ? at : 0
    for (; isSame(at); at = this.next(at)) {
      if (rows.infoOf(at) === info) {
        infos.release(info)
        return mode === REPLACE && at === first ? at : ROUTE_EXISTS
      }
      before = at
    }
    if (mode === REPLACE && first !== 0) {
      infos.release(rows.infoOf(first))
      rows.setInfo(first, info)
      // It may be dead now, or alive; if it stays the one in the match, what that leads to has changed
      if (rows.isInstalled(first) && infos.isAlive(info)) this.fib.insert(prefix, length, info)
      else this.refresh(head)
      return first
    }
    if (rows.count >= this.maxRoutes) {
      infos.release(info)
      return ROUTE_FULL
    }
    const id = rows.take(prefix, length, info, at)
    if (before !== 0) rows.setNext(before, id)
    else rows.setFirst(prefix, length, id)
    this.refresh(before === 0 ? id : head)
    return id
  }

  private removeRow(id: number): void {
    const { rows } = this
    const prefix = rows.prefixOf(id)
    const length = rows.lengthOf(id)
    const wasInstalled = rows.isInstalled(id)
    let head = rows.find(prefix, length)
    if (head === id) {
      head = rows.nextOf(id)
      rows.setFirst(prefix, length, head)
    } else {
      let before = head
      while (rows.nextOf(before) !== id) before = rows.nextOf(before)
      rows.setNext(before, rows.nextOf(id))
    }
    this.infos.release(rows.infoOf(id))
    rows.give(id)
    if (wasInstalled && !this.refresh(head)) this.withdraw(prefix, length)
  }

  /** Puts the first live route of a chain into the match, or takes out what is there when none lives; false when none does. */
  private refresh(head: number): boolean {
    const { rows } = this
    let old = 0
    let live = 0
    for (let id = head; id !== 0; id = rows.nextOf(id)) {
      if (rows.isInstalled(id)) old = id
      if (live === 0 && this.infos.isAlive(rows.infoOf(id))) live = id
    }
    if (old === live) return live !== 0
    if (old !== 0) rows.setInstalled(old, false)
    if (live !== 0) {
      rows.setInstalled(live, true)
      this.fib.insert(rows.prefixOf(live), rows.lengthOf(live), rows.infoOf(live))
    } else this.withdraw(rows.prefixOf(old), rows.lengthOf(old))
    return live !== 0
  }

  private refreshWhere(infos: ReadonlySet<number>): void {
    if (infos.size === 0) return
    for (let id = 1; id < this.rows.end; id++) {
      if (infos.has(this.rows.infoOf(id))) this.refresh(this.find(this.prefixOf(id), this.lengthOf(id)))
    }
  }

  /** Takes a prefix out of the match; what covers it comes through. */
  private withdraw(prefix: number, length: number): void {
    for (let l = length - 1; l > 0; l--) {
      if (this.rows.prefixesByLength[l] === 0) continue
      for (let id = this.find(networkOf(prefix, l), l); id !== 0; id = this.next(id)) {
        if (this.isActive(id)) {
          this.fib.remove(prefix, length, this.infoOf(id), l)
          return
        }
      }
    }
    this.fib.remove(prefix, length, 0, 0)
  }
}

/** The empty table of a new stack. */
export const createRoutes = (options: RoutesOptions = {}): Routes => new RouteTable(options)
