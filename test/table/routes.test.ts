import test from 'ava'
import fc from 'fast-check'
import {
  PROTOCOL_KERNEL, PROTOCOL_STATIC, ROUTE_BLACKHOLE, ROUTE_BROADCAST, ROUTE_EXISTS, ROUTE_FULL, ROUTE_LOCAL, ROUTE_PROHIBIT, ROUTE_UNICAST,
  ROUTE_UNREACHABLE, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_LOCAL, TABLE_MAIN, createRoutes, type NextHopSpec, type RouteSpec,
  type RouteType, type Routes
} from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'
import { drawLength, random32 } from '../oracle/naive-routes.js'

const ip = (text: string): number => ip4.parseIp4(text)!
const cidr = (text: string): { prefix: number; length: number } => {
  const [prefix, length] = ip4.parsePrefix(text)!
  return { prefix, length }
}
const hop = (iface: number, via = 0, weight = 1): NextHopSpec => ({ via, iface, weight, onlink: false })
const route = (to: string, hops: NextHopSpec[], more: Partial<RouteSpec> = {}): RouteSpec =>
  ({ ...cidr(to), type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_STATIC, preferredSource: 0, hops, ...more })

/** Interface a packet leaves by; -1 without a way. */
const out = (table: Routes, to: string, hash = 0): number => {
  const id = table.lookup(ip(to))
  return id === 0 || table.hopCount(id) === 0 ? -1 : table.interfaceOf(table.select(id, hash))
}

test('a router\'s first routes: connected, via a gateway, default', (t) => {
  const table = createRoutes()
  const connected = table.add(route('10.1.1.0/24', [hop(1)], { protocol: PROTOCOL_KERNEL, preferredSource: ip('10.1.1.3') }))
  const remote = table.add(route('10.9.0.0/16', [hop(1, ip('10.1.1.7'))]))
  const fallback = table.add(route('0.0.0.0/0', [hop(2, ip('10.1.2.254'))]))
  t.is(table.lookup(ip('10.1.1.9')), connected)
  t.is(table.lookup(ip('10.9.1.1')), remote)
  t.is(table.lookup(ip('8.8.8.8')), fallback)
  t.is(table.typeOf(0), 0)
  t.is(table.preferredSource(connected), ip('10.1.1.3'))
  t.true(table.isOnLink(connected))
  t.false(table.isOnLink(remote))
  t.true(table.leavesBy(remote, 1))
  t.false(table.leavesBy(remote, 2))
  t.is(table.gatewayOf(table.select(connected, 0), ip('10.1.1.9')), ip('10.1.1.9'))
  t.is(table.gatewayOf(table.select(fallback, 0), ip('8.8.8.8')), ip('10.1.2.254'))
  t.deepEqual(table.describe(connected), {
    id: connected, ...cidr('10.1.1.0/24'), type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_KERNEL, scope: SCOPE_LINK, table: TABLE_MAIN,
    preferredSource: ip('10.1.1.3'), owner: 0, active: true, hops: [{ via: 0, iface: 1, weight: 1, onlink: false, dead: false }]
  })
  t.is(table.scopeOf(fallback), SCOPE_UNIVERSE)
})

test('routes without a way on have types and no next hop', (t) => {
  const table = createRoutes()
  const types: RouteType[] = [ROUTE_BLACKHOLE, ROUTE_UNREACHABLE, ROUTE_PROHIBIT]
  types.forEach((type, i) => {
    const id = table.add(route(`10.${i}.0.0/16`, [], { type }))
    t.is(table.typeOf(table.lookup(ip(`10.${i}.1.1`))), type)
    t.is(table.select(id, 5), 0)
    t.false(table.isOnLink(id))
    t.false(table.leavesBy(id, 0))
    t.deepEqual(table.describe(id).hops, [])
  })
})

test('what cannot be is refused', (t) => {
  const table = createRoutes()
  t.throws(() => table.add({ ...route('10.0.0.0/8', [hop(1)]), prefix: ip('10.0.0.1') }), { instanceOf: RangeError })
  t.throws(() => table.add({ ...route('10.0.0.0/8', [hop(1)]), length: 33 }), { instanceOf: RangeError })
  t.throws(() => table.add(route('10.0.0.0/8', [])), { instanceOf: RangeError })
  t.throws(() => table.add(route('10.0.0.0/8', [hop(1)], { type: ROUTE_BLACKHOLE })), { instanceOf: RangeError })
  t.throws(() => table.add(route('10.0.0.0/8', [hop(1, 0, 257)])), { instanceOf: RangeError })
  t.is(table.count(), 0)
  t.is(table.infos.size(), 0)
})

test('the lowest metric wins; metrics are unsigned; the next one takes over', (t) => {
  const table = createRoutes()
  table.add(route('10.0.0.0/8', [hop(3)], { metric: 0xffffffff }))
  table.add(route('10.0.0.0/8', [hop(1)], { metric: 100 }))
  table.add(route('10.0.0.0/8', [hop(2)], { metric: 200 }))
  t.is(out(table, '10.1.1.1'), 1)
  t.true(table.remove({ ...cidr('10.0.0.0/8'), metric: 100 }))
  t.is(out(table, '10.1.1.1'), 2)
  t.true(table.remove(cidr('10.0.0.0/8')))
  t.is(out(table, '10.1.1.1'), 3)
  t.is(table.metricOf(table.lookup(ip('10.1.1.1'))), 0xffffffff)
  t.true(table.remove(cidr('10.0.0.0/8')))
  t.is(out(table, '10.1.1.1'), -1)
  t.false(table.remove(cidr('10.0.0.0/8')))
})

test('add, append and replace do as ip route does', (t) => {
  const table = createRoutes()
  const via = (n: number, more: Partial<RouteSpec> = {}) => route('10.77.0.0/16', [hop(1, ip('10.5.0.0') + n)], more)
  const gateways = () => table.sorted().map((id) => table.describe(id).hops[0]!.via & 0xff)
  const first = table.add(via(2))
  t.is(table.add(via(3)), ROUTE_EXISTS)
  t.is(table.append(via(2)), ROUTE_EXISTS)
  const second = table.append(via(3))
  t.true(second > 0)
  t.is(table.replace(via(3)), ROUTE_EXISTS)
  t.is(table.replace(via(2)), first)
  t.deepEqual(gateways(), [2, 3])
  t.is(table.replace(via(4)), first)
  t.deepEqual(gateways(), [4, 3])
  t.is(table.gatewayOf(table.select(table.lookup(ip('10.77.1.1')), 0), 0), ip('10.5.0.4'))
  table.append(via(5, { metric: 7 }))
  table.append(via(6))
  t.deepEqual(gateways(), [4, 3, 6, 5])
  t.true(table.remove({ ...cidr('10.77.0.0/16'), via: ip('10.5.0.3') }))
  t.false(table.remove({ ...cidr('10.77.0.0/16'), via: ip('10.5.0.3') }))
  t.false(table.remove({ ...cidr('10.77.0.0/16'), iface: 2 }))
  t.false(table.remove({ ...cidr('10.77.0.0/16'), type: ROUTE_BLACKHOLE }))
  t.false(table.remove({ ...cidr('10.77.0.0/16'), protocol: PROTOCOL_KERNEL }))
  t.false(table.remove({ ...cidr('10.77.0.0/17') }))
  t.true(table.remove({ ...cidr('10.77.0.0/16'), metric: 7, iface: 1 }))
  t.deepEqual(gateways(), [4, 6])
})

test('own addresses come before the main table; a removal says which it means by type', (t) => {
  const table = createRoutes()
  table.add(route('10.1.1.3/32', [hop(2)], { metric: 0 }))
  const local = table.add(route('10.1.1.3/32', [hop(1)], { type: ROUTE_LOCAL, protocol: PROTOCOL_KERNEL, preferredSource: ip('10.1.1.3') }))
  t.is(table.lookup(ip('10.1.1.3')), local)
  table.remove(cidr('10.1.1.3/32'))
  table.add(route('10.1.1.3/32', [hop(2)], { metric: 0 }))
  t.is(table.lookup(ip('10.1.1.3')), local)
  t.is(table.tableOf(local), TABLE_LOCAL)
  t.is(table.scopeOf(local), SCOPE_HOST)
  t.true(table.remove(cidr('10.1.1.3/32')))
  t.is(table.lookup(ip('10.1.1.3')), local)
  t.false(table.remove(cidr('10.1.1.3/32')))
  t.true(table.remove({ ...cidr('10.1.1.3/32'), type: ROUTE_LOCAL, iface: 1, preferredSource: ip('10.1.1.3') }))
  t.is(table.count(), 0)
})

test('listed in the kernel\'s order: by address, longer prefixes first, then metric', (t) => {
  const table = createRoutes()
  const add = (to: string, metric = 0, type: RouteType = ROUTE_UNICAST) => table.add(route(to, [hop(1)], { metric, type }))
  add('192.168.0.0/16')
  add('10.0.0.0/8')
  add('10.0.0.0/24', 5)
  add('10.0.0.0/24')
  add('0.0.0.0/0')
  add('0.0.0.0/8')
  add('10.255.255.255/32', 0, ROUTE_BROADCAST)
  const text = (id: number) => `${ip4.formatIp4(table.prefixOf(id))}/${table.lengthOf(id)} ${table.metricOf(id)}`
  t.deepEqual(table.sorted(TABLE_MAIN).map(text), [
    '0.0.0.0/8 0', '0.0.0.0/0 0', '10.0.0.0/24 0', '10.0.0.0/24 5', '10.0.0.0/8 0', '192.168.0.0/16 0'
  ])
  t.is(table.sorted().length, 7)
})

test('several next hops share flows by weight, as the kernel divides the hash space', (t) => {
  const table = createRoutes()
  const id = table.add(route('10.9.0.0/16', [hop(1, 11, 1), hop(2, 12, 3)]))
  const { upperBound } = table.infos
  t.deepEqual([upperBound[table.hopAt(id, 0)], upperBound[table.hopAt(id, 1)]], [2 ** 29 - 1, 2 ** 31 - 1])
  t.is(out(table, '10.9.0.1', 0), 1)
  t.is(out(table, '10.9.0.1', 2 ** 29 - 1), 1)
  t.is(out(table, '10.9.0.1', 2 ** 29), 2)
  t.is(out(table, '10.9.0.1', 2 ** 31 - 1), 2)
  t.true(table.leavesBy(id, 2))
  const thirds = table.add(route('10.8.0.0/16', [hop(1), hop(2), hop(3)]))
  t.deepEqual([0, 1, 2].map((n) => upperBound[table.hopAt(thirds, n)]), [715827882, 1431655764, 2147483647])
})

test('a next hop is dead while its interface is down, and a route without a live one is not followed', (t) => {
  const table = createRoutes()
  const multi = table.add(route('10.9.0.0/16', [hop(1, 11), hop(2, 12)]))
  table.add(route('10.9.0.0/16', [hop(3)], { metric: 10 }))
  table.add(route('0.0.0.0/0', [hop(3)]))
  table.add(route('10.7.0.0/16', [hop(2)]))
  table.setInterfaceState(2, false)
  t.is(out(table, '10.9.0.1', 2 ** 31 - 1), 1)
  t.is(out(table, '10.7.0.1'), 3)
  t.deepEqual(table.describe(multi).hops.map((h) => h.dead), [false, true])
  table.setInterfaceState(1, false)
  t.is(out(table, '10.9.0.1'), 3)
  t.is(table.count(), 4)
  t.false(table.isActive(multi))
  table.add(route('10.6.0.0/16', [hop(2)]))
  t.is(out(table, '10.6.0.1'), 3)
  table.setInterfaceState(2, true)
  t.is(out(table, '10.9.0.1'), 2)
  t.is(out(table, '10.7.0.1'), 2)
  t.is(out(table, '10.6.0.1'), 2)
  table.setInterfaceState(1, true)
  t.is(out(table, '10.9.0.1'), 1)
})

test('an interface going down takes its routes, but own addresses stay and other next hops carry on', (t) => {
  const table = createRoutes()
  table.add(route('10.5.0.1/32', [hop(1)], { type: ROUTE_LOCAL }))
  table.add(route('10.5.255.255/32', [hop(1)], { type: ROUTE_BROADCAST }))
  table.add(route('10.5.0.0/16', [hop(1)], { protocol: PROTOCOL_KERNEL }))
  table.add(route('0.0.0.0/0', [hop(1, 11)]))
  table.add(route('9.0.0.0/8', [hop(1, 11), hop(2, 12, 3)]))
  table.add(route('8.0.0.0/8', [hop(1, 11), hop(1, 13)]))
  table.add(route('11.0.0.0/8', [], { type: ROUTE_BLACKHOLE }))
  const link = (type: number) => type === ROUTE_UNICAST || type === ROUTE_BROADCAST
  const gone = table.removeByInterface(1, link)
  t.deepEqual(gone.map((r) => `${ip4.formatIp4(r.prefix)}/${r.length}`).sort(), ['0.0.0.0/0', '10.5.0.0/16', '10.5.255.255/32', '8.0.0.0/8'])
  t.is(table.typeOf(table.lookup(ip('10.5.0.1'))), ROUTE_LOCAL)
  t.is(out(table, '10.5.0.2'), -1)
  t.is(out(table, '9.0.0.1', 0), 2)
  // Up again: the caller adds the connected routes, whose next hop is like one that died
  t.true(table.append(route('10.5.0.0/16', [hop(1)], { protocol: PROTOCOL_KERNEL })) > 0)
  t.is(out(table, '10.5.0.2'), 1)
  t.is(out(table, '9.0.0.1', 0), 2)
  table.setInterfaceState(1, true)
  t.is(out(table, '9.0.0.1', 0), 1)
  // Removed for good
  t.is(table.removeByInterface(1, () => true, true).length, 3)
  t.is(table.sorted().length, 1)
  t.is(table.infos.size(), 1)
})

test('both interfaces of a route gone, one after the other', (t) => {
  const table = createRoutes()
  table.add(route('9.0.0.0/8', [hop(1, 11), hop(2, 12)]))
  t.is(table.removeByInterface(1).length, 0)
  t.is(table.removeByInterface(2).length, 1)
  t.is(table.infos.size(), 0)
})

test('types that are not accepted keep their only next hop', (t) => {
  const table = createRoutes()
  table.add(route('10.5.0.0/16', [hop(1)]))
  table.add(route('10.5.255.255/32', [hop(1)], { type: ROUTE_BROADCAST }))
  t.is(table.removeByInterface(1, (type) => type === ROUTE_BROADCAST).length, 1)
  t.is(out(table, '10.5.255.255'), 1)
})

test('routes that prefer a source go with it', (t) => {
  const table = createRoutes()
  table.add(route('9.0.0.0/8', [hop(1)], { preferredSource: ip('10.1.1.3') }))
  table.add(route('8.0.0.0/8', [hop(1)]))
  t.is(table.removeByPreferredSource(ip('10.1.1.3')), 1)
  t.is(out(table, '9.0.0.1'), -1)
  t.is(out(table, '8.0.0.1'), 1)
})

test('routes that say the same share an info, and its next hop forgets its neighbour when it is given to another', (t) => {
  const table = createRoutes()
  const a = table.add(route('10.1.0.0/16', [hop(1, 7)]))
  const b = table.add(route('10.2.0.0/16', [hop(1, 7)]))
  table.add(route('10.3.0.0/16', [hop(1, 7)], { metric: 1 }))
  const onlink = table.add(route('10.5.0.0/16', [{ ...hop(1, 7), onlink: true }]))
  t.is(table.infos.size(), 3)
  t.is(table.select(a, 0), table.select(b, 0))
  t.true(table.describe(onlink).hops[0]!.onlink)
  table.infos.neighbor[table.select(a, 0)] = 42
  table.remove(cidr('10.1.0.0/16'))
  t.is(table.infos.neighbor[table.select(b, 0)], 42)
  table.remove(cidr('10.2.0.0/16'))
  const c = table.add(route('10.4.0.0/16', [hop(2, 9)]))
  t.is(table.infos.neighbor[table.select(c, 0)], -1)
})

test('a full table refuses, and takes again when there is room', (t) => {
  const table = createRoutes({ maxRoutes: 2 })
  table.add(route('10.1.0.0/16', [hop(1)]))
  table.add(route('10.2.0.0/16', [hop(1)]))
  t.is(table.add(route('10.3.0.0/16', [hop(2)])), ROUTE_FULL)
  t.is(table.infos.size(), 1)
  t.true(table.replace(route('10.2.0.0/16', [hop(2)])) > 0)
  table.remove(cidr('10.1.0.0/16'))
  t.true(table.add(route('10.3.0.0/16', [hop(2)])) > 0)
})

test('a scan visits every route that stays once', (t) => {
  const table = createRoutes()
  for (let i = 0; i < 100; i++) table.add(route(`10.${i}.0.0/16`, [hop(1)]))
  const seen: number[] = []
  for (let cursor = 0; cursor >= 0;) {
    cursor = table.scan(cursor, 7, (id) => seen.push(id))
    if (cursor === 8) for (let i = 50; i < 100; i++) table.remove(cidr(`10.${i}.0.0/16`))
  }
  t.deepEqual(seen, Array.from({ length: 50 }, (_, i) => i + 1))
})

interface ModelRoute { prefix: number; length: number; metric: number; hops: readonly NextHopSpec[] }

const modelPrefix = fc.tuple(fc.constantFrom(0, 1, 8, 15, 16, 17, 20, 22, 24, 30, 31, 32), fc.nat(5), fc.nat(3))
  .map(([length, high, low]) => ({ prefix: ip4.networkOf(0x0a000000 | (high << 22) | (high << 12) | (high << 8) | low, length), length }))
const modelInterface = fc.integer({ min: 1, max: 4 })
const modelHops = fc
  .uniqueArray(fc.tuple(modelInterface, fc.nat(2), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 4, selector: ([i]) => i })
  .map((list) => list.map(([iface, via, weight]) => hop(iface, via, weight)))
const modelStep = fc.oneof(
  { weight: 8, arbitrary: fc.record({
    op: fc.constantFrom('add' as const, 'append' as const, 'replace' as const), at: modelPrefix, metric: fc.nat(2), hops: modelHops
  }) },
  { weight: 4, arbitrary: fc.record({
    op: fc.constant('remove' as const), at: modelPrefix, metric: fc.nat(2), iface: fc.option(modelInterface, { nil: undefined })
  }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('state' as const), iface: modelInterface, up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('lose' as const), iface: modelInterface }) }
)

test('any order of changes gives what a list of routes gives', (t) => {
  fc.assert(fc.property(fc.array(modelStep, { maxLength: 80 }), fc.integer(), (steps, seed) => {
    const table = createRoutes()
    let model: ModelRoute[] = []
    const down = new Set<number>()
    const live = (r: ModelRoute) => r.hops.filter((h) => !down.has(h.iface))
    const same = (a: readonly NextHopSpec[], b: readonly NextHopSpec[]) => JSON.stringify(a) === JSON.stringify(b)
    for (const s of steps) {
      if (s.op === 'state') {
        table.setInterfaceState(s.iface, s.up)
        if (s.up) down.delete(s.iface)
        else down.add(s.iface)
      } else if (s.op === 'lose') {
        table.setInterfaceState(s.iface, false)
        down.add(s.iface)
        const gone = model.filter((r) => r.hops.some((h) => h.iface === s.iface) && live(r).length === 0)
        t.is(table.removeByInterface(s.iface).length, gone.length)
        model = model.filter((r) => !gone.includes(r))
      } else if (s.op === 'remove') {
        const found = model.find((r) => r.prefix === s.at.prefix && r.length === s.at.length && (s.metric === 0 || r.metric === s.metric) &&
          (s.iface === undefined || r.hops[0]!.iface === s.iface))
        t.is(table.remove({ ...s.at, metric: s.metric, iface: s.iface }), found !== undefined)
        model = model.filter((r) => r !== found)
      } else {
        const spec = { ...s.at, type: ROUTE_UNICAST, metric: s.metric, protocol: PROTOCOL_STATIC, preferredSource: 0, hops: s.hops } as const
        const code = table[s.op](spec)
        const rivals = model.filter((r) => r.prefix === s.at.prefix && r.length === s.at.length && r.metric === s.metric)
        const twin = rivals.findIndex((r) => same(r.hops, s.hops))
        const row: ModelRoute = { ...s.at, metric: s.metric, hops: s.hops }
        const exists = rivals.length > 0 && (s.op === 'add' || (s.op === 'append' ? twin >= 0 : twin > 0))
        t.is(code === ROUTE_EXISTS, exists)
        if (!exists && s.op === 'replace' && rivals.length > 0) model[model.indexOf(rivals[0]!)] = row
        else if (!exists) model.push(row)
        model.sort((a, b) => (a.prefix >>> 0) - (b.prefix >>> 0) || b.length - a.length || a.metric - b.metric)
      }
    }
    t.deepEqual(table.sorted().map((id) => ({ prefix: table.prefixOf(id), length: table.lengthOf(id), metric: table.metricOf(id),
      hops: table.describe(id).hops.map(({ dead: _, ...h }) => h) })), model.map((r) => ({ ...r, hops: [...r.hops] })))
    const random = random32(seed)
    const probe = (a: number): void => {
      // Longest first, then the lowest metric; alive only
      const best = model.filter((r) => live(r).length > 0 && ip4.inPrefix(a, r.prefix, r.length))
        .sort((x, y) => y.length - x.length || x.metric - y.metric)[0]
      const id = table.lookup(a)
      if (best === undefined) {
        t.is(id, 0)
        return
      }
      t.is(table.lengthOf(id), best.length)
      t.is(table.metricOf(id), best.metric)
      const hash = random() >>> 1
      const h = table.select(id, hash)
      const alive = live(best)
      const total = alive.reduce((n, x) => n + x.weight, 0)
      let w = 0
      const expected = alive.find((x) => hash <= Math.round(((w += x.weight) * 2 ** 31) / total) - 1)!
      t.is(table.interfaceOf(h), expected.iface)
    }
    for (const r of model) [r.prefix, ip4.broadcastOf(r.prefix, r.length), (r.prefix - 1) | 0].forEach(probe)
    for (let i = 0; i < 20; i++) probe(random())
    table.removeWhere(() => true)
    t.is(table.count(), 0)
    t.is(table.infos.size(), 0)
    for (const r of model) t.is(table.lookup(r.prefix), 0)
  }), { numRuns: 300 })
})

test('200 000 routes in the mix of the Internet: each address finds its longest prefix, before and after half of them go', (t) => {
  const random = random32(2024)
  const table = createRoutes()
  const hops = Array.from({ length: 32 }, (_, i) => [hop(i & 3, 0x0a000001 + i)])
  const keyOf = (prefix: number, length: number): number => (prefix >>> 0) * 64 + length
  const byKey = new Map<number, number>()
  while (byKey.size < 200_000) {
    const length = drawLength(random())
    const prefix = ip4.networkOf(random(), length)
    const id = table.add({
      prefix, length, type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_STATIC, preferredSource: 0, hops: hops[random() & 31]!
    })
    if (id > 0) byKey.set(keyOf(prefix, length), id)
  }
  const mebibytes = (table.memoryBytes() / 2 ** 20).toFixed(1)
  t.log(`${table.count()} routes: ${mebibytes} MiB; empty: ${(createRoutes().memoryBytes() / 2 ** 10).toFixed(0)} KiB`)
  t.is(table.count(), 200_000)
  const wrong = (): number => {
    let n = 0
    const probe = (a: number): void => {
      let expected = 0
      for (let l = 32; l >= 0 && expected === 0; l--) expected = byKey.get(keyOf(ip4.networkOf(a, l), l)) ?? 0
      if (table.lookup(a) !== expected) n++
    }
    for (let i = 0; i < 50_000; i++) probe(random())
    let i = 0
    for (const key of byKey.keys()) if (i++ % 8 === 0) probe((Math.floor(key / 64) | 0) + (random() & 0xff))
    return n
  }
  t.is(wrong(), 0)
  let i = 0
  let missing = 0
  for (const key of [...byKey.keys()]) {
    if (i++ % 2 === 0) continue
    byKey.delete(key)
    if (!table.remove({ prefix: Math.floor(key / 64) | 0, length: key % 64 })) missing++
  }
  t.is(missing, 0)
  t.is(table.count(), byKey.size)
  t.is(wrong(), 0)
})
