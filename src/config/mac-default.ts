/** MAC addresses of interfaces that the file gives none: the same at every start, and no duplicate. */
import { createHash } from 'node:crypto'
import { type Station } from './stations.js'
import { type Mac } from './types.js'

/** `02:42` followed by the address: 02:42:0a:01:01:02 of 10.1.1.2. */
export const macOfAddress = (address: number): Mac => {
  const bytes = Buffer.of(0x02, 0x42, 0, 0, 0, 0)
  bytes.writeInt32BE(address, 2)
  return macOfBytes(bytes)
}

/** Made from the names of instance and station: locally administered, unicast. `attempt` gives others in case of a collision. */
export const macOfName = (instance: string, station: string, attempt = 0): Mac => {
  const bytes = createHash('sha256').update(JSON.stringify([instance, station, attempt])).digest()
  bytes[0] = (bytes[0]! & 0xfe) | 0x02 // IEEE 802: bit 0 group, bit 1 locally administered
  return macOfBytes(bytes)
}

// The pair of wire/mac.ts: little-endian loads of octets 0..1 and 2..5.
const macOfBytes = (bytes: Buffer): Mac => [bytes.readUInt16LE(0), bytes.readInt32LE(2)]

/**
 * The MAC address of every station: its own where the file says one, else that of its first address, else (no address, or
 * taken on the same bridge or in the same namespace) one made from names.
 */
export const assignMacs = (stations: readonly Station[], instance: string): Map<Station, Mac> => {
  const taken = new Set<string>()
  const scopes = (station: Station, mac: Mac): string[] => [
    `bridge ${station.bridge} ${mac.join(' ')}`,
    `owner ${station.owner} ${mac.join(' ')}`
  ]
  const assigned = new Map<Station, Mac>()
  const assign = (station: Station, mac: Mac): void => {
    assigned.set(station, mac)
    for (const scope of scopes(station, mac)) taken.add(scope)
  }
  const isFree = (station: Station, mac: Mac): boolean => scopes(station, mac).every((scope) => !taken.has(scope))

  // What the file says comes first, wherever it stands.
  for (const station of stations) if (station.mac !== undefined) assign(station, station.mac)
  for (const station of stations) {
    if (assigned.has(station)) continue
    const first = station.addresses[0]
    let mac = first === undefined ? undefined : macOfAddress(first.address)
    for (let attempt = 0; mac === undefined || !isFree(station, mac); attempt++) mac = macOfName(instance, station.name, attempt)
    assign(station, mac)
  }
  return assigned
}
