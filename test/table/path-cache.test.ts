import test from 'ava'
import fc from 'fast-check'
import { createPorts } from '../../src/core/ports.js'
import { createInterfaces } from '../../src/table/interfaces.js'
import { createPathCache, MAC_HI, MAC_LO, MAX_INTERFACES, MAX_PORTS, NEIGHBOR, outOf, portOf, STAMP, WAY } from '../../src/table/path-cache.js'

test('what was put holds for that pair, that interface and as long as nothing has changed', (t) => {
  const cache = createPathCache()
  const { words } = cache
  const c = cache.slotOf(3, 0x0201010a, 0x0202010a)
  const now = cache.epoch(1, 2)
  t.false(cache.holds(c, 3, 0x0201010a, 0x0202010a, now))
  cache.put(c, 3, 0x0201010a, 0x0202010a, now, 7, 8, 9, -10, 0x4202, -11)
  t.is(cache.epoch(1, 2), now)
  t.true(cache.holds(c, 3, 0x0201010a, 0x0202010a, now))
  t.deepEqual([outOf(words[c + WAY]!), portOf(words[c + WAY]!)], [7, 8])
  t.deepEqual([NEIGHBOR, STAMP, MAC_HI, MAC_LO].map((word) => words[c + word]), [9, -10, 0x4202, -11])
  t.false(cache.holds(c, 2, 0x0201010a, 0x0202010a, now))
  t.false(cache.holds(c, 3, 0x0301010a, 0x0202010a, now))
  t.false(cache.holds(c, 3, 0x0201010a, 0x0302010a, now))
  for (const [changes, second] of [[2, 2], [1, 3], [1, 2]] as const) t.not(cache.epoch(changes, second), now)
})

test('the largest rows there are have room', (t) => {
  const { capacity: interfaces } = createInterfaces()
  const { capacity: ports } = createPorts()
  t.true(interfaces <= MAX_INTERFACES && ports <= MAX_PORTS)
  const cache = createPathCache()
  cache.put(0, MAX_INTERFACES - 1, 1, 2, 3, MAX_INTERFACES - 1, MAX_PORTS - 1, 0, 0, 0, 0)
  t.true(cache.holds(0, MAX_INTERFACES - 1, 1, 2, 3))
  t.deepEqual([outOf(cache.words[WAY]!), portOf(cache.words[WAY]!)], [MAX_INTERFACES - 1, MAX_PORTS - 1])
})

test('the hosts of two subnets have places of their own, mostly', (t) => {
  const cache = createPathCache()
  const places = new Set<number>()
  for (let i = 1; i < 255; i++) {
    places.add(cache.slotOf(0, (i << 24) | 0x01010a, (i << 24) | 0x02010a))
    places.add(cache.slotOf(1, (i << 24) | 0x02010a, (i << 24) | 0x01010a))
  }
  // 508 in 4096 places at random: 478 on average
  t.true(places.size > 440, `${places.size} places`)
})

test('property: it never says more than was put since the last change', (t) => {
  const step = fc.record({ put: fc.boolean(), iface: fc.nat(1), from: fc.nat(3), to: fc.nat(3), change: fc.option(fc.nat(1)) })
  let hits = 0
  fc.assert(fc.property(fc.array(step, { minLength: 100, maxLength: 300 }), (steps) => {
    const counters = [0, 0]
    const cache = createPathCache()
    const known = new Map<string, number>()
    for (const [i, s] of steps.entries()) {
      if (s.change !== null) {
        counters[s.change]!++
        known.clear()
      }
      const name = `${s.iface} ${s.from} ${s.to}`
      const c = cache.slotOf(s.iface, s.from, s.to)
      const now = cache.epoch(counters[0]!, counters[1]!)
      if (cache.holds(c, s.iface, s.from, s.to, now)) {
        hits++
        t.is(cache.words[c + NEIGHBOR], known.get(name)!)
      }
      if (s.put) {
        cache.put(c, s.iface, s.from, s.to, now, 0, 0, i, i, i, i)
        known.set(name, i)
      }
    }
  }))
  t.true(hits > 10, `${hits} hits`)
})
