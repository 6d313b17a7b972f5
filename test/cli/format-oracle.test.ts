/**
 * The printers against iproute2 itself: the rows of `ip -j` and `bridge -j` in a namespace with objects of every kind must come
 * out as the text that `ip` and `bridge` print there, byte for byte.
 */
import test, { type ExecutionContext } from 'ava'
import { formatAddresses, formatLinks } from '../../src/cli/format-link.js'
import { formatFdb, formatNeighbors, formatRoutes } from '../../src/cli/format-route.js'
import { vxlanOptions } from '../../src/cli/format-vxlan.js'
import type { LinkRow } from '../../src/network/operations.js'
import { addNetns, inNs, netnsTest } from '../helpers/netns.js'

const netns = netnsTest(test)

/** Every command in a namespace; a word may not hold spaces. */
const setUp = (name: string, commands: string): void => {
  for (const line of commands.trim().split('\n')) inNs(name, ...line.trim().split(' '))
}

const LINKS = `
  ip link set lo up
  ip link add br0 type bridge
  ip link set br0 address 02:00:00:00:00:01 up
  ip link add veth0 type veth peer name veth1
  ip link set veth0 address 02:00:00:00:00:02
  ip link set veth1 address 02:00:00:00:00:03
  ip link set veth0 master br0 up
  ip link set veth1 up
  ip addr add 10.1.1.3/24 brd + dev veth1
  ip addr add 10.1.1.4/24 dev veth1
  ip addr add 10.255.0.2 peer 169.254.0.1/32 dev veth1
  ip addr add 10.2.1.1/24 dev br0
  ip addr add 10.3.1.1/24 dev br0 noprefixroute valid_lft 5000 preferred_lft 4000
`

/** The text of a command, taken twice around its JSON, so that nothing changed in between. */
const textAndRows = <Row>(t: ExecutionContext, name: string, line: string): { text: string; rows: Row[] } => {
  const [tool = '', ...words] = line.split(' ')
  for (let attempt = 0; attempt < 20; attempt++) {
    const text = inNs(name, tool, ...words)
    const json = inNs(name, tool, '-j', ...words)
    if (inNs(name, tool, ...words) === text) return { text, rows: JSON.parse(json || '[]') as Row[] }
  }
  t.fail(`${line}: never the same twice`)
  return { text: '', rows: [] }
}

const same = <Row>(t: ExecutionContext, name: string, line: string, format: (rows: readonly Row[]) => string): void => {
  const { text, rows } = textAndRows<Row>(t, name, line)
  t.true(rows.length > 0, line)
  t.is(format(rows), text, line)
}

netns('links and addresses are printed as ip prints them', (t) => {
  const name = addNetns()
  setUp(name, LINKS)
  setUp(name, 'ping -c 2 -i 0.01 -q 127.0.0.1')
  same(t, name, 'ip link', formatLinks)
  same(t, name, 'ip -s link', (rows: Parameters<typeof formatLinks>[0]) => formatLinks(rows, { stats: 1 }))
  same(t, name, 'ip -br link', (rows: Parameters<typeof formatLinks>[0]) => formatLinks(rows, { brief: true }))
  same(t, name, 'ip addr', formatAddresses)
  same(t, name, 'ip -s addr', (rows: Parameters<typeof formatAddresses>[0]) => formatAddresses(rows, { stats: 1 }))
  same(t, name, 'ip -br addr', (rows: Parameters<typeof formatAddresses>[0]) => formatAddresses(rows, { brief: true }))
  setUp(name, 'ip link set veth0 down')
  same(t, name, 'ip link', formatLinks)
})

netns('routes are printed as ip prints them', (t) => {
  const name = addNetns()
  setUp(name, LINKS)
  setUp(name, `
    sysctl -qw net.ipv4.ip_forward=1
    ip route add default via 10.1.1.254 metric 100
    ip route add 10.9.0.0/16 nexthop via 10.1.1.7 weight 1 nexthop via 10.2.1.7 weight 3
    ip route add 10.8.0.0/16 src 10.1.1.3 metric 7 nexthop via 10.1.1.7 dev veth1 onlink nexthop via 10.2.1.7
    ip route add blackhole 10.7.0.0/16
    ip route add unreachable 10.6.0.0/16 metric 5
    ip route add prohibit 10.5.0.0/16 proto static
    ip route add 192.168.0.0/16 via 10.99.0.1 dev veth1 onlink src 10.1.1.3 proto static
    ip route add 10.4.4.4 dev veth1 scope link
  `)
  for (const line of [
    'ip route', 'ip route show table local', 'ip -4 route show table all', 'ip route show dev veth1', 'ip route show type blackhole', 'ip -d route',
    'ip route get 8.8.8.8', 'ip route get 10.1.1.3', 'ip route get 10.1.1.255', 'ip route get 10.1.1.8 from 10.1.1.4', 'ip route get 8.8.8.8 from 10.2.1.9 iif br0',
  ]) same(t, name, line, formatRoutes)
  setUp(name, 'ip link set veth0 down')
  same(t, name, 'ip route', formatRoutes)
})

netns('neighbours are printed as ip prints them', (t) => {
  const name = addNetns()
  setUp(name, LINKS)
  setUp(name, `
    ip neigh add 10.1.1.12 lladdr 02:42:0a:01:01:02 dev veth1
    ip neigh add 10.1.1.14 lladdr 02:42:0a:01:01:04 dev veth1 nud reachable
    ip neigh add 10.1.1.15 dev veth1 nud failed
    ip neigh add 10.2.1.6 lladdr 02:42:0a:01:01:06 dev br0 nud stale
  `)
  t.throws(() => inNs(name, 'ping', '-c', '1', '-W', '1', '-q', '10.1.1.200'))
  for (const line of ['ip neigh', 'ip -s neigh', 'ip neigh show dev veth1', 'ip neigh show 10.2.1.6', 'ip neigh show nud failed']) same(t, name, line, formatNeighbors)
})

netns('FDB entries are printed as bridge prints them', (t) => {
  const name = addNetns()
  setUp(name, LINKS)
  setUp(name, `
    bridge fdb add 02:00:00:00:00:05 dev veth0 master static
    bridge fdb add 02:00:00:00:00:06 dev veth0 master dynamic
    bridge fdb add 02:00:00:00:00:08 dev veth0 master static sticky
    bridge fdb add 02:00:00:00:00:09 dev br0 self local
    ip link add vx type vxlan id 42 dstport 4789 local 10.1.1.3
    ip link set vx master br0 up
    bridge fdb add 02:00:00:00:00:0a dev vx master static
    bridge fdb add 02:00:00:00:00:0a dev vx self dst 10.1.1.77 port 8472 vni 43
    bridge fdb add 02:00:00:00:00:0b dev vx self dst 10.1.1.77 static sticky
    bridge fdb add 02:00:00:00:00:0c dev vx self dst 10.1.1.77 dynamic
    bridge fdb append 00:00:00:00:00:00 dev vx dst 10.1.1.77
    bridge fdb append 00:00:00:00:00:00 dev vx dst 10.1.1.78
  `)
  for (const line of ['bridge fdb', 'bridge fdb show br br0', 'bridge fdb show dev veth0', 'bridge -s fdb', 'bridge fdb show dev vx', 'bridge fdb get 02:00:00:00:00:0a dev vx self', 'bridge fdb get 02:00:00:00:00:05 br br0']) same(t, name, line, formatFdb)
})

netns('options of VXLANs are printed as ip -d prints them', (t) => {
  const name = addNetns()
  inNs(name, 'ip', 'link', 'set', 'lo', 'up')
  for (const options of [
    'id 42 remote 192.168.77.2 local 192.168.77.1 srcport 49152 65535 dstport 4789',
    'id 1 nolearning proxy rsc l2miss l3miss gbp ttl inherit tos inherit df set ageing 10 maxaddress 7 noudpcsum dstport 4789',
    'id 2 group 239.1.1.1 dev lo dstport 4789 ttl 64 tos 0x10 df inherit', 'id 3 local fd00::1 remote fd00::2 dstport 4789 udp6zerocsumtx udp6zerocsumrx',
    'id 4 dstport 4789 ttl auto remcsumtx remcsumrx',
  ]) {
    inNs(name, 'ip', 'link', 'add', 'vx', 'type', 'vxlan', ...options.split(' '))
    const { text, rows } = textAndRows<LinkRow>(t, name, 'ip -d link show type vxlan')
    // ip goes on with what it has for every link
    t.is(`    vxlan${vxlanOptions(rows[0]!.linkinfo.info_data!)} `, / {4}vxlan .*?(?=addrgenmode)/.exec(text)?.[0] ?? '', options)
    inNs(name, 'ip', 'link', 'del', 'vx')
  }
})
