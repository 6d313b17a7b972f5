/** Super-frames cut for a tunnel: what the headers in scratch and the payload where it lies make together is what the naive cut gives. */
import test from 'ava'
import fc from 'fast-check'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../../src/core/layout.js'
import type { Packets } from '../../src/core/packets.js'
import { createCutter, MAX_SEGMENTS } from '../../src/offload/encapsulate.js'
import { be16, be32 } from '../oracle/naive-frames.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { naiveCut, partial } from './naive-cut.js'
import { createPool, naiveSums, putSuper, type SuperColumns } from './packet-lab.js'

const POISON = 0x5a

/** What the cutter makes of a packet: the segments' bytes. Headers are written into poisoned memory, which must stay so around them. */
const cutAll = (packets: Packets, p: number, ranges: number): number[][] => {
  const sums = new Int32Array(3 * ranges)
  const cutter = createCutter(packets, sums, naiveSums(packets, sums))
  const count = cutter.begin(p)
  const headers = cutter.headers()
  const to = packets.scratch + 2 + 8
  return Array.from({ length: count }, (_, i) => {
    packets.bytes.fill(POISON, packets.scratch, packets.scratch + 512)
    cutter.write(i, to)
    const around = [...packets.bytes.subarray(packets.scratch, to), ...packets.bytes.subarray(to + headers, packets.scratch + 512)]
    if (around.some((b) => b !== POISON)) throw new Error('written outside')
    const at = cutter.payloadAt(i)
    return [...packets.bytes.subarray(to, to + headers), ...packets.bytes.subarray(at, at + cutter.sizeOf(i))]
  })
}

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => [...b])

interface Made {
  frame: number[]
  columns: SuperColumns
  isTcp: boolean
  stride: number
}

/** Every field of every header is anything, but for those that say what the frame is. */
const superFrame: fc.Arbitrary<Made> = fc
  .record({
    v6: fc.boolean(),
    isTcp: fc.boolean(),
    macs: octets(12),
    tags: fc.nat(2),
    tci: octets(4),
    ip: octets(40),
    ipOptions: fc.nat(10),
    options: octets(40),
    transport: octets(20),
    tcpOptions: fc.nat(10),
    low: fc.nat(15),
    gso: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 61, max: 9000 })),
    segments: fc.integer({ min: 0, max: 48 }),
    rest: fc.nat(9000),
    from: fc.nat(255),
    apart: fc.option(fc.nat(200)),
    ecn: fc.boolean()
  })
  .map(({ v6, isTcp, macs, tags, tci, ip, ipOptions, options, transport, tcpOptions, low, gso, segments, rest, from, apart, ecn }) => {
    const protocol = isTcp ? 6 : 17
    const tag = Array.from({ length: tags }, (_, i) => [...be16(tags - i === 2 ? 0x88a8 : 0x8100), tci[i * 2]!, tci[i * 2 + 1]!]).flat()
    const ihl = v6 ? 0 : ipOptions
    const network = v6 ? [0x60 | (ip[0]! & 15), ...ip.slice(1, 6), protocol, ...ip.slice(7)]
      : [0x45 + ihl, ...ip.slice(1, 9), protocol, ...ip.slice(10, 20), ...options.slice(0, ihl * 4)]
    const before = [...macs, ...tag, ...be16(v6 ? 0x86dd : 0x0800), ...network]
    const header = isTcp
      ? [...transport.slice(0, 12), ((5 + tcpOptions) << 4) | low, ...transport.slice(13), ...options.slice(0, tcpOptions * 4).reverse()]
      : transport.slice(0, 8)
    const room = Math.floor(60_000 / gso)
    const data = Math.min(segments, room) * gso - (rest % gso)
    const payload = Array.from({ length: Math.max(0, data) }, (_, i) => ((i + from) * 7 + (i >> 8)) & 255)
    const headerLength = before.length + header.length
    return {
      frame: partial([...before, ...header, ...payload], before.length, isTcp),
      columns: {
        gsoType: (isTcp ? (v6 ? GSO_TCPV6 : GSO_TCPV4) | (ecn ? GSO_ECN : 0) : GSO_UDP_L4), gsoSize: gso, csumStart: before.length,
        csumOffset: isTcp ? 16 : 6, headerLength
      },
      isTcp,
      stride: apart === null || Math.ceil(payload.length / gso) * (gso + apart) > 64_000 ? 0 : gso + apart
    }
  })

test('segments are those of the naive cut, every byte of them, wherever the payload lies and however few ranges are summed at once', (t) => {
  const packets = createPool()
  fc.assert(
    fc.property(superFrame, fc.constantFrom(1, 3, 256), ({ frame, columns, isTcp, stride }, ranges) => {
      const p = putSuper(packets, frame, columns, stride)
      const before = [...packets.bytes.subarray(packets.start[p]!, packets.start[p]! + columns.headerLength)]
      const out = cutAll(packets, p, ranges)
      const expected = naiveCut(frame, columns.csumStart, isTcp, columns.gsoSize)
      if (JSON.stringify(out) !== JSON.stringify(expected)) t.deepEqual(out, expected)
      t.deepEqual([...packets.bytes.subarray(packets.start[p]!, packets.start[p]! + columns.headerLength)], before, 'only read')
      packets.merged(p)
    }),
    { numRuns: 250 }
  )
})

/** A plain TCP super-frame of IPv4. */
const plain = (size: number, gso: number): { frame: number[]; columns: SuperColumns } => ({
  frame: partial([
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ...be16(1), ...be16(2), ...be32(3), ...be32(4), 0x50, 0x10, 0, 0, 0, 0, 0, 0, ...new Array<number>(size).fill(7)
  ], 34, true),
  columns: { gsoType: GSO_TCPV4, gsoSize: gso, csumStart: 34, csumOffset: 16, headerLength: 54 }
})

test('the most segments there may be, and one more', (t) => {
  const packets = createPool()
  for (const [size, segments] of [[MAX_SEGMENTS * 8, MAX_SEGMENTS], [MAX_SEGMENTS * 8 + 1, 0]] as const) {
    const { frame, columns } = plain(size, 8)
    const out = cutAll(packets, putSuper(packets, frame, columns), 256)
    t.is(out.length, segments)
    if (segments > 0) t.deepEqual(out, naiveCut(frame, 34, true, 8))
  }
})

test('a super-frame of headers alone is one segment', (t) => {
  const packets = createPool()
  const { frame, columns } = plain(0, 100)
  t.deepEqual(cutAll(packets, putSuper(packets, frame, columns), 256), naiveCut(frame, 34, true, 100))
})

test('what cannot be cut: 0 segments, and nothing is read behind the frame', (t) => {
  const packets = createPool()
  const { frame, columns } = plain(1000, 100)
  for (const [what, bytes, more] of [
    ['another kind', frame, { gsoType: 3 }],
    ['no kind', frame, { gsoType: 0 }],
    ['no size', frame, { gsoSize: 0 }],
    ['shorter than its transport header', frame.slice(0, 50), {}],
    ['a transport header inside the network header', frame, { csumStart: 30 }],
    ['a data offset below 5', frame.map((b, i) => (i === 46 ? 0x40 : b)), {}],
    ['a data offset beyond the end', frame.slice(0, 60).map((b, i) => (i === 46 ? 0xf0 : b)), {}],
    ['IPv6 with too little before it', frame, { gsoType: GSO_TCPV6 }]
  ] as const) t.is(cutAll(packets, putSuper(packets, bytes, { ...columns, ...more }), 256).length, 0, what)
})

test('a UDP checksum of zero is sent as ones', (t) => {
  const packets = createPool()
  const head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0,
    1, 0, 2, 0, 0, 0, 0]
  // The word of data that brings the sum to ones: found with the naive sum
  const rest = naiveSum([10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 10, 0, 1, 0, 2, 0, 10])
  const zero = be16(65535 - rest)
  const frame = partial([...head, ...zero, ...zero], 34, false)
  const columns = { gsoType: GSO_UDP_L4, gsoSize: 2, csumStart: 34, csumOffset: 6, headerLength: 42 }
  const out = cutAll(packets, putSuper(packets, frame, columns), 256)
  t.deepEqual(out.map((b) => b.slice(40, 42)), [[255, 255], [255, 255]])
  t.deepEqual(out, naiveCut(frame, 34, false, 2))
})
