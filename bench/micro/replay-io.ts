/**
 * `Io` without a device: every exchange fills all receive slots with the next frames of a list, and takes whatever is sent. Datagrams
 * come back: what is sent to one of two linked addresses arrives at its socket, at the next exchange and before any frame.
 *
 * The pipeline changes the frames it gets (a router rewrites Ethernet header, TTL and checksum), so the headers are written
 * anew each time, as reception would: virtio-net header, Ethernet, IPv4 and UDP header are 13 words. Payload bytes stay what
 * they are. The cost of that is part of what is measured; `createReplayIo` alone is measured beside it.
 */
import type { Packets } from '../../src/core/packets.js'
import { VNET_HDR } from '../../src/core/layout.js'
import { createNativeIo } from '../../src/port/native-io.js'
import type { Io, Rings } from '../../src/port/rings.js'
import {
  ADDRESS_WORDS, CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TX_COUNT, CTL_TX_FAILED, DATAGRAM_LEAD, RX_META, RX_STRIDE, SENDER_LEAD, TX_SENDMSG,
  TX_STRIDE, TX_WRITEV
} from '../../src/port/rings.js'

export interface ReplayFrame {
  /** Row of the port it arrives by. */
  port: number
  bytes: Uint8Array
}

/** An end of the underlay. */
export interface ReplayPeer {
  /** IPv4 address, as a little-endian load of its octets sees it. */
  address: number
  /** UDP port. */
  port: number
  /** Tag under which its socket is watched. */
  tag: number
}

export interface ReplayIo extends Io {
  /** What arrives from now on, in this order, again and again. Frames of less than 52 - 10 bytes are refused. */
  load(frames: readonly ReplayFrame[]): void
  /** Datagrams to one of them arrive there, as from the other one. Without this, a datagram that is sent is an error. */
  link(one: ReplayPeer, other: ReplayPeer): void
  /** Frames of the list that have arrived since the beginning. */
  arrived(): number
  /** Frames sent since the beginning, in super-frames or alone. */
  sent(): number
  /** Calls that sent datagrams, one or several each. */
  sends(): number
}

/** Words of header that are written for each frame. */
const WORDS = 13
const AF_INET = 2

export const createReplayIo = (packets: Packets, rings: Rings): ReplayIo => {
  const { i32, u16, bytes } = packets
  const { time, control, rx, rxSlots, tx, gather, addresses } = rings
  // As an instance has it: it is the part of the data plane's own work that is native
  const { sumRanges } = createNativeIo(packets, rings, -1)
  let words = new Int32Array(0)
  let ports = new Int32Array(0)
  let lengths = new Int32Array(0)
  let count = 0
  let next = 0
  let arrived = 0
  let sent = 0
  let sends = 0
  // Of the two peers: address, sockaddr's first word, tag
  const peerAddress = new Int32Array(2)
  const peerFamilyPort = new Int32Array(2)
  const peerTag = new Int32Array(2)

  /** Copies bytes; at once by words where both places are 2 modulo 4, as frames are. */
  const copy = (to: number, from: number, length: number): void => {
    if (((to & from) & 3) !== 2 || length < 2) {
      bytes.copyWithin(to, from, from + length)
      return
    }
    u16[to >> 1] = u16[from >> 1]!
    let t = (to + 2) >> 2
    let f = (from + 2) >> 2
    const whole = f + ((length - 2) >> 2)
    for (; f + 8 <= whole; f += 8, t += 8) {
      i32[t] = i32[f]!
      i32[t + 1] = i32[f + 1]!
      i32[t + 2] = i32[f + 2]!
      i32[t + 3] = i32[f + 3]!
      i32[t + 4] = i32[f + 4]!
      i32[t + 5] = i32[f + 5]!
      i32[t + 6] = i32[f + 6]!
      i32[t + 7] = i32[f + 7]!
    }
    for (; f < whole; f++, t++) i32[t] = i32[f]!
    for (let i = length - ((length - 2) & 3); i < length; i++) bytes[to + i] = bytes[from + i]!
  }

  /** The datagrams of a tx entry, as the next arrival: number `n` of this exchange. */
  const turnBack = (e: number, n: number): void => {
    if (n >= control[CTL_RX_SLOTS]!) throw new Error('more was sent into the tunnel than can arrive at once')
    const address = addresses[tx[e + 5]! * ADDRESS_WORDS + 1]!
    const at = address === peerAddress[0] ? 0 : 1
    if (address !== peerAddress[at]) throw new Error('a datagram to an address that is nobody\'s')
    const begin = rxSlots[n]! - DATAGRAM_LEAD
    let to = begin
    const pairs = tx[e + 3]!
    for (let i = 0, g = tx[e + 2]! * 2; i < pairs; i++, g += 2) {
      const length = gather[g + 1]!
      copy(to, gather[g]!, length)
      to += length
    }
    const sender = (rxSlots[n]! - SENDER_LEAD) >> 2
    i32[sender] = peerFamilyPort[1 - at]!
    i32[sender + 1] = peerAddress[1 - at]!
    const r = n * RX_STRIDE
    rx[r] = peerTag[at]!
    rx[r + 1] = n
    rx[r + 2] = to - begin
    rx[r + 3] = RX_META | (tx[e + 4]! << 16)
    sends++
  }

  return {
    load: (frames) => {
      count = frames.length
      next = 0
      words = new Int32Array(count * WORDS)
      ports = Int32Array.from(frames, (f) => f.port)
      lengths = Int32Array.from(frames, (f) => f.bytes.length)
      const to = new Uint8Array(words.buffer)
      for (const [i, { bytes: frame }] of frames.entries()) {
        if (frame.length < WORDS * 4 - VNET_HDR) throw new RangeError('a frame is too short to be replayed')
        to.set(frame.subarray(0, WORDS * 4 - VNET_HDR), i * WORDS * 4 + VNET_HDR)
      }
    },
    link: (...peers) => {
      for (const [i, { address, port, tag }] of peers.entries()) {
        peerAddress[i] = address
        peerFamilyPort[i] = AF_INET | ((port & 0xff) << 24) | ((port >> 8) << 16)
        peerTag[i] = tag
      }
    },
    arrived: () => arrived,
    sent: () => sent,
    sends: () => sends,
    sumRanges,
    exchange: () => {
      time[0] = time[0]! + 0.01
      let back = 0
      for (let i = 0, e = 0; i < control[CTL_TX_COUNT]!; i++, e += TX_STRIDE) {
        const kind = tx[e]!
        if (kind === TX_SENDMSG) turnBack(e, back++)
        // A super-frame is gathered from as many parts as it has datagrams
        else sent += kind === TX_WRITEV ? tx[e + 3]! : 1
      }
      control[CTL_TX_FAILED] = 0
      const n = count === 0 ? back : control[CTL_RX_SLOTS]!
      for (let i = back; i < n; i++) {
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
      arrived += n - back
      control[CTL_RX_COUNT] = n
      return n
    },
    now: () => time[0]!,
    close: () => undefined
  }
}
