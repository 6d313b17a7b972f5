/**
 * Which way the packets of a flow went: a small direct-mapped cache in front of the checks and look-ups that forwarding makes of
 * addresses and routes. An entry holds while nothing has changed: every change of routes, addresses or switches raises
 * `routing.generation()`, and an entry of another generation is none. Two flows that fall on one place push each other out.
 */
export interface Generations {
  /** Goes up with every change of what forwarding depends on. */
  generation: () => number
}

const BITS = 12
const SIZE = 1 << BITS
/** Interface rows take the low bits of a key, the generation the others; after so many changes everything is forgotten. */
const INTERFACE_BITS = 10
const GENERATIONS = 1 << (31 - INTERFACE_BITS)

export const createFlowCache = (routing: Generations) => {
  const source = new Int32Array(SIZE)
  const destination = new Int32Array(SIZE)
  const key = new Int32Array(SIZE).fill(-1)
  const out = new Int32Array(SIZE)
  const gateway = new Int32Array(SIZE)
  let age = 0

  const keyOf = (iface: number): number => {
    const g = routing.generation()
    if (((g / GENERATIONS) | 0) !== age) {
      age = (g / GENERATIONS) | 0
      key.fill(-1)
    }
    return iface | ((g % GENERATIONS) << INTERFACE_BITS)
  }

  return {
    out, gateway,
    slotOf: (iface: number, from: number, to: number): number => {
      const h = Math.imul(from ^ Math.imul(iface + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(to, 0xc2b2ae35)
      return Math.imul(h ^ (h >>> 15), 0x9e3779b1) >>> (32 - BITS)
    },
    holds: (slot: number, iface: number, from: number, to: number): boolean =>
      source[slot] === from && destination[slot] === to && keyOf(iface) === key[slot], // keyOf first: it may forget
    put: (slot: number, iface: number, from: number, to: number, by: number, via: number): void => {
      source[slot] = from
      destination[slot] = to
      key[slot] = keyOf(iface)
      out[slot] = by
      gateway[slot] = via
    }
  }
}
