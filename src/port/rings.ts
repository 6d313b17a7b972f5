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
export const CTL_WORDS = 16

/** A tx entry: kind, descriptor, arena offset (or first gather pair), length (or number of pairs), 3 spare, errno out. */
export const TX_STRIDE = 8
export const TX_WRITE = 0
export const TX_WRITEV = 1
/** An rx entry: port, index into rxSlots, length of the frame or a negative errno, flags. */
export const RX_STRIDE = 4

export interface Io {
  /** Sends the queued entries, collects arrivals into rx; returns how many. Blocks at most CTL_TIMEOUT_MS. */
  exchange(): number
  close(): void
}

export type Rings = ReturnType<typeof createRings>

export const createRings = (packets: Packets, batch = 64, txCapacity = 1024) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const control = words(CTL_WORDS)
  const rx = words(batch * RX_STRIDE)
  const rxSlots = words(batch) // arena offsets, for the I/O side
  const rxSlotIds = new Int32Array(batch)
  const tx = words(txCapacity * TX_STRIDE)
  const gather = words(2 * packets.capacity) // every packet may be one part
  const txPacket = new Int32Array(txCapacity)
  const txPort = new Int32Array(txCapacity)
  let slots = 0

  control[CTL_SLOT_BYTES] = LARGE_DATA
  control[CTL_PORT_BUDGET] = 32
  control[CTL_BYTE_BUDGET] = 1 << 20

  return {
    batch, txCapacity, control, rx, rxSlots, rxSlotIds, tx, gather, txPacket, txPort,

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
      control[CTL_TX_COUNT] = n + 1
    }
  }
}
