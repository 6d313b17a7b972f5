import test from 'ava'
import fc from 'fast-check'
import { IP_CHECKSUM, IP_HEADER_INVALID, IP_TRUNCATED, OK } from '../../src/reason.js'
import { formatIp4, parseIp4 } from '../../src/wire/ip4.js'
import * as ip from '../../src/wire/ipv4.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { ipv4, pattern } from '../oracle/naive-frames.js'
import { decodeIpv4, judgeIpv4 } from '../oracle/naive-headers.js'
import { viewOf, written } from '../oracle/poison.js'

const HEADER = [
  0x45, // version 4, header 5 words
  0xb8, // type of service: DSCP EF
  0x00, 0x18, // total length 24
  0x12, 0x34, // identification
  0x60, 0xb9, // DF, MF, fragment offset 185 * 8
  0x40, // TTL 64
  0x11, // protocol: UDP
  0x3a, 0x2c, // header checksum
  0x0a, 0x01, 0x01, 0x02, // source
  0xc0, 0x00, 0x02, 0x01 // destination
]
const PACKET = [...HEADER, 1, 2, 3, 4]

test('reads a header', (t) => {
  const [view, o] = viewOf(PACKET)
  t.is(ip.checkIpv4(view, o, PACKET.length), OK)
  t.is(ip.headerLength(view, o), 20)
  t.is(ip.tos(view, o), 0xb8)
  t.is(ip.totalLength(view, o), 24)
  t.is(ip.identification(view, o), 0x1234)
  t.is(ip.flagsFragment(view, o), ip.FLAG_DF | ip.FLAG_MF | 185)
  t.is(ip.fragmentOffset(view, o), 1480)
  t.true(ip.isFragment(view, o))
  t.is(ip.ttl(view, o), 64)
  t.is(ip.protocol(view, o), ip.PROTOCOL_UDP)
  t.is(ip.headerChecksum(view, o), 0x3a2c)
  t.is(formatIp4(ip.source(view, o)), '10.1.1.2')
  t.is(formatIp4(ip.destination(view, o)), '192.0.2.1')
})

test('writes all 20 bytes and no other', (t) => {
  const write = (view: DataView, o: number): void =>
    ip.writeIpv4(view, o, 0xb8, 24, 0x1234, ip.FLAG_DF | ip.FLAG_MF | 185, 64, ip.PROTOCOL_UDP, parseIp4('10.1.1.2')!, parseIp4('192.0.2.1')!)
  t.deepEqual(written(20, write), HEADER)
})

const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((b) => b.join('.'))

test('what is written is decoded as it was meant, and its checksum verifies', (t) => {
  fc.assert(fc.property(fc.nat(255), fc.nat(0xffff), fc.nat(0xffff), fc.nat(0xffff), fc.nat(255), fc.nat(255), address, address,
    (tos, total, id, flags, ttl, protocol, source, destination) => {
      const bytes = written(20, (view, o) => ip.writeIpv4(view, o, tos, total, id, flags, ttl, protocol, parseIp4(source)!, parseIp4(destination)!))
      const { checksum, ...fields } = decodeIpv4(bytes)
      t.deepEqual(fields, {
        version: 4, headerLength: 20, tos, totalLength: total, identification: id, reserved: (flags & 0x8000) !== 0, dontFragment: (flags & 0x4000) !== 0,
        moreFragments: (flags & 0x2000) !== 0, fragmentOffset: (flags & 0x1fff) * 8, ttl, protocol, source, destination
      })
      t.is(naiveSum(bytes), 0xffff)
      t.true(checksum <= 0xffff)
      const [view, o] = viewOf(bytes)
      t.is(ip.isFragment(view, o), fields.moreFragments || fields.fragmentOffset !== 0)
    }))
})

test('checkIpv4 tests what RFC 1812 5.2.2 asks for, in the order of the kernel, and reads nothing behind the packet', (t) => {
  const names = new Map([['ok', OK], ['truncated', IP_TRUNCATED], ['invalid', IP_HEADER_INVALID], ['checksum', IP_CHECKSUM]])
  const options = fc.constantFrom<number[]>([], [1, 1, 1, 0], [148, 4, 0, 0, ...new Array<number>(36).fill(1)])
  const packet = fc.tuple(options, fc.nat(40), fc.option(fc.nat(120)), fc.option(fc.tuple(fc.nat(25), fc.nat(255))), fc.nat(60)).map(([opts, data, total, change, cut]) => {
    const bytes = ipv4(17, '10.1.1.2', '10.1.2.2', pattern(data), { options: opts, ...(total !== null && { total }) })
    if (change !== null) bytes[change[0]] = change[1]
    return cut < 40 ? bytes : bytes.slice(0, cut - 20)
  })
  const seen = new Set<string>()
  fc.assert(fc.property(fc.oneof(packet, fc.array(fc.nat(255), { maxLength: 70 })), (bytes) => {
    const [view, o] = viewOf(bytes)
    const verdict = judgeIpv4(bytes)
    seen.add(verdict)
    t.is(ip.checkIpv4(view, o, bytes.length), names.get(verdict)!)
  }), { numRuns: 3000 })
  t.is(seen.size, 4)
})

test('header and total length against each other and the frame', (t) => {
  const check = (bytes: number[]): number => {
    const [view, o] = viewOf(bytes)
    return ip.checkIpv4(view, o, bytes.length)
  }
  t.is(check(PACKET.slice(0, 19)), IP_TRUNCATED)
  t.is(check(PACKET.slice(0, 23)), IP_TRUNCATED)
  t.is(check([...PACKET, 0, 0, 0]), OK) // padding of a short frame
  t.is(check([0x65, ...PACKET.slice(1)]), IP_HEADER_INVALID)
  t.is(check([0x44, ...PACKET.slice(1)]), IP_HEADER_INVALID)
  t.is(check([0x4f, ...PACKET.slice(1)]), IP_TRUNCATED) // 60 bytes of header in 24
  t.is(check(ipv4(17, '10.1.1.2', '10.1.2.2', [], { total: 19 })), IP_HEADER_INVALID)
  t.is(check(ipv4(17, '10.1.1.2', '10.1.2.2', [], { options: [1, 1, 1, 0], total: 20 })), IP_HEADER_INVALID)
  t.is(check(PACKET.map((byte, i) => (i === 8 ? 63 : byte))), IP_CHECKSUM)
})

const header = fc.tuple(fc.nat(255), fc.nat(0xffff), fc.nat(0xffff), fc.nat(255), fc.nat(255), address, address)

test('decrementTtl gives the header that writing it anew would give', (t) => {
  fc.assert(fc.property(header, fc.integer({ min: 1, max: 255 }), ([tos, total, id, , protocol, source, destination], ttl) => {
    const write = (hops: number) => (view: DataView, o: number): void =>
      ip.writeIpv4(view, o, tos, total, id, 0x4000, hops, protocol, parseIp4(source)!, parseIp4(destination)!)
    const updated = written(20, (view, o) => {
      write(ttl)(view, o)
      ip.decrementTtl(view, o)
    })
    t.deepEqual(updated, written(20, write(ttl - 1)))
  }), { numRuns: 3000 })
})

test('decrementTtl at every TTL, and where the checksum passes 0x0000 and 0xffff', (t) => {
  for (let id = 0; id < 65536; id += 61) {
    for (const ttl of [1, 2, 64, 128, 255]) {
      const write = (hops: number) => (view: DataView, o: number): void => ip.writeIpv4(view, o, 0, 84, id, 0, hops, 1, 0x0a010102, 0x0a010202)
      const updated = written(20, (view, o) => {
        write(ttl)(view, o)
        ip.decrementTtl(view, o)
      })
      if (Buffer.compare(Buffer.from(updated), Buffer.from(written(20, write(ttl - 1)))) !== 0) t.fail(`id ${id} ttl ${ttl}`)
    }
  }
  // The identification that makes the checksum 0x0000, 0xfeff and 0x00ff: where adding 0x100 carries or ends at nothing
  const base = naiveSum(ipv4(1, '10.1.1.2', '10.1.2.2', [], { id: 0, flags: 0 }).map((byte, i) => (i === 10 || i === 11 ? 0 : byte)))
  for (const wanted of [0x0000, 0x0001, 0xfeff, 0xff00, 0xfffe, 0x00ff]) {
    const id = (0xffff - wanted - base + 0xffff) % 0xffff
    const before = ipv4(1, '10.1.1.2', '10.1.2.2', [], { id, flags: 0 })
    t.is(decodeIpv4(before).checksum, wanted)
    const [view, o] = viewOf(before)
    ip.decrementTtl(view, o)
    const after = ipv4(1, '10.1.1.2', '10.1.2.2', [], { id, flags: 0, ttl: 63 })
    t.is(ip.headerChecksum(view, o), decodeIpv4(after).checksum, wanted.toString(16))
    t.is(ip.checkIpv4(view, o, 20), OK)
  }
})

test('decrementTtl does not mend a wrong checksum', (t) => {
  fc.assert(fc.property(fc.nat(0xffff), fc.integer({ min: 1, max: 255 }), (sum, ttl) => {
    const bytes = ipv4(17, '10.1.1.2', '10.1.2.2', [], { ttl })
    const right = decodeIpv4(bytes).checksum
    const [view, o] = viewOf(bytes)
    view.setUint16(o + ip.OFF_CHECKSUM, sum)
    ip.decrementTtl(view, o)
    t.is(ip.checkIpv4(view, o, 20), sum === right || (sum + right === 0xffff && (sum === 0 || right === 0)) ? OK : IP_CHECKSUM)
  }), { numRuns: 3000 })
})

test('writeHeaderChecksum counts options', (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 10 }), fc.nat(0xffff), (words, sum) => {
    const right = ipv4(1, '10.1.1.2', '10.1.2.2', [], { options: pattern(4 * words) })
    const [view, o] = viewOf(right)
    view.setUint16(o + ip.OFF_CHECKSUM, sum)
    ip.writeHeaderChecksum(view, o)
    t.is(ip.headerChecksum(view, o), decodeIpv4(right).checksum)
  }))
})
