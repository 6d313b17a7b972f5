/** Addresses of tunnels' underlay, IPv4 or IPv6: text to words as they lie on the wire (table/remotes.ts) and back. */
import { isIPv4, isIPv6 } from 'node:net'
import { AF_INET, AF_INET6 } from '../table/remotes.js'
import { formatIp6 } from '../wire/format-ipv6.js'
import { NetworkError } from './operations.js'

export interface UnderlayAddress {
  family: typeof AF_INET | typeof AF_INET6
  /** One for IPv4 (the others are 0), four for IPv6. */
  words: readonly [number, number, number, number]
}

/** The eight groups of an IPv6 address that isIPv6 takes: `::` filled, dotted decimal at the end as two groups (RFC 4291 2.2). */
const octetsOfIp6 = (text: string): number[] => {
  const groups = (half: string): number[] =>
    half === '' ? [] : half.split(':').flatMap((g) => (g.includes('.') ? g.split('.').map(Number) : [parseInt(g, 16) >> 8, parseInt(g, 16) & 0xff]))
  const [before = '', after] = text.split('::')
  const head = groups(before)
  if (after === undefined) return head
  const tail = groups(after)
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

/** The words of an address; a NetworkError of code 2 for what is none, also for one with a zone. */
export const underlayAddressOf = (text: string): UnderlayAddress => {
  if (isIPv4(text)) {
    const [a] = new Int32Array(Uint8Array.from(text.split('.').map(Number)).buffer)
    return { family: AF_INET, words: [a!, 0, 0, 0] }
  }
  if (!isIPv6(text) || text.includes('%')) throw new NetworkError(`"${text}" is no IPv4 or IPv6 address`, 2)
  const [a, b, c, d] = new Int32Array(Uint8Array.from(octetsOfIp6(text)).buffer)
  return { family: AF_INET6, words: [a!, b!, c!, d!] }
}

/** Text of 4 or 16 octets. */
export const formatUnderlay = (octets: Uint8Array): string =>
  octets.length === 4 ? octets.join('.') : formatIp6(new DataView(octets.buffer, octets.byteOffset, 16), 0)

/** Any address: 0.0.0.0 or ::. */
export const isAnyAddress = ({ words }: UnderlayAddress): boolean => words.every((word) => word === 0)
