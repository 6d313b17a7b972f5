/**
 * IPv4 options on the way in, through and back (RFC 791 3.1, RFC 1812 4.2.2.6 and 5.3.13, net/ipv4/ip_options.c): malformed ones are
 * found, record route and timestamp are filled in by a forwarding router, and repeated in answers. Source routes are refused, as
 * with accept_source_route 0. All others pass unchanged. Only packets whose header is longer than 20 bytes come here.
 */
import type { Packets } from '../core/packets.js'
import type { Interfaces } from '../table/interfaces.js'
import * as ipv4 from '../wire/ipv4.js'

/** Answer of `check`: a source-routed packet, to be dropped without a word (accept_source_route 0). */
export const OPTIONS_REFUSED = -1

/** Most bytes of options a header holds. */
export const MAX_OPTIONS = 40

// Offsets in an option; record route and timestamp have their pointer at the same place (RFC 791 3.1).
const OFF_LENGTH = 1
const OFF_POINTER = 2
const OFF_OVERFLOW_FLAG = 3

// Flags of the timestamp option
const TIMES_ONLY = 0
const ADDRESS_AND_TIME = 1
const PRESPECIFIED = 3
const FLAG_MASK = 15
const OVERFLOW_ONE = 0x10
const OVERFLOW_MAX = 0xf0

const DAY_MS = 86_400_000

export interface IpOptionsParts {
  packets: Packets
  interfaces: Interfaces
  /** Milliseconds since the epoch (UT). */
  wallClock: () => number
  isLocal: (stack: number, address: number) => boolean
  /** The source address a packet of the stack's own gets for a destination; 0 when there is none. */
  sourceFor: (stack: number, destination: number, iface: number) => number
}

export type IpOptions = ReturnType<typeof createIpOptions>

export const createIpOptions = ({ packets, interfaces, wallClock, isLocal, sourceFor }: IpOptionsParts) => {
  const { view, bytes, l3, l4 } = packets

  // What `parse` found; absolute offsets, 0 for none
  let recordRoute = 0
  let timestamp = 0
  let sourceRoute = 0
  let end = 0 // of the first end-of-options byte

  /** Walks the options; 0 when all are well formed, else the offset of the fault from the header's first byte. What was found before it stands. */
  const parse = (header: number, limit: number): number => {
    recordRoute = timestamp = sourceRoute = end = 0
    let o = header + ipv4.OFF_OPTIONS
    while (o < limit) {
      const kind = view.getUint8(o)
      if (kind === ipv4.OPTION_END) {
        end = o
        return 0
      }
      if (kind === ipv4.OPTION_NOP) {
        o++
        continue
      }
      const size = o + 1 < limit ? view.getUint8(o + OFF_LENGTH) : 0
      if (size < 2 || size > limit - o) return o - header
      let fault = -1
      if (kind === ipv4.OPTION_RECORD_ROUTE) fault = parseRecordRoute(o, size)
      else if (kind === ipv4.OPTION_TIMESTAMP) fault = parseTimestamp(o, size)
      else if (kind === ipv4.OPTION_LSRR || kind === ipv4.OPTION_SSRR) fault = parseSourceRoute(o, size)
      else if (kind === ipv4.OPTION_ROUTER_ALERT && size < 4) fault = OFF_LENGTH
      if (fault >= 0) return o + fault - header
      o += size
    }
    return 0
  }

  // Each takes an option's offset and length, and gives the place of the fault in it, or -1.

  const parseRecordRoute = (o: number, size: number): number => {
    if (recordRoute !== 0) return 0
    if (size < 3) return OFF_LENGTH
    const pointer = view.getUint8(o + OFF_POINTER)
    if (pointer < 4 || (pointer <= size && pointer + 3 > size)) return OFF_POINTER
    recordRoute = o
    return -1
  }

  const parseTimestamp = (o: number, size: number): number => {
    if (timestamp !== 0) return 0
    if (size < 4) return OFF_LENGTH
    const pointer = view.getUint8(o + OFF_POINTER)
    const flag = view.getUint8(o + OFF_OVERFLOW_FLAG)
    if (pointer < 5) return OFF_POINTER
    if (pointer > size) {
      if (flag >= OVERFLOW_MAX) return OFF_OVERFLOW_FLAG
    } else {
      if (pointer + 3 > size) return OFF_POINTER
      const kind = flag & FLAG_MASK
      if ((kind === ADDRESS_AND_TIME || kind === PRESPECIFIED) && pointer + 7 > size) return OFF_POINTER
      if (kind !== TIMES_ONLY && kind !== ADDRESS_AND_TIME && kind !== PRESPECIFIED) return -1 // a flag nobody knows: left alone
    }
    timestamp = o
    return -1
  }

  const parseSourceRoute = (o: number, size: number): number => {
    if (size < 3) return OFF_LENGTH
    if (view.getUint8(o + OFF_POINTER) < 4) return OFF_POINTER
    if (sourceRoute !== 0) return 0
    sourceRoute = o
    return -1
  }

  /** Milliseconds since midnight UT (RFC 791, timestamp option). */
  const timeOfDay = (): number => Math.floor(wallClock()) % DAY_MS

  /** The address this stack is known by in `p`: the one it was sent to, else the one its source would get answers from (fib_compute_spec_dst). */
  const specificDestination = (p: number, iface: number): number => {
    const s = interfaces.stack[iface]!
    const destination = ipv4.destination(view, l3[p]!)
    return isLocal(s, destination) ? destination : sourceFor(s, ipv4.source(view, l3[p]!), iface)
  }

  /** Adds one entry to the record route at `o` of `v`; false when it is full. */
  const record = (v: DataView, o: number, address: number): boolean => {
    const pointer = v.getUint8(o + OFF_POINTER)
    if (pointer > v.getUint8(o + OFF_LENGTH)) return false
    v.setInt32(o + pointer - 1, address)
    v.setUint8(o + OFF_POINTER, pointer + 4)
    return true
  }

  /** Adds one entry to the timestamp at `o` of `v`, as its flag says; false when the next entry is for somebody else. */
  const stamp = (v: DataView, o: number, stack: number, address: number): boolean => {
    const pointer = v.getUint8(o + OFF_POINTER)
    const kind = v.getUint8(o + OFF_OVERFLOW_FLAG) & FLAG_MASK
    let at = o + pointer - 1
    if (kind === PRESPECIFIED && !isLocal(stack, v.getInt32(at))) return false
    if (kind === ADDRESS_AND_TIME) v.setInt32(at, address)
    if (kind !== TIMES_ONLY) at += 4
    v.setUint32(at, timeOfDay())
    v.setUint8(o + OFF_POINTER, pointer + at - (o + pointer - 1) + 4)
    return true
  }

  /** Counts a router that had no room for its time (the overflow half-byte). */
  const overflow = (v: DataView, o: number): void => v.setUint8(o + OFF_OVERFLOW_FLAG, v.getUint8(o + OFF_OVERFLOW_FLAG) + OVERFLOW_ONE)

  const isFull = (v: DataView, o: number): boolean => v.getUint8(o + OFF_POINTER) > v.getUint8(o + OFF_LENGTH)

  /**
   * Are the options of `p` well formed and acceptable? 0 when they are; OPTIONS_REFUSED for a source route; else one more than the
   * offset of the fault from the header's first byte, for a parameter problem's pointer. Changes nothing.
   */
  const check = (p: number): number => {
    const fault = parse(l3[p]!, l4[p]!)
    if (fault !== 0) return fault + 1
    return sourceRoute === 0 ? 0 : OPTIONS_REFUSED
  }

  /**
   * Fills in what a router owes a packet that it forwards: `outAddress`, that of the interface it leaves by, to the record route;
   * its address on the way the packet came, and the time, to the timestamp option; the checksum is computed anew if anything
   * changed. `iface` is where it came in. `check` has passed; the packet is writable.
   */
  const update = (p: number, outAddress: number, iface: number): void => {
    const o = l3[p]!
    const limit = l4[p]!
    parse(o, limit)
    let changed = recordRoute !== 0 && record(view, recordRoute, outAddress)
    if (timestamp !== 0) {
      if (isFull(view, timestamp)) {
        overflow(view, timestamp)
        changed = true
      } else if (stamp(view, timestamp, interfaces.stack[iface]!, specificDestination(p, iface))) changed = true
    }
    if (end !== 0) {
      // What follows the end of options is cleared (ip_options_compile)
      for (let i = end + 1; i < limit; i++) if (bytes[i] !== 0) changed = true
      bytes.fill(0, end, limit)
    }
    if (changed) ipv4.writeHeaderChecksum(view, o)
  }

  const reply = new Uint8Array(MAX_OPTIONS)
  const replyView = new DataView(reply.buffer)

  const copy = (from: number, to: number, size: number): void => {
    for (let i = 0; i < size; i++) reply[to + i] = bytes[from + i]!
  }

  /** Bytes from the pointer to the end of the option at `o` of the reply. */
  const roomIn = (o: number): number => replyView.getUint8(o + OFF_LENGTH) - replyView.getUint8(o + OFF_POINTER) + 1

  /**
   * The options for a packet that answers `p` (an echo reply, an ICMP error, a reset), put into `reply`: record route and timestamp of
   * `p`, in which this stack stands twice, as receiver and as sender `source` (ip_options_echo, RFC 1122 3.2.2.6). Returns their
   * length, a multiple of 4; -1 when there is no room for what is due, and no answer may be sent. Does not write to `p`.
   */
  const echo = (p: number, iface: number, source: number): number => {
    if (l4[p]! - l3[p]! <= ipv4.IPV4_HEADER) return 0
    parse(l3[p]!, l4[p]!)
    let size = 0
    if (recordRoute !== 0) {
      const length = view.getUint8(recordRoute + OFF_LENGTH)
      copy(recordRoute, 0, length)
      if (record(replyView, 0, specificDestination(p, iface)) && !isFull(replyView, 0)) {
        if (roomIn(0) < 4) return -1
        record(replyView, 0, source)
      }
      size = length
    }
    if (timestamp !== 0) {
      const length = view.getUint8(timestamp + OFF_LENGTH)
      const o = size
      copy(timestamp, o, length)
      size += length
      if (isFull(replyView, o)) overflow(replyView, o)
      else if (stamp(replyView, o, interfaces.stack[iface]!, specificDestination(p, iface)) && !isFull(replyView, o)) {
        const room = roomIn(o)
        const kind = replyView.getUint8(o + OFF_OVERFLOW_FLAG) & FLAG_MASK
        if (room < 4 || (kind === ADDRESS_AND_TIME && room < 8)) return -1
        if (kind !== PRESPECIFIED || room >= 8) stamp(replyView, o, interfaces.stack[iface]!, source)
      }
    }
    while ((size & 3) !== 0) reply[size++] = ipv4.OPTION_END
    return size
  }

  return { check, update, echo, reply }
}
