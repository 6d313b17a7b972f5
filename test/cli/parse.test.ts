/** What command lines mean, as rows: the words, and the operation, query or error that they are. */
import test from 'ava'
import fc from 'fast-check'
import type { Command } from '../../src/cli/command.js'
import { CliError } from '../../src/cli/error.js'
import { parseCommandLine } from '../../src/cli/parse.js'
import { COALESCE, OPTIMISATION_NAMES } from '../../src/optimisations.js'

const split = (line: string): string[] => line.split(' ').filter((word) => word !== '')
const parse = (line: string) => parseCommandLine(split(line))

const show = (query: object, more: object = {}) => ({ kind: 'show', query, ...more })
const apply = (operation: object) => ({ kind: 'apply', operation })
const MAC = '02:42:0a:01:01:02'
const NO_PING = { kind: 'ping', from: {}, intervalMs: 1000, size: 56, quiet: false }
const CAPTURE = { kind: 'capture', filter: '', ethernet: false, snaplen: 262144 }

const commands: readonly [line: string, command: object][] = [
  // objects, verbs, abbreviations
  ['route', show({ show: 'route' })],
  ['ro sh', show({ show: 'route' })],
  ['r l', show({ show: 'route' })],
  ['a', show({ show: 'addr' })],
  ['address lst', show({ show: 'addr' })],
  ['neighbour', show({ show: 'neigh' })],
  ['n ls', show({ show: 'neigh' })],
  ['l', show({ show: 'link' })],
  ['stat', show({ show: 'stats' })],
  // link
  ['link show eth0', show({ show: 'link', dev: 'eth0' })],
  ['link show dev router.eth1 up', show({ show: 'link', dev: 'router.eth1' }, { where: { up: true } })],
  ['link show master br0 type tap', show({ show: 'link', bridge: 'br0' }, { where: { kind: 'tap' } })],
  ['link show router r', show({ show: 'link', router: 'r' })],
  ['link set eth0 down', apply({ op: 'link.set', dev: 'eth0', up: false })],
  ['l s dev eth0 router r up mtu 1400', apply({ op: 'link.set', dev: 'eth0', router: 'r', up: true, mtu: 1400 })],
  ['link set br0 address 2:0:0:0:0:1', apply({ op: 'link.set', dev: 'br0', address: '02:00:00:00:00:01' })],
  ['link set router forwarding off', apply({ op: 'link.set', dev: 'router', forwarding: false })],
  ['link set up up', apply({ op: 'link.set', dev: 'up', up: true })],
  ['link set client.eth0 type bridge_slave learning off flood on', apply({ op: 'link.set', dev: 'client.eth0', learning: false, flood: true })],
  // addr
  ['addr show dev eth1 router r', show({ show: 'addr', dev: 'eth1', router: 'r' })],
  ['addr add 10.1.1.3/24 dev eth1', apply({ op: 'addr.add', dev: 'eth1', prefix: '10.1.1.3/24' })],
  ['addr add 10.1.1.3/24 brd + dev eth1 router r', apply({ op: 'addr.add', dev: 'eth1', router: 'r', prefix: '10.1.1.3/24' })],
  ['addr add 10.1.1.3/24 brd 10.1.1.255 dev eth1', apply({ op: 'addr.add', dev: 'eth1', prefix: '10.1.1.3/24' })],
  ['a r 10.255.0.2/32 peer 169.254.0.1 dev e', apply({ op: 'addr.replace', dev: 'e', prefix: '10.255.0.2/32', peer: '169.254.0.1' })],
  ['addr del 10.1.1.3 dev eth1', apply({ op: 'addr.del', dev: 'eth1', prefix: '10.1.1.3' })],
  // route
  ['route show 10.9.0.0/16 table all', show({ show: 'route', prefix: '10.9.0.0/16', table: 'all' })],
  ['route show default dev eth1 type blackhole', show({ show: 'route', prefix: 'default', dev: 'eth1', type: 'blackhole' })],
  ['route show to exact 10/8 proto kernel', show({ show: 'route', prefix: '10.0.0.0/8' }, { where: { protocol: 'kernel' } })],
  ['route add 10.1.1.0/24 via 10.1.2.3 router router', apply({
    op: 'route.add', prefix: '10.1.1.0/24', router: 'router', nexthops: [{ via: '10.1.2.3' }],
  })],
  ['route add default via inet 10.1.1.254 dev eth0 metric 100 src 10.1.1.3 proto static', apply({
    op: 'route.add', prefix: 'default', metric: 100, src: '10.1.1.3', protocol: 'static', nexthops: [{ via: '10.1.1.254', dev: 'eth0' }],
  })],
  ['ro add blackhole 10.7.0.0/16', apply({ op: 'route.add', type: 'blackhole', prefix: '10.7.0.0/16' })],
  ['route append 10.9/16 nexthop via 10.1.1.7 weight 1 nexthop via 10.1.2.7 dev eth0 weight 256 onlink router r metric 5', apply({
    op: 'route.append', prefix: '10.9.0.0/16', router: 'r', metric: 5,
    nexthops: [{ via: '10.1.1.7', weight: 1 }, { via: '10.1.2.7', dev: 'eth0', weight: 256, onlink: true }],
  })],
  ['route replace 10.9.1.1 via 10.99.0.1 dev eth1 onlink table main', apply({
    op: 'route.replace', prefix: '10.9.1.1', nexthops: [{ via: '10.99.0.1', dev: 'eth1', onlink: true }],
  })],
  ['route del 0/0', apply({ op: 'route.del', prefix: 'default' })],
  ['route delete prohibit 10.5.0.0/16 metric 0', apply({ op: 'route.del', type: 'prohibit', prefix: '10.5.0.0/16', metric: 0 })],
  ['route get 8.8.8.8', show({ show: 'route-get', address: '8.8.8.8' }, { missing: 'no route to 8.8.8.8' })],
  ['ro g to 8.8.8.8 from 10.1.1.2 iif eth1 router r', show(
    { show: 'route-get', address: '8.8.8.8', from: '10.1.1.2', iif: 'eth1', router: 'r' }, { missing: 'no route to 8.8.8.8' },
  )],
  // neigh
  ['neigh show dev eth1 nud REACHABLE', show({ show: 'neigh', dev: 'eth1', nud: 'reachable' })],
  ['neigh show 10.1.1.2 router r', show({ show: 'neigh', address: '10.1.1.2', router: 'r' })],
  [`neigh add 10.1.1.2 lladdr ${MAC} dev eth1`, apply({ op: 'neigh.add', dev: 'eth1', address: '10.1.1.2', lladdr: MAC })],
  [`neigh replace 10.1.1.2 lladdr 02-42-0A-01-01-02 dev eth1 nud stale`, apply({ op: 'neigh.replace', dev: 'eth1', address: '10.1.1.2', lladdr: MAC, nud: 'stale' })],
  [`neigh change to 10.1.1.2 lladdr ${MAC} dev eth1 permanent router r`, apply({
    op: 'neigh.change', dev: 'eth1', router: 'r', address: '10.1.1.2', lladdr: MAC, nud: 'permanent',
  })],
  ['neigh del 10.1.1.2 dev eth1', apply({ op: 'neigh.del', dev: 'eth1', address: '10.1.1.2' })],
  ['neigh get 10.1.1.2 dev eth1', show({ show: 'neigh', address: '10.1.1.2', dev: 'eth1' }, { missing: 'no neighbour 10.1.1.2 on eth1' })],
  ['neigh flush dev eth1', apply({ op: 'neigh.flush', dev: 'eth1' })],
  ['neigh flush', apply({ op: 'neigh.flush' })],
  // fdb
  ['fdb', show({ show: 'fdb' })],
  ['fdb show br br0 brport client.eth0', show({ show: 'fdb', bridge: 'br0', dev: 'client.eth0' })],
  [`fdb add ${MAC} dev p`, apply({ op: 'fdb.add', mac: MAC, dev: 'p', state: 'permanent' })],
  [`fdb append ${MAC} dev p master static sticky`, apply({ op: 'fdb.append', master: true, mac: MAC, dev: 'p', state: 'static', sticky: true })],
  [`fdb replace ${MAC} dev p self dynamic`, apply({ op: 'fdb.replace', self: true, mac: MAC, dev: 'p', state: 'dynamic' })],
  [`fdb add ${MAC} dev p local permanent`, apply({ op: 'fdb.add', mac: MAC, dev: 'p', state: 'permanent' })],
  [`fdb del ${MAC} dev p master`, apply({ op: 'fdb.del', master: true, mac: MAC, dev: 'p' })],
  [
    `fdb add ${MAC} dev vxlan1 dst 192.168.77.2 vni 43 port 5000`,
    apply({ op: 'fdb.add', dst: '192.168.77.2', vni: 43, port: 5000, mac: MAC, dev: 'vxlan1', state: 'permanent' }),
  ],
  [`fdb append 00:00:00:00:00:00 dev vxlan1 dst fd00::2`, apply({ op: 'fdb.append', dst: 'fd00::2', mac: '00:00:00:00:00:00', dev: 'vxlan1', state: 'permanent' })],
  [`fdb add ${MAC} dev vxlan1 self master dst 10.0.0.1 dynamic`, apply({ op: 'fdb.add', self: true, master: true, dst: '10.0.0.1', mac: MAC, dev: 'vxlan1', state: 'dynamic' })],
  [`fdb del ${MAC} dev vxlan1 dst 192.168.77.2`, apply({ op: 'fdb.del', dst: '192.168.77.2', mac: MAC, dev: 'vxlan1' })],
  [`fdb get ${MAC} dev vxlan1 self`, show({ show: 'fdb', self: true, mac: MAC, dev: 'vxlan1' }, { missing: `no entry for ${MAC} in vxlan1` })],
  [`fdb get ${MAC} br br0`, show({ show: 'fdb', mac: MAC, bridge: 'br0', master: true }, { missing: `no entry for ${MAC} in br0` })],
  ['fdb flush br br0', apply({ op: 'fdb.flush', bridge: 'br0' })],
  ['fdb flush dev p', apply({ op: 'fdb.flush', dev: 'p' })],
  ['fdb flush dev vxlan1 self master', apply({ op: 'fdb.flush', dev: 'vxlan1', self: true, master: true })],
  // vxlan
  ['vxlan', show({ show: 'vxlan' })],
  ['vx sh vxlan1', show({ show: 'vxlan', dev: 'vxlan1' })],
  ['link show type vxlan', show({ show: 'link' }, { where: { kind: 'vxlan' } })],
  ['link set vxlan1 type bridge_slave neigh_suppress on', apply({ op: 'link.set', dev: 'vxlan1', neigh_suppress: true })],
  // app, policy, flow
  ['app', show({ show: 'app' })],
  ['ap ls frontend', show({ show: 'app', name: 'frontend' })],
  ['policy', show({ show: 'policy' })],
  ['pol list from a to b', show({ show: 'policy', from: 'a', to: 'b' })],
  ['policy add from a to b protocol tcp port 8080', apply({ op: 'policy.add', from: 'a', to: 'b', protocol: 'tcp', ports: [8080, 8080] })],
  ['policy add udp 8000-8100 to b from a', apply({ op: 'policy.add', from: 'a', to: 'b', protocol: 'udp', ports: [8000, 8100] })],
  ['policy add from tcp to port tcp ports 1-65535', apply({ op: 'policy.add', from: 'tcp', to: 'port', protocol: 'tcp', ports: [1, 65535] })],
  ['policy del from a to b icmp', apply({ op: 'policy.del', from: 'a', to: 'b', protocol: 'icmp' })],
  ['policy delete from a to b tcp 53-53', apply({ op: 'policy.del', from: 'a', to: 'b', protocol: 'tcp', ports: [53, 53] })],
  ['policy check from a to b tcp 8080', { kind: 'policy-check', query: { show: 'policy-check', from: 'a', to: 'b', protocol: 'tcp', port: 8080 } }],
  ['policy check from a to b protocol icmp', { kind: 'policy-check', query: { show: 'policy-check', from: 'a', to: 'b', protocol: 'icmp' } }],
  ['policy denied', show({ show: 'denied' })],
  ['policy help', { kind: 'help', topic: 'policy' }],
  ['flow', show({ show: 'flow' })],
  ['fl sh', show({ show: 'flow' })],
  ['f', show({ show: 'fdb' })],
  // the rest
  ['stats', show({ show: 'stats' })],
  ['stats show', show({ show: 'stats' })],
  ['up net.yaml', { kind: 'up', file: 'net.yaml', without: [], poll: 'adaptive' }],
  ['up --no-offload net.yaml --poll busy', { kind: 'up', file: 'net.yaml', without: ['offload'], poll: 'busy' }],
  [
    'up --no-udp-segment net.yaml --no-udp-gro --no-coalesce',
    { kind: 'up', file: 'net.yaml', without: ['udp-segment', 'udp-gro', ...COALESCE], poll: 'adaptive' },
  ],
  [
    'up --without slices,bridge-cache net.yaml --without coalesce --without slices --no-offload',
    { kind: 'up', file: 'net.yaml', without: ['offload', ...COALESCE, 'bridge-cache', 'slices'], poll: 'adaptive' },
  ],
  ['up net.yaml --without=all', { kind: 'up', file: 'net.yaml', without: OPTIMISATION_NAMES, poll: 'adaptive' }],
  ['check net.yaml', { kind: 'check', file: 'net.yaml' }],
  ['down', { kind: 'down' }],
  ['shell client', { kind: 'exec', host: 'client' }],
  ['exec client -- ls -l --name x', { kind: 'exec', host: 'client', argv: ['ls', '-l', '--name', 'x'] }],
  ['exec client ls -j -- -s', { kind: 'exec', host: 'client', argv: ['ls', '-j', '--', '-s'] }],
  ['exec --name lab client -j -- ip -j link', { kind: 'exec', host: 'client', argv: ['ip', '-j', 'link'] }],
  ['ping 10.1.2.2', { ...NO_PING, address: '10.1.2.2' }],
  ['ping -c 3 -i 0.2 -s 1472 -t 1 -I eth0 -q 10.1.2.2 router router', {
    kind: 'ping', address: '10.1.2.2', from: { router: 'router' }, dev: 'eth0', count: 3, intervalMs: 200, size: 1472, ttl: 1, quiet: true,
  }],
  ['ping 10.1.2.2 bridge br0 -c1', { ...NO_PING, address: '10.1.2.2', from: { bridge: 'br0' }, count: 1 }],
  ['capture client.eth0', { ...CAPTURE, ports: ['client.eth0'] }],
  ['capture client.eth0 server.eth0 -c 2 -e icmp or arp', { ...CAPTURE, ports: ['client.eth0', 'server.eth0'], count: 2, ethernet: true, filter: 'icmp or arp' }],
  ['capture -ni router.eth1 -s 0 not port 22', { ...CAPTURE, ports: ['router.eth1'], filter: 'not port 22' }],
  ['capture br0 -w - -s 96 tcp[13] & 2 != 0', { ...CAPTURE, ports: ['br0'], write: '-', snaplen: 96, filter: 'tcp[13] & 2 != 0' }],
  ['capture icmp icmp', { ...CAPTURE, ports: ['icmp'], filter: 'icmp' }],
  ['help', { kind: 'help', topic: '' }],
  ['help ro', { kind: 'help', topic: 'route' }],
  ['route help', { kind: 'help', topic: 'route' }],
  ['ping --help', { kind: 'help', topic: 'ping' }],
  ['--help', { kind: 'help', topic: '' }],
  ['-V', { kind: 'version' }],
  ['link --version', { kind: 'version' }],
]

for (const [line, command] of commands) {
  test(`means: tapway ${line}`, (t) => {
    t.deepEqual(parse(line).command, command as unknown as Command)
  })
}

const errors: readonly [line: string, message: string | RegExp][] = [
  ['rute', 'unknown word "rute": did you mean "route"?'],
  ['dwon', 'unknown word "dwon": did you mean "down"?'],
  ['route shwo', 'unknown word "shwo" after route: did you mean "show"?'],
  ['route add 10.1.1.0/24 vai 10.1.2.3', 'unknown word "vai" in route add: did you mean "via"?'],
  ['route add 10.1.1.0/24 via', '"via" is the last word of route add: an address must follow it'],
  ['route add 10.1.1.0/24', /leads nowhere/],
  ['route add via 10.1.1.1', /needs a destination/],
  ['route add 10.1.1.0/33 via 10.1.1.1', '"10.1.1.0/33" is no IPv4 prefix: a destination looks like 10.1.1.0/24'],
  ['route add 10.1.1.0/24 via 10.1.1', '"10.1.1" is no IPv4 address: via expects one like 10.1.1.3'],
  ['route add 10.1.1.0/24 via 10.1.1.1 via 10.1.1.2', '"via" is given twice in route add'],
  ['route add 10.1.1.0/24 via 10.1.1.1 nexthop via 10.1.1.2', /not both/],
  ['route add 10.1.1.0/24 nexthop weight 1', 'a nexthop needs via ADDRESS or dev NAME'],
  ['route add 10.1.1.0/24 nexthop via 10.1.1.1 weight 257', '"257" is wrong: weight expects a number from 1 to 256'],
  ['route add 10.1.1.0/24 via 10.1.1.1 onlink', /onlink needs a device/],
  ['route add fe80::/64 via fe80::1', 'not supported yet: IPv6 (fe80::/64)'],
  ['route add 10.1.1.0/24 via 10.1.1.1 mtu 1400', 'not supported yet: mtu'],
  ['route add 10.1.1.0/24 via 10.1.1.1 table 100', 'not supported yet: table 100'],
  ['route add throw 10.1.1.0/24', 'not supported yet: throw'],
  ['route flush', 'not supported yet: route flush'],
  ['route change 10.1.1.0/24 via 10.1.1.1', 'not supported yet: route change'],
  ['route show table mian', '"mian" is wrong for table: did you mean "main"?'],
  ['route get', 'route get needs an address: tapway route get 10.1.2.2'],
  ['link add br1 type bridge', 'not supported yet: link add'],
  ['link set', /needs the name of a device/],
  ['link set eth0', /say what to set/],
  ['link set eth0 master br0', 'not supported yet: master'],
  ['link set eth0 mtu 1', '"1" is wrong: mtu expects a number from 68 to 65535'],
  ['link set eth0 learning yes', '"yes" is wrong: learning expects on or off'],
  ['link show a b', /unknown word "b" in link show/],
  ['addr add 10.1.1.3/24', 'addr add needs a device: tapway addr add 10.1.1.3/24 dev NAME'],
  ['addr add dev eth0', /needs an address/],
  ['addr add 10.1.1.3/24 dev eth0 scope link', 'not supported yet: scope'],
  ['addr add 10.1.1.3/24 brd 10.1.1.0 dev eth0', 'not supported yet: brd 10.1.1.0'],
  ['neigh add 10.1.1.2 lladdr 02:42 dev eth0', '"02:42" is no MAC address: lladdr expects one like 02:42:0a:01:01:03'],
  ['neigh add 10.1.1.2', /needs a device/],
  ['neigh add proxy 10.1.1.2 dev eth0', 'not supported yet: proxy'],
  ['neigh show nud reachible', '"reachible" is wrong for nud: did you mean "reachable"?'],
  [`fdb add ${MAC} dev vxlan1 dst vtep2`, /"vtep2" is no address: dst expects/],
  [`fdb add ${MAC} dev vxlan1 dst fe80::1%eth0`, /is no address/],
  [`fdb add ${MAC} dev vxlan1 dst 10.0.0.1 vni 16777216`, /vni expects a number from 0 to 16777215/],
  [`fdb add ${MAC} dev vxlan1 dst 10.0.0.1 port 0`, /port expects a number from 1 to 65535/],
  [`fdb add ${MAC} dev vxlan1 dst 10.0.0.1 via eth0`, 'not supported yet: via'],
  ['fdb flush dev vxlan1 dst 10.0.0.1', 'not supported yet: dst'],
  ['fdb show dev vxlan1 state static', 'not supported yet: state'],
  [`fdb add ${MAC} dev p vlan 10`, 'not supported yet: vlan'],
  [`fdb add ${MAC} dev p static dynamic`, 'an entry is either static or dynamic'],
  [`fdb add ${MAC}`, /needs a port/],
  ['fdb flush', /needs a bridge or a port/],
  ['reload net.yaml', 'not supported yet: reload'],
  ['vlan', 'not supported yet: vlan'],
  ['vxlan show vxlan1 vxlan2', /unknown word "vxlan2"/],
  ['vxlan add vxlan9', /unknown word "add" after vxlan/],
  ['link add vxlan9 type vxlan id 42', 'not supported yet: link add'],
  ['link del vxlan1', 'not supported yet: link delete'],
  ['policy add from a tcp 80', 'policy add needs two apps: tapway policy add from APP to APP tcp 8080'],
  ['policy del to b tcp 80', 'policy del needs two apps: tapway policy del from APP to APP tcp 8080'],
  ['policy add from a to b port 80', /policy add needs a protocol \(tcp, udp or icmp\)/],
  ['policy add from a to b tcp', /policy add needs a port with tcp/],
  ['policy add from a to b icmp port 8', 'icmp has no ports: leave the port out'],
  ['policy add from a to b protocol tpc port 8', '"tpc" is wrong for protocol: did you mean "tcp"?'],
  ['policy add from a to b sctp 8', /unknown word "sctp" in policy add/],
  ['policy add from a to b tcp 0', '"0" is wrong: port expects a number from 1 to 65535'],
  ['policy add from a to b tcp 80-', '"" is wrong: port expects a number from 1 to 65535'],
  ['policy add from a to b tcp 90-80', /goes from the lower one to the higher one/],
  ['policy add from a to b tcp 1-2-3', /port expects one such as 8080 or a range/],
  ['flow show from a', 'unknown word "from" in flow show: it takes none'],
  ['policy denied a', 'unknown word "a" in policy denied: it takes none'],
  ['policy add from a to b tcp 80 90', 'unknown word "90" in policy add: choose one of from, to, protocol, port, ports'],
  ['policy check from a to b tcp 80-90', 'policy check is about one port, not 80-90'],
  ['policy show tcp 80', /policy show takes from and to/],
  ['policy flush', /unknown word "flush" after policy/],
  ['app add x', /unknown word "add" after app/],
  ['app show a b', /unknown word "b" in app show/],
  ['flow show x', /unknown word "x" in flow show/],
  ['trace x', 'not supported yet: trace'],
  ['top', 'not supported yet: top'],
  ['bench', 'not supported yet: bench'],
  ['-6 route', 'not supported yet: -6'],
  ['link -o', 'not supported yet: -o'],
  ['up', 'up needs a network file FILE: tapway up FILE'],
  ['up a b', 'up takes one word, not also "b"'],
  ['up a --poll bsy', '"bsy" is wrong for --poll: did you mean "busy"?'],
  ['up a --without fast-pat', '"fast-pat" is wrong for --without: did you mean "fast-path"?'],
  ['up a --without slices,constructor', /^"constructor" is wrong for --without: choose one of offload, /],
  ['down x', 'down takes no further words, not "x"'],
  ['exec client', /needs a command/],
  ['exec', /needs a host/],
  ['ping', 'ping needs an address: tapway ping 10.1.2.2'],
  ['ping 10.1.2.2 -c 0', '"0" is wrong: -c expects a number from 1 to 2147483647'],
  ['ping 10.1.2.2 ruoter x', 'unknown word "ruoter" in ping: did you mean "router"?'],
  ['ping 10.1.2.2 -i x', '"x" is wrong: -i expects seconds from 0.001 to 86400'],
  ['capture', /needs a port/],
  ['capture a -c', /-c <count>/],
  ['route --nmae x', 'unknown option "--nmae" (Did you mean --name?)'],
  ['--name a/b down', /no name for an instance/],
  ['--log-level lots down', /wrong for --log-level/],
]

for (const [line, message] of errors) {
  test(`is wrong: tapway ${line}`, (t) => {
    const error = t.throws(() => parse(line), { instanceOf: CliError })
    t.is(error.exitCode, 2)
    if (typeof message === 'string') t.is(error.message, message)
    else t.regex(error.message, message)
    t.false(error.message.includes('\n'))
  })
}

test('options of every command stand before or after the other words', (t) => {
  for (const line of ['--name lab -j -s -p route show dev eth0', 'route --name lab show -j dev -s eth0 -p', 'route show dev eth0 -pjs --name=lab', '-json -stats -pretty route show dev eth0 --name lab']) {
    const { globals, command } = parse(line)
    t.like(globals, { name: 'lab', json: true, pretty: true, stats: 1 }, line)
    t.deepEqual(command, { kind: 'show', query: { show: 'route', dev: 'eth0' } })
  }
  t.is(parse('-s link -s').globals.stats, 2)
  t.is(parse('-s -s link --statistics').globals.stats, 3)
  t.true(parse('link -br').globals.brief)
  t.is(parse('ping -s 100 10.1.1.1').globals.stats, 0, 'the size of a ping')
})

test('no option is taken out of the words of exec', (t) => {
  const { globals, command } = parse('exec client --name lab -- ip --name x -j')
  t.is(globals.name, 'lab')
  t.false(globals.json)
  t.deepEqual(command, { kind: 'exec', host: 'client', argv: ['ip', '--name', 'x', '-j'] })
})

const WORDS = [
  'app', 'policy', 'flow', 'check', 'denied', 'protocol', 'port', 'tcp', 'icmp', '80', '80-90', '-',
  'link', 'addr', 'route', 'neigh', 'fdb', 'stats', 'up', 'down', 'exec', 'ping', 'capture', 'help', 'show', 'add', 'del', 'replace', 'get', 'set', 'flush',
  'append', 'via', 'dev', 'router', 'nexthop', 'weight', 'metric', 'table', 'all', 'lladdr', 'nud', 'permanent', 'br', 'brport', 'master', 'self',
  'static', 'type', 'blackhole', 'default', 'onlink', 'forwarding', 'on', 'off', 'mtu', 'to', 'from', 'iif', 'src', '10.1.1.0/24', '10.1.1.3', '10', '1500',
  MAC, 'eth0', '-j', '-s', '-c', '--name', '--', '-', '--log-level', '-w', '-i', '-I', '', '__proto__', 'constructor', 'toString', '-4', 'fe80::1', '-h',
]

test('whatever the words, there is an answer or one line that says what is wrong', (t) => {
  const word = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...WORDS) }, { weight: 1, arbitrary: fc.string() })
  fc.assert(fc.property(fc.array(word, { maxLength: 12 }), (words) => {
    try {
      parseCommandLine(words)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      if (error.exitCode !== 2) throw new Error(`exit code ${error.exitCode}`)
    }
  }), { numRuns: 3000 })
  t.pass()
})
