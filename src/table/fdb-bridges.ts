/** What the forwarding database knows of each bridge: which filtering ids are its own, settings, and counters. */

/** Default of ageing_time (IEEE 802.1D table 7-5). */
const AGEING_TIME_MS = 300_000

const FIRST_BRIDGES = 64

export class FdbBridges {
  /** Bridge row by filtering id. */
  ofFilter = new Int32Array(64)
  // By bridge row
  /** Seconds; 0: nothing is learned. */
  ageing = new Int32Array(FIRST_BRIDGES).fill(AGEING_TIME_MS / 1000)
  /** Most entries learned; 0 for no limit. */
  limit = new Int32Array(FIRST_BRIDGES)
  /** Entries learned that are there now. */
  learned = new Int32Array(FIRST_BRIDGES)
  /** Since the bridge was made: stations learned, moves between ports, stations not learned for want of room. */
  learnedTotal = new Float64Array(FIRST_BRIDGES)
  moved = new Float64Array(FIRST_BRIDGES)
  full = new Float64Array(FIRST_BRIDGES)

  /** Makes room for a bridge row. */
  need(bridge: number): void {
    const old = this.limit.length
    if (bridge < old) return
    const size = 2 ** Math.ceil(Math.log2(bridge + 1))
    const wide = (column: Int32Array): Int32Array<ArrayBuffer> => {
      const c = new Int32Array(size)
      c.set(column)
      return c
    }
    const wideFloat = (column: Float64Array): Float64Array<ArrayBuffer> => {
      const c = new Float64Array(size)
      c.set(column)
      return c
    }
    this.ageing = wide(this.ageing).fill(AGEING_TIME_MS / 1000, old)
    this.limit = wide(this.limit)
    this.learned = wide(this.learned)
    this.learnedTotal = wideFloat(this.learnedTotal)
    this.moved = wideFloat(this.moved)
    this.full = wideFloat(this.full)
  }

  /** Notes whose a filtering id is. */
  claim(filter: number, bridge: number): void {
    this.need(bridge)
    if (filter >= this.ofFilter.length) {
      const wide = new Int32Array(2 ** Math.ceil(Math.log2(filter + 1)))
      wide.set(this.ofFilter)
      this.ofFilter = wide
    }
    this.ofFilter[filter] = bridge
  }

  /** Settings and counters as those of a new bridge; its entries are gone. */
  reset(bridge: number): void {
    this.ageing[bridge] = AGEING_TIME_MS / 1000
    this.limit[bridge] = 0
    this.learnedTotal[bridge] = 0
    this.moved[bridge] = 0
    this.full[bridge] = 0
  }

  /** An entry was learned. */
  added(bridge: number): void {
    this.learned[bridge]!++
    this.learnedTotal[bridge]!++
  }

  memoryBytes(): number {
    return this.ofFilter.byteLength + this.limit.byteLength * 3 + this.full.byteLength * 3
  }
}
