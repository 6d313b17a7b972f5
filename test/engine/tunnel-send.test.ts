/** What leaves by a VXLAN port, with which outer header, to whom and in which order; what the underlay reports. */
import test from 'ava'
import fc from 'fast-check'
import { isLeftOut } from '../helpers/without.js'
import { arp, be16, be32, ethernet, ipv4, ipv6, tcp, udp, zeros } from '../oracle/naive-frames.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { naiveCut, partial } from '../offload/naive-cut.js'
import { allDrops, ALL_OFFLOADS, createMachine, type Datagram, type Machine, type MachineOptions, sockaddr, TUNNEL,
  VNI } from './tunnel-lab.js'
import type { Offload } from '../../src/port/memory.js'

const LOCAL = '02:00:00:00:0a:01'
const BEHIND = '02:00:00:00:0b:01'
const EVERYBODY = 'ff:ff:ff:ff:ff:ff'
const ZERO = '00:00:00:00:00:00'
const PORT = 'a.eth0'

const machine = (more: MachineOptions = {}): Machine => {
  const m = createMachine({ ports: { [PORT]: { vnet: true, offloads: ALL_OFFLOADS } }, ...more })
  m.lab.apply({ op: 'fdb.append', mac: ZERO, dev: TUNNEL, dst: more.family === 6 ? 'fd00::2' : '192.168.77.2' })
  return m
}

const send = (m: Machine, frame: readonly number[], offload: Offload = {}): Datagram[] => {
  m.lab.send(PORT, Uint8Array.from(frame), offload)
  m.run()
  return m.sent()
}

const plain = (to: string, ...data: number[]): number[] => ethernet(to, LOCAL, 0x88b5, data)

test('the header and the frame, nothing else; short frames are not padded', (t) => {
  const m = machine()
  for (const length of [0, 1, 2, 3, 46]) {
    const frame = plain(BEHIND, ...zeros(length))
    t.deepEqual(send(m, frame).map((d) => [d.bytes, d.to, d.port]), [[[...VNI(42), ...frame], '192.168.77.2', 4789]])
  }
  const six = machine({ family: 6, id: 0xfffffe, dstport: 8472 })
  const [d] = send(six, plain(BEHIND, 1))
  t.deepEqual([d!.bytes, d!.to, d!.port], [[...VNI(0xfffffe), ...plain(BEHIND, 1)], 'fd000000000000000000000000000002', 8472])
})

test('the flood list: every peer one copy, the first of the list last', (t) => {
  const m = machine()
  for (const n of [5, 3, 4]) m.lab.apply({ op: 'fdb.append', mac: ZERO, dev: TUNNEL, dst: `192.168.77.${n}`,
    ...(n === 4 ? { vni: 77, port: 4790 } : {}) })
  for (const to of [EVERYBODY, '01:00:5e:00:00:01', BEHIND]) {
    t.deepEqual(send(m, plain(to, 1)).map((d) => `${d.to}:${d.port} ${d.bytes[6]}`),
      ['192.168.77.5:4789 42', '192.168.77.3:4789 42', '192.168.77.4:4790 77', '192.168.77.2:4789 42'])
  }
  t.is(m.lab.held(), 0)
})

test('a group address with an entry of its own goes there and nowhere else; a station to its peer', (t) => {
  const m = machine()
  m.lab.apply(
    { op: 'fdb.append', mac: '01:00:5e:00:00:01', dev: TUNNEL, dst: '192.168.77.7' },
      { op: 'fdb.append', mac: '01:00:5e:00:00:01', dev: TUNNEL, dst: '192.168.77.8' },
    { op: 'fdb.add', mac: BEHIND, dev: TUNNEL, dst: '192.168.77.9', vni: 99 }
  )
  t.deepEqual(send(m, plain('01:00:5e:00:00:01')).map((d) => d.to), ['192.168.77.8', '192.168.77.7'])
  t.deepEqual(send(m, plain(BEHIND)).map((d) => [d.to, d.bytes[6]]), [['192.168.77.9', 99]])
  t.deepEqual(send(m, plain(EVERYBODY)).map((d) => d.to), ['192.168.77.2'])
})

test('nobody to send to: counted, and told where that is asked for', (t) => {
  const m = createMachine({ ports: { [PORT]: {} }, l2miss: true })
  const before = allDrops(m.lab)['no-remote'] ?? 0
  t.deepEqual(send(m, plain(BEHIND)), [])
  t.deepEqual(send(m, plain(EVERYBODY)), [])
  t.is(allDrops(m.lab)['no-remote']! - before, 2)
  t.is(m.lab.network.engine.tunnels.counters[1], 1, 'only of stations')
})

/** What the kernel makes of the outer header (observed): a naive reading of the inner frame. */
const outer = (frame: readonly number[], o: { ttl: number | 'inherit'; tos: number | 'inherit'; df: string }): [ttl: number,
  tos: number, df: boolean] => {
  let at = 12
  while (at < 20 && (frame[at] === 0x81 || frame[at] === 0x88) && (frame[at + 1] === 0 || frame[at + 1] === 0xa8)) at += 4
  const type = frame[at]! * 256 + frame[at + 1]!
  const ip = at + 2
  const tos = type === 0x0800 ? frame[ip + 1]! : type === 0x86dd ? ((frame[ip]! & 15) << 4) | (frame[ip + 1]! >> 4) : 0
  const ttl = type === 0x0800 ? frame[ip + 8]! : type === 0x86dd ? frame[ip + 7]! : 0
  const ecn = (tos & 3) === 3 ? 2 : tos & 3
  const inherits = at === 12 && (type === 0x86dd || (type === 0x0800 && (frame[ip + 6]! & 0x40) !== 0))
  return [
    o.ttl === 'inherit' ? ttl : o.ttl, ((o.tos === 'inherit' ? tos : o.tos) & 0xfc) | ecn, o.df === 'set' ||
      (o.df === 'inherit' && inherits)
  ]
}

const inner = fc.record({ v6: fc.boolean(), tags: fc.nat(2), tos: fc.nat(255), ttl: fc.nat(255),
  flags: fc.constantFrom(0, 0x4000), kind: fc.constantFrom('ip', 'ip', 'ip', 'arp', 'other') }).map((f) => {
  const tags = Array.from({ length: f.tags }, (_, i) => [...be16(f.tags - i === 2 ? 0x88a8 : 0x8100), 0, 7]).flat()
  const six = ipv6(17, 'fd000000000000000000000000000001', 'fd000000000000000000000000000002', udp('0.0.0.0', 1, '0.0.0.0', 2, [1]))
  six[0] = 0x60 | (f.tos >> 4)
  six[1] = (f.tos & 15) << 4
  six[7] = f.ttl
  const [type, packet] = f.kind === 'arp' ? [0x0806, arp(1, LOCAL, '10.0.0.1', ZERO, '10.0.0.2')] : f.kind === 'other' ? [0x88b5, zeros(30)]
    : f.v6 ? [0x86dd, six] : [0x0800, ipv4(17, '10.0.0.1', '10.0.0.2', udp('10.0.0.1', 1, '10.0.0.2', 2, [1]), f)]
  return [...ethernet(BEHIND, LOCAL, 0, []).slice(0, 12), ...tags, ...be16(type), ...packet]
})

test('TTL, TOS and DF of the outer header, given or inherited; congestion marks always copied, CE as ECT(0)', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom<number | 'inherit'>(0, 1, 64, 255, 'inherit'),
        fc.constantFrom<number | 'inherit'>(0, 0xb8, 0xff, 'inherit'), fc.constantFrom('unset', 'set', 'inherit'), fc.boolean(),
      fc.array(inner, { minLength: 1, maxLength: 30 }),
      (ttl, tos, df, v6, list) => {
        const m = machine({ ttl, tos, df, ...(v6 ? { family: 6 as const } : {}) })
        for (const frame of list) {
          const [d] = send(m, frame)
          t.deepEqual([d!.ttl, d!.tos, d!.df], outer(frame, { ttl, tos, df }), Buffer.from(frame).toString('hex'))
        }
      }
    ),
    { numRuns: 40 }
  )
})

test('an inner flow keeps its socket, whatever else changes; flows are spread over all of them', (t) => {
  const m = machine({ sockets: 8 })
  const packet = (sport: number, more: object = {}, size = 1): number[] => ethernet(BEHIND, LOCAL, 0x0800,
    ipv4(17, '10.0.0.1', '10.0.0.2', udp('10.0.0.1', sport, '10.0.0.2', 2, zeros(size)), more))
  const used = new Set<number>()
  for (let sport = 1; sport <= 200; sport++) {
    const sockets = new Set([packet(sport), packet(sport, { ttl: 3, tos: 0xb8, id: 77, flags: 0 }, 999),
      packet(sport, { options: [1, 1, 1, 1] })].map((f) => send(m, f)[0]!.socket))
    t.is(sockets.size, 1)
    for (const s of sockets) used.add(s)
  }
  t.is(used.size, 8)
  // Only the addresses change, IPv4 and IPv6
  for (const v6 of [false, true]) {
    const by = new Set<number>()
    for (let n = 0; n < 200; n++) {
      by.add(send(m, v6 ? ethernet(BEHIND, LOCAL, 0x86dd,
        ipv6(58, 'fd000000000000000000000000000001', `fd0000000000000000000000000000${n.toString(16).padStart(2, '0')}`, zeros(8)))
        : ethernet(BEHIND, LOCAL, 0x0800, ipv4(1, '10.0.0.1', `10.0.0.${n}`, zeros(8))))[0]!.socket)
    }
    t.is(by.size, 8)
  }
})

test('fragments of a datagram go one way, first and later ones; a super-frame goes as its segments do', (t) => {
  const m = machine({ sockets: 16 })
  for (let id = 0; id < 40; id++) {
    const fragment = (flags: number): number[] => ethernet(BEHIND, LOCAL, 0x0800,
      ipv4(17, '10.0.0.1', `10.0.1.${id}`, [...be16(id), ...be16(99), ...zeros(12)], { id, flags }))
    t.is(new Set([0x2000, 0x2001, 0x0002].map((f) => send(m, fragment(f))[0]!.socket)).size, 1)
    const stream = (size: number): number[] => ethernet(BEHIND, LOCAL, 0x0800,
      ipv4(6, '10.0.0.1', '10.0.0.2', tcp('10.0.0.1', id, '10.0.0.2', 80, zeros(size))))
    const whole = partial(stream(5000), 34, true)
    const sent = [...send(m, stream(10)), ...send(m, whole,
      { needsCsum: true, csumStart: 34, csumOffset: 16, gsoType: 1, gsoSize: 1000, headerLength: 54 })]
    t.is(sent.length, 6)
    t.is(new Set(sent.map((d) => d.socket)).size, 1)
    t.is(new Set(sent.slice(1).map((d) => d.call)).size, 1, 'five segments by one call')
  }
})

test('checksums are complete when they leave, of frames and of segments; the first segment of a flood is as good as the last', (t) => {
  const m = machine()
  m.lab.apply({ op: 'fdb.append', mac: ZERO, dev: TUNNEL, dst: '192.168.77.3' })
  const frame = ethernet(EVERYBODY, LOCAL, 0x0800, ipv4(6, '10.0.0.1', '10.0.0.2',
    tcp('10.0.0.1', 1, '10.0.0.2', 80, zeros(3001).map((_, i) => i & 255), { flags: 0x19 })))
  const offload = { needsCsum: true, csumStart: 34, csumOffset: 16 }
  for (const d of send(m, partial(frame, 34, true), offload)) t.deepEqual(d.bytes, [...VNI(42), ...frame])
  const cut = naiveCut(frame, 34, true, 700).map((f) => [...VNI(42), ...f])
  const sent = send(m, partial(frame, 34, true), { ...offload, gsoType: 1, gsoSize: 700, headerLength: 54 })
  for (const peer of ['192.168.77.2', '192.168.77.3']) t.deepEqual(sent.filter((d) => d.to === peer).map((d) => d.bytes), cut)
  t.true(sent.every(({ bytes }) => naiveSum(bytes.slice(22, 42)) === 0xffff))
})

const big = (size: number, more: object = {}): number[] => ethernet(BEHIND, LOCAL, 0x0800,
  ipv4(17, '10.0.0.1', '10.0.0.2', udp('10.0.0.1', 1, '10.0.0.2', 2, zeros(size - 28)), more))
const DF = { flags: 0x4000 }
const NO_DF = { flags: 0 }

/** The MTU told by an answer that came out of the tunnel port, if one did. */
const told = (m: Machine): number[] => m.lab.taken(PORT).map(({ bytes: b }) => (b[34] === 3 && b[35] === 4 ? b[40]! * 256 + b[41]! : -1))

test('a packet larger than the tunnel\'s MTU is answered when it has DF, else counted; of a super-frame the segments count', (t) => {
  const m = machine({ mtu: 1450 })
  t.is(send(m, big(1450, DF)).length, 1)
  t.deepEqual(told(m), [])
  t.is(send(m, big(1451, DF)).length, 0)
  t.deepEqual(told(m), [1450])
  t.is(allDrops(m.lab)['fragmentation-needed'], 1)
  t.is(send(m, big(1451, NO_DF)).length, 0)
  t.is(allDrops(m.lab)['mtu-exceeded'], 1)
  // The tag does not count against the MTU
  const tagged = (size: number): number[] => [...big(size, NO_DF).slice(0, 12), 0x81, 0, 0, 1, ...big(size, NO_DF).slice(12)]
  t.is(send(m, tagged(1450)).length, 1)
  t.is(send(m, tagged(1451)).length, 0)
  const stream = partial(ethernet(BEHIND, LOCAL, 0x0800,
    ipv4(6, '10.0.0.1', '10.0.0.2', tcp('10.0.0.1', 1, '10.0.0.2', 80, zeros(4000)))), 34, true)
  const offload = { needsCsum: true, csumStart: 34, csumOffset: 16, gsoType: 1, headerLength: 54 }
  t.is(send(m, stream, { ...offload, gsoSize: 1410 }).length, 3)
  t.is(send(m, stream, { ...offload, gsoSize: 1411 }).length, 0)
  t.deepEqual(told(m), [1450])
  t.is(send(m, stream.slice(0, 1464), { ...offload, gsoSize: 9000 }).length, 1, 'one segment that fits')
  t.is(m.lab.held(), 0)
})

/** An entry of a socket's error queue: struct sock_extended_err. */
const errorBytes = (errno: number, origin: number, type: number, code: number, info: number): number[] => {
  const le = (n: number): number[] => [...be32(n)].reverse()
  return [...le(errno), origin, type, code, 0, ...le(info), 0, 0, 0, 0]
}

test('the underlay tells a smaller path: with DF outside packets are answered with what fits, for ten minutes', (t) => {
  const m = machine({ mtu: 1450, df: 'inherit' })
  const report = (to: string, info: number): void => m.lab.io.injectDatagram(m.sendDf[0]!,
    { bytes: Uint8Array.from(errorBytes(90, 2, 3, 4, info)), from: sockaddr(to), error: true })
  report('192.168.77.99', 600) // nobody here sends there
  report('192.168.77.2', 1400)
  m.run()
  t.is(m.lab.held(), 0)
  t.is(send(m, big(1350, DF)).length, 1)
  t.is(send(m, big(1351, DF)).length, 0)
  t.deepEqual(told(m), [1350])
  t.is(send(m, big(1450, NO_DF)).length, 1, 'the underlay may cut it')
  m.lab.wait(601_000, 1000)
  t.is(send(m, big(1450, DF)).length, 1)
  report('192.168.77.2', 20)
  m.run()
  t.is(send(m, big(1450, DF)).length, 1, 'no path is that small')
})

test('a peer that is gone is counted, once an error, and sent to again', (t) => {
  const m = machine()
  for (const n of [3, 3]) m.lab.apply({ op: 'fdb.append', mac: ZERO, dev: TUNNEL, dst: `192.168.77.${n}` })
  m.lab.apply({ op: 'fdb.append', mac: ZERO, dev: TUNNEL, dst: '192.168.77.2', vni: 43 })
  m.lab.io.injectDatagram(m.send[0]!, { bytes: Uint8Array.from(errorBytes(111, 2, 3, 3, 0)), from: sockaddr('192.168.77.2'), error: true })
  m.run()
  t.is(m.lab.network.engine.tunnels.counters[3], 1)
  t.is(send(m, plain(EVERYBODY)).length, 3)
  t.is(m.lab.held(), 0)
})

for (const [errno, reason] of [
  [11, 'tx-queue-full'], [105, 'tx-queue-full'], [90, 'underlay-mtu'], [101, 'underlay-unreachable'],
    [113, 'underlay-unreachable'], [99, 'underlay-unreachable'], [111, 'peer-unreachable'], [1, 'tx-error']
] as const) {
  test(`a send that fails with errno ${errno}: ${reason}, every packet of it`, (t) => {
    const m = machine({ sockets: 1 })
    for (const socket of m.send) m.lab.io.fail(socket, errno)
    for (let n = 0; n < 3; n++) m.lab.send(PORT, Uint8Array.from(plain(BEHIND, n)), {})
    const stream = partial(ethernet(BEHIND, LOCAL, 0x0800,
      ipv4(6, '10.0.0.1', '10.0.0.2', tcp('10.0.0.1', 1, '10.0.0.2', 80, zeros(60_000)))), 34, true)
    m.lab.send(PORT, Uint8Array.from(stream), { needsCsum: true, csumStart: 34, csumOffset: 16, gsoType: 1, gsoSize: 100,
      headerLength: 54 })
    m.run()
    // A super-frame is one packet, or one for each of its 600 segments
    t.is(allDrops(m.lab)[reason], 3 + (isLeftOut('tunnel-gather') ? 600 : 1))
    t.is(m.lab.held(), 0)
    for (const socket of m.send) m.lab.io.fail(socket, 0)
    t.is(send(m, plain(BEHIND, 9)).length, 1)
  })
}

test('a frame from one tunnel into another, and a super-frame that came in pieces', (t) => {
  const m = createMachine()
  const { options } = m.lab.network.registry.vxlan(TUNNEL)
  m.lab.apply({ ...options, name: 'vxlan2', id: 43, mac: '02:00:00:00:43:01' },
    { op: 'fdb.append', mac: ZERO, dev: 'vxlan2', dst: '192.168.77.9' },
    { op: 'fdb.append', mac: ZERO, dev: 'vxlan2', dst: '192.168.77.8' })
  const list = [0, 1, 2, 3, 4].map((n) => ethernet(EVERYBODY, BEHIND, 0x0800,
    ipv4(6, '10.0.0.1', '10.0.0.2', tcp('10.0.0.1', 1, '10.0.0.2', 80, be32(n), { seq: n * 4, flags: n === 4 ? 0x18 : 0x10 }),
    { id: n, flags: 0 })))
  m.arrive(list.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + list[0]!.length })
  m.run()
  const sent = m.sent()
  for (const peer of ['192.168.77.8', '192.168.77.9']) t.deepEqual(sent.filter((d) => d.to === peer).map((d) => d.bytes),
    list.map((f) => [...VNI(43), ...f]))
  t.is(sent.length, 10)
  t.is(m.lab.held(), 0)
})
