/** ARP at a tunnel port: `proxy` and `neigh_suppress`, against the kernel's. */
import test from 'ava'
import { ALL, arpFrame, padded, patch, type Arp } from '../helpers/frames.js'
import { ethernet } from '../oracle/naive-frames.js'
import { vlanFrame } from '../kernel/bridge-plan.js'
import { datagram } from './datagram.js'
import { A, B, C, D, LOCAL, UNDERLAY, command, deviates, hello, misses, peer, peerMac, plain, send, show, toPeer2, vtep,
  type Step, type VtepPlan } from './plan.js'
import { scenarios, type Scenario } from './scenario.js'

const A_IP = '10.0.10.11'
const B_IP = '10.0.10.12'
const NOBODY = '10.0.10.99'
const BRIDGE_IP = '10.0.10.1'

const neighbors = [{ address: B_IP, lladdr: B }, { address: '10.0.10.13', lladdr: C }]
const proxy = toPeer2({ proxy: true, neighbors, fdb: [{ mac: B, dst: peer(2) }] }, { address: `${BRIDGE_IP}/24` })
const suppress = toPeer2({ neigh_suppress: true, neighbors, fdb: [{ mac: B, dst: peer(2) }, { mac: C, dst: peer(2) }] },
  { address: `${BRIDGE_IP}/24` })

const ask = (target: string, more: Partial<Arp> = {}): number[] => arpFrame({ senderMac: A, sender: A_IP, target, ...more })
const say = (what: string, frame: number[]): Step => send('p0', frame, what)
const REPLY = 2

const asked = (mac: string, sender: string, target: string, link = A): string =>
  `${link} > ${ALL} arp 1 ${sender} (${mac}) > ${target} (00:00:00:00:00:00)`
const answered = (to: string): string => `${B} > ${to} arp 2 ${B_IP} (${B}) > ${A_IP} (${to})`
const tunnelled = (what: string): string =>
  `u0 ${peerMac(2)} ${LOCAL} > ${peer(2)}:4789 ttl 64 tos 0x0 vxlan 0800000000002a00 { ${what}`

const FLOODED = 'neigh_suppress answers what is known and floods the rest'
const flooded = (step: Step, what: string): Step => deviates(FLOODED, step, [`p1 ${what}`], [tunnelled(what), `p1 ${what}`])
const UNTAGGED_ARP = 'neigh_suppress answers untagged ARP alone: the kernel answers without the tag'
/** An answer comes out of the tunnel port into the bridge; the kernel's leaves by the port that asked. */
const FROM_TUNNEL = 'an answer of neigh_suppress is bridged like one from the tunnel'
const bridged = (what: string, sender: string, ports: readonly string[]): Step => deviates(
  FROM_TUNNEL, say(what, ask(B_IP, { from: A, senderMac: sender })),
  [`p0 ${answered(sender)}`, `p1 ${asked(sender, A_IP, B_IP)}`],
  ['p0', 'p1'].flatMap((port) => [...(port === 'p1' ? [`p1 ${asked(sender, A_IP, B_IP)}`] : []),
    ...(ports.includes(port) ? [`${port} ${answered(sender)}`] : [])])
    .sort()
)
const GROUP = '03:00:00:00:00:01'
const NOBODYS = '00:00:00:00:00:00'

const steps: Record<string, Step[]> = {
  'requests': [
    say('for a neighbour', ask(B_IP)), say('for a neighbour without an entry in the FDB', ask('10.0.10.13')),
    say('for nobody', ask(NOBODY)),
    say('for the bridge', ask(BRIDGE_IP)), say('for a neighbour, padded', padded(ask(B_IP), 60, 0x55))
  ],
  'requests to one station': [
    say('to a neighbour', ask(B_IP, { to: B })), say('to an unknown station', ask(NOBODY, { to: D })),
    say('to another than it asks for', ask(B_IP, { to: C }))
  ],
  'replies': [
    say('to a neighbour', ask(B_IP, { op: REPLY, to: B, targetMac: B })),
    say('to an unknown station', ask('10.0.10.14', { op: REPLY, to: D, targetMac: D }))
  ],
  'announcements and probes': [
    say('own address asked for', ask(A_IP)), say('own address told', ask(A_IP, { op: REPLY, to: ALL, targetMac: ALL })),
    say("a neighbour's address asked for as one's own", ask(B_IP, { sender: B_IP })),
    say('a probe for a neighbour', ask(B_IP, { sender: '0.0.0.0' })),
    say('a probe for nobody', ask(NOBODY, { sender: '0.0.0.0' }))
  ],
  'targets that are no station': ['127.0.0.1', '224.0.0.1', '255.255.255.255', '0.0.0.0'].map((target) =>
    say(target, ask(target))),
  'malformed': [
    say('hardware type 6', ask(B_IP, { hardware: 6 })), say('IPv6', ask(B_IP, { protocol: 0x86dd })),
    say('hardware length 8', ask(B_IP, { lengths: [8, 4] })),
    say('protocol length 16', ask(B_IP, { lengths: [6, 16] })), say('operation 3', ask(B_IP, { op: 3 })),
    say('operation 0', ask(B_IP, { op: 0 })),
    say('27 bytes', ask(B_IP).slice(0, 41)), say('nothing', ask(B_IP).slice(0, 14))
  ],
  'odd senders': [
    say('another one than the frame has', ask(B_IP, { from: A, senderMac: C })),
    say('a group', ask(B_IP, { from: A, senderMac: GROUP })),
    say('all ones', ask(B_IP, { from: A, senderMac: ALL })), say('zero', ask(B_IP, { from: A, senderMac: NOBODYS }))
  ],
  'other ways to ask': [
    say('behind a tag', vlanFrame(ALL, A, 5, 0, 0x0806, ask(B_IP).slice(14))),
    say('RARP', ethernet(ALL, A, 0x8035, ask(B_IP).slice(14))),
    say('a frame that is no ARP', plain(D, A))
  ],
  'from the tunnel': [
    send(UNDERLAY, datagram({ inner: arpFrame({ senderMac: D, sender: '10.0.10.14', target: B_IP }), from: 3 }),
      'for a neighbour'),
    send(UNDERLAY, datagram({ inner: arpFrame({ senderMac: D, sender: '10.0.10.14', target: BRIDGE_IP }), from: 3 }),
      'for the bridge')
  ],
  'a neighbour that is behind a port now': [send('p1', hello(B)), say('for it', ask(B_IP)), show],
  'what is learned from answers': [
    say('for a neighbour', ask(B_IP)), show, send('p0', plain(B, A), 'to it'), send('p0', plain(C, A), 'to another one'),
    say('for that', ask('10.0.10.13')), show
  ],
  'neighbours by hand': [
    command(`neigh add ${NOBODY} lladdr ${D} dev vx0 nud permanent`), say('for it', ask(NOBODY)),
    command(`neigh del ${NOBODY} dev vx0`), say('for it', ask(NOBODY)),
    command(`neigh replace ${B_IP} lladdr ${D} dev vx0`), say('for one that was changed', ask(B_IP))
  ]
}

/** What neigh_suppress does otherwise than the kernel. */
const deviations: Record<string, Step[]> = {
  'announcements and probes': [
    flooded(say('own address asked for', ask(A_IP)), asked(A, A_IP, A_IP)),
    flooded(say('own address told', ask(A_IP, { op: REPLY, to: ALL, targetMac: ALL })),
      `${A} > ${ALL} arp 2 ${A_IP} (${A}) > ${A_IP} (${ALL})`),
    flooded(say("a neighbour's address asked for as one's own", ask(B_IP, { sender: B_IP })), asked(A, B_IP, B_IP)),
    flooded(say('a probe for a neighbour', ask(B_IP, { sender: '0.0.0.0' })), asked(A, '0.0.0.0', B_IP)),
    flooded(say('a probe for nobody', ask(NOBODY, { sender: '0.0.0.0' })), asked(A, '0.0.0.0', NOBODY))
  ],
  'other ways to ask': [
    deviates(
      UNTAGGED_ARP, say('behind a tag', vlanFrame(ALL, A, 5, 0, 0x0806, ask(B_IP).slice(14))),
      [`p0 ${answered(A)}`, `p1 ${A} > ${ALL} type 0x8100 length 46`],
      [tunnelled(`${A} > ${ALL} type 0x8100 length 46`), `p1 ${A} > ${ALL} type 0x8100 length 46`]
    ),
    deviates(
      UNTAGGED_ARP, say('RARP', ethernet(ALL, A, 0x8035, ask(B_IP).slice(14))),
      [`p0 ${answered(A)}`, `p1 ${A} > ${ALL} type 0x8035 length 42`],
      [tunnelled(`${A} > ${ALL} type 0x8035 length 42`), `p1 ${A} > ${ALL} type 0x8035 length 42`]
    ),
    say('a frame that is no ARP', plain(D, A))
  ],
  'odd senders': [
    bridged('another one than the frame has', C, []), bridged('a group', GROUP, ['p0', 'p1']),
    bridged('all ones', ALL, ['p0', 'p1']), bridged('zero', NOBODYS, ['p0', 'p1'])
  ]
}

const rows = (title: string, plan: VtepPlan): Scenario[] => Object.entries(steps)
  .map(([name, list]) => ({ name: `${title}: ${name}`, plan, steps: list }))

/** Those by hand are of the port here, and of the bridge there. */
const isForSuppress = ([name]: [string, Step[]]): boolean => name !== 'neighbours by hand'

const missing = toPeer2({ proxy: true, l2miss: true, l3miss: true, neighbors }, { address: `${BRIDGE_IP}/24` })

scenarios(test, [
  {
    name: 'l3miss with proxy', plan: missing,
    steps: [
      misses, say('for a neighbour', ask(B_IP)), misses, say('for nobody', ask(NOBODY)), misses,
      say('for the bridge', ask(BRIDGE_IP)), misses,
      say('to one station', ask('10.0.10.98', { to: B })), misses, say('an announcement', ask(A_IP)), misses,
      say('a reply', ask(NOBODY, { op: REPLY })), misses,
      ...['127.0.0.1', '224.0.0.1', '255.255.255.255', '10.0.10.97'].flatMap((target) => [say(target, ask(target)), misses]),
      say('a frame that is no ARP', plain(D, A)), misses, say('a broadcast', plain(ALL, A)), misses
    ]
  },
  {
    name: 'l3miss and l2miss without proxy', plan: toPeer2({ l2miss: true, l3miss: true }),
    steps: [misses, say('for nobody', ask(NOBODY)), misses, say('an unknown station', plain(D, A)), misses]
  },
  {
    name: 'l2miss without a remote', plan: vtep({ l2miss: true, l3miss: true }),
    steps: [misses, say('an unknown station', plain(D, A)), misses, say('a broadcast', plain(ALL, A)), misses,
      say('a group', plain('01:00:5e:01:02:03', A)), misses, say('for nobody', ask(NOBODY)), misses]
  },
  ...rows('proxy', proxy),
  // The kernel answers for stations that its bridge knows behind the port
  ...Object.entries({ ...steps, ...deviations }).filter(isForSuppress).map(([name, list]): Scenario => ({
    name: `neigh_suppress: ${name}`,
    plan: suppress,
    steps: [command(`fdb add ${B} dev vx0 master static`), command(`fdb add ${C} dev vx0 master static`), ...list]
  })),
  ...rows('neither', toPeer2({}, { address: `${BRIDGE_IP}/24` })).filter((s) => /requests$|announce|malformed/.test(s.name)),
  {
    name: 'proxy: a station of a port that is in the list too',
    plan: toPeer2({ proxy: true, neighbors: [{ address: A_IP, lladdr: A }] }),
    steps: [send('p0', hello(A)), send('p1', arpFrame({ senderMac: D, sender: '10.0.10.14', target: A_IP }), 'for it'), show]
  },
  {
    name: 'proxy: an answer to a station behind the tunnel', plan: proxy,
    steps: [say('with a sender behind the tunnel', patch(ask(B_IP, { from: A, senderMac: D }), 0, 0xff)), show]
  }
])
