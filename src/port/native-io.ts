/** `Io` by the native part: TAPs in an epoll set, an eventfd that wakes the sleeper. For the thread that runs the data plane. */
import type { Packets } from '../core/packets.js'
import { createIo } from '../native.js'
import type { Io, Rings } from './rings.js'

export interface NativeIo extends Io {
  addPort(port: number, descriptor: number, vnetHeader: number): void
  removePort(port: number): void
}

export const createNativeIo = (packets: Packets, rings: Rings, eventFd: number): NativeIo => {
  const io = createIo({
    arena: packets.bytes, control: rings.control, rx: rings.rx, rxSlots: rings.rxSlots, tx: rings.tx, gather: rings.gather, eventFd
  })
  return {
    exchange: () => io.turn(),
    addPort: (port, descriptor, vnetHeader) => io.addPort(port, descriptor, vnetHeader),
    removePort: (port) => io.removePort(port),
    close: () => io.close()
  }
}
