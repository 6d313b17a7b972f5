/**
 * The routing table of one router or bridge address: routes with metrics and next hops, on top of the longest-prefix match
 * (net/ipv4/fib_trie.c, ip-route(8)). Local and broadcast routes of own addresses are in the same match, as they are in the
 * kernel's while there are no routing rules.
 *
 * Routes to one prefix form a chain: table local before main, then by metric, then in the order they came. The first whose next
 * hops are not all dead is the one in the match. A route is a row, id 1 and up, stable until it is removed; 16 bytes, and what it
 * says is an info shared with its like (fib-info.ts).
 *
 * Bounded by `maxRoutes`; beyond, adding is refused with ROUTE_FULL. Changes that concern an interface walk all rows.
 */
import { Fib } from './fib.js'
import { FibInfos, HOP_DEAD, HOP_ONLINK, tableOfType, type InfoSpec, type NextHopSpec } from './fib-info.js'
import { matchesRoute, type RouteMatch } from './route-match.js'
import { RouteRows } from './route-rows.js'

export * from './fib-info.js'
export type { RouteMatch } from './route-match.js'

/** `add` or `append` of what exists (EEXIST). */
export const ROUTE_EXISTS = -1
/** No room for another route. */
export const ROUTE_FULL = -2

export interface RouteSpec extends InfoSpec {
  /** int32, host order; bits beyond `length` are 0. */
  readonly prefix: number
  readonly length: number
}

/** A route as text is made from it. */
export interface RouteRow extends Required<RouteSpec> {
  readonly id: number
  /** It is the one that packets follow. */
  readonly active: boolean
  readonly hops: readonly (NextHopSpec & { readonly dead: boolean })[]
}

export interface RoutesOptions {
  maxRoutes?: number
}

export type Routes = RouteTable

const ADD = 0
const APPEND = 1
const REPLACE = 2

const networkOf = (prefix: number, length: number): number => (length === 0 ? 0 : prefix & (-1 << (32 - length)))

export class RouteTable {
  /** Columns by info and by next hop; hop ids of `select` and `hopAt` are rows there. */
  readonly infos = new FibInfos()
  private readonly fib = new Fib()
  private readonly maxRoutes: number
  private readonly rows = new RouteRows()

  constructor(options: RoutesOptions = {}) {
    this.maxRoutes = options.maxRoutes ?? 2_000_000
  }

  // What the packet path asks

  /** The route to an address (int32, host order); 0 when there is none. */
  lookup(address: number): number {
    return this.fib.lookup(address)
  }

  /** ROUTE_ type; 0 for id 0. */
  typeOf(id: number): number {
    return this.infos.meta[this.rows.infoOf(id)]! & 0xff
  }

  /** The next hop that a flow takes, `hash` being 31 bits of it. */
  select(id: number, hash: number): number {
    const info = this.rows.infoOf(id)
    return this.infos.hopCount[info]! > 1 ? this.infos.selectMultipath(info, hash) : this.infos.firstHop[info]!
  }

  /** Interface row of a next hop. */
  interfaceOf(hop: number): number {
    return this.infos.iface[hop]!
  }

  /** Where a packet for `destination` is sent on the link: the next hop's gateway, or itself. */
  gatewayOf(hop: number, destination: number): number {
    const via = this.infos.via[hop]!
    return via === 0 ? destination : via
  }

  /** Does any next hop of the route leave by that interface? */
  leavesBy(id: number, iface: number): boolean {
    const info = this.rows.infoOf(id)
    return this.infos.hopCount[info] === 1 ? this.infos.iface[this.infos.firstHop[info]!] === iface : this.infos.usesInterface(info, iface)
  }

  /** Is the destination itself on the link of the route's (first) next hop? */
  isOnLink(id: number): boolean {
    const hop = this.infos.firstHop[this.rows.infoOf(id)]!
    return hop !== 0 && this.infos.via[hop] === 0
  }

  /** Preferred source address, 0 for none. */
  preferredSource(id: number): number {
    return this.infos.preferredSource[this.rows.infoOf(id)]!
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
      const goes = infos.usesInterface(info, iface) && which(this.typeOf(id)) && (whole || infos.dependsOn(info, iface))
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
    return this.removeWhere((id) => this.preferredSource(id) === address)
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

  // Reading

  /** First route of exactly that prefix, active or not; 0 when there is none. `next` gives the others. */
  find(prefix: number, length: number): number {
    return this.rows.find(prefix, length)
  }

  /** The next route of the same prefix; 0 at the end. */
  next(id: number): number {
    return this.rows.nextOf(id)
  }

  prefixOf(id: number): number {
    return this.rows.prefixOf(id)
  }

  lengthOf(id: number): number {
    return this.rows.lengthOf(id)
  }

  /** Is it the route that packets to its prefix follow? */
  isActive(id: number): boolean {
    return this.rows.isInstalled(id)
  }

  protocolOf(id: number): number {
    return (this.infos.meta[this.rows.infoOf(id)]! >>> 8) & 0xff
  }

  scopeOf(id: number): number {
    return (this.infos.meta[this.rows.infoOf(id)]! >>> 16) & 0xff
  }

  tableOf(id: number): number {
    return this.infos.meta[this.rows.infoOf(id)]! >>> 24
  }

  /** uint32. */
  metricOf(id: number): number {
    return this.infos.metric[this.rows.infoOf(id)]! >>> 0
  }

  ownerOf(id: number): number {
    return this.infos.owner[this.rows.infoOf(id)]!
  }

  hopCount(id: number): number {
    return this.infos.hopCount[this.rows.infoOf(id)]!
  }

  /** Id of the n-th next hop, from 0. */
  hopAt(id: number, n: number): number {
    return this.infos.firstHop[this.rows.infoOf(id)]! + n
  }

  /** All there is to say about a route. */
  describe(id: number): RouteRow {
    const { via, iface, weight, flags } = this.infos
    const hops = Array.from({ length: this.hopCount(id) }, (_, n) => {
      const h = this.hopAt(id, n)
      const f = flags[h]!
      return { via: via[h]!, iface: iface[h]!, weight: weight[h]!, onlink: (f & HOP_ONLINK) !== 0, dead: (f & HOP_DEAD) !== 0 }
    })
    return {
      id, prefix: this.prefixOf(id), length: this.lengthOf(id), type: this.typeOf(id) as RouteRow['type'], metric: this.metricOf(id),
      protocol: this.protocolOf(id), scope: this.scopeOf(id), table: this.tableOf(id), preferredSource: this.preferredSource(id),
      owner: this.ownerOf(id), active: this.isActive(id), hops
    }
  }

  /** Visits the routes of rows `cursor` on, `max` at most; 0 to begin; the next cursor, -1 at the end. Routes made meanwhile may be missed. */
  scan(cursor: number, max: number, visit: (id: number) => void): number {
    const first = Math.max(1, cursor)
    const end = Math.min(this.rows.end, first + max)
    for (let id = first; id < end; id++) if (this.rows.infoOf(id) !== 0) visit(id)
    return end === this.rows.end ? -1 : end
  }

  /** Ids in the order `ip route` prints them: by address, longer prefixes first, then as the chain goes. For tables that fit a screen. */
  sorted(table?: number): number[] {
    const heads = this.rows.firsts()
    heads.sort((a, b) => (this.prefixOf(a) >>> 0) - (this.prefixOf(b) >>> 0) || this.lengthOf(b) - this.lengthOf(a))
    const all: number[] = []
    for (const head of heads) {
      for (let id = head; id !== 0; id = this.next(id)) if (table === undefined || this.tableOf(id) === table) all.push(id)
    }
    return all
  }

  count(): number {
    return this.rows.count
  }

  /** Bytes of all columns and of the match. */
  memoryBytes(): number {
    return this.fib.memoryBytes() + this.rows.memoryBytes() + this.infos.memoryBytes()
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
      this.refresh(head)
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
      this.fib.insert(rows.prefixOf(live), rows.lengthOf(live), live)
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
          this.fib.remove(prefix, length, id, l)
          return
        }
      }
    }
    this.fib.remove(prefix, length, 0, 0)
  }
}

/** The empty table of a new stack. */
export const createRoutes = (options: RoutesOptions = {}): Routes => new RouteTable(options)
