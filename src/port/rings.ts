/**
 * The border between the data plane and I/O: arrays that both sides read and write, one exchange a turn.
 *
 * The engine queues frames to send with `push` and calls `io.exchange()`, which sends them all, collects what has arrived or
 * sleeps. Whoever implements `Io` (TAPs by the native part, memory ports in tests) works on these arrays; the layout of the
 * entries is that of io-layout.ts.
 */
import type { Packets } from '../core/packets.js'
import { LARGE } from '../core/packets.js'
import { LARGE_DATA } from '../core/layout.js'
import { CTL_BYTE_BUDGET, CTL_PORT_BUDGET, CTL_RX_SLOTS, CTL_SLOT_BYTES, CTL_TIME, CTL_TX_COUNT, CTL_WORDS, RX_STRIDE, TX_STRIDE, TX_WRITE } from '../io-layout.js'

export * from '../io-layout.js'

/** Tags of sockets are beyond those of ports. */
export const SOCKET_TAGS = 4096
/** Entries that one packet may need at most: a super-frame cut for a tunnel whose socket takes several datagrams at once. */
export const ENTRIES_A_PACKET = 32

/** Of what a turn has taken. */
const PAIRS = 0
const SCRATCH = 1
const QUEUED = 2

/** Ranges that one `sumRanges` may sum. */
export const SUM_RANGES = 256

export interface Io {
  /** Folded sums (RFC 1071) of the first `count` triples in `sums`: arena offset, length, out: the sum. */
  sumRanges(count: number): void
  /** Sends the queued entries, collects arrivals into rx; returns how many. Blocks at most CTL_TIMEOUT_MS. */
  exchange(): number
  /** Milliseconds, monotonic, as of the last exchange; a number that is read costs no object. */
  now(): number
  close(): void
}

export type Rings = ReturnType<typeof createRings>

export const createRings = (packets: Packets, addresses: Int32Array, batch = 64, txCapacity = 1024) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const control = words(CTL_WORDS)
  const rx = words(batch * RX_STRIDE)
  const rxSlots = words(batch) // arena offsets, for the I/O side
  const rxSlotIds = new Int32Array(batch)
  const tx = words(txCapacity * TX_STRIDE)
  // Every packet may be one part of a joined write, and there may be as many parts of super-frames
  const pairs = Math.max(2 * packets.capacity, 4096)
  const gather = words(2 * pairs)
  const sums = words(3 * SUM_RANGES)
  const txPacket = new Int32Array(txCapacity)
  const txPort = new Int32Array(txCapacity)
  let slots = 0
  // In an array: a variable that changes is checked and untagged at each use
  const taken = new Int32Array(3)

  /** What is behind places without a slot moves up. */
  const closeGaps = (): void => {
    let kept = 0
    for (let i = 0; i < slots; i++) {
      if (rxSlotIds[i]! < 0) continue
      rxSlotIds[kept] = rxSlotIds[i]!
      rxSlots[kept++] = rxSlots[i]!
    }
    slots = kept
  }

  control[CTL_SLOT_BYTES] = LARGE_DATA
  control[CTL_PORT_BUDGET] = 32
  control[CTL_BYTE_BUDGET] = 1 << 19 // so that what is read is still in the second-level cache when it is written

  return {
    /** CTL_TIME of `control`. */
    time: new Float64Array(control.buffer, CTL_TIME * 4, 1),
    batch, txCapacity, control, rx, rxSlots, rxSlotIds, tx, gather, addresses, sums, txPacket, txPort,

    /** Packets in tx entries. */
    queued: (): number => taken[QUEUED]!,
    /** A further packet is in an entry that is there already. */
    addQueued: (): void => {
      taken[QUEUED]!++
    },
    /** Whether that many parts and bytes of scratch can still be had, and entries for them; joined writes keep their share of parts. */
    hasRoom: (parts: number, scratch: number, entries: number): boolean =>
      control[CTL_TX_COUNT]! + entries <= txCapacity && taken[PAIRS]! + parts <= pairs - packets.capacity && taken[SCRATCH]! + scratch <= packets.scratchBytes,
    /** The first of `parts` pairs of `gather`; those of one entry lie together. */
    takePairs: (parts: number): number => {
      const first = taken[PAIRS]!
      taken[PAIRS]! += parts
      return first
    },
    /** Pairs taken: where the next will begin. */
    pairsUsed: (): number => taken[PAIRS]!,
    /** Arena offset of `bytes` bytes (a multiple of 4 is taken), valid until the next exchange; it is 2 modulo 4, as a frame's start is. */
    takeScratch: (bytes: number): number => {
      const at = packets.scratch + taken[SCRATCH]! + 2
      taken[SCRATCH]! += (bytes + 3) & ~3
      return at
    },
    /** What was queued has been sent: the entries, their parts and scratch are free. */
    reset: (): void => {
      control[CTL_TX_COUNT] = 0
      taken[PAIRS] = 0
      taken[SCRATCH] = 0
      taken[QUEUED] = 0
    },

    /** Fills the places of the first `count` rx entries' frames with fresh slots; fewer slots when the pool is low. */
    refill: (count: number): void => {
      let gaps = 0
      for (let i = 0; i < count; i++) {
        const place = rx[i * RX_STRIDE + 1]!
        if (place < 0) continue
        const s = gaps === 0 ? packets.takeSlot(LARGE) : -1
        rxSlotIds[place] = s
        if (s < 0) gaps++
        else rxSlots[place] = packets.slotData[s]!
      }
      if (gaps > 0) closeGaps()
      for (; slots < batch; slots++) {
        const s = packets.takeSlot(LARGE)
        if (s < 0) break
        rxSlotIds[slots] = s
        rxSlots[slots] = packets.slotData[s]!
      }
      control[CTL_RX_SLOTS] = slots
    },

    /** Queues a whole frame, `before` bytes of the port's own header included. The caller has seen that there is room. */
    push: (p: number, port: number, descriptor: number, before: number): void => {
      const n = control[CTL_TX_COUNT]!
      const e = n * TX_STRIDE
      tx[e] = TX_WRITE
      tx[e + 1] = descriptor
      tx[e + 2] = packets.start[p]! - before
      tx[e + 3] = packets.length[p]! + before
      tx[e + 7] = 0
      txPacket[n] = p
      txPort[n] = port
      taken[QUEUED]!++
      control[CTL_TX_COUNT] = n + 1
    },

    /** Queues an entry that is gathered; `p` may be -1 when its packet is in an entry before. Words 4 to 6 are the caller's. Returns its number. */
    pushGathered: (kind: number, p: number, port: number, descriptor: number, firstPair: number, parts: number): number => {
      const n = control[CTL_TX_COUNT]!
      const e = n * TX_STRIDE
      tx[e] = kind
      tx[e + 1] = descriptor
      tx[e + 2] = firstPair
      tx[e + 3] = parts
      tx[e + 7] = 0
      txPacket[n] = p
      txPort[n] = port
      if (p >= 0) taken[QUEUED]!++
      control[CTL_TX_COUNT] = n + 1
      return n
    }
  }
}
