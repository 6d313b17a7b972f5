/**
 * What prefix covers an address: a multibit trie. The first 16 bits index the root, each further 4 bits a chunk of 16 words, one
 * cache line, made only where prefixes longer than the level need it. Prefixes are pushed down to the leaves, so a lookup looks
 * at no more than its path.
 *
 * A word is ~offset of a chunk or a leaf: 0 for no prefix, else `id << 6 | length` of the longest prefix around all addresses
 * that lead there. Knowing the length, a shorter prefix never overwrites a longer one. A chunk of equal leaves becomes one leaf.
 */

/** Largest id that can be stored. */
export const FIB_MAX_ID = 2 ** 25 - 1
export const LENGTH_BITS = 6
export const LENGTH_MASK = (1 << LENGTH_BITS) - 1
/** As `longest`: whatever is there. */
export const ANY_LENGTH = LENGTH_MASK

const ROOT_BITS = 16
const CHUNK_BITS = 4
const CHUNK = 1 << CHUNK_BITS
const FIRST_CHUNKS = 64

export class FibTrie {
  private readonly root = new Int32Array(1 << ROOT_BITS)
  private pool = new Int32Array(FIRST_CHUNKS * CHUNK)
  /** Offset of a free chunk, whose first word has the next one; -1 for none. */
  private free = -1
  /** Words of the pool ever used, and chunks in use. */
  private used = 0
  private chunks = 0

  /** The leaf of an address (int32, host order). */
  leafOf(address: number): number {
    let shift = 32 - ROOT_BITS
    let e = this.root[address >>> shift]!
    while (e < 0) {
      shift -= CHUNK_BITS
      e = this.pool[~e | ((address >>> shift) & (CHUNK - 1))]!
    }
    return e
  }

  /** The one leaf of all addresses that have the first 24 bits of `address`; negative when there are several. */
  leafOf24(address: number): number {
    let e = this.root[address >>> ROOT_BITS]!
    if (e < 0) e = this.pool[~e | ((address >>> 12) & (CHUNK - 1))]!
    if (e < 0) e = this.pool[~e | ((address >>> 8) & (CHUNK - 1))]!
    return e
  }

  /**
   * Of the addresses with the first `bits` (1 to 32) bits of `prefix`, gives those a new leaf whose prefix was `shortest` to
   * `longest` bits long.
   */
  set(prefix: number, bits: number, shortest: number, longest: number, leaf: number): void {
    const { root } = this
    let i = prefix >>> (32 - ROOT_BITS)
    for (const end = i + (bits > ROOT_BITS ? 1 : 1 << (ROOT_BITS - bits)); i < end; i++) {
      const e = root[i]!
      if (e < 0) root[i] = this.setBelow(~e, ROOT_BITS, prefix, bits, shortest, longest, leaf)
      else if ((e & LENGTH_MASK) >= shortest && (e & LENGTH_MASK) <= longest) {
        root[i] = bits <= ROOT_BITS ? leaf : this.setBelow(this.allocate(e), ROOT_BITS, prefix, bits, shortest, longest, leaf)
      }
    }
  }

  /** Visits all leaves with the bits that lead to them. */
  visit(leaf: (prefix: number, bits: number, leaf: number) => void): void {
    const below = (e: number, prefix: number, bits: number): void => {
      if (e >= 0) leaf(prefix, bits, e)
      else for (let i = 0; i < CHUNK; i++) below(this.pool[~e + i]!, prefix | (i << (32 - CHUNK_BITS - bits)), bits + CHUNK_BITS)
    }
    for (let i = 0; i < 1 << ROOT_BITS; i++) below(this.root[i]!, i << (32 - ROOT_BITS), ROOT_BITS)
  }

  /** Chunks in use. */
  chunkCount(): number {
    return this.chunks
  }

  memoryBytes(): number {
    return this.root.byteLength + this.pool.byteLength
  }

  /**
   * `set` in a chunk, `base` bits deep; returns what stands for the chunk now: itself, or the one leaf all its words have become. The
   * pool may be another one afterwards.
   */
  private setBelow(
    chunk: number, base: number, prefix: number, bits: number, shortest: number, longest: number, leaf: number
  ): number {
    const deep = base + CHUNK_BITS
    let i = chunk
    let end = chunk + CHUNK
    if (bits > base) {
      i |= (prefix >>> (32 - deep)) & (CHUNK - 1)
      end = i + (bits >= deep ? 1 : 1 << (deep - bits))
    }
    for (; i < end; i++) {
      const e = this.pool[i]!
      if (e >= 0 && ((e & LENGTH_MASK) < shortest || (e & LENGTH_MASK) > longest)) continue
      if (e >= 0 && bits <= deep) this.pool[i] = leaf
      else {
        const now = this.setBelow(e < 0 ? ~e : this.allocate(e), deep, prefix, bits, shortest, longest, leaf)
        this.pool[i] = now
      }
    }
    const { pool } = this
    const first = pool[chunk]!
    if (first < 0) return ~chunk
    for (let j = chunk + 1; j < chunk + CHUNK; j++) if (pool[j] !== first) return ~chunk
    pool[chunk] = this.free
    this.free = chunk
    this.chunks--
    return first
  }

  /** A chunk whose words are all `fill`. The pool grows by half. */
  private allocate(fill: number): number {
    let chunk = this.free
    if (chunk >= 0) this.free = this.pool[chunk]!
    else {
      chunk = this.used
      this.used += CHUNK
      if (this.used > this.pool.length) {
        const wide = new Int32Array((this.pool.length * 1.5) & -CHUNK)
        wide.set(this.pool)
        this.pool = wide
      }
    }
    this.chunks++
    this.pool.fill(fill, chunk, chunk + CHUNK)
    return chunk
  }
}
