/** What is marked, let in and denied, by examples: one cell with apps 11, 12 and 13, and hosts of apps 11 and 12 on other cells. */
import test from 'ava'
import { arpFrame } from '../helpers/frames.js'
import { A, B, C, CALL, CALL_IN, CALL_OUT, FAR_B, ROUTER, allow, back, cell, forbid, pass } from './policy-cell.js'
import { macOf, packetOf, PROTOCOLS } from './policy-lab.js'
import type { Packet } from './policy-model.js'

test('default: deny, also within an app', (t) => {
  const lab = cell()
  t.is(pass(lab, CALL), 'policy-denied')
  t.is(pass(lab, CALL_IN), 'policy-denied')
  t.is(pass(lab, { from: FAR_B, to: B }), 'policy-denied')
})

test('a policy is for one direction, protocol and port', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, CALL), 'ok')
  t.is(pass(lab, CALL_IN), 'ok')
  t.is(pass(lab, { ...CALL, dport: 81 }), 'policy-denied')
  t.is(pass(lab, { ...CALL, protocol: 'udp' }), 'policy-denied')
  t.is(pass(lab, { ...CALL, protocol: 'icmp' }), 'policy-denied')
  t.is(pass(lab, { ...CALL, protocol: 'other' }), 'policy-denied')
  t.is(pass(lab, { from: B, to: A }), 'policy-denied')
  t.is(pass(lab, { from: A, to: C }), 'policy-denied')
})

test('whole TCP connections, between hosts here and with hosts elsewhere; a SYN is no answer', (t) => {
  for (const call of [CALL, CALL_IN, CALL_OUT]) {
    const lab = cell([11, 12, 'tcp'])
    for (const [answer, tcp] of [[false, 'S'], [true, 'SA'], [false, 'A'], [true, 'A'], [false, 'FA'], [true, 'FA'], [false, 'A']] as const) {
      t.is(pass(lab, { ...(answer ? back(call) : call), tcp }), 'ok', tcp)
    }
    const opens = pass(lab, back(call, { tcp: 'S' }))
    t.is(opens, call === CALL_IN ? 'ok' : 'policy-denied', 'what leaves this cell is decided elsewhere')
  }
})

test('nobody answers who was not asked', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, back(CALL, { tcp: 'SA' })), 'policy-denied')
  t.is(pass(lab, back(CALL_OUT, { tcp: 'A' })), 'policy-denied')
})

test('what a host sends elsewhere is answered, whatever the mark of the answer', (t) => {
  const lab = cell()
  t.is(pass(lab, { ...CALL_OUT, to: '192.0.2.1', protocol: 'udp' }), 'ok')
  t.is(pass(lab, back({ ...CALL_OUT, to: '192.0.2.1', protocol: 'udp' })), 'ok')
  t.is(pass(lab, CALL_OUT), 'ok')
  t.is(pass(lab, back(CALL_OUT, { tcp: 'SA' }), 0), 'ok')
})

test('a policy that goes ends its conversations in both directions, here and for hosts elsewhere', (t) => {
  for (const call of [CALL, CALL_IN]) {
    const lab = cell([11, 12, 'tcp'])
    const answer = back(call)
    t.is(pass(lab, call), 'ok')
    t.is(pass(lab, { ...answer, tcp: 'SA' }), 'ok')
    t.is(pass(lab, { ...call, tcp: 'A' }), 'ok')
    forbid(lab, 11, 12, 'tcp')
    t.is(pass(lab, { ...answer, tcp: 'A' }), call === CALL ? 'policy-denied' : 'source policy-denied')
    t.is(pass(lab, { ...call, tcp: 'A' }), 'policy-denied')
    lab.wait(7000)
    t.is(pass(lab, { ...answer, tcp: 'A' }), call === CALL ? 'policy-denied' : 'source policy-denied')
    lab.wait(7000)
    t.is(pass(lab, { ...answer, tcp: 'A' }), call === CALL ? 'policy-denied' : 'source policy-denied', 'it goes on trying')
    allow(lab, 11, 12, 'tcp')
    t.is(pass(lab, { ...answer, tcp: 'A' }), 'ok', 'the policy is back')
    t.is(pass(lab, { ...call, tcp: 'A' }), 'ok')
    // Other policies change nothing
    allow(lab, 13, 12, 'tcp')
    t.is(pass(lab, { ...answer, tcp: 'A' }), 'ok')
  }
})

test('an ended conversation of others does not keep a host from opening its own', (t) => {
  const lab = cell([11, 12, 'udp', 5000])
  const call: Partial<Packet> = { ...CALL_IN, protocol: 'udp', sport: 5000, dport: 5000 }
  t.is(pass(lab, call), 'ok')
  forbid(lab, 11, 12, 'udp', 5000)
  t.is(pass(lab, back(call)), 'source policy-denied')
  allow(lab, 12, 11, 'udp', 5000)
  t.is(pass(lab, back(call)), 'ok', 'known here: app 12 may')
  t.is(pass(lab, call), 'ok', 'which is an answer')
  const connection = cell([11, 12, 'tcp'])
  t.is(pass(connection, CALL_IN), 'ok')
  forbid(connection, 11, 12, 'tcp')
  t.is(pass(connection, back(CALL_IN, { tcp: 'SA' })), 'source policy-denied')
  t.is(pass(connection, back(CALL_IN, { tcp: 'S' })), 'ok', 'a connection of its own: decided elsewhere')
})

test('conversations that were open before this instance was: with a policy that is known here', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, { ...CALL_OUT, tcp: 'A' }), 'ok')
  t.is(pass(lab, back(CALL_OUT, { tcp: 'A' })), 'ok')
  t.is(pass(lab, { ...CALL_IN, sport: 7, tcp: 'A' }), 'ok')
  t.is(pass(lab, back({ ...CALL_IN, sport: 7 }, { tcp: 'A' })), 'ok')
  const none = cell()
  t.is(pass(none, { ...CALL_OUT, tcp: 'A' }), 'ok')
  t.is(pass(none, back(CALL_OUT, { tcp: 'A' })), 'policy-denied')
  // What goes on by itself, such as a retransmission, does not bring back what was ended
  t.is(pass(none, back(CALL_IN, { tcp: 'A' })), 'ok')
  t.is(pass(none, { ...CALL_IN, tcp: 'A' }), 'policy-denied')
})

test('who has no mark, or has another, is denied', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, CALL_IN, 0), 'policy-unmarked')
  t.is(pass(lab, CALL_IN, 11 | 0x480000), 'ok', 'the other bits of a group policy do not count')
  t.is(pass(lab, { ...CALL_IN, tcp: 'A' }, 0), 'policy-unmarked', 'nor does it help that the conversation is known')
  t.is(pass(lab, { ...CALL_IN, tcp: 'A' }, 12), 'policy-denied')
  t.is(pass(lab, { ...CALL_IN, tcp: 'A' }), 'ok')
  const inside = lab.arrive(packetOf({ from: A, to: B }), 12)
  t.is(lab.admit(inside, 3), 'app-source-forged', 'an address of this cell with the mark of another app')
})

test('made by this instance itself: passes', (t) => {
  const lab = cell()
  t.is(pass(lab, { from: ROUTER, to: A, protocol: 'icmp', type: 11, own: true }), 'ok')
})

const sources: [what: string, p: Partial<Packet>, reason: string][] = [
  ['another MAC address', { forgedMac: true }, 'source app-source-forged'],
  ['another address', { from: '10.0.0.77' }, 'source app-source-forged'],
  ['address of another app', { from: B, to: FAR_B }, 'source app-source-forged'],
  ['no address', { from: '0.0.0.0' }, 'source app-source-forged'],
  ['255.255.255.255', { from: '255.255.255.255' }, 'source app-source-forged'],
  ['ARP of another', { frame: 'arp', from: B }, 'source app-source-forged'],
  ['ARP with another MAC address', { frame: 'arp', forgedMac: true }, 'source app-source-forged'],
  ['ARP', { frame: 'arp' }, 'ok'],
  ['ARP probe', { frame: 'arp', from: '0.0.0.0' }, 'ok'],
  ['IPv6', { frame: 'ipv6' }, 'source app-not-ip'],
  ['a VLAN tag', { frame: 'vlan' }, 'source app-not-ip'],
  ['too short', { frame: 'short' }, 'source ip-truncated'],
  ['cut off', { frame: 'cut' }, 'source ip-truncated'],
  ['header length 16', { frame: 'ihl' }, 'source ip-header-invalid'],
  ['TCP header cut', { lacks: 1 }, 'source tcp-malformed'],
  ['UDP header cut', { lacks: 1, protocol: 'udp' }, 'source udp-malformed'],
  ['ICMP header cut', { lacks: 1, protocol: 'icmp' }, 'source icmp-malformed']
]
for (const [what, p, reason] of sources) {
  test(`from a host of an app: ${what}: ${reason}`, (t) => {
    const lab = cell([11, 12, 'tcp'])
    const packet = packetOf({ ...CALL_OUT, ...p })
    const n = lab.mark(packet, 1)
    t.is(typeof n === 'string' ? `source ${n}` : 'ok', reason)
    if (typeof n === 'number') t.is(lab.packets.mark[n]! & 0xffff, 11)
    t.is(lab.flows.count(), 0)
  })
}

test('ARP whose sender MAC address is another than that of its frame', (t) => {
  const lab = cell()
  for (const [senderMac, op, sender, fine] of [
    [macOf(1), 1, A, true], [macOf(3), 1, A, false], [macOf(1), 2, A, true], [macOf(1), 2, '0.0.0.0', false]
  ] as const) {
    const frame = arpFrame({ from: macOf(1), senderMac, sender, target: B, op })
    const n = lab.packets.received(lab.packets.takeSlot(1), frame.length, 1)
    lab.packets.bytes.set(frame, lab.packets.start[n]!)
    t.is(lab.policy.mark(n, 1), fine)
  }
})

const destinations: [what: string, p: Partial<Packet>, reason: string][] = [
  ['ARP', { frame: 'arp' }, 'ok'],
  ['IPv6', { frame: 'ipv6' }, 'app-not-ip'],
  ['a VLAN tag', { frame: 'vlan' }, 'app-not-ip'],
  ['another address', { to: '10.0.0.77' }, 'app-address-foreign'],
  ['a group that a policy allows', { to: '224.0.0.5', protocol: 'udp' }, 'ok'],
  ['a group that none allows', { to: '224.0.0.5', protocol: 'udp', dport: 81 }, 'policy-denied'],
  ['all stations of a network', { to: '10.0.0.255', groupMac: true, protocol: 'udp' }, 'ok'],
  ['options', { options: true }, 'ok'],
  ['cut off', { frame: 'cut' }, 'ip-truncated'],
  ['header length 16', { frame: 'ihl' }, 'ip-header-invalid'],
  ['TCP header cut', { lacks: 1 }, 'tcp-malformed'],
  ['an ICMP error about nothing', { protocol: 'icmp', type: 3 }, 'policy-denied']
]
for (const [what, p, reason] of destinations) {
  test(`to a host of an app: ${what}: ${reason}`, (t) => {
    const lab = cell([11, 12, 'tcp'], [11, 12, 'udp'])
    t.is(lab.admit(lab.arrive(packetOf({ ...CALL_IN, ...p }), 11), 3), reason)
    // Of the right ones, only those to one host open a conversation
    t.is(lab.flows.count(), what === 'options' ? 1 : 0)
  })
}

test('a flooded frame reaches only the host it is for', (t) => {
  const lab = cell([11, 12, 'tcp'], [11, 13, 'tcp'])
  t.is(lab.admit(lab.mark(packetOf(CALL), 1) as number, 4), 'app-address-foreign')
  t.is(pass(lab, CALL), 'ok')
  t.is(lab.admit(lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number, 4), 'app-address-foreign')
  t.is(lab.admit(lab.mark(packetOf({ ...CALL, tcp: 'A' }), 1) as number, 4), 'app-address-foreign')
})

test('ping: the answer to a request, and no request as an answer', (t) => {
  for (const type of [8, 13, 15, 17]) {
    const lab = cell([11, 12, 'icmp'])
    const ping: Partial<Packet> = { ...CALL, protocol: 'icmp', type }
    const answer = { 8: 0, 13: 14, 15: 16, 17: 18 }[type]!
    t.is(pass(lab, back(ping, { type: answer })), 'policy-denied', 'not asked')
    t.is(pass(lab, ping), 'ok')
    t.is(pass(lab, back(ping, { type: answer, id: 8 })), 'policy-denied', 'another identifier')
    t.is(pass(lab, back(ping, { type: answer })), 'ok')
    t.is(pass(lab, back(ping)), 'policy-denied', 'a request')
    lab.wait(31)
    t.is(pass(lab, back(ping, { type: answer })), 'policy-denied', 'too late')
  }
})

/** An ICMP error that quotes a packet. */
const errorOf = (from: string, quoted: Partial<Packet>, type = 3): Partial<Packet> => ({
  from, to: packetOf(quoted).from, protocol: 'icmp', type, quoted: packetOf(quoted)
})

test('ICMP errors about conversations that may go on', (t) => {
  for (const [call, by] of [[CALL, B], [CALL_OUT, FAR_B], [CALL_OUT, ROUTER]] as const) {
    for (const p of [{}, { protocol: 'udp' as const }, { protocol: 'icmp' as const }]) {
      const lab = cell([11, 12, 'tcp'], [11, 12, 'udp'], [11, 12, 'icmp'])
      const quoted = { ...call, ...p }
      const why = by === ROUTER ? 'policy-unmarked' : 'policy-denied'
      t.is(pass(lab, errorOf(by, quoted)), why, 'about nothing')
      t.is(pass(lab, quoted), 'ok')
      t.is(pass(lab, errorOf(by, quoted)), 'ok')
      t.is(pass(lab, errorOf(by, { ...quoted, options: true }, 11)), 'ok')
      t.is(pass(lab, errorOf(by, { ...quoted, ...(p.protocol === 'icmp' ? { id: 9 } : { sport: 1 }) })), why)
      t.is(pass(lab, { ...errorOf(by, quoted), quoted: packetOf({ ...quoted, from: '10.0.0.9' }) }), why, 'sent by another')
      t.is(pass(lab, errorOf(by, { ...quoted, fragment: 3 })), why)
      t.is(pass(lab, errorOf(by, { ...quoted, lacks: 13 })), why)
      if (call === CALL_OUT) continue
      // What the app of the other end says of what it has sent
      t.is(pass(lab, errorOf(A, back(quoted, p.protocol === 'icmp' ? { type: 0 } : {}))), 'ok')
      forbid(lab, 11, 12, packetOf(quoted).protocol)
      t.is(pass(lab, errorOf(by, quoted)), why, 'it was ended')
    }
  }
})

test('what a host reports of a conversation that others have opened, and that was ended', (t) => {
  for (const p of [{}, { protocol: 'udp' as const }, { protocol: 'icmp' as const }]) {
    const lab = cell([11, 12, 'tcp'], [11, 12, 'udp'], [11, 12, 'icmp'])
    const call = { ...CALL_IN, ...p }
    t.is(pass(lab, errorOf(B, call)), 'ok', 'decided elsewhere')
    t.is(pass(lab, call), 'ok')
    t.is(pass(lab, errorOf(B, call)), 'ok')
    forbid(lab, 11, 12, packetOf(call).protocol)
    t.is(pass(lab, errorOf(B, call)), 'source policy-denied')
    const [denied] = lab.denials.list()
    t.deepEqual([denied!.from, denied!.to, denied!.protocol, denied!.port], [11, 12, PROTOCOLS[packetOf(call).protocol], p.protocol === 'icmp' ? 0 : 80])
    t.is(pass(lab, { ...errorOf(B, call), quoted: packetOf({ ...call, to: C }) }), 'ok', 'of what it has not got it can tell nobody')
  }
})

test('an app can only speak of its own conversations', (t) => {
  const lab = cell([11, 12, 'tcp'])
  t.is(pass(lab, CALL), 'ok')
  t.is(pass(lab, errorOf(C, CALL)), 'policy-denied')
  t.is(pass(lab, errorOf(FAR_B, CALL)), 'policy-denied')
  t.is(pass(lab, errorOf(ROUTER, CALL)), 'ok')
  t.is(pass(lab, { ...errorOf(ROUTER, CALL), to: C }), 'policy-unmarked', 'to a host that has not sent it')
})
