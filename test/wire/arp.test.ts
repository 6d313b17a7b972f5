import test from 'ava'
import fc from 'fast-check'
import { ARP_MALFORMED, OK } from '../../src/reason.js'
import * as arp from '../../src/wire/arp.js'
import { formatIp4, parseIp4 } from '../../src/wire/ip4.js'
import { formatMac, parseMac } from '../../src/wire/mac.js'
import { decodeArp } from '../oracle/naive-headers.js'
import { viewOf, written } from '../oracle/poison.js'

const REPLY = [
  0x00, 0x01, // hardware type: Ethernet
  0x08, 0x00, // protocol type: IPv4
  0x06, // hardware address length
  0x04, // protocol address length
  0x00, 0x02, // operation: reply
  0x02, 0x42, 0x0a, 0x01, 0x01, 0x03, // sender hardware address
  0x0a, 0x01, 0x01, 0x03, // sender protocol address
  0x02, 0x42, 0x0a, 0x01, 0x01, 0x02, // target hardware address
  0xc0, 0x00, 0x02, 0x01 // target protocol address
]

const write = (op: number, senderMac: string, sender: string, targetMac: string, target: string): number[] => {
  const [s, d] = [parseMac(senderMac)!, parseMac(targetMac)!]
  return written(28, (view, o) => arp.writeArp(view, o, op, s[0], s[1], parseIp4(sender)!, d[0], d[1], parseIp4(target)!))
}

test('reads a reply', (t) => {
  const [view, o] = viewOf(REPLY)
  t.is(arp.checkArp(view, o, REPLY.length), OK)
  t.is(arp.operation(view, o), arp.ARP_REPLY)
  t.is(formatMac(arp.senderMacHi(view, o), arp.senderMacLo(view, o)), '02:42:0a:01:01:03')
  t.is(formatIp4(arp.senderIp(view, o)), '10.1.1.3')
  t.is(formatMac(arp.targetMacHi(view, o), arp.targetMacLo(view, o)), '02:42:0a:01:01:02')
  t.is(formatIp4(arp.targetIp(view, o)), '192.0.2.1')
})

test('writes all 28 bytes and no other', (t) => {
  t.deepEqual(write(arp.ARP_REPLY, '02:42:0a:01:01:03', '10.1.1.3', '02:42:0a:01:01:02', '192.0.2.1'), REPLY)
})

test('what is written is decoded as it was meant, and passes the check', (t) => {
  const mac = fc.array(fc.nat(255), { minLength: 6, maxLength: 6 }).map((b) => b.map((octet) => octet.toString(16).padStart(2, '0')).join(':'))
  const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((b) => b.join('.'))
  fc.assert(fc.property(fc.nat(0xffff), mac, address, mac, address, (operation, senderMac, senderIp, targetMac, targetIp) => {
    const bytes = write(operation, senderMac, senderIp, targetMac, targetIp)
    t.deepEqual(decodeArp(bytes), { hardwareType: 1, protocolType: 0x0800, hardwareLength: 6, protocolLength: 4, operation, senderMac, senderIp, targetMac, targetIp })
    const [view, o] = viewOf(bytes)
    t.is(arp.checkArp(view, o, bytes.length), OK)
  }))
})

test('a packet cut short is malformed, whatever its length, and nothing behind it is read', (t) => {
  for (let length = 0; length < arp.ARP_LENGTH; length++) {
    const [view, o] = viewOf(REPLY.slice(0, length))
    t.is(arp.checkArp(view, o, length), ARP_MALFORMED)
  }
})

test('another hardware, protocol or address length is malformed', (t) => {
  for (let at = 0; at < 6; at++) {
    const [view, o] = viewOf(REPLY.map((byte, i) => (i === at ? byte ^ 1 : byte)))
    t.is(arp.checkArp(view, o, REPLY.length), ARP_MALFORMED, `byte ${at}`)
  }
})

test('hardware type 6 (IEEE 802) is Ethernet', (t) => {
  const [view, o] = viewOf(REPLY.map((byte, i) => (i === 1 ? 6 : byte)))
  t.is(arp.checkArp(view, o, REPLY.length), OK)
})

test('padding behind it does no harm', (t) => {
  const [view, o] = viewOf([...REPLY, ...new Array<number>(18).fill(0)])
  t.is(arp.checkArp(view, o, 46), OK)
})
