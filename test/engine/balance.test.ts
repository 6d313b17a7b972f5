/** Whatever comes in, whatever is changed meanwhile: nothing throws, every packet ends exactly once, and the pool is whole again. */
import test from 'ava'
import fc from 'fast-check'
import { LARGE, SMALL } from '../../src/core/packets.js'
import { NetworkError } from '../../src/network/operations.js'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { anyEvent, createMesh, type Event, PORTS, rubbish } from './mesh.js'

const carryOut = (lab: MemoryLab, event: Event, gone: Set<string>): void => {
  switch (event.kind) {
    case 'frame':
      if (!gone.has(event.port)) lab.send(event.port, Uint8Array.from(event.frame), event.offload)
      break
    case 'time':
      lab.clock.now += event.milliseconds
      break
    case 'fail':
      lab.io.fail(event.port, event.errno)
      break
    case 'operation':
      try {
        lab.apply(event.operation)
        if (event.operation.op === 'port.del') gone.add(event.operation.name)
      } catch (error) {
        if (!(error instanceof NetworkError)) throw error // such as: it is not there any more
      }
  }
}

const pool = (lab: MemoryLab) => {
  const { packets } = lab.network.engine
  return { inUse: packets.packetsInUse(), large: packets.freeSlots(LARGE), small: packets.freeSlots(SMALL) }
}

/** Time enough for every timer there is, the devices working again. */
const settle = (lab: MemoryLab): void => {
  for (let port = 0; port < PORTS.length; port++) lab.io.fail(port, 0)
  lab.run()
  lab.wait(120_000, 500)
  lab.run()
}

test('after every turn, whatever happened in it, the balance holds; at the end nothing is held and the pool is whole', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyEvent, { minLength: 1, maxLength: 120 }),
      fc.integer({ min: 1, max: 12 }),
      fc.nat(1000),
      (events, perTurn, seed) => {
        const lab = createMesh(seed)
        const before = pool(lab)
        const gone = new Set<string>()
        for (let i = 0; i < events.length; i += perTurn) {
          for (const event of events.slice(i, i + perTurn)) carryOut(lab, event, gone)
          lab.network.engine.turn(false)
          lab.held()
        }
        settle(lab)
        if (lab.held() !== 0) throw new Error(`${lab.held()} packets are held for ever`)
        const { drops, balance } = lab.network.stats()
        if (drops.reduce((sum, { packets }) => sum + packets, 0) !== balance.dropped) throw new Error('the reasons do not add up')
        for (const [what, count] of Object.entries(pool(lab)))
          if (count !== before[what as keyof typeof before]) throw new Error(`${what}: ${count}`)
      }
    ),
    { numRuns: 120 }
  )
  t.pass()
})

test('a pool that is far too small: the same', (t) => {
  fc.assert(
    fc.property(fc.array(anyEvent, { minLength: 1, maxLength: 120 }), fc.integer({ min: 1, max: 40 }), (events, perTurn) => {
      const lab = createMesh(1, { packets: 24, largeSlots: 9, smallSlots: 8 })
      const before = pool(lab)
      const gone = new Set<string>()
      for (let i = 0; i < events.length; i += perTurn) {
        for (const event of events.slice(i, i + perTurn)) carryOut(lab, event, gone)
        lab.network.engine.turn(false)
        lab.held()
      }
      settle(lab)
      if (lab.held() !== 0) throw new Error(`${lab.held()} packets are held for ever`)
      const after = pool(lab)
      const { control } = lab.network.engine.rings
      if (after.inUse !== 0 || after.small !== before.small || after.large !== before.large)
        throw new Error(`${JSON.stringify(after)} ${control[3]}`)
    }),
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
