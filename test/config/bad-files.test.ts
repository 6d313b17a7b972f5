import test from 'ava'
import { ConfigError } from '../../src/config/problem.js'
import { parseNetworkFile } from '../../src/config/load.js'
import { problemsOf, run } from './bad-rows.js'

const bridge = (line: string): string => `version: 1\nbridges:\n  br0:\n    ${line}\n`
const BR = 'version: 1\nbridges: { br0: {}, br1: {} }\n'
/** Line 3 is `hosts:`, line 4 host a, line 5 its interface on br0 10.1.1.3/24; what is given begins on line 6 at column 5. */
const host = (rest: string, eth0 = 'address: 10.1.1.3/24'): string =>
  `${BR}hosts:\n  a:\n    interfaces: { eth0: { bridge: br0, ${eth0} } }\n    ${rest}\n`
const router = (rest: string, eth0 = 'address: 10.1.1.3/24'): string => host(rest, eth0).replace('hosts:', 'routers:')

run([
  ['an empty file', '', '1:1', '', 'the file is empty'],
  ['only a comment', '# nothing\n', '1:1', '', 'the file is empty'],
  ['a list', '- a\n', '1:1', '', 'expected a mapping, got a list'],
  ['a word', 'network', '1:1', '', 'expected a mapping, got "network"'],
  ['no version', 'bridges: {}\n', '1:1', 'version', 'missing: expected 1'],
  ['another version', 'version: 2\n', '1:10', 'version', 'expected 1, the version of the network file\'s format, got 2'],
  ['the version as text', 'version: "1"\n', '1:10', 'version', 'got "1"'],
  ['two documents', 'version: 1\n---\nversion: 1\n', '2:1', '', 'a second document'],
  ['a second document after the end', 'version: 1\n...\nversion: 1\n', '3:1', '', 'a second document'],
  ['a tab', 'version: 1\nbridges:\n\tbr0: {}\n', '3:1', '', 'a tab in the indentation'],
  ['an open list', 'version: [1\n', '2:1', '', 'Flow sequence'],
  ['an open string', 'version: "1\n', '2:1', '', 'Missing closing'],
  ['a mapping in a line', 'version: 1\nbridges: br0: {}\n', '2:10', '', 'Nested mappings'],
  ['YAML 1.1', '%YAML 1.1\n---\nversion: 1\n', '1:1', '', 'network file is YAML 1.2'],
  ['a tag', 'version: !v 1\n', '1:10', '', 'Unresolved tag'],
  ['an unknown alias', 'version: *x\n', '1:10', 'version', 'unknown alias *x'],
  ['an alias within itself', 'version: 1\nbridges: &b { br0: *b }\n', '2:20', 'bridges.br0', 'inside of what it stands for'],
  ['a merge key', `${BR}<<: {}\n`, '3:1', '["<<"]', 'unknown key'],
  ['a key that is a list', 'version: 1\n? [a]\n: 1\n', '2:3', '', 'a key must be']
])

test('nesting is bounded', (t) => {
  for (const text of ['['.repeat(50_000), '{a: '.repeat(50_000), '- '.repeat(50_000), '? '.repeat(3000), `version: 1\nbridges: ${'['.repeat(40)}${']'.repeat(40)}\n`]) {
    t.is(problemsOf(text)[0]?.message, 'nested too deeply')
  }
})

test('aliases of aliases do not fill the memory', (t) => {
  const lines = ['a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]']
  for (let i = 1; i < 12; i++) lines.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`).join(', ')}]`)
  t.is(problemsOf(lines.join('\n'))[0]?.message, 'too much for a network file')
})

// Keys, types, names
run([
  ['an unknown key at the top', 'version: 1\nbridge: {}\n', '2:1', 'bridge', 'unknown key; did you mean "bridges"?'],
  ['an unknown key of a bridge', bridge('mtuu: 1500'), '4:5', 'bridges.br0.mtuu', 'unknown key; did you mean "mtu"?'],
  ['an unknown key near one not built', bridge('vlan_filter: true'), '4:5', 'bridges.br0.vlan_filter', 'did you mean "vlan_filtering"?'],
  ['an unknown key near nothing', bridge('colour: red'), '4:5', 'bridges.br0.colour', 'expected one of address, mac, mtu'],
  ['an unknown key of a host', host('route: []'), '6:5', 'hosts.a.route', 'did you mean "routes"?'],
  ['an unknown key of an interface', host('routes: []', 'adress: 10.1.1.3/24'), '5:40', 'hosts.a.interfaces.eth0.adress', 'did you mean "address"?'],
  ['a key of a router in a host', host('forwarding: true'), '6:5', 'hosts.a.forwarding', 'unknown key'],
  ['an unknown key of a next hop', host('routes: [ { to: default, nexthops: [ { vai: 10.1.1.1 } ] } ]'), '6:44', 'hosts.a.routes[0].nexthops[0].vai', '"via"'],
  ['a key twice', 'version: 1\nbridges:\n  br0: {}\n  br0: {}\n', '4:3', 'bridges.br0', 'twice'],
  ['a key twice, once in quotes', 'version: 1\nbridges:\n  12: {}\n  "12": {}\n', '4:3', 'bridges.12', 'twice'],
  ['bridges that are no mapping', 'version: 1\nbridges: [br0]\n', '2:10', 'bridges', 'expected a mapping of names, got a list'],
  ['a bridge that is no mapping', 'version: 1\nbridges: { br0: 10.1.1.1/24 }\n', '2:17', 'bridges.br0', 'expected a mapping, got "10.1.1.1/24"'],
  ['routes that are no list', host('routes: { to: default }'), '6:13', 'hosts.a.routes', 'expected a list, got a mapping'],
  ['an MTU below 68', bridge('mtu: 67'), '4:10', 'bridges.br0.mtu', 'a whole number from 68 to 65535, got 67'],
  ['an MTU above 65535', bridge('mtu: 65536'), '4:10', 'bridges.br0.mtu', 'got 65536'],
  ['an MTU that is no integer', bridge('mtu: 1500.5'), '4:10', 'bridges.br0.mtu', 'got 1500.5'],
  ['an MTU that is text', bridge('mtu: "1500"'), '4:10', 'bridges.br0.mtu', 'got "1500"'],
  ['an MTU without value', bridge('mtu:'), '4:5', 'bridges.br0.mtu', 'got nothing'],
  ['an MTU that no TAP has', host('routes: []', 'mtu: 65522'), '5:45', 'hosts.a.interfaces.eth0.mtu', 'from 68 to 65521'],
  ['not a number', bridge('ageing_time: .nan'), '4:18', 'bridges.br0.ageing_time', 'of seconds'],
  ['a negative number', bridge('fdb_max_learned: -1'), '4:22', 'bridges.br0.fdb_max_learned', 'got -1'],
  ['a flag of YAML 1.1', router('forwarding: yes'), '6:17', 'routers.a.forwarding', 'expected true or false, got "yes"'],
  ['rp_filter of another kind', router('routes: []', 'rp_filter: 3'), '5:51', 'routers.a.interfaces.eth0.rp_filter', '0 (off), 1 (strict) or 2 (loose)'],
  ['a MAC address that is none', bridge('mac: 02:42:0a:01:01'), '4:10', 'bridges.br0.mac', 'expected a MAC address'],
  ['a group MAC address', bridge('mac: 03:42:0a:01:01:01'), '4:10', 'bridges.br0.mac', 'group address'],
  ['a MAC address of zeros', bridge('mac: 00:00:00:00:00:00'), '4:10', 'bridges.br0.mac', 'cannot be'],
  ['a MAC address read as a number', bridge('mac: 024200000001'), '4:10', 'bridges.br0.mac', 'a number to YAML'],
  ['a bridge name with a space', 'version: 1\nbridges: { "br 0": {} }\n', '2:12', 'bridges["br 0"]', 'a name is made of'],
  ['a bridge name with a dot', 'version: 1\nbridges: { br.0: {} }\n', '2:12', 'bridges["br.0"]', 'a name is made of'],
  ['an empty name', 'version: 1\nhosts: { "": {} }\n', '2:10', 'hosts[""]', 'a name is made of'],
  ['a name that two kinds have', `${BR}hosts: { br0: {} }\n`, '3:10', 'hosts.br0', 'a bridge has this name already'],
  ['a host that is called as a router', `${BR}hosts: { r: {} }\nrouters: { r: {} }\n`, '3:10', 'hosts.r', 'a router has this name already'],
  ['an interface name of 16 bytes', `${BR}hosts: { a: { interfaces: { abcdefghijklmnop: { bridge: br0 } } } }\n`, '3:29', 'hosts.a.interfaces.abcdefghijklmnop', 'at most 15 bytes, this one has 16'],
  ['bytes, not letters', `${BR}hosts: { a: { interfaces: { éééééééé: { bridge: br0 } } } }\n`, '3:29', 'hosts.a.interfaces["éééééééé"]', 'this one has 16'],
  ['an interface name with a slash', `${BR}hosts: { a: { interfaces: { eth/0: { bridge: br0 } } } }\n`, '3:29', 'hosts.a.interfaces["eth/0"]', 'no "/"'],
  ['an interface called ..', `${BR}hosts: { a: { interfaces: { ..: { bridge: br0 } } } }\n`, '3:29', 'hosts.a.interfaces[".."]', 'cannot be'],
  ['an interface called lo', `${BR}routers: { a: { interfaces: { lo: { bridge: br0 } } } }\n`, '3:31', 'routers.a.interfaces.lo', 'loopback'],
  ['an interface called all', `${BR}routers: { a: { interfaces: { all: { bridge: br0 } } } }\n`, '3:31', 'routers.a.interfaces.all', 'sysctls'],
  ['a sysctl of the machine', host('sysctls: { kernel.hostname: a }'), '6:16', 'hosts.a.sysctls["kernel.hostname"]', 'net.ipv4.ip_forward'],
  ['a sysctl by a way round', host('sysctls: { "net.ipv4.//.//.kernel.hostname": a }'), '6:16', 'hosts.a.sysctls["net.ipv4.//.//.kernel.hostname"]', 'expected the name'],
  ['a sysctl with an empty part', host('sysctls: { net..ipv4: 1 }'), '6:16', 'hosts.a.sysctls["net..ipv4"]', 'expected the name'],
  ['a sysctl that is a list', host('sysctls: { net.ipv4.ip_forward: [1] }'), '6:37', 'hosts.a.sysctls["net.ipv4.ip_forward"]', 'got a list'],
  ['a sysctl value of two lines', host('sysctls: { net.ipv4.ip_forward: "1\\n2" }'), '6:37', 'hosts.a.sysctls["net.ipv4.ip_forward"]', 'expected text'],
  ['a namespace by a relative path', host('netns: a/b'), '6:12', 'hosts.a.netns', 'expected a name under'],
  ['a namespace by a number that is none', host('netns: 0'), '6:12', 'hosts.a.netns', 'number of a process']
])

// Not built yet
run([
  ['vlan_filtering', bridge('vlan_filtering: true'), '4:5', 'bridges.br0.vlan_filtering', 'not supported yet: vlan_filtering'],
  ['stp_state', bridge('stp_state: true'), '4:5', 'bridges.br0.stp_state', 'not supported yet: stp_state'],
  ['priority', bridge('priority: 32768'), '4:5', 'bridges.br0.priority', 'not supported yet: priority'],
  ['hello_time', bridge('hello_time: 2'), '4:5', 'bridges.br0.hello_time', 'not supported yet: hello_time'],
  ['max_age', bridge('max_age: 20'), '4:5', 'bridges.br0.max_age', 'not supported yet: max_age'],
  ['forward_delay', bridge('forward_delay: 15'), '4:5', 'bridges.br0.forward_delay', 'not supported yet: forward_delay'],
  ['vlan of a host', host('routes: []', 'vlan: 10'), '5:40', 'hosts.a.interfaces.eth0.vlan', 'not supported yet: vlan'],
  ['vlan of a router', router('routes: []', 'vlan: 10'), '5:40', 'routers.a.interfaces.eth0.vlan', 'not supported yet: vlan'],
  ['link: veth', host('routes: []', 'link: veth'), '5:40', 'hosts.a.interfaces.eth0.link', 'not supported yet: link']
])

test('what is not built and not asked for is accepted', (t) => {
  t.deepEqual(problemsOf(bridge('vlan_filtering: false\n    stp_state: false\n    ports: {}')), [])
  t.deepEqual(problemsOf(host('routes: []', 'link: tap')), [])
  t.deepEqual(problemsOf('version: 1\nvxlans: {}\n'), [])
  t.deepEqual(problemsOf('version: 1\nvxlans:\n'), [])
})

// Addresses
const segment = (second: string): string => `${BR}hosts:\n  a: { interfaces: { eth0: { bridge: br0, address: 10.1.1.3/24 } } }\n${second}\n`
run([
  ['an address that is none', host('routes: []', 'address: 10.1.1.300/24'), '5:49', 'hosts.a.interfaces.eth0.address', 'such as 10.1.1.2/24, got "10.1.1.300/24"'],
  ['an address in a list', host('routes: []', 'address: [10.1.1.3/24, 10.1.1]'), '5:63', 'hosts.a.interfaces.eth0.address[1]', 'got "10.1.1"'],
  ['a prefix length of 33', host('routes: []', 'address: 10.1.1.3/33'), '5:49', 'hosts.a.interfaces.eth0.address', 'expected an IPv4 address'],
  ['an address that is a number', host('routes: []', 'address: 10.1'), '5:49', 'hosts.a.interfaces.eth0.address', 'a number to YAML'],
  ['the address 0.0.0.0', host('routes: []', 'address: 0.0.0.0/24'), '5:49', 'hosts.a.interfaces.eth0.address', 'this network'],
  ['a multicast address', host('routes: []', 'address: 224.0.0.1/4'), '5:49', 'hosts.a.interfaces.eth0.address', 'multicast'],
  ['the broadcast address', host('routes: []', 'address: 255.255.255.255/32'), '5:49', 'hosts.a.interfaces.eth0.address', 'broadcast'],
  ['a loopback address of a router', router('routes: []', 'address: 127.0.0.2/8'), '5:49', 'routers.a.interfaces.eth0.address', 'loopback'],
  ['no bridge', `${BR}hosts: { a: { interfaces: { eth0: {} } } }\n`, '3:29', 'hosts.a.interfaces.eth0.bridge', 'missing: expected the name of a bridge'],
  ['an interface of nothing', `${BR}hosts:\n  a:\n    interfaces:\n      eth0:\n`, '6:7', 'hosts.a.interfaces.eth0.bridge', 'missing'],
  ['an unknown bridge', `${BR}hosts: { a: { interfaces: { eth0: { bridge: br } } } }\n`, '3:45', 'hosts.a.interfaces.eth0.bridge', 'unknown bridge "br"; did you mean "br0"?'],
  ['an unknown bridge near none', `${BR}hosts: { a: { interfaces: { eth0: { bridge: lan } } } }\n`, '3:45', 'hosts.a.interfaces.eth0.bridge', 'expected one of br0, br1'],
  ['no bridge to refer to', 'version: 1\nhosts: { a: { interfaces: { eth0: { bridge: lan } } } }\n', '2:45', 'hosts.a.interfaces.eth0.bridge', 'there is no bridge'],
  ['a bridge that is a number', 'version: 1\nbridges: { 12: {} }\nhosts: { a: { interfaces: { eth0: { bridge: 12 } } } }\n', '3:45', 'hosts.a.interfaces.eth0.bridge', 'written in quotes'],
  ['two hosts with one address', segment('  b: { interfaces: { eth0: { bridge: br0, address: 10.1.1.3/16 } } }'), '5:52', 'hosts.b.interfaces.eth0.address', '10.1.1.3 is the address of a.eth0 on bridge br0 already'],
  ['a router and a host with one address', segment('routers: { r: { interfaces: { e: { bridge: br0, address: [10.9.9.9/24, 10.1.1.3/24] } } } }'), '4:52', 'hosts.a.interfaces.eth0.address', 'the address of r.e on bridge br0'],
  ['a bridge and a host with one address', 'version: 1\nbridges: { b: { address: 10.1.1.1/24 } }\nhosts: { a: { interfaces: { e: { bridge: b, address: 10.1.1.1/24 } } } }\n', '3:54', 'hosts.a.interfaces.e.address', 'the address of b on bridge b'],
  ['an address twice', host('routes: []', 'address: [10.1.1.3/24, 10.1.1.3/24]'), '5:63', 'hosts.a.interfaces.eth0.address[1]', '10.1.1.3 stands here twice'],
  ['one address on two interfaces of a router', `${BR}routers:\n  r:\n    interfaces:\n      a: { bridge: br0, address: 10.1.1.3/24 }\n      b: { bridge: br1, address: 10.1.1.3/24 }\n`, '7:34', 'routers.r.interfaces.b.address', 'the address of r.a already'],
  ['a MAC address twice', `${BR}hosts:\n  a: { interfaces: { e: { bridge: br0, mac: "02:00:00:00:00:01" } } }\n  b: { interfaces: { e: { bridge: br0, mac: "02-0-0-0-0-1" } } }\n`, '5:45', 'hosts.b.interfaces.e.mac', '02:00:00:00:00:01 is the MAC address of a.e on bridge br0 already'],
  ['a peer and a short prefix', host('routes: []', 'address: 10.1.1.3/24, peer: 10.1.1.4'), '5:68', 'hosts.a.interfaces.eth0.peer', 'a peer needs an address with /32: 10.1.1.3/32'],
  ['a peer without address', host('routes: []', 'peer: 10.1.1.4'), '5:46', 'hosts.a.interfaces.eth0.peer', 'exactly one address, and here are none'],
  ['a peer that is this end', host('routes: []', 'address: 10.1.1.3/32, peer: 10.1.1.3'), '5:68', 'hosts.a.interfaces.eth0.peer', 'the other end'],
  ['a peer with prefix length', host('routes: []', 'address: 10.1.1.3/32, peer: 10.1.1.4/32'), '5:68', 'hosts.a.interfaces.eth0.peer', 'without prefix length: 10.1.1.4'],
  ['one namespace adopted twice', `${BR}hosts:\n  a: { netns: x }\n  b: { netns: /var/run/netns/x }\n`, '5:15', 'hosts.b.netns', 'host a has this namespace already'],
  ['a namespace that the file makes', `${BR}hosts:\n  a: {}\n  b: { netns: a }\n`, '5:15', 'hosts.b.netns', 'made for host a']
])

// Routes and neighbours
const route = (words: string): string => host(`routes: [ { ${words} } ]`)
run([
  ['a route to nowhere', route('via: 10.1.1.1'), '6:15', 'hosts.a.routes[0].to', 'missing: expected default or a prefix'],
  ['a route with host bits', route('to: 10.1.2.1/24, via: 10.1.1.1'), '6:21', 'hosts.a.routes[0].to', 'did you mean 10.1.2.0/24?'],
  ['a route without way', route('to: default'), '6:15', 'hosts.a.routes[0]', 'a route needs via, dev or both'],
  ['a gateway that is no address', route('to: default, via: eth0'), '6:35', 'hosts.a.routes[0].via', 'expected an IPv4 address such as 10.1.1.2, got "eth0"'],
  ['a gateway with prefix length', route('to: default, via: 10.1.1.1/24'), '6:35', 'hosts.a.routes[0].via', 'without prefix length: 10.1.1.1'],
  ['a gateway out of reach', route('to: default, via: 10.1.2.1'), '6:35', 'hosts.a.routes[0].via', '10.1.2.1 is on no network of a; expected an address in 10.1.1.0/24 (eth0)'],
  ['a gateway out of reach of dev', route('to: default, via: 10.1.2.1, dev: eth0'), '6:35', 'hosts.a.routes[0].via', 'on no network of eth0'],
  ['a gateway that is the host itself', route('to: default, via: 10.1.1.3'), '6:35', 'hosts.a.routes[0].via', 'an address of a itself'],
  ['a gateway that is the broadcast address', route('to: default, via: 10.1.1.255'), '6:35', 'hosts.a.routes[0].via', 'broadcast'],
  ['an unknown dev', route('to: default, dev: eth1'), '6:35', 'hosts.a.routes[0].dev', 'unknown interface "eth1" of a; did you mean "eth0"?'],
  ['lo is no interface of a router', router('routes: [ { to: default, dev: lo } ]'), '6:35', 'routers.a.routes[0].dev', 'unknown interface "lo"'],
  ['a metric beyond 32 bits', route('to: default, via: 10.1.1.1, metric: 4294967296'), '6:53', 'hosts.a.routes[0].metric', 'from 0 to 4294967295'],
  ['an unknown type', route('to: default, type: blackhle'), '6:36', 'hosts.a.routes[0].type', 'did you mean "blackhole"?'],
  ['a blackhole with a gateway', route('to: default, type: blackhole, via: 10.1.1.1'), '6:47', 'hosts.a.routes[0].via', 'a blackhole route goes nowhere'],
  ['onlink without dev', route('to: default, via: 10.9.9.9, onlink: true'), '6:53', 'hosts.a.routes[0].onlink', 'onlink needs via and dev'],
  ['via and nexthops', route('to: default, via: 10.1.1.1, nexthops: [ { via: 10.1.1.2 } ]'), '6:30', 'hosts.a.routes[0].via', 'exclude each other'],
  ['no next hop', route('to: default, nexthops: []'), '6:40', 'hosts.a.routes[0].nexthops', 'at least one'],
  ['a weight of 257', route('to: default, nexthops: [ { via: 10.1.1.2, weight: 257 } ]'), '6:67', 'hosts.a.routes[0].nexthops[0].weight', 'from 1 to 256'],
  ['a next hop out of reach', route('to: default, nexthops: [ { via: 10.1.1.2 }, { via: 10.2.1.2 } ]'), '6:68', 'hosts.a.routes[0].nexthops[1].via', 'on no network'],
  ['a route twice', host('routes: [ { to: default, via: 10.1.1.1 }, { to: 0.0.0.0/0, via: 10.1.1.2 } ]'), '6:53', 'hosts.a.routes[1].to', 'another route has the prefix 0.0.0.0/0 and metric 0 already'],
  ['a route to an own network', route('to: 10.1.1.0/24, via: 10.1.1.1'), '6:21', 'hosts.a.routes[0].to', 'the network of eth0 has the prefix'],
  ['a gateway behind a later route', host('routes: [ { to: default, via: 10.9.9.9 }, { to: 10.9.9.9, dev: eth0 } ]'), '6:35', 'hosts.a.routes[0].via', 'on no network'],
  ['a neighbour on no interface', router('neighbors: [ { address: 10.1.1.9, lladdr: "02:00:00:00:00:09", dev: eth9 } ]'), '6:73', 'routers.a.neighbors[0].dev', 'did you mean "eth0"?'],
  ['a neighbour without dev', router('neighbors: [ { address: 10.1.1.9, lladdr: "02:00:00:00:00:09" } ]'), '6:18', 'routers.a.neighbors[0].dev', 'missing'],
  ['a neighbour twice', router('neighbors:\n      - &n { address: 10.1.1.9, lladdr: "02:00:00:00:00:09", dev: eth0 }\n      - *n'), '7:23', 'routers.a.neighbors[1].address', 'twice']
])

test('the line is FILE:LINE:COL: PATH: MESSAGE, of the first problem', (t) => {
  const error = t.throws(() => parseNetworkFile('version: 1\nbridges:\n  br0:\n    mtuu: 1500\n    mac: x\n', 'net.yaml'), { instanceOf: ConfigError })
  t.is(error.message, 'net.yaml:4:5: bridges.br0.mtuu: unknown key; did you mean "mtu"?')
  t.is(error.exitCode, 2)
  t.deepEqual(error.problems.map(({ path }) => path), ['bridges.br0.mtuu', 'bridges.br0.mac'])
})

test('nothing in a key or a file name breaks the line', (t) => {
  const error = t.throws(() => parseNetworkFile('version: 1\n"a\\n\\u001b[31m": 1\n', 'a\nb'), { instanceOf: ConfigError })
  t.regex(error.message, /^[\x20-\x7e]+$/)
})

test('every problem of a step is told, in the order of the file', (t) => {
  const problems = problemsOf(`${BR}hosts:\n  a: { interfaces: { e: { bridge: br9 } }, routes: [ { to: default, via: 10.0.0.1 } ] }\n  br1: {}\n`)
  t.deepEqual(problems.map(({ line, path }) => `${line} ${path}`), ['4 hosts.a.interfaces.e.bridge', '4 hosts.a.routes[0].via', '5 hosts.br1'])
})
