/**
 * Where packets reach an app: what no policy allows is denied. Let in are packets of conversations that may go on, in both directions; ICMP
 * errors about them; and what a policy allows, which opens a conversation. A SYN is never an answer: nobody is connected to who may not be.
 */
import { F_OWN } from '../core/packets.js'
import {
  APP_ADDRESS_FOREIGN, APP_NOT_IP, APP_SOURCE_FORGED, FLOW_TABLE_FULL, OK, POLICY_DENIED, POLICY_FRAGMENT, POLICY_UNMARKED
} from '../reason.js'
import { isSyn } from '../table/flow-states.js'
import { APPS, GENERATION, REPLY, ROWS, STAMP, TCP_EVENTS } from '../table/flows.js'
import type { FragmentDecisions } from '../table/fragment-decisions.js'
import { ETHERNET_HEADER, ETHERTYPE_ARP_LE, ETHERTYPE_IPV4_LE } from '../wire/ethernet.js'
import { NO_OPTIONS, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.js'
import { FLAG_RST } from '../wire/tcp.js'
import {
  DESTINATION, FIRST, FRAGMENT_LE, IDENTITY, isGroupAddress, KIND_ANSWER, KIND_ERROR, KIND_LATER, KIND_OTHER, KIND_PORTS,
  KIND_QUERY, OFFSET, PORTS, PROTOCOL, SOURCE, TCP_FLAGS, TO_PORT
} from './policy-headers.js'
import { TCP_PACKET, UDP_PACKET, type PolicySourceParts } from './policy-source.js'

/** A mark's app id; the other bits of a group policy are of no concern here. */
const APP_MASK = 0xffff
/** Fragments that begin before this offset, in units of 8 bytes, lie over the TCP header (RFC 3128). */
const BEHIND_TCP_HEADER = 3

export interface PolicyDestinationParts extends PolicySourceParts {
  fragments: FragmentDecisions
  onUnmarked: (mark: number) => void
}

export const createPolicyDestination = (parts: PolicyDestinationParts) => {
  const { packets, app, appPorts, policies, flows, fragments, denials, headers, conversations, clock, onUnmarked } = parts
  const { start, length, flags: packetFlags, mark: marks, i32, u16, bytes } = packets
  const { ownerOf } = appPorts
  const { t } = flows
  const { f, quoted } = headers

  const deny = (port: number, mark: number): number => {
    denials.note(mark, app[port]!, f[PROTOCOL]!, f[TO_PORT]!, f[SOURCE]!, f[DESTINATION]!, clock.now)
    return mark === 0 ? POLICY_UNMARKED : POLICY_DENIED
  }

  /**
   * Is it an ICMP error about a packet that the host has sent in a conversation that may go on? Apps are ends of conversations, so that one
   * can only speak of its own; routers between them have no mark.
   */
  const isRelated = (mark: number): boolean => {
    const kind = headers.lookQuoted()
    const sender = quoted[SOURCE]!
    const target = quoted[DESTINATION]!
    if (sender !== f[DESTINATION] || (mark !== 0 && target !== f[SOURCE])) return false
    const entry = conversations.of(kind, quoted)
    return entry >= 0 && conversations.goesOn(entry & ~REPLY, mark)
  }

  /** A policy has let it in: if it can be answered, the conversation is noted. OK, or why it cannot be. */
  const noteConversation = (found: number, kind: number, port: number, mark: number): number => {
    const flags = f[TCP_FLAGS]!
    const entry = found & ~REPLY
    const apps = mark | (app[port]! << 16)
    const rows = conversations.rowsOf(f[SOURCE]!, f[DESTINATION]!)
    const generation = policies.generation()
    if (found < 0) {
      if (kind === KIND_ANSWER || (flags & FLAG_RST) !== 0) return OK
      const opened = flows.open(f[SOURCE]!, f[DESTINATION]!, f[PORTS]!, f[PROTOCOL]!, flags, generation, apps, clock.second, rows)
      return opened < 0 ? FLOW_TABLE_FULL : OK
    }
    if ((found & REPLY) === 0) {
      t[entry + APPS] = apps
      t[entry + GENERATION] = generation
      t[entry + ROWS] = rows
      flows.track(entry, 0, flags, clock.second, conversations.epoch())
    } else if (conversations.goesOn(entry, mark)) flows.track(entry, REPLY, flags, clock.second, conversations.epoch())
    else if (kind === KIND_PORTS && (flags & FLAG_RST) === 0) flows.turn(entry, flags, generation, apps, clock.second, rows)
    return OK
  }

  /** OK, or the reason why a packet that `headers` has looked at must not leave by `port`. */
  const decide = (p: number, port: number, kind: number, mark: number): number => {
    const source = f[SOURCE]!
    const destination = f[DESTINATION]!
    const isGroupFrame = (bytes[start[p]!]! & 1) !== 0
    const isHost = ownerOf(destination) === port
    if (!isHost && !isGroupFrame && !isGroupAddress(destination)) return APP_ADDRESS_FOREIGN
    if (kind === KIND_LATER) {
      const isOverHeader = f[PROTOCOL] === PROTOCOL_TCP && f[OFFSET]! < BEHIND_TCP_HEADER
      const isAllowed = fragments.isAllowed(source, destination, f[IDENTITY]!, port, mark, policies.generation(), clock.second)
      return isAllowed && !isOverHeader ? OK : POLICY_FRAGMENT
    }
    if (kind === KIND_OTHER) return deny(port, mark)
    if (isHost && kind === KIND_ERROR && isRelated(mark)) return OK
    const found = isHost ? conversations.of(kind, f) : -1
    const flags = f[TCP_FLAGS]!
    const entry = found & ~REPLY
    const isReply = found >= 0 && (found & REPLY) !== 0
    const goesOn = isReply ? !isSyn(flags) && conversations.goesOn(entry, mark)
      // One that was not let in here yet is for the policies below
      : found >= 0 && (t[entry + APPS]! & APP_MASK) === mark && t[entry + GENERATION] !== 0 && conversations.goesOn(entry, mark)
    if (goesOn) {
      flows.track(entry, found & REPLY, flags, clock.second, conversations.epoch())
      return OK
    }
    const row = mark === 0 ? -1 : policies.find(mark, app[port]!, f[PROTOCOL]!, f[TO_PORT]!)
    if (row >= 0) {
      policies.hits[row]!++
      const isConversation = isHost && !isGroupFrame && (kind === KIND_PORTS || kind === KIND_QUERY || kind === KIND_ANSWER)
      return isConversation ? noteConversation(found, kind, port, mark) : OK
    }
    if (isReply && !isSyn(flags) && mark !== 0) {
      // An answer in a conversation that is denied counts as that conversation
      denials.note(app[port]!, mark, f[PROTOCOL]!, conversations.portOf(entry), source, destination, clock.now)
      return POLICY_DENIED
    }
    return deny(port, mark)
  }

  const admitSlow = (p: number, port: number): boolean => {
    if ((packetFlags[p]! & F_OWN) !== 0) return true
    const type = u16[(start[p]! + 12) >> 1]!
    if (type === ETHERTYPE_ARP_LE) return true
    if (type !== ETHERTYPE_IPV4_LE) {
      packets.drop(p, APP_NOT_IP)
      return false
    }
    const kind = headers.look(p)
    let why = kind < 0 ? -1 - kind : OK
    if (why === OK) {
      const mark = marks[p]! & APP_MASK
      const owner = ownerOf(f[SOURCE]!)
      const isFirst = f[FIRST] !== 0
      const source = f[SOURCE]!
      const destination = f[DESTINATION]!
      // The address of an app's host is only that app's
      why = owner >= 0 && app[owner] !== mark ? APP_SOURCE_FORGED : decide(p, port, kind, mark)
      if (isFirst) {
        if (why === OK) fragments.allow(source, destination, f[IDENTITY]!, port, mark, policies.generation(), clock.second)
        else fragments.deny(source, destination, f[IDENTITY]!, port)
      }
    }
    if (why === OK) return true
    if (why === POLICY_UNMARKED) onUnmarked(marks[p]!)
    packets.drop(p, why)
    return false
  }

  /** The port of who gets a packet of a conversation. */
  const receiverOf = (found: number): number => (t[(found & ~REPLY) + ROWS]! >>> ((~found & REPLY) << 4)) & 0xffff

  /** A frame would leave by an app's port: true if it may; false if it was dropped. */
  return (p: number, port: number): boolean => {
    // Marked a moment ago, and nothing has changed
    const known = conversations.recall(p)
    if (known >= 0 && t[known + STAMP] === conversations.epoch() && receiverOf(known) === port) return true
    const w = (start[p]! + 2) >> 2
    const head = i32[w + 3]!
    const total = ((head >>> 8) & 0xff00) | (head >>> 24)
    if (
      total + ETHERNET_HEADER > length[p]! || i32[w + 2]! >>> 16 !== ETHERTYPE_IPV4_LE || (head & 0xff) !== NO_OPTIONS ||
      (i32[w + 4]! & FRAGMENT_LE) !== 0
    ) return admitSlow(p, port)
    const protocol = (i32[w + 5]! >>> 8) & 0xff
    const isPlain = protocol === PROTOCOL_TCP ? total >= TCP_PACKET && ((i32[w + 11]! >>> 8) & TCP_EVENTS) === 0
      : protocol === PROTOCOL_UDP && total >= UDP_PACKET
    if (!isPlain) return admitSlow(p, port)
    const found = flows.peek(i32[w + 6]!, i32[w + 7]!, i32[w + 8]!, protocol)
    if (found < 0 || t[found + STAMP] !== conversations.epoch() || receiverOf(found) !== port) return admitSlow(p, port)
    const sender = (t[(found & ~REPLY) + APPS]! >>> ((found & REPLY) << 4)) & APP_MASK
    // Only that of an answer from elsewhere is not known, which may have any mark
    return sender === 0 || sender === (marks[p]! & APP_MASK) || admitSlow(p, port)
  }
}
