/**
 * Frames for comparisons with the kernel: any field of a header can be given, also a wrong one, and frames can be described in a
 * line. Built on the plain builders of test/oracle, never on the code under test.
 */
import { be16, be32, ethernet, ip4, mac } from '../oracle/naive-frames.js'
import { naiveChecksum } from '../oracle/naive-checksum.js'

export type Bytes = readonly number[]

export const DF = 0x4000
export const MF = 0x2000
export const ALL = 'ff:ff:ff:ff:ff:ff'
export const ICMP = 1
export const TCP = 6
export const UDP = 17

/** Every field of an IPv4 header; what is left out is right. */
export interface Ip {
  src: string
  dst: string
  protocol?: number
  payload?: Bytes
  tos?: number
  id?: number
  /** DF, MF, and the fragment offset in units of 8. */
  flags?: number
  ttl?: number
  options?: Bytes
  version?: number
  /** In words. */
  ihl?: number
  total?: number
  checksum?: number
}

/** An IPv4 packet; options are padded with zeros to a multiple of four. */
export const ipPacket = (p: Ip): number[] => {
  const options = [...(p.options ?? [])]
  while (options.length % 4 !== 0) options.push(0)
  const payload = p.payload ?? []
  const words = p.ihl ?? 5 + options.length / 4
  const header = [
    ((p.version ?? 4) << 4) | words, p.tos ?? 0, ...be16(p.total ?? 20 + options.length + payload.length),
    ...be16(p.id ?? 0x1234), ...be16(p.flags ?? 0), p.ttl ?? 64, p.protocol ?? 253, 0, 0, ...ip4(p.src), ...ip4(p.dst), ...options
  ]
  // A header length that is a lie makes the sum run over what the receiver will sum over.
  const summed = [...header, ...payload].slice(0, Math.max(words * 4, 20))
  if (summed.length % 2 !== 0) summed.push(0)
  const sum = be16(p.checksum ?? naiveChecksum(summed))
  header[10] = sum[0]!
  header[11] = sum[1]!
  return [...header, ...payload]
}

/** Bytes with others written over them at an offset. */
export const patch = (bytes: Bytes, at: number, ...over: number[]): number[] => {
  const copy = [...bytes]
  copy.splice(at, over.length, ...over)
  return copy
}

/** Data that shows where a byte came from. */
export const data = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + 3) & 255)

/** A frame padded to the least length of Ethernet, without FCS. */
export const padded = (frame: Bytes, to = 60, fill = 0): number[] =>
  [...frame, ...new Array<number>(Math.max(0, to - frame.length)).fill(fill)]

export interface Arp {
  op?: number
  /** Ethernet destination and source; broadcast and the sender's when left out. */
  to?: string
  from?: string
  senderMac: string
  sender: string
  targetMac?: string
  target: string
  hardware?: number
  protocol?: number
  lengths?: [hardware: number, protocol: number]
}

/** An ARP frame; a request unless `op` says otherwise. */
export const arpFrame = (a: Arp): number[] => ethernet(a.to ?? ALL, a.from ?? a.senderMac, 0x0806, [
  ...be16(a.hardware ?? 1), ...be16(a.protocol ?? 0x0800), ...(a.lengths ?? [6, 4]), ...be16(a.op ?? 1),
  ...mac(a.senderMac), ...ip4(a.sender), ...mac(a.targetMac ?? '00:00:00:00:00:00'), ...ip4(a.target)
])

export const hex = (bytes: ArrayLike<number>): string => Buffer.from(Uint8Array.from(bytes)).toString('hex')

const macText = (b: ArrayLike<number>, at: number): string =>
  Array.from({ length: 6 }, (_, i) => (b[at + i] ?? 0).toString(16).padStart(2, '0')).join(':')
const ipText = (b: ArrayLike<number>, at: number): string => Array.from({ length: 4 }, (_, i) => b[at + i] ?? 0).join('.')
const word = (b: ArrayLike<number>, at: number): number => ((b[at] ?? 0) << 8) | (b[at + 1] ?? 0)

const describeIp = (b: Uint8Array, o: number): string => {
  const header = (b[o]! & 15) * 4
  const fragment = word(b, o + 6)
  const l4 = o + header
  const protocol = b[o + 9]!
  const offset = (fragment & 0x1fff) * 8
  const flags = `${(fragment & DF) !== 0 ? ' DF' : ''}${(fragment & MF) !== 0 ? ' MF' : ''}${offset !== 0 ? ` offset ${offset}` : ''}`
  const what = (fragment & 0x1fff) !== 0 ? `protocol ${protocol}`
    : protocol === ICMP ? `icmp ${b[l4]}/${b[l4 + 1]} rest ${be32(0).map((_, i) => b[l4 + 4 + i]).join('.')}`
      : protocol === UDP ? `udp ${word(b, l4)}>${word(b, l4 + 2)}`
        : protocol === TCP ? `tcp ${word(b, l4)}>${word(b, l4 + 2)} flags 0x${(b[l4 + 13] ?? 0).toString(16)}`
          : `protocol ${protocol}`
  const options = header > 20 ? ` options ${header - 20}` : ''
  const addresses = `${ipText(b, o + 12)} > ${ipText(b, o + 16)}`
  return `${addresses} ttl ${b[o + 8]} tos 0x${b[o + 1]!.toString(16)} len ${word(b, o + 2)}${flags}${options} ${what}`
}

/** A frame in a line, for messages and for rows that say what is expected. */
export const describe = (frame: ArrayLike<number>): string => {
  const b = Uint8Array.from(frame)
  const type = word(b, 12)
  const link = `${macText(b, 6)} > ${macText(b, 0)}`
  if (type === 0x0806 && b.length >= 42) {
    return `${link} arp ${word(b, 20)} ${ipText(b, 28)} (${macText(b, 22)}) > ${ipText(b, 38)} (${macText(b, 32)})`
  }
  if (type === 0x0800 && b.length >= 34) return `${link} ${describeIp(b, 14)}`
  return `${link} type 0x${type.toString(16)} length ${b.length}`
}
