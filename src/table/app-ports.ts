/**
 * Which host is behind an app's port: its MAC address and its IPv4 addresses. An address has one port in an instance, as conversations are
 * known by addresses.
 *
 * What the packet path compares lies in columns, by port, as aligned little-endian loads of a frame that begins at 2 modulo 4 see it.
 * A port without app has values that no frame matches together: its MAC address is zero.
 */
import { ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'

/** 255.255.255.255, which is nobody's. */
const NONE = -1

const swap = (word: number): number => ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)

export type AppPorts = ReturnType<typeof createAppPorts>

export const createAppPorts = (capacity: number) => {
  const macHead = new Int32Array(capacity) // MAC bytes 0..3
  const macTail = new Int32Array(capacity) // MAC bytes 4..5, then EtherType IPv4
  const address = new Int32Array(capacity).fill(NONE) // the first of them
  const all = new Map<number, Int32Array>() // by port
  // Owner of each address: pairs of address and port + 1, by open addressing; made anew with every change
  let owners = new Int32Array(32)
  let mask = owners.length - 1

  const home = (raw: number): number => (Math.imul(raw ^ (raw >>> 16), 0x9e3779b1) >>> 7) << 1

  const rebuild = (): void => {
    let count = 0
    for (const list of all.values()) count += list.length
    owners = new Int32Array(Math.max(32, 1 << (32 - Math.clz32(count * 8 - 1))))
    mask = owners.length - 1
    for (const [port, list] of all) {
      for (const raw of list) {
        let i = home(raw) & mask
        while (owners[i + 1] !== 0) i = (i + 2) & mask
        owners[i] = raw
        owners[i + 1] = port + 1
      }
    }
  }

  /** The port whose host has an address (as loaded); -1 when none has. */
  const ownerOf = (raw: number): number => {
    let i = home(raw) & mask
    while (owners[i + 1] !== 0) {
      if (owners[i] === raw) return owners[i + 1]! - 1
      i = (i + 2) & mask
    }
    return -1
  }

  return {
    macHead, macTail, address, ownerOf,
    /** Sets a port's host: MAC address as the pair of wire/mac.ts, addresses in host order. False, and nothing is set, when another port has one of them. */
    set: (port: number, hi: number, lo: number, addresses: readonly number[]): boolean => {
      const raw = Int32Array.from(new Set(addresses), swap)
      for (const a of raw) {
        const owner = ownerOf(a)
        if (owner >= 0 && owner !== port) return false
      }
      macHead[port] = hi | (lo << 16)
      macTail[port] = (lo >>> 16) | (ETHERTYPE_IPV4_LE << 16)
      address[port] = raw[0] ?? NONE
      all.set(port, raw)
      rebuild()
      return true
    },
    clear: (port: number): void => {
      macHead[port] = macTail[port] = 0
      address[port] = NONE
      if (all.delete(port)) rebuild()
    }
  }
}
