/**
 * Ports without a device, for tests, replay and the library: frames go in and out as byte arrays. Implements `Io` on the same
 * arrays as the native part, so that the engine cannot tell the difference.
 */
import type { Packets } from '../core/packets.js'
import { VNET_HDR } from '../core/layout.js'
import type { Io, Rings } from './rings.js'
import { CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TX_COUNT, CTL_TX_FAILED, RX_STRIDE, TX_STRIDE, TX_WRITEV } from './rings.js'

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

export interface MemoryIo extends Io {
  /** A new device; returns its descriptor. With `vnet` its frames carry virtio-net headers. */
  open(vnet: boolean): number
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
}

export const createMemoryIo = (packets: Packets, rings: Rings): MemoryIo => {
  const { bytes, view } = packets
  const { control, rx, rxSlots, tx, gather } = rings
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

  const writeHeader = (at: number, o: Offload): void => {
    view.setUint8(at, o.needsCsum ? 1 : 0)
    view.setUint8(at + 1, o.gsoType ?? 0)
    view.setUint16(at + 2, o.headerLength ?? 0, true)
    view.setUint16(at + 4, o.gsoSize ?? 0, true)
    view.setUint16(at + 6, o.csumStart ?? 0, true)
    view.setUint16(at + 8, o.csumOffset ?? 0, true)
  }

  return {
    open: (vnet) => devices.push({ vnet, port: -1, arrivals: [], sent: [], errno: 0 }) - 1,
    bind: (descriptor, port) => {
      devices[descriptor]!.port = port
    },
    inject: (descriptor, frame, offload = {}) => {
      devices[descriptor]!.arrivals.push({ bytes: Uint8Array.from(frame), offload })
    },
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
        else if (tx[e] === TX_WRITEV) {
          const whole = gathered(at, tx[e + 3]!)
          device.sent.push({ ...(device.vnet ? readHeader(gather[at * 2]!) : {}), bytes: whole.subarray(before) })
        } else device.sent.push({ ...(device.vnet ? readHeader(at) : {}), bytes: bytes.slice(at + before, at + tx[e + 3]!) })
      }
      control[CTL_TX_FAILED] = failed
      let count = 0
      for (const device of devices) {
        while (device.port >= 0 && device.arrivals.length > 0 && count < control[CTL_RX_SLOTS]!) {
          const { bytes: frame, offload } = device.arrivals.shift()!
          const at = rxSlots[count]!
          bytes.set(frame, at)
          if (device.vnet) writeHeader(at - VNET_HDR, offload)
          rx[count * RX_STRIDE] = device.port
          rx[count * RX_STRIDE + 1] = count
          rx[count * RX_STRIDE + 2] = frame.length
          rx[count * RX_STRIDE + 3] = 0
          count++
        }
      }
      control[CTL_RX_COUNT] = count
      return count
    },
    close: () => undefined
  }
}
