/**
 * Real programs across a tunnel, Tapway on one side and on the other the kernel, Tapway, or Open vSwitch: over a veth pair with
 * all offloads, which hands the tunnel's super-frames and unfinished checksums over as they are, and over one without any.
 */
import test, { type ExecutionContext } from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { inNs, ipJson, netnsTest } from '../helpers/netns.js'
import { exec, run, startIn, until } from '../helpers/tapway.js'
import { echoes, transfer } from '../helpers/traffic.js'
import { createOverlay, type Kind, type LabOptions, type Machine } from './overlay-lab.js'

const overlayTest = netnsTest(test)

const BYTES = 50_000_000

const ping = async (t: ExecutionContext, from: Machine, address: string, ...words: string[]): Promise<void> => {
  const { status, stdout } = await exec(from.host, 'ping', '-c', '3', '-i', '0.05', '-W', '5', ...words, address)
  t.is(status, 0, `${from.kind} pings ${address} ${words.join(' ')}: ${stdout}`)
  t.notRegex(stdout, /wrong data|DUP/, `${from.kind} pings ${address} ${words.join(' ')}`)
}

const pings = async (t: ExecutionContext, from: Machine, to: Machine, mtu: number): Promise<void> => {
  await ping(t, from, to.address)
  await ping(t, from, to.address, '-s', '3000')
  await ping(t, from, to.address, '-s', '20000')
  await ping(t, from, to.address, '-M', 'do', '-s', String(mtu - 28))
}

const linkLocal = ({ host }: Machine): string => ipJson<{ addr_info: { local: string; scope: string }[] }[]>(
  host, '-6', 'addr', 'show', 'dev', 'eth0'
)[0]!.addr_info.find(({ scope }) => scope === 'link')!.local

/** Of UDP datagrams. */
const SIZES = [0, 1, 18, 64, 1400, 1422, 1423, 3000, 20_000, 65_507]

interface IperfEnd {
  sum_sent: { bytes: number; retransmits?: number }
  sum_received: { bytes: number }
  sum: { packets: number; lost_packets: number }
}

const iperf = async (t: ExecutionContext, from: Machine, to: Machine, ...words: string[]): Promise<IperfEnd> => {
  const { status, stdout } = await exec(from.host, 'iperf3', '-c', to.address, '-J', ...words)
  t.is(status, 0, stdout)
  return (JSON.parse(stdout) as { end: IperfEnd }).end
}

/** Datagrams that were lost because whoever should read them from a socket did not get to it. */
const overflows = (machines: readonly Machine[]): number => machines.flatMap(({ name, host }) => [name, host])
  .map((ns) => Number(/UdpRcvbufErrors +(\d+)/.exec(inNs(ns, 'nstat', '-asz', 'UdpRcvbufErrors'))?.[1] ?? 0))
  .reduce((sum, count) => sum + count, 0)

const throughput = async (t: ExecutionContext, from: Machine, to: Machine, mtu: number): Promise<void> => {
  const server = startIn(to.host, 'iperf3', '-s', '--forceflush')
  await server.prints(/listening/i)
  for (const direction of [[], ['-R']]) {
    const { sum_sent, sum_received } = await iperf(t, from, to, '-t', '1', ...direction)
    const what = `${from.kind} ${direction.length === 0 ? 'to' : 'from'} ${to.kind}`
    t.true(sum_received.bytes > 4 << 20, `TCP, ${what}: ${sum_received.bytes} bytes`)
    // Every segment sent again is one that was lost: some where a queue is full, more on a machine that is busy; Open vSwitch does not keep up
    const segments = sum_sent.bytes / (mtu - 52)
    const few = to.kind === 'ovs' ? segments : 50 + segments / 10
    t.true((sum_sent.retransmits ?? 0) < few, `TCP, ${what}: ${sum_sent.retransmits} of ${segments} segments sent again`)
    for (const size of [1400, 3000]) {
      const before = overflows([from, to])
      const { sum } = await iperf(t, from, to, '-u', '-b', '20M', '-l', String(size), '-t', '1', ...direction)
      const missed = overflows([from, to]) - before
      t.true(sum.packets > 500, `UDP, ${what}: ${sum.packets} datagrams of ${size}`)
      t.true((sum.lost_packets - missed) * 20 <= sum.packets,
        `UDP, ${what}: ${sum.lost_packets} of ${sum.packets} datagrams of ${size} lost`)
    }
  }
  await server.stop()
}

/** Asks for an address by broadcast, says who answers. */
const ARPING = `
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind(('eth0', 0x0806)); s.settimeout(5)
me = s.getsockname()[4]
ip = [socket.inet_aton(a) for a in sys.argv[1:3]]
s.send(b'\\xff' * 6 + me + struct.pack('!HHHBBH', 0x0806, 1, 0x0800, 6, 4, 1) + me + ip[0] + b'\\0' * 6 + ip[1])
while True:
    f = s.recv(2000)
    if f[20:22] == b'\\0\\2' and f[28:32] == ip[1]: print(f[22:28].hex(':')); break
`

/** Joins a group and says what comes. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 5000))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(sys.argv[1]) + socket.inet_aton(sys.argv[2]))
print('listening', flush=True)
for i in range(5): print(len(s.recv(70000)), flush=True)
`

const SPEAK = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[2]))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
for n in (0, 100, 1400, 3000, 20000): s.sendto(b'x' * n, (sys.argv[1], 5000))
`

const toMany = async (t: ExecutionContext, from: Machine, to: Machine): Promise<void> => {
  const lladdr = inNs(to.host, 'cat', '/sys/class/net/eth0/address').trim()
  const { stdout } = await exec(from.host, 'python3', '-c', ARPING, from.address, to.address)
  t.is(stdout.trim(), lladdr, `${from.kind} asks for ${to.address}`)
  for (const { host } of [from,
    to]) inNs(host, 'sh', '-c', `echo ${host === to.host ? 0 : 1} >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts`)
  // More than once: the kernel drops an answer where those of another test, for a neighbour that is not there, fill what all namespaces send ICMP by
  await until(`${from.kind} pings all`, async () =>
    (await exec(from.host, 'ping', '-b', '-c', '1', '-W', '1', '10.0.10.255')).stdout.includes(`bytes from ${to.address}`))
  const listener = startIn(to.host, 'python3', '-u', '-c', LISTEN, '239.1.2.3', to.address)
  await listener.prints(/listening/)
  t.is((await exec(from.host, 'python3', '-c', SPEAK, '239.1.2.3', from.address)).status, 0)
  await listener.prints(/listening\n0\n100\n1400\n3000\n20000\n/)
}

/** A packet with DF that does not fit: whoever sent it is told. */
const tooBig = async (t: ExecutionContext, from: Machine, to: Machine, mtu: number): Promise<void> => {
  inNs(from.host, 'ip', 'link', 'set', 'eth0', 'mtu', '1500')
  await exec(from.name, 'ip', 'link', 'set', 'port1', 'mtu', '1500') // where there is one
  const { status, stdout } = await exec(from.host, 'ping', '-c', '1', '-W', '5', '-M', 'do', '-s', '1472', to.address)
  t.is(status, 1)
  t.regex(stdout, new RegExp(`Frag needed and DF set \\(mtu = ${mtu}\\)`), `${from.kind} is told`)
  inNs(from.host, 'sh', '-c', `ip link set eth0 mtu ${mtu}; ip route flush cache`)
}

/** Errors of checksums and of reassembly that the containers' kernels have counted. */
const errors = (host: string): string[] =>
  inNs(host, 'nstat', '-asz', 'TcpInCsumErrors', 'UdpInCsumErrors', 'IcmpInCsumErrors', 'IpExtInCsumErrors', 'IpInHdrErrors')
    .split('\n').filter((line) => /^\w+ +[1-9]/.test(line))

const finish = async (t: ExecutionContext, machines: readonly Machine[]): Promise<void> => {
  for (const { host, kind, instance } of machines) {
    t.deepEqual(errors(host), [], `the container behind ${kind}`)
    if (instance === undefined) continue
    await until('nothing is on its way', async () => (await instance.json<StatsResult>('stats')).balance.held === 0)
    const { balance, drops } = await instance.json<StatsResult>('stats')
    t.true(balance.ok, 'every packet ended once')
    const lost = drops.filter(({ packets }) => packets > 0).map(({ reason, packets }) => `${reason} ${packets}`)
    t.log(`${kind}: ${lost.join(', ') || 'no drops'}`)
    t.deepEqual(drops.filter(({ reason, packets }) => packets > 0
      && /checksum|malformed|truncated|short|pool|error/.test(reason)), [])
  }
}

const everything = async (t: ExecutionContext, kinds: readonly [Kind, Kind], options: LabOptions = {}): Promise<void> => {
  const machines = await createOverlay(kinds, options)
  const mtu = options.ipv6 === true ? 1430 : 1450
  const [one, other] = machines
  await until('the tunnel is there', async () => (await exec(one.host, 'ping', '-c', '1', '-W', '1', other.address)).status === 0)
  for (const [from, to] of [[one, other], [other, one]] as const) {
    await pings(t, from, to, mtu)
    await toMany(t, from, to)
    await echoes(t, from.host, to.host, to.address, SIZES)
    for (const address of [to.address, `${linkLocal(to)}%eth0`]) await transfer(t, from.host, to.host, address, { bytes: BYTES })
  }
  await throughput(t, one, other, mtu)
  for (const [from, to] of [[one, other], [other, one]] as const) if (from.kind === 'tapway') await tooBig(t, from, to, mtu)
  await finish(t, machines)
}

const LABS: readonly (readonly [title: string, kinds: readonly [Kind, Kind], options?: LabOptions])[] = [
  ['Tapway and the kernel, all offloads on', ['tapway', 'kernel']],
  ['Tapway and the kernel, offloads of the underlay off', ['tapway', 'kernel'], { offloads: false }],
  ['Tapway and the kernel, no outer checksum', ['tapway', 'kernel'],
    { keys: { tapway: ', udpcsum: false', kernel: 'noudpcsum' } }],
  ['Tapway and the kernel, df set', ['tapway', 'kernel'], { keys: { tapway: ', df: set', kernel: 'df set' } }],
  ['Tapway without offloads and the kernel', ['tapway', 'kernel'], { args: ['--no-offload'] }],
  ["Tapway with a container's veth pair, and the kernel", ['tapway', 'kernel'], { device: true }],
  ['Tapway and the kernel over IPv6', ['tapway', 'kernel'], { ipv6: true }],
  ['Tapway and Tapway', ['tapway', 'tapway']],
  ['Tapway and Tapway, offloads of the underlay off', ['tapway', 'tapway'], { offloads: false }],
  ['Tapway and Tapway over IPv6', ['tapway', 'tapway'], { ipv6: true }]
]

for (const [title, kinds, options] of LABS) overlayTest(title, (t) => everything(t, kinds, options))

const hasOvs = async (): Promise<boolean> =>
  (await run('sh', ['-c', 'command -v ovs-vswitchd ovsdb-server ovs-vsctl'])).status === 0

overlayTest('Tapway and Open vSwitch', async (t) => {
  if (!await hasOvs()) {
    if (process.env['CI'] !== undefined) t.fail('openvswitch-switch is not installed')
    t.log('openvswitch-switch is not installed: scripts/setup.sh test')
    t.pass()
    return
  }
  await everything(t, ['tapway', 'ovs'])
})
