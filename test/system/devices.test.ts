/** Hosts belong to their users: whatever happens to an interface in there, the rest of the network goes on. */
import test from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { addNetns, ip, netnsNames, netnsTest } from '../helpers/netns.js'
import { type Instance, startTapway, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const NETWORK = `version: 1
bridges: { br0: { address: 10.0.0.1/24 } }
hosts:
  one: { interfaces: { eth0: { bridge: br0, address: 10.0.0.11/24 } } }
  two: { interfaces: { eth0: { bridge: br0, address: 10.0.0.12/24 } } }
  three: { interfaces: { eth0: { bridge: br0, address: 10.0.0.13/24 } } }
`

const reaches = async (network: Instance, from: string, address: string, seconds = 5): Promise<boolean> =>
  (await network.exec(from, 'ping', '-c', '1', '-W', String(seconds), address)).status === 0

const portDown = async (network: Instance): Promise<number> => {
  const { drops, balance } = await network.json<StatsResult>('stats')
  if (!balance.ok) throw new Error(`the balance is broken: ${JSON.stringify(balance)}`)
  return drops.find(({ reason }) => reason === 'port-down')!.packets
}

systemTest('an interface set down in its host, and up again', async (t) => {
  const network = await startTapway(NETWORK)
  t.true(await reaches(network, 'one', '10.0.0.12'))
  ip('-n', 'two', 'link', 'set', 'eth0', 'down')
  t.false(await reaches(network, 'one', '10.0.0.12', 1))
  t.true((await portDown(network)) > 0, 'what was for it is counted')
  t.true(await reaches(network, 'one', '10.0.0.13'))
  ip('-n', 'two', 'link', 'set', 'eth0', 'up')
  t.true(await reaches(network, 'one', '10.0.0.12'))
})

systemTest('an interface that is renamed and moved to another namespace goes on there', async (t) => {
  const network = await startTapway(NETWORK)
  const elsewhere = addNetns()
  ip('-n', 'two', 'link', 'set', 'eth0', 'down')
  ip('-n', 'two', 'link', 'set', 'eth0', 'name', 'moved', 'netns', elsewhere)
  ip('-n', elsewhere, 'addr', 'add', '10.0.0.22/24', 'dev', 'moved')
  ip('-n', elsewhere, 'link', 'set', 'moved', 'up')
  t.true(await reaches(network, 'one', '10.0.0.22'))
  t.is((await network.tapway('down')).status, 0)
  t.notRegex(ip('-n', elsewhere, '-br', 'link'), /moved/, 'it goes with its instance')
})

systemTest('an interface that is deleted: its port has no carrier, the log says so, the others go on', async (t) => {
  const network = await startTapway(NETWORK)
  ip('-n', 'two', 'link', 'del', 'eth0')
  await network.program.prints(/"port":"two\.eth0".*the device behind this port is gone/, 'stderr')
  await until('it has no carrier', async () => {
    const [row] = await network.json<{ flags: string[]; operstate: string }[]>('link', 'show', 'two.eth0')
    return row!.flags.includes('NO-CARRIER') && row!.operstate === 'DOWN'
  })
  t.true(await reaches(network, 'one', '10.0.0.13'))
  t.false(await reaches(network, 'one', '10.0.0.12', 1))
  await portDown(network)
  t.is((await network.tapway('down')).status, 0)
  t.is((await network.program.ended).status, 0)
})

systemTest('a namespace whose name is deleted: the others go on, and down finds nothing wrong', async (t) => {
  const network = await startTapway(NETWORK)
  ip('netns', 'del', 'two')
  t.true(await reaches(network, 'one', '10.0.0.13'))
  const exec = await network.tapway('exec', 'two', '--', 'true')
  t.is(exec.status, 1)
  t.regex(exec.stderr, /^tapway: the namespace of host "two" is gone[^\n]*\n$/)
  const down = await network.tapway('down')
  t.deepEqual([down.status, down.stderr], [0, ''])
  t.false(netnsNames().some((name) => ['one', 'two', 'three'].includes(name)))
})

systemTest('an MTU that a host changes by itself, and a MAC address', async (t) => {
  const network = await startTapway(NETWORK)
  ip('-n', 'two', 'link', 'set', 'eth0', 'mtu', '576')
  t.true(await reaches(network, 'two', '10.0.0.13'))
  const { status } = await network.exec('two', 'ping', '-c', '1', '-W', '5', '-s', '3000', '10.0.0.13')
  t.is(status, 0)
  ip('-n', 'two', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99')
  t.true(await reaches(network, 'two', '10.0.0.13'), 'the bridge learns it')
  const rows = await network.json<{ mac: string; ifname: string }[]>('fdb', 'show', 'br', 'br0')
  t.true(rows.some(({ mac, ifname }) => mac === '02:00:00:00:00:99' && ifname === 'two.eth0'))
})

systemTest('a loop between two ports of a bridge, made by a host: it costs that network, not the process', async (t) => {
  const network = await startTapway(`${NETWORK}  looped:
    interfaces: { eth0: { bridge: br0 }, eth1: { bridge: br0 } }
`)
  ip('-n', 'looped', 'link', 'add', 'loop', 'type', 'bridge')
  for (const device of ['eth0', 'eth1']) ip('-n', 'looped', 'link', 'set', device, 'master', 'loop')
  ip('-n', 'looped', 'link', 'set', 'loop', 'up')
  await network.exec('one', 'ping', '-c', '1', '-W', '1', '10.0.0.13')
  const { balance } = await network.json<StatsResult>('stats')
  t.true(balance.ok)
  ip('-n', 'looped', 'link', 'set', 'loop', 'down')
  await until('it is over', () => reaches(network, 'one', '10.0.0.13', 1))
  t.is((await network.tapway('down')).status, 0)
})
