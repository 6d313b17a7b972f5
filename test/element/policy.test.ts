/** What is marked, let in and denied, by examples: one cell with apps 11, 12 and 13, and hosts of apps 11 and 12 on other cells. */
import test from 'ava'
import { GSO_TCPV4 } from '../../src/core/layout.js'
import { ip, mac } from '../helpers/arp-lab.js'
import { ALL, arpFrame } from '../helpers/frames.js'
import { createPolicyLab, frameOf, macOf, packetOf, PROTOCOLS, type PolicyLab } from './policy-lab.js'
import type { Packet } from './policy-model.js'

const A = '10.0.0.1' // app 11, port 1
const B = '10.0.0.3' // app 12, port 3
const C = '10.0.0.4' // app 13, port 4
const FAR_A = '10.1.0.1' // of app 11
const FAR_B = '10.1.0.2' // of app 12
const ROUTER = '10.9.0.1'
const PORT_OF: Record<string, number> = { [A]: 1, [B]: 3, [C]: 4 }
const MARK_OF: Record<string, number> = { [FAR_A]: 11, [FAR_B]: 12 }

const cell = (...policies: [from: number, to: number, protocol: string, port?: number][]): PolicyLab => {
  const lab = createPolicyLab()
  lab.setPort(1, 11, [A])
  lab.setPort(3, 12, [B])
  lab.setPort(4, 13, [C])
  for (const [from, to, protocol, port] of policies) allow(lab, from, to, protocol, port)
  return lab
}
const allow = (lab: PolicyLab, from: number, to: number, protocol: string, port = 80): void => {
  lab.policies.add(from, to, PROTOCOLS[protocol]!, port, port)
}
const forbid = (lab: PolicyLab, from: number, to: number, protocol: string, port = 80): void => {
  lab.policies.del(from, to, PROTOCOLS[protocol]!, port, port)
}

/** From its end to its other end; 'ok', or why it was dropped. `mark` in place of the right one, for what comes from elsewhere. */
const pass = (lab: PolicyLab, p: Partial<Packet>, mark?: number): string => {
  const packet = packetOf(p)
  const [by, at] = [PORT_OF[packet.from], PORT_OF[packet.to]]
  const n = by === undefined ? lab.arrive(packet, mark ?? MARK_OF[packet.from] ?? 0) : lab.mark(packet, by)
  if (typeof n === 'string') return `source ${n}`
  if (at !== undefined) return lab.admit(n, at)
  lab.packets.transmitted(n)
  return 'ok'
}
const back = (p: Partial<Packet>, more: Partial<Packet> = {}): Partial<Packet> => {
  const q = packetOf(p)
  return { ...q, from: q.to, to: q.from, sport: q.dport, dport: q.sport, ...more }
}

const CALL: Partial<Packet> = { from: A, to: B }
const CALL_IN: Partial<Packet> = { from: FAR_A, to: B }
const CALL_OUT: Partial<Packet> = { from: A, to: FAR_B }

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

/** A connection between two hosts here: what follows of it is let in by comparison. */
const settled = (lab: PolicyLab, call: Partial<Packet>): void => {
  for (const p of [call, back(call, { tcp: 'SA' }), { ...call, tcp: 'A' }, back(call, { tcp: 'A' }), { ...call, tcp: 'A' }]) pass(lab, p)
}

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
