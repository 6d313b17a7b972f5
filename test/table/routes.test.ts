import test from 'ava'
import {
  PROTOCOL_KERNEL, ROUTE_BLACKHOLE, ROUTE_BROADCAST, ROUTE_EXISTS, ROUTE_FULL, ROUTE_LOCAL, ROUTE_PROHIBIT, ROUTE_UNICAST,
  ROUTE_UNREACHABLE, SCOPE_HOST, SCOPE_LINK, SCOPE_UNIVERSE, TABLE_LOCAL, TABLE_MAIN, createRoutes, type RouteSpec,
  type RouteType
} from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'
import { cidr, hop, ip, out, route } from '../helpers/route-specs.js'

test('a router\'s first routes: connected, via a gateway, default', (t) => {
  const table = createRoutes()
  const connected = table.add(route('10.1.1.0/24', [hop(1)], { protocol: PROTOCOL_KERNEL, preferredSource: ip('10.1.1.3') }))
  const remote = table.add(route('10.9.0.0/16', [hop(1, ip('10.1.1.7'))]))
  const fallback = table.add(route('0.0.0.0/0', [hop(2, ip('10.1.2.254'))]))
  t.is(table.routeTo(ip('10.1.1.9')), connected)
  t.is(table.routeTo(ip('10.9.1.1')), remote)
  t.is(table.routeTo(ip('8.8.8.8')), fallback)
  const [near, far, anywhere] = [connected, remote, fallback].map((id) => table.infoOf(id)) as [number, number, number]
  t.is(table.lookup(ip('10.1.1.9')), near)
  t.is(table.lookup(ip('10.9.1.1')), far)
  t.is(table.lookup(ip('8.8.8.8')), anywhere)
  t.is(table.typeOf(0), 0)
  t.is(table.preferredSource(near), ip('10.1.1.3'))
  t.true(table.isOnLink(near))
  t.false(table.isOnLink(far))
  t.true(table.leavesBy(far, 1))
  t.false(table.leavesBy(far, 2))
  t.is(table.gatewayOf(table.select(near, 0), ip('10.1.1.9')), ip('10.1.1.9'))
  t.is(table.gatewayOf(table.select(anywhere, 0), ip('8.8.8.8')), ip('10.1.2.254'))
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
    t.is(table.select(table.infoOf(id), 5), 0)
    t.false(table.isOnLink(table.infoOf(id)))
    t.false(table.leavesBy(table.infoOf(id), 0))
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
  t.is(table.metricOf(table.routeTo(ip('10.1.1.1'))), 0xffffffff)
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
  t.is(table.routeTo(ip('10.1.1.3')), local)
  table.remove(cidr('10.1.1.3/32'))
  table.add(route('10.1.1.3/32', [hop(2)], { metric: 0 }))
  t.is(table.routeTo(ip('10.1.1.3')), local)
  t.is(table.tableOf(local), TABLE_LOCAL)
  t.is(table.scopeOf(local), SCOPE_HOST)
  t.true(table.remove(cidr('10.1.1.3/32')))
  t.is(table.routeTo(ip('10.1.1.3')), local)
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

test('routes that say the same share an info, and its next hop forgets its neighbour when it is given to another', (t) => {
  const table = createRoutes()
  const a = table.add(route('10.1.0.0/16', [hop(1, 7)]))
  const b = table.add(route('10.2.0.0/16', [hop(1, 7)]))
  table.add(route('10.3.0.0/16', [hop(1, 7)], { metric: 1 }))
  const onlink = table.add(route('10.5.0.0/16', [{ ...hop(1, 7), onlink: true }]))
  t.is(table.infos.size(), 3)
  const hopOf = (id: number) => table.select(table.infoOf(id), 0)
  t.is(hopOf(a), hopOf(b))
  t.true(table.describe(onlink).hops[0]!.onlink)
  table.infos.neighbor[hopOf(a)] = 42
  table.remove(cidr('10.1.0.0/16'))
  t.is(table.infos.neighbor[hopOf(b)], 42)
  table.remove(cidr('10.2.0.0/16'))
  const c = table.add(route('10.4.0.0/16', [hop(2, 9)]))
  t.is(table.infos.neighbor[hopOf(c)], -1)
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
