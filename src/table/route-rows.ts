/**
 * Rows of a routing table, and the way from a prefix to its rows. A row is four words; rows of one prefix are linked, and a hash
 * table (open addressing, linear probing, deletion by shifting back) has the first one of each prefix.
 */

/** Row `id` begins at word `id << ID_SHIFT`. */
const ID_SHIFT = 2
// Its words
const PREFIX = 0
/** Length in the low 6 bits, and INSTALLED. */
const LENGTH = 1
/** What the route says (fib-info.ts); 0 when the row is free. */
const INFO = 2
/** Next row of the prefix, or next free row; 0 for none. */
const NEXT = 3

const LENGTH_MASK = 63
/** The row is the one in the longest-prefix match. */
const INSTALLED = 64

export class RouteRows {
  private words = new Int32Array(64 << ID_SHIFT)
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
    return this.buckets[this.bucketOf(prefix, length)]!
  }

  /** What a route says: its info row; 0 when the row is free. */
  infoOf(id: number): number {
    return this.words[(id << ID_SHIFT) + INFO]!
  }

  prefixOf(id: number): number {
    return this.words[(id << ID_SHIFT) + PREFIX]!
  }

  lengthOf(id: number): number {
    return this.words[(id << ID_SHIFT) + LENGTH]! & LENGTH_MASK
  }

  /** The next row of the same prefix; 0 at the end. */
  nextOf(id: number): number {
    return this.words[(id << ID_SHIFT) + NEXT]!
  }

  /** Is it the row that stands for its prefix in the match? */
  isInstalled(id: number): boolean {
    return (this.words[(id << ID_SHIFT) + LENGTH]! & INSTALLED) !== 0
  }

  setInfo(id: number, info: number): void {
    this.words[(id << ID_SHIFT) + INFO] = info
  }

  setNext(id: number, next: number): void {
    this.words[(id << ID_SHIFT) + NEXT] = next
  }

  setInstalled(id: number, on: boolean): void {
    this.words[(id << ID_SHIFT) + LENGTH] = this.lengthOf(id) | (on ? INSTALLED : 0)
  }

  /** A row with these words, not yet linked to others. */
  take(prefix: number, length: number, info: number, next: number): number {
    let id = this.freeRow
    if (id !== 0) this.freeRow = this.words[(id << ID_SHIFT) + NEXT]!
    else {
      id = this.end++
      if (id << ID_SHIFT === this.words.length) {
        const wide = new Int32Array(this.words.length * 2)
        wide.set(this.words)
        this.words = wide
      }
    }
    this.count++
    const w = id << ID_SHIFT
    this.words[w + PREFIX] = prefix
    this.words[w + LENGTH] = length
    this.words[w + INFO] = info
    this.words[w + NEXT] = next
    return id
  }

  /** Gives back a row that is not linked any more. */
  give(id: number): void {
    const w = id << ID_SHIFT
    this.words[w + LENGTH] = 0
    this.words[w + INFO] = 0
    this.words[w + NEXT] = this.freeRow
    this.freeRow = id
    this.count--
  }

  /** Makes a row, which must be in use, the first of its prefix; 0 when the prefix has none left. */
  setFirst(prefix: number, length: number, id: number): void {
    const b = this.bucketOf(prefix, length)
    const change = (id === 0 ? 0 : 1) - (this.buckets[b] === 0 ? 0 : 1)
    if (id === 0) this.clear(b)
    else this.buckets[b] = id
    this.prefixes += change
    this.prefixesByLength[length]! += change
    if (this.prefixes * 8 > this.buckets.length * 5) this.grow()
  }

  /** The first row of every prefix, in no order. */
  firsts(): number[] {
    const list: number[] = []
    for (const id of this.buckets) if (id !== 0) list.push(id)
    return list
  }

  memoryBytes(): number {
    return this.words.byteLength + this.buckets.byteLength
  }

  /** Where a prefix is in the buckets, or the free place where it would go. */
  private bucketOf(prefix: number, length: number): number {
    const { buckets } = this
    const mask = buckets.length - 1
    let b = this.homeOf(prefix, length)
    for (let id = buckets[b]!; id !== 0; id = buckets[b]!) {
      if (this.prefixOf(id) === prefix && this.lengthOf(id) === length) break
      b = (b + 1) & mask
    }
    return b
  }

  private homeOf(prefix: number, length: number): number {
    let h = Math.imul(prefix ^ (length << 3), 0x9e3779b1)
    h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
    return (h ^ (h >>> 13)) & (this.buckets.length - 1)
  }

  private homeOfRow(id: number): number {
    return this.homeOf(this.prefixOf(id), this.lengthOf(id))
  }

  private clear(bucket: number): void {
    const { buckets } = this
    const mask = buckets.length - 1
    let hole = bucket
    for (let b = (hole + 1) & mask; buckets[b] !== 0; b = (b + 1) & mask) {
      const id = buckets[b]!
      // It may move to the hole unless its home lies between the hole and itself
      if (((b - this.homeOfRow(id)) & mask) < ((b - hole) & mask)) continue
      buckets[hole] = id
      hole = b
    }
    buckets[hole] = 0
  }

  private grow(): void {
    const old = this.buckets
    this.buckets = new Int32Array(old.length * 2)
    const mask = this.buckets.length - 1
    for (const id of old) {
      if (id === 0) continue
      let b = this.homeOfRow(id)
      while (this.buckets[b] !== 0) b = (b + 1) & mask
      this.buckets[b] = id
    }
  }
}
