/** Random frames and datagrams of few stations and peers, into tunnels of all kinds; against the kernel's. */
import test from 'ava'
import { be16, ethernet } from '../oracle/naive-frames.js'
import { ALL, DF, arpFrame, data, ipPacket, patch } from '../helpers/frames.js'
import { vlanFrame } from '../kernel/bridge-plan.js'
import { datagram, ip6, vxlanHeader } from './datagram.js'
import {
  A, B, BRIDGE_MAC, C, D, EXPERIMENTAL, UNDERLAY, VNI, command, peer, portNames, send, show, toPeer2, tunnelMac, vtep, type Step,
  type VtepPlan
} from './plan.js'
import { scenarios, type Scenario } from './scenario.js'

const STEPS = 250

/** Random numbers from a seed (mulberry32). */
const createRandom = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const below = (n: number): number => Math.floor(next() * n)
  return { below, one: <T>(list: readonly T[]): T => list[below(list.length)]!, chance: (p: number): boolean => next() < p }
}
type Random = ReturnType<typeof createRandom>

const STATIONS = [A, B, C, D, '02:00:00:00:00:0e', '02:00:00:00:00:0f']
const TARGETS = [...STATIONS, ...STATIONS, ALL, '01:00:5e:01:02:03', '03:00:00:00:00:07', BRIDGE_MAC]
const addressOf = (mac: string): string => `10.0.10.${parseInt(mac.slice(-2), 16)}`

const frame = (r: Random, from: string): number[] => {
  const to = r.one(TARGETS)
  const size = r.one([0, 1, 20, 46, 200, 1400])
  const packet4 = (): number[] => ipPacket({
    src: addressOf(from), dst: addressOf(to), tos: r.below(256), ttl: r.one([0, 1, 7, 64, 255]), flags: r.chance(0.5) ? DF : 0,
    payload: data(size)
  })
  const tos = r.below(256)
  const packet6 = (): number[] => [
    0x60 | (tos >> 4), (tos & 15) << 4, 0, 0, ...be16(size), 253, r.one([1, 9, 64]), ...ip6('fd00::1'), ...ip6('fd00::2'),
    ...data(size)
  ]
  switch (r.below(6)) {
    case 0: return ethernet(to, from, EXPERIMENTAL, data(size))
    case 1: return ethernet(to, from, 0x86dd, packet6())
    case 2: return vlanFrame(to, from, r.below(4095), r.below(8), 0x0800, packet4())
    case 3: return arpFrame({
      op: r.one([1, 1, 1, 2, 3]), to: r.chance(0.7) ? ALL : to, senderMac: from, sender: addressOf(from),
      target: addressOf(r.one(STATIONS))
    })
    default: return ethernet(to, from, 0x0800, packet4())
  }
}

/** Sometimes of a station that is none. */
const source = (r: Random): string => (r.chance(0.04)
  ? r.one([tunnelMac(0), BRIDGE_MAC, ALL, '00:00:00:00:00:00', '03:00:00:00:00:01']) : r.one(STATIONS))

const arrival = (r: Random, plan: VtepPlan): Step => {
  const { id = VNI } = r.one(plan.tunnels)
  const header = vxlanHeader(r.chance(0.03) ? 77 : id)
  const inner = frame(r, source(r))
  return send(UNDERLAY, datagram({
    from: r.one([2, 3, 4]), tos: r.below(256), header: r.chance(0.06)
      ? patch(header, r.one([0, 1, 2, 3, 7]), r.below(256)) : header,
    inner: r.chance(0.03) ? inner.slice(0, r.below(14)) : inner, ...(r.chance(0.05) && { checksum: r.one([0, 0x1234]) })
  }), 'a datagram')
}

const change = (r: Random): Step => {
  const station = r.one(STATIONS)
  return command(r.one([
    `fdb replace ${station} dev vx0 dst ${peer(r.one([2, 3, 4]))} self ${r.one(['static', 'permanent', 'dynamic'])}`,
    `fdb del ${station} dev vx0 self`,
    `fdb append 00:00:00:00:00:00 dev vx0 dst ${peer(r.one([2, 3, 4]))}`,
    `fdb del 00:00:00:00:00:00 dev vx0 dst ${peer(r.one([3, 4]))}`
  ]))
}

const scenario = (title: string, plan: VtepPlan, seed: number): Scenario => {
  const r = createRandom(seed)
  const steps = Array.from({ length: STEPS }, (_, i): Step => {
    if (i % 50 === 49) return show
    const kind = r.below(100)
    return kind < 2 ? change(r) : kind < 50 ? arrival(r, plan) : send(r.one(portNames(plan)),
      frame(r, r.chance(0.97) ? r.one(STATIONS) : source(r)), 'a frame')
  })
  return { name: `${title}, seed ${seed}`, plan, steps: [...steps, show] }
}

const neighbors = [B, D].map((lladdr) => ({ address: addressOf(lladdr), lladdr }))

scenarios(test, [
  ...[1, 2, 3].map((seed) => scenario('one remote', toPeer2({}, { ports: 3 }), seed)),
  ...[4, 5].map((seed) => scenario('three remotes, everything inherited', vtep({
    remote: [peer(2), peer(3), peer(4)], ttl: 'inherit', tos: 'inherit', df: 'inherit'
  }), seed)),
  ...[6, 7].map((seed) => scenario('two tunnels, proxy and group policies', {
    tunnels: [
      { local: '192.168.77.1', remote: [peer(2)], gbp: true, proxy: true, neighbors },
      { id: 43, local: '192.168.77.1', remote: [peer(3), peer(4)], gbp: true }
    ]
  }, seed)),
  scenario('without learning', toPeer2({ learning: false, fdb: [{ mac: C, dst: peer(3) }] }), 8),
  scenario('few stations', toPeer2({ maxaddress: 4 }, { address: '10.0.10.1/24' }), 9)
])
