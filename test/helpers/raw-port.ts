/**
 * The far end of kernel interfaces: TAP devices opened by the test, whose frames are written and read as they are. A frame sent
 * here arrives at the kernel's interface; a frame the kernel sends by it is collected here.
 *
 * Writing to a TAP runs the kernel's receive path to its end (bridge, router, answer), so that what it sends at once is there
 * when the write returns; `collect` waits only for what timers send.
 */
import {
  close, createIo, CTL_PORT_BUDGET, CTL_RX_SLOTS, CTL_SLOT_BYTES, CTL_TIMEOUT_MS, CTL_TX_COUNT, CTL_WORDS, openTap, PORT_FILE,
  RX_STRIDE, setLink, TX_STRIDE, TX_WRITE
} from '../../src/native.js'

const SLOTS = 64
const SLOT = 66 * 1024
const MOST = 65_600

export interface RawFrame {
  port: number
  bytes: Uint8Array
}

export interface RawPorts {
  /** A TAP in a namespace, up; ports are numbered from 0 in the order they are opened. */
  open(netns: number, name: string, mac: string, mtu: number): number
  /** Lets a frame arrive at the kernel's interface; 0, or the errno with which the kernel refused it. */
  send(port: number, frame: readonly number[]): number
  /** Frames that have come until now and within `ms` milliseconds (returns at the first that come). */
  collect(ms: number): RawFrame[]
  close(): void
}

export const createRawPorts = (): RawPorts => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer((SLOTS + 1) * SLOT))
  const control = words(CTL_WORDS)
  const rx = words(SLOTS * RX_STRIDE)
  const rxSlots = words(SLOTS)
  const tx = words(TX_STRIDE)
  for (let i = 0; i < SLOTS; i++) rxSlots[i] = i * SLOT
  const io = createIo({ arena, control, rx, rxSlots, tx, gather: words(2), addresses: words(8), sums: words(3), eventFd: -1 })
  const fds: number[] = []
  let arrived: RawFrame[] = []

  const turn = (timeout: number): void => {
    control[CTL_RX_SLOTS] = SLOTS
    control[CTL_SLOT_BYTES] = MOST
    control[CTL_PORT_BUDGET] = 0
    control[CTL_TIMEOUT_MS] = timeout
    const count = io.turn()
    control[CTL_TX_COUNT] = 0
    for (let i = 0; i < count; i++) {
      const e = i * RX_STRIDE
      const at = rxSlots[rx[e + 1]!]!
      if (rx[e + 2]! >= 0) arrived.push({ port: rx[e]!, bytes: arena.slice(at, at + rx[e + 2]!) })
    }
  }

  return {
    open: (netns, name, mac, mtu) => {
      const { fd } = openTap({ netns, name, offload: false })
      setLink({ netns, name, mac, mtu })
      io.addPort(fds.length, fd, PORT_FILE, 0)
      setLink({ netns, name, up: true })
      return fds.push(fd) - 1
    },
    send: (port, frame) => {
      arena.set(frame, SLOTS * SLOT)
      tx.set([TX_WRITE, fds[port]!, SLOTS * SLOT, frame.length, 0, 0, 0, 0])
      control[CTL_TX_COUNT] = 1
      turn(0)
      return tx[7]!
    },
    collect: (ms) => {
      turn(arrived.length > 0 ? 0 : ms)
      const taken = arrived
      arrived = []
      return taken
    },
    close: () => {
      for (let i = 0; i < fds.length; i++) {
        io.removePort(i)
        close(fds[i]!)
      }
      fds.length = 0
      io.close()
    }
  }
}
