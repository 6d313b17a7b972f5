/**
 * Datagrams that came in one piece, joined to super-frames: nothing is joined that the kernel's GRO would not join, and what was joined,
 * cut again, is what came, byte for byte, but for the identification of packets with DF.
 */
import test from 'ava'
import fc from 'fast-check'
import { LARGE, type Packets } from '../../src/core/packets.js'
import { F_NEEDS_CSUM } from '../../src/core/packets.js'
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../../src/core/layout.js'
import { createRuns, MAX_DATAGRAMS } from '../../src/offload/runs.js'
import { be16, be32 } from '../oracle/naive-frames.js'
import { complete, isV6, long, mayJoin, naiveCut, partial, withoutIdentification, word } from './naive-cut.js'
import { bytesOf, createPool, naiveSums } from './packet-lab.js'

const LEAD = 8
const VXLAN = [8, 0, 0, 0, 0, 0, 42, 0]
const ACK = 0x10
const PSH = 8

interface Run {
  /** First datagram and how many. */
  first: number
  count: number
  /** The frame they became; as it came where there is but one. */
  frame: number[]
  columns?: { gsoType: number; gsoSize: number; csumStart: number; csumOffset: number; headerLength: number }
}

/** Lays datagrams one behind the other, as UDP_GRO does, and has them joined. All but the last are equally long. */
const joinAll = (packets: Packets, datagrams: readonly (readonly number[])[]): Run[] => {
  const sums = new Int32Array(3 * MAX_DATAGRAMS)
  const runs = createRuns(packets, sums, naiveSums(packets, sums), LEAD)
  const each = datagrams[0]!.length
  const s = packets.takeSlot(LARGE)
  const whole = packets.received(s, 0, 0)
  const at = packets.slotData[s]! - LEAD
  const all = datagrams.flat()
  packets.bytes.set(all, at)
  packets.bytes.fill(0xee, at + all.length, packets.slotData[s]! + 65536) // whoever reads behind the end finds something else each time
  const found: Run[] = []
  runs.look(at, all.length, each, datagrams.length)
  for (let i = 0; i < datagrams.length;) {
    const count = runs.extent(i, datagrams.length)
    const p = packets.slice(whole, at + i * each + LEAD, datagrams[i]!.length - LEAD, 0)
    const run: Run = { first: i, count, frame: [] }
    if (count > 1) {
      runs.join(p, i, count)
      if ((packets.flags[p]! & F_NEEDS_CSUM) === 0 || packets.stride[p] !== each) throw new Error('columns')
      run.columns = {
        gsoType: packets.gsoType[p]!, gsoSize: packets.gsoSize[p]!, csumStart: packets.csumStart[p]!, csumOffset: packets.csumOffset[p]!,
        headerLength: packets.headerLength[p]!
      }
      packets.linearize(p)
    }
    run.frame = bytesOf(packets, p)
    packets.delivered(p)
    found.push(run)
    i += count
  }
  packets.merged(whole)
  return found
}

/** Everything that must hold of runs, whatever the datagrams are. */
const judge = (datagrams: readonly (readonly number[])[], runs: readonly Run[]): void => {
  const fail = (what: string): never => {
    throw new Error(`${what}\n${datagrams.map((d) => Buffer.from(d).toString('hex')).join('\n')}`)
  }
  let due = 0
  for (const { first, count, frame, columns } of runs) {
    if (first !== due) fail('order')
    due += count
    const came = datagrams.slice(first, first + count)
    if (columns === undefined) {
      if (JSON.stringify(frame) !== JSON.stringify(came[0]!.slice(LEAD))) fail('a single frame has changed')
      continue
    }
    if (!mayJoin(came, LEAD)) fail(`${first}+${count} must not be joined`)
    const isTcp = columns.csumOffset === 16
    const kind = isTcp ? (isV6(frame) ? GSO_TCPV6 : GSO_TCPV4) : GSO_UDP_L4
    const headers = columns.csumStart + (isTcp ? (frame[columns.csumStart + 12]! >> 4) * 4 : 8)
    if (columns.gsoType !== kind || columns.headerLength !== headers ||
      columns.gsoSize !== came[0]!.length - LEAD - headers) fail('columns')
    if (JSON.stringify(frame) !== JSON.stringify(partial(frame, columns.csumStart, isTcp))) fail('lengths and checksums of the whole')
    const cut = naiveCut(frame, columns.csumStart, isTcp, columns.gsoSize).map(withoutIdentification)
    if (JSON.stringify(cut) !== JSON.stringify(came.map((d) => withoutIdentification(d.slice(LEAD))))) fail('cut again it is not what came')
  }
  if (due !== datagrams.length) fail('not all')
}

interface Flow {
  v6: boolean
  isTcp: boolean
  df: boolean
  id: number
  seq: number
  flags: number
  options: number
  size: number
  port: number
}

const FLOW: Flow = { v6: false, isTcp: true, df: true, id: 7, seq: 1000, flags: ACK, options: 3, size: 100, port: 5201 }

const data = (count: number, from: number): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + 3) & 255)

/** Segment i of a flow with `size` bytes of data. */
const segment = (f: Flow, i: number, size = f.size): number[] => {
  const address = (n: number) => (f.v6 ? [0xfd, ...new Array<number>(14).fill(0), n] : [10, 1, 1, n])
  const ip = f.v6 ? [0x60, 0, 0, 5, 0, 0, f.isTcp ? 6 : 17, 64] : [0x45, 0, 0, 0, ...be16((f.id + i) & 0xffff), f.df ? 0x40 : 0,
    0, 64, f.isTcp ? 6 : 17, 0, 0]
  const head = [2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa, ...(f.v6 ? [0x86, 0xdd] : [8, 0]), ...ip, ...address(2), ...address(9)]
  const transport = f.isTcp
    ? [...be16(40000), ...be16(f.port), ...be32((f.seq + i * f.size) % 2 ** 32), ...be32(99), (5 + f.options) << 4, f.flags,
      ...be16(500), 0, 0, 0, 0, ...data(f.options * 4, 9)]
    : [...be16(40000), ...be16(f.port), 0, 0, 0, 0]
  return complete([...head, ...transport, ...data(size, i * f.size)], head.length, f.isTcp)
}

const headersOf = (f: Flow): number => (f.v6 ? 54 : 34) + (f.isTcp ? 20 + f.options * 4 : 8)
const l4Of = (f: Flow): number => (f.v6 ? 54 : 34)
const datagram = (frame: readonly number[]): number[] => [...VXLAN, ...frame]

const flow: fc.Arbitrary<Flow> = fc.record({
  v6: fc.boolean(), isTcp: fc.boolean(), df: fc.boolean(), id: fc.constantFrom(0, 7, 0xfffd), seq: fc.constantFrom(0, 1000, 0xfffffff0),
  flags: fc.constantFrom(ACK, ACK, ACK | 0x40, ACK | 1, ACK | 0x80, ACK | 0x20, 0x2, 0), options: fc.constantFrom(0, 3, 10),
  size: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 61, max: 500 })), port: fc.constant(5201)
})

/** Changes of a frame that keep its length; most of them end in a right checksum, so that only what was changed tells it apart. */
type Change = (b: number[], f: Flow) => number[]

const at = (offset: (f: Flow) => number, change: (value: number) => number, summed = true): Change => (b, f) => {
  const copy = [...b]
  const o = offset(f)
  if (o >= copy.length) return copy
  copy[o] = change(copy[o]!) & 255
  return summed ? complete(copy, l4Of(f), f.isTcp) : copy
}
const flip = (bit: number) => (value: number) => value ^ bit

const CHANGES: Record<string, Change> = {
  'destination MAC': at(() => 5, flip(1)),
  'source MAC': at(() => 11, flip(1)),
  'EtherType': (b) => [...b.slice(0, 12), 0x88, 0xb5, ...b.slice(14)],
  'TOS or traffic class': at(() => 15, flip(0x20)),
  'ECN': at(() => 15, flip(1)),
  'flow label or total length': (b, f) => at(() => 17, flip(2), f.v6)(b, f),
  'identification or payload length': (b, f) => at(() => 19, flip(2), !f.v6)(b, f),
  'identification and checksum': at(() => 18, flip(0x80)),
  'DF or next header': at(() => 20, flip(0x40)),
  'MF': at(() => 20, flip(0x20)),
  'reserved flag': at(() => 20, flip(0x80)),
  'fragment offset or hop limit': at(() => 21, flip(1)),
  'TTL': at(() => 22, flip(1)),
  'protocol': (b, f) => at(() => 23, flip(1), false)(b, f),
  'header checksum': (b, f) => at(() => 25, flip(1), false)(b, f),
  'source address': at((f) => (f.v6 ? 37 : 29), flip(1)),
  'destination address': at((f) => (f.v6 ? 53 : 33), flip(1)),
  'version': at(() => 14, flip(0x10)),
  'header length': (b, f) => at(() => 14, (v) => v + 1, false)(b, f),
  'source port': at((f) => l4Of(f) + 1, flip(1)),
  'destination port': at((f) => l4Of(f) + 3, flip(1)),
  'sequence or UDP length': (b, f) => at((g) => l4Of(g) + 5, flip(4), f.isTcp)(b, f),
  'sequence, high': (b, f) => at((g) => l4Of(g) + 4, flip(0x40), f.isTcp)(b, f),
  'acknowledgment': at((f) => l4Of(f) + 11, flip(1)),
  'data offset': at((f) => l4Of(f) + 12, (v) => v ^ 0x10),
  'AE': at((f) => l4Of(f) + 12, flip(1)),
  'FIN': at((f) => l4Of(f) + 13, flip(1)),
  'SYN': at((f) => l4Of(f) + 13, flip(2)),
  'RST': at((f) => l4Of(f) + 13, flip(4)),
  'PSH': at((f) => l4Of(f) + 13, flip(8)),
  'ACK': at((f) => l4Of(f) + 13, flip(0x10)),
  'URG': at((f) => l4Of(f) + 13, flip(0x20)),
  'ECE': at((f) => l4Of(f) + 13, flip(0x40)),
  'CWR': at((f) => l4Of(f) + 13, flip(0x80)),
  'window': at((f) => l4Of(f) + 15, flip(1)),
  'urgent pointer': at((f) => l4Of(f) + 19, flip(1)),
  'transport checksum': (b, f) => at((g) => l4Of(g) + (g.isTcp ? 17 : 7), flip(1), false)(b, f),
  'no UDP checksum': (b, f) => (f.isTcp ? b : b.map((v, i) => (i === l4Of(f) + 6 || i === l4Of(f) + 7 ? 0 : v))),
  'last byte of options': at((f) => headersOf(f) - 1, flip(1)),
  'a bit of data': (b, f) => at(() => b.length - 1, flip(1), false)(b, f),
  'data': at((f) => headersOf(f), flip(1))
}

type Mutation =
  | { kind: 'change'; at: number; what: string }
  | { kind: 'swap'; at: number }
  | { kind: 'twice'; at: number }
  | { kind: 'missing'; at: number }
  | { kind: 'padded'; at: number; by: number }
  | { kind: 'tunnel'; at: number; byte: number }
  | { kind: 'garbage'; at: number; bytes: Uint8Array }

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('change' as const), at: fc.nat(40),
    what: fc.constantFrom(...Object.keys(CHANGES)) }) },
  fc.record({ kind: fc.constantFrom('swap' as const, 'twice' as const, 'missing' as const), at: fc.nat(40) }),
  fc.record({ kind: fc.constant('padded' as const), at: fc.nat(40), by: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ kind: fc.constant('tunnel' as const), at: fc.nat(40), byte: fc.nat(7) }),
  fc.record({ kind: fc.constant('garbage' as const), at: fc.nat(40), bytes: fc.uint8Array({ maxLength: 70 }) })
)

/** Does one mutation to a list of equally long datagrams. Which flow a frame is of, is known by its place. */
const mutate = (list: number[][], f: Flow, m: Mutation): number[][] => {
  const n = m.at % list.length
  const d = list[n]!
  const out = [...list]
  switch (m.kind) {
    case 'change': {
      const changed = CHANGES[m.what]!(d.slice(LEAD), f)
      if (changed.length === d.length - LEAD) out[n] = [...d.slice(0, LEAD), ...changed]
      return out
    }
    case 'swap': return [...list.slice(0, n), ...list.slice(n, n + 2).reverse(), ...list.slice(n + 2)]
    case 'twice': return [...list.slice(0, n), d, ...list.slice(n)]
    case 'missing': return list.length > 2 ? list.filter((_, i) => i !== n) : list
    case 'padded': { // a shorter packet in a frame as long as the others
      const size = f.size - m.by
      if (size < 0 || d.length !== LEAD + headersOf(f) + f.size) return list
      out[n] = [...d.slice(0, LEAD), ...segment(f, n, size), ...data(m.by, 1)]
      return out
    }
    case 'tunnel':
      out[n] = d.map((b, i) => (i === m.byte ? b ^ 1 : b))
      return out
    case 'garbage':
      out[n] = d.map((b, i) => m.bytes[i] ?? b)
      return out
  }
}

/** All datagrams but the last must be equally long. */
const laidOut = (list: number[][]): number[][] => {
  const end = list.findIndex((d) => d.length !== list[0]!.length)
  return end < 0 ? list : list[end]!.length < list[0]!.length ? list.slice(0, end + 1) : list.slice(0, end)
}

const block = fc
  .record({
    flows: fc.array(flow, { minLength: 1, maxLength: 3 }),
    runs: fc.array(fc.record({ of: fc.nat(2), count: fc.integer({ min: 1, max: 24 }) }), { minLength: 1, maxLength: 4 }),
    last: fc.option(fc.nat(500)),
    push: fc.boolean(),
    mutations: fc.array(mutation, { maxLength: 4 })
  })
  .map(({ flows, runs, last, push, mutations }) => {
    // Frames of the same length whatever they carry, as all come in one piece
    const length = headersOf(flows[0]!) + flows[0]!.size
    const same = flows.map((f) => ({ ...f, size: length - headersOf(f) })).filter((f) => f.size > 0)
    const next = same.map(() => 0)
    let list: number[][] = []
    const main = same[runs[0]!.of % same.length]!
    for (const { of, count } of runs) {
      const k = of % same.length
      for (let i = 0; i < count; i++) list.push(datagram(segment(same[k]!, next[k]!++)))
    }
    const k = runs.at(-1)!.of % same.length
    if (last !== null) {
      let f = same[k]!
      if (push) f = { ...f, flags: f.flags | PSH }
      list.push(datagram(segment(f, next[k]!, last % (f.size + 1))))
    }
    for (const m of mutations) list = laidOut(mutate(list, main, m))
    return list
  })

test('whatever comes: only what GRO would join is joined, and cut again it is what came', (t) => {
  const packets = createPool()
  let joined = 0
  fc.assert(
    fc.property(block, (datagrams) => {
      const list = datagrams.slice(0, MAX_DATAGRAMS)
      const runs = joinAll(packets, list)
      judge(list, runs)
      joined += runs.filter(({ count }) => count > 1).length
    }),
    { numRuns: 1500 }
  )
  t.true(joined > 500, `${joined} runs`)
})

for (const v6 of [false, true]) {
  for (const isTcp of [true, false]) {
    const f: Flow = { ...FLOW, v6, isTcp }
    const name = `${isTcp ? 'TCP' : 'UDP'} over IPv${v6 ? 6 : 4}`

    test(`${name}: a clean run is one super-frame, its shorter end with it`, (t) => {
      const packets = createPool()
      for (const df of [true, false]) {
        for (const last of [f.size, 12, 99]) {
          const list = [0, 1, 2, 3].map((i) => datagram(segment({ ...f, df }, i)))
          list.push(datagram(segment({ ...f, df, flags: ACK | PSH }, 4, last)))
          const runs = joinAll(packets, list)
          judge(list, runs)
          t.deepEqual(runs.map((r) => r.count), [5])
        }
      }
    })

    for (const [what, change] of Object.entries(CHANGES)) {
      test(`${name}: ${what} differs in the middle`, (t) => {
        const packets = createPool()
        const clean = [0, 1, 2, 3, 4, 5].map((i) => datagram(segment(f, i)))
        for (let n = 0; n < clean.length; n++) {
          const list = clean.map((d, i) => (i === n ? datagram(change(d.slice(LEAD), f)) : d))
          judge(list, joinAll(packets, list))
        }
        t.pass()
      })
    }
  }
}

test('a push ends a run, a packet without data has none', (t) => {
  const packets = createPool()
  const flags = [ACK, ACK | PSH, ACK, ACK, ACK | PSH, ACK | PSH]
  const list = flags.map((f, i) => datagram(segment({ ...FLOW, flags: f }, i)))
  const runs = joinAll(packets, list)
  judge(list, runs)
  t.deepEqual(runs.map((r) => r.count), [2, 3, 1])
  const none = [0, 1, 2].map(() => datagram(segment({ ...FLOW, size: 0 }, 0)))
  t.deepEqual(joinAll(packets, none).map((r) => r.count), [1, 1, 1])
})

test('runs of two flows that take turns stay apart; each goes on where it may', (t) => {
  const packets = createPool()
  const g = { ...FLOW, port: 80 }
  const list = [segment(FLOW, 0), segment(FLOW, 1), segment(g, 0), segment(g, 1), segment(FLOW, 2), segment(g, 2)].map(datagram)
  const runs = joinAll(packets, list)
  judge(list, runs)
  t.deepEqual(runs.map((r) => r.count), [2, 2, 1, 1])
})

test('UDP runs are of 64 datagrams at most, TCP runs of all that were looked at', (t) => {
  const packets = createPool()
  for (const [isTcp, counts] of [[true, [MAX_DATAGRAMS]], [false, [64, 64]]] as const) {
    const list = Array.from({ length: MAX_DATAGRAMS }, (_, i) => datagram(segment({ ...FLOW, isTcp }, i)))
    const runs = joinAll(packets, list)
    judge(list, runs)
    t.deepEqual(runs.map((r) => r.count), [...counts])
  }
})

test('sequence numbers and identifications go round', (t) => {
  const packets = createPool()
  const f = { ...FLOW, seq: 2 ** 32 - 150, id: 0xfffe, df: false }
  const list = [0, 1, 2, 3].map((i) => datagram(segment(f, i)))
  t.is(word(list[2]!, LEAD + 18), 0)
  t.is(long(list[2]!, LEAD + 38), 50)
  const runs = joinAll(packets, list)
  judge(list, runs)
  t.deepEqual(runs.map((r) => r.count), [4])
})
