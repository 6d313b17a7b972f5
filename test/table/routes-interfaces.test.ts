import test from 'ava'
import {
  PROTOCOL_KERNEL, ROUTE_BLACKHOLE, ROUTE_BROADCAST, ROUTE_LOCAL, ROUTE_UNICAST, createRoutes
} from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'
import { hop, ip, out, route } from '../helpers/route-specs.js'

test('several next hops share flows by weight, as the kernel divides the hash space', (t) => {
  const table = createRoutes()
  const id = table.add(route('10.9.0.0/16', [hop(1, 11, 1), hop(2, 12, 3)]))
  const { upperBound } = table.infos
  t.deepEqual([upperBound[table.hopAt(id, 0)], upperBound[table.hopAt(id, 1)]], [2 ** 29 - 1, 2 ** 31 - 1])
  t.is(out(table, '10.9.0.1', 0), 1)
  t.is(out(table, '10.9.0.1', 2 ** 29 - 1), 1)
  t.is(out(table, '10.9.0.1', 2 ** 29), 2)
  t.is(out(table, '10.9.0.1', 2 ** 31 - 1), 2)
  t.true(table.leavesBy(table.infoOf(id), 2))
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

test('what replaces a route is followed at once, also where it is dead or one of several', (t) => {
  const table = createRoutes()
  table.add(route('10.9.0.0/16', [hop(1, 11)]))
  table.add(route('10.9.0.0/16', [hop(3, 13)], { metric: 5 }))
  table.replace(route('10.9.0.0/16', [hop(2, 12)]))
  t.is(out(table, '10.9.0.1'), 2)
  table.setInterfaceState(4, false)
  table.replace(route('10.9.0.0/16', [hop(4, 14)]))
  t.is(out(table, '10.9.0.1'), 3)
  table.replace(route('10.9.0.0/16', [hop(2, 15)], { metric: 5 }))
  t.is(out(table, '10.9.0.1'), 2)
  t.is(table.metricOf(table.routeTo(ip('10.9.0.1'))), 5)
  table.replace(route('10.9.0.0/16', [hop(1, 11)]))
  t.is(out(table, '10.9.0.1'), 1)
  table.replace(route('10.9.0.0/16', [hop(4, 14)]))
  table.replace(route('10.9.0.0/16', [hop(4, 16)], { metric: 5 }))
  t.is(table.routeTo(ip('10.9.0.1')), 0)
  t.is(out(table, '10.9.0.1'), -1)
  table.setInterfaceState(4, true)
  t.is(table.gatewayOf(table.select(table.lookup(ip('10.9.0.1')), 0), 0), 14)
})
