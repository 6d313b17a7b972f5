import test from 'ava'
import fc from 'fast-check'
import { ICMP_MALFORMED, OK } from '../../src/reason.js'
import * as icmp from '../../src/wire/icmp4.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { icmp as naiveIcmp } from '../oracle/naive-frames.js'
import { decodeIcmp4 } from '../oracle/naive-headers.js'
import { viewOf, written } from '../oracle/poison.js'

const ECHO = [
  0x08, // type: echo request
  0x00, // code
  0xf4, 0xf5, // checksum
  0x00, 0x07, // identifier
  0x00, 0x01, // sequence number
  0x01, 0x02, 0x02 // data, an odd number of bytes
]

test('reads an echo request', (t) => {
  const [view, o] = viewOf(ECHO)
  t.is(icmp.checkIcmp4(view, o, ECHO.length), OK)
  t.is(icmp.type(view, o), icmp.ECHO_REQUEST)
  t.is(icmp.code(view, o), 0)
  t.is(icmp.identifier(view, o), 7)
  t.is(icmp.sequence(view, o), 1)
})

test('writes the 8-byte header and no other byte', (t) => {
  t.deepEqual(written(ECHO.length, (view, o) => {
    ECHO.slice(8).forEach((byte, i) => view.setUint8(o + 8 + i, byte))
    icmp.writeIcmp4(view, o, ECHO.length, icmp.ECHO_REQUEST, 0, 0x00070001)
  }), ECHO)
})

test('what is written is decoded as it was meant, and verifies', (t) => {
  fc.assert(fc.property(fc.nat(255), fc.nat(255), fc.nat(0xffffffff), fc.array(fc.nat(255), { maxLength: 80 }), (type, code, rest, data) => {
    const bytes = written(8 + data.length, (view, o) => {
      data.forEach((byte, i) => view.setUint8(o + 8 + i, byte))
      icmp.writeIcmp4(view, o, 8 + data.length, type, code, rest | 0)
    })
    const { checksum, ...fields } = decodeIcmp4(bytes)
    t.deepEqual(fields, { type, code, identifier: rest >>> 16, sequence: rest & 0xffff, data })
    t.true(naiveSum(bytes) === 0xffff && checksum >= 0)
    const [view, o] = viewOf(bytes)
    t.is(icmp.checkIcmp4(view, o, bytes.length), OK)
  }))
})

test('a message of other hands verifies; with one bit changed, or cut short, it does not', (t) => {
  fc.assert(fc.property(fc.nat(255), fc.array(fc.nat(255), { maxLength: 60 }), fc.nat(), (type, data, bit) => {
    const bytes = naiveIcmp(type, 0, [1, 2, 3, 4], data)
    const [view, o] = viewOf(bytes)
    t.is(icmp.checkIcmp4(view, o, bytes.length), OK)
    const at = bit % (8 * bytes.length)
    view.setUint8(o + (at >> 3), view.getUint8(o + (at >> 3)) ^ (1 << (at & 7)))
    t.is(icmp.checkIcmp4(view, o, bytes.length), ICMP_MALFORMED)
  }))
  for (let length = 0; length < 8; length++) {
    const [view, o] = viewOf(new Array<number>(length).fill(0xff)) // sums to 0xffff
    t.is(icmp.checkIcmp4(view, o, length), ICMP_MALFORMED)
  }
})

test('errors, about which no error is sent: RFC 1122 3.2.2', (t) => {
  const errors = [3, 4, 5, 11, 12]
  for (let type = 0; type < 256; type++) t.is(icmp.isError(type), errors.includes(type), String(type))
})
