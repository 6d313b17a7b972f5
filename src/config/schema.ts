/** The shape of the network file: its keys, the kind and default of each. What depends on other keys is checked in check-*.ts. */
import { z } from 'zod'
import { type Raw } from './document.js'
import * as s from './scalars.js'
import { VXLAN_PORT } from '../wire/vxlan.js'

/** Highest MTU of a TAP: 65535 without the Ethernet header (tun_net_initialize() of drivers/net/tun.c). */
export const TAP_MAX_MTU = 65521
export const MIN_MTU = 68 // RFC 791 3.2
const MAX_MTU = 65535
/** Highest MTU of a VXLAN port: what fits with its headers into an IPv4 packet of 65535 bytes, the longest (RFC 791 3.1). */
export const VXLAN_MAX_MTU = 65485
const UINT32 = 4294967295
const MAX_VNI = 16777215
/** Group policy id of a VXLAN header: 16 bits; 0 means none (draft-smith-vxlan-group-policy section 2.1). */
const MAX_APP_ID = 65535
const MAX_AGEING = UINT32 / 100 | 0 // what the kernel can count in hundredths of a second

/** Separates the keys that are valid in a mapping, in the message of an issue `unrecognized_keys`: read by validate.ts. */
export const KEY_SEPARATOR = ' '

/** A mapping of fixed keys. Nothing at all counts as `{}`: then the keys that must be there are missing, if any. */
const mapping = <T extends z.core.$ZodLooseShape>(shape: T) =>
  z.preprocess(
    (raw) => (raw === null ? {} : raw instanceof Map ? Object.fromEntries(raw as Map<string, Raw>) : raw),
    z.strictObject(shape, {
      error: (issue) =>
        issue.code === 'unrecognized_keys' ? Object.keys(shape).join(KEY_SEPARATOR) : s.unexpected('a mapping', issue.input)
    }))

/** A mapping of names that the file chooses: becomes a list of entries in the file's order. */
const named = <K extends z.ZodType<string>, V extends z.ZodType>(key: K, value: V) =>
  z
    .preprocess(
      (raw) => (raw === null ? new Map() : raw),
      z.map(key, value, { error: (issue) => s.unexpected('a mapping of names', issue.input) }))
    .transform((entries): [string, z.output<V>][] => [...entries])
    .default([])

const list = <V extends z.ZodType>(value: V) =>
  z.preprocess((raw) => (raw === null ? [] : raw), z.array(value, { error: (issue) => s.unexpected('a list', issue.input) }))

const oneOrMany = <V extends z.ZodType>(value: V) =>
  z.preprocess((raw) => (Array.isArray(raw) ? raw : [raw]), z.array(value)).default([])

const nextHop = mapping({
  via: s.stationAddress.optional(),
  dev: s.reference('an interface').optional(),
  weight: s.integer(1, 256).default(1),
  onlink: s.flag.default(false)
})

const route = mapping({
  to: s.destination,
  via: s.stationAddress.optional(),
  dev: s.reference('an interface').optional(),
  metric: s.integer(0, UINT32).default(0),
  type: s.routeType.default('unicast'),
  onlink: s.flag.default(false),
  nexthops: list(nextHop).optional()
})

const neighbor = mapping({ address: s.stationAddress, lladdr: s.lladdr, dev: s.reference('an interface') })

// Which keys go with which port is checked in check-ports.ts.
const port = mapping({
  device: s.device.optional(),
  netns: s.netns.optional(),
  learning: s.flag.optional(),
  flood: s.flag.optional(),
  neigh_suppress: s.flag.optional()
})

const bridge = mapping({
  address: oneOrMany(s.interfaceAddress),
  mac: s.mac.optional(),
  mtu: s.integer(MIN_MTU, MAX_MTU).optional(),
  ageing_time: s.integer(0, MAX_AGEING, ' of seconds').default(300),
  fdb_max_learned: s.integer(0, 2147483647).default(65536),
  ports: named(z.string(), port)
})

const routerInterface = mapping({
  bridge: s.reference('a bridge'),
  address: oneOrMany(s.interfaceAddress),
  peer: s.stationAddress.optional(),
  mac: s.mac.optional(),
  mtu: s.integer(MIN_MTU, MAX_MTU).optional(),
  up: s.flag.default(true),
  forwarding: s.flag.default(true),
  proxy_arp: s.flag.default(false),
  rp_filter: s.rpFilter.default(0),
  send_redirects: s.flag.default(true),
  bc_forwarding: s.flag.default(false)
})

const router = mapping({
  forwarding: s.flag.default(true),
  interfaces: named(s.interfaceName, routerInterface),
  routes: list(route).default([]),
  neighbors: list(neighbor).default([])
})

const hostInterface = mapping({
  bridge: s.reference('a bridge'),
  address: oneOrMany(s.hostAddress),
  peer: s.stationAddress.optional(),
  mac: s.mac.optional(),
  mtu: s.integer(MIN_MTU, TAP_MAX_MTU).optional()
})

const host = mapping({
  netns: s.netns.optional(),
  interfaces: named(s.interfaceName, hostInterface),
  routes: list(route).default([]),
  sysctls: named(s.sysctlName, s.sysctlValue)
})

const vxlan = mapping({
  bridge: s.reference('a bridge'),
  id: s.integer(1, MAX_VNI),
  local: s.underlayLocal.optional(),
  dstport: s.integer(1, 65535).default(VXLAN_PORT),
  remote: oneOrMany(s.underlayPeer),
  group: s.underlayGroup.optional(),
  dev: s.device.optional(),
  srcport: s.portRange.default([49152, 65535]), // RFC 7348 section 5
  learning: s.flag.default(true),
  proxy: s.flag.default(false),
  neigh_suppress: s.flag.optional(),
  ttl: s.ttl.default(64),
  tos: s.tos.default(0),
  df: s.word('unset', 'set', 'inherit').default('unset'),
  udpcsum: s.flag.default(true),
  ageing: s.integer(0, MAX_AGEING, ' of seconds').default(300),
  maxaddress: s.integer(0, 2147483647).default(0),
  l2miss: s.flag.default(false),
  l3miss: s.flag.default(false),
  gbp: s.flag.default(false),
  inner_vlan: s.word('pass', 'drop').default('pass'),
  mtu: s.integer(MIN_MTU, VXLAN_MAX_MTU).optional(),
  mac: s.mac.optional(),
  netns: s.netns.optional(),
  uplink: s.word('auto', 'tap', 'socket').default('auto'),
  fdb: list(mapping({
    mac: s.lladdr,
    dst: s.underlayPeer,
    vni: s.integer(1, MAX_VNI).optional(),
    port: s.integer(1, 65535).optional()
  })).default([]),
  neighbors: list(mapping({ address: s.stationAddress, lladdr: s.lladdr })).default([])
})

const app = mapping({ id: s.integer(1, MAX_APP_ID), hosts: oneOrMany(s.reference('a host')) })

// Which protocols have ports is checked in check-apps.ts.
const policy = mapping({
  from: s.reference('an app'),
  to: s.reference('an app'),
  protocol: s.word('tcp', 'udp', 'icmp'),
  ports: s.ports.optional()
})

export const networkFile = mapping({
  version: s.version,
  bridges: named(s.elementName, bridge),
  routers: named(s.elementName, router),
  vxlans: named(s.elementName, vxlan),
  hosts: named(s.elementName, host),
  apps: named(s.elementName, app),
  policies: list(policy).default([])
})

export type NetworkShape = z.output<typeof networkFile>
export type BridgeShape = z.output<typeof bridge>
export type RouterInterfaceShape = z.output<typeof routerInterface>
export type HostInterfaceShape = z.output<typeof hostInterface>
export type PortShape = z.output<typeof port>
export type VxlanShape = z.output<typeof vxlan>
export type PolicyShape = z.output<typeof policy>
export type RouteShape = z.output<typeof route>
