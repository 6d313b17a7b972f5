/** Reads and writes that are submitted together (native/ring.c, read.c): the same frames in the same order as by a system call for each. */
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { constants as system, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import {
  createIo, CTL_BYTE_BUDGET, CTL_PORT_BUDGET, CTL_RING_LEAST, CTL_RX_SLOTS, CTL_SLOT_BYTES, CTL_SPIN_US, CTL_TX_COUNT, CTL_TX_FAILED, CTL_WITHOUT, CTL_WORDS,
  PORT_FILE, RX_STRIDE, SKIP_RING, TX_STRIDE, TX_WRITE, TX_WRITEV
} from '../../src/native.js'

const SLOTS = 16
const SLOT = 256
const OUT = SLOTS * SLOT
const ENTRIES = 600 // more than a ring takes at once

const folder = mkdtempSync(join(tmpdir(), 'tapway-ring-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))
let pipes = 0

/** Pipes: when frames and slots have four bytes, a read takes one frame, as from a TAP. */
const openPipes = (count: number): { path: string, fd: number }[] => {
  const paths = Array.from({ length: count }, () => join(folder, String(pipes++)))
  execFileSync('mkfifo', paths)
  return paths.map((path) => ({ path, fd: openSync(path, constants.O_RDWR | constants.O_NONBLOCK) }))
}

/** An I/O context with such ports, whose tags are their numbers. */
const setUp = (t: ExecutionContext, ports: number, least: number, without = 0) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer(OUT + ENTRIES * 4))
  const numbers = new Int32Array(arena.buffer)
  const [control, rx, rxSlots, tx, gather] = [words(CTL_WORDS), words(SLOTS * RX_STRIDE), words(SLOTS), words(ENTRIES * TX_STRIDE), words(ENTRIES * 4)]
  for (let i = 0; i < SLOTS; i++) rxSlots[i] = i * SLOT + 64
  control[CTL_SLOT_BYTES] = 4
  control[CTL_RX_SLOTS] = SLOTS
  control[CTL_RING_LEAST] = least
  control[CTL_WITHOUT] = without
  const io = createIo({ arena, control, rx, rxSlots, tx, gather, addresses: words(8), sums: words(3), eventFd: -1 })
  const opened = openPipes(ports)
  opened.forEach(({ fd }, i) => io.addPort(i, fd, PORT_FILE, 0))
  t.teardown(() => {
    io.close()
    for (const { fd } of opened) closeSync(fd)
  })
  return {
    io, control, ports: opened,
    /** Queues a number, as one range or in two. */
    send: (fd: number, number: number, parts = 1): void => {
      const n = control[CTL_TX_COUNT]!++
      numbers[OUT / 4 + n] = number
      gather.set([OUT + n * 4, 2, OUT + n * 4 + 2, 2], n * 4)
      tx.set(parts === 1 ? [TX_WRITE, fd, OUT + n * 4, 4, 0, 0, 0, 77] : [TX_WRITEV, fd, n * 2, 2, 0, 0, 0, 77], n * TX_STRIDE)
    },
    /** One turn: what arrived, a tag and a number each. */
    turn: (): [tag: number, number: number][] => {
      const count = io.turn()
      control[CTL_TX_COUNT] = 0
      const slots = Array.from({ length: count }, (_, i) => rx[i * RX_STRIDE + 1]!)
      t.is(new Set(slots).size, count, 'a slot has one frame')
      return slots.map((slot, i) => {
        t.is(rx[i * RX_STRIDE + 2], 4)
        return [rx[i * RX_STRIDE]!, numbers[rxSlots[slot]! / 4]!]
      })
    },
    errors: (count: number): number[] => Array.from({ length: count }, (_, i) => tx[i * TX_STRIDE + 7]!)
  }
}

const action = fc.record({
  port: fc.nat(3),
  frames: fc.nat(40),
  turns: fc.nat(4),
  slots: fc.integer({ min: 0, max: SLOTS }),
  budget: fc.integer({ min: 0, max: 8 }),
  bytes: fc.integer({ min: 0, max: 40 }),
  spin: fc.boolean(),
  parts: fc.integer({ min: 1, max: 2 })
})

for (const [mode, least, without] of [['', 1, 0], [' when they are several', 3, 0], [', left out', 1, SKIP_RING]] as const) {
  test(`what is sent arrives, in order and once, whatever the limits${mode}`, (t) => {
    fc.assert(fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
      const rig = setUp(t, 4, least, without)
      const { control } = rig
      const sent: number[][] = [[], [], [], []]
      const came: number[][] = [[], [], [], []]
      const turn = (): number => {
        const count = control[CTL_TX_COUNT]!
        const frames = rig.turn()
        t.deepEqual(rig.errors(count), Array.from({ length: count }, () => 0))
        t.is(control[CTL_TX_FAILED], 0)
        for (const [tag, number] of frames) came[tag]!.push(number)
        return frames.length
      }
      let number = 0
      for (const a of actions) {
        for (let i = 0; i < a.frames; i++) {
          rig.send(rig.ports[a.port]!.fd, ++number, a.parts)
          sent[a.port]!.push(number)
        }
        control[CTL_RX_SLOTS] = a.slots
        control[CTL_PORT_BUDGET] = a.budget
        control[CTL_BYTE_BUDGET] = a.bytes
        control[CTL_SPIN_US] = a.spin ? 50 : 0
        for (let i = 0; i < a.turns; i++) t.true(turn() <= a.slots)
        if (control[CTL_TX_COUNT]! > 0) turn()
      }
      control[CTL_RX_SLOTS] = SLOTS
      control[CTL_SPIN_US] = 0
      while (turn() > 0);
      t.deepEqual(came, sent)
    }), { numRuns: 60 })
  })
}

test('more than a ring takes at once, and each result with its own entry', (t) => {
  const { control, ports, send, turn, errors } = setUp(t, 60, 1)
  for (let i = 0; i < ENTRIES; i++) send(i % 7 === 3 ? 100_000 + i : ports[i % 60]!.fd, i, 1 + i % 2)
  const came = turn()
  const failed = Array.from({ length: ENTRIES }, (_, i) => (i % 7 === 3 ? system.errno.EBADF : 0))
  t.deepEqual(errors(ENTRIES), failed)
  t.is(control[CTL_TX_FAILED], failed.filter((e) => e !== 0).length)
  for (let frames = turn(); frames.length > 0; frames = turn()) came.push(...frames)
  t.deepEqual(came.map(([, number]) => number).sort((a, b) => a - b), failed.flatMap((e, i) => (e === 0 ? [i] : [])))
  for (let tag = 0; tag < 60; tag++) {
    const numbers = came.filter(([from]) => from === tag).map(([, number]) => number)
    t.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
    t.true(numbers.every((number) => number % 60 === tag))
  }
})

test('what comes while ports are read, between a read that found nothing and the next, is neither lost nor moved', async (t) => {
  const { control, ports, turn } = setUp(t, 3, 1)
  const FRAMES = 40_000
  const worker = new Worker(`
    const { writeSync } = require('node:fs')
    const { fds, frames } = require('node:worker_threads').workerData
    const number = new Int32Array(1)
    for (const end = frames; number[0] < end; number[0]++) {
      for (;;) {
        try {
          writeSync(fds[number[0] % 3], number)
          break
        } catch (e) {
          if (e.code !== 'EAGAIN') throw e
        }
      }
    }
  `, { eval: true, workerData: { fds: ports.map(({ fd }) => fd), frames: FRAMES } })
  const came: number[][] = [[], [], []]
  let count = 0
  let last = performance.now()
  for (let turns = 0; count < FRAMES && performance.now() - last < 5000; turns++) {
    control[CTL_SPIN_US] = turns % 64 < 48 ? 20 : 0
    for (const [tag, number] of turn()) {
      came[tag]!.push(number)
      count++
      last = performance.now()
    }
  }
  await worker.terminate()
  t.is(count, FRAMES)
  for (const [tag, numbers] of came.entries()) {
    t.deepEqual(numbers, Array.from({ length: numbers.length }, (_, i) => i * 3 + tag))
  }
})

test('a descriptor that cannot do without waiting is written to by a call of its own', (t) => {
  const { ports, send, turn, errors } = setUp(t, 1, 1)
  const name = openSync('/proc/self/comm', 'r+')
  const before = readFileSync('/proc/self/comm')
  try {
    send(name, 0x636f6c67) // "gloc"
    send(ports[0]!.fd, 7)
    t.deepEqual(turn(), [[0, 7]])
    t.deepEqual(errors(2), [0, 0])
    t.is(readFileSync('/proc/self/comm', 'latin1'), 'gloc\n')
  } finally {
    writeSync(name, before)
    closeSync(name)
  }
})
