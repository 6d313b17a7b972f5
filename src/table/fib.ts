/**
 * Longest-prefix match over IPv4 addresses: from a destination to the id its most specific prefix was given (RFC 1812 5.2.4.3).
 *
 * A multibit trie: the first 16 bits index a table, each further 4 bits a chunk of 16 words, made only where prefixes longer than
 * the level need it. Chunks are one cache line: with a full table of 1 million routes they take less than half of what chunks of
 * 256 would (a /16 is rarely filled evenly). A table that has grown large is indexed by 20 bits, which saves a load a lookup.
 * Prefixes are pushed down to the leaves, so a lookup looks at no more than its path; the default route, which would have to be
 * pushed everywhere, is kept apart.
 *
 * A word is 0 (nothing but the default route), `id << 6 | length` of the prefix that covers it, or ~offset of a chunk. Knowing the
 * length, a shorter prefix never overwrites a longer one.
 */

/** Largest id that can be stored. */
export const FIB_MAX_ID = 2 ** 25 - 1

const ROOT_BITS = 16
const WIDE_ROOT_BITS = 20
/** With more chunks than this the wide root is the smaller part. It stays. */
const WIDE_FROM_CHUNKS = 1 << 16
const CHUNK_BITS = 4
const CHUNK = 1 << CHUNK_BITS
const LENGTH_BITS = 6
const LENGTH_MASK = (1 << LENGTH_BITS) - 1
const FIRST_CHUNKS = 64

export class Fib {
  private rootBits = ROOT_BITS
  private root = new Int32Array(1 << ROOT_BITS)
  private pool = new Int32Array(FIRST_CHUNKS * CHUNK)
  private defaultId = 0
  /** Offset of a free chunk, whose first word has the next one; -1 for none. */
  private free = -1
  /** Words of the pool ever used, and chunks in use. */
  private used = 0
  private chunks = 0

  /** The id of the longest prefix that holds `address` (int32, host order); 0 when none does. */
  lookup(address: number): number {
    let shift = 32 - this.rootBits
    let e = this.root[address >>> shift]!
    while (e < 0) {
      shift -= CHUNK_BITS
      e = this.pool[~e | ((address >>> shift) & (CHUNK - 1))]!
    }
    return e === 0 ? this.defaultId : e >>> LENGTH_BITS
  }

  /** Gives a prefix an id, 1..FIB_MAX_ID; the id it had is forgotten. Bits of `prefix` beyond `length` must be 0. */
  insert(prefix: number, length: number, id: number): void {
    if (length === 0) {
      this.defaultId = id
      return
    }
    const value = (id << LENGTH_BITS) | length
    if (this.chunks > WIDE_FROM_CHUNKS && this.rootBits === ROOT_BITS) this.widen()
    const { root, rootBits } = this
    let i = prefix >>> (32 - rootBits)
    if (length > rootBits) {
      if (root[i]! >= 0) root[i] = ~this.allocate(root[i]!)
      this.insertBelow(~root[i]!, rootBits, prefix, length, value)
      return
    }
    for (const end = i + (1 << (rootBits - length)); i < end; i++) {
      const e = root[i]!
      if (e < 0) this.insertBelow(~e, rootBits, prefix, length, value)
      else if ((e & LENGTH_MASK) <= length) root[i] = value
    }
  }

  /**
   * Takes a prefix that is there away; `coverId` and `coverLength` are of the longest prefix around it that has an id, 0 and 0
   * when there is none.
   */
  remove(prefix: number, length: number, coverId: number, coverLength: number): void {
    if (length === 0) {
      this.defaultId = 0
      return
    }
    const value = coverLength === 0 ? 0 : (coverId << LENGTH_BITS) | coverLength
    const { root, rootBits } = this
    let i = prefix >>> (32 - rootBits)
    for (const end = i + (length > rootBits ? 1 : 1 << (rootBits - length)); i < end; i++) {
      const e = root[i]!
      if (e < 0) root[i] = this.removeBelow(~e, rootBits, prefix, length, value)
      else if ((e & LENGTH_MASK) === length) root[i] = value
    }
  }

  /** Bytes of all tables. */
  memoryBytes(): number {
    return this.root.byteLength + this.pool.byteLength
  }

  /** Chunks in use. */
  chunkCount(): number {
    return this.chunks
  }

  /** Writes `value` into the part of a chunk, `base` bits deep, that the prefix covers. */
  private insertBelow(chunk: number, base: number, prefix: number, length: number, value: number): void {
    let i = chunk | firstOf(base, prefix, length)
    for (const end = i + countOf(base, length); i < end; i++) {
      let e = this.pool[i]!
      if (e >= 0 && length > base + CHUNK_BITS) {
        e = ~this.allocate(e)
        this.pool[i] = e
      }
      if (e < 0) this.insertBelow(~e, base + CHUNK_BITS, prefix, length, value)
      else if ((e & LENGTH_MASK) <= length) this.pool[i] = value
    }
  }

  /** Replaces a prefix by `value`; returns what stands for the chunk now: itself, or the one word all its words have become. */
  private removeBelow(chunk: number, base: number, prefix: number, length: number, value: number): number {
    const { pool } = this
    let i = chunk | firstOf(base, prefix, length)
    for (const end = i + countOf(base, length); i < end; i++) {
      const e = pool[i]!
      if (e < 0) pool[i] = this.removeBelow(~e, base + CHUNK_BITS, prefix, length, value)
      else if ((e & LENGTH_MASK) === length) pool[i] = value
    }
    const first = pool[chunk]!
    if (first < 0) return ~chunk
    for (let j = chunk + 1; j < chunk + CHUNK; j++) if (pool[j] !== first) return ~chunk
    this.release(chunk)
    return first
  }

  /** Indexes by WIDE_ROOT_BITS from now on: the first level of chunks becomes part of the root. */
  private widen(): void {
    const { root, pool } = this
    const wide = new Int32Array(1 << WIDE_ROOT_BITS)
    for (let i = 0; i < root.length; i++) {
      const e = root[i]!
      for (let j = 0; j < CHUNK; j++) wide[i * CHUNK + j] = e < 0 ? pool[~e + j]! : e
      if (e < 0) this.release(~e)
    }
    this.root = wide
    this.rootBits = WIDE_ROOT_BITS
  }

  private release(chunk: number): void {
    this.pool[chunk] = this.free
    this.free = chunk
    this.chunks--
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

/** Of the 16 words of a chunk `base` bits deep, the first that a prefix covers or lies in, and how many it covers. */
const firstOf = (base: number, prefix: number, length: number): number => (length <= base ? 0 : (prefix >>> (32 - CHUNK_BITS - base)) & (CHUNK - 1))

const countOf = (base: number, length: number): number => {
  if (length <= base) return CHUNK
  return length >= base + CHUNK_BITS ? 1 : 1 << (base + CHUNK_BITS - length)
}
