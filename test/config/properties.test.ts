import { readFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { parseNetworkFile } from '../../src/config/load.js'
import { ConfigError } from '../../src/config/problem.js'
import {
  type Address, type App, type Bridge, type Host, type NetworkFile, type NextHop, type Policy, type PortOptions, type Route, type Router, type Vxlan
} from '../../src/config/types.js'
import { formatIp4 } from '../../src/wire/ip4.js'
import { formatMac } from '../../src/wire/mac.js'

// A network as a file would say it, every key written out.

const prefix = ({ address, prefixLength }: { address: number; prefixLength: number }): string => `${formatIp4(address)}/${prefixLength}`

const addressKeys = (addresses: readonly Address[]): object => {
  const peer = addresses[0]?.peer
  const text = addresses.map(prefix)
  return { ...(text.length > 0 && { address: text.length === 1 ? text[0] : text }), ...(peer !== undefined && { peer: formatIp4(peer) }) }
}

const hopKeys = ({ via, dev }: { via?: number; dev?: string }): object => ({
  ...(via !== undefined && { via: formatIp4(via) }),
  ...(dev !== undefined && { dev })
})

const routeKeys = (route: Route): object => ({
  to: route.to.prefixLength === 0 ? 'default' : prefix(route.to),
  type: route.type, metric: route.metric, onlink: route.onlink, ...hopKeys(route),
  ...(route.nexthops.length > 0 && { nexthops: route.nexthops.map((h) => ({ ...hopKeys(h), weight: h.weight, onlink: h.onlink })) })
})

const named = <T extends { name: string }>(list: readonly T[], keys: (value: T) => object): Map<string, object> =>
  new Map(list.map((value) => [value.name, keys(value)]))

const flagKeys = ({ learning, flood, neighSuppress }: Omit<PortOptions, 'port'>): object => ({
  ...(learning !== undefined && { learning }),
  ...(flood !== undefined && { flood }),
  ...(neighSuppress !== undefined && { neigh_suppress: neighSuppress })
})

const portKeys = ({ devices, portOptions }: Bridge): Map<string, object> => new Map([
  ...devices.map(({ name, device, netns, ...flags }): [string, object] => [name, { device, ...(netns !== undefined && { netns }), ...flagKeys(flags) }]),
  ...portOptions.map(({ port, ...flags }): [string, object] => [port, flagKeys(flags)])
])

/** `family` follows from the addresses; the rest of the keys is the file's but for their spelling. */
const vxlanKeys = ({ name: _, family, neighSuppress, innerVlan, mac, fdb, neighbors, ...rest }: Vxlan): object => ({
  ...(rest.local === undefined && { local: family === 4 ? '0.0.0.0' : '::' }),
  ...rest, mac: formatMac(...mac), neigh_suppress: neighSuppress, inner_vlan: innerVlan,
  fdb: fdb.map((entry) => ({ ...entry, mac: formatMac(...entry.mac) })),
  neighbors: neighbors.map(({ address, lladdr }) => ({ address: formatIp4(address), lladdr: formatMac(...lladdr) }))
})

const fileOf = ({ bridges, routers, vxlans, hosts, apps, policies }: NetworkFile): object => ({
  version: 1,
  bridges: named(bridges, (b) => ({
    ...addressKeys(b.addresses), mac: formatMac(...b.mac), mtu: b.mtu, ageing_time: b.ageingTime, fdb_max_learned: b.fdbMaxLearned,
    ports: portKeys(b)
  })),
  routers: named(routers, (r) => ({
    forwarding: r.forwarding,
    interfaces: named(r.interfaces, (i) => ({
      bridge: i.bridge, ...addressKeys(i.addresses), mac: formatMac(...i.mac), mtu: i.mtu, up: i.up, forwarding: i.forwarding,
      proxy_arp: i.proxyArp, rp_filter: i.rpFilter, send_redirects: i.sendRedirects, bc_forwarding: i.bcForwarding
    })),
    routes: r.routes.map(routeKeys),
    neighbors: r.neighbors.map((n) => ({ address: formatIp4(n.address), lladdr: formatMac(...n.lladdr), dev: n.dev }))
  })),
  vxlans: named(vxlans, vxlanKeys),
  hosts: named(hosts, (h) => ({
    ...(h.netns !== undefined && { netns: h.netns }),
    interfaces: named(h.interfaces, (i) => ({ bridge: i.bridge, ...addressKeys(i.addresses), mac: formatMac(...i.mac), mtu: i.mtu })),
    routes: h.routes.map(routeKeys),
    sysctls: new Map(h.sysctls)
  })),
  apps: named(apps, ({ id, hosts: members }) => ({ id, hosts: members })),
  policies: policies.map(({ ports, ...rest }) => ({ ...rest, ...(ports !== undefined && { ports: ports[0] === ports[1] ? ports[0] : ports.join('-') }) }))
})

// Random networks that are valid: names and addresses are taken from a counter, so that none comes twice.

const NAME = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/)
const DEV = fc.stringMatching(/^[a-z0-9._@-]{1,9}$/)
const OCTET = fc.constantFrom<(number | 'inherit')[]>(0, 64, 184, 255, 'inherit')
const WAYLESS = fc.constantFrom('blackhole', 'unreachable', 'prohibit') as fc.Arbitrary<Route['type']>

const network = fc.gen().map((gen): NetworkFile => {
  let count = 0
  const unique = (text: string): string => `${text}_${count++}`
  const mac = (): [number, number] => [0x0002 | (gen(fc.nat, 255) << 8), count++]
  const times = <T>(max: number, make: (i: number) => T): T[] => Array.from({ length: gen(fc.nat, max) }, (_, i) => make(i))
  const bool = (): boolean => gen(fc.boolean)
  /** Addresses of the n-th network of the n-th interface: 10.n.0.0/16. */
  const addresses = (): Address[] => {
    const base = 0x0a000000 + ((++count & 0xff) << 16)
    if (gen(fc.nat, 4) === 0) return [{ address: base + 1, prefixLength: 32, peer: base + 2 }]
    return times(2, (i) => ({ address: base + (i << 8) + 1, prefixLength: gen(() => fc.integer({ min: 16, max: 30 })) }))
  }
  const gatewayOf = ({ address, peer }: Address): number => peer ?? address + 1
  const routes = (interfaces: readonly { name: string; addresses: readonly Address[] }[]): Route[] => times(4, (i): Route => {
    const to = i === 0 ? { address: 0, prefixLength: 0 } : { address: (0xac100000 + (i << 8)) | 0, prefixLength: 24 }
    const route = { to, type: 'unicast' as const, metric: gen(() => fc.integer({ min: 0, max: 4294967295 })), onlink: false, nexthops: [] }
    const reachable = interfaces.filter((x) => x.addresses.length > 0)
    const [at] = reachable
    switch (at === undefined ? 0 : gen(fc.nat, 4)) {
      case 1: return { ...route, via: gatewayOf(at!.addresses[0]!) }
      case 2: return { ...route, dev: at!.name }
      case 3: return { ...route, via: 0x0b000001, dev: at!.name, onlink: true }
      case 4: return {
        ...route,
        nexthops: reachable.map((x): NextHop => ({ via: gatewayOf(x.addresses[0]!), dev: x.name, weight: gen(() => fc.integer({ min: 1, max: 256 })), onlink: bool() }))
      }
      default: return { ...route, type: gen(() => WAYLESS) }
    }
  })
  const empty = Array.from({ length: 1 + gen(fc.nat, 2) }, (): Bridge => ({
    name: unique(gen(() => NAME)), addresses: addresses().filter(({ peer }) => peer === undefined), mac: mac(),
    mtu: gen(() => fc.integer({ min: 68, max: 65535 })), ageingTime: gen(fc.nat, 42949672), fdbMaxLearned: gen(fc.nat, 2147483647),
    devices: [], portOptions: []
  }))
  const plug = () => ({
    name: unique(gen(() => DEV)).slice(-15), bridge: gen(() => fc.constantFrom(...empty)).name, addresses: addresses(), mac: mac(),
    mtu: gen(() => fc.integer({ min: 68, max: 65521 }))
  })
  const routers = times(2, (): Router => {
    const interfaces = times(3, () => ({
      ...plug(), up: bool(), forwarding: bool(), proxyArp: bool(), rpFilter: gen(() => fc.constantFrom(0, 1, 2)), sendRedirects: bool(), bcForwarding: bool()
    }))
    const neighbors = interfaces.map(({ name }) => ({ address: (0xc0000200 + (count++ & 255)) | 0, lladdr: mac(), dev: name }))
    return { name: unique(gen(() => NAME)), forwarding: bool(), interfaces, routes: routes(interfaces), neighbors }
  })
  const hosts = times(2, (): Host => {
    const interfaces = times(2, plug)
    const netns = gen(() => fc.constantFrom(undefined, unique('adopted'), `/proc/${++count}/ns/net`))
    const sysctls = times(2, (i) => [`net.ipv4.conf.all.x${i}`, gen(() => fc.stringMatching(/^[ -~]{0,12}$/))] as const)
    return { name: unique(gen(() => NAME)), ...(netns !== undefined && { netns }), interfaces, routes: routes(interfaces), sysctls }
  })
  const vxlans = times(4, (): Vxlan => {
    const family = gen(() => fc.constantFrom(4 as const, 6 as const))
    const end = (): string => (family === 4 ? `192.168.${count >> 8}.${count++ & 255}` : `fd00::${(++count).toString(16)}`)
    const number = (min: number, max: number): number => gen(() => fc.integer({ min, max }))
    const low = number(1, 65535)
    const multicast = gen(fc.nat, 3) === 0
    const entry = (i: number) => ({
      mac: i === 0 ? [0, 0] as const : mac(), dst: end(), ...(bool() && { vni: number(1, 16777215) }), ...(bool() && { port: number(1, 65535) })
    })
    const local = bool() ? end() : undefined
    const device = multicast || bool()
    return {
      name: unique(gen(() => NAME)), bridge: gen(() => fc.constantFrom(...empty)).name, mac: mac(), mtu: number(68, 65465), id: number(1, 16777215),
      ...(local !== undefined && { local }), uplink: local !== undefined && family === 4 && !device && bool() ? 'tap' : 'socket',
      family, dstport: 1 + count++, srcport: [low, number(low, 65535)],
      remote: multicast ? [] : times(3, end), ...(multicast && { group: family === 4 ? '239.1.2.3' : 'ff05::123' }),
      ...(device && { dev: unique('p') }),
      learning: bool(), proxy: bool(), neighSuppress: bool(), ttl: gen(() => OCTET),
      tos: gen(() => OCTET), df: gen(() => fc.constantFrom('unset', 'set', 'inherit')), udpcsum: bool(),
      ageing: number(0, 42949672), maxaddress: gen(fc.nat, 2147483647), l2miss: bool(), l3miss: bool(), gbp: bool(),
      innerVlan: gen(() => fc.constantFrom('pass', 'drop')), ...(bool() && { netns: unique('under') }),
      fdb: times(4, entry), neighbors: times(3, () => ({ address: (0xc6336400 + (count++ & 255)) | 0, lladdr: mac() }))
    }
  })
  const flags = () => ({ learning: bool(), flood: bool(), neighSuppress: bool() })
  const bridges = empty.map((b): Bridge => ({
    ...b,
    devices: times(2, () => ({ name: unique('dev'), device: unique('d'), ...(bool() && { netns: unique('ns') }), ...flags() })),
    portOptions: [
      ...hosts.flatMap((h) => h.interfaces.filter((i) => i.bridge === b.name).map((i) => ({ port: `${h.name}.${i.name}`, ...flags() }))),
      ...vxlans.filter((v) => v.bridge === b.name).map((v) => ({ port: v.name, flood: bool() }))
    ].filter(bool)
  }))
  const members = hosts.filter(({ interfaces }) => interfaces.every((i) => i.addresses.length > 0)).map(({ name }) => name)
  const apps = times(3, (): App => ({ name: unique(gen(() => NAME)), id: ++count, hosts: bool() ? members.splice(0, 1) : [] }))
  const app = (): string => gen(() => fc.constantFrom(...apps)).name
  const policies = apps.length === 0 ? [] : times(4, (): Policy => {
    const protocol = gen(() => fc.constantFrom('tcp' as const, 'udp' as const, 'icmp' as const))
    const low = 1 + count++
    return { from: app(), to: app(), protocol, ...(protocol !== 'icmp' && { ports: [low, gen(() => fc.constantFrom(low, 65535))] as const }) }
  }).filter(({ from, to, protocol }, i, all) => protocol !== 'icmp' || all.findIndex((p) => p.from === from && p.to === to && p.protocol === protocol) === i)
  return { bridges, routers, vxlans, hosts, apps, policies }
})

test('a network written as YAML or JSON reads back as the same', (t) => {
  fc.assert(fc.property(network, fc.boolean(), (expected, flow) => {
    const text = stringify(fileOf(expected), { collectionStyle: flow ? 'flow' : 'any', lineWidth: 0 })
    t.deepEqual(parseNetworkFile(text, 'random.yaml'), expected)
  }), { numRuns: 150 })
})

// Whatever is read, nothing but ConfigError is thrown, in one line, with a place in the text.

const survives = (text: string): void => {
  try {
    parseNetworkFile(text, 'f')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const lines = text.split(/\r\n|\n|\r/)
    for (const { line, column, message } of error.problems) {
      if (message === '' || line < 1 || column < 1 || line > lines.length + 1) throw new Error(`no such place: ${line}:${column}`)
    }
    if (!/^f:\d+:\d+: [^\n\r]+$/.test(error.message)) throw new Error(`not one line: ${error.message}`)
  }
}

const example = (name: string): string => readFileSync(new URL(`../../../examples/${name}`, import.meta.url), 'utf8')
const OVERLAY = `version: 1
bridges:
  br0: { address: 10.0.10.1/24, ports: { eth1: { device: eth1, netns: other }, vxlan1: { flood: false }, c.eth0: { learning: false } } }
vxlans:
  vxlan1:
    bridge: br0
    id: 42
    local: 192.168.77.1
    remote: [192.168.77.2, 192.168.77.3]
    proxy: true
    srcport: [50000, 50015]
    fdb: [ { mac: 02:42:0a:00:0a:0b, dst: 192.168.77.2, vni: 42, port: 4789 } ]
    neighbors: [ { address: 10.0.10.11, lladdr: 02:42:0a:00:0a:0b } ]
  vxlan2: { bridge: br0, id: 43, group: ff05::100, dev: eth0, dstport: 8472, ttl: inherit }
hosts: { c: { interfaces: { eth0: { bridge: br0, address: 10.0.10.10/24 } } } }
apps: { web: { id: 1001, hosts: [c] }, db: { id: 1002 } }
policies: [ { from: web, to: db, protocol: tcp, ports: 5432 }, { from: db, to: web, protocol: icmp } ]
`
const EXAMPLES = [example('two-networks.yaml'), example('smol-internet.yaml'), OVERLAY]
const PIECES = [
  ...' \t\n\r:-?,[]{}#&*!|>\'"%@`~', '\n  ', '- ', ': ', '&a ', '*a', '<<: ', '---\n', '...\n', '!!str ', '!!map ', '!!binary ', '%YAML 1.1\n---\n',
  'null', 'true', '.inf', '.nan', '-1', '0x7f', '1e400', '99999999999999999999', '\u0000', '\u0085', '\uFEFF', '\uD800', '__proto__', 'constructor', 'toString',
  '10.1.1.3/24', '0.0.0.0/0', '255.255.255.255', 'version: 1', 'nexthops: []', 'vxlans: { v: { bridge: b, id: 42 } }', 'remote: [192.168.77.2]', 'fe80::1', 'ff02::1', '"::"', 'inherit', 'ports: { a: { device: eth1 } }', 'netns: 1',
  'address:'
]

test('any text is read or refused in words', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), survives), { numRuns: 500 })
  fc.assert(fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }), (parts) => survives(parts.join(''))), { numRuns: 1000 })
  t.pass()
})

test('examples with changes are read or refused in words', (t) => {
  const change = fc.record({ at: fc.nat(), remove: fc.nat(12), insert: fc.oneof(fc.constantFrom(...PIECES, ''), fc.string({ maxLength: 4 })) })
  fc.assert(fc.property(fc.constantFrom(...EXAMPLES), fc.array(change, { minLength: 1, maxLength: 5 }), (text, changes) => {
    let changed = text.replaceAll(/^#.*\n/gm, '')
    for (const { at, remove, insert } of changes) {
      const i = at % (changed.length + 1)
      changed = changed.slice(0, i) + insert + changed.slice(i + remove)
    }
    survives(changed)
  }), { numRuns: 1500 })
  t.pass()
})

test('any value in the place of any other is read or refused in words', (t) => {
  const odd = fc.oneof(fc.constantFrom(null, true, 0, -1, 1.5, '', 'x', 'default', [], {}, [null], { a: null }, { __proto__: null }), fc.jsonValue({ maxDepth: 2 }))
  fc.assert(fc.property(network, fc.nat(), odd, (valid, where, value) => {
    let left = where % 60
    const replaced = JSON.stringify(fileOf(valid), (_key, part: unknown) => (part instanceof Map ? Object.fromEntries(part) : part))
    const text = JSON.stringify(JSON.parse(replaced), (_key, part: unknown) => (left-- === 0 ? value : part))
    survives(text ?? '')
  }), { numRuns: 500 })
  t.pass()
})
