import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { PROTOCOL_STATIC, ROUTE_EXISTS, ROUTE_UNICAST, createRoutes, type NextHopSpec, type Routes } from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'
import { hop } from '../helpers/route-specs.js'
import { random32 } from '../oracle/naive-routes.js'

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

type ModelStep = typeof modelStep extends fc.Arbitrary<infer Step> ? Step : never

/** Routes beside those of the model, in 128.0.0.0/2 (the model's short prefixes begin with 0), so that a table is large. */
const isOther = (address: number): boolean => address >>> 30 === 2
const OTHERS = 80_000
const OTHER_INTERFACE = 9

/** Does all steps and compares with a list of routes. Other routes of the table are of OTHERS, by OTHER_INTERFACE. */
const change = (t: ExecutionContext, table: Routes, steps: readonly ModelStep[], seed: number): void => {
  const others = table.count()
  const infos = table.infos.size()
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
  const own = table.sorted().filter((id) => !isOther(table.prefixOf(id)))
  t.deepEqual(own.map((id) => ({ prefix: table.prefixOf(id), length: table.lengthOf(id), metric: table.metricOf(id),
    hops: table.describe(id).hops.map(({ dead: _, ...h }) => h) })), model.map((r) => ({ ...r, hops: [...r.hops] })))
  const random = random32(seed)
  const probe = (a: number): void => {
    if (isOther(a)) return
    // Longest first, then the lowest metric; alive only
    const best = model.filter((r) => live(r).length > 0 && ip4.inPrefix(a, r.prefix, r.length))
      .sort((x, y) => y.length - x.length || x.metric - y.metric)[0]
    const id = table.routeTo(a)
    const info = table.lookup(a)
    t.is(info, table.infoOf(id))
    if (best === undefined) {
      t.is(id, 0)
      return
    }
    t.is(table.lengthOf(id), best.length)
    t.is(table.metricOf(id), best.metric)
    const hash = random() >>> 1
    const h = table.select(info, hash)
    const alive = live(best)
    const total = alive.reduce((n, x) => n + x.weight, 0)
    let w = 0
    const expected = alive.find((x) => hash <= Math.round(((w += x.weight) * 2 ** 31) / total) - 1)!
    t.is(table.interfaceOf(h), expected.iface)
  }
  for (const r of model) [r.prefix, ip4.broadcastOf(r.prefix, r.length), (r.prefix - 1) | 0].forEach(probe)
  for (let i = 0; i < 20; i++) probe(random())
  for (let iface = 1; iface <= 4; iface++) table.setInterfaceState(iface, true)
  table.removeWhere((id) => !isOther(table.prefixOf(id)))
  t.is(table.count(), others)
  t.is(table.infos.size(), infos)
  for (const r of model) t.is(table.lookup(r.prefix), 0)
}

const steps = fc.array(modelStep, { maxLength: 80 })

test('any order of changes gives what a list of routes gives', (t) => {
  fc.assert(fc.property(steps, fc.integer(), (list, seed) => change(t, createRoutes(), list, seed)), { numRuns: 300 })
})

test('the same in a large table, whose match is flat', (t) => {
  const random = random32(99)
  const table = createRoutes()
  while (table.count() < OTHERS) {
    const prefix = ip4.networkOf((1 << 31) | (random() >>> 2), 24)
    const hops = [hop(OTHER_INTERFACE, 1)]
    table.add({ prefix, length: 24, type: ROUTE_UNICAST, metric: 0, protocol: PROTOCOL_STATIC, preferredSource: 0, hops })
  }
  t.true(table.memoryBytes() > 42 * 2 ** 20)
  fc.assert(fc.property(steps, fc.integer(), (list, seed) => change(t, table, list, seed)), { numRuns: 50 })
})
