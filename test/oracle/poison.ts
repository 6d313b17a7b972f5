/** Buffers for testing writers: full of a byte that is no sensible field, so that one left out, or a write outside, shows. */

const POISON = 0xa5
/** Untouched bytes before and behind what is written; odd, so that nothing is aligned by chance. */
const MARGIN = 13

/** What `write` puts at its offset into a poisoned buffer: `length` bytes. Throws when it touches anything around them. */
export const written = (length: number, write: (view: DataView, o: number) => void): number[] => {
  const bytes = new Uint8Array(length + 2 * MARGIN).fill(POISON)
  write(new DataView(bytes.buffer), MARGIN)
  for (let i = 0; i < MARGIN; i++) {
    if (bytes[i] !== POISON || bytes[MARGIN + length + i] !== POISON) throw new Error(`written outside, at ${bytes[i] !== POISON ? i - MARGIN : length + i}`)
  }
  return [...bytes.subarray(MARGIN, MARGIN + length)]
}

/** A view of bytes behind a poisoned margin that ends where they do, and their offset in it: a read behind them throws. */
export const viewOf = (bytes: readonly number[]): [view: DataView, o: number] => {
  const buffer = Uint8Array.from([...new Array<number>(MARGIN).fill(POISON), ...bytes]).buffer
  return [new DataView(buffer), MARGIN]
}
