/**
 * Columns of rows in shared memory. Buffers made one by one begin on page boundaries, so that row n of every column falls into the same set
 * of the first-level cache (its index is the offset in a page), and a packet that touches seventeen columns pushes its own
 * data out. Here all columns lie in one buffer, each some cache lines further into its page than the one before.
 */

/** Bytes of a cache line, and how many lines apart columns begin in their pages: odd, so that it takes 64 columns to meet again. */
const LINE = 64
const STAGGER = 3 * LINE

/** A maker of columns of `capacity` int32 rows each; at most `most` of them, in one shared buffer. `lead` lines go before the first. */
export const createColumns = (capacity: number, most: number, lead = 0): (() => Int32Array) => {
  const stride = Math.ceil((capacity * 4) / LINE) * LINE + STAGGER
  const memory = new SharedArrayBuffer(lead * LINE + most * stride)
  let made = 0
  return () => {
    if (made === most) throw new RangeError(`no more than ${most} columns were asked for`)
    return new Int32Array(memory, lead * LINE + made++ * stride, capacity)
  }
}
