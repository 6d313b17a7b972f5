/** Text of IPv4 packets and of UDP and IGMP in them, for `format.ts`. */
import { formatIcmp4 } from './format-icmp4.js'
import { formatTcp } from './format-tcp.js'
import { formatIp4 } from './ip4.js'
import * as ip from './ipv4.js'
import * as udp from './udp.js'

const HAS_PORTS = 4 // bytes of a transport header that hold the ports

/** The data length of a datagram of which `length` bytes are in this packet, all of them unless it is a fragment; or what is wrong. */
const formatUdp = (view: DataView, o: number, end: number, length: number, fragment: boolean): string => {
  if (length < udp.UDP_HEADER) return `truncated-udp ${length}`
  if (o + udp.UDP_HEADER > end) return ' [|udp]'
  const own = udp.udpLength(view, o)
  if (own < udp.UDP_HEADER) return `truncated-udplength ${own}`
  if (own > length && !fragment) return `UDP, bad length ${own - udp.UDP_HEADER} > ${length - udp.UDP_HEADER}`
  return `UDP, length ${own - udp.UDP_HEADER}`
}

const formatIgmp = (view: DataView, o: number, end: number, length: number): string => {
  if (o + 8 > end || length < 8) return ' [|igmp]'
  const group = view.getInt32(o + 4)
  switch (view.getUint8(o)) {
    case 0x11: return `igmp query v${length >= 12 ? 3 : view.getUint8(o + 1) === 0 ? 1 : 2}${group === 0 ? '' : ` [gaddr ${formatIp4(group)}]`}`
    case 0x12: return `igmp v1 report ${formatIp4(group)}`
    case 0x16: return `igmp v2 report ${formatIp4(group)}`
    case 0x17: return `igmp leave ${formatIp4(group)}`
    case 0x22: return `igmp v3 report, ${view.getUint16(o + 6)} group record(s)`
    default: return `igmp-0x${view.getUint8(o).toString(16)}`
  }
}

/**
 * `source > destination: what it carries`, of a transport packet of `length` bytes at `o`, ports behind the addresses where there
 * are any. `fragment`: more of it follows in other packets. Also for IPv6, whose addresses come as text.
 */
export const formatTransport = (
  view: DataView, o: number, end: number, length: number, protocol: number, source: string, destination: string, fragment: boolean
): string => {
  if (protocol === ip.PROTOCOL_TCP || protocol === ip.PROTOCOL_UDP) {
    const tcp = protocol === ip.PROTOCOL_TCP
    if (o + HAS_PORTS > end || length < HAS_PORTS) return `${source} > ${destination}:  [|${tcp ? 'tcp' : 'udp'}]`
    const from = view.getUint16(o)
    const to = view.getUint16(o + 2)
    return `${source}.${from} > ${destination}.${to}: ${tcp ? formatTcp(view, o, end, length) : formatUdp(view, o, end, length, fragment)}`
  }
  return `${source} > ${destination}: ${
    protocol === ip.PROTOCOL_ICMP ? formatIcmp4(view, o, end, length)
    : protocol === ip.PROTOCOL_IGMP ? formatIgmp(view, o, end, length)
    : ` ip-proto-${protocol} ${length}`}`
}

/** What a packet says, behind `name`; `length` is what follows the link header. */
export const formatIpv4 = (view: DataView, o: number, end: number, length: number, name: string): string => {
  if (o >= end) return ' [|ip]'
  const version = view.getUint8(o) >>> 4
  if (version !== 4) return version === 6 ? 'IP6, wrong link-layer encapsulation (invalid)' : `IP${version} (invalid)`
  if (o + ip.IPV4_HEADER > end) return `${name} [|ip]`
  const header = ip.headerLength(view, o)
  if (header < ip.IPV4_HEADER) return `${name}bad-hlen ${header}`
  const total = ip.totalLength(view, o)
  const head = length < total ? `${name}truncated-ip - ${total - length} bytes missing! ` : name
  if (total < header) return `${head}bad-len ${total}`
  const source = formatIp4(ip.source(view, o))
  const destination = formatIp4(ip.destination(view, o))
  const protocol = ip.protocol(view, o)
  // Only the first fragment has a transport header.
  if (ip.fragmentOffset(view, o) !== 0) return `${head}${source} > ${destination}: ip-proto-${protocol}`
  return head + formatTransport(view, o + header, Math.min(end, o + total), total - header, protocol, source, destination, ip.isFragment(view, o))
}
