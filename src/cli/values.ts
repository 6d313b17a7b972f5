/** Values of keys: checked text, in the form that operations have it. */
import { isIPv4, isIPv6 } from 'node:net'
import { formatIp4, parseIp4, parsePrefix } from '../wire/ip4.js'
import { formatMac, parseMac } from '../wire/mac.js'
import { notSupported, usageError } from './error.js'
import { suggestion } from './nearest.js'
import type { Words } from './words.js'

const refuseIp6 = (text: string): void => {
  if (/^[0-9a-f]*:[0-9a-f:.]*(\/\d+)?$/i.test(text)) throw notSupported(`IPv6 (${text})`)
}

/** An IPv4 address. */
export const address = (text: string, key: string): string => {
  refuseIp6(text)
  const value = parseIp4(text)
  if (value === undefined) throw usageError(`"${text}" is no IPv4 address: ${key} expects one like 10.1.1.3`)
  return formatIp4(value)
}

/** An address of a tunnel's underlay, IPv4 or IPv6. */
export const underlay = (text: string, key: string): string => {
  if (!isIPv4(text) && (!isIPv6(text) || text.includes('%'))) throw usageError(`"${text}" is no address: ${key} expects one like 192.168.77.2 or fd00::2`)
  return text
}

/** Whether a word can only be meant as an address or prefix. */
export const looksLikeAddress = (text: string): boolean => text === 'default' || /^\d/.test(text) || /^[0-9a-f]*:[0-9a-f:]/i.test(text)

/** An address with or without prefix length. `10.1/16` means 10.1.0.0/16, as in ip(8). */
export const prefix = (text: string, what = 'a prefix'): string => {
  refuseIp6(text)
  const [network = '', length] = text.split('/', 2)
  const octets = network.split('.')
  const whole = length === undefined || octets.length >= 4 ? network : [...octets, '0', '0', '0'].slice(0, 4).join('.')
  const full = length === undefined ? whole : `${whole}${text.slice(network.length)}`
  const value = parsePrefix(full)
  if (value === undefined) throw usageError(`"${text}" is no IPv4 prefix: ${what} looks like 10.1.1.0/24`)
  return full.includes('/') ? `${formatIp4(value[0])}/${value[1]}` : formatIp4(value[0])
}

/** A destination: a prefix, or `default` (also said 0/0, any, all). */
export const destination = (text: string): string => {
  if (['default', 'any', 'all'].includes(text)) return 'default'
  const value = prefix(text, 'a destination')
  return value === '0.0.0.0/0' ? 'default' : value
}

/** A MAC address, in lower case with colons. */
export const mac = (text: string, key: string): string => {
  const value = parseMac(text)
  if (value === undefined) throw usageError(`"${text}" is no MAC address: ${key} expects one like 02:42:0a:01:01:03`)
  return formatMac(value[0], value[1])
}

/** A whole number in a range. */
export const integer = (text: string, key: string, low: number, high: number): number => {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  if (!(value >= low && value <= high)) throw usageError(`"${text}" is wrong: ${key} expects a number from ${low} to ${high}`)
  return value
}

export const onOff = (text: string, key: string): boolean => {
  if (text !== 'on' && text !== 'off') throw usageError(`"${text}" is wrong: ${key} expects on or off`)
  return text === 'on'
}

export const oneOf = <T extends string>(text: string, key: string, choices: readonly T[]): T => {
  if ((choices as readonly string[]).includes(text)) return text as T
  throw usageError(`"${text}" is wrong for ${key}: ${suggestion(text, choices)}`)
}

/** The name of a device, router or bridge. */
export const name = (words: Words, key: string): string => words.value(key, 'a name')
