/** Single values of the network file: what is expected of each, and how its text becomes numbers. */
import { z } from 'zod'
import { isGroup, isZero, parseMac } from '../wire/mac.js'
import {
  formatIp4, isLoopback, isMulticast, isZeronet, LIMITED_BROADCAST, networkOf, parseIp4, parsePrefix
} from '../wire/ip4.js'
import { type Raw } from './document.js'
import { elementNameFault, interfaceNameFault, nearest, sysctlNameFault } from './names.js'
import { type Address, type Mac, type Prefix, type RouteType } from './types.js'
import { parseUnderlay, type UnderlayAddress } from './underlay.js'

/** What `parse` gives for a value that has the right form and still will not do. */
class Refused {
  constructor(readonly message: string) {}
}

const quote = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text)

/** A value as an error names it. */
const describe = (value: unknown): string => {
  if (value === null) return 'nothing'
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'a mapping'
}

/** `expected WHAT, got VALUE`. */
export const unexpected = (expected: string, value: unknown): string =>
  value === undefined ? `missing: expected ${expected}` : `expected ${expected}, got ${describe(value)}`

// One maker for all: `parse` returns undefined for what has not the form that `expected` describes.
const value = <T>(expected: string, parse: (raw: Raw) => T | Refused | undefined) =>
  z.unknown().transform((raw, context): T => {
    const parsed = raw === undefined ? undefined : parse(raw as Raw)
    if (parsed !== undefined && !(parsed instanceof Refused)) return parsed
    const message = parsed instanceof Refused ? parsed.message : unexpected(expected, raw)
    context.issues.push({ code: 'custom', input: raw, message })
    return z.NEVER
  })

const text = <T>(expected: string, parse: (text: string) => T | Refused | undefined) =>
  value(expected, (raw) => {
    if (typeof raw === 'string') return parse(raw)
    if (typeof raw === 'number' || typeof raw === 'boolean') {
      const kind = typeof raw === 'number' ? 'number' : 'truth value'
      return new Refused(`expected ${expected}, got ${raw}, a ${kind} to YAML; text like that is written in quotes`)
    }
    return undefined
  })

export const flag = value('true or false', (raw) => (typeof raw === 'boolean' ? raw : undefined))

export const integer = (low: number, high: number, unit = '') =>
  value(`a whole number${unit} from ${low} to ${high}`, (raw) =>
    typeof raw === 'number' && Number.isInteger(raw) && raw >= low && raw <= high ? raw + 0 : undefined)

export const word = <const T extends string>(...words: T[]) => {
  const expected = words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`
  return value(expected, (raw) => {
    const found = words.find((w) => w === raw)
    if (found !== undefined || typeof raw !== 'string') return found
    const meant = nearest(raw, words)
    return meant === undefined ? undefined : new Refused(`${unexpected(expected, raw)}; did you mean "${meant}"?`)
  })
}

export const routeType = word('unicast', 'blackhole', 'unreachable', 'prohibit') satisfies z.ZodType<RouteType>

const RP_FILTER = new Map<unknown, 0 | 1 | 2>([[0, 0], [1, 1], [2, 2], ['off', 0], ['strict', 1], ['loose', 2]])

export const rpFilter = value('0 (off), 1 (strict) or 2 (loose)', (raw) => RP_FILTER.get(raw))

export const version = value('1, the version of the network file\'s format', (raw) => (raw === 1 ? raw : undefined))

/** The name of something that the file has elsewhere; whether it has is checked later. */
export const reference = (kind: string) => text(`the name of ${kind}`, (name) => (name === '' ? undefined : name))

/** A key that the file chooses; the issue of a wrong one says that the key is meant, not its value. */
const name = (faultOf: (name: string) => string | undefined) =>
  z.string().superRefine((key, context) => {
    const message = faultOf(key)
    if (message !== undefined) context.addIssue({ code: 'custom', message, params: { at: 'key' } })
  })

export const elementName = name(elementNameFault)
export const interfaceName = name(interfaceNameFault)
export const sysctlName = name(sysctlNameFault)

/** The name of an existing network device. */
export const device = text('the name of a network device such as eth1', (name): string | Refused | undefined => {
  const fault = name === 'lo' ? undefined : interfaceNameFault(name)
  return fault === undefined ? name : new Refused(`${fault}: ${quote(name)}`)
})

export const mac = text('a MAC address such as 02:00:00:00:00:01', (raw): Mac | Refused | undefined => {
  const parsed = parseMac(raw)
  if (parsed === undefined) return undefined
  if (isGroup(parsed[0])) return new Refused(`${raw} is a group address; an interface's own begins with an even octet, such as 02`)
  return isZero(...parsed) ? new Refused(`${raw} cannot be the address of an interface`) : parsed
})

/** Any address a neighbour may have: the kernel takes group addresses too. */
export const lladdr = text('a MAC address such as 02:00:00:00:00:01', (raw): Mac | undefined => parseMac(raw))

const unicastFault = (address: number): string | undefined => {
  if (isZeronet(address)) return `${formatIp4(address)} is in 0.0.0.0/8 ("this network") and no address of a station`
  if (isMulticast(address)) return `${formatIp4(address)} is a multicast address`
  return address === LIMITED_BROADCAST ? '255.255.255.255 is the broadcast address' : undefined
}

const unicast = <T>(address: number, result: T): T | Refused => {
  const message = unicastFault(address)
  return message === undefined ? result : new Refused(message)
}

/** An IPv4 address of one station. */
export const stationAddress = text('an IPv4 address such as 10.1.1.2', (raw) => {
  const address = parseIp4(raw)
  if (address !== undefined) return unicast(address, address)
  const prefix = parsePrefix(raw)
  if (prefix === undefined) return undefined
  return new Refused(`expected an address without prefix length: ${formatIp4(prefix[0])}, got ${quote(raw)}`)
})

const interfaceAddressOf = (loopback: boolean) =>
  text('an IPv4 address with its prefix length such as 10.1.1.2/24', (raw): Address | Refused | undefined => {
    const [address, prefixLength] = parsePrefix(raw) ?? []
    if (address === undefined || prefixLength === undefined) return undefined
    if (!loopback && isLoopback(address)) {
      return new Refused(`${formatIp4(address)} is a loopback address: it never leaves a station`)
    }
    return unicast(address, { address, prefixLength })
  })

/** Address and prefix length of an interface of ours; a bare address is a /32, as in `ip addr add`. */
export const interfaceAddress = interfaceAddressOf(false)
/** The same in a host, whose kernel takes loopback addresses on any interface. */
export const hostAddress = interfaceAddressOf(true)

/** Destination of a route: `default`, a prefix, or an address (a /32). */
export const destination = text('default or a prefix such as 10.1.2.0/24', (raw): Prefix | Refused | undefined => {
  if (raw === 'default') return { address: 0, prefixLength: 0 }
  const [address, prefixLength] = parsePrefix(raw) ?? []
  if (address === undefined || prefixLength === undefined) return undefined
  const network = networkOf(address, prefixLength)
  if (network === address) return { address, prefixLength }
  return new Refused(`${raw} has bits set behind the prefix; did you mean ${formatIp4(network)}/${prefixLength}?`)
})

/** An existing namespace: a name, an absolute path, or the number of a process in it. */
export const netns = value('a name under /var/run/netns, a path such as /proc/1234/ns/net, or the number of a process', (raw) => {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) && raw > 0 ? `/proc/${raw}/ns/net` : undefined
  if (typeof raw !== 'string' || /[\s\p{Cc}]/u.test(raw)) return undefined
  if (raw.startsWith('/')) return raw.length > 1 && raw.length < 4096 ? raw : undefined
  return raw === '' || raw.includes('/') || raw === '.' || raw === '..' || raw.length > 255 ? undefined : raw
})

export const sysctlValue = value('text or a whole number', (raw) => {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) ? String(raw) : undefined
  return typeof raw === 'string' && !/\p{Cc}/u.test(raw.replaceAll('\t', ' ')) ? raw : undefined
})

const underlay = <T>(expected: string, check: (address: UnderlayAddress) => T | Refused) =>
  text(expected, (raw): T | Refused | undefined => {
    const address = parseUnderlay(raw)
    if (address?.odd === true && !address.unspecified) return new Refused(`${address.text} is no address of one end of a tunnel`)
    if (address !== undefined) return check(address)
    const [bare, rest] = [raw.replace(/[/%].*$/s, ''), raw.replace(/^[^/%]*/s, '')]
    const known = rest === '' ? undefined : parseUnderlay(bare)
    if (known === undefined) return undefined
    const extra = rest.startsWith('/') ? 'prefix length' : 'zone (the device is dev)'
    return new Refused(`expected an address without ${extra}: ${known.text}, got ${quote(raw)}`)
  })

const IP_ADDRESS = 'an IPv4 or IPv6 address such as 192.168.77.1'

/** Where a tunnel sends from; `unspecified` means any address of that family. */
export const underlayLocal = underlay(IP_ADDRESS, (address) =>
  address.multicast ? new Refused(`${address.text} is a multicast address; local is one of this machine's`) : address)

/** Another end of a tunnel. */
export const underlayPeer = underlay(IP_ADDRESS, (address) => {
  if (address.multicast) return new Refused(`${address.text} is a multicast address; it belongs to the keys group and dev`)
  return address.unspecified ? new Refused(`${address.text} is the address of nobody`) : address
})

/** The group that all ends of a tunnel listen to. */
export const underlayGroup = underlay('a multicast address such as 239.1.1.1', (address) =>
  address.multicast ? address : new Refused(`${address.text} is no multicast address; a single peer's is remote`))

/** TTL of outer packets; 0 (`auto`): as the socket has it. */
export const ttl = value('a whole number from 0 to 255, auto or inherit', (raw): number | 'inherit' | undefined => {
  if (raw === 'inherit') return raw
  return raw === 'auto' ? 0 : octet(raw)
})

/** The octet that was TOS and is DSCP and ECN. */
export const tos = value('a whole number from 0 to 255 or inherit', (raw): number | 'inherit' | undefined =>
  raw === 'inherit' ? raw : octet(raw))

const octet = (raw: Raw): number | undefined =>
  typeof raw === 'number' && Number.isInteger(raw) && raw >= 0 && raw <= 255 ? raw + 0 : undefined

const isPort = (raw: Raw | undefined): raw is number => typeof raw === 'number' && Number.isInteger(raw) && raw >= 1 && raw <= 65535

const RANGE = /^(\d{1,5})(?:-(\d{1,5}))?$/

/** Ports that a policy is about: one, or `LOW-HIGH`; as lowest and highest. */
export const ports = value('a port such as 8080 or a range such as 8000-8100', (raw): readonly [number, number] | Refused | undefined => {
  const [, first, last = first] = (typeof raw === 'number' || typeof raw === 'string' ? RANGE.exec(String(raw)) : null) ?? []
  if (first === undefined) return undefined
  const [low, high] = [Number(first), Number(last)]
  const wrong = isPort(low) ? high : low
  if (!isPort(wrong)) return new Refused(`expected ports from 1 to 65535, got ${wrong}`)
  return low <= high ? [low, high] : new Refused(`${low} is above ${high}; expected LOW-HIGH`)
})

/** Lowest and highest of a range of UDP ports, both within it. */
export const portRange = value('[low, high], two ports from 1 to 65535', (raw): readonly [number, number] | Refused | undefined => {
  if (!Array.isArray(raw) || raw.length !== 2) return undefined
  const [low, high] = raw
  if (!isPort(low) || !isPort(high)) return new Refused(`expected two ports from 1 to 65535, got ${describe(isPort(low) ? high! : low)}`)
  return low <= high ? [low, high] : new Refused(`${low} is above ${high}; expected [low, high]`)
})
