import test from 'ava'
import fc from 'fast-check'
import { B_MERGED, B_PIECES, F_NEEDS_CSUM } from '../../src/core/packets.js'
import { createSegmenter } from '../../src/offload/segment.js'
import { createFragmenter } from '../../src/element/fragment.js'
import { BEYOND, HOST, diceOf, ipPacket, localLab, udpDatagram, type Ip4Fields } from '../helpers/local-lab.js'

type Lab = ReturnType<typeof localLab>

const fragmenterOf = (lab: Lab) => {
  const pieces: { bytes: Buffer; a: number; b: number }[] = []
  const fragmenter = createFragmenter({
    completeChecksum: createSegmenter(lab.packets, () => undefined).completeChecksum,
    packets: lab.packets,
    emit: (p, a, b) => {
      if ((lab.packets.start[p]! & 3) !== 2 || lab.packets.l3[p] !== lab.packets.start[p]! + 14) throw new Error('not aligned')
      pieces.push({ bytes: Buffer.from(lab.frameOf(p).subarray(14)), a, b })
      lab.packets.transmitted(p)
    }
  })
  return { fragment: fragmenter.fragment, pieces }
}

const cut = (packet: Buffer, mtu: number, lab = localLab()): string[] => {
  const { fragment, pieces } = fragmenterOf(lab)
  fragment(lab.packet(packet), mtu, 0, 0)
  return pieces.map((x) => x.bytes.toString('hex'))
}
const udpOut: Ip4Fields = { destination: BEYOND, protocol: 17 }
const numbers = Buffer.from(Array.from({ length: 100 }, (_, i) => i))

test('cuts at multiples of 8 and keeps identification; the last piece takes the rest', (t) => {
  const lab = localLab()
  // 100 bytes of data, 50 a piece at most: 48, 48, 4
  t.deepEqual(cut(ipPacket({ ...udpOut, id: 0xabcd, tos: 4, ttl: 7 }, numbers), 70, lab), [
    '45040044abcd20000711' + 'd03a' + '0a4d01020a4d0202' + numbers.subarray(0, 48).toString('hex'),
    '45040044abcd20060711' + 'd034' + '0a4d01020a4d0202' + numbers.subarray(48, 96).toString('hex'),
    '45040018abcd000c0711' + 'f05a' + '0a4d01020a4d0202' + numbers.subarray(96).toString('hex')
  ])
  t.is(lab.packets.balance[B_PIECES], 3)
  t.is(lab.packets.balance[B_MERGED], 1)
  t.true(lab.isWhole())
})

test('the last piece may be longer than a multiple of 8 where it fits', (t) => {
  const sizes = cut(ipPacket(udpOut, numbers), 20 + 51).map((h) => h.length / 2 - 20)
  t.deepEqual(sizes, [48, 48, 4])
  t.deepEqual(cut(ipPacket(udpOut, numbers), 20 + 52).map((h) => h.length / 2 - 20), [48, 52])
  t.deepEqual(cut(ipPacket(udpOut, numbers.subarray(0, 96)), 20 + 48).map((h) => h.length / 2 - 20), [48, 48])
})

test('a fragment is cut again: offsets go on, more fragments stays', (t) => {
  const words = (fragment: number): number[] =>
    cut(ipPacket({ ...udpOut, fragment }, numbers.subarray(0, 80)), 60).map((h) => Number.parseInt(h.slice(12, 16), 16))
  t.deepEqual(words(0x2000 | 50), [0x2000 | 50, 0x2000 | 55])
  t.deepEqual(words(50), [0x2000 | 50, 55])
})

test('options with the copied flag go into every piece, others into the first only', (t) => {
  const options = [1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0x1e, 3, 9, 0]
  const headers = cut(ipPacket({ ...udpOut, options }, numbers), 36 + 40).map((h) => h.slice(40, 72))
  t.is(headers.length, 3)
  t.is(headers[0], '01070704000000009404000' + '01e030900')
  t.is(headers[1], '01010101010101019404000' + '001010100')
  t.is(headers[2], headers[1])
  // A later fragment has what belongs into it already
  const later = cut(ipPacket({ ...udpOut, options: [7, 3, 4, 0], fragment: 10 }, numbers), 84).map((h) => h.slice(40, 48))
  t.deepEqual(later, ['07030400', '07030400'])
})

test('a partial checksum is completed over the whole first', (t) => {
  const lab = localLab()
  const { fragment, pieces } = fragmenterOf(lab)
  const whole = udpDatagram(numbers, HOST, BEYOND)
  const partial = Buffer.from(whole)
  // The pseudo-header's sum: addresses, protocol, length
  let sum = 0x0a4d + 0x0102 + 0x0a4d + 0x0202 + 17 + whole.length
  sum = (sum & 0xffff) + (sum >>> 16)
  partial.writeUInt16BE(sum, 6)
  const p = lab.packet(ipPacket(udpOut, partial), F_NEEDS_CSUM)
  lab.packets.csumStart[p] = 34
  lab.packets.csumOffset[p] = 6
  fragment(p, 68, 0, 0)
  t.deepEqual(Buffer.concat(pieces.map((x) => x.bytes.subarray(20))), whole)
  t.true(lab.isWhole())
})

test('the arguments go with every piece, in order', (t) => {
  const lab = localLab()
  const { fragment, pieces } = fragmenterOf(lab)
  fragment(lab.packet(ipPacket(udpOut, numbers)), 68, 7, -3)
  t.deepEqual(pieces.map(({ a, b }) => [a, b]), [[7, -3], [7, -3], [7, -3]])
})

test('a pool that runs dry half-way: no piece is sent', (t) => {
  const lab = localLab({ pool: { packets: 8, largeSlots: 1, smallSlots: 2 } })
  t.deepEqual(cut(ipPacket(udpOut, numbers), 60, lab), [])
  t.deepEqual(lab.drops(), { 'no-buffer': 3 })
  t.true(lab.isWhole())
})

test('an MTU that holds no data', (t) => {
  const lab = localLab()
  t.deepEqual(cut(ipPacket(udpOut, numbers), 27, lab), [])
  t.deepEqual(lab.drops(), { 'mtu-exceeded': 1 })
})

test('what is shared is not written to', (t) => {
  const lab = localLab()
  const { fragment, pieces } = fragmenterOf(lab)
  const packet = ipPacket({ ...udpOut, options: [7, 3, 4, 0] }, numbers)
  const p = lab.packet(packet)
  const copy = lab.packets.copy(p)
  lab.packets.l3[copy] = lab.packets.l3[p]!
  lab.packets.l4[copy] = lab.packets.l4[p]!
  fragment(copy, 68, 0, 0)
  t.is(pieces.length, 3)
  t.deepEqual(Buffer.from(lab.frameOf(p).subarray(14)), packet)
  lab.packets.delivered(p)
  t.true(lab.isWhole())
})

test('property: cut, shuffled, put together again: the same datagram', (t) => {
  const options = fc.constantFrom<number[]>([], [148, 4, 0, 0], [1, 1, 148, 4, 0, 0, 0, 0], [0x9e, 6, 1, 2, 3, 4, 0, 0], Array<number>(40).fill(1))
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 68, max: 2500 }), options, fc.integer(), fc.integer(),
    (size, mtu, opts, seed, shuffle) => {
      const dice = diceOf(shuffle)
      const lab = localLab({ pool: { packets: 2400, largeSlots: 12, smallSlots: 1300 }, limits: { highThresh: 4 << 20 } })
      const data = Buffer.from(Array.from({ length: size }, (_, i) => Math.imul(i + 1, seed | 1) >>> 13))
      const packet = ipPacket({ protocol: 99, options: opts, id: seed & 0xffff }, data)
      const held: number[] = []
      const fragmenter = createFragmenter({ packets: lab.packets, completeChecksum: createSegmenter(lab.packets, () => undefined).completeChecksum, emit: (p) => held.push(p) })
      fragmenter.fragment(lab.packet(packet), mtu, 0, 0)
      for (const p of held) if (lab.packets.length[p]! - 14 > mtu) return false
      if (held.length === 1) {
        const same = lab.frameOf(held[0]!).subarray(14).equals(packet)
        lab.packets.delivered(held[0]!)
        return same && lab.isWhole()
      }
      let whole = -1
      while (held.length > 0) {
        const [p] = held.splice(dice() % held.length, 1)
        if (whole >= 0) return false
        whole = lab.reassembly.add(p!, lab.eth0)
      }
      const same = whole >= 0 && lab.frameOf(whole).subarray(14).equals(packet)
      lab.packets.delivered(whole)
      return same && lab.reassembly.held() === 0 && lab.isWhole()
    }), { numRuns: 60 })
  t.pass()
})
