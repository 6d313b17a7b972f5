/** From `up` to `down`: what is said, what is made, and that nothing stays. */
import { existsSync, statSync } from 'node:fs'
import test from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { addNetns, inNs, netnsNames, netnsTest, uniqueName } from '../helpers/netns.js'
import { type Instance, launchTapway, recordOf, SMOL_INTERNET, socketOf, startTapway, tapway } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

/** One network, one host: as little as an instance can be. */
const oneHost = (host: string): string => `version: 1\nbridges: { br0: { address: 10.0.0.1/24 } }
hosts: { ${host}: { interfaces: { eth0: { bridge: br0, address: 10.0.0.2/24 } } } }\n`

const isGone = (name: string): boolean => !existsSync(recordOf(name)) && !existsSync(socketOf(name))

const ping = async (network: Instance, host: string, address: string): Promise<boolean> =>
  (await network.exec(host, 'ping', '-c', '1', '-W', '5', address)).status === 0

systemTest('the ready line is all that comes on stdout, and it means that everything forwards', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  t.true(await ping(network, 'client', '10.1.2.2'), 'the first packet after ready')
  t.regex(network.program.stdout, new RegExp(`^ready ${network.name}: [^\\n]*\\n$`))
  const log = network.program.stderr
    .trim()
    .split('\n')
    .filter((line) => line !== '')
  t.notThrows(() => log.forEach((line) => JSON.parse(line) as unknown), 'a log that is no terminal is JSON, a line each')
  t.is(statSync(socketOf(network.name)).mode & 0o777, 0o600)
})

systemTest('down: exit 0, and everything is gone', async (t) => {
  const foreign = addNetns()
  const before = netnsNames()
  const network = await startTapway(SMOL_INTERNET)
  t.deepEqual(netnsNames(), [...before, 'client', 'server'].sort())
  const down = await network.tapway('down')
  t.deepEqual([down.status, down.stderr], [0, ''])
  t.deepEqual(netnsNames(), before)
  t.true(before.includes(foreign))
  t.true(isGone(network.name))
  const { status, stdout } = await network.program.ended
  t.is(status, 0)
  t.regex(stdout, /^ready .*\n(.+\n)*router\.eth1: received \d+ packets \d+ bytes, sent \d+ packets \d+ bytes\n/)
  const again = await network.tapway('down')
  t.deepEqual([again.status, again.stdout], [1, ''])
  t.regex(again.stderr, /^tapway: no instance "[^"]+" is running[^\n]*\n$/)
})

systemTest('down with nothing there: exit 1 and one line', async (t) => {
  const { status, stdout, stderr } = await tapway('--name', uniqueName('nobody'), 'down')
  t.deepEqual([status, stdout], [1, ''])
  t.regex(stderr, /^tapway: [^\n]+\n$/)
})

systemTest('a second up of a running name: exit 1, one line, and the first goes on', async (t) => {
  const first = await startTapway(SMOL_INTERNET)
  const second = launchTapway(oneHost(uniqueName('other')), { name: first.name })
  const { status, stdout, stderr } = await second.program.ended
  t.deepEqual([status, stdout], [1, ''])
  t.regex(stderr, new RegExp(`^tapway: instance "${first.name}" is running already[^\\n]*\\n$`))
  t.true(first.program.running)
  t.true(await ping(first, 'client', '10.1.2.2'))
  t.is((await first.tapway('down')).status, 0)
})

systemTest('two instances side by side do not know each other', async (t) => {
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  const [first, second] = await Promise.all([startTapway(oneHost(a)), startTapway(oneHost(b))])
  for (const [network, host] of [
    [first, a],
    [second, b]
  ] as const) {
    t.true(await ping(network, host, '10.0.0.1'))
    const names = (await network.json<{ ifname: string }[]>('link', 'show')).map(({ ifname }) => ifname)
    t.deepEqual(names.sort(), ['br0', `${host}.eth0`].sort())
    t.deepEqual(await network.tapway('exec', host, '--', 'echo', 'here'), { status: 0, stdout: 'here\n', stderr: '' })
  }
  t.is((await first.tapway('exec', b, '--', 'true')).status, 2, 'a host of the other one')
  t.is((await first.tapway('down')).status, 0)
  t.true(await ping(second, b, '10.0.0.1'))
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  systemTest(`${signal}: the counters are printed, and everything is gone`, async (t) => {
    const before = netnsNames()
    const network = await startTapway(SMOL_INTERNET)
    t.true(await ping(network, 'client', '10.1.2.2'))
    const { status, stdout } = await network.stop(signal)
    t.is(status, 0)
    const [, packets] = /^client\.eth0: received (\d+) packets/m.exec(stdout) ?? []
    t.true(Number(packets) >= 2, 'ARP and echo')
    t.regex(stdout, /^dropped \d+ protocol-unknown: \S.*$/m, 'drops with what they mean')
    t.deepEqual(netnsNames(), before)
    t.true(isGone(network.name))
  })
}

systemTest('a signal while it comes up: nothing stays', async (t) => {
  const before = netnsNames()
  const network = launchTapway(SMOL_INTERNET)
  for (let begun = performance.now(); !existsSync(recordOf(network.name)) && performance.now() - begun < 5000;)
    await new Promise((r) => setTimeout(r, 1))
  const { status } = await network.stop('SIGTERM')
  t.is(status, 0)
  t.deepEqual(netnsNames(), before)
  t.true(isGone(network.name))
})

systemTest('exec passes on words, standard streams and exit status', async (t) => {
  const host = uniqueName('h')
  const network = await startTapway(oneHost(host))
  const { status, stdout, stderr } = await network.tapway(
    'exec',
    host,
    '--',
    'sh',
    '-c',
    'ip -br addr show eth0; echo "$1" >&2; exit 7',
    'sh',
    'a  b'
  )
  t.is(status, 7)
  t.regex(stdout, /^eth0 +\S+ +10\.0\.0\.2\/24/)
  t.is(stderr, 'a  b\n')
  t.is((await network.tapway('exec', host, 'sh', '-c', 'kill -9 $$')).status, 137)
  t.is((await network.tapway('exec', host, '--', uniqueName('no-such-command'))).status, 127)
  const wrong = await network.tapway('exec', 'nobody', '--', 'true')
  t.is(wrong.status, 2)
  t.regex(wrong.stderr, new RegExp(`^tapway: [^\\n]*${host}[^\\n]*\\n$`), 'the hosts there are')
})

systemTest('hosts are as the file says, and as hosts are', async (t) => {
  await startTapway(SMOL_INTERNET)
  t.regex(inNs('client', 'ip', '-br', 'addr', 'show', 'eth0'), /eth0 +(UP|UNKNOWN) +10\.1\.1\.2\/24/)
  t.regex(inNs('client', 'ip', '-br', 'addr', 'show', 'lo'), /127\.0\.0\.1\/8/)
  t.regex(inNs('client', 'ip', 'route'), /10\.1\.2\.0\/24 via 10\.1\.1\.3 dev eth0/)
  t.is(inNs('client', 'cat', '/proc/sys/net/ipv4/ip_forward').trim(), '0')
})

systemTest('the default MAC addresses are the same the next time', async (t) => {
  const host = uniqueName('h')
  const name = uniqueName('t')
  const macs = async (): Promise<string[]> => {
    const network = await startTapway(oneHost(host), { name })
    const links = await network.json<{ address: string }[]>('link', 'show')
    const inside = inNs(host, 'cat', '/sys/class/net/eth0/address').trim()
    await network.stop()
    return [inside, ...links.map(({ address }) => address)]
  }
  const first = await macs()
  t.is(first[0], '02:42:0a:00:00:02')
  t.deepEqual(await macs(), first)
})

systemTest('the balance holds in a running instance', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await network.exec('client', 'ping', '-c', '20', '-i', '0.01', '10.1.2.2')
  const { balance } = await network.json<StatsResult>('stats')
  t.true(balance.ok)
  t.true(balance.received >= 40)
})
