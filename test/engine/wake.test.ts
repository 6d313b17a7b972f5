/** A wake-up is not lost, whenever it comes: requests of the main thread lie in a message port, and only the wake-up says so. */
import test from 'ava'
import { createMemoryIo } from '../../src/port/memory.js'
import { CTL_WOKEN } from '../../src/port/rings.js'
import { createEngine } from '../../src/engine/engine.js'

test('a wake-up taken by any exchange of a turn is there at its end, and only then', (t) => {
  const answers: number[] = []
  let device = -1
  const engine = createEngine({
    makeIo: (packets, rings) => {
      const io = createMemoryIo(packets, rings)
      device = io.open(false)
      return {
        ...io,
        exchange: () => {
          rings.control[CTL_WOKEN] = answers.shift() ?? 0
          return io.exchange()
        }
      }
    },
    wallClock: () => 0, random: () => 0.5
  })
  const { control } = engine.rings
  const { packets } = engine
  const port = engine.ports.add(1)
  /** Sends in the middle of a turn, as a flood to more ports than the ring has places does. */
  const flush = (): void => {
    const p = packets.originate(60, port)
    packets.next[p] = -1
    engine.rings.push(p, port, device, 0)
    engine.flush()
  }
  for (const exchanges of [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]) {
    answers.push(...exchanges)
    engine.turn(false)
    flush()
    flush()
    t.is(control[CTL_WOKEN], exchanges.includes(1) ? 1 : 0, exchanges.join())
  }
  engine.turn(false)
  t.is(control[CTL_WOKEN], 0)
})
