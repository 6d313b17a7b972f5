/**
 * Runs of TCP segments: what leaves as a super-frame, cut again, is what came, byte for byte but the identification of packets with DF;
 * joined is what the kernel's GRO would join, and nothing else; a flow keeps its order.
 */
import test from 'ava'
import fc from 'fast-check'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../src/core/ports.js'
import type { MemoryFrame, Offload } from '../../src/port/memory.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { ethernet, ipFrame, ipv4, MAC_A, MAC_B, udp } from '../oracle/naive-frames.js'
import { ACK, comparable, countOf, cut, DF, flipped, flowOf, frameOf, PSH, runsOf, SEGMENT, type Segment } from './naive-joins.js'

interface Frame { bytes: Uint8Array; offload: Offload }

const ALL = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO

const lab = (offloads = ALL, mtu = 1500, pool?: Parameters<typeof createMemoryLab>[1]): MemoryLab => {
  const l = createMemoryLab(1, pool)
  l.apply({ op: 'bridge.add', name: 'br', mac: '02:00:00:00:00:01', mtu, ageing_time: 300, fdb_max_learned: 0 })
  l.port('a.eth0', 'br', { mtu, vnet: true, offloads: ALL })
  l.port('b.eth0', 'br', { mtu, vnet: true, offloads })
  // b is known, so that frames to it are not flooded
  l.send('b.eth0', Uint8Array.from(ethernet(MAC_A, MAC_B, 0x88b5, [0, 0])), {})
  l.run()
  l.taken('a.eth0')
  return l
}

const through = (l: MemoryLab, frames: readonly Frame[]): MemoryFrame[] => {
  for (const { bytes, offload } of frames) l.send('a.eth0', bytes, offload)
  l.run()
  return l.taken('b.eth0')
}

const bytesOf = (count: number, from: number): number[] => Array.from({ length: count }, (_, i) => (i * 7 + from) & 255)

const withTag = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes.subarray(0, 12), 0x81, 0, 0, 5, ...bytes.subarray(12)])

/** Segments that continue each other. */
const stream = (sizes: readonly number[], more: Partial<Segment> = {}): Segment[] => {
  let seq = more.seq ?? SEGMENT.seq
  return sizes.map((size, i) => {
    const s = { ...SEGMENT, ...more, seq: seq >>> 0, data: bytesOf(size, i) }
    seq += size
    return s
  })
}

const complete = (frames: readonly Frame[]): string[] => frames.flatMap(({ bytes, offload }) => cut({ bytes, ...offload })).map(comparable)
const cutAgain = (out: readonly MemoryFrame[]): string[] => out.flatMap(cut).map(comparable)

/** Without what a tag or damage makes a flow of its own: of it only the frames themselves are compared. */
const plainIn = (frame: Uint8Array): boolean => {
  const type = frame[12]! * 256 + frame[13]!
  return (type === 0x0800 && frame[14] === 0x45 && frame[23] === 6) || (type === 0x86dd && frame[20] === 6)
}
const asIs = (bytes: Uint8Array, offload: Offload | MemoryFrame): string =>
  plainIn(bytes) ? cut({ ...offload, bytes }).map(comparable).join() : Buffer.from(bytes).toString('hex')

for (const version of [4, 6] as const) {
  for (const partial of [false, true]) {
    test(`IPv${version}, ${partial ? 'partial' : 'complete'} checksums: a run leaves as one super-frame, its shorter last one with PSH`, (t) => {
      const l = lab()
      const segments = stream([1400, 1400, 1400, 300], { version, partial, options: [0x0101080a, 5, 6] })
      segments[3]!.flags |= PSH
      const frames = segments.map(frameOf)
      const [one, ...others] = through(l, frames)
      t.is(others.length, 0)
      t.is(one!.gsoSize, 1400)
      t.is(one!.headerLength, (version === 4 ? 34 : 54) + 32)
      t.is(countOf(one!), 4)
      t.deepEqual(cutAgain([one!]), complete(frames))
      t.is(l.network.stats().ports.find((p) => p.name === 'b.eth0')!.tx_packets, 4, 'each counts')
      t.is(l.held(), 0)
    })
  }
}

const DIFFERENT: [what: string, second: Partial<Segment>][] = [
  ['another acknowledgment', { ack: 78 }], ['another window', { window: 501 }], ['an option', { options: [0x01010101] }], ['a gap', { seq: 1101 }],
  ['data again', { seq: 1000 }], ['FIN', { flags: ACK | 1 }], ['SYN', { flags: ACK | 2 }], ['RST', { flags: ACK | 4 }],
  ['URG', { flags: ACK | 0x20 }], ['ECE', { flags: ACK | 0x40 }], ['CWR', { flags: ACK | 0x80 }], ['no ACK', { flags: 0 }], ['an urgent pointer', { urgent: 1 }],
  ['another TOS', { tos: 8 }], ['CE', { tos: 3 }], ['another TTL', { ttl: 63 }], ['no data', { data: [] }], ['more data', { data: bytesOf(101, 1) }],
  ['another port', { sport: 40001 }], ['without DF', { df: 0 }], ['the reserved flag', { df: 0xc000 }], ['a fragment', { df: 0x2000 }]
]
for (const version of [4, 6] as const) {
  for (const [what, second] of DIFFERENT) {
    if (version === 6 && 'df' in second) continue
    test(`IPv${version}: not joined: ${what}`, (t) => {
      const [a, b, c] = stream([100, 100, 100], { version })
      const frames = [a!, { ...b!, ...second }, c!].map(frameOf)
      const out = through(lab(), frames)
      t.deepEqual(cutAgain(out).sort(), complete(frames).sort())
      t.is(out.length, 3)
    })
  }
}

test('any bit of the headers that is another one, checksums being right: joined, if at all, so that cutting brings it back', (t) => {
  for (const version of [4, 6] as const) {
    const l = lab()
    const [one, two] = stream([64, 64], { version, options: [0x0101080a, 5, 6] }).map(frameOf)
    const headers = one!.bytes.length - 64
    let joined = 0
    for (let bit = 0; bit < headers * 8; bit++) {
      if ([40, 48, 88].includes(bit)) continue // to the sender, from a group, from the receiver: not forwarded
      const changed = flipped(two!.bytes, version, bit)
      const out = through(l, [one!, { bytes: changed, offload: {} }])
      if (out.length === 1) joined++
      t.deepEqual(out.map((f) => asIs(f.bytes, f)).join(), [one!.bytes, changed].map((b) => asIs(b, {})).join(), `bit ${bit}`)
      l.send('b.eth0', Uint8Array.from(ethernet(MAC_A, MAC_B, 0x88b5, [0, 0])), {})
      l.run()
    }
    // Identification with DF, PSH, and what is a checksum
    t.is(joined, version === 4 ? 16 + 1 + 16 + 16 : 1 + 16)
    t.is(l.held(), 0)
  }
})

test('without DF, identifications must count up; with it they say nothing', (t) => {
  const withIds = (ids: readonly number[], df: number) => through(lab(), stream(ids.map(() => 50)).map((s, i) => frameOf({ ...s, id: ids[i]!, df })))
  t.deepEqual(withIds([0xfffe, 0xffff, 0, 1], 0).map(countOf), [4])
  t.deepEqual(withIds([5, 6, 6, 7, 9], 0).map(countOf), [2, 2, 1])
  t.deepEqual(withIds([5, 0, 0, 99], DF).map(countOf), [4])
})

test('PSH ends a run, and is kept', (t) => {
  const segments = stream([50, 50, 50, 50, 50])
  segments[2]!.flags |= PSH
  const frames = segments.map(frameOf)
  const out = through(lab(), frames)
  t.deepEqual(out.map(countOf), [3, 2])
  t.deepEqual(cutAgain(out), complete(frames))
})

test('sequence numbers go round', (t) => {
  const frames = stream([100, 100, 100], { seq: 0xffffff9c }).map(frameOf)
  const out = through(lab(), frames)
  t.deepEqual(out.map(countOf), [3])
  t.deepEqual(cutAgain(out), complete(frames))
})

test('only for ports that take such super-frames', (t) => {
  for (const [offloads, v4, v6] of [[OFFLOAD_TSO4, 1, 3], [OFFLOAD_TSO6, 3, 1], [OFFLOAD_USO, 3, 3], [0, 3, 3]] as const) {
    t.is(through(lab(OFFLOAD_CSUM | offloads), stream([9, 9, 9]).map(frameOf)).length, v4)
    t.is(through(lab(OFFLOAD_CSUM | offloads), stream([9, 9, 9], { version: 6 }).map(frameOf)).length, v6)
  }
})

test('no more than fits an IP packet', (t) => {
  const frames = stream(new Array<number>(10).fill(8960), {}).map(frameOf)
  const out = through(lab(ALL, 9000), frames)
  t.deepEqual(out.map(countOf), [7, 3])
  t.deepEqual(cutAgain(out), complete(frames))
})

test('tagged frames, IPv4 options and super-frames are left alone', (t) => {
  const frames = stream([100, 100, 100]).map(frameOf)
  const tagged = frames.map(({ bytes }) => ({ bytes: withTag(bytes), offload: {} }))
  t.deepEqual(through(lab(), tagged).map(({ bytes }) => bytes), tagged.map(({ bytes }) => bytes))
  const withOptions = frames.map(({ bytes }) => {
    const packet = ipv4(6, '10.1.1.2', '10.1.1.3', [...bytes.subarray(34)], { options: [1, 1, 1, 1] })
    return { bytes: Uint8Array.from(ipFrame(packet)), offload: {} }
  })
  t.deepEqual(through(lab(), withOptions).map(({ bytes }) => bytes), withOptions.map(({ bytes }) => bytes))
  const [one, two] = stream([200, 200], { partial: true }).map(frameOf)
  const gso = { gsoType: 1, gsoSize: 100, headerLength: 54 }
  const supers = [one!, two!].map(({ bytes, offload }) => ({ bytes, offload: { ...offload, ...gso } }))
  t.deepEqual(through(lab(), [...supers, two!]).map(countOf), [2, 2, 1])
})

test('a checksum to be completed elsewhere is none of ours', (t) => {
  // As a tunnel's packet has it: the inner one
  const frames = stream([100, 100]).map(frameOf).map(({ bytes }) => ({ bytes, offload: { needsCsum: true, csumStart: 60, csumOffset: 16 } }))
  const out = through(lab(), frames)
  t.deepEqual(out.map(({ bytes }) => bytes), frames.map(({ bytes }) => bytes))
  t.deepEqual(out.map(({ csumStart }) => csumStart), [60, 60])
})

test('several flows at once, one packet of each after the other', (t) => {
  for (const version of [4, 6] as const) {
    let two = 0
    for (let sport = 40000; sport < 40032; sport += 2) {
      const flows = [sport, sport + 2].map((port) => stream([700, 700, 700, 700], { sport: port, version }).map(frameOf))
      const frames = [0, 1, 2, 3].flatMap((i) => flows.map((f) => f[i]!))
      const out = through(lab(), frames)
      if (out.length === 2) two++
      for (const flow of flows) {
        t.deepEqual(cutAgain(out.filter(({ bytes }) => flowOf(bytes) === flowOf(flow[0]!.bytes))), complete(flow))
      }
    }
    t.true(two >= 8, `${two} of 16`)
  }
})

test('what shows no ports is not overtaken by its flow', (t) => {
  const segments = stream([100, 100, 100, 100])
  const frames = segments.map(frameOf)
  frames[2] = { bytes: Uint8Array.from(ipFrame(ipv4(6, '10.1.1.2', '10.1.1.3', bytesOf(80, 3), { flags: 10 }))), offload: {} }
  frames[3] = frameOf({ ...segments[2]! })
  t.deepEqual(through(lab(), frames).map(({ bytes }) => bytes.length), [54 + 200, 34 + 80, 54 + 100])
  // A datagram in between is none of the flow, and does not end the run
  frames[2] = { bytes: Uint8Array.from(ipFrame(ipv4(17, '10.1.1.2', '10.1.1.3', udp('10.1.1.2', 1, '10.1.1.3', 2, [7])))), offload: {} }
  t.deepEqual(through(lab(), frames).map(({ bytes }) => bytes.length), [54 + 300, 43])
})

test('a flood is not joined: its bytes are shared', (t) => {
  const l = lab()
  l.port('c.eth0', 'br', { vnet: true, offloads: ALL })
  const frames = stream([100, 100, 100]).map(frameOf)
  for (const f of frames) f.bytes.set([2, 0, 0, 0, 0, 0x77])
  const out = through(l, frames)
  t.is(out.length, 3)
  t.deepEqual(cutAgain(out), complete(frames))
  t.deepEqual(cutAgain(l.taken('c.eth0')), complete(frames))
})

/** A stream with all that can happen to it; `damage` is applied to the finished frame. */
interface Event {
  size: number
  change: Partial<Segment>
  jump: number
  /** Bit of a byte behind the Ethernet header that is flipped in the finished frame; -1 for none. */
  damage: number
  tag: boolean
}
const event: fc.Arbitrary<Event> = fc.record({
  size: fc.oneof({ weight: 9, arbitrary: fc.constant(100) }, { weight: 2, arbitrary: fc.constantFrom(0, 1, 40, 300) }),
  change: fc.oneof(
    { weight: 30, arbitrary: fc.constant({}) },
    { weight: 2, arbitrary: fc.constantFrom<Partial<Segment>>(...DIFFERENT.map(([, d]) => d)) },
    { weight: 2, arbitrary: fc.constantFrom<Partial<Segment>>({ flags: ACK | PSH }, { partial: true }, { id: 9 }, { df: 0 }) }
  ),
  jump: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(1, -100) }),
  damage: fc.oneof({ weight: 15, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat(8 * 90) }),
  tag: fc.integer({ min: 0, max: 20 }).map((n) => n === 20)
})

const framesOf = (events: readonly Event[], base: Partial<Segment>): Frame[] => {
  let seq = base.seq ?? 5000
  return events.map(({ size, change, jump, damage, tag }, i) => {
    seq = (seq + jump) >>> 0
    const s: Segment = { ...SEGMENT, data: bytesOf(size, i), id: i, ...base, ...change, seq: change.seq ?? seq, sport: base.sport ?? SEGMENT.sport }
    if (change.seq === undefined) seq += s.data.length
    const f = frameOf(s)
    // Of a checksum that is left to others nobody can tell whether it is right: such frames are damaged where it does not matter.
    // With other ports a frame would be of a flow of its own.
    const at = 14 + (damage >> 3)
    const l4 = s.version === 4 ? 34 : 54
    const matters = (at >= l4 && at < l4 + 4) || (s.partial && (at < l4 || (at >= l4 + 16 && at < l4 + 18)))
    if (damage >= 0 && at < f.bytes.length && !matters) f.bytes[at]! ^= 1 << (damage & 7)
    if (!tag) return f
    const offload = s.partial ? { ...f.offload, csumStart: l4 + 4 } : {}
    return { bytes: withTag(f.bytes), offload }
  })
}
const single = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 60, size: 'max' }),
  version: fc.constantFrom<4 | 6>(4, 6),
  seq: fc.constantFrom(0, 0xfffffe00),
  df: fc.constantFrom(0, DF)
})

test('property: one flow: joined as the kernel would, cut again as it came, in order', (t) => {
  let joined = 0
  fc.assert(fc.property(single, ({ events, version, seq, df }) => {
    const l = lab()
    const frames = framesOf(events, { version, seq, df }).filter(({ bytes }) => plainIn(bytes))
    const out = through(l, frames)
    t.deepEqual(cutAgain(out), complete(frames))
    // Frames that show no ports (fragments, options) end a run without beginning one, as others do that are no part of any
    t.deepEqual(out.map(countOf), runsOf(frames))
    joined += out.filter((f) => countOf(f) > 1).length
    t.is(l.held(), 0)
  }), { numRuns: 150, seed: 11 })
  t.true(joined > 300, `${joined} runs`)
})

test('property: many flows mixed, tags and damage among them: each comes as it went, in order', (t) => {
  const flow = fc.record({
    events: fc.array(event, { minLength: 1, maxLength: 15, size: 'max' }),
    version: fc.constantFrom<4 | 6>(4, 6),
    sport: fc.integer({ min: 40000, max: 40007 })
  })
  fc.assert(fc.property(fc.array(flow, { minLength: 2, maxLength: 4 }), fc.array(fc.nat(3), { minLength: 60, maxLength: 60 }), (flows, order) => {
    const l = lab()
    const queues = flows.map((f) => framesOf(f.events, { version: f.version, sport: f.sport }))
    const frames: Frame[] = []
    for (const n of [...order, 0, 1, 2, 3].flatMap((k, i) => (i < 60 ? [k] : new Array<number>(15).fill(k)))) {
      const next = queues[n % queues.length]!.shift()
      if (next !== undefined) frames.push(next)
    }
    const out = through(l, frames)
    const byFlow = (list: readonly [Uint8Array, string][]): Record<string, string> => {
      const seen: Record<string, string> = {}
      for (const [bytes, text] of list) {
        const key = plainIn(bytes) ? flowOf(bytes) : 'other'
        seen[key] = `${seen[key] ?? ''}${text},`
      }
      return seen
    }
    t.deepEqual(byFlow(out.map((f) => [f.bytes, asIs(f.bytes, f)])), byFlow(frames.map((f) => [f.bytes, asIs(f.bytes, f.offload)])))
    t.is(l.held(), 0)
  }), { numRuns: 120, seed: 12 })
})

test('a pool that is too small: what leaves is right, what is lost is counted', (t) => {
  const l = lab(ALL, 1500, { packets: 24, largeSlots: 24, smallSlots: 8 })
  const frames = stream(new Array<number>(60).fill(500)).map(frameOf)
  const out = through(l, frames)
  const whole = complete(frames)
  t.true(out.some((f) => countOf(f) > 1))
  for (const frame of cutAgain(out)) t.true(whole.includes(frame))
  t.is(l.held(), 0)
})
