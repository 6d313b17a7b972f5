/** The checked shape to the description that the rest of Tapway uses: every default filled in, names as in the code. */
import { namespaceOf } from './check-names.js'
import { assignMacs } from './mac-default.js'
import { ETHERNET_MTU, familyOf, localOf, vxlanMtu } from './mtu.js'
import { type BridgeShape, type NetworkShape, type RouteShape, TAP_MAX_MTU, type VxlanShape } from './schema.js'
import { addressesOf, stationsOf } from './stations.js'
import { type Bridge, type Mac, type NetworkFile, type NextHop, type PortOptions, type Route, type Vxlan } from './types.js'

const hopOf = (via: number | undefined, dev: string | undefined): { via?: number; dev?: string } => ({
  ...(via !== undefined && { via }),
  ...(dev !== undefined && { dev })
})

const routeOf = ({ to, type, metric, via, dev, onlink, nexthops = [] }: RouteShape): Route => ({
  to, type, metric, ...hopOf(via, dev), onlink,
  nexthops: nexthops.map((hop): NextHop => ({ ...hopOf(hop.via, hop.dev), weight: hop.weight, onlink: hop.onlink }))
})

/** Devices and options of a bridge's ports. `tunnels` has the names of VXLAN ports. */
const portsOf = (ports: BridgeShape['ports'], tunnels: ReadonlySet<string>): Pick<Bridge, 'devices' | 'portOptions'> => {
  const devices: Bridge['devices'][number][] = []
  const portOptions: PortOptions[] = []
  for (const [name, { device, netns, learning, flood, neigh_suppress: suppress }] of ports) {
    if (device !== undefined) {
      devices.push({
        name, device, ...(netns !== undefined && { netns: namespaceOf(netns) }),
        learning: learning ?? true, flood: flood ?? true, neighSuppress: suppress ?? false
      })
      continue
    }
    const options = {
      ...(learning !== undefined && { learning }),
      ...(flood !== undefined && { flood }),
      ...(suppress !== undefined && !tunnels.has(name) && { neighSuppress: suppress })
    }
    if (Object.keys(options).length > 0) portOptions.push({ port: name, ...options })
  }
  return { devices, portOptions }
}

const vxlanOf = (name: string, v: VxlanShape, mac: Mac, mtu: number, suppress: boolean): Vxlan => {
  const local = localOf(v)
  return {
    name, bridge: v.bridge, mac, mtu, id: v.id,
    ...(local !== undefined && { local }),
    family: familyOf(v), dstport: v.dstport, srcport: v.srcport, remote: v.remote.map(({ text }) => text),
    ...(v.group !== undefined && { group: v.group.text }),
    ...(v.dev !== undefined && { dev: v.dev }),
    learning: v.learning, proxy: v.proxy, neighSuppress: suppress, ttl: v.ttl, tos: v.tos, df: v.df, udpcsum: v.udpcsum,
    ageing: v.ageing, maxaddress: v.maxaddress, l2miss: v.l2miss, l3miss: v.l3miss, gbp: v.gbp, innerVlan: v.inner_vlan,
    ...(v.netns !== undefined && { netns: namespaceOf(v.netns) }),
    uplink: v.uplink,
    fdb: v.fdb.map(({ mac: station, dst, vni, port }) => ({
      mac: station, dst: dst.text, ...(vni !== undefined && { vni }), ...(port !== undefined && { port })
    })),
    neighbors: v.neighbors
  }
}

/**
 * `shape` has passed all checks; `instance` is the name default MAC addresses are made from; `underlayMtus` has the MTUs of VXLAN
 * ports' underlays, by name of the port, as far as they are known.
 */
export const normalise = (shape: NetworkShape, instance: string, underlayMtus: ReadonlyMap<string, number>): NetworkFile => {
  const stations = stationsOf(shape)
  const assigned = assignMacs(stations, instance)
  const macs = new Map<string, Mac>(stations.map((station) => [station.name, assigned.get(station)!]))
  const tunnelMtus = new Map(shape.vxlans.map(([name, v]) =>
    [name, v.mtu ?? vxlanMtu(underlayMtus.get(name) ?? ETHERNET_MTU, familyOf(v))]))
  // As the kernel's bridge does (br_mtu_auto_adjust()), of tunnels alone: they are what makes an MTU small.
  const mtus = new Map(shape.bridges.map(([name, { mtu }]) => {
    const tunnels = shape.vxlans.filter(([, v]) => v.bridge === name).map(([tunnel]) => tunnelMtus.get(tunnel)!)
    return [name, mtu ?? (tunnels.length > 0 ? Math.min(...tunnels) : ETHERNET_MTU)]
  }))
  const tunnels = new Set(tunnelMtus.keys())
  const suppress = new Map(shape.bridges.flatMap(([, { ports }]) => ports.map(([port, { neigh_suppress: flag }]) => [port, flag])))
  return {
    bridges: shape.bridges.map(([name, b]) => ({
      name, addresses: b.address, mac: macs.get(name)!, mtu: mtus.get(name)!,
      ageingTime: b.ageing_time, fdbMaxLearned: b.fdb_max_learned, ...portsOf(b.ports, tunnels)
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
    vxlans: shape.vxlans.map(([name, v]) =>
      vxlanOf(name, v, macs.get(name)!, tunnelMtus.get(name)!, v.neigh_suppress ?? suppress.get(name) ?? false)),
    hosts: shape.hosts.map(([name, h]) => ({
      name,
      ...(h.netns !== undefined && { netns: h.netns }),
      interfaces: h.interfaces.map(([dev, i]) => ({
        name: dev, bridge: i.bridge, addresses: addressesOf(i), mac: macs.get(`${name}.${dev}`)!,
        mtu: i.mtu ?? Math.min(mtus.get(i.bridge)!, TAP_MAX_MTU)
      })),
      routes: h.routes.map(routeOf),
      sysctls: h.sysctls
    })),
    apps: shape.apps.map(([name, { id, hosts }]) => ({ name, id, hosts })),
    policies: shape.policies.map(({ from, to, protocol, ports }) => ({ from, to, protocol, ...(ports !== undefined && { ports }) }))
  }
}
