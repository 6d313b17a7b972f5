/** What Tapway adds to iproute2's output, and the texts that iproute2 does not have. What it does have: format-oracle.test.ts. */
import test from 'ava'
import { formatAddresses, formatLinks, type LinkText } from '../../src/cli/format-link.js'
import { formatFdb, formatNeighbors, formatRoutes } from '../../src/cli/format-route.js'
import { formatStats } from '../../src/cli/format-stats.js'
import { formatVxlans } from '../../src/cli/format-vxlan.js'
import { formatEvent, formatTime, formatTotals } from '../../src/cli/ping.js'
import type { StatsResult, VxlanRow } from '../../src/network/operations.js'

const LINK: LinkText = {
  ifindex: 3, ifname: 'client.eth0', flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'], mtu: 1500, master: 'br0', operstate: 'UP', link_type: 'ether',
  address: '02:42:0a:01:01:02', broadcast: 'ff:ff:ff:ff:ff:ff',
  linkinfo: { info_kind: 'tap', info_slave_kind: 'bridge', info_slave_data: { state: 'forwarding', learning: true } },
  stats64: {
    rx: { bytes: 123456789012, packets: 12345678, errors: 0, dropped: 7, over_errors: 0, multicast: 1 },
    tx: { bytes: 99, packets: 1, errors: 0, dropped: 0, carrier_errors: 0, collisions: 0 },
  },
  tapway: { kind: 'host', netns: 'client' },
}

test('a link, its counters and its details', (t) => {
  const head = '3: client.eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master br0 state UP\n    link/ether 02:42:0a:01:01:02 brd ff:ff:ff:ff:ff:ff\n'
  t.is(formatLinks([LINK]), head)
  t.is(formatLinks([LINK], { details: true }), `${head}    tap \n    bridge_slave state forwarding learning on \n    tapway kind host netns client \n`)
  t.is(formatLinks([LINK], { stats: 1 }), `${head}    RX:    bytes  packets errors dropped  missed   mcast           
    123456789012 12345678      0       7       0       1 
    TX:    bytes  packets errors dropped carrier collsns           
              99        1      0       0       0       0 
`)
  t.is(formatLinks([LINK], { brief: true }), 'client.eth0      UP             02:42:0a:01:01:02 <BROADCAST,MULTICAST,UP,LOWER_UP> \n')
})

const VXLAN: VxlanRow = {
  ifname: 'vxlan1', master: 'br0', operstate: 'UP', mtu: 1450, address: '02:00:00:00:42:01',
  info_data: {
    id: 42, remote: '192.168.77.2', local: '192.168.77.1', port_range: { low: 49152, high: 65535 }, port: 4789, learning: true, proxy: true, ttl: 64, df: 'unset',
    ageing: 300, udp_csum: true, udp_zero_csum6_tx: false, udp_zero_csum6_rx: false,
  },
  tapway: { kind: 'vxlan', netns: 'underlay', inner_vlan: 'drop', n_learned: 2, moved: 1, l2miss: 0, l3miss: 4, unreachable: 3, full: 0 },
  sockets: { receive: 1, send: 16, send_df: 0, gso: true },
  peers: [
    { dst: '192.168.77.2', flood: true, entries: 3, path_mtu: 1400, unreachable: 3 }, { dst: '192.168.77.3', port: 5000, vni: 43, flood: false, entries: 1, unreachable: 0 },
  ],
}

const OPTIONS_TEXT = 'vxlan id 42 remote 192.168.77.2 local 192.168.77.1 srcport 49152 65535 dstport 4789 proxy ttl 64 ageing 300 udpcsum noudp6zerocsumtx noudp6zerocsumrx'

test('a VXLAN port, by itself and among the links', (t) => {
  const head = 'vxlan1: mtu 1450 master br0 state UP address 02:00:00:00:42:01\n'
  const more = `    ${OPTIONS_TEXT} inner_vlan drop netns underlay\n    sockets 1 receiving, 16 + 0 sending, segmented by the kernel\n`
    + '    learned 2 moved 1 full 0 l2miss 0 l3miss 4 unreachable 3\n'
  t.is(formatVxlans([VXLAN]), `${head}${more}    peer 192.168.77.2 flood entries 3 path_mtu 1400 unreachable 3\n    peer 192.168.77.3 port 5000 vni 43 entries 1 unreachable 0\n`)
  t.is(formatVxlans([{ ...VXLAN, peers: [] }]), `${head}${more}    no peers: nothing is sent until one is learned or added (tapway fdb append)\n`)
  const { info_data } = VXLAN
  const linkinfo = { info_kind: 'vxlan' as const, info_data, info_slave_kind: 'bridge' as const, info_slave_data: { state: 'forwarding', learning: true, flood: true, neigh_suppress: false } }
  t.is(formatLinks([{ ...LINK, linkinfo, tapway: { kind: 'vxlan', inner_vlan: 'pass', moved: 1 } }], { details: true }).split('\n').slice(2).join('\n'),
    `    ${OPTIONS_TEXT} \n    bridge_slave state forwarding learning on flood on neigh_suppress off \n    tapway kind vxlan inner_vlan pass moved 1 \n`)
})

const owner = (router: string | undefined): string => `router ${router} `

test('what Tapway adds comes last', (t) => {
  t.is(formatRoutes([{ dst: 'default', gateway: '10.1.1.254', dev: 'eth1', flags: [], router: 'r' }], owner), 'default via 10.1.1.254 dev eth1 router r \n')
  t.is(formatRoutes([{ dst: '10.0.0.0/8', flags: [], router: 'r', nexthops: [{ gateway: '10.1.1.7', dev: 'eth1', weight: 1, flags: [] }] }], owner),
    '10.0.0.0/8 router r \n\tnexthop via 10.1.1.7 dev eth1 weight 1 \n')
  t.is(formatNeighbors([{ dst: '10.1.1.2', dev: 'eth1', lladdr: '02:42:0a:01:01:02', state: ['REACHABLE'], router: 'r' }], owner),
    '10.1.1.2 dev eth1 lladdr 02:42:0a:01:01:02 REACHABLE router r \n')
  t.is(formatAddresses([{ ...LINK, router: 'r', ifname: 'eth1', addr_info: [{ family: 'inet', local: '10.1.1.3', prefixlen: 24, scope: 'global', label: 'eth1' }] }], { owner }),
    '3: eth1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master br0 state UP router r\n    link/ether 02:42:0a:01:01:02 brd ff:ff:ff:ff:ff:ff\n'
    + '    inet 10.1.1.3/24 scope global eth1\n')
})

test('no rows, no text', (t) => {
  t.is(formatLinks([]) + formatAddresses([]) + formatRoutes([]) + formatNeighbors([]) + formatFdb([]), '')
})

const STATS: StatsResult = {
  ports: [
    { name: 'client.eth0', bridge: 'br0', rx_packets: 10, rx_bytes: 980, tx_packets: 2, tx_bytes: 196, tx_errors: 0, drops: { 'forwarding-disabled': 3, 'no-route': 0 } },
    { name: 'br0', bridge: 'br0', rx_packets: 0, rx_bytes: 0, tx_packets: 10, tx_bytes: 980, tx_errors: 0, drops: {} },
  ],
  drops: [{ reason: 'forwarding-disabled', packets: 3, help: 'not for this host, and forwarding is off' }, { reason: 'no-route', packets: 0, help: 'no route' }],
  balance: { received: 10, originated: 1, copied: 2, pieces: 0, transmitted: 7, delivered: 2, dropped: 3, merged: 0, held: 1, ok: true },
}

test('stats: ports, drops that happened, balance', (t) => {
  t.is(formatStats(STATS), `port         bridge  rx packets  rx bytes  tx packets  tx bytes  tx errors  dropped
client.eth0  br0             10       980           2       196          0        3
br0          br0              0         0          10       980          0        0

reason               packets  help
forwarding-disabled        3  not for this host, and forwarding is off

balance: created 13 = ended 12 + held 1
  created: received 10, originated 1, copied 2, pieces 0
  ended: transmitted 7, delivered 2, dropped 3, merged 0
`)
})

test('stats -s: every reason, and drops by port', (t) => {
  t.true(formatStats(STATS, true).includes(`no-route                   0  no route

port         reason               packets
client.eth0  forwarding-disabled        3
`))
})

test('stats without ports and drops', (t) => {
  const empty = { ports: [], drops: [], balance: { ...STATS.balance, ok: false } }
  t.regex(formatStats(empty), /^port .*dropped\n\nno drops\n\nbalance: created 13 != ended 12 \+ held 1\n/)
})

test('times as ping prints them', (t) => {
  t.deepEqual([0.0454, 0.9999, 1, 9.994, 9.996, 42.25, 99.97, 1234.5].map(formatTime), ['0.045', '1.00', '1.00', '9.99', '10.0', '42.3', '100', '1235'])
})

test('lines of ping', (t) => {
  t.is(formatEvent({ event: 'reply', from: '10.1.2.2', seq: 1, ttl: 64, bytes: 64, time_ms: 0.123 }), '64 bytes from 10.1.2.2: icmp_seq=1 ttl=64 time=0.123 ms\n')
  t.is(formatEvent({ event: 'reply', from: '10.1.2.2', seq: 1, ttl: 64, bytes: 64, time_ms: 1.5, duplicate: true }), '64 bytes from 10.1.2.2: icmp_seq=1 ttl=64 time=1.50 ms (DUP!)\n')
  t.is(formatEvent({ event: 'error', from: '10.1.2.3', seq: 1, type: 3, code: 1, text: 'Destination Host Unreachable' }), 'From 10.1.2.3 icmp_seq=1 Destination Host Unreachable\n')
})

test('the end of ping', (t) => {
  const none = { transmitted: 3, received: 0, duplicates: 0, errors: 3, elapsedMs: 2041.7, times: [] }
  t.is(formatTotals('10.1.1.9', none), '\n--- 10.1.1.9 ping statistics ---\n3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 2041ms\n\n')
  t.is(formatTotals('10.1.1.9', { transmitted: 3, received: 2, duplicates: 1, errors: 0, elapsedMs: 2003, times: [1, 2, 3] }),
    '\n--- 10.1.1.9 ping statistics ---\n3 packets transmitted, 2 received, +1 duplicates, 33.3333% packet loss, time 2003ms\n'
    + 'rtt min/avg/max/mdev = 1.000/2.000/3.000/0.816 ms\n')
  t.is(formatTotals('10.1.1.9', { ...none, transmitted: 0, errors: 0 }), '\n--- 10.1.1.9 ping statistics ---\n0 packets transmitted, 0 received\n\n')
})
