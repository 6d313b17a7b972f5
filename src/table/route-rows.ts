/**
 * Rows of a routing table, and the way from a prefix to its rows. A row is three words; rows of one prefix are linked, and a hash
 * table (open addressing, linear probing, deletion by shifting back) has the first one of each prefix, with eight bits of the
 * hash beside it, so that rows of other prefixes are seldom looked at.
 */

/** Words of a row; row `id` begins at word `id * ROW`. */
const ROW = 3
// Its words
const PREFIX = 0
/** Length in the low 6 bits, INSTALLED, and from INFO_SHIFT on what the route says (fib-info.ts): 0 when the row is free. */
const SAYS = 1
/** Next row of the prefix, or next free row; 0 for none. */
const NEXT = 2

const LENGTH_MASK = 63
/** The row is the one in the longest-prefix match. */
const INSTALLED = 64
const INFO_SHIFT = 7
/** Rows that can be told apart in a bucket. */
export const MAX_ROWS = 2 ** 24 - 1
const ID_MASK = MAX_ROWS

export class RouteRows {
  private words = new Int32Array(64 * ROW)
  /** One more than the last row ever used; rows begin at 1. */
  end = 1
  /** Rows in use. */
  count = 0
  /** Prefixes in use, by length. */
  readonly prefixesByLength = new Int32Array(33)
  private freeRow = 0
  private buckets = new Int32Array(128)
  private prefixes = 0

  /** First row of a prefix; 0 when there is none. */
  find(prefix: number, length: number): number {
    return this.buckets[this.bucketOf(prefix, length)]! & ID_MASK
  }

  /** What a route says: its info row; 0 when the row is free. */
  infoOf(id: number): number {
    return this.words[id * ROW + SAYS]! >>> INFO_SHIFT
  }

  prefixOf(id: number): number {
    return this.words[id * ROW + PREFIX]!
  }

  lengthOf(id: number): number {
    return this.words[id * ROW + SAYS]! & LENGTH_MASK
  }

  /** The next row of the same prefix; 0 at the end. */
  nextOf(id: number): number {
    return this.words[id * ROW + NEXT]!
  }

  /** Is it the row that stands for its prefix in the match? */
  isInstalled(id: number): boolean {
    return (this.words[id * ROW + SAYS]! & INSTALLED) !== 0
  }

  setInfo(id: number, info: number): void {
    const w = id * ROW + SAYS
    this.words[w] = (this.words[w]! & (INSTALLED | LENGTH_MASK)) | (info << INFO_SHIFT)
  }

  setNext(id: number, next: number): void {
    this.words[id * ROW + NEXT] = next
  }

  setInstalled(id: number, on: boolean): void {
    const w = id * ROW + SAYS
    this.words[w] = (this.words[w]! & ~INSTALLED) | (on ? INSTALLED : 0)
  }

  /** A row with these words, not yet linked to others. Its column grows by a quarter. */
  take(prefix: number, length: number, info: number, next: number): number {
    let id = this.freeRow
    if (id !== 0) this.freeRow = this.words[id * ROW + NEXT]!
    else {
      id = this.end++
      if (id * ROW === this.words.length) {
        const wide = new Int32Array((id + (id >>> 2)) * ROW)
        wide.set(this.words)
        this.words = wide
      }
    }
    this.count++
    const w = id * ROW
    this.words[w + PREFIX] = prefix
    this.words[w + SAYS] = length | (info << INFO_SHIFT)
    this.words[w + NEXT] = next
    return id
  }

  /** Gives back a row that is not linked any more. */
  give(id: number): void {
    const w = id * ROW
    this.words[w + SAYS] = 0
    this.words[w + NEXT] = this.freeRow
    this.freeRow = id
    this.count--
  }

  /** Makes a row, which must be in use, the first of its prefix; 0 when the prefix has none left. */
  setFirst(prefix: number, length: number, id: number): void {
    const b = this.bucketOf(prefix, length)
    const change = (id === 0 ? 0 : 1) - (this.buckets[b] === 0 ? 0 : 1)
    if (id === 0) this.clear(b)
    else this.buckets[b] = id | tagOf(hashOf(prefix, length))
    this.prefixes += change
    this.prefixesByLength[length]! += change
    if (this.prefixes * 8 > this.buckets.length * 5) this.grow()
  }

  /** The first row of every prefix, in no order. */
  firsts(): number[] {
    const list: number[] = []
    for (const b of this.buckets) if (b !== 0) list.push(b & ID_MASK)
    return list
  }

  memoryBytes(): number {
    return this.words.byteLength + this.buckets.byteLength
  }

  /** Where a prefix is in the buckets, or the free place where it would go. */
  private bucketOf(prefix: number, length: number): number {
    const { buckets } = this
    const mask = buckets.length - 1
    const hash = hashOf(prefix, length)
    const tag = tagOf(hash)
    let i = hash & mask
    for (let b = buckets[i]!; b !== 0; b = buckets[i]!) {
      if ((b & ~ID_MASK) === tag && this.prefixOf(b & ID_MASK) === prefix && this.lengthOf(b & ID_MASK) === length) break
      i = (i + 1) & mask
    }
    return i
  }

  private hashOfRow(id: number): number {
    return hashOf(this.prefixOf(id), this.lengthOf(id))
  }

  private clear(bucket: number): void {
    const { buckets } = this
    const mask = buckets.length - 1
    let hole = bucket
    for (let i = (hole + 1) & mask; buckets[i] !== 0; i = (i + 1) & mask) {
      const b = buckets[i]!
      // It may move to the hole unless its home lies between the hole and itself
      if (((i - this.hashOfRow(b & ID_MASK)) & mask) < ((i - hole) & mask)) continue
      buckets[hole] = b
      hole = i
    }
    buckets[hole] = 0
  }

  private grow(): void {
    const old = this.buckets
    this.buckets = new Int32Array(old.length * 2)
    const mask = this.buckets.length - 1
    for (const b of old) {
      if (b === 0) continue
      let i = this.hashOfRow(b & ID_MASK) & mask
      while (this.buckets[i] !== 0) i = (i + 1) & mask
      this.buckets[i] = b
    }
  }
}

const hashOf = (prefix: number, length: number): number => {
  let h = Math.imul(prefix ^ (length << 3), 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
  return h ^ (h >>> 13)
}

/** The bits of a hash that stand beside a row's id. */
const tagOf = (hash: number): number => hash & ~ID_MASK
