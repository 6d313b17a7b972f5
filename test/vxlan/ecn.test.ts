/** Congestion marks between outer and inner header (RFC 6040), against the kernel's: all pairs, and what has no such mark. */
import test from 'ava'
import { ethernet, be16 } from '../oracle/naive-frames.js'
import { ALL, arpFrame, data, ipPacket, patch } from '../helpers/frames.js'
import { vlanFrame } from '../kernel/bridge-plan.js'
import { datagram, datagram6, ip6, type Datagram } from './datagram.js'
import { A, B, D, LOCAL, UNDERLAY, deviates, overIpv6, peer, peerMac, plain, send, toPeer2, vtep, type Step } from './plan.js'
import { scenarios } from './scenario.js'

const ECN = ['not-ECT', 'ECT(1)', 'ECT(0)', 'CE']
const packet4 = (tos: number): number[] => ipPacket({ src: '10.0.10.12', dst: '10.0.10.11', tos })
const packet6 = (tos: number): number[] =>
  [0x60 | (tos >> 4), (tos & 15) << 4, 0, 0, ...be16(20), 253, 64, ...ip6('fd00::1'), ...ip6('fd00::2'), ...data(20)]
const frame4 = (tos: number, to = ALL, from = B): number[] => ethernet(to, from, 0x0800, packet4(tos))
const frame6 = (tos: number, to = ALL, from = B): number[] => ethernet(to, from, 0x86dd, packet6(tos))

const pairs = (frame: (tos: number) => number[], wrap: (d: Datagram) => number[] = datagram): Step[] =>
  ECN.flatMap((outerName, outer) => ECN.map((innerName, inner) =>
  send(UNDERLAY, wrap({ inner: frame(0xb8 | inner), tos: 0x28 | outer }), `outer ${outerName}, inner ${innerName}`)))
const marked = (what: string, inner: number[]): Step[] =>
  ECN.map((name, outer) => send(UNDERLAY, datagram({ inner, tos: outer }), `outer ${name}, inner ${what}`))
const leaving = (frame: (tos: number, to: string, from: string) => number[]): Step[] =>
  ECN.map((name, inner) => send('p0', frame(0xb8 | inner, D, A), `inner ${name}`))

const CUT_OFF = 'a frame that ends within its IP header: neither bridge nor tunnel look behind the EtherType'
const cutOff = (step: Step, what: string): Step =>
  deviates(CUT_OFF, step, [], ['p0', 'p1'].map((port) => `${port} ${B} > ${ALL} ${what}`))

scenarios(test, [
  { name: 'received, IPv4 in IPv4', plan: vtep(), steps: pairs(frame4), frames: 30 },
  { name: 'received, IPv6 in IPv4', plan: vtep(), steps: pairs(frame6), frames: 30 },
  { name: 'received, IPv4 in IPv6', plan: overIpv6(), steps: pairs(frame4, datagram6), frames: 30 },
  {
    name: 'received, where there is no mark, or a header that is wrong',
    plan: vtep(),
    steps: [
      ...marked('no IP', plain(ALL, B)), ...marked('ARP', arpFrame({ senderMac: B, sender: '10.0.10.12', target: '10.0.10.11' })),
      ...marked('behind a tag', vlanFrame(ALL, B, 5, 0, 0x0800, packet4(1))),
      ...marked('with a wrong checksum', patch(frame4(1), 24, 0xaa)),
      ...marked('cut off within options', ethernet(ALL, B, 0x0800, patch(packet4(1), 0, 0x4f))),
      ...marked('version 5', ethernet(ALL, B, 0x0800, patch(packet4(1), 0, 0x55)))
    ]
  },
  {
    name: 'a header that is cut off',
    plan: toPeer2(),
    steps: [
      // A mark that cannot be written is a reason to drop it on both sides
      ...marked('cut off', frame4(1).slice(0, 30)).map((s, i) => (i === 3 ? s : cutOff(s, 'type 0x800 length 30'))),
      ...marked('IPv6 cut off', frame6(1).slice(0, 40)).map((s, i) => (i === 3 ? s : cutOff(s, 'type 0x86dd length 40'))),
      deviates(
        CUT_OFF, send('p0', ethernet(D, A, 0x0800, [0x45, 3]), 'sent'), [`p1 ${A} > ${D} type 0x800 length 16`],
        [`u0 ${peerMac(2)} ${LOCAL} > ${peer(2)}:4789 ttl 64 tos 0x0 vxlan 0800000000002a00 { ${A} > ${D} type 0x800 length 16`,
          `p1 ${A} > ${D} type 0x800 length 16`]
      )
    ]
  },
  { name: 'sent, IPv4 and IPv6 in IPv4', plan: toPeer2(), steps: [...leaving(frame4), ...leaving(frame6)], frames: 16 },
  { name: 'sent, IPv4 and IPv6 in IPv6', plan: overIpv6(), steps: [...leaving(frame4), ...leaving(frame6)], frames: 16 },
  {
    name: 'sent, where there is no mark',
    plan: toPeer2(),
    steps: [
      send('p0', plain(D, A), 'no IP'), send('p0', arpFrame({ senderMac: A, sender: '10.0.10.11', target: '10.0.10.12' }), 'ARP'),
      ...ECN.map((name, ecn) => send('p0', vlanFrame(D, A, 5, 0, 0x0800, packet4(ecn)), `${name} behind a tag`))
    ],
    frames: 12
  }
])
