/** UDP sockets in the exchange, between namespaces with a veth pair: datagrams and runs of them. Needs root. */
import test from 'ava'
import fc from 'fast-check'
import { constants } from 'node:os'
import { CTL_GSO_FALLBACKS, CTL_RX_SLOTS, CTL_SLOT_BYTES, RX_FULL, RX_META } from '../../src/native.js'
import { inNs, netnsTest } from '../helpers/netns.js'
import { sockaddr, type Range } from './rig.js'
import { A, PORT, setUp, v6 } from './udp-pair.js'

const { EMSGSIZE } = constants.errno
const nsTest = netnsTest(test)

nsTest('a single datagram arrives with its sender, its tos and no gso size', (t) => {
  const { rig, sender, out, arena, receiver } = setUp()
  t.true(receiver.gro)
  t.true(sender.segment)
  t.false(sender.gro)
  t.is(receiver.port, PORT)
  rig.datagram(sender.fd, [[out, 100]], 0, 0, 9 | 0xb9 << 8)
  t.deepEqual(rig.send(), [0])
  const [got, ...more] = rig.collect(1)
  t.is(more.length, 0)
  t.deepEqual([got!.tag, got!.slot, got!.length, got!.flags & 0xff, got!.low, got!.high], [5000, 0, 100, RX_META, 0xb9, 0])
  t.deepEqual(got!.bytes, arena.slice(out, out + 100))
  t.deepEqual(got!.peer, { family: 2, port: sender.port, address: A })
})

nsTest('IPv6: the same, by rows in addresses', (t) => {
  const { rig, sender } = setUp({ family: 6 }, { family: 6, address: 'fd77::1', port: 50001 })
  rig.datagram(sender.fd, [[rig.out, 33]], 1, 0, 12 << 8)
  t.deepEqual(rig.send(), [0])
  const got = rig.collect(1)[0]!
  t.deepEqual([got.length, got.low, got.high], [33, 12, 0])
  t.deepEqual(got.peer, { family: 10, port: 50001, address: v6(1) })
  rig.datagram(sender.fd, [[rig.out, 1000], [rig.out + 1000, 1000]], 1, 1000, 7)
  t.deepEqual(rig.send(), [0])
  const block = rig.collect(1)[0]!
  t.deepEqual([block.length, block.high], [2000, 1000])
  rig.datagram(sender.fd, [[rig.out, 10]], 0) // an IPv4 destination
  t.not(rig.send()[0], 0)
})

nsTest('a run is gathered from many ranges, and arrives as one block with its gso size', (t) => {
  const { rig, sender, out, arena } = setUp()
  const ranges: Range[] = []
  const expected: number[] = []
  for (let i = 0; i < 44; i++) {
    const length = i < 43 ? 1400 : 100
    ranges.push([out + 60000 + i, 54], [out + i * 1300, length])
    expected.push(...arena.slice(out + 60000 + i, out + 60000 + i + 54), ...arena.slice(out + i * 1300, out + i * 1300 + length))
  }
  rig.datagram(sender.fd, ranges, 0, 1454)
  t.deepEqual(rig.send(), [0])
  const got = rig.collect(1)
  t.is(got.length, 1)
  t.is(got[0]!.high, 1454)
  t.is(got[0]!.length, 43 * 1454 + 154)
  t.deepEqual(got[0]!.bytes, Uint8Array.from(expected))
  t.is(rig.control[CTL_GSO_FALLBACKS], 0)
})

nsTest('without UDP_GRO each datagram comes by itself; 16 and more in one turn', (t) => {
  const { rig, sender, out, receiver } = setUp({ gro: false })
  t.false(receiver.gro)
  rig.datagram(sender.fd, [[out, 40 * 100 - 1]], 0, 100)
  const got = rig.collect(40)
  t.deepEqual(got.map(({ length, high }) => [length, high]), [...Array.from({ length: 39 }, () => [100, 0]), [99, 0]])
  t.deepEqual(got.map(({ bytes }) => bytes[0]), got.map((_, i) => rig.arena[out + i * 100]))
})

nsTest('the largest datagram, and one more byte', (t) => {
  const { rig, sender, out, arena } = setUp()
  rig.datagram(sender.fd, [[out, 30000], [out + 30000, 35507]], 0)
  rig.datagram(sender.fd, [[out, 30000], [out + 30000, 35508]], 0)
  t.deepEqual(rig.send(), [0, EMSGSIZE])
  const got = rig.collect(2).find((x) => x.tag === 5000)!
  t.is(got.length, 65507)
  t.is(got.flags & RX_FULL, 0)
  t.deepEqual(got.bytes, arena.slice(out, out + 65507))
})

nsTest('what is longer than the slot is said to be cut', (t) => {
  const { rig, sender, out, control } = setUp()
  control[CTL_SLOT_BYTES] = 92
  for (const length of [100, 101]) rig.datagram(sender.fd, [[out, length]], 0)
  const got = rig.collect(2)
  t.deepEqual(got.map((a) => [a.length, a.flags & RX_FULL]), [[100, 0], [100, RX_FULL]])
})

nsTest('few slots: nothing is lost, it comes in later turns', (t) => {
  const { rig, sender, out, control } = setUp({ gro: false })
  rig.datagram(sender.fd, [[out, 10 * 50]], 0, 50)
  control[CTL_RX_SLOTS] = 3
  const turns = [rig.turn().arrivals.length]
  while (turns.at(-1)! > 0) turns.push(rig.turn().arrivals.length)
  t.deepEqual(turns, [3, 3, 3, 1, 0])
})

nsTest('a gso size that does not fit the MTU falls back to single datagrams', (t) => {
  const { rig, sender, out, control, arena } = setUp({ gro: false })
  rig.datagram(sender.fd, [[out, 1000], [out + 1000, 999], [out + 1999, 0], [out + 1999, 3002]], 0, 2000) // MTU 1500
  t.deepEqual(rig.send(), [0])
  t.is(control[CTL_GSO_FALLBACKS], 1)
  const got = rig.collect(3)
  t.deepEqual(got.map((x) => x.length), [2000, 2000, 1001])
  t.deepEqual(Uint8Array.from(got.flatMap((x) => [...x.bytes])), arena.slice(out, out + 5001))
})

nsTest('the fallback cuts any list of ranges at the right places', (t) => {
  const { rig, sender, out, arena } = setUp({ gro: false, checksum: false }, { checksum: false })
  t.false(sender.segment, 'no checksum, no segmentation')
  fc.assert(fc.property(
    fc.array(fc.nat(300), { minLength: 1, maxLength: 40 }).filter((lengths) => lengths.some((n) => n > 0)), fc.integer({ min: 50, max: 900 }),
    (lengths, size) => {
      const total = lengths.reduce((sum, n) => sum + n)
      fc.pre(total <= size * 30)
      let at = out
      rig.datagram(sender.fd, lengths.map((n): Range => [(at += n) - n, n]), 0, size)
      const expected = Math.ceil(total / size)
      t.deepEqual(rig.send(), [0])
      const got = rig.collect(expected)
      t.deepEqual(got.map((x) => x.length), Array.from({ length: expected }, (_, i) => Math.min(size, total - i * size)))
      t.deepEqual(Uint8Array.from(got.flatMap((x) => [...x.bytes])), arena.slice(out, out + total))
    }), { numRuns: 60 })
})

nsTest('a socket that only sends keeps nothing that is sent to it', (t) => {
  const { rig, sender, receiver, out, a } = setUp()
  rig.addresses.set(sockaddr(A, sender.port), 16)
  rig.datagram(receiver.fd, [[out, 1000]], 2)
  t.deepEqual(rig.send(), [0])
  t.deepEqual(rig.turn(5).arrivals, [])
  t.regex(inNs(a, 'ss', '-Huan', `sport = ${sender.port}`), /^UNCONN\s+0\s+0/)
})
