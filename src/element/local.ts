/**
 * Packets to the stack's own addresses (net/ipv4/ip_input.c ip_local_deliver, icmp.c icmp_rcv, udp.c, tcp_ipv4.c): fragments are
 * reassembled, ICMP requests answered, and since no transport protocol listens here, everything else is refused as the kernel
 * refuses it. Echo and timestamp replies are written over the request where its bytes are its own.
 */
import type { Packets } from '../core/packets.js'
import { F_CSUM_OK, F_LINK_BROADCAST, F_NEEDS_CSUM, F_OWN, F_SHARED, F_SLICE } from '../core/packets.js'
import {
  BROADCAST_IGNORED, ICMP_IGNORED, ICMP_MALFORMED, NO_BUFFER, OK, PORT_UNREACHABLE, PROTOCOL_UNREACHABLE, TCP_MALFORMED, UDP_MALFORMED
} from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import { checksum, fold, pseudoSum, sumBytes, updateChecksum } from '../wire/checksum.js'
import { ETHERNET_HEADER } from '../wire/ethernet.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ipv4 from '../wire/ipv4.js'
import * as tcp from '../wire/tcp.js'
import * as udp from '../wire/udp.js'
import type { IcmpError } from './icmp-error.js'
import type { IpOptions } from './ip-options.js'
import type { Ping } from './ping.js'
import type { Reassembly } from './reassemble.js'

const DEFAULT_TTL = 64
const DAY_MS = 86_400_000
/** What a timestamp reply holds behind the ICMP header: times of originate, receive, transmit (RFC 792). */
const TIMESTAMPS = 12
/** Explicit congestion notification is not copied into a reset (ip_send_unicast_reply). */
const NOT_ECN = 0xfc

export interface LocalParts {
  packets: Packets
  interfaces: Interfaces
  random: () => number
  /** Milliseconds since the epoch (UT). */
  wallClock: () => number
  isLocal: (stack: number, address: number) => boolean
  icmp: Pick<IcmpError, 'error'>
  options: Pick<IpOptions, 'echo' | 'reply'>
  reassembly: Pick<Reassembly, 'add'>
  ping: Pick<Ping, 'onReply' | 'onError'>
  /** Sends an IPv4 packet of `stack`, complete with header, behind 14 bytes for Ethernet. Owns it. */
  send: (p: number, stack: number) => void
}

export type Local = ReturnType<typeof createLocal>

export const createLocal = (parts: LocalParts) => {
  const { packets, interfaces, random, wallClock, isLocal, icmp, options, reassembly, ping, send } = parts
  const { start, length, flags, gsoType, l3, l4, view } = packets
  const { stack, port } = interfaces

  /** Answers taken, by what they are; for statistics. */
  const counters = { echoReplies: 0, timestampReplies: 0, resets: 0, noBuffer: 0 }

  // Replies have even identifications, own pings odd ones: fragments of both may be on their way to the same host.
  let identification = Math.floor(random() * 0x8000) << 1
  const nextIdentification = (): number => (identification = (identification + 2) & 0xffff)

  /** Bytes from the transport header on. */
  const payload = (p: number): number => start[p]! + length[p]! - l4[p]!

  /**
   * Makes the request `p` the reply to itself: a new header before its ICMP message of `size` bytes, which stands complete, addresses
   * exchanged, options answered; and sends it.
   */
  const sendBack = (p: number, iface: number, size: number): void => {
    const source = ipv4.destination(view, l3[p]!)
    const destination = ipv4.source(view, l3[p]!)
    const tos = ipv4.tos(view, l3[p]!)
    const optionBytes = options.echo(p, iface, source)
    if (optionBytes < 0) {
      packets.drop(p, ICMP_IGNORED)
      return
    }
    const header = ipv4.IPV4_HEADER + optionBytes
    const o = l4[p]! - header
    l3[p] = o
    start[p] = o - ETHERNET_HEADER // still 2 modulo 4: headers are multiples of 4
    length[p] = ETHERNET_HEADER + header + size
    flags[p] = (flags[p]! & (F_SLICE | F_SHARED)) | F_OWN
    gsoType[p] = 0
    ipv4.writeIpv4(view, o, tos, header + size, nextIdentification(), 0, DEFAULT_TTL, ipv4.PROTOCOL_ICMP, source, destination)
    if (optionBytes > 0) ipv4.writeOptions(view, o, options.reply, optionBytes)
    send(p, stack[iface]!)
  }

  const echo = (p: number, iface: number): void => {
    if (!packets.makeWritable(p)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    const o = l4[p]!
    const word = view.getUint16(o + icmp4.OFF_TYPE)
    const reply = word & 0xff // echo reply is type 0; the code stays
    view.setUint16(o + icmp4.OFF_TYPE, reply)
    view.setUint16(o + icmp4.OFF_CHECKSUM, updateChecksum(view.getUint16(o + icmp4.OFF_CHECKSUM), word, reply))
    counters.echoReplies++
    sendBack(p, iface, payload(p))
  }

  const timestamp = (p: number, iface: number): void => {
    if (payload(p) < icmp4.ICMP_HEADER + 4) {
      packets.drop(p, ICMP_MALFORMED)
      return
    }
    // The reply may be longer: behind one of several frames in a slot the next one lies
    if (!packets.makeWritable(p) || ((flags[p]! & F_SLICE) !== 0 && !packets.moveToSmall(p))) {
      packets.drop(p, NO_BUFFER)
      return
    }
    const o = l4[p]!
    const now = Math.floor(wallClock()) % DAY_MS
    view.setUint32(o + icmp4.ICMP_HEADER + 4, now) // a slot has room for it behind any packet this short
    view.setUint32(o + icmp4.ICMP_HEADER + 8, now)
    icmp4.writeIcmp4(view, o, icmp4.ICMP_HEADER + TIMESTAMPS, icmp4.TIMESTAMP_REPLY, 0, view.getInt32(o + icmp4.OFF_REST))
    counters.timestampReplies++
    sendBack(p, iface, icmp4.ICMP_HEADER + TIMESTAMPS)
  }

  const deliverIcmp = (p: number, iface: number, unicast: boolean): void => {
    const malformed = icmp4.checkIcmp4(view, l4[p]!, payload(p))
    if (malformed !== OK) {
      packets.drop(p, malformed)
      return
    }
    if (!unicast) {
      packets.drop(p, BROADCAST_IGNORED) // icmp_echo_ignore_broadcasts 1
      return
    }
    const type = icmp4.type(view, l4[p]!)
    const answerable = ipv4.source(view, l3[p]!) !== 0
    if (type === icmp4.ECHO_REQUEST && answerable) echo(p, iface)
    else if (type === icmp4.TIMESTAMP_REQUEST && answerable) timestamp(p, iface)
    else if ((type === icmp4.ECHO_REPLY && ping.onReply(p, iface)) || (icmp4.isError(type) && ping.onError(p, iface))) packets.delivered(p)
    else packets.drop(p, ICMP_IGNORED)
  }

  /** Does the transport checksum over `size` bytes hold? */
  const sumHolds = (p: number, size: number): boolean =>
    (flags[p]! & (F_NEEDS_CSUM | F_CSUM_OK)) !== 0 ||
    fold(sumBytes(view, l4[p]!, size,
      pseudoSum(ipv4.source(view, l3[p]!), ipv4.destination(view, l3[p]!), ipv4.protocol(view, l3[p]!), size))) === 0xffff

  const deliverUdp = (p: number, iface: number, unicast: boolean): void => {
    const o = l4[p]!
    const available = payload(p)
    const size = available < udp.UDP_HEADER ? 0 : udp.udpLength(view, o)
    if (size < udp.UDP_HEADER || size > available) {
      packets.drop(p, UDP_MALFORMED)
      return
    }
    if (!unicast) {
      packets.drop(p, BROADCAST_IGNORED)
      return
    }
    length[p] = o + size - start[p]! // what follows the datagram is not quoted
    if (udp.udpChecksum(view, o) !== 0 && !sumHolds(p, size)) {
      packets.drop(p, UDP_MALFORMED)
      return
    }
    icmp.error(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.PORT_UNREACHABLE_CODE, 0)
    packets.drop(p, PORT_UNREACHABLE)
  }

  /** Answers a segment for which there is no connection (RFC 9293 3.10.7.1). Does not own `p`. */
  const reset = (p: number, iface: number, size: number): void => {
    const source = ipv4.destination(view, l3[p]!)
    const destination = ipv4.source(view, l3[p]!)
    const optionBytes = options.echo(p, iface, source)
    if (optionBytes < 0) return
    const header = ipv4.IPV4_HEADER + optionBytes
    const r = packets.originate(ETHERNET_HEADER + header + tcp.TCP_HEADER, port[iface]!)
    if (r < 0) {
      counters.noBuffer++
      return
    }
    const from = l4[p]!
    const o = start[r]! + ETHERNET_HEADER
    const at = o + header
    l3[r] = o
    l4[r] = at
    const f = tcp.flags(view, from)
    const hasAck = (f & tcp.FLAG_ACK) !== 0
    // A SYN and a FIN count one each in the sequence
    const acknowledged = (tcp.sequence(view, from) + size - tcp.headerLength(view, from) + ((f & tcp.FLAG_SYN) >> 1) + (f & tcp.FLAG_FIN)) | 0
    view.setUint16(at + tcp.OFF_SOURCE_PORT, tcp.destinationPort(view, from))
    view.setUint16(at + tcp.OFF_DESTINATION_PORT, tcp.sourcePort(view, from))
    view.setInt32(at + tcp.OFF_SEQUENCE, hasAck ? tcp.acknowledgment(view, from) : 0)
    view.setInt32(at + tcp.OFF_ACKNOWLEDGMENT, hasAck ? 0 : acknowledged)
    view.setUint8(at + tcp.OFF_DATA_OFFSET, (tcp.TCP_HEADER >> 2) << 4)
    view.setUint8(at + tcp.OFF_FLAGS, hasAck ? tcp.FLAG_RST : tcp.FLAG_RST | tcp.FLAG_ACK)
    view.setUint16(at + tcp.OFF_WINDOW, 0)
    view.setInt32(at + tcp.OFF_CHECKSUM, 0) // and the urgent pointer
    view.setUint16(at + tcp.OFF_CHECKSUM,
      checksum(view, at, tcp.TCP_HEADER, pseudoSum(source, destination, ipv4.PROTOCOL_TCP, tcp.TCP_HEADER)))
    ipv4.writeIpv4(view, o, ipv4.tos(view, l3[p]!) & NOT_ECN, header + tcp.TCP_HEADER, 0, ipv4.FLAG_DF, DEFAULT_TTL, ipv4.PROTOCOL_TCP,
      source, destination)
    if (optionBytes > 0) ipv4.writeOptions(view, o, options.reply, optionBytes)
    counters.resets++
    send(r, stack[iface]!)
  }

  const deliverTcp = (p: number, iface: number, unicast: boolean): void => {
    if (!unicast || (flags[p]! & F_LINK_BROADCAST) !== 0) {
      packets.drop(p, BROADCAST_IGNORED)
      return
    }
    const size = payload(p)
    const header = size < tcp.TCP_HEADER ? 0 : tcp.headerLength(view, l4[p]!)
    if (header < tcp.TCP_HEADER || header > size || !sumHolds(p, size)) {
      packets.drop(p, TCP_MALFORMED)
      return
    }
    if ((tcp.flags(view, l4[p]!) & tcp.FLAG_RST) === 0 && ipv4.source(view, l3[p]!) !== 0) reset(p, iface, size)
    packets.drop(p, PORT_UNREACHABLE)
  }

  /** Takes an IPv4 packet to an address of the stack of `iface`, or to a broadcast or multicast address it listens to. Owns `p`. */
  const deliver = (p: number, iface: number): void => {
    if (!packets.linearize(p)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    if (ipv4.isFragment(view, l3[p]!)) {
      p = reassembly.add(p, iface)
      if (p < 0) return
    }
    const o = l3[p]!
    const unicast = isLocal(stack[iface]!, ipv4.destination(view, o))
    const protocol = ipv4.protocol(view, o)
    if (protocol === ipv4.PROTOCOL_ICMP) deliverIcmp(p, iface, unicast)
    else if (protocol === ipv4.PROTOCOL_UDP) deliverUdp(p, iface, unicast)
    else if (protocol === ipv4.PROTOCOL_TCP) deliverTcp(p, iface, unicast)
    else if (!unicast || protocol === ipv4.PROTOCOL_IGMP) packets.drop(p, BROADCAST_IGNORED)
    else {
      icmp.error(p, iface, icmp4.DESTINATION_UNREACHABLE, icmp4.PROTOCOL_UNREACHABLE_CODE, 0)
      packets.drop(p, PROTOCOL_UNREACHABLE)
    }
  }

  return { deliver, counters }
}
