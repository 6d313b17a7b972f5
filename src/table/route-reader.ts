/** What can be asked of a routing table (routes.ts): by the packet path, which goes from an address to an info, and of its rows. */
import { Fib } from './fib.js'
import { FibInfos, HOP_DEAD, HOP_ONLINK, type InfoSpec, type NextHopSpec } from './fib-info.js'
import { RouteRows } from './route-rows.js'

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

export const networkOf = (prefix: number, length: number): number => (length === 0 ? 0 : prefix & (-1 << (32 - length)))

export class RouteReader {
  /** Columns by info and by next hop; infos of `lookup`, hop ids of `select` and `hopAt` are rows there. */
  readonly infos = new FibInfos()
  protected readonly fib: Fib
  protected readonly rows = new RouteRows()

  /** `flatFrom` as in fib.ts. */
  constructor(flatFrom?: number) {
    this.fib = new Fib(flatFrom)
  }

  // What the packet path asks

  /** What packets to an address (int32, host order) follow: the info of the route (fib-info.ts); 0 when there is none. */
  lookup(address: number): number {
    return this.fib.lookup(address)
  }

  /** ROUTE_ type of an info; 0 for 0. */
  typeOf(info: number): number {
    return this.infos.meta[info]! & 0xff
  }

  /** The next hop of an info that a flow takes, `hash` being 31 bits of it. */
  select(info: number, hash: number): number {
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

  /** Does any next hop of an info leave by that interface? */
  leavesBy(info: number, iface: number): boolean {
    return this.infos.hopCount[info] === 1 ? this.infos.iface[this.infos.firstHop[info]!] === iface : this.infos.usesInterface(info, iface)
  }

  /** Is the destination itself on the link of an info's (first) next hop? */
  isOnLink(info: number): boolean {
    const hop = this.infos.firstHop[info]!
    return hop !== 0 && this.infos.via[hop] === 0
  }

  /** Preferred source address of an info, 0 for none. */
  preferredSource(info: number): number {
    return this.infos.preferredSource[info]!
  }

  // Reading

  /** The route that packets to an address follow; 0 when there is none. */
  routeTo(address: number): number {
    const length = this.fib.lengthAt(address)
    let id = this.find(networkOf(address, length), length)
    while (id !== 0 && !this.isActive(id)) id = this.next(id)
    return id
  }

  /** First route of exactly that prefix, active or not; 0 when there is none. `next` gives the others. */
  find(prefix: number, length: number): number {
    return this.rows.find(prefix, length)
  }

  /** The next route of the same prefix; 0 at the end. */
  next(id: number): number {
    return this.rows.nextOf(id)
  }

  /** What a route says: its row of `infos`. */
  infoOf(id: number): number {
    return this.rows.infoOf(id)
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
    return (this.infos.meta[this.infoOf(id)]! >>> 8) & 0xff
  }

  scopeOf(id: number): number {
    return (this.infos.meta[this.infoOf(id)]! >>> 16) & 0xff
  }

  tableOf(id: number): number {
    return this.infos.meta[this.infoOf(id)]! >>> 24
  }

  /** uint32. */
  metricOf(id: number): number {
    return this.infos.metric[this.infoOf(id)]! >>> 0
  }

  ownerOf(id: number): number {
    return this.infos.owner[this.infoOf(id)]!
  }

  hopCount(id: number): number {
    return this.infos.hopCount[this.infoOf(id)]!
  }

  /** Id of the n-th next hop, from 0. */
  hopAt(id: number, n: number): number {
    return this.infos.firstHop[this.infoOf(id)]! + n
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
      id, prefix: this.prefixOf(id), length: this.lengthOf(id), type: this.typeOf(this.infoOf(id)) as RouteRow['type'], metric: this.metricOf(id),
      protocol: this.protocolOf(id), scope: this.scopeOf(id), table: this.tableOf(id), preferredSource: this.preferredSource(this.infoOf(id)),
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
}
