/**
 * One line for a frame, as `tcpdump -n` prints it (`-n -e` with the link-level header): for people who watch, and for tests.
 *
 * It knows ARP, IPv4 with ICMP, UDP, TCP and IGMP, and IPv6 in short; it goes no deeper, where tcpdump looks into DNS and the
 * like, and prints absolute TCP sequence numbers (tcpdump -S). What it does not know is named by its ethertype. Any bytes
 * whatever give a line: every read is tested against `end`, the offset behind the last byte that was captured.
 *
 * Printers are `(view, o, end, length)`: `length` is what the protocol below says, and may be more than is there. Those called
 * here take the protocol's name too, which tcpdump leaves out where the ethertype is printed, or where too little was captured.
 */
import {
  ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN,
  OFF_DESTINATION, OFF_ETHERTYPE, OFF_SOURCE, VLAN_TAG
} from './ethernet.js'
import { formatArp } from './format-arp.js'
import { formatIpv4 } from './format-ipv4.js'
import { formatIpv6 } from './format-ipv6.js'
import { formatMac, macHi, macLo } from './mac.js'

/** Where IEEE 802.3 lengths end; an Ethernet II type is larger. */
const MAX_LENGTH_FIELD = 1500

const TYPE_NAMES = new Map([
  [ETHERTYPE_IPV4, 'IPv4'], [ETHERTYPE_ARP, 'ARP'], [ETHERTYPE_IPV6, 'IPv6'],
  [ETHERTYPE_VLAN, '802.1Q'], [ETHERTYPE_QINQ, '802.1Q-QinQ'], [0x9100, '802.1Q-9100'],
  [0x8847, 'MPLS unicast'], [0x8848, 'MPLS multicast'], [0x8863, 'PPPoE D'], [0x8864, 'PPPoE S'], [0x888e, 'EAPOL'], [0x88cc, 'LLDP']
])

const isTag = (type: number): boolean => type === ETHERTYPE_VLAN || type === ETHERTYPE_QINQ || type === 0x9100

export interface FormatOptions {
  /** Print MAC addresses, ethertype, tags and length of the frame. */
  link: boolean
  /** Length on the wire, when `length` bytes of a longer frame were captured. */
  originalLength?: number
}

const typeText = (type: number): string => `ethertype ${TYPE_NAMES.get(type) ?? 'Unknown'} (0x${type.toString(16).padStart(4, '0')}), `

/** One line (no newline at its end) for the frame of `length` captured bytes at `o`. Never throws. */
export const format = (view: DataView, o: number, length: number, options: FormatOptions): string => {
  const end = o + length
  const wireLength = options.originalLength ?? length
  if (length < ETHERNET_HEADER) return ' [|ether]'
  let type = view.getUint16(o + OFF_ETHERTYPE)
  const source = formatMac(macHi(view, o + OFF_SOURCE), macLo(view, o + OFF_SOURCE))
  const destination = formatMac(macHi(view, o + OFF_DESTINATION), macLo(view, o + OFF_DESTINATION))
  const addresses = `${source} > ${destination}, `
  if (type <= MAX_LENGTH_FIELD) return `${addresses}802.3, length ${type}`

  const outer = `${addresses}${typeText(type)}length ${wireLength}`
  let at = o + ETHERNET_HEADER
  let tags = ''
  while (isTag(type)) {
    if (at + VLAN_TAG > end) return options.link ? `${addresses} [|vlan]` : ' [|vlan]'
    const tci = view.getUint16(at)
    type = view.getUint16(at + 2)
    at += VLAN_TAG
    tags += `vlan ${tci & 0xfff}, p ${tci >>> 13}, ${(tci & 0x1000) !== 0 ? 'DEI, ' : ''}${type > MAX_LENGTH_FIELD ? typeText(type) : ''}`
  }
  const rest = wireLength - (at - o)
  let text: string
  if (type === ETHERTYPE_IPV4) text = formatIpv4(view, at, end, rest, options.link ? '' : 'IP ')
  else if (type === ETHERTYPE_ARP) text = formatArp(view, at, end, rest, options.link ? '' : 'ARP, ')
  else if (type === ETHERTYPE_IPV6) text = formatIpv6(view, at, end, rest, options.link ? '' : 'IP6 ')
  else return tags === '' ? outer : `${outer}: ${tags.slice(0, -2)}`
  return options.link ? `${outer}: ${tags}${text}` : text
}
