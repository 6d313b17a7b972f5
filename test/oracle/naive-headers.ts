/** A second opinion on headers: decoded from plain bytes into text and numbers, one field a line, without src/wire. */
import { naiveSum } from './naive-checksum.js'

type Bytes = readonly number[]

const u16 = (b: Bytes, at: number): number => b[at]! * 256 + b[at + 1]!
const macText = (b: Bytes, at: number): string => b.slice(at, at + 6).map((octet) => octet.toString(16).padStart(2, '0')).join(':')
const ipText = (b: Bytes, at: number): string => b.slice(at, at + 4).join('.')

export const decodeEthernet = (b: Bytes) => ({
  destination: macText(b, 0),
  source: macText(b, 6),
  type: u16(b, 12)
})

export const decodeArp = (b: Bytes) => ({
  hardwareType: u16(b, 0),
  protocolType: u16(b, 2),
  hardwareLength: b[4]!,
  protocolLength: b[5]!,
  operation: u16(b, 6),
  senderMac: macText(b, 8),
  senderIp: ipText(b, 14),
  targetMac: macText(b, 18),
  targetIp: ipText(b, 24)
})

export const decodeIpv4 = (b: Bytes) => ({
  version: Math.floor(b[0]! / 16),
  headerLength: (b[0]! % 16) * 4,
  tos: b[1]!,
  totalLength: u16(b, 2),
  identification: u16(b, 4),
  reserved: b[6]! >= 128,
  dontFragment: Math.floor(b[6]! / 64) % 2 === 1,
  moreFragments: Math.floor(b[6]! / 32) % 2 === 1,
  fragmentOffset: ((b[6]! % 32) * 256 + b[7]!) * 8,
  ttl: b[8]!,
  protocol: b[9]!,
  checksum: u16(b, 10),
  source: ipText(b, 12),
  destination: ipText(b, 16)
})

/** The tests of RFC 1812 5.2.2 in the order of the kernel's ip_rcv; `b` is all that follows the link header. */
export const judgeIpv4 = (b: Bytes): 'ok' | 'truncated' | 'invalid' | 'checksum' => {
  if (b.length < 20) return 'truncated'
  const header = decodeIpv4(b)
  if (header.version !== 4 || header.headerLength < 20) return 'invalid'
  if (b.length < header.headerLength) return 'truncated'
  if (naiveSum(b.slice(0, header.headerLength)) !== 65535) return 'checksum'
  if (b.length < header.totalLength) return 'truncated'
  return header.totalLength < header.headerLength ? 'invalid' : 'ok'
}

export const decodeIcmp4 = (b: Bytes) => ({
  type: b[0]!,
  code: b[1]!,
  checksum: u16(b, 2),
  identifier: u16(b, 4),
  sequence: u16(b, 6),
  data: b.slice(8)
})
