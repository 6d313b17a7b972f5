/** The checked shape to the description that the rest of Tapway uses: every default filled in, names as in the code. */
import { assignMacs } from './mac-default.js'
import { type NetworkShape, type RouteShape, TAP_MAX_MTU } from './schema.js'
import { addressesOf, stationsOf } from './stations.js'
import { type Mac, type NetworkFile, type NextHop, type Route } from './types.js'

const hopOf = (via: number | undefined, dev: string | undefined): { via?: number; dev?: string } => ({
  ...(via !== undefined && { via }),
  ...(dev !== undefined && { dev })
})

const routeOf = ({ to, type, metric, via, dev, onlink, nexthops = [] }: RouteShape): Route => ({
  to, type, metric, ...hopOf(via, dev), onlink,
  nexthops: nexthops.map((hop): NextHop => ({ ...hopOf(hop.via, hop.dev), weight: hop.weight, onlink: hop.onlink }))
})

/** `shape` has passed all checks; `instance` is the name default MAC addresses are made from. */
export const normalise = (shape: NetworkShape, instance: string): NetworkFile => {
  const stations = stationsOf(shape)
  const assigned = assignMacs(stations, instance)
  const macs = new Map<string, Mac>(stations.map((station) => [station.name, assigned.get(station)!]))
  const mtus = new Map(shape.bridges.map(([name, { mtu }]) => [name, mtu]))
  return {
    bridges: shape.bridges.map(([name, b]) => ({
      name, addresses: b.address, mac: macs.get(name)!, mtu: b.mtu,
      ageingTime: b.ageing_time, fdbMaxLearned: b.fdb_max_learned, devices: []
    })),
    routers: shape.routers.map(([name, r]) => ({
      name,
      forwarding: r.forwarding,
      interfaces: r.interfaces.map(([dev, i]) => ({
        name: dev, bridge: i.bridge, addresses: addressesOf(i), mac: macs.get(`${name}.${dev}`)!,
        mtu: i.mtu ?? mtus.get(i.bridge)!,
        up: i.up, forwarding: i.forwarding, proxyArp: i.proxy_arp, rpFilter: i.rp_filter,
        sendRedirects: i.send_redirects, bcForwarding: i.bc_forwarding
      })),
      routes: r.routes.map(routeOf),
      neighbors: r.neighbors
    })),
    vxlans: [],
    hosts: shape.hosts.map(([name, h]) => ({
      name,
      ...(h.netns !== undefined && { netns: h.netns }),
      interfaces: h.interfaces.map(([dev, i]) => ({
        name: dev, bridge: i.bridge, addresses: addressesOf(i), mac: macs.get(`${name}.${dev}`)!,
        mtu: i.mtu ?? Math.min(mtus.get(i.bridge)!, TAP_MAX_MTU)
      })),
      routes: h.routes.map(routeOf),
      sysctls: h.sysctls
    }))
  }
}
