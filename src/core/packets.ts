/**
 * What a packet is: a small integer, the row of a set of Int32Array columns, and a slot of one shared arena.
 *
 * Rules
 * - Nothing is allocated per packet; a packet's bytes are not copied on its way through.
 * - A packet comes to be by `received`, `originate`, `copy` (flood) or `piece` (fragment, segment) and ends exactly once:
 *   `transmitted` (or `release`, and `countTransmitted` for several), `delivered`, `merged` or `drop(reason)`. What is neither is held by somebody (ARP queue, reassembly).
 *   The balance counters here and the pool's own count of rows in use must agree: see `balance`.
 * - Two packets may share a slot (`refs` of the slot above 1). A shared slot is read-only; `isShared` tells.
 * - A slot is large (64 KiB) or small (2 KiB). The receive side reads into large slots; whoever holds a packet for longer
 *   than a turn calls `moveToSmall`, so that held packets cannot starve reception.
 */
import { createColumns } from './columns.js'
import { HEADROOM, LARGE_STRIDE, SMALL_DATA, SMALL_STRIDE } from './layout.js'
import { NO_BUFFER, REASON_COUNT } from '../reason.js'

/** Packet flags. */
export const F_NEEDS_CSUM = 1 // the L4 checksum field holds the pseudo-header sum; csumStart/csumOffset say where
export const F_CSUM_OK = 2 // somebody verified the L4 checksum
export const F_LINK_BROADCAST = 4 // the frame came to a link broadcast or multicast address
export const F_OWN = 8 // made by this router or bridge itself
export const F_SHARED = 32 // a slice whose bytes another packet has, too
export const F_SLICE = 16 // one of several in a slot, each with bytes of its own; nothing may be written before `start`
export const F_GUESSED = 64 // a super-frame whose segment size nobody has told: a smaller one is as right

export const LARGE = 0
export const SMALL = 1
/** Rows, where kinds of what is free are counted. */
const PACKETS = 2

/** Ways a packet comes to be and ends: cells of `balance`. */
export const B_RECEIVED = 0
export const B_ORIGINATED = 1
export const B_COPIED = 2
export const B_PIECES = 3
export const B_TRANSMITTED = 4
export const B_DELIVERED = 5
export const B_DROPPED = 6
export const B_MERGED = 7
const BALANCE_CELLS = 8

export interface PoolOptions {
  packets?: number
  largeSlots?: number
  smallSlots?: number
  /** Bytes for headers that cannot stand before their packets' bytes: of shared packets, of segments. */
  scratchBytes?: number
  /** Off: a copy has bytes of its own from the start, while there is a slot for them. */
  sharedFrames?: boolean
  /** How many ports may have their own drop counters; ports beyond count in the totals only. */
  ports?: number
}

export type Packets = ReturnType<typeof createPackets>

/** Makes the packet pool. Everything is allocated here, once; shared memory, so that other threads can read counters. */
export const createPackets = (options: PoolOptions = {}) => {
  const capacity = options.packets ?? 16384
  const largeSlots = options.largeSlots ?? 256
  const smallSlots = options.smallSlots ?? 4096
  const portRows = options.ports ?? 4096
  const scratchBytes = options.scratchBytes ?? 512 << 10
  const sharedFrames = options.sharedFrames ?? true
  const slotCount = largeSlots + smallSlots

  const scratch = largeSlots * LARGE_STRIDE + smallSlots * SMALL_STRIDE
  const arena = new SharedArrayBuffer(scratch + scratchBytes + 8)
  const bytes = new Uint8Array(arena)
  const view = new DataView(arena)
  const u16 = new Uint16Array(arena)
  const i32 = new Int32Array(arena)

  const column = createColumns(capacity, 18)
  const slot = column()
  const start = column()
  const length = column()
  const inPort = column()
  const flags = column()
  const gsoType = column()
  const gsoSize = column()
  const csumStart = column() // from the start of the frame, as in virtio_net_hdr
  const csumOffset = column()
  const headerLength = column() // Ethernet to L4 header inclusive, of a super-frame
  const vlan = column()
  const l3 = column() // absolute arena offset of the IPv4 header
  const l4 = column() // absolute arena offset of the transport header
  const flowHash = column()
  const mark = column()
  const remote = column()
  const next = column() // link of whatever list holds the packet
  // Of a super-frame that came in pieces: bytes from one piece's payload to the next one's; 0: all lies together
  const stride = column()

  // How many are free of each. In an array: a variable that changes is checked and untagged at each use
  const free = new Int32Array(3)
  const freePackets = new Int32Array(capacity)
  for (let p = capacity - 1; p >= 0; p--) freePackets[free[PACKETS]!++] = p
  const inUse = new Uint8Array(capacity)

  const slotRefs = new Int32Array(slotCount)
  const slotData = new Int32Array(slotCount) // arena offset where a frame begins
  const freeLarge = new Int32Array(largeSlots)
  const freeSmall = new Int32Array(smallSlots)
  for (let s = slotCount - 1; s >= 0; s--) {
    slotData[s] = HEADROOM + (s < largeSlots ? s * LARGE_STRIDE : largeSlots * LARGE_STRIDE + (s - largeSlots) * SMALL_STRIDE)
    if (s < largeSlots) freeLarge[free[LARGE]!++] = s
    else freeSmall[free[SMALL]!++] = s
  }

  // One writer each: the thread that runs the data plane. Float64 counts exactly to 2^53.
  const balance = new Float64Array(new SharedArrayBuffer(BALANCE_CELLS * 8))
  const drops = new Float64Array(new SharedArrayBuffer(REASON_COUNT * 8))
  const portDrops = new Float64Array(new SharedArrayBuffer(portRows * REASON_COUNT * 8))

  /** Takes a slot off the pool; -1 when there is none. */
  const takeSlot = (kind: number): number => {
    if (kind === LARGE) return free[LARGE] === 0 ? -1 : freeLarge[--free[LARGE]!]!
    return free[SMALL] === 0 ? -1 : freeSmall[--free[SMALL]!]!
  }

  /** Gives back a slot that no packet refers to. */
  const giveSlot = (s: number): void => {
    if (s < largeSlots) freeLarge[free[LARGE]!++] = s
    else freeSmall[free[SMALL]!++] = s
  }

  const row = (s: number, at: number, size: number, port: number): number => {
    const p = freePackets[--free[PACKETS]!]!
    inUse[p] = 1
    slotRefs[s] = slotRefs[s]! + 1
    slot[p] = s
    start[p] = at
    length[p] = size
    inPort[p] = port
    flags[p] = 0
    gsoType[p] = 0
    gsoSize[p] = 0
    mark[p] = 0
    stride[p] = 0
    return p
  }

  const release = (p: number): void => {
    if (inUse[p] === 0) throw new Error(`packet ${p} ended twice`)
    inUse[p] = 0
    const s = slot[p]!
    const refs = slotRefs[s]! - 1
    slotRefs[s] = refs
    if (refs === 0) giveSlot(s)
    freePackets[free[PACKETS]!++] = p
  }

  /**
   * A packet for bytes that reception put into slot `s` at its data offset; -1 when no row is free (the slot goes back,
   * and the loss is counted as no-buffer).
   */
  const received = (s: number, size: number, port: number): number => {
    balance[B_RECEIVED]!++
    if (free[PACKETS] === 0) {
      giveSlot(s)
      countDrop(NO_BUFFER, port)
      return -1
    }
    return row(s, slotData[s]!, size, port)
  }

  const fresh = (cell: number, size: number, port: number): number => {
    const s = free[PACKETS] === 0 ? -1 : takeSlot(size <= SMALL_DATA ? SMALL : LARGE)
    if (s < 0) return -1
    balance[cell]!++
    return row(s, slotData[s]!, size, port)
  }

  /** A packet of our own with room for `size` bytes of frame, contents undefined; -1 when the pool is empty. `port` stands for who made it. */
  const originate = (size: number, port: number): number => {
    const p = fresh(B_ORIGINATED, size, port)
    if (p >= 0) flags[p] = F_OWN
    return p
  }

  /** Like `originate`, for a fragment or segment made from `from`: mark and port are inherited, bytes are not. */
  const piece = (from: number, size: number): number => {
    const p = fresh(B_PIECES, size, inPort[from]!)
    if (p >= 0) {
      flags[p] = flags[from]! & (F_OWN | F_LINK_BROADCAST)
      mark[p] = mark[from]!
    }
    return p
  }

  /**
   * A packet for `size` bytes at `at` of the slot of `from`, which no other packet looks at: one of several frames that came together.
   * -1 when no row is free; the loss is counted.
   */
  const slice = (from: number, at: number, size: number, port: number): number => {
    balance[B_PIECES]!++
    if (free[PACKETS] === 0) {
      countDrop(NO_BUFFER, port)
      return -1
    }
    const p = row(slot[from]!, at, size, port)
    flags[p] = F_SLICE
    return p
  }

  /**
   * A second packet on the same bytes (flood); both are read-only from then on, until one has ended. -1 when no row is free;
   * the copy that could not be made is counted as lost.
   */
  const copy = (p: number): number => {
    balance[B_COPIED]!++
    if (free[PACKETS] === 0) {
      countDrop(NO_BUFFER, inPort[p]!)
      return -1
    }
    const c = row(slot[p]!, start[p]!, length[p]!, inPort[p]!)
    // A slice's bytes were its own; now they are two packets'
    if ((flags[p]! & F_SLICE) !== 0) flags[p] = flags[p]! | F_SHARED
    flags[c] = flags[p]!
    stride[c] = stride[p]!
    gsoType[c] = gsoType[p]!
    gsoSize[c] = gsoSize[p]!
    csumStart[c] = csumStart[p]!
    csumOffset[c] = csumOffset[p]!
    headerLength[c] = headerLength[p]!
    vlan[c] = vlan[p]!
    mark[c] = mark[p]!
    if (!sharedFrames) move(c, sizeClass(c))
    return c
  }

  /** True when another packet has the same bytes: they must not be written. */
  const isShared = (p: number): boolean => slotRefs[slot[p]!]! > 1 && (flags[p]! & (F_SLICE | F_SHARED)) !== F_SLICE

  /** Puts the bytes of a packet together at `to`, which may be where it is: pieces only move towards the front. */
  const collect = (p: number, to: number): void => {
    const at = start[p]!
    const end = length[p]!
    if (stride[p] === 0) {
      if (to !== at) bytes.copyWithin(to, at, at + end)
      return
    }
    const size = gsoSize[p]!
    const headers = headerLength[p]!
    if (to !== at) bytes.copyWithin(to, at, at + Math.min(end, headers + size))
    for (let o = headers + size, from = at + headers + stride[p]!; o < end; o += size, from += stride[p]!) {
      bytes.copyWithin(to + o, from, from + Math.min(size, end - o))
    }
    stride[p] = 0
  }

  const move = (p: number, kind: number): boolean => {
    const from = slot[p]!
    const s = takeSlot(kind)
    if (s < 0) return false
    const at = slotData[s]!
    collect(p, at)
    flags[p] = flags[p]! & ~(F_SLICE | F_SHARED)
    l3[p] = l3[p]! - start[p]! + at
    l4[p] = l4[p]! - start[p]! + at
    start[p] = at
    slot[p] = s
    slotRefs[s] = 1
    const refs = slotRefs[from]! - 1
    slotRefs[from] = refs
    if (refs === 0) giveSlot(from)
    return true
  }

  const sizeClass = (p: number): number => (length[p]! <= SMALL_DATA ? SMALL : LARGE)

  /** Before holding a packet: moves it to a small slot where it fits, so that large slots stay free for reception. False when it stays in a large one. */
  const moveToSmall = (p: number): boolean => slot[p]! >= largeSlots || (length[p]! <= SMALL_DATA && move(p, SMALL))

  /** Makes a packet's bytes its own, by copying them if they are shared. False when the pool is empty (nothing changed). */
  const makeWritable = (p: number): boolean => !isShared(p) || move(p, sizeClass(p))

  /** Moves a packet to a slot of its own, in one piece. False when the pool is empty (nothing changed). */
  const moveApart = (p: number): boolean => move(p, sizeClass(p))

  /** Puts the pieces of a super-frame together; to be called by who looks at its payload. False when the pool is empty (nothing changed). */
  const linearize = (p: number): boolean => {
    if (stride[p] === 0) return true
    if (isShared(p)) return move(p, LARGE)
    collect(p, start[p]!)
    return true
  }

  const countDrop = (reason: number, port: number): void => {
    balance[B_DROPPED]!++
    drops[reason]!++
    if (port >= 0 && port < portRows) portDrops[port * REASON_COUNT + reason]!++
  }

  /** The only way to lose a packet. */
  const drop = (p: number, reason: number): void => {
    countDrop(reason, inPort[p]!)
    release(p)
  }

  /** It left by a port. */
  const transmitted = (p: number): void => {
    balance[B_TRANSMITTED]!++
    release(p)
  }

  /** So many packets were transmitted, which the caller gives to `release` besides: counted once for all of them. */
  const countTransmitted = (count: number): void => {
    balance[B_TRANSMITTED]! += count
  }

  /** It was for us and did its work. */
  const delivered = (p: number): void => {
    balance[B_DELIVERED]!++
    release(p)
  }

  /** Its bytes live on in another packet: reassembled, coalesced, or cut into pieces that were counted. */
  const merged = (p: number): void => {
    balance[B_MERGED]!++
    release(p)
  }

  /**
   * Makes the segments of a super-frame no longer than `most` bytes, headers included, if nobody has told how long they are: true. False for
   * all others, which are what they are.
   */
  const recut = (p: number, most: number): boolean => {
    if ((flags[p]! & F_GUESSED) === 0 || gsoType[p] === 0 || stride[p] !== 0 || most <= headerLength[p]!) return false
    if (headerLength[p]! + gsoSize[p]! > most) gsoSize[p] = most - headerLength[p]!
    return true
  }

  return {
    capacity, largeSlots, smallSlots, arena, bytes, view, u16, i32,
    slot, start, length, inPort, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, vlan, l3, l4, flowHash, mark, remote, next, stride,
    scratch, scratchBytes, slotData, balance, drops, portDrops,
    takeSlot, giveSlot, received, originate, piece, slice, copy, isShared, linearize, moveToSmall, makeWritable, moveApart, recut,
    drop, transmitted, countTransmitted, release, delivered, merged,
    /** Rows in use; with the balance: created minus ended. */
    packetsInUse: () => capacity - free[PACKETS]!,
    freeSlots: (kind: number) => free[kind]!
  }
}
