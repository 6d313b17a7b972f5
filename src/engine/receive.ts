/**
 * From an exchange's rx entries to packets: counts them, reads the virtio-net header, refuses frames whose header lies, puts VLAN tags
 * back that the kernel took off.
 */
import type { Packets } from '../core/packets.js'
import { F_CSUM_OK, F_NEEDS_CSUM } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { C_RX_BYTES, C_RX_MULTICAST, C_RX_PACKETS, PORT_CELLS } from '../core/ports.js'
import { GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VNET_F_DATA_VALID, VNET_F_NEEDS_CSUM, VNET_HDR } from '../core/layout.js'
import { RX_QINQ, RX_VLAN } from '../port/rings.js'
import { BAD_OFFLOAD_HEADER, FRAME_TOO_SHORT } from '../reason.js'
import { ETHERNET_HEADER, ETHERTYPE_QINQ, ETHERTYPE_VLAN, OFF_ETHERTYPE, VLAN_TAG } from '../wire/ethernet.js'
import * as tcp from '../wire/tcp.js'
import { UDP_HEADER } from '../wire/udp.js'

export const createReceive = (packets: Packets, ports: Ports) => {
  const { start, length, flags, gsoType, gsoSize, csumStart, csumOffset, headerLength, i32, u16, bytes, view } = packets
  const { vnetHeader, counters } = ports

  /**
   * Reads the header before the frame into the columns; false when it does not fit the frame. hdr_len is not believed
   * (the kernel gives the length of its linear part): the header length is computed from the transport header.
   */
  const readVnetHeader = (p: number): boolean => {
    const at = start[p]!
    const w = (at - VNET_HDR) >> 2
    const first = i32[w]!
    if ((first & 0xffff) === 0) return true
    const headerFlags = first & 0xff
    const gso = (first >>> 8) & 0xff
    if ((headerFlags & VNET_F_DATA_VALID) !== 0) flags[p] = flags[p]! | F_CSUM_OK
    if ((headerFlags & VNET_F_NEEDS_CSUM) === 0) return gso === 0
    const second = i32[w + 1]!
    const from = second >>> 16
    const offset = u16[(w << 1) + 4]!
    if (from < ETHERNET_HEADER || from + offset + 2 > length[p]!) return false
    flags[p] = flags[p]! | F_NEEDS_CSUM
    csumStart[p] = from
    csumOffset[p] = offset
    if (gso === 0) return true
    const size = second & 0xffff
    const kind = gso & ~GSO_ECN
    let header = 0
    if (kind === GSO_TCPV4 || kind === GSO_TCPV6) {
      if (from + tcp.TCP_HEADER > length[p]!) return false
      header = tcp.headerLength(view, at + from)
      if (header < tcp.TCP_HEADER) return false
    } else if (kind === GSO_UDP_L4) header = UDP_HEADER
    else return false
    if (size === 0 || from + header > length[p]!) return false
    gsoType[p] = gso
    gsoSize[p] = size
    headerLength[p] = from + header
    return true
  }

  /** Inserts the tag that an entry's flags carry (IEEE 802.1Q 9.4): behind the addresses, which move into the headroom. */
  const insertTag = (p: number, entryFlags: number): void => {
    const at = start[p]! - VLAN_TAG // still 2 modulo 4
    bytes.copyWithin(at, at + VLAN_TAG, at + VLAN_TAG + OFF_ETHERTYPE)
    view.setUint16(at + OFF_ETHERTYPE, (entryFlags & RX_QINQ) === 0 ? ETHERTYPE_VLAN : ETHERTYPE_QINQ)
    view.setUint16(at + ETHERNET_HEADER, entryFlags >>> 16)
    start[p] = at
    length[p] = length[p]! + VLAN_TAG
    if ((flags[p]! & F_NEEDS_CSUM) !== 0) csumStart[p] = csumStart[p]! + VLAN_TAG
    if (gsoType[p] !== 0) headerLength[p] = headerLength[p]! + VLAN_TAG
  }

  /** The packet of a frame of `size` bytes in slot `s`, come by `port` with an entry's flags; -1 when it was dropped. */
  return (s: number, size: number, port: number, entryFlags: number): number => {
    const p = packets.received(s, size, port)
    if (p < 0) return -1
    const c = port * PORT_CELLS
    counters[c + C_RX_PACKETS]!++
    counters[c + C_RX_BYTES]! += size
    if (size < ETHERNET_HEADER) {
      packets.drop(p, FRAME_TOO_SHORT)
      return -1
    }
    if ((bytes[start[p]!]! & 1) !== 0) counters[c + C_RX_MULTICAST]!++
    if (vnetHeader[port] !== 0 && !readVnetHeader(p)) {
      packets.drop(p, BAD_OFFLOAD_HEADER)
      return -1
    }
    if ((entryFlags & RX_VLAN) !== 0) insertTag(p, entryFlags)
    return p
  }
}
