/**
 * The way out of a tunnel for TCP super-frames: whole, with all outer headers, into a TAP of the underlay's namespace (lab/uplink.ts). The kernel
 * forwards it as one packet, and cuts it only where a device has to have it cut; nothing is cut or summed here.
 *
 * A write to a TAP has been forwarded when it returns, as a datagram of a socket has, so a flow's packets keep their order whichever of the
 * two ways each of them goes.
 */
import type { Packets } from '../core/packets.js'
import { F_NEEDS_CSUM, F_SLICE } from '../core/packets.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6 } from '../core/layout.js'
import { swap16 } from '../wire/checksum.js'
import * as ethernet from '../wire/ethernet.js'
import { UPLINK_HEADERS, UPLINK_MAX_FRAME, UPLINK_VNET, writeUplinkOuter, writeUplinkVnet } from '../wire/uplink.js'
import type { Rings } from './rings.js'
import { ADDRESS_WORDS, MAX_WRITEV_PAIRS, TX_WRITEV } from './rings.js'

/** Forwarding takes one off, and there is no larger one to begin with. */
const MAX_TTL = 254

/** What it has to know of tunnels: columns of table/tunnels.ts. */
export interface UplinkColumns {
  uplink: Int32Array
  uplinkTtl: Int32Array
  uplinkCsum: Int32Array
  local: Int32Array
  sendPorts: readonly Int32Array[]
  sendPortsDf: readonly Int32Array[]
}

export interface UplinkParts {
  packets: Packets
  rings: Rings
  tunnels: UplinkColumns
  flush: () => void
  random: () => number
  /** Off: headers never stand before the frame, but apart; on when left out. */
  headroom?: boolean
}

export const createUplink = ({ packets, rings, tunnels, flush, random, headroom = true }: UplinkParts) => {
  const { start, length, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, stride, next, view } = packets
  const { gather, addresses } = rings
  // IPv4 identification: datagrams without DF may be cut on their way
  let id = Math.floor(random() * 0x10000)

  /**
   * Only TCP without a VLAN tag. A peer that is a socket may get a super-frame without its segments' size: of TCP any will do, of UDP no other.
   */
  const isForIt = (p: number): boolean => {
    const kind = gsoType[p]! & ~GSO_ECN
    const type = ethernet.etherType(view, start[p]!)
    return (kind === GSO_TCPV4 && type === ethernet.ETHERTYPE_IPV4) || (kind === GSO_TCPV6 && type === ethernet.ETHERTYPE_IPV6)
  }

  const swap32 = (word: number): number => (swap16(word) << 16) | swap16(word >>> 16)

  /**
   * Sends super-frame `p` to the peer of row `remote`, from the port of the tunnel's `way`-th socket (of those with DF or without); `header0` and
   * `header1` are the tunnel's header, big-endian, `ttlTos` as in tx entries. False, and nothing has happened, when it must go by the socket.
   */
  return (
    p: number, port: number, t: number, way: number, isDf: boolean, remote: number, header0: number, header1: number, ttlTos: number
  ): boolean => {
    const size = gsoSize[p]!
    if (!isForIt(p) || (flags[p]! & F_NEEDS_CSUM) === 0 || size === 0 || length[p]! > UPLINK_MAX_FRAME) return false
    const ttl = ttlTos >= 0 && (ttlTos & 0xff) !== 0 ? ttlTos & 0xff : tunnels.uplinkTtl[t]!
    if (ttl > MAX_TTL) return false
    const segments = Math.max(1, Math.ceil((length[p]! - headerLength[p]!) / size))
    const parts = stride[p] === 0 ? 1 : segments
    if (parts + 1 > MAX_WRITEV_PAIRS) return false
    if (!rings.hasRoom(parts + 1, UPLINK_HEADERS + 4, 1)) {
      flush()
      if (!rings.hasRoom(parts + 1, UPLINK_HEADERS + 4, 1)) return false
    }
    // In the headroom, unless that is another one's, too
    const inPlace = headroom && parts === 1 && (flags[p]! & F_SLICE) === 0 && !packets.isShared(p)
    const at = inPlace ? start[p]! - UPLINK_HEADERS : rings.takeScratch(UPLINK_HEADERS)
    const udpCsum = tunnels.uplinkCsum[t] !== 0
    const w = remote * ADDRESS_WORDS
    writeUplinkVnet(view, at, gsoType[p]!, size, ethernet.ETHERNET_HEADER, csumStart[p]!, csumOffset[p]!, headerLength[p]!, udpCsum)
    writeUplinkOuter(
      view, at + UPLINK_VNET, length[p]!, tunnels.local[t]!, swap32(addresses[w + 1]!), (isDf ? tunnels.sendPortsDf[t]! : tunnels.sendPorts[t]!)[way]!,
      swap16(addresses[w]! >>> 16), ttlTos < 0 ? 0 : ttlTos >>> 8, ttl, isDf, id, udpCsum, header0, header1
    )
    id = (id + segments) & 0xffff
    const descriptor = tunnels.uplink[t]!
    next[p] = -1
    if (inPlace) {
      rings.push(p, port, descriptor, UPLINK_HEADERS)
      return true
    }
    const pair = rings.takePairs(parts + 1)
    let g = pair * 2
    gather[g] = at
    gather[g + 1] = UPLINK_HEADERS
    g += 2
    gather[g] = start[p]!
    gather[g + 1] = parts === 1 ? length[p]! : headerLength[p]! + size
    let from = start[p]! + headerLength[p]! + stride[p]!
    for (let o = headerLength[p]! + size, i = 1; i < parts; i++, o += size, from += stride[p]!) {
      g += 2
      gather[g] = from
      gather[g + 1] = Math.min(size, length[p]! - o)
    }
    rings.pushGathered(TX_WRITEV, p, port, descriptor, pair, parts + 1)
    return true
  }
}
