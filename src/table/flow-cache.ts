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
/** An entry is five words of eight, so that it lies in one cache line: source, destination, key, out, gateway. */
const STRIDE = 8
const SOURCE = 0
const DESTINATION = 1
const KEY = 2
const OUT = 3
const GATEWAY = 4
const NO_KEY = -1
/** Interface rows take the low bits of a key, the generation the others; after so many changes everything is forgotten. */
const INTERFACE_BITS = 10
const GENERATIONS = 1 << (31 - INTERFACE_BITS)

export const createFlowCache = (routing: Generations) => {
  const t = new Int32Array(STRIDE << BITS).fill(NO_KEY)
  let age = 0

  const keyOf = (iface: number): number => {
    const g = routing.generation()
    if (((g / GENERATIONS) | 0) !== age) {
      age = (g / GENERATIONS) | 0
      t.fill(NO_KEY)
    }
    return iface | ((g % GENERATIONS) << INTERFACE_BITS)
  }

  return {
    /** Place of a flow's entry. */
    slotOf: (iface: number, from: number, to: number): number => {
      const h = Math.imul(from ^ Math.imul(iface + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(to, 0xc2b2ae35)
      return (Math.imul(h ^ (h >>> 15), 0x9e3779b1) >>> (32 - BITS)) * STRIDE
    },
    holds: (slot: number, iface: number, from: number, to: number): boolean =>
      t[slot + SOURCE] === from && t[slot + DESTINATION] === to && keyOf(iface) === t[slot + KEY], // keyOf first: it may forget
    outOf: (slot: number): number => t[slot + OUT]!,
    gatewayOf: (slot: number): number => t[slot + GATEWAY]!,
    put: (slot: number, iface: number, from: number, to: number, by: number, via: number): void => {
      t[slot + KEY] = keyOf(iface)
      t[slot + SOURCE] = from
      t[slot + DESTINATION] = to
      t[slot + OUT] = by
      t[slot + GATEWAY] = via
    }
  }
}
