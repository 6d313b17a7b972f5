/** The texts of operations to numbers; a wrong one is a NetworkError of code 2. */
import * as ip4 from '../wire/ip4.js'
import { parseMac } from '../wire/mac.js'
import { NetworkError } from './operations.js'

export const macOf = (text: string): [hi: number, lo: number] => {
  const mac = parseMac(text)
  if (mac === undefined) throw new NetworkError(`"${text}" is no MAC address (like 02:42:0a:01:01:03)`, 2)
  return mac
}

/** A MAC address that one station can have. */
export const stationMacOf = (text: string): [hi: number, lo: number] => {
  const mac = macOf(text)
  if ((mac[0] & 1) !== 0 || (mac[0] | mac[1]) === 0) throw new NetworkError(`"${text}" is no address of a station: it is a group address or zero`, 2)
  return mac
}

export const addressOf = (text: string): number => {
  const address = ip4.parseIp4(text)
  if (address === undefined) throw new NetworkError(`"${text}" is no IPv4 address`, 2)
  return address
}

/** An address with its prefix length, host bits kept; a bare address has length 32. */
export const interfaceAddressOf = (text: string): [address: number, prefixLength: number] => {
  const prefix = ip4.parsePrefix(text)
  if (prefix === undefined) throw new NetworkError(`"${text}" is no IPv4 address with prefix length (like 10.1.1.3/24)`, 2)
  return prefix
}

/** A destination: `default`, a prefix whose host bits must be zero, or an address. */
export const prefixOf = (text: string): [network: number, prefixLength: number] => {
  if (text === 'default') return [0, 0]
  const [address, prefixLength] = interfaceAddressOf(text)
  if (ip4.networkOf(address, prefixLength) !== address) {
    const network = `${ip4.formatIp4(ip4.networkOf(address, prefixLength))}/${prefixLength}`
    throw new NetworkError(`"${text}" has host bits set: the prefix is ${network}`, 2)
  }
  return [address, prefixLength]
}

/** `10.1.1.0/24`, an address alone for length 32, `default` for 0.0.0.0/0, as `ip route` prints destinations. */
export const formatPrefix = (network: number, prefixLength: number): string => {
  if (prefixLength === 0) return 'default'
  return prefixLength === 32 ? ip4.formatIp4(network) : `${ip4.formatIp4(network)}/${prefixLength}`
}

/** A unicast address that a host may have. */
export const hostAddressOf = (address: number, text: string): number => {
  if (ip4.isMulticast(address) || address === ip4.LIMITED_BROADCAST || ip4.isZeronet(address)) {
    throw new NetworkError(`"${text}" is no address a host can have`, 2)
  }
  return address
}
