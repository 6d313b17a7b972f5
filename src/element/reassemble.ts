/**
 * Reassembly of packets to our own addresses (RFC 791 3.2, RFC 1122 3.3.2, net/ipv4/ip_fragment.c; overlaps as RFC 5722 asks for
 * IPv6 and the kernel does for both): fragments are held, in small slots where they fit, until all are there, and copied once
 * into a large slot. A fragment that is there already is dropped alone; one that overlaps, or contradicts the length, takes
 * the whole datagram with it.
 */
import { LARGE_STRIDE, SMALL_STRIDE } from '../core/layout.js'
import type { Packets } from '../core/packets.js'
import {
  NO_BUFFER, PORT_GONE, REASSEMBLY_DUPLICATE, REASSEMBLY_FULL, REASSEMBLY_OVERLAP, REASSEMBLY_TIMEOUT
} from '../reason.js'
import { createFragments, FIRST_IN, LAST_IN, type FragmentsOptions } from '../table/fragments.js'
import type { Interfaces } from '../table/interfaces.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import { REASSEMBLY_TIME, TIME_EXCEEDED } from '../wire/icmp4.js'
import * as ipv4 from '../wire/ipv4.js'

const MAX_TOTAL = 0xffff
const ECN_MASK = 3
const ECN_CE = 3
/** Bits of the `ecn` column. */
const SEEN_NOT_ECT = 1 << 0
const SEEN_CE = 1 << ECN_CE

export interface ReassemblyParts {
  packets: Packets
  interfaces: Interfaces
  clock: { now: number }
  icmpError: (p: number, iface: number, type: number, code: number, rest: number) => void
  /** Default: 4 MiB, at most a quarter of the packet pool. */
  limits?: FragmentsOptions
}

export type Reassembly = ReturnType<typeof createReassembly>

export const createReassembly = ({ packets, interfaces, clock, icmpError, limits }: ReassemblyParts) => {
  const { start, length, slot, l3, l4, next, view, bytes } = packets
  const table = createFragments({ highThresh: Math.min(4 << 20, packets.arena.byteLength >> 2), ...limits })

  // A held fragment is trimmed to the data it contributes, so that its place follows from its header and length.
  const offsetOf = (p: number): number => ipv4.fragmentOffset(view, l3[p]!)
  const dataOf = (p: number): number => start[p]! + length[p]! - l4[p]!
  const endOf = (p: number): number => offsetOf(p) + dataOf(p)

  /** Ends a datagram with all its fragments. */
  const discard = (row: number, reason: number): void => {
    for (let q = table.head[row]!; q >= 0;) {
      const following = next[q]!
      packets.drop(q, reason)
      q = following
    }
    table.remove(row)
  }

  /** Is every byte from `offset` to `end` there already, from fragment `q` on? */
  const covers = (q: number, offset: number, end: number): boolean => {
    if (offset < offsetOf(q)) return false
    let to = endOf(q)
    while (to < end) {
      q = next[q]!
      if (q < 0 || offsetOf(q) !== to) return false
      to = endOf(q)
    }
    return true
  }

  /** Puts `p` into its place: OK (0), REASSEMBLY_DUPLICATE or REASSEMBLY_OVERLAP. */
  const insert = (row: number, p: number, offset: number, end: number): number => {
    const tail = table.tail[row]!
    let before = tail
    let after = -1
    if (tail >= 0 && offset < endOf(tail)) {
      before = -1
      after = table.head[row]!
      while (endOf(after) <= offset) {
        before = after
        after = next[after]!
      }
      if (end > offsetOf(after)) return covers(after, offset, end) ? REASSEMBLY_DUPLICATE : REASSEMBLY_OVERLAP
    }
    next[p] = after
    if (before < 0) table.head[row] = p
    else next[before] = p
    if (after < 0) table.tail[row] = p
    return 0
  }

  /** All is there: builds the datagram and ends its fragments. -1 when that cannot be. */
  const complete = (row: number): number => {
    const first = table.head[row]!
    const header = l4[first]! - l3[first]!
    const total = header + table.length[row]!
    const seen = table.ecn[row]!
    // Not-ECT beside another value: somebody changed what must not change (RFC 3168 5.3)
    if (total > MAX_TOTAL || ((seen & SEEN_NOT_ECT) !== 0 && seen !== SEEN_NOT_ECT)) {
      discard(row, REASSEMBLY_OVERLAP)
      return -1
    }
    const whole = packets.piece(first, ETHERNET_HEADER + total)
    if (whole < 0) {
      discard(row, NO_BUFFER)
      return -1
    }
    const o = start[whole]! + ETHERNET_HEADER
    l3[whole] = o
    l4[whole] = o + header
    bytes.copyWithin(start[whole]!, l3[first]! - ETHERNET_HEADER, l4[first]!)
    for (let q = first; q >= 0;) {
      const following = next[q]!
      bytes.copyWithin(o + header + offsetOf(q), l4[q]!, l4[q]! + dataOf(q))
      packets.merged(q)
      q = following
    }
    if ((seen & SEEN_CE) !== 0) view.setUint8(o + ipv4.OFF_TOS, ipv4.tos(view, o) | ECN_CE)
    view.setUint16(o + ipv4.OFF_TOTAL_LENGTH, total)
    view.setUint16(o + ipv4.OFF_FLAGS_FRAGMENT, 0)
    ipv4.writeHeaderChecksum(view, o)
    table.remove(row)
    return whole
  }

  /** Takes a fragment that came by `iface` and owns it. The datagram's packet when it was the last one missing, else -1. */
  const add = (p: number, iface: number): number => {
    const o = l3[p]!
    const s = interfaces.stack[iface]!
    const src = ipv4.source(view, o)
    const dst = ipv4.destination(view, o)
    const id = ipv4.identification(view, o)
    const protocol = ipv4.protocol(view, o)
    let row = -1
    if (!table.isOver()) {
      row = table.lookup(s, src, dst, id, protocol)
      if (row < 0) row = table.create(s, src, dst, id, protocol, clock.now)
    }
    if (row < 0) {
      packets.drop(p, REASSEMBLY_FULL)
      return -1
    }
    const offset = offsetOf(p)
    const more = (ipv4.flagsFragment(view, o) & ipv4.FLAG_MF) !== 0
    let end = endOf(p)
    const known = table.length[row]!
    const lastIn = (table.flags[row]! & LAST_IN) !== 0
    if (more) end &= ~7
    const contradicts = more ? lastIn && end > known : end < known || (lastIn && end !== known)
    if (contradicts || end === offset || l4[p]! - o + end > MAX_TOTAL) {
      packets.drop(p, REASSEMBLY_OVERLAP)
      discard(row, REASSEMBLY_OVERLAP)
      return -1
    }
    length[p] = l4[p]! + end - offset - start[p]!
    const fault = insert(row, p, offset, end)
    if (fault !== 0) {
      packets.drop(p, fault)
      if (fault === REASSEMBLY_OVERLAP) discard(row, fault)
      return -1
    }
    if (end > known) table.length[row] = end
    table.iface[row] = iface
    table.meat[row] = table.meat[row]! + end - offset
    table.ecn[row] = table.ecn[row]! | (1 << (ipv4.tos(view, o) & ECN_MASK))
    const flags = table.flags[row]! | (offset === 0 ? FIRST_IN : 0) | (more ? 0 : LAST_IN)
    table.flags[row] = flags
    if (flags === (FIRST_IN | LAST_IN) && table.meat[row] === table.length[row]) return complete(row)
    packets.moveToSmall(p)
    table.charge(row, slot[p]! < packets.largeSlots ? LARGE_STRIDE : SMALL_STRIDE)
    return -1
  }

  /** Its time is over: whoever sent the first fragment is told, if that came. */
  const expire = (row: number): void => {
    const iface = table.iface[row]!
    const first = table.head[row]!
    if ((table.flags[row]! & FIRST_IN) !== 0 && interfaces.used[iface] !== 0 && interfaces.stack[iface] === table.stack[row]) {
      icmpError(first, iface, TIME_EXCEEDED, REASSEMBLY_TIME, 0)
    }
    discard(row, REASSEMBLY_TIMEOUT)
  }

  return {
    add,
    /** Gives up what has taken too long. `now` in milliseconds. */
    tick: (now: number): void => {
      for (let row = table.oldest(); row >= 0 && table.deadline[row]! <= now; row = table.oldest()) expire(row)
    },
    /** When `tick` has something to do; Infinity when nothing is held. */
    nextTimer: (): number => (table.oldest() < 0 ? Infinity : table.deadline[table.oldest()]!),
    /** Ends what is held for a stack that goes away. */
    flush: (stack: number): void => {
      for (let row = table.oldest(); row >= 0;) {
        const following = table.younger(row)
        if (table.stack[row] === stack) discard(row, PORT_GONE)
        row = following
      }
    },
    /** Packets held. */
    held: (): number => table.fragments(),
    /** Datagrams being put together. */
    datagrams: (): number => table.datagrams()
  }
}
