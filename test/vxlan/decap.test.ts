/** What a tunnel port takes from the underlay and what it refuses, against the kernel's. */
import test from 'ava'
import { ethernet, be16 } from '../oracle/naive-frames.js'
import { ALL, arpFrame, data, ipPacket, patch } from '../helpers/frames.js'
import { vlanFrame, doubleTagged } from '../kernel/bridge-plan.js'
import { datagram, vxlanHeader, type Datagram } from './datagram.js'
import {
  A, B, BRIDGE_MAC, C, D, SECOND, UNDERLAY, UNDERLAY_MAC, VNI, EXPERIMENTAL, deviates, hello, peer, peerMac, plain, send, show,
  toPeer2, tunnelMac, vtep, type Step
} from './plan.js'
import { scenarios } from './scenario.js'

const arrive = (what: string, d: Partial<Datagram>): Step => send(UNDERLAY, datagram({ inner: hello(B), ...d }), what)
const header = (at: number, value: number): number[] => patch(vxlanHeader(VNI), at, value)
const inner = (what: string, frame: readonly number[]): Step => arrive(what, { inner: frame })
const bits = Array.from({ length: 8 }, (_, i) => 1 << i)

scenarios(test, [
  {
    name: 'a frame of a peer is flooded to all inner ports',
    plan: vtep({}, { ports: 3 }), steps: [arrive('broadcast', {}), show], frames: 3
  },
  {
    name: 'a datagram without I flag, of an unknown VNI, or too short',
    plan: vtep(),
    steps: [
      arrive('good', {}), arrive('no I flag', { header: header(0, 0) }), arrive('other VNI', { vni: 43 }),
      arrive('VNI 0', { vni: 0 }),
      ...[0, 1, 7].map((n) => arrive(`${n} bytes in all`, { header: vxlanHeader(VNI).slice(0, n), inner: [] })),
      ...[0, 1, 13].map((n) => arrive(`inner frame of ${n} bytes`, { inner: hello(C).slice(0, n) })),
      ...[14, 15, 20].map((n) => arrive(`inner frame of ${n} bytes`, { inner: hello(C).slice(0, n) })), show
    ],
    frames: 8
  },
  {
    name: 'any reserved bit in the first byte of flags',
    plan: vtep(),
    steps: [...bits.filter((bit) => bit !== 8).map((bit) => arrive(`bit 0x${bit.toString(16)}`, { header: header(0, 8 | bit) })),
      arrive('none', {}), show],
    frames: 2
  },
  {
    name: 'any reserved bit in the bytes behind the flags and the VNI',
    plan: vtep(),
    steps: [
      ...[1, 2, 3, 7].flatMap((at) => [1, 0x10, 0x80].map((bit) =>
        arrive(`byte ${at} bit 0x${bit.toString(16)}`, { header: header(at, bit) }))),
      arrive('a group policy where gbp is off', { header: [0x88, 0, 0, 7, 0, 0, VNI, 0] }), arrive('none', {}), show
    ],
    frames: 2
  },
  {
    name: 'source addresses no station has',
    plan: vtep(),
    steps: [
      inner("the tunnel port's own", hello(tunnelMac(0))), inner('a group', hello('03:00:00:00:00:01')),
      inner('all ones', hello(ALL)),
      inner('zero', hello('00:00:00:00:00:00')), inner('a station', hello(B)), show
    ],
    frames: 2
  },
  {
    name: "the bridge's own address as a source: forwarded, learned by the tunnel, not by the bridge",
    plan: vtep(), steps: [inner('from the bridge', hello(BRIDGE_MAC)), show], frames: 2
  },
  {
    name: 'destinations',
    plan: vtep(),
    steps: [
      inner('zero', plain('00:00:00:00:00:00', B)), inner('unknown station', plain(D, B)),
      inner('group', plain('03:00:00:00:00:05', B)),
      send('p0', hello(A)), inner('known station', plain(A, B)), inner('bridge group address', plain('01:80:c2:00:00:00', B)),
      inner('the bridge itself', plain(BRIDGE_MAC, B)), show
    ],
    frames: 10
  },
  {
    name: 'tags and 802.3 lengths inside',
    plan: vtep(),
    steps: [
      inner('802.1Q', vlanFrame(ALL, B, 100, 5, EXPERIMENTAL, data(42))),
      inner('802.1ad and 802.1Q', doubleTagged(ALL, B, 200, 100, data(40))),
      inner('priority tag', vlanFrame(ALL, B, 0, 7, EXPERIMENTAL, data(42))),
      inner('a length', ethernet(ALL, B, 46, data(46))), inner('no padding', ethernet(ALL, B, EXPERIMENTAL, [1, 2, 3]))
    ],
    frames: 10
  },
  {
    name: 'outer checksums, ports and padding',
    plan: vtep(),
    steps: [
      arrive('zero', { checksum: 0 }), arrive('wrong', { checksum: 0x1234 }), arrive('source port 0', { sport: 0 }),
      arrive('source port 4789', { sport: 4789 }),
      arrive('padding behind the datagram', { trailer: data(10) }), arrive('other port', { dport: 4790 }),
      arrive('TTL 1', { ttl: 1 })
    ]
  },
  {
    name: 'peers nobody has heard of',
    plan: toPeer2(),
    steps: [
      arrive('in the network', { src: peer(99) }), arrive('elsewhere', { src: '8.8.8.8', inner: hello(C) }), show,
      send('p0', plain(B, A), 'to the first')
    ]
  },
  { name: 'a peer nobody has heard of, without learning', plan: toPeer2({ learning: false }),
    steps: [arrive('in the network', { src: peer(99) }), show] },
  {
    name: 'another address of the machine',
    plan: vtep(),
    steps: [deviates(
      'a tunnel with a local address is bound to it', arrive('to the second address', { dst: SECOND }),
      ['p0', 'p1'].map((port) => `${port} ${B} > ${ALL} type 0x88b5 length 60`),
      [`u0 ${UNDERLAY_MAC} > ${peerMac(2)} ${SECOND} > ${peer(2)} ttl 64 tos 0xc0 len 124 icmp 3/3 rest 0.0.0.0`]
    ), arrive('to the first', {})]
  },
  {
    name: 'a fragmented datagram',
    plan: vtep(),
    steps: (() => {
      const whole = datagram({ inner: plain(ALL, B, data(1400)) }).slice(34)
      const part = (from: number, to: number, more: boolean): number[] =>
        ethernet('02:cc:00:00:00:01', '02:cc:00:00:00:02', 0x0800, ipPacket({
        src: peer(2), dst: '192.168.77.1', protocol: 17, payload: whole.slice(from, to), flags: (more ? 0x2000 : 0) | from / 8
      }))
      return [send(UNDERLAY, part(0, 800, true), 'first'), send(UNDERLAY, part(800, whole.length, false), 'last')]
    })(),
    frames: 2
  },
  {
    name: 'ARP for the bridge through the tunnel is answered through the tunnel',
    plan: vtep({}, { address: '10.0.10.1/24' }),
    steps: [inner('request', arpFrame({ senderMac: B, sender: '10.0.10.12', target: '10.0.10.1' }))], frames: 3
  },
  {
    name: 'a frame that would go back through the tunnel it came from',
    plan: toPeer2(),
    steps: [arrive('B is behind peer 2', {}), inner('C, behind peer 3, to B', plain(B, C)),
      send(UNDERLAY, datagram({ from: 3, inner: plain(B, C) }), 'C from peer 3 to B'), show],
    frames: 2
  },
  {
    name: 'a tag that is cut off',
    plan: vtep(),
    steps: [
      arrive('good', {}), inner('16 bytes', ethernet(ALL, B, 0x8100, be16(100))),
      inner('18 bytes', ethernet(ALL, B, 0x8100, [...be16(100), ...be16(EXPERIMENTAL)]))
    ],
    frames: 2
  }
])
