/**
 * A second opinion on the Internet checksum, written from RFC 1071's definition and not from the code under test: 16-bit
 * words of a plain byte array, one's-complement addition with the carry added at every step.
 */

/** One's-complement sum of big-endian 16-bit words; an odd last byte is the high half of a word. */
export const naiveSum = (bytes: readonly number[]): number => {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (i + 1 < bytes.length ? bytes[i + 1]! : 0)
    if (sum > 65535) sum -= 65535 // 0x10000 is taken away, the carry 1 is added
  }
  return sum
}

/** The checksum a header must carry: complement of the sum. */
export const naiveChecksum = (bytes: readonly number[]): number => 65535 - naiveSum(bytes)

/** Bytes with the checksum put at `at`, counted with zero there. */
export const withChecksum = (bytes: readonly number[], at: number): number[] => {
  const copy = [...bytes]
  copy[at] = 0
  copy[at + 1] = 0
  const sum = naiveChecksum(copy)
  copy[at] = sum >> 8
  copy[at + 1] = sum & 255
  return copy
}
