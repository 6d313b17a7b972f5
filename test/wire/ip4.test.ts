import test from 'ava'
import fc from 'fast-check'
import {
  broadcastOf, formatIp4, inPrefix, isLoopback, isMulticast, isZeronet, LIMITED_BROADCAST, maskOf, networkOf, parseIp4, parsePrefix
} from '../../src/wire/ip4.js'

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))

test('text and int32 say the same', (t) => {
  fc.assert(fc.property(octets, (b) => {
    const address = parseIp4(b.join('.'))!
    t.is(address, Buffer.from(b).readInt32BE(0))
    t.is(formatIp4(address), b.join('.'))
  }))
  t.is(parseIp4('10.0.0.1'), 0x0a000001)
  t.is(parseIp4('192.0.2.1'), -0x3ffffdff)
  t.is(parseIp4('255.255.255.255'), LIMITED_BROADCAST)
})

test('text that is no address', (t) => {
  for (const text of ['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1.2.3.04', '01.2.3.4', '1.2.3.-4', '1.2.3.4 ', ' 1.2.3.4', '1.2.3.0x4', '1..3.4', '1.2.3.4\n', '1.2.3.1e1', '1.2.3.', '٣.2.3.4']) {
    t.is(parseIp4(text), undefined, JSON.stringify(text))
  }
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.]{0,16}$/)), (text) => {
    const address = parseIp4(text)
    if (address !== undefined) t.is(formatIp4(address), text)
  }))
})

test('prefixes: text', (t) => {
  t.deepEqual(parsePrefix('10.1.1.3/24'), [0x0a010103, 24])
  t.deepEqual(parsePrefix('10.1.1.3'), [0x0a010103, 32])
  t.deepEqual(parsePrefix('0.0.0.0/0'), [0, 0])
  for (const text of ['', '/', '/24', '10.1.1.3/', '10.1.1.3/33', '10.1.1.3/-1', '10.1.1.3/24/24', '10.1.1.3/ 24', '10.1.1.3/0x10', '10.1.1/24', '10.1.1.3/255.255.255.0', '10.1.1.3/024', 'default']) {
    t.is(parsePrefix(text), undefined, text)
  }
})

test('prefixes: network, broadcast and membership, bit by bit', (t) => {
  fc.assert(fc.property(octets, octets, fc.nat(32), (a, b, length) => {
    const bits = (octetsOf: readonly number[]): string => octetsOf.map((octet) => octet.toString(2).padStart(8, '0')).join('')
    const number = (text: string): number => parseInt(text, 2) | 0
    const [x, y] = [number(bits(a)), number(bits(b))]
    t.is(maskOf(length), number('1'.repeat(length).padEnd(32, '0')))
    t.is(networkOf(x, length), number(bits(a).slice(0, length).padEnd(32, '0')))
    t.is(broadcastOf(x, length), number(bits(a).slice(0, length).padEnd(32, '1')))
    t.is(inPrefix(y, networkOf(x, length), length), bits(a).slice(0, length) === bits(b).slice(0, length))
    t.true(inPrefix(x, x, length))
  }))
})

test('kinds of addresses, by first octet', (t) => {
  for (let first = 0; first < 256; first++) {
    const a = parseIp4(`${first}.1.2.3`)!
    t.is(isZeronet(a), first === 0)
    t.is(isLoopback(a), first === 127)
    t.is(isMulticast(a), first >= 224 && first <= 239)
  }
  t.false(isMulticast(LIMITED_BROADCAST))
})
