/**
 * What two boxes sent, made comparable. Frames are compared byte by byte; this is all that is set aside, and why:
 *
 * - The identification of packets the box makes itself and that may be fragmented: it is drawn at random. Numbers are
 *   replaced by their order of appearance, so that fragments still have to agree and different packets to differ. Packets
 *   with DF must carry the very same identification.
 * - Times of day in ICMP timestamp replies and IP timestamp options: both boxes read the clock at a different moment. A
 *   time within a minute of the test's own is replaced by zero; any other stays.
 *
 * The header checksum is computed anew only where it was right before. IPv6 is off in the kernel's namespace; the IGMP reports
 * by which the kernel's bridge joins its snooping group are left out (test/kernel/kernel-box.ts).
 */
import { createHash } from 'node:crypto'
import { be16, be32 } from '../oracle/naive-frames.js'
import { naiveChecksum } from '../oracle/naive-checksum.js'
import { DF, ICMP, describe, hex } from './frames.js'

const MINUTE = 60_000
const DAY = 86_400_000
const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_TIMESTAMP = 68
const TIMESTAMP_REPLY = 14

const read16 = (b: number[], at: number): number => (b[at]! << 8) | b[at + 1]!
const read32 = (b: number[], at: number): number => ((read16(b, at) << 16) | read16(b, at + 2)) >>> 0
const write = (b: number[], at: number, values: number[]): void => {
  for (const [i, v] of values.entries()) b[at + i] = v
}

/** Milliseconds since midnight UT that are about now. */
const isNow = (time: number): boolean => {
  const difference = Math.abs((Date.now() % DAY) - time)
  return difference < MINUTE || difference > DAY - MINUTE
}

const clearTime = (b: number[], at: number): void => {
  if (at + 4 <= b.length && isNow(read32(b, at))) write(b, at, be32(0))
}

/** A checksum over b[from..to) that lies at `at`: changed along with what `change` does, if it was right. */
const keepingSum = (b: number[], from: number, to: number, at: number, change: () => void): void => {
  const bytes = b.slice(from, to)
  const right = naiveChecksum(bytes) === 0
  change()
  if (!right) return
  write(b, at, [0, 0])
  write(b, at, be16(naiveChecksum(b.slice(from, to))))
}

const clearOptionTimes = (b: number[], o: number, header: number): void => {
  let at = o + 20
  while (at < o + header && b[at] !== OPTION_END) {
    if (b[at] === OPTION_NOP) at++
    else {
      const length = b[at + 1]!
      if (length < 2) return
      const withAddresses = b[at] === OPTION_TIMESTAMP && (b[at + 3]! & 15) !== 0
      if (b[at] === OPTION_TIMESTAMP) {
        for (let t = at + (withAddresses ? 8 : 4); t + 4 <= at + length; t += withAddresses ? 8 : 4) clearTime(b, t)
      }
      at += length
    }
  }
}

/** Makes frames of one box comparable; one for every run, since it numbers identifications. `own` are the box's addresses. */
export const createNormaliser = (own: readonly string[]): ((frame: ArrayLike<number>) => number[]) => {
  const numbers = new Map<number, number>()
  const numberOf = (id: number): number => {
    if (!numbers.has(id)) numbers.set(id, numbers.size + 1)
    return numbers.get(id)!
  }
  const packet = (b: number[], o: number): void => {
    const header = (b[o]! & 15) * 4
    const source = b.slice(o + 12, o + 16).join('.')
    const fragment = read16(b, o + 6)
    keepingSum(b, o, o + header, o + 10, () => {
      clearOptionTimes(b, o, header)
      if (own.includes(source) && (fragment & DF) === 0) write(b, o + 4, be16(numberOf(read16(b, o + 4))))
    })
    const l4 = o + header
    if (b[o + 9] !== ICMP || (fragment & 0x1fff) !== 0) return
    if (b[l4] === TIMESTAMP_REPLY) {
      keepingSum(b, l4, o + read16(b, o + 2), l4 + 2, () => {
        clearTime(b, l4 + 12)
        clearTime(b, l4 + 16)
      })
    }
  }
  return (frame) => {
    const b = Array.from(frame)
    if (b.length >= 34 && read16(b, 12) === 0x0800) packet(b, 14)
    return b
  }
}

/** Bytes of a frame shown in full; of longer ones the rest is shown by its digest. */
const SHOWN = 160

/** One frame as a line that can be read and compared: port, what it is, all its bytes. */
export const line = (port: string, frame: number[]): string => {
  const rest = frame.slice(SHOWN)
  const digest = rest.length === 0 ? ''
    : ` + ${rest.length} bytes ${createHash('sha256').update(Uint8Array.from(rest)).digest('hex').slice(0, 16)}`
  return `${port} ${describe(frame)} | ${hex(frame.slice(0, SHOWN))}${digest}`
}

/** The same without bytes, for rows that say what they expect. */
export const summary = (text: string): string => text.slice(0, text.indexOf(' | '))
