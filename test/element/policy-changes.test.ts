/** Hosts, apps and policies that change; what is counted; what happens when tables are full. */
import test from 'ava'
import { ip, mac } from '../helpers/arp-lab.js'
import { ALL } from '../helpers/frames.js'
import { A, B, C, CALL, CALL_IN, CALL_OUT, FAR_A, allow, back, cell, forbid, pass, settled } from './policy-cell.js'
import { createPolicyLab, frameOf, packetOf } from './policy-lab.js'
import type { Packet } from './policy-model.js'

test('an address that moves to another port', (t) => {
  const lab = cell([11, 12, 'tcp'])
  settled(lab, CALL)
  forbid(lab, 11, 12, 'tcp')
  t.is(pass(lab, { ...CALL, tcp: 'A' }), 'policy-denied')
  lab.setPort(3, 12, ['10.0.0.33'])
  lab.setPort(4, 12, [B])
  allow(lab, 11, 12, 'tcp')
  for (let i = 0; i < 3; i++) {
    t.is(lab.admit(lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number, 4), 'ok')
    t.is(lab.admit(lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number, 3), 'app-address-foreign')
  }
})

test('marked, and then the policies change before it leaves', (t) => {
  const lab = cell([11, 12, 'tcp'])
  for (const p of [CALL, back(CALL, { tcp: 'SA' }), { ...CALL, tcp: 'A' }]) t.is(pass(lab, p), 'ok')
  const n = lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number
  forbid(lab, 11, 12, 'tcp')
  t.is(lab.admit(n, 3), 'policy-denied')
})

test('a host that changes its app, or is none any more', (t) => {
  const lab = cell([11, 12, 'tcp'], [13, 12, 'tcp'])
  for (const p of [CALL, back(CALL, { tcp: 'SA' }), { ...CALL, tcp: 'A' }]) t.is(pass(lab, p), 'ok')
  lab.setPort(1, 14, [A])
  t.is(pass(lab, { ...CALL, tcp: 'A' }), 'policy-denied')
  t.is(pass(lab, back(CALL, { tcp: 'A' })), 'policy-denied')
  lab.setPort(1, 13, [A])
  t.is(pass(lab, { ...CALL, tcp: 'A' }), 'ok')
  lab.policy.clearPort(3)
  t.is(lab.ports.app[3], 0)
  lab.setPort(3, 11, [B])
  t.is(pass(lab, { ...CALL, tcp: 'A' }), 'policy-denied')
  t.false(lab.setPort(4, 13, [C, A]), 'an address of another port')
  t.is(pass(lab, { from: C, to: B }), 'policy-denied', 'and nothing has changed')
})

test('a host with two addresses speaks from both', (t) => {
  const lab = cell([11, 12, 'tcp'])
  lab.setPort(1, 11, [A, '10.0.0.9'])
  for (let i = 0; i < 3; i++) {
    t.is(lab.admit(lab.mark(packetOf({ ...CALL, from: '10.0.0.9', tcp: i === 0 ? 'S' : 'A' }), 1) as number, 3), 'ok')
    t.is(lab.admit(lab.mark(packetOf(back({ ...CALL, from: '10.0.0.9' }, { tcp: i === 0 ? 'SA' : 'A' })), 3) as number, 1), 'ok')
  }
})

test('a host without addresses says nothing', (t) => {
  const lab = cell()
  lab.setPort(1, 11, [])
  for (const from of [A, '0.0.0.0', '255.255.255.255']) t.is(lab.mark(packetOf({ ...CALL_OUT, from }), 1), 'app-source-forged')
})

test('hits of a policy are the conversations that it has let in', (t) => {
  const lab = cell([11, 12, 'tcp'], [11, 12, 'udp'])
  const hits = (): number[] => lab.policies.rows().map((r) => lab.policies.hits[r]!)
  for (const call of [CALL, CALL_IN]) {
    t.is(pass(lab, call), 'ok')
    for (let i = 0; i < 3; i++) {
      t.is(pass(lab, back(call, { tcp: 'SA' })), 'ok')
      t.is(pass(lab, { ...call, tcp: 'A' }), 'ok')
      lab.wait(1)
      allow(lab, 13, 12, 'udp', 80 + i)
    }
  }
  t.is(pass(lab, { ...CALL, protocol: 'udp' }), 'ok')
  t.deepEqual(hits().slice(0, 2), [2, 1])
})

test('denied packets are counted as what was tried', (t) => {
  const lab = cell([11, 12, 'tcp'])
  const list = (): unknown[] => lab.denials.list().map((d) => [d.from, d.to, d.protocol, d.port, d.packets, d.source, d.destination])
  pass(lab, { ...CALL_IN, dport: 443 })
  lab.wait(1)
  pass(lab, { ...CALL_IN, dport: 443, from: '10.1.0.7' }, 11)
  pass(lab, CALL_IN, 0)
  pass(lab, { ...CALL_IN, protocol: 'icmp' })
  t.deepEqual(list(), [
    [11, 12, 1, 0, 1, ip(FAR_A), ip(B)], [0, 12, 6, 80, 1, ip(FAR_A), ip(B)], [11, 12, 6, 443, 2, ip('10.1.0.7'), ip(B)]
  ])
  // An answer of a conversation that was ended counts as that conversation
  for (const call of [CALL_IN, CALL]) {
    const ended = cell([11, 12, 'tcp'])
    t.is(pass(ended, call), 'ok')
    forbid(ended, 11, 12, 'tcp')
    pass(ended, back(call, { tcp: 'A' }))
    t.deepEqual(ended.denials.list().map((d) => [d.from, d.to, d.protocol, d.port]), [[11, 12, 6, 80]])
  }
})

test('a full table: what would open a conversation is dropped, at the source and at the destination', (t) => {
  const lab = createPolicyLab({ capacity: 2 })
  lab.setPort(1, 11, [A])
  lab.setPort(3, 12, [B])
  allow(lab, 11, 12, 'udp')
  for (const sport of [1, 2]) {
    const call: Partial<Packet> = { ...CALL_OUT, protocol: 'udp', sport }
    t.is(pass(lab, call), 'ok')
    t.is(pass(lab, back(call)), 'ok')
  }
  t.is(pass(lab, { ...CALL_OUT, protocol: 'udp', sport: 3 }), 'source flow-table-full')
  t.is(pass(lab, { ...CALL_IN, protocol: 'udp', sport: 3 }), 'flow-table-full')
  lab.wait(121)
  lab.policy.sweep()
  t.is(lab.flows.count(), 0)
  t.is(pass(lab, { ...CALL_IN, protocol: 'udp', sport: 3 }), 'ok')
})

test('a frame to a group that carries a packet to one host opens nothing', (t) => {
  const lab = cell([11, 12, 'udp'])
  t.is(pass(lab, { ...CALL_IN, protocol: 'udp', groupMac: true }), 'ok')
  t.is(pass(lab, { ...CALL_OUT, protocol: 'udp', groupMac: true }), 'ok')
  t.is(lab.flows.count(), 0)
  t.is(frameOf(packetOf({ groupMac: true }), 1)[0], mac(ALL)[0] & 0xff)
})
