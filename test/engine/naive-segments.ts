/**
 * Super-frames and what they must come out as, without the code under test: a frame is put together from its fields, taken apart
 * again, and every checksum in it is judged by the naive sum.
 */
import { naiveSum, withChecksum } from '../oracle/naive-checksum.js'
import { be16, be32, hexBytes, ip4, mac } from '../oracle/naive-frames.js'
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../../src/core/layout.js'
import type { MemoryFrame, Offload } from '../../src/port/memory.js'

const DF = 0x4000
export const TCP = 6
export const UDP = 17
export const FIN = 1
export const PSH = 8
export const CWR = 0x80

/** Data that shows where a byte came from. */
export const data = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + 3) & 255)

export interface Super {
  v6: boolean
  protocol: number
  dst: string
  src: string
  /** Text of addresses: dotted, or 32 hex digits. */
  from: string
  to: string
  /** Tags behind the MAC addresses. */
  tags: number
  /** Of TCP, a multiple of 4 bytes. */
  options: number[]
  flags: number
  seq: number
  id: number
  /** In the IPv4 header: DF or 0. */
  df: number
  data: number[]
  /** Bytes of data in each segment; 0 for a frame that is none. */
  gso: number
}

export const SUPER: Super = {
  v6: false,
  protocol: TCP,
  dst: '02:00:00:00:00:0b',
  src: '02:00:00:00:00:0a',
  from: '10.1.1.2',
  to: '10.1.1.9',
  tags: 0,
  options: [],
  flags: 0x10,
  seq: 1000,
  id: 7,
  df: DF,
  data: [],
  gso: 0
}

const l4Header = (s: Super): number => (s.protocol === TCP ? 20 + s.options.length : 8)

const pseudo = (v6: boolean, from: readonly number[], to: readonly number[], protocol: number, length: number): number[] =>
  v6 ? [...from, ...to, ...be32(length), 0, 0, 0, protocol] : [...from, ...to, 0, protocol, ...be16(length)]

/** The frame, with the sum of the pseudo-header where the checksum will stand, and its virtio-net header. */
export const build = (s: Super): { frame: Uint8Array; offload: Offload } => {
  const address = (text: string) => (s.v6 ? hexBytes(text) : ip4(text))
  const length = l4Header(s) + s.data.length
  const partial = be16(naiveSum(pseudo(s.v6, address(s.from), address(s.to), s.protocol, length)))
  const l4 =
    s.protocol === TCP
      ? [
          ...be16(40000),
          ...be16(5201),
          ...be32(s.seq),
          ...be32(99),
          ((20 + s.options.length) / 4) << 4,
          s.flags,
          ...be16(500),
          ...partial,
          0,
          0,
          ...s.options
        ]
      : [...be16(40000), ...be16(5201), ...be16(length), ...partial]
  const ip = s.v6
    ? [0x60, 0, 0, 0, ...be16(length), s.protocol, 64, ...address(s.from), ...address(s.to)]
    : withChecksum(
        [0x45, 0, ...be16(20 + length), ...be16(s.id), ...be16(s.df), 64, s.protocol, 0, 0, ...address(s.from), ...address(s.to)],
        10
      )
  const tags = Array.from({ length: s.tags }, (_, i) => [
    ...be16(i === 0 && s.tags > 1 ? 0x88a8 : 0x8100),
    ...be16(100 + i)
  ]).flat()
  const before = [...mac(s.dst), ...mac(s.src), ...tags, ...be16(s.v6 ? 0x86dd : 0x0800), ...ip]
  const kind = s.protocol === UDP ? GSO_UDP_L4 : s.v6 ? GSO_TCPV6 : GSO_TCPV4
  return {
    frame: Uint8Array.from([...before, ...l4, ...s.data]),
    offload: {
      needsCsum: true,
      csumStart: before.length,
      csumOffset: s.protocol === TCP ? 16 : 6,
      ...(s.gso === 0 ? {} : { gsoType: kind, gsoSize: s.gso, headerLength: before.length + l4Header(s) })
    }
  }
}

export interface Segment {
  ethernet: number[]
  id: number
  ttl: number
  seq: number
  flags: number
  options: number[]
  data: number[]
  /** Everything that is wrong with it. */
  faults: string[]
}

/** Takes a frame apart; lengths and checksums that are wrong are its faults. `frame` may be one with a partial checksum. */
export const parse = ({ bytes, needsCsum }: MemoryFrame): Segment => {
  const b = [...bytes]
  const word = (at: number): number => b[at]! * 256 + b[at + 1]!
  const faults: string[] = []
  const fault = (wrong: boolean, what: string): void => {
    if (wrong) faults.push(what)
  }
  let ip = 12
  while (word(ip) === 0x8100 || word(ip) === 0x88a8) ip += 4
  const v6 = word(ip) === 0x86dd
  ip += 2
  const header = v6 ? 40 : (b[ip]! & 15) * 4
  const l4 = ip + header
  fault((v6 ? word(ip + 4) + 40 : word(ip + 2)) !== b.length - ip, 'length')
  if (!v6) fault(naiveSum(b.slice(ip, l4)) !== 65535, 'header checksum')
  const protocol = v6 ? b[ip + 6]! : b[ip + 9]!
  const size = b.length - l4
  const sums = v6
    ? pseudo(true, b.slice(ip + 8, ip + 24), b.slice(ip + 24, ip + 40), protocol, size)
    : pseudo(false, b.slice(ip + 12, ip + 16), b.slice(ip + 16, ip + 20), protocol, size)
  if (needsCsum === true) fault(word(l4 + (protocol === TCP ? 16 : 6)) !== naiveSum(sums), 'partial checksum')
  else {
    fault(naiveSum([...sums, ...b.slice(l4)]) !== 65535, 'checksum')
    fault(protocol === UDP && word(l4 + 6) === 0, 'no checksum')
  }
  if (protocol === UDP) fault(word(l4 + 4) !== size, 'UDP length')
  const data = protocol === TCP ? l4 + (b[l4 + 12]! >> 4) * 4 : l4 + 8
  return {
    ethernet: b.slice(0, ip),
    id: v6 ? 0 : word(ip + 4),
    ttl: v6 ? b[ip + 7]! : b[ip + 8]!,
    faults,
    data: b.slice(data),
    seq: protocol === TCP ? word(l4 + 4) * 65536 + word(l4 + 6) : 0,
    flags: protocol === TCP ? b[l4 + 13]! : 0,
    options: protocol === TCP ? b.slice(l4 + 20, data) : []
  }
}

/** What a super-frame must be cut into (linux net/ipv4/tcp_offload.c tcp_gso_segment, udp_offload.c). */
export const expected = (s: Super): Omit<Segment, 'ethernet' | 'faults' | 'ttl'>[] => {
  const count = Math.max(1, Math.ceil(s.data.length / s.gso))
  return Array.from({ length: count }, (_, i) => ({
    id: s.v6 ? 0 : (s.id + i) & 0xffff,
    seq: s.protocol === TCP ? (s.seq + i * s.gso) % 2 ** 32 : 0,
    flags: s.protocol === TCP ? s.flags & ~(i < count - 1 ? FIN | PSH : 0) & ~(i > 0 ? CWR : 0) : 0,
    options: s.options,
    data: s.data.slice(i * s.gso, (i + 1) * s.gso)
  }))
}
