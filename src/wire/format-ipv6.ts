/** Text of IPv6 packets (RFC 8200), in short: hosts on a bridge speak it unasked. For `format.ts`. */
import { formatTransport } from './format-ipv4.js'
import { PROTOCOL_TCP, PROTOCOL_UDP } from './ipv4.js'

const IPV6_HEADER = 40
const HOP_BY_HOP = 0
const FRAGMENT = 44
const ICMP6 = 58
const NO_NEXT_HEADER = 59

/** Recommended text of the 16 bytes at `o` (RFC 5952): lower case, the longest run of two or more zero groups as `::`. */
export const formatIp6 = (view: DataView, o: number): string => {
  let best = 0
  let length = 1
  for (let i = 0; i < 8; i++) {
    let run = 0
    while (i + run < 8 && view.getUint16(o + 2 * (i + run)) === 0) run++
    if (run > length) {
      best = i
      length = run
    }
  }
  const groups = (from: number, to: number): string => {
    const list: string[] = []
    for (let i = from; i < to; i++) list.push(view.getUint16(o + 2 * i).toString(16))
    return list.join(':')
  }
  return length < 2 ? groups(0, 8) : `${groups(0, best)}::${groups(best + length, 8)}`
}

// ICMPv6 types (RFC 4443, 4861, 3810)
const ECHO_REQUEST = 128
const ECHO_REPLY = 129
const NEIGHBOR_SOLICITATION = 135
const NEIGHBOR_ADVERTISEMENT = 136
const LISTENER_REPORT_V2 = 143

const ICMP6_NAMES = new Map([
  [1, 'destination unreachable'], [2, 'packet too big'], [3, 'time exceeded'], [4, 'parameter problem'],
  [130, 'multicast listener query'], [131, 'multicast listener report'], [132, 'multicast listener done'],
  [133, 'router solicitation'], [134, 'router advertisement'], [137, 'redirect']
])

const formatIcmp6 = (view: DataView, o: number, end: number, length: number): string => {
  if (o + 8 > end) return ' [|icmp6]'
  const type = view.getUint8(o)
  let text = ICMP6_NAMES.get(type) ?? `type-#${type}`
  if (type === ECHO_REQUEST || type === ECHO_REPLY) {
    text = `echo ${type === ECHO_REQUEST ? 'request' : 'reply'}, id ${view.getUint16(o + 4)}, seq ${view.getUint16(o + 6)}`
  } else if (type === LISTENER_REPORT_V2) text = `multicast listener report v2, ${view.getUint16(o + 6)} group record(s)`
  else if (type === NEIGHBOR_SOLICITATION || type === NEIGHBOR_ADVERTISEMENT) {
    if (o + 24 > end) return ' [|icmp6]'
    text = `neighbor ${type === NEIGHBOR_SOLICITATION ? 'solicitation, who has' : 'advertisement, tgt is'} ${formatIp6(view, o + 8)}`
  }
  return `ICMP6, ${text}, length ${length}`
}

/** What a packet says, behind `name`; `length` is what follows the link header. */
export const formatIpv6 = (view: DataView, o: number, end: number, length: number, name: string): string => {
  if (o >= end) return ' [|ip6]'
  const version = view.getUint8(o) >>> 4
  if (o + IPV6_HEADER > end) return ' [|ip6]'
  if (version !== 6) return `${name}version error: ${version} != 6`
  const payload = view.getUint16(o + 4)
  const head = length < payload + IPV6_HEADER ? `${name}truncated-ip6 - ${payload + IPV6_HEADER - length} bytes missing!` : name
  const source = formatIp6(view, o + 8)
  const destination = formatIp6(view, o + 24)
  const last = Math.min(end, o + IPV6_HEADER + payload)
  let next = view.getUint8(o + 6)
  let at = o + IPV6_HEADER
  let left = payload
  if (next === PROTOCOL_TCP || next === PROTOCOL_UDP) return head + formatTransport(view, at, last, left, next, source, destination, false)
  let text = `${head}${source} > ${destination}: `
  if (next === HOP_BY_HOP && at + 8 <= last) {
    next = view.getUint8(at)
    const header = 8 * (view.getUint8(at + 1) + 1)
    text += 'HBH '
    at += header
    left -= header
  }
  if (next === ICMP6) return text + formatIcmp6(view, at, last, left)
  if (next === NO_NEXT_HEADER) return `${text}no next header`
  if (next === FRAGMENT && at + 8 <= last) return `${text}frag (${view.getUint16(at + 2) & 0xfff8}|${left - 8})`
  return `${text} ip-proto-${next} ${left}`
}
