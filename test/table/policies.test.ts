import test from 'ava'
import fc from 'fast-check'
import { createPolicies, POLICIES_FULL, POLICY_EXISTS } from '../../src/table/policies.js'

const ICMP = 1
const TCP = 6
const UDP = 17

interface Row {
  from: number
  to: number
  protocol: number
  low: number
  high: number
}

const app = fc.constantFrom(1, 2, 65535)
const range = fc.constantFrom<[number, number][]>([80, 80], [80, 90], [85, 85], [1, 65535], [65535, 65535])
const row = fc.record({ from: app, to: app, protocol: fc.constantFrom(ICMP, TCP, UDP), range })
  .map(({ range: [low, high], ...rest }): Row => ({ ...rest, low, high }))
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('add' as const), row }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('del' as const), row }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('app' as const), id: app }) }
)

test('a list does the same', (t) => {
  const CAPACITY = 5
  let full = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const policies = createPolicies({ capacity: CAPACITY })
      let list: Row[] = []
      const same = (a: Row, b: Row): boolean => a.from === b.from && a.to === b.to && a.protocol === b.protocol &&
        (a.protocol === ICMP || (a.low === b.low && a.high === b.high))
      for (const s of steps) {
        const generation = policies.generation()
        const before = list.length
        if (s.kind === 'app') {
          list = list.filter((r) => r.from !== s.id && r.to !== s.id)
          t.is(policies.removeApp(s.id), before - list.length)
        } else {
          const { from, to, protocol, low, high } = s.row
          const isThere = list.some((r) => same(r, s.row))
          if (s.kind === 'add') {
            const added = policies.add(from, to, protocol, low, high)
            if (isThere) t.is(added, POLICY_EXISTS)
            else if (before === CAPACITY) {
              t.is(added, POLICIES_FULL)
              full++
            } else {
              t.true(added >= 0)
              list.push(s.row)
            }
          } else {
            t.is(policies.del(from, to, protocol, low, high), isThere)
            list = list.filter((r) => !same(r, s.row))
          }
        }
        t.is(policies.generation() !== generation, list.length !== before)
        t.is(policies.count(), list.length)
        t.is(policies.rows().length, list.length)
        for (const from of [1, 2, 65535]) {
          for (const port of [0, 80, 84, 85, 90, 91, 65535]) {
            for (const protocol of [ICMP, TCP, UDP]) {
              const found = policies.find(from, 2, protocol, port)
              const all = list.filter((r) => r.from === from && r.to === 2 && r.protocol === protocol && (protocol === ICMP || (port >= r.low && port <= r.high)))
              t.is(found >= 0, all.length > 0)
              // The one that was added first
              if (found >= 0 && protocol !== ICMP) t.deepEqual([policies.low[found], policies.high[found]], [all[0]!.low, all[0]!.high])
            }
          }
        }
      }
    }),
    { numRuns: 150 }
  )
  t.true(full > 0)
})

test('a row that is given to another policy begins with no hits', (t) => {
  const policies = createPolicies({ capacity: 1 })
  const r = policies.add(1, 2, TCP, 80, 80)
  policies.hits[r] = 5
  policies.del(1, 2, TCP, 80, 80)
  t.is(policies.hits[policies.add(2, 1, TCP, 80, 80)], 0)
})

test('the generation is never 0 and goes up with `touch`', (t) => {
  const policies = createPolicies()
  const first = policies.generation()
  policies.touch()
  t.true(first > 0 && policies.generation() > first)
})
