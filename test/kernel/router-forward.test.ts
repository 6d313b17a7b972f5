/** Forwarding against the kernel's: what passes and how it changes, what does not pass and who is told. */
import test from 'ava'
import { be16, echo, ethernet, icmp, tcp, udp } from '../oracle/naive-frames.js'
import { ALL, data, DF, ICMP, ipPacket, MF, padded, TCP, UDP } from '../helpers/frames.js'
import { A, aToB, B, bToA, FAR, NEAR, router, R0, R1, A_MAC, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = router()
const quoted = (length: number) => ({ payload: data(length) })
/** Raw ICMP errors: type, code, a quote of something A sent. */
const icmpError = (type: number, code: number) => icmp(type, code, [0, 0, 0, 0], ipPacket({ src: B, dst: A, payload: data(8) }))

const forwarding: Scenario[] = [
  { name: 'forwarded with TTL and checksum changed', plan, steps: [aToB(quoted(100))], frames: 1 },
  { name: 'both ways', plan, steps: [aToB(quoted(8)), bToA(quoted(8))], frames: 2 },
  { name: 'by a gateway', plan, steps: [aToB({ dst: '10.9.8.7', ...quoted(8) })], frames: 1 },
  { name: 'without payload', plan, steps: [aToB()], frames: 1 },
  {
    name: 'padding behind the packet is cut off',
    plan, steps: [{ send: 'eth0', frame: padded(ethernet(R0, A_MAC, 0x0800, ipPacket({ src: A, dst: B })), 60, 0xaa) }], frames: 1
  },
  { name: 'of the full MTU', plan, steps: [aToB(quoted(1480))], frames: 1 },
  { name: 'TTL 2 goes out as 1', plan, steps: [aToB({ ttl: 2 })], frames: 1 },
  { name: 'TTL 255', plan, steps: [aToB({ ttl: 255 })], frames: 1 },
  { name: 'TOS and ECN bits are kept', plan, steps: [aToB({ tos: 0xb9 })], frames: 1 },
  { name: 'the reserved flag is kept', plan, steps: [aToB({ flags: 0x8000 })], frames: 1 },
  { name: 'DF is kept, with identification 0', plan, steps: [aToB({ flags: DF, id: 0 })], frames: 1 },
  {
    name: 'fragments pass as they are',
    plan, steps: [aToB({ flags: MF, ...quoted(64) }), aToB({ flags: 8, ...quoted(20) })], frames: 2
  },
  { name: 'a fragment with DF passes', plan, steps: [aToB({ flags: DF | MF, ...quoted(64) })], frames: 1 },
  {
    name: 'UDP with a wrong checksum passes as it is',
    plan, steps: [aToB({ protocol: UDP, payload: [0, 1, 0, 2, 0, 12, 0xde, 0xad, 1, 2, 3, 4] })], frames: 1
  },
  { name: 'TCP', plan, steps: [aToB({ protocol: TCP, payload: tcp(A, 1000, B, 80, data(200), { flags: 0x18 }) })], frames: 1 },
  { name: 'protocol 0 and 255', plan, steps: [aToB({ protocol: 0 }), aToB({ protocol: 255 })], frames: 2 },
  { name: 'class E is routed like any other', plan: router({ routes: [{ to: '0.0.0.0/0', nexthops: [{ via: '10.1.2.254' }] }] }),
    steps: [aToB({ dst: '240.0.0.1' }), aToB({ src: '250.1.2.3' })], frames: 2 },
  { name: '169.254 is routed like any other', plan: router({ routes: [{ to: '0.0.0.0/0', nexthops: [{ via: '10.1.2.254' }] }] }),
    steps: [aToB({ dst: '169.254.1.1' }), aToB({ src: '169.254.1.1' })], frames: 2 },
  { name: 'checksums at the edges of incremental update', plan,
    steps: [0x0000, 0xfeff, 0xfefe, 0xff00, 0xfffe].map((want) => aToB({ id: idForChecksum(want) })), frames: 5 },
  { name: 'a checksum written 0xffff for 0', plan, steps: [aToB({ id: idForChecksum(0), checksum: 0xffff })], frames: 1 },
  {
    name: 'another MAC than the router\'s is not for it',
    plan, steps: [aToB({}, '02:00:00:00:01:77')], frames: 0, drops: { 'not-for-us': 0 }
  },
  {
    name: 'unicast IP in a link broadcast is not forwarded',
    plan, steps: [aToB({}, ALL)], frames: 0, drops: { 'link-broadcast': 1 }
  },
  {
    name: 'unicast IP in a link multicast is not forwarded',
    plan, steps: [aToB({}, '01:00:5e:01:02:02')], frames: 0, drops: { 'link-broadcast': 1 }
  },
  { name: 'in a link broadcast with TTL 1: nobody is told', plan, steps: [aToB({ ttl: 1 }, ALL)], frames: 0 },
  { name: 'in a link broadcast without a route: nobody is told', plan, steps: [aToB({ dst: '172.16.0.1' }, ALL)], frames: 0 }
]

/** The identification with which the header of aToB() has this checksum. */
function idForChecksum (want: number): number {
  const sum = ipPacket({ src: A, dst: B, id: 0 }).slice(10, 12).reduce((n, b) => n * 256 + b, 0)
  const id = sum - want
  return id < 0 ? id + 0xffff : id
}

const errors: Scenario[] = [
  { name: 'TTL 1: time exceeded', plan, steps: [aToB({ ttl: 1, ...quoted(40) })], frames: 1, drops: { 'ttl-exceeded': 1 } },
  { name: 'TTL 0: time exceeded', plan, steps: [aToB({ ttl: 0, ...quoted(40) })], frames: 1, drops: { 'ttl-exceeded': 1 } },
  {
    name: 'the error quotes 548 bytes at most',
    plan, steps: [aToB({ ttl: 1, ...quoted(527) }), aToB({ ttl: 1, ...quoted(528) }), aToB({ ttl: 1, ...quoted(1400) })],
    frames: 3
  },
  { name: 'the error quotes a bare header', plan, steps: [aToB({ ttl: 1 })], frames: 1 },
  {
    name: 'the error quotes no padding',
    plan, steps: [{ send: 'eth0', frame: padded(ethernet(R0, A_MAC, 0x0800, ipPacket({ src: A, dst: B, ttl: 1 }))) }], frames: 1
  },
  { name: 'TOS of the error', plan, steps: [0, 0x1e, 0xb8, 0xff, 0x03].map((tos) => aToB({ ttl: 1, tos })), frames: 5 },
  { name: 'DF of the one it is about does not matter', plan, steps: [aToB({ ttl: 1, flags: DF })], frames: 1 },
  { name: 'the error is sent by the route to the sender', plan, steps: [aToB({ src: '10.9.1.1', ttl: 1 })], frames: 1 },
  { name: 'no route back to the sender: no error', plan, steps: [aToB({ src: '172.16.0.1', ttl: 1 })], frames: 0 },
  { name: 'no route: network unreachable', plan, steps: [aToB({ dst: '172.16.0.1' })], frames: 1, drops: { 'no-route': 1 } },
  {
    name: 'no route is found before TTL 1',
    plan, steps: [aToB({ dst: '172.16.0.1', ttl: 1 })], frames: 1, drops: { 'no-route': 1 }
  },
  { name: 'a blackhole route is silent', plan, steps: [aToB({ dst: '10.66.1.1' })], frames: 0, drops: { 'route-blackhole': 1 } },
  {
    name: 'an unreachable route: host unreachable',
    plan, steps: [aToB({ dst: '10.66.2.1' })], frames: 1, drops: { 'route-unreachable': 1 }
  },
  {
    name: 'a prohibit route: administratively prohibited',
    plan, steps: [aToB({ dst: '10.66.3.1' })], frames: 1, drops: { 'route-prohibit': 1 }
  },
  {
    name: 'no error about an ICMP error',
    plan, steps: [3, 4, 5, 11, 12].map((type) => aToB({ ttl: 1, protocol: ICMP, payload: icmpError(type, 0) })), frames: 0
  },
  {
    name: 'an error about ICMP that is no error',
    plan, steps: [0, 8, 13, 14, 17].map((type) => aToB({ ttl: 1, protocol: ICMP, payload: icmpError(type, 0) })), frames: 5
  },
  {
    name: 'an unknown type of ICMP',
    plan, steps: [1, 2, 7, 19, 40, 255].map((type) => aToB({ ttl: 1, protocol: ICMP, payload: icmpError(type, 0) })), frames: 0
  },
  { name: 'ICMP cut to nothing', plan, steps: [aToB({ ttl: 1, protocol: ICMP, payload: [] })], frames: 0 },
  {
    name: 'no error about a fragment that is not the first',
    plan, steps: [aToB({ ttl: 1, flags: 1, ...quoted(40) }), aToB({ ttl: 1, flags: MF, ...quoted(40) })], frames: 1
  },
  { name: 'no error to a source that is no single station', plan,
    steps: ['0.0.0.0', '127.0.0.1', '224.0.0.5', '255.255.255.255', NEAR, FAR].map((src) => aToB({ src, ttl: 1 })), frames: 0 },
  {
    name: 'an error to a class E source',
    plan: router({ routes: [{ to: '0.0.0.0/0', nexthops: [{ via: '10.1.2.254' }] }] }),
    steps: [aToB({ src: '240.1.1.1', ttl: 1 })], frames: 1
  },
  {
    name: 'the first address of the link is the source of an error',
    plan: withLinks({ eth0: { addresses: ['10.5.5.1/24', '10.1.1.1/24'] } }), steps: [aToB({ ttl: 1 })], frames: 1
  },
  {
    name: 'forwarding off: silence',
    plan: router({ forwarding: false }),
    steps: [aToB(), aToB({ ttl: 1 }), aToB({ dst: '172.16.0.1' }), aToB({ dst: '10.66.3.1' })], frames: 0,
    drops: { 'forwarding-disabled': 4 }
  },
  {
    name: 'forwarding off on the interface it comes by',
    plan: withLinks({ eth0: { forwarding: false } }), steps: [aToB(), aToB({ dst: '172.16.0.1' }), bToA()], frames: 1,
    drops: { 'forwarding-disabled': 2 }
  },
  {
    name: 'unreachable and the like with TTL 1',
    plan, steps: [aToB({ dst: '10.66.2.1', ttl: 1 }), aToB({ dst: '10.66.1.1', ttl: 0 })], frames: 1
  },
  { name: 'an error about UDP, TCP and an unknown protocol', plan, steps: [
    aToB({ ttl: 1, protocol: UDP, payload: udp(A, 33434, B, 33434, data(32)) }),
    aToB({ ttl: 1, protocol: TCP, payload: tcp(A, 1, B, 2, data(32)) }), aToB({ ttl: 1, protocol: 132, ...quoted(32) })
  ], frames: 3 },
  { name: 'six errors at once to one destination, then one a second', plan, steps: [
    ...Array.from({ length: 8 }, () => aToB({ ttl: 1 })), { wait: 1100 }, aToB({ ttl: 1 }), aToB({ ttl: 1 })
  ], frames: 7 },
  {
    name: 'echo replies are not limited',
    plan, steps: Array.from({ length: 12 }, (_, i) => aToB({ dst: NEAR, protocol: ICMP, payload: echo(8, 1, i, data(8)) })),
    frames: 12
  },
  {
    name: 'errors to different destinations are limited each',
    plan, steps: [2, 3, 2, 3].map((n) => aToB({ src: `10.1.1.${n}`, ttl: 1 })), frames: 4
  }
]

const headers: Scenario[] = [
  {
    name: 'version 5, 6 and 0',
    plan, steps: [5, 6, 0].map((version) => aToB({ version })), frames: 0, drops: { 'ip-header-invalid': 3 }
  },
  { name: 'header length 4 words', plan, steps: [aToB({ ihl: 4 })], frames: 0, drops: { 'ip-header-invalid': 1 } },
  { name: 'header longer than the packet', plan, steps: [aToB({ ihl: 15 })], frames: 0 },
  { name: 'total length below the header', plan, steps: [aToB({ total: 19 }), aToB({ total: 0 })], frames: 0 },
  {
    name: 'total length beyond the frame',
    plan, steps: [aToB({ total: 21 }), aToB({ total: 65535, ...quoted(100) })], frames: 0, drops: { 'ip-truncated': 2 }
  },
  {
    name: 'a wrong checksum',
    plan, steps: [aToB({ checksum: 0 }), aToB({ checksum: 0x1234 })], frames: 0, drops: { 'ip-checksum': 2 }
  },
  {
    name: 'a cut header',
    plan,
    steps: [
      { send: 'eth0', frame: ethernet(R0, A_MAC, 0x0800, ipPacket({ src: A, dst: B }).slice(0, 19)) },
      { send: 'eth0', frame: ethernet(R0, A_MAC, 0x0800, []) }
    ],
    frames: 0, drops: { 'ip-truncated': 2 }
  },
  { name: 'frames longer than the MTU of the link they come by', plan, steps: [aToB({ flags: DF, ...quoted(1481) })], frames: 1 },
  {
    name: 'another EtherType',
    plan,
    steps: [
      { send: 'eth0', frame: ethernet(R0, A_MAC, 0x86dd, data(60)) },
      { send: 'eth0', frame: ethernet(R0, A_MAC, 0x88b5, data(60)) }
    ],
    frames: 0
  },
  {
    name: 'a VLAN tag is not for the router',
    plan, steps: [{ send: 'eth0', frame: ethernet(R0, A_MAC, 0x8100, [...be16(100), 8, 0, ...ipPacket({ src: A, dst: B })]) }],
    frames: 0
  },
  {
    name: 'a priority tag',
    plan, steps: [{ send: 'eth0', frame: ethernet(R0, A_MAC, 0x8100, [...be16(0xa000), 8, 0, ...ipPacket({ src: A, dst: B })]) }],
    frames: 1
  },
  {
    name: 'an 802.1ad priority tag',
    plan, steps: [{ send: 'eth0', frame: ethernet(R0, A_MAC, 0x88a8, [...be16(0), 8, 0, ...ipPacket({ src: A, dst: B })]) }],
    frames: 1
  },
  { name: 'a frame to the MAC of the other interface', plan, steps: [aToB({}, R1)], frames: 0 },
  {
    name: 'an 802.3 frame with SNAP',
    plan,
    steps: [{ send: 'eth0', frame: ethernet(R0, A_MAC, 28, [0xaa, 0xaa, 3, 0, 0, 0, 8, 0, ...ipPacket({ src: A, dst: B })]) }],
    frames: 0
  }
]

const error = (code: number) => `eth0 ${R0} > ${A_MAC} ${NEAR} > ${A} ttl 64 tos 0xc0 len 48 icmp 3/${code} rest 0.0.0.0`
const deviations: Scenario[] = [
  {
    name: 'unreachables at once to one destination', plan, steps: Array.from({ length: 4 }, () => aToB({ dst: '172.16.0.1' })),
    deviation: {
      why: 'one rate limit for all errors',
      kernel: Array.from({ length: 2 }, () => error(0)),
      tapway: Array.from({ length: 4 }, () => error(0))
    }
  }
]

scenarios(test, [...forwarding, ...errors, ...headers, ...deviations])
