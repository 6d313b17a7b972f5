/**
 * A router with a full table: filling it, looking addresses up in it, its memory, and changing it while packets are forwarded.
 * All figures are of processor time. Addresses are random, a million of them, so that no cache has seen them lately.
 */
import { VNET_HDR } from '../../src/core/layout.js'
import { threadCpuTime } from '../../src/native.js'
import { createNetwork, type Network } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import { createRoutes, PROTOCOL_STATIC, ROUTE_UNICAST, type NextHopSpec, type Routes } from '../../src/table/routes.js'
import { formatIp4 } from '../../src/wire/ip4.js'
import { udpFrame } from '../frames.js'
import { single, type Goal } from '../result.js'
import { addressesIn, createFeed, createRandom, GATEWAYS, type Feed } from './full-feed.js'
import { report, reportLoop } from './measure.js'
import { createReplayIo, type ReplayIo } from './replay-io.js'

const ROUTES = 1_000_000
const LABEL = '1,000,000 routes'
const LOADS = 5
const LOOKUPS = 1 << 20
const FLOWS = 256
const LOAD_GOAL: Goal = { bound: 'at most', value: 1500, aim: 1000 }
const LOOKUP_GOAL: Goal = { bound: 'at most', value: 40, aim: 20 }
const MEMORY_GOAL: Goal = { bound: 'at most', value: 128, aim: 64 }
const EMPTY_GOAL: Goal = { bound: 'at most', value: 1 }
const UPDATES_GOAL: Goal = { bound: 'at least', value: 50, aim: 100 }
/** Updates between two turns of the engine, and of a run: whole threes (createUpdates). */
const UPDATES_A_TURN = 9
const UPDATES = 90_000
const UPDATE_RUNS = 7
/** Operations that are timed at once while loading. */
const TIMED = 100

const MIB = 2 ** 20
let sink = 0

const benchTable = (feed: Feed): void => {
  const hops = Array.from({ length: GATEWAYS }, (_, i): NextHopSpec[] => [{ via: 0x0a02000a + i, iface: 1, weight: 1, onlink: false }])
  let table: Routes = createRoutes()
  report(single('routes', 'memory of an empty table', 'MiB', [table.memoryBytes() / MIB], EMPTY_GOAL))
  const loads: number[] = []
  for (let n = 0; n < LOADS; n++) {
    table = createRoutes()
    const begin = threadCpuTime()
    for (let i = 0; i < ROUTES; i++) {
      table.add({
        prefix: feed.prefix[i]!, length: feed.length[i]!, type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_STATIC, preferredSource: 0,
        hops: hops[feed.gateway[i]!]!
      })
    }
    loads.push((threadCpuTime() - begin) / 1e6)
  }
  if (table.count() !== ROUTES) throw new Error(`${table.count()} routes were loaded`)
  report(single('routes', `${LABEL}: load`, 'ms', loads, LOAD_GOAL))
  report(single('routes', `${LABEL}: memory`, 'MiB', [table.memoryBytes() / MIB], MEMORY_GOAL))
  benchLookups(table, addressesIn(feed, LOOKUPS))
}

const benchLookups = (table: Routes, asked: Int32Array): void => {
  // One after the other, as packets come: the processor may begin the next while it waits for memory
  reportLoop('routes', `${LABEL}: random lookup`, () => {
    let sum = 0
    for (let i = 0; i < LOOKUPS; i++) sum ^= table.lookup(asked[i]!)
    sink ^= sum
  }, LOOKUPS, LOOKUP_GOAL)
  reportLoop('routes', `${LABEL}: random lookup, to interface and gateway`, () => {
    let sum = 0
    for (let i = 0; i < LOOKUPS; i++) {
      const info = table.lookup(asked[i]!)
      if (table.typeOf(info) !== ROUTE_UNICAST) continue
      const hop = table.select(info, i)
      sum ^= table.interfaceOf(hop) ^ table.gatewayOf(hop, asked[i]!)
    }
    sink ^= sum
  }, LOOKUPS)
  // Which address is next is known when the one before has been looked up: all waiting shows
  reportLoop('routes', `${LABEL}: random lookup that waits for the one before`, () => {
    let last = 0
    for (let i = 0; i < LOOKUPS; i++) last = table.lookup(asked[i ^ (last & 1)]!)
    sink ^= last
  }, LOOKUPS)
}

const gatewayOf = (n: number): string => formatIp4(0x0a02000a + n)
const macOf = (side: number, n: number): string => `02:42:0a:0${side}:0${n >> 8}:${(n & 255).toString(16).padStart(2, '0')}`
const ROUTER_MACS = ['02:00:00:00:01:01', '02:00:00:00:02:02']

interface Made {
  network: Network
  io: ReplayIo
}

/** A router between two bridges with a port each; the gateways are behind the second. */
const openRouter = (): Made => {
  let io: ReplayIo | undefined
  const network = createNetwork({
    instance: 'bench', seed: 1, poll: 'sleep', makeIo: (packets, rings) => (io = createReplayIo(packets, rings)),
    attachPort: () => undefined, detachPort: () => undefined
  })
  const switches = { forwarding: true, proxy_arp: false, rp_filter: 0, send_redirects: true, bc_forwarding: false }
  const operations: Operation[] = [{ op: 'router.add', name: 'r', forwarding: true }]
  for (const side of [1, 2]) {
    operations.push(
      { op: 'bridge.add', name: `b${side}`, mac: `02:00:00:00:00:0${side}`, mtu: 1500, ageing_time: 300, fdb_max_learned: 65536 },
      {
        op: 'port.add', name: `p${side}`, bridge: `b${side}`, mtu: 1500, handle: side, vnet_header: VNET_HDR, offloads: 7, mac: macOf(9, side),
        netns: `n${side}`, ifname: 'eth0'
      },
      { op: 'interface.add', router: 'r', name: `eth${side}`, bridge: `b${side}`, mac: ROUTER_MACS[side - 1]!, mtu: 1500, ...switches },
      { op: 'addr.add', router: 'r', dev: `eth${side}`, prefix: `10.${side}.0.1/16` }
    )
  }
  for (let n = 0; n < GATEWAYS; n++) {
    operations.push({ op: 'neigh.add', router: 'r', dev: 'eth2', address: gatewayOf(n), lladdr: macOf(2, n), nud: 'permanent' })
    // Heard, so that nothing is flooded
    operations.push({ op: 'fdb.add', mac: macOf(2, n), dev: 'p2', master: true, state: 'static' })
  }
  for (const operation of operations) network.apply(operation)
  return { network, io: io! }
}

const routeTo = ({ prefix, length }: Feed, i: number, gateway: number): Operation => ({
  op: 'route.replace', router: 'r', prefix: `${formatIp4(prefix[i]!)}/${length[i]}`, nexthops: [{ via: gatewayOf(gateway) }], protocol: 'static'
})

/**
 * Changes as a feed has them: of three, one moves a route to another gateway, one takes a route out and one puts it back. The flows'
 * own routes stay.
 */
const createUpdates = (feed: Feed): Operation[] => {
  const random = createRandom(3)
  const any = (): number => FLOWS + ((random() >>> 0) % (ROUTES - FLOWS))
  const updates: Operation[] = []
  while (updates.length < UPDATES) {
    const gone = any()
    updates.push(
      { op: 'route.del', router: 'r', prefix: `${formatIp4(feed.prefix[gone]!)}/${feed.length[gone]}` },
      routeTo(feed, any(), random() & (GATEWAYS - 1)),
      routeTo(feed, gone, random() & (GATEWAYS - 1))
    )
  }
  return updates
}

const benchUpdates = (feed: Feed): void => {
  const { network, io } = openRouter()
  let longest = 0
  const begin = threadCpuTime()
  for (let i = 0; i < ROUTES;) {
    const before = threadCpuTime()
    for (const end = i + TIMED; i < end; i++) network.apply(routeTo(feed, i, feed.gateway[i]!))
    longest = Math.max(longest, threadCpuTime() - before)
  }
  report(single('routes', `${LABEL}: load by operations, texts and all`, 'ms', [(threadCpuTime() - begin) / 1e6]))
  report(single('routes', `${LABEL}: the longest ${TIMED} of these operations`, 'ms', [longest / 1e6]))
  const [port] = network.resolvePorts(['p1'])
  io.load(Array.from({ length: FLOWS }, (_, i) => ({
    port: port!.id,
    bytes: udpFrame({
      sourceMac: macOf(1, i), destinationMac: ROUTER_MACS[0]!, source: `10.1.1.${i & 127}`, destination: formatIp4(feed.prefix[i]! | 1),
      sourcePort: 1000 + i, destinationPort: 9
    })
  })))
  const updates = createUpdates(feed)
  /** Packets and updates of a run, thousands in a second. */
  const run = (count: number, turns: number): [packets: number, updates: number] => {
    const from = threadCpuTime()
    const arrived = io.arrived()
    for (let n = 0, u = 0; n < turns; n++) {
      network.engine.turn(false)
      for (const end = u + count; u < end; u++) network.apply(updates[u]!)
    }
    const ms = (threadCpuTime() - from) / 1e6
    return [(io.arrived() - arrived) / ms, (count * turns) / ms]
  }
  const turns = updates.length / UPDATES_A_TURN
  const quiet: number[] = []
  const busy: [number, number][] = []
  for (let i = -2; i < UPDATE_RUNS; i++) {
    const [alone] = run(0, turns)
    const both = run(UPDATES_A_TURN, turns)
    if (i < 0) continue // the first ones are for the compiler
    quiet.push(alone / 1000)
    busy.push(both)
  }
  report(single('routes', `${LABEL}: updates while forwarding`, 'thousand a second', busy.map(([, n]) => n), UPDATES_GOAL))
  report(single('routes', `${LABEL}: forwarded meanwhile, ${FLOWS} flows`, 'Mpps', busy.map(([n]) => n / 1000)))
  report(single('routes', `${LABEL}: forwarded without updates`, 'Mpps', quiet))
  io.load([])
  for (let i = 0; i < 3; i++) network.engine.turn(false)
  const { drops, balance } = network.stats()
  if (!balance.ok || io.sent() < io.arrived()) {
    const lost = drops.filter((d) => d.packets > 0).map((d) => `${d.packets} ${d.reason}`)
    throw new Error(`packets were lost: arrived ${io.arrived()}, sent ${io.sent()}, ${lost.join(', ')}`)
  }
}

const feed = createFeed(ROUTES)
// Each wants a process of its own: V8 knows the columns of a single table as constants
if (process.argv[2] === 'updates') benchUpdates(feed)
else benchTable(feed)
if (sink === 0.5) process.stdout.write('')
