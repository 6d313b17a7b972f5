import test from 'ava'
import fc from 'fast-check'
import {
  firstTcp, isEvictable, MIDSTREAM, nextTcp, STATE_NAMES, TCP_ESTABLISHED, TCP_MIDSTREAM, TIMEOUTS, UDP_REPLIED
} from '../../src/table/flow-states.js'
import { createFlows, REPLY, STAMP } from '../../src/table/flows.js'

const ICMP = 1
const TCP = 6
const UDP = 17
const FIN = 1
const SYN = 2
const RST = 4
const ACK = 16

/** Segments as `>S` (from the originator, SYN) or `<SA`. */
const flagsOf = (letters: string): number => [...letters].reduce((sum, l) => sum | { F: FIN, S: SYN, R: RST, A: ACK }[l]!, 0)
const after = (...segments: string[]): string => {
  let now = firstTcp(flagsOf(segments[0]!.slice(1)))
  for (const s of segments.slice(1)) now = nextTcp(now & 0xff, now >>> 8, flagsOf(s.slice(1)), s[0] === '<')
  return `${STATE_NAMES[now & 0xff]}${((now >>> 8) & MIDSTREAM) !== 0 ? ' unseen' : ''}`
}

const connections: [segments: string[], state: string][] = [
  [['>S'], 'syn-sent'],
  [['>S', '>S'], 'syn-sent'],
  [['>S', '<RA'], 'close'],
  [['>S', '<SA'], 'syn-recv'],
  [['>S', '<SA', '<SA', '>S'], 'syn-recv'],
  [['>S', '<SA', '>A'], 'established'],
  [['>S', '<SA', '>A', '<A', '>S', '<S'], 'established'],
  [['>S', '<SA', '>A', '>FA'], 'fin-wait'],
  [['>S', '<SA', '>A', '>FA', '<A', '<A', '>FA'], 'fin-wait'],
  [['>S', '<SA', '>A', '<FA', '>FA', '<A'], 'time-wait'],
  [['>S', '<SA', '>A', '<FA', '>FA', '<A', '>S'], 'syn-sent'],
  [['>S', '<SA', '>A', '<FA', '>FA', '<A', '>S', '<SA', '>A', '>FA'], 'fin-wait'],
  [['>S', '<SA', '>A', '>R'], 'close'],
  [['>S', '<SA', '>A', '>R', '<A', '>FA'], 'close'],
  [['>S', '<SA', '>A', '>R', '>S'], 'syn-sent'],
  [['>A'], 'midstream unseen'],
  [['>A', '>A', '>SA'], 'midstream unseen'],
  [['>A', '<A'], 'established unseen'],
  [['>A', '<A', '>FA', '<FA'], 'time-wait unseen'],
  [['>A', '>S'], 'syn-sent'],
  [['>FA'], 'midstream unseen'],
  [['>A', '<R', '<S'], 'syn-sent unseen']
]
for (const [segments, state] of connections) test(`${segments.join(' ')}: ${state}`, (t) => t.is(after(...segments), state))

test('times are those that the guide tells', (t) => {
  const times = Object.fromEntries(STATE_NAMES.map((name, i) => [name, TIMEOUTS[i]]))
  t.deepEqual(times, {
    none: 0, unreplied: 30, replied: 120, query: 30, midstream: 300, 'syn-sent': 120, 'syn-recv': 60, established: 7200, 'fin-wait': 120,
    'time-wait': 120, close: 10
  })
})

interface Known {
  source: number
  destination: number
  ports: number
  protocol: number
  until: number
  state: number
}

const word = fc.constantFrom(0x0100000a, 0x0200000a, -0x0100000a, 0x0100010a)
const ports = fc.constantFrom(0x00500010, 0x00100050, 0x00500050, 0xffff0001 | 0, 8 | (8 << 16))
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('packet' as const), source: word, destination: word, ports, protocol: fc.constantFrom(TCP, UDP, ICMP), flags: fc.constantFrom(SYN, ACK, SYN | ACK, RST, FIN | ACK), ends: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(1, 10, 11, 30, 31, 121) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const), budget: fc.constantFrom(1, 7, 1000) }) }
)

const swap = (p: number): number => (p << 16) | (p >>> 16)

/** A list that does the same, for a table of so many entries; how many were replaced and refused. */
const compare = (t: { is: (a: unknown, b: unknown) => void; true: (a: boolean) => void }, capacity: number): { replaced: number; refused: number } => {
  const sum = { replaced: 0, refused: 0 }
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer(), (steps, seed) => {
      const flows = createFlows({ capacity, seed })
      let list: Known[] = []
      let second = 1000
      const alive = (): Known[] => list.filter((k) => k.until >= second)
      for (const s of steps) {
        if (s.kind === 'wait') second += s.seconds
        else if (s.kind === 'sweep') flows.sweep(second, s.budget)
        else {
          const forward = alive().find((k) => k.protocol === s.protocol && k.source === s.source && k.destination === s.destination && k.ports === s.ports)
          const back = s.protocol === ICMP ? undefined
            : alive().find((k) => k.protocol === s.protocol && k.source === s.destination && k.destination === s.source && k.ports === swap(s.ports))
          const found = s.protocol === ICMP ? flows.findQuery(s.source, s.destination, s.ports, second) : flows.find(s.source, s.destination, s.ports, s.protocol, second)
          const known = forward ?? back
          t.is(found >= 0, known !== undefined)
          const flags = s.protocol === TCP ? s.flags : 0
          if (known === undefined) {
            const entry = flows.open(s.source, s.destination, s.ports, s.protocol, flags, 1, 2, second)
            if (entry < 0) {
              t.is(flows.count(), capacity)
              t.true(alive().length === capacity && alive().some((k) => !isEvictable(k.state)))
            } else {
              list.push({ ...s, until: flows.deadlineOf(entry), state: flows.stateOf(entry) })
            }
          } else if (s.ends) {
            flows.remove(found & ~REPLY)
            list = list.filter((k) => k !== known)
          } else {
            t.is((found & REPLY) !== 0, known !== forward)
            flows.track(found & ~REPLY, found & REPLY, flags, second, 5)
            known.until = flows.deadlineOf(found & ~REPLY)
            known.state = flows.stateOf(found & ~REPLY)
            t.is(known.until, second + TIMEOUTS[known.state]!)
          }
        }
        // What is gone may have been pushed out
        const names = new Set<string>()
        flows.forEach(second, (e) => names.add([flows.sourceOf(e), flows.destinationOf(e), flows.sourcePortOf(e), flows.destinationPortOf(e), flows.protocolOf(e)].join()))
        const view = new DataView(new ArrayBuffer(4))
        const host = (w: number): number => {
          view.setInt32(0, w, true)
          return view.getInt32(0)
        }
        const port = (p: number): number => {
          view.setUint16(0, p, true)
          return view.getUint16(0)
        }
        const gone = alive().filter((k) => !names.delete([host(k.source), host(k.destination), port(k.ports & 0xffff), port(k.ports >>> 16), k.protocol].join()))
        t.is(names.size, 0)
        for (const k of gone) t.true(isEvictable(k.state))
        t.true(gone.length <= 1 && flows.count() <= capacity)
        list = list.filter((k) => !gone.includes(k))
      }
      sum.replaced += flows.counters.replaced
      sum.refused += flows.counters.refused
    }),
    { numRuns: 200 }
  )
  return sum
}

test('a list does the same', (t) => {
  t.deepEqual(compare(t, 4096), { replaced: 0, refused: 0 })
})

test('a table that is too small: only what is unanswered or closing makes room', (t) => {
  t.true(compare(t, 6).replaced > 0)
})

test('a table full of answered conversations takes no more until one is over', (t) => {
  const flows = createFlows({ capacity: 8 })
  const open = (i: number): number => flows.open(i, 99, 1, UDP, 0, 1, 0, 10)
  for (let i = 0; i < 8; i++) flows.track(open(i), REPLY, 0, 10, 0)
  t.is(open(8), -1)
  t.is(flows.counters.refused, 1)
  t.is(flows.find(3, 99, 1, UDP, 131), -1, 'its time is over')
  t.true(open(8) >= 0)
})

test('100 000 conversations come and go, and the table is empty again', (t) => {
  const flows = createFlows({ capacity: 65536, seed: 77 })
  for (let i = 0; i < 100_000; i++) flows.open(i * 7, 0x0100000a, i, UDP, 0, 1, 0, 10)
  t.is(flows.count(), 65536)
  t.is(flows.counters.replaced, 100_000 - 65536)
  let known = 0
  for (let i = 0; i < 100_000; i++) if (flows.find(0x0100000a, i * 7, (i << 16) | (i >>> 16), UDP, 10) >= 0) known++
  t.is(known, 65536)
  t.is(flows.sweep(41, flows.places), 65536)
  t.is(flows.count(), 0)
})

test('the responder opens a conversation of its own', (t) => {
  const flows = createFlows({ capacity: 16 })
  const entry = flows.open(1, 2, 0x00500010, TCP, SYN, 5, 11 | (12 << 16), 10)
  flows.track(entry, REPLY, SYN | ACK, 10, 0)
  flows.turn(entry, SYN, 6, 12, 20)
  t.is(flows.find(2, 1, 0x00100050, TCP, 20), entry)
  t.is(flows.find(1, 2, 0x00500010, TCP, 20), entry + REPLY)
  t.deepEqual([STATE_NAMES[flows.stateOf(entry)], flows.generationOf(entry), flows.fromOf(entry), flows.toOf(entry), flows.sinceOf(entry)], ['syn-sent', 6, 12, 0, 20])
})

test('a stamp goes when the state changes, and is not given for SYN, FIN and RST', (t) => {
  const flows = createFlows({ capacity: 16 })
  const entry = flows.open(1, 2, 3, TCP, SYN, 1, 0, 10)
  const stamps = (): number[] => [flows.t[entry + STAMP]!, flows.t[entry + STAMP + REPLY]!]
  flows.track(entry, REPLY, SYN | ACK, 10, 7)
  t.deepEqual(stamps(), [0, 0])
  flows.track(entry, 0, ACK, 10, 7)
  t.deepEqual(stamps(), [7, 0])
  flows.track(entry, REPLY, ACK, 10, 7)
  t.deepEqual(stamps(), [7, 7])
  t.is(flows.stateOf(entry), TCP_ESTABLISHED)
  flows.track(entry, 0, FIN | ACK, 10, 7)
  t.deepEqual(stamps(), [0, 0])
})

test('refreshed: more time, the same state', (t) => {
  const flows = createFlows({ capacity: 16 })
  const entry = flows.open(1, 2, 3, TCP, ACK, 1, 0, 10)
  flows.refresh(entry, 50)
  t.deepEqual([flows.stateOf(entry), flows.deadlineOf(entry)], [TCP_MIDSTREAM, 350])
  const other = flows.open(1, 2, 3, UDP, 0, 1, 0, 10)
  flows.track(other, REPLY, 0, 10, 0)
  flows.refresh(other, 50)
  t.deepEqual([flows.stateOf(other), flows.deadlineOf(other)], [UDP_REPLIED, 170])
})
