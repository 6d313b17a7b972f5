/** Changes while a router runs, against the kernel's: forwarding, links, addresses, routes, neighbours. */
import test from 'ava'
import { echo } from '../oracle/naive-frames.js'
import { arpFrame, data, DF, ICMP } from '../helpers/frames.js'
import type { Operation } from '../../src/network/operations.js'
import { ROUTER_NAME, type Step } from './box.js'
import { A, A2, A2_MAC, A_MAC, aToB, B_MAC, bToA, FAR, NEAR, router, withLinks } from './router-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = router()
const request = { protocol: ICMP, payload: echo(8, 1, 1, data(16)) }
const change = (words: string, ...operations: Operation[]): Step => ({ change: words, operations })

const link = (dev: string, words: string, set: Omit<Extract<Operation, { op: 'link.set' }>, 'op' | 'dev'>): Step =>
  change(`link set ${dev} ${words}`, { op: 'link.set', dev, router: ROUTER_NAME, ...set })
const down = (dev: string): Step => link(dev, 'down', { up: false })
const up = (dev: string): Step => link(dev, 'up', { up: true })
const forwarding = (on: boolean): Step =>
  change(`sysctl ipv4/ip_forward ${on ? 1 : 0}`, { op: 'link.set', dev: ROUTER_NAME, forwarding: on })
const linkForwarding = (dev: string, on: boolean): Step =>
  change(`sysctl ipv4/conf/${dev}/forwarding ${on ? 1 : 0}`, { op: 'link.set', dev, router: ROUTER_NAME, forwarding: on })
const address = (verb: 'add' | 'del', prefix: string, dev: string): Step =>
  change(`addr ${verb} ${prefix} brd + dev ${dev}`, { op: `addr.${verb}`, dev, router: ROUTER_NAME, prefix })
type Verb = 'add' | 'replace' | 'append' | 'del'
const words = (values: object): string => Object.entries(values).map(([word, value]) => ` ${word} ${value}`).join('')
const route = (verb: Verb, to: string, via: string, more: { metric?: number; src?: string } = {}): Step => change(
  `route ${verb} ${to} via ${via}${words(more)}`,
  { op: `route.${verb}`, router: ROUTER_NAME, prefix: to === 'default' ? '0.0.0.0/0' : to, nexthops: [{ via }], ...more })
const unwilling = (verb: 'add' | 'replace' | 'del', type: 'blackhole' | 'unreachable' | 'prohibit', to: string): Step =>
  change(`route ${verb} ${type} ${to}`, { op: `route.${verb}`, router: ROUTER_NAME, prefix: to, type })
const neigh = (verb: 'add' | 'replace' | 'del', dev: string, ip: string, more: { lladdr?: string; nud?: string } = {}): Step =>
  change(`neigh ${verb} ${ip} dev ${dev}${words(more)}`, { op: `neigh.${verb}`, dev, router: ROUTER_NAME, address: ip, ...more })
const ping = (dst: string, src = A): Step => aToB({ src, dst, ...request })
const ask = (target: string): Step => ({ send: 'eth0', frame: arpFrame({ senderMac: A_MAC, sender: A, target }) })

const switches: Scenario[] = [
  {
    name: 'forwarding off and on',
    plan, steps: [aToB(), forwarding(false), aToB(), ping(FAR), forwarding(true), aToB()], frames: 3
  },
  {
    name: 'forwarding of one interface off and on',
    plan, steps: [linkForwarding('eth0', false), aToB(), bToA(), linkForwarding('eth0', true), aToB()], frames: 2
  },
  { name: 'the MTU of a link', plan, steps: [aToB({ flags: DF, payload: data(900) }), link('eth1', 'mtu 800', { mtu: 800 }),
    aToB({ flags: DF, payload: data(900) }), aToB({ payload: data(900) })], frames: 4 },
  {
    name: 'a link that is down: its networks are gone, its address is not',
    plan, steps: [down('eth1'), aToB(), aToB({ dst: '10.9.1.1' }), ping(FAR), ask(FAR)], frames: 4
  },
  {
    name: 'a link that is down and up again: its neighbours are forgotten',
    plan, steps: [down('eth1'), up('eth1'), aToB(), aToB({ dst: '10.9.1.1' }), ping(FAR)], frames: 3
  },
  {
    name: 'another MAC address',
    plan, steps: [
      link('eth0', 'address 02:00:00:00:01:99', { address: '02:00:00:00:01:99' }),
      ask(NEAR), aToB(), aToB({}, '02:00:00:00:01:99'), bToA()
    ], frames: 3
  }
]

const addresses: Scenario[] = [
  {
    name: 'an address more',
    plan, steps: [ping('10.1.1.9'), ask('10.1.1.9'), address('add', '10.1.1.9/24', 'eth0'), ask('10.1.1.9'), ping('10.1.1.9')],
    frames: 4
  },
  {
    name: 'an address less',
    plan, steps: [address('del', '10.1.2.1/24', 'eth1'), ping(FAR), aToB(), ask(FAR), aToB({ src: A2, dst: '10.9.1.1' })], frames: 3
  },
  {
    name: 'an address of another network',
    plan,
    steps: [address('add', '10.7.0.1/16', 'eth1'), ping('10.7.0.1'), aToB({ dst: '10.7.3.4' }), aToB({ dst: '10.7.255.255' })],
    frames: 2
  },
  {
    name: 'the first address of a network goes: the others of that network go with it',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.1.1.9/24', '10.5.5.1/24'] } }),
    steps: [address('del', '10.1.1.1/24', 'eth0'), ping('10.1.1.9', '10.9.1.1'), ping('10.5.5.1', '10.9.1.1'), bToA()], frames: 3
  },
  {
    name: 'the second address of a network goes',
    plan: withLinks({ eth0: { addresses: ['10.1.1.1/24', '10.1.1.9/24'] } }),
    steps: [address('del', '10.1.1.9/24', 'eth0'), ping('10.1.1.9'), ping(NEAR), bToA()], frames: 4
  },
  {
    name: 'an address with a peer',
    plan, steps: [
      change('addr add 10.255.0.2 peer 169.254.0.1 dev eth1', {
        op: 'addr.add', dev: 'eth1', router: ROUTER_NAME, prefix: '10.255.0.2/32', peer: '169.254.0.1'
      }),
      ping('10.255.0.2'), aToB({ dst: '169.254.0.1' }), aToB({ dst: '169.254.0.2' })
    ], frames: 3
  },
  { name: 'two addresses in nested networks', plan: withLinks({ eth1: { addresses: ['10.1.2.1/24', '10.1.0.1/16'] } }),
    steps: [aToB({ dst: '10.1.3.4' }), aToB({ dst: '10.1.2.255' }), aToB({ dst: '10.1.255.255' }), bToA()], frames: 2 }
]

const routes: Scenario[] = [
  { name: 'a route comes and goes', plan, steps: [
    aToB({ dst: '10.30.1.1' }), route('add', '10.30.0.0/16', '10.1.2.2'), aToB({ dst: '10.30.1.1' }),
    route('del', '10.30.0.0/16', '10.1.2.2'), aToB({ dst: '10.30.1.1' })], frames: 3 },
  { name: 'the longest prefix wins', plan, steps: [
    route('add', '10.30.0.0/16', '10.1.2.2'), route('add', '10.30.1.0/24', '10.1.2.254'),
    route('add', '10.30.1.7/32', '10.1.2.2'), ...['10.30.0.1', '10.30.1.1', '10.30.1.7', '10.30.2.255'].map((dst) =>
      aToB({ dst }))], frames: 4 },
  {
    name: 'a default route',
    plan, steps: [route('add', 'default', '10.1.2.254'), aToB({ dst: '8.8.8.8' }), aToB({ dst: '10.66.1.1' })], frames: 1
  },
  { name: 'the lower metric wins', plan, steps: [
    route('add', '10.30.0.0/16', '10.1.2.2', { metric: 20 }), route('add', '10.30.0.0/16', '10.1.2.254', { metric: 10 }),
    aToB({ dst: '10.30.1.1' }), route('del', '10.30.0.0/16', '10.1.2.254', { metric: 10 }), aToB({ dst: '10.30.1.1' })], frames: 2 },
  {
    name: 'a route is replaced',
    plan,
    steps: [
      route('replace', '10.9.0.0/16', '10.1.2.2'), aToB({ dst: '10.9.1.1' }), unwilling('replace', 'prohibit', '10.9.0.0/16'),
      aToB({ dst: '10.9.1.1' })
    ],
    frames: 2
  },
  {
    name: 'a hole in a route',
    plan, steps: [unwilling('add', 'blackhole', '10.9.5.0/24'), aToB({ dst: '10.9.5.5' }), aToB({ dst: '10.9.6.6' })], frames: 1
  },
  {
    name: 'the source of our own packets by the route',
    plan, steps: [route('replace', '10.9.0.0/16', '10.1.2.254', { src: NEAR }), aToB({ src: '10.9.1.1', ttl: 1 })], frames: 1
  },
  {
    name: 'an onlink route',
    plan, steps: [
      change('route add 10.40.0.0/16 via 192.168.99.1 dev eth1 onlink', {
        op: 'route.add', router: ROUTER_NAME, prefix: '10.40.0.0/16', nexthops: [{ via: '192.168.99.1', dev: 'eth1', onlink: true }]
      }),
      aToB({ dst: '10.40.1.1' })
    ], frames: 1
  },
  {
    name: 'a route to a link: every destination is asked for',
    plan, steps: [
      change('route add 10.41.0.0/16 dev eth1', {
        op: 'route.add', router: ROUTER_NAME, prefix: '10.41.0.0/16', nexthops: [{ dev: 'eth1' }]
      }),
      aToB({ dst: '10.41.1.1' }), aToB({ dst: '10.41.2.2' })
    ], frames: 2
  },
  {
    name: 'a second next hop appended is not used while the first is there',
    plan,
    steps: [
      route('append', '10.9.0.0/16', '10.1.2.2'), aToB({ dst: '10.9.1.1' }), route('del', '10.9.0.0/16', '10.1.2.254'),
      aToB({ dst: '10.9.1.1' })
    ],
    frames: 2
  }
]

const neighbors: Scenario[] = [
  {
    name: 'a neighbour gets another MAC',
    plan, steps: [neigh('replace', 'eth1', '10.1.2.2', { lladdr: A2_MAC, nud: 'permanent' }), aToB()], frames: 1
  },
  { name: 'a neighbour is forgotten', plan, steps: [neigh('del', 'eth1', '10.1.2.2'), aToB()], frames: 1 },
  {
    name: 'a neighbour that is stale is used',
    plan, steps: [neigh('replace', 'eth1', '10.1.2.2', { lladdr: B_MAC, nud: 'stale' }), aToB()], frames: 1
  },
  { name: 'a neighbour that is reachable is replaced by what ARP says', plan, steps: [
    neigh('replace', 'eth0', A, { lladdr: '02:00:00:00:01:77', nud: 'reachable' }), bToA(),
    ask(A), bToA()
  ], frames: 2 },
  {
    name: 'a neighbour known before anybody asks',
    plan: router({ stations: [] }), steps: [neigh('add', 'eth1', '10.1.2.2', { lladdr: B_MAC, nud: 'permanent' }), aToB()], frames: 1
  },
  {
    name: 'a neighbour made known while packets wait',
    plan: router({ stations: [] }), steps: [aToB(), neigh('replace', 'eth1', '10.1.2.2', { lladdr: B_MAC, nud: 'permanent' })], frames: 2
  }
]

scenarios(test, [...switches, ...addresses, ...routes, ...neighbors])
