import test from 'ava'
import fc from 'fast-check'
import { createAppPorts } from '../../src/table/app-ports.js'

const loaded = (address: number): number => new Int32Array(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address).buffer)[0]!

test('an address has one port; a list does the same', (t) => {
  const PORTS = 6
  const address = fc.constantFrom(...Array.from({ length: 12 }, (_, i) => 0x0aff6000 + i), -2, 0x7fffffff)
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(PORTS - 1), fc.option(fc.array(address, { maxLength: 4 }))), { maxLength: 40 }), (steps) => {
      const ports = createAppPorts(PORTS)
      const list = new Map<number, number[]>()
      for (const [port, addresses] of steps) {
        if (addresses === null) {
          ports.clear(port)
          list.delete(port)
        } else {
          const isTaken = [...list].some(([other, has]) => other !== port && addresses.some((a) => has.includes(a)))
          t.is(ports.set(port, 0x0102, 3, addresses), !isTaken)
          if (!isTaken) list.set(port, addresses)
        }
        for (let a = 0x0aff6000; a < 0x0aff6010; a++) {
          t.is(ports.ownerOf(loaded(a)), [...list].find(([, has]) => has.includes(a))?.[0] ?? -1)
        }
      }
    }),
    { numRuns: 100 }
  )
})

test('thousands of addresses', (t) => {
  const ports = createAppPorts(4096)
  for (let p = 0; p < 1000; p++) t.true(ports.set(p, 0, p, [0x0a000000 + p * 2, 0x0a000001 + p * 2]))
  for (let p = 0; p < 1000; p++) t.is(ports.ownerOf(loaded(0x0a000001 + p * 2)), p)
  t.is(ports.ownerOf(loaded(0x0b000000)), -1)
})

test('MAC addresses as a frame has them', (t) => {
  const ports = createAppPorts(2)
  // 02:00:0a:01:01:02
  ports.set(1, 0x0002, 0x0201010a, [1])
  const bytes = Uint8Array.of(0x02, 0x00, 0x0a, 0x01, 0x01, 0x02, 0x08, 0x00)
  t.deepEqual([ports.macHead[1], ports.macTail[1]], [...new Int32Array(bytes.buffer)])
})
