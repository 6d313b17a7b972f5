/** Text of ARP packets (RFC 826, 903, 2390), for `format.ts`. */
import * as arp from './arp.js'
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethernet.js'
import { formatIp4 } from './ip4.js'
import { formatMac } from './mac.js'

const REVERSE_REQUEST = 3
const REVERSE_REPLY = 4
const INVERSE_REQUEST = 8
const INVERSE_REPLY = 9

/** What a packet of `length` bytes (padding included) says, behind `name`. */
export const formatArp = (view: DataView, o: number, end: number, length: number, name: string): string => {
  if (o + arp.OFF_SENDER_MAC > end) return ' [|arp]'
  const hardware = view.getUint16(o)
  const protocol = view.getUint16(o + arp.OFF_PROTOCOL_TYPE)
  const hardwareLength = view.getUint8(o + arp.OFF_HARDWARE_LENGTH)
  const protocolLength = view.getUint8(o + arp.OFF_PROTOCOL_LENGTH)
  if (o + arp.OFF_SENDER_MAC + 2 * (hardwareLength + protocolLength) > end) return ' [|arp]'
  const ethernet = hardware === arp.HARDWARE_ETHERNET || hardware === arp.HARDWARE_IEEE802
  if (!ethernet || hardwareLength !== 6 || protocol !== ETHERTYPE_IPV4 || protocolLength !== 4) {
    const hardwareName = ethernet ? 'Ethernet' : `Unknown Hardware (${hardware})`
    const protocolName =
      protocol === ETHERTYPE_IPV4 ? 'IPv4'
      : protocol === ETHERTYPE_IPV6 ? 'IPv6'
      : `Unknown Protocol (0x${protocol.toString(16).padStart(4, '0')})`
    return `${name}${hardwareName} (len ${hardwareLength}), ${protocolName} (len ${protocolLength}), length ${length}`
  }
  const sender = formatIp4(arp.senderIp(view, o))
  const senderMac = formatMac(arp.senderMacHi(view, o), arp.senderMacLo(view, o))
  const target = formatIp4(arp.targetIp(view, o))
  const hi = arp.targetMacHi(view, o)
  const lo = arp.targetMacLo(view, o)
  const targetMac = formatMac(hi, lo)
  const operation = arp.operation(view, o)
  const text =
    operation === arp.ARP_REQUEST ? `Request who-has ${target}${(hi | lo) === 0 ? '' : ` (${targetMac})`} tell ${sender}`
    : operation === arp.ARP_REPLY ? `Reply ${sender} is-at ${senderMac}`
    : operation === REVERSE_REQUEST ? `Reverse Request who-is ${targetMac} tell ${senderMac}`
    : operation === REVERSE_REPLY ? `Reverse Reply ${targetMac} at ${target}`
    : operation === INVERSE_REQUEST ? `Inverse Request who-is ${targetMac} tell ${senderMac}`
    : operation === INVERSE_REPLY ? `Inverse Reply ${senderMac} at ${sender}`
    : `Unknown (${operation})`
  return `${name}${text}, length ${length}`
}
