/**
 * Packets on their way into a tunnel's sockets: what the entries hold is every packet's datagrams, complete and in order, whatever else is
 * queued between them, however small scratch and rings are.
 */
import test from 'ava'
import fc from 'fast-check'
import { createPackets, F_NEEDS_CSUM, F_SLICE, LARGE, SMALL, type Packets } from '../../src/core/packets.js'
import { GSO_TCPV4, GSO_UDP_L4 } from '../../src/core/layout.js'
import { createDatagrams } from '../../src/port/datagrams.js'
import { createSegmenter } from '../../src/offload/segment.js'
import { createRings, CTL_TX_COUNT, MAX_SENDMSG_PAIRS, TX_SENDMSG, TX_STRIDE } from '../../src/port/rings.js'
import { assertSame } from '../helpers/same.js'
import { be16, be32 } from '../oracle/naive-frames.js'
import { complete, naiveCut, partial } from '../offload/naive-cut.js'
import { balanceOf, naiveSums, putSuper } from '../offload/packet-lab.js'

const HEADER = 8
const MAX_TOTAL = 65507
const PORT = 3

/** A datagram, or a frame of another port, as it left. */
interface Left {
  descriptor: number
  remote: number
  ttlTos: number
  bytes: string
}

const hex = (bytes: ArrayLike<number>): string => Buffer.from(Uint8Array.from(bytes)).toString('hex')

const createLab = (pool: { scratchBytes?: number; packets?: number; largeSlots?: number } = {}, txCapacity = 1024) => {
  const packets = createPackets({ packets: 512, largeSlots: 64, smallSlots: 128, ...pool })
  const rings = createRings(packets, new Int32Array(8 * 16), 64, txCapacity)
  const { tx, gather, control, txPacket } = rings
  const left: Left[] = []
  let calls = 0
  /** Sends as the kernel would: takes entries apart, and ends their packets. */
  const flush = (): void => {
    const count = control[CTL_TX_COUNT]!
    if (count > txCapacity) throw new Error('more entries than there are')
    let ended = 0
    for (let i = 0; i < count; i++) {
      const e = i * TX_STRIDE
      calls++
      if (tx[e] === TX_SENDMSG) {
        const [, descriptor, first, pairs, gso, remote, ttlTos] = tx.subarray(e, e + TX_STRIDE)
        if (pairs! > MAX_SENDMSG_PAIRS || pairs! < 1) throw new Error(`${pairs} pairs`)
        const bytes: number[] = []
        for (let g = first!; g < first! + pairs!; g++) {
          if (gather[g * 2 + 1]! < 0) throw new Error('a negative length')
          bytes.push(...packets.bytes.subarray(gather[g * 2]!, gather[g * 2]! + gather[g * 2 + 1]!))
        }
        if (bytes.length > MAX_TOTAL && gso !== 0) throw new Error(`${bytes.length} bytes in one call`)
        const each = gso === 0 ? bytes.length : gso!
        if (Math.ceil(bytes.length / each) > 64) throw new Error('too many datagrams in one call')
        for (let at = 0; at < bytes.length; at += each) {
          left.push({ descriptor: descriptor!, remote: remote!, ttlTos: ttlTos!, bytes: hex(bytes.slice(at, at + each)) })
        }
      } else left.push({ descriptor: tx[e + 1]!, remote: -1, ttlTos: -1,
        bytes: hex(packets.bytes.subarray(tx[e + 2]!, tx[e + 2]! + tx[e + 3]!)) })
      for (let p = txPacket[i]!; p >= 0;) {
        const following = packets.next[p]!
        packets.transmitted(p)
        ended++
        p = following
      }
    }
    if (ended !== rings.queued()) throw new Error(`${ended} packets in entries, ${rings.queued()} counted`)
    rings.reset()
  }
  const { completeChecksum } = createSegmenter(packets, () => undefined)
  const send = createDatagrams({ packets, rings, sumRanges: naiveSums(packets, rings.sums), flush, completeChecksum })
  return { packets, rings, send, flush, left, calls: () => calls }
}

const header = (vni: number): [header0: number, header1: number] => [0x08000000, vni << 8]
const headerBytes = (vni: number): number[] => [8, 0, 0, 0, ...be32(vni << 8)]

const data = (count: number, from: number): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + (i >> 8)) & 255)

const frameOf = (isTcp: boolean, size: number, from: number): number[] => {
  const head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, ...be16(from), 0x40, 0, 64, isTcp ? 6 : 17, 0, 0, 10, 0,
    0, 1, 10, 0, 0, 2]
  const l4 = isTcp ? [...be16(1), ...be16(2), ...be32(from), ...be32(4), 0x50, 0x18, 0, 0, 0, 0, 0, 0] : [...be16(1), ...be16(2),
    0, 0, 0, 0]
  return complete([...head, ...l4, ...data(size, from)], 34, isTcp)
}

type Step =
  | { kind: 'packet'; size: number; needsCsum: boolean; shared: boolean; slice: boolean; to: To }
  | { kind: 'super'; isTcp: boolean; size: number; gso: number; apart: number | null; shared: boolean; to: To }
  | { kind: 'frame'; size: number }
  | { kind: 'flush' }

interface To {
  descriptor: number
  remote: number
  vni: number
  ttlTos: number
  segment: boolean
}

const to: fc.Arbitrary<To> = fc.record({
  descriptor: fc.nat(1), remote: fc.nat(1), vni: fc.constantFrom(42, 0xffffff), ttlTos: fc.constantFrom(-1, 64),
    segment: fc.constantFrom(true, true, true, false)
})

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({
    kind: fc.constant('packet' as const), size: fc.constantFrom(1, 2, 100, 100, 100, 1400, 1400, 8900), needsCsum: fc.boolean(),
      shared: fc.boolean(), slice: fc.boolean(), to
  }) },
  { weight: 3, arbitrary: fc.record({
    kind: fc.constant('super' as const), isTcp: fc.boolean(), size: fc.integer({ min: 1, max: 30_000 }),
      gso: fc.constantFrom(100, 536, 1400, 8900, 20_000),
    apart: fc.option(fc.nat(100)), shared: fc.boolean(), to
  }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('frame' as const), size: fc.constantFrom(1, 100, 1400) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'flush' }) }
)

const put = (packets: Packets, bytes: readonly number[]): number => {
  const p = packets.originate(bytes.length, PORT)
  packets.bytes.set(bytes, packets.start[p]!)
  packets.flags[p] = 0
  return p
}

/** Carries out the steps; what must have left. */
const play = (lab: ReturnType<typeof createLab>, steps: readonly Step[]): Left[] => {
  const { packets, rings, send, flush } = lab
  const expected: Left[] = []
  const others: number[] = []
  for (const [n, s] of steps.entries()) {
    if (s.kind === 'flush') {
      flush()
      continue
    }
    if (packets.freeSlots(LARGE) < 4 || packets.freeSlots(SMALL) < 4 || rings.control[CTL_TX_COUNT]! + 32 > rings.txCapacity) flush()
    if (s.kind === 'frame') {
      const bytes = data(s.size, n)
      const p = put(packets, bytes)
      packets.next[p] = -1
      rings.push(p, 0, 99, 0)
      expected.push({ descriptor: 99, remote: -1, ttlTos: -1, bytes: hex(bytes) })
      continue
    }
    const { descriptor, remote, vni, ttlTos, segment } = s.to
    const [header0, header1] = header(vni)
    const whole = frameOf(s.kind === 'super' && s.isTcp, s.size, n)
    const l4 = 34
    let p: number
    let datagrams: number[][]
    if (s.kind === 'packet') {
      p = put(packets, s.needsCsum ? partial(whole, l4, false) : whole)
      packets.csumStart[p] = l4
      packets.csumOffset[p] = 6
      packets.flags[p] = s.needsCsum ? F_NEEDS_CSUM : 0
      if (s.slice) { // as cut off one that came with others: what is before it is another one's
        packets.flags[p] = packets.flags[p]! | F_SLICE
        packets.bytes.fill(0x77, packets.start[p]! - HEADER, packets.start[p]!)
      }
      datagrams = [whole]
    } else {
      const headerLength = l4 + (s.isTcp ? 20 : 8)
      const stride = s.apart === null || Math.ceil(s.size / s.gso) * (s.gso + s.apart) > 60_000 ? 0 : s.gso + s.apart
      p = putSuper(packets, partial(whole, l4, s.isTcp), {
        gsoType: s.isTcp ? GSO_TCPV4 : GSO_UDP_L4, gsoSize: s.gso, csumStart: l4, csumOffset: s.isTcp ? 16 : 6, headerLength
      }, stride)
      datagrams = naiveCut(whole, l4, s.isTcp, s.gso)
    }
    const before = s.kind === 'packet' && s.slice && !s.needsCsum ? packets.start[p]! - HEADER : -1
    if (s.shared) others.push(packets.copy(p))
    send(p, PORT, descriptor, remote, header0, header1, ttlTos, segment)
    if (before >= 0 && packets.bytes.subarray(before, before + HEADER).some((b) => b !== 0x77)) throw new Error('written before a slice')
    for (const d of datagrams) expected.push({ descriptor, remote, ttlTos, bytes: hex([...headerBytes(vni), ...d]) })
    while (others.length > 2) packets.delivered(others.shift()!)
  }
  flush()
  for (const p of others) packets.delivered(p)
  return expected
}

test('every datagram leaves complete, in order, to where it should', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lab = createLab()
      const expected = play(lab, steps)
      assertSame(t, lab.left, expected)
      if (lab.packets.packetsInUse() !== 0 || balanceOf(lab.packets) !== 0) throw new Error('not all have ended')
    }),
    { numRuns: 120 }
  )
  t.pass()
})

test('rings as small as they can be: the same', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(80, 200), (steps, entries) => {
      const lab = createLab({ scratchBytes: 65_536 }, entries)
      const expected = play(lab, steps.map((s) => (s.kind === 'super' ? { ...s, size: Math.min(s.size, s.gso * 60) } : s)))
      assertSame(t, lab.left, expected)
    }),
    { numRuns: 80 }
  )
  t.pass()
})

test('super-frames that a socket must send one datagram at a time, more than the ring holds', (t) => {
  const lab = createLab()
  const steps: Step[] = Array.from({ length: 30 }, () => ({
    kind: 'super', isTcp: true, size: 36_000, gso: 400, apart: null, shared: false,
      to: { descriptor: 1, remote: 0, vni: 42, ttlTos: -1, segment: false }
  }))
  const expected = play(lab, steps)
  t.is(lab.left.length, expected.length)
  t.deepEqual(lab.left, expected)
})

test('a super-frame that scratch has no room for is dropped and counted', (t) => {
  const lab = createLab({ scratchBytes: 1024 })
  const steps: Step[] = [
    { kind: 'super', isTcp: true, size: 10_000, gso: 100, apart: null, shared: false,
      to: { descriptor: 1, remote: 0, vni: 42, ttlTos: -1, segment: true } },
    { kind: 'packet', size: 100, needsCsum: false, shared: true, slice: false,
      to: { descriptor: 1, remote: 0, vni: 42, ttlTos: -1, segment: true } }
  ]
  const expected = play(lab, steps)
  t.deepEqual(lab.left, expected.slice(-1))
  t.is(lab.packets.balance[6], 1)
})

const ONE: To = { descriptor: 1, remote: 0, vni: 42, ttlTos: -1, segment: true }

test('equal datagrams to one peer by one socket are one call; a shorter one is the last', (t) => {
  const lab = createLab()
  const sizes = [100, 100, 100, 50, 100, 100, 101, 101]
  play(lab, sizes.map((size) => ({ kind: 'packet', size, needsCsum: false, shared: false, slice: false, to: ONE })))
  t.is(lab.calls(), 3)
  t.is(lab.left.length, sizes.length)
})

for (const [what, other] of [
  ['another socket', { descriptor: 2 }], ['another peer', { remote: 1 }], ['another TTL or TOS', { ttlTos: 5 }]
] as const) {
  test(`not one call: ${what}`, (t) => {
    const lab = createLab()
    const packet = { kind: 'packet', size: 100, needsCsum: false, shared: false, slice: false } as const
    play(lab, [{ ...packet, to: ONE }, { ...packet, to: { ...ONE, ...other } }, { ...packet, to: ONE }])
    t.is(lab.calls(), 3)
  })
}

test('a frame of another port between two datagrams keeps them apart', (t) => {
  const lab = createLab()
  const packet: Step = { kind: 'packet', size: 100, needsCsum: false, shared: false, slice: false, to: ONE }
  play(lab, [packet, { kind: 'frame', size: 10 }, packet])
  t.is(lab.calls(), 3)
})

test('two VNIs may share a call: each datagram has its own header', (t) => {
  const lab = createLab()
  const packet = { kind: 'packet', size: 100, needsCsum: false, shared: false, slice: false } as const
  const expected = play(lab, [{ ...packet, to: ONE }, { ...packet, to: { ...ONE, vni: 43 } }])
  t.is(lab.calls(), 1)
  t.deepEqual(lab.left, expected)
})

test('a datagram larger than UDP takes is sent alone, for the kernel to refuse', (t) => {
  const lab = createLab()
  const expected = play(lab, [
    { kind: 'packet', size: 65_480, needsCsum: false, shared: false, slice: false, to: ONE },
    { kind: 'packet', size: 65_480, needsCsum: false, shared: false, slice: false, to: ONE }
  ])
  t.is(lab.calls(), 2)
  t.deepEqual(lab.left, expected)
})
