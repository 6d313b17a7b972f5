/** What leaves by the underlay for frames that leave by a tunnel port, against the kernel's. */
import test from 'ava'
import { ethernet, be16 } from '../oracle/naive-frames.js'
import { ALL, DF, arpFrame, data, ipPacket } from '../helpers/frames.js'
import { vlanFrame } from '../kernel/bridge-plan.js'
import { datagram, ip6 } from './datagram.js'
import {
  A, B, C, D, EXPERIMENTAL, FLOOD, LOCAL, UNDERLAY, command, deviates, hello, overIpv6, peer, peer6, peerMac, plain, send, show,
  toPeer2, vtep, type Step, type Tunnel
} from './plan.js'
import { scenarios, type Scenario } from './scenario.js'

const broadcast = send('p0', hello(A), 'broadcast')
const unknown = send('p0', plain(D, A), 'unknown station')
const group = send('p0', plain('01:00:5e:01:02:03', A), 'group')
const ip4Frame = (to: string, tos: number, ttl: number, flags = 0): number[] =>
  ethernet(to, A, 0x0800, ipPacket({ src: '10.0.10.11', dst: '10.0.10.12', tos, ttl, flags }))
const packet6 = [0x6b, 0x90, 0, 0, ...be16(20), 253, 9, ...ip6('fd00::1'), ...ip6('fd00::2'), ...data(20)]

const toPeer = (tos: number): string =>
  `u0 ${peerMac(2)} ${LOCAL} > ${peer(2)}:4789 ttl 64 tos 0x${tos.toString(16)} vxlan 0800000000002a00`

/** Frames in which TTL, TOS and DF differ. */
const headers: Step[] = [
  send('p0', plain(D, A), 'no IP'), send('p0', arpFrame({ senderMac: A, sender: '10.0.10.11', target: '10.0.10.12' }), 'ARP'),
  send('p0', ip4Frame(D, 0, 64), 'IPv4'), send('p0', ip4Frame(D, 0xb9, 7, DF), 'IPv4 tos b9 ttl 7 DF'),
  send('p0', ip4Frame(D, 3, 1), 'IPv4 tos 3 ttl 1'),
  send('p0', ip4Frame(D, 0, 0), 'IPv4 ttl 0'), send('p0', ip4Frame(ALL, 0xb9, 7), 'IPv4 to all'),
  send('p0', ethernet(D, A, 0x86dd, packet6), 'IPv6 class b9 hop limit 9'),
  send('p0', vlanFrame(D, A, 5, 0, 0x0800, ipPacket({ src: '10.0.10.11', dst: '10.0.10.12', tos: 0xb9, ttl: 7, flags: DF })),
    'IPv4 tos b9 ttl 7 DF behind a tag'),
  send('p0', vlanFrame(D, A, 5, 0, 0x86dd, packet6), 'IPv6 behind a tag')
]
const withHeaders = (tunnel: Tunnel): Scenario =>
  ({ name: `outer header with ${JSON.stringify(tunnel)}`, plan: toPeer2(tunnel), steps: headers, frames: 20 })
const withHeaders6 = (tunnel: Tunnel): Scenario =>
  ({ name: `outer header over IPv6 with ${JSON.stringify(tunnel)}`, plan: overIpv6(tunnel), steps: headers, frames: 20 })

scenarios(test, [
  { name: 'no remote at all: nothing leaves', plan: vtep(), steps: [broadcast, unknown, group, show], frames: 3 },
  { name: 'one remote gets broadcasts, groups and what is for unknown stations', plan: toPeer2(),
    steps: [broadcast, unknown, group, show], frames: 6 },
  {
    name: 'several remotes get one copy each',
    plan: vtep({ remote: [peer(3), peer(2), peer(4)] }), steps: [broadcast, unknown, group, show], frames: 12
  },
  {
    name: 'the flood list is changed',
    plan: toPeer2(),
    steps: [
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)}`), broadcast, command(`fdb append ${FLOOD} dev vx0 dst ${peer(4)}`),
      broadcast, show,
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)}`), show, broadcast, command(`fdb del ${FLOOD} dev vx0 dst ${peer(2)}`),
      broadcast,
      command(`fdb del ${FLOOD} dev vx0 dst ${peer(3)}`), show, command(`fdb del ${FLOOD} dev vx0 dst ${peer(4)}`), broadcast,
      show
    ]
  },
  {
    name: 'a station set by hand, with another VNI and another port',
    plan: toPeer2({ fdb: [{ mac: B, dst: peer(3) }, { mac: C, dst: peer(3), vni: 99 },
      { mac: D, dst: peer(4), vni: 77, port: 8472 }] }),
    steps: [send('p0', plain(B, A)), send('p0', plain(C, A)), send('p0', plain(D, A)), show], frames: 6
  },
  {
    name: 'an entry of the flood list with another VNI and another port',
    plan: vtep({ fdb: [{ mac: FLOOD, dst: peer(2) }, { mac: FLOOD, dst: peer(3), vni: 77, port: 4790 }] }),
    steps: [broadcast, show], frames: 3
  },
  {
    name: 'a group address with remotes of its own',
    plan: toPeer2(),
    steps: [
      command(`fdb append 01:00:5e:01:02:03 dev vx0 dst ${peer(3)} self`),
      command(`fdb append 01:00:5e:01:02:03 dev vx0 dst ${peer(4)} self`), group,
      command(`fdb add ${ALL} dev vx0 dst ${peer(3)} self`), broadcast, unknown
    ]
  },
  ...[
    {}, { ttl: 5 }, { ttl: 255 }, { ttl: 0 }, { ttl: 'inherit' }, { tos: 0xb8 }, { tos: 'inherit' }, { tos: 2 }, { tos: 0xbb },
    { df: 'unset' },
    { df: 'set' }, { df: 'inherit' }, { ttl: 'inherit', tos: 'inherit', df: 'inherit' }, { udpcsum: false },
    { srcport: [50000, 50010] }, { dstport: 8472 }
  ].map((t) => withHeaders(t as Tunnel)),
  ...[{}, { ttl: 5 }, { ttl: 'inherit', tos: 'inherit' }, { tos: 0xb8 }, { udpcsum: false },
    { srcport: [50000, 50010] }].map((t) => withHeaders6(t as Tunnel)),
  {
    name: 'tos 1', plan: toPeer2({ tos: 1 }),
    steps: [deviates(
      'tos 1 is a number: the kernel says inherit by it', send('p0', ip4Frame(D, 0xb9, 7)),
      [`${toPeer(0xb9)} { ${A} > ${D} 10.0.10.11 > 10.0.10.12 ttl 7 tos 0xb9 len 20 protocol 253`,
        `p1 ${A} > ${D} 10.0.10.11 > 10.0.10.12 ttl 7 tos 0xb9 len 20 protocol 253`],
      [`${toPeer(1)} { ${A} > ${D} 10.0.10.11 > 10.0.10.12 ttl 7 tos 0xb9 len 20 protocol 253`,
        `p1 ${A} > ${D} 10.0.10.11 > 10.0.10.12 ttl 7 tos 0xb9 len 20 protocol 253`]
    )]
  },
  {
    name: 'over IPv6: several remotes, learning',
    plan: overIpv6({ remote: [peer6(2), peer6(3)] }), steps: [broadcast, show, unknown], frames: 6
  },
  {
    name: 'frames of all sizes',
    plan: toPeer2(),
    steps: [0, 1, 3, 46, 1000, 1450].map((n) => send('p0', plain(D, A, data(n)), `payload of ${n}`)), frames: 12
  },
  { name: 'tags are kept', plan: toPeer2(), steps: [send('p0', vlanFrame(D, A, 100, 5, EXPERIMENTAL, data(42)))], frames: 2 },
  {
    name: 'a remote without a route, a remote that is oneself',
    plan: vtep({ fdb: [{ mac: B, dst: '9.9.9.9' }] }), steps: [send('p0', plain(B, A)), send('p0', plain(B, A)), broadcast]
  },
  {
    name: 'a remote that does not listen: its answers change nothing',
    plan: toPeer2(),
    steps: [broadcast, send(UNDERLAY, ((): number[] => {
      const quote = datagram({ inner: hello(A), src: LOCAL, dst: peer(2), sport: 40000 }).slice(14, 14 + 28)
      return ethernet('02:cc:00:00:00:01', '02:cc:00:00:00:02', 0x0800,
        ipPacket({ src: peer(2), dst: LOCAL, protocol: 1, payload: [3, 3, 0, 0, 0, 0, 0, 0, ...quote] }))
    })(), 'ICMP port unreachable'), broadcast, broadcast],
    frames: 6
  }
])
