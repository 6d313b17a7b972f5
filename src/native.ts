/**
 * The native part (native/*.c) with types: TAP devices, network namespaces, the batch exchange of the data plane. The only
 * file that loads it. Arguments are checked here; the C side trusts numbers, but not offsets into the arena.
 *
 * A failed system call throws a `NativeError`. Descriptors belong to the thread that opened them: they are closed when that
 * thread ends, at the latest.
 */
import { existsSync, fstatSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What is thrown when a system call fails; the message names the call and what it was for. */
export interface NativeError extends Error {
  /** Symbol of the errno: 'EPERM'. */
  code: string
  /** Negative, as in Node's own errors. */
  errno: number
  /** The call, for ioctl with its request: 'ioctl TUNSETIFF'. */
  syscall: string
  /** The thread could not return to its own network namespace: the process must end. */
  fatal?: true
}

/** Words of `control`: in = written by the caller before `turn`, out = by the native part. */
export const CTL_TX_COUNT = 0 // in: entries of tx to send; not reset by the native part
export const CTL_TIMEOUT_MS = 1 // in: how long to sleep when nothing is there; -1 and all above 1000 mean 1000
export const CTL_SPIN_US = 2 // in: before sleeping, poll without sleeping for that long (at most the timeout)
export const CTL_RX_SLOTS = 3 // in: entries of rxSlots that may be used; with 0 only the eventfd is waited for
export const CTL_PORT_BUDGET = 4 // in: frames a port may give in one turn; 0 is no limit
export const CTL_BYTE_BUDGET = 5 // in: no further read when that many bytes of frames were read; 0 is no limit
export const CTL_RX_COUNT = 6 // out: entries in rx; what turn() returns
export const CTL_WOKEN = 7 // out: 1 when the eventfd had been signalled; it is cleared
export const CTL_SLEPT = 8 // out: 1 when the thread really slept
export const CTL_TX_FAILED = 9 // out: tx entries with an errno
export const CTL_EVENTS = 10 // out: ports that were ready
export const CTL_SLOT_BYTES = 11 // in: bytes of frame a slot can take, at least 1
export const CTL_WORDS = 12 // least length of `control`

/**
 * A tx entry. [0] kind, [1] descriptor, [2] arena offset, or index of the first gather pair, [3] bytes, or number of pairs
 * (at most 128), [4..6] spare, [7] out: 0 or a positive errno (EAGAIN is an answer like any other; EMSGSIZE: taken in part).
 */
export const TX_STRIDE = 8
/** One write of bytes that lie together; a port's virtio-net header is part of them. */
export const TX_WRITE = 0
/** One write of the ranges in `gather`: pairs of arena offset and length. */
export const TX_WRITEV = 1

/**
 * An rx entry. [0] tag of the port, [1] index into rxSlots, [2] length of the frame without virtio-net header, [3] flags.
 * Slots are used from the first on, one a frame. When a port's device is gone, [1] is -1 and [2] a negative errno: it takes
 * no slot, comes once, and the port is not read again.
 */
export const RX_STRIDE = 4
/** rx flag: the frame fills its slot to the last byte, so it may have been cut. */
export const RX_FULL = 1

export interface IoArrays {
  /** Packet memory, best on a SharedArrayBuffer. No array given here may be transferred (detached) while the context is open. */
  arena: Uint8Array
  control: Int32Array
  rx: Int32Array
  /** Arena offsets where a frame shall begin; a virtio-net header is put right before it. */
  rxSlots: Int32Array
  tx: Int32Array
  gather: Int32Array
  /** Watched together with the ports, to wake the thread; -1 for none. */
  eventFd: number
}

/** An I/O context of one thread. The functions need no `this`. */
export interface NativeIo {
  /** Watches a descriptor for frames; `tag` is what rx entries carry. The descriptor stays the caller's. */
  addPort(tag: number, fd: number, vnetHeader: number): void
  /** To be called before the descriptor is closed. False when there is no such port. */
  removePort(tag: number): boolean
  /**
   * Sends, waits, reads, as `control` says; returns the number of rx entries. Blocks at most one second, so that the thread can
   * be terminated: V8 notices that when a JavaScript function is entered, so a loop must call one besides this.
   */
  turn(): number
  /** Folded one's-complement sum (RFC 1071) of arena bytes as big-endian words, an odd last byte padded with zero. */
  checksumPartial(offset: number, length: number): number
  close(): void
}

export interface Tap {
  fd: number
  /** Bytes of virtio-net header before each frame. */
  vnetHeader: 0 | 10
  /** OFFLOAD_ flags of core/ports.ts: what may be written, and what the kernel will hand over. */
  offloads: number
  name: string
  ifindex: number
}

export interface TapOptions {
  /** Descriptor of the network namespace; the thread's own when left out. */
  netns?: number
  name: string
  /** virtio-net header and as many offloads as the kernel has. */
  offload: boolean
  /** IFF_NAPI: frames written go through GRO. */
  napi?: boolean
  /** IFF_MULTI_QUEUE: a further call with the same name adds a queue. Only without it is the name sure to be new. */
  multiQueue?: boolean
}

export interface LinkOptions {
  netns?: number
  name: string
  up?: boolean
  mtu?: number
  /** Six bytes in hexadecimal with colons. */
  mac?: string
  txqueuelen?: number
}

export interface Capabilities {
  effective: bigint
  permitted: bigint
  inheritable: bigint
  ambient: bigint
  noNewPrivs: boolean
}

interface Addon {
  openNetns(path: string): number
  openTap(netns: number, name: string, flags: number): Omit<Tap, 'name'>
  setLink(netns: number, name: string, up: number, mtu: number, mac: number, txqueuelen: number): void
  setCarrier(fd: number, on: boolean): void
  close(fd: number): void
  newEventFd(): number
  signal(fd: number): void
  createIo(
    arena: Uint8Array, control: Int32Array, rx: Int32Array, rxSlots: Int32Array, tx: Int32Array, gather: Int32Array,
    eventFd: number
  ): NativeIo
  dropCapabilities(): void
  currentCapabilities(): Capabilities
  setSchedBatch(on: boolean): void
  setAffinity(cpu: number): void
  threadCpuTime(): number
  errnoName(errno: number): string | undefined
}

// Flags of the addon's openTap (native/tap.c).
const TAP_OFFLOAD = 1
const TAP_NAPI = 2
const TAP_MULTI_QUEUE = 4

/** Folder of package.json: this file is in src/ of it, or in dist/src/ once compiled. */
const packageRoot = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

let loaded: Addon | undefined

/** Loads on first use, so that what needs no native part runs without it. */
const addon = (): Addon => {
  if (loaded) return loaded
  const path = join(packageRoot(), 'build', 'tapway.node')
  if (!existsSync(path)) throw new Error('the native part is not built: run npm run build')
  try {
    loaded = createRequire(import.meta.url)(path) as Addon
  } catch (error) {
    const why = (error as Error).message.split('\n')[0]
    throw new Error(`the native part does not load: ${why}: run npm run build`, { cause: error })
  }
  return loaded
}

const integer = (what: string, value: number, low: number, high: number): number => {
  if (Number.isInteger(value) && value >= low && value <= high) return value
  throw new RangeError(`${what} must be an integer from ${low} to ${high}: ${value}`)
}

const descriptor = (what: string, value: number): number => integer(what, value, 0, 0x7fffffff)
const netnsOrOwn = (fd: number | undefined): number => (fd === undefined ? -1 : descriptor('netns', fd))

/** As dev_valid_name of net/core/dev.c, and no '%', which would be a pattern. */
const interfaceName = (name: string): string => {
  if (/^[\x21-\x7e]{1,15}$/.test(name) && !/[/:%]/.test(name) && name !== '.' && name !== '..') return name
  throw new RangeError(`not an interface name (1 to 15 characters, no '/', ':', '%' or space): ${JSON.stringify(name)}`)
}

const macNumber = (mac: string): number => {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) return Number.parseInt(mac.replaceAll(':', ''), 16)
  throw new RangeError(`not a MAC address: ${JSON.stringify(mac)}`)
}

/** Opens a network namespace: a path (has a '/'), a process id, or a name under /run/netns. Throws a NativeError. */
export const openNetns = (ref: string): number => {
  if (ref === '' || ref === '.' || ref === '..' || ref.includes('\0')) {
    throw new RangeError(`not a network namespace: ${JSON.stringify(ref)}`)
  }
  return addon().openNetns(ref.includes('/') ? ref : /^\d+$/.test(ref) ? `/proc/${ref}/ns/net` : `/run/netns/${ref}`)
}

/** Device and inode of a namespace: equal for two descriptors of the same one. */
export const netnsIdentity = (fd: number): { dev: number; ino: number } => {
  const { dev, ino } = fstatSync(descriptor('netns', fd))
  return { dev, ino }
}

/**
 * Makes a TAP device inside a namespace; the calling thread is back in its own before this returns. EEXIST when the name is
 * taken there, ENOENT without /dev/net/tun, EPERM without CAP_NET_ADMIN (and CAP_SYS_ADMIN for another namespace). The
 * device lives as long as the descriptor, and the descriptor keeps its namespace alive: `ip netns del` takes the name only, and
 * the device stays, silent.
 */
export const openTap = (options: TapOptions): Tap => {
  const name = interfaceName(options.name)
  const flags = (options.offload ? TAP_OFFLOAD : 0) | (options.napi ? TAP_NAPI : 0) | (options.multiQueue ? TAP_MULTI_QUEUE : 0)
  return { ...addon().openTap(netnsOrOwn(options.netns), name, flags), name }
}

/** Sets what is given of a link, in the order MAC, MTU, txqueuelen, up or down. What was set before a failure stays. */
export const setLink = (options: LinkOptions): void => {
  const { up, mtu, mac, txqueuelen } = options
  addon().setLink(
    netnsOrOwn(options.netns), interfaceName(options.name), up === undefined ? -1 : up ? 1 : 0,
    mtu === undefined ? -1 : integer('mtu', mtu, 0, 0x7fffffff), mac === undefined ? -1 : macNumber(mac),
    txqueuelen === undefined ? -1 : integer('txqueuelen', txqueuelen, 0, 0x7fffffff)
  )
}

/** Carrier of a TAP as its namespace sees it (TUNSETCARRIER). */
export const setCarrier = (fd: number, on: boolean): void => addon().setCarrier(descriptor('fd', fd), Boolean(on))

/** Closes a descriptor that this thread opened with this file; EBADF for any other. */
export const close = (fd: number): void => addon().close(descriptor('fd', fd))

/** An eventfd, to wake a thread that sleeps in `turn`. */
export const newEventFd = (): number => addon().newEventFd()

/** Wakes whoever waits for the eventfd, from any thread. */
export const signal = (fd: number): void => addon().signal(descriptor('fd', fd))

/** Takes all capabilities from the calling thread, for good (no_new_privs too); other threads keep theirs. */
export const dropCapabilities = (): void => addon().dropCapabilities()

/** Capability sets of the calling thread, bit n being capability n of linux/capability.h. */
export const currentCapabilities = (): Capabilities => addon().currentCapabilities()

/** SCHED_BATCH for the calling thread, or SCHED_OTHER again. */
export const setSchedBatch = (on: boolean): void => addon().setSchedBatch(Boolean(on))

/** Ties the calling thread to one processor. */
export const setAffinity = (cpu: number): void => addon().setAffinity(integer('cpu', cpu, 0, 1023))

/** Processor time of the calling thread in nanoseconds. */
export const threadCpuTime = (): number => addon().threadCpuTime()

/** Symbol of a positive errno, as tx and rx entries carry them: 'EAGAIN'. */
export const errnoName = (errno: number): string => addon().errnoName(integer('errno', errno, 0, 4095)) ?? `errno ${errno}`

/** An I/O context on arrays of the caller, whose memory it keeps alive until `close`. To be used by the calling thread only. */
export const createIo = (arrays: IoArrays): NativeIo => {
  const { arena, control, rx, rxSlots, tx, gather, eventFd } = arrays
  if (control.length < CTL_WORDS) throw new RangeError(`control must have at least ${CTL_WORDS} words`)
  if (arena.length > 0x7fffffff) throw new RangeError('the arena must be smaller than 2 GiB: offsets are int32')
  return addon().createIo(arena, control, rx, rxSlots, tx, gather, integer('eventFd', eventFd, -1, 0x7fffffff))
}
