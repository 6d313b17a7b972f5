/**
 * Ports without a device, for tests, replay and the library: frames go in and out as byte arrays. Implements `Io` on the same
 * arrays as the native part, so that the engine cannot tell the difference.
 */
import type { Packets } from '../core/packets.js'
import { VNET_HDR } from '../core/layout.js'
import { sumRanges } from '../wire/checksum.js'
import type { Io, Rings } from './rings.js'
import {
  ADDRESS_WORDS, CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TX_COUNT, CTL_TX_FAILED, DATAGRAM_LEAD, RX_ERROR, RX_META, RX_STRIDE, SENDER_LEAD, TX_SENDMSG,
  TX_STRIDE, TX_WRITEV
} from './rings.js'

/** virtio-net header fields of a frame, where it has any. */
export interface Offload {
  needsCsum?: boolean
  gsoType?: number
  gsoSize?: number
  csumStart?: number
  csumOffset?: number
  headerLength?: number
}

export interface MemoryFrame extends Offload {
  bytes: Uint8Array
}

/** What a socket sent with one call; `address` is the sockaddr in int32 words. */
export interface MemoryDatagram {
  bytes: Uint8Array
  /** Bytes of each datagram of several; 0 for one. */
  gso: number
  address: Int32Array
  /** ttl | tos << 8, or -1. */
  ttlTos: number
}

/** What a socket receives. `from` is a sockaddr in int32 words. */
export interface MemoryArrival {
  bytes: Uint8Array
  from: Int32Array
  gso?: number
  tos?: number
  /** An entry of the error queue: the bytes are a struct sock_extended_err. */
  error?: boolean
}

export interface MemoryIo extends Io {
  /** A new device; returns its descriptor. With `vnet` its frames carry virtio-net headers. A socket is a device like any other. */
  open(vnet: boolean): number
  /** Lets a datagram, or several that came as one, arrive at the next exchange. */
  injectDatagram(descriptor: number, arrival: MemoryArrival): void
  /** Takes what a socket has sent since the last call. */
  takenDatagrams(descriptor: number): MemoryDatagram[]
  /** Ties a device to a port row: what is injected there arrives by that port. */
  bind(descriptor: number, port: number): void
  /** Lets a frame arrive at the next exchange. */
  inject(descriptor: number, bytes: Uint8Array, offload?: Offload): void
  /** Takes the frames that left by a device since the last call. */
  taken(descriptor: number): MemoryFrame[]
  /** Makes every send of a device fail with an errno; 0 ends it. */
  fail(descriptor: number, errno: number): void
}

interface Device {
  vnet: boolean
  port: number
  arrivals: { bytes: Uint8Array; offload: Offload }[]
  sent: MemoryFrame[]
  errno: number
  datagrams: MemoryArrival[]
  sentDatagrams: MemoryDatagram[]
}

export const createMemoryIo = (packets: Packets, rings: Rings): MemoryIo => {
  const { bytes, view, i32 } = packets
  const { control, rx, rxSlots, tx, gather, addresses, sums } = rings
  const devices: Device[] = []

  const readHeader = (at: number): Offload => ({
    needsCsum: (view.getUint8(at) & 1) !== 0,
    gsoType: view.getUint8(at + 1),
    headerLength: view.getUint16(at + 2, true),
    gsoSize: view.getUint16(at + 4, true),
    csumStart: view.getUint16(at + 6, true),
    csumOffset: view.getUint16(at + 8, true)
  })

  /** The bytes of `pairs` parts from gather pair `first` on, one after the other. */
  const gathered = (first: number, pairs: number): Uint8Array => {
    const parts: Uint8Array[] = []
    for (let i = first; i < first + pairs; i++) parts.push(bytes.slice(gather[i * 2]!, gather[i * 2]! + gather[i * 2 + 1]!))
    return Uint8Array.from(parts.flatMap((part) => [...part]))
  }

  const put = (i: number, port: number, size: number, flags: number): void => {
    rx[i * RX_STRIDE] = port
    rx[i * RX_STRIDE + 1] = i
    rx[i * RX_STRIDE + 2] = size
    rx[i * RX_STRIDE + 3] = flags
  }

  const writeHeader = (at: number, o: Offload): void => {
    view.setUint8(at, o.needsCsum ? 1 : 0)
    view.setUint8(at + 1, o.gsoType ?? 0)
    view.setUint16(at + 2, o.headerLength ?? 0, true)
    view.setUint16(at + 4, o.gsoSize ?? 0, true)
    view.setUint16(at + 6, o.csumStart ?? 0, true)
    view.setUint16(at + 8, o.csumOffset ?? 0, true)
  }

  return {
    open: (vnet) => devices.push({ vnet, port: -1, arrivals: [], sent: [], errno: 0, datagrams: [], sentDatagrams: [] }) - 1,
    bind: (descriptor, port) => {
      devices[descriptor]!.port = port
    },
    inject: (descriptor, frame, offload = {}) => {
      devices[descriptor]!.arrivals.push({ bytes: Uint8Array.from(frame), offload })
    },
    injectDatagram: (descriptor, arrival) => {
      devices[descriptor]!.datagrams.push(arrival)
    },
    takenDatagrams: (descriptor) => devices[descriptor]!.sentDatagrams.splice(0),
    sumRanges: (count) => sumRanges(view, sums, count),
    taken: (descriptor) => devices[descriptor]!.sent.splice(0),
    fail: (descriptor, errno) => {
      devices[descriptor]!.errno = errno
    },
    exchange: () => {
      let failed = 0
      for (let i = 0; i < control[CTL_TX_COUNT]!; i++) {
        const e = i * TX_STRIDE
        const device = devices[tx[e + 1]!]!
        const before = device.vnet ? VNET_HDR : 0
        const at = tx[e + 2]!
        tx[e + 7] = device.errno
        if (device.errno !== 0) failed++
        else if (tx[e] === TX_SENDMSG) {
          const row = tx[e + 5]! * ADDRESS_WORDS
          device.sentDatagrams.push({
            bytes: gathered(at, tx[e + 3]!), gso: tx[e + 4]!, address: addresses.slice(row, row + ADDRESS_WORDS), ttlTos: tx[e + 6]!
          })
        } else if (tx[e] === TX_WRITEV) {
          const whole = gathered(at, tx[e + 3]!)
          device.sent.push({ ...(device.vnet ? readHeader(gather[at * 2]!) : {}), bytes: whole.subarray(before) })
        } else device.sent.push({ ...(device.vnet ? readHeader(at) : {}), bytes: bytes.slice(at + before, at + tx[e + 3]!) })
      }
      control[CTL_TX_FAILED] = failed
      let count = 0
      for (const device of devices) {
        while (device.port >= 0 && device.datagrams.length > 0 && count < control[CTL_RX_SLOTS]!) {
          const { bytes: payload, from, gso = 0, tos = 0, error = false } = device.datagrams.shift()!
          const at = rxSlots[count]!
          bytes.set(payload, error ? at : at - DATAGRAM_LEAD)
          i32.set(from, (at - SENDER_LEAD) >> 2)
          put(count++, device.port, payload.length, RX_META | (error ? RX_ERROR : (tos << 8) | (gso << 16)))
        }
        while (device.port >= 0 && device.arrivals.length > 0 && count < control[CTL_RX_SLOTS]!) {
          const { bytes: frame, offload } = device.arrivals.shift()!
          const at = rxSlots[count]!
          bytes.set(frame, at)
          if (device.vnet) writeHeader(at - VNET_HDR, offload)
          put(count++, device.port, frame.length, 0)
        }
      }
      control[CTL_RX_COUNT] = count
      return count
    },
    now: () => performance.now(),
    close: () => undefined
  }
}
