import test from 'ava'
import { PROTOCOL_STATIC, ROUTE_UNICAST, createRoutes } from '../../src/table/routes.js'
import * as ip4 from '../../src/wire/ip4.js'
import { hop } from '../helpers/route-specs.js'
import { drawLength, random32 } from '../oracle/naive-routes.js'

test('200 000 routes in the mix of the Internet: each address finds its longest prefix, before and after some change and half of them go', (t) => {
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
      if (table.routeTo(a) !== expected || table.lookup(a) !== table.infoOf(expected)) n++
    }
    for (let i = 0; i < 50_000; i++) probe(random())
    let i = 0
    for (const key of byKey.keys()) if (i++ % 8 === 0) probe((Math.floor(key / 64) | 0) + (random() & 0xff))
    return n
  }
  t.is(wrong(), 0)
  for (const [key, id] of byKey) {
    if (id % 8 !== 0) continue
    const route = table.describe(id)
    table.replace({ ...route, hops: hops[random() & 31]! })
    if (table.infoOf(id) === 0 || table.prefixOf(id) !== (Math.floor(key / 64) | 0)) t.fail('a route that was replaced is another one')
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
