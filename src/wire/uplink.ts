/**
 * What stands before a super-frame of a VXLAN when it is written to a TAP whole: a virtio-net header that knows UDP tunnels (struct
 * virtio_net_hdr_v1_hash_tunnel of linux/virtio_net.h, little-endian; Linux 6.17), then Ethernet, IPv4, UDP and VXLAN header.
 */
import { fold, sumBytes } from './checksum.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, OFF_ETHERTYPE, OFF_SOURCE as OFF_MAC_SOURCE } from './ethernet.js'
import { FLAG_DF, IPV4_HEADER, OFF_SOURCE, PROTOCOL_UDP, writeIpv4 } from './ipv4.js'
import { setMac } from './mac.js'
import * as udp from './udp.js'
import { VXLAN_HEADER } from './vxlan.js'

export const UPLINK_VNET = 24
const OUTER_L4 = ETHERNET_HEADER + IPV4_HEADER
/** Bytes from the outer to the inner Ethernet header. */
const UPLINK_OUTER = OUTER_L4 + udp.UDP_HEADER + VXLAN_HEADER
/** Bytes of all that is written here. */
export const UPLINK_HEADERS = UPLINK_VNET + UPLINK_OUTER
/** Bytes of the largest inner frame: what the outer packet's total length can say. */
export const UPLINK_MAX_FRAME = 65535 + ETHERNET_HEADER - UPLINK_OUTER

/** Address of every uplink, 02:74:77:75:70:30: what is written there is for the machine itself. It is seen nowhere else. */
export const UPLINK_MAC_HI = 0x7402
export const UPLINK_MAC_LO = 0x30707577

const NEEDS_CSUM = 1
const UDP_TUNNEL_CSUM = 8
const UDP_TUNNEL_IPV4 = 0x20

/**
 * Writes the virtio-net header at `at`. Offsets and lengths are those of the inner frame, from its own beginning: `network` that of its IP
 * header, `headers` the bytes before its payload. The inner transport checksum holds the sum of the pseudo-header.
 */
export const writeUplinkVnet = (
  view: DataView, at: number, gsoType: number, gsoSize: number, network: number, csumStart: number, csumOffset: number, headers: number, udpCsum: boolean
): void => {
  view.setUint8(at, udpCsum ? NEEDS_CSUM | UDP_TUNNEL_CSUM : NEEDS_CSUM)
  view.setUint8(at + 1, gsoType | UDP_TUNNEL_IPV4)
  view.setUint16(at + 2, UPLINK_OUTER + headers, true)
  view.setUint16(at + 4, gsoSize, true)
  view.setUint16(at + 6, UPLINK_OUTER + csumStart, true)
  view.setUint16(at + 8, csumOffset, true)
  view.setInt32(at + 10, 0)
  view.setInt32(at + 14, 0)
  view.setUint16(at + 18, 0)
  view.setUint16(at + 20, OUTER_L4, true)
  view.setUint16(at + 22, UPLINK_OUTER + network, true)
}

/**
 * Writes the outer headers at `at` for an inner frame of `bytes`. Addresses are int32 in host order; `ttl` is what leaves the machine, whose
 * forwarding takes one off. With `udpCsum` the UDP checksum is the sum of the pseudo-header, the rest of which is made where the packet is cut.
 */
export const writeUplinkOuter = (
  view: DataView, at: number, bytes: number, local: number, remote: number, sourcePort: number, port: number, tos: number, ttl: number, df: boolean,
  id: number, udpCsum: boolean, header0: number, header1: number
): void => {
  setMac(view, at, UPLINK_MAC_HI, UPLINK_MAC_LO)
  setMac(view, at + OFF_MAC_SOURCE, UPLINK_MAC_HI, UPLINK_MAC_LO)
  view.setUint16(at + OFF_ETHERTYPE, ETHERTYPE_IPV4)
  const n = at + ETHERNET_HEADER
  const datagram = bytes + UPLINK_OUTER - OUTER_L4
  writeIpv4(view, n, tos, datagram + IPV4_HEADER, id, df ? FLAG_DF : 0, ttl + 1, PROTOCOL_UDP, local, remote)
  const u = at + OUTER_L4
  view.setUint16(u + udp.OFF_SOURCE_PORT, sourcePort)
  view.setUint16(u + udp.OFF_DESTINATION_PORT, port)
  view.setUint16(u + udp.OFF_LENGTH, datagram)
  view.setUint16(u + udp.OFF_CHECKSUM, udpCsum ? fold(sumBytes(view, n + OFF_SOURCE, 8, PROTOCOL_UDP + datagram)) : 0)
  view.setInt32(u + udp.UDP_HEADER, header0)
  view.setInt32(u + udp.UDP_HEADER + 4, header1)
}
