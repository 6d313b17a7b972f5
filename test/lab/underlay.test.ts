/** The sockets of the underlay in real namespaces: how many and where, what is refused, and in which words. */
import { closeSync, openSync } from 'node:fs'
import test from 'ava'
import { parseNetworkFile } from '../../src/config/load.js'
import type { Vxlan } from '../../src/config/types.js'
import { LabError, type LabLog } from '../../src/lab/types.js'
import { underlayMtu } from '../../src/lab/underlay-look.js'
import { Underlay, type UnderlayOptions, type UdpSockets } from '../../src/lab/underlay.js'
import { close, openUdp } from '../../src/native.js'
import { addNetns, inNs, ip, netnsTest, onSweep, uniqueName } from '../helpers/netns.js'

const underlayTest = netnsTest(test)

/** The VXLANs of a file that has only them, each with these keys, in a namespace. */
const vxlans = (netns: string, ...lines: string[]): readonly Vxlan[] => parseNetworkFile(
  `version: 1\nbridges: { br0: {} }\nvxlans:\n${lines.map((line, i) => `  v${i}: { bridge: br0, id: ${i + 1}, netns: ${netns}, ${line} }`).join('\n')}`,
  'test.yaml',
).vxlans

const machine = (): string => {
  const netns = addNetns()
  ip('-n', netns, 'link', 'set', 'lo', 'up')
  ip('-n', netns, 'addr', 'add', '192.168.77.1/32', 'dev', 'lo')
  ip('-n', netns, 'addr', 'add', 'fd77::1/128', 'dev', 'lo')
  return netns
}

interface Told { readonly warnings: string[], readonly options: UnderlayOptions }

const options = (more: Partial<UnderlayOptions> = {}): Told => {
  const warnings: string[] = []
  const log: LabLog = { info: () => {}, debug: () => {}, warn: (text) => { warnings.push(text) } }
  return { warnings, options: { instance: uniqueName('u'), log, udpSegment: true, udpGro: true, ...more } }
}

const open = async (list: readonly Vxlan[], given = options().options): Promise<Underlay> => {
  const underlay = await Underlay.open(list, given)
  onSweep(() => underlay.close())
  return underlay
}

/** Local ends of the UDP sockets of a namespace, `ADDRESS:PORT`. */
const bound = (netns: string): string[] =>
  inNs(netns, 'ss', '-Hunap').split('\n').filter((line) => line !== '').map((line) => line.trim().split(/\s+/)[3]!)

const ports = (netns: string): number[] =>
  bound(netns).map((text) => Number(text.slice(text.lastIndexOf(':') + 1))).filter((port) => port !== 4789).sort((a, b) => a - b)

underlayTest('one socket receives, a pool sends from ports over the whole range, and all is closed', async (t) => {
  const netns = machine()
  const list = vxlans(netns, 'local: 192.168.77.1', 'local: 192.168.77.1')
  const { warnings, options: given } = options()
  const underlay = await open(list, given)
  const { receive, send, sendDf, gso } = underlay.tunnel('v0')
  t.deepEqual([receive.length, send.length, sendDf.length, gso], [1, 32, 0, true])
  t.deepEqual(underlay.tunnel('v1'), underlay.tunnel('v0'))
  t.is(bound(netns).filter((text) => text === '192.168.77.1:4789').length, 1)
  const found = ports(netns)
  t.is(new Set(found).size, 32)
  // A port in each of 32 equal parts of the range.
  t.deepEqual(found.map((port) => Math.floor((port - 49152) / (16384 / 32))), [...Array(32).keys()])
  underlay.close()
  t.deepEqual(bound(netns), [])
  t.deepEqual(warnings, [])
})

underlayTest('IPv6, DF and no checksum', async (t) => {
  const netns = machine()
  const underlay = await open(vxlans(netns, 'local: fd77::1, df: inherit', 'local: fd77::1, df: set', 'local: fd77::1, udpcsum: false, df: set'))
  const [both, set, bare] = ['v0', 'v1', 'v2'].map((name) => underlay.tunnel(name))
  t.deepEqual([both!.send.length, both!.sendDf.length, both!.gso], [32, 32, true])
  t.deepEqual(set, { receive: both!.receive, send: both!.sendDf, sendDf: both!.sendDf, gso: true })
  t.deepEqual([bare!.receive, bare!.gso], [both!.receive, false])
  t.true(bound(netns).includes('[fd77::1]:4789'))
})

underlayTest('UDP_SEGMENT switched off', async (t) => {
  const underlay = await open(vxlans(machine(), 'local: 192.168.77.1'), options({ udpSegment: false }).options)
  t.false(underlay.tunnel('v0').gso)
})

/** A socket of this process in a namespace, on a port of an address. */
const occupy = (netns: string, address: string, port: number): void => {
  const ns = openSync(`/run/netns/${netns}`, 'r')
  const { fd } = openUdp({ netns: ns, family: 4, address, port, gro: false, df: false, checksum: true, receive: false })
  closeSync(ns)
  onSweep(() => close(fd))
}

underlayTest('ports that are taken are gone round; a range with none left is refused, with nothing left open', async (t) => {
  const netns = machine()
  for (const port of [40000, 40002]) occupy(netns, '0.0.0.0', port)
  const underlay = await open(vxlans(netns, 'local: 192.168.77.1, srcport: [40000, 40003]'))
  t.deepEqual(ports(netns), [40000, 40001, 40002, 40003])
  t.is(underlay.tunnel('v0').send.length, 2)
  underlay.close()
  const before = bound(netns)
  const error = await t.throwsAsync(open(vxlans(netns, 'local: 192.168.77.1, srcport: [40002, 40002]')), { instanceOf: LabError })
  t.is(error.exitCode, 1)
  t.is(error.message, 'vxlan "v0": no UDP port of 192.168.77.1 from 40002 to 40002 is free: give it another srcport')
  t.deepEqual(bound(netns), before)
})

underlayTest('a port that is taken is told in one line, with who has it', async (t) => {
  const netns = machine()
  const refused = async (words: RegExp): Promise<void> => {
    const error = await t.throwsAsync(open(vxlans(netns, 'local: 192.168.77.1')), { instanceOf: LabError })
    t.is(error.exitCode, 1)
    t.regex(error.message, words)
    t.false(error.message.includes('\n'))
  }
  ip('-n', netns, 'link', 'add', 'vx9', 'type', 'vxlan', 'id', '9', 'dstport', '4789')
  ip('-n', netns, 'link', 'set', 'vx9', 'up')
  await refused(/^UDP port 4789 of 192\.168\.77\.1 is taken by the kernel's device vx9 /)
  ip('-n', netns, 'link', 'del', 'vx9')
  occupy(netns, '192.168.77.1', 4789)
  await refused(new RegExp(`^UDP port 4789 of 192\\.168\\.77\\.1 is taken by \\S+ \\(process ${process.pid}\\): `))
})

underlayTest('an address that is not there yet is told, and works', async (t) => {
  const netns = machine()
  const { warnings, options: given } = options()
  await open(vxlans(netns, 'local: 192.168.77.8', 'local: 192.168.77.1'), given)
  t.deepEqual(warnings, [`vxlan "v0": no interface in namespace "${netns}" has its address 192.168.77.8 yet: nothing is sent or received until one has`])
  t.true(bound(netns).includes('192.168.77.8:4789'))
})

underlayTest('a namespace or device that is not there', async (t) => {
  const missing = await t.throwsAsync(open(vxlans(uniqueName('none'), 'local: 192.168.77.1')), { instanceOf: LabError })
  t.is(missing.exitCode, 2)
  t.regex(missing.message, /^vxlan "v0": namespace "[^"]*" does not exist$/)
  const error = await t.throwsAsync(open(vxlans(machine(), 'group: 239.1.1.1, dev: eth7')), { instanceOf: LabError })
  t.regex(error.message, /^vxlan "v0": .*there is no device "eth7"$/)
})

underlayTest('groups are joined on their device, and what is sent there arrives', async (t) => {
  const [a, b] = [addNetns(), addNetns()]
  ip('-n', a, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b)
  ip('-n', a, 'addr', 'add', '192.168.78.1/24', 'dev', 'eth0')
  for (const netns of [a, b]) ip('-n', netns, 'link', 'set', 'eth0', 'up')
  const memberships = (): string[] => ['239.1.1.1', '239.1.1.2', '239.1.1.3'].filter((group) => ip('-n', a, 'maddr', 'show', 'dev', 'eth0').includes(group))
  const one = await open(vxlans(a, 'group: 239.1.1.1, dev: eth0, local: 192.168.78.1'))
  t.is(one.tunnel('v0').receive.length, 2)
  t.deepEqual(memberships(), ['239.1.1.1'])
  one.close()
  t.deepEqual(memberships(), [])
  const two = await open(vxlans(a, 'group: 239.1.1.2, dev: eth0', 'group: 239.1.1.3, dev: eth0'))
  t.is(two.tunnel('v0').receive.length, 1)
  t.deepEqual(memberships(), ['239.1.1.2', '239.1.1.3'])
  // ss(8) tells what waits unread in the socket.
  const waiting = (): number => Number(inNs(a, 'ss', '-Hunap', 'sport', '=', ':4789').trim().split(/\s+/)[1])
  t.is(waiting(), 0)
  ip('-n', b, 'addr', 'add', '192.168.78.2/24', 'dev', 'eth0')
  inNs(b, 'python3', '-c', `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('192.168.78.2'))
for g in ('239.1.1.2', '239.1.1.3'): s.sendto(b'x' * 100, (g, 4789))`)
  t.true(waiting() > 0, 'a socket of any address takes what is sent to both groups')
})

underlayTest('the MTU of an underlay: by its device, the route to the peer, the device of the address', async (t) => {
  const netns = addNetns()
  ip('-n', netns, 'link', 'add', 'eth0', 'mtu', '1400', 'type', 'veth', 'peer', 'name', 'eth1', 'mtu', '1300')
  for (const [dev, address] of [['eth0', '10.9.0.1/24'], ['eth1', '10.9.1.1/24'], ['eth1', 'fd09::1/64']] as const) {
    ip('-n', netns, 'addr', 'add', address, 'dev', dev, ...(address.includes(':') ? ['nodad'] : []))
    ip('-n', netns, 'link', 'set', dev, 'up')
  }
  ip('-n', netns, 'route', 'add', '10.8.0.0/24', 'via', '10.9.0.7', 'mtu', '1234')
  t.is(await underlayMtu({ netns, remote: ['10.9.1.9'], dev: 'eth0' }), 1400)
  t.is(await underlayMtu({ netns, remote: ['10.9.1.9'] }), 1300)
  t.is(await underlayMtu({ netns, remote: ['10.8.0.9'], local: '10.9.0.1' }), 1234)
  t.is(await underlayMtu({ netns, remote: ['10.9.0.9'], local: '10.99.0.1' }), 1400, 'an address that is not there yet')
  t.is(await underlayMtu({ netns, remote: ['fd09::9'] }), 1300)
  t.is(await underlayMtu({ netns, remote: [], local: '10.9.1.1' }), 1300)
  t.is(await underlayMtu({ netns, remote: ['172.16.0.1'], local: '10.9.1.1' }), 1300, 'no route to the peer')
  t.is(await underlayMtu({ netns, remote: ['172.16.0.1'] }), undefined)
  t.is(await underlayMtu({ netns: uniqueName('none'), remote: [], dev: 'eth0' }), undefined)
})

test('sockets of another kind can be given, and a failure closes those that were opened', async (t) => {
  const opened: number[] = []
  const sockets: UdpSockets = {
    openUdp: ({ port, receive }) => {
      if (!receive && opened.length > 5) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
      opened.push(port)
      return { fd: opened.length, port, gro: true, segment: true }
    },
    close: () => { opened.pop() },
  }
  const list = vxlans('x', 'local: 192.168.77.1').map(({ netns: _, ...rest }) => rest)
  await t.throwsAsync(Underlay.open(list, options({ sockets }).options), { instanceOf: LabError, message: /^vxlan "v0": cannot open a UDP port .*too many/ })
  t.deepEqual(opened, [])
})
