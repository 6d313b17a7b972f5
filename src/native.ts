/**
 * The native part (native/*.c) with types: TAP devices, UDP and packet sockets, network namespaces, the batch exchange of the
 * data plane. The only file that loads it. Arguments are checked here; the C side trusts numbers, but not offsets into the arena.
 *
 * A failed system call throws a `NativeError`. Descriptors belong to the thread that opened them: they are closed when that
 * thread ends, at the latest.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIPv4, isIPv6 } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CTL_WORDS } from './io-layout.js'

export * from './io-layout.js'

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

export interface IoArrays {
  /** Packet memory, best on a SharedArrayBuffer. No array given here may be transferred (detached) while the context is open. */
  arena: Uint8Array
  control: Int32Array
  rx: Int32Array
  /** Arena offsets where a frame shall begin; a virtio-net header is put right before it. */
  rxSlots: Int32Array
  tx: Int32Array
  gather: Int32Array
  /** Rows of 8 words, each a struct sockaddr_in or sockaddr_in6 as the kernel has it: where TX_SENDMSG may send to. */
  addresses: Int32Array
  /** Triples for `sumRanges`: arena offset, length, out: the sum. */
  sums: Int32Array
  /** Watched together with the ports, to wake the thread; -1 for none. */
  eventFd: number
}

/** An I/O context of one thread. The functions need no `this`. */
export interface NativeIo {
  /**
   * Watches a descriptor; `tag` is what rx entries carry, `kind` a PORT_ constant, `header` the bytes of virtio-net header before
   * each frame. The descriptor stays the caller's. EEXIST when the tag is in use.
   */
  addPort(tag: number, fd: number, kind: number, header: number): void
  /** To be called before the descriptor is closed. False when there is no such port. */
  removePort(tag: number): boolean
  /**
   * Sends, waits, reads, as `control` says; returns the number of rx entries. Blocks at most one second, so that the thread can
   * be terminated: V8 notices that when a JavaScript function is entered, so a loop must call one besides this.
   */
  turn(): number
  /** Folded one's-complement sum (RFC 1071) of arena bytes as big-endian words, an odd last byte padded with zero. */
  checksumPartial(offset: number, length: number): number
  /** `checksumPartial` of the first `count` triples in `sums`. A RangeError at the first that lies outside the arena. */
  sumRanges(count: number): void
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
  /** IFF_MULTI_QUEUE: a further call with the same name adds a queue. Only without it, or with `isNew`, is the name sure to be new. */
  multiQueue?: boolean
  isNew?: boolean
}

export interface UdpOptions {
  /** Descriptor of the network namespace; the thread's own when left out. */
  netns?: number
  family: 4 | 6
  /** Source address; '' for any. It need not be there yet (IP_FREEBIND). IPv6 link-local: `%device` behind it, or `device`. */
  address: string
  /** 0 for any that is free. */
  port: number
  /** UDP_GRO, together with `receive`. */
  gro: boolean
  /** Don't Fragment: what does not fit the path is EMSGSIZE. Else it is fragmented, and no path MTU is kept. */
  df: boolean
  /** UDP checksum. Without it there is no UDP_SEGMENT; IPv6 then also receives datagrams without one (RFC 6935). */
  checksum: boolean
  /** Interface by which datagrams leave, to a group or a host. */
  device?: string
  /** Group to be a member of, on that interface. */
  group?: { address: string, device: string }
  /** A socket of any address also takes what other sockets of the namespace have joined, so that it can serve several groups. */
  everyGroup?: boolean
  /** Else it only sends: what arrives is dropped. */
  receive: boolean
  /**
   * SO_REUSEPORT: the first socket of a port, which must be free, or a further one, among which the kernel spreads the flows that
   * arrive. All have to be opened by one user.
   */
  share?: 'first' | 'further'
}

export interface Udp {
  fd: number
  port: number
  /** Runs of datagrams are received in one piece. */
  gro: boolean
  /** TX_SENDMSG may have several datagrams; whether the device and the MTU allow it is seen when sending. */
  segment: boolean
}

export interface PacketOptions {
  netns?: number
  name: string
  /** virtio-net header: super-frames and partial checksums both ways. */
  offload: boolean
}

export interface PacketSocket {
  fd: number
  ifindex: number
  mac: string
  mtu: number
  up: boolean
  /** Bytes of virtio-net header before each frame. */
  vnetHeader: 0 | 10
  /** OFFLOAD_ flags of core/ports.ts: what may be written; the kernel cuts and sums what the device cannot. */
  offloads: number
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

export interface Addon {
  openNetns(path: string): number
  openTap(netns: number, name: string, flags: number): Omit<Tap, 'name'>
  openUdp(
    netns: number, family: number, address: string, port: number, flags: number, device: string, group: string, groupDevice: string
  ): Udp
  openPacket(netns: number, name: string, offload: number): PacketSocket
  setLink(netns: number, name: string, up: number, mtu: number, mac: number, txqueuelen: number): void
  setCarrier(fd: number, on: boolean): void
  steerTap(fd: number): void
  close(fd: number): void
  newEventFd(): number
  signal(fd: number): void
  createIo(
    arena: Uint8Array, control: Int32Array, rx: Int32Array, rxSlots: Int32Array, tx: Int32Array, gather: Int32Array,
    addresses: Int32Array, sums: Int32Array, eventFd: number
  ): NativeIo
  dropCapabilities(): void
  currentCapabilities(): Capabilities
  setSchedBatch(on: boolean): void
  getAffinity(): number[]
  setAffinity(cpus: readonly number[]): void
  threadCpuTime(): number
}

// Flags of the addon's openTap (native/tap.c).
const TAP_OFFLOAD = 1
const TAP_NAPI = 2
const TAP_MULTI_QUEUE = 4
const TAP_TUNNEL = 8
const TAP_NEW = 16
// Flags of the addon's openUdp (native/udp_open.c).
const UDP_GRO = 1
const UDP_DF = 2
const UDP_CHECKSUM = 4
const UDP_RECEIVE = 8
const UDP_EVERY_GROUP = 16
const UDP_SHARED = 32
const UDP_FURTHER = 64

/** Folder of package.json: this file is in src/ of it, in dist/src/ once compiled, or part of a module in dist/bundle/. */
export const packageRoot = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder)
  return folder
}

let loaded: Addon | undefined

/** Loads on first use, so that what needs no native part runs without it. What it has for hosts alone is in lab/native.ts. */
export const addon = (): Addon => {
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

/** `address`, checked to be of the family. */
const ofFamily = (family: 4 | 6, address: string): string => {
  if (family === 4 ? isIPv4(address) : family === 6 && isIPv6(address)) return address
  throw new RangeError(`not an IPv${family} address: ${JSON.stringify(address)}`)
}

/** Opens a network namespace: a path (has a '/'), a process id, or a name under /run/netns. Throws a NativeError. */
export const openNetns = (ref: string): number => {
  if (ref === '' || ref === '.' || ref === '..' || ref.includes('\0')) {
    throw new RangeError(`not a network namespace: ${JSON.stringify(ref)}`)
  }
  return addon().openNetns(ref.includes('/') ? ref : /^\d+$/.test(ref) ? `/proc/${ref}/ns/net` : `/run/netns/${ref}`)
}

/**
 * Makes a TAP device inside a namespace; the calling thread is back in its own before this returns. EEXIST when the name is
 * taken there, ENOENT without /dev/net/tun, EPERM without CAP_NET_ADMIN (and CAP_SYS_ADMIN for another namespace). The
 * device lives as long as the descriptor, and the descriptor keeps its namespace alive: `ip netns del` takes the name only, and
 * the device stays, silent.
 */
export const openTap = (options: TapOptions): Tap => {
  const name = interfaceName(options.name)
  const flags = (options.offload ? TAP_OFFLOAD : 0) | (options.napi ? TAP_NAPI : 0) | (options.multiQueue ? TAP_MULTI_QUEUE : 0) |
    (options.isNew ? TAP_NEW : 0)
  return { ...addon().openTap(netnsOrOwn(options.netns), name, flags), name }
}

/**
 * Makes a TAP device for packets that are UDP tunnels' already: what is written has a struct virtio_net_hdr_v1_hash_tunnel of 24 bytes before
 * it, so that the kernel knows a super-frame inside a tunnel for what it is. EINVAL before Linux 6.17; else as `openTap`.
 */
export const openUplink = ({ netns, name }: { netns?: number, name: string }): { fd: number, ifindex: number, name: string } => {
  const { fd, ifindex } = addon().openTap(netnsOrOwn(netns), interfaceName(name), TAP_TUNNEL)
  return { fd, ifindex, name }
}

/**
 * Opens a UDP socket inside a namespace. EADDRINUSE when the port is taken, EADDRNOTAVAIL for an address of no use (multicast),
 * ENODEV when there is no such device. Buffers are as large as the privileges allow.
 */
export const openUdp = (options: UdpOptions): Udp => {
  const { family, address, port, device, group } = options
  if (family !== 4 && family !== 6) throw new RangeError(`family must be 4 or 6: ${String(family)}`)
  const flags = (options.gro ? UDP_GRO : 0) | (options.df ? UDP_DF : 0) | (options.checksum ? UDP_CHECKSUM : 0) |
    (options.receive ? UDP_RECEIVE : 0) | (options.everyGroup === true ? UDP_EVERY_GROUP : 0) |
    (options.share === 'first' ? UDP_SHARED : options.share === 'further' ? UDP_FURTHER : 0)
  return addon().openUdp(
    netnsOrOwn(options.netns), family, address === '' ? '' : ofFamily(family, address),
    integer('port', port, 0, 65535), flags, device === undefined ? '' : interfaceName(device),
    group === undefined ? '' : ofFamily(family, group.address), group === undefined ? '' : interfaceName(group.device)
  )
}

/**
 * Opens a packet socket on an existing Ethernet interface: all frames it receives, none it sends, promiscuous until the socket is
 * closed. Frames are written to it as to a TAP. ENODEV when there is no such interface, EINVAL when it is not Ethernet, EPERM without
 * CAP_NET_RAW. The interface's own stack goes on receiving too.
 */
export const openPacket = (options: PacketOptions): PacketSocket =>
  addon().openPacket(netnsOrOwn(options.netns), interfaceName(options.name), options.offload ? 1 : 0)

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

/**
 * Frames of one flow, both directions of it, are handed over by one queue of a TAP with several, always the same: by a hash of addresses,
 * protocol and ports, of fragments by addresses alone. Without it a flow may change its queue. Throws a NativeError.
 */
export const steerTap = (fd: number): void => addon().steerTap(descriptor('fd', fd))

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

/** Processors that the calling thread may run on, by number (sched_getaffinity(2)). */
export const getAffinity = (): number[] => addon().getAffinity()

/** The calling thread runs on these processors only, from now on (sched_setaffinity(2)); at least one must be there. */
export const setAffinity = (cpus: readonly number[]): void => addon().setAffinity(cpus)

/** Processor time of the calling thread in nanoseconds. */
export const threadCpuTime = (): number => addon().threadCpuTime()

/** An I/O context on arrays of the caller, whose memory it keeps alive until `close`. To be used by the calling thread only. */
export const createIo = (arrays: IoArrays): NativeIo => {
  const { arena, control, rx, rxSlots, tx, gather, addresses, sums, eventFd } = arrays
  if (control.length < CTL_WORDS) throw new RangeError(`control must have at least ${CTL_WORDS} words`)
  if (arena.length > 0x7fffffff) throw new RangeError('the arena must be smaller than 2 GiB: offsets are int32')
  const watched = integer('eventFd', eventFd, -1, 0x7fffffff)
  return addon().createIo(arena, control, rx, rxSlots, tx, gather, addresses, sums, watched)
}
