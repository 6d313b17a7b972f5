/** `Io` by the native part: TAPs and sockets in an epoll set, an eventfd that wakes the sleeper. For the thread that runs the data plane. */
import type { Packets } from '../core/packets.js'
import { createIo } from '../native.js'
import type { Io, Rings } from './rings.js'

export interface NativeIo extends Io {
  /** Watches a descriptor; `kind` is a PORT_ constant of rings.ts, `header` the bytes of virtio-net header before each frame. */
  addPort(tag: number, descriptor: number, kind: number, header: number): void
  /** To be called before the descriptor is closed. */
  removePort(tag: number): void
}

export const createNativeIo = (packets: Packets, rings: Rings, eventFd: number): NativeIo => {
  const { control, rx, rxSlots, tx, gather, addresses, sums } = rings
  const io = createIo({ arena: packets.bytes, control, rx, rxSlots, tx, gather, addresses, sums, eventFd })
  const { time } = rings
  return {
    exchange: () => io.turn(),
    sumRanges: (count) => io.sumRanges(count),
    addPort: (tag, descriptor, kind, header) => io.addPort(tag, descriptor, kind, header),
    removePort: (tag) => {
      io.removePort(tag)
    },
    now: () => time[0]!,
    close: () => io.close()
  }
}
