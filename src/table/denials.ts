/**
 * What policies have denied: packets counted by (source app, destination app, protocol, destination port), with the last one's addresses
 * and time. Source app 0: unmarked packets.
 *
 * Policy when full (`capacity` rows): a new row takes the place of the one that was counted longest ago.
 */

export interface DenialsOptions {
  capacity?: number
}

/** A row, for showing. Addresses as int32 in host order, `last` in milliseconds of the engine's clock. */
export interface Denial {
  from: number
  to: number
  protocol: number
  port: number
  packets: number
  last: number
  source: number
  destination: number
}

const swap = (word: number): number => ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)

export type Denials = ReturnType<typeof createDenials>

export const createDenials = (options: DenialsOptions = {}) => {
  const capacity = options.capacity ?? 1024
  const int = () => new Int32Array(capacity)
  const apps = int() // source app, destination app << 16
  const target = int() // destination port, protocol << 16
  const source = int()
  const destination = int()
  const packets = new Float64Array(capacity)
  const last = new Float64Array(capacity)
  // In order of the last count
  const newer = int()
  const older = int()
  let newest = -1
  let oldest = -1
  let used = 0
  let replaced = 0
  const bits = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const buckets = new Int32Array(1 << bits).fill(-1)
  const chain = int()

  const bucketOf = (a: number, t: number): number => {
    const h = Math.imul(a, 0x9e3779b1) ^ Math.imul(t, 0x85ebca6b)
    return Math.imul(h ^ (h >>> 15), 0xc2b2ae35) >>> (32 - bits)
  }

  const unlink = (r: number): void => {
    if (newer[r]! < 0) newest = older[r]!
    else older[newer[r]!] = older[r]!
    if (older[r]! < 0) oldest = newer[r]!
    else newer[older[r]!] = newer[r]!
  }

  const linkNewest = (r: number): void => {
    newer[r] = -1
    older[r] = newest
    if (newest >= 0) newer[newest] = r
    else oldest = r
    newest = r
  }

  const forget = (r: number): void => {
    const b = bucketOf(apps[r]!, target[r]!)
    if (buckets[b] === r) buckets[b] = chain[r]!
    else {
      let before = buckets[b]!
      while (chain[before] !== r) before = chain[before]!
      chain[before] = chain[r]!
    }
    unlink(r)
    replaced++
  }

  /** One more packet; addresses as an aligned little-endian load of its header sees them. */
  const note = (from: number, to: number, protocol: number, port: number, src: number, dst: number, now: number): void => {
    const a = from | (to << 16)
    const t = port | (protocol << 16)
    const b = bucketOf(a, t)
    let r = buckets[b]!
    while (r >= 0 && (apps[r] !== a || target[r] !== t)) r = chain[r]!
    if (r < 0) {
      if (used < capacity) r = used++
      else {
        r = oldest
        forget(r)
      }
      apps[r] = a
      target[r] = t
      packets[r] = 0
      chain[r] = buckets[b]!
      buckets[b] = r
      linkNewest(r)
    } else if (r !== newest) {
      unlink(r)
      linkNewest(r)
    }
    packets[r]!++
    last[r] = now
    source[r] = src
    destination[r] = dst
  }

  return {
    capacity, note,
    /** Rows that had to go for others. */
    replaced: (): number => replaced,
    /** All rows, the last denied first. */
    list: (): Denial[] => {
      const rows: Denial[] = []
      for (let r = newest; r >= 0; r = older[r]!) {
        rows.push({
          from: apps[r]! & 0xffff, to: apps[r]! >>> 16, protocol: target[r]! >>> 16, port: target[r]! & 0xffff, packets: packets[r]!, last: last[r]!,
          source: swap(source[r]!), destination: swap(destination[r]!)
        })
      }
      return rows
    }
  }
}
