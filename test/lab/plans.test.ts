/** The parts of the lab that need no root: what namespaces are told, names of sysctls, mountinfo. */
import test from 'ava'
import type { Host, Route } from '../../src/config/types.js'
import { hostCommands, interfaceCommands, routeCommand } from '../../src/lab/configure.js'
import { isHidden } from '../../src/lab/preflight.js'
import { spreadOf, sysctlInterface, sysctlName, sysctlPath } from '../../src/lab/sysctl.js'
import { LabError } from '../../src/lab/types.js'
import { parseIp4, parsePrefix } from '../../src/wire/ip4.js'
import { parseMac } from '../../src/wire/mac.js'

const address = (text: string) => parseIp4(text)!
const subjects = (commands: { subject: string }[]) => commands.map(({ subject }) => subject)
const INDEXES = new Map([['lo', 1], ['eth0', 2], ['eth1', 3]])

test('an interface: settings, addresses in order, then up', (t) => {
  t.deepEqual(subjects(interfaceCommands({
    name: 'eth0', bridge: 'br0', mac: parseMac('02:42:0a:01:01:02')!, mtu: 1400,
    addresses: [
      { address: address('10.1.1.2'), prefixLength: 24 },
      { address: address('10.255.0.2'), prefixLength: 32, peer: address('169.254.0.1') },
      { address: address('10.2.0.0'), prefixLength: 31 },
    ],
  }, 2, 500)), [
    'address 02:42:0a:01:01:02 mtu 1400 txqueuelen 500 of eth0',
    'address 10.1.1.2/24 of eth0',
    'address 10.255.0.2 peer 169.254.0.1/32 of eth0',
    'address 10.2.0.0/31 of eth0',
    'eth0 up',
  ])
})

test('routes, as one types them', (t) => {
  const subject = (to: string, route: Partial<Route>) => {
    const [network, prefixLength] = parsePrefix(to)!
    const plain = { to: { address: network, prefixLength }, type: 'unicast', metric: 0, onlink: false, nexthops: [] } as const
    return routeCommand({ ...plain, ...route }, INDEXES).subject
  }
  t.is(subject('0.0.0.0/0', { via: address('10.1.1.254') }), 'route default via 10.1.1.254')
  t.is(subject('10.9.0.0/16', { dev: 'eth0', metric: 5 }), 'route 10.9.0.0/16 dev eth0 metric 5')
  t.is(subject('10.9.0.0/16', { via: address('169.254.0.1'), dev: 'eth0', onlink: true }), 'route 10.9.0.0/16 via 169.254.0.1 dev eth0 onlink')
  t.is(subject('192.0.2.0/24', { type: 'blackhole' }), 'route blackhole 192.0.2.0/24')
  t.is(subject('10.9.0.0/16', {
    metric: 7,
    nexthops: [
      { via: address('10.1.1.7'), weight: 1, onlink: false }, { via: address('10.1.2.7'), dev: 'eth1', weight: 3, onlink: true },
    ],
  }), 'route 10.9.0.0/16 metric 7 nexthop via 10.1.1.7 weight 1 nexthop via 10.1.2.7 dev eth1 onlink weight 3')
  t.throws(() => subject('10.9.0.0/16', { dev: 'eth2' }), { message: /no interface "eth2"/ })
})

test('lo is ours to bring up only in a namespace of ours, and routes come last', (t) => {
  const plan: Host = {
    name: 'client', interfaces: [{ name: 'eth0', bridge: 'br0', addresses: [], mac: [2, 3], mtu: 1500 }], sysctls: [],
    routes: [{ to: { address: 0, prefixLength: 0 }, type: 'unicast', dev: 'eth0', metric: 0, onlink: false, nexthops: [] }],
  }
  const made = subjects(hostCommands(plan, INDEXES))
  t.is(made[0], 'lo up')
  t.is(made.at(-1), 'route default dev eth0')
  t.false(subjects(hostCommands({ ...plan, netns: 'other' }, INDEXES)).includes('lo up'))
})

test('names of sysctls, as sysctl(8) reads them', (t) => {
  t.is(sysctlPath('h', 'net.ipv4.ip_forward'), 'net/ipv4/ip_forward')
  t.is(sysctlPath('h', 'net.ipv4.conf.eth0/10.rp_filter'), 'net/ipv4/conf/eth0.10/rp_filter')
  t.is(sysctlPath('h', 'net/ipv4/conf/eth0.10/rp_filter'), 'net/ipv4/conf/eth0.10/rp_filter')
  t.is(sysctlName('net/ipv4/conf/eth0.10/rp_filter'), 'net.ipv4.conf.eth0/10.rp_filter')
  t.is(sysctlInterface('net/ipv4/conf/eth0.10/rp_filter'), 'eth0.10')
  t.is(sysctlInterface('net/ipv4/ip_forward'), undefined)
  for (const name of ['kernel.hostname', 'net', 'net.ipv4', 'net/ipv4/../../kernel/hostname', 'net..x', 'net.ipv4.x y']) {
    t.is(t.throws(() => sysctlPath('h', name), { instanceOf: LabError }).exitCode, 2, name)
  }
})

test('sysctls whose change spreads to every interface', (t) => {
  t.is(spreadOf('net/ipv4/ip_forward'), 'net/ipv4/conf/*/forwarding')
  t.is(spreadOf('net/ipv6/conf/all/forwarding'), 'net/ipv6/conf/*/forwarding')
  t.is(spreadOf('net/ipv4/conf/all/rp_filter'), undefined)
  t.is(spreadOf('net/ipv4/conf/eth0/forwarding'), undefined)
})

test('a mount namespace in which new namespaces stay hidden', (t) => {
  const root = '27 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n'
  const sys = (source: string) => `23 27 0:22 / /sys rw - sysfs ${source} rw\n`
  const run = (tags: string) => `30 27 0:5 / /run rw${tags} - tmpfs tmpfs rw\n`
  const name = '64 63 0:4 net:[4026532178] /run/netns/blue rw master:2 - nsfs nsfs rw\n'
  t.false(isHidden(root, root, 'mnt:[1]', 'mnt:[1]'), 'the machine\'s own')
  t.true(isHidden(root + run(' master:5'), root + run(' shared:5'), 'mnt:[2]', 'mnt:[1]'), 'mounts come in but do not go out')
  t.true(isHidden(root + run(''), root + run(''), 'mnt:[2]', 'mnt:[1]'), 'private')
  t.true(isHidden(root + run(' shared:9 master:5'), root + run(' shared:5'), 'mnt:[2]', 'mnt:[1]'), 'shared, but with others')
  t.false(isHidden(root + run(' shared:5'), root + run(' shared:5'), 'mnt:[2]', 'mnt:[1]'), 'shared with process 1')
  // Where process 1 may not be looked at, `ip netns exec` is known by the sysfs it mounts.
  t.true(isHidden(root + sys('sysfs') + name + sys('blue'), undefined, 'mnt:[2]', undefined))
  t.false(isHidden(root + sys('sysfs') + name, undefined, 'mnt:[2]', undefined))
})
