/**
 * A plan built of our own parts: the whole engine between memory ports, on a clock of its own. In the ordinary run others stand beside it, the
 * same but for optimisations that they do without: they must send the same.
 */
import { createNetwork } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import { createMemoryIo, type MemoryIo } from '../../src/port/memory.js'
import { CTL_TX_COUNT } from '../../src/port/rings.js'
import { OPTIMISATION_NAMES, type Without } from '../../src/optimisations.js'
import { WITHOUT } from '../helpers/without.js'
import { BRIDGE_NAME, ROUTER_NAME, type Box, type BridgePlan, type Plan, type RouterPlan, type Sent, type Station } from './box.js'

/** Steps in which waiting advances the clock, in milliseconds. */
const GRAIN = 10
/** Of the bridges between a router's interfaces and the ports: no frame of a scenario carries them. */
const bridgeMac = (i: number): string => `02:bb:00:00:00:${(i + 1).toString(16).padStart(2, '0')}`

const neighbor = (s: Station) =>
  ({ op: 'neigh.add', dev: s.dev, address: s.address, lladdr: s.mac, nud: 'permanent' }) as const

const routerOperations = (plan: RouterPlan): Operation[] => [
  { op: 'router.add', name: ROUTER_NAME, forwarding: plan.forwarding ?? true },
  ...plan.links.flatMap((l, i): Operation[] => [
    { op: 'bridge.add', name: `net-${l.name}`, mac: bridgeMac(i), mtu: l.mtu ?? 1500, ageing_time: 300, fdb_max_learned: 1024 },
    {
      op: 'interface.add', router: ROUTER_NAME, name: l.name, bridge: `net-${l.name}`, mac: l.mac, mtu: l.mtu ?? 1500,
      forwarding: l.forwarding ?? true, proxy_arp: l.proxyArp ?? false, rp_filter: l.rpFilter ?? 0,
      send_redirects: l.sendRedirects ?? true, bc_forwarding: l.bcForwarding ?? false
    },
    ...(l.addresses ?? []).map((prefix): Operation => ({ op: 'addr.add', dev: l.name, router: ROUTER_NAME, prefix }))
  ]),
  ...(plan.routes ?? []).map((r): Operation => ({
    op: 'route.append', router: ROUTER_NAME, prefix: r.to, ...(r.type === undefined ? {} : { type: r.type }),
    ...(r.src === undefined ? {} : { src: r.src }), ...(r.metric === undefined ? {} : { metric: r.metric }),
    ...(r.nexthops === undefined ? {} : { nexthops: r.nexthops })
  })),
  ...(plan.stations ?? []).map((s): Operation => ({ ...neighbor(s), router: ROUTER_NAME }))
]

const bridgeOperations = (plan: BridgePlan): Operation[] => [
  {
    op: 'bridge.add', name: BRIDGE_NAME, mac: plan.mac, mtu: plan.mtu ?? 1500, ageing_time: plan.ageing ?? 300, fdb_max_learned: 1024
  },
  ...(plan.addresses ?? []).map((prefix): Operation => ({ op: 'addr.add', dev: BRIDGE_NAME, prefix })),
  ...(plan.stations ?? []).map(neighbor)
]

const portOperation = (name: string, bridge: string, mtu: number, handle: number): Operation => ({
  op: 'port.add', name, bridge, mtu, handle, vnet_header: 0, offloads: 0, mac: '02:ee:00:00:00:01', netns: 'none', ifname: name
})

export interface TapwayBox extends Box {
  /** Packets lost, by reason; only those that are not zero. */
  drops(): Record<string, number>
  /** Does every packet's beginning and end add up? */
  balanced(): boolean
  /** Milliseconds of its clock. */
  now(): number
}

/** Every optimisation that is in force here by itself: without devices, offloads and tunnels. Then all of them. */
const EACH: readonly Without[] = [
  ['bridge-cache'], ['fast-path'], ['trie-routes'], ['aligned-headers'], ['shared-frames'], ['headroom'], ['batches'], OPTIMISATION_NAMES
]
const ALL: readonly Without[] = [OPTIMISATION_NAMES]

const createBox = (plan: Plan, without: Without, wallClock: () => number): TapwayBox => {
  let now = 1000
  let io: MemoryIo | undefined
  const network = createNetwork({
    instance: 'kernel-comparison', seed: 1, poll: 'sleep',
    pool: { packets: 1024, largeSlots: 160, smallSlots: 512, ports: 64 },
    makeIo: (packets, rings) => (io = createMemoryIo(packets, rings)),
    attachPort: (row, handle) => io!.bind(handle, row),
    detachPort: () => undefined,
    readClock: () => now,
    wallClock,
    without
  })
  const device = io!
  const names = plan.kind === 'bridge' ? plan.ports : plan.links.map((l) => l.name)
  const handles = names.map(() => device.open(false))
  for (const operation of plan.kind === 'bridge' ? bridgeOperations(plan) : routerOperations(plan)) network.apply(operation)
  for (const [i, name] of names.entries()) {
    network.apply(plan.kind === 'bridge'
      ? portOperation(name, BRIDGE_NAME, plan.mtu ?? 1500, handles[i]!)
      : portOperation(`port-${name}`, `net-${name}`, plan.links[i]!.mtu ?? 1500, handles[i]!))
  }
  if (plan.kind === 'bridge') for (const e of plan.fdb ?? []) network.apply({ op: 'fdb.add', ...e })
  // Only to stations that the bridge knows there is a short way
  else for (const { mac, dev } of plan.stations ?? []) network.apply({ op: 'fdb.add', mac, dev: `port-${dev}`, state: 'dynamic' })

  /** A frame is sent by the exchange after the turn that decided about it. */
  const settle = (): void => {
    do network.engine.turn(false)
    while (network.engine.rings.control[CTL_TX_COUNT]! > 0)
  }
  settle()

  return {
    step: (step) => {
      if ('send' in step) {
        device.inject(handles[names.indexOf(step.send)]!, Uint8Array.from(step.frame))
        settle()
      } else if ('wait' in step) {
        for (const end = now + step.wait; now < end;) {
          now = Math.min(now + GRAIN, end)
          settle()
        }
      } else {
        for (const operation of step.operations) network.apply(operation)
        settle()
      }
      return names.flatMap((port, i) => device.taken(handles[i]!).map(({ bytes }) => ({ port, bytes })))
    },
    drops: () => Object.fromEntries(network.stats().drops.filter((d) => d.packets > 0).map((d) => [d.reason, d.packets])),
    balanced: () => network.stats().balance.ok,
    now: () => now,
    close: () => network.engine.close()
  }
}

const textOf = (frames: readonly Sent[]): string => frames.map(({ port, bytes }) => `${port} ${Buffer.from(bytes).toString('hex')}`).join('\n')

/** With `each`, beside it stands one without each optimisation, else one without all. A step throws when they do not send the same. */
export const createTapwayBox = (plan: Plan, each = false): TapwayBox => {
  let time = Date.now()
  const wallClock = (): number => time
  const box = createBox(plan, WITHOUT, wallClock)
  const beside = (WITHOUT.length > 0 ? [] : each ? EACH : ALL).map((without) => ({ without, other: createBox(plan, without, wallClock) }))
  const same = (without: Without, mine: string, others: string): void => {
    if (others !== mine) throw new Error(`Without ${without.join(', ')} it is not the same:\n${others}\nWith:\n${mine}`)
  }
  return {
    ...box,
    step: (step, expected) => {
      time = Date.now()
      const frames = box.step(step, expected)
      for (const { without, other } of beside) same(without, textOf(frames), textOf(other.step(step, expected)))
      return frames
    },
    drops: () => {
      const drops = box.drops()
      for (const { without, other } of beside) same(without, JSON.stringify(drops), JSON.stringify(other.drops()))
      return drops
    },
    balanced: () => box.balanced() && beside.every(({ other }) => other.balanced()),
    close: () => {
      box.close()
      for (const { other } of beside) other.close()
    }
  }
}
