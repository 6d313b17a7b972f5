/**
 * A stack with two interfaces in memory, as far as its own packets go: what it sends is written down as hex and ended, what it
 * sends to itself is delivered. Addresses are those of the kernel whose answers the tests quote.
 */
import { F_OWN, LARGE, SMALL, createPackets, type PoolOptions } from '../../src/core/packets.js'
import { createIcmpError } from '../../src/element/icmp-error.js'
import { createIpOptions } from '../../src/element/ip-options.js'
import { createLocal } from '../../src/element/local.js'
import { createPing } from '../../src/element/ping.js'
import { createReassembly } from '../../src/element/reassemble.js'
import { REASONS } from '../../src/reason.js'
import type { FragmentsOptions } from '../../src/table/fragments.js'
import { STACK_ROUTER, createInterfaces } from '../../src/table/interfaces.js'
import { createRateLimit } from '../../src/table/rate-limit.js'
import { checksum, pseudoSum } from '../../src/wire/checksum.js'
import { parseIp4 } from '../../src/wire/ip4.js'
import * as ipv4 from '../../src/wire/ipv4.js'

export const ip = (text: string): number => parseIp4(text)!
export const bytesOf = (hex: string): Buffer => Buffer.from(hex.replace(/\s+/g, ''), 'hex')

export const HOST = '10.77.1.2'
export const NEAR = '10.77.1.1'
export const FAR = '10.77.2.1'
export const BEYOND = '10.77.2.2'

const viewOf = (b: Buffer): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength)

export interface Ip4Fields {
  source?: string
  destination?: string
  protocol?: number
  tos?: number
  id?: number
  /** Flags and offset, 16 bits. */
  fragment?: number
  ttl?: number
  options?: number[]
}

/** An IPv4 packet with a right header checksum. */
export const ipPacket = (fields: Ip4Fields, payload: Uint8Array): Buffer => {
  const options = fields.options ?? []
  const header = 20 + ((options.length + 3) & ~3)
  const b = Buffer.alloc(header + payload.length)
  ipv4.writeIpv4(viewOf(b), 0, fields.tos ?? 0, b.length, fields.id ?? 0x1234, fields.fragment ?? 0, fields.ttl ?? 64, fields.protocol ?? 1,
    ip(fields.source ?? HOST), ip(fields.destination ?? NEAR))
  b[0] = 0x40 | (header >> 2)
  b.set(options, 20)
  ipv4.writeHeaderChecksum(viewOf(b), 0)
  b.set(payload, header)
  return b
}

/** An ICMP message with a right checksum. */
export const icmp = (type: number, code: number, rest: number, data: Uint8Array = new Uint8Array(0)): Buffer => {
  const b = Buffer.alloc(8 + data.length)
  b[0] = type
  b[1] = code
  b.writeInt32BE(rest | 0, 4)
  b.set(data, 8)
  b.writeUInt16BE(checksum(viewOf(b), 0, b.length), 2)
  return b
}

const withSum = (b: Buffer, at: number, source: string, destination: string, protocol: number): Buffer => {
  const sum = checksum(viewOf(b), 0, b.length, pseudoSum(ip(source), ip(destination), protocol, b.length))
  b.writeUInt16BE(sum === 0 ? 0xffff : sum, at)
  return b
}

export const udpDatagram = (data: Uint8Array, source = HOST, destination = NEAR): Buffer => {
  const b = Buffer.alloc(8 + data.length)
  b.writeUInt16BE(1111, 0)
  b.writeUInt16BE(2222, 2)
  b.writeUInt16BE(b.length, 4)
  b.set(data, 8)
  return withSum(b, 6, source, destination, 17)
}

export const tcpSegment = (sequence: number, acknowledgment: number, flags: number, data = '', source = HOST, destination = NEAR): Buffer => {
  const b = Buffer.alloc(20 + data.length)
  b.writeUInt16BE(1111, 0)
  b.writeUInt16BE(2222, 2)
  b.writeUInt32BE(sequence, 4)
  b.writeUInt32BE(acknowledgment, 8)
  b[12] = 0x50
  b[13] = flags
  b.writeUInt16BE(1000, 14)
  b.write(data, 20, 'latin1')
  return withSum(b, 16, source, destination, 6)
}

/** A packet's hex without what differs from stack to stack: the identification and the header checksum, which must be right. */
export const shape = (packet: string): string => {
  const b = bytesOf(packet)
  const v = viewOf(b)
  if (checksum(v, 0, ipv4.headerLength(v, 0)) !== 0) throw new Error(`header checksum of ${packet}`)
  b.writeUInt16BE(0, 4)
  b.writeUInt16BE(0, 10)
  return b.toString('hex')
}

/** Numbers from 0 on, the same for the same seed (a linear congruential generator, its upper bits). */
export const diceOf = (seed: number): (() => number) => {
  let state = seed
  return () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) >>> 16
}

export interface LocalLabOptions {
  pool?: PoolOptions
  limits?: FragmentsOptions
  random?: () => number
}

export const localLab = (options: LocalLabOptions = {}) => {
  const clock = { now: 0 }
  const wall = { now: 0x033113fb }
  const random = options.random ?? (() => 0.5)
  const packets = createPackets({ packets: 1024, largeSlots: 48, smallSlots: 600, ...options.pool })
  const interfaces = createInterfaces(8, 4)
  const stack = interfaces.addStack(STACK_ROUTER)
  const eth0 = interfaces.add(stack, 10, 0, 0, 1500)
  const eth1 = interfaces.add(stack, 11, 0, 0, 1500)
  const isLocal = (s: number, a: number): boolean => s === stack && (a === ip(NEAR) || a === ip(FAR))
  const isBroadcast = (_s: number, _i: number, a: number): boolean => a === -1 || a === ip('10.77.1.255') || a === ip('10.77.2.255')
  const sourceFor = (_s: number, a: number): number => (a >>> 24 === 10 ? (((a >>> 8) & 255) === 2 ? ip(FAR) : ip(NEAR)) : 0)
  /** Packets sent, as hex from the IPv4 header on. */
  const sent: string[] = []
  const frameOf = (p: number): Buffer => Buffer.from(packets.arena, packets.start[p]!, packets.length[p]!)
  const hooks = { onSent: (_p: number): void => undefined }

  const send = (p: number, s: number): void => {
    if (s !== stack) throw new Error(`sent by stack ${s}`)
    if ((packets.start[p]! & 3) !== 2 || packets.l3[p] !== packets.start[p]! + 14) throw new Error('frame not aligned')
    if (packets.l4[p] !== packets.l3[p]! + ipv4.headerLength(packets.view, packets.l3[p]!)) throw new Error('l4 is wrong')
    if (packets.isShared(p) || (packets.flags[p]! & F_OWN) === 0) throw new Error('not our own packet')
    sent.push(frameOf(p).subarray(14).toString('hex'))
    hooks.onSent(p)
    if (isLocal(s, ipv4.destination(packets.view, packets.l3[p]!))) local.deliver(p, eth0)
    else packets.transmitted(p)
  }

  const limiter = createRateLimit({ random, stacks: 4 })
  const ipOptions = createIpOptions({ packets, interfaces, wallClock: () => wall.now, isLocal, sourceFor })
  const errors = createIcmpError({
    packets, interfaces, clock, random, send, sourceFor, isLocal, isBroadcast, limiter, options: ipOptions,
    ownError: (p, type, code, rest) => ping.onOwnError(p, type, code, rest)
  })
  const reassembly = createReassembly({
    packets, interfaces, clock, icmpError: errors.error, ...(options.limits === undefined ? {} : { limits: options.limits })
  })
  const ping = createPing({ packets, interfaces, clock, random, send, sourceFor })
  const local = createLocal({
    packets, interfaces, random, wallClock: () => wall.now, isLocal, icmp: errors, options: ipOptions, reassembly, ping, send
  })

  /** A received packet, as the IPv4 input element leaves it. */
  const packet = (bytes: Uint8Array, flags = 0, kind = LARGE): number => {
    const p = packets.received(packets.takeSlot(kind), 14 + bytes.length, 10)
    packets.flags[p] = flags
    packets.bytes.set(bytes, packets.start[p]! + 14)
    packets.l3[p] = packets.start[p]! + 14
    packets.l4[p] = packets.l3[p]! + ipv4.headerLength(packets.view, packets.l3[p]!)
    return p
  }

  /** Delivers a packet; what was sent meanwhile. */
  const deliver = (bytes: Uint8Array | string, flags = 0, iface = eth0): string[] => {
    local.deliver(packet(typeof bytes === 'string' ? bytesOf(bytes) : bytes, flags), iface)
    return sent.splice(0)
  }

  /** Makes an error about a packet, then ends it; what was sent meanwhile. */
  const errorAbout = (bytes: Uint8Array | string, type: number, code: number, rest = 0, flags = 0): string[] => {
    const p = packet(typeof bytes === 'string' ? bytesOf(bytes) : bytes, flags)
    const before = frameOf(p).toString('hex')
    errors.error(p, eth0, type, code, rest)
    if (frameOf(p).toString('hex') !== before) throw new Error('the packet was changed')
    packets.delivered(p)
    return sent.splice(0)
  }

  /** Drops by reason name, without zeros. */
  const drops = (): Record<string, number> =>
    Object.fromEntries(REASONS.map((r, i) => [r.name, packets.drops[i]!] as const).filter(([, n]) => n > 0))

  /** Is every packet accounted for, and every slot back? */
  const isWhole = (held = 0): boolean => {
    const [received, originated, copied, pieces, transmitted, delivered, dropped, merged] = packets.balance as unknown as number[]
    const outstanding = received! + originated! + copied! + pieces! - transmitted! - delivered! - dropped! - merged!
    return outstanding === held && packets.packetsInUse() === held &&
      packets.freeSlots(LARGE) + packets.freeSlots(SMALL) === packets.largeSlots + packets.smallSlots - held
  }

  return {
    clock, wall, packets, interfaces, stack, eth0, eth1, sent, limiter, errors, ipOptions, reassembly, ping, local, hooks,
    packet, deliver, errorAbout, drops, isWhole, frameOf, send
  }
}
