/**
 * Datagrams being reassembled (net/ipv4/ip_fragment.c, inet_fragment.c; names as net.ipv4.ipfrag_*): what is known of each besides
 * its bytes. Fragments are packets linked by offset by the element that holds them; here are the ends of the list.
 *
 * A datagram has 30 seconds from its first fragment on, whatever comes later. Policy when full (`capacity` datagrams, or more than
 * `highThresh` bytes held): no fragment is accepted, until others are complete or their time is over.
 */

export interface FragmentsOptions {
  /** Datagrams at once. */
  capacity?: number
  /** Milliseconds a datagram may take (ipfrag_time, which is in seconds). */
  time?: number
  /** Bytes held, whole packet slots counted (ipfrag_high_thresh). */
  highThresh?: number
  /** Any integer; makes hash collisions hard to arrange. */
  seed?: number
}

export const FIRST_IN = 1
export const LAST_IN = 2

export const createFragments = (options: FragmentsOptions = {}) => {
  const capacity = options.capacity ?? 1024
  const time = options.time ?? 30_000
  const highThresh = options.highThresh ?? 4 << 20
  const seed = (options.seed ?? 0) | 0

  const int = () => new Int32Array(capacity)
  // Key
  const stack = int()
  const source = int()
  const destination = int()
  const identity = int() // identification << 8 | protocol
  // State
  const iface = int() // the last fragment came by
  const head = int() // packets by offset
  const tail = int()
  const count = int()
  const length = int() // end of the data seen so far; of the datagram's, when the last fragment is in
  const meat = int() // bytes of data that are there
  const flags = int()
  const ecn = int() // bit per ECN field value that was seen
  const memory = int() // bytes held
  const deadline = new Float64Array(capacity)

  const used = new Uint8Array(capacity)
  const following = int() // in order of age
  const preceding = int()
  let oldest = -1
  let youngest = -1
  const freeRows = int()
  let freeCount = 0
  for (let row = capacity - 1; row >= 0; row--) freeRows[freeCount++] = row

  const bits = Math.max(4, 32 - Math.clz32(capacity * 2 - 1))
  const mask = (1 << bits) - 1
  const buckets = new Int32Array(mask + 1).fill(-1)
  const chain = int()
  let bytesHeld = 0
  let fragments = 0

  const bucketOf = (s: number, src: number, dst: number, id: number): number => {
    let h = Math.imul(src ^ seed, 0x9e3779b1) ^ Math.imul(dst + s, 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 15) ^ id, 0xc2b2ae35)
    return (h ^ (h >>> 13)) & mask
  }

  /** Row of the datagram; -1 when there is none. */
  const lookup = (s: number, src: number, dst: number, id: number, protocol: number): number => {
    const key = (id << 8) | protocol
    let row = buckets[bucketOf(s, src, dst, key)]!
    while (row >= 0 && (source[row] !== src || identity[row] !== key || destination[row] !== dst || stack[row] !== s)) row = chain[row]!
    return row
  }

  /** A new row, for a key that is not there, without fragments; -1 when all are taken. */
  const create = (s: number, src: number, dst: number, id: number, protocol: number, now: number): number => {
    if (freeCount === 0) return -1
    const row = freeRows[--freeCount]!
    const key = (id << 8) | protocol
    stack[row] = s
    source[row] = src
    destination[row] = dst
    identity[row] = key
    head[row] = tail[row] = -1
    count[row] = length[row] = meat[row] = flags[row] = ecn[row] = memory[row] = 0
    deadline[row] = now + time
    used[row] = 1
    const b = bucketOf(s, src, dst, key)
    chain[row] = buckets[b]!
    buckets[b] = row
    preceding[row] = youngest
    following[row] = -1
    if (youngest < 0) oldest = row
    else following[youngest] = row
    youngest = row
    return row
  }

  /** Gives the row up; its packets are the caller's. */
  const remove = (row: number): void => {
    if (used[row] === 0) throw new Error(`datagram ${row} removed twice`)
    used[row] = 0
    bytesHeld -= memory[row]!
    fragments -= count[row]!
    const b = bucketOf(stack[row]!, source[row]!, destination[row]!, identity[row]!)
    if (buckets[b] === row) buckets[b] = chain[row]!
    else {
      let before = buckets[b]!
      while (chain[before] !== row) before = chain[before]!
      chain[before] = chain[row]!
    }
    if (preceding[row]! < 0) oldest = following[row]!
    else following[preceding[row]!] = following[row]!
    if (following[row]! < 0) youngest = preceding[row]!
    else preceding[following[row]!] = preceding[row]!
    freeRows[freeCount++] = row
  }

  /** One more fragment is held for a row, in `bytes` of memory. */
  const charge = (row: number, bytes: number): void => {
    memory[row] = memory[row]! + bytes
    count[row] = count[row]! + 1
    bytesHeld += bytes
    fragments++
  }

  return {
    capacity, stack, iface, head, tail, count, length, meat, flags, ecn, deadline,
    lookup, create, remove, charge,
    /** True when no more may be held. */
    isOver: (): boolean => bytesHeld > highThresh,
    /** The row whose time is over first; -1 when there is none. */
    oldest: (): number => oldest,
    /** The row next in age; -1 behind the last. */
    younger: (row: number): number => following[row]!,
    datagrams: (): number => capacity - freeCount,
    fragments: (): number => fragments,
    bytes: (): number => bytesHeld
  }
}
