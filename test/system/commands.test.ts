/** Commands at run time: they take effect, and no packet that they do not concern is lost. */
import test from 'ava'
import { ControlClient } from '../../src/control/client.js'
import type { Operation, StatsResult } from '../../src/network/operations.js'
import { inNs, netnsTest, onSweep } from '../helpers/netns.js'
import { type Instance, SMOL_INTERNET, startTapway, until } from '../helpers/tapway.js'
import { traffic } from '../helpers/traffic.js'

const systemTest = netnsTest(test)

const ping = async (network: Instance, address = '10.1.2.2', seconds = 5): Promise<string> =>
  (await network.exec('client', 'ping', '-c', '1', '-W', String(seconds), address)).stdout

/** A ping that nothing is to answer. */
const vainPing = (network: Instance, address?: string): Promise<string> => ping(network, address, 1)

const answered = /1 received/

/** Echo replies that a host's kernel has counted; ping itself does not wait for one that is late. */
const repliesTo = (host: string): number =>
  Number(/IcmpInEchoReps +(\d+)/.exec(inNs(host, 'nstat', '-asz', 'IcmpInEchoReps'))![1])

const done = async (network: Instance, ...words: string[]): Promise<void> => {
  const { status, stdout, stderr } = await network.tapway(...words)
  if (status !== 0 || stdout !== '' || stderr !== '') throw new Error(`tapway ${words.join(' ')}: ${status} ${stdout}${stderr}`)
}

const dropsOf = async (network: Instance, reason: string): Promise<number> =>
  (await network.json<StatsResult>('stats')).drops.find((drop) => drop.reason === reason)!.packets

/** Changes that come by the same way as the command's, one after the other, faster than processes can start. */
const changes = async (network: Instance): Promise<(operation: Operation) => Promise<void>> => {
  const client = await ControlClient.connect(network.name)
  onSweep(() => client.close())
  return async (operation) => {
    await client.request({ method: 'apply', operation })
  }
}

systemTest('two hundred changes while a stream and a ping run: nothing is lost', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await ping(network)
  const macOf = (host: string): string => inNs(host, 'cat', '/sys/class/net/eth0/address').trim()
  const [client, server] = [macOf('client'), macOf('server')]
  const echo = network.startIn('server', ...traffic('echo', '8888'))
  await echo.prints(/listening/)
  const before = repliesTo('client')
  const pings = network.exec('client', 'ping', '-q', '-i', '0.002', '-c', '1000', '10.1.2.2')
  const stream = network.exec('client', ...traffic('stream', '10.1.2.2', '8888', '2000'))

  const apply = await changes(network)
  let count = 0
  const change = async (operation: Operation): Promise<void> => {
    await apply(operation)
    count++
  }
  const router = 'router'
  let running = true
  void pings.then(() => {
    running = false
  })
  for (let i = 0; running || count < 200; i = (i + 1) % 250) {
    const prefix = `10.200.${i}.0/24`
    await change({ op: 'route.add', router, prefix, nexthops: [{ via: '10.1.2.77' }] })
    await change({
      op: 'route.replace',
      router,
      prefix,
      nexthops: [
        { via: '10.1.2.77', weight: 2 },
        { via: '10.1.1.77', weight: 1 }
      ]
    })
    await change({ op: 'route.del', router, prefix })
    // A route that covers the flow beside a longer one, and one more for the very prefix with a worse metric
    await change({ op: 'route.add', router, prefix: '10.0.0.0/8', nexthops: [{ via: '10.1.1.77' }] })
    await change({ op: 'route.add', router, prefix: '10.1.2.0/24', metric: 500, nexthops: [{ via: '10.1.1.77' }] })
    await change({ op: 'route.del', router, prefix: '10.1.2.0/24', metric: 500 })
    await change({ op: 'route.del', router, prefix: '10.0.0.0/8' })
    await change({
      op: 'neigh.add',
      dev: 'eth0',
      router,
      address: `10.1.2.${100 + (i % 100)}`,
      lladdr: '02:00:00:00:00:77',
      nud: 'permanent'
    })
    await change({ op: 'neigh.replace', dev: 'eth0', router, address: '10.1.2.2', lladdr: server, nud: 'reachable' })
    await change({ op: 'neigh.del', dev: 'eth0', router, address: `10.1.2.${100 + (i % 100)}` })
    await change({ op: 'addr.add', dev: 'eth1', router, prefix: '10.1.1.33/24' })
    await change({ op: 'addr.add', dev: 'eth0', router, prefix: '10.77.0.1/16' })
    await change({ op: 'addr.del', dev: 'eth0', router, prefix: '10.77.0.1/16' })
    await change({ op: 'addr.del', dev: 'eth1', router, prefix: '10.1.1.33/24' })
    await change({ op: 'fdb.add', mac: '02:00:00:00:00:99', dev: 'client.eth0', state: 'static' })
    await change({ op: 'fdb.replace', mac: client, dev: 'client.eth0', state: 'static' })
    await change({ op: 'fdb.del', mac: '02:00:00:00:00:99', dev: 'client.eth0' })
    await change({ op: 'fdb.flush', dev: 'server.eth0' })
    await change({ op: 'link.set', dev: 'eth0', router, mtu: 1400 + i })
    await change({ op: 'link.set', dev: 'client.eth0', mtu: 1500 + i })
    await change({ op: 'link.set', dev: 'client.eth0', mtu: 1500 })
    await change({ op: 'link.set', dev: 'server.eth0', learning: i % 2 === 0, flood: true })
    await change({ op: 'link.set', dev: 'router', forwarding: true })
  }
  const { stdout } = await pings
  t.regex(stdout, /^1000 packets transmitted/m)
  await until('every reply is there', () => repliesTo('client') - before === 1000)
  const [, sent, back, lost] = /sent (\d+) back (\d+) lost (\d+)/.exec((await stream).stdout)!
  t.log(`${count} changes, ${sent} datagrams`)
  t.deepEqual([back, lost], [sent, '0'])
  t.true(count >= 200)
  t.true((await network.json<StatsResult>('stats')).balance.ok)
})

systemTest('commands and shows as processes while a ping runs: nothing is lost', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await ping(network)
  const before = repliesTo('client')
  const pings = network.exec('client', 'ping', '-q', '-i', '0.002', '-c', '1000', '10.1.2.2')
  for (const words of [
    'route add 10.9.0.0/16 via 10.1.2.9',
    'route show',
    'route show table all',
    'link set router.eth0 mtu 1480',
    'link show',
    'neigh show',
    'addr show',
    'fdb show',
    'stats',
    'route del 10.9.0.0/16'
  ])
    await network.tapway(...words.split(' '))
  t.regex((await pings).stdout, /^1000 packets transmitted/m)
  await until('every reply is there', () => repliesTo('client') - before === 1000)
})

systemTest('routes: without one the sender is told, with one it forwards, get says which', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  inNs('client', 'ip', 'route', 'add', 'default', 'via', '10.1.1.3')
  inNs('server', 'ip', 'addr', 'add', '10.9.0.1/32', 'dev', 'lo')
  t.regex(await ping(network, '10.9.0.1'), /From 10\.1\.1\.3 .*Destination Net Unreachable/)
  t.is(await dropsOf(network, 'no-route'), 1)
  await done(network, 'route', 'add', '10.9.0.0/16', 'via', '10.1.2.2', 'router', 'router')
  t.regex(await ping(network, '10.9.0.1'), answered)
  const [get] = await network.json('route', 'get', '10.9.0.1', 'router', 'router')
  t.like(get, { dst: '10.9.0.1', gateway: '10.1.2.2', dev: 'eth0', prefsrc: '10.1.2.3' })
  await done(network, 'route', 'replace', '10.9.0.0/16', 'via', '10.1.2.99', 'router', 'router')
  t.notRegex(await vainPing(network, '10.9.0.1'), answered)
  await done(network, 'route', 'del', '10.9.0.0/16', 'router', 'router')
  for (const [type, says] of [
    ['unreachable', /Destination Host Unreachable/],
    ['prohibit', /Packet filtered/],
    ['blackhole', /100% packet loss/]
  ] as const) {
    await done(network, 'route', 'add', type, '10.9.0.0/16', 'router', 'router')
    t.regex(await (type === 'blackhole' ? vainPing : ping)(network, '10.9.0.1'), says)
    t.regex((await network.tapway('route', 'get', '10.9.0.1')).stderr, new RegExp(`^tapway: .*: 10\\.9\\.0\\.1 lies in an? ${type} route\n$`))
    await done(network, 'route', 'del', type, '10.9.0.0/16', 'router', 'router')
  }
})

systemTest('links: down stops a port, up goes on; the host sees it', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  for (const dev of ['client.eth0', 'router.eth1', 'router.eth0', 'server.eth0']) {
    t.regex(await ping(network), answered, `before ${dev}`)
    await done(network, 'link', 'set', dev, 'down')
    const [row] = await network.json<{ flags: string[]; operstate: string }[]>('link', 'show', dev)
    t.false(row!.flags.includes('UP'), dev)
    t.is(row!.operstate, 'DOWN')
    t.notRegex(await vainPing(network), answered, `${dev} is down`)
    await done(network, 'link', 'set', dev, 'up')
  }
  t.regex(await ping(network), answered)
})

systemTest('forwarding off and on, for the router and for an interface', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  for (const dev of ['router', 'router.eth1']) {
    const before = await dropsOf(network, 'forwarding-disabled')
    await done(network, 'link', 'set', dev, 'forwarding', 'off')
    t.notRegex(await vainPing(network), answered, dev)
    t.is(await dropsOf(network, 'forwarding-disabled'), before + 1)
    t.regex(await ping(network, '10.1.2.3'), answered, 'its own addresses go on answering')
    await done(network, 'link', 'set', dev, 'forwarding', 'on')
    t.regex(await ping(network), answered, dev)
  }
})

systemTest('addresses: a new one answers at once, an old one no longer', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await done(network, 'addr', 'add', '10.1.1.44/24', 'dev', 'router.eth1')
  t.regex(await ping(network, '10.1.1.44'), answered)
  await done(network, 'addr', 'del', '10.1.1.44/24', 'dev', 'router.eth1')
  t.notRegex(await vainPing(network, '10.1.1.44'), answered)
  await done(network, 'addr', 'add', '10.1.1.1/24', 'dev', 'ten-one-net')
  t.regex(await ping(network, '10.1.1.1'), answered, "the bridge's own address")
})

systemTest('a wrong neighbour and a wrong station lose what they concern, and deleting them heals it', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  t.regex(await ping(network), answered)
  await done(network, 'neigh', 'replace', '10.1.2.2', 'lladdr', '02:00:00:00:00:66', 'dev', 'router.eth0', 'nud', 'permanent')
  t.notRegex(await vainPing(network), answered)
  await done(network, 'neigh', 'del', '10.1.2.2', 'dev', 'router.eth0')
  t.regex(await ping(network), answered)
  const server = inNs('server', 'cat', '/sys/class/net/eth0/address').trim()
  await done(network, 'fdb', 'replace', server, 'dev', 'router.eth0', 'master', 'static', 'sticky')
  t.notRegex(await vainPing(network), answered)
  await done(network, 'fdb', 'del', server, 'dev', 'router.eth0', 'master')
  t.regex(await ping(network), answered)
})

systemTest('an MTU set at run time is the one that is obeyed and told', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await done(network, 'link', 'set', 'router.eth0', 'mtu', '1000')
  const { stdout } = await network.exec('client', 'ping', '-c', '1', '-W', '2', '-M', 'do', '-s', '1000', '10.1.2.2')
  t.regex(stdout, /Frag needed and DF set \(mtu = 1000\)/)
  t.regex((await network.exec('client', 'ping', '-c', '1', '-W', '2', '-M', 'dont', '-s', '3000', '10.1.2.2')).stdout, answered)
  // More than a TAP takes: nothing is changed
  const { status, stderr } = await network.tapway('link', 'set', 'client.eth0', 'mtu', '65522')
  t.deepEqual([status, stderr], [2, 'tapway: the MTU of "client.eth0" is 65521 at most: its host\'s device takes no more\n'])
  t.like((await network.json('link', 'show', 'client.eth0'))[0], { mtu: 1500 })
})
