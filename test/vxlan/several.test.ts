/** Several tunnels in a bridge and on a socket, group policies, groups of the underlay, source ports; against the kernel's. */
import test from 'ava'
import { MF, arpFrame, data, ipPacket, patch } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { ethernet, tcp, udp } from '../oracle/naive-frames.js'
import { datagram, isOuter, readUnderlay, vxlanHeader } from './datagram.js'
import { createKernelVtep } from './kernel-vtep.js'
import {
  A, B, C, D, LOCAL, SECOND, UNDERLAY, VNI, hello, peer, plain, send, show, toPeer2, vtep, type Step, type VtepBox, type VtepPlan
} from './plan.js'
import { scenarios } from './scenario.js'
import { createTapwayVtep } from './tapway-vtep.js'

const twoVnis: VtepPlan = { tunnels: [{ local: LOCAL, remote: [peer(2)] }, { id: 43, local: LOCAL, remote: [peer(3)] }] }
const policy = (high: number, flags: number, id: number): number[] => patch(vxlanHeader(VNI), 0, high, flags, id >> 8, id & 255)
const relay: VtepPlan = { tunnels: [{ local: LOCAL, gbp: true, remote: [peer(2)] },
  { id: 43, local: LOCAL, gbp: true, remote: [peer(3)] }] }
const arrive = (what: string, header: number[], inner = hello(B)): Step => send(UNDERLAY, datagram({ header, inner }), what)

scenarios(test, [
  {
    name: 'two VNIs on one socket', plan: twoVnis,
    steps: [
      ...[42, 43, 44].map((vni) => send(UNDERLAY, datagram({ vni, inner: plain(D, `02:00:00:00:00:${vni}`) }), `VNI ${vni}`)),
      send('p0', hello(A), 'broadcast'), send('p0', plain('02:00:00:00:00:43', A), 'to a station behind the second'), show
    ]
  },
  {
    name: 'two local addresses',
    plan: { tunnels: [{ local: LOCAL, remote: [peer(2)] }, { id: 43, local: SECOND, remote: [peer(3)] }] },
    steps: [
      send(UNDERLAY, datagram({ inner: hello(B) }), 'to the first'),
      send(UNDERLAY, datagram({ vni: 43, dst: SECOND, inner: hello(C), from: 3 }), 'to the second'),
      send('p0', hello(A), 'broadcast'), show
    ]
  },
  {
    name: 'two ports',
    plan: { tunnels: [{ local: LOCAL, remote: [peer(2)] }, { dstport: 8472, local: LOCAL, remote: [peer(3)] }] },
    steps: [
      send(UNDERLAY, datagram({ inner: hello(B) }), 'to the first'),
      send(UNDERLAY, datagram({ dport: 8472, inner: hello(C), from: 3 }), 'to the second'),
      send('p0', hello(A), 'broadcast'), show
    ]
  },
  {
    name: 'no local address: that of the route', plan: vtep({ local: undefined as unknown as string, remote: [peer(2)] }),
    steps: [send('p0', hello(A), 'broadcast'), send(UNDERLAY, datagram({ inner: hello(B), dst: SECOND }),
      'to the second address'), send('p0', plain(B, A)), show]
  },
  {
    name: 'a group policy on the way in, with gbp', plan: toPeer2({ gbp: true }),
    steps: [
      arrive('policy 7', policy(0x88, 0, 7)), arrive('no policy', vxlanHeader(VNI)), arrive('an id without G', policy(8, 0, 7)),
      arrive('do not learn', policy(0x88, 0x40, 7), hello(C)), arrive('applied', policy(0x88, 8, 7), hello(D)), show,
      ...[1, 2, 4, 0x10, 0x20, 0x40].map((bit) => arrive(`bit 0x${bit.toString(16)} of the first byte`,
        policy(0x88 | bit, 0, 7))),
      ...[1, 2, 4, 8, 0x10, 0x20, 0x80].map((bit) => arrive(`bit 0x${bit.toString(16)} of the second byte`,
        policy(0x88, bit, 7))),
      arrive('no I flag', policy(0x80, 0, 7)), arrive('a reserved last byte', patch(policy(0x88, 0, 7), 7, 1))
    ]
  },
  {
    name: 'a group policy from tunnel to tunnel', plan: relay,
    steps: [
      arrive('policy 0x1234', policy(0x88, 0, 0x1234)), arrive('no policy', vxlanHeader(VNI)),
      arrive('an id without G', policy(8, 0, 7)),
      arrive('do not learn', policy(0x88, 0x40, 7)), arrive('applied', policy(0x88, 8, 7)),
      arrive('both', policy(0x88, 0x48, 0xffff)),
      arrive('all bits of the second byte', policy(0x88, 0xff, 1)), arrive('policy 0', policy(0x88, 0, 0)),
      arrive('applied, without an id', policy(0x88, 8, 0)),
      send('p0', plain(D, A), 'from a port')
    ]
  },
  {
    name: 'a group policy is not sent where gbp is off',
    plan: { tunnels: [relay.tunnels[0]!, { ...relay.tunnels[1]!, dstport: 8472, gbp: false }] },
    steps: [arrive('policy 7', policy(0x88, 0, 7))]
  },
  {
    name: 'a group of the underlay', plan: vtep({ group: '239.1.1.1', dev: UNDERLAY, ttl: 64 }),
    steps: [
      send('p0', hello(A), 'broadcast'), send('p0', plain(D, A), 'unknown station'),
      send(UNDERLAY, datagram({ dst: '239.1.1.1', to: '01:00:5e:01:01:01', ttl: 1, inner: hello(B) }), 'to the group'), show,
      send('p0', plain(B, A), 'known station'),
      send(UNDERLAY, datagram({ dst: '239.1.1.2', to: '01:00:5e:01:01:02', ttl: 1, inner: hello(C) }), 'to another group'),
      send(UNDERLAY, datagram({ inner: hello(D) }), 'to the address'),
      send(UNDERLAY, datagram({ dst: '239.1.1.1', to: '01:00:5e:01:01:01', ttl: 1, inner: hello(C), src: LOCAL }),
        'its own, back')
    ]
  },
  { name: 'a group of the underlay, without a TTL', plan: vtep({ group: '239.1.1.1', dev: UNDERLAY, ttl: 0 }),
    steps: [send('p0', hello(A), 'broadcast')] },
  { name: 'a group of the underlay, with a TTL', plan: vtep({ group: '239.1.1.1', dev: UNDERLAY, ttl: 7 }),
    steps: [send('p0', hello(A), 'broadcast')] }
])

/** Source ports that a box chooses for frames from p0. */
const portsOf = (box: VtepBox, frames: readonly number[][]): number[] => frames.map((frame) => {
  const outer = readUnderlay(box.send('p0', frame).filter((s) => s.port === UNDERLAY).map((s) => s.bytes)).filter(isOuter)
  return outer[0]!.sport
})

const run = netnsTest(test)
const A_IP = '10.0.10.11'
const D_IP = '10.0.10.12'
const flow = (port: number, more = {}): number[] =>
  ethernet(D, A, 0x0800,
    ipPacket({ src: A_IP, dst: D_IP, protocol: 17, payload: udp(A_IP, port, D_IP, 2000, data(40)), ...more }))
const stream = (port: number): number[] => ethernet(D, A, 0x0800,
  ipPacket({ src: A_IP, dst: D_IP, protocol: 6, payload: tcp(A_IP, port, D_IP, 80, data(40)) }))
const whole = udp(A_IP, 1000, D_IP, 2000, data(2000))
const fragments = [0, 1000].map((at) => ethernet(D, A, 0x0800, ipPacket({
  src: A_IP, dst: D_IP, protocol: 17, payload: whole.slice(at, at + 1000), flags: (at === 0 ? MF : 0) | (at / 8)
})))

for (const [title, create] of [['the kernel', createKernelVtep], ['Tapway', createTapwayVtep]] as const) {
  run(`${title}: one flow keeps its source port, many flows have several`, async (t) => {
    const box = await create(toPeer2())
    const same = [flow(1000), flow(1000, { ttl: 9, id: 77 }), flow(1000, { tos: 0xb8 })]
    t.is(new Set(portsOf(box, same)).size, 1, 'one flow')
    t.is(new Set(portsOf(box, fragments)).size, 1, 'fragments of one datagram')
    t.is(new Set(portsOf(box, [stream(1000), stream(1000)])).size, 1, 'one TCP connection')
    t.is(new Set(portsOf(box, [arpFrame({ senderMac: A, sender: A_IP, target: D_IP }),
      arpFrame({ senderMac: A, sender: A_IP, target: D_IP })])).size, 1, 'ARP')
    t.is(new Set(portsOf(box, [plain(D, A), plain(D, A, data(60))])).size, 1, 'frames without IP between two stations')
    const many = portsOf(box, Array.from({ length: 64 }, (_, i) => flow(1000 + i)))
    t.true(new Set(many).size > 8, `64 flows: ${new Set(many).size} ports`)
    t.true(new Set(portsOf(box, Array.from({ length: 64 }, (_, i) => stream(1000 + i)))).size > 8, '64 connections')
    await box.close()
  })

  run(`${title}: one flow keeps its source port to all remotes`, async (t) => {
    const box = await create(vtep({ remote: [peer(2), peer(3)] }))
    const outer = readUnderlay(box.send('p0', hello(A)).filter((s) => s.port === UNDERLAY).map((s) => s.bytes)).filter(isOuter)
    t.is(outer.length, 2)
    t.is(outer[0]!.sport, outer[1]!.sport)
    await box.close()
  })
}
