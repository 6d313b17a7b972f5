/** The producing thread of tap-ring.test.ts: frames whose bytes follow from their number, until all are pushed. */
import { workerData } from 'node:worker_threads'
import { attachTapRing } from '../../src/core/tap-ring.js'
import { frameByte, frameLength } from './tap-ring-frames.js'

const { memory, count, patient } = workerData as { memory: SharedArrayBuffer; count: number; patient: boolean }
const ring = attachTapRing(memory)
const arena = new Uint8Array(new SharedArrayBuffer(1 << 20))
const pause = new Int32Array(new SharedArrayBuffer(4))

for (let n = 0; n < count; n++) {
  const length = frameLength(n)
  const offset = 64 + (n % 16)
  for (let i = 0; i < length; i++) arena[offset + i] = frameByte(n, i)
  while (!ring.push(arena, offset, length, 9000, n, n & 1, 1_700_000_000_000 + n / 4)) {
    if (!patient) break
    Atomics.wait(pause, 0, 0, 1)
  }
}
