import test from 'ava'
import fc from 'fast-check'
import { checkProgram, createFilter } from '../../src/capture/bpf.js'
import { CaptureError } from '../../src/capture/error.js'
import { compileFilter, parseProgram } from '../../src/capture/filter.js'
import { arp, be16, echo, ethernet, icmp, ipFrame, ipv4, ipv6, MAC_A, MAC_ALL, MAC_B, pattern, tagged, tcp, udp, zeros } from '../oracle/naive-frames.js'
import { captureFile, has, lines } from '../oracle/tool.js'

const program = (...instructions: number[][]): Int32Array => Int32Array.from(instructions.flat())
const bytes = Uint8Array.from([9, 9, 9, 0x45, 0xff, 0x80, 0x01, 0xf0, 0x02]) // the frame begins at 3
const run = (...instructions: number[][]): number => createFilter(program(...instructions))(bytes, 3, 6, 1000)
const RET_A = [0x16, 0, 0, 0]

test('loads: absolute, indirect, length, immediate, memory, header length', (t) => {
  t.is(run([0x20, 0, 0, 0], RET_A), 0x45ff8001)
  t.is(run([0x28, 0, 0, 1], RET_A), 0xff80)
  t.is(run([0x30, 0, 0, 5], RET_A), 0x02)
  t.is(run([0x80, 0, 0, 0], RET_A), 1000)
  t.is(run([0, 0, 0, -2], RET_A), 0xfffffffe)
  t.is(run([1, 0, 0, 3], [0x40, 0, 0, -1], RET_A), 0x8001f002) // X - 1
  t.is(run([1, 0, 0, 3], [0x48, 0, 0, 1], RET_A), 0xf002)
  t.is(run([1, 0, 0, 3], [0x50, 0, 0, 0], RET_A), 0x01)
  t.is(run([0xb1, 0, 0, 0], [0x87, 0, 0, 0], RET_A), 20)
  t.is(run([0x81, 0, 0, 0], [0x87, 0, 0, 0], RET_A), 1000)
  t.is(run([0, 0, 0, 7], [2, 0, 0, 15], [0, 0, 0, 0], [0x60, 0, 0, 15], RET_A), 7)
  t.is(run([1, 0, 0, 8], [3, 0, 0, 1], [0x61, 0, 0, 1], [0x87, 0, 0, 0], RET_A), 8)
  t.is(run([0x60, 0, 0, 3], RET_A), 0) // memory begins with zeros
})

test('a load behind the captured bytes rejects the frame', (t) => {
  for (const load of [[0x20, 0, 0, 3], [0x28, 0, 0, 5], [0x30, 0, 0, 6], [0x30, 0, 0, 0x7fffffff], [0xb1, 0, 0, 6], [0xb1, 0, 0, -1]]) {
    t.is(run(load, [6, 0, 0, 1]), 0, String(load))
  }
  t.is(run([1, 0, 0, -1], [0x50, 0, 0, 0], [6, 0, 0, 1]), 0)
  t.is(run([1, 0, 0, 0x7fffffff], [0x50, 0, 0, 0x7fffffff], [6, 0, 0, 1]), 0)
})

test('arithmetic is unsigned, modulo 2^32', (t) => {
  const alu = (code: number, a: number, k: number): number => run([0, 0, 0, a], [code, 0, 0, k], RET_A)
  const aluX = (code: number, a: number, x: number): number => run([1, 0, 0, x], [0, 0, 0, a], [code | 8, 0, 0, 0], RET_A)
  for (const f of [alu, aluX]) {
    t.is(f(0x04, -1, 2), 1)
    t.is(f(0x14, 1, 2), 0xffffffff)
    t.is(f(0x24, 0x10001, 0x10001), 0x20001)
    t.is(f(0x34, -1, 2), 0x7fffffff)
    t.is(f(0x94, -1, 10), 5)
    t.is(f(0x44, 0x0f, 0xf0), 0xff)
    t.is(f(0x54, 0x3c, 0x0f), 0x0c)
    t.is(f(0xa4, 0x3c, 0x0f), 0x33)
    t.is(f(0x64, 1, 31), 0x80000000)
    t.is(f(0x64, 1, 32), 0)
    t.is(f(0x74, -1, 31), 1)
    t.is(f(0x74, -1, 33), 0)
  }
  t.is(run([0, 0, 0, 1], [0x84, 0, 0, 0], RET_A), 0xffffffff)
  t.is(aluX(0x34, 7, 0), 0)
  t.is(aluX(0x94, 7, 0), 0)
})

test('jumps compare unsigned', (t) => {
  const jump = (code: number, a: number, k: number): boolean => run([0, 0, 0, a], [code, 0, 1, k], [6, 0, 0, 1], [6, 0, 0, 0]) === 1
  t.true(jump(0x15, 5, 5))
  t.false(jump(0x15, 5, 6))
  t.true(jump(0x25, -1, 1))
  t.false(jump(0x25, 1, 1))
  t.true(jump(0x35, 1, 1))
  t.false(jump(0x35, 1, -1))
  t.true(jump(0x45, 6, 4))
  t.false(jump(0x45, 6, 1))
  t.is(run([1, 0, 0, 5], [0, 0, 0, 5], [0x1d, 1, 0, 0], [6, 0, 0, 0], [6, 0, 0, 2]), 2)
  t.is(run([5, 0, 0, 1], [6, 0, 0, 1], [6, 0, 0, 2]), 2)
})

test('programs that cannot be run are refused', (t) => {
  const refused = (pattern: RegExp, ...instructions: number[][]): void => {
    const error = t.throws(() => checkProgram(program(...instructions)), { instanceOf: CaptureError, message: pattern })
    t.is(error?.exitCode, 2)
  }
  refused(/1 to 4096 instructions/)
  refused(/unknown code 7735/, [7735, 0, 0, 0], [6, 0, 0, 0])
  refused(/must return/, [0, 0, 0, 0])
  refused(/instruction 1: jump out/, [6, 0, 0, 0], [5, 0, 0, 0])
  refused(/instruction 0: jump out/, [0x15, 0, 1, 0], [6, 0, 0, 0])
  refused(/instruction 0: jump out/, [5, 0, 0, 1], [6, 0, 0, 0])
  refused(/instruction 1: jump out/, [0, 0, 0, 0], [5, 0, 0, -2], [6, 0, 0, 0]) // a loop
  refused(/memory/, [0x60, 0, 0, 16], [6, 0, 0, 0])
  refused(/memory/, [2, 0, 0, -1], [6, 0, 0, 0])
  refused(/division/, [0x34, 0, 0, 0], [6, 0, 0, 0])
  refused(/ancillary/, [0x28, 0, 0, -4096], [6, 0, 0, 0])
  t.throws(() => checkProgram(new Int32Array(4 * 4097).fill(6)), { message: /4096/ })
  t.throws(() => checkProgram(new Int32Array(5)), { message: /4096/ })
})

test('what passes the check ends, and reads nothing outside', (t) => {
  const codes = [0, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 1, 0x61, 0x81, 0xb1, 2, 3, 4, 0xc, 0x1c, 0x24, 0x2c, 0x3c, 0x44, 0x54, 0x64, 0x6c, 0x7c, 0x84, 0x9c, 0xac, 5, 0x15, 0x1d, 0x25, 0x35, 0x45, 7, 0x87, 6, 0x16]
  const instruction = fc.tuple(fc.constantFrom(...codes), fc.nat(3), fc.nat(3), fc.oneof(fc.nat(20), fc.integer()))
  fc.assert(fc.property(fc.array(instruction, { maxLength: 20 }), fc.uint8Array({ maxLength: 20 }), (body, frame) => {
    const p = program(...body, [6, 0, 0, 1], [6, 0, 0, 1], [6, 0, 0, 1], [6, 0, 0, 1])
    let filter
    try {
      filter = createFilter(p)
    } catch (error) {
      return error instanceof CaptureError
    }
    const kept = filter(frame, 0, frame.length, frame.length)
    return Number.isInteger(kept) && kept >= 0 && kept <= 0xffffffff
  }), { numRuns: 5000 })
  t.pass()
})

const A = '10.1.1.2'
const B = '10.1.2.2'
const datagram = ipv4(17, A, B, udp(A, 40000, B, 53, pattern(18)))
const frames: number[][] = [
  ethernet(MAC_ALL, MAC_A, 0x806, arp(1, MAC_A, A, '00:00:00:00:00:00', '10.1.1.3')),
  ethernet(MAC_A, MAC_B, 0x806, arp(2, MAC_B, '10.1.1.3', MAC_A, A)),
  ipFrame(ipv4(1, A, B, echo(8, 7, 1, pattern(56)))),
  ipFrame(ipv4(1, B, A, echo(0, 7, 1, pattern(56)))),
  ipFrame(ipv4(1, '10.1.1.3', A, icmp(3, 1, zeros(4), datagram))),
  ipFrame(datagram),
  ipFrame(ipv4(17, A, B, udp(A, 40000, B, 5001, pattern(200)), { options: [148, 4, 0, 0] })),
  ipFrame(ipv4(17, A, B, pattern(200), { flags: 0x00b9 })),
  ipFrame(ipv4(6, A, B, tcp(A, 40000, B, 80, [], { flags: 2 }))),
  ipFrame(ipv4(6, B, A, tcp(B, 80, A, 40000, pattern(500), { flags: 0x18 }), { tos: 0xb8, options: [1, 1, 1, 0] })),
  ipFrame(ipv4(6, B, A, tcp(B, 22, A, 40000, [], { flags: 4 }), { ttl: 1 })),
  tagged(10, 3, 0x800, datagram),
  tagged(10, 0, 0x806, arp(1, MAC_A, A, '00:00:00:00:00:00', B)),
  tagged(20, 0, 0x8100, [...be16(30), ...be16(0x800), ...datagram], 0x88a8),
  ethernet('01:00:5e:00:00:fb', MAC_A, 0x800, ipv4(17, A, '224.0.0.251', udp(A, 5353, '224.0.0.251', 5353, pattern(30)))),
  ethernet(MAC_ALL, MAC_A, 0x800, ipv4(17, A, '10.1.1.255', udp(A, 40000, '10.1.1.255', 9, pattern(300)))),
  ethernet(MAC_B, MAC_A, 0x86dd, ipv6(58, 'fe80000000000000000000000000000a', 'ff020000000000000000000000000002', [133, ...zeros(15)])),
  ethernet(MAC_B, MAC_A, 0x86dd, ipv6(6, '20010db8000000000000000000000001', '20010db8000000000000000000000002', tcp(A, 40000, B, 80, pattern(9)))),
  ethernet('01:80:c2:00:00:00', MAC_A, 38, zeros(60)),
  ethernet(MAC_B, MAC_A, 0x88b5, pattern(20)),
  ipFrame(datagram).slice(0, 20),
  [1, 2, 3]
]

const expressions = [
  'arp', 'icmp', 'ip', 'ip6', 'tcp', 'udp', 'not arp', 'tcp port 80', 'port 53 or port 22', 'src port 40000', 'udp portrange 5000-6000', 'host 10.1.1.2', 'src host 10.1.2.2',
  'net 10.1.2.0/24', 'dst net 10.1.1.0 mask 255.255.255.0', 'udp and greater 100', 'less 60', 'len > 100', 'vlan', 'vlan 10', 'vlan and udp', 'vlan 20 and vlan 30 and host 10.1.1.2',
  'ether broadcast', 'ether multicast', 'ip multicast', 'ip broadcast', 'ether host 02:42:0a:01:01:02', 'ether src 02:42:0a:01:01:03', 'ether proto 0x88b5', 'stp',
  'icmp[icmptype] == icmp-echo', 'icmp[0] = 3', 'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0', 'ip[6:2] & 0x1fff != 0', 'ip[8] < 2', 'ip[1] & 0xfc == 0xb8',
  'tcp[((tcp[12] & 0xf0) >> 2):4] = 0x08090a0b', 'ip[2:2] - ((ip[0] & 15) << 2) > 200', 'ether[0] & 1 = 1', 'len - 14 = ip[2:2] * 1', 'ip[8] % 7 = 1 or ip[9] / 3 = 2',
  'host 10.1.1.2 and (tcp or icmp) and not port 22', 'arp or (vlan and arp)', 'ip6 and tcp port 80', 'ip proto 17', 'ether[12:2] > 1500 and ether[100] = 0x5a'
]

test('keeps the frames that tcpdump keeps', async (t) => {
  if (!has(t, 'tcpdump')) return
  // Each frame has its own time, by which it is known in the output.
  const file = captureFile(frames)
  const times = frames.map((_, i) => (1_700_000_000_000 + i) / 1000).map((s) => s.toFixed(6))
  for (const expression of expressions) {
    const kept = new Set(lines('tcpdump', ['-n', '-tt', '-r', '-', expression], file).map((line) => line.split(' ')[0]))
    const filter = createFilter(await compileFilter(expression))
    const mine = frames.map((frame) => filter(Uint8Array.from([7, 7, 7, ...frame]), 3, frame.length, frame.length) > 0)
    t.deepEqual(mine, times.map((time) => kept.has(time)), expression)
  }
})

test('an expression that is empty keeps all', async (t) => {
  if (!has(t, 'tcpdump')) return
  const filter = createFilter(await compileFilter(''))
  t.true(filter(new Uint8Array(10), 0, 10, 10) > 0)
})

test('a wrong expression is told in one line, in the words of tcpdump', async (t) => {
  if (!has(t, 'tcpdump')) return
  for (const expression of ['tcp prt 80', 'inbound', 'port', '-w /nowhere', 'host 1.2.3.4.5']) {
    const error = await t.throwsAsync(compileFilter(expression), { instanceOf: CaptureError })
    t.is(error?.exitCode, 2)
    t.regex(error?.message ?? '', /^capture filter: \S[^\n]*$/)
  }
  await t.throwsAsync(compileFilter('tcp prt 80'), { message: /syntax error/ })
})

test.serial('without tcpdump it says what to install', async (t) => {
  const path = process.env['PATH']
  process.env['PATH'] = '/nonexistent'
  try {
    const error = await t.throwsAsync(compileFilter('arp'), { instanceOf: CaptureError, message: 'capture filters need tcpdump: apt-get install tcpdump' })
    t.is(error?.exitCode, 1)
  } finally {
    process.env['PATH'] = path
  }
})

test('the output of tcpdump -ddd is read as it is, k unsigned', (t) => {
  t.deepEqual([...parseProgram('2\n32 0 0 4\n6 0 0 4294967295\n')], [32, 0, 0, 4, 6, 0, 0, -1])
  for (const text of ['', '1\n', '2\n6 0 0 1\n', '1\n6 0 0 x\n', '1\n6 0 0 1\n6 0 0 1']) t.throws(() => parseProgram(text), { instanceOf: CaptureError })
})
