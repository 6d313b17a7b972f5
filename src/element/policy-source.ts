/**
 * Where packets leave an app: nobody can pretend to be another, every packet gets the app's mark, and what opens a conversation is noted, so
 * that its answers find their way back. What a host sends is not denied here, but at its destination; with one exception, an answer in a
 * conversation that was let in here and may no longer go on.
 */
import type { Packets } from '../core/packets.js'
import { APP_NOT_IP, APP_SOURCE_FORGED, ARP_MALFORMED, FLOW_TABLE_FULL, OK, POLICY_DENIED } from '../reason.js'
import type { AppPorts } from '../table/app-ports.js'
import type { Denials } from '../table/denials.js'
import { isSyn } from '../table/flow-states.js'
import { APPS, GENERATION, REPLY, ROWS, STAMP, TCP_EVENTS, type Flows } from '../table/flows.js'
import type { Policies } from '../table/policies.js'
import * as arp from '../wire/arp.js'
import { ETHERNET_HEADER, ETHERTYPE_ARP_LE, ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'
import { NO_OPTIONS, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.js'
import { FLAG_RST } from '../wire/tcp.js'
import type { Conversations } from './policy-conversations.js'
import {
  DESTINATION, FRAGMENT_LE, isGroupAddress, KIND_ANSWER, KIND_ERROR, KIND_PORTS, KIND_QUERY, PORTS, PROTOCOL, SOURCE, TCP_FLAGS, TO_PORT,
  type PolicyHeaders
} from './policy-headers.js'

/** Bytes of TCP and UDP headers behind an IPv4 header without options. */
export const TCP_PACKET = 40
export const UDP_PACKET = 28

export interface PolicySourceParts {
  packets: Packets
  app: Int32Array
  appPorts: AppPorts
  policies: Policies
  flows: Flows
  denials: Denials
  headers: PolicyHeaders
  conversations: Conversations
  clock: { now: number; second: number }
}

export const createPolicySource = (parts: PolicySourceParts) => {
  const { packets, app, appPorts, policies, flows, denials, headers, conversations, clock } = parts
  const { start, length, mark: marks, i32, u16, bytes, view } = packets
  const { macHead, macTail, ownerOf } = appPorts
  const { t } = flows
  const { f, quoted } = headers

  const drop = (p: number, reason: number): false => {
    packets.drop(p, reason)
    return false
  }

  /** An ARP packet says who its sender is: the host itself, or nobody in a probe (RFC 5227 2.1.1). */
  const markArp = (p: number, port: number): boolean => {
    const o = start[p]! + ETHERNET_HEADER
    if (arp.checkArp(view, o, length[p]! - ETHERNET_HEADER) !== OK) return drop(p, ARP_MALFORMED)
    const w = (o + arp.OFF_SENDER_MAC) >> 2
    const isMac = i32[w] === macHead[port] && u16[(w + 1) << 1] === (macTail[port]! & 0xffff)
    const sender = u16[(o + arp.OFF_SENDER_IP) >> 1]! | (u16[(o + arp.OFF_SENDER_IP + 2) >> 1]! << 16)
    const isProbe = sender === 0 && arp.operation(view, o) === arp.ARP_REQUEST
    if (!isMac || (!isProbe && ownerOf(sender) !== port)) return drop(p, APP_SOURCE_FORGED)
    marks[p] = app[port]!
    return true
  }

  /** The packet opens a conversation, unless it is one to a group. */
  const open = (p: number, port: number): boolean => {
    const destination = f[DESTINATION]!
    if ((bytes[start[p]!]! & 1) !== 0 || isGroupAddress(destination)) return true
    const responder = ownerOf(destination)
    const flags = f[TCP_FLAGS]!
    // Decided at its destination; where that is elsewhere, an answer is an answer
    const generation = responder < 0 && (f[PROTOCOL] !== PROTOCOL_TCP || isSyn(flags)) ? policies.generation() : 0
    const apps = app[port]! | (responder < 0 ? 0 : app[responder]! << 16)
    const entry = flows.open(
      f[SOURCE]!, destination, f[PORTS]!, f[PROTOCOL]!, flags, generation, apps, clock.second, conversations.rowsOf(f[SOURCE]!, destination)
    )
    return entry >= 0 || drop(p, FLOW_TABLE_FULL)
  }

  /** One more packet. Others like it need not be looked at in this epoch, unless the conversation may not go on. */
  const track = (entry: number, reply: number): void => {
    const isSettled = t[entry + GENERATION] === policies.generation()
    flows.track(entry, reply, f[TCP_FLAGS]!, clock.second, isSettled ? conversations.epoch() : 0)
  }

  /** An answer: it may go if its conversation may, or as a conversation of its own. */
  const answer = (p: number, port: number, entry: number, isQuery: boolean): boolean => {
    const flags = f[TCP_FLAGS]!
    // With the originator here its port decides
    if (conversations.isOriginatorHere(entry) || conversations.goesOn(entry, app[port]!)) {
      track(entry, REPLY)
      return true
    }
    const from = t[entry + APPS]! & 0xffff
    if (isSyn(flags) || policies.find(app[port]!, from, f[PROTOCOL]!, f[TO_PORT]!) >= 0) {
      const generation = isSyn(flags) || f[PROTOCOL] === PROTOCOL_UDP ? policies.generation() : 0
      const rows = conversations.rowsOf(f[SOURCE]!, f[DESTINATION]!)
      if (!isQuery && (flags & FLAG_RST) === 0) flows.turn(entry, flags, generation, app[port]!, clock.second, rows)
      return true
    }
    // As long as the host goes on the conversation stays an ended one, and does not become one that the host has opened
    flows.refresh(entry, clock.second)
    denials.note(from, app[port]!, f[PROTOCOL]!, conversations.portOf(entry), f[SOURCE]!, f[DESTINATION]!, clock.now)
    return drop(p, POLICY_DENIED)
  }

  /** An ICMP error: in a conversation that was let in here and may no longer go on, it is an answer as others are. */
  const report = (p: number, port: number): boolean => {
    const kind = headers.lookQuoted()
    if (quoted[DESTINATION] !== f[SOURCE]) return true
    const found = conversations.of(kind, quoted)
    if (found < 0 || (found & REPLY) !== 0 || conversations.isOriginatorHere(found) || conversations.goesOn(found, app[port]!)) return true
    denials.note(t[found + APPS]! & 0xffff, app[port]!, quoted[PROTOCOL]!, conversations.portOf(found), f[SOURCE]!, f[DESTINATION]!, clock.now)
    return drop(p, POLICY_DENIED)
  }

  /** All that is not a packet of a known conversation. */
  const markSlow = (p: number, port: number): boolean => {
    const w = (start[p]! + 2) >> 2
    const tail = i32[w + 2]!
    if (i32[w + 1] !== macHead[port] || ((tail ^ macTail[port]!) & 0xffff) !== 0) return drop(p, APP_SOURCE_FORGED)
    const type = tail >>> 16
    if (type === ETHERTYPE_ARP_LE) return markArp(p, port)
    if (type !== ETHERTYPE_IPV4_LE) return drop(p, APP_NOT_IP)
    const kind = headers.look(p)
    if (kind < 0) return drop(p, -1 - kind)
    const source = f[SOURCE]!
    if (ownerOf(source) !== port) return drop(p, APP_SOURCE_FORGED)
    marks[p] = app[port]!
    if (kind === KIND_ERROR) return report(p, port)
    if (kind !== KIND_PORTS && kind !== KIND_QUERY && kind !== KIND_ANSWER) return true
    const entry = conversations.of(kind, f)
    if (entry < 0) return kind === KIND_ANSWER || (f[TCP_FLAGS]! & FLAG_RST) !== 0 || open(p, port)
    if ((entry & REPLY) !== 0) return answer(p, port, entry & ~REPLY, kind === KIND_ANSWER)
    const apps = t[entry + APPS]!
    if ((apps & 0xffff) !== app[port]) {
      t[entry + APPS] = (apps & ~0xffff) | app[port]!
      t[entry + GENERATION] = 0
    }
    track(entry, 0)
    return true
  }

  /** A frame has come in by an app's port: checks it and gives it its mark. False: it was dropped. */
  return (p: number, port: number): boolean => {
    const w = (start[p]! + 2) >> 2
    const head = i32[w + 3]!
    const total = ((head >>> 8) & 0xff00) | (head >>> 24)
    // An IPv4 packet without options, no fragment, from the right MAC address
    if (
      total + ETHERNET_HEADER > length[p]! || i32[w + 1] !== macHead[port] || i32[w + 2] !== macTail[port] || (head & 0xff) !== NO_OPTIONS ||
      (i32[w + 4]! & FRAGMENT_LE) !== 0
    ) return markSlow(p, port)
    const protocol = (i32[w + 5]! >>> 8) & 0xff
    const isPlain = protocol === PROTOCOL_TCP ? total >= TCP_PACKET && ((i32[w + 11]! >>> 8) & TCP_EVENTS) === 0
      : protocol === PROTOCOL_UDP && total >= UDP_PACKET
    if (!isPlain) return markSlow(p, port)
    const found = flows.peek(i32[w + 6]!, i32[w + 7]!, i32[w + 8]!, protocol)
    if (found < 0 || t[found + STAMP] !== conversations.epoch()) return markSlow(p, port)
    // That its sender is behind this port is known
    if (((t[(found & ~REPLY) + ROWS]! >>> ((found & REPLY) << 4)) & 0xffff) !== port) return markSlow(p, port)
    conversations.mark(p, app[port]!, found)
    return true
  }
}
