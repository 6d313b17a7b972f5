/** The bridge's own address against the kernel's: a host on its segment. */
import test from 'ava'
import { echo, ethernet, tcp, udp } from '../oracle/naive-frames.js'
import { ALL, arpFrame, data, ICMP, ipPacket, TCP, UDP, type Arp, type Ip } from '../helpers/frames.js'
import type { Step } from './box.js'
import { A, B, bridge, BRIDGE_MAC, hello, plain, send, vlanFrame } from './bridge-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const OWN = '10.0.0.1'
const IP_A = '10.0.0.10'
const plan = bridge({ addresses: ['10.0.0.1/24'], stations: [{ address: IP_A, mac: A, dev: 'br0' }] })
const stranger = bridge({ addresses: ['10.0.0.1/24'] })
const arp = (a: Partial<Arp>): Step => send('p0', arpFrame({ senderMac: A, sender: IP_A, target: OWN, ...a }))
const packet = (p: Partial<Ip> = {}) => ipPacket({ src: IP_A, dst: OWN, protocol: ICMP, payload: echo(8, 1, 1, data(16)), ...p })
const ip = (p: Partial<Ip> = {}, to = BRIDGE_MAC): Step => send('p0', ethernet(to, A, 0x0800, packet(p)))

scenarios(test, [
  { name: 'ARP for the own address is answered, and flooded', plan: stranger, steps: [arp({})], frames: 4 },
  { name: 'ARP for another is flooded', plan: stranger, steps: [arp({ target: '10.0.0.77' })], frames: 3 },
  { name: 'a unicast ARP request', plan: stranger, steps: [arp({ to: BRIDGE_MAC })], frames: 1 },
  { name: 'ARP by one unheard, answered to all', plan: stranger, steps: [arp({ from: B, senderMac: A })], frames: 7 },
  { name: 'ping', plan, steps: [hello('p0', A), ip()], frames: 4 },
  {
    name: 'ping by one whose MAC is on another port now',
    plan, steps: [hello('p0', A), hello('p2', A), ip({}, BRIDGE_MAC)], frames: 7
  },
  { name: 'ping of a stranger: the bridge asks', plan: stranger, steps: [ip(), arp({ op: 2, to: BRIDGE_MAC })], frames: 5 },
  {
    name: 'a packet to its MAC for another address: it does not forward',
    plan, steps: [ip({ dst: '10.0.0.77' }), ip({ dst: '172.16.0.1' }), ip({ dst: '10.0.0.77', ttl: 1 })], frames: 0,
    drops: { 'forwarding-disabled': 3 }
  },
  { name: 'a broadcast ping', plan, steps: [ip({ dst: '10.0.0.255' }, ALL), ip({ dst: '255.255.255.255' }, ALL)], frames: 6 },
  { name: 'UDP and TCP to closed ports', plan, steps: [
    hello('p0', A), ip({ protocol: UDP, payload: udp(IP_A, 1, OWN, 2, data(4)) }),
    ip({ protocol: TCP, payload: tcp(IP_A, 1, OWN, 2, [], { flags: 2 }) })
  ], frames: 5 },
  { name: 'a frame to its MAC goes nowhere else', plan, steps: [send('p0', plain(BRIDGE_MAC, A))], frames: 0 },
  { name: 'unknown unicast is not for it', plan, steps: [ip({}, B)], frames: 3 },
  {
    name: 'a priority-tagged ping is answered without tag',
    plan, steps: [hello('p0', A), send('p0', vlanFrame(BRIDGE_MAC, A, 0, 5, 0x0800, packet()))], frames: 4
  },
  {
    name: 'a tagged ping is not for it',
    plan, steps: [hello('p0', A), send('p0', vlanFrame(BRIDGE_MAC, A, 7, 0, 0x0800, packet()))], frames: 3
  },
  { name: 'a tagged ARP request is flooded and not answered', plan, steps: [
    send('p0', vlanFrame(ALL, A, 7, 0, 0x0806, arpFrame({ senderMac: A, sender: IP_A, target: OWN }).slice(14)))
  ], frames: 3 },
  { name: 'a large echo', plan, steps: [
    hello('p0', A), ip({ flags: 0x2000, payload: echo(8, 1, 1, data(2000)).slice(0, 1480) }),
    ip({ flags: 185, payload: echo(8, 1, 1, data(2000)).slice(1480) })
  ], frames: 5 },
  {
    name: 'an answer larger than the MTU of the bridge',
    plan: { ...plan, mtu: 1000 }, steps: [hello('p0', A), ip({ payload: echo(8, 1, 1, data(970)) })], frames: 4
  },
  { name: 'a ping to a bridge without address', plan: bridge(), steps: [ip(), arp({})], frames: 3 }
] satisfies Scenario[])
