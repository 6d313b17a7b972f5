/**
 * The mark of a source app between a cell and the kernel's vxlan with gbp: what we send arrives there as the mark of the packet, where
 * nftables counts it, and what nftables marks there we judge.
 */
import test, { type ExecutionContext } from 'ava'
import type { DeniedRow } from '../../src/network/operations.js'
import { addNetns, inNs, ip, netnsTest, uniqueName } from '../helpers/netns.js'
import type { Instance } from '../helpers/tapway.js'
import { linkName, macOf } from '../network/cells-lab.js'
import {
  NO_ANSWER, UNDERLAYS, cable, curl, datagram, drops, exec, fileOf, ping, serve, setSysctl, startCell, startIn, traffic
} from './cells.js'

const systemTest = netnsTest(test)

const A = '10.255.96.3'
const K = '10.255.97.3'
const KERNEL_END = '10.255.97.0'
const CELL_END = '10.255.96.0'
/** By its path: a package that ava needs puts another `nft` on the path of npx. */
const NFT = '/usr/sbin/nft'

const nft = (machine: string, ...lines: string[]): string => inNs(machine, NFT, lines.join('\n'))

/** Cell 2 of the kernel's parts: the platform's routed overlay, with one container, whose packets nftables marks. */
const kernelCell = (machine: string, gbp = true): string => {
  const container = addNetns(uniqueName('k'))
  const link = linkName(K)
  for (const path of ['ipv4/conf/all/rp_filter', 'ipv4/conf/default/rp_filter']) setSysctl(machine, path, 0)
  setSysctl(machine, 'ipv4/ip_forward', 1)
  ip('-n', machine, 'link', 'add', 'silk-vtep', 'address', macOf('ee:ee', KERNEL_END), 'mtu', '1450', 'type', 'vxlan', 'id', '1',
    'local', UNDERLAYS[1], 'dstport', '4789', 'nolearning', ...(gbp ? ['gbp'] : []))
  ip('-n', machine, 'addr', 'add', `${KERNEL_END}/32`, 'dev', 'silk-vtep')
  ip('-n', machine, 'link', 'set', 'silk-vtep', 'up')
  ip('-n', machine, 'route', 'add', '10.255.96.0/24', 'via', CELL_END, 'dev', 'silk-vtep', 'onlink', 'src', KERNEL_END)
  ip('-n', machine, 'neigh', 'add', CELL_END, 'lladdr', macOf('ee:ee', CELL_END), 'dev', 'silk-vtep', 'nud', 'permanent')
  inNs(machine, 'bridge', 'fdb', 'add', macOf('ee:ee', CELL_END), 'dev', 'silk-vtep', 'dst', UNDERLAYS[0])

  ip('-n', machine, 'link', 'add', link, 'mtu', '1450', 'type', 'veth', 'peer', 'name', 'eth0', 'mtu', '1450', 'netns', container)
  ip('-n', machine, 'addr', 'add', '169.254.0.1/32', 'peer', K, 'dev', link)
  ip('-n', machine, 'link', 'set', link, 'up')
  ip('-n', container, 'link', 'set', 'eth0', 'up')
  ip('-n', container, 'addr', 'add', K, 'peer', '169.254.0.1', 'dev', 'eth0')
  ip('-n', container, 'route', 'add', 'default', 'via', '169.254.0.1', 'dev', 'eth0')

  nft(machine, 'add table ip marks', 'add counter ip marks a', 'add counter ip marks b', 'add counter ip marks other',
    'add chain ip marks give { type filter hook prerouting priority mangle; }',
    'add chain ip marks see { type filter hook forward priority filter; }',
    'add rule ip marks see iifname silk-vtep meta mark 1001 counter name a accept',
    'add rule ip marks see iifname silk-vtep meta mark 1002 counter name b accept',
    'add rule ip marks see iifname silk-vtep counter name other')
  return container
}

/** What comes from the kernel's container has this mark from now on. */
const setMark = (machine: string, mark: number | string): void => {
  nft(machine, 'flush chain ip marks give', `add rule ip marks give iifname ${linkName(K)} meta mark set ${mark}`)
}

/** Packets by mark since the last call: of app A (1001), of B (1002), others. */
const counted = (machine: string): { a: number; b: number; other: number } => {
  interface Counters { nftables: { counter?: { name: string; packets: number } }[] }
  const { nftables } = JSON.parse(inNs(machine, NFT, '-j', 'reset', 'counters')) as Counters
  const of = (name: string): number => nftables.find(({ counter }) => counter?.name === name)!.counter!.packets
  return { a: of('a'), b: of('b'), other: of('other') }
}

const APPS = (a: string, b: string, policies: string): string => `apps:
  A: { id: 1001, hosts: ${a} }
  B: { id: 1002, hosts: ${b} }
  K: { id: 1003 }
policies:
${policies}`

const startPair = async (policies: string, kernelGbp = true, ...args: string[]) => {
  const machines = cable()
  const k = kernelCell(machines[1], kernelGbp)
  const [a, b] = [uniqueName('a'), uniqueName('b')]
  const cell = await startCell(machines[0], fileOf(0, { [a]: 3, [b]: 4 }, APPS(a, b, policies)), ...args)
  return { machine: machines[1], a, b, k, cell }
}

const denied = async (cell: Instance): Promise<string[]> =>
  (await cell.json<DeniedRow[]>('policy', 'denied')).map((d) => `${d.from ?? d.mark} ${d.to} ${d.protocol} ${d.port ?? ''}`.trim()).sort()

const K_TO_A = `  - { from: K, to: A, protocol: tcp, ports: 8080 }
  - { from: K, to: A, protocol: udp, ports: 8888 }
  - { from: K, to: A, protocol: icmp }`

/** Random bytes on TCP, compared by their digest. */
const transfer = async (t: ExecutionContext, from: string, to: string, address: string): Promise<void> => {
  const receiver = startIn(to, ...traffic('receive', '8080'))
  await receiver.prints(/listening/)
  const { status, stdout, stderr } = await exec(from, ...traffic('send', address, '8080', String(4 << 20)))
  t.is(status, 0, stderr)
  await receiver.prints(new RegExp(`^${stdout.trim()}$`, 'm'))
  await receiver.stop()
}

for (const args of [[], ['--no-offload', '--no-udp-segment', '--no-udp-gro', '--no-coalesce']]) {
  systemTest(`our mark is the kernel's: on every packet, of every size, also of answers: ${args.join(' ') || 'all shortcuts'}`, async (t) => {
    const { machine, a, b, k, cell } = await startPair(K_TO_A, true, ...args)
    setMark(machine, 1003)
    t.true(await ping(a, K))
    t.deepEqual(counted(machine), { a: 1, b: 0, other: 0 })
    t.true(await ping(b, K))
    t.true(await ping(b, K, '-s', '4000')) // three fragments
    t.deepEqual(counted(machine), { a: 0, b: 4, other: 0 })
    await transfer(t, a, k, K)
    const sent = counted(machine)
    t.true(sent.a > 4)
    t.deepEqual(sent, { a: sent.a, b: 0, other: 0 })
    await transfer(t, k, a, A)
    const answered = counted(machine)
    t.true(answered.a > 4)
    t.deepEqual(answered, { a: answered.a, b: 0, other: 0 })
    t.deepEqual(await drops(cell), {})
  })
}

systemTest('we judge by the mark that the kernel sends', async (t) => {
  const { machine, a, k, cell } = await startPair(K_TO_A)
  await serve(a, 'tcp/8080', 'tcp/9090')
  setMark(machine, 1003)
  t.is((await curl(k, A, 8080)).stdout, `hello from ${A} to ${K}\n`)
  t.is((await curl(k, A, 9090, 0.4)).status, NO_ANSWER)
  t.true(await ping(k, A, '-s', '4000'))
  const echo = startIn(a, ...traffic('echo', '8888'))
  await echo.prints(/listening/)
  t.is((await exec(k, ...traffic('probe', A, '8888', '20', '20000'))).stdout, '20 same\n20000 same\n')
  t.deepEqual(await denied(cell), ['K A tcp 9090'])

  // Another app of ours, an app nobody here knows, and policy already applied elsewhere (bit 19), which is of no concern here
  setMark(machine, 1002)
  t.is((await curl(k, A, 8080, 0.4)).status, NO_ANSWER)
  setMark(machine, 777)
  t.is((await curl(k, A, 8080, 0.4)).status, NO_ANSWER)
  t.deepEqual(await denied(cell), ['777 A tcp 8080', 'B A tcp 8080', 'K A tcp 9090'])
  const lost = (await drops(cell))['policy-denied']
  setMark(machine, 0x80000 | 1003)
  t.is((await curl(k, A, 8080)).status, 0)
  t.is((await drops(cell))['policy-denied'], lost)

  // Answers find their way with any mark: these conversations were opened here
  await serve(k, 'tcp/8080')
  for (const mark of [1003, 777, 0]) {
    setMark(machine, mark)
    t.is((await curl(a, K, 8080)).stdout, `hello from ${K} to ${A}\n`)
  }
})

systemTest('without a mark: denied, counted, and said', async (t) => {
  const { machine, a, k, cell } = await startPair(K_TO_A)
  await serve(a, 'tcp/8080')
  setMark(machine, 0)
  t.is((await curl(k, A, 8080, 0.4)).status, NO_ANSWER)
  t.false(await ping(k, A, '-W', '0.4'))
  await datagram(k, A, 8888)
  t.deepEqual(await denied(cell), ['0 A icmp', '0 A tcp 8080', '0 A udp 8888'])
  t.deepEqual(Object.keys(await drops(cell)), ['policy-unmarked'])
  const { stdout } = await cell.tapway('policy', 'denied')
  await cell.program.prints(/"level":40[^\n]*: packets from peer 192\.168\.77\.2 have no mark/, 'stderr')
  t.regex(stdout, /^from unmarked to A protocol tcp port 8080 packets [12] src 10\.255\.97\.3 dst 10\.255\.96\.3 age \d+sec$/m)
  setMark(machine, 1003)
  t.is((await curl(k, A, 8080)).status, 0)
})

systemTest('a kernel without gbp: what it sends is unmarked', async (t) => {
  const { machine, a, k, cell } = await startPair(K_TO_A, false)
  await serve(a, 'tcp/8080')
  setMark(machine, 1003) // of no effect: the header has no room for it
  t.is((await curl(k, A, 8080, 0.4)).status, NO_ANSWER)
  t.deepEqual(await denied(cell), ['0 A tcp 8080'])
  t.deepEqual(Object.keys(await drops(cell)), ['policy-unmarked'])
  // And it does not take what is marked
  t.false(await ping(a, K, '-W', '0.4'))
  t.deepEqual(counted(machine), { a: 0, b: 0, other: 0 })
})
