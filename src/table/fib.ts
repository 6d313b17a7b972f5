/**
 * Longest-prefix match over IPv4 addresses: from a destination to the id its most specific prefix was given (RFC 1812 5.2.4.3).
 *
 * A trie (fib-trie.ts) has all prefixes but the default route. It is fast while it lies in the processor's own cache; of a larger
 * one each step is a cache miss. So a table that has grown large becomes flat: an id of 16 bits for every value of an address's first
 * 24 bits (DIR-24-8: Gupta, Lin and McKeown, INFOCOM 1998), and the length of its prefix, which only changes look at. A lookup
 * misses the cache once. The trie keeps what does not fit there: the addresses where prefixes are longer than 24 bits, where the
 * id needs more than 16 bits, and from 224.0.0.0 on, where hardly anything is routed. 42 MiB; a table that is flat stays so.
 */
import { ANY_LENGTH, FIB_MAX_ID, FibTrie, LENGTH_BITS, LENGTH_MASK } from './fib-trie.js'

export { FIB_MAX_ID }

/** With more chunks than this, 4 MiB of them, a trie becomes flat: some 60 000 routes that lie scattered. */
export const FLAT_FROM_CHUNKS = 1 << 16
/** Words of a flat table: up to 224.0.0.0. */
const FLAT_WORDS = 224 << 16
const FLAT_BITS = 24
/** As an id, and as the length that goes with it, longer than any: the trie knows. */
const ASK = 0xffff
const ASK_LENGTH = 0xff

export class Fib {
  private trie = new FibTrie()
  private defaultId = 0
  /** By the first 24 bits; without words while all is in the trie. */
  private ids = new Uint16Array(0)
  private lengths = new Uint8Array(0)

  /** With more chunks than `flatFrom` the trie becomes flat: -1 from the first prefix on, Infinity never. */
  constructor(private readonly flatFrom = FLAT_FROM_CHUNKS) {}

  /** The id of the longest prefix that holds `address` (int32, host order); 0 when none does. */
  lookup(address: number): number {
    const { ids } = this
    const i = address >>> (32 - FLAT_BITS)
    let id = i < ids.length ? ids[i]! : ASK
    if (id === ASK) id = this.trie.leafOf(address) >>> LENGTH_BITS
    return id === 0 ? this.defaultId : id
  }

  /** The length of the longest prefix that holds an address; 0 when it is the default route or there is none. */
  lengthAt(address: number): number {
    const i = address >>> (32 - FLAT_BITS)
    return i < this.ids.length && this.ids[i] !== ASK ? this.lengths[i]! : this.trie.leafOf(address) & LENGTH_MASK
  }

  /** Gives a prefix an id, 1..FIB_MAX_ID; the id it had is forgotten. Bits of `prefix` beyond `length` must be 0. */
  insert(prefix: number, length: number, id: number): void {
    if (length === 0) this.defaultId = id
    else this.set(prefix, length, 0, (id << LENGTH_BITS) | length)
  }

  /**
   * Takes a prefix that is there away; `coverId` and `coverLength` are of the longest prefix around it that has an id, 0 and 0
   * when there is none.
   */
  remove(prefix: number, length: number, coverId: number, coverLength: number): void {
    if (length === 0) this.defaultId = 0
    else this.set(prefix, length, length, coverLength === 0 ? 0 : (coverId << LENGTH_BITS) | coverLength)
  }

  /** Bytes of all tables. */
  memoryBytes(): number {
    return this.trie.memoryBytes() + this.ids.byteLength + this.lengths.byteLength
  }

  /** Chunks of the trie in use. */
  chunkCount(): number {
    return this.trie.chunkCount()
  }

  isFlat(): boolean {
    return this.ids.length > 0
  }

  /** Makes a small table flat. */
  flatten(): void {
    const { trie } = this
    this.trie = new FibTrie()
    this.ids = new Uint16Array(FLAT_WORDS)
    this.lengths = new Uint8Array(FLAT_WORDS)
    trie.visit((prefix, bits, leaf) => {
      if (leaf === 0) return
      const i = prefix >>> (32 - FLAT_BITS)
      if (i < FLAT_WORDS && bits <= FLAT_BITS) {
        this.setFlat(i, i + (1 << (FLAT_BITS - bits)), 0, 0, leaf)
        return
      }
      this.trie.set(prefix, bits, 0, ANY_LENGTH, leaf)
      if (i < FLAT_WORDS) this.putAsk(i)
    })
  }

  /** Gives the addresses of a prefix a new leaf where they have one of `shortest` to `length` bits. */
  private set(prefix: number, length: number, shortest: number, leaf: number): void {
    const { trie, ids } = this
    const i = prefix >>> (32 - FLAT_BITS)
    if (i >= ids.length) {
      trie.set(prefix, length, shortest, length, leaf)
      if (ids.length === 0 && trie.chunkCount() > this.flatFrom) this.flatten()
    } else if (length > FLAT_BITS) {
      if (ids[i] !== ASK) {
        trie.set(prefix, FLAT_BITS, 0, ANY_LENGTH, (ids[i]! << LENGTH_BITS) | this.lengths[i]!)
        this.putAsk(i)
      }
      trie.set(prefix, length, shortest, length, leaf)
      this.takeBack(i)
    } else this.setFlat(i, i + (1 << (FLAT_BITS - length)), shortest, length, leaf)
  }

  private setFlat(first: number, end: number, shortest: number, longest: number, leaf: number): void {
    const { trie, ids, lengths } = this
    const id = leaf >>> LENGTH_BITS
    const length = leaf & LENGTH_MASK
    for (let i = first; i < end && i < FLAT_WORDS; i++) {
      const old = lengths[i]! // not the id: one cache miss is enough, the other one a write need not wait for
      if (old === ASK_LENGTH) {
        trie.set(i << (32 - FLAT_BITS), FLAT_BITS, shortest, longest, leaf)
        this.takeBack(i)
      } else if (old >= shortest && old <= longest) {
        if (id < ASK) {
          ids[i] = id
          lengths[i] = length
        } else this.put(i, leaf)
      }
    }
    // Half of all addresses, or the upper quarter
    if (end > FLAT_WORDS) trie.set(FLAT_WORDS << (32 - FLAT_BITS), 3, shortest, longest, leaf)
  }

  /** Writes a leaf into the flat table if it fits, else into the trie. */
  private put(i: number, leaf: number): void {
    const id = leaf >>> LENGTH_BITS
    if (id < ASK) {
      this.ids[i] = id
      this.lengths[i] = leaf & LENGTH_MASK
    } else {
      this.putAsk(i)
      this.trie.set(i << (32 - FLAT_BITS), FLAT_BITS, 0, ANY_LENGTH, leaf)
    }
  }

  private putAsk(i: number): void {
    this.ids[i] = ASK
    this.lengths[i] = ASK_LENGTH
  }

  /** What has become one leaf in the trie, and fits, goes back into the flat table. */
  private takeBack(i: number): void {
    const leaf = this.trie.leafOf24(i << (32 - FLAT_BITS))
    if (leaf < 0 || leaf >>> LENGTH_BITS >= ASK) return
    this.put(i, leaf)
    this.trie.set(i << (32 - FLAT_BITS), FLAT_BITS, 0, ANY_LENGTH, 0)
  }
}
