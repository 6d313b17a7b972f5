/** ARP and neighbours against the kernel's: who is answered, who is learned, who is asked, what happens when nobody answers. */
import test from 'ava'
import { echo } from '../oracle/naive-frames.js'
import { ALL, arpFrame, data, ICMP, padded, type Arp } from '../helpers/frames.js'
import { A, A_MAC, aToB, B, B_MAC, bToA, FAR, NEAR, R0, R1, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'
import type { Step } from './box.js'

/** The kernel waits up to 0.8 s at random before it answers for others. */
const AT_ONCE = { 'ipv4/neigh/eth0/proxy_delay': 0 }
const proxyPlan = (forwarding = true) => withLinks({ eth0: { proxyArp: true } }, { stations: [], forwarding, sysctls: AT_ONCE })
/** Nobody is known. */
const plan = router({ stations: [] })
const ZERO = '00:00:00:00:00:00'
const arp = (a: Partial<Arp>): Step => ({ send: 'eth0', frame: arpFrame({ senderMac: A_MAC, sender: A, target: NEAR, ...a }) })
const arpB = (a: Partial<Arp>): Step => ({ send: 'eth1', frame: arpFrame({ senderMac: B_MAC, sender: B, target: FAR, ...a }) })
/** A packet for A from the far side: shows what is known of A. */
const towardsA = bToA({ payload: data(4) })
const request = { protocol: ICMP, payload: echo(8, 1, 1, data(16)) }

const answers: Scenario[] = [
  { name: 'a request for the own address', plan, steps: [arp({})], frames: 1 },
  {
    name: 'a padded request',
    plan, steps: [{ send: 'eth0', frame: padded(arpFrame({ senderMac: A_MAC, sender: A, target: NEAR }), 60, 0x99) }], frames: 1
  },
  { name: 'a request for the address of the other interface', plan, steps: [arp({ target: FAR })], frames: 1 },
  { name: 'a request for another', plan, steps: [arp({ target: '10.1.1.77' }), arp({ target: B }), towardsA], frames: 1 },
  { name: 'a unicast request', plan, steps: [arp({ to: R0, targetMac: R0 })], frames: 1 },
  { name: 'a request to another MAC', plan, steps: [arp({ to: '02:00:00:00:01:77' })], frames: 0 },
  { name: 'a request to a link multicast', plan, steps: [arp({ to: '01:00:5e:00:00:01' })], frames: 1 },
  {
    name: 'the target MAC of a request does not matter',
    plan, steps: [arp({ targetMac: '02:99:99:99:99:99' }), arp({ targetMac: ALL })], frames: 2
  },
  { name: 'a sender that is not who sends the frame', plan, steps: [arp({ from: '02:00:00:00:01:55' }), towardsA], frames: 2 },
  {
    name: 'a sender of another network',
    plan, steps: [arp({ sender: '172.16.0.1' }), arp({ sender: '10.9.9.9' }), arp({ sender: B })], frames: 3
  },
  {
    name: 'a probe for the own address',
    plan, steps: [arp({ sender: '0.0.0.0' }), arp({ sender: '0.0.0.0', target: FAR })], frames: 2
  },
  { name: 'a probe for another address', plan, steps: [arp({ sender: '0.0.0.0', target: '10.1.1.77' })], frames: 0 },
  { name: 'a probe that is a reply', plan, steps: [arp({ sender: '0.0.0.0', op: 2, to: R0 })], frames: 0 },
  {
    name: 'a gratuitous request and reply are not answered',
    plan, steps: [arp({ target: A }), arp({ target: A, op: 2 }), towardsA], frames: 1
  },
  {
    name: 'a station that claims our address',
    plan,
    steps: [
      arp({ sender: NEAR, target: NEAR }), arp({ sender: NEAR, target: '10.1.1.77' }),
      arp({ sender: NEAR, target: NEAR, op: 2, to: R0 })
    ],
    frames: 0, drops: { 'arp-duplicate-address': 3 }
  },
  { name: 'our own ARP come back', plan, steps: [arp({ sender: NEAR, senderMac: R0, target: A })], frames: 0 },
  {
    name: 'senders that are no stations: multicast, 127, limited broadcast',
    plan, steps: ['224.0.0.1', '127.0.0.1', '255.255.255.255'].map((sender) => arp({ sender })), frames: 0
  },
  {
    name: 'a sender in class E or in network 0',
    plan, steps: [arp({ sender: '240.0.0.1' }), arp({ sender: '0.1.2.3' })], frames: 2
  },
  { name: 'a sender that is the network address', plan, steps: [arp({ sender: '10.1.1.0' })], frames: 1 },
  {
    name: 'targets that are no stations',
    plan,
    steps: ['224.0.0.1', '127.0.0.1', '255.255.255.255', '10.1.1.255', '0.0.0.0', '10.1.1.0'].map((target) => arp({ target })),
    frames: 0
  },
  {
    name: 'in a router that does not forward',
    plan: router({ stations: [], forwarding: false }), steps: [arp({}), arp({ target: FAR })], frames: 2
  }
]

const malformed: Scenario[] = [
  {
    name: 'malformed: other hardware type, protocol, lengths',
    plan,
    steps: [
      arp({ hardware: 2 }), arp({ hardware: 7 }), arp({ protocol: 0x86dd }), arp({ protocol: 0x0806 }), arp({ lengths: [8, 4] }),
      arp({ lengths: [6, 16] }), arp({ lengths: [0, 0] })
    ],
    frames: 0
  },
  { name: 'hardware type 6 (IEEE 802) is Ethernet too', plan, steps: [arp({ hardware: 6 })], frames: 1 },
  { name: 'other operations', plan, steps: [0, 3, 4, 8, 9, 256].map((op) => arp({ op })), frames: 0 },
  {
    name: 'cut short',
    plan,
    steps: [27, 20, 8, 0].map((n): Step =>
      ({ send: 'eth0', frame: arpFrame({ senderMac: A_MAC, sender: A, target: NEAR }).slice(0, 14 + n) })),
    frames: 0
  }
]

const proxy: Scenario[] = [
  {
    name: 'proxy_arp answers for what is behind another interface',
    plan: proxyPlan(), steps: [arp({ target: B }), arp({ target: '10.9.1.1' }), arp({ to: R0, target: B })], frames: 3
  },
  {
    name: 'proxy_arp does not answer for the link itself, nor for what has no route',
    plan: proxyPlan(), steps: ['10.1.1.77', '10.8.1.1', '172.16.0.1', '10.66.1.1'].map((target) => arp({ target })), frames: 0
  },
  { name: 'proxy_arp without forwarding', plan: proxyPlan(false), steps: [arp({ target: B })], frames: 0 },
  {
    name: 'proxy_arp and gratuitous requests',
    plan: proxyPlan(), steps: [arp({ sender: B, target: B }), arp({ target: A })], frames: 1
  },
  { name: 'proxy_arp and a probe', plan: proxyPlan(), steps: [arp({ sender: '0.0.0.0', target: B })], frames: 0 },
  { name: 'proxy_arp: who asks is known', plan: proxyPlan(), steps: [arp({ target: B }), towardsA], frames: 2 }
]

const learning: Scenario[] = [
  { name: 'who asks for us is known', plan, steps: [arp({}), towardsA], frames: 2 },
  {
    name: 'an answer nobody asked for is not learned',
    plan, steps: [arp({ op: 2, to: R0, targetMac: R0 }), towardsA], frames: 1
  },
  {
    name: 'asked, held, answered, sent',
    plan, steps: [towardsA, towardsA, arp({ op: 2, to: R0, targetMac: R0 }), towardsA], frames: 4
  },
  { name: 'asked, answered in a broadcast', plan, steps: [towardsA, arp({ op: 2 }), towardsA], frames: 3 },
  { name: 'asked, and asked back meanwhile', plan, steps: [towardsA, arp({}), towardsA], frames: 4 },
  { name: 'asked, answered by a gratuitous request', plan, steps: [towardsA, arp({ target: A }), towardsA], frames: 3 },
  {
    name: 'the request comes from the address the packet came from, if it is ours',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.1.1.9/24'] } }, { stations: [] }),
    steps: [aToB({ dst: '10.1.1.9', ...request })], frames: 1
  },
  {
    name: 'the request for another network comes from an address there',
    plan: withLinks({ eth0: { addresses: ['10.5.5.1/24', '10.1.1.1/24'] } }, { stations: [] }),
    steps: [towardsA, bToA({ dst: '10.5.5.7' })], frames: 2
  },
  {
    name: 'many packets for one who is being asked',
    plan, steps: [...Array.from({ length: 20 }, (_, i) => bToA({ id: i + 1, payload: data(40) })), arp({ op: 2, to: R0 })],
    frames: 21
  },
  {
    name: 'a new MAC in a gratuitous request replaces the old one',
    plan, steps: [arp({}), arp({ target: A, senderMac: '02:00:00:00:01:99' }), towardsA], frames: 2
  },
  {
    name: 'a new MAC in a request for us replaces the old one',
    plan, steps: [arp({}), { wait: 1500 }, arp({ senderMac: '02:00:00:00:01:99' }), towardsA], frames: 3
  },
  {
    name: 'a permanent neighbour is not replaced',
    plan: router(),
    steps: [arp({ senderMac: '02:00:00:00:01:99' }), arp({ target: A, senderMac: '02:00:00:00:01:99' }), towardsA], frames: 2
  },
  {
    name: 'the first of two answers counts',
    plan, steps: [towardsA, arp({ op: 2, to: R0 }), arp({ op: 2, to: R0, senderMac: '02:00:00:00:01:99' }), towardsA], frames: 3
  },
  {
    name: 'an answer by the other interface is another neighbour',
    plan,
    steps: [
      towardsA, { send: 'eth1', frame: arpFrame({ op: 2, to: R1, senderMac: A_MAC, sender: A, target: FAR }) },
      arpB({ sender: A })
    ],
    frames: 2
  }
]

/**
 * The kernel with shorter timers, since its time is real: requests `retrans` milliseconds apart, the first probe after a second.
 * What is waited for is well between two of them.
 */
const impatient = (retrans: number) => router({
  stations: [{ address: B, mac: B_MAC, dev: 'eth1' }],
  sysctls: Object.fromEntries(['eth0', 'eth1'].flatMap((i) =>
    [[`ipv4/neigh/${i}/retrans_time_ms`, retrans], [`ipv4/neigh/${i}/delay_first_probe_time`, 1]]))
})
const fast = impatient(100)
const slower = impatient(600)
const untilFailed = { wait: 3500, kernel: 800 }

const failing: Scenario[] = [
  {
    name: 'three requests, then host unreachable',
    plan: fast, steps: [towardsA, untilFailed], frames: 4, drops: { 'neigh-failed': 1 }
  },
  {
    name: 'host unreachable for each packet held',
    plan: fast, steps: [bToA({ id: 1, payload: data(9) }), bToA({ id: 2, payload: data(900) }), untilFailed],
    frames: 5
  },
  {
    name: 'no host unreachable for errors and fragments',
    plan: fast,
    steps: [bToA({ protocol: ICMP, payload: [3, 1, 0xfc, 0xfe, 0, 0, 0, 0] }), bToA({ flags: 10 }), untilFailed],
    frames: 3
  },
  {
    name: 'answered after the second request',
    plan: slower, steps: [towardsA, { wait: 1500, kernel: 900 }, arp({ op: 2, to: R0 }), { wait: 1500, kernel: 150 }],
    frames: 3
  },
  {
    name: 'a gateway that does not answer: host unreachable',
    plan: fast, steps: [bToA({ dst: '10.8.1.1' }), untilFailed], frames: 4
  },
  {
    name: 'our own answer to one who does not answer ARP',
    plan: fast, steps: [aToB({ dst: NEAR, ...request }), untilFailed], frames: 3
  },
  {
    name: 'one who asked and then keeps silent is probed and given up',
    plan: fast, steps: [arp({}), towardsA, { wait: 9500, kernel: 2000 }, towardsA], frames: 6
  },
  {
    name: 'one who asked and answers the probe stays',
    plan: slower,
    steps: [
      arp({}), towardsA, { wait: 5400, kernel: 1300 }, arp({ op: 2, to: R0, targetMac: R0 }), { wait: 3000, kernel: 350 },
      towardsA
    ],
    frames: 4
  }
]

const deviations: Scenario[] = [
  {
    name: 'a sender MAC that is a group address or zero is refused', plan,
    steps: [arp({ senderMac: '03:00:00:00:00:01', from: A_MAC }), arp({ senderMac: ZERO, from: A_MAC })],
    deviation: {
      why: 'ARP senders that are no stations',
      kernel: ['03:00:00:00:00:01', ZERO].map((to) => `eth0 ${R0} > ${to} arp 2 ${NEAR} (${R0}) > ${A} (${to})`),
      tapway: []
    }
  },
  {
    name: 'a sender that is the broadcast address of the network', plan, steps: [arp({ sender: '10.1.1.255' })],
    deviation: {
      why: 'ARP senders that are no stations', kernel: [`eth0 ${R0} > ${A_MAC} arp 2 ${NEAR} (${R0}) > 10.1.1.255 (${A_MAC})`],
      tapway: []
    }
  }
]

scenarios(test, [...answers, ...malformed, ...proxy, ...learning, ...failing, ...deviations])
