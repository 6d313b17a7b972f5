/** `Io` by the native part: TAPs in an epoll set, an eventfd that wakes the sleeper. For the thread that runs the data plane. */
import type { Packets } from '../core/packets.js'
import { createIo } from '../native.js'
import type { Io, Rings } from './rings.js'

export interface NativeIo extends Io {
  addPort(tag: number, descriptor: number, kind: number, header: number): void
  removePort(port: number): void
}

export const createNativeIo = (packets: Packets, rings: Rings, eventFd: number): NativeIo => {
  const io = createIo({
    arena: packets.bytes, control: rings.control, rx: rings.rx, rxSlots: rings.rxSlots, tx: rings.tx, gather: rings.gather, eventFd
  })
  return {
    exchange: () => io.turn(),
    sumRanges: () => { throw new Error('being built') },
    addPort: (tag, descriptor, kind, header) => io.addPort(tag, descriptor, header),
    removePort: (port) => io.removePort(port),
    close: () => io.close()
  }
}
