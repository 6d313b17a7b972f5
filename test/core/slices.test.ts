/**
 * Several packets in one slot, and super-frames in pieces: who may write where, what moving and copying keep, and that everything ends once. A
 * model keeps every packet's bytes as they should be.
 */
import test from 'ava'
import fc from 'fast-check'
import { createPackets, F_SHARED, F_SLICE, LARGE, SMALL, type Packets } from '../../src/core/packets.js'
import { HEADROOM, LARGE_DATA, SMALL_DATA } from '../../src/core/layout.js'
import { balanceOf } from '../offload/packet-lab.js'

const HEADERS = 54

/** Where byte i of a packet lies: pieces of a super-frame are `stride` apart. */
const placeOf = (packets: Packets, p: number, i: number): number => {
  const at = packets.start[p]!
  const stride = packets.stride[p]!
  const headers = packets.headerLength[p]!
  const size = packets.gsoSize[p]!
  if (stride === 0 || i < headers) return at + i
  return at + headers + Math.floor((i - headers) / size) * stride + ((i - headers) % size)
}

const bytesOf = (packets: Packets, p: number): number[] => Array.from({ length: packets.length[p]! },
  (_, i) => packets.bytes[placeOf(packets, p, i)]!)

interface Known {
  p: number
  bytes: number[]
}

type Step =
  | { kind: 'receive'; sizes: { size: number; pieces: number; gap: number }[]; seed: number }
  | { kind: 'whole'; size: number; pieces: number; gap: number; seed: number }
  | { kind: 'copy' | 'writable' | 'small' | 'linearize' | 'end' | 'write'; which: number; how: number }

const sized = fc.record({ size: fc.integer({ min: 1, max: 3000 }), pieces: fc.integer({ min: 1, max: 6 }), gap: fc.nat(80) })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('receive' as const),
    sizes: fc.array(sized, { minLength: 1, maxLength: 5 }), seed: fc.nat(255) }) },
  { weight: 1, arbitrary: sized.chain((s) => fc.nat(255).map((seed): Step => ({ kind: 'whole', ...s, seed }))) },
  { weight: 9, arbitrary: fc.record({
    kind: fc.constantFrom('copy' as const, 'writable' as const, 'small' as const, 'linearize' as const, 'end' as const,
      'write' as const), which: fc.nat(1000), how: fc.nat(1000)
  }) }
)

const byteAt = (seed: number, i: number): number => (seed + i * 7 + (i >> 8)) & 255

/** Bytes of a packet of `size` bytes of payload in each of `pieces`, and how many it takes in the slot. */
const extent = (s: { size: number; pieces: number; gap: number }): number => HEADERS + s.size + (s.pieces - 1) * (s.size + HEADERS + s.gap)

const shape = (packets: Packets, p: number, s: { size: number; pieces: number; gap: number }): void => {
  packets.headerLength[p] = HEADERS
  packets.gsoSize[p] = s.size
  packets.gsoType[p] = s.pieces > 1 ? 1 : 0
  packets.stride[p] = s.pieces > 1 ? s.size + HEADERS + s.gap : 0
  packets.l3[p] = packets.start[p]! + 14
  packets.l4[p] = packets.start[p]! + 34
}

const run = (packets: Packets, steps: readonly Step[]): Known[] => {
  let all: Known[] = []
  /** Fills a packet with bytes of its own, in the arena and in the model. */
  const fill = (p: number, seed: number): void => {
    const bytes = Array.from({ length: packets.length[p]! }, (_, i) => byteAt(seed, i))
    for (const [i, b] of bytes.entries()) packets.bytes[placeOf(packets, p, i)] = b
    all.push({ p, bytes })
  }
  const check = (): void => {
    for (const { p, bytes } of all) {
      const now = bytesOf(packets, p)
      for (let i = 0; i < bytes.length; i++) if (bytes[i] !== now[i]) throw new Error(`packet ${p}, byte ${i} of ${bytes.length}: ${now[i]} for ${bytes[i]}`)
      if (packets.l3[p]! - packets.start[p]! !== 14 || packets.l4[p]! - packets.start[p]! !== 34) throw new Error('offsets')
    }
    if (packets.packetsInUse() !== all.length || balanceOf(packets) !== all.length) throw new Error('balance')
  }
  for (const s of steps) {
    if (s.kind === 'receive' || s.kind === 'whole') {
      const slot = packets.takeSlot(LARGE)
      if (slot < 0) continue
      const at = packets.slotData[slot]!
      const whole = packets.received(slot, 1, 0)
      if (whole < 0) continue
      if (s.kind === 'whole') {
        packets.length[whole] = HEADERS + s.size * s.pieces
        shape(packets, whole, s)
        fill(whole, s.seed)
      } else {
        let from = at
        for (const [i, one] of s.sizes.entries()) {
          if (from + extent(one) > at + 65000) break
          const p = packets.slice(whole, from, HEADERS + one.size * one.pieces, 0)
          if (p < 0) break
          shape(packets, p, one)
          fill(p, s.seed + i)
          from += extent(one) + 8
        }
        packets.merged(whole)
      }
    } else if (all.length > 0) {
      const known = all[s.which % all.length]!
      const { p } = known
      const before = { stride: packets.stride[p]!, start: packets.start[p]!, shared: packets.isShared(p) }
      const sharers = all.filter((o) => o !== known && packets.slot[o.p] === packets.slot[p] && packets.start[o.p] === packets.start[p])
      if (sharers.length > 0 && !before.shared) throw new Error('another packet has its bytes, and it is not shared')
      switch (s.kind) {
        case 'copy': {
          const c = packets.copy(p)
          if (c < 0) break
          packets.l3[c] = packets.l3[p]!
          packets.l4[c] = packets.l4[p]!
          packets.flowHash[c] = 0
          all.push({ p: c, bytes: [...known.bytes] })
          if (!packets.isShared(p) || !packets.isShared(c)) throw new Error('a copy shares its bytes')
          break
        }
        case 'writable':
          if (packets.makeWritable(p) && packets.isShared(p)) throw new Error('still shared')
          break
        case 'small': {
          const moved = packets.moveToSmall(p)
          if (moved !== packets.slot[p]! >= packets.largeSlots) throw new Error('where is it?')
          if (moved && packets.length[p]! > SMALL_DATA) throw new Error('too large for a small slot')
          if (moved && (packets.flags[p]! & (F_SLICE | F_SHARED)) !== 0 &&
            packets.start[p] !== before.start) throw new Error('a slot of its own, and a slice')
          break
        }
        case 'linearize':
          if (packets.linearize(p) && packets.stride[p] !== 0) throw new Error('still in pieces')
          if (packets.stride[p] !== 0 && packets.freeSlots(LARGE) > 0) throw new Error('could have been put together')
          break
        case 'write': { // a header, as a router does
          if (!packets.makeWritable(p)) break
          for (let i = 0; i < HEADERS; i++) {
            known.bytes[i] = (known.bytes[i]! + s.how) & 255
            packets.bytes[placeOf(packets, p, i)] = known.bytes[i]!
          }
          // Room before a frame, unless it is a slice; headers of tunnels and devices are written there
          if ((packets.flags[p]! & F_SLICE) === 0) packets.bytes.fill(s.how & 255, packets.start[p]! - HEADROOM, packets.start[p]!)
          break
        }
        case 'end':
          all = all.filter((o) => o !== known)
          ;[packets.delivered, packets.merged, packets.transmitted, (q: number) => packets.drop(q, 3)][s.how % 4]!(p)
          break
      }
    }
    check()
  }
  return all
}

test('whatever is done with slices, copies and pieces: every packet keeps its bytes, and all end once', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom({ packets: 64, largeSlots: 8, smallSlots: 8 },
      { packets: 9, largeSlots: 2, smallSlots: 1 }), (steps, pool) => {
      const packets = createPackets(pool)
      for (const { p } of run(packets, steps)) packets.delivered(p)
      if (packets.packetsInUse() !== 0 || balanceOf(packets) !== 0) throw new Error('balance')
      if (packets.freeSlots(LARGE) !== pool.largeSlots || packets.freeSlots(SMALL) !== pool.smallSlots) throw new Error('slots')
    }),
    { numRuns: 200 }
  )
  t.pass()
})

test('slices of one slot may be written each by itself; a copy of one makes that one shared, not its neighbours', (t) => {
  const packets = createPackets({ packets: 8, largeSlots: 2, smallSlots: 2 })
  const whole = packets.received(packets.takeSlot(LARGE), 300, 0)
  const [a, b] = [0, 100].map((o) => packets.slice(whole, packets.start[whole]! + o, 100, 0)) as [number, number]
  packets.merged(whole)
  t.deepEqual([packets.isShared(a), packets.isShared(b)], [false, false])
  const c = packets.copy(a)
  t.deepEqual([packets.isShared(a), packets.isShared(b), packets.isShared(c)], [true, false, true])
  t.true(packets.makeWritable(a))
  t.is(packets.freeSlots(SMALL), 1)
  t.true(packets.makeWritable(b))
  t.is(packets.freeSlots(SMALL), 1, 'not copied')
  for (const p of [a, b, c]) packets.delivered(p)
  t.is(packets.freeSlots(LARGE), 2)
})

test('a slice for which there is no row is counted as lost', (t) => {
  const packets = createPackets({ packets: 1, largeSlots: 1, smallSlots: 1 })
  const whole = packets.received(packets.takeSlot(LARGE), LARGE_DATA, 0)
  t.is(packets.slice(whole, packets.start[whole]!, 100, 0), -1)
  t.is(packets.balance[6], 1)
  packets.merged(whole)
  t.is(balanceOf(packets), 0)
})
