import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { loadNetworkFile, parseNetworkFile } from '../../src/config/load.js'
import { ConfigError } from '../../src/config/problem.js'
import { type NetworkFile } from '../../src/config/types.js'
import { formatIp4, parseIp4 } from '../../src/wire/ip4.js'
import { formatMac } from '../../src/wire/mac.js'

const ip = (text: string): number => parseIp4(text)!
const parse = (text: string): NetworkFile => parseNetworkFile(text, 'net.yaml')
const example = (name: string): string => fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url))

test('examples/two-networks.yaml', async (t) => {
  const file = await loadNetworkFile(example('two-networks.yaml'))
  t.deepEqual(file.bridges.map(({ name, addresses }) => [name, addresses]), [
    ['squasheeba', [{ address: ip('10.1.1.1'), prefixLength: 24 }]],
    ['doggonet', [{ address: ip('10.1.2.1'), prefixLength: 24 }]]
  ])
  t.deepEqual(file.routers, [])
  const seen = file.hosts.map(({ name, interfaces: [i], routes: [route] }) =>
    [name, i!.name, i!.bridge, formatIp4(i!.addresses[0]!.address), route!.to.prefixLength, formatIp4(route!.via!), formatMac(...i!.mac)])
  t.deepEqual(seen, [
    ['boudi', 'eth0', 'squasheeba', '10.1.1.3', 0, '10.1.1.1', '02:42:0a:01:01:03'],
    ['tara', 'eth0', 'doggonet', '10.1.2.2', 0, '10.1.2.1', '02:42:0a:01:02:02']
  ])
})

test('examples/smol-internet.yaml', async (t) => {
  const file = await loadNetworkFile(example('smol-internet.yaml'))
  t.deepEqual(file.bridges.map(({ name, addresses }) => [name, addresses]), [['ten-one-net', []], ['ten-two-net', []]])
  const [router] = file.routers
  t.deepEqual(router!.interfaces.map((i) => [i.name, i.bridge, formatIp4(i.addresses[0]!.address)]), [
    ['eth1', 'ten-one-net', '10.1.1.3'],
    ['eth0', 'ten-two-net', '10.1.2.3']
  ])
  t.true(router!.forwarding)
  t.deepEqual(file.hosts.map(({ name, routes }) => [name, formatIp4(routes[0]!.to.address), formatIp4(routes[0]!.via!)]), [
    ['client', '10.1.2.0', '10.1.1.3'],
    ['server', '10.1.1.0', '10.1.2.3']
  ])
})

const EMPTY = { bridges: [], routers: [], vxlans: [], hosts: [], apps: [], policies: [] }

test('the least file', (t) => {
  t.deepEqual(parse('version: 1\n'), EMPTY)
  t.deepEqual(parse('version: 1\nbridges:\nrouters:\nvxlans:\nhosts:\napps:\npolicies:\n'), EMPTY)
})

test('every default', (t) => {
  const { bridges: [bridge], routers: [router], hosts: [host] } = parse(`
version: 1
bridges: { br0: }
routers: { r: { interfaces: { e: { bridge: br0 } }, routes: [ { to: default, dev: e } ] } }
hosts: { h: { interfaces: { e: { bridge: br0, address: 10.1.1.2 } } }, empty: }
`)
  t.like(bridge, { name: 'br0', addresses: [], mtu: 1500, ageingTime: 300, fdbMaxLearned: 65536 })
  t.true(router!.forwarding)
  t.like(router!.interfaces[0], {
    name: 'e', bridge: 'br0', addresses: [], mtu: 1500, up: true, forwarding: true,
    proxyArp: false, rpFilter: 0, sendRedirects: true, bcForwarding: false
  })
  t.deepEqual(router!.routes, [{ to: { address: 0, prefixLength: 0 }, type: 'unicast', metric: 0, dev: 'e', onlink: false, nexthops: [] }])
  t.like(host, { name: 'h', routes: [], sysctls: [] })
  t.false('netns' in host!)
  t.deepEqual(host!.interfaces[0]!.addresses, [{ address: ip('10.1.1.2'), prefixLength: 32 }])
})

test('every key', (t) => {
  const file = parse(`
version: 1
bridges:
  br0: { address: [10.1.1.1/24, 10.1.3.1/24], mac: 02:00:00:00:00:01, mtu: 9000, ageing_time: 0, fdb_max_learned: 0 }
routers:
  r:
    forwarding: false
    interfaces:
      e0: { bridge: br0, address: 10.1.1.3/24, mac: 02:00:00:00:00:02, mtu: 1400, up: false, forwarding: false, proxy_arp: true,
            rp_filter: loose, send_redirects: false, bc_forwarding: true }
      e1: { bridge: br0, address: 10.255.0.2/32, peer: 169.254.0.1 }
    routes:
      - { to: 10.7.0.0/16, type: blackhole, metric: 4294967295 }
      - { to: 10.8.0.0/16, nexthops: [ { via: 10.1.1.7, weight: 256 }, { via: 10.99.0.1, dev: e0, onlink: true } ] }
      - { to: default, via: 169.254.0.1 }
      - { to: 10.6.6.6, via: 10.98.0.1, dev: e1, onlink: true, metric: 7 }
    neighbors: [ { address: 10.1.1.9, lladdr: 02:00:00:00:00:09, dev: e0 } ]
hosts:
  h:
    netns: 4711
    interfaces: { e: { bridge: br0, mtu: 1300 } }
    routes: [ { to: default, via: 192.0.2.1, dev: other } ]      # an adopted namespace may have them
    sysctls: { net.ipv4.ip_forward: 1, net.ipv4.conf.e/10.forwarding: "1", net.ipv4.ping_group_range: "0 5" }
`)
  const hop = { weight: 1, onlink: false }
  t.deepEqual(file.bridges, [{
    name: 'br0', addresses: [{ address: ip('10.1.1.1'), prefixLength: 24 }, { address: ip('10.1.3.1'), prefixLength: 24 }],
    mac: [0x0002, 0x01000000], mtu: 9000, ageingTime: 0, fdbMaxLearned: 0,
    devices: [], portOptions: []
  }])
  const [r] = file.routers
  t.false(r!.forwarding)
  t.deepEqual(r!.interfaces[0], {
    name: 'e0', bridge: 'br0', addresses: [{ address: ip('10.1.1.3'), prefixLength: 24 }], mac: [0x0002, 0x02000000], mtu: 1400, up: false,
    forwarding: false, proxyArp: true, rpFilter: 2, sendRedirects: false, bcForwarding: true
  })
  t.is(r!.interfaces[1]!.mtu, 9000)
  t.deepEqual(r!.interfaces[1]!.addresses, [{ address: ip('10.255.0.2'), prefixLength: 32, peer: ip('169.254.0.1') }])
  t.deepEqual(r!.routes, [
    { to: { address: ip('10.7.0.0'), prefixLength: 16 }, type: 'blackhole', metric: 4294967295, onlink: false, nexthops: [] },
    {
      to: { address: ip('10.8.0.0'), prefixLength: 16 }, type: 'unicast', metric: 0, onlink: false,
      nexthops: [{ ...hop, via: ip('10.1.1.7'), weight: 256 }, { ...hop, via: ip('10.99.0.1'), dev: 'e0', onlink: true }]
    },
    { to: { address: 0, prefixLength: 0 }, type: 'unicast', metric: 0, via: ip('169.254.0.1'), onlink: false, nexthops: [] },
    { to: { address: ip('10.6.6.6'), prefixLength: 32 }, type: 'unicast', metric: 7, via: ip('10.98.0.1'), dev: 'e1', onlink: true, nexthops: [] }
  ])
  t.deepEqual(r!.neighbors, [{ address: ip('10.1.1.9'), lladdr: [0x0002, 0x09000000], dev: 'e0' }])
  const [h] = file.hosts
  t.is(h!.netns, '/proc/4711/ns/net')
  t.is(h!.interfaces[0]!.mtu, 1300)
  t.deepEqual(h!.sysctls, [['net.ipv4.ip_forward', '1'], ['net.ipv4.conf.e/10.forwarding', '1'], ['net.ipv4.ping_group_range', '0 5']])
})

test('the order of the file holds, also for names that look like numbers', (t) => {
  const names = ['b', '10', 'a', '2', '0x1', '1', '__proto__', 'constructor', 'true', 'null', '007']
  const file = parse(`version: 1\nbridges:\n${names.map((name) => `  ${name}: {}\n`).join('')}`)
  t.deepEqual(file.bridges.map(({ name }) => name), names)
})

test('names may be shared by interfaces and bridges, and between hosts', (t) => {
  t.notThrows(() => parse(`
version: 1
bridges: { eth0: {} }
hosts: { a: { interfaces: { eth0: { bridge: eth0 } } }, b: { interfaces: { eth0: { bridge: eth0 } } } }
`))
})

test('what the kernel takes is taken', (t) => {
  t.notThrows(() => parse(`
version: 1
bridges: { br0: {}, br1: {} }
routers:
  r:      # overlapping networks, a gateway behind a route to a link, equal prefixes with different metrics
    interfaces: { a: { bridge: br0, address: 10.1.0.1/16 }, b: { bridge: br1, address: 10.1.1.1/24 } }
    routes:
      - { to: 10.9.9.9, dev: a }
      - { to: default, via: 10.9.9.9 }
      - { to: default, via: 10.1.1.2, metric: 1 }
      - { to: 10.4.0.0/16, type: unreachable }
      - { to: 10.5.0.0/24, dev: b }
      - { to: 10.6.0.0/16, via: 10.5.0.255 }
hosts:
  h:      # one address on two networks, a loopback address, a route by lo
    interfaces: { a: { bridge: br0, address: [10.1.0.2/16, 127.1.0.1/32] }, b: { bridge: br1, address: 10.1.0.2/16 } }
    routes: [ { to: 10.3.0.0/16, dev: lo } ]
  i:      # a /31 has no broadcast address
    interfaces: { a: { bridge: br0, address: 10.200.0.0/31 } }
    routes: [ { to: default, via: 10.200.0.1 } ]
`))
})

test('a host cannot have a larger MTU than a TAP; it follows the bridge up to that', (t) => {
  const file = parse('version: 1\nbridges: { b: { mtu: 65535 } }\nhosts: { h: { interfaces: { e: { bridge: b } } } }\nrouters: { r: { interfaces: { e: { bridge: b } } } }\n')
  t.is(file.hosts[0]!.interfaces[0]!.mtu, 65521)
  t.is(file.routers[0]!.interfaces[0]!.mtu, 65535)
})

test('anchors and aliases', (t) => {
  const file = parse(`
version: 1
bridges: { a: &small { mtu: &mtu 1000 }, b: *small, c: { mtu: *mtu } }
`)
  t.deepEqual(file.bridges.map(({ mtu }) => mtu), [1000, 1000, 1000])
})

test('JSON, indented by tabs', (t) => {
  const network = { version: 1, bridges: { br0: { address: ['10.1.1.1/24'] } }, hosts: { h: { interfaces: { e: { bridge: 'br0', mac: '02:00:00:00:00:07' } } } } }
  const compact = parse(JSON.stringify(network))
  t.is(formatMac(...compact.hosts[0]!.interfaces[0]!.mac), '02:00:00:00:00:07')
  t.deepEqual(parse(JSON.stringify(network, undefined, '\t')), compact)
  const error = t.throws(() => parse(JSON.stringify({ ...network, bridges: { br0: { adress: 1 } } }, undefined, '\t')), { instanceOf: ConfigError })
  t.is(error.message, 'net.yaml:5:4: bridges.br0.adress: unknown key; did you mean "address"?')
})

test('a byte order mark and line ends of another system', (t) => {
  t.is(parse('\uFEFFversion: 1\r\nbridges:\r\n  br0: {}\r\n').bridges[0]!.name, 'br0')
})

test('a file that cannot be read is one line', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tapway-config-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const binary = join(directory, 'binary.yaml')
  writeFileSync(binary, Buffer.of(0xff, 0xfe, 0x00))
  const missing = join(directory, 'missing.yaml')
  const rows = [[missing, 'no such file'], [directory, 'a directory, not a file'], [binary, 'not UTF-8 text']] as const
  for (const [path, why] of rows) {
    const error = await t.throwsAsync(loadNetworkFile(path), { instanceOf: ConfigError })
    t.is(error.message, `${path}: cannot be read: ${why}`)
  }
})
