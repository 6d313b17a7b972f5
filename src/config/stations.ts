/** Stations: whatever has a MAC address and perhaps IPv4 addresses on a bridge, VXLAN ports among them. */
import { type Path } from './problem.js'
import { type HostInterfaceShape, type NetworkShape, type RouterInterfaceShape } from './schema.js'
import { type Address, type Mac } from './types.js'

export interface Station {
  readonly kind: 'bridge' | 'router' | 'vxlan' | 'host'
  /** The bridge, router, VXLAN port or host it belongs to: one namespace. */
  readonly owner: string
  /** The port's name: `br0`, `router.eth1`, `vxlan1`, `client.eth0`. */
  readonly name: string
  readonly bridge: string
  readonly path: Path
  readonly addresses: readonly Address[]
  /** Only when the file says it. */
  readonly mac?: Mac | undefined
}

type InterfaceShape = RouterInterfaceShape | HostInterfaceShape

/** Addresses of an interface, its peer put to the address it belongs to. */
export const addressesOf = (shape: InterfaceShape): Address[] => {
  const { peer } = shape
  return peer === undefined ? shape.address : shape.address.map((address) => ({ ...address, peer }))
}

/** All stations: those of bridges without an address included, since a bridge has a MAC address anyway. */
export const stationsOf = (shape: NetworkShape): Station[] => {
  const stations: Station[] = []
  for (const [name, bridge] of shape.bridges) {
    const { address: addresses, mac } = bridge
    stations.push({ kind: 'bridge', owner: name, name, bridge: name, path: ['bridges', name], addresses, mac })
  }
  const add = (kind: 'router' | 'host', owner: string, interfaces: [string, InterfaceShape][]): void => {
    for (const [dev, shape] of interfaces) {
      const path = [`${kind}s`, owner, 'interfaces', dev]
      const { bridge, mac } = shape
      stations.push({ kind, owner, name: `${owner}.${dev}`, bridge, path, addresses: addressesOf(shape), mac })
    }
  }
  for (const [name, router] of shape.routers) add('router', name, router.interfaces)
  for (const [name, { bridge, mac }] of shape.vxlans) {
    stations.push({ kind: 'vxlan', owner: name, name, bridge, path: ['vxlans', name], addresses: [], mac })
  }
  for (const [name, host] of shape.hosts) add('host', name, host.interfaces)
  return stations
}
