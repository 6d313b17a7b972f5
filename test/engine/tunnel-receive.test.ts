/**
 * What a VXLAN port takes and what it refuses, in bytes: every rule of RFC 7348 and of the kernel (6.18, observed), the group policy extension,
 * congestion marks, and what a peer on the same machine sends that never saw a wire.
 */
import test from 'ava'
import { arp, be16, be32, ethernet, hexBytes, ipv4, ipv6, tcp, udp } from '../oracle/naive-frames.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { complete, naiveCut, partial } from '../offload/naive-cut.js'
import { GSO_TCPV4, GSO_TCPV6 } from '../../src/core/layout.js'
import { arrive, BEHIND, dropsOf, EVERYBODY, LOCAL, machine, PORT, selfOf } from './tunnel-arrivals.js'
import { allDrops, type MachineOptions, OWN_MAC, seen, TUNNEL, VNI, whole } from './tunnel-lab.js'

const FRAME = ethernet(LOCAL, BEHIND, 0x88b5, [1, 2, 3, 4])

// Header, first bytes of the frame; reason, or '' when it is delivered
const HEADERS: [what: string, header: string, options: MachineOptions, reason: string][] = [
  ['as it should be', '0800000000002a00', {}, ''],
  ['no I flag', '0000000000002a00', {}, 'vxlan-flags-invalid'],
  ['no I flag, every other one', 'f7ffffff00002aff', {}, 'vxlan-flags-invalid'],
  ['another VNI', '0800000000002b00', {}, 'vxlan-vni-unknown'],
  ['the VNI in the wrong place', '080000000000002a', {}, 'vxlan-vni-unknown'],
  ['reserved bit of the first byte: 01', '0900000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 02', '0a00000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 04', '0c00000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 10', '1800000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 20', '2800000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 40', '4800000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved bit of the first byte: 80', '8800000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved: the second byte', '0880000000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved: the third byte', '0800010000002a00', {}, 'vxlan-reserved-bits'],
  ['reserved: the fourth byte', '0800000100002a00', {}, 'vxlan-reserved-bits'],
  ['reserved: the last byte', '0800000000002a01', {}, 'vxlan-reserved-bits'],
  ['an unknown VNI and a reserved bit', '0800000000002b01', {}, 'vxlan-vni-unknown'],
  ['the largest VNI', '08000000ffffff00', { id: 0xffffff }, ''],
  ['VNI 0', '0800000000000000', { id: 0 }, ''],
  ['group policy where it is on', '8800001200002a00', { gbp: true }, ''],
  ['all bits of group policy', '88ffffff00002a00', { gbp: true }, ''],
  ['an id without the G flag', '0800001200002a00', { gbp: true }, ''],
  ['a reserved bit of the first byte beside group policy', '8900001200002a00', { gbp: true }, 'vxlan-reserved-bits'],
  ['the last byte beside group policy', '8800001200002a80', { gbp: true }, 'vxlan-reserved-bits']
]

for (const [what, header, options, reason] of HEADERS) {
  test(`header: ${what}`, (t) => {
    const m = machine(options)
    t.deepEqual(arrive(m, [...hexBytes(header), ...FRAME]),
      reason === '' ? { out: [FRAME], drops: {} } : { out: [], drops: { [reason]: 1 } })
    t.is(m.lab.held(), 0)
    const rx = m.lab.network.stats().ports.find((p) => p.name === TUNNEL)!.rx_packets
    t.is(rx, reason === '' ? 1 : 0)
    t.is(selfOf(m).length, reason === '' ? 1 : 0, 'who is refused is not learned')
  })
}

test('shorter than its header', (t) => {
  const m = machine()
  for (let length = 0; length < 8; length++) t.deepEqual(arrive(m, VNI(42).slice(0, length)), { out: [], drops: { 'vxlan-truncated': 1 } })
  t.is(m.lab.held(), 0)
})

test('the frame is shorter than its header; of 14 bytes it is one', (t) => {
  const m = machine()
  for (const length of [0, 1, 13]) t.deepEqual(arrive(m, [...VNI(42), ...FRAME.slice(0, length)]),
    { out: [], drops: { 'vxlan-inner-malformed': 1 } })
  t.deepEqual(arrive(m, [...VNI(42), ...FRAME.slice(0, 14)]).out, [FRAME.slice(0, 14)])
})

test('source addresses: its own, no station\'s, the bridge\'s', (t) => {
  const m = machine()
  const from = (source: string): number[] => [...VNI(42), ...ethernet(LOCAL, source, 0x88b5, [1])]
  t.deepEqual(arrive(m, from(OWN_MAC)), { out: [], drops: { 'vxlan-own-source': 1 } })
  for (const source of [EVERYBODY, '01:00:5e:00:00:01', '00:00:00:00:00:00']) t.deepEqual(arrive(m, from(source)),
    { out: [], drops: { 'source-mac-invalid': 1 } })
  t.deepEqual(selfOf(m), [])
  t.is(arrive(m, from('02:00:00:00:00:01')).out.length, 1, 'the bridge itself behind the tunnel')
  t.is(arrive(m, from(LOCAL)).out.length, 0, 'it seems to have moved behind the tunnel')
  t.is(selfOf(m).length, 2)
})

test('tags are data, or refused where that is asked for', (t) => {
  const tagged = [...VNI(42), ...ethernet(LOCAL, BEHIND, 0x8100, [0, 5, 0x88, 0xb5, 1])]
  const twice = [...VNI(42), ...ethernet(LOCAL, BEHIND, 0x88a8, [0, 5, 0x81, 0, 0, 6, 0x88, 0xb5, 1])]
  const pass = machine()
  for (const d of [tagged, twice]) t.deepEqual(arrive(pass, d), { out: [d.slice(8)], drops: {} })
  const drop = machine({ inner_vlan: 'drop' })
  for (const d of [tagged, twice]) t.deepEqual(arrive(drop, d), { out: [], drops: { 'vxlan-inner-vlan': 1 } })
  t.is(arrive(drop, [...VNI(42), ...FRAME]).out.length, 1)
})

test('VNIs are told apart, also within one piece', (t) => {
  const m = machine()
  const { lab } = m
  lab.apply({ op: 'bridge.add', name: 'br1', mac: '02:00:00:00:00:02', mtu: 9000, ageing_time: 300, fdb_max_learned: 0 })
  lab.port('c.eth0', 'br1')
  const { options } = lab.network.registry.vxlan(TUNNEL)
  lab.apply({ ...options, name: 'vxlan2', id: 43, bridge: 'br1', mac: '02:00:00:00:43:01' })
  const before = whole(lab)
  const datagrams = [42, 43, 44, 42, 43, 43].map((vni, n) => [...VNI(vni), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [n])])
  const reasons = allDrops(lab)
  m.arrive(datagrams.flat(), { gso: datagrams[0]!.length })
  m.run()
  t.deepEqual(lab.taken(PORT).map((f) => f.bytes[14]), [0, 3])
  t.deepEqual(lab.taken('c.eth0').map((f) => f.bytes[14]), [1, 4, 5])
  t.like(dropsOf(m, reasons), { 'vxlan-vni-unknown': 1 })
  t.deepEqual(whole(lab), before)
  for (const [name, packets] of [[TUNNEL, 2], ['vxlan2',
    3]] as const) t.is(lab.network.stats().ports.find((p) => p.name === name)!.rx_packets, packets)
})

// RFC 6040 4.2 as the kernel does it: inner mark by outer mark; -1: dropped
const ECN = [
  // outer Not-ECT, ECT(1), ECT(0), CE
  [0, 0, 0, -1], // inner Not-ECT
  [1, 1, 1, 3], // ECT(1)
  [2, 1, 2, 3], // ECT(0)
  [3, 3, 3, 3] // CE
]

for (const v6 of [false, true]) {
  test(`congestion marks, all sixteen, IPv${v6 ? 6 : 4} inside`, (t) => {
    const m = machine()
    const inner = (ecn: number): number[] => {
      const payload = [1, 2, 3, 4]
      if (!v6) return ethernet(LOCAL, BEHIND, 0x0800, ipv4(253, '10.0.0.1', '10.0.0.2', payload, { tos: 0xb8 | ecn }))
      const packet = ipv6(253, 'fd000000000000000000000000000001', 'fd000000000000000000000000000002', payload)
      packet[0] = 0x6b
      packet[1] = 0x80 | (ecn << 4) | 5
      return ethernet(LOCAL, BEHIND, 0x86dd, packet)
    }
    for (let i = 0; i < 4; i++) {
      for (let o = 0; o < 4; o++) {
        const due = ECN[i]![o]!
        const got = arrive(m, [...VNI(42), ...inner(i)], { tos: 0x28 | o })
        t.deepEqual(got, due < 0 ? { out: [], drops: { 'ecn-invalid': 1 } } : { out: [inner(due)], drops: {} }, `inner ${i} outer ${o}`)
      }
    }
  })
}

test('congestion: what has no mark passes, a truncated header does not, a wrong checksum stays as wrong', (t) => {
  const m = machine()
  const packet = ipv4(253, '10.0.0.1', '10.0.0.2', [1])
  for (const frame of [
    ethernet(LOCAL, BEHIND, 0x0806, arp(1, BEHIND, '10.0.0.1', EVERYBODY, '10.0.0.2')), ethernet(LOCAL, BEHIND, 0x88b5, [1]),
    ethernet(LOCAL, BEHIND, 0x8100, [0, 1, 8, 0, ...packet])
  ]) t.deepEqual(arrive(m, [...VNI(42), ...frame], { tos: 3 }), { out: [frame], drops: {} })
  const cut = ethernet(LOCAL, BEHIND, 0x0800, packet.slice(0, 16))
  t.deepEqual(arrive(m, [...VNI(42), ...cut], { tos: 3 }), { out: [], drops: { 'ecn-invalid': 1 } })
  t.deepEqual(arrive(m, [...VNI(42), ...cut], { tos: 2 }), { out: [cut], drops: {} })
  const wrong = ethernet(LOCAL, BEHIND, 0x0800, ipv4(253, '10.0.0.1', '10.0.0.2', [1], { tos: 1 }))
  wrong[24] = 0xad
  wrong[25] = 0x2f
  const { out: [marked] } = arrive(m, [...VNI(42), ...wrong], { tos: 3 })
  t.deepEqual(marked!.slice(15, 16), [3])
  t.deepEqual(marked!.slice(24, 26), [0xad, 0x2d])
})

test('congestion marks of a run: on every segment', (t) => {
  const m = machine()
  const list = [0, 1, 2].map((n) => ethernet(LOCAL, BEHIND, 0x0800,
    ipv4(6, '10.0.0.1', '10.0.0.2', tcp('10.0.0.1', 1, '10.0.0.2', 2, be32(n), { seq: n * 4 }), { tos: 2 })))
  const { out } = arrive(m, list.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + list[0]!.length, tos: 3 })
  t.deepEqual(out.map((f) => f[15]), [3, 3, 3])
  t.true(out.every((f) => naiveSum(f.slice(14, 34)) === 0xffff))
})

/** A TCP frame with data, or a UDP one. */
const transport = (v6: boolean, isTcp: boolean, size: number, tags = 0): { frame: number[]; l4: number } => {
  const data = Array.from({ length: size }, (_, i) => (i * 7) & 255)
  const l4 = isTcp ? tcp('0.0.0.0', 40000, '0.0.0.0', 5201, data, { seq: 1000, flags: 0x18 }) : udp('0.0.0.0', 40000, '0.0.0.0', 5201, data)
  const tag = Array.from({ length: tags }, (_, i) => [...be16(tags - i === 2 ? 0x88a8 : 0x8100), 0, 5]).flat()
  const untagged = v6 ? ethernet(LOCAL, BEHIND, 0x86dd,
    ipv6(isTcp ? 6 : 17, 'fd000000000000000000000000000001', 'fd000000000000000000000000000002', []))
    : ethernet(LOCAL, BEHIND, 0x0800, ipv4(isTcp ? 6 : 17, '10.0.0.1', '10.0.0.2', []))
  const head = [...untagged.slice(0, 12), ...tag, ...untagged.slice(12)]
  return { frame: complete([...head, ...l4], head.length, isTcp), l4: head.length }
}

for (const v6 of [false, true]) {
  for (const isTcp of [true, false]) {
    for (const tags of [0, 1, 2]) test(`a checksum that was never completed: ${isTcp ? 'TCP' : 'UDP'} over IPv${v6 ? 6 : 4}, ${tags} tags`, (t) => {
      const m = machine()
      const { frame, l4 } = transport(v6, isTcp, 100, tags)
      m.arrive([...VNI(42), ...partial(frame, l4, isTcp)])
      m.run()
      const [out] = m.lab.taken(PORT)
      t.like(out, { needsCsum: true, csumStart: l4, csumOffset: isTcp ? 16 : 6, gsoType: 0 })
      t.deepEqual(seen(out!), [frame])
      // For a port without the offload it is completed here
      const broadcast = [...hexBytes('ffffffffffff'), ...frame.slice(6)]
      m.arrive([...VNI(42), ...partial(broadcast, l4, isTcp)])
      m.run()
      t.deepEqual(m.lab.taken('b.eth0').map((f) => [...f.bytes]), [broadcast])
    })
  }

  for (const tags of [0, 1, 2]) test(`a super-frame in one datagram: TCP over IPv${v6 ? 6 : 4}, ${tags} tags`, (t) => {
    const m = machine({ bridgeMtu: 1450 })
    const { frame, l4 } = transport(v6, true, 30_000, tags)
    m.arrive([...VNI(42), ...partial(frame, l4, true)])
    m.run()
    const [out] = m.lab.taken(PORT)
    const gsoSize = 1450 - (l4 - 14 - 4 * tags) - 20
    t.like(out, { needsCsum: true, gsoType: v6 ? GSO_TCPV6 : GSO_TCPV4, gsoSize, csumStart: l4, headerLength: l4 + 20 })
    t.deepEqual(seen(out!), naiveCut(frame, l4, true, gsoSize))
    t.true(seen(out!).every((f) => f.length <= 1464 + 4 * tags))
  })
}

test('a wrong checksum stays wrong, none stays none, one of a fragment is not looked at', (t) => {
  const m = machine()
  const { frame } = transport(false, false, 10)
  const wrong = frame.map((b, i) => (i === 41 ? b ^ 1 : b))
  const none = frame.map((b, i) => (i === 40 || i === 41 ? 0 : b))
  const fragment = partial(frame, 34, false)
  fragment.splice(20, 1, 0x20)
  for (const f of [wrong, none, fragment]) {
    m.arrive([...VNI(42), ...f])
    m.run()
    const [out] = m.lab.taken(PORT)
    t.deepEqual([...out!.bytes], f)
    t.false(out!.needsCsum)
  }
})

test('headers that end too soon are no reason to read behind the frame', (t) => {
  const m = machine()
  for (const v6 of [false, true]) {
    for (const isTcp of [true, false]) {
      const { frame, l4 } = transport(v6, isTcp, 0)
      const made = partial(frame, l4, isTcp)
      for (let length = 14; length < made.length; length++) {
        const { out } = arrive(m, [...VNI(42), ...made.slice(0, length)])
        t.is(out.length, 1)
      }
    }
  }
  t.deepEqual(allDrops(m.lab)['no-buffer'], undefined)
})

test('pieces whose datagrams have a size that is no multiple of four', (t) => {
  for (let extra = 0; extra < 4; extra++) {
    const m = machine()
    const before = whole(m.lab)
    const list = Array.from({ length: 9 }, (_, n) => ethernet(LOCAL, BEHIND, 0x88b5,
      Array.from({ length: 40 + extra }, (_, i) => n * 16 + i)))
    const { out, drops } = arrive(m, list.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + list[0]!.length })
    t.deepEqual(out, list)
    t.deepEqual(drops, {})
    t.deepEqual(whole(m.lab), before)
  }
})

test('more datagrams than are looked at in one go; the last one shorter than a header, or none at all', (t) => {
  for (const last of [0, 1, 7, 8, 20]) {
    const m = machine()
    const before = whole(m.lab)
    const list = Array.from({ length: 300 }, (_, n) => ethernet(LOCAL, BEHIND, 0x0800,
      ipv4(17, '10.0.0.1', '10.0.0.2', udp('10.0.0.1', 7, '10.0.0.2', 9, be16(n)), { id: n, flags: 0 })))
    const bytes = [...list.flatMap((f) => [...VNI(42), ...f]), ...VNI(42).slice(0, last),
      ...new Array<number>(Math.max(0, last - 8)).fill(1)]
    const { out, drops } = arrive(m, bytes, { gso: 8 + list[0]!.length })
    t.deepEqual(out, list)
    t.deepEqual(drops, last === 0 ? {} : { [last < 8 ? 'vxlan-truncated' : 'vxlan-inner-malformed']: 1 })
    t.deepEqual(whole(m.lab), before)
  }
})

test('a port that is down takes nothing', (t) => {
  const m = machine()
  m.lab.apply({ op: 'link.set', dev: TUNNEL, up: false })
  t.deepEqual(arrive(m, [...VNI(42), ...FRAME]), { out: [], drops: { 'port-down': 1 } })
})

test('group policy: the mark of a packet goes from tunnel to tunnel where it is on, and only what is known of it', (t) => {
  for (const [gbp, sent] of [[true, '8848001200002b00'], [false, '0800000000002b00']] as const) {
    const m = machine({ gbp: true })
    const { options } = m.lab.network.registry.vxlan(TUNNEL)
    m.lab.apply({ ...options, name: 'vxlan2', id: 43, mac: '02:00:00:00:43:01', gbp },
      { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan2', dst: '192.168.77.9' })
    m.arrive([...hexBytes('88ff001200002a00'), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [1])])
    m.run()
    t.deepEqual(m.sent().map((d) => Buffer.from(d.bytes.slice(0, 8)).toString('hex')), [sent])
    t.is(selfOf(m).length, 1, 'learned, whatever the D flag says')
    // Without the G flag there is no mark
    m.arrive([...hexBytes('0800001200002a00'), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [1])])
    m.run()
    t.deepEqual(m.sent().map((d) => Buffer.from(d.bytes.slice(0, 8)).toString('hex')), ['0800000000002b00'])
  }
})

test('packets of a piece keep their own marks', (t) => {
  const m = machine({ gbp: true })
  const { options } = m.lab.network.registry.vxlan(TUNNEL)
  m.lab.apply({ ...options, name: 'vxlan2', id: 43, mac: '02:00:00:00:43:01' },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan2', dst: '192.168.77.9' })
  for (const size of [4, 5]) {
    const list = [0x11, 0, 0x33].map((id, n) => [id === 0 ? 8 : 0x88, 0, 0, id, 0, 0, 42, 0,
      ...ethernet(EVERYBODY, BEHIND, 0x88b5, new Array<number>(size).fill(n))])
    m.arrive(list.flat(), { gso: list[0]!.length })
    m.run()
    t.deepEqual(m.sent().map((d) => d.bytes[3]), [0x11, 0, 0x33])
  }
})

test('no buffers: what is lost is counted, and what is not is right', (t) => {
  for (let packets = 2; packets < 14; packets++) {
    const m = machine({ pool: { packets, largeSlots: 3, smallSlots: 2 } })
    const before = whole(m.lab)
    const list = Array.from({ length: 11 }, (_, n) => ethernet(LOCAL, BEHIND, 0x88b5, new Array<number>(31).fill(n)))
    const { out, drops } = arrive(m, list.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + list[0]!.length })
    t.is(out.length + (drops['no-buffer'] ?? 0), list.length)
    t.true(out.every((f) => list.some((l) => JSON.stringify(l) === JSON.stringify(f))))
    t.deepEqual(whole(m.lab), before)
  }
})
