/** A network file, with the TAPs and sockets opened for it, as the operations that build it. Order is the file's. */
import type { Address, App, BridgeDevice, HostInterface, Mac, NetworkFile, NextHop, Policy, Route, Vxlan } from '../config/types.js'
import type { NextHopText, Operation } from '../network/operations.js'
import * as ip4 from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'

/** A host's interface with its open TAP, as the lab made it. */
export interface OpenTap {
  readonly host: string
  readonly interface: string
  readonly fd: number
  /** Its further queues. */
  readonly queues?: readonly number[]
  readonly vnetHeader: number
  readonly offloads: number
}

/** An existing device with its open packet socket, as the lab attached it. */
export interface OpenDevice {
  /** Name of the port. */
  readonly name: string
  readonly fd: number
  readonly vnetHeader: number
  readonly offloads: number
  readonly mac: string
  readonly mtu: number
}

/** Descriptors of a VXLAN's UDP sockets; `gso`: those that send know UDP_SEGMENT. */
export interface OpenTunnel {
  readonly receive: readonly number[]
  readonly send: readonly number[]
  readonly sendDf: readonly number[]
  readonly gso: boolean
  /** Of the further workers. */
  readonly others?: readonly { readonly receive: readonly number[]; readonly send: readonly number[]; readonly sendDf: readonly number[] }[]
  /** TAP for super-frames, and the ports of `send` and `sendDf`. */
  readonly uplink?: { readonly fd: number; readonly ttl: number; readonly on: boolean; readonly ports: readonly number[]; readonly portsDf: readonly number[] }
}

/** What was opened for a network file besides its TAPs. */
export interface OpenPorts {
  readonly devices?: readonly OpenDevice[]
  /** By the name of the VXLAN. */
  readonly tunnel?: (name: string) => OpenTunnel
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
  mac: mac(i.mac), netns, ifname: i.name, ...(tap.queues === undefined || tap.queues.length === 0 ? {} : { queues: tap.queues })
})

/** A device plugged into a bridge; what its file says of the port comes after it. */
const devicePort = (bridge: string, d: BridgeDevice, open: OpenDevice): Operation[] => {
  const { learning, flood, neighSuppress } = d
  return [
    {
      op: 'port.add', name: d.name, bridge, mtu: open.mtu, handle: open.fd, vnet_header: open.vnetHeader, offloads: open.offloads,
      mac: open.mac, netns: d.netns ?? '', ifname: d.device, io: 'packet'
    },
    ...(learning && flood && !neighSuppress ? []
      : [{ op: 'link.set' as const, dev: d.name, learning, flood, neigh_suppress: neighSuppress }])
  ]
}

/** The MAC address of flood lists: entries that take what no other entry takes. */
const ALL_ZEROS = '00:00:00:00:00:00'

/** A VXLAN port with its peers, its forwarding entries and its neighbours. */
const vxlan = (v: Vxlan, open: OpenTunnel): Operation[] => {
  const flood = [...v.remote, ...(v.group === undefined ? [] : [v.group])]
  return [
    {
      op: 'vxlan.add', name: v.name, bridge: v.bridge, mac: mac(v.mac), mtu: v.mtu, id: v.id, local: v.local ?? '', dstport: v.dstport,
      srcport: v.srcport, ...(v.group === undefined ? {} : { group: v.group }), ...(v.dev === undefined ? {} : { dev: v.dev }),
      ...(v.remote[0] === undefined ? {} : { remote: v.remote[0] }), learning: v.learning, proxy: v.proxy, neigh_suppress: v.neighSuppress,
      ttl: v.ttl, tos: v.tos, df: v.df, udpcsum: v.udpcsum, ageing: v.ageing, maxaddress: v.maxaddress, l2miss: v.l2miss, l3miss: v.l3miss,
      gbp: v.gbp, inner_vlan: v.innerVlan, netns: v.netns ?? '', family: v.family,
      receive: open.receive, send: open.send, send_df: open.sendDf, gso: open.gso,
      ...(open.others === undefined || open.others.length === 0 ? {}
        : { others: open.others.map(({ receive, send, sendDf }) => ({ receive, send, send_df: sendDf })) }),
      ...(open.uplink === undefined ? {}
        : { uplink: { handle: open.uplink.fd, ttl: open.uplink.ttl, on: open.uplink.on, ports: open.uplink.ports, ports_df: open.uplink.portsDf } })
    },
    ...flood.map((dst): Operation => ({ op: 'fdb.append', mac: ALL_ZEROS, dev: v.name, state: 'permanent', self: true, dst })),
    ...v.fdb.map((entry): Operation => {
      const lladdr = mac(entry.mac)
      return {
        op: lladdr === ALL_ZEROS ? 'fdb.append' : 'fdb.add', mac: lladdr, dev: v.name, state: 'permanent', self: true, dst: entry.dst,
        ...(entry.vni === undefined ? {} : { vni: entry.vni }), ...(entry.port === undefined ? {} : { port: entry.port })
      }
    }),
    ...v.neighbors.map((n): Operation =>
      ({ op: 'neigh.add', dev: v.name, address: ip4.formatIp4(n.address), lladdr: mac(n.lladdr), nud: 'permanent' }))
  ]
}

/** An app and each port of its hosts, with what may come in there. */
const app = ({ name, id, hosts }: App, file: NetworkFile): Operation[] => [
  { op: 'app.add', name, id },
  ...file.hosts.filter((h) => hosts.includes(h.name)).flatMap((h) => h.interfaces.map((i): Operation => ({
    op: 'app.member', name, port: `${h.name}.${i.name}`, addresses: i.addresses.map((a) => ip4.formatIp4(a.address)), mac: mac(i.mac)
  })))
]

const policy = ({ from, to, protocol, ports }: Policy): Operation =>
  ({ op: 'policy.add', from, to, protocol, ...(ports === undefined ? {} : { ports }) })

/** Throws when something of the file was not opened. */
export const buildOperations = (file: NetworkFile, taps: readonly OpenTap[], open: OpenPorts = {}): Operation[] => {
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
  for (const v of file.vxlans) {
    const tunnel = open.tunnel?.(v.name)
    if (tunnel === undefined) throw new Error(`no sockets were opened for ${v.name}`)
    operations.push(...vxlan(v, tunnel))
  }
  for (const b of file.bridges) {
    for (const d of b.devices) {
      const device = open.devices?.find(({ name }) => name === d.name)
      if (device === undefined) throw new Error(`no socket was opened for ${d.name}`)
      operations.push(...devicePort(b.name, d, device))
    }
  }
  for (const h of file.hosts) {
    for (const i of h.interfaces) {
      const tap = taps.find((t) => t.host === h.name && t.interface === i.name)
      if (tap === undefined) throw new Error(`no TAP was made for ${h.name}.${i.name}`)
      operations.push(port(h.name, h.netns ?? h.name, i, tap))
    }
  }
  // Ports are all there now, in whatever order the file has them.
  for (const { portOptions } of file.bridges) {
    for (const { port: dev, learning, flood, neighSuppress } of portOptions) {
      operations.push({
        op: 'link.set', dev, ...(learning === undefined ? {} : { learning }), ...(flood === undefined ? {} : { flood }),
        ...(neighSuppress === undefined ? {} : { neigh_suppress: neighSuppress })
      })
    }
  }
  for (const a of file.apps) operations.push(...app(a, file))
  for (const p of file.policies) operations.push(policy(p))
  return operations
}
