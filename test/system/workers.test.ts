/** Two workers: everything goes through as with one, flows keep their order, what is counted adds up, and one that dies is replaced. */
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { FdbRow, LinkRow, StatsResult } from '../../src/network/operations.js'
import { addNetns, inNs, ip, netnsNames, netnsTest, uniqueName } from '../helpers/netns.js'
import { BIN, type Instance, Instance as Running, launchTapway, start, startTapway, temporaryFile, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const TRAFFIC = fileURLToPath(new URL('../helpers/traffic-program.js', import.meta.url))
const NUMBERED = fileURLToPath(new URL('./numbered-program.js', import.meta.url))
const TWO = ['--workers', '2']

const NETWORK = `version: 1
bridges: { one: {}, two: {} }
routers:
  router:
    interfaces:
      eth1: { bridge: one, address: 10.1.1.3/24 }
      eth0: { bridge: two, address: 10.1.2.3/24 }
hosts:
  wa:
    interfaces: { eth0: { bridge: one, address: 10.1.1.2/24 } }
    routes: [ { to: default, via: 10.1.1.3 } ]
  wb:
    interfaces: { eth0: { bridge: one, address: 10.1.1.9/24 } }
  wc:
    interfaces: { eth0: { bridge: two, address: 10.1.2.2/24 } }
    routes: [ { to: default, via: 10.1.2.3 } ]
`

const ping = async (t: ExecutionContext, network: Instance, host: string, address: string, ...more: string[]): Promise<void> => {
  const { status, stdout } = await network.exec(host, 'ping', '-c', '4', '-i', '0.05', '-W', '5', ...more, address)
  t.is(status, 0, stdout)
  t.notRegex(stdout, /DUP/)
}

const transfer = async (t: ExecutionContext, network: Instance, from: string, to: string, address: string, port: number): Promise<void> => {
  const receiver = network.startIn(to, process.execPath, TRAFFIC, 'receive', String(port))
  await receiver.prints(/listening/)
  const { status, stdout, stderr } = await network.exec(from, process.execPath, TRAFFIC, 'send', address, String(port), String(16 << 20))
  t.is(status, 0, stderr)
  await receiver.prints(new RegExp(`^${stdout.trim()}$`, 'm'))
  await receiver.stop()
}

/** Numbered datagrams of several flows, with answers; the receiver tells how many came, and how many behind a later one. */
const numbered = async (t: ExecutionContext, network: Instance, from: string, to: string, address: string): Promise<void> => {
  const receiver = network.startIn(to, process.execPath, NUMBERED, 'receive', '9100')
  await receiver.prints(/listening/)
  const { status, stderr } = await network.exec(from, process.execPath, NUMBERED, 'send', address, '9100', '8', '3000')
  t.is(status, 0, stderr)
  const [, count, late] = await receiver.prints(/received (\d+) late (\d+)/)
  t.true(Number(count) > 8 * 3000 * 0.5, `${count} came`)
  t.is(late, '0')
  await receiver.stop()
}

const quiet = async (network: Instance): Promise<StatsResult> => {
  await until('nothing is on its way', async () => (await network.json<StatsResult>('stats')).balance.held === 0)
  return network.json<StatsResult>('stats')
}

systemTest('bridge and router with two workers: pings of all sizes, TCP bit by bit, UDP in order', async (t) => {
  const network = await startTapway(NETWORK, { args: TWO })
  for (const address of ['10.1.1.9', '10.1.1.3', '10.1.2.2']) for (const size of ['56', '4000', '60000']) await ping(t, network, 'wa', address, '-s', size)
  await Promise.all([7701, 7702, 7703, 7704].map((port) => transfer(t, network, 'wa', port % 2 === 0 ? 'wb' : 'wc', port % 2 === 0 ? '10.1.1.9' : '10.1.2.2', port)))
  await numbered(t, network, 'wa', 'wb', '10.1.1.9')
  await numbered(t, network, 'wa', 'wc', '10.1.2.2')
  const { status, stdout } = await network.tapway('ping', '-c', '3', '-i', '0.1', '10.1.2.2')
  t.is(status, 0, stdout)
  t.regex(stdout, /3 packets transmitted, 3 received/)
  const { balance } = await quiet(network)
  t.true(balance.ok)
})

systemTest('what is counted is the sum: a host\'s device has sent what its port received', async (t) => {
  const network = await startTapway(NETWORK, { args: TWO })
  // A host that asks for its neighbour while it sends may itself let later datagrams overtake those that wait for the answer
  await ping(t, network, 'wa', '10.1.1.9')
  await numbered(t, network, 'wa', 'wb', '10.1.1.9')
  await quiet(network)
  const count = (host: string, what: string): number => Number(inNs(host, 'cat', `/sys/class/net/eth0/statistics/${what}`))
  const equal = async (): Promise<boolean> => {
    const { ports } = await network.json<StatsResult>('stats')
    const links = await network.json<LinkRow[]>('-s', 'link')
    return ['wa', 'wb'].every((host) => {
      const port = ports.find(({ name }) => name === `${host}.eth0`)!
      const link = links.find(({ ifname }) => ifname === `${host}.eth0`)!
      return port.rx_packets === count(host, 'tx_packets') && link.stats64.rx.packets === port.rx_packets && link.stats64.tx.packets === port.tx_packets
    })
  }
  await until('both say the same', equal)
  t.true((await network.json<StatsResult>('stats')).balance.ok)
  const fdb = await network.json<FdbRow[]>('fdb')
  for (const host of ['wa', 'wb']) t.true(fdb.some(({ ifname }) => ifname === `${host}.eth0`))
})

systemTest('commands count for both workers', async (t) => {
  const network = await startTapway(NETWORK, { args: TWO })
  const flows = async (): Promise<number> => {
    // Each address of the far network is a flow of its own, so that both workers get some
    const all = await Promise.all(Array.from({ length: 16 }, async (_, i) =>
      (await network.exec('wa', 'ping', '-c', '1', '-W', '1', `10.66.0.${i + 1}`)).status === 0))
    return all.filter(Boolean).length
  }
  inNs('wc', 'ip', 'addr', 'add', '10.66.0.1/24', 'dev', 'lo')
  t.is(await flows(), 0)
  t.is((await network.tapway('route', 'add', '10.66.0.0/24', 'via', '10.1.2.2', 'router', 'router')).status, 0)
  t.is(await flows(), 16)
  t.is((await network.tapway('link', 'set', 'wc.eth0', 'down')).status, 0)
  t.is(await flows(), 0)
  t.is((await network.tapway('link', 'set', 'wc.eth0', 'up')).status, 0)
  await until('all go again', async () => await flows() === 16)
  t.is((await network.tapway('route', 'del', '10.66.0.0/24', 'router', 'router')).status, 0)
  t.is(await flows(), 0)
  const { status, stderr } = await network.tapway('route', 'add', '10.66.0.0/24', 'via', '10.77.2.2', 'router', 'router')
  t.is(status, 1)
  t.regex(stderr, /Nexthop has invalid gateway/)
})

systemTest('a hundred requests one behind the other and at once: every one is answered', async (t) => {
  const network = await startTapway(NETWORK, { args: TWO })
  const flood = network.startIn('wa', 'ping', '-f', '-q', '10.1.2.2')
  for (let i = 0; i < 5; i++) {
    const all = await Promise.all(Array.from({ length: 8 }, () => network.json<StatsResult>('stats')))
    t.true(all.every(({ balance }) => balance.ok))
  }
  await flood.stop('SIGINT')
})

systemTest('kill -9 of an instance with two workers: up again works, and nothing stays', async (t) => {
  const before = netnsNames()
  const first = await startTapway(NETWORK, { args: TWO })
  await first.kill()
  const second = await startTapway(NETWORK, { args: TWO, name: first.name })
  await ping(t, second, 'wa', '10.1.2.2')
  t.is((await second.tapway('down')).status, 0)
  t.deepEqual(netnsNames(), before)
})

systemTest('what several workers cannot do is refused in one line, before anything is touched', async (t) => {
  const before = netnsNames()
  const network = launchTapway(`${NETWORK}apps: { web: { id: 1, hosts: [ wa ] } }\n`, { args: TWO })
  const { status, stdout, stderr } = await network.program.ended
  t.deepEqual([status, stdout], [2, ''])
  t.is(stderr, 'tapway: not supported yet: apps with --workers above 1\n')
  t.deepEqual(netnsNames(), before)
  for (const count of ['0', '65', 'two']) t.is((await launchTapway(NETWORK, { args: ['--workers', count] }).program.ended).status, 2)
})

/** Two machines with a cable between them; on each an instance with two workers and a host behind a tunnel. */
const overlay = async (family: 4 | 6): Promise<[Instance, Instance]> => {
  const machines = [addNetns(), addNetns()] as const
  ip('-n', machines[0], 'link', 'add', 'u', 'type', 'veth', 'peer', 'name', 'u', 'netns', machines[1])
  const addresses = family === 4 ? ['192.168.77.1', '192.168.77.2'] : ['fd77::1', 'fd77::2']
  for (const [i, machine] of machines.entries()) {
    ip('-n', machine, 'addr', 'add', `${addresses[i]}/${family === 4 ? 24 : 64}`, 'dev', 'u', ...(family === 4 ? [] : ['nodad']))
    ip('-n', machine, 'link', 'set', 'lo', 'up')
    ip('-n', machine, 'link', 'set', 'u', 'up')
  }
  const instances = await Promise.all(machines.map(async (machine, i) => {
    const name = uniqueName('w')
    const file = temporaryFile(`version: 1
bridges: { br0: {} }
vxlans: { vxlan1: { bridge: br0, id: 42, local: "${addresses[i]}", remote: ["${addresses[1 - i]}"] } }
hosts: { wo${i}: { interfaces: { eth0: { bridge: br0, address: 10.0.10.${i + 1}/24 } } } }
`)
    const program = start('nsenter', [`--net=/run/netns/${machine}`, '--', process.execPath, BIN, '--name', name, 'up', file, ...TWO])
    await program.prints(/^ready/m)
    return new Running(name, program)
  }))
  return [instances[0]!, instances[1]!]
}

for (const family of [4, 6] as const) {
  systemTest(`a tunnel between two instances with two workers each, over IPv${family}`, async (t) => {
    const [one, other] = await overlay(family)
    await ping(t, one, 'wo0', '10.0.10.2')
    await ping(t, one, 'wo0', '10.0.10.2', '-s', '20000')
    await Promise.all([7701, 7702, 7703].map((port) => transfer(t, one, 'wo0', 'wo1', '10.0.10.2', port)))
    await transfer(t, other, 'wo1', 'wo0', '10.0.10.1', 7701)
    await numbered(t, one, 'wo0', 'wo1', '10.0.10.2')
    for (const instance of [one, other]) t.true((await quiet(instance)).balance.ok)
    // Both have sockets that share the port, and nobody else gets it
    const busy = await one.json<FdbRow[]>('fdb', 'show', 'dev', 'vxlan1')
    t.true(busy.some((row) => row.dst === (family === 4 ? '192.168.77.2' : 'fd77::2')))
  })
}
