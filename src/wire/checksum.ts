/**
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
 *
 * `sum…` functions give an unfolded one's-complement sum (at most 2^31 for 64 KiB); `fold` brings it to 16 bits; a checksum
 * field holds the complement of the folded sum. A header with a correct checksum sums to 0xffff.
 */

/** Sum of `length` bytes at `o` as big-endian 16-bit words, an odd last byte padded with zero; add `initial`. */
export const sumBytes = (view: DataView, o: number, length: number, initial: number): number => {
  let sum = initial
  const end = o + (length & ~1)
  for (; o < end; o += 2) sum += view.getUint16(o)
  if (length & 1) sum += view.getUint8(o) << 8
  return sum
}

/**
 * Sum of `length` bytes from the 4-byte boundary `o` on, as little-endian words: twice as fast as sumBytes, and as good wherever all that is
 * added is little-endian and the result is only held against 0xffff (RFC 1071 section 2B: the sum does not depend on byte order).
 */
export const sumAligned = (words: Int32Array, o: number, length: number): number => {
  let sum = 0
  let w = o >> 2
  for (const end = w + (length >> 2); w < end; w++) {
    const word = words[w]!
    sum += (word & 0xffff) + (word >>> 16)
  }
  const rest = (length & 3) << 3
  if (rest !== 0) {
    const word = words[w]! & ((1 << rest) - 1)
    sum += (word & 0xffff) + (word >>> 16)
  }
  return sum
}

/** The low 16 bits with their bytes swapped: what a number is in the other byte order. */
export const swap16 = (word: number): number => ((word & 0xff) << 8) | ((word >>> 8) & 0xff)

/** A sum below 2^32, brought to 16 bits. */
export const fold = (sum: number): number => {
  const s = (sum & 0xffff) + (sum >>> 16)
  return (s & 0xffff) + (s >>> 16)
}

/** True when a sum folds to 0xffff: what it was made of has a correct checksum. */
export const isSumGood = (sum: number): boolean => fold(sum) === 0xffff

/** Folded sums of the first `count` triples of `sums`: offset in `view`, length, out: the sum. */
export const sumRanges = (view: DataView, sums: Int32Array, count: number): void => {
  for (let i = 0; i < count; i++) sums[i * 3 + 2] = fold(sumBytes(view, sums[i * 3]!, sums[i * 3 + 1]!, 0))
}

/** Checksum of a byte range: complement of the folded sum. */
export const checksum = (view: DataView, o: number, length: number, initial = 0): number =>
  ~fold(sumBytes(view, o, length, initial)) & 0xffff

/** Sum of the TCP/UDP pseudo-header (RFC 793 3.1, RFC 768): addresses, protocol, length of header and data. */
export const pseudoSum = (source: number, destination: number, protocol: number, length: number): number =>
  (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length

/** New checksum when one 16-bit word goes from `from` to `to`: HC' = ~(~HC + ~m + m') (RFC 1624). A bad checksum stays bad. */
export const updateChecksum = (sum: number, from: number, to: number): number => {
  let s = (~sum & 0xffff) + (~from & 0xffff) + (to & 0xffff)
  s = (s & 0xffff) + (s >>> 16)
  s = (s & 0xffff) + (s >>> 16)
  return ~s & 0xffff
}
