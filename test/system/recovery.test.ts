/** After a kill -9, after a failure half-way, and where somebody else's namespaces are: exactly what was made is removed. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import test from 'ava'
import { addNetns, inNs, ip, netnsNames, netnsTest, onSweep, removeNetns, uniqueName } from '../helpers/netns.js'
import { launchTapway, recordOf, SMOL_INTERNET, socketOf, start, startTapway, tapway, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const inodeOf = (netns: string): bigint => statSync(`/run/netns/${netns}`, { bigint: true }).ino

const host = (name: string, more = ''): string =>
  `version: 1\nbridges: { br0: {} }\nhosts: { ${name}: { interfaces: { eth0: { bridge: br0, address: 10.0.0.2/24 } } ${more} } }\n`

systemTest('kill -9, and up again works, and then down', async (t) => {
  const before = netnsNames()
  const first = await startTapway(SMOL_INTERNET)
  await first.kill()
  t.true(netnsNames().includes('client'), 'it could not clean up')
  const second = await startTapway(SMOL_INTERNET, { name: first.name })
  t.is((await second.exec('client', 'ping', '-c', '1', '-W', '5', '10.1.2.2')).status, 0)
  t.is((await second.tapway('down')).status, 0)
  t.deepEqual(netnsNames(), before)
  t.false(existsSync(recordOf(first.name)))
})

systemTest('kill -9, and down cleans up and says what', async (t) => {
  const before = netnsNames()
  const network = await startTapway(SMOL_INTERNET)
  await network.kill()
  const { status, stdout } = await network.tapway('down')
  t.is(status, 0)
  t.regex(stdout, /client/)
  t.regex(stdout, /server/)
  t.deepEqual(netnsNames(), before)
  for (const path of [recordOf(network.name), socketOf(network.name)]) t.false(existsSync(path), path)
  t.is((await network.tapway('down')).status, 1, 'now there is nothing')
})

systemTest('kill -9, and commands say that nobody is there', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  await network.kill()
  for (const words of [['stats'], ['route', 'show'], ['exec', 'client', '--', 'true']]) {
    const { status, stdout, stderr } = await network.tapway(...words)
    t.deepEqual([status, stdout], [1, ''], words.join(' '))
    t.regex(stderr, /^tapway: no instance [^\n]*\n$/)
  }
})

systemTest('kill -9 while it comes up, at any moment: down removes what is there', async (t) => {
  const before = netnsNames()
  for (const moment of [0, 10, 30, 60, 100]) {
    const network = launchTapway(SMOL_INTERNET)
    await until('a record', () => existsSync(recordOf(network.name)) || !network.program.running)
    await new Promise((resolve) => setTimeout(resolve, moment))
    await network.kill()
    const { status } = await network.tapway('down')
    t.is(status, 0)
    await until(`nothing stays of a death after ${moment} ms`, () => netnsNames().join() === before.join())
    t.false(existsSync(recordOf(network.name)))
  }
})

systemTest('after a kill -9, a namespace of the same name that somebody else has made since stays', async (t) => {
  const name = uniqueName('h')
  const network = await startTapway(host(name))
  await network.kill()
  ip('netns', 'del', name)
  addNetns(name)
  const theirs = inodeOf(name)
  await network.tapway('down')
  t.true(netnsNames().includes(name))
  t.is(inodeOf(name), theirs)
  t.false(existsSync(recordOf(network.name)))
})

systemTest("somebody else's namespace of a host's name: exit 2, and nothing is touched", async (t) => {
  addNetns('server')
  inNs('server', 'ip', 'tuntap', 'add', 'mine', 'mode', 'tap')
  const before = netnsNames()
  const theirs = inodeOf('server')
  const { status, stdout, stderr } = await launchTapway(SMOL_INTERNET).program.ended
  t.deepEqual([status, stdout], [2, ''])
  t.regex(stderr, /^tapway: namespace "server" exists already[^\n]*\n$/)
  t.deepEqual(netnsNames(), before)
  t.is(inodeOf('server'), theirs)
  t.regex(inNs('server', 'ip', 'link'), /mine/)
})

systemTest('two instances with a host of the same name: the second is refused, the first unharmed', async (t) => {
  const first = await startTapway(SMOL_INTERNET)
  const { status, stderr } = await launchTapway(SMOL_INTERNET).program.ended
  t.is(status, 2)
  t.regex(stderr, /^tapway: [^\n]*"client"[^\n]*\n$/)
  t.is((await first.exec('client', 'ping', '-c', '1', '-W', '5', '10.1.2.2')).status, 0)
})

for (const [what, more] of [
  ['a route that the kernel refuses', ', routes: [ { to: 10.9.0.0/24, via: 10.0.0.9 }, { to: 10.9.0.0/24, via: 10.0.0.8 } ]'],
  ['a sysctl that does not exist', ', sysctls: { net.ipv4.no_such_thing: 1 }'],
  ['a sysctl value that the kernel refuses', ', sysctls: { net.ipv4.ip_default_ttl: 4000 }']
] as const) {
  systemTest(`up fails half-way by ${what}: one line, and everything made is removed`, async (t) => {
    const before = netnsNames()
    const [good, bad] = [uniqueName('good'), uniqueName('bad')]
    const text = host(bad, more).replace(
      'hosts: {',
      `hosts: { ${good}: { interfaces: { eth0: { bridge: br0, address: 10.0.0.1/24 } } },`
    )
    const network = launchTapway(text)
    const { status, stdout, stderr } = await network.program.ended
    t.is(stdout, '')
    t.true(status === 1 || status === 2)
    t.is(
      stderr
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('{')).length,
      1,
      stderr
    )
    t.regex(stderr, new RegExp(bad))
    t.deepEqual(netnsNames(), before)
    t.false(existsSync(recordOf(network.name)))
    t.is((await network.tapway('down')).status, 1)
  })
}

systemTest('what runs in a namespace does not keep its name', async (t) => {
  const name = uniqueName('h')
  const network = await startTapway(host(name))
  const sleeper = network.startIn(name, 'sleep', '60')
  await until('it sleeps', () => readFileSync(`/proc/${sleeper.pid}/comm`, 'utf8').trim() === 'sleep')
  t.is((await network.tapway('down')).status, 0)
  t.false(netnsNames().includes(name))
  t.true(sleeper.running)
})

/** A namespace that lives in a process only. */
const unnamed = async (): Promise<number> => {
  const holder = start('unshare', ['--net', '--', 'sleep', '600'])
  await until('it has a namespace of its own', () => readFileSync(`/proc/${holder.pid}/comm`, 'utf8').trim() === 'sleep')
  return holder.pid
}

systemTest('an adopted namespace, by name and by path, is used and left as it was', async (t) => {
  const [named, other] = [addNetns(), uniqueName('by-path')]
  inNs(named, 'ip', 'tuntap', 'add', 'mine', 'mode', 'tap')
  const pid = await unnamed()
  const theirs = inodeOf(named)
  const network = await startTapway(`version: 1
bridges: { br0: {} }
hosts:
  one: { netns: ${named}, interfaces: { eth0: { bridge: br0, address: 10.0.0.1/24 } }, sysctls: { net.ipv4.ip_default_ttl: 77 } }
  ${other}: { netns: /proc/${pid}/ns/net, interfaces: { eth0: { bridge: br0, address: 10.0.0.2/24 } } }
`)
  const reply = await network.exec(named, 'ping', '-c', '1', '-W', '5', '10.0.0.2')
  t.is(reply.status, 0, reply.stdout)
  t.is(inNs(named, 'cat', '/proc/sys/net/ipv4/ip_default_ttl').trim(), '77')
  const exec = await network.tapway('exec', other, '--', 'ip', '-br', 'addr', 'show', 'eth0')
  t.regex(exec.stdout, /10\.0\.0\.2\/24/)
  t.false(netnsNames().includes(other), 'a path is no name')

  t.is((await network.tapway('down')).status, 0)
  t.is(inodeOf(named), theirs)
  const links = inNs(named, 'ip', '-br', 'link')
  t.regex(links, /^mine/m)
  t.notRegex(links, /eth0/)
  t.is(inNs(named, 'cat', '/proc/sys/net/ipv4/ip_default_ttl').trim(), '64')
  t.true(existsSync(`/proc/${pid}/ns/net`))
  const { stdout } = await network.exec(named, 'nsenter', `--net=/proc/${pid}/ns/net`, 'ip', '-br', 'link')
  t.notRegex(stdout, /eth0/)
})

systemTest('an adopted namespace after a kill -9: the TAP goes with the process, sysctls come back by down', async (t) => {
  const named = addNetns()
  const network = await startTapway(`version: 1
bridges: { br0: {} }
hosts: { one: { netns: ${named}, interfaces: { eth0: { bridge: br0 } }, sysctls: { net.ipv4.ip_default_ttl: 77 } } }
`)
  await network.kill()
  t.is(inNs(named, 'cat', '/proc/sys/net/ipv4/ip_default_ttl').trim(), '77')
  t.is((await network.tapway('down')).status, 0)
  t.true(netnsNames().includes(named))
  t.is(inNs(named, 'cat', '/proc/sys/net/ipv4/ip_default_ttl').trim(), '64')
  t.notRegex(inNs(named, 'ip', '-br', 'link'), /eth0/)
})

systemTest('an interface name that is taken in an adopted namespace, and a namespace that is not there: exit 2', async (t) => {
  const named = addNetns()
  inNs(named, 'ip', 'tuntap', 'add', 'eth0', 'mode', 'tun')
  for (const netns of [named, uniqueName('absent'), '/proc/1/status']) {
    const { status, stdout, stderr } = await launchTapway(
      `version: 1\nbridges: { br0: {} }\nhosts: { one: { netns: ${netns}, interfaces: { eth0: { bridge: br0 } } } }\n`
    ).program.ended
    t.deepEqual([status, stdout], [2, ''], netns)
    t.regex(stderr, /^tapway: host "one": [^\n]*\n$/)
  }
  t.regex(inNs(named, 'ip', 'tuntap'), /^eth0: tun/m)
})

systemTest('two instances at once in the same adopted namespace', async (t) => {
  const named = addNetns()
  const file = (device: string, address: string): string =>
    `version: 1\nbridges: { br0: { address: 10.0.${address}.1/24 } }
hosts: { one: { netns: ${named}, interfaces: { ${device}: { bridge: br0, address: 10.0.${address}.2/24 } } } }\n`
  const [first, second] = await Promise.all([startTapway(file('eth0', '1')), startTapway(file('eth1', '2'))])
  onSweep(() => removeNetns(named))
  for (const address of ['10.0.1.1', '10.0.2.1']) t.is((await first.exec(named, 'ping', '-c', '1', '-W', '5', address)).status, 0)
  t.is((await second.tapway('down')).status, 0)
  t.is((await tapway('--name', first.name, 'exec', 'one', '--', 'ping', '-c', '1', '-W', '5', '10.0.1.1')).status, 0)
})
