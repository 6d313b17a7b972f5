/**
 * Requests of rtnetlink(7) as bytes: links, IPv4 addresses and routes (linux/rtnetlink.h, if_link.h, if_addr.h). Numbers are in the
 * machine's byte order, which is little-endian wherever Tapway runs; addresses are in network byte order.
 */

const RTM_NEWLINK = 16
const RTM_NEWADDR = 20
const RTM_NEWROUTE = 24
const RTM_NEWQDISC = 36
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
const NLM_F_REPLACE = 0x100
const NLM_F_EXCL = 0x200
const NLM_F_CREATE = 0x400
const NLMSG_HEADER = 16

const AF_INET = 2
const IFF_UP = 1
const IFLA_ADDRESS = 1
const IFLA_MTU = 4
const IFLA_TXQLEN = 13
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_BROADCAST = 4
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_MULTIPATH = 9
const RT_TABLE_MAIN = 254
/** As `ip route add` has it: set up by hand, while the machine starts or later. */
const RTPROT_BOOT = 3
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const RTNH_F_ONLINK = 4
const TC_H_ROOT = 0xffffffff
const TCA_KIND = 1
const RTN: Readonly<Record<string, number>> = { unicast: 1, blackhole: 6, unreachable: 7, prohibit: 8 }

const u8 = (...values: number[]): number[] => values
const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff]
const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)]
const be32 = (value: number): number[] => u32(value).reverse()

const padded = (bytes: readonly number[]): number[] => [...bytes, ...new Array<number>(-bytes.length & 3).fill(0)]
const attribute = (type: number, value: readonly number[]): number[] => padded([...u16(value.length + 4), ...u16(type), ...value])

const request = (type: number, flags: number, body: readonly number[]): Uint8Array =>
  Uint8Array.from([...u32(NLMSG_HEADER + body.length), ...u16(type), ...u16(NLM_F_REQUEST | NLM_F_ACK | flags), ...u32(0), ...u32(0), ...body])

const linkRequest = (index: number, flags: number, change: number, attributes: readonly number[]): Uint8Array =>
  request(RTM_NEWLINK, 0, [...u8(0, 0), ...u16(0), ...u32(index), ...u32(flags), ...u32(change), ...attributes])

/** MAC address (six bytes), MTU and, where it is given, the queue's length in packets. */
export const setLink = (index: number, mac: readonly number[], mtu: number, txqueuelen?: number): Uint8Array => linkRequest(index, 0, 0, [
  ...attribute(IFLA_ADDRESS, mac), ...attribute(IFLA_MTU, u32(mtu)), ...(txqueuelen === undefined ? [] : attribute(IFLA_TXQLEN, u32(txqueuelen)))
])

export const setLinkUp = (index: number): Uint8Array => linkRequest(index, IFF_UP, IFF_UP, [])

/** A device's root queueing discipline (tc(8)) becomes `noqueue`: what is sent goes to the device at once, as through a veth pair. */
export const setNoqueue = (index: number): Uint8Array => request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, [
  ...u32(0), ...u32(index), ...u32(0), ...u32(TC_H_ROOT), ...u32(0), ...attribute(TCA_KIND, [...Buffer.from('noqueue\0', 'latin1')])
])

/** An address (int32, host order, as all here) with the other end's for a point-to-point one, whose prefix it then is. */
export const addAddress = (index: number, local: number, prefixLength: number, peer?: number, broadcast?: number): Uint8Array =>
  request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, [
    ...u8(AF_INET, prefixLength, 0, local >>> 24 === 127 ? 254 : 0), ...u32(index),
    ...attribute(IFA_LOCAL, be32(local)), ...attribute(IFA_ADDRESS, be32(peer ?? local)),
    ...(broadcast === undefined ? [] : attribute(IFA_BROADCAST, be32(broadcast)))
  ])

/** `index` 0: the kernel finds the interface by the gateway. */
export interface Hop {
  readonly via?: number
  readonly index: number
  readonly onlink: boolean
}

const hopAttributes = ({ via }: Hop): number[] => (via === undefined ? [] : attribute(RTA_GATEWAY, be32(via)))
const hopFlags = ({ onlink }: Hop): number => (onlink ? RTNH_F_ONLINK : 0)

const nextHop = (hop: Hop & { readonly weight: number }): number[] => {
  const attributes = hopAttributes(hop)
  return [...u16(8 + attributes.length), ...u8(hopFlags(hop), hop.weight - 1), ...u32(hop.index), ...attributes]
}

/** A route of the main table, by one hop or several. Without a gateway its scope is the link (`ip route add`). */
export const addRoute = (
  type: string, destination: number, prefixLength: number, metric: number, hop: Hop, hops: readonly (Hop & { readonly weight: number })[]
): Uint8Array => {
  const direct = type === 'unicast' && hop.via === undefined && hops.length === 0
  return request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, [
    ...u8(AF_INET, prefixLength, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, RTN[type]!), ...u32(hopFlags(hop)),
    ...(prefixLength === 0 ? [] : attribute(RTA_DST, be32(destination))), ...hopAttributes(hop),
    ...(hop.index === 0 ? [] : attribute(RTA_OIF, u32(hop.index))), ...(metric === 0 ? [] : attribute(RTA_PRIORITY, u32(metric))),
    ...(hops.length === 0 ? [] : attribute(RTA_MULTIPATH, hops.flatMap(nextHop)))
  ])
}

/** Requests one behind the other. */
export const concatenate = (requests: readonly Uint8Array[]): Uint8Array => {
  const all = new Uint8Array(requests.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const each of requests) {
    all.set(each, at)
    at += each.length
  }
  return all
}
