/** Text of ICMP messages (RFC 792, 950, 1191, 1256, 1812), for `format.ts`. */
import * as icmp from './icmp4.js'
import { formatIp4 } from './ip4.js'
import * as ip from './ipv4.js'

const ROUTER_ADVERTISEMENT = 9
const ROUTER_SOLICITATION = 10
const INFORMATION_REQUEST = 15
const INFORMATION_REPLY = 16
const MASK_REQUEST = 17
const MASK_REPLY = 18

/** Codes of destination unreachable that have nothing but the destination to tell; `$` stands for it. */
const UNREACHABLE = new Map([
  [icmp.NETWORK_UNREACHABLE, 'net $ unreachable'],
  [icmp.HOST_UNREACHABLE, 'host $ unreachable'],
  [icmp.SOURCE_ROUTE_FAILED, '$ unreachable - source route failed'],
  [6, 'net $ unreachable - unknown'],
  [7, 'host $ unreachable - unknown'],
  [8, '$ unreachable - source host isolated'],
  [9, 'net $ unreachable - admin prohibited'],
  [10, 'host $ unreachable - admin prohibited'],
  [11, 'net $ unreachable - tos prohibited'],
  [12, 'host $ unreachable - tos prohibited'],
  [icmp.ADMIN_PROHIBITED, 'host $ unreachable - admin prohibited filter'],
  [14, 'host $ unreachable - host precedence violation'],
  [15, 'host $ unreachable - precedence cutoff']
])

const REDIRECTS = [['redirect', 'net '], ['redirect', 'host '], ['redirect-tos', 'net '], ['redirect-tos', 'host ']] as const

/** hh:mm:ss.mmm of milliseconds since midnight UTC (RFC 792). */
const timeOfDay = (ms: number): string => {
  const two = (n: number): string => String(n).padStart(2, '0')
  const seconds = Math.floor(ms / 1000)
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${String(ms % 1000).padStart(3, '0')}`
}

const unreachable = (view: DataView, o: number, end: number, code: number): string | undefined => {
  const quoted = o + icmp.ICMP_HEADER
  if (quoted + ip.IPV4_HEADER > end) return undefined
  const destination = formatIp4(ip.destination(view, quoted))
  const protocol = ip.protocol(view, quoted)
  if (code === icmp.PROTOCOL_UNREACHABLE_CODE) return `${destination} protocol ${protocol} unreachable`
  if (code === icmp.PORT_UNREACHABLE_CODE) {
    const ports = quoted + ip.headerLength(view, quoted)
    if (ports + 4 > end) return undefined
    const name = protocol === ip.PROTOCOL_UDP ? 'udp' : protocol === ip.PROTOCOL_TCP ? 'tcp' : `protocol ${protocol}`
    return `${destination} ${name} port ${view.getUint16(ports + 2)} unreachable`
  }
  if (code === icmp.FRAGMENTATION_NEEDED_CODE) {
    const mtu = view.getUint16(o + icmp.OFF_NEXT_HOP_MTU)
    return `${destination} unreachable - need to frag${mtu === 0 ? '' : ` (mtu ${mtu})`}`
  }
  return UNREACHABLE.get(code)?.replace('$', destination) ?? `${destination} unreachable - #${code}`
}

const redirect = (view: DataView, o: number, end: number, code: number): string | undefined => {
  const quoted = o + icmp.ICMP_HEADER
  if (quoted + ip.IPV4_HEADER > end) return undefined
  const [name, kind] = REDIRECTS[code] ?? [`redirect-#${code}`, '']
  return `${name} ${formatIp4(ip.destination(view, quoted))} to ${kind}${formatIp4(view.getInt32(o + icmp.OFF_REST))}`
}

/** A message with an 8-byte header; undefined when more is needed than is there. */
const message = (view: DataView, o: number, end: number): string | undefined => {
  const code = icmp.code(view, o)
  const id = icmp.identifier(view, o)
  const seq = icmp.sequence(view, o)
  const t = icmp.type(view, o)
  switch (t) {
    case icmp.ECHO_REQUEST: return `echo request, id ${id}, seq ${seq}`
    case icmp.ECHO_REPLY: return `echo reply, id ${id}, seq ${seq}`
    case icmp.DESTINATION_UNREACHABLE: return unreachable(view, o, end, code)
    case icmp.SOURCE_QUENCH: return 'source quench'
    case icmp.REDIRECT: return redirect(view, o, end, code)
    case icmp.TIME_EXCEEDED:
      if (code === icmp.TTL_IN_TRANSIT) return 'time exceeded in-transit'
      return code === icmp.REASSEMBLY_TIME ? 'ip reassembly time exceeded' : `time exceeded-#${code}`
    case icmp.PARAMETER_PROBLEM: return `parameter problem - ${code === 0 ? `octet ${view.getUint8(o + icmp.OFF_REST)}` : `code ${code}`}`
    case icmp.TIMESTAMP_REQUEST: return `time stamp query id ${id} seq ${seq}`
    case icmp.TIMESTAMP_REPLY: {
      if (o + 20 > end) return undefined
      const [org, recv, xmit] = [8, 12, 16].map((at) => timeOfDay(view.getUint32(o + at)))
      return `time stamp reply id ${id} seq ${seq}: org ${org}, recv ${recv}, xmit ${xmit}`
    }
    case ROUTER_ADVERTISEMENT: return 'router advertisement'
    case ROUTER_SOLICITATION: return 'router solicitation'
    case INFORMATION_REQUEST: return 'information request'
    case INFORMATION_REPLY: return 'information reply'
    case MASK_REQUEST: return 'address mask request'
    case MASK_REPLY: return o + 12 > end ? undefined : `address mask is 0x${view.getUint32(o + 8).toString(16).padStart(8, '0')}`
    default: return `type-#${t}`
  }
}

/** What a message of `length` bytes says. */
export const formatIcmp4 = (view: DataView, o: number, end: number, length: number): string => {
  const text = o + icmp.ICMP_HEADER > end ? undefined : message(view, o, end)
  return text === undefined ? ' [|icmp]' : `ICMP ${text}, length ${length}`
}
