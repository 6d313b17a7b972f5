/**
 * Answers are compared with what Linux 6.18 sent in the same place: a bridge with a host port and a VXLAN port, the underlay's MTU 1500,
 * so that 1450 bytes fit.
 */
import test from 'ava'
import fc from 'fast-check'
import { GSO_TCPV4, GSO_UDP_L4 } from '../../src/core/layout.js'
import { F_NEEDS_CSUM, LARGE, createPackets, type PoolOptions } from '../../src/core/packets.js'
import { createTooBig } from '../../src/element/tunnel-too-big.js'
import { REASONS } from '../../src/reason.js'
import { outstanding } from '../helpers/arp-lab.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { be16, ethernet, ipv4, ipv6, type NaiveIp } from '../oracle/naive-frames.js'

const A = '02:00:00:00:0a:01'
const B = '02:00:00:00:0b:02'
const SOURCE = '10.0.10.1'
const DESTINATION = '10.0.10.2'
const SOURCE_6 = `fd00${'00'.repeat(13)}01`
const DESTINATION_6 = `fd00${'00'.repeat(13)}02`
const TUNNEL = 3
const PORT = 7
const MTU = 1450

const lab = (pool: PoolOptions = {}) => {
  const packets = createPackets({ packets: 16, largeSlots: 4, smallSlots: 12, ports: 16, ...pool })
  const clock = { now: 0 }
  const tunnels = { port: new Int32Array(8) }
  tunnels.port[TUNNEL] = PORT
  const answers: number[][] = []
  const tooBig = createTooBig({
    packets, tunnels, clock, random: () => 0.5,
    inject: (p, tunnel) => {
      if (tunnel !== TUNNEL || packets.inPort[p] !== PORT || (packets.start[p]! & 3) !== 2) throw new Error('not as if from the tunnel')
      answers.push([...packets.bytes.subarray(packets.start[p]!, packets.start[p]! + packets.length[p]!)])
      packets.transmitted(p)
    }
  })
  const packet = (frame: readonly number[] | Uint8Array): number => {
    const p = packets.received(packets.takeSlot(LARGE), frame.length, 1)
    packets.bytes.set(frame, packets.start[p]!)
    return p
  }
  const drops = (): string => REASONS.map((r, i) => (packets.drops[i]! > 0 ? [r.name] : [])).flat().join()
  return { packets, clock, tooBig, answers, packet, drops }
}

/** The answer to a frame, as bytes; undefined when there is none. What became of the frame must fit that. */
const about = (frame: readonly number[], mtu = MTU): number[] | undefined => {
  const { packets, tooBig, answers, packet, drops } = lab()
  tooBig.tooBig(packet(frame), TUNNEL, mtu)
  const expected = answers.length === 1 ? 'fragmentation-needed' : 'mtu-exceeded'
  const whole = packets.packetsInUse() === 0 && outstanding(packets.balance) === 0
  if (!whole || drops() !== expected) throw new Error(`${drops()}, ${answers.length} answers`)
  return answers[0]
}
const hexOf = (bytes: readonly number[] | undefined): string => Buffer.from(bytes ?? []).toString('hex')

const ramp = (count: number): number[] => Array.from({ length: count }, (_, i) => i & 255)
/** A datagram as the kernel was given it: no checksum, the data a ramp. */
const udp = (size: number): number[] => [...be16(1111), ...be16(2222), ...be16(8 + size), 0, 0, ...ramp(size)]
const frame4 = (protocol: number, payload: readonly number[], more: NaiveIp = {}, source = SOURCE, destination = DESTINATION): number[] =>
  ethernet(B, A, 0x0800, ipv4(protocol, source, destination, payload, { id: 0x1234, ...more }))
const frame6 = (next: number, payload: readonly number[], source = SOURCE_6, destination = DESTINATION_6): number[] => {
  const packet = ipv6(next, source, destination, payload)
  packet[7] = 33
  return ethernet(B, A, 0x86dd, packet)
}

test('IPv4 with DF: the kernel\'s answer, byte for byte', (t) => {
  const frame = frame4(17, udp(1472))
  const answer = about(frame)!
  t.is(hexOf(answer.slice(0, 42)), '020000000a01020000000b020800' + '4500024000004000400110bb0a000a020a000a01' + '030457f5000005aa')
  t.is(hexOf(answer.slice(42)), hexOf(frame.slice(14, 14 + 548)))
  t.is(naiveSum(answer.slice(14, 34)), 65535)
  t.is(naiveSum(answer.slice(34)), 65535)
})

test('IPv4: its TTL is the packet\'s own; its TOS is not', (t) => {
  const answer = about(frame4(17, udp(1423), { ttl: 7, tos: 0xff }))
  t.is(hexOf(answer!.slice(14, 42)), '45000240000040000701' + '49bb0a000a020a000a01' + '03045826000005aa')
})

test('IPv4: an echo request is answered, as is one from 0.1.2.3', (t) => {
  t.is(hexOf(about(frame4(1, [8, 0, ...ramp(1470)]))!.slice(34, 42)), '030444a1000005aa')
  t.is(hexOf(about(frame4(17, udp(1472), {}, '0.1.2.3'))!.slice(14, 42)), '4500024000004000400122b80a000a0200010203' + '030457f5000005aa')
})

test('IPv4: nothing about what may be fragmented, errors, what is from nobody or to many, an MTU no host may have', (t) => {
  const none = (frame: readonly number[], mtu = MTU): boolean => t.is(about(frame, mtu), undefined)
  for (const flags of [0, 0x2000, 0x6000, 0x4001, 0xc000]) none(frame4(17, udp(1472), { flags }))
  for (const type of [3, 4, 5, 11, 12]) none(frame4(1, [type, 1, ...ramp(1470)]))
  for (const source of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255']) none(frame4(17, udp(1472), {}, source))
  for (const destination of ['255.255.255.255', '224.0.0.1', '239.255.0.1']) none(frame4(17, udp(1472), {}, SOURCE, destination))
  none(frame4(17, udp(1472)), 575)
  t.not(about(frame4(17, udp(1472)), 576), undefined)
})

test('IPv4: nothing about a broken header', (t) => {
  const frame = frame4(17, udp(1472))
  for (const [at, byte] of [[14, 0x44], [14, 0x55], [24, 0], [16, 0xff], [16, 0]] as const) {
    t.is(about(frame.map((b, i) => (i === at ? byte : b))), undefined)
  }
  t.is(about(frame4(1, [])), undefined, 'ICMP without a type')
})

test('IPv4 with options: the quote begins with them, the answer has none', (t) => {
  const frame = frame4(17, udp(1460), { options: [7, 7, 4, 0, 0, 0, 0, 0] })
  const answer = about(frame)!
  t.is(hexOf(answer.slice(14, 16)), '4500')
  t.is(hexOf(answer.slice(42)), hexOf(frame.slice(14, 14 + 548)))
})

test('IPv6: the kernel\'s answer, byte for byte', (t) => {
  const frame = frame6(17, udp(1452))
  const answer = about(frame)!
  t.is(hexOf(answer.slice(0, 62)), '020000000a01020000000b0286dd' + '6000000004d83a21' + DESTINATION_6 + SOURCE_6 + '0200ab93000005aa')
  t.is(hexOf(answer.slice(62)), hexOf(frame.slice(14, 14 + 1232)))
  t.is(naiveSum([...answer.slice(22), ...be16(1240), 0, 58]), 65535)
})

test('IPv6: echo requests, packets with extension headers, fragments', (t) => {
  const checksumOf = (next: number, payload: readonly number[]): string => hexOf(about(frame6(next, payload))?.slice(56, 58))
  t.is(checksumOf(58, [0x80, 0, ...ramp(1450)]), '2d69')
  t.is(checksumOf(0, [17, 0, 1, 4, 0, 0, 0, 0, ...udp(1440)]), '1912')
  t.is(checksumOf(44, [17, 0, 0, 1, ...ramp(1450)]), '4f0c')
  t.is(checksumOf(44, [17, 0, 0, 9, ...ramp(1450)]), '4f04')
  t.is(checksumOf(44, [58, 0, 5, 1, 0, 0, 0, 0, 1, 0, ...ramp(1450)]), '01eb')
})

test('IPv6: nothing about errors, redirects, what has no payload, is from nobody or to many, an MTU no link may have', (t) => {
  const none = (frame: readonly number[], mtu = MTU): boolean => t.is(about(frame, mtu), undefined)
  for (const type of [1, 2, 3, 4, 100, 137]) {
    none(frame6(58, [type, 0, ...ramp(1450)]))
    none(frame6(60, [58, 0, 1, 4, 0, 0, 0, 0, type, 0, ...ramp(1450)]))
    none(frame6(51, [58, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, type, 0, ...ramp(1450)]))
  }
  none(frame6(59, ramp(1450)))
  for (const source of ['00'.repeat(16), `${'00'.repeat(15)}01`, `ff02${'00'.repeat(13)}05`]) none(frame6(17, udp(1452), source))
  none(frame6(17, udp(1452), SOURCE_6, `ff02${'00'.repeat(13)}01`))
  none(frame6(17, udp(1452)), 1279)
  t.not(about(frame6(17, udp(1452)), 1280), undefined)
})

test('IPv6: nothing when the headers do not end within the frame', (t) => {
  const long = [17, 255, ...ramp(1450)]
  for (const frame of [frame6(0, long), frame6(58, []), frame6(43, [17, 0, 0]), frame6(17, []).slice(0, 53)]) t.is(about(frame), undefined)
  t.is(about(frame6(17, udp(1452)).map((b, i) => (i === 14 ? 0x40 : b))), undefined, 'version 4')
})

test('tags stay on the answer', (t) => {
  for (const tags of ['81006005', '88a80007' + '81000005']) {
    const tagged = (frame: number[]): number[] => [...frame.slice(0, 12), ...Buffer.from(tags, 'hex'), ...frame.slice(12)]
    t.is(hexOf(about(tagged(frame4(17, udp(1472))))), hexOf(tagged(about(frame4(17, udp(1472)))!)))
    t.is(hexOf(about(tagged(frame6(17, udp(1452))))), hexOf(tagged(about(frame6(17, udp(1452)))!)))
  }
  const frame = frame4(17, udp(1472))
  t.is(about([...frame.slice(0, 12), ...Buffer.from('81000005'.repeat(3), 'hex'), ...frame.slice(12)]), undefined, 'three tags')
})

test('nothing to or from a group MAC address, nor about another protocol', (t) => {
  const frame = frame4(17, udp(1472))
  t.is(about(frame.map((b, i) => (i < 6 ? 255 : b))), undefined)
  t.is(about(frame.map((b, i) => (i === 6 ? 3 : b))), undefined)
  t.is(about(ethernet(B, A, 0x88cc, ramp(1500))), undefined)
  t.is(about(ethernet(B, A, 0x0806, ramp(1500))), undefined)
})

test('a super-frame: the quote ends with the first segment', (t) => {
  const frame = frame4(17, udp(20_000))
  const quoteOf = (gsoType: number, gsoSize: number): number => {
    const { packets, tooBig, answers, packet } = lab()
    const p = packet(frame)
    packets.flags[p] = packets.flags[p]! | F_NEEDS_CSUM
    packets.gsoType[p] = gsoType
    packets.gsoSize[p] = gsoSize
    packets.headerLength[p] = 42
    tooBig.tooBig(p, TUNNEL, MTU)
    const quote = answers[0]!.slice(42)
    t.is(hexOf(quote), hexOf(frame.slice(14, 14 + quote.length)))
    t.is(naiveSum(answers[0]!.slice(34)), 65535)
    return quote.length
  }
  t.is(quoteOf(GSO_TCPV4, 1448), 548)
  t.is(quoteOf(GSO_UDP_L4, 500), 528)
})

test('answer alone leaves the frame to the caller, as it was', (t) => {
  const { packets, tooBig, answers, packet } = lab()
  const frame = frame4(17, udp(1472))
  const p = packet(frame)
  const c = packets.copy(p)
  t.true(tooBig.answer(c, TUNNEL, MTU))
  t.is(answers.length, 1)
  packets.transmitted(c)
  t.is(hexOf([...packets.bytes.subarray(packets.start[p]!, packets.start[p]! + packets.length[p]!)]), hexOf(frame))
  packets.transmitted(p)
  t.is(packets.packetsInUse(), 0)
})

test('limited: six at once to one sender, then one in ten milliseconds; others are not held up', (t) => {
  const { tooBig, answers, packet, clock } = lab()
  const count = (frame: readonly number[], times: number): number => {
    for (let i = 0; i < times; i++) tooBig.tooBig(packet(frame), TUNNEL, MTU)
    return answers.splice(0).length
  }
  t.is(count(frame4(17, udp(1472)), 10), 6)
  t.is(count(frame4(17, udp(1472), {}, '10.0.10.7'), 1), 1)
  t.is(count(frame6(17, udp(1452)), 10), 6)
  clock.now = 10
  t.is(count(frame4(17, udp(1472)), 10), 1)
  t.is(count(frame4(17, udp(1472), { flags: 0 }), 10), 0)
  t.deepEqual({ ...tooBig.counters }, { answered4: 8, answered6: 6, limited: 17, noBuffer: 0 })
})

test('no packet left for the answer', (t) => {
  const { packets, tooBig, packet, drops } = lab({ packets: 1, largeSlots: 1, smallSlots: 1 })
  tooBig.tooBig(packet(frame4(17, udp(1472))), TUNNEL, MTU)
  t.is(drops(), 'mtu-exceeded')
  t.is(tooBig.counters.noBuffer, 1)
  t.is(packets.packetsInUse(), 0)
})

test('any bytes: each packet ends once, all are accounted for, and every answer is whole', (t) => {
  const l = lab()
  const base = fc.constantFrom(
    frame4(17, udp(1472)), frame4(1, [8, 0, ...ramp(1470)]), frame6(17, udp(1452)), frame6(0, [58, 0, 1, 4, 0, 0, 0, 0, ...ramp(1440)]))
  const changes = fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { maxLength: 3 })
  const mutated = fc.tuple(base, changes, fc.integer({ min: 0, max: 1514 })).map(([frame, changed, size]) => {
    const copy = Uint8Array.from(frame)
    for (const [at, byte] of changed) copy[at] = byte
    return copy.subarray(0, size)
  })
  const gso = fc.tuple(fc.constantFrom(0, GSO_TCPV4), fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 22, max: 200 }))
  fc.assert(fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), fc.nat(70_000), gso, (frame, mtu, [type, size, header]) => {
    l.clock.now += 100
    const p = l.packet(frame)
    l.packets.gsoType[p] = type
    l.packets.gsoSize[p] = size
    l.packets.headerLength[p] = header
    l.tooBig.tooBig(p, TUNNEL, mtu)
    for (const a of l.answers.splice(0)) {
      const at = [0x8100, 0x88a8].includes(a[12]! * 256 + a[13]!) ? ([0x8100, 0x88a8].includes(a[16]! * 256 + a[17]!) ? 22 : 18) : 14
      const good = a[at] === 0x45
        ? a.length <= at + 576 && naiveSum(a.slice(at, at + 20)) === 65535 && naiveSum(a.slice(at + 20)) === 65535
        : a.length <= at + 1280 && naiveSum([...be16(a.length - at - 40), 0, 58, ...a.slice(at + 8)]) === 65535
      if (!good) return false
    }
    return l.packets.packetsInUse() === 0 && outstanding(l.packets.balance) === 0
  }), { numRuns: 1000 })
  t.pass()
})
