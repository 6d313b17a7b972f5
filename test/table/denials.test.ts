import test from 'ava'
import fc from 'fast-check'
import { createDenials } from '../../src/table/denials.js'

/** An address in host order, and as a little-endian load of a header has it. */
const HOST = 0x0a000001
const LOADED = 0x0100000a

test('counted by apps, protocol and port, the last ones first; the one counted longest ago makes room', (t) => {
  const CAPACITY = 5
  let replaced = 0
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(0, 1, 65535), fc.constantFrom(2, 65535), fc.constantFrom(6, 17), fc.constantFrom(80, 65535)), { maxLength: 60 }), (notes) => {
      const denials = createDenials({ capacity: CAPACITY })
      let rows: { name: string; packets: number; last: number }[] = []
      for (const [now, [from, to, protocol, port]] of notes.entries()) {
        denials.note(from, to, protocol, port, LOADED, LOADED, now)
        const name = [from, to, protocol, port].join()
        const had = rows.find((r) => r.name === name)
        rows = [{ name, packets: (had?.packets ?? 0) + 1, last: now }, ...rows.filter((r) => r !== had)].slice(0, CAPACITY)
        t.deepEqual(denials.list().map((d) => ({ name: [d.from, d.to, d.protocol, d.port].join(), packets: d.packets, last: d.last })), rows)
      }
      replaced += denials.replaced()
    }),
    { numRuns: 100 }
  )
  t.true(replaced > 0)
})

test('the last packet\'s addresses are listed in host order', (t) => {
  const denials = createDenials()
  denials.note(1, 2, 6, 80, 0, 0, 1)
  denials.note(1, 2, 6, 80, LOADED, 0xfe0000ac | 0, 2)
  const [row] = denials.list()
  t.deepEqual([row!.source, row!.destination, row!.packets], [HOST, 0xac0000fe | 0, 2])
})
