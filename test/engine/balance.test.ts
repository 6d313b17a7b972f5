/** Whatever comes in, whatever is changed meanwhile: nothing throws, every packet ends exactly once, and the pool is whole again. */
import test from 'ava'
import fc from 'fast-check'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { anyEvent, carryOut, createMesh, type Event, play, rubbish } from './mesh.js'

const playOn = (lab: MemoryLab, events: readonly Event[], perTurn: number): void => {
  const gone = new Set<string>()
  play(lab, events, perTurn, (event) => carryOut(lab, event, gone))
}

const someEvents = fc.array(anyEvent, { minLength: 1, maxLength: 120 })

test('after every turn, whatever happened in it, the balance holds; at the end nothing is held and the pool is whole', (t) => {
  fc.assert(
    fc.property(someEvents, fc.integer({ min: 1, max: 12 }), fc.nat(1000), (events, perTurn, seed) => playOn(createMesh(seed), events, perTurn)),
    { numRuns: 120 }
  )
  t.pass()
})

test('a pool that is far too small: the same', (t) => {
  fc.assert(
    fc.property(someEvents, fc.integer({ min: 1, max: 40 }), (events, perTurn) =>
      playOn(createMesh(1, { packets: 24, largeSlots: 9, smallSlots: 8 }), events, perTurn)),
    { numRuns: 100 }
  )
  t.pass()
})

test('rubbish behind a right address is dropped under a reason, and answered at most by an ICMP error', (t) => {
  fc.assert(
    fc.property(fc.array(rubbish, { minLength: 1, maxLength: 20 }), (frames) => {
      const lab = createMesh()
      for (const frame of frames) lab.send('a.eth0', Uint8Array.from(frame))
      lab.run()
      const { drops, balance } = lab.network.stats()
      t.true(balance.ok)
      t.is(balance.received, frames.length)
      t.true(drops.reduce((sum, { packets }) => sum + packets, 0) + balance.delivered >= frames.length)
    }),
    { numRuns: 100 }
  )
})
