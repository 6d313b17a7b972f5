/**
 * Peers that send packets without a mark through a tunnel with group policy. Such a packet has the peer's tag in bits of its mark that stay
 * in here (tunnels carry others): who lets it in to no app, behind bridges and routers, can tell who sent it.
 *
 * Policy when full: a peer has one place, by the hash of its address; who comes later takes it over.
 */
import { AF_INET } from './remotes.js'

/** Bits 23 to 29 of a mark: the highest is 1, the others are the place. 0: no such packet. */
const TAG_SHIFT = 23
const TAG_MASK = 0x7f
const IS_TAGGED = 0x40
const PLACES = 64
const PLACE_SHIFT = 26 // the highest six bits of a hash
/** A peer: tunnel, address family, four words of its address. */
const STRIDE = 6

export type UnmarkedPeers = ReturnType<typeof createUnmarkedPeers>

export const createUnmarkedPeers = () => {
  const peers = new Int32Array(PLACES * STRIDE).fill(-1)
  const bytes = new Uint8Array(peers.buffer)

  return {
    /** The tag of a peer of a tunnel, as bits of a mark; address words as they lie on the wire, of IPv4 the first one. */
    tag: (tunnel: number, family: number, a: number, b: number, c: number, d: number): number => {
      const h = Math.imul(a ^ Math.imul(b ^ Math.imul(c ^ Math.imul(d ^ tunnel, 0x27d4eb2f), 0x165667b1), 0x85ebca6b), 0x9e3779b1)
      const place = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> PLACE_SHIFT
      const o = place * STRIDE
      peers[o] = tunnel
      peers[o + 1] = family
      peers[o + 2] = a
      peers[o + 3] = b
      peers[o + 4] = c
      peers[o + 5] = d
      return (IS_TAGGED | place) << TAG_SHIFT
    },
    /** The place that a mark tells; -1 when it tells none. */
    placeOf: (mark: number): number => {
      const tag = (mark >>> TAG_SHIFT) & TAG_MASK
      return tag === 0 ? -1 : tag & (PLACES - 1)
    },
    tunnelOf: (place: number): number => peers[place * STRIDE]!,
    /** A number that is not the same for another peer in this place, or hardly ever. */
    identityOf: (place: number): number => {
      const o = place * STRIDE
      return peers[o + 2]! ^ Math.imul(peers[o + 3]! ^ Math.imul(peers[o + 4]! ^ Math.imul(peers[o + 5]!, 0x85ebca6b), 0xc2b2ae35), 0x9e3779b1)
    },
    /** Octets of the address: 4 or 16; for display. */
    octetsOf: (place: number): Uint8Array => {
      const o = (place * STRIDE + 2) * 4
      return bytes.slice(o, o + (peers[place * STRIDE + 1] === AF_INET ? 4 : 16))
    }
  }
}
