/** Fragments against the kernel's: cutting on the way out, putting together what is for the router itself. */
import test from 'ava'
import { echo, udp } from '../oracle/naive-frames.js'
import { data, DF, ICMP, ipPacket, MF, patch, UDP, type Bytes } from '../helpers/frames.js'
import { A, aToB, FAR, fromB, NEAR, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const small = (mtu: number) => withLinks({ eth1: { mtu } })
const plan = router()

/** RR with room for 3, NOP, a copied option nobody knows, one that is not copied. */
const OPTIONS = [7, 15, 4, ...data(12), 1, 0x9e, 4, 1, 2, 0x1e, 4, 3, 4]

const cutting: Scenario[] = [
  {
    name: 'DF and too big: fragmentation needed with the MTU',
    plan: small(1000), steps: [aToB({ flags: DF, payload: data(981) })], frames: 1, drops: { 'fragmentation-needed': 1 }
  },
  { name: 'DF and just fitting', plan: small(1000), steps: [aToB({ flags: DF, payload: data(980) })], frames: 1 },
  {
    name: 'DF, too big and TTL 1: time exceeded',
    plan: small(1000), steps: [aToB({ flags: DF, ttl: 1, payload: data(1000) })], frames: 1
  },
  {
    name: 'DF, too big, and a fragment that is not the first: nobody is told',
    plan: small(1000), steps: [aToB({ flags: DF | 10, payload: data(1000) })], frames: 0
  },
  { name: 'cut in two', plan: small(1000), steps: [aToB({ payload: data(1000) })], frames: 2 },
  { name: 'a piece is a multiple of eight', plan: small(1003), steps: [aToB({ payload: data(1400) })], frames: 2 },
  { name: 'one byte too long', plan: small(1000), steps: [aToB({ payload: data(981) })], frames: 2 },
  { name: 'exactly full pieces', plan: small(516), steps: [aToB({ payload: data(992) })], frames: 2 },
  { name: 'cut for the least MTU', plan: small(68), steps: [aToB({ payload: data(500) })], frames: 11 },
  {
    name: 'a fragment is cut again, in the middle',
    plan: small(576), steps: [aToB({ flags: MF | 100, payload: data(1000) })], frames: 2
  },
  { name: 'the last fragment is cut again', plan: small(576), steps: [aToB({ flags: 100, payload: data(1001) })], frames: 2 },
  {
    name: 'the reserved flag of a packet that is cut',
    plan: small(576), steps: [aToB({ flags: 0x8000, payload: data(1000) })], frames: 2
  },
  {
    name: 'TOS and identification are repeated',
    plan: small(576), steps: [aToB({ tos: 0xb9, id: 0xbeef, payload: data(1000) })], frames: 2
  },
  {
    name: 'options are copied into later fragments or blanked',
    plan: small(576), steps: [aToB({ options: OPTIONS, payload: data(1000) })], frames: 2
  },
  {
    name: 'forty bytes of options and the least MTU',
    plan: small(68), steps: [aToB({ options: [0x9e, 39, ...data(37)], payload: data(64) })], frames: 8
  },
  {
    name: 'an end of options in a packet that is cut',
    plan: small(576), steps: [aToB({ options: [0x1e, 3, 7, 0, 5, 6, 7, 8], payload: data(1000) })], frames: 2
  },
  {
    name: 'our own error is cut to the MTU of its way',
    plan: withLinks({ eth0: { mtu: 300 } }),
    steps: [fromB(ipPacket({ src: '10.8.1.1', dst: '10.9.1.1', ttl: 1, payload: data(900) }))], frames: 1
  },
  {
    name: 'our own answer is fragmented',
    plan: small(576), steps: [aToB({ src: '10.9.1.1', dst: NEAR, protocol: ICMP, payload: echo(8, 1, 1, data(1200)) })], frames: 3
  },
  {
    name: 'a directed broadcast that is forwarded is cut',
    plan: withLinks({ eth0: { bcForwarding: true }, eth1: { mtu: 576, bcForwarding: true } }),
    steps: [aToB({ dst: '10.1.2.255', payload: data(1000) })], frames: 2
  }
]

/** Pieces of an echo request to the router: [offset, length, more], in bytes. */
const whole = echo(8, 0x77, 1, data(2000))
const piece = (from: number, to: number, more: boolean, content: Bytes = whole, extra: Parameters<typeof aToB>[0] = {}) =>
  aToB({ dst: NEAR, protocol: ICMP, flags: (more ? MF : 0) | (from / 8), payload: content.slice(from, to), ...extra })
const end = whole.length
const first = piece(0, 1000, true)
const middle = piece(1000, 1504, true)
const last = piece(1504, end, false)
const LIMIT = { 'ipv4/ipfrag_time': 1 }
const expire = { wait: 31_000, kernel: 1800 }

const together: Scenario[] = [
  { name: 'echo in three fragments', plan, steps: [first, middle, last], frames: 2 },
  { name: 'the last one first', plan, steps: [last, middle, first], frames: 2 },
  { name: 'the middle one last', plan, steps: [first, last, middle], frames: 2 },
  {
    name: 'to the far address',
    plan,
    steps: [first, middle, last].map((s) =>
      s).concat(piece(0, 1000, true, whole, { dst: FAR }), piece(1000, end, false, whole, { dst: FAR })),
    frames: 4
  },
  { name: 'a fragment twice', plan, steps: [first, first, middle, middle, last], frames: 2 },
  {
    name: 'a duplicate with other bytes is not looked at',
    plan, steps: [first, piece(0, 1000, true, patch(whole, 100, 1, 2, 3)), middle, last], frames: 2
  },
  { name: 'a duplicate inside what is there', plan, steps: [first, piece(400, 800, true), middle, last], frames: 2 },
  {
    name: 'an overlap gives all up',
    plan, steps: [first, piece(800, 1504, true), middle, last], frames: 0, drops: { 'reassembly-overlap': 2 }
  },
  { name: 'an overlap at the front gives all up', plan, steps: [middle, piece(800, 1200, true), first, last], frames: 0 },
  {
    name: 'a fragment that covers another gives all up, and what follows begins anew',
    plan, steps: [piece(400, 800, true), piece(0, 1504, true), last, first, middle], frames: 2
  },
  { name: 'two ends', plan, steps: [first, last, piece(1504, end - 100, false), middle], frames: 0 },
  { name: 'a fragment beyond the end', plan, steps: [first, last, piece(2400, 2408, true, data(3000)), middle], frames: 0 },
  {
    name: 'a middle fragment not a multiple of eight is cut to one',
    plan, steps: [piece(0, 1003, true), middle, last], frames: 2
  },
  {
    name: 'a fragment without data',
    plan,
    steps: [
      aToB({ dst: NEAR, protocol: ICMP, flags: MF, payload: [] }), aToB({ dst: NEAR, protocol: ICMP, flags: 100, payload: [] }),
      first, middle, last
    ],
    frames: 2
  },
  {
    name: 'a datagram too long for IPv4',
    plan, steps: [first, aToB({ dst: NEAR, protocol: ICMP, flags: 0x1fff, payload: data(100) })], frames: 0
  },
  { name: 'different identification, source, protocol: not the same datagram', plan, steps: [
    piece(0, 1000, true), piece(1000, end, false, whole, { id: 9 }), piece(1000, end, false, whole, { src: '10.1.1.3' }),
    piece(1000, end, false, whole, { protocol: UDP })
  ], frames: 0 },
  {
    name: 'different TOS: the same datagram',
    plan, steps: [piece(0, 1000, true, whole, { tos: 0x20 }), piece(1000, end, false, whole, { tos: 0x40 })], frames: 2
  },
  {
    name: 'CE on some fragments',
    plan, steps: [piece(0, 1000, true, whole, { tos: 2 }), piece(1000, end, false, whole, { tos: 3 })], frames: 2
  },
  {
    name: 'Not-ECT among ECT fragments',
    plan, steps: [piece(0, 1000, true, whole, { tos: 0 }), piece(1000, end, false, whole, { tos: 3 })], frames: 0
  },
  {
    name: 'fragments with DF',
    plan, steps: [piece(0, 1000, true, whole, { flags: DF | MF }), piece(1000, end, false, whole, { flags: DF | 125 })], frames: 2
  },
  {
    name: 'fragments by two interfaces',
    plan, steps: [first, fromB(ipPacket({ src: A, dst: NEAR, protocol: ICMP, flags: 125, payload: whole.slice(1000) }))],
    frames: 2
  },
  {
    name: 'time runs out: time exceeded with the first fragment',
    plan: router({ sysctls: LIMIT }), steps: [first, last, expire], frames: 1, drops: { 'reassembly-timeout': 2 }
  },
  {
    name: 'time runs out without the first fragment: silence',
    plan: router({ sysctls: LIMIT }), steps: [middle, last, expire], frames: 0
  },
  {
    name: 'after the time a fragment begins anew',
    plan: router({ sysctls: LIMIT }), steps: [first, middle, expire, last, first, middle], frames: 3
  },
  { name: 'UDP in fragments to a closed port: the quote', plan, steps: ((d: number[]) => [
    aToB({ dst: NEAR, protocol: UDP, flags: MF, payload: d.slice(0, 1000) }),
    aToB({ dst: NEAR, protocol: UDP, flags: 125, payload: d.slice(1000) })
  ])(udp(A, 1, NEAR, 2, data(1992))), frames: 1 },
  { name: 'the largest datagram there can be',
    plan, steps: ((d: number[]) => Array.from({ length: Math.ceil(d.length / 1480) }, (_, i) =>
    piece(i * 1480, Math.min((i + 1) * 1480, d.length), (i + 1) * 1480 < d.length, d)))(echo(8, 1, 1, data(65507))), frames: 45 },
  { name: 'fragments are forwarded, not put together', plan, steps: [first, middle, last].map((s) => s), frames: 2 }
]

scenarios(test, [...cutting, ...together])
