/**
 * Datagrams that come in fragments and whose first fragment a port's policies have let in: only that one has ports. The others follow it for
 * 30 seconds, the time that reassembly has (RFC 791 3.2, ipfrag_time).
 *
 * Policy when full: a datagram has four places it can be in; it takes the one whose time is over first. Fragments of a datagram that was
 * pushed out are dropped like those of one that was never seen. So are those of a datagram in the middle of which policies have changed.
 */

export interface FragmentDecisionsOptions {
  /** Datagrams remembered; rounded up to a power of two. */
  capacity?: number
  /** Seconds. */
  time?: number
  /** Any integer; unknown to hosts, so that they cannot arrange collisions. */
  seed?: number
}

// Words of an entry: source, destination, identification | protocol << 16, port + 1 (0: free), mark, last second, generation of the policies
const STRIDE = 8
const WAYS = 4

export type FragmentDecisions = ReturnType<typeof createFragmentDecisions>

export const createFragmentDecisions = (options: FragmentDecisionsOptions = {}) => {
  const capacity = 1 << (32 - Math.clz32(Math.max(options.capacity ?? 4096, WAYS) - 1))
  const time = options.time ?? 30
  const seed = (options.seed ?? 0) | 0
  const sets = capacity / WAYS
  const t = new Int32Array(capacity * STRIDE)

  const setOf = (source: number, destination: number, identity: number, port: number): number => {
    let h = Math.imul(source ^ seed, 0x9e3779b1) + Math.imul(destination ^ (port << 20), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 15) ^ identity, 0xc2b2ae35)
    return ((h ^ (h >>> 13)) & (sets - 1)) * WAYS * STRIDE
  }

  const find = (first: number, source: number, destination: number, identity: number, port: number): number => {
    for (let i = first; i < first + WAYS * STRIDE; i += STRIDE) {
      if (t[i + 2] === identity && t[i] === source && t[i + 1] === destination && t[i + 3] === port + 1) return i
    }
    return -1
  }

  return {
    capacity,
    /** The first fragment of a datagram was let out by `port`; `identity` is identification | protocol << 16. */
    allow: (source: number, destination: number, identity: number, port: number, mark: number, generation: number, second: number): void => {
      const first = setOf(source, destination, identity, port)
      let i = find(first, source, destination, identity, port)
      if (i < 0) {
        i = first
        for (let j = first; j < first + WAYS * STRIDE && t[i + 3] !== 0; j += STRIDE) if (t[j + 3] === 0 || t[j + 5]! < t[i + 5]!) i = j
      }
      t[i] = source
      t[i + 1] = destination
      t[i + 2] = identity
      t[i + 3] = port + 1
      t[i + 4] = mark
      t[i + 5] = second + time
      t[i + 6] = generation
    },
    /** The first fragment was denied: what was said of an earlier datagram with the same identification no longer counts. */
    deny: (source: number, destination: number, identity: number, port: number): void => {
      const i = find(setOf(source, destination, identity, port), source, destination, identity, port)
      if (i >= 0) t[i + 3] = 0
    },
    /** May another fragment with this mark leave by `port`? */
    isAllowed: (
      source: number, destination: number, identity: number, port: number, mark: number, generation: number, second: number
    ): boolean => {
      const i = find(setOf(source, destination, identity, port), source, destination, identity, port)
      return i >= 0 && t[i + 4] === mark && t[i + 6] === generation && t[i + 5]! >= second
    }
  }
}
