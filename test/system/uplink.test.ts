/**
 * Super-frames through an uplink, between two machines (namespaces with a process each) or to the kernel's VXLAN: everything gets through, in order,
 * also when the uplink is forbidden on the way, and nothing is left.
 */
import test, { type ExecutionContext } from 'ava'
import type { LinkRow, StatsResult } from '../../src/network/operations.js'
import { addNetns, inNs, ip, ipJson, netnsTest, uniqueName } from '../helpers/netns.js'
import { BIN, type Instance, run, startTapway, until } from '../helpers/tapway.js'
import { transfer } from '../helpers/traffic.js'
import { cable, narrowPath, UNDERLAYS } from './machines.js'

const uplinkTest = netnsTest(test, 'uplink')
/** Without offloads hosts hand over no super-frames. */
const superFrameTest = netnsTest(test, 'uplink', 'offload')
const BYTES = 16 << 20

/** Tapway on machine `n`, with a host 10.0.10.n behind the tunnel. */
const tapway = async (machine: string, n: 1 | 2, keys = '', underlay = UNDERLAYS) => {
  const host = uniqueName('c')
  const instance = await startTapway(`version: 1
bridges: { br0: {} }
vxlans: { vxlan1: { bridge: br0, id: 42, local: ${underlay[n - 1]}, remote: [${underlay[2 - n]}], uplink: tap${keys} } }
hosts: { ${host}: { interfaces: { eth0: { bridge: br0, address: 10.0.10.${n}/24 } } } }
`, { netns: machine })
  return { machine, host, instance }
}

/** The kernel's on machine `n`. */
const kernel = (machine: string, n: 1 | 2): { machine: string, host: string } => {
  const host = addNetns()
  ip('-n', host, 'link', 'add', 'eth0', 'mtu', '1450', 'type', 'veth', 'peer', 'name', 'p', 'mtu', '1450', 'netns', machine)
  ip('-n', host, 'addr', 'add', `10.0.10.${n}/24`, 'dev', 'eth0')
  ip('-n', host, 'link', 'set', 'eth0', 'up')
  ip('-n', machine, 'link', 'add', 'vx', 'mtu', '1450', 'type', 'vxlan', 'id', '42', 'local', `192.168.77.${n}`, 'remote', `192.168.77.${3 - n}`, 'dstport', '4789')
  ip('-n', machine, 'link', 'add', 'br0', 'type', 'bridge')
  for (const dev of ['p', 'vx']) ip('-n', machine, 'link', 'set', dev, 'master', 'br0', 'up')
  ip('-n', machine, 'link', 'set', 'br0', 'up')
  return { machine, host }
}

/** Bytes or packets that came in by a machine's uplink, or -1 where it has none. */
const throughUplink = (machine: string, name = 'tw-up0', what: 'bytes' | 'packets' = 'bytes'): number => {
  const links = ipJson<{ ifname: string, stats64: { rx: { packets: number, bytes: number } } }[]>(machine, '-s', 'link', 'show')
  return links.find(({ ifname }) => ifname === name)?.stats64.rx[what] ?? -1
}

const isUsed = async (instance: Instance): Promise<unknown> => (await instance.json<LinkRow[]>('link', 'show', 'vxlan1'))[0]!.tapway.uplink
/** Older kernels have none, which is told. */
const hasUplink = async (t: ExecutionContext, { instance }: { instance: Instance }): Promise<boolean> => {
  if (await isUsed(instance) !== undefined) return true
  t.regex(instance.program.stderr, /no uplink, super-frames are cut and go by the sockets: .*6\.17/)
  t.log('needs Linux 6.17')
  return false
}
const outOfOrder = (host: string): number => Number(/TcpExtTCPOFOQueue\s+(\d+)/.exec(inNs(host, 'nstat', '-asz', 'TcpExtTCPOFOQueue'))![1])

for (const peer of ['kernel', 'tapway'] as const) {
  for (const keys of ['', ', df: set, udpcsum: false', ', ttl: inherit, tos: inherit, df: inherit']) {
    superFrameTest(`to ${peer}${keys}: TCP both ways, super-frames by the uplink`, async (t) => {
      const machines = cable()
      const one = await tapway(machines[0], 1, keys)
      const two = peer === 'kernel' ? kernel(machines[1], 2) : await tapway(machines[1], 2, keys)
      if (!await hasUplink(t, one)) return
      t.is(await isUsed(one.instance), 'tap')
      const before = throughUplink(machines[0])
      await transfer(t, one.host, two.host, '10.0.10.2', { bytes: BYTES })
      t.true(throughUplink(machines[0]) - before > 8 << 20, 'most of it went by the uplink')
      await transfer(t, two.host, one.host, '10.0.10.1', { bytes: BYTES })
      t.true((await one.instance.json<StatsResult>('stats')).balance.ok)
      t.is((await one.instance.stop()).status, 0)
      t.is(throughUplink(machines[0]), -1)
    })
  }
}

superFrameTest('small packets and super-frames of one flow arrive in order', async (t) => {
  const machines = cable()
  const one = await tapway(machines[0], 1)
  const two = kernel(machines[1], 2)
  if (!await hasUplink(t, one)) return
  const before = throughUplink(machines[0])
  await transfer(t, one.host, two.host, '10.0.10.2', { rounds: 400 })
  // 8 MB, of which the small packets do not go by the uplink
  t.true(throughUplink(machines[0]) - before > 4 << 20)
  const [{ stats64 }] = await one.instance.json<[LinkRow]>('-s', 'link', 'show', 'vxlan1')
  t.true(stats64!.tx.packets > throughUplink(machines[0], 'tw-up0', 'packets') + 100)
  t.is(outOfOrder(two.host), 0)
})

uplinkTest('forbidden to forward: told, the sockets take over, and give back', async (t) => {
  const machines = cable()
  const one = await tapway(machines[0], 1)
  const two = kernel(machines[1], 2)
  if (!await hasUplink(t, one)) return
  const forward = (value: number): string => inNs(machines[0], 'sh', '-c', `echo ${value} >/proc/sys/net/ipv4/conf/tw-up0/forwarding`)
  forward(0)
  await until('the sockets have taken over', async () => await isUsed(one.instance) === 'socket')
  await one.instance.program.prints(/super-frames go by the sockets/, 'stderr')
  await transfer(t, one.host, two.host, '10.0.10.2', { bytes: BYTES })
  forward(1)
  await until('it is used again', async () => await isUsed(one.instance) === 'tap')
})

uplinkTest('DF set: a path that is too narrow for super-frames is noticed', async (t) => {
  const { machines, addresses, narrow } = narrowPath()
  const first = await tapway(machines[0], 1, ', df: set', addresses)
  const second = await tapway(machines[1], 2, ', df: set', addresses)
  if (!await hasUplink(t, first)) return
  narrow(1300)
  await transfer(t, first.host, second.host, '10.0.10.2', { bytes: BYTES })
  await first.instance.program.prints(/vxlan1: the path to 10\.77\.2\.1 port 4789 takes packets of 1300 bytes/, 'stderr')
  t.true((await first.instance.json<StatsResult>('stats')).balance.ok)
})

uplinkTest('kill -9 leaves no uplink, and two instances have one each', async (t) => {
  const machines = cable()
  const one = await tapway(machines[0], 1)
  if (!await hasUplink(t, one)) return
  const other = await tapway(machines[0], 1, ', dstport: 4790')
  t.true(throughUplink(machines[0], 'tw-up1') >= 0)
  const { stdout } = await run('cat', [`/run/tapway/${one.instance.name}.json`])
  const { uplinks } = JSON.parse(stdout) as { uplinks: { name: string, netns: null, ifindex: number }[] }
  t.like(uplinks, [{ name: 'tw-up0', netns: null }])
  t.true(uplinks[0]!.ifindex > 0)
  await one.instance.kill()
  await until('it is gone', () => throughUplink(machines[0]) === -1)
  t.true(throughUplink(machines[0], 'tw-up1') >= 0)
  t.is((await run(process.execPath, [BIN, 'down', '--name', one.instance.name])).status, 0)
  t.is((await other.instance.stop()).status, 0)
  t.is(throughUplink(machines[0], 'tw-up1'), -1)
})
