/** IPv4 addresses and prefixes as int32 in host order (RFC 791 3.2, RFC 4632). */

const DOT = 0x2e
const ZERO = 0x30

/** Int32 of the dotted decimal that ends at `end`. Without a regular expression: a full table of routes has a million of them. */
const parseUpTo = (text: string, end: number): number | undefined => {
  let address = 0
  let parts = 0
  let part = -1
  for (let i = 0; i <= end; i++) {
    const digit = i === end ? DOT - ZERO : text.charCodeAt(i) - ZERO
    if (digit === DOT - ZERO) {
      if (part < 0) return undefined
      address = (address << 8) | part
      parts++
      part = -1
    } else {
      if (digit < 0 || digit > 9 || part === 0) return undefined
      part = part < 0 ? digit : part * 10 + digit
      if (part > 255) return undefined
    }
  }
  return parts === 4 ? address : undefined
}

/** Int32 of dotted decimal; undefined when the text is no address. Leading zeros are refused, as inet_pton(3) does. */
export const parseIp4 = (text: string): number | undefined => parseUpTo(text, text.length)

export const formatIp4 = (a: number): string => `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`

/** Network mask of a prefix length 0..32. */
export const maskOf = (prefixLength: number): number => (prefixLength === 0 ? 0 : -1 << (32 - prefixLength))
export const networkOf = (address: number, prefixLength: number): number => address & maskOf(prefixLength)
export const broadcastOf = (address: number, prefixLength: number): number => address | ~maskOf(prefixLength)
export const inPrefix = (address: number, network: number, prefixLength: number): boolean =>
  ((address ^ network) & maskOf(prefixLength)) === 0

/** `[address, prefixLength]` of `10.1.1.3/24` (host bits kept) or of a bare address (length 32); undefined when it is neither. */
export const parsePrefix = (text: string): [address: number, prefixLength: number] | undefined => {
  const slash = text.indexOf('/')
  const address = parseUpTo(text, slash < 0 ? text.length : slash)
  if (address === undefined) return undefined
  if (slash < 0) return [address, 32]
  let length = 0
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return undefined
    length = length * 10 + digit
  }
  const digits = text.length - slash - 1
  return digits < 1 || digits > 2 || length > 32 ? undefined : [address, length]
}

/** 224.0.0.0/4 (RFC 5771). */
export const isMulticast = (a: number): boolean => (a & 0xf0000000) === (0xe0000000 | 0)
/** 127.0.0.0/8. */
export const isLoopback = (a: number): boolean => a >>> 24 === 127
/** 0.0.0.0/8, "this network" (RFC 1122 3.2.1.3). */
export const isZeronet = (a: number): boolean => a >>> 24 === 0
/** 255.255.255.255. */
export const LIMITED_BROADCAST = -1
