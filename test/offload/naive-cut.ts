/**
 * Super-frames without the code under test: cut by the letter of Linux's tcp_gso_segment and __udp_gso_segment on plain byte arrays, every
 * checksum summed anew by the naive sum; and the rules by which its GRO joins (net/ipv4/af_inet.c, tcp_offload.c, udp_offload.c).
 */
import { naiveSum } from '../oracle/naive-checksum.js'
import { be16, be32 } from '../oracle/naive-frames.js'

type Bytes = readonly number[]

const DF = 0x4000
const FIN = 1
const SYN = 2
const RST = 4
const PSH = 8
const URG = 0x20
const CWR = 0x80

export const word = (b: Bytes, at: number): number => b[at]! * 256 + b[at + 1]!
export const long = (b: Bytes, at: number): number => word(b, at) * 65536 + word(b, at + 2)
const set = (b: number[], at: number, values: Bytes): void => {
  for (const [i, v] of values.entries()) b[at + i] = v
}

/** Offset of the IP header: behind up to two VLAN tags. */
const networkOf = (b: Bytes): number => {
  let at = 12
  for (let tags = 0; tags < 2 && (word(b, at) === 0x8100 || word(b, at) === 0x88a8); tags++) at += 4
  return at + 2
}

export const isV6 = (b: Bytes): boolean => word(b, networkOf(b) - 2) === 0x86dd

/** Pseudo-header of a packet whose transport header and data are `size` bytes. */
const pseudo = (b: Bytes, protocol: number, size: number): number[] => {
  const n = networkOf(b)
  return isV6(b) ? [...b.slice(n + 8, n + 40), ...be32(size), 0, 0, 0, protocol] : [...b.slice(n + 12, n + 20), 0, protocol, ...be16(size)]
}

/** Writes right lengths and checksums into a frame whose transport header is at `l4`. */
export const complete = (frame: Bytes, l4: number, isTcp: boolean): number[] => {
  const b = [...frame]
  const n = networkOf(b)
  const size = b.length - l4
  if (isV6(b)) set(b, n + 4, be16(b.length - n - 40))
  else {
    set(b, n + 2, be16(b.length - n))
    set(b, n + 10, [0, 0])
    set(b, n + 10, be16(65535 - naiveSum(b.slice(n, n + (b[n]! & 15) * 4))))
  }
  if (!isTcp) set(b, l4 + 4, be16(size))
  const field = l4 + (isTcp ? 16 : 6)
  set(b, field, [0, 0])
  const sum = 65535 - naiveSum([...pseudo(b, isTcp ? 6 : 17, size), ...b.slice(l4)])
  set(b, field, be16(sum === 0 && !isTcp ? 65535 : sum))
  return b
}

/** The frame with the sum of the pseudo-header in place of the transport checksum, as a virtio-net header with NEEDS_CSUM wants it. */
export const partial = (frame: Bytes, l4: number, isTcp: boolean): number[] => {
  const b = complete(frame, l4, isTcp)
  set(b, l4 + (isTcp ? 16 : 6), be16(naiveSum(pseudo(b, isTcp ? 6 : 17, b.length - l4))))
  return b
}

/** What a super-frame must be cut into. */
export const naiveCut = (frame: Bytes, l4: number, isTcp: boolean, size: number): number[][] => {
  const headers = l4 + (isTcp ? (frame[l4 + 12]! >> 4) * 4 : 8)
  const n = networkOf(frame)
  const count = Math.max(1, Math.ceil((frame.length - headers) / size))
  return Array.from({ length: count }, (_, i) => {
    const b = [...frame.slice(0, headers), ...frame.slice(headers + i * size, headers + (i + 1) * size)]
    if (!isV6(frame)) set(b, n + 4, be16((word(frame, n + 4) + i) & 0xffff))
    if (isTcp) {
      set(b, l4 + 4, be32((long(frame, l4 + 4) + i * size) % 2 ** 32))
      b[l4 + 13] = frame[l4 + 13]! & ~(i < count - 1 ? FIN | PSH : 0) & ~(i > 0 ? CWR : 0)
    }
    return complete(b, l4, isTcp)
  })
}

/** What GRO sees in a frame; undefined for one that it passes on as it is. */
const candidate = (b: Bytes): { l4: number; isTcp: boolean; headers: number; data: number } | undefined => {
  if (b.length < 34) return undefined
  const type = word(b, 12)
  let l4 = 0
  let protocol = 0
  if (type === 0x0800) {
    // inet_gro_receive: no options, no fragment, the length of the frame, a right header
    if (b[14] !== 0x45 || (word(b, 20) & ~DF) !== 0 || word(b, 16) !== b.length - 14 ||
      naiveSum(b.slice(14, 34)) !== 65535) return undefined
    l4 = 34
    protocol = b[23]!
  } else if (type === 0x86dd) {
    if (b.length < 54 || b[14]! >> 4 !== 6 || word(b, 18) !== b.length - 54) return undefined
    l4 = 54
    protocol = b[20]!
  } else return undefined
  const isTcp = protocol === 6
  if ((!isTcp && protocol !== 17) || b.length < l4 + (isTcp ? 20 : 8)) return undefined
  const headers = l4 + (isTcp ? (b[l4 + 12]! >> 4) * 4 : 8)
  if (headers < l4 + (isTcp ? 20 : 8) || b.length <= headers) return undefined
  // tcp4_gro_receive, udp_gro_receive: the checksum is right, and of UDP there is one
  if (naiveSum([...pseudo(b, protocol, b.length - l4), ...b.slice(l4)]) !== 65535) return undefined
  if (!isTcp && (word(b, l4 + 6) === 0 || word(b, l4 + 4) !== b.length - l4)) return undefined
  return { l4, isTcp, headers, data: b.length - headers }
}

const same = (a: Bytes, b: Bytes, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false
  return true
}

/** May these frames, one after the other, become one? Each with the header of a tunnel before it that is `lead` bytes long. */
export const mayJoin = (datagrams: readonly Bytes[], lead: number): boolean => {
  const frames = datagrams.map((d) => d.slice(lead))
  const first = frames[0]!
  const h = candidate(first)
  if (h === undefined) return false
  const { l4, isTcp } = h
  let closed = isTcp && (first[l4 + 13]! & (URG | PSH | RST | SYN | FIN | CWR)) !== 0
  let next = isTcp ? long(first, l4 + 4) : 0
  for (const [i, b] of frames.entries()) {
    const c = candidate(b)
    if (c === undefined || c.l4 !== l4 || c.isTcp !== isTcp || c.headers !== h.headers) return false
    next = (next + c.data) % 2 ** 32
    if (i === 0) continue
    if (closed || c.data > h.data || !same(datagrams[0]!, datagrams[i]!, 0, lead) || !same(first, b, 0, 14)) return false
    if (isV6(b)) {
      if (!same(first, b, 14, 18) || !same(first, b, 20, 54)) return false
    } else {
      if (!same(first, b, 14, 16) || !same(first, b, 20, 24) || !same(first, b, 26, 34)) return false
      if ((word(b, 20) & DF) === 0 && word(b, 18) !== ((word(first, 18) + i) & 0xffff)) return false
    }
    if (!same(first, b, l4, l4 + 4)) return false
    closed = c.data < h.data
    if (!isTcp) {
      if (i >= 64) return false
      continue
    }
    const f = b[l4 + 13]!
    if ((f & (CWR | SYN | RST | URG)) !== 0 || ((f ^ first[l4 + 13]!) & ~(FIN | PSH | CWR)) !== 0) return false
    if ((next - c.data + 2 ** 32) % 2 ** 32 !== long(b, l4 + 4)) return false
    if (!same(first, b, l4 + 8, l4 + 13) || !same(first, b, l4 + 14, l4 + 16) || !same(first, b, l4 + 20, h.headers)) return false
    closed ||= (f & (PSH | FIN)) !== 0
  }
  return true
}

/** The identification of a packet with DF says nothing (RFC 6864): frames for comparison without it, and without what the header checksum sums of it. */
export const withoutIdentification = (frame: Bytes): number[] => {
  const n = networkOf(frame)
  if (isV6(frame) || word(frame, n - 2) !== 0x0800 || (word(frame, n + 6) & DF) === 0) return [...frame]
  const b = [...frame]
  set(b, n + 4, [0, 0])
  const right = naiveSum(frame.slice(n, n + (frame[n]! & 15) * 4)) === 65535
  if (right) set(b, n + 10, [0, 0])
  return b
}
