/** Rows of peers against a list of objects: found again, never twice, given back and used again. */
import test from 'ava'
import fc from 'fast-check'
import { ADDRESS_WORDS } from '../../src/io-layout.js'
import { AF_INET, AF_INET6, createRemotes, REMOTE_FREE, REMOTE_LEARNED, REMOTE_SET } from '../../src/table/remotes.js'

type Words = [number, number, number, number]

interface Row {
  row: number
  learned: boolean
  tunnel: number
  family: number
  words: Words
  port: number
  vni: number
}

const words = fc.tuple(fc.constantFrom(0, 1, 2, -1, 0x7f000001 | 0), fc.constantFrom(0, 1), fc.constantFrom(0, 1),
  fc.constantFrom(0, 1, -5))
const address = fc.boolean().chain((v6) => words.map(([a, b, c,
  d]): { family: number; words: Words } => ({ family: v6 ? AF_INET6 : AF_INET, words: v6 ? [a, b, c, d] : [a, 0, 0, 0] })))

type Step =
  | { kind: 'learn' | 'add'; tunnel: number; to: { family: number; words: Words }; port: number; vni: number }
  | { kind: 'remove'; which: number }
  | { kind: 'collect'; tunnel: number; keep: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('learn' as const, 'add' as const), tunnel: fc.nat(2), to: address,
    port: fc.constantFrom(1, 255, 256, 4789, 65535), vni: fc.nat(0xffffff) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('collect' as const), tunnel: fc.integer({ min: -1, max: 2 }),
    keep: fc.integer({ min: 1, max: 5 }) }) }
)

/** The sockaddr by its definition (netinet/in.h): family in the machine's order, port and address in the wire's. */
const sockaddr = (r: Row): number[] => {
  const port = [r.port >> 8, r.port & 255]
  const octets = (n: number): number[] => [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >>> 24) & 255]
  const bytes = r.family === AF_INET ? [2, 0, ...port, ...octets(r.words[0])] : [10, 0, ...port, 0, 0, 0, 0, ...r.words.flatMap(octets)]
  return [...bytes, ...new Array<number>(32 - bytes.length).fill(0)]
}

test('whatever is learned, added, removed and collected: rows are what they were made for', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 12 }), (steps, capacity) => {
      const table = createRemotes(capacity)
      const bytes = new Uint8Array(table.addresses.buffer)
      let rows: Row[] = []
      for (const s of steps) {
        const changes = table.changes()
        if (s.kind === 'remove') {
          const r = rows[s.which % Math.max(1, rows.length)]
          if (r === undefined) continue
          table.remove(r.row)
          rows = rows.filter((other) => other !== r)
          t.not(table.changes(), changes)
        } else if (s.kind === 'collect') {
          const marks = new Uint8Array(capacity).map((_, i) => (i % s.keep === 0 ? 1 : 0))
          const gone = rows.filter((r) => r.learned && marks[r.row] === 0 && (s.tunnel < 0 || r.tunnel === s.tunnel))
          t.is(table.collect(s.tunnel, marks), gone.length)
          rows = rows.filter((r) => !gone.includes(r))
        } else {
          const { family, words: w } = s.to
          const known = s.kind === 'learn' ? rows.find((r) => r.learned && r.tunnel === s.tunnel && r.family === family &&
            String(r.words) === String(w)) : undefined
          const row = (s.kind === 'learn' ? table.learned : table.add)(s.tunnel, family, ...w, s.port, s.vni)
          if (known !== undefined) t.is(row, known.row)
          else if (rows.length === capacity) t.is(row, -1)
          else {
            if (row < 0 || rows.some((r) => r.row === row)) throw new Error(`row ${row}`)
            t.is(table.next[row], -1)
            t.is(table.pathMtu[row], 0)
            t.is(table.unreachable[row], 0)
            rows.push({ row, learned: s.kind === 'learn', tunnel: s.tunnel, family, words: w, port: s.port, vni: s.vni })
            table.next[row] = 5 // as somebody who makes a list
            table.pathMtu[row] = 1400
            table.unreachable[row] = 1
          }
        }
        t.is(table.count(), rows.length)
        for (const r of rows) {
          t.is(table.kind[r.row], r.learned ? REMOTE_LEARNED : REMOTE_SET)
          t.is(table.familyOf(r.row), r.family)
          t.is(table.portOf(r.row), r.port)
          t.is(table.vni[r.row], r.vni)
          t.true(table.isAddress(r.row, r.family, ...r.words))
          t.false(table.isAddress(r.row, r.family, r.words[0] ^ 1, r.words[1], r.words[2], r.words[3]))
          t.false(table.isAddress(r.row, r.family === AF_INET ? AF_INET6 : AF_INET, ...r.words))
          t.deepEqual([...bytes.subarray(r.row * ADDRESS_WORDS * 4, (r.row + 1) * ADDRESS_WORDS * 4)], sockaddr(r))
          t.deepEqual([...table.octetsOf(r.row)], sockaddr(r).slice(r.family === AF_INET ? 4 : 8, r.family === AF_INET ? 8 : 24))
        }
        t.is(table.kind.filter((k) => k !== REMOTE_FREE).length, rows.length)
      }
    }),
    { numRuns: 60 }
  )
})

test('peers of one network do not share a few buckets', (t) => {
  // By the work of finding them: all of a /16 are found about as fast as one
  const table = createRemotes(65535)
  for (let i = 0; i < 65535; i++) table.learned(0, AF_INET, (10 | ((i & 255) << 16) | ((i >> 8) << 24)) | 0, 0, 0, 0, 4789, 42)
  t.is(table.count(), 65535)
  for (let i = 0; i < 65535; i++) t.true(table.learned(0, AF_INET, (10 | ((i & 255) << 16) | ((i >> 8) << 24)) | 0, 0, 0, 0, 4789, 42) >= 0)
})
