/**
 * Tunnels between two machines: what the underlay may be, and what it may do. Each machine is a namespace with a process of its own
 * in it, as a real one would be; they share a cable.
 */
import test, { type ExecutionContext } from 'ava'
import type { FdbRow, StatsResult } from '../../src/network/operations.js'
import { inNs, ip, netnsTest, uniqueName } from '../helpers/netns.js'
import { exec, type Finished, type Instance, launchTapway, startIn, startTapway, until } from '../helpers/tapway.js'
import { transfer } from '../helpers/traffic.js'
import { BOTH, cable, narrowPath, type Pair, UNDERLAYS, UNDERLAYS_6 } from './machines.js'

const systemTest = netnsTest(test)

interface End {
  readonly file: string
  readonly host: string
}

/** A machine's file: a host 10.0.10.1 or 10.0.10.2 behind a tunnel with these keys. */
const end = (i: 0 | 1, keys: string, more = ''): End => {
  const host = uniqueName('c')
  return {
    host,
    file: `version: 1
bridges: { br0: { address: 10.0.10.10${i + 1}/24 } }
vxlans: { vxlan1: { bridge: br0, id: 42, ${keys} } }
hosts: { ${host}: { interfaces: { eth0: { bridge: br0, address: 10.0.10.${i + 1}/24 } } ${more} } }
`
  }
}

const ADDRESSES = { 4: UNDERLAYS, 6: UNDERLAYS_6 } as const

const unicast = (i: 0 | 1, family: 4 | 6 = 4): string => `local: ${ADDRESSES[family][i]}, remote: [${ADDRESSES[family][1 - i]}]`.replace(/(fd77::\d)/g, '"$1"')

const pings = async (host: string, address: string, ...more: string[]): Promise<boolean> =>
  (await exec(host, 'ping', '-c', '1', '-W', '2', ...more, address)).status === 0

/** Two machines that are up, with tunnels of these keys. */
const joined = async (keys: (i: 0 | 1) => string, machines = cable(), ...args: string[]) => {
  const sites = [end(0, keys(0)), end(1, keys(1))] as const
  const up = await Promise.all(BOTH.map((i) => startTapway(sites[i].file, { netns: machines[i], args })))
  return { machines, sites, up: up as unknown as Pair<Instance>, hosts: [sites[0].host, sites[1].host] as const }
}

/** Everything that a network of this file has to carry: ping, large datagrams, TCP both ways; and that nothing got lost inside. */
const carries = async (t: ExecutionContext, { hosts, up }: { hosts: Pair<string>; up: Pair<Instance> }): Promise<void> => {
  t.true(await pings(hosts[0], '10.0.10.2'))
  t.true(await pings(hosts[1], '10.0.10.1', '-s', '4000'))
  await transfer(t, hosts[0], hosts[1], '10.0.10.2')
  await transfer(t, hosts[1], hosts[0], '10.0.10.1')
  for (const instance of up) {
    const { balance } = await instance.json<StatsResult>('stats')
    t.true(balance.ok, JSON.stringify(balance))
  }
}

systemTest('over IPv4: the ready line counts it, everything gets through, and the MTU follows the underlay', async (t) => {
  const network = await joined((i) => unicast(i))
  t.regex(network.up[0].program.stdout, /^ready \S+: 1 bridge, 0 routers, 1 vxlan, 1 host, in \d+ ms\n/)
  await carries(t, network)
  const [link] = await network.up[0].json<{ mtu: number }[]>('link', 'show', 'vxlan1')
  t.is(link!.mtu, 1450)
  for (const instance of network.up) t.is((await instance.stop()).status, 0)
})

systemTest('over IPv6, on a cable of its own MTU', async (t) => {
  const network = await joined((i) => unicast(i, 6), cable(1400))
  await carries(t, network)
  for (const dev of ['vxlan1', 'br0']) {
    const [link] = await network.up[0].json<{ mtu: number }[]>('link', 'show', dev)
    t.is(link!.mtu, 1330)
  }
})

systemTest('with each of the shortcuts switched off, and all of them', async (t) => {
  for (const args of [['--no-udp-segment'], ['--no-udp-gro'], ['--no-coalesce'], ['--no-udp-segment', '--no-udp-gro', '--no-coalesce', '--no-offload']]) {
    const network = await joined((i) => unicast(i), cable(), ...args)
    await carries(t, network)
    for (const instance of network.up) t.is((await instance.stop()).status, 0, args.join(' '))
  }
})

for (const [family, group] of [[4, '239.1.1.42'], [6, 'ff05::42']] as const) {
  systemTest(`a multicast group over IPv${family}, with local and without`, async (t) => {
    for (const local of [(i: 0 | 1) => `local: "${ADDRESSES[family][i]}",`, () => '']) {
      const network = await joined((i) => `${local(i)} group: "${group}", dev: u`)
      await carries(t, network)
      for (const instance of network.up) t.is((await instance.stop()).status, 0)
    }
  })
}

systemTest('the underlay in a namespace of its own, the process elsewhere', async (t) => {
  const machines = cable()
  const sites = BOTH.map((i) => end(i, `${unicast(i)}, netns: ${machines[i]}`))
  const up = await Promise.all(sites.map(({ file }) => startTapway(file)))
  await carries(t, { hosts: [sites[0]!.host, sites[1]!.host], up: [up[0]!, up[1]!] })
})

systemTest('a UDP port that is taken: one line that names the port and who has it, exit 1, nothing left', async (t) => {
  const [machine] = cable()
  const first = await startTapway(end(0, unicast(0)).file, { netns: machine })
  const refused = async (words: RegExp, site = end(0, unicast(0))): Promise<void> => {
    const { status, stdout, stderr }: Finished = await launchTapway(site.file, { netns: machine }).program.ended
    t.deepEqual([status, stdout], [1, ''], stderr)
    t.regex(stderr, words)
    t.notRegex(ip('netns', 'list'), new RegExp(site.host))
  }
  await refused(new RegExp(`^tapway: UDP port 4789 of 192\\.168\\.77\\.1 is taken by instance "${first.name}" of tapway \\(process ${first.pid}\\): [^\\n]*\\n$`))
  await first.stop()
  ip('-n', machine, 'link', 'add', 'vx0', 'type', 'vxlan', 'id', '9', 'dstport', '4789')
  ip('-n', machine, 'link', 'set', 'vx0', 'up')
  await refused(/^tapway: UDP port 4789 of 192\.168\.77\.1 is taken by the kernel's device vx0 [^\n]*\n$/)
  ip('-n', machine, 'link', 'del', 'vx0')
  const netcat = startIn(machine, 'nc', '-lu', '192.168.77.1', '5000')
  await until('it listens', () => inNs(machine, 'ss', '-Hlun').includes('192.168.77.1:5000'))
  await refused(/^tapway: vxlan "vxlan1": no UDP port of 192\.168\.77\.1 from 5000 to 5000 is free: [^\n]*\n$/, end(0, `${unicast(0)}, srcport: [5000, 5000]`))
  await netcat.stop()
  t.is((await (await startTapway(end(0, unicast(0)).file, { netns: machine })).stop()).status, 0)
})

systemTest('an address that comes later', async (t) => {
  const machines = cable()
  ip('-n', machines[0], 'addr', 'del', '192.168.77.1/24', 'dev', 'u')
  const { up, hosts } = await joined((i) => unicast(i), machines)
  await up[0].program.prints(/vxlan \\"vxlan1\\": no interface has its address 192\.168\.77\.1 yet/, 'stderr')
  t.false(await pings(hosts[0], '10.0.10.2', '-W', '1'))
  ip('-n', machines[0], 'addr', 'add', '192.168.77.1/24', 'dev', 'u')
  await until('it works', () => pings(hosts[0], '10.0.10.2'))
})

systemTest('an underlay that goes down and comes up again', async (t) => {
  const { machines, up, hosts } = await joined((i) => unicast(i))
  t.true(await pings(hosts[0], '10.0.10.2'))
  ip('-n', machines[0], 'link', 'set', 'u', 'down')
  t.false(await pings(hosts[0], '10.0.10.2', '-W', '1'))
  t.false(await pings(hosts[1], '10.0.10.1', '-W', '1'))
  ip('-n', machines[0], 'link', 'set', 'u', 'up')
  await until('it works again', () => pings(hosts[0], '10.0.10.2'))
  for (const instance of up) t.true((await instance.json<StatsResult>('stats')).balance.ok)
})

systemTest('a peer that is gone is told and counted; when it comes back, all is well', async (t) => {
  const { machines, sites, up, hosts } = await joined((i) => unicast(i))
  t.true(await pings(hosts[0], '10.0.10.2'))
  t.is((await up[1].stop()).status, 0)
  await until('it is told', async () => {
    await pings(hosts[0], '10.0.10.2', '-W', '1')
    return /vxlan1: peer 192\.168\.77\.2 port 4789 was not reached: ECONNREFUSED/.test(up[0].program.stderr)
  })
  const { balance } = await up[0].json<StatsResult>('stats')
  t.true(balance.ok)
  const back = await startTapway(sites[1].file, { netns: machines[1] })
  await until('it works again', () => pings(hosts[0], '10.0.10.2'))
  t.is((await back.stop()).status, 0)
})

systemTest('a station that moves from a peer to a local port and back', async (t) => {
  const { up, hosts } = await joined((i) => unicast(i))
  const lladdr = '02:00:00:00:00:99'
  const speak = async (host: string): Promise<boolean> => {
    ip('-n', host, 'link', 'set', 'eth0', 'down')
    ip('-n', host, 'link', 'set', 'eth0', 'address', lladdr)
    ip('-n', host, 'link', 'set', 'eth0', 'up')
    return pings(host, host === hosts[0] ? '10.0.10.101' : '10.0.10.102')
  }
  const where = async (): Promise<string | undefined> =>
    (await up[0].json<FdbRow[]>('fdb', 'show')).find(({ mac, master }) => mac === lladdr && master === 'br0')?.ifname
  t.true(await speak(hosts[0]))
  t.is(await where(), `${hosts[0]}.eth0`)
  ip('-n', hosts[0], 'link', 'set', 'eth0', 'address', '02:00:00:00:00:98')
  t.true(await speak(hosts[1]))
  await until('it is behind the tunnel', async () => {
    await pings(hosts[1], '10.0.10.101')
    return await where() === 'vxlan1'
  })
  ip('-n', hosts[1], 'link', 'set', 'eth0', 'address', '02:00:00:00:00:97')
  t.true(await speak(hosts[0]))
  t.is(await where(), `${hosts[0]}.eth0`)
})

systemTest('DF set: a narrow path is noticed and told, and the sender is answered', async (t) => {
  const { machines, addresses, narrow } = narrowPath()
  const keys = (i: 0 | 1): string => `local: ${addresses[i]}, remote: [${addresses[1 - i]}], df: set`
  const { up, hosts } = await joined(keys, machines)
  t.true(await pings(hosts[0], '10.0.10.2', '-s', '1400'))
  narrow(1300)
  await until('it is told', async () => {
    await pings(hosts[0], '10.0.10.2', '-s', '1400', '-M', 'do', '-W', '1')
    return /vxlan1: the path to 10\.77\.2\.1 port 4789 takes packets of 1300 bytes/.test(up[0].program.stderr)
  })
  const { stdout } = await up[0].exec(hosts[0], 'ping', '-c', '1', '-W', '1', '-M', 'do', '-s', '1400', '10.0.10.2')
  t.regex(stdout, /mtu ?= ?1250/)
  for (const i of BOTH) await transfer(t, hosts[i], hosts[1 - i]!, `10.0.10.${2 - i}`)
})
