/** Ports that are near (native/near.c): whatever is polled, asleep, removed or gone, what was written arrives, in order, and once. */
import test from 'ava'
import fc from 'fast-check'
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, constants as files, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createIo, CTL_EVENTS, CTL_RX_SLOTS, CTL_SLEPT, CTL_SLOT_BYTES, CTL_SPIN_US, CTL_TIMEOUT_MS, CTL_TX_COUNT, CTL_WITHOUT, CTL_WORDS, newEventFd, PORT_FILE, RX_STRIDE,
  SKIP_NEAR, TX_STRIDE, TX_WRITE
} from '../../src/native.js'

const SLOTS = 16
const SLOT = 4096
const OUT = SLOTS * SLOT
const MOST_SPIN_US = 500

const folder = mkdtempSync(join(tmpdir(), 'tapway-near-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))
let fifos = 0

/** A port that this process writes to, one byte a frame, and its path. */
const fifo = () => {
  const path = join(folder, `fifo${fifos++}`)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, files.O_RDWR | files.O_NONBLOCK)
  return { path, fd, write: (value: number): void => void writeSync(fd, Uint8Array.of(value)) }
}

/** Is a descriptor in a wait set of this process (proc_pid_fdinfo(5))? */
const isWatched = (fd: number): boolean => readdirSync('/proc/self/fdinfo').some((name) => {
  try {
    return new RegExp(`^tfd: +${fd} `, 'm').test(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))
  } catch {
    return false // the descriptor by which the folder was read
  }
})

const setUp = (without: number) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer((SLOTS + 1) * SLOT))
  const [control, rx, rxSlots, tx] = [words(CTL_WORDS), words(SLOTS * RX_STRIDE), words(SLOTS), words(8 * TX_STRIDE)]
  for (let i = 0; i < SLOTS; i++) rxSlots[i] = i * SLOT + 66
  control[CTL_SLOT_BYTES] = 2048
  control[CTL_WITHOUT] = without
  const io = createIo({ arena, control, rx, rxSlots, tx, gather: words(16), addresses: words(16), sums: words(12), eventFd: newEventFd() })
  /** What arrived: of each entry its tag and bytes, or its errno. */
  const turn = (spin: boolean, timeout = 1, slots = SLOTS): (readonly [tag: number, ...bytes: number[]])[] => {
    control[CTL_SPIN_US] = spin ? MOST_SPIN_US : 0
    control[CTL_TIMEOUT_MS] = timeout
    control[CTL_RX_SLOTS] = slots
    const count = io.turn()
    control[CTL_TX_COUNT] = 0
    return Array.from({ length: count }, (_, i) => {
      const [tag, slot, length] = rx.subarray(i * RX_STRIDE, (i + 1) * RX_STRIDE) as unknown as [number, number, number]
      return slot < 0 ? [tag, length] : [tag, ...arena.subarray(rxSlots[slot]!, rxSlots[slot]! + length)]
    })
  }
  /** Queues one byte for a descriptor, to go with the next turn. */
  const send = (fd: number, value: number): void => {
    arena[OUT] = value
    tx.set([TX_WRITE, fd, OUT, 1], control[CTL_TX_COUNT]! * TX_STRIDE)
    control[CTL_TX_COUNT]!++
  }
  return { io, control, turn, send }
}

for (const [mode, without] of [['', 0], [', left out', SKIP_NEAR]] as const) {
  test(`what comes while it polls, and when it sleeps again${mode}`, (t) => {
    const { io, control, turn } = setUp(without)
    const { path, fd, write } = fifo()
    io.addPort(7, fd, PORT_FILE, 0)
    for (let i = 0; i < 5; i++) {
      write(i)
      t.deepEqual(turn(true), [[7, i]])
      t.is(control[CTL_EVENTS], 1)
      t.is(control[CTL_SLEPT], 0)
      t.is(isWatched(fd), without === SKIP_NEAR)
    }
    for (const spin of [true, false]) {
      write(10)
      t.deepEqual(turn(true), [[7, 10]], 'it is near')
      const writer = spawn('sh', ['-c', `sleep 0.2; printf a >${path}`], { stdio: 'ignore' })
      const begin = performance.now()
      t.deepEqual(turn(spin, 1000), [[7, 97]])
      t.is(control[CTL_SLEPT], 1)
      t.true(performance.now() - begin < 900, 'it was woken')
      t.is(isWatched(fd), !spin || without === SKIP_NEAR)
      writer.unref()
    }
    io.close()
    closeSync(fd)
  })

  test(`an exchange that only sends leaves everything where it is${mode}`, (t) => {
    const { io, turn, send } = setUp(without)
    const { fd, write } = fifo()
    io.addPort(1, fd, PORT_FILE, 0)
    write(1)
    t.deepEqual(turn(true), [[1, 1]])
    send(fd, 2)
    t.deepEqual(turn(false, 0, 0), [], 'there is no slot')
    t.deepEqual(turn(true), [[1, 2]])
    send(fd, 3)
    t.deepEqual(turn(true), [[1, 3]], 'the answer to what was sent in the same exchange')
    io.close()
    closeSync(fd)
  })

  test(`more ports than can be near: each has its turn, however much the others have${mode}`, (t) => {
    const { io, turn } = setUp(without)
    const ports = Array.from({ length: 7 }, fifo)
    ports.forEach(({ fd }, i) => io.addPort(i, fd, PORT_FILE, 0))
    for (let i = 0; i < 7; i++) {
      ports[i]!.write(0)
      while (turn(true).length === 0);
    }
    for (let round = 0; round < 50; round++) {
      const late = round % 7
      ports[late]!.write(round)
      let turns = 0
      for (let found = false; !found; turns++) {
        ports.forEach(({ write }, i) => {
          if (i !== late) write(255)
        })
        found = turn(true).some(([tag]) => tag === late)
      }
      t.true(turns <= 16, `${turns} turns`)
    }
    io.close()
    for (const { fd } of ports) closeSync(fd)
  })

  for (const slots of [1, 2, 8]) {
    test(`what fills all ${slots} slots again and again, from several ports, leaves a turn to each of them and to others${mode}`, (t) => {
      const { io, turn } = setUp(without)
      const ports = Array.from({ length: 6 }, fifo)
      ports.forEach(({ fd }, i) => io.addPort(i, fd, PORT_FILE, 0))
      // A frame is what a slot has room for; the last port has one byte now and then
      const full = new Uint8Array(2048 * 8)
      const last = ports.length - 1
      for (let flooding = 1; flooding <= last; flooding++) {
        const until = (tag: number): number => {
          for (let turns = 1; turns <= 200; turns++) {
            for (const { fd } of ports.slice(0, flooding)) {
              try {
                writeSync(fd, full)
              } catch {
                // has enough of it
              }
            }
            if (turn(true, 1, slots).some(([from]) => from === tag)) return turns
          }
          return Infinity
        }
        for (let round = 0; round < 40; round++) {
          const tag = round % 2 === 0 ? last : (round >> 1) % flooding
          if (tag === last) ports[last]!.write(1)
          const turns = until(tag)
          t.true(turns <= 100, `port ${tag}, ${flooding} are full: ${turns} turns`)
        }
      }
      io.close()
      for (const { fd } of ports) closeSync(fd)
    })
  }

  test(`the wait set is asked also when it has been quiet for long${mode}`, (t) => {
    const { io, control, turn } = setUp(without)
    const [near, late] = [fifo(), fifo()]
    io.addPort(1, near.fd, PORT_FILE, 0)
    io.addPort(2, late.fd, PORT_FILE, 0)
    const turnsUntilLate = (): number => {
      for (let turns = 1; ; turns++) {
        near.write(1)
        if (turn(true).some(([tag]) => tag === 2)) return turns
        if (turns > 100) return Infinity
      }
    }
    const beQuiet = (): void => {
      for (let i = 0; i < 1500; i++) {
        near.write(1)
        t.deepEqual(turn(true), [[1, 1]])
      }
    }
    for (let round = 0; round < 3; round++) {
      beQuiet()
      late.write(1)
      const turns = turnsUntilLate()
      t.true(turns <= 16, `${turns} turns`)
      turn(true) // what was written to the other one meanwhile
      t.deepEqual(turn(false), [], 'both are in the set again')
      beQuiet()
      late.write(2)
      t.deepEqual(turn(true), [[2, 2]], 'nothing else comes')
      t.is(control[CTL_SLEPT], 0, 'it is found while the thread polls')
      t.deepEqual(turn(false), [])
    }
    io.close()
    for (const { fd } of [near, late]) closeSync(fd)
  })

  test(`a port that ends, or is removed, and one in its place${mode}`, (t) => {
    const { io, turn } = setUp(without)
    const { path, fd, write } = fifo()
    const reader = openSync(path, files.O_RDONLY | files.O_NONBLOCK)
    const other = fifo()
    io.addPort(1, reader, PORT_FILE, 0)
    io.addPort(2, other.fd, PORT_FILE, 0)
    write(1)
    t.deepEqual(turn(true), [[1, 1]])
    closeSync(fd) // the last writer
    const told = [...Array.from({ length: 40 }, () => turn(true)).flat()]
    t.is(told.length, 1)
    t.is(told[0]![0], 1)
    t.true(told[0]![1]! < 0, 'gone, once')
    other.write(2)
    t.deepEqual(turn(true), [[2, 2]], 'the other one goes on')
    t.true(io.removePort(1))
    t.true(io.removePort(2))
    closeSync(reader)
    other.write(3)
    t.deepEqual(turn(true), [], 'nobody reads it')
    t.deepEqual(turn(false), [])
    io.addPort(3, other.fd, PORT_FILE, 0)
    t.deepEqual(turn(true), [[3, 3]])
    io.close()
    closeSync(other.fd)
  })

  test(`whatever the order: all arrives, of each port in order, and once${mode}`, (t) => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), port: fc.nat(5) }) },
      { weight: 6, arbitrary: fc.record({ do: fc.constant('turn' as const), spin: fc.boolean(), slots: fc.constantFrom(0, 1, SLOTS) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('again' as const), port: fc.nat(5) }) }
    )
    const ports = Array.from({ length: 6 }, fifo)
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { io, turn } = setUp(without)
      const sent = ports.map((): number[] => [])
      const got = ports.map((): number[] => [])
      const take = (spin: boolean, slots?: number): number => {
        const arrived = turn(spin, 0, slots)
        for (const [tag, ...bytes] of arrived) got[tag]!.push(...bytes)
        return arrived.length
      }
      ports.forEach(({ fd }, i) => io.addPort(i, fd, PORT_FILE, 0))
      for (const s of steps) {
        if (s.do === 'turn') take(s.spin, s.slots)
        else if (s.do === 'again') {
          io.removePort(s.port)
          io.addPort(s.port, ports[s.port]!.fd, PORT_FILE, 0)
        } else {
          const value = sent[s.port]!.length & 0xff
          sent[s.port]!.push(value)
          ports[s.port]!.write(value)
        }
      }
      while (take(false) > 0);
      io.close()
      t.deepEqual(got, sent)
    }), { numRuns: 200 })
    for (const { fd } of ports) closeSync(fd)
  })
}
