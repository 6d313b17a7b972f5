import test from 'ava'
import fc from 'fast-check'
import { parseNetworkFile } from '../../src/config/load.js'
import { formatWarning } from '../../src/config/problem.js'
import { type NetworkFile } from '../../src/config/types.js'
import { formatIp4 } from '../../src/wire/ip4.js'
import { formatMac } from '../../src/wire/mac.js'
import { run } from './bad-rows.js'

/** Apps stand in line 4, policies in line 5; both from column 1 on. */
const text = (apps: string, policies = 'policies: []'): string => `version: 1
bridges: { br0: {}, br1: {} }
hosts: { a1: { interfaces: { e: { bridge: br0, address: 10.0.0.1/24 } } }, a2: { interfaces: { e: { bridge: br0, address: 10.0.0.2/24 }, f: { bridge: br1 } } }, b1: {} }
${apps}
${policies}
`
const parse = (apps: string, policies?: string): NetworkFile => parseNetworkFile(text(apps, policies), 'net.yaml')
const APPS = 'apps: { web: { id: 1001, hosts: [a1, b1] }, db: { id: 65535 } }'

test('apps with hosts, without, and with one', (t) => {
  t.deepEqual(parse(APPS).apps, [{ name: 'web', id: 1001, hosts: ['a1', 'b1'] }, { name: 'db', id: 65535, hosts: [] }])
  t.deepEqual(parse('apps: { web: { id: 1, hosts: a1 }, db: { id: 2, hosts: [] } }').apps, [
    { name: 'web', id: 1, hosts: ['a1'] }, { name: 'db', id: 2, hosts: [] }
  ])
  t.deepEqual(parse('').apps, [])
})

test('policies: a port, a range, in any spelling, and none for icmp', (t) => {
  t.deepEqual(parse(APPS, `policies:
    - { from: web, to: db, protocol: tcp, ports: 8080 }
    - { from: web, to: db, protocol: udp, ports: "53" }
    - { from: db, to: db, protocol: tcp, ports: 8000-8100 }
    - { from: db, to: web, protocol: tcp, ports: 1-65535 }
    - { from: db, to: web, protocol: icmp }`).policies, [
    { from: 'web', to: 'db', protocol: 'tcp', ports: [8080, 8080] },
    { from: 'web', to: 'db', protocol: 'udp', ports: [53, 53] },
    { from: 'db', to: 'db', protocol: 'tcp', ports: [8000, 8100] },
    { from: 'db', to: 'web', protocol: 'tcp', ports: [1, 65535] },
    { from: 'db', to: 'web', protocol: 'icmp' }
  ])
})

test('ports and ranges may overlap, differ by protocol or direction', (t) => {
  t.is(parse(APPS, `policies:
    - { from: web, to: db, protocol: tcp, ports: 80 }
    - { from: web, to: db, protocol: tcp, ports: 80-90 }
    - { from: web, to: db, protocol: udp, ports: 80 }
    - { from: db, to: web, protocol: tcp, ports: 80 }`).policies.length, 4)
})

/** One policy, in line 5 from column 13 on. */
const policy = (keys: string): string => text(APPS, `policies: [ { ${keys} } ]`)

run([
  ['an unknown key of an app', text('apps: { web: { id: 1, host: [a1] } }'), '4:23', 'apps.web.host', 'did you mean "hosts"?'],
  ['no id', text('apps: { web: {} }'), '4:9', 'apps.web.id', 'missing: expected a whole number from 1 to 65535'],
  ['id 0', text('apps: { web: { id: 0 } }'), '4:20', 'apps.web.id', 'expected a whole number from 1 to 65535, got 0'],
  ['an id of 17 bits', text('apps: { web: { id: 65536 } }'), '4:20', 'apps.web.id', 'got 65536'],
  ['an id twice', text('apps: { web: { id: 7 }, db: { id: 7 } }'), '4:35', 'apps.db.id', '7 is the id of app web already'],
  ['a name of another kind', text('apps: { a1: { id: 7 } }'), '4:9', 'apps.a1', 'a host has this name already; bridges, routers, vxlans, hosts and apps share'],
  ['a name that is none', text('apps: { "a b": { id: 7 } }'), '4:9', 'apps["a b"]', 'a name is made of'],
  [
    'the name of an app for a device', `version: 1\napps: { web: { id: 1 } }\nbridges: { br0: { ports: { web: { device: eth1 } } } }\n`,
    '3:28', 'bridges.br0.ports.web', 'an app has this name already'
  ],
  ['an unknown host', text('apps: { web: { id: 7, hosts: [a1, a3] } }'), '4:35', 'apps.web.hosts[1]', 'unknown host "a3"; did you mean "a1"?'],
  ['a host twice', text('apps: { web: { id: 7, hosts: [a1, a1] } }'), '4:35', 'apps.web.hosts[1]', 'a1 stands here twice'],
  ['a host of two apps', text('apps: { web: { id: 7, hosts: a1 }, db: { id: 8, hosts: a1 } }'), '4:56', 'apps.db.hosts', 'a1 is a host of app web already'],
  ['an interface without address', text('apps: { web: { id: 7, hosts: [a2] } }'), '4:31', 'apps.web.hosts[0]', 'a2.f has no address'],
  [
    'an address that two hosts of apps have, on two bridges', `version: 1
bridges: { br0: {}, br1: {} }
apps: { web: { id: 1, hosts: a }, db: { id: 2, hosts: [ b, c ] } }
hosts: { a: { interfaces: { e: { bridge: br0, address: 10.0.0.1/24 } } }, b: {}, c: { interfaces: { e: { bridge: br1, address: 10.0.0.1/24 } } } }
`,
    '3:60', 'apps.db.hosts[1]', 'c.e has the address 10.0.0.1 of a.e; among hosts of apps it is one\'s alone'
  ],
  ['policies as a mapping', text(APPS, 'policies: { web: db }'), '5:11', 'policies', 'expected a list, got a mapping'],
  ['an unknown key of a policy', policy('from: web, to: db, protocol: tcp, port: 80'), '5:49', 'policies[0].port', 'did you mean "ports"?'],
  ['an unknown app', policy('from: wep, to: db, protocol: icmp'), '5:21', 'policies[0].from', 'unknown app "wep"; did you mean "web"?'],
  ['another unknown app', policy('from: web, to: storage, protocol: icmp'), '5:30', 'policies[0].to', 'unknown app "storage"; expected one of web, db'],
  ['a policy and no app', text('', 'policies: [ { from: a, to: b, protocol: icmp } ]'), '5:21', 'policies[0].from', 'there is no app in this file'],
  ['an unknown protocol', policy('from: web, to: db, protocol: tcpp'), '5:44', 'policies[0].protocol', 'expected tcp, udp or icmp, got "tcpp"; did you mean "tcp"?'],
  ['no protocol', policy('from: web, to: db'), '5:13', 'policies[0].protocol', 'missing: expected tcp, udp or icmp'],
  ['icmp with ports', policy('from: web, to: db, protocol: icmp, ports: 8'), '5:50', 'policies[0].ports', 'icmp has no ports'],
  ['tcp without ports', policy('from: web, to: db, protocol: tcp'), '5:13', 'policies[0].ports', 'missing: tcp needs a port such as 8080 or a range such as 8000-8100'],
  ['port 0', policy('from: web, to: db, protocol: tcp, ports: 0'), '5:56', 'policies[0].ports', 'expected ports from 1 to 65535, got 0'],
  ['a port too high', policy('from: web, to: db, protocol: tcp, ports: 1-65536'), '5:56', 'policies[0].ports', 'got 65536'],
  ['a range the wrong way round', policy('from: web, to: db, protocol: udp, ports: 90-80'), '5:56', 'policies[0].ports', '90 is above 80'],
  ['no range', policy('from: web, to: db, protocol: udp, ports: http'), '5:56', 'policies[0].ports', 'expected a port such as 8080 or a range such as 8000-8100, got "http"'],
  ['a list of ports', policy('from: web, to: db, protocol: udp, ports: [80, 90]'), '5:56', 'policies[0].ports', 'expected a port such as 8080 or a range'],
  [
    'a policy twice', text(APPS, 'policies: [ { from: web, to: db, protocol: tcp, ports: 80 }, { from: web, to: db, protocol: tcp, ports: 80-80 } ]'),
    '5:62', 'policies[1]', 'policies[0] says the same already'
  ]
])

test('a port is any whole number in range, said alone or as a range', (t) => {
  fc.assert(fc.property(fc.integer({ min: -5, max: 70000 }), fc.integer({ min: 0, max: 70000 }), (low, high) => {
    const sound = low >= 1 && high <= 65535 && low <= high
    const read = (ports: string): readonly number[] | undefined => {
      try {
        return parse(APPS, `policies: [ { from: web, to: db, protocol: tcp, ports: ${ports} } ]`).policies[0]!.ports
      } catch {
        return undefined
      }
    }
    t.deepEqual(read(`${low}-${high}`), sound ? [low, high] : undefined)
    t.deepEqual(read(String(low)), low >= 1 && low <= 65535 ? [low, low] : undefined)
  }))
})

// The platform's routed overlay: links that are point to point, one route, one neighbour and one entry for a remote cell.

const CELL = `version: 1
bridges:
  s-010255096003: { mtu: 1450 }
  s-010255096004: { mtu: 1450 }
  overlay: {}
vxlans:
  vtep: { bridge: overlay, id: 1, local: 192.168.77.1, learning: false, gbp: true, fdb: [ { mac: ee:ee:0a:ff:61:00, dst: 192.168.77.2 } ] }
routers:
  cell:
    interfaces:
      silk-vtep: { bridge: overlay, address: 10.255.96.0/32, mac: ee:ee:0a:ff:60:00 }
      s-010255096003: { bridge: s-010255096003, address: 169.254.0.1/32, peer: 10.255.96.3, mac: aa:aa:0a:ff:60:03 }
      s-010255096004: { bridge: s-010255096004, address: 169.254.0.1/32, peer: 10.255.96.4, mac: aa:aa:0a:ff:60:04 }
    routes:
      - { to: 10.255.97.0/24, via: 10.255.97.0, dev: silk-vtep, onlink: true }
    neighbors:
      - { address: 10.255.97.0, lladdr: ee:ee:0a:ff:61:00, dev: silk-vtep }
      - { address: 10.255.96.3, lladdr: ee:ee:0a:ff:60:03, dev: s-010255096003 }
hosts:
  a1:
    interfaces: { eth0: { bridge: s-010255096003, address: 10.255.96.3/32, peer: 169.254.0.1, mac: ee:ee:0a:ff:60:03 } }
    routes: [ { to: default, via: 169.254.0.1, dev: eth0 } ]
  a2:
    interfaces: { eth0: { bridge: s-010255096004, address: 10.255.96.4/32, mac: ee:ee:0a:ff:60:04 } }
    routes: [ { to: default, via: 169.254.0.1, dev: eth0, onlink: true } ]
apps:
  frontend: { id: 1001, hosts: [a1, a2] }
`

test('a cell of the platform in the words of the file', (t) => {
  const { routers: [router], hosts, vxlans: [vtep] } = parseNetworkFile(CELL, 'cell.yaml')
  t.deepEqual(router!.interfaces.map(({ name, addresses: [a], mac }) => [name, formatIp4(a!.address), formatMac(...mac)]), [
    ['silk-vtep', '10.255.96.0', 'ee:ee:0a:ff:60:00'],
    ['s-010255096003', '169.254.0.1', 'aa:aa:0a:ff:60:03'],
    ['s-010255096004', '169.254.0.1', 'aa:aa:0a:ff:60:04']
  ])
  t.like(router!.routes[0], { dev: 'silk-vtep', onlink: true })
  t.like(hosts[1]!.routes[0], { dev: 'eth0', onlink: true })
  t.like(vtep, { gbp: true, learning: false, remote: [], fdb: [{ dst: '192.168.77.2' }], mtu: 1450 })
})

run([
  [
    'one near end of two links, one of them not point to point', CELL.replace('169.254.0.1/32, peer: 10.255.96.4', '169.254.0.1/24'),
    '13:58', 'routers.cell.interfaces.s-010255096004.address', '169.254.0.1 is the address of cell.s-010255096003 already'
  ]
])

test('a tunnel without gbp beside hosts of apps is doubted: once for each, at its key', (t) => {
  const doubts = (text: string): string[] => {
    const lines: string[] = []
    parseNetworkFile(text, 'cell.yaml', { onWarning: (warning) => lines.push(formatWarning(warning)) })
    return lines
  }
  const words = 'vxlans.vtep.gbp: warning: without gbp no marks go through this tunnel, and apps let nothing in without one, neither here nor at its other ends'
  t.deepEqual(doubts(CELL), [])
  t.deepEqual(doubts(CELL.replace('gbp: true', 'gbp: false')), [`cell.yaml:7:73: ${words}`])
  t.deepEqual(doubts(CELL.replace('gbp: true, ', '')), [`cell.yaml:7:3: ${words}`])
  t.deepEqual(doubts(CELL.replace('gbp: true, ', '').replace('[a1, a2]', '[]')), [], 'no host of an app here')
  t.deepEqual(doubts(CELL.replace('gbp: true, ', '').replace(/apps:[^]*/, '')), [])
})
