/**
 * The underlay's side of a tunnel: datagrams of peers put together byte by byte, and what a box sent taken apart, without
 * anything of src.
 */
import { createHash } from 'node:crypto'
import { be16, be32, ethernet, ip4 } from '../oracle/naive-frames.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { DF, MF, UDP, describe, hex, ipPacket, type Bytes } from '../helpers/frames.js'
import { LOCAL, LOCAL6, PORT, UNDERLAY_MAC, VNI, peer, peer6, peerMac } from './plan.js'

/** Sixteen bytes of an IPv6 address, without an embedded IPv4 one. */
export const ip6 = (text: string): number[] => {
  const [head = '', tail] = text.split('::')
  const words = (part: string): number[] => (part === '' ? [] : part.split(':').map((w) => parseInt(w, 16)))
  const front = words(head)
  const back = tail === undefined ? [] : words(tail)
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
  return all.flatMap(be16)
}

const ip6Text = (b: Uint8Array): string => {
  const words = Array.from({ length: 8 }, (_, i) => ((b[2 * i]! << 8) | b[2 * i + 1]!).toString(16))
  return new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1)
}

/** `08 00 00 00 VNI 00`. */
export const vxlanHeader = (vni: number): number[] => [8, 0, 0, 0, ...be32(vni * 256)]

export interface Datagram {
  inner: Bytes
  /** Which peer; 2 unless said otherwise. */
  from?: number
  /** Instead of the peer's address. */
  src?: string
  dst?: string
  vni?: number
  /** The eight bytes before the inner frame, or fewer. */
  header?: Bytes
  sport?: number
  dport?: number
  tos?: number
  ttl?: number
  flags?: number
  /** Of UDP, instead of the right one. */
  checksum?: number
  /** Destination MAC address, for groups. */
  to?: string
  /** Behind the IP packet. */
  trailer?: Bytes
}

const udpBytes = (pseudo: Bytes, d: Datagram): number[] => {
  const payload = [...(d.header ?? vxlanHeader(d.vni ?? VNI)), ...d.inner]
  const head = [...be16(d.sport ?? 50000), ...be16(d.dport ?? PORT), ...be16(8 + payload.length)]
  const sum = 65535 - naiveSum([...pseudo, 0, UDP, ...be16(8 + payload.length), ...head, 0, 0, ...payload])
  return [...head, ...be16(d.checksum ?? (sum === 0 ? 65535 : sum)), ...payload]
}

/** A VXLAN datagram of a peer, as a frame on the underlay. */
export const datagram = (d: Datagram): number[] => {
  const src = d.src ?? peer(d.from ?? 2)
  const dst = d.dst ?? LOCAL
  const payload = udpBytes([...ip4(src), ...ip4(dst)], d)
  const packet = ipPacket({ src, dst, protocol: UDP, payload, tos: d.tos ?? 0, ttl: d.ttl ?? 64, flags: d.flags ?? 0 })
  return [...ethernet(d.to ?? UNDERLAY_MAC, peerMac(d.from ?? 2), 0x0800, packet), ...(d.trailer ?? [])]
}

/** The same over IPv6. */
export const datagram6 = (d: Datagram): number[] => {
  const src = ip6(d.src ?? peer6(d.from ?? 2))
  const dst = ip6(d.dst ?? LOCAL6)
  const payload = udpBytes([...src, ...dst], d)
  const tos = d.tos ?? 0
  const header = [0x60 | (tos >> 4), (tos & 15) << 4, 0, 0, ...be16(payload.length), UDP, d.ttl ?? 64]
  return ethernet(d.to ?? UNDERLAY_MAC, peerMac(d.from ?? 2), 0x86dd, [...header, ...src, ...dst, ...payload])
}

/** What is known of a datagram that a box sent. */
export interface Outer {
  to: string
  src: string
  dst: string
  sport: number
  dport: number
  ttl: number
  tos: number
  df: boolean
  /** Sizes of the IP payloads it came in, when it was fragmented. */
  fragments: number[]
  sum: 'ok' | 'zero' | 'wrong'
  payload: Uint8Array
}

const word = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!
const macOf = (b: Uint8Array): string => Array.from(b.subarray(0, 6), (v) => v.toString(16).padStart(2, '0')).join(':')

const checkSum = (pseudo: Bytes, segment: Uint8Array): Outer['sum'] => {
  if (word(segment, 6) === 0) return 'zero'
  return naiveSum([...pseudo, 0, UDP, ...be16(segment.length), ...segment]) === 65535 ? 'ok' : 'wrong'
}

interface Piece {
  offset: number
  bytes: Uint8Array
  more: boolean
}

/** Reads the frames of the underlay in order; fragments are put together. Anything that is no UDP comes as it is. */
export const readUnderlay = (frames: readonly Uint8Array[]): (Outer | Uint8Array)[] => {
  const held = new Map<string, Piece[]>()
  return frames.flatMap((b): (Outer | Uint8Array)[] => {
    const type = word(b, 12)
    if (type === 0x86dd && b[20] === UDP) {
      const segment = b.subarray(54, 54 + word(b, 18))
      const tos = ((b[14]! & 15) << 4) | (b[15]! >> 4)
      return [{
        to: macOf(b), src: ip6Text(b.subarray(22, 38)), dst: ip6Text(b.subarray(38, 54)), sport: word(segment, 0),
        dport: word(segment, 2),
        ttl: b[21]!, tos, df: false, fragments: [], sum: checkSum(Array.from(b.subarray(22, 54)), segment),
        payload: segment.subarray(8)
      }]
    }
    if (type !== 0x0800 || b[23] !== UDP) return [b]
    const fragment = word(b, 20)
    const piece = { offset: (fragment & 0x1fff) * 8, bytes: b.subarray(34, 14 + word(b, 16)), more: (fragment & MF) !== 0 }
    const key = hex(b.subarray(18, 20)) + hex(b.subarray(26, 34))
    const pieces = [...held.get(key) ?? [], piece]
    held.set(key, pieces)
    if (piece.more) return []
    held.delete(key)
    const segment = new Uint8Array(pieces.reduce((most, p) => Math.max(most, p.offset + p.bytes.length), 0))
    for (const p of pieces) segment.set(p.bytes, p.offset)
    const address = (at: number): string => b.subarray(at, at + 4).join('.')
    const headerRight = naiveSum(Array.from(b.subarray(14, 34))) === 65535
    return [{
      to: macOf(b), src: address(26), dst: address(30), sport: word(segment, 0), dport: word(segment, 2), ttl: b[22]!,
      tos: b[15]!,
      df: (fragment & DF) !== 0, fragments: pieces.length > 1 ? pieces.map((p) => p.bytes.length) : [],
      sum: headerRight ? checkSum(Array.from(b.subarray(26, 34)), segment) : 'wrong', payload: segment.subarray(8)
    }]
  })
}

export const isOuter = (o: Outer | Uint8Array): o is Outer => !(o instanceof Uint8Array)

const SHOWN = 160

/** Bytes in hexadecimal; of long ones the rest as a digest. */
const bytesText = (bytes: ArrayLike<number>): string => {
  const all = Uint8Array.from(bytes)
  const rest = all.slice(SHOWN)
  return hex(all.slice(0, SHOWN))
    + (rest.length === 0 ? '' : ` + ${rest.length} bytes ${createHash('sha256').update(rest).digest('hex').slice(0, 16)}`)
}

/** A datagram as a line; its source port, which is a hash, is left out, and `inner` shows the inner frame. */
export const outerLine = (o: Outer, inner: (bytes: Uint8Array) => string): string => {
  const flags = `${o.df ? ' DF' : ''}${o.fragments.length > 0 ? ` fragments ${o.fragments.join('+')}` : ''}`
  const sum = o.sum === 'ok' ? '' : ` checksum ${o.sum}`
  const head = `${o.to} ${o.src} > ${o.dst}:${o.dport} ttl ${o.ttl} tos 0x${o.tos.toString(16)}${flags}${sum}`
  return `u0 ${head} vxlan ${hex(o.payload.slice(0, 8))} { ${inner(o.payload.slice(8))}`
}

/** The inner frame as a line: what it is, then all its bytes. */
export const innerLine = (frame: ArrayLike<number>): string => `${describe(frame)} | ${bytesText(frame)}`
