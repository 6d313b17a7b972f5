/** Packets for the router itself against the kernel's: echo, closed ports, unknown protocols, other ICMP. */
import test from 'ava'
import { be32, echo, ethernet, icmp, tcp, udp } from '../oracle/naive-frames.js'
import { ALL, data, DF, ICMP, ipPacket, padded, patch, TCP, UDP } from '../helpers/frames.js'
import { A, A_MAC, aToB, B, bToA, FAR, fromA, NEAR, R0, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = router()
const ping = (more: Parameters<typeof aToB>[0] = {}, size = 56) =>
  aToB({ dst: NEAR, protocol: ICMP, payload: echo(8, 0x77, 1, data(size)), ...more })
const request = echo(8, 0x77, 1, data(56))
/** A packet of the router's own, as an error about it quotes it. */
const aboutUs = ipPacket({ src: NEAR, dst: '10.1.1.77', payload: data(8) })
const udpTo = (dst: string, size = 20, more: Parameters<typeof aToB>[0] = {}) =>
  aToB({ dst, protocol: UDP, payload: udp(A, 4000, dst, 5000, data(size)), ...more })
const tcpTo = (flags: number, more: Parameters<typeof tcp>[5] = {}, size = 0) =>
  aToB({
    dst: NEAR, protocol: TCP, payload: tcp(A, 4000, NEAR, 80, data(size), { seq: 0x01020304, ack: 0x05060708, flags, ...more })
  })

const echoes: Scenario[] = [
  { name: 'echo to the near address', plan, steps: [ping()], frames: 1 },
  { name: 'echo to the far address is answered from it', plan, steps: [ping({ dst: FAR })], frames: 1 },
  { name: 'echo from the far side', plan, steps: [bToA({ dst: NEAR, protocol: ICMP, payload: request })], frames: 1 },
  {
    name: 'echo with no data, one byte, an odd number, the most that fits',
    plan, steps: [0, 1, 57, 1472].map((size) => ping({}, size)), frames: 4
  },
  { name: 'echo with TTL 1 and 0 is for the router itself', plan, steps: [ping({ ttl: 1 }), ping({ ttl: 0 })], frames: 2 },
  { name: 'TOS of the answer', plan, steps: [0, 0x1e, 0xb8, 0xff, 0x03].map((tos) => ping({ tos })), frames: 5 },
  { name: 'DF of the request is not repeated', plan, steps: [ping({ flags: DF })], frames: 1 },
  {
    name: 'echo with a code',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: icmp(8, 5, [1, 2, 3, 4], data(8)) })], frames: 1
  },
  {
    name: 'echo with a wrong checksum',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: patch(request, 2, 0, 0) })], frames: 0,
    drops: { 'icmp-malformed': 1 }
  },
  {
    name: 'echo cut short',
    plan,
    steps: [0, 4, 7].map((n) =>
      aToB({ dst: NEAR, protocol: ICMP, payload: n === 0 ? [] : patch(request.slice(0, n), 2, 0xf7, 0x88) })),
    frames: 0
  },
  {
    name: 'an echo of bare eight bytes',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: echo(8, 1, 1, []) })], frames: 1
  },
  {
    name: 'padding behind an echo is not returned',
    plan,
    steps: [
      {
        send: 'eth0',
        frame: padded(ethernet(R0, A_MAC, 0x0800, ipPacket({
          src: A, dst: NEAR, protocol: ICMP, payload: echo(8, 1, 1, [1, 2])
        })), 60, 0x55)
      }
    ],
    frames: 1
  },
  {
    name: 'echo in a link broadcast to the own address',
    plan, steps: [fromA(ipPacket({ src: A, dst: NEAR, protocol: ICMP, payload: request }), ALL)], frames: 1
  },
  {
    name: 'echo to broadcast addresses is ignored',
    plan, steps: ['255.255.255.255', '10.1.1.255', '10.1.2.255', '224.0.0.1'].map((dst) => ping({ dst })), frames: 0
  },
  {
    name: 'echo to broadcast addresses in a link broadcast',
    plan,
    steps: ['255.255.255.255', '10.1.1.255', '224.0.0.1'].map((dst) =>
      fromA(ipPacket({ src: A, dst, protocol: ICMP, payload: request }), ALL)),
    frames: 0
  },
  { name: 'echo from a network the other interface leads to', plan, steps: [ping({ src: '10.9.3.4' })], frames: 1 },
  { name: 'echo from nowhere: no way back', plan, steps: [ping({ src: '172.16.0.1' })], frames: 0 },
  { name: 'echo while forwarding is off', plan: router({ forwarding: false }), steps: [ping(), ping({ dst: FAR })], frames: 2 },
  {
    name: 'echo to each of several addresses',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.1.1.9/24', '10.5.5.5/32'] } }),
    steps: ['10.1.1.1', '10.1.1.9', '10.5.5.5'].map((dst) => ping({ dst })), frames: 3
  },
  {
    name: 'an answer nobody asked for',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: echo(0, 1, 1, data(8)) })], frames: 0
  }
]

const otherIcmp: Scenario[] = [
  {
    name: 'timestamp request',
    plan,
    steps: [aToB({ dst: NEAR, protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], [...be32(12345678), ...be32(0), ...be32(0)]) })],
    frames: 1
  },
  {
    name: 'timestamp request with more data',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], [...be32(12345678), ...data(20)]) })],
    frames: 1
  },
  {
    name: 'timestamp request cut short',
    plan,
    steps: [
      aToB({ dst: NEAR, protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], []) }),
      aToB({ dst: NEAR, protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], data(3)) }),
      aToB({ dst: NEAR, protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], data(8)) })
    ],
    frames: 1
  },
  {
    name: 'timestamp request to a broadcast address',
    plan, steps: [aToB({ dst: '10.1.1.255', protocol: ICMP, payload: icmp(13, 0, [0, 1, 0, 2], data(12)) })], frames: 0
  },
  {
    name: 'requests of old: information, address mask, router solicitation',
    plan, steps: [15, 17, 10].map((type) => aToB({ dst: NEAR, protocol: ICMP, payload: icmp(type, 0, [0, 0, 0, 0], data(4)) })),
    frames: 0
  },
  {
    name: 'extended echo (RFC 8335) is off',
    plan, steps: [aToB({ dst: NEAR, protocol: ICMP, payload: icmp(42, 0, [0, 1, 1, 1], data(12)) })], frames: 0
  },
  {
    name: 'redirects, unreachables, quenches and unknown types change nothing',
    plan,
    steps: [3, 4, 5, 11, 12, 41, 200].map((type) =>
      aToB({ dst: NEAR, protocol: ICMP, payload: icmp(type, 1, [10, 1, 1, 3], aboutUs) })),
    frames: 0
  }
]

const transport: Scenario[] = [
  { name: 'UDP to a closed port', plan, steps: [udpTo(NEAR)], frames: 1, drops: { 'port-unreachable': 1 } },
  { name: 'UDP to a closed port of the far address', plan, steps: [udpTo(FAR)], frames: 1 },
  { name: 'UDP to a closed port: the quote', plan, steps: [udpTo(NEAR, 0), udpTo(NEAR, 520), udpTo(NEAR, 1400)], frames: 3 },
  {
    name: 'UDP without checksum',
    plan, steps: [aToB({ dst: NEAR, protocol: UDP, payload: patch(udp(A, 1, NEAR, 2, data(8)), 6, 0, 0) })], frames: 1
  },
  {
    name: 'UDP with a wrong checksum',
    plan, steps: [aToB({ dst: NEAR, protocol: UDP, payload: patch(udp(A, 1, NEAR, 2, data(8)), 6, 0x12, 0x34) })], frames: 0,
    drops: { 'udp-malformed': 1 }
  },
  {
    name: 'UDP cut short, or with a length that is a lie',
    plan,
    steps: [[0, 1, 0, 2], [0, 1, 0, 2, 0, 7, 0, 0], [0, 1, 0, 2, 0, 200, 0, 0, 1, 2]].map((payload) =>
      aToB({ dst: NEAR, protocol: UDP, payload })),
    frames: 0, drops: { 'udp-malformed': 3 }
  },
  {
    name: 'UDP shorter than its packet',
    plan, steps: [aToB({ dst: NEAR, protocol: UDP, payload: [...udp(A, 1, NEAR, 2, data(8)), 1, 2, 3] })], frames: 1
  },
  {
    name: 'UDP to a broadcast address',
    plan, steps: [udpTo('10.1.1.255'), udpTo('255.255.255.255'), udpTo('224.0.0.1')], frames: 0
  },
  {
    name: 'UDP in a link broadcast',
    plan, steps: [fromA(ipPacket({ src: A, dst: NEAR, protocol: UDP, payload: udp(A, 1, NEAR, 2, data(8)) }), ALL)], frames: 0
  },
  { name: 'UDP with TTL 1 and other TOS', plan, steps: [udpTo(NEAR, 8, { ttl: 1, tos: 0x68 })], frames: 1 },
  { name: 'TCP SYN to a closed port', plan, steps: [tcpTo(0x02)], frames: 1 },
  {
    name: 'TCP SYN with data and FIN counts them',
    plan, steps: [tcpTo(0x02, {}, 5), tcpTo(0x03, {}, 5), tcpTo(0x01, {}, 7)], frames: 3
  },
  {
    name: 'TCP SYN with options',
    plan, steps: [tcpTo(0x02, { options: [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7] })], frames: 1
  },
  {
    name: 'TCP ACK, SYN+ACK, no flag, all flags but RST',
    plan, steps: [0x10, 0x12, 0, 0x1fb].map((flags) => tcpTo(flags)), frames: 4
  },
  { name: 'TCP RST is not answered', plan, steps: [tcpTo(0x04), tcpTo(0x14), tcpTo(0x06)], frames: 0 },
  {
    name: 'TOS of the reset',
    plan,
    steps: [0, 0x1e, 0xb8, 0xff].map((tos) =>
      aToB({ dst: NEAR, protocol: TCP, tos, payload: tcp(A, 4000, NEAR, 80, [], { seq: 5, flags: 2 }) })),
    frames: 4
  },
  {
    name: 'TCP to the far address',
    plan, steps: [aToB({ dst: FAR, protocol: TCP, payload: tcp(A, 4000, FAR, 80, [], { seq: 5, flags: 2 }) })], frames: 1
  },
  {
    name: 'TCP with a wrong checksum, or cut short',
    plan,
    steps: [
      aToB({ dst: NEAR, protocol: TCP, payload: patch(tcp(A, 1, NEAR, 2, [], { flags: 2 }), 16, 1, 2) }),
      aToB({ dst: NEAR, protocol: TCP, payload: tcp(A, 1, NEAR, 2, [], { flags: 2 }).slice(0, 19) })
    ],
    frames: 0, drops: { 'tcp-malformed': 2 }
  },
  {
    name: 'TCP with a header length that is a lie',
    plan,
    steps: [0x40, 0xf0].map((byte) =>
      aToB({ dst: NEAR, protocol: TCP, payload: patch(tcp(A, 1, NEAR, 2, [], { flags: 2 }), 12, byte) })),
    frames: 0
  },
  {
    name: 'TCP in a link broadcast',
    plan, steps: [fromA(ipPacket({ src: A, dst: NEAR, protocol: TCP, payload: tcp(A, 4000, NEAR, 80, [], { flags: 2 }) }), ALL)],
    frames: 0
  },
  {
    name: 'TCP to a broadcast address',
    plan, steps: [aToB({ dst: '10.1.1.255', protocol: TCP, payload: tcp(A, 4000, '10.1.1.255', 80, [], { flags: 2 }) })],
    frames: 0
  },
  {
    name: 'a protocol nobody takes',
    plan,
    steps: [
      aToB({ dst: NEAR, protocol: 253, payload: data(20) }), aToB({ dst: FAR, protocol: 200, payload: data(20) }),
      aToB({ dst: NEAR, protocol: 0 }), aToB({ dst: NEAR, protocol: 255 })
    ],
    frames: 4, drops: { 'protocol-unreachable': 4 }
  },
  {
    name: 'a protocol nobody takes, to a broadcast address',
    plan, steps: [aToB({ dst: '10.1.1.255', protocol: 253, payload: data(20) })], frames: 0
  },
  {
    name: 'IGMP to the own address and to a group',
    plan,
    steps: [NEAR, '224.0.0.1'].map((dst) =>
      aToB({ dst, protocol: 2, ttl: 1, payload: [0x16, 0, 0x09, 0xfe, 0xe0, 0, 0, 1].map((b, i) => (i === 2 ? 0x08 : b)) })),
    frames: 0
  },
  {
    name: 'UDP between own addresses of others: not for us',
    plan, steps: [aToB({ dst: B, protocol: UDP, payload: udp(A, 1, B, 2, data(4)) })], frames: 1
  }
]

scenarios(test, [...echoes, ...otherIcmp, ...transport])
