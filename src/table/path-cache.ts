/**
 * Where the packets between two addresses went: a small direct-mapped cache of whole ways through a router, from the interface they came by
 * to the bridge port they left by. An entry holds while the `epoch` it was made in lasts. Two pairs that fall on one place push each other out.
 */

const BITS = 12
/** Eight words, so that an entry lies in one cache line: source, destination, interface in, when, interface out, port out, neighbour row, its generation. */
const STRIDE = 8
const SOURCE = 0
const DESTINATION = 1
const IN = 2
const EPOCH = 3
export const OUT = 4
export const PORT = 5
export const NEIGHBOR = 6
export const GENERATION = 7

export type PathCache = ReturnType<typeof createPathCache>

export const createPathCache = () => {
  const t = new Int32Array(STRIDE << BITS).fill(-1)
  let epoch = 0
  const seen = new Int32Array(3).fill(-1)

  return {
    /** The entries' words; OUT, PORT, NEIGHBOR and GENERATION of an entry that `holds` are for callers. */
    words: t,
    /** A number for this state of the world, which is three counters; it comes back after 2^31 others, and then all is forgotten. */
    epoch: (a: number, b: number, c: number): number => {
      if (a !== seen[0] || b !== seen[1] || c !== seen[2]) {
        seen[0] = a
        seen[1] = b
        seen[2] = c
        if (epoch === 0x7fffffff) {
          epoch = 0
          t.fill(-1)
        }
        epoch++
      }
      return epoch
    },
    /** Place of a pair of addresses, as little-endian loads of the packet see them, and the interface it comes by. */
    slotOf: (iface: number, from: number, to: number): number => {
      // Network byte order: what differs in a subnet is in the high bits, so they are brought down before each product
      let h = Math.imul(from ^ (from >>> 15) ^ iface, 0x9e3779b1)
      h = Math.imul(h ^ (h >>> 16) ^ to ^ (to >>> 15), 0x85ebca6b)
      return (Math.imul(h ^ (h >>> 15), 0xc2b2ae35) >>> (32 - BITS)) * STRIDE
    },
    holds: (slot: number, iface: number, from: number, to: number, when: number): boolean =>
      t[slot + SOURCE] === from && t[slot + DESTINATION] === to && t[slot + IN] === iface && t[slot + EPOCH] === when,
    put: (
      slot: number, iface: number, from: number, to: number, when: number, out: number, port: number, neighbor: number, generation: number
    ): void => {
      t[slot + SOURCE] = from
      t[slot + DESTINATION] = to
      t[slot + IN] = iface
      t[slot + EPOCH] = when
      t[slot + OUT] = out
      t[slot + PORT] = port
      t[slot + NEIGHBOR] = neighbor
      t[slot + GENERATION] = generation
    }
  }
}
