import test from 'ava'
import fc from 'fast-check'
import {
  NTF_EXT_LEARNED, NUD_CONNECTED, NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE, NUD_VALID,
  createNeighbors
} from '../../src/table/neighbors.js'

const stale = (table: ReturnType<typeof createNeighbors>, iface: number, ip: number, now: number): number => {
  const row = table.create(iface, ip, now)
  if (row >= 0) table.setState(row, NUD_STALE, 0)
  return row
}

test('state groups are the kernel\'s', (t) => {
  t.is(NUD_VALID, 0xde)
  t.is(NUD_CONNECTED, 0xc2)
})

test('an entry is found by interface and address, and no longer when it was removed', (t) => {
  const table = createNeighbors()
  const a = stale(table, 1, 0x0a010102, 0)
  const b = stale(table, 2, 0x0a010102, 0)
  t.not(a, b)
  t.is(table.lookup(1, 0x0a010102), a)
  t.is(table.lookup(2, 0x0a010102), b)
  t.is(table.lookup(3, 0x0a010102), -1)
  table.remove(a)
  t.is(table.lookup(1, 0x0a010102), -1)
  t.is(table.lookup(2, 0x0a010102), b)
  t.is(table.count(), 1)
})

test('a row given to another entry has another generation', (t) => {
  const table = createNeighbors({ gcThresh3: 1 })
  const row = stale(table, 1, 1, 0)
  const generation = table.generation[row]
  table.remove(row)
  t.is(stale(table, 1, 2, 0), row)
  t.not(table.generation[row], generation)
})

test('behaves as a map under any sequence of creations and removals', (t) => {
  const key = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: -6, max: 6 }))
  fc.assert(
    fc.property(fc.integer(), fc.array(fc.tuple(fc.boolean(), key), { maxLength: 200 }), (seed, steps) => {
      const table = createNeighbors({ gcThresh3: 16, seed })
      const model = new Map<string, number>()
      for (const [add, [iface, ip]] of steps) {
        const name = `${iface} ${ip}`
        const row = table.lookup(iface, ip)
        t.is(row, model.get(name) ?? -1)
        if (add && row < 0) {
          const fresh = table.create(iface, ip, 0)
          t.is(fresh < 0, model.size === 16)
          if (fresh >= 0) {
            table.setState(fresh, NUD_PERMANENT, 0)
            model.set(name, fresh)
          }
        } else if (!add && row >= 0) {
          table.remove(row)
          model.delete(name)
        }
      }
      for (let iface = 0; iface <= 2; iface++) {
        for (let ip = -6; ip <= 6; ip++) t.is(table.lookup(iface, ip), model.get(`${iface} ${ip}`) ?? -1)
      }
      t.is(table.count(), model.size)
      const seen: number[] = []
      for (let cursor = 0; cursor >= 0;) cursor = table.scan(cursor, 5, (row) => seen.push(row))
      t.deepEqual(seen, [...model.values()].sort((a, b) => a - b))
    })
  )
})

test('a full table gives up the oldest failed entry first, then the oldest stale one that is left alone', (t) => {
  const table = createNeighbors({ gcThresh3: 4 })
  stale(table, 0, 1, 0)
  stale(table, 0, 2, 1000)
  const failed = table.create(0, 3, 2000)
  table.setState(failed, NUD_FAILED, 0)
  const reachable = table.create(0, 4, 0)
  table.setState(reachable, NUD_REACHABLE, 30_000)

  t.is(stale(table, 0, 5, 3000), failed, 'the failed one')
  t.is(stale(table, 0, 6, 3000), -1, 'stale ones are safe for 5 s')
  t.not(stale(table, 0, 6, 5000), -1)
  t.is(table.lookup(0, 1), -1, 'the oldest stale one')
  t.is(table.lookup(0, 4), reachable)
  t.is(table.counters.full, 1)
  t.is(table.counters.forcedGc, 2)
})

test('permanent, resolving, reachable and extern_learn entries are never pushed out', (t) => {
  const table = createNeighbors({ gcThresh3: 4 })
  table.setState(table.create(0, 1, 0), NUD_PERMANENT, 0)
  table.setState(table.create(0, 2, 0), NUD_INCOMPLETE, 1000)
  table.setState(table.create(0, 3, 0), NUD_REACHABLE, 30_000)
  const learned = table.create(0, 4, 0)
  table.flags[learned] = NTF_EXT_LEARNED
  table.setState(learned, NUD_STALE, 0)
  t.is(table.create(0, 5, 1_000_000), -1)
  t.is(table.count(), 4)
})

test('collection takes failed and long unused entries, from gcThresh1 entries on', (t) => {
  const table = createNeighbors({ gcThresh1: 5, gcStaleTime: 60_000 })
  table.setState(table.create(0, 1, 0), NUD_FAILED, 0)
  stale(table, 0, 2, 0)
  const used = stale(table, 0, 3, 0)
  table.lastUsed[used] = 30_000
  const proven = stale(table, 0, 4, 0)
  table.confirmed[proven] = 30_000
  table.collect(60_000)
  t.is(table.count(), 4, 'below the threshold nothing is taken')
  table.setState(table.create(0, 5, 0), NUD_NOARP, 0)
  table.setState(table.create(0, 6, 0), NUD_PERMANENT, 0)
  table.collect(60_000)
  t.deepEqual([1, 2, 3, 4, 5, 6].filter((ip) => table.lookup(0, ip) >= 0), [3, 4, 6])
})

test('timers are visited when due, once, and not more often than every 10 ms', (t) => {
  const table = createNeighbors()
  const a = table.create(0, 1, 0)
  const b = table.create(0, 2, 0)
  table.setState(a, NUD_INCOMPLETE, 1000)
  table.setState(b, NUD_INCOMPLETE, 1005)
  const seen: number[] = []
  const visit = (row: number): void => {
    seen.push(row)
    table.setState(row, NUD_STALE, 0)
  }
  t.is(table.nextTimer(), 1000)
  table.expire(999, visit)
  t.deepEqual(seen, [])
  table.expire(1000, visit)
  t.deepEqual(seen, [a])
  t.is(table.nextTimer(), 1010)
  table.expire(1009, visit)
  t.deepEqual(seen, [a])
  table.expire(1010, visit)
  t.deepEqual(seen, [a, b])
  t.is(table.nextTimer(), Infinity)
})

test('an entry removed by the visit of another is not visited', (t) => {
  const table = createNeighbors()
  const rows = [1, 2].map((ip) => table.create(0, ip, 0))
  for (const row of rows) table.setState(row, NUD_INCOMPLETE, 10)
  let visits = 0
  table.expire(10, (row) => {
    visits++
    table.setState(row, NUD_STALE, 0)
    table.remove(row === rows[0] ? rows[1]! : rows[0]!)
  })
  t.is(visits, 1)
})

test('removal by interface keeps others and, on request, permanent ones', (t) => {
  const table = createNeighbors()
  stale(table, 1, 1, 0)
  table.setState(table.create(1, 2, 0), NUD_PERMANENT, 0)
  stale(table, 2, 1, 0)
  const visited: number[] = []
  table.removeByInterface(1, true, (row) => visited.push(table.address[row]!))
  t.deepEqual(visited, [1])
  t.is(table.count(), 2)
  table.removeByInterface(1, false, () => undefined)
  t.is(table.count(), 1)
  t.not(table.lookup(2, 1), -1)
})
