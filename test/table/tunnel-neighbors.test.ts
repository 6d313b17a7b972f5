import test from 'ava'
import fc from 'fast-check'
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_FULL, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_OK, NEIGH_REPLACE, NO_MAC,
  NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE
} from '../../src/table/neighbors.js'
import { createTunnelNeighbors } from '../../src/table/tunnel-neighbors.js'

const IP = 0x0a000a02
const table = (options = {}) => createTunnelNeighbors({ capacity: 16, ...options })

test('add, replace and change as ip neigh does', (t) => {
  const n = table()
  t.is(n.set(1, IP, 5, 6, NUD_PERMANENT, NEIGH_CHANGE, 0), NEIGH_NOT_FOUND)
  t.is(n.set(1, IP, 5, 6, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_OK)
  t.is(n.set(1, IP, 7, 8, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_EXISTS)
  const row = n.find(1, IP, 0)
  t.deepEqual([n.tunnelOf[row], n.address[row], n.macHi[row], n.macLo[row], n.state[row]], [1, IP, 5, 6, NUD_PERMANENT])
  t.is(n.set(1, IP, 7, 8, NUD_NOARP, NEIGH_REPLACE, 3), NEIGH_OK)
  t.is(n.find(1, IP, 0), row)
  t.deepEqual([n.macHi[row], n.macLo[row], n.state[row], n.updated[row]], [7, 8, NUD_NOARP, 3])
  t.is(n.set(1, IP, NO_MAC, 0, NUD_PERMANENT, NEIGH_CHANGE, 4), NEIGH_OK)
  t.deepEqual([n.macHi[row], n.macLo[row], n.state[row]], [7, 8, NUD_PERMANENT])
  t.is(n.set(2, IP, 9, 9, NUD_PERMANENT, NEIGH_REPLACE, 0), NEIGH_OK)
  t.is(n.count(), 2)
})

test('states that cannot be set, and MAC addresses that are missing', (t) => {
  const n = table()
  for (const state of [0, NUD_INCOMPLETE, NUD_PERMANENT | NUD_NOARP, 256]) t.is(n.set(1, IP, 5, 6, state, NEIGH_ADD, 0), NEIGH_INVALID)
  t.is(n.set(1, IP, NO_MAC, 0, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_INVALID)
  t.is(n.count(), 0)
  t.is(n.set(1, IP, NO_MAC, 0, NUD_FAILED, NEIGH_ADD, 0), NEIGH_OK)
  t.is(n.set(1, IP, NO_MAC, 0, NUD_STALE, NEIGH_CHANGE, 0), NEIGH_INVALID)
  t.is(n.state[n.find(1, IP, 0)], NUD_FAILED)
})

test('what somebody would have to ask for is stale', (t) => {
  const n = table()
  n.set(1, IP, 5, 6, NUD_DELAY, NEIGH_ADD, 0)
  n.set(1, IP + 1, 5, 6, NUD_PROBE, NEIGH_ADD, 0)
  t.deepEqual([IP, IP + 1].map((ip) => n.state[n.find(1, ip, 0)]), [NUD_STALE, NUD_STALE])
})

test('reachable becomes stale after 30 seconds, unless it is set again', (t) => {
  const n = table()
  n.set(1, IP, 5, 6, NUD_REACHABLE, NEIGH_ADD, 1000)
  n.set(1, IP + 1, 5, 6, NUD_PERMANENT, NEIGH_ADD, 1000)
  const row = n.find(1, IP, 30_999)
  t.is(n.state[row], NUD_REACHABLE)
  n.set(1, IP, NO_MAC, 0, NUD_REACHABLE, NEIGH_REPLACE, 30_999)
  t.is(n.state[n.find(1, IP, 60_998)], NUD_REACHABLE)
  t.is(n.state[n.find(1, IP, 70_000)], NUD_STALE)
  t.deepEqual([n.updated[row], n.macHi[row], n.macLo[row]], [60_999, 5, 6])
  t.is(n.state[n.find(1, IP + 1, 1e9)], NUD_PERMANENT)
  n.set(1, IP, NO_MAC, 0, NUD_REACHABLE, NEIGH_REPLACE, 80_000)
  const seen: number[] = []
  t.is(n.scan(0, 100, 110_000, (r) => seen.push(n.state[r]!)), -1)
  t.deepEqual(seen, [NUD_STALE, NUD_PERMANENT])
})

test('flush takes one tunnel\'s entries, and leaves permanent and noarp ones if told', (t) => {
  const n = table()
  for (const tunnel of [1, 2]) {
    for (const [i, state] of [NUD_PERMANENT, NUD_NOARP, NUD_REACHABLE, NUD_STALE].entries()) n.set(tunnel, IP + i, 1, 1, state, NEIGH_ADD, 0)
  }
  t.is(n.flush(1, true), 2)
  t.deepEqual([0, 1, 2, 3].map((i) => n.find(1, IP + i, 0) >= 0), [true, true, false, false])
  t.is(n.flush(1, false), 2)
  t.is(n.flush(1, false), 0)
  t.is(n.count(), 4)
  t.is(n.remove(1, IP), NEIGH_NOT_FOUND)
  t.is(n.remove(2, IP), NEIGH_OK)
})

test('a full table refuses, and takes again when something has gone', (t) => {
  const n = table({ capacity: 2 })
  t.is(n.set(1, 1, 1, 1, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_OK)
  t.is(n.set(2, 1, 1, 1, NUD_STALE, NEIGH_ADD, 0), NEIGH_OK)
  t.is(n.set(3, 1, 1, 1, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_FULL)
  t.is(n.set(2, 1, 1, 2, NUD_PERMANENT, NEIGH_REPLACE, 0), NEIGH_OK)
  n.remove(1, 1)
  t.is(n.set(3, 1, 1, 1, NUD_PERMANENT, NEIGH_ADD, 0), NEIGH_OK)
})

test('scanning a part at a time sees every entry once', (t) => {
  const n = table()
  for (let i = 0; i < 10; i++) n.set(i, IP, 1, i, NUD_PERMANENT, NEIGH_ADD, 0)
  n.remove(4, IP)
  const seen: number[] = []
  for (let cursor = 0; cursor >= 0;) cursor = n.scan(cursor, 3, 0, (r) => seen.push(n.tunnelOf[r]!))
  t.deepEqual(seen, [0, 1, 2, 3, 5, 6, 7, 8, 9])
})

test('behaves as a map under any sequence of changes', (t) => {
  const key = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: -6, max: 6 }))
  const step = fc.tuple(fc.constantFrom('set', 'set', 'set', 'remove', 'flush'), key, fc.integer({ min: 0, max: 0xffff }))
  fc.assert(fc.property(fc.integer(), fc.array(step, { maxLength: 200 }), (seed, steps) => {
    const n = table({ seed })
    const model = new Map<string, number>()
    for (const [what, [tunnel, ip], hi] of steps) {
      const name = `${tunnel} ${ip}`
      if (what === 'set') {
        const expected = model.has(name) || model.size < 16 ? NEIGH_OK : NEIGH_FULL
        t.is(n.set(tunnel, ip, hi, 0, NUD_PERMANENT, NEIGH_REPLACE, 0), expected)
        if (expected === NEIGH_OK) model.set(name, hi)
      } else if (what === 'remove') t.is(n.remove(tunnel, ip), model.delete(name) ? NEIGH_OK : NEIGH_NOT_FOUND)
      else {
        const gone = [...model.keys()].filter((k) => k.startsWith(`${tunnel} `))
        t.is(n.flush(tunnel, false), gone.length)
        for (const k of gone) model.delete(k)
      }
      t.is(n.count(), model.size)
      for (let a = 0; a <= 2; a++) {
        for (let b = -6; b <= 6; b++) {
          const row = n.find(a, b, 0)
          if ((row < 0 ? undefined : n.macHi[row]) !== model.get(`${a} ${b}`)) t.fail(`entry ${a} ${b}`)
        }
      }
    }
  }), { numRuns: 60 })
})
