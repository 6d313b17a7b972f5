/** IPv4 options against the kernel's: done, passed on, refused, answered. */
import test from 'ava'
import { be32, echo, ip4, tcp, udp } from '../oracle/naive-frames.js'
import { data, ICMP, ipPacket, TCP, UDP } from '../helpers/frames.js'
import { A, A_MAC, A2_MAC, aToB, FAR, fromB, NEAR, R0, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = router()
const slots = (n: number) => new Array<number>(n * 4).fill(0)
/** Record route with room for `room` addresses, `used` of which are taken. */
const rr = (room: number, used = 0): number[] =>
  [7, 3 + room * 4, 4 + used * 4, ...ip4('9.9.9.9'), ...slots(room)].slice(0, 3).concat(
  Array.from({ length: used }, (_, i) => ip4(`9.9.9.${i + 1}`)).flat(), slots(room - used))
/** Timestamp: flag 0 times only, 1 with addresses, 3 at addresses given. */
const ts = (flag: number, room: number, used = 0, overflow = 0): number[] => {
  const size = flag === 0 ? 4 : 8
  return [68, 4 + room * size, 5 + used * size, (overflow << 4) | flag, ...new Array<number>(room * size).fill(0)]
}
const prespecified = (...addresses: string[]): number[] => [68, 4 + addresses.length * 8, 5, 3, ...addresses.flatMap((a) =>
  [...ip4(a), 0, 0, 0, 0])]
const pass = (options: number[]) => aToB({ options, payload: data(16) })
const pinged = (options: number[], dst = NEAR) => aToB({ dst, options, protocol: ICMP, payload: echo(8, 1, 1, data(16)) })

const done: Scenario[] = [
  { name: 'record route with room', plan, steps: [pass(rr(3)), pass(rr(3, 1)), pass(rr(9))], frames: 3 },
  { name: 'record route that is full', plan, steps: [pass(rr(3, 3)), pass([7, 3, 4, 0])], frames: 2 },
  { name: 'record route by a gateway', plan, steps: [aToB({ dst: '10.9.1.1', options: rr(2) })], frames: 1 },
  {
    name: 'record route: the address is that of the way out',
    plan: withLinks({ eth1: { addresses: ['10.5.5.1/24', '10.1.2.1/24'] } }),
    steps: [pass(rr(2)), aToB({ dst: '10.5.5.9', options: rr(1) })], frames: 2
  },
  { name: 'timestamps alone', plan, steps: [pass(ts(0, 3)), pass(ts(0, 3, 1))], frames: 2 },
  { name: 'timestamps with addresses', plan, steps: [pass(ts(1, 2)), pass(ts(1, 4, 1))], frames: 2 },
  {
    name: 'timestamps at addresses given',
    plan,
    steps: [
      pass(prespecified('10.1.1.1', '10.1.2.2')), pass(prespecified('10.1.2.1', '10.1.2.2')),
      pass(prespecified('10.1.2.2', '10.1.1.1'))
    ],
    frames: 3
  },
  { name: 'timestamps that are full count on', plan, steps: [pass(ts(0, 2, 2)), pass(ts(1, 1, 1, 3))], frames: 2 },
  { name: 'timestamps whose overflow is full', plan, steps: [pass(ts(0, 2, 2, 15))], frames: 1 },
  { name: 'record route and timestamps together', plan, steps: [pass([...rr(2), 1, ...ts(1, 2)])], frames: 1 },
  {
    name: 'no operation and end of options',
    plan, steps: [pass([1, 1, 1, 1]), pass([1, 0, 7, 7]), pass([0, 0, 0, 0]), pass([0, 1, 2, 3, 4, 5, 6, 7])], frames: 4
  },
  {
    name: 'router alert is passed on',
    plan, steps: [pass([148, 4, 0, 0]), pass([148, 4, 0, 7]), pass([148, 4, 1, 0])], frames: 3
  },
  {
    name: 'options nobody knows are passed on',
    plan, steps: [pass([0x5e, 4, 1, 2]), pass([0xde, 8, ...data(6)]), pass([130, 11, ...data(9)]), pass([136, 4, 1, 2])],
    frames: 4
  },
  {
    name: 'source routes are refused in silence',
    plan, steps: [131, 137].map((type) => pass([type, 7, 4, ...ip4('10.1.2.2'), 0])), frames: 0,
    drops: { 'source-route-refused': 2 }
  },
  { name: 'a source route with an odd pointer', plan, steps: [pass([131, 7, 5, ...slots(1), 0])], frames: 0 },
  {
    name: 'source routes that have been gone through',
    plan, steps: [131, 137].map((type) => pass([type, 7, 8, ...ip4('10.1.2.2'), 0])), frames: 0
  },
  {
    name: 'source routes to the router itself',
    plan,
    steps: [131, 137].flatMap((type) =>
      [pinged([type, 7, 4, ...ip4('10.1.2.2'), 0]), pinged([type, 7, 8, ...ip4('10.1.2.2'), 0])]),
    frames: 0
  },
  {
    name: 'with TTL 1: the error quotes options as they came',
    plan, steps: [aToB({ ttl: 1, options: [0x5e, 4, 1, 2], payload: data(16) })], frames: 1
  },
  {
    name: 'options are looked at before there is no route',
    plan, steps: [aToB({ dst: '172.16.0.1', options: [0x5e, 4, 1, 2] }), aToB({ dst: '172.16.0.1', options: [7, 2, 4, 0] })],
    frames: 2
  }
]

const answered: Scenario[] = [
  { name: 'echo with record route', plan, steps: [pinged(rr(3)), pinged(rr(9)), pinged(rr(3, 1), FAR)], frames: 3 },
  { name: 'echo with a full record route', plan, steps: [pinged(rr(2, 2))], frames: 1 },
  { name: 'echo with timestamps', plan, steps: [pinged(ts(0, 4)), pinged(ts(1, 4))], frames: 2 },
  {
    name: 'echo with timestamps at addresses given',
    plan, steps: [pinged(prespecified('10.1.1.1', '10.1.1.2')), pinged(prespecified('10.1.2.1', '10.1.1.1'))], frames: 2
  },
  { name: 'echo with options nobody knows', plan, steps: [pinged([0x5e, 4, 1, 2]), pinged([1, 1, 1, 0])], frames: 2 },
  { name: 'echo with router alert', plan, steps: [pinged([148, 4, 0, 0])], frames: 1 },
  {
    name: 'TCP with record route to a closed port',
    plan, steps: [aToB({ dst: NEAR, protocol: TCP, options: rr(3), payload: tcp(A, 1, NEAR, 2, [], { flags: 2 }) })], frames: 1
  }
]

/** Malformed options; how the kernel points at them is what is compared. */
const wrong: [name: string, options: number[]][] = [
  ['length 0', [7, 0, 4, 0]],
  ['length 1', [0x5e, 1, 0, 0]],
  ['longer than the header', [7, 11, 4, ...slots(1)]],
  ['a type without a length at the end', [1, 1, 1, 7]],
  ['a type nobody knows without a length at the end', [1, 1, 1, 0x5e]],
  ['record route of length 2', [7, 2, 4, 0]],
  ['record route with pointer 3', [7, 7, 3, ...slots(1), 0]],
  ['record route with too little room for an address', [7, 6, 4, 0, 0, 0, 0, 0]],
  ['record route with a pointer into an address', [7, 7, 5, ...slots(1), 0]],
  ['record route with a pointer beyond', [7, 7, 200, ...slots(1), 0]],
  ['timestamps of length 3', [68, 3, 5, 0]],
  ['timestamps with pointer 4', [68, 8, 4, 0, ...slots(1)]],
  ['timestamps with too little room', [68, 7, 5, 0, 0, 0, 0, 0]],
  ['timestamps with addresses and too little room', [68, 8, 5, 1, ...slots(1)]],
  ['timestamps at addresses given and too little room', [68, 8, 5, 3, ...slots(1)]],
  ['timestamps with a flag nobody knows', [68, 12, 5, 2, ...slots(2)]],
  ['a source route of length 2', [131, 2, 4, 0]],
  ['a source route with pointer 3', [131, 7, 3, ...slots(1), 0]],
  ['two source routes', [131, 7, 4, ...slots(1), 137, 7, 4, ...slots(1), 0, 0]],
  ['a router alert of length 3', [148, 3, 0, 0]]
]

const malformed: Scenario[] = wrong.map(([name, options]): Scenario =>
  ({ name: `malformed: ${name}`, plan, steps: [pass(options)], frames: 1 }))

const local: Scenario[] = [
  { name: 'malformed options in a packet for the router itself', plan, steps: [pinged([7, 2, 4, 0])], frames: 1 },
  {
    name: 'malformed options in a broadcast: nobody is told',
    plan, steps: [aToB({ dst: '10.1.1.255', options: [7, 2, 4, 0], protocol: ICMP, payload: echo(8, 1, 1, data(8)) })], frames: 0
  },
  {
    name: 'malformed options from the far side',
    plan, steps: [fromB(ipPacket({ src: '10.1.2.2', dst: A, options: [7, 2, 4, 0], payload: be32(7) }))], frames: 1
  },
  { name: 'malformed options with TTL 1', plan, steps: [aToB({ ttl: 1, options: [7, 2, 4, 0] })], frames: 1 },
  {
    name: 'malformed options with forwarding off',
    plan: router({ forwarding: false }), steps: [pass([7, 2, 4, 0]), pass([0x5e, 4, 1, 2])], frames: 1
  }
]

/**
 * The kernel has written to record route and timestamps before it notices what is wrong, and quotes them changed under the old
 * checksum.
 */
const why = 'errors quote options as they came'
const error = (length: number, options: number, what: string) =>
  `eth0 ${R0} > ${A_MAC} ${NEAR} > ${A} ttl 64 tos 0xc0 len ${length} options ${options} icmp ${what}`
const deviations: Scenario[] = [
  {
    name: 'with TTL 1: the error carries the record route',
    plan, steps: [aToB({ ttl: 1, options: rr(3, 1), payload: data(16) })],
    deviation: { why, kernel: [error(96, 16, '11/0 rest 0.0.0.0')] }
  },
  {
    name: 'with TTL 1: the error carries the timestamps',
    plan, steps: [aToB({ ttl: 1, options: ts(0, 3, 1), payload: data(16) })],
    deviation: { why, kernel: [error(96, 16, '11/0 rest 0.0.0.0')] }
  },
  {
    name: 'record route back out of the same interface', plan, steps: [aToB({ dst: '10.8.1.1', options: rr(2) })],
    deviation: {
      why,
      kernel: [
        error(72, 12, '5/1 rest 10.1.1.3'), `eth0 ${R0} > ${A2_MAC} ${A} > 10.8.1.1 ttl 63 tos 0x0 len 32 options 12 protocol 253`
      ]
    }
  },
  {
    name: 'UDP with record route to a closed port', plan,
    steps: [aToB({ dst: NEAR, protocol: UDP, options: rr(3), payload: udp(A, 1, NEAR, 2, data(8)) })],
    deviation: { why, kernel: [error(96, 16, '3/3 rest 0.0.0.0')] }
  },
  {
    name: 'malformed: record route twice',
    plan, steps: [pass([...rr(1), 1, ...rr(1), 1])], deviation: { why, kernel: [error(88, 8, '12/0 rest 28.0.0.0')] }
  },
  {
    name: 'malformed: timestamps twice',
    plan, steps: [pass([...ts(0, 1), ...ts(0, 1)])], deviation: { why, kernel: [error(88, 8, '12/0 rest 28.0.0.0')] }
  }
]

scenarios(test, [...done, ...answered, ...malformed, ...local, ...deviations])
