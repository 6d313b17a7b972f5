/** The IPv4 header (RFC 791 3.1). Offsets from its first byte. */
import { IP_CHECKSUM, IP_HEADER_INVALID, IP_TRUNCATED, OK } from '../reason.js'
import { checksum, fold, sumBytes, updateChecksum } from './checksum.js'

export const IPV4_HEADER = 20
export const OFF_VERSION_IHL = 0
export const OFF_TOS = 1
export const OFF_TOTAL_LENGTH = 2
export const OFF_IDENTIFICATION = 4
export const OFF_FLAGS_FRAGMENT = 6
export const OFF_TTL = 8
export const OFF_PROTOCOL = 9
export const OFF_CHECKSUM = 10
export const OFF_SOURCE = 12
export const OFF_DESTINATION = 16
export const OFF_OPTIONS = 20

/** First octet of a header without options: version 4, five words. */
export const NO_OPTIONS = 0x45

export const FLAG_DF = 0x4000
/** As a little-endian load of flags and fragment offset sees it. */
export const FLAG_DF_LE = 0x40
export const FLAG_MF = 0x2000
export const FRAGMENT_MASK = 0x1fff // in units of 8 bytes

export const PROTOCOL_ICMP = 1
export const PROTOCOL_IGMP = 2
export const PROTOCOL_TCP = 6
export const PROTOCOL_UDP = 17

export const OPTION_END = 0
export const OPTION_NOP = 1
export const OPTION_RECORD_ROUTE = 7
export const OPTION_TIMESTAMP = 68
export const OPTION_LSRR = 131
export const OPTION_SSRR = 137
export const OPTION_ROUTER_ALERT = 148
export const OPTION_COPIED = 0x80

/** `length` is what follows the Ethernet header, padding included. The tests are those of RFC 1812 5.2.2, in the order of the kernel's ip_rcv. */
export const checkIpv4 = (view: DataView, o: number, length: number): number => {
  if (length < IPV4_HEADER) return IP_TRUNCATED
  const header = headerLength(view, o)
  if (view.getUint8(o) >>> 4 !== 4 || header < IPV4_HEADER) return IP_HEADER_INVALID
  if (length < header) return IP_TRUNCATED
  if (fold(sumBytes(view, o, header, 0)) !== 0xffff) return IP_CHECKSUM
  const total = totalLength(view, o)
  if (length < total) return IP_TRUNCATED
  if (total < header) return IP_HEADER_INVALID
  return OK
}

/** Bytes of header, options included: IHL times 4. */
export const headerLength = (view: DataView, o: number): number => (view.getUint8(o) & 15) << 2
export const tos = (view: DataView, o: number): number => view.getUint8(o + OFF_TOS)
export const totalLength = (view: DataView, o: number): number => view.getUint16(o + OFF_TOTAL_LENGTH)
export const identification = (view: DataView, o: number): number => view.getUint16(o + OFF_IDENTIFICATION)
/** Flags and fragment offset as they stand, one 16-bit word. */
export const flagsFragment = (view: DataView, o: number): number => view.getUint16(o + OFF_FLAGS_FRAGMENT)
/** Byte offset of a fragment in its datagram. */
export const fragmentOffset = (view: DataView, o: number): number => (flagsFragment(view, o) & FRAGMENT_MASK) << 3
/** True for every fragment, first and last ones too. */
export const isFragment = (view: DataView, o: number): boolean => (flagsFragment(view, o) & (FLAG_MF | FRAGMENT_MASK)) !== 0
export const ttl = (view: DataView, o: number): number => view.getUint8(o + OFF_TTL)
export const protocol = (view: DataView, o: number): number => view.getUint8(o + OFF_PROTOCOL)
export const headerChecksum = (view: DataView, o: number): number => view.getUint16(o + OFF_CHECKSUM)
export const source = (view: DataView, o: number): number => view.getInt32(o + OFF_SOURCE)
export const destination = (view: DataView, o: number): number => view.getInt32(o + OFF_DESTINATION)

/** TTL minus one, checksum updated incrementally (RFC 1624). The caller has seen that TTL is above 1. */
export const decrementTtl = (view: DataView, o: number): void => {
  const word = view.getUint16(o + OFF_TTL)
  view.setUint16(o + OFF_TTL, word - 0x100)
  view.setUint16(o + OFF_CHECKSUM, updateChecksum(view.getUint16(o + OFF_CHECKSUM), word, word - 0x100))
}

/** Computes the header checksum anew and writes it. */
export const writeHeaderChecksum = (view: DataView, o: number): void => {
  view.setUint16(o + OFF_CHECKSUM, 0)
  view.setUint16(o + OFF_CHECKSUM, checksum(view, o, headerLength(view, o)))
}

/** Writes a 20-byte header without options, checksum included. */
export const writeIpv4 = (
  view: DataView, o: number, tosByte: number, total: number, id: number, flags: number, ttlByte: number, proto: number, src: number, dst: number
): void => {
  view.setUint8(o, NO_OPTIONS)
  view.setUint8(o + OFF_TOS, tosByte)
  view.setUint16(o + OFF_TOTAL_LENGTH, total)
  view.setUint16(o + OFF_IDENTIFICATION, id)
  view.setUint16(o + OFF_FLAGS_FRAGMENT, flags)
  view.setUint8(o + OFF_TTL, ttlByte)
  view.setUint8(o + OFF_PROTOCOL, proto)
  view.setInt32(o + OFF_SOURCE, src)
  view.setInt32(o + OFF_DESTINATION, dst)
  writeHeaderChecksum(view, o)
}

/** Puts `size` bytes of options (a multiple of 4, at most 40) behind a 20-byte header that `writeIpv4` wrote, for which its total length allows; checksum included. */
export const writeOptions = (view: DataView, o: number, options: Uint8Array, size: number): void => {
  view.setUint8(o, NO_OPTIONS + (size >> 2))
  for (let i = 0; i < size; i++) view.setUint8(o + OFF_OPTIONS + i, options[i]!)
  writeHeaderChecksum(view, o)
}
