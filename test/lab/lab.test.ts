/** The lab with real namespaces and TAPs: what it makes, what it refuses, and that nothing is left of it. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import type { Host, HostInterface, Route } from '../../src/config/types.js'
import { execInHost, hostCommand } from '../../src/lab/exec.js'
import { Lab, type LabOptions } from '../../src/lab/lab.js'
import { lockPath } from '../../src/lab/lock.js'
import { identityAt, namespacePath } from '../../src/lab/namespace.js'
import { newRecord, readRecord, recordPath } from '../../src/lab/record.js'
import { HOST_DEFAULTS, sysctlName } from '../../src/lab/sysctl.js'
import { LabError, SILENT } from '../../src/lab/types.js'
import { parseIp4, parsePrefix } from '../../src/wire/ip4.js'
import { addNetns, inNs, ip, ipJson, netnsNames, netnsTest, onSweep, removeNetns, sysctl, uniqueName } from '../helpers/netns.js'
import { parseMac } from '../../src/wire/mac.js'

const labTest = netnsTest(test)

const MAC = '02:42:0a:01:01:02'

/** What is 0 in every new host. */
const OFF = ['ip_forward', ...['all', 'default', 'lo', 'eth0'].flatMap((name) => [`conf/${name}/forwarding`, `conf/${name}/rp_filter`])]

const iface = (name: string, ...addresses: string[]): HostInterface => ({
  name, bridge: 'br0', mac: parseMac(MAC)!, mtu: 1400,
  addresses: addresses.map((text) => {
    const [address, prefixLength] = parsePrefix(text)!
    return { address, prefixLength }
  }),
})

const host = (name: string, more: Partial<Host> = {}): Host =>
  ({ name, interfaces: [iface('eth0', '10.1.1.2/24')], routes: [], sysctls: [], ...more })

const options = (more: Partial<LabOptions> = {}): LabOptions =>
  ({ instance: uniqueName('lab'), offload: true, log: SILENT, ...more })

/** A lab that is gone after the test, and no more than its names with it. */
const create = async (hosts: Host[], given = options()): Promise<Lab> => {
  const lab = await Lab.create(hosts, given)
  onSweep(() => lab.destroy())
  return lab
}

const at = (text: string) => parseIp4(text)!

const route = (to: string, more: Partial<Route>): Route => {
  const [address, prefixLength] = parsePrefix(to)!
  return { to: { address, prefixLength }, type: 'unicast', metric: 0, onlink: false, nexthops: [], ...more }
}

interface Link { ifname: string, address: string, mtu: number, flags: string[], ifindex: number }

/** Creates the lab in another process, which then kills itself. */
const createAndDie = (hosts: Host[], instance: string, when: 'created' | 'opening'): void => {
  const module = new URL('../../src/lab/lab.js', import.meta.url).href
  const die = "process.kill(process.pid, 'SIGKILL')"
  const taps = when === 'opening' ? `taps: { openTap: () => ${die}, closeAll: () => {} },` : ''
  const code = `const { Lab } = await import('${module}')
    const log = { info() {}, warn() {}, debug() {} }
    const socket = '/run/tapway/${instance}.sock'
    await Lab.create(${JSON.stringify(hosts)}, { instance: '${instance}', offload: true, socket, log, ${taps} })
    ${die}`
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  if (signal !== 'SIGKILL') throw new Error(stderr)
}

labTest('makes hosts as the plan says, and nothing is left of them', async (t) => {
  const client = uniqueName('client')
  const server = uniqueName('server')
  const given = options({ socket: '/run/tapway/x.sock' })
  const lab = await create([
    host(client, {
      routes: [
        route('0.0.0.0/0', { via: at('10.1.1.3') }),
        route('192.0.2.0/24', { type: 'blackhole' }),
        route('10.9.0.0/16', {
          nexthops: [{ via: at('10.1.1.7'), weight: 1, onlink: false }, { via: at('172.16.0.1'), dev: 'eth0', weight: 2, onlink: true }],
        }),
      ],
    }),
    host(server, { interfaces: [iface('eth0', '10.1.2.2/24', '10.1.3.2/24'), iface('eth1')] }),
  ], given)
  const made = lab.interfaces.map((one) => `${one.host}.${one.interface}`)
  t.deepEqual(made, [`${client}.eth0`, `${server}.eth0`, `${server}.eth1`])
  t.deepEqual(readRecord(given.instance)?.namespaces.map((one) => one.host), [client, server])

  const [lo, eth0] = ipJson<Link[]>(client, 'link', 'show')
  t.true(lo!.flags.includes('UP'))
  t.true(eth0!.flags.includes('UP'))
  t.like(eth0, { ifname: 'eth0', address: MAC, mtu: 1400, ifindex: lab.interfaces[0]!.ifindex })
  const routes = ipJson<{ dst: string, gateway?: string, type?: string, nexthops?: unknown[] }[]>(client, 'route', 'show')
  t.like(routes.find(({ dst }) => dst === 'default'), { gateway: '10.1.1.3' })
  t.like(routes.find(({ dst }) => dst === '192.0.2.0/24'), { type: 'blackhole' })
  t.is(routes.find(({ dst }) => dst === '10.9.0.0/16')?.nexthops?.length, 2)
  const [shown] = ipJson<{ addr_info: { local: string }[] }[]>(server, '-4', 'addr', 'show', 'dev', 'eth0')
  t.deepEqual(shown!.addr_info.map(({ local }) => local), ['10.1.2.2', '10.1.3.2'])

  const removed = await lab.destroy()
  t.deepEqual(removed.namespaces, [client, server])
  t.is(await lab.destroy(), removed, 'a second time is the same as once')
  t.false(netnsNames().some((name) => name === client || name === server))
  t.false(existsSync(recordPath(given.instance)))
  t.false(existsSync(lockPath(given.instance)))
})

for (const queues of [1, 2]) {
  labTest(`devices of ${queues} queue${queues === 1 ? '' : 's'} have no queueing discipline, unless the kernel's is asked for`, async (t) => {
    const disciplineOf = async (more: Partial<LabOptions>): Promise<string | undefined> => {
      const name = uniqueName('queue')
      await create([host(name)], options({ queues, ...more }))
      return ipJson<{ ifname: string, qdisc?: string }[]>(name, 'link', 'show').find(({ ifname }) => ifname === 'eth0')?.qdisc
    }
    t.is(await disciplineOf({}), 'noqueue')
    t.regex(await disciplineOf({ qdisc: true }) ?? '', /^(mq|pfifo_fast|fq_codel|fq)$/)
  })
}

labTest('a host is told what ip(8) would tell it', async (t) => {
  const ours = uniqueName('ours')
  const twin = addNetns(uniqueName('twin'))
  const peer = { address: at('10.255.0.2'), prefixLength: 32, peer: at('169.254.0.1') }
  const plain = iface('eth0', '10.1.1.2/24', '10.1.1.9/24', '10.3.0.0/31', '10.4.0.1/32')
  await create([host(ours, {
    interfaces: [{ ...plain, addresses: [...plain.addresses, peer] }, iface('eth1', '10.2.2.2/20')],
    routes: [
      route('0.0.0.0/0', { via: at('10.1.1.3') }),
      route('0.0.0.0/0', { via: at('10.2.2.9'), metric: 100 }),
      route('10.5.0.0/16', { dev: 'eth1' }),
      route('10.6.0.0/16', { via: at('172.16.0.1'), dev: 'eth1', onlink: true }),
      route('192.0.2.0/24', { type: 'blackhole' }),
      route('198.51.100.0/24', { type: 'unreachable', metric: 7 }),
      route('203.0.113.0/25', { type: 'prohibit' }),
      route('10.9.0.0/16', {
        metric: 3,
        nexthops: [{ via: at('10.1.1.7'), weight: 1, onlink: false }, { via: at('172.16.0.1'), dev: 'eth0', weight: 256, onlink: true }],
      }),
    ],
  })])
  for (const name of ['eth0', 'eth1']) {
    ip('-n', twin, 'tuntap', 'add', 'dev', name, 'mode', 'tap')
    ip('-n', twin, 'link', 'set', 'dev', name, 'address', MAC, 'mtu', '1400')
  }
  for (const text of ['10.1.1.2/24 brd +', '10.1.1.9/24 brd +', '10.3.0.0/31', '10.4.0.1/32', '10.255.0.2 peer 169.254.0.1/32']) {
    ip('-n', twin, 'addr', 'add', ...text.split(' '), 'dev', 'eth0')
  }
  ip('-n', twin, 'addr', 'add', '10.2.2.2/20', 'brd', '+', 'dev', 'eth1')
  for (const name of ['lo', 'eth0', 'eth1']) ip('-n', twin, 'link', 'set', 'dev', name, 'up')
  for (const text of [
    'default via 10.1.1.3', 'default via 10.2.2.9 metric 100', '10.5.0.0/16 dev eth1', '10.6.0.0/16 via 172.16.0.1 dev eth1 onlink',
    'blackhole 192.0.2.0/24', 'unreachable 198.51.100.0/24 metric 7', 'prohibit 203.0.113.0/25',
    '10.9.0.0/16 metric 3 nexthop via 10.1.1.7 weight 1 nexthop via 172.16.0.1 dev eth0 onlink weight 256',
  ]) ip('-n', twin, 'route', 'add', ...text.split(' '))
  // The twin's TAPs have nobody behind them, and so no carrier
  const routes = (name: string) => inNs(name, 'ip', '-d', 'route', 'show', 'table', 'all').replaceAll(/ linkdown| dead/g, '').split('\n').filter((line) => !/:/.test(line))
  t.deepEqual(routes(ours), routes(twin))
  interface Shown { ifname: string, address: string, mtu: number, addr_info: unknown[] }
  const addresses = (name: string) => ipJson<Shown[]>(name, '-4', 'addr', 'show').map(({ ifname, address, mtu, addr_info }) => ({ ifname, address, mtu, addr_info }))
  t.deepEqual(addresses(ours), addresses(twin))
})

labTest('a host starts as a host, and its own sysctls come before its links are up', async (t) => {
  const name = uniqueName('client')
  await create([host(name, {
    sysctls: [
      ['net.ipv4.conf.eth0.arp_ignore', '2'], ['net.ipv4.conf.default.arp_announce', '1'],
      ['net.ipv6.conf.default.disable_ipv6', '1'], ['net.ipv4.ip_local_port_range', '2000 3000'],
    ],
  })])
  for (const path of OFF) t.is(sysctl(name, `net/ipv4/${path}`), '0', path)
  t.is(sysctl(name, 'net/ipv4/conf/eth0/arp_ignore'), '2')
  t.is(sysctl(name, 'net/ipv4/conf/eth0/arp_announce'), '1', 'a default counts for interfaces made after it')
  t.is(sysctl(name, 'net/ipv4/ip_local_port_range'), '2000\t3000')
  t.deepEqual(ipJson(name, '-6', 'addr', 'show', 'dev', 'eth0'), [], 'IPv6 was off before the link came up')
})

labTest('whatever the machine has, a host does not forward', async (t) => {
  // A new namespace inherits from the first one of the machine, which a test must not change: so make a host by its steps
  // in a namespace in which everything is on.
  const other = addNetns()
  const on = ['ip_forward', 'conf/all/rp_filter', 'conf/default/rp_filter', 'conf/lo/rp_filter']
  inNs(other, 'sh', '-c', `for f in ${on.join(' ')}; do echo 1 >/proc/sys/net/ipv4/$f; done`)
  const sysctls = HOST_DEFAULTS.map(({ path, value }) => [sysctlName(path), value] as const)
  await create([host(uniqueName('h'), { netns: other, sysctls })])
  for (const path of OFF) t.is(sysctl(other, `net/ipv4/${path}`), '0', path)
})

labTest('a name that is taken is refused before anything is touched', async (t) => {
  const taken = addNetns()
  const before = identityAt(namespacePath(taken))
  const free = uniqueName('free')
  const given = options()
  const error = await t.throwsAsync(create([host(free), host(taken)], given), { instanceOf: LabError })
  t.is(error.exitCode, 2)
  t.regex(error.message, new RegExp(`"${taken}" exists already`))
  t.deepEqual(identityAt(namespacePath(taken)), before)
  t.false(netnsNames().includes(free))
  t.false(existsSync(recordPath(given.instance)))
  t.false(existsSync(lockPath(given.instance)))
})

labTest('a failure half-way takes everything back', async (t) => {
  const first = uniqueName('first')
  const second = uniqueName('second')
  const given = options()
  const error = await t.throwsAsync(create([host(first), host(second, {
    routes: [route('10.9.0.0/16', { via: at('10.1.1.3') }), route('10.8.0.0/16', { via: at('172.16.0.1') })],
  })], given), { instanceOf: LabError })
  t.is(error.exitCode, 1)
  t.true(error.message.includes(`host "${second}": cannot set route 10.8.0.0/16 via 172.16.0.1: `), error.message)
  for (const [wrong, words] of [
    [{ sysctls: [['net.ipv4.no_such_thing', '1']] }, /no sysctl net\.ipv4\.no_such_thing/],
    [{ sysctls: [['net.ipv4.ip_forward', 'abc']] }, /cannot set sysctl net\.ipv4\.ip_forward to "abc"/],
    [{ interfaces: [iface('lo')] }, /cannot make interface lo/],
  ] as [Partial<Host>, RegExp][]) {
    t.regex((await t.throwsAsync(create([host(first), host(second, wrong)], given))).message, words)
  }
  t.false(netnsNames().some((name) => name === first || name === second))
  t.false(existsSync(recordPath(given.instance)))
  await (await create([host(first), host(second)], given)).destroy()
})

labTest('a running instance is not started twice', async (t) => {
  const given = options()
  await create([host(uniqueName('client'))], given)
  const error = await t.throwsAsync(Lab.create([host(uniqueName('other'))], given), { instanceOf: LabError })
  t.is(error.exitCode, 1)
  t.regex(error.message, new RegExp(`running already \\(process ${process.pid}\\)`))
  await t.throwsAsync(Lab.cleanLeftovers(given.instance, SILENT), { message: /running already/ })
})

labTest('after kill -9 the next one removes what was made, and only that', async (t) => {
  const names = [uniqueName('client'), uniqueName('server')]
  const instance = uniqueName('killed')
  const foreign = addNetns()
  names.forEach((name) => onSweep(() => removeNetns(name)))
  createAndDie(names.map((name) => host(name)), instance, 'created')
  t.true(names.every((name) => netnsNames().includes(name)))
  const socket = `/run/tapway/${instance}.sock`
  writeFileSync(socket, '')
  const removed = await Lab.cleanLeftovers(instance, SILENT)
  t.deepEqual(removed?.namespaces, names)
  t.false(names.some((name) => netnsNames().includes(name)))
  t.true(netnsNames().includes(foreign))
  for (const path of [socket, recordPath(instance), lockPath(instance)]) t.false(existsSync(path), path)
  t.is(await Lab.cleanLeftovers(instance, SILENT), undefined)
})

labTest('after kill -9 the same names can be brought up again', async (t) => {
  const name = uniqueName('client')
  const given = options()
  onSweep(() => removeNetns(name))
  createAndDie([host(name)], given.instance, 'created')
  const old = identityAt(namespacePath(name))
  await create([host(name)], given)
  t.notDeepEqual(identityAt(namespacePath(name)), old)
})

labTest('killed before the namespaces had names: nothing is left but the record', async (t) => {
  const name = uniqueName('client')
  const instance = uniqueName('killed')
  createAndDie([host(name)], instance, 'opening')
  t.is(readRecord(instance)?.namespaces[0]?.host, name)
  t.false(netnsNames().includes(name))
  t.deepEqual((await Lab.cleanLeftovers(instance, SILENT))?.namespaces, [])
  t.false(existsSync(recordPath(instance)))
})

labTest('a namespace that took the name of a killed one is left alone', async (t) => {
  const name = uniqueName('client')
  const given = options()
  createAndDie([host(name)], given.instance, 'created')
  ip('netns', 'del', name)
  addNetns(name) // its inode number may well be the one of the first
  const foreign = identityAt(namespacePath(name))
  const warnings: string[] = []
  const log = { ...SILENT, warn: (message: string) => { warnings.push(message) } }
  const error = await t.throwsAsync(create([host(name)], { ...given, log }), { instanceOf: LabError })
  t.is(error.exitCode, 2)
  t.deepEqual(identityAt(namespacePath(name)), foreign)
  t.true(warnings.some((message) => message.includes(`namespace ${name} is another one now`)))
})

labTest('the end leaves a namespace alone that was put in the place of ours', async (t) => {
  const name = uniqueName('client')
  const lab = await create([host(name)])
  ip('netns', 'del', name)
  addNetns(name)
  t.deepEqual((await lab.destroy()).namespaces, [])
  t.true(netnsNames().includes(name))
})

labTest('an adopted namespace lives on, and its sysctls are as before', async (t) => {
  const other = addNetns()
  ip('-n', other, 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1')
  inNs(other, 'sh', '-c', 'cd /proc/sys/net/ipv4; echo 1 >conf/d1/forwarding; echo 300 >igmp_max_memberships')
  const name = uniqueName('legacy')
  const lab = await create([host(name, {
    netns: other,
    sysctls: [['net.ipv4.ip_forward', '1'], ['net.ipv4.igmp_max_memberships', '40'], ['net.ipv4.conf.eth0.rp_filter', '2']],
  })])
  const paths = ['ip_forward', 'conf/d0/forwarding', 'conf/d1/forwarding', 'igmp_max_memberships']
  const all = () => paths.map((path) => sysctl(other, `net/ipv4/${path}`))
  t.deepEqual(all(), ['1', '1', '1', '40'])
  t.is(sysctl(other, 'net/ipv4/conf/eth0/rp_filter'), '2')
  t.is(ipJson<Link[]>(other, 'link', 'show', 'dev', 'eth0')[0]!.ifindex, lab.interfaces[0]!.ifindex)
  t.false(ipJson<Link[]>(other, 'link', 'show', 'dev', 'lo')[0]!.flags.includes('UP'), 'its lo is not ours to change')
  t.false(netnsNames().includes(name))
  await lab.destroy()
  t.deepEqual(all(), ['0', '0', '1', '300'])
  t.throws(() => ip('-n', other, 'link', 'show', 'dev', 'eth0'))
  t.is(ipJson<Link[]>(other, 'link', 'show', 'dev', 'd0').length, 1)
})

labTest('an adopted namespace is restored after kill -9 too', async (t) => {
  const other = addNetns()
  const instance = uniqueName('killed')
  createAndDie([host(uniqueName('legacy'), { netns: other, sysctls: [['net.ipv4.ip_forward', '1']] })], instance, 'created')
  t.is(sysctl(other, 'net/ipv4/ip_forward'), '1')
  const removed = await Lab.cleanLeftovers(instance, SILENT)
  t.true(removed?.sysctls.some((text) => text.endsWith(' net.ipv4.ip_forward')))
  t.is(sysctl(other, 'net/ipv4/ip_forward'), '0')
  t.throws(() => ip('-n', other, 'link', 'show', 'dev', 'eth0'))
})

labTest('adopting: a path will do; what is missing or taken is refused', async (t) => {
  const other = addNetns()
  ip('-n', other, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth9')
  ip('-n', other, 'link', 'property', 'add', 'dev', 'eth0', 'altname', 'uplink')
  const one = uniqueName('legacy')
  const refused = async (plan: Partial<Host>, words: RegExp, ...more: Host[]) => {
    const error = await t.throwsAsync(create([...more, host(one, { netns: other, ...plan })]), { instanceOf: LabError })
    t.is(error.exitCode, 2)
    t.regex(error.message, words)
  }
  await refused({}, /interface "eth0" exists already/)
  await refused({ interfaces: [iface('uplink')] }, /interface "uplink" exists already/)
  await refused({ interfaces: [iface('eth7')] }, /interface "eth7" exists already/,
    host(uniqueName('legacy'), { netns: namespacePath(other), interfaces: [iface('eth7')] }))
  await refused({ netns: uniqueName('nowhere') }, /does not exist/)
  await refused({ netns: '/proc/self/ns/mnt', interfaces: [] }, /is no network namespace|cannot be opened/)
  await refused({ netns: '/dev/null' }, /is no network namespace/)
  await refused({ interfaces: [], sysctls: [['net.ipv4.no_such_thing', '1']] }, /no sysctl net\.ipv4\.no_such_thing/)
  await refused({ interfaces: [], sysctls: [['kernel.hostname', 'x']] }, /is not one of a network namespace/)
  const lab = await create([host(one, { netns: namespacePath(other), interfaces: [iface('eth1', '10.1.1.2/24')] })])
  t.is(ipJson<Link[]>(other, 'link', 'show', 'dev', 'eth1')[0]!.ifindex, lab.interfaces[0]!.ifindex)
})

labTest('an instance without hosts has a record, too', async (t) => {
  const given = options()
  const lab = await create([], given)
  t.like(readRecord(given.instance), { pid: process.pid, devices: [], namespaces: [] })
  await lab.destroy()
  t.false(existsSync(recordPath(given.instance)))
})

labTest('exec runs in the host and passes its exit status on', async (t) => {
  const client = uniqueName('client')
  const other = addNetns()
  const given = options()
  const legacy = uniqueName('legacy')
  await create([host(client), host(legacy, { netns: namespacePath(other) })], given)
  const inside = (name: string, script: string) => execInHost(given.instance, name, ['sh', '-c', script])
  t.is(await inside(client, 'exit 7'), 7)
  t.is(await inside(client, 'kill -TERM $$'), 128 + 15)
  t.is(await inside(client, 'ip link show dev eth0 >/dev/null'), 0)
  t.is(await inside(legacy, 'ip link show dev eth0 >/dev/null'), 0)
  t.is(await execInHost(given.instance, client, ['no-such-command-at-all']), 127)
  t.is(await execInHost(given.instance, client, ['/no/such/file']), 127)
  t.is(await execInHost(given.instance, client, ['/dev/null']), 126)
  const error = await t.throwsAsync(execInHost(given.instance, 'clinet', ['true']), { instanceOf: LabError })
  t.is(error.exitCode, 2)
  t.regex(error.message, new RegExp(`${client}, ${legacy}`))
  await t.throwsAsync(execInHost(uniqueName('none'), client, ['true']), { message: /no instance .* is running/ })
  ip('netns', 'del', client)
  t.throws(() => hostCommand(readRecord(given.instance)!, client, ['true']), { message: /is gone or was replaced/ })
})

labTest('rights that are missing are named in one line', (t) => {
  const module = new URL('../../src/lab/preflight.js', import.meta.url).href
  const code = `const { checkRights, checkTun } = await import('${module}')
    for (const check of [checkRights, () => checkTun('/dev/net/none')]) {
      try { check() } catch (error) { console.log(error.exitCode, error.message) }
    }`
  const without = ['--bounding-set', '-sys_admin', '--inh-caps', '-all', '--', process.execPath, '--input-type=module', '-e', code]
  const [rights, tun] = spawnSync('setpriv', without, { encoding: 'utf8' }).stdout.split('\n')
  t.regex(rights!, /^1 needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN \(missing: CAP_SYS_ADMIN\): /)
  t.regex(tun!, /^1 cannot open \/dev\/net\/none \(ENOENT\): load it/)
})

labTest('a file that a stopped `ip netns` left in the place of ours is removed', async (t) => {
  const name = uniqueName('client')
  const instance = uniqueName('killed')
  createAndDie([host(name)], instance, 'opening')
  writeFileSync(namespacePath(name), '', { mode: 0 })
  t.deepEqual((await Lab.cleanLeftovers(instance, SILENT))?.namespaces, [name])
  t.false(existsSync(namespacePath(name)))
  t.is(newRecord(instance, null, []).boot, readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim())
})
