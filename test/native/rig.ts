/** An I/O context with room for super-frames, and its entries in readable form, for tests of sockets. */
import {
  createIo, CTL_BYTE_BUDGET, CTL_PORT_BUDGET, CTL_RX_SLOTS, CTL_SLOT_BYTES, CTL_TIMEOUT_MS, CTL_TX_COUNT, CTL_WORDS, RX_ERROR, RX_STRIDE,
  TX_SENDMSG, TX_STRIDE, TX_WRITE, TX_WRITEV
} from '../../src/native.js'
import { onSweep } from '../helpers/netns.js'

const SLOTS = 32
const SLOT = 66 * 1024
const LEAD = 66
const OUT = SLOTS * SLOT

export interface Arrival {
  tag: number
  /** -1: the port is gone, and `length` is a negative errno. */
  slot: number
  length: number
  flags: number
  /** tos, gso size or TCI of the flags. */
  low: number
  high: number
  bytes: Uint8Array
  /** Family, port and address of the sender (or of the destination of what failed). */
  peer: { family: number, port: number, address: number[] }
  /** The virtio-net header before the frame. */
  header: Uint8Array
}

export type Range = readonly [at: number, length: number]

/** struct sockaddr_in or sockaddr_in6 as words: `address` has 4 or 16 bytes. */
export const sockaddr = (address: readonly number[], port: number, scope = 0): Int32Array => {
  const words = new Int32Array(8)
  const view = new DataView(words.buffer)
  const six = address.length === 16
  view.setUint16(0, six ? 10 : 2, true)
  view.setUint16(2, port)
  address.forEach((byte, i) => view.setUint8((six ? 8 : 4) + i, byte))
  if (six) view.setUint32(24, scope, true)
  return words
}

export const createRig = () => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer((SLOTS + 2) * SLOT))
  const view = new DataView(arena.buffer)
  const control = words(CTL_WORDS)
  const [rx, rxSlots, tx, gather] = [words(SLOTS * RX_STRIDE), words(SLOTS), words(64 * TX_STRIDE), words(4096)]
  const [addresses, sums] = [words(8 * 8), words(3 * 8)]
  for (let i = 0; i < SLOTS; i++) rxSlots[i] = i * SLOT + LEAD
  control[CTL_RX_SLOTS] = SLOTS
  control[CTL_SLOT_BYTES] = 65558
  control[CTL_PORT_BUDGET] = 32
  control[CTL_BYTE_BUDGET] = 1 << 20
  const io = createIo({ arena, control, rx, rxSlots, tx, gather, addresses, sums, eventFd: -1 })
  onSweep(() => io.close())
  let pairs = 0
  let arrived: Arrival[] = []

  const queue = (entry: readonly number[]): number => {
    const n = control[CTL_TX_COUNT]!
    tx.set([...entry, -1], n * TX_STRIDE)
    control[CTL_TX_COUNT] = n + 1
    return n
  }
  const put = (ranges: readonly Range[]): number => {
    const first = pairs
    for (const [at, length] of ranges) gather.set([at, length], pairs++ * 2)
    return first
  }

  const rig = {
    io, arena, view, control, rx, rxSlots, tx, gather, addresses,
    /** Offset of two slots' worth of bytes to send from. */
    out: OUT,
    /** Queues a TX_SENDMSG. */
    datagram: (fd: number, ranges: readonly Range[], row: number, gso = 0, ttlTos = -1): number =>
      queue([TX_SENDMSG, fd, put(ranges), ranges.length, gso, row, ttlTos]),
    write: (fd: number, at: number, length: number): number => queue([TX_WRITE, fd, at, length, 0, 0, 0]),
    writev: (fd: number, ranges: readonly Range[]): number => queue([TX_WRITEV, fd, put(ranges), ranges.length, 0, 0, 0]),
    /** A turn: errno of each entry queued since the last, and what arrived. */
    turn: (timeout = 0): { errors: number[], arrivals: Arrival[] } => {
      control[CTL_TIMEOUT_MS] = timeout
      const count = io.turn()
      const errors = Array.from({ length: control[CTL_TX_COUNT]! }, (_, i) => tx[i * TX_STRIDE + 7]!)
      control[CTL_TX_COUNT] = 0
      pairs = 0
      const arrivals = Array.from({ length: count }, (_, i): Arrival => {
        const [tag, slot, length, flags] = [...rx.subarray(i * RX_STRIDE, (i + 1) * RX_STRIDE)] as [number, number, number, number]
        const at = slot < 0 ? LEAD : rxSlots[slot]!
        const datagram = (flags & 2) !== 0 && (flags & RX_ERROR) === 0
        const from = datagram ? at - 8 : at
        const family = view.getUint16(at - 42, true)
        const address = [...arena.slice(...(family === 10 ? [at - 34, at - 18] : [at - 38, at - 34]) as [number, number])]
        return {
          tag, slot, length, flags, low: flags >> 8 & 0xff, high: flags >>> 16, bytes: arena.slice(from, from + Math.max(length, 0)),
          peer: { family, port: view.getUint16(at - 40), address }, header: arena.slice(at - 10, at)
        }
      })
      return { errors, arrivals }
    },
    /** A turn; errno of each entry queued since the last. What arrives is kept for `collect`. */
    send: (): number[] => {
      const { errors, arrivals } = rig.turn()
      arrived.push(...arrivals)
      return errors
    },
    /** Turns until `enough` have arrived since the last `collect` or nothing comes for `ms` milliseconds. */
    collect: (enough: number, ms = 500): Arrival[] => {
      while (arrived.length < enough) {
        const { arrivals } = rig.turn(ms)
        if (arrivals.length === 0) break
        arrived.push(...arrivals)
      }
      const all = arrived
      arrived = []
      return all
    }
  }
  return rig
}
