import test from 'ava'
import { createFragmentDecisions } from '../../src/table/fragment-decisions.js'

const SOURCE = 0x0100000a
const DESTINATION = 0x0200000a
const UDP = 17 << 16

test('the rest of a datagram follows its first fragment: by the same port, with the same mark, for thirty seconds', (t) => {
  const decisions = createFragmentDecisions()
  decisions.allow(SOURCE, DESTINATION, 7 | UDP, 0, 11, 1, 100)
  const may = (change: Partial<Record<'source' | 'destination' | 'identity' | 'port' | 'mark' | 'generation' | 'second', number>>): boolean => {
    const k = { source: SOURCE, destination: DESTINATION, identity: 7 | UDP, port: 0, mark: 11, generation: 1, second: 100, ...change }
    return decisions.isAllowed(k.source, k.destination, k.identity, k.port, k.mark, k.generation, k.second)
  }
  t.true(may({}))
  t.true(may({ second: 130 }))
  t.false(may({ second: 131 }))
  t.false(may({ source: DESTINATION }))
  t.false(may({ destination: SOURCE }))
  t.false(may({ identity: 8 | UDP }))
  t.false(may({ identity: 7 | (6 << 16) }))
  t.false(may({ port: 1 }))
  t.false(may({ mark: 0 }))
  t.false(may({ generation: 2 }), 'policies have changed')
  decisions.deny(SOURCE, DESTINATION, 8 | UDP, 0)
  t.true(may({}))
  decisions.deny(SOURCE, DESTINATION, 7 | UDP, 0)
  t.false(may({}))
})

test('more datagrams than there are places: the last one is remembered, and so are as many as have room', (t) => {
  const decisions = createFragmentDecisions({ capacity: 64, seed: 5 })
  t.is(decisions.capacity, 64)
  for (let id = 0; id < 1000; id++) {
    decisions.allow(SOURCE, DESTINATION, id | UDP, 3, 11, 1, 100 + id)
    t.true(decisions.isAllowed(SOURCE, DESTINATION, id | UDP, 3, 11, 1, 100 + id))
  }
  let known = 0
  for (let id = 0; id < 1000; id++) if (decisions.isAllowed(SOURCE, DESTINATION, id | UDP, 3, 11, 1, 0)) known++
  t.true(known > 32 && known <= 64, `${known}`)
})
