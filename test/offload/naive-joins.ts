/**
 * TCP segments put together from their fields, super-frames cut again as a kernel cuts them (linux net/ipv4/tcp_offload.c
 * tcp_gso_segment()), and a plain statement of which segments the kernel's GRO would join: without the code under test.
 */
import { naiveSum } from '../oracle/naive-checksum.js'
import { be16, be32, ethernet, ipv4, ipv6, MAC_A, MAC_B } from '../oracle/naive-frames.js'
import { GSO_TCPV4, GSO_TCPV6 } from '../../src/core/layout.js'
import type { MemoryFrame, Offload } from '../../src/port/memory.js'

export const DF = 0x4000
export const ACK = 0x10
export const PSH = 8
const ECE = 0x40
const ADDRESSES = {
  4: ['10.1.1.2', '10.1.1.3'],
  6: ['fd000000000000000000000000000002', 'fd000000000000000000000000000003']
} as const

export interface Segment {
  version: 4 | 6
  sport: number
  seq: number
  ack: number
  flags: number
  window: number
  urgent: number
  /** In words of 4 bytes. */
  options: number[]
  data: number[]
  id: number
  df: number
  tos: number
  ttl: number
  /** The checksum is left to whoever sends it. */
  partial: boolean
}

export const SEGMENT: Segment = {
  version: 4, sport: 40000, seq: 1000, ack: 77, flags: ACK, window: 500, urgent: 0, options: [], data: [], id: 1, df: DF, tos: 0, ttl: 64,
  partial: false
}

const L4 = { 4: 34, 6: 54 } as const
const ports = (b: readonly number[], l4: number): string => b.slice(l4, l4 + 4).join()

const pseudo = (b: readonly number[], v6: boolean, length: number): number[] =>
  v6 ? [...b.slice(22, 54), ...be32(length), 0, 0, 0, 6] : [...b.slice(26, 34), 0, 6, ...be16(length)]

const word = (b: readonly number[], at: number): number => b[at]! * 256 + b[at + 1]!
const setWord = (b: number[], at: number, value: number): void => {
  b.splice(at, 2, value >> 8, value & 255)
}

/** Puts the right checksum, or the sum of the pseudo-header, into a frame. */
const setChecksum = (b: number[], v6: boolean, partial: boolean): void => {
  const l4 = L4[v6 ? 6 : 4]
  setWord(b, l4 + 16, 0)
  const sums = pseudo(b, v6, b.length - l4)
  setWord(b, l4 + 16, partial ? naiveSum(sums) : 65535 - naiveSum([...sums, ...b.slice(l4)]))
}

export const frameOf = (s: Segment): { bytes: Uint8Array; offload: Offload } => {
  const tcp = [
    ...be16(s.sport), ...be16(5201), ...be32(s.seq), ...be32(s.ack), (5 + s.options.length) << 4, s.flags, ...be16(s.window), 0, 0, ...be16(s.urgent),
    ...s.options.flatMap(be32), ...s.data
  ]
  const v6 = s.version === 6
  const [from, to] = ADDRESSES[s.version]
  const packet = v6 ? ipv6(6, from, to, tcp) : ipv4(6, from, to, tcp, { id: s.id, flags: s.df, tos: s.tos, ttl: s.ttl })
  if (v6) {
    packet[0] = 0x60 | (s.tos >> 4)
    packet[1] = (s.tos & 15) << 4
    packet[7] = s.ttl
  }
  const b = ethernet(MAC_B, MAC_A, v6 ? 0x86dd : 0x0800, packet)
  setChecksum(b, v6, s.partial)
  return { bytes: Uint8Array.from(b), offload: s.partial ? { needsCsum: true, csumStart: L4[s.version], csumOffset: 16 } : {} }
}

/** Flips a bit of a frame and makes the checksums right again, as far as they still stand where they did. */
export const flipped = (frame: Uint8Array, version: 4 | 6, bit: number): Uint8Array => {
  const b = [...frame]
  b[bit >> 3]! ^= 1 << (bit & 7)
  if (version === 4) {
    setWord(b, 24, 0)
    setWord(b, 24, 65535 - naiveSum(b.slice(14, 34)))
  }
  setChecksum(b, version === 6, false)
  return Uint8Array.from(b)
}

/** How many packets a frame stands for. */
export const countOf = ({ bytes, gsoType = 0, gsoSize = 0, headerLength = 0 }: MemoryFrame): number =>
  gsoType === 0 ? 1 : Math.ceil((bytes.length - headerLength) / gsoSize)

/** Cuts a super-frame into complete segments, or completes the checksum of a single one. Throws where its header lies. */
export const cut = (frame: MemoryFrame): Uint8Array[] => {
  const b = [...frame.bytes]
  const v6 = word(b, 12) === 0x86dd
  const l4 = L4[v6 ? 6 : 4]
  if (frame.needsCsum === true && (frame.csumStart !== l4 || frame.csumOffset !== 16)) throw new Error('the checksum is somewhere else')
  if (!frame.gsoType) {
    if (frame.needsCsum === true) setChecksum(b, v6, false)
    return [Uint8Array.from(b)]
  }
  const headers = l4 + (b[l4 + 12]! >> 4) * 4
  const size = frame.gsoSize!
  const isRight = frame.gsoType === (v6 ? GSO_TCPV6 : GSO_TCPV4) && frame.needsCsum === true && frame.headerLength === headers
  if (!isRight) throw new Error('a wrong virtio-net header')
  if (b.length <= headers + size) throw new Error('a super-frame of one')
  if (word(b, l4 + 16) !== naiveSum(pseudo(b, v6, b.length - l4))) throw new Error('a wrong sum of the pseudo-header')
  if ((v6 ? word(b, 18) + 54 : word(b, 16) + 14) !== b.length) throw new Error('a wrong length')
  if (!v6 && naiveSum(b.slice(14, 34)) !== 65535) throw new Error('a wrong header checksum')
  const pieces: Uint8Array[] = []
  for (let at = 0; headers + at < b.length; at += size) {
    const last = headers + at + size >= b.length
    const piece = [...b.slice(0, headers), ...b.slice(headers + at, headers + at + size)]
    if (v6) setWord(piece, 18, piece.length - 54)
    else {
      setWord(piece, 16, piece.length - 14)
      setWord(piece, 18, (word(b, 18) + pieces.length) & 0xffff)
      setWord(piece, 24, 0)
      setWord(piece, 24, 65535 - naiveSum(piece.slice(14, 34)))
    }
    const seq = (word(b, l4 + 4) * 65536 + word(b, l4 + 6) + at) % 2 ** 32
    piece.splice(l4 + 4, 4, ...be32(seq))
    if (!last) piece[l4 + 13]! &= ~(PSH | 1)
    if (at > 0) piece[l4 + 13]! &= ~0x80
    setChecksum(piece, v6, false)
    pieces.push(Uint8Array.from(piece))
  }
  return pieces
}

/** A frame as text, its identification left out where it says nothing: with DF, and nothing wrong in the IPv4 header. */
export const comparable = (bytes: Uint8Array): string => {
  const b = [...bytes]
  if (word(b, 12) === 0x0800 && b[14] === 0x45 && word(b, 20) === DF && naiveSum(b.slice(14, 34)) === 65535) {
    setWord(b, 18, 0)
    setWord(b, 24, 0)
    setWord(b, 24, 65535 - naiveSum(b.slice(14, 34)))
  }
  return Buffer.from(b).toString('hex')
}

/** Whose packet it is: all that a flow's packets have in common, so far as it is IP. */
export const flowOf = (bytes: Uint8Array): string => {
  const b = [...bytes]
  return word(b, 12) === 0x86dd ? b.slice(22, 58).join() : b.slice(26, 38).join()
}

interface Seen { b: readonly number[]; v6: boolean; l4: number; headers: number; size: number; pushed: boolean }

/** What GRO takes for a segment with data; undefined for what it passes by. */
const seen = ({ bytes, offload }: { bytes: Uint8Array; offload: Offload }): Seen | undefined => {
  const b = [...bytes]
  const type = word(b, 12)
  if (type !== 0x0800 && type !== 0x86dd) return undefined
  const v6 = type === 0x86dd
  const l4 = L4[v6 ? 6 : 4]
  const isPlain4 = b[14] === 0x45 && b[23] === 6 && (word(b, 20) & ~DF) === 0 && word(b, 16) === b.length - 14 && naiveSum(b.slice(14, 34)) === 65535
  const isPlain6 = b[14]! >> 4 === 6 && b[20] === 6 && word(b, 18) === b.length - 54
  if (!(v6 ? isPlain6 : isPlain4)) return undefined
  const flags = b[l4 + 13]!
  const headers = l4 + (b[l4 + 12]! >> 4) * 4
  if ((flags & ~(PSH | ECE)) !== ACK || headers < l4 + 20 || headers >= b.length) return undefined
  if (offload.needsCsum !== true && naiveSum([...pseudo(b, v6, b.length - l4), ...b.slice(l4)]) !== 65535) return undefined
  return { b, v6, l4, headers, size: b.length - headers, pushed: (flags & PSH) !== 0 }
}

/** How many segments each frame stands for that leaves, when these, all with the same ports, are queued in one turn. */
export const runsOf = (frames: readonly { bytes: Uint8Array; offload: Offload }[], most = 64): number[] => {
  const counts: number[] = []
  let run: Seen[] = []
  let isOpen = false
  for (const frame of frames) {
    const s = seen(frame)
    const first = run[0]
    const follows = (): boolean => {
      if (s === undefined || first === undefined || !isOpen) return false
      const { b, l4, headers } = s
      const a = first.b
      const before = run.reduce((sum, r) => sum + r.size, 0)
      const alike = (from: number, to: number): boolean => a.slice(from, to).join() === b.slice(from, to).join()
      const seq = (at: readonly number[]): number => word(at, l4 + 4) * 65536 + word(at, l4 + 6)
      const sameIp = s.v6 ? alike(14, 18) && alike(20, 54)
        : alike(15, 16) && alike(20, 24) && alike(26, 34) && (word(a, 20) === DF || word(b, 18) === (word(a, 18) + run.length) % 65536)
      return alike(0, 14) && first.headers === headers && s.size <= first.size && run.length < most && first.headers + before + s.size <= 65535 &&
        sameIp && ports(a, l4) === ports(b, l4) && seq(b) === (seq(a) + before) % 2 ** 32 && alike(l4 + 8, l4 + 13) &&
        (a[l4 + 13]! & ~PSH) === (b[l4 + 13]! & ~PSH) && alike(l4 + 14, l4 + 16) && alike(l4 + 18, headers)
    }
    if (follows()) {
      run.push(s!)
      counts[counts.length - 1]!++
    } else {
      run = s === undefined ? [] : [s]
      counts.push(1)
    }
    isOpen = s !== undefined && !s.pushed && s.size === run[0]!.size
  }
  return counts
}

