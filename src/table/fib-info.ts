/**
 * What routes say beside their prefix (struct fib_info of net/ipv4/fib_semantics.c): type, metric, preferred source and next hops.
 * Routes that say the same share one info row, as most of a large table do, so that a packet's next hop is found in the cache.
 *
 * The next hops of an info lie one after the other in the hop columns; a hop's id is its row there, stable while a route uses it.
 * Id 0 is none, of infos and of hops.
 */

/** Route types (linux/rtnetlink.h RTN_). */
export const ROUTE_UNICAST = 1
export const ROUTE_LOCAL = 2
export const ROUTE_BROADCAST = 3
export const ROUTE_BLACKHOLE = 6
export const ROUTE_UNREACHABLE = 7
export const ROUTE_PROHIBIT = 8
export type RouteType = 1 | 2 | 3 | 6 | 7 | 8

/** Who made a route (RTPROT_). */
export const PROTOCOL_KERNEL = 2
export const PROTOCOL_BOOT = 3
export const PROTOCOL_STATIC = 4

/** How far away the destination is (RT_SCOPE_). */
export const SCOPE_UNIVERSE = 0
export const SCOPE_LINK = 253
export const SCOPE_HOST = 254

/** Tables (RT_TABLE_). */
export const TABLE_MAIN = 254
export const TABLE_LOCAL = 255

/** Next hop flags: the gateway is taken to be on the link; the interface is down; of a local route, which stays when it is down. */
export const HOP_ONLINK = 1
export const HOP_DEAD = 2
const HOP_HOST = 4

/** Most next hops of a route. */
const MAX_NEXT_HOPS = 256

/** A next hop. */
export interface NextHopSpec {
  /** Gateway, int32 in host order; 0 when the destination itself is on the link. */
  readonly via: number
  /** Interface row. */
  readonly iface: number
  /** 1..256, its share of the flows. */
  readonly weight: number
  readonly onlink: boolean
}

export interface InfoSpec {
  readonly type: RouteType
  /** uint32; the lowest wins. */
  readonly metric: number
  readonly protocol: number
  /** int32; 0 for none. */
  readonly preferredSource: number
  /** Default: as iproute2 sets it for the type and the gateway. */
  readonly scope?: number | undefined
  /** TABLE_MAIN or TABLE_LOCAL; default: by type, as iproute2 does. */
  readonly table?: number | undefined
  /** The caller's number for who is responsible. */
  readonly owner?: number | undefined
  /** Those of unicast, local and broadcast routes: at least one. */
  readonly hops?: readonly NextHopSpec[] | undefined
}

/** The table a route of that type goes into. */
export const tableOfType = (type: number): number => (type === ROUTE_LOCAL || type === ROUTE_BROADCAST ? TABLE_LOCAL : TABLE_MAIN)

const scopeOfSpec = (spec: InfoSpec): number => {
  if (spec.scope !== undefined) return spec.scope
  if (spec.type === ROUTE_LOCAL) return SCOPE_HOST
  if (spec.type === ROUTE_BROADCAST) return SCOPE_LINK
  return spec.hops?.length === 1 && spec.hops[0]!.via === 0 ? SCOPE_LINK : SCOPE_UNIVERSE
}

const needsHops = (type: number): boolean => type === ROUTE_UNICAST || type === ROUTE_LOCAL || type === ROUTE_BROADCAST

const wider = (old: Int32Array): Int32Array<ArrayBuffer> => {
  const wide = new Int32Array(old.length * 2)
  wide.set(old)
  return wide
}

const mixed = (h: number, n: number): number => {
  const m = Math.imul(h ^ n, 0x9e3779b1)
  return m ^ (m >>> 15)
}

export class FibInfos {
  // By info
  /** type | protocol << 8 | scope << 16 | table << 24 */
  meta = new Int32Array(16)
  metric = new Int32Array(16)
  preferredSource = new Int32Array(16)
  owner = new Int32Array(16)
  firstHop = new Int32Array(16)
  hopCount = new Int32Array(16)
  liveHops = new Int32Array(16)
  private references = new Int32Array(16)
  /** Next info of the same hash value, or next free one. */
  private link = new Int32Array(16)
  private buckets = new Int32Array(16)
  private count = 1
  private inUse = 0
  private freeInfo = 0

  // By hop
  via = new Int32Array(16)
  iface = new Int32Array(16).fill(-1)
  weight = new Int32Array(16)
  flags = new Int32Array(16)
  /** Largest 31-bit flow hash that goes to this hop; -1 when none does. */
  upperBound = new Int32Array(16)
  /** Info the hop belongs to; 0 when it is free. */
  ofInfo = new Int32Array(16)
  /** For the forwarder: the neighbour row it last found, -1 for none, and that row's generation. */
  neighbor = new Int32Array(16).fill(-1)
  neighborGeneration = new Int32Array(16)
  private hops = 1
  /** First hops of free runs, by length. */
  private readonly freeRuns: number[][] = []

  /** Interfaces whose hops are dead from the start. */
  private readonly down = new Set<number>()

  /** Is any hop alive? Types without hops always are. */
  isAlive(info: number): boolean {
    return this.hopCount[info] === 0 || this.liveHops[info]! > 0
  }

  /** The row for a spec, counted as used once more. RangeError for next hops that cannot be. */
  acquire(spec: InfoSpec): number {
    const hops = spec.hops ?? []
    if (needsHops(spec.type) ? hops.length === 0 || hops.length > MAX_NEXT_HOPS : hops.length > 0) {
      throw new RangeError(`a route of type ${spec.type} cannot have ${hops.length} next hops`)
    }
    for (const h of hops) if (!(h.weight >= 1 && h.weight <= 256)) throw new RangeError(`weight ${h.weight} is not 1..256`)
    const meta = spec.type | (spec.protocol << 8) | (scopeOfSpec(spec) << 16) | ((spec.table ?? tableOfType(spec.type)) << 24)
    let hash = mixed(mixed(mixed(meta, spec.metric), spec.preferredSource), spec.owner ?? 0)
    for (const h of hops) hash = mixed(mixed(hash, h.via), h.iface + (h.weight << 16))
    hash ^= hash >>> 13
    for (let i = this.buckets[hash & (this.buckets.length - 1)]!; i !== 0; i = this.link[i]!) {
      if (this.matches(i, meta, spec, hops)) {
        this.references[i]!++
        return i
      }
    }
    return this.create(meta, hash, spec, hops)
  }

  /** One use less; the last one frees the row. */
  release(info: number): void {
    if (--this.references[info]! > 0) return
    const b = this.hashOf(info) & (this.buckets.length - 1)
    if (this.buckets[b] === info) this.buckets[b] = this.link[info]!
    else {
      let i = this.buckets[b]!
      while (this.link[i] !== info) i = this.link[i]!
      this.link[i] = this.link[info]!
    }
    const n = this.hopCount[info]!
    const first = this.firstHop[info]!
    for (let h = first; h < first + n; h++) {
      this.ofInfo[h] = 0
      this.iface[h] = -1
    }
    if (n > 0) (this.freeRuns[n] ??= []).push(first)
    this.meta[info] = 0
    this.hopCount[info] = 0
    this.link[info] = this.freeInfo
    this.freeInfo = info
    this.inUse--
  }

  /** The hop of a route of several for a 31-bit flow hash (fib_select_multipath); the first one when none is alive. */
  selectMultipath(info: number, hash: number): number {
    const first = this.firstHop[info]!
    const end = first + this.hopCount[info]!
    for (let h = first; h < end; h++) if (hash <= this.upperBound[h]!) return h
    return first
  }

  /**
   * Marks the hops of an interface dead or alive, those made while it stays down too. Calls `changed(info)` where the first hop
   * came alive or the last one died.
   */
  setInterfaceState(iface: number, up: boolean, changed: (info: number) => void): void {
    if (up) this.down.delete(iface)
    else this.down.add(iface)
    this.markHops(iface, up, 1, changed)
  }

  /** Marks the hops of an interface dead that are one of several. */
  loseHops(iface: number, changed: (info: number) => void): void {
    this.markHops(iface, false, 2, changed)
  }

  /** Does an info lead to an interface by any of its hops? */
  usesInterface(info: number, iface: number): boolean {
    const first = this.firstHop[info]!
    const end = first + this.hopCount[info]!
    for (let h = first; h < end; h++) if (this.iface[h] === iface) return true
    return false
  }

  /** Are all hops of an info dead or of that interface? */
  dependsOn(info: number, iface: number): boolean {
    const first = this.firstHop[info]!
    const end = first + this.hopCount[info]!
    for (let h = first; h < end; h++) if (this.iface[h] !== iface && (this.flags[h]! & HOP_DEAD) === 0) return false
    return this.hopCount[info]! > 0
  }

  /** Infos in use. */
  size(): number {
    return this.inUse
  }

  memoryBytes(): number {
    return this.meta.byteLength * 9 + this.buckets.byteLength + this.via.byteLength * 8
  }

  private matches(i: number, meta: number, spec: InfoSpec, hops: readonly NextHopSpec[]): boolean {
    if (this.meta[i] !== meta || this.metric[i] !== (spec.metric | 0) || this.preferredSource[i] !== (spec.preferredSource | 0) ||
      this.owner[i] !== (spec.owner ?? 0) || this.hopCount[i] !== hops.length) return false
    const first = this.firstHop[i]!
    return hops.every((h, n) => this.via[first + n] === (h.via | 0) && this.iface[first + n] === h.iface && this.weight[first + n] === h.weight &&
      ((this.flags[first + n]! & HOP_ONLINK) !== 0) === h.onlink)
  }

  /** The hash of acquire, from the columns. */
  private hashOf(info: number): number {
    let hash = mixed(mixed(mixed(this.meta[info]!, this.metric[info]!), this.preferredSource[info]!), this.owner[info]!)
    const first = this.firstHop[info]!
    for (let h = first; h < first + this.hopCount[info]!; h++) hash = mixed(mixed(hash, this.via[h]!), this.iface[h]! + (this.weight[h]! << 16))
    return hash ^ (hash >>> 13)
  }

  private create(meta: number, hash: number, spec: InfoSpec, hops: readonly NextHopSpec[]): number {
    let info = this.freeInfo
    if (info !== 0) this.freeInfo = this.link[info]!
    else {
      if (this.count === this.meta.length) this.growInfos()
      info = this.count++
    }
    this.inUse++
    this.meta[info] = meta
    this.metric[info] = spec.metric
    this.preferredSource[info] = spec.preferredSource
    this.owner[info] = spec.owner ?? 0
    this.references[info] = 1
    this.hopCount[info] = hops.length
    const b = hash & (this.buckets.length - 1)
    this.link[info] = this.buckets[b]!
    this.buckets[b] = info
    const first = hops.length === 0 ? 0 : this.freeRuns[hops.length]?.pop() ?? this.newRun(hops.length)
    this.firstHop[info] = first
    let live = 0
    for (let n = 0; n < hops.length; n++) {
      const h = first + n
      const hop = hops[n]!
      const host = spec.type === ROUTE_LOCAL
      const dead = !host && this.down.has(hop.iface)
      this.via[h] = hop.via
      this.iface[h] = hop.iface
      this.weight[h] = hop.weight
      this.flags[h] = (hop.onlink ? HOP_ONLINK : 0) | (dead ? HOP_DEAD : 0) | (host ? HOP_HOST : 0)
      this.ofInfo[h] = info
      this.neighbor[h] = -1
      this.neighborGeneration[h] = 0
      if (!dead) live++
    }
    this.liveHops[info] = live
    this.rebalance(info)
    return info
  }

  private markHops(iface: number, up: boolean, atLeast: number, changed: (info: number) => void): void {
    for (let h = 1; h < this.hops; h++) {
      if (this.iface[h] !== iface || ((this.flags[h]! & HOP_DEAD) === 0) === up || (this.flags[h]! & HOP_HOST) !== 0) continue
      const info = this.ofInfo[h]!
      if (this.hopCount[info]! < atLeast) continue
      this.flags[h]! ^= HOP_DEAD
      this.liveHops[info]! += up ? 1 : -1
      this.rebalance(info)
      if (this.liveHops[info] === (up ? 1 : 0)) changed(info)
    }
  }

  /** Divides the hash space among the live hops by weight (fib_rebalance). */
  private rebalance(info: number): void {
    const first = this.firstHop[info]!
    const end = first + this.hopCount[info]!
    let total = 0
    for (let h = first; h < end; h++) if ((this.flags[h]! & HOP_DEAD) === 0) total += this.weight[h]!
    let w = 0
    for (let h = first; h < end; h++) {
      const dead = (this.flags[h]! & HOP_DEAD) !== 0
      if (!dead) w += this.weight[h]!
      this.upperBound[h] = dead ? -1 : Math.floor((w * 2 ** 31 + (total >> 1)) / total) - 1
    }
  }

  private newRun(n: number): number {
    while (this.hops + n > this.via.length) {
      const old = this.via.length
      this.via = wider(this.via)
      this.iface = wider(this.iface).fill(-1, old)
      this.weight = wider(this.weight)
      this.flags = wider(this.flags)
      this.upperBound = wider(this.upperBound)
      this.ofInfo = wider(this.ofInfo)
      this.neighbor = wider(this.neighbor).fill(-1, old)
      this.neighborGeneration = wider(this.neighborGeneration)
    }
    this.hops += n
    return this.hops - n
  }

  private growInfos(): void {
    this.meta = wider(this.meta)
    this.metric = wider(this.metric)
    this.preferredSource = wider(this.preferredSource)
    this.owner = wider(this.owner)
    this.firstHop = wider(this.firstHop)
    this.hopCount = wider(this.hopCount)
    this.liveHops = wider(this.liveHops)
    this.references = wider(this.references)
    this.link = wider(this.link)
    this.buckets = new Int32Array(this.meta.length)
    for (let i = 1; i < this.count; i++) {
      const b = this.hashOf(i) & (this.buckets.length - 1)
      this.link[i] = this.buckets[b]!
      this.buckets[b] = i
    }
  }
}
