/** Frames for tests, put together byte by byte without src/wire. Addresses are text, everything comes out as a plain byte array. */
import { naiveSum, withChecksum } from './naive-checksum.js'

type Bytes = readonly number[]

export const be16 = (n: number): number[] => [(n >> 8) & 255, n & 255]
export const be32 = (n: number): number[] => [...be16(n >>> 16), ...be16(n & 0xffff)]
export const ip4 = (text: string): number[] => text.split('.').map(Number)
export const mac = (text: string): number[] => text.split(':').map((octet) => parseInt(octet, 16))
export const hexBytes = (text: string): number[] => [...Buffer.from(text.replace(/[\s:]/g, ''), 'hex')]
export const zeros = (count: number): number[] => new Array<number>(count).fill(0)

/** Consecutive byte values, as ping fills its data. */
export const pattern = (count: number): number[] => Array.from({ length: count }, (_, i) => (i + 8) & 255)

export const MAC_A = '02:42:0a:01:01:02'
export const MAC_B = '02:42:0a:01:01:03'
export const MAC_ALL = 'ff:ff:ff:ff:ff:ff'

export const ethernet = (dst: string, src: string, type: number, payload: Bytes): number[] => [...mac(dst), ...mac(src), ...be16(type), ...payload]
/** A frame with an 802.1Q tag; `tpid` 0x88a8 for a service tag. */
export const tagged = (vlan: number, priority: number, type: number, payload: Bytes, tpid = 0x8100): number[] =>
  ethernet(MAC_B, MAC_A, tpid, [...be16((priority << 13) | vlan), ...be16(type), ...payload])

export const arp = (op: number, senderMac: string, sender: string, targetMac: string, target: string): number[] =>
  [...be16(1), ...be16(0x0800), 6, 4, ...be16(op), ...mac(senderMac), ...ip4(sender), ...mac(targetMac), ...ip4(target)]

export interface NaiveIp {
  tos?: number
  id?: number
  /** DF 0x4000, MF 0x2000, offset in units of 8. */
  flags?: number
  ttl?: number
  options?: Bytes
  /** Instead of the true total length. */
  total?: number
}

export const ipv4 = (protocol: number, src: string, dst: string, payload: Bytes, more: NaiveIp = {}): number[] => {
  const options = more.options ?? []
  const header = 20 + options.length
  return [
    ...withChecksum([
      0x40 | (header / 4), more.tos ?? 0, ...be16(more.total ?? header + payload.length), ...be16(more.id ?? 1), ...be16(more.flags ?? 0x4000),
      more.ttl ?? 64, protocol, 0, 0, ...ip4(src), ...ip4(dst), ...options
    ], 10),
    ...payload
  ]
}

export const icmp = (type: number, code: number, rest: Bytes, data: Bytes): number[] => withChecksum([type, code, 0, 0, ...rest, ...data], 2)
export const echo = (type: number, id: number, seq: number, data: Bytes): number[] => icmp(type, 0, [...be16(id), ...be16(seq)], data)

const pseudo = (protocol: number, src: string, dst: string, length: number): number[] => [...ip4(src), ...ip4(dst), 0, protocol, ...be16(length)]

/** A UDP datagram with its checksum; `src` and `dst` for the pseudo-header. */
export const udp = (src: string, sport: number, dst: string, dport: number, data: Bytes): number[] => {
  const length = 8 + data.length
  const head = [...be16(sport), ...be16(dport), ...be16(length)]
  const sum = 65535 - naiveSum([...pseudo(17, src, dst, length), ...head, 0, 0, ...data])
  return [...head, ...be16(sum === 0 ? 65535 : sum), ...data]
}

export interface NaiveTcp {
  seq?: number
  ack?: number
  flags?: number
  window?: number
  urgent?: number
  options?: Bytes
}

export const tcp = (src: string, sport: number, dst: string, dport: number, data: Bytes, more: NaiveTcp = {}): number[] => {
  const options = more.options ?? []
  const flags = more.flags ?? 0x10
  const head = [
    ...be16(sport), ...be16(dport), ...be32(more.seq ?? 0), ...be32(more.ack ?? 0), ((20 + options.length) / 4) * 16 + (flags >> 8), flags & 255,
    ...be16(more.window ?? 64240)
  ]
  const tail = [...be16(more.urgent ?? 0), ...options, ...data]
  const sum = 65535 - naiveSum([...pseudo(6, src, dst, head.length + 2 + tail.length), ...head, 0, 0, ...tail])
  return [...head, ...be16(sum), ...tail]
}

export const ipv6 = (next: number, src: string, dst: string, payload: Bytes): number[] =>
  [0x60, 0, 0, 0, ...be16(payload.length), next, 64, ...hexBytes(src), ...hexBytes(dst), ...payload]

/** The frame of an IPv4 packet from A to B. */
export const ipFrame = (packet: Bytes): number[] => ethernet(MAC_B, MAC_A, 0x0800, packet)
