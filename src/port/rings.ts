/**
 * The border between the data plane and I/O: arrays that both sides read and write, one exchange a turn.
 *
 * The engine queues frames to send with `push` and calls `io.exchange()`, which sends them all, collects what has arrived or
 * sleeps. Whoever implements `Io` (TAPs by the native part, memory ports in tests) works on these arrays; the layout of the
 * entries is that of native/turn.c.
 */
import type { Packets } from '../core/packets.js'
import { LARGE } from '../core/packets.js'
import { LARGE_DATA } from '../core/layout.js'

/** Words of `control`. */
export const CTL_TX_COUNT = 0
export const CTL_TIMEOUT_MS = 1
export const CTL_SPIN_US = 2
export const CTL_RX_SLOTS = 3
export const CTL_PORT_BUDGET = 4
export const CTL_BYTE_BUDGET = 5
export const CTL_RX_COUNT = 6
export const CTL_WOKEN = 7
export const CTL_SLEPT = 8
export const CTL_TX_FAILED = 9
export const CTL_EVENTS = 10
export const CTL_SLOT_BYTES = 11
/** Super-datagrams that the kernel refused to cut and that were sent one by one. */
export const CTL_GSO_FALLBACKS = 12
export const CTL_WORDS = 16

/** What is watched, and how it is read. */
export const PORT_FILE = 0 // a TAP
export const PORT_UDP = 1 // datagrams with their sender
export const PORT_PACKET = 2 // a packet socket
export const PORT_ERRORS = 3 // a socket that only sends: its error queue

/**
 * A tx entry: kind, descriptor, arena offset (or first gather pair), length (or number of pairs), 3 of the kind, errno out.
 * TX_SENDMSG: bytes of a datagram when it is cut by the kernel (0: one datagram), row in `addresses`, ttl | tos << 8 or -1.
 */
export const TX_STRIDE = 8
export const TX_WRITE = 0
export const TX_WRITEV = 1
export const TX_SENDMSG = 2
/** Parts that one entry may be gathered from. */
export const MAX_WRITEV_PAIRS = 256
export const MAX_SENDMSG_PAIRS = 512

/**
 * An rx entry: port, index into rxSlots, length of the frame or a negative errno, flags. A datagram's payload begins DATAGRAM_LEAD before
 * the place of a frame, its sender's sockaddr SENDER_LEAD before it.
 */
export const RX_STRIDE = 4
export const RX_FULL = 1
export const RX_META = 2 // a datagram: tos << 8, bytes of each datagram of several << 16
export const RX_ERROR = 4 // an entry of a socket's error queue: struct sock_extended_err in place of the frame, destination as sender
export const RX_VLAN = 8 // a tag that the kernel took off: tci << 16
export const RX_QINQ = 16 // its type is 802.1ad's
export const DATAGRAM_LEAD = 8
export const SENDER_LEAD = 42
/** Tags of sockets are beyond those of ports. */
export const SOCKET_TAGS = 4096
/** int32 words of a row in `addresses`: a sockaddr_in or sockaddr_in6 as the kernel has it. */
export const ADDRESS_WORDS = 8

/** Entries that one packet may need at most: a super-frame cut for a tunnel whose socket takes several datagrams at once. */
export const ENTRIES_A_PACKET = 32

/** Ranges that one `sumRanges` may sum. */
export const SUM_RANGES = 256

export interface Io {
  /** Folded sums (RFC 1071) of the first `count` triples in `sums`: arena offset, length, out: the sum. */
  sumRanges(count: number): void
  /** Sends the queued entries, collects arrivals into rx; returns how many. Blocks at most CTL_TIMEOUT_MS. */
  exchange(): number
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
  let pairsUsed = 0
  let scratchUsed = 0
  let queued = 0

  control[CTL_SLOT_BYTES] = LARGE_DATA
  control[CTL_PORT_BUDGET] = 32
  control[CTL_BYTE_BUDGET] = 1 << 20

  return {
    batch, txCapacity, control, rx, rxSlots, rxSlotIds, tx, gather, addresses, sums, txPacket, txPort,

    /** Packets in tx entries. */
    queued: (): number => queued,
    /** A further packet is in an entry that is there already. */
    addQueued: (): void => {
      queued++
    },
    /** Whether that many parts and bytes of scratch can still be had, and entries for them; joined writes keep their share of parts. */
    hasRoom: (parts: number, scratch: number, entries: number): boolean =>
      control[CTL_TX_COUNT]! + entries <= txCapacity && pairsUsed + parts <= pairs - packets.capacity && scratchUsed + scratch <= packets.scratchBytes,
    /** The first of `parts` pairs of `gather`; those of one entry lie together. */
    takePairs: (parts: number): number => {
      const first = pairsUsed
      pairsUsed += parts
      return first
    },
    /** Pairs taken: where the next will begin. */
    pairsUsed: (): number => pairsUsed,
    /** Arena offset of `bytes` bytes (a multiple of 4 is taken), valid until the next exchange; it is 2 modulo 4, as a frame's start is. */
    takeScratch: (bytes: number): number => {
      const at = packets.scratch + scratchUsed + 2
      scratchUsed += (bytes + 3) & ~3
      return at
    },
    /** What was queued has been sent: the entries, their parts and scratch are free. */
    reset: (): void => {
      control[CTL_TX_COUNT] = 0
      pairsUsed = 0
      scratchUsed = 0
      queued = 0
    },

    /** Fills the places that the last exchange used (0..used-1) with fresh slots; fewer slots when the pool is low. */
    refill: (used: number): void => {
      let kept = 0
      // Slots are used from the front; what is behind moves up only when the pool cannot fill the gap.
      for (let i = 0; i < used; i++) {
        const s = packets.takeSlot(LARGE)
        if (s < 0) break
        rxSlotIds[i] = s
        rxSlots[i] = packets.slotData[s]!
        kept++
      }
      if (kept < used) {
        for (let i = used; i < slots; i++) {
          rxSlotIds[kept] = rxSlotIds[i]!
          rxSlots[kept++] = rxSlots[i]!
        }
        slots = kept
      } else if (slots < batch) {
        while (slots < batch) {
          const s = packets.takeSlot(LARGE)
          if (s < 0) break
          rxSlotIds[slots] = s
          rxSlots[slots++] = packets.slotData[s]!
        }
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
      queued++
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
      if (p >= 0) queued++
      control[CTL_TX_COUNT] = n + 1
      return n
    }
  }
}
