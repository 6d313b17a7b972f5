import test from 'ava'
import fc from 'fast-check'
import { format } from '../../src/wire/format.js'
import {
  arp, be16, be32, echo, ethernet, hexBytes, icmp, ip4, ipFrame, ipv4, ipv6, MAC_A, MAC_ALL, MAC_B, pattern, tagged, tcp, udp, zeros
} from '../oracle/naive-frames.js'
import { captureFile, has, lines } from '../oracle/tool.js'

const A = '10.1.1.2'
const B = '10.1.2.2'
const ROUTER = '10.1.1.3'

/** The line of a frame that lies at an odd place in a larger buffer. */
const line = (frame: readonly number[], link = false, originalLength?: number): string => {
  const bytes = Uint8Array.from([...zeros(7), ...frame, 0xa5, 0xa5])
  return format(new DataView(bytes.buffer), 7, frame.length, originalLength === undefined ? { link } : { link, originalLength })
}

const ping = ipv4(1, A, '10.1.2.9', echo(8, 7, 1, pattern(56)))
const datagram = ipv4(17, A, B, udp(A, 34567, B, 5001, pattern(18)))
const syn = ipv4(6, A, B, tcp(A, 34567, B, 80, [], { flags: 2, seq: 1234567890, options: hexBytes('020405b4 0402 080a0001e24000000000 01 030307') }))
const error = (type: number, code: number, rest: readonly number[], quoted = datagram): number[] => ipFrame(ipv4(1, ROUTER, A, icmp(type, code, rest, quoted)))

/** Frames and the line a person reads for them. */
const table: (readonly [string, number[]])[] = [
  ['ARP, Request who-has 10.1.1.3 tell 10.1.1.2, length 28', ethernet(MAC_ALL, MAC_A, 0x806, arp(1, MAC_A, A, '00:00:00:00:00:00', ROUTER))],
  ['ARP, Request who-has 10.1.1.3 (02:42:0a:01:01:03) tell 10.1.1.2, length 28', ethernet(MAC_B, MAC_A, 0x806, arp(1, MAC_A, A, MAC_B, ROUTER))],
  ['ARP, Reply 10.1.1.3 is-at 02:42:0a:01:01:03, length 28', ethernet(MAC_A, MAC_B, 0x806, arp(2, MAC_B, ROUTER, MAC_A, A))],
  ['ARP, Request who-has 10.1.1.2 tell 0.0.0.0, length 46', ethernet(MAC_ALL, MAC_A, 0x806, [...arp(1, MAC_A, '0.0.0.0', '00:00:00:00:00:00', A), ...zeros(18)])],
  ['ARP, Reverse Request who-is 00:00:00:00:00:00 tell 02:42:0a:01:01:02, length 28', ethernet(MAC_ALL, MAC_A, 0x806, arp(3, MAC_A, A, '00:00:00:00:00:00', A))],
  ['ARP, Ethernet (len 6), IPv6 (len 4), length 28', ethernet(MAC_ALL, MAC_A, 0x806, [0, 1, 0x86, 0xdd, ...arp(1, MAC_A, A, MAC_B, A).slice(4)])],
  [' [|arp]', ethernet(MAC_ALL, MAC_A, 0x806, arp(1, MAC_A, A, MAC_B, A).slice(0, 27))],

  ['IP 10.1.1.2 > 10.1.2.2: ICMP echo request, id 7, seq 1, length 64', ipFrame(ipv4(1, A, B, echo(8, 7, 1, pattern(56))))],
  ['IP 10.1.2.2 > 10.1.1.2: ICMP echo reply, id 7, seq 1, length 64', ipFrame(ipv4(1, B, A, echo(0, 7, 1, pattern(56))))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP host 10.1.2.9 unreachable, length 92', error(3, 1, zeros(4), ping)],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP net 10.1.2.2 unreachable, length 54', error(3, 0, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 protocol 17 unreachable, length 54', error(3, 2, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 udp port 5001 unreachable, length 54', error(3, 3, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 tcp port 80 unreachable, length 68', error(3, 3, zeros(4), syn)],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 unreachable - need to frag (mtu 1400), length 54', error(3, 4, [0, 0, ...be16(1400)])],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 unreachable - need to frag, length 54', error(3, 4, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP host 10.1.2.2 unreachable - admin prohibited filter, length 54', error(3, 13, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP 10.1.2.2 unreachable - #16, length 54', error(3, 16, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP source quench, length 54', error(4, 0, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP redirect 10.1.2.9 to host 10.1.2.4, length 92', error(5, 1, ip4('10.1.2.4'), ping)],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP redirect-#4 10.1.2.2 to 10.1.2.4, length 54', error(5, 4, ip4('10.1.2.4'))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP time exceeded in-transit, length 92', error(11, 0, zeros(4), ping)],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP ip reassembly time exceeded, length 54', error(11, 1, zeros(4))],
  ['IP 10.1.1.3 > 10.1.1.2: ICMP parameter problem - octet 20, length 54', error(12, 0, [20, 0, 0, 0])],
  ['IP 10.1.1.2 > 10.1.2.2: ICMP time stamp reply id 7 seq 1: org 10:00:00.123, recv 10:00:00.124, xmit 23:59:59.999, length 20',
    ipFrame(ipv4(1, A, B, icmp(14, 0, [0, 7, 0, 1], [...be32(36000123), ...be32(36000124), ...be32(86399999)])))],
  ['IP 10.1.1.2 > 10.1.2.2: ICMP type-#42, length 8', ipFrame(ipv4(1, A, B, icmp(42, 0, zeros(4), [])))],
  ['IP 10.1.1.2 > 10.1.2.2:  [|icmp]', ipFrame(ipv4(1, A, B, [8, 0, 0]))],

  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18', ipFrame(datagram)],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18', ipFrame([...datagram, ...zeros(14)])],
  ['IP 10.1.1.2.34567 > 10.1.2.2.9: UDP, length 0', ipFrame(ipv4(17, A, B, udp(A, 34567, B, 9, [])))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: UDP, bad length 18 > 12', ipFrame(ipv4(17, A, B, udp(A, 34567, B, 5001, pattern(18)).slice(0, 20)))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: truncated-udp 6', ipFrame(ipv4(17, A, B, udp(A, 34567, B, 5001, []).slice(0, 6)))],
  ['IP 10.1.1.2.1 > 10.1.2.2.2: truncated-udplength 4', ipFrame(ipv4(17, A, B, [0, 1, 0, 2, 0, 4, 0, 0, 9]))],
  // Fragments: the first has ports, the others have none
  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 3000', ipFrame(ipv4(17, A, B, udp(A, 34567, B, 5001, pattern(3000)).slice(0, 1480), { flags: 0x2000 }))],
  ['IP 10.1.1.2 > 10.1.2.2: ip-proto-17', ipFrame(ipv4(17, A, B, pattern(100), { flags: 0x0172 }))],
  ['IP 10.1.1.2 > 10.1.2.2: ICMP echo request, id 7, seq 1, length 1480', ipFrame(ipv4(1, A, B, echo(8, 7, 1, pattern(1472)), { flags: 0x2000 }))],

  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [S], seq 1234567890, win 64240, options [mss 1460,sackOK,TS val 123456 ecr 0,nop,wscale 7], length 0', ipFrame(syn)],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5201: Flags [P.], seq 4294967290:94, ack 4000000000, win 502, length 100',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 5201, pattern(100), { flags: 0x18, seq: 4294967290, ack: 4000000000, window: 502 })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [R.], seq 1, ack 2, win 64240, length 0', ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, [], { flags: 0x14, seq: 1, ack: 2 })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5201: Flags [FSRP.UEW], seq 1:3, ack 2, win 64240, urg 4, length 2',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 5201, [1, 2], { flags: 0xff, seq: 1, ack: 2, urgent: 4 })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [none], win 64240, length 0', ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, [], { flags: 0 })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [.], ack 2, win 64240, options [nop,nop,sack 2 {10:20}{30:40}], length 0',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, [], { ack: 2, options: hexBytes('01010512 0000000a00000014 0000001e00000028') })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [.], ack 2, win 64240, options [unknown-253 0xaabbccdd,eol], length 0',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, [], { ack: 2, options: hexBytes('fd06aabb ccdd0000') })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [.], ack 2, win 64240, options [nop,nop,[bad opt]]',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, [], { ack: 2, options: hexBytes('01010200') })))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80:  [|tcp]', ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, []).slice(0, 15)))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80:  tcp 4 [bad hdr length 16 - too short, < 20]',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, []).map((byte, i) => (i === 12 ? 0x40 : byte))))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.80: Flags [.] [bad hdr length 28 - too long, > 20]',
    ipFrame(ipv4(6, A, B, tcp(A, 34567, B, 80, []).map((byte, i) => (i === 12 ? 0x70 : byte))))],

  ['IP 10.1.1.2 > 224.0.0.1: igmp query v2', ipFrame(ipv4(2, A, '224.0.0.1', hexBytes('1164ee9b00000000')))],
  ['IP 10.1.1.2 > 224.0.0.251: igmp v2 report 224.0.0.251', ipFrame(ipv4(2, A, '224.0.0.251', hexBytes('16000904e00000fb')))],
  ['IP 10.1.1.2 > 10.1.2.2:  ip-proto-99 20', ipFrame(ipv4(99, A, B, pattern(20)))],
  ['IP bad-len 10', ipFrame(ipv4(17, A, B, pattern(18), { total: 10 }))],
  ['IP truncated-ip - 54 bytes missing! 10.1.1.2.1 > 10.1.2.2.2: UDP, length 18', ipFrame(ipv4(17, A, B, udp(A, 1, B, 2, pattern(18)), { total: 100 }))],
  ['IP  [|ip]', ipFrame(datagram.slice(0, 12))],
  [' [|ip]', ipFrame([])],
  ['IP5 (invalid)', ipFrame([0x55, ...datagram.slice(1)])],
  ['IP bad-hlen 16', ipFrame([0x44, ...datagram.slice(1)])],
  ['IP 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18', tagged(10, 3, 0x800, datagram)],

  ['IP6 fe80::42:aff:fe01:102 > ff02::2: ICMP6, router solicitation, length 16',
    ethernet('33:33:00:00:00:02', MAC_A, 0x86dd, ipv6(58, 'fe8000000000000000420afffe010102', 'ff020000000000000000000000000002', [133, ...zeros(15)]))],
  ['IP6 :: > ff02::16: HBH ICMP6, multicast listener report v2, 1 group record(s), length 28', ethernet('33:33:00:00:00:16', MAC_A, 0x86dd,
    ipv6(0, '00'.repeat(16), `ff02${'00'.repeat(13)}16`, [58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, ...hexBytes('ff0200000000000000000001ff010102')]))],
  ['IP6 2001:db8::1:0:0:1.34567 > 1:2:3:4:5:6:7:8.5001: UDP, length 20', ethernet(MAC_B, MAC_A, 0x86dd,
    ipv6(17, '20010db8000000000001000000000001', '00010002000300040005000600070008', udp(A, 34567, B, 5001, pattern(20))))]
]

for (const [text, frame] of table) {
  test(`prints: ${text} (${Buffer.from(frame).toString('hex', 12, 24)}, ${frame.length})`, (t) => {
    t.is(line(frame), text)
  })
}

/** What tcpdump prints in several lines or goes deeper into. */
const ours: (readonly [string, number[]])[] = [
  ['02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype Unknown (0x88b5), length 34', ethernet(MAC_B, MAC_A, 0x88b5, pattern(20))],
  ['02:42:0a:01:01:02 > 01:80:c2:00:00:00, 802.3, length 38', ethernet('01:80:c2:00:00:00', MAC_A, 38, zeros(38))],
  ['IP 10.1.1.2.34567 > 10.1.2.2.53: UDP, length 30', ipFrame(ipv4(17, A, B, udp(A, 34567, B, 53, pattern(30))))],
  [' [|ether]', [1, 2, 3]]
]

test('frames that nobody here knows are named by their ethertype', (t) => {
  for (const [text, frame] of ours) t.is(line(frame), text)
})

test('the link-level header stands first with link', (t) => {
  t.is(line(ipFrame(datagram), true), '02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 (0x0800), length 60: 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18')
  t.is(line(tagged(10, 0, 0x800, datagram), true),
    '02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype 802.1Q (0x8100), length 64: vlan 10, p 0, ethertype IPv4 (0x0800), 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18')
  t.is(line(tagged(10, 0, 0x9999, pattern(20)), true),
    '02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype 802.1Q (0x8100), length 38: vlan 10, p 0, ethertype Unknown (0x9999)')
})

test('a frame captured in part is printed by its length on the wire', (t) => {
  t.is(line(ipFrame(datagram).slice(0, 42), true, 60), '02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 (0x0800), length 60: 10.1.1.2.34567 > 10.1.2.2.5001: UDP, length 18')
  t.is(line(ipFrame(datagram).slice(0, 40), false, 60), 'IP 10.1.1.2.34567 > 10.1.2.2.5001:  [|udp]')
})

test('tcpdump prints the same lines', (t) => {
  if (!has(t, 'tcpdump')) return
  const frames = table.map(([, frame]) => frame)
  for (const link of [false, true]) {
    const printed = lines('tcpdump', ['-n', '-t', '-S', ...(link ? ['-e'] : []), '-r', '-'], captureFile(frames))
    // It says which application a well-known port belongs to; here nobody guesses.
    t.deepEqual(frames.map((frame) => line(frame, link)), printed.map((text) => text.replace(/: HTTP$/, '')))
  }
})

test('tcpdump prints the same lines for random ARP, ICMP, UDP and TCP, whole and cut off', (t) => {
  if (!has(t, 'tcpdump')) return
  const address = fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255)).map((a) => a.join('.'))
  const macText = fc.array(fc.nat(255), { minLength: 6, maxLength: 6 }).map((a) => a.map((b) => b.toString(16).padStart(2, '0')).join(':'))
  const port = fc.integer({ min: 40000, max: 44000 }) // no application of its own in tcpdump
  const data = fc.nat(300).map(pattern)
  const arpFrame = fc.tuple(fc.constantFrom(1, 2, 3, 4, 8, 9), macText, address, macText, address).map(([op, ...rest]) => ethernet(MAC_B, MAC_A, 0x806, arp(op, ...rest)))
  const icmpFrame = fc.tuple(address, address, fc.constantFrom(0, 3, 4, 5, 8, 11, 13, 17), fc.nat(17), fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }), fc.constantFrom(ping, datagram, syn))
    .map(([src, dst, type, code, rest, quoted]) => ipFrame(ipv4(1, src, dst, icmp(type, code, rest, quoted))))
  const udpFrame = fc.tuple(address, port, address, port, data).map(([src, sport, dst, dport, payload]) => ipFrame(ipv4(17, src, dst, udp(src, sport, dst, dport, payload))))
  const tcpFrame = fc.tuple(address, port, address, port, data, fc.record({ seq: fc.nat(0xffffffff), ack: fc.nat(0xffffffff), flags: fc.nat(255), window: fc.nat(65535), urgent: fc.nat(65535) }))
    .map(([src, sport, dst, dport, payload, more]) => ipFrame(ipv4(6, src, dst, tcp(src, sport, dst, dport, payload, more))))
  const frames = fc.sample(fc.oneof(arpFrame, icmpFrame, udpFrame, tcpFrame), { numRuns: 600, seed: 7 })
  const printed = lines('tcpdump', ['-n', '-t', '-S', '-e', '-r', '-'], captureFile(frames))
  t.deepEqual(frames.map((frame) => line(frame, true)), printed)
  // The same frames, of which the wire had 8 bytes less than their headers say
  const short = frames.filter((frame) => frame[12] === 8 && frame[13] === 0 && frame[23] === 17 && frame.length > 60).map((frame) => frame.slice(0, -8))
  t.true(short.length > 50)
  t.deepEqual(short.map((frame) => line(frame)), lines('tcpdump', ['-n', '-t', '-r', '-'], captureFile(short)))
})

test('any bytes give one line', (t) => {
  const types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x0026, 0x9999]
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc.tuple(fc.constantFrom(...types), fc.uint8Array({ maxLength: 120 })).map(([type, rest]) => Uint8Array.from([...zeros(12), ...be16(type), ...rest])),
    // Valid frames with a few bytes changed, and cut
    fc.tuple(fc.constantFrom(...table.map(([, frame]) => frame)), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }), fc.nat(120)).map(([frame, changes, cut]) => {
      const copy = Uint8Array.from(frame)
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value
      return copy.slice(0, Math.min(copy.length, cut + 14))
    })
  )
  fc.assert(fc.property(bytes, fc.boolean(), fc.nat(70000), (frame, link, extra) => {
    // The view ends where the frame does: a read behind it would throw.
    const text = format(new DataView(frame.buffer, frame.byteOffset, frame.length), 0, frame.length, { link, originalLength: frame.length + extra })
    return text.length > 0 && !text.includes('\n') && !text.includes('NaN') && !text.includes('undefined')
  }), { numRuns: 20000 })
  t.pass()
})
