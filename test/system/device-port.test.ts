/**
 * An existing device as a port of a bridge: a container's veth pair, plugged in from the machine's side. The container's traffic
 * goes through as it does through a kernel bridge, and the machine's own stack takes none of it.
 */
import test, { type ExecutionContext } from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { addNetns, inNs, ip, ipJson, netnsTest, uniqueName } from '../helpers/netns.js'
import { type Instance, launchTapway, startIn, startTapway, until } from '../helpers/tapway.js'
import { transfer } from '../helpers/traffic.js'

const systemTest = netnsTest(test)

interface Site {
  /** namespace whose device is plugged in; it has 10.0.0.1 there, which nobody may hear of */
  readonly machine: string
  /** namespace at the other end of the device, 10.0.0.2 on eth0 */
  readonly container: string
  readonly host: string
  readonly network: string
}

/** A container on a veth pair, and a file that plugs its machine's end into a bridge beside a host. */
const site = (more = ''): Site => {
  const [machine, container, host] = [addNetns(), addNetns(), uniqueName('h')]
  ip('-n', machine, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', container)
  ip('-n', machine, 'addr', 'add', '10.0.0.1/24', 'dev', 'veth0')
  ip('-n', container, 'addr', 'add', '10.0.0.2/24', 'dev', 'eth0')
  ip('-n', machine, 'link', 'set', 'veth0', 'up')
  ip('-n', container, 'link', 'set', 'eth0', 'up')
  return {
    machine, container, host,
    network: `version: 1
bridges:
  br0:
    address: 10.0.0.254/24
    ports: { box: { device: veth0, netns: ${machine} ${more} } }
hosts: { ${host}: { interfaces: { eth0: { bridge: br0, address: 10.0.0.3/24 } } } }
`
  }
}

const reaches = async (network: Instance, from: string, address: string, ...more: string[]): Promise<boolean> =>
  (await network.exec(from, 'ping', '-c', '1', '-W', '2', ...more, address)).status === 0

const promiscuity = (netns: string): number =>
  ipJson<{ promiscuity: number }[]>(netns, '-d', 'link', 'show', 'dev', 'veth0')[0]!.promiscuity

/** What tc(8) has at the device's ingress. */
const filters = (netns: string): string =>
  ['qdisc', 'filter'].map((what) => inNs(netns, 'tc', what, 'show', 'dev', 'veth0', 'ingress')).join('')

const balanced = async (t: ExecutionContext, network: Instance): Promise<void> => {
  const { balance } = await network.json<StatsResult>('stats')
  t.true(balance.ok, JSON.stringify(balance))
}

systemTest('a container reaches a host and the bridge; the machine answers nothing, and is as before at the end', async (t) => {
  const { machine, container, host, network: file } = site()
  const network = await startTapway(file)
  t.is(promiscuity(machine), 1)
  for (const address of ['10.0.0.3', '10.0.0.254']) t.true(await reaches(network, container, address), address)
  t.true(await reaches(network, host, '10.0.0.2'))
  t.false(await reaches(network, container, '10.0.0.1', '-W', '1'), 'the address of the device itself')
  t.notRegex(inNs(container, 'ip', 'neigh', 'show', '10.0.0.1'), /lladdr/, 'not even ARP')
  t.false(await reaches(network, machine, '10.0.0.2', '-W', '1'), 'its stack hears nothing')
  const [link] = await network.json<{ address: string; mtu: number; master: string }[]>('link', 'show', 'box')
  t.like(link, { mtu: 1500, master: 'br0', address: ipJson<{ address: string }[]>(machine, 'link', 'show', 'dev', 'veth0')[0]!.address })
  await balanced(t, network)
  t.is((await network.tapway('down')).status, 0)
  t.is(promiscuity(machine), 0)
  t.is(filters(machine), '')
  await until('its own address answers', () => reaches(network, container, '10.0.0.1'))
})

systemTest('one request, one answer: nothing is answered or forwarded twice', async (t) => {
  const { machine, container, network: file } = site()
  // A machine that would forward, answer for others and redirect if it heard anything.
  for (const name of ['ip_forward', 'conf/veth0/proxy_arp', 'conf/veth0/send_redirects']) {
    inNs(machine, 'sh', '-c', `echo 1 >/proc/sys/net/ipv4/${name}`)
  }
  const network = await startTapway(file)
  t.true(await reaches(network, container, '10.0.0.3'))
  const pings = await network.exec(container, 'ping', '-c', '5', '-i', '0.2', '10.0.0.3')
  t.regex(pings.stdout, /5 packets transmitted, 5 received, 0% packet loss/)
  t.notRegex(pings.stdout, /DUP!|Redirect/)
  const broadcast = await network.exec(container, 'ping', '-b', '-c', '2', '-i', '0.2', '-W', '1', '10.0.0.255')
  t.notRegex(broadcast.stdout, /from 10\.0\.0\.1:/)
})

for (const [title, args] of [['with offloads', []], ['without offloads', ['--no-offload']]] as const) {
  systemTest(`TCP, both ways, and large datagrams, ${title}`, async (t) => {
    const { container, host, network: file } = site()
    const network = await startTapway(file, { args })
    await transfer(t, container, host, '10.0.0.3', { bytes: 20 << 20 })
    await transfer(t, host, container, '10.0.0.2', { bytes: 20 << 20 })
    for (const [from, to] of [[container, '10.0.0.3'], [host, '10.0.0.2']] as const) t.true(await reaches(network, from, to, '-s', '8000'))
    const errors = inNs(container, 'nstat', '-asz', 'TcpInCsumErrors', 'IpInHdrErrors', 'IpReasmFails').split('\n')
    t.deepEqual(errors.filter((line) => /^\w+ +[1-9]/.test(line)), [])
    await balanced(t, network)
  })
}

/** Sends frames from the container by scapy: 802.1Q and 802.1ad, with priority. */
const SEND_TAGGED = `
from scapy.all import Ether, Dot1Q, Dot1AD, IP, UDP, Raw, sendp
import sys
dst = sys.argv[1]
base = dict(dst=dst, src='02:00:00:00:00:77')
ip = IP(src='10.0.0.2', dst='10.0.0.3') / UDP(sport=1, dport=9) / Raw(b'payload of a tagged frame')
sendp([Ether(**base) / Dot1Q(vlan=7, prio=5) / ip, Ether(**base) / Dot1AD(vlan=8) / Dot1Q(vlan=9) / ip, Ether(**base) / Dot1Q(vlan=4094) / ip], iface='eth0', verbose=False)
`

systemTest('VLAN tags that the kernel takes off are in the frame again', async (t) => {
  const { container, host, network: file } = site()
  const network = await startTapway(file)
  const lladdr = ipJson<{ address: string }[]>(host, 'link', 'show', 'dev', 'eth0')[0]!.address
  t.true(await reaches(network, container, '10.0.0.3'))
  const sniffer = startIn(host, 'tcpdump', '-eln', '-i', 'eth0', '-c', '3', 'ether', 'src', '02:00:00:00:00:77')
  await sniffer.prints(/listening on/, 'stderr')
  const { status, stderr } = await network.exec(container, '/usr/bin/python3', '-c', SEND_TAGGED, lladdr)
  t.is(status, 0, stderr)
  const { stdout } = await sniffer.ended
  const [one, two, three] = stdout.split('\n')
  t.regex(one!, /802\.1Q \(0x8100\).* vlan 7, p 5, .*IPv4.*10\.0\.0\.2\.1 > 10\.0\.0\.3\.9: UDP, length 25/)
  t.regex(two!, /802\.1Q-QinQ \(0x88a8\).* vlan 8, p 0, .*802\.1Q.* vlan 9, p 0, .*10\.0\.0\.2\.1 > 10\.0\.0\.3\.9: UDP, length 25/)
  t.regex(three!, /vlan 4094, p 0, /)
  await balanced(t, network)
})

systemTest('kill -9: no promiscuity, a deaf device; up again works, and then down; and down alone', async (t) => {
  const { machine, container, network: file } = site()
  const first = await startTapway(file)
  await first.kill()
  await until('the socket is gone', () => promiscuity(machine) === 0)
  t.false(await reaches(first, container, '10.0.0.1', '-W', '1'))
  const second = await startTapway(file, { name: first.name })
  t.true(await reaches(second, container, '10.0.0.3'))
  t.is((await second.tapway('down')).status, 0)
  t.is(filters(machine), '')
  const third = await startTapway(file)
  await third.kill()
  t.is((await third.tapway('down')).status, 0)
  t.is(filters(machine), '')
  await until('its own address answers', () => reaches(third, container, '10.0.0.1'))
})

systemTest('in the namespace of the process itself, and cleaned up from another one after kill -9', async (t) => {
  const { machine, container, network: file } = site()
  const here = file.replace(`, netns: ${machine}`, '')
  const instance = await startTapway(here, { netns: machine })
  t.true(await reaches(instance, container, '10.0.0.3'))
  await instance.kill()
  t.not(filters(machine), '')
  const { status } = await instance.tapway('down')
  t.is(status, 0)
  t.is(filters(machine), '')
})

systemTest('a device that goes down and up, and one that is deleted', async (t) => {
  const { machine, container, host, network: file } = site()
  ip('-n', machine, 'link', 'set', 'veth0', 'down')
  const network = await startTapway(file)
  await network.program.prints(/device \\"veth0\\" of bridge \\"br0\\" is down/, 'stderr')
  t.false(await reaches(network, container, '10.0.0.3', '-W', '1'))
  ip('-n', machine, 'link', 'set', 'veth0', 'up')
  await until('it goes on', () => reaches(network, container, '10.0.0.3'))
  ip('-n', machine, 'link', 'set', 'veth0', 'down')
  t.false(await reaches(network, host, '10.0.0.2', '-W', '1'))
  ip('-n', machine, 'link', 'set', 'veth0', 'up')
  await until('it goes on again', () => reaches(network, host, '10.0.0.2'))
  ip('-n', machine, 'link', 'del', 'veth0')
  await network.program.prints(/"port":"box".*the device behind this port is gone/, 'stderr')
  t.true(await reaches(network, host, '10.0.0.254'))
  t.is((await network.stop()).status, 0)
})

systemTest('link set: a port set down carries nothing, the device stays up; an MTU reaches the device', async (t) => {
  const { machine, container, network: file } = site()
  const network = await startTapway(file)
  t.is((await network.tapway('link', 'set', 'box', 'down')).status, 0)
  t.false(await reaches(network, container, '10.0.0.3', '-W', '1'))
  t.true(ipJson<{ flags: string[] }[]>(machine, 'link', 'show', 'dev', 'veth0')[0]!.flags.includes('UP'))
  t.is((await network.tapway('link', 'set', 'box', 'up')).status, 0)
  t.true(await reaches(network, container, '10.0.0.3'))
  t.is((await network.tapway('link', 'set', 'box', 'mtu', '1400')).status, 0)
  t.is(ipJson<{ mtu: number }[]>(machine, 'link', 'show', 'dev', 'veth0')[0]!.mtu, 1400)
})

systemTest('a device that cannot be attached: one line, exit 2, nothing left', async (t) => {
  const { machine, network: file } = site()
  ip('-n', machine, 'link', 'add', 'br9', 'type', 'bridge')
  ip('-n', machine, 'link', 'set', 'veth0', 'master', 'br9')
  for (const [network, words] of [
    [file, /^tapway: bridge "br0": device "veth0" in namespace "[^"]*" belongs to "br9": [^\n]*\n$/],
    [file.replace('device: veth0', 'device: none'), /^tapway: bridge "br0": there is no device "none" in namespace "[^"]*"\n$/]
  ] as const) {
    const { status, stdout, stderr } = await launchTapway(network).program.ended
    t.deepEqual([status, stdout], [2, ''])
    t.regex(stderr, words)
  }
  t.is(filters(machine), '')
})
