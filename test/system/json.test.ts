/**
 * `tapway -j` beside `ip -j`: a host is configured as the router is, and the rows of both are compared. Every key that ip prints
 * must be there with a value of the same type; what is left out stands in the lists below, with why.
 */
import test, { type ExecutionContext } from 'ava'
import { addNetns, inNs, ip, ipJson, netnsTest, uniqueName } from '../helpers/netns.js'
import { type Instance, startTapway, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

type Row = Record<string, unknown>

/** Routes of every kind, for the router and for its twin. */
const ROUTES = `
      - { to: default, via: 10.1.1.9 }
      - { to: 10.9.0.0/16, nexthops: [ { via: 10.1.1.9, weight: 2 }, { via: 10.1.2.9 } ] }
      - { to: 10.10.0.0/16, type: blackhole }
      - { to: 10.11.0.0/16, type: unreachable, metric: 7 }
      - { to: 10.11.1.0/24, type: prohibit }
      - { to: 10.12.0.0/16, dev: eth0 }
      - { to: 10.12.0.0/16, via: 10.1.1.9, metric: 20 }
      - { to: 10.13.0.1/32, via: 10.99.0.1, dev: eth0, onlink: true }`

const NETWORK = `version: 1
bridges: { one: {}, two: {} }
routers:
  router:
    interfaces:
      eth1: { bridge: one, address: [ 10.1.1.3/24, 10.1.1.103/24, 10.5.0.3/32 ] }
      eth0: { bridge: two, address: 10.1.2.3/24 }
      eth2: { bridge: two, address: 10.6.0.3/32, peer: 10.6.0.9 }
    routes:${ROUTES}
    neighbors: [ { address: 10.1.1.77, lladdr: "02:00:00:00:00:77", dev: eth1 } ]
hosts:
  twin:
    interfaces:
      eth1: { bridge: one, address: [ 10.1.1.5/24, 10.1.1.105/24, 10.5.0.5/32 ] }
      eth0: { bridge: two, address: 10.1.2.5/24 }
      eth2: { bridge: two, address: 10.6.0.5/32, peer: 10.6.0.9 }
    routes:${ROUTES}
  station:
    interfaces: { eth0: { bridge: one, address: 10.1.1.9/24 } }
`

/** The twin's own addresses end in 5, the router's in 3; what the lab adds to a host has no protocol, the file's routes are static. */
const asRouter = (rows: Row[]): Row[] =>
  (JSON.parse(JSON.stringify(rows).replace(/\b(10\.\d+\.\d+\.(?:10)?)5\b/g, '$13')) as Row[]).filter((row) => row['dev'] !== 'lo')

const asKernel = (rows: Row[]): Row[] =>
  rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).filter(([key, value]) => key !== 'router' && !(key === 'protocol' && value === 'static'))
    )
  )

const sorted = (rows: Row[]): string[] => rows.map((row) => JSON.stringify(Object.fromEntries(Object.entries(row).sort()))).sort()

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value)

/** A row without what is compared by itself: the kind of a device differs from that of a bridge's port here. */
const withoutKind = ({ linkinfo: _, ...row }: Row): Row => row

/** Every key of ip's row is in ours with a value of the same type, down to the leaves. `missing` are keys that we do not have. */
const covers = (t: ExecutionContext, ours: unknown, theirs: unknown, missing: readonly string[], path: string): void => {
  t.is(typeOf(ours), typeOf(theirs), path)
  if (Array.isArray(theirs)) {
    if (theirs.length > 0 && (ours as unknown[]).length > 0) covers(t, (ours as unknown[])[0], theirs[0], missing, `${path}[0]`)
  } else if (typeof theirs === 'object') {
    for (const [key, value] of Object.entries(theirs as Row)) {
      if (missing.includes(key)) t.false(Object.hasOwn(ours as Row, key), `${path}.${key} is there and needs no exception`)
      else covers(t, (ours as Row)[key], value, missing, `${path}.${key}`)
    }
  }
}

const rowOf = <T extends Row>(rows: readonly T[], key: string, value: string): T => {
  const row = rows.find((candidate) => candidate[key] === value)
  if (row === undefined) throw new Error(`no row with ${key} ${value} in ${JSON.stringify(rows)}`)
  return row
}

/** What belongs to a device of the kernel and to nothing here: queues, groups of devices, modes of user space daemons. */
const DEVICE = ['qdisc', 'group', 'txqlen', 'linkmode']
/** Limits of the kernel's own segmentation, and queues. */
const DETAILS = [
  ...DEVICE,
  'promiscuity',
  'allmulti',
  'min_mtu',
  'max_mtu',
  'inet6_addr_gen_mode',
  'num_tx_queues',
  'num_rx_queues',
  'gso_max_size',
  'gso_max_segs',
  'tso_max_size',
  'tso_max_segs',
  'gro_max_size',
  'gso_ipv4_max_size',
  'gro_ipv4_max_size',
  'parentbus',
  'parentdev'
]
/** The broadcast address follows from the prefix, as with `ip addr add` without brd. */
const ADDRESS = ['broadcast', 'dynamic', 'noprefixroute']

const start = (): Promise<Instance> => startTapway(NETWORK)

systemTest('routes are the very rows of ip, in its order', async (t) => {
  const network = await start()
  const theirs = asRouter(ipJson('twin', '-4', 'route', 'show'))
  const ours = await network.json('route', 'show', 'router', 'router')
  t.deepEqual(asKernel(ours), theirs)
  for (const [i, row] of ours.entries()) {
    t.is(row['router'], 'router')
    covers(t, row, theirs[i], [], `route ${String(row['dst'])}`)
  }
})

systemTest('routes of all tables, also when addresses come and go', async (t) => {
  const network = await start()
  const compare = async (what: string, table: string): Promise<void> => {
    const theirs = asRouter(ipJson('twin', '-4', 'route', 'show', 'table', table))
    const ours = await network.json('route', 'show', 'table', table, 'router', 'router')
    t.deepEqual(sorted(asKernel(ours)), sorted(theirs), `${what}, table ${table}`)
  }
  await compare('as in the file', 'all')
  await compare('as in the file', 'local')
  // A second one of a network, one of its own, a secondary that goes, and a primary that takes its secondaries with it
  for (const [verb, suffix, dev] of [
    ['add', '10.1.2.105/24', 'eth0'],
    ['add', '10.7.0.5/16', 'eth0'],
    ['del', '10.1.1.105/24', 'eth1'],
    ['add', '10.1.1.105/24', 'eth1'],
    ['del', '10.1.2.5/24', 'eth0'],
    ['del', '10.7.0.5/16', 'eth0'],
    ['del', '10.1.1.5/24', 'eth1']
  ] as const) {
    ip('-n', 'twin', 'addr', verb, suffix, ...(verb === 'add' ? ['brd', '+'] : []), 'dev', dev)
    const { status, stderr } = await network.tapway('addr', verb, suffix.replace('5/', '3/'), 'dev', `router.${dev}`)
    t.is(status, 0, stderr)
    await compare(`after ${verb} ${suffix}`, 'all')
  }
})

systemTest('a route looked up', async (t) => {
  const network = await start()
  for (const address of ['10.1.1.9', '10.1.2.9', '8.8.8.8', '10.12.1.1', '10.13.0.1']) {
    const [theirs] = asRouter(ipJson('twin', '-4', 'route', 'get', address))
    const [ours] = await network.json('route', 'get', address, 'router', 'router')
    covers(t, ours, theirs, ['uid', 'cache'], `route get ${address}`) // the kernel's user and its route cache
    for (const key of ['dst', 'gateway', 'dev', 'prefsrc']) t.deepEqual(ours![key], theirs![key], `${address} ${key}`)
  }
})

systemTest('neighbours', async (t) => {
  const network = await start()
  inNs('twin', 'ip', 'neigh', 'add', '10.1.1.77', 'lladdr', '02:00:00:00:00:77', 'dev', 'eth1')
  await network.exec('twin', 'ping', '-c', '1', '-W', '5', '10.1.1.9')
  await network.tapway('ping', '-c', '1', '10.1.1.9', 'router', 'router')
  const theirs = ipJson('twin', '-4', 'neigh', 'show')
  const ours = await network.json('neigh', 'show', 'router', 'router')
  for (const address of ['10.1.1.77', '10.1.1.9']) {
    const [a, b] = [rowOf(ours, 'dst', address), rowOf(theirs, 'dst', address)]
    covers(t, a, b, [], `neigh ${address}`)
    const { router, ...rest } = a
    t.is(router, 'router')
    t.deepEqual(rest, b)
  }
})

systemTest('addresses', async (t) => {
  const network = await start()
  for (const dev of ['eth0', 'eth1', 'eth2']) {
    const [theirs] = asRouter(ipJson('twin', '-4', 'addr', 'show', 'dev', dev))
    const [ours] = await network.json('addr', 'show', 'dev', dev, 'router', 'router')
    covers(t, ours, theirs, [...DEVICE, ...ADDRESS], `addr ${dev}`)
    t.deepEqual(ours!['flags'], theirs!['flags'])
    const inner = (row: Row) =>
      (row['addr_info'] as Row[]).map(({ family, local, address, prefixlen, scope, secondary, label }) => ({
        family,
        local,
        address,
        prefixlen,
        scope,
        secondary,
        label
      }))
    t.deepEqual(inner(ours!), inner(theirs!))
  }
})

systemTest('links and their counters', async (t) => {
  const network = await start()
  for (const [words, missing] of [
    [[], DEVICE],
    [['-s'], DEVICE],
    [['-s', '-d'], DETAILS]
  ] as const) {
    const theirs = ipJson('twin', ...words, 'link', 'show')
    const ours = await network.json(...words, 'link', 'show')
    for (const dev of ['eth0', 'eth1'])
      covers(t, rowOf(ours, 'ifname', `router.${dev}`), withoutKind(rowOf(theirs, 'ifname', dev)), missing, `link ${dev}`)
    t.is(Object.hasOwn(ours[0]!, 'stats64'), words.length > 0)
    t.is(Object.hasOwn(ours[0]!, 'linkinfo'), words.length > 1)
  }
  // The switch's view of a port is the mirror of the host's of its interface
  await network.exec('twin', 'ping', '-c', '3', '-i', '0.01', '10.1.1.9')
  type Counted = Row & { stats64: { rx: { packets: number; bytes: number }; tx: { packets: number; bytes: number } } }
  await until('both count the same', async () => {
    const host = rowOf(ipJson<Counted[]>('twin', '-s', 'link', 'show'), 'ifname', 'eth1').stats64
    const port = rowOf(await network.json<Counted[]>('-s', 'link', 'show'), 'ifname', 'twin.eth1').stats64
    return (
      port.rx.packets === host.tx.packets &&
      port.rx.bytes === host.tx.bytes &&
      port.tx.packets === host.rx.packets &&
      port.tx.bytes === host.rx.bytes
    )
  })
})

/** A kernel bridge with a station on a port, where stations are learned. */
const kernelBridge = (): string => {
  const netns = addNetns(uniqueName('kernel'))
  for (const words of [
    'link add br0 type bridge',
    'link add v0 type veth peer name v1',
    'link set v0 master br0',
    'link set v0 up',
    'link set v1 up',
    'link set br0 up',
    'neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev v1',
    'route add 192.0.2.1 dev v1'
  ])
    inNs(netns, 'ip', ...words.split(' '))
  inNs(netns, 'bridge', 'fdb', 'add', '02:00:00:00:00:55', 'dev', 'v0', 'master', 'static')
  return netns
}

systemTest('bridges, their ports and the FDB', async (t) => {
  const network = await start()
  const netns = kernelBridge()
  const link = (await network.json('-s', '-d', 'link', 'show', 'one'))[0]!
  const theirs = ipJson(netns, '-s', '-d', 'link', 'show', 'br0')[0]!
  covers(t, link, withoutKind(theirs), DETAILS, 'bridge')
  const data = (row: Row) => (row['linkinfo'] as { info_data: Row }).info_data
  for (const [key, value] of Object.entries(data(theirs))) {
    if (Object.hasOwn(data(link), key)) t.deepEqual(data(link)[key], value, `the default of ${key}`)
  }
  t.like(data(link), { ageing_time: 30000, stp_state: 0, vlan_filtering: 0, group_fwd_mask: '0' })
  const slave = (row: Row) => row['linkinfo'] as { info_slave_kind: string; info_slave_data: Row }
  const port = slave((await network.json('-d', 'link', 'show', 'station.eth0'))[0]!)
  const kernelPort = slave(ipJson(netns, '-d', 'link', 'show', 'v0')[0]!)
  t.is(port.info_slave_kind, kernelPort.info_slave_kind)
  for (const [key, value] of Object.entries(port.info_slave_data)) t.deepEqual(value, kernelPort.info_slave_data[key], key)

  await network.exec('twin', 'ping', '-c', '1', '-W', '5', '10.1.1.9')
  await network.tapway('fdb', 'add', '02:00:00:00:00:55', 'dev', 'station.eth0', 'master', 'static')
  const own = inNs(netns, 'cat', '/sys/class/net/v1/address').trim()
  await network.exec(netns, 'ping', '-c', '1', '-W', '1', '192.0.2.1')
  for (const words of [[], ['-s']]) {
    const kernel = JSON.parse(inNs(netns, 'bridge', '-j', ...words, 'fdb', 'show', 'br', 'br0')) as Row[]
    const ours = await network.json(...words, 'fdb', 'show', 'br', 'one')
    for (const [mac, theirMac] of [
      ['02:00:00:00:00:55', '02:00:00:00:00:55'],
      ['02:42:0a:01:01:09', own]
    ] as const) {
      const [a, b] = [rowOf(ours, 'mac', mac), rowOf(kernel, 'mac', theirMac)]
      covers(t, a, b, [], `fdb ${mac}`)
      t.deepEqual([a['state'], a['flags'], a['master'], a['ifname']], [b['state'], b['flags'], 'one', 'station.eth0'])
    }
  }
})

systemTest('stats: every port, every reason with its help, and the balance', async (t) => {
  const network = await start()
  await network.exec('twin', 'ping', '-c', '1', '-W', '5', '10.1.1.9')
  const stats = await network.json<Record<string, Row[]> & { balance: Row }>('stats')
  t.deepEqual(Object.keys(stats).sort(), ['balance', 'drops', 'ports'])
  const names = (await network.json('link', 'show')).map((row) => row['ifname'])
  t.deepEqual(
    stats['ports']!.map((row) => row['name']),
    names
  )
  for (const { reason, packets, help } of stats['drops']!) {
    t.regex(String(reason), /^[a-z0-9]+(-[a-z0-9]+)*$/)
    t.is(typeof packets, 'number')
    t.true(String(help).length > 10)
  }
  t.is(new Set(stats['drops']!.map((row) => row['reason'])).size, stats['drops']!.length)
  t.is(stats.balance['ok'], true)
})

systemTest('JSON is one line, -p makes it readable, and the same comes out', async (t) => {
  const network = await start()
  for (const words of [['link', 'show'], ['route', 'show'], ['addr'], ['neigh'], ['stats']]) {
    const { stdout } = await network.tapway('-j', ...words)
    t.regex(stdout, /^[^\n]*\n$/)
    const pretty = await network.tapway('-j', '-p', ...words)
    t.true(pretty.stdout.split('\n').length > 2 || stdout === '[]\n', words.join(' '))
  }
})
