/** Uplinks in real namespaces: what is set and what is not, when they are used, what is written down. */
import { closeSync, existsSync, openSync } from 'node:fs'
import test from 'ava'
import { Uplink } from '../../src/lab/uplink.js'
import { close, openUplink } from '../../src/native.js'
import { addNetns, inNs, ip, ipJson, netnsTest, onSweep, sysctl } from '../helpers/netns.js'

const uplinkTest = netnsTest(test)

const LOCAL = '192.168.77.1'
/** By its path: ava brings another program of that name. */
const NFT = '/usr/sbin/nft'

const machine = (): { netns: string, ns: number } => {
  const netns = addNetns()
  ip('-n', netns, 'link', 'set', 'lo', 'up')
  ip('-n', netns, 'addr', 'add', `${LOCAL}/32`, 'dev', 'lo')
  const ns = openSync(`/run/netns/${netns}`, 'r')
  onSweep(() => closeSync(ns))
  return { netns, ns }
}

const set = (netns: string, path: string, value: string): void => {
  inNs(netns, 'sh', '-c', `echo ${value} >/proc/sys/net/ipv4/${path}`)
}

/** Undefined, and said so, where the kernel has no such thing. */
const open = async (ns: number, told: unknown[] = []): Promise<Uplink | undefined> => {
  try {
    return await Uplink.open(ns, (name, ifindex) => told.push([name, ifindex]), (fd) => onSweep(() => close(fd)))
  } catch (error) {
    if (/6\.17/.test(String(error))) return undefined
    throw error
  }
}

uplinkTest('the first free name, told before it is there; its own settings and nobody else\'s', async (t) => {
  const { netns, ns } = machine()
  ip('-n', netns, 'link', 'add', 'tw-up0', 'type', 'veth', 'peer', 'name', 'other')
  const before = ['ip_forward', 'conf/all/forwarding', 'conf/all/accept_local', 'conf/all/rp_filter', 'conf/lo/forwarding'].map((path) => sysctl(netns, `net/ipv4/${path}`))
  const told: [string, number | null][] = []
  const uplink = await open(ns, told)
  if (uplink === undefined) return t.log('needs Linux 6.17')
  t.is(uplink.name, 'tw-up1')
  t.is(uplink.ttl, Number(sysctl(netns, 'net/ipv4/ip_default_ttl')))
  t.deepEqual(told, [['tw-up1', null], ['tw-up1', uplink.ifindex]])
  t.is(ipJson<{ ifindex: number }[]>(netns, 'link', 'show', 'dev', 'tw-up1')[0]!.ifindex, uplink.ifindex)
  const after = ['ip_forward', 'conf/all/forwarding', 'conf/all/accept_local', 'conf/all/rp_filter', 'conf/lo/forwarding'].map((path) => sysctl(netns, `net/ipv4/${path}`))
  t.deepEqual(after, before)
  t.true(uplink.passes(LOCAL))
  t.is((await open(ns))!.name, 'tw-up2')
})

uplinkTest('it passes whatever the machine thinks of forwarding and of reverse paths, and not once its own are forbidden', async (t) => {
  const { netns, ns } = machine()
  set(netns, 'ip_forward', '0')
  const uplink = await open(ns)
  if (uplink === undefined) return t.log('needs Linux 6.17')
  for (const filter of ['0', '1', '2']) {
    set(netns, 'conf/all/rp_filter', filter)
    t.true(uplink.passes(LOCAL), `rp_filter ${filter}`)
  }
  t.false(uplink.passes('192.168.77.9'), 'an address that is not its own, and with no way back')
  set(netns, `conf/${uplink.name}/forwarding`, '0')
  t.false(uplink.passes(LOCAL))
  set(netns, `conf/${uplink.name}/forwarding`, '1')
  t.true(uplink.passes(LOCAL))
})

uplinkTest('a firewall that forbids forwarding is noticed', async (t) => {
  const { netns, ns } = machine()
  const uplink = await open(ns)
  if (uplink === undefined) return t.log('needs Linux 6.17')
  if (!existsSync(NFT)) return t.log('needs nft')
  try {
    inNs(netns, NFT, 'add table ip f; add chain ip f forwarded { type filter hook forward priority 0; policy drop; }')
  } catch {
    return t.log('the kernel has no nf_tables')
  }
  t.false(uplink.passes(LOCAL))
  inNs(netns, NFT, 'flush ruleset')
  t.true(uplink.passes(LOCAL))
})

uplinkTest('two at the same time do not take each other\'s probes, and both are gone with their descriptors', async (t) => {
  const { netns, ns } = machine()
  const fds: number[] = []
  const one = await open(ns)
  if (one === undefined) return t.log('needs Linux 6.17')
  const two = await Uplink.open(ns, () => undefined, (fd) => fds.push(fd))
  t.true(one.passes(LOCAL))
  t.true(two.passes(LOCAL))
  close(fds[0]!)
  t.false(ip('-n', netns, 'link').includes(two.name))
  t.false(two.passes(LOCAL))
  t.true(one.passes(LOCAL))
})

uplinkTest('a name that is taken is EEXIST', (t) => {
  const { netns, ns } = machine()
  ip('-n', netns, 'link', 'add', 'tw-up0', 'type', 'veth', 'peer', 'name', 'other')
  t.throws(() => openUplink({ netns: ns, name: 'tw-up0' }), { code: 'EEXIST' })
})
