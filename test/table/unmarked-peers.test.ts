/** Peers without marks: a tag leads back to who was tagged last with it, and leaves the rest of a mark alone. */
import test from 'ava'
import fc from 'fast-check'
import { createUnmarkedPeers } from '../../src/table/unmarked-peers.js'
import { MARK_MASK } from '../../src/wire/vxlan.js'

const AF_INET = 2
const AF_INET6 = 10

const octetsOf = (words: readonly number[]): number[] => [...new Uint8Array(Int32Array.from(words).buffer)]

test('a tag leads to the peer', (t) => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
  fc.assert(fc.property(
    fc.array(fc.record({ tunnel: fc.nat(255), is6: fc.boolean(), words: fc.tuple(word, word, word, word), mark: word }), { minLength: 1, maxLength: 200 }),
    (peers) => {
      const table = createUnmarkedPeers()
      for (const { tunnel, is6, words: [a, b, c, d], mark } of peers) {
        const words = is6 ? [a, b, c, d] as const : [a, 0, 0, 0] as const
        const tag = table.tag(tunnel, is6 ? AF_INET6 : AF_INET, ...words)
        // What a tunnel carries, and the bit of the packet marked last (element/policy-conversations.ts), are not its
        t.is(tag & (MARK_MASK | (1 << 30) | (1 << 31)), 0)
        const place = table.placeOf((mark & MARK_MASK) | tag | (1 << 30))
        t.is(table.tunnelOf(place), tunnel)
        t.deepEqual([...table.octetsOf(place)], octetsOf(words).slice(0, is6 ? 16 : 4))
      }
    }
  ))
})

test('a mark of an app, or none, tells no peer', (t) => {
  const table = createUnmarkedPeers()
  table.tag(0, AF_INET, 1, 0, 0, 0)
  for (const mark of [0, 1, 0xffff, 1001 | (1 << 30), MARK_MASK]) t.is(table.placeOf(mark), -1)
})

test('two peers in one place are not the same', (t) => {
  const table = createUnmarkedPeers()
  const seen = new Map<number, Set<number>>()
  for (let a = 1; a < 256; a++) {
    const place = table.placeOf(table.tag(0, AF_INET, a << 24, 0, 0, 0))
    const identities = seen.get(place) ?? new Set()
    t.false(identities.has(table.identityOf(place)))
    seen.set(place, identities.add(table.identityOf(place)))
  }
  t.true(seen.size > 32)
})
