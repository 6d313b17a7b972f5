/** ICMP for IPv4 (RFC 792, 1191, 1812, 6633). Offsets from the message's first byte. */
import { ICMP_MALFORMED, OK } from '../reason.js'
import { checksum, fold, sumBytes } from './checksum.js'

export const ICMP_HEADER = 8
export const OFF_TYPE = 0
export const OFF_CODE = 1
export const OFF_CHECKSUM = 2
export const OFF_REST = 4
export const OFF_IDENTIFIER = 4
export const OFF_SEQUENCE = 6
export const OFF_NEXT_HOP_MTU = 6 // RFC 1191 section 4

export const ECHO_REPLY = 0
export const DESTINATION_UNREACHABLE = 3
export const SOURCE_QUENCH = 4
export const REDIRECT = 5
export const ECHO_REQUEST = 8
export const TIME_EXCEEDED = 11
export const PARAMETER_PROBLEM = 12
export const TIMESTAMP_REQUEST = 13
export const TIMESTAMP_REPLY = 14

// Codes of destination unreachable
export const NETWORK_UNREACHABLE = 0
export const HOST_UNREACHABLE = 1
export const PROTOCOL_UNREACHABLE_CODE = 2
export const PORT_UNREACHABLE_CODE = 3
export const FRAGMENTATION_NEEDED_CODE = 4
export const SOURCE_ROUTE_FAILED = 5
export const ADMIN_PROHIBITED = 13
// Codes of redirect, time exceeded
export const REDIRECT_HOST = 1
export const TTL_IN_TRANSIT = 0
export const REASSEMBLY_TIME = 1

/** `length` of the whole message. Verifies the checksum. */
export const checkIcmp4 = (view: DataView, o: number, length: number): number =>
  length < ICMP_HEADER || fold(sumBytes(view, o, length, 0)) !== 0xffff ? ICMP_MALFORMED : OK

export const type = (view: DataView, o: number): number => view.getUint8(o + OFF_TYPE)
export const code = (view: DataView, o: number): number => view.getUint8(o + OFF_CODE)
export const identifier = (view: DataView, o: number): number => view.getUint16(o + OFF_IDENTIFIER)
export const sequence = (view: DataView, o: number): number => view.getUint16(o + OFF_SEQUENCE)

/** An error message, about which no error may be sent (RFC 1122 3.2.2). */
export const isError = (t: number): boolean =>
  t === DESTINATION_UNREACHABLE || t === SOURCE_QUENCH || t === REDIRECT || t === TIME_EXCEEDED || t === PARAMETER_PROBLEM

/** Writes the 8-byte header and the checksum over all `length` bytes, whose data must stand there already. */
export const writeIcmp4 = (view: DataView, o: number, length: number, t: number, c: number, rest: number): void => {
  view.setUint8(o + OFF_TYPE, t)
  view.setUint8(o + OFF_CODE, c)
  view.setUint16(o + OFF_CHECKSUM, 0)
  view.setInt32(o + OFF_REST, rest)
  view.setUint16(o + OFF_CHECKSUM, checksum(view, o, length))
}
