/** What is remembered of packets on their way: fragments follow their first one, and what was marked a moment ago is known again. */
import test from 'ava'
import { GSO_TCPV4 } from '../../src/core/layout.js'
import { B, C, CALL, CALL_IN, CALL_OUT, ROUTER, allow, back, cell, forbid, pass, settled } from './policy-cell.js'
import { frameOf, packetOf } from './policy-lab.js'
import type { Packet } from './policy-model.js'

test('fragments follow their first one, which is known by its ports', (t) => {
  const lab = cell([11, 12, 'udp'])
  const first: Partial<Packet> = { ...CALL_IN, protocol: 'udp', fragment: 'first', datagram: 5 }
  const later: Partial<Packet> = { ...first, fragment: 185 }
  t.is(pass(lab, later), 'policy-fragment')
  t.is(pass(lab, first), 'ok')
  t.is(pass(lab, later), 'ok')
  t.is(pass(lab, { ...later, datagram: 6 }), 'policy-fragment')
  t.is(pass(lab, later, 0), 'policy-fragment')
  t.is(pass(lab, { ...first, dport: 81 }), 'policy-denied', 'another datagram of the same number')
  t.is(pass(lab, later), 'policy-fragment')
  t.is(pass(lab, first), 'ok')
  allow(lab, 13, 12, 'udp')
  t.is(pass(lab, later), 'policy-fragment', 'policies have changed in the middle')
  // And the other way: fragments of an answer
  t.is(pass(lab, { ...CALL_OUT, protocol: 'udp' }), 'ok')
  t.is(pass(lab, back({ ...CALL_OUT, protocol: 'udp' }, { fragment: 185 })), 'policy-fragment')
  t.is(pass(lab, back({ ...CALL_OUT, protocol: 'udp' }, { fragment: 'first' })), 'ok')
  t.is(pass(lab, back({ ...CALL_OUT, protocol: 'udp' }, { fragment: 185 })), 'ok')
})

test('no fragment over a TCP header (RFC 3128)', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, { ...CALL_IN, fragment: 'first' }), 'ok')
  for (const [fragment, reason] of [[1, 'policy-fragment'], [2, 'policy-fragment'], [3, 'ok']] as const) t.is(pass(lab, { ...CALL_IN, fragment }), reason)
})

test('a super-frame in pieces: only its headers are looked at', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, CALL), 'ok')
  for (let i = 0; i < 3; i++) {
    const n = lab.put(packetOf({ ...CALL, tcp: 'A' }), 1)
    const { packets } = lab
    const at = packets.start[n]!
    // 20 payloads of 1000 bytes, 1100 apart
    packets.length[n] = 54 + 20_000
    packets.view.setUint16(at + 16, 40 + 20_000)
    packets.gsoType[n] = GSO_TCPV4
    packets.gsoSize[n] = 1000
    packets.headerLength[n] = 54
    packets.stride[n] = 1100
    t.true(lab.policy.mark(n, 1))
    t.is(packets.mark[n]! & 0xffff, 11)
    t.is(lab.admit(n, 3), 'ok')
  }
  t.deepEqual(lab.conversations().map((c) => c.split(' ')[3]), ['syn-sent'])
})

test('a row of the pool that has become another packet is not taken for the one marked last', (t) => {
  const lab = cell([11, 12, 'tcp'])
  for (const p of [CALL, back(CALL, { tcp: 'SA' }), { ...CALL, tcp: 'A' }, back(CALL, { tcp: 'A' })]) t.is(pass(lab, p), 'ok')
  for (const bad of [{ from: C, to: B }, { from: ROUTER, to: B }, { ...CALL_IN, dport: 81 }]) {
    const marked = lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number
    lab.packets.transmitted(marked)
    const n = lab.put(packetOf(bad), 9)
    t.is(n, marked, 'the same row')
    t.not(lab.admit(n, 3), 'ok')
    // A copy has what the original had, and nothing of the one whose row it has
    const original = lab.put(packetOf(bad), 9)
    const again = lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number
    lab.packets.transmitted(again)
    const copy = lab.packets.copy(original)
    t.is(copy, again)
    t.not(lab.admit(copy, 3), 'ok')
    lab.packets.transmitted(original)
  }
})

test('of the packets marked before, none is taken for the last one', (t) => {
  const lab = cell([11, 12, 'tcp'], [11, 13, 'tcp'])
  settled(lab, CALL)
  settled(lab, { ...CALL, to: C })
  const first = lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number
  const second = lab.mark(packetOf({ ...CALL, to: C, tcp: 'A' }), 1) as number
  lab.packets.transmitted(second)
  const copy = lab.packets.copy(first)
  t.is(copy, second, 'the same row')
  t.is(lab.admit(copy, 4), 'app-address-foreign')
  t.is(lab.admit(first, 3), 'ok')
})

test('a piece in the row of the packet it was cut from is looked at: the others follow it', (t) => {
  const lab = cell([11, 12, 'udp'])
  const call: Partial<Packet> = { ...CALL, protocol: 'udp' }
  for (const p of [call, back(call), call, back(call)]) t.is(pass(lab, p), 'ok')
  const { packets } = lab
  const n = lab.put(packetOf(call), 1)
  packets.length[n] = packets.length[n]! + 100
  t.true(lab.policy.mark(n, 1))
  const pieces = (['first', 185] as const).map((fragment) => {
    const frame = frameOf(packetOf({ ...call, fragment }), 1)
    // A piece of a piece: the first row is free again when it is made
    const between = packets.piece(n, frame.length)
    return { frame, between }
  })
  packets.merged(n)
  for (const [i, { frame, between }] of pieces.entries()) {
    const p = packets.piece(between, frame.length)
    if (i === 0) t.is(p, n)
    packets.bytes.set(frame, packets.start[p]!)
    packets.merged(between)
    t.is(lab.admit(p, 3), 'ok')
  }
})

test('marked, and then its conversation goes: decided anew', (t) => {
  const lab = cell([11, 12, 'tcp'])
  settled(lab, CALL)
  const n = lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number
  let entry = -1
  lab.flows.forEach(lab.clock.second, (e) => { entry = e })
  lab.flows.remove(entry)
  t.is(lab.admit(n, 3), 'ok')
  t.deepEqual(lab.conversations().map((c) => c.split(' ')[3]), ['midstream'])
})

test('what is wrong in a known conversation is dropped, too', (t) => {
  for (const [more, reason] of [
    [{ forgedMac: true, sport: 1000 }, 'source app-source-forged'], [{ frame: 'cut' }, 'source ip-truncated'], [{ lacks: 1 }, 'source tcp-malformed'],
    [{ frame: 'vlan' }, 'source app-not-ip'], [{ frame: 'ihl' }, 'source ip-header-invalid']
  ] as const) {
    const lab = cell([11, 12, 'tcp'])
    settled(lab, CALL)
    t.is(pass(lab, { ...CALL, tcp: 'A', ...more }), reason)
  }
  const lab = cell([11, 12, 'tcp'])
  settled(lab, CALL)
  t.is(lab.mark(packetOf({ ...CALL, tcp: 'A' }), 4), 'app-source-forged', 'by the port of another host')
  t.is(lab.admit(lab.arrive(packetOf({ ...CALL, tcp: 'A' }), 0), 3), 'app-source-forged', 'by a port of no app')
  t.is(lab.admit(lab.arrive(packetOf(back(CALL, { tcp: 'A' })), 0), 1), 'app-source-forged')
  t.is(lab.admit(lab.arrive(packetOf(back(CALL, { tcp: 'A' })), 11), 1), 'app-source-forged')
  t.is(lab.admit(lab.arrive(packetOf({ ...CALL, tcp: 'A' }), 11), 4), 'app-address-foreign')
})

test('a total length below that of the header', (t) => {
  const lab = cell([11, 12, 'tcp'])
  const n = lab.put(packetOf(CALL), 1)
  lab.packets.view.setUint16(lab.packets.start[n]! + 16, 19)
  t.false(lab.policy.mark(n, 1))
  t.is(lab.drops()['ip-header-invalid'], 1)
})

test('a RST turns no conversation round', (t) => {
  const lab = cell([11, 12, 'tcp'], [12, 11, 'tcp', 1000])
  t.is(pass(lab, CALL_IN), 'ok')
  const before = lab.conversations()
  forbid(lab, 11, 12, 'tcp')
  t.is(pass(lab, back(CALL_IN, { tcp: 'R' })), 'ok', 'it may go: app 12 may reach that port')
  t.deepEqual(lab.conversations(), before)
  t.is(pass(lab, back(CALL_IN, { tcp: 'A' })), 'ok')
  t.notDeepEqual(lab.conversations(), before)
})
