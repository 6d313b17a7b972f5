/** A flood is sent by two threads: nothing is lost, the frames of one descriptor keep their order, and every entry has its own result. */
import test, { type ExecutionContext } from 'ava'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readSync, rmSync } from 'node:fs'
import { constants as system, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import {
  createIo, CTL_RING_LEAST, CTL_TX_COUNT, CTL_TX_FAILED, CTL_WITHOUT, CTL_WORDS, getAffinity, setAffinity, SKIP_RING, SKIP_SPREAD, TX_SENDMSG, TX_STRIDE, TX_WRITE,
  TX_WRITEV
} from '../../src/native.js'

const { EBADF, EINVAL } = system.errno
const ENTRIES = 1024
const NOBODY = 9999
const PIPE = 1 << 16

const threads = (): number => readdirSync('/proc/self/task').length

/** An I/O context, and pipes that frames are written to. */
const setUp = (t: ExecutionContext, files: number) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const [control, rx, rxSlots, tx, gather] = [words(CTL_WORDS), words(4), words(1), words(ENTRIES * TX_STRIDE), words(ENTRIES * 2)]
  const arena = new Uint8Array(new SharedArrayBuffer(ENTRIES * 4))
  control[CTL_RING_LEAST] = 1
  const numbers = new Int32Array(arena.buffer)
  const io = createIo({ arena, control, rx, rxSlots, tx, gather, addresses: words(8), sums: words(3), eventFd: -1 })
  const folder = mkdtempSync(join(tmpdir(), 'spread-'))
  const names = Array.from({ length: files }, (_, i) => join(folder, String(i)))
  execFileSync('mkfifo', names)
  const fds = names.map((name) => openSync(name, constants.O_RDWR | constants.O_NONBLOCK))
  t.teardown(() => {
    io.close()
    for (const fd of fds) closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  return {
    io, control, fds,
    /** One turn; entry i sends the number i. Results by entry. */
    send: (entries: readonly { kind: number, fd: number }[]): number[] => {
      for (const [i, { kind, fd }] of entries.entries()) {
        numbers[i] = i
        gather.set([i * 4, 4], i * 2)
        tx.set([kind, fd, kind === TX_WRITE ? i * 4 : i, kind === TX_WRITE ? 4 : 1, 0, kind === TX_SENDMSG ? NOBODY : 0, -1, 77], i * TX_STRIDE)
      }
      control[CTL_TX_COUNT] = entries.length
      io.turn()
      control[CTL_TX_COUNT] = 0
      return entries.map((_, i) => tx[i * TX_STRIDE + 7]!)
    },
    /** The numbers in each pipe. */
    written: (): number[][] => fds.map((fd) => {
      const room = Buffer.alloc(PIPE)
      let length = 0
      try {
        length = readSync(fd, room)
      } catch {
        // empty
      }
      const bytes = room.subarray(0, length)
      return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(i * 4))
    })
  }
}

/** On one processor alone there is none. */
const HELPERS = getAffinity().length > 1 ? 1 : 0

const LEFT_OUT = [['', 0], [', also without a helper', SKIP_SPREAD], [', also without a ring', SKIP_RING], [', also without both', SKIP_SPREAD | SKIP_RING]] as const

for (const [mode, without] of LEFT_OUT) {
  test(`every frame arrives, in the order of its port${mode}`, (t) => {
    const { control, fds, send, written } = setUp(t, 200)
    control[CTL_WITHOUT] = without
    const before = threads()
    const expected: number[][] = fds.map(() => [])
    for (let round = 0; round < 50; round++) {
      // Each port several times, in no order; all entries of the last rounds are used
      const count = round % 2 === 0 ? ENTRIES : 128 + round * 7
      const to = Array.from({ length: count }, (_, i) => (i * 7919 + round * 31) % fds.length)
      const errors = send(to.map((k, i) => ({ kind: i % 3 === 0 ? TX_WRITEV : TX_WRITE, fd: fds[k]! })))
      t.true(errors.every((e) => e === 0))
      t.is(control[CTL_TX_FAILED], 0)
      for (const [i, k] of to.entries()) expected[k]!.push(i)
    }
    t.deepEqual(written(), expected)
    t.is(threads() - before, (without & SKIP_SPREAD) === 0 ? HELPERS : 0)
  })
}

test('what fails is said of its own entry; a datagram is sent by the thread itself', (t) => {
  const { control, fds, send, written } = setUp(t, 150)
  const entries = fds.flatMap((fd, i) => [
    { kind: TX_WRITE, fd }, ...i % 10 === 3 ? [{ kind: TX_WRITE, fd: 100_000 + i }] : [], ...i % 25 === 0 ? [{ kind: TX_SENDMSG, fd }] : []
  ])
  const errors = send(entries)
  t.deepEqual(errors, entries.map(({ kind, fd }) => (kind === TX_SENDMSG ? EINVAL : fd >= 100_000 ? EBADF : 0)))
  t.is(control[CTL_TX_FAILED], errors.filter((e) => e !== 0).length)
  t.deepEqual(written(), fds.map((fd) => [entries.findIndex((e) => e.kind === TX_WRITE && e.fd === fd)]))
})

test('few frames, or many for few ports, need no helper; it ends with the I/O context', (t) => {
  const { io, fds, send } = setUp(t, 150)
  const before = threads()
  const frames = (count: number, ports: number) => Array.from({ length: count }, (_, i) => ({ kind: TX_WRITE, fd: fds[i % ports]! }))
  send(frames(127, 127))
  send(frames(1000, 40))
  t.is(threads(), before)
  send(frames(128, 128))
  t.is(threads(), before + HELPERS)
  io.close()
  t.is(threads(), before)
})

test('a thread that ends takes its helper with it', async (t) => {
  const { fds } = setUp(t, 150)
  const before = threads()
  const worker = new Worker(`
    const { parentPort, workerData } = require('node:worker_threads')
    import(${JSON.stringify(new URL('../../src/native.js', import.meta.url).href)}).then((n) => {
      const words = (k) => new Int32Array(new SharedArrayBuffer(k * 4))
      const [control, tx] = [words(n.CTL_WORDS), words(150 * n.TX_STRIDE)]
      const io = n.createIo({
        arena: new Uint8Array(64), control, rx: words(4), rxSlots: words(1), tx, gather: words(2), addresses: words(8), sums: words(3), eventFd: -1
      })
      workerData.forEach((fd, i) => tx.set([n.TX_WRITE, fd, 0, 4], i * n.TX_STRIDE))
      control[n.CTL_TX_COUNT] = 150
      io.turn()
      parentPort.postMessage(control[n.CTL_TX_FAILED])
      setInterval(() => io, 1000)
    })
  `, { eval: true, workerData: fds })
  t.deepEqual(await once(worker, 'message'), [0])
  t.is(threads(), before + 1 + HELPERS)
  await worker.terminate()
  t.is(threads(), before)
})

test('a process on one processor has no helper, and sends all the same', (t) => {
  const { fds, send, written } = setUp(t, 150)
  const processors = getAffinity()
  const before = threads()
  setAffinity([processors[0]!])
  try {
    t.true(send(fds.map((fd) => ({ kind: TX_WRITE, fd }))).every((e) => e === 0))
  } finally {
    setAffinity(processors)
  }
  t.deepEqual(written(), fds.map((_, i) => [i]))
  t.is(threads(), before)
})
