/** A network file, with the TAPs made for it, as the operations that build it. Order is the file's. */
import type { Address, HostInterface, Mac, NetworkFile, NextHop, Route } from '../config/types.js'
import type { NextHopText, Operation } from '../network/operations.js'
import * as ip4 from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'

/** A host's interface with its open TAP, as the lab made it. */
export interface OpenTap {
  readonly host: string
  readonly interface: string
  readonly fd: number
  readonly vnetHeader: number
  readonly offloads: number
}

const mac = ([hi, lo]: Mac): string => formatMac(hi, lo)
const prefix = (a: { address: number; prefixLength: number }): string => `${ip4.formatIp4(a.address)}/${a.prefixLength}`

const address = (dev: string, router: string, a: Address): Operation => ({
  op: 'addr.add', dev, router, prefix: prefix(a), ...(a.peer === undefined ? {} : { peer: ip4.formatIp4(a.peer) })
})

const hop = (h: Partial<NextHop>): NextHopText => ({
  ...(h.via === undefined ? {} : { via: ip4.formatIp4(h.via) }),
  ...(h.dev === undefined ? {} : { dev: h.dev }),
  ...(h.weight === undefined ? {} : { weight: h.weight }),
  ...(h.onlink === true ? { onlink: true } : {})
})

const route = (router: string, r: Route): Operation => ({
  op: 'route.append', router, prefix: r.to.prefixLength === 0 ? 'default' : prefix(r.to), type: r.type, metric: r.metric, protocol: 'static',
  ...(r.type === 'unicast' ? { nexthops: r.nexthops.length > 0 ? r.nexthops.map(hop) : [hop(r)] } : {})
})

const port = (host: string, netns: string, i: HostInterface, tap: OpenTap): Operation => ({
  op: 'port.add', name: `${host}.${i.name}`, bridge: i.bridge, mtu: i.mtu, handle: tap.fd, vnet_header: tap.vnetHeader, offloads: tap.offloads,
  mac: mac(i.mac), netns, ifname: i.name
})

export const buildOperations = (file: NetworkFile, taps: readonly OpenTap[]): Operation[] => {
  const operations: Operation[] = []
  for (const b of file.bridges) {
    operations.push({
      op: 'bridge.add', name: b.name, mac: mac(b.mac), mtu: b.mtu, ageing_time: b.ageingTime, fdb_max_learned: b.fdbMaxLearned
    })
    for (const a of b.addresses) operations.push(address(b.name, b.name, a))
  }
  for (const r of file.routers) {
    operations.push({ op: 'router.add', name: r.name, forwarding: r.forwarding })
    for (const i of r.interfaces) {
      operations.push({
        op: 'interface.add', router: r.name, name: i.name, bridge: i.bridge, mac: mac(i.mac), mtu: i.mtu, forwarding: i.forwarding,
        proxy_arp: i.proxyArp, rp_filter: i.rpFilter, send_redirects: i.sendRedirects, bc_forwarding: i.bcForwarding
      })
      for (const a of i.addresses) operations.push(address(i.name, r.name, a))
    }
    for (const x of r.routes) operations.push(route(r.name, x))
    for (const n of r.neighbors) {
      operations.push({ op: 'neigh.add', dev: n.dev, router: r.name, address: ip4.formatIp4(n.address), lladdr: mac(n.lladdr), nud: 'permanent' })
    }
    for (const i of r.interfaces) if (!i.up) operations.push({ op: 'link.set', dev: i.name, router: r.name, up: false })
  }
  for (const h of file.hosts) {
    for (const i of h.interfaces) {
      const tap = taps.find((t) => t.host === h.name && t.interface === i.name)
      if (tap === undefined) throw new Error(`no TAP was made for ${h.name}.${i.name}`)
      operations.push(port(h.name, h.netns ?? h.name, i, tap))
    }
  }
  return operations
}
