import test from 'ava'
import fc from 'fast-check'
import { F_LINK_BROADCAST, LARGE, SMALL } from '../../src/core/packets.js'
import { HOST, bytesOf, diceOf, icmp, ipPacket, localLab, shape, type Ip4Fields } from '../helpers/local-lab.js'

const MF = 0x2000
const SMALL_POOL = { packets: 64, largeSlots: 12, smallSlots: 40 }

/** Bytes `from` to `to` of a payload as a fragment. */
const piece = (payload: Buffer, from: number, to: number, fields: Ip4Fields = {}): Buffer =>
  ipPacket({ protocol: 1, id: 7, ...fields, fragment: (from >> 3) | (to < payload.length ? MF : 0) }, payload.subarray(from, to))

const echo64 = icmp(8, 0, 0x11110001, Buffer.alloc(40, 'q'))
const answer64 = shape('45000044ec600000400177bc0a4d01010a4d0102000012111111000171717171717171717171717171717171717171717171717171717171717171717171717171717171')

test('an echo request in two pieces is answered, in any order', (t) => {
  for (const order of [[0, 24], [24, 0]]) {
    const lab = localLab()
    const [a, b] = order.map((from) => piece(echo64, from, from === 0 ? 24 : 48))
    t.deepEqual(lab.deliver(a!), [])
    t.is(lab.reassembly.held(), 1)
    t.true(lab.isWhole(1))
    t.deepEqual(lab.deliver(b!).map(shape), [answer64])
    t.true(lab.isWhole())
  }
})

test('held fragments lie in small slots', (t) => {
  const lab = localLab()
  const before = lab.packets.freeSlots(LARGE)
  lab.deliver(piece(echo64, 0, 24))
  t.is(lab.packets.freeSlots(LARGE), before)
  t.is(lab.packets.freeSlots(SMALL), lab.packets.smallSlots - 1)
})

test('a piece that is no multiple of 8 is cut to one, unless it is the last', (t) => {
  const lab = localLab()
  lab.deliver(ipPacket({ id: 1, fragment: MF }, echo64.subarray(0, 27)))
  t.deepEqual(lab.deliver(ipPacket({ id: 1, fragment: 3 }, echo64.subarray(24))).map(shape), [answer64])
})

test('a duplicate is dropped alone, also one inside others', (t) => {
  const lab = localLab()
  lab.deliver(piece(echo64, 0, 24))
  lab.deliver(piece(echo64, 8, 24))
  lab.deliver(piece(echo64, 0, 24))
  lab.deliver(piece(echo64, 24, 32))
  lab.deliver(piece(echo64, 16, 32))
  t.deepEqual(lab.drops(), { 'reassembly-duplicate': 3 })
  t.deepEqual(lab.deliver(piece(echo64, 32, 48)).map(shape), [answer64])
  t.true(lab.isWhole())
})

test('an overlap takes the datagram with it', (t) => {
  const cases: [number, number][][] = [
    [[0, 24], [16, 32]], [[16, 32], [8, 24]], [[16, 32], [8, 40]], [[24, 48], [16, 32]], [[0, 8], [16, 24], [0, 24]]
  ]
  for (const pieces of cases) {
    const lab = localLab()
    for (const [from, to] of pieces) lab.deliver(piece(echo64, from, to))
    t.deepEqual(lab.drops(), { 'reassembly-overlap': pieces.length }, JSON.stringify(pieces))
    t.is(lab.reassembly.datagrams(), 0)
    t.true(lab.isWhole())
  }
})

test('contradicting lengths take the datagram with them', (t) => {
  const last = (from: number, to: number): Buffer => ipPacket({ id: 7, fragment: from >> 3 }, echo64.subarray(from, to))
  const more = (from: number, to: number): Buffer => ipPacket({ id: 7, fragment: MF | (from >> 3) }, echo64.subarray(from, to))
  for (const [a, b] of [
    [last(24, 48), last(16, 24)], [last(24, 40), last(40, 48)], [last(16, 24), more(24, 32)], [more(24, 32), last(8, 16)]
  ] as const) {
    const lab = localLab()
    lab.deliver(a)
    lab.deliver(b)
    t.deepEqual(lab.drops(), { 'reassembly-overlap': 2 })
    t.true(lab.isWhole())
  }
})

test('a piece without data', (t) => {
  const lab = localLab()
  lab.deliver(ipPacket({ id: 7, fragment: MF | 3 }, Buffer.alloc(7)))
  lab.deliver(ipPacket({ id: 7, fragment: 3 }, Buffer.alloc(0)))
  t.deepEqual(lab.drops(), { 'reassembly-overlap': 2 })
  t.true(lab.isWhole())
})

test('more than 65535 bytes in all', (t) => {
  const lab = localLab()
  lab.deliver(ipPacket({ id: 7, fragment: 8189 }, Buffer.alloc(3)))
  t.deepEqual(lab.drops(), {}, '20 + 65512 + 3 just fits')
  lab.deliver(ipPacket({ id: 8, fragment: 8189 }, Buffer.alloc(4)))
  t.deepEqual(lab.drops(), { 'reassembly-overlap': 1 })
  // Too long only with the options of the first
  lab.deliver(ipPacket({ id: 9, fragment: 8189 }, Buffer.alloc(3)))
  lab.deliver(ipPacket({ id: 9, fragment: MF, options: [1, 1, 1, 0] }, Buffer.alloc(32760)))
  lab.deliver(ipPacket({ id: 9, fragment: MF | 4095 }, Buffer.alloc(32752)))
  t.deepEqual(lab.drops(), { 'reassembly-overlap': 4 })
})

test('congestion marks: CE is kept, a mix with not-ECT is refused', (t) => {
  const tosOf = (a: number, b: number): number[] => {
    const lab = localLab()
    lab.deliver(piece(echo64, 0, 24, { tos: a }))
    return lab.deliver(piece(echo64, 24, 48, { tos: b })).map((h) => bytesOf(h)[1]!)
  }
  t.deepEqual(tosOf(1, 3), [3])
  t.deepEqual(tosOf(0x22, 3), [0x23])
  t.deepEqual(tosOf(2, 1), [2])
  t.deepEqual(tosOf(0xe0, 0), [0xe0])
  t.deepEqual(tosOf(0, 3), [])
  t.deepEqual(tosOf(2, 0), [])
})

test('an error quotes the reassembled datagram, with the options of the first', (t) => {
  const lab = localLab()
  const rr = [7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  lab.deliver(piece(echo64, 0, 24, { protocol: 99, id: 5, options: rr }))
  // As the kernel's, but that its quote has the options already filled in
  t.deepEqual(lab.deliver(piece(echo64, 24, 48, { protocol: 99, id: 5, options: rr })).map(shape), [shape(
    '49c00080ede700004001c2130a4d01010a4d0102070f0c0a4d01010a4d010100000000000302' + 'fcfd' + '00000000' +
    '490000540005000040635497' + '0a4d01020a4d0101' + '070f0400000000000000000000000000' +
    '08000a111111000171717171717171717171717171717171717171717171717171717171717171717171717171717171')])
  t.true(lab.isWhole())
})

test('after 30 seconds the sender of the first fragment is told, and all are dropped', (t) => {
  const lab = localLab()
  lab.deliver('4520002f00062000406343aa0a4d01020a4d010108000a111111000171717171717171717171717171717171717171')
  lab.clock.now = 10_000
  lab.deliver(ipPacket({ protocol: 99, id: 6, tos: 0x20, fragment: 4 }, Buffer.alloc(9)))
  t.is(lab.reassembly.nextTimer(), 30_000)
  lab.reassembly.tick(29_999)
  t.is(lab.reassembly.held(), 2)
  lab.clock.now = 30_000
  lab.reassembly.tick(30_000)
  t.deepEqual(lab.sent.map(shape), [shape(
    '45c00048f586000040016dd20a4d01010a4d01020b014650000000004520002f00062000406343aa0a4d01020a4d010108000a111111000171717171717171717171717171717171')])
  t.deepEqual(lab.drops(), { 'reassembly-timeout': 2 })
  t.is(lab.reassembly.nextTimer(), Infinity)
  t.true(lab.isWhole())
})

test('without the first fragment nobody is told; nor after the interface is gone', (t) => {
  const lab = localLab()
  lab.deliver(piece(echo64, 24, 48, { protocol: 99 }))
  lab.reassembly.tick(30_000)
  lab.clock.now = 30_000
  lab.deliver(piece(echo64, 0, 24, { protocol: 99 }))
  lab.interfaces.remove(lab.eth0)
  lab.reassembly.tick(60_000)
  t.deepEqual(lab.sent, [])
  t.deepEqual(lab.drops(), { 'reassembly-timeout': 2 })
  t.true(lab.isWhole())
})

test('pieces of different datagrams do not mix', (t) => {
  const others: Ip4Fields[] = [{ id: 8 }, { source: '10.77.1.9' }, { destination: '10.77.2.1' }, { protocol: 17 }]
  for (const other of others) {
    const lab = localLab()
    lab.deliver(piece(echo64, 0, 24))
    t.deepEqual(lab.deliver(piece(echo64, 24, 48, other)), [])
    t.is(lab.reassembly.datagrams(), 2)
  }
})

test('too many datagrams, too many bytes: refused until there is room', (t) => {
  const few = localLab({ limits: { capacity: 2 } })
  for (const id of [1, 2, 3]) few.deliver(piece(echo64, 0, 24, { id }))
  t.deepEqual(few.drops(), { 'reassembly-full': 1 })
  t.is(few.deliver(piece(echo64, 24, 48, { id: 1 })).length, 1)
  few.deliver(piece(echo64, 0, 24, { id: 3 }))
  t.deepEqual(few.drops(), { 'reassembly-full': 1 })

  const bytes = localLab({ limits: { highThresh: 5000 } })
  for (const id of [1, 2, 3, 4]) bytes.deliver(piece(echo64, 0, 24, { id }))
  t.deepEqual(bytes.drops(), { 'reassembly-full': 1 }, 'three small slots are 6336 bytes')
  bytes.deliver(piece(echo64, 24, 48, { id: 1 }))
  t.deepEqual(bytes.drops(), { 'reassembly-full': 2 })
  bytes.reassembly.tick(30_000)
  t.true(bytes.isWhole())
})

test('no large slot for the whole', (t) => {
  const lab = localLab({ pool: { packets: 16, largeSlots: 1, smallSlots: 8 } })
  const payload = icmp(8, 0, 1, Buffer.alloc(2992))
  lab.deliver(piece(payload, 0, 1480))
  lab.deliver(piece(payload, 1480, 2960))
  t.deepEqual(lab.deliver(piece(payload, 2960, 3000)), [])
  t.deepEqual(lab.drops(), { 'no-buffer': 3 })
  t.true(lab.isWhole())
})

test('a stack that goes away takes its fragments along', (t) => {
  const lab = localLab()
  lab.deliver(piece(echo64, 0, 24))
  lab.reassembly.flush(lab.stack + 1)
  t.is(lab.reassembly.held(), 1)
  lab.reassembly.flush(lab.stack)
  t.deepEqual(lab.drops(), { 'port-gone': 1 })
  t.true(lab.isWhole())
})

test('link broadcast stays known', (t) => {
  const lab = localLab()
  lab.deliver(piece(echo64, 0, 24, { protocol: 99 }), F_LINK_BROADCAST)
  t.deepEqual(lab.deliver(piece(echo64, 24, 48, { protocol: 99 })), [], 'no error about it')
  t.deepEqual(lab.drops(), { 'protocol-unreachable': 1 })
})

test('property: random cuts, order and duplicates give the original bytes', (t) => {
  fc.assert(fc.property(
    fc.uint8Array({ minLength: 9, maxLength: 4000 }), fc.array(fc.nat(), { minLength: 1, maxLength: 12 }), fc.array(fc.nat(), { maxLength: 8 }),
    fc.integer(),
    (data, cuts, again, shuffle) => {
      const dice = diceOf(shuffle)
      const lab = localLab({ pool: SMALL_POOL })
      const payload = Buffer.from(data)
      const places = [...new Set([0, ...cuts.map((c) => (c % Math.ceil(payload.length / 8)) * 8)])].sort((a, b) => a - b)
      if (places.length === 1) places.push(8)
      const pieces = places.map((from, i) => piece(payload, from, places[i + 1] ?? payload.length, { protocol: 99, source: HOST }))
      const queue = pieces.slice()
      for (const n of again) queue.push(pieces[n % pieces.length]!)
      let whole = -1
      const missing = new Set(pieces)
      while (missing.size > 0) {
        const [next] = queue.splice(dice() % queue.length, 1)
        missing.delete(next!)
        whole = lab.reassembly.add(lab.packet(next!), lab.eth0)
        if (whole >= 0 && missing.size > 0) return false
      }
      if (whole < 0 || lab.reassembly.held() !== 0) return false
      const same = lab.frameOf(whole).subarray(14).equals(ipPacket({ protocol: 99, id: 7 }, payload))
      lab.packets.delivered(whole)
      for (const rest of queue) {
        const again = lab.reassembly.add(lab.packet(rest), lab.eth0)
        if (again >= 0) lab.packets.delivered(again)
      }
      lab.reassembly.tick(1e9)
      return same && lab.isWhole()
    }), { numRuns: 200 })
  t.pass()
})

test('property: fragments of any kind: nothing leaks', (t) => {
  const fragment = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.boolean(), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 1 }))
  fc.assert(fc.property(fc.array(fragment, { maxLength: 40 }), (fragments) => {
    const lab = localLab({ pool: SMALL_POOL, limits: { capacity: 4, highThresh: 40_000 } })
    for (const [offset, more, size, id] of fragments) {
      lab.clock.now += 100
      lab.deliver(ipPacket({ protocol: 99, id, fragment: offset | (more || offset === 0 ? MF : 0) }, Buffer.alloc(size)))
      lab.reassembly.tick(lab.clock.now)
      if (!lab.isWhole(lab.reassembly.held())) return false
    }
    lab.reassembly.tick(1e9)
    return lab.isWhole()
  }), { numRuns: 200 })
  t.pass()
})
