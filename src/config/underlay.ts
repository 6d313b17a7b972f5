/** Addresses of a tunnel's underlay: IPv4 or IPv6, kept as canonical text. */
import { isIPv6 } from 'node:net'
import { formatIp4, isMulticast, isZeronet, LIMITED_BROADCAST, parseIp4 } from '../wire/ip4.js'

export type Family = 4 | 6

export interface UnderlayAddress {
  readonly family: Family
  /** Dotted decimal, or as RFC 5952 recommends: equal addresses have equal texts. */
  readonly text: string
  /** 0.0.0.0 or :: */
  readonly unspecified: boolean
  readonly multicast: boolean
  /** fe80::/10: means nothing without a device. */
  readonly linkLocal: boolean
  /** In a class that no end of a tunnel has: 0.0.0.0/8, the broadcast address, IPv4 in IPv6 clothes. */
  readonly odd: boolean
}

const parse6 = (raw: string): UnderlayAddress | undefined => {
  if (raw.includes('%') || !isIPv6(raw)) return undefined
  // The URL standard's serialiser is RFC 5952 section 4 but for addresses with an IPv4 tail, which it writes in hex as well.
  const text = new URL(`http://[${raw}]`).hostname.slice(1, -1)
  const first = parseInt(text.split(':')[0] || '0', 16)
  return {
    family: 6, text, unspecified: text === '::', multicast: first >>> 8 === 0xff, linkLocal: (first & 0xffc0) === 0xfe80,
    odd: /^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(text)
  }
}

/** The address in `raw`, in any of its spellings, without zone and prefix length; undefined when there is none. */
export const parseUnderlay = (raw: string): UnderlayAddress | undefined => {
  const address = parseIp4(raw)
  if (address === undefined) return parse6(raw)
  return {
    family: 4, text: formatIp4(address), unspecified: address === 0, multicast: isMulticast(address), linkLocal: false,
    odd: isZeronet(address) || address === LIMITED_BROADCAST
  }
}
