/**
 * Fewer and larger writes: a run of TCP segments or of UDP datagrams of one flow, queued for one port in one turn, leaves as a single
 * super-frame, gathered from where they lie: the headers of the first, the payloads of all. The kernel behind the port cuts it again
 * where somebody wants packets. What may be joined is said in coalesce-tcp.ts and coalesce-udp.ts.
 *
 * Nothing waits for more to come. A port has a few places for runs that are open; the ports of a packet's flow say which is its own, and
 * it joins nothing but what was queued last there. So packets of one flow, which all have the same place, keep their order. What shows no
 * ports (fragments, options, extension headers) may be of any flow: it closes all places of its kind.
 */
import type { Packets } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../core/ports.js'
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../core/layout.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4_LE, ETHERTYPE_IPV6_LE } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import { UDP_HEADER } from '../wire/udp.js'
import { createTcpRule, TCP4, TCP6 } from './coalesce-tcp.js'
import { createUdpRule, UDP4 } from './coalesce-udp.js'
import { createVerifier, type Transport } from './verify.js'

/** Packets in a super-frame; the kernel takes 128 UDP datagrams, older ones 64 (UDP_MAX_SEGMENTS). */
export const MAX_RUN = 64
/** Bytes of an IP packet. */
const MAX_TOTAL = 65535

/** All of flags and fragment offset but DF, as a little-endian load sees them. */
const NOT_DF_LE = 0xffff & ~ipv4.FLAG_DF_LE
const IPV6_OFF_NEXT_HEADER = 6
const PROTOCOL_ICMPV6 = 58

/** Places of a port, by kind and by hash of the flow's ports: port << 4 | kind << 2 | hash. */
const PLACE_BITS = 4
const KIND = 3 << 2
const KIND_UDP4 = 0 << 2
const KIND_TCP4 = 1 << 2
const KIND_TCP6 = 2 << 2
const HASHES = 4
const HASH_SHIFT = 30
const HASH_FACTOR = 0x9e3779b1 | 0

/** What is joined; all when left out. */
export interface CoalesceOptions {
  tcp?: boolean
  udp?: boolean
}

export const createCoalescer = (
  packets: Packets, ports: Ports, entries: number, sums: Int32Array, sumRanges: (count: number) => void, options: CoalesceOptions = {}
) => {
  const { u16, i32, bytes, start, length, gsoType, next } = packets
  const { offloads } = ports
  const verifier = createVerifier(packets, sums, sumRanges)
  const udp = createUdpRule(packets, verifier)
  const tcp = createTcpRule(packets, verifier)
  // What a port must take for packets to be joined; 0 where they never are
  const uso = options.udp === false ? 0 : OFFLOAD_USO
  const tso4 = options.tcp === false ? 0 : OFFLOAD_TSO4
  const tso6 = options.tcp === false ? 0 : OFFLOAD_TSO6
  // By place: the entry queued last there, good while `lastTurn` is the turn it was queued in
  const lastEntry = new Int32Array(ports.capacity << PLACE_BITS)
  const lastTurn = new Int32Array(ports.capacity << PLACE_BITS).fill(-1)
  let turn = 0
  // By tx entry: its kind, first and last packet, how many, payload bytes of the first and of all, and whether another may join
  const kind = new Int32Array(entries)
  const head = new Int32Array(entries)
  const tail = new Int32Array(entries)
  const count = new Int32Array(entries)
  const segment = new Int32Array(entries)
  const payload = new Int32Array(entries)
  const open = new Uint8Array(entries)
  // Entries of two packets and more
  const runs = new Int32Array(entries)
  let runCount = 0

  const transportOf = (e: number): Transport => (kind[e] === KIND_TCP4 ? TCP4 : kind[e] === KIND_TCP6 ? TCP6 : UDP4)

  const closeAll = (place: number): number => {
    for (let i = place; i < place + HASHES; i++) lastTurn[i] = -1
    return -1
  }

  const add = (e: number, p: number, data: number): void => {
    const n = count[e]!
    if (n === 1) runs[runCount++] = e
    next[tail[e]!] = p
    next[p] = -1
    tail[e] = p
    count[e] = n + 1
    payload[e] = payload[e]! + data
  }

  const joinUdp = (e: number, h: number, p: number): boolean => {
    if (!udp.isSameFlow(h, p)) return false
    if (count[e] === 1) {
      const whole = udp.dataOf(h)
      if (whole < 0 || !udp.isSound(h)) {
        open[e] = 0
        return false
      }
      segment[e] = whole
      payload[e] = whole
    }
    const data = udp.dataOf(p)
    if (data < 0 || payload[e]! + data > MAX_TOTAL - ipv4.IPV4_HEADER - UDP_HEADER || !udp.isSound(p)) return false
    add(e, p, data)
    if (data < segment[e]!) open[e] = 0 // a shorter one is the last
    return true
  }

  const joinTcp = (e: number, h: number, p: number, t: Transport): boolean => {
    const data = tcp.dataOf(p, t)
    if (data <= 0 || !tcp.isNext(h, p, count[e]!, payload[e]!, t)) return false
    if (payload[e]! + length[h]! - segment[e]! + data > MAX_TOTAL) return false
    if (!(count[e] === 1 ? tcp.areSound(h, p, t) : tcp.isSound(p, t))) return false
    add(e, p, data)
    if (data < segment[e]! || tcp.isPushed(p, t.l4)) open[e] = 0
    return true
  }

  return {
    /** Entries that hold runs, the first `runCount()`; by entry: payload bytes of each packet but the last, and where things are in them. */
    runs, segment, transportOf,
    runCount: (): number => runCount,

    /** Could runs of what `p` is leave by `port`? All that most packets cost. */
    isJoinable: (p: number, port: number): boolean => {
      const at = start[p]!
      const type = u16[(at + 12) >> 1]!
      let needed = 0
      if (type === ETHERTYPE_IPV4_LE) {
        const protocol = bytes[at + ETHERNET_HEADER + ipv4.OFF_PROTOCOL]!
        needed = protocol === ipv4.PROTOCOL_UDP ? uso : protocol === ipv4.PROTOCOL_TCP ? tso4 : 0
      } else if (type === ETHERTYPE_IPV6_LE) needed = tso6
      return (offloads[port]! & needed) !== 0
    },

    /** The place of a packet that is joinable; -1 when nothing can be joined to it, nor it to anything. */
    placeOf: (p: number, port: number): number => {
      const at = start[p]!
      let place = port << PLACE_BITS
      let l4 = at
      if (u16[(at + 12) >> 1] === ETHERTYPE_IPV4_LE) {
        place += bytes[at + ETHERNET_HEADER + ipv4.OFF_PROTOCOL] === ipv4.PROTOCOL_UDP ? KIND_UDP4 : KIND_TCP4
        if (bytes[at + ETHERNET_HEADER] !== ipv4.NO_OPTIONS || (u16[(at + 20) >> 1]! & NOT_DF_LE) !== 0) return closeAll(place)
        l4 += TCP4.l4
      } else {
        const protocol = bytes[at + ETHERNET_HEADER + IPV6_OFF_NEXT_HEADER]!
        place += KIND_TCP6
        if (protocol !== ipv4.PROTOCOL_TCP) return protocol === ipv4.PROTOCOL_UDP || protocol === PROTOCOL_ICMPV6 ? -1 : closeAll(place)
        l4 += TCP6.l4
      }
      return place + (Math.imul(i32[l4 >> 2]!, HASH_FACTOR) >>> HASH_SHIFT)
    },

    /** Joins `p` to what was queued last at its place; false when it does not belong there. */
    join: (place: number, p: number): boolean => {
      if (lastTurn[place] !== turn) return false
      const e = lastEntry[place]!
      const h = head[e]!
      // Most packets fail here, at no more cost than a few loads
      if (open[e] === 0 || length[p]! > length[h]! || gsoType[p] !== 0 || count[e] === MAX_RUN) return false
      switch (place & KIND) {
        case KIND_TCP4: return joinTcp(e, h, p, TCP4)
        case KIND_TCP6: return joinTcp(e, h, p, TCP6)
        default: return joinUdp(e, h, p)
      }
    },

    /** A packet has been queued as entry `e`, which is now the last at its place: it may begin a run. */
    begin: (place: number, e: number, p: number): void => {
      lastEntry[place] = e
      lastTurn[place] = turn
      open[e] = 0
      if (gsoType[p] !== 0) return
      const of = place & KIND
      if (of !== KIND_UDP4) {
        const t = of === KIND_TCP4 ? TCP4 : TCP6
        const data = tcp.dataOf(p, t)
        if (data <= 0 || tcp.isPushed(p, t.l4)) return
        segment[e] = data
        payload[e] = data
      }
      open[e] = 1
      kind[e] = of
      head[e] = p
      tail[e] = p
      count[e] = 1
    },

    /** Makes the headers of the first packet those of the whole run. Returns how many bytes they are. */
    writeHeaders: (e: number): number => {
      const h = head[e]!
      const headers = length[h]! - segment[e]!
      if (kind[e] === KIND_UDP4) udp.writeHeaders(h, payload[e]!)
      else tcp.writeHeaders(h, tail[e]!, headers, payload[e]!, transportOf(e))
      return headers
    },

    /** The virtio-net name of a run's kind. */
    gsoOf: (e: number): number => (kind[e] === KIND_TCP4 ? GSO_TCPV4 : kind[e] === KIND_TCP6 ? GSO_TCPV6 : GSO_UDP_L4),

    /** What is queued will be sent: every run ends. */
    endTurn: (): void => {
      turn = (turn + 1) | 0
      runCount = 0
    }
  }
}
