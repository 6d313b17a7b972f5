import test from 'ava'
import fc from 'fast-check'
import { createFlowCache } from '../../src/table/flow-cache.js'

test('what was put holds for that flow, that interface and that generation', (t) => {
  let generation = 5
  const cache = createFlowCache({ generation: () => generation })
  const c = cache.slotOf(3, 0x0a010102, 0x0a010202)
  t.false(cache.holds(c, 3, 0x0a010102, 0x0a010202))
  cache.put(c, 3, 0x0a010102, 0x0a010202, 7, -9)
  t.true(cache.holds(c, 3, 0x0a010102, 0x0a010202))
  t.deepEqual([cache.outOf(c), cache.gatewayOf(c)], [7, -9])
  t.false(cache.holds(c, 2, 0x0a010102, 0x0a010202))
  t.false(cache.holds(c, 3, 0x0a010103, 0x0a010202))
  t.false(cache.holds(c, 3, 0x0a010102, 0x0a010203))
  generation++
  t.false(cache.holds(c, 3, 0x0a010102, 0x0a010202))
})

test('property: it never says more than was put in this generation, also when generations come round', (t) => {
  const step = fc.record({ put: fc.boolean(), iface: fc.nat(1), from: fc.nat(3), to: fc.nat(3), advance: fc.constantFrom(0, 0, 0, 0, 1, 1 << 21) })
  let hits = 0
  fc.assert(fc.property(fc.array(step, { minLength: 100, maxLength: 300 }), (steps) => {
    let generation = 0
    const cache = createFlowCache({ generation: () => generation })
    const known = new Map<string, number>()
    for (const [i, s] of steps.entries()) {
      generation += s.advance
      if (s.advance > 0) known.clear()
      const name = `${s.iface} ${s.from} ${s.to}`
      const c = cache.slotOf(s.iface, s.from, s.to)
      if (cache.holds(c, s.iface, s.from, s.to)) {
        hits++
        t.is(cache.outOf(c), known.get(name)!)
      }
      if (s.put) {
        cache.put(c, s.iface, s.from, s.to, i, i)
        known.set(name, i)
      }
    }
  }))
  t.true(hits > 10, `${hits} hits`)
})
