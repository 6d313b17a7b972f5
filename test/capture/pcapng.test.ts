import test from 'ava'
import fc from 'fast-check'
import { enhancedPacket, INBOUND, interfaceDescription, MICROSECONDS, OUTBOUND, sectionHeader } from '../../src/capture/pcapng.js'
import { echo, hexBytes, ipFrame, ipv4, pattern, udp } from '../oracle/naive-frames.js'
import { has, lines, withFile } from '../oracle/tool.js'

const A = '10.1.1.2'
const B = '10.1.2.2'

test('section header block', (t) => {
  t.deepEqual([...sectionHeader({ application: 'tapway' })], hexBytes(`
    0a0d0d0a 2c000000
    4d3c2b1a 0100 0000
    ffffffffffffffff
    0400 0600 746170776179 0000
    0000 0000
    2c000000`))
  t.is(sectionHeader().length, 28)
})

test('interface description block', (t) => {
  t.deepEqual([...interfaceDescription({ name: 'eth0' })], hexBytes(`
    01000000 28000000
    0100 0000
    00000400
    0200 0400 65746830
    0900 0100 09000000
    0000 0000
    28000000`))
  const micro = interfaceDescription({ name: 'eth0', resolution: MICROSECONDS, snaplen: 96 })
  t.is(micro.readUInt32LE(12), 96)
  t.is(micro[28], 6)
})

test('enhanced packet block: time in two halves, data and options padded', (t) => {
  t.deepEqual([...enhancedPacket(1, 0x17a2b3c4d5e6f708n, Uint8Array.of(1, 2, 3, 4, 5), 60, OUTBOUND, 'why')], hexBytes(`
    06000000 3c000000
    01000000
    c4b3a217 08f7e6d5
    05000000 3c000000
    0102030405 000000
    0100 0300 776879 00
    0200 0400 02000000
    0000 0000
    3c000000`))
  t.is(enhancedPacket(0, 0n, new Uint8Array(0), 0).length, 32)
})

test('every block is a multiple of 4 long and says so at both ends', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), fc.option(fc.string({ unit: 'grapheme', maxLength: 30 })), fc.bigInt(0n, 2n ** 64n - 1n), (data, comment, time) => {
    for (const block of [
      enhancedPacket(3, time, data, 1514, INBOUND, comment ?? undefined), sectionHeader(comment === null ? {} : { comment }),
      interfaceDescription({ name: comment ?? 'x' })
    ]) {
      if (block.length % 4 !== 0 || block.readUInt32LE(4) !== block.length || block.readUInt32LE(block.length - 4) !== block.length) return false
    }
    return true
  }))
  t.pass()
})

/** Two ports, microseconds on the second; the second packet was captured in part. */
const file = (): Buffer => Buffer.concat([
  sectionHeader({ application: 'tapway', comment: 'a test' }),
  interfaceDescription({ name: 'client.eth0' }),
  enhancedPacket(0, 1_700_000_000_123_456_789n, Uint8Array.from(ipFrame(ipv4(1, A, B, echo(8, 7, 1, pattern(56))))), 98, INBOUND, 'first'),
  interfaceDescription({ name: 'router.eth1', description: 'tens', resolution: MICROSECONDS }),
  enhancedPacket(1, 1_700_000_001_000_002n, Uint8Array.from(ipFrame(ipv4(17, A, B, udp(A, 34567, B, 40000, pattern(18)))).slice(0, 45)), 60, OUTBOUND)
])

test('tcpdump reads it', (t) => {
  if (!has(t, 'tcpdump')) return
  t.deepEqual(lines('tcpdump', ['-n', '-tt', '-e', '-r', '-', '--nano'], file()), [
    '1700000000.123456789 02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 (0x0800), length 98: 10.1.1.2 > 10.1.2.2: ICMP echo request, id 7, seq 1, length 64',
    '1700000001.000002000 02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 (0x0800), length 60: 10.1.1.2.34567 > 10.1.2.2.40000: UDP, length 18'
  ])
})

test('tshark reads it: names, times, directions, comments', (t) => {
  if (!has(t, 'tshark')) return
  const fields = ['frame.interface_name', 'frame.time_epoch', 'frame.packet_flags_direction', 'frame.len', 'frame.cap_len', 'frame.comment']
  const printed = withFile(file(), (path) =>
    lines('tshark', ['-r', path, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap((field) => ['-e', field])], Buffer.alloc(0)))
  t.deepEqual(printed, [
    'client.eth0|1700000000.123456789|0x00000001|98|98|first',
    'router.eth1|1700000001.000002000|0x00000002|60|45|'
  ])
})
