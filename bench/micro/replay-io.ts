/**
 * `Io` without a device: every exchange fills all receive slots with the next frames of a list, and takes whatever is sent. Datagrams
 * come back: what is sent to one of two linked addresses arrives at its socket, at the next exchange and before any frame.
 *
 * The pipeline changes the frames it gets (a router rewrites Ethernet header, TTL and checksum), so the headers are written
 * anew each time, as reception would: virtio-net header, Ethernet, IPv4 and UDP header are 13 words. Payload bytes stay what
 * they are. What moves bytes is native (bench/native/replay.c), as in an instance. Its cost is part of what is measured; `createReplayIo` alone is
 * measured beside it.
 */
import type { Packets } from '../../src/core/packets.js'
import { VNET_HDR } from '../../src/core/layout.js'
import { createNativeIo } from '../../src/port/native-io.js'
import type { Io, Rings } from '../../src/port/rings.js'
import {
  ADDRESS_WORDS, CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TIME, CTL_TX_COUNT, CTL_TX_FAILED, DATAGRAM_LEAD, RX_META, RX_STRIDE, SENDER_LEAD, TX_SENDMSG,
  TX_STRIDE, TX_WRITEV
} from '../../src/port/rings.js'
import { replayAddon } from './replay-addon.js'

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
/** Of an end of the underlay, for the addon: address, family and port as in a struct sockaddr_in, tag. */
const PEER_WORDS = 3

/** Of the addon's counts. */
const ARRIVED = 0
const SENT = 1
const SENDS = 2

export const createReplayIo = (packets: Packets, rings: Rings): ReplayIo => {
  const { time, control, rx, rxSlots, tx, gather, addresses } = rings
  // As an instance has it: it is the part of the data plane's own work that is native
  const { sumRanges } = createNativeIo(packets, rings, -1)
  const counts = new Float64Array(3)
  const peers = new Int32Array(2 * PEER_WORDS)
  const wire = replayAddon().create(packets.bytes, control, rx, rxSlots, tx, gather, addresses, counts, Int32Array.of(
    CTL_TX_COUNT, CTL_TX_FAILED, CTL_RX_SLOTS, CTL_RX_COUNT, CTL_TIME, TX_STRIDE, RX_STRIDE, ADDRESS_WORDS, TX_WRITEV, TX_SENDMSG, RX_META, VNET_HDR,
    DATAGRAM_LEAD, SENDER_LEAD
  ), peers)

  return {
    load: (frames) => {
      const words = new Int32Array(frames.length * WORDS)
      const to = new Uint8Array(words.buffer)
      for (const [i, { bytes: frame }] of frames.entries()) {
        if (frame.length < WORDS * 4 - VNET_HDR) throw new RangeError('a frame is too short to be replayed')
        to.set(frame.subarray(0, WORDS * 4 - VNET_HDR), i * WORDS * 4 + VNET_HDR)
      }
      wire.load(words, Int32Array.from(frames, (f) => f.port), Int32Array.from(frames, (f) => f.bytes.length))
    },
    link: (...ends) => {
      for (const [i, { address, port, tag }] of ends.entries()) {
        peers.set([address, AF_INET | ((port & 0xff) << 24) | ((port >> 8) << 16), tag], i * PEER_WORDS)
      }
    },
    arrived: () => counts[ARRIVED]!,
    sent: () => counts[SENT]!,
    sends: () => counts[SENDS]!,
    sumRanges,
    exchange: () => {
      wire.exchange()
      return control[CTL_RX_COUNT]!
    },
    now: () => time[0]!,
    close: () => undefined
  }
}
