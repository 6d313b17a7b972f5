/** Addresses that cannot be, broadcasts, redirects, reverse path filter: against the kernel's. */
import test from 'ava'
import { echo } from '../oracle/naive-frames.js'
import { ALL, data, ICMP, ipPacket } from '../helpers/frames.js'
import { A, A_MAC, aToB, B, B_MAC, bToA, FAR, fromA, NEAR, R0, R1, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = router()
const withDefault = router({ routes: [{ to: '0.0.0.0/0', nexthops: [{ via: '10.1.2.254' }] }] })
const both = withLinks({ eth0: { bcForwarding: true }, eth1: { bcForwarding: true } })
const request = { protocol: ICMP, payload: echo(8, 1, 1, data(16)) }

const sources: Scenario[] = [
  '0.0.0.0', '127.0.0.1', '127.255.1.1', '224.0.0.1', '239.255.255.255', '255.255.255.255', NEAR, FAR
].map((src) => ({
  name: `source ${src}: forwarded`, plan: withDefault, steps: [aToB({ src })], frames: 0, drops: { 'martian-source': 1 }
}))
const ownSources: Scenario[] = ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', NEAR, FAR].map((src) => ({
  name: `source ${src}: echo to the router itself`, plan: withDefault, steps: [aToB({ src, dst: NEAR, ...request })], frames: 0
}))
const destinations: Scenario[] = [
  '0.0.0.0', '127.0.0.1', '224.0.0.1', '224.0.0.5', '239.1.2.3', '255.255.255.255', '10.1.1.255'
].map((dst) => ({
  name: `destination ${dst}`, plan: withDefault, steps: [aToB({ dst }), fromA(ipPacket({ src: A, dst }), ALL)], frames: 0
}))

const more: Scenario[] = [
  { name: 'class E, network 0, 169.254, 192.0.2, 198.18, 100.64 are routed', plan: withDefault,
    steps: ['240.1.1.1', '0.1.2.3', '254.255.255.255', '169.254.9.9', '192.0.2.1', '198.18.0.1', '100.64.0.1'].flatMap((a) =>
      [aToB({ dst: a }), aToB({ src: a })]), frames: 14 },
  {
    name: 'source 0.0.0.0 to 0.0.0.0 and to 255.255.255.255',
    plan, steps: ['0.0.0.0', '255.255.255.255'].map((dst) => aToB({ src: '0.0.0.0', dst, ...request })), frames: 0
  },
  { name: 'the network address is an address like any other', plan, steps: [aToB({ dst: '10.1.2.0' })], frames: 1 },
  { name: 'a source that is the network address gets its error', plan, steps: [aToB({ src: '10.1.1.0', ttl: 1 })], frames: 1 },
  {
    name: 'a directed broadcast is not forwarded',
    plan, steps: [aToB({ dst: '10.1.2.255', payload: data(30) })], frames: 0, drops: { 'directed-broadcast': 1 }
  },
  { name: 'a directed broadcast is forwarded with bc_forwarding', plan: both,
    steps: [aToB({ dst: '10.1.2.255', payload: data(30) })], frames: 1 },
  {
    name: 'echo to a directed broadcast that is forwarded',
    plan: withLinks({ eth0: { bcForwarding: true }, eth1: { bcForwarding: true } }),
    steps: [aToB({ dst: '10.1.2.255', ...request })], frames: 1
  },
  { name: 'the broadcast address of a /30, /31 and /32', plan: router({
    links: [
      { name: 'eth0', mac: '02:00:00:00:01:01', addresses: ['10.1.1.1/24'] },
      { name: 'eth1', mac: R1, addresses: ['10.1.2.1/30', '10.3.0.0/31', '10.4.0.1/32'] }
    ],
    stations: [
      { address: A, mac: '02:00:00:00:01:02', dev: 'eth0' }, { address: '10.3.0.1', mac: '02:00:00:00:03:01', dev: 'eth1' }
    ],
    routes: []
  }),
  steps: [
    ...['10.1.2.3', '10.3.0.1'].map((dst) => aToB({ dst })), ...['10.3.0.0', '10.4.0.1'].map((dst) => aToB({ dst, ...request }))
  ],
  frames: 3 },
  {
    name: 'a source on the wrong link passes: no reverse path filter',
    plan, steps: [aToB({ src: '10.1.2.9' }), aToB({ src: '172.16.0.1' })], frames: 2
  },
  {
    name: 'a source that has only an unreachable route passes',
    plan, steps: [aToB({ src: '10.66.1.1' }), aToB({ src: '10.66.2.1' })], frames: 2
  }
]

const rpFilter: Scenario[] = [
  { name: 'strict rp_filter', plan: withLinks({ eth0: { rpFilter: 1 } }),
    steps: [...[A, '10.8.1.1', '10.1.2.9', '10.9.1.1', '172.16.0.1'].map((src) => aToB({ src })), bToA({ src: '10.1.1.9' })],
    frames: 3, drops: { 'rp-filter': 3 } },
  { name: 'loose rp_filter', plan: withLinks({ eth0: { rpFilter: 2 } }),
    steps: [A, '10.1.2.9', '10.9.1.1', '172.16.0.1', '10.66.1.1', '10.66.2.1'].map((src) => aToB({ src })),
    frames: 3, drops: { 'rp-filter': 3 } },
  {
    name: 'strict rp_filter for packets to the router itself',
    plan: withLinks({ eth0: { rpFilter: 1 } }),
    steps: [aToB({ src: '10.9.1.1', dst: NEAR, ...request }), aToB({ dst: FAR, ...request })], frames: 1
  },
  {
    name: 'strict rp_filter with a default route',
    plan: withLinks({ eth1: { rpFilter: 1 } }, { routes: [{ to: '0.0.0.0/0', nexthops: [{ via: '10.1.2.254' }] }] }),
    steps: [bToA({ src: '1.2.3.4' })], frames: 1
  }
]

const redirects: Scenario[] = [
  {
    name: 'redirect to a better gateway, and the packet goes on',
    plan, steps: [aToB({ dst: '10.8.1.1', payload: data(30) })], frames: 2
  },
  { name: 'redirect to the destination itself', plan, steps: [aToB({ dst: '10.1.1.3', payload: data(30) })], frames: 2 },
  { name: 'redirect about something large', plan, steps: [aToB({ dst: '10.8.1.1', payload: data(1400) })], frames: 2 },
  { name: 'redirect with TOS', plan, steps: [aToB({ dst: '10.8.1.1', tos: 0xb8 })], frames: 2 },
  {
    name: 'no redirect to a source not on the link',
    plan, steps: [aToB({ src: '10.8.2.2', dst: '10.8.1.1' }), aToB({ src: '10.1.2.2', dst: '10.8.1.1' })], frames: 2
  },
  {
    name: 'no redirect with send_redirects off',
    plan: withLinks({ eth0: { sendRedirects: false } }), steps: [aToB({ dst: '10.8.1.1' })], frames: 1
  },
  {
    name: 'no redirect about an ICMP error',
    plan, steps: [aToB({ dst: '10.8.1.1', protocol: ICMP, payload: [3, 1, 0xfc, 0xfe, 0, 0, 0, 0] })], frames: 1
  },
  {
    name: 'no redirect about a later fragment',
    plan, steps: [aToB({ dst: '10.8.1.1', flags: 10, payload: data(30) })], frames: 1
  },
  { name: 'back to the sender itself', plan, steps: [aToB({ dst: A, payload: data(4) })], frames: 2 },
  { name: 'redirect to a gateway on another network of the link',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.5.5.1/24'] } }, {
    routes: [{ to: '10.8.0.0/16', nexthops: [{ via: '10.5.5.3' }] }],
    stations: [
      { address: A, mac: '02:00:00:00:01:02', dev: 'eth0' }, { address: '10.5.5.3', mac: '02:00:00:00:05:03', dev: 'eth0' }
    ]
  }), steps: [aToB({ dst: '10.8.1.1' })], frames: 2 },
  {
    name: 'redirect when the source comes by the other network of the link',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.5.5.1/24'] } }), steps: [aToB({ src: '10.5.5.7', dst: '10.8.1.1' })],
    frames: 2
  },
  { name: 'with TTL 1 out of the same interface: only the error', plan, steps: [aToB({ dst: '10.8.1.1', ttl: 1 })], frames: 1 }
]

/**
 * The kernel takes a broadcast address of its own networks for a source, unless the packet leaves by the interface it came by or
 * rp_filter is on.
 */
const why = 'broadcast addresses as source'
const bcForwarding = 'errors about broadcasts, with bc_forwarding'
const deviations: Scenario[] = [
  {
    name: 'a broadcast address as source: forwarded, and told of errors', plan,
    steps: [aToB({ src: '10.1.1.255' }), aToB({ src: '10.1.1.255', ttl: 1 }), aToB({ src: '10.1.2.255', ttl: 1 })],
    drops: { 'martian-source': 3 },
    deviation: {
      why,
      kernel: [
        `eth1 ${R1} > ${B_MAC} 10.1.1.255 > ${B} ttl 63 tos 0x0 len 20 protocol 253`,
        `eth0 ${R0} > ${ALL} ${NEAR} > 10.1.1.255 ttl 64 tos 0xc0 len 48 icmp 11/0 rest 0.0.0.0`,
        `eth1 ${R1} > ${ALL} ${FAR} > 10.1.2.255 ttl 64 tos 0xc0 len 48 icmp 11/0 rest 0.0.0.0`
      ],
      tapway: []
    }
  },
  {
    name: 'a broadcast address as source: echo to the router itself', plan,
    steps: [aToB({ src: '10.1.1.255', dst: NEAR, ...request }), aToB({ src: '10.1.2.255', dst: NEAR, ...request })],
    drops: { 'martian-source': 2 },
    deviation: {
      why,
      kernel: [
        `eth0 ${R0} > ${ALL} ${NEAR} > 10.1.1.255 ttl 64 tos 0x0 len 44 icmp 0/0 rest 0.1.0.1`,
        `eth1 ${R1} > ${ALL} ${NEAR} > 10.1.2.255 ttl 64 tos 0x0 len 44 icmp 0/0 rest 0.1.0.1`
      ],
      tapway: []
    }
  },
  {
    name: 'bc_forwarding: a directed broadcast with TTL 1', plan: both, steps: [aToB({ dst: '10.1.2.255', ttl: 1 })],
    drops: { 'ttl-exceeded': 1 },
    deviation: {
      why: bcForwarding, kernel: [`eth0 ${R0} > ${A_MAC} ${NEAR} > ${A} ttl 64 tos 0xc0 len 48 icmp 11/0 rest 0.0.0.0`],
      tapway: []
    }
  },
  {
    name: "bc_forwarding: a broadcast on the link's own network is for the router, not to be sent back", plan: both,
    steps: [aToB({ dst: '10.1.1.255' })],
    deviation: {
      why: bcForwarding,
      kernel: [
        `eth0 ${R0} > ${A_MAC} ${NEAR} > ${A} ttl 64 tos 0xc0 len 48 icmp 5/1 rest 10.1.1.255`,
        `eth0 ${R0} > ${ALL} ${A} > 10.1.1.255 ttl 63 tos 0x0 len 20 protocol 253`
      ],
      tapway: []
    }
  }
]

scenarios(test, [...sources, ...ownSources, ...destinations, ...more, ...rpFilter, ...redirects, ...deviations])
