/** The bridge against the kernel's: learning, flooding, what is not forwarded, tags and sizes. */
import test from 'ava'
import { ethernet, ipv4, udp, zeros } from '../oracle/naive-frames.js'
import { ALL, data } from '../helpers/frames.js'
import { A, B, C, bridge, BRIDGE_MAC, doubleTagged, EXPERIMENTAL, hello, plain, send, vlanFrame } from './bridge-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = bridge()
const toGroup = udp('10.0.0.1', 1000, '239.1.2.3', 2000, data(40))
const groupIp = ethernet('01:00:5e:01:02:03', A, 0x0800, ipv4(17, '10.0.0.1', '239.1.2.3', toGroup))

const learning: Scenario[] = [
  { name: 'unknown unicast is flooded to every other port', plan, steps: [send('p0', plain(B, A))], frames: 3 },
  { name: 'broadcast is flooded', plan, steps: [hello('p2', A)], frames: 3 },
  { name: 'multicast nobody registered for is flooded', plan, steps: [send('p1', groupIp)], frames: 3 },
  {
    name: 'a group address that is no IP multicast is flooded',
    plan, steps: [send('p1', plain('03:00:00:00:00:01', A))], frames: 3
  },
  {
    name: 'a station once heard gets its frames alone',
    plan, steps: [hello('p1', B), send('p0', plain(B, A)), send('p1', plain(A, B))], frames: 5
  },
  {
    name: 'learned from a unicast frame as well',
    plan, steps: [send('p0', plain(B, A)), send('p1', plain(A, B)), send('p0', plain(B, A))], frames: 5
  },
  {
    name: 'a station that moves is followed',
    plan, steps: [hello('p1', B), send('p0', plain(B, A)), hello('p2', B), send('p0', plain(B, A))], frames: 8
  },
  {
    name: 'a frame to its own port goes nowhere, and its source is learned',
    plan, steps: [hello('p1', B), send('p1', plain(B, C)), send('p0', plain(C, A))], frames: 4, drops: { 'same-port': 1 }
  },
  {
    name: 'a frame to its own source address',
    plan, steps: [send('p0', plain(A, A)), send('p1', plain(A, B))], frames: 1, drops: { 'same-port': 1 }
  },
  {
    name: 'a group source address is refused and not learned',
    plan, steps: [send('p1', plain(B, '03:00:00:00:00:0b')), send('p1', plain(ALL, ALL)), send('p0', plain(B, A))], frames: 3,
    drops: { 'source-mac-invalid': 2 }
  },
  {
    name: 'a source address of zero is refused',
    plan, steps: [send('p1', plain(B, '00:00:00:00:00:00'))], frames: 0, drops: { 'source-mac-invalid': 1 }
  },
  {
    name: 'a destination of zero is an address like any other',
    plan, steps: [send('p1', plain('00:00:00:00:00:00', A))], frames: 3
  },
  {
    name: 'an entry that was not heard for the ageing time is forgotten',
    plan: bridge({ ageing: 1, kernelAgeing: 0.6 }),
    steps: [hello('p1', B), send('p0', plain(B, A)), { wait: 3000, kernel: 1500 }, send('p0', plain(B, A))], frames: 7
  },
  {
    name: 'an entry that is heard stays',
    plan: bridge({ ageing: 2 }),
    steps: [hello('p1', B), { wait: 700 }, hello('p1', B), { wait: 700 }, hello('p1', B), { wait: 700 }, send('p0', plain(B, A))],
    frames: 10
  },
  {
    name: "the bridge's own address as a source: forwarded, not learned",
    plan, steps: [send('p1', plain(ALL, BRIDGE_MAC)), send('p0', plain(BRIDGE_MAC, A))], frames: 3
  }
]

const sizes: Scenario[] = [
  { name: 'a short frame is not padded', plan, steps: [send('p0', ethernet(B, A, EXPERIMENTAL, [1, 2, 3]))], frames: 3 },
  { name: 'a frame of a bare header', plan, steps: [send('p0', ethernet(B, A, EXPERIMENTAL, []))], frames: 3 },
  {
    name: 'padding is kept',
    plan, steps: [send('p0', [...ethernet(B, A, 0x0800, ipv4(17, '10.0.0.1', '10.0.0.2', [])), ...zeros(26)])], frames: 3
  },
  { name: 'a frame of the full MTU', plan, steps: [send('p0', plain(B, A, data(1500)))], frames: 3 },
  { name: 'four bytes more, as for a tag', plan, steps: [send('p0', plain(B, A, data(1504)))], frames: 3 },
  {
    name: 'five bytes more are dropped',
    plan, steps: [send('p0', plain(B, A, data(1505)))], frames: 0, drops: { 'mtu-exceeded': 3 }
  },
  { name: 'an IP packet too big for the bridge is dropped in silence', plan: bridge({ mtu: 1000 }), steps: [
    hello('p1', B), send('p0', ethernet(B, A, 0x0800, ipv4(17, '10.0.0.1', '10.0.0.2', data(1200))))
  ], frames: 3, drops: { 'mtu-exceeded': 1 } },
  { name: 'an 802.3 frame with a length', plan, steps: [send('p0', ethernet(B, A, 46, data(46)))], frames: 3 },
  { name: 'an 802.3 frame whose length is a lie', plan, steps: [send('p0', ethernet(B, A, 1000, data(46)))], frames: 3 },
  { name: 'an 802.3 frame with more than its length', plan, steps: [send('p0', ethernet(B, A, 10, data(46)))], frames: 3 }
]

const tags: Scenario[] = [
  { name: 'an 802.1Q tag is left alone', plan, steps: [send('p0', vlanFrame(B, A, 100, 5, EXPERIMENTAL, data(42)))], frames: 3 },
  { name: 'a priority tag is left alone', plan, steps: [send('p0', vlanFrame(B, A, 0, 7, EXPERIMENTAL, data(42)))], frames: 3 },
  { name: 'VLAN 4095 is left alone', plan, steps: [send('p0', vlanFrame(B, A, 4095, 0, EXPERIMENTAL, data(42)))], frames: 3 },
  {
    name: 'an 802.1ad tag is left alone',
    plan, steps: [send('p0', vlanFrame(B, A, 100, 0, EXPERIMENTAL, data(42), 0x88a8))], frames: 3
  },
  { name: 'two tags are left alone', plan, steps: [send('p0', doubleTagged(B, A, 200, 100, data(40)))], frames: 3 },
  { name: 'two 802.1Q tags are left alone', plan, steps: [
    send('p0', vlanFrame(B, A, 200, 1, 0x8100, [0, 100, 0x88, 0xb5, ...data(40)]))
  ], frames: 3 },
  {
    name: 'stations are learned from tagged frames, for all VLANs alike',
    plan,
    steps: [
      send('p1', vlanFrame(ALL, B, 100, 0, EXPERIMENTAL, data(42))), send('p0', plain(B, A)),
      send('p0', vlanFrame(B, A, 200, 0, EXPERIMENTAL, data(42)))
    ],
    frames: 5
  },
  {
    name: 'a tagged frame of the full MTU',
    plan, steps: [send('p0', vlanFrame(B, A, 100, 0, EXPERIMENTAL, data(1500)))], frames: 3
  },
  {
    name: 'a doubly tagged frame of the full MTU',
    plan, steps: [send('p0', doubleTagged(B, A, 200, 100, data(1500)))], frames: 3
  },
  {
    name: 'four bytes more behind a tag',
    plan, steps: [send('p0', vlanFrame(B, A, 100, 0, EXPERIMENTAL, data(1504)))], frames: 3
  },
  {
    name: 'five bytes more behind a tag are dropped',
    plan, steps: [send('p0', vlanFrame(B, A, 100, 0, EXPERIMENTAL, data(1505)))], frames: 0
  },
  {
    name: 'a frame that ends within its tag',
    plan, steps: [send('p0', ethernet(B, A, 0x8100, [0, 100]))],
    deviation: {
      why: 'frames that end within their VLAN tag',
      kernel: [],
      tapway: ['p1', 'p2', 'p3'].map((port) => `${port} ${A} > ${B} type 0x8100 length 16`)
    }
  }
]

scenarios(test, [...learning, ...sizes, ...tags])
