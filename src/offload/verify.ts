/**
 * Whether the checksums of a packet are right, before it is joined to others and gets new ones: a damaged packet must stay damaged.
 * Short ones are summed here; a full-sized one is faster summed by the native part, call included.
 */
import type { Packets } from '../core/packets.js'
import { F_CSUM_OK, F_NEEDS_CSUM } from '../core/packets.js'
import { fold, isSumGood, sumAligned, swap16 } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import { IPV4_HEADER } from '../wire/ipv4.js'

/** From so many bytes on the native sum is the faster one. */
const NATIVE_FROM = 128

const BAD = -1
const UNKNOWN = 0
const GOOD = 1

/** Where a transport header and its checksum are, offsets from the start of the frame; the IP header has no options. */
export interface Transport {
  protocol: number
  /** Of the source address. Both addresses and the transport header follow it without a gap, in IPv4 as in IPv6. */
  addresses: number
  l4: number
  /** Of the checksum, from the transport header. */
  field: number
}

export type Verifier = ReturnType<typeof createVerifier>

/** `sumRanges` sums the first ranges in `sums` (Io of port/rings.ts). */
export const createVerifier = (packets: Packets, sums: Int32Array, sumRanges: (count: number) => void) => {
  const { i32, start, length, flags, csumStart, csumOffset } = packets

  /** A checksum that is still to be completed is as good as a right one, if it is this one: in a tunnel's packet it is an inner one. */
  const known = (p: number, { l4, field }: Transport): number => {
    const f = flags[p]!
    if ((f & F_NEEDS_CSUM) !== 0) return csumStart[p] === l4 && csumOffset[p] === field ? GOOD : BAD
    return (f & F_CSUM_OK) !== 0 ? GOOD : UNKNOWN
  }

  const put = (n: number, p: number, { addresses }: Transport): void => {
    sums[n * 3] = start[p]! + addresses
    sums[n * 3 + 1] = length[p]! - addresses
  }

  /** Judges what `put` has put and the native part has summed. */
  const take = (n: number, p: number, { protocol, l4 }: Transport): boolean => {
    if (fold(sums[n * 3 + 2]! + protocol + length[p]! - l4) !== 0xffff) return false
    flags[p] = flags[p]! | F_CSUM_OK
    return true
  }

  const sumShort = (p: number, { protocol, addresses, l4 }: Transport): boolean => {
    const size = length[p]! - l4
    // The sum is of little-endian words, so what is added must be, too
    const sum = sumAligned(i32, start[p]! + addresses, length[p]! - addresses) + (protocol << 8) + swap16(size)
    if (!isSumGood(sum)) return false
    flags[p] = flags[p]! | F_CSUM_OK
    return true
  }

  const isOneGood = (p: number, t: Transport): boolean => {
    if (length[p]! < NATIVE_FROM) return sumShort(p, t)
    put(0, p, t)
    sumRanges(1)
    return take(0, p, t)
  }

  return {
    /** Is the checksum in the IPv4 header of 20 bytes right? */
    isIpv4HeaderGood: (p: number): boolean => isSumGood(sumAligned(i32, start[p]! + ETHERNET_HEADER, IPV4_HEADER)),

    /** Is the transport checksum right, or to be completed by the kernel anyway? Remembered in the packet's flags. */
    isTransportGood: (p: number, t: Transport): boolean => {
      const state = known(p, t)
      return state === UNKNOWN ? isOneGood(p, t) : state === GOOD
    },

    /** The same of two packets, with one call for both. */
    areTransportsGood: (p: number, q: number, t: Transport): boolean => {
      const a = known(p, t)
      const b = known(q, t)
      if (a === BAD || b === BAD) return false
      if (a === UNKNOWN && b === UNKNOWN && length[p]! >= NATIVE_FROM && length[q]! >= NATIVE_FROM) {
        put(0, p, t)
        put(1, q, t)
        sumRanges(2)
        return take(0, p, t) && take(1, q, t)
      }
      return (a === GOOD || isOneGood(p, t)) && (b === GOOD || isOneGood(q, t))
    }
  }
}
