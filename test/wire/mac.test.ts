import test from 'ava'
import fc from 'fast-check'
import { BROADCAST_HI, BROADCAST_LO, formatMac, isGroup, isZero, macHi, macLo, parseMac, setMac } from '../../src/wire/mac.js'
import { viewOf, written } from '../oracle/poison.js'

const octets = fc.array(fc.nat(255), { minLength: 6, maxLength: 6 })
const textOf = (b: readonly number[]): string => b.map((octet) => octet.toString(16).padStart(2, '0')).join(':')

test('bytes, number pair and text say the same', (t) => {
  fc.assert(fc.property(octets, (b) => {
    const [view, o] = viewOf(b)
    const hi = macHi(view, o)
    const lo = macLo(view, o)
    t.is(formatMac(hi, lo), textOf(b))
    t.deepEqual(parseMac(textOf(b)), [hi, lo])
    t.deepEqual(written(6, (v, at) => setMac(v, at, hi, lo)), b)
    t.is(isGroup(hi), b[0]! % 2 === 1)
    t.is(isZero(hi, lo), b.every((octet) => octet === 0))
  }))
})

test('broadcast and zero', (t) => {
  t.deepEqual(parseMac('ff:ff:ff:ff:ff:ff'), [BROADCAST_HI, BROADCAST_LO])
  t.true(isGroup(BROADCAST_HI))
  t.true(isZero(...parseMac('00:00:00:00:00:00')!))
  t.false(isZero(...parseMac('00:00:00:00:00:01')!))
  t.false(isZero(...parseMac('01:00:00:00:00:00')!))
  // The pair is what a little-endian load of the wire's bytes gives, and an int32.
  t.deepEqual(parseMac('01:02:03:04:05:06'), [0x0201, 0x06050403])
  t.deepEqual(parseMac('00:00:00:00:00:80'), [0, -0x80000000])
})

test('text that is a MAC address', (t) => {
  for (const text of ['2:42:a:1:1:2', '02-42-0a-01-01-02', '02:42:0A:01:01:02']) t.is(formatMac(...parseMac(text)!), '02:42:0a:01:01:02', text)
})

test('text that is none', (t) => {
  for (const text of [
    '', ':', '02:42:0a:01:01', '02:42:0a:01:01:02:03', '02:42:0a:01:01:g2', '02:42:0a-01:01:02', '0242.0a01.0102', '02420a010102', ' 02:42:0a:01:01:02', '02:42:0a:01:01:02\n',
    '02:42:0a:01:01:', '002:42:0a:01:01:02', '0x2:42:0a:01:01:02'
  ]) t.is(parseMac(text), undefined, JSON.stringify(text))
})

test('any text is an address whose text is read back, or none', (t) => {
  const octet = fc.stringMatching(/^[0-9a-fA-F]{1,2}$/)
  const address = fc.tuple(fc.array(octet, { minLength: 5, maxLength: 7 }), fc.constantFrom(':', '-')).map(([list, separator]) => list.join(separator))
  fc.assert(fc.property(fc.oneof(fc.string(), address), (text) => {
    const pair = parseMac(text)
    const list = text.split(/[:-]/)
    t.is(pair !== undefined, list.length === 6 && list.every((part) => /^[0-9a-f]{1,2}$/i.test(part)))
    if (pair !== undefined) t.is(formatMac(...pair), list.map((part) => part.toLowerCase().padStart(2, '0')).join(':'))
  }))
})
