/**
 * Fragmentation on the way out (RFC 791 3.2, net/ipv4/ip_output.c ip_do_fragment): a packet without DF is cut into pieces that
 * fit. When the pool cannot give all the pieces, none is sent: the packet and those already made are dropped.
 */
import type { Packets } from '../core/packets.js'
import { F_NEEDS_CSUM } from '../core/packets.js'
import { MTU_EXCEEDED, NO_BUFFER } from '../reason.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'

export interface FragmenterParts {
  packets: Packets
  /** Takes each piece, in order, with the `a` and `b` of the call. Owns it. */
  emit: (piece: number, a: number, b: number) => void
  /** Writes the whole L4 checksum where a partial one stands: behind the first piece nobody could. False when the pool is empty. */
  completeChecksum: (p: number) => boolean
}

export type Fragmenter = ReturnType<typeof createFragmenter>

export const createFragmenter = ({ packets, emit, completeChecksum }: FragmenterParts) => {
  const { start, length, flags, l3, l4, next, view, bytes } = packets

  /** Turns the options that only the first fragment has into no-operations (ip_options_fragment); `o` of the header, `size` of it in bytes. */
  const clearUncopied = (o: number, size: number): void => {
    const limit = o + size
    let at = o + ipv4.OFF_OPTIONS
    while (at < limit) {
      const kind = bytes[at]!
      if (kind === ipv4.OPTION_END) return
      if (kind === ipv4.OPTION_NOP) {
        at++
        continue
      }
      const optionLength = at + 1 < limit ? bytes[at + 1]! : 0
      if (optionLength < 2 || optionLength > limit - at) return
      if ((kind & ipv4.OPTION_COPIED) === 0) bytes.fill(ipv4.OPTION_NOP, at, at + optionLength)
      at += optionLength
    }
  }

  const dropList = (head: number): void => {
    for (let q = head; q >= 0;) {
      const following = next[q]!
      packets.drop(q, NO_BUFFER)
      q = following
    }
  }

  /**
   * Cuts `p`, whose l3 and l4 are set and whose DF is not, into pieces of at most `mtu` bytes behind the Ethernet header, and gives each to `emit`
   * with `a` and `b`; the 14 bytes before a piece's header are room for Ethernet. A fragment may be cut again. Owns `p`.
   */
  const fragment = (p: number, mtu: number, a: number, b: number): void => {
    const header = l4[p]! - l3[p]!
    const step = (mtu - header) & ~7
    if (step <= 0) {
      packets.drop(p, MTU_EXCEEDED)
      return
    }
    if ((flags[p]! & F_NEEDS_CSUM) !== 0 && !completeChecksum(p)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    const o = l3[p]!
    const word = ipv4.flagsFragment(view, o)
    const firstOffset = word & ipv4.FRAGMENT_MASK
    const more = word & ipv4.FLAG_MF
    const size = start[p]! + length[p]! - l4[p]!
    let head = -1
    let tail = -1
    for (let done = 0; done < size || head < 0;) {
      // The last piece may take the odd rest, where it fits
      const left = size - done
      const data = left <= mtu - header ? left : step
      const f = packets.piece(p, ETHERNET_HEADER + header + data)
      if (f < 0) {
        dropList(head)
        packets.drop(p, NO_BUFFER)
        return
      }
      const at = start[f]! + ETHERNET_HEADER
      l3[f] = at
      l4[f] = at + header
      bytes.copyWithin(at, o, o + header)
      bytes.copyWithin(at + header, l4[p]! + done, l4[p]! + done + data)
      if (done > 0 && header > ipv4.IPV4_HEADER && firstOffset === 0) clearUncopied(at, header)
      view.setUint16(at + ipv4.OFF_TOTAL_LENGTH, header + data)
      done += data
      view.setUint16(at + ipv4.OFF_FLAGS_FRAGMENT, (firstOffset + ((done - data) >> 3)) | (done < size ? ipv4.FLAG_MF : more))
      ipv4.writeHeaderChecksum(view, at)
      next[f] = -1
      if (head < 0) head = f
      else next[tail] = f
      tail = f
    }
    packets.merged(p)
    for (let f = head; f >= 0;) {
      const following = next[f]!
      emit(f, a, b)
      f = following
    }
  }

  return { fragment }
}
