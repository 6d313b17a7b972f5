/**
 * Where the packets between two addresses went: a small direct-mapped cache of whole ways through a router, from the interface they came by
 * to the bridge port they left by. An entry holds while the `epoch` it was made in lasts. Two pairs that fall on one place push each other out.
 */
import { createEpoch } from './epoch.js'

const BITS = 14
/** Eight words, so that an entry lies in one cache line. The neighbour is a row of its table, with the stamp it had and its MAC address. */
const STRIDE = 8
const SOURCE = 0
const DESTINATION = 1
const EPOCH = 2
/** Interface in, interface out, port out: 10, 10 and 12 bits. */
export const WAY = 3
export const NEIGHBOR = 4
export const STAMP = 5
export const MAC_HI = 6
export const MAC_LO = 7
const IN_MASK = 0x3ff
/** Rows that there may be of interfaces and of ports. */
export const MAX_INTERFACES = 1 << 10
export const MAX_PORTS = 1 << 12
/** Of an entry's WAY. */
export const outOf = (way: number): number => (way >>> 10) & 0x3ff
export const portOf = (way: number): number => way >>> 20

export type PathCache = ReturnType<typeof createPathCache>

export const createPathCache = () => {
  // Zero is no epoch, and memory that was never written takes none of the machine's
  const t = new Int32Array(STRIDE << BITS)

  return {
    /** The entries' words; from WAY on those of an entry that `holds` are for callers. */
    words: t,
    /** Of this state of the world (epoch.ts). */
    epoch: createEpoch(() => t.fill(0)),
    /** Place of a pair of addresses, as little-endian loads of the packet see them, and the interface it comes by. */
    slotOf: (iface: number, from: number, to: number): number => {
      // Network byte order: what differs in a subnet is in the high bits, so they are brought down before each product
      let h = Math.imul(from ^ (from >>> 15) ^ iface, 0x9e3779b1)
      h = Math.imul(h ^ (h >>> 16) ^ to ^ (to >>> 15), 0x85ebca6b)
      return (Math.imul(h ^ (h >>> 15), 0xc2b2ae35) >>> (32 - BITS)) * STRIDE
    },
    holds: (slot: number, iface: number, from: number, to: number, when: number): boolean =>
      t[slot + SOURCE] === from && t[slot + DESTINATION] === to && t[slot + EPOCH] === when && (t[slot + WAY]! & IN_MASK) === iface,
    put: (
      slot: number, iface: number, from: number, to: number, when: number, out: number, port: number, neighbor: number, stamp: number, macHi: number,
      macLo: number
    ): void => {
      t[slot + SOURCE] = from
      t[slot + DESTINATION] = to
      t[slot + EPOCH] = when
      t[slot + WAY] = iface | (out << 10) | (port << 20)
      t[slot + NEIGHBOR] = neighbor
      t[slot + STAMP] = stamp
      t[slot + MAC_HI] = macHi
      t[slot + MAC_LO] = macLo
    }
  }
}
