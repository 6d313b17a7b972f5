import test from 'ava'
import fc from 'fast-check'
import { createFragments } from '../../src/table/fragments.js'

test('finds a datagram by stack, addresses, identification and protocol, and nothing else', (t) => {
  const table = createFragments({ capacity: 8 })
  const row = table.create(1, 10, 20, 300, 17, 0)
  t.is(table.lookup(1, 10, 20, 300, 17), row)
  t.is(table.lookup(2, 10, 20, 300, 17), -1)
  t.is(table.lookup(1, 11, 20, 300, 17), -1)
  t.is(table.lookup(1, 10, 21, 300, 17), -1)
  t.is(table.lookup(1, 10, 20, 301, 17), -1)
  t.is(table.lookup(1, 10, 20, 300, 1), -1)
  table.remove(row)
  t.is(table.lookup(1, 10, 20, 300, 17), -1)
  t.throws(() => table.remove(row))
})

test('the oldest is first, whatever goes between', (t) => {
  const table = createFragments({ capacity: 8, time: 100 })
  const rows = [0, 1, 2, 3].map((n) => table.create(0, n, 0, 0, 1, n))
  t.is(table.oldest(), rows[0])
  t.is(table.deadline[rows[0]!], 100)
  table.remove(rows[1]!)
  table.remove(rows[0]!)
  t.is(table.oldest(), rows[2])
  t.is(table.younger(rows[2]!), rows[3])
  table.remove(rows[3]!)
  table.remove(rows[2]!)
  t.is(table.oldest(), -1)
})

test('refuses when all rows are taken; says when too much is held', (t) => {
  const table = createFragments({ capacity: 2, highThresh: 1000 })
  const a = table.create(0, 1, 0, 0, 1, 0)
  table.create(0, 2, 0, 0, 1, 0)
  t.is(table.create(0, 3, 0, 0, 1, 0), -1)
  table.charge(a, 1000)
  t.false(table.isOver())
  table.charge(a, 1)
  t.true(table.isOver())
  t.is(table.fragments(), 2)
  table.remove(a)
  t.false(table.isOver())
  t.is(table.bytes(), 0)
  t.is(table.fragments(), 0)
})

test('property: agrees with a Map', (t) => {
  const key = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }))
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), key)), (steps) => {
    const table = createFragments({ capacity: 16 })
    const model = new Map<string, number>()
    for (const [add, [s, src, id]] of steps) {
      const name = `${s},${src},${id}`
      const row = table.lookup(s, src, 9, id, 1)
      if (row !== (model.get(name) ?? -1)) return false
      if (add && row < 0) {
        const made = table.create(s, src, 9, id, 1, 0)
        if (made >= 0) model.set(name, made)
        else if (model.size < 16) return false
      } else if (!add && row >= 0) {
        table.remove(row)
        model.delete(name)
      }
      if (table.datagrams() !== model.size) return false
      // In order of creation
      const order: number[] = []
      for (let r = table.oldest(); r >= 0; r = table.younger(r)) order.push(r)
      if (order.join() !== [...model.values()].join()) return false
    }
    return true
  }))
  t.pass()
})
