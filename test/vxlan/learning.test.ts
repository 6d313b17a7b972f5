/** The tunnel's own forwarding table: what is learned, what moves, what is refused and what ages, against the kernel's. */
import test from 'ava'
import { datagram } from './datagram.js'
import {
  A, B, C, D, FLOOD, LOCAL, UNDERLAY, UNDERLAY_MAC, command, deviates, hello, peer, peerMac, plain, send, show, toPeer2, vtep,
  type Step
} from './plan.js'
import { scenarios } from './scenario.js'

const heard = (station: string, from: number): Step =>
  send(UNDERLAY, datagram({ from, inner: hello(station) }), `station ${station.slice(-2)} from peer ${from}`)
const local = (port: string, station: string): Step => send(port, hello(station), `station ${station.slice(-2)} at ${port}`)
const toB = send('p0', plain(B, A), 'A to B')
const withEntry = { fdb: [{ mac: C, dst: peer(4) }] }

scenarios(test, [
  { name: 'a station once heard gets its frames from its peer', plan: toPeer2(), steps: [heard(B, 3), toB, show], frames: 3 },
  {
    name: 'a station that moves between peers is followed',
    plan: vtep(), steps: [heard(B, 2), toB, heard(B, 3), toB, show], frames: 6
  },
  {
    name: 'a station that moves between a peer and a port',
    plan: vtep(), steps: [heard(B, 3), toB, local('p1', B), show, toB, heard(B, 3), show, toB, heard(B, 2), toB], frames: 11
  },
  {
    name: 'an entry by hand, its station heard from elsewhere and from its peer',
    plan: vtep(withEntry), steps: [heard(C, 2), show, heard(C, 4), show, send('p0', plain(C, A), 'A to C')], frames: 3
  },
  {
    name: 'entries of all states, their stations heard from elsewhere',
    plan: vtep(),
    steps: [
      command(`fdb add ${B} dev vx0 dst ${peer(4)} self static`), command(`fdb add ${C} dev vx0 dst ${peer(4)} self permanent`),
      command(`fdb add ${D} dev vx0 dst ${peer(4)} self dynamic`), show, heard(B, 2), heard(C, 2), heard(D, 2), show
    ],
    frames: 2
  },
  {
    name: 'without learning the bridge learns all the same',
    plan: vtep({ learning: false }),
    steps: [heard(B, 2), show, toB, command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)}`), toB, show], frames: 3
  },
  {
    name: 'without learning an entry by hand does not bind its station to a peer',
    plan: vtep({ learning: false, ...withEntry }), steps: [heard(C, 2), show], frames: 2
  },
  {
    name: 'no more stations than maxaddress',
    plan: vtep({ maxaddress: 2 }),
    steps: [
      heard(B, 2), heard(C, 2), heard(D, 2), show, send('p0', plain(D, A), 'to the one not learned'),
      command(`fdb add 02:00:00:00:00:0e dev vx0 dst ${peer(4)} self static`),
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(4)}`),
      command(`fdb del ${B} dev vx0 self`), heard(D, 3), show
    ],
    frames: 8
  },
  {
    name: 'the flood list counts for maxaddress',
    plan: toPeer2({ maxaddress: 2 }), steps: [heard(B, 2), heard(C, 2), show], frames: 4
  },
  {
    name: 'ageing: what was learned goes, what was set by hand stays',
    // the kernel looks every ten seconds
    plan: toPeer2({ ageing: 1, ...withEntry }),
    steps: [
      heard(B, 3), command(`fdb add ${D} dev vx0 dst ${peer(3)} self dynamic`), { wait: 12_500 }, show, toB
    ],
    frames: 3
  },
  {
    name: 'a port that goes down loses what was learned on it',
    plan: toPeer2(withEntry),
    steps: [
      heard(B, 3), heard(C, 4), show, command('link set vx0 down'), show, toB,
      deviates('the socket of a port that is down stays open', heard(B, 3), [
        `u0 ${UNDERLAY_MAC} > ${peerMac(3)} ${LOCAL} > ${peer(3)} ttl 64 tos 0xc0 len 124 icmp 3/3 rest 0.0.0.0`
      ], []),
      command('link set vx0 up'), show, toB
    ]
  },
  {
    name: 'a bridge port that does not learn: the tunnel learns',
    plan: toPeer2(), steps: [command('link set vx0 type bridge_slave learning off'), heard(B, 3), show, toB]
  },
  {
    name: 'a bridge port that unknown unicast is not flooded to',
    plan: toPeer2(), steps: [command('link set vx0 type bridge_slave flood off'), toB, local('p0', A), heard(B, 3), toB]
  }
])
