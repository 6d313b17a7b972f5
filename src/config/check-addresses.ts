/** Addresses: no two stations with one IPv4 or MAC address where they would meet. */
import { formatIp4 } from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import { type Report } from './problem.js'
import { type NetworkShape } from './schema.js'
import { type Station } from './stations.js'

/**
 * One IPv4 address belongs to one station on a bridge, and to one interface of a router; the near end of several point-to-point links
 * may be the same.
 */
export const checkDuplicateAddresses = (stations: readonly Station[], report: Report): void => {
  const onBridge = new Map<string, Station>()
  const inRouter = new Map<string, Station>()
  for (const station of stations) {
    station.addresses.forEach(({ address, peer }, i) => {
      const path = [...station.path, 'address', i]
      const bridgeKey = `${station.bridge} ${address}`
      const routerKey = `${station.owner} ${address}`
      const neighbour = onBridge.get(bridgeKey)
      const sibling = station.kind === 'router' ? inRouter.get(routerKey) : undefined
      const shared = peer !== undefined && sibling?.addresses.every((other) => other.peer !== undefined) === true
      const text = formatIp4(address)
      if (neighbour === station) report(path, `${text} stands here twice`)
      else if (neighbour !== undefined) {
        report(path, `${text} is the address of ${neighbour.name} on bridge ${station.bridge} already`)
      } else if (sibling !== undefined && !shared) report(path, `${text} is the address of ${sibling.name} already`)
      else {
        onBridge.set(bridgeKey, station)
        if (station.kind === 'router') inRouter.set(routerKey, station)
      }
    })
  }
}

/** No MAC address given twice on a bridge. Those made by default give way to them. */
export const checkDuplicateMacs = (stations: readonly Station[], report: Report): void => {
  const seen = new Map<string, Station>()
  for (const station of stations) {
    if (station.mac === undefined) continue
    const text = formatMac(...station.mac)
    const key = `${station.bridge} ${text}`
    const other = seen.get(key)
    if (other === undefined) seen.set(key, station)
    else report([...station.path, 'mac'], `${text} is the MAC address of ${other.name} on bridge ${station.bridge} already`)
  }
}

/** A peer is the other end of one /32 address. */
export const checkPeers = (shape: NetworkShape, report: Report): void => {
  const kinds = [['routers', shape.routers], ['hosts', shape.hosts]] as const
  for (const [kind, elements] of kinds) {
    for (const [owner, { interfaces }] of elements) {
      for (const [name, { peer, address }] of interfaces) {
        const path = [kind, owner, 'interfaces', name, 'peer']
        if (peer === undefined) continue
        const [own] = address
        if (own === undefined || address.length > 1) {
          report(path, `a peer belongs to exactly one address, and here are ${own === undefined ? 'none' : address.length}`)
        } else if (own.prefixLength !== 32) report(path, `a peer needs an address with /32: ${formatIp4(own.address)}/32`)
        else if (own.address === peer) report(path, `${formatIp4(peer)} is the address of this end; the peer is the other end`)
      }
    }
  }
}
