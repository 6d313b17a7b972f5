/** The native part as far as it needs no privileges: the exchange on eventfds, the checksum kernel, threads and errors. */
import test from 'ava'
import fc from 'fast-check'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants as files, mkdtempSync, openSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import {
  close, createIo, currentCapabilities, CTL_SLEPT, CTL_SLOT_BYTES, CTL_RX_SLOTS, CTL_SPIN_US, CTL_TIMEOUT_MS, CTL_TX_COUNT,
  CTL_TX_FAILED, CTL_WOKEN, CTL_WORDS, getAffinity, newEventFd, openNetns, openTap, PORT_FILE, RX_STRIDE, setAffinity, setLink, setSchedBatch,
  signal, threadCpuTime, TX_STRIDE, TX_WRITE, TX_WRITEV
} from '../../src/native.js'
import * as rings from '../../src/port/rings.js'
import * as native from '../../src/native.js'
import { fold, sumBytes } from '../../src/wire/checksum.js'

const { EAGAIN, EBADF, EFAULT, EINVAL, EMSGSIZE } = constants.errno
const SLOT = 4096
const modulePath = new URL('../../src/native.js', import.meta.url).href

const setUp = (slots = 16) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer(slots * SLOT))
  const control = words(CTL_WORDS)
  const rx = words(slots * RX_STRIDE)
  const rxSlots = words(slots)
  const tx = words(64 * TX_STRIDE)
  const gather = words(16)
  const eventFd = newEventFd()
  for (let i = 0; i < slots; i++) rxSlots[i] = i * SLOT + 66
  control[CTL_RX_SLOTS] = slots
  control[CTL_SLOT_BYTES] = 2048
  const addresses = words(16)
  const sums = words(12)
  const io = createIo({ arena, control, rx, rxSlots, tx, gather, addresses, sums, eventFd })
  return { io, arena, control, rx, rxSlots, tx, gather, addresses, sums, eventFd, view: new DataView(arena.buffer) }
}

/** A small I/O context in a worker's script. */
const WORKER_IO = `
  const words = (k) => new Int32Array(new SharedArrayBuffer(k * 4))
  const control = words(n.CTL_WORDS)
  control[n.CTL_TIMEOUT_MS] = -1
  const arrays = {
    arena: new Uint8Array(64), control, rx: words(4), rxSlots: words(1), tx: words(8), gather: words(2), addresses: words(8), sums: words(3)
  }
`

/** Runs a script in a worker that has the native part as `n`; resolves with what it returned when it has ended. */
const inWorker = async (script: string, workerData: unknown = {}, onReady?: () => void): Promise<unknown> => {
  const worker = new Worker(`
    const { parentPort, workerData } = require('node:worker_threads')
    const ready = () => parentPort.postMessage('ready')
    import(${JSON.stringify(modulePath)}).then((n) => { parentPort.postMessage((() => { ${script} })()) })
  `, { eval: true, workerData })
  let posted: unknown
  worker.on('message', (message) => {
    posted = message
    if (message === 'ready') onReady?.()
  })
  await once(worker, 'exit')
  return posted
}

test('the constants are those of the port side', (t) => {
  for (const [name, value] of Object.entries(rings)) {
    if (/^(CTL_(?!WORDS)|TX_|RX_|PORT_)/.test(name)) t.is((native as Record<string, unknown>)[name], value, name)
  }
  t.true(rings.CTL_WORDS >= CTL_WORDS)
})

test('checksumPartial is the sum of RFC 1071', (t) => {
  const { io, arena, view } = setUp()
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 0, max: 70 }), (bytes, at) => {
    arena.set(bytes, at)
    return io.checksumPartial(at, bytes.length) === fold(sumBytes(view, at, bytes.length, 0))
  }))
  arena.fill(0xff)
  t.is(io.checksumPartial(3, arena.length - 4), 0xffff)
  arena.fill(0)
  t.is(io.checksumPartial(0, arena.length), 0)
  // RFC 1071 section 3: 0001 f203 f4f5 f6f7 add up to ddf2 with the carries.
  arena.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])
  t.is(io.checksumPartial(0, 8), 0xddf2)
  t.throws(() => io.checksumPartial(-1, 4), { instanceOf: RangeError })
  t.throws(() => io.checksumPartial(arena.length - 3, 4), { instanceOf: RangeError })
})

test('sumRanges sums many ranges at once', (t) => {
  const { io, arena, sums } = setUp()
  fc.assert(fc.property(fc.uint8Array({ minLength: 400, maxLength: 400 }), fc.array(fc.tuple(fc.nat(200), fc.nat(200)), { maxLength: 4 }),
    (bytes, ranges) => {
      arena.set(bytes)
      sums.fill(-1)
      ranges.forEach(([at, length], i) => sums.set([at, length], i * 3))
      io.sumRanges(ranges.length)
      return ranges.every(([at, length], i) => sums[i * 3 + 2] === io.checksumPartial(at, length)) && sums.slice(ranges.length * 3).every((x) => x === -1)
    }))
  t.notThrows(() => io.sumRanges(0))
  for (const [at, length] of [[-1, 4], [arena.length - 3, 4], [0, -1], [0x7fffffff, 0x7fffffff]] as const) {
    sums.set([0, 2, 0, at, length, -1])
    t.throws(() => io.sumRanges(2), { instanceOf: RangeError })
    t.is(sums[5], -1)
  }
  for (const count of [-1, 5, 0x7fffffff]) t.throws(() => io.sumRanges(count), { instanceOf: RangeError })
})

test('a turn with nothing to do sleeps for its timeout and finds nothing', (t) => {
  const { io, control } = setUp()
  t.is(io.turn(), 0)
  t.is(control[CTL_SLEPT], 0, 'timeout 0: a look, no sleep')
  control[CTL_TIMEOUT_MS] = 2
  control[CTL_SPIN_US] = 100
  t.is(io.turn(), 0)
  t.is(control[CTL_SLEPT], 1)
  t.is(control[CTL_WOKEN], 0)
})

test('a signal is seen at once, also without free slots, and only once', (t) => {
  const { io, control, eventFd } = setUp()
  control[CTL_TIMEOUT_MS] = -1
  for (const slots of [16, 0]) {
    control[CTL_RX_SLOTS] = slots
    signal(eventFd)
    signal(eventFd)
    io.turn()
    t.is(control[CTL_WOKEN], 1)
    t.is(control[CTL_SLEPT], 0)
  }
  control[CTL_TIMEOUT_MS] = 0
  io.turn()
  t.is(control[CTL_WOKEN], 0)
})

test('another thread wakes a sleeping one', async (t) => {
  const { eventFd } = setUp()
  t.is(await inWorker(`
    ${WORKER_IO}
    const io = n.createIo({ ...arrays, eventFd: workerData.eventFd })
    ready()
    while (control[n.CTL_WOKEN] === 0) io.turn()
    return 'woken'
  `, { eventFd }, () => signal(eventFd)), 'woken')
})

test('a worker that sleeps in turn after turn can be terminated', async (t) => {
  const worker = new Worker(`
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(modulePath)}).then((n) => {
      ${WORKER_IO}
      const io = n.createIo({ ...arrays, eventFd: n.newEventFd() })
      parentPort.postMessage('ready')
      const step = () => io.turn() // V8 notices a termination when a function is entered
      for (;;) step()
    })
  `, { eval: true })
  await once(worker, 'message')
  t.is(await worker.terminate(), 1)
})

test('what a descriptor answers stands in the tx entry', (t) => {
  const { io, arena, control, tx, gather } = setUp()
  const target = newEventFd()
  const view = new DataView(arena.buffer)
  view.setBigUint64(0, 0xfffffffffffffffen, true)
  view.setBigUint64(8, 1n, true)
  gather.set([0, 4, 4, 4, 8, 8, arena.length, 1])
  const rows: [kind: number, fd: number, at: number, length: number, errno: number][] = [
    [TX_WRITE, target, 0, 8, 0], // the counter is full now
    [TX_WRITE, target, 8, 8, EAGAIN],
    [TX_WRITEV, target, 2, 1, EAGAIN],
    [TX_WRITE, target, arena.length - 7, 8, EFAULT],
    [TX_WRITE, target, -1, 8, EFAULT],
    [TX_WRITE, target, 0, -8, EFAULT],
    [TX_WRITEV, target, 3, 1, EFAULT],
    [TX_WRITEV, target, 0, 0, EINVAL],
    [TX_WRITEV, target, 0, 257, EINVAL],
    [TX_WRITEV, target, 8, 1, EINVAL], // behind the end of gather
    [3, target, 0, 8, EINVAL],
    [TX_WRITE, 0x7ffffff0, 0, 8, EBADF]
  ]
  rows.forEach(([kind, fd, at, length], i) => tx.set([kind, fd, at, length, 0, 0, 0, 99], i * TX_STRIDE))
  control[CTL_TX_COUNT] = rows.length
  io.turn()
  rows.forEach(([, , , , errno], i) => t.is(tx[i * TX_STRIDE + 7], errno, `entry ${i}`))
  t.is(control[CTL_TX_FAILED], rows.length - 1)
})

test('what was taken in part is EMSGSIZE', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-pipe-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  execFileSync('mkfifo', [join(folder, 'pipe')])
  const pipe = openSync(join(folder, 'pipe'), files.O_RDWR | files.O_NONBLOCK)
  t.teardown(() => closeSync(pipe))
  const { io, control, tx } = setUp(64)
  tx.set([TX_WRITE, pipe, 0, 64 * SLOT, 0, 0, 0, 99]) // more than a pipe holds
  control[CTL_TX_COUNT] = 1
  io.turn()
  t.is(tx[7], EMSGSIZE)
})

test('a receive slot outside the arena, or one without room, is the caller\'s error', (t) => {
  const { io, control, rxSlots, arena } = setUp()
  const source = newEventFd()
  signal(source)
  io.addPort(1, source, PORT_FILE, 0)
  control[CTL_SLOT_BYTES] = 8
  for (const bad of [-1, arena.length - 7, 0x7fffffff]) {
    rxSlots[0] = bad
    t.throws(() => io.turn(), { instanceOf: RangeError })
  }
  rxSlots[0] = 0
  control[CTL_SLOT_BYTES] = 0
  t.throws(() => io.turn(), { instanceOf: RangeError })
  control[CTL_SLOT_BYTES] = 8
  t.is(io.turn(), 1)
})

test('ports: a tag is used once, removal says whether there was one', (t) => {
  const { io } = setUp()
  const fds = Array.from({ length: 40 }, () => newEventFd())
  fds.forEach((fd, tag) => io.addPort(tag, fd, PORT_FILE, 0))
  t.throws(() => io.addPort(3, newEventFd(), PORT_FILE, 0), { code: 'EEXIST' })
  t.throws(() => io.addPort(99, 0x7ffffff0, PORT_FILE, 0), { code: 'EBADF', message: /epoll_ctl port 99/ })
  t.throws(() => io.addPort(99, newEventFd(), PORT_FILE, 65), { instanceOf: RangeError })
  t.throws(() => io.addPort(99, newEventFd(), 4, 0), { instanceOf: RangeError })
  t.true(io.removePort(3))
  t.false(io.removePort(3))
  io.addPort(3, fds[3]!, PORT_FILE, 10)
  t.true(io.removePort(3))
})

test('after close every call is an error, and closing again is none', (t) => {
  const { io } = setUp()
  io.close()
  io.close()
  for (const call of [
    () => io.turn(), () => io.addPort(1, 1, PORT_FILE, 0), () => io.removePort(1), () => io.checksumPartial(0, 2), () => io.sumRanges(1)
  ]) {
    t.throws(call, { code: 'ERR_CLOSED' })
  }
})

test('only own descriptors are closed', (t) => {
  const fd = newEventFd()
  close(fd)
  t.throws(() => close(fd), { code: 'EBADF', message: /^close \d+: not opened by this thread$/ })
  t.throws(() => close(2), { code: 'EBADF' })
  t.throws(() => signal(0x7ffffff0), { code: 'EBADF' })
})

test('wrong arguments are refused before any system call', (t) => {
  for (const name of ['', '.', 'a/b', 'a b', 'tap%d', 'sixteen-letters-', 'eth0:1']) {
    t.throws(() => openTap({ name, offload: true }), { instanceOf: RangeError }, name)
  }
  t.throws(() => setLink({ name: 'eth0', mac: '02:00:00:00:00' }), { instanceOf: RangeError })
  t.throws(() => setLink({ name: 'eth0', mtu: 1.5 }), { instanceOf: RangeError })
  t.throws(() => setLink({ name: 'no-such-link', mtu: 1500 }), { message: /SIOCSIFMTU no-such-link: / })
  t.throws(() => openNetns('no-such-namespace'), {
    code: 'ENOENT', message: 'open /run/netns/no-such-namespace: No such file or directory'
  })
  t.throws(() => openNetns('/proc/self/status'), { code: 'EINVAL', message: /not a network namespace/ })
  const words = new Int32Array(8)
  const arrays = { rx: words, rxSlots: words, tx: words, gather: words, addresses: words, sums: words, eventFd: -1 }
  t.throws(() => createIo({ arena: new Uint8Array(8), control: new Int32Array(4), ...arrays }), { instanceOf: RangeError })
  const arena = new Uint16Array(8) as unknown as Uint8Array
  t.throws(() => createIo({ arena, control: new Int32Array(CTL_WORDS), ...arrays }), { instanceOf: TypeError })
})

test('a worker gives up its capabilities, the main thread keeps them', async (t) => {
  const before = currentCapabilities()
  const inside = await inWorker(`
    n.dropCapabilities()
    let code
    try { n.openTap({ name: 'twnative0', offload: false }) } catch (error) { code = error.code }
    return { ...n.currentCapabilities(), code }
  `) as Record<string, unknown>
  t.is(inside.effective, 0n)
  t.is(inside.permitted, 0n)
  t.is(inside.inheritable, 0n)
  t.is(inside.ambient, 0n)
  t.true(inside.noNewPrivs)
  t.regex(String(inside.code), /^(EPERM|EACCES|ENOENT)$/)
  t.deepEqual(currentCapabilities(), before)
})

test('scheduling and time of a thread', async (t) => {
  const inside = await inWorker(`
    n.setSchedBatch(true)
    const status = require('node:fs').readFileSync('/proc/thread-self/sched', 'utf8')
    n.setSchedBatch(false)
    return { policy: /^policy .*: *(\\d+)$/m.exec(status)?.[1] }
  `.replaceAll('require(', 'process.getBuiltinModule(')) as Record<string, unknown>
  t.is(inside.policy, '3') // SCHED_BATCH
  const first = threadCpuTime()
  t.true(first > 0)
  t.true(threadCpuTime() >= first)
  t.notThrows(() => setSchedBatch(false))
})

test('a thread stays on the processors it is told, and no other thread with it', async (t) => {
  const before = getAffinity()
  t.true(before.length > 0)
  const last = before.at(-1)!
  const inside = await inWorker(`
    n.setAffinity([${last}])
    const one = n.getAffinity()
    n.setAffinity([${before.join(', ')}])
    return { one, all: n.getAffinity() }
  `) as Record<string, unknown>
  t.deepEqual(inside, { one: [last], all: before })
  t.deepEqual(getAffinity(), before)
  t.throws(() => setAffinity([]), { code: 'EINVAL' })
  t.deepEqual(getAffinity(), before)
})
