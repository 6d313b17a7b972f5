import test from 'ava'
import fc from 'fast-check'
import * as ethernet from '../../src/wire/ethernet.js'
import { formatMac, macHi, macLo, parseMac } from '../../src/wire/mac.js'
import { decodeEthernet } from '../oracle/naive-headers.js'
import { viewOf, written } from '../oracle/poison.js'

const FRAME = [
  0x02, 0x42, 0x0a, 0x01, 0x01, 0x03, // destination
  0x02, 0x42, 0x0a, 0x01, 0x01, 0x02, // source
  0x08, 0x06 // type: ARP
]

const TAGGED = [
  ...FRAME.slice(0, 12),
  0x81, 0x00, // type: 802.1Q
  0xb0, 0x0a, // priority 5, DEI, VLAN 10
  0x08, 0x00 // type: IPv4
]

test('reads a header', (t) => {
  const [view, o] = viewOf(FRAME)
  t.is(ethernet.etherType(view, o), ethernet.ETHERTYPE_ARP)
  t.is(formatMac(macHi(view, o + ethernet.OFF_DESTINATION), macLo(view, o + ethernet.OFF_DESTINATION)), '02:42:0a:01:01:03')
  t.is(formatMac(macHi(view, o + ethernet.OFF_SOURCE), macLo(view, o + ethernet.OFF_SOURCE)), '02:42:0a:01:01:02')
})

test('reads a tag', (t) => {
  const [view, o] = viewOf(TAGGED)
  t.is(ethernet.etherType(view, o), ethernet.ETHERTYPE_VLAN)
})

test('writes all 14 bytes and no other', (t) => {
  const [dst, src] = [parseMac('02:42:0a:01:01:03')!, parseMac('02:42:0a:01:01:02')!]
  t.deepEqual(written(14, (view, o) => ethernet.writeEthernet(view, o, dst[0], dst[1], src[0], src[1], ethernet.ETHERTYPE_ARP)), FRAME)
})

test('what is written is decoded as it was meant', (t) => {
  const macText = fc.array(fc.nat(255), { minLength: 6, maxLength: 6 }).map((b) => b.map((octet) => octet.toString(16).padStart(2, '0')).join(':'))
  fc.assert(fc.property(macText, macText, fc.nat(0xffff), (destination, source, type) => {
    const [dst, src] = [parseMac(destination)!, parseMac(source)!]
    const bytes = written(14, (view, o) => ethernet.writeEthernet(view, o, dst[0], dst[1], src[0], src[1], type))
    t.deepEqual(decodeEthernet(bytes), { destination, source, type })
  }))
})
