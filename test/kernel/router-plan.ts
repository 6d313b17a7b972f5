/** A router between two networks with a station on each, and what they send it. */
import { ethernet } from '../oracle/naive-frames.js'
import { ipPacket, type Bytes, type Ip } from '../helpers/frames.js'
import type { Link, RouterPlan, Step } from './box.js'

export const R0 = '02:00:00:00:01:01'
export const R1 = '02:00:00:00:02:01'
/** Station on eth0, 10.1.1.2; a second one there, 10.1.1.3. */
export const A_MAC = '02:00:00:00:01:02'
export const A2_MAC = '02:00:00:00:01:03'
/** Station and gateway on eth1: 10.1.2.2 and 10.1.2.254. */
export const B_MAC = '02:00:00:00:02:02'
const G_MAC = '02:00:00:00:02:fe'

export const A = '10.1.1.2'
export const A2 = '10.1.1.3'
export const B = '10.1.2.2'
export const NEAR = '10.1.1.1'
export const FAR = '10.1.2.1'

/** Networks: 10.9/16 behind a gateway on eth1, 10.8/16 behind one on eth0, 10.66.x unwilling ones. No default route. */
export const router = (more: Partial<RouterPlan> = {}): RouterPlan => ({
  kind: 'router',
  links: [{ name: 'eth0', mac: R0, addresses: ['10.1.1.1/24'] }, { name: 'eth1', mac: R1, addresses: ['10.1.2.1/24'] }],
  routes: [
    { to: '10.9.0.0/16', nexthops: [{ via: '10.1.2.254' }] },
    { to: '10.8.0.0/16', nexthops: [{ via: A2 }] },
    { to: '10.66.1.0/24', type: 'blackhole' },
    { to: '10.66.2.0/24', type: 'unreachable' },
    { to: '10.66.3.0/24', type: 'prohibit' }
  ],
  stations: [
    { address: A, mac: A_MAC, dev: 'eth0' }, { address: A2, mac: A2_MAC, dev: 'eth0' },
    { address: B, mac: B_MAC, dev: 'eth1' }, { address: '10.1.2.254', mac: G_MAC, dev: 'eth1' }
  ],
  ...more
})

/** The plan with some settings of its links changed, by name. */
export const withLinks = (changes: Record<string, Partial<Link>>, more: Partial<RouterPlan> = {}): RouterPlan => {
  const plan = router(more)
  return { ...plan, links: plan.links.map((l) => ({ ...l, ...changes[l.name] })) }
}

/** A packet arrives on eth0 from A's MAC, to the router's. */
export const fromA = (packet: Bytes, to = R0): Step => ({ send: 'eth0', frame: ethernet(to, A_MAC, 0x0800, packet) })
export const fromB = (packet: Bytes, to = R1): Step => ({ send: 'eth1', frame: ethernet(to, B_MAC, 0x0800, packet) })
/** The same for an IPv4 packet from A to B with some fields changed. */
export const aToB = (p: Partial<Ip> = {}, to = R0): Step => fromA(ipPacket({ src: A, dst: B, ...p }), to)
export const bToA = (p: Partial<Ip> = {}, to = R1): Step => fromB(ipPacket({ src: B, dst: A, ...p }), to)
