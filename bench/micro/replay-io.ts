/**
 * `Io` without a device: every exchange fills all receive slots with the next frames of a list, and takes whatever is sent.
 *
 * The pipeline changes the frames it gets (a router rewrites Ethernet header, TTL and checksum), so the headers are written
 * anew each time, as reception would: virtio-net header, Ethernet, IPv4 and UDP header are 13 words. Payload bytes stay what
 * they are. The cost of that is part of what is measured; `createReplayIo` alone is measured beside it.
 */
import type { Packets } from '../../src/core/packets.js'
import { VNET_HDR } from '../../src/core/layout.js'
import type { Io, Rings } from '../../src/port/rings.js'
import { CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TX_COUNT, CTL_TX_FAILED, RX_STRIDE, TX_STRIDE, TX_WRITEV } from '../../src/port/rings.js'

export interface ReplayFrame {
  /** Row of the port it arrives by. */
  port: number
  bytes: Uint8Array
}

export interface ReplayIo extends Io {
  /** What arrives from now on, in this order, again and again. Frames of less than 52 - 10 bytes are refused. */
  load(frames: readonly ReplayFrame[]): void
  /** Frames sent since the beginning, in super-frames or alone. */
  sent(): number
}

/** Words of header that are written for each frame. */
const WORDS = 13

export const createReplayIo = (packets: Packets, rings: Rings): ReplayIo => {
  const { i32 } = packets
  const { control, rx, rxSlots, tx } = rings
  let words = new Int32Array(0)
  let ports = new Int32Array(0)
  let lengths = new Int32Array(0)
  let count = 0
  let next = 0
  let sent = 0

  return {
    load: (frames) => {
      count = frames.length
      next = 0
      words = new Int32Array(count * WORDS)
      ports = Int32Array.from(frames, (f) => f.port)
      lengths = Int32Array.from(frames, (f) => f.bytes.length)
      const to = new Uint8Array(words.buffer)
      for (const [i, { bytes }] of frames.entries()) {
        if (bytes.length < WORDS * 4 - VNET_HDR) throw new RangeError('a frame is too short to be replayed')
        to.set(bytes.subarray(0, WORDS * 4 - VNET_HDR), i * WORDS * 4 + VNET_HDR)
      }
    },
    sent: () => sent,
    sumRanges: () => undefined,
    exchange: () => {
      // A super-frame is gathered from as many parts as it has datagrams
      for (let i = 0, e = 0; i < control[CTL_TX_COUNT]!; i++, e += TX_STRIDE) sent += tx[e] === TX_WRITEV ? tx[e + 3]! : 1
      control[CTL_TX_FAILED] = 0
      const n = count === 0 ? 0 : control[CTL_RX_SLOTS]!
      for (let i = 0; i < n; i++) {
        const from = next * WORDS
        const to = (rxSlots[i]! - VNET_HDR) >> 2
        // Written out: a loop costs three times as much
        i32[to] = words[from]!
        i32[to + 1] = words[from + 1]!
        i32[to + 2] = words[from + 2]!
        i32[to + 3] = words[from + 3]!
        i32[to + 4] = words[from + 4]!
        i32[to + 5] = words[from + 5]!
        i32[to + 6] = words[from + 6]!
        i32[to + 7] = words[from + 7]!
        i32[to + 8] = words[from + 8]!
        i32[to + 9] = words[from + 9]!
        i32[to + 10] = words[from + 10]!
        i32[to + 11] = words[from + 11]!
        i32[to + 12] = words[from + 12]!
        const e = i * RX_STRIDE
        rx[e] = ports[next]!
        rx[e + 1] = i
        rx[e + 2] = lengths[next]!
        rx[e + 3] = 0
        next = next + 1 === count ? 0 : next + 1
      }
      control[CTL_RX_COUNT] = n
      return n
    },
    close: () => undefined
  }
}
