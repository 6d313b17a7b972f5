import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { attachTapRing, createTapRing, TAP_RX, TAP_TX, type TapRecord } from '../../src/core/tap-ring.js'
import { frameByte, frameLength } from './tap-ring-frames.js'

const arena = new Uint8Array(new SharedArrayBuffer(70000)).map((_, i) => (i * 7) & 255)
const copyOf = (record: TapRecord) => ({ ...record, bytes: [...record.bytes] })

test('a record comes out as it was put in', (t) => {
  const memory = createTapRing(4096)
  const producer = attachTapRing(memory)
  const consumer = attachTapRing(memory)
  t.true(consumer.empty())
  t.true(producer.push(arena, 130, 60, 262144, 3, TAP_TX, 1_700_000_000_123.5))
  t.true(producer.push(arena.subarray(9), 4, 1514, 5, 4, TAP_RX, 0))
  const seen: unknown[] = []
  t.is(consumer.drain((record) => seen.push(copyOf(record))), 2)
  t.deepEqual(seen, [
    { port: 3, direction: TAP_TX, time: 1_700_000_000_123_500_000n, length: 60, bytes: [...arena.subarray(130, 190)] },
    { port: 4, direction: TAP_RX, time: 0n, length: 1514, bytes: [...arena.subarray(13, 18)] }
  ])
  t.is(consumer.drain(() => t.fail()), 0)
  t.is(consumer.lost(), 0)
})

test('what does not fit is counted as lost, and the rest stays whole', (t) => {
  const ring = attachTapRing(createTapRing(4096))
  let pushed = 0
  while (ring.push(arena, pushed, 100, 100, pushed, 0, 0)) pushed++
  t.true(pushed >= 30)
  t.is(ring.lost(), 1)
  t.false(ring.push(arena, 0, 5000, 5000, 0, 0, 0))
  ring.lose()
  t.is(ring.lost(), 3)
  let n = 0
  ring.drain((record) => {
    t.is(record.port, n)
    t.deepEqual([...record.bytes], [...arena.subarray(n, n + 100)])
    n++
  })
  t.is(n, pushed)
  t.true(ring.push(arena, 0, 3000, 3000, 0, 0, 0))
})

test('drain stops at maxRecords, and goes on behind a visit that throws', (t) => {
  const ring = attachTapRing(createTapRing(4096))
  for (let i = 0; i < 5; i++) ring.push(arena, i, 20, 20, i, 0, 0)
  const ports: number[] = []
  t.is(ring.drain((record) => ports.push(record.port), 2), 2)
  t.throws(() => ring.drain(() => { throw new Error('visit') }), { message: 'visit' })
  ring.drain((record) => ports.push(record.port))
  t.deepEqual(ports, [0, 1, 3, 4])
  t.true(ring.empty())
})

test('a size that is no power of two is refused', (t) => {
  for (const size of [0, 1000, 4097, 2 ** 31]) t.throws(() => createTapRing(size), { instanceOf: RangeError })
})

test('any mix of pushes and drains: a queue that may lose at its end', (t) => {
  const push = fc.record({ offset: fc.nat(40), length: fc.oneof(fc.nat(200), fc.integer({ min: 1400, max: 2000 })), limit: fc.oneof(fc.constant(262144), fc.nat(64)) })
  fc.assert(fc.property(fc.array(fc.oneof({ weight: 3, arbitrary: push }, fc.nat(6)), { maxLength: 120 }), (steps) => {
    const memory = createTapRing(4096)
    const producer = attachTapRing(memory)
    const consumer = attachTapRing(memory)
    const model: { port: number; length: number; bytes: number[] }[] = []
    let lost = 0
    let n = 0
    for (const step of steps) {
      if (typeof step === 'number') {
        const expected = model.splice(0, step)
        let i = 0
        consumer.drain((record) => {
          const want = expected[i++]!
          if (record.port !== want.port || record.length !== want.length || record.bytes.compare(Uint8Array.from(want.bytes)) !== 0) throw new Error(`record ${record.port}`)
        }, step)
        if (i !== expected.length) throw new Error('a record is missing')
      } else {
        const port = n++
        if (producer.push(arena, step.offset, step.length, step.limit, port, port & 1, port)) {
          model.push({ port, length: step.length, bytes: [...arena.subarray(step.offset, step.offset + Math.min(step.length, step.limit))] })
        } else lost++
      }
    }
    return consumer.lost() === lost && consumer.empty() === (model.length === 0)
  }))
  t.pass()
})

test('positions run past 2^31 and 2^32', (t) => {
  for (const position of [0x7fffffc0, -64]) {
    const memory = createTapRing(4096)
    const cells = new Int32Array(memory)
    cells[0] = cells[16] = position | 0 // head and tail
    const ring = attachTapRing(memory)
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 3; i++) t.true(ring.push(arena, i, 500, 500, i, 0, 0))
      let n = 0
      ring.drain((record) => {
        t.is(record.port, n)
        t.is(record.bytes.compare(arena.subarray(n, n + 500)), 0)
        n++
      })
      t.is(n, 3)
    }
  }
})

const twoThreads = async (t: ExecutionContext, count: number, patient: boolean): Promise<{ seen: number; lost: number }> => {
  const memory = createTapRing(65536)
  const ring = attachTapRing(memory)
  const worker = new Worker(new URL('./tap-ring-producer.js', import.meta.url), { workerData: { memory, count, patient } })
  let running = true
  worker.once('exit', () => (running = false))
  let seen = 0
  let last = -1
  let wrong = 0
  while (running || !ring.empty()) {
    ring.drain((record) => {
      const n = record.port
      const length = frameLength(n)
      const captured = Math.min(length, 9000)
      let ok = n > last && record.length === length && record.bytes.length === captured && record.direction === (n & 1) &&
        record.time === 1_700_000_000_000_000_000n + BigInt(n) * 250_000n
      for (let i = 0; ok && i < captured; i++) ok = record.bytes[i] === frameByte(n, i)
      if (!ok) wrong++
      last = n
      seen++
    }, 64)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.is(wrong, 0)
  return { seen, lost: ring.lost() }
}

test('two threads: a producer that waits loses nothing, every byte arrives', async (t) => {
  const { seen } = await twoThreads(t, 20000, true)
  t.is(seen, 20000)
})

test('two threads: a producer that does not wait loses whole records, all counted', async (t) => {
  const { seen, lost } = await twoThreads(t, 20000, false)
  t.is(seen + lost, 20000)
  t.true(seen > 0)
})
