/**
 * Apps and policies with real containers, programs and tunnels: two cells, `a` (app A) and `b1` (B) on one, `b2` (B) and `c`
 * (C) on the other. What is allowed carries every kind of traffic; what is denied does not arrive.
 */
import test, { type ExecutionContext } from 'ava'
import type { DeniedRow, FlowRow, PolicyRow } from '../../src/network/operations.js'
import { addNetns, inNs, netnsTest, uniqueName } from '../helpers/netns.js'
import { type Instance, run, until } from '../helpers/tapway.js'
import { macOf } from '../network/cells-lab.js'
import {
  NO_ANSWER, cable, curl, datagram, drops, exec, fileOf, ping, serve, startCell, startIn, traffic, type Pair
} from './cells.js'

const systemTest = netnsTest(test)

const A = '10.255.96.3'
const B1 = '10.255.96.4'
const B2 = '10.255.97.3'
const C = '10.255.97.4'

interface Hosts { a: string; b1: string; b2: string; c: string }

const newHosts = (): Hosts => ({ a: uniqueName('a'), b1: uniqueName('b'), b2: uniqueName('b'), c: uniqueName('c') })

const policies = (lines: readonly string[]): string =>
  (lines.length === 0 ? '' : `policies:\n${lines.map((line) => `  - { ${line} }\n`).join('')}`)

const files = ({ a, b1, b2, c }: Hosts, lines: readonly string[], gbp: Pair<boolean> = [true, true]): Pair<string> => [
  fileOf(0, { [a]: 3, [b1]: 4 }, `apps:
  { A: { id: 1001, hosts: ${a} }, B: { id: 1002, hosts: ${b1} }, C: { id: 1003 } }
${policies(lines)}`, gbp[0]),
  fileOf(1, { [b2]: 3, [c]: 4 }, `apps:
  { A: { id: 1001 }, B: { id: 1002, hosts: ${b2} }, C: { id: 1003, hosts: ${c} } }
${policies(lines)}`, gbp[1])
]

const startCells = async (lines: readonly string[], { gbp, args = [] }: { gbp?: Pair<boolean>; args?: readonly string[] } = {}) => {
  const machines = cable()
  const hosts = newHosts()
  const [first, second] = files(hosts, lines, gbp)
  const [one, two] = await Promise.all([startCell(machines[0], first, ...args), startCell(machines[1], second, ...args)])
  return { ...hosts, machines, one, two }
}

/** Random bytes on TCP, compared by their digest. */
const transfer = async (t: ExecutionContext, from: string, to: string, address: string, bytes = 4 << 20): Promise<void> => {
  const receiver = startIn(to, ...traffic('receive', '7777'))
  await receiver.prints(/listening/)
  const { status, stdout, stderr } = await exec(from, ...traffic('send', address, '7777', String(bytes)))
  t.is(status, 0, stderr)
  await receiver.prints(new RegExp(`^${stdout.trim()}$`, 'm'))
  await receiver.stop()
}

/** Datagrams of many sizes, in fragments where they are long, and back as they were. */
const echoes = async (t: ExecutionContext, from: string, to: string, address: string): Promise<void> => {
  const server = startIn(to, ...traffic('echo', '8888'))
  await server.prints(/listening/)
  const sizes = ['0', '1', '1422', '1423', '3000', '20000', '65507']
  const { stdout } = await exec(from, ...traffic('probe', address, '8888', ...sizes))
  t.is(stdout, sizes.map((size) => `${size} same\n`).join(''))
  await server.stop()
}

const A_TO_B = [
  'from: A, to: B, protocol: tcp, ports: 7777', 'from: A, to: B, protocol: udp, ports: 8880-8890', 'from: A, to: B, protocol: icmp'
]

for (const args of [[], ['--no-offload', '--no-udp-segment', '--no-udp-gro', '--no-coalesce']]) {
  systemTest(`what a policy allows passes, with its replies, on this cell and to the other: ${args.join(' ') || 'all shortcuts'}`, async (t) => {
    const { a, b1, b2, one, two } = await startCells(A_TO_B, { args })
    for (const [host, address] of [[b1, B1], [b2, B2]] as const) {
      t.true(await ping(a, address))
      t.true(await ping(a, address, '-s', '4000'))
      await transfer(t, a, host, address)
      await echoes(t, a, host, address)
    }
    for (const instance of [one, two]) {
      t.deepEqual(await drops(instance), {})
      t.deepEqual(await instance.json<DeniedRow[]>('policy', 'denied'), [])
      const hits = (await instance.json<PolicyRow[]>('policy', 'show')).map((row) => row.hits)
      t.true(hits.every((n) => n > 0), String(hits))
    }
    const flows = await one.json<FlowRow[]>('flow', 'show')
    t.true(flows.some((f) => f.protocol === 'tcp' && f.source === A && f.destination === B2 && f.dport === 7777 && f.from === 'A'))
  })
}

/** What arrives at a container, one line for each packet that is not ARP. */
const listen = async (host: string): Promise<{ until: (pattern: RegExp) => Promise<string> }> => {
  const dump = startIn(host, 'tcpdump', '-l', '-nn', '-Q', 'in', '-i', 'eth0', 'ip')
  await dump.prints(/listening on/, 'stderr')
  return {
    until: async (pattern) => {
      await dump.prints(pattern)
      await dump.stop('SIGINT')
      return dump.stdout
    }
  }
}

systemTest('what is denied never arrives: other ports, protocols, apps, directions, instances of the same app', async (t) => {
  const { a, b1, b2, c, one, two } = await startCells([...A_TO_B, 'from: C, to: A, protocol: icmp'])
  for (const host of [a, b1, b2, c]) await serve(host, 'tcp/7777', 'tcp/9090', 'udp/8125')
  const [atA, atB2] = [await listen(a), await listen(b2)]
  for (const [from, address, port] of [
    [a, B2, 9090], [b1, B2, 7777], [c, B2, 7777], // port, instance of the same app, app
    [b2, A, 7777], [b1, A, 7777] // direction
  ] as const) t.is((await curl(from, address, port, 0.4)).status, NO_ANSWER, `${from} to ${address} ${port}`)
  for (const from of [a, c]) {
    await datagram(from, B2, 8125)
    await datagram(from, B2, 8125, 3000) // its fragments neither
  }
  for (const [from, address] of [[b1, B2], [c, B2], [b2, A], [b1, A]] as const) {
    t.false(await ping(from, address, '-W', '0.2'))
    t.false(await ping(from, address, '-W', '0.2', '-s', '3000'))
  }
  t.true(await ping(a, B2))
  t.true(await ping(c, A))
  // What was seen, without the addresses and kinds of what may be
  const unexpected = (text: string, ...allowed: string[]): string[] =>
    text.trim().split('\n').filter((line) => !allowed.some((packet) => line.includes(` IP ${packet}`)))
  t.deepEqual(unexpected(await atB2.until(/echo request/), `${A} > ${B2}: ICMP echo request`), [])
  t.deepEqual(unexpected(await atA.until(/echo request/), `${C} > ${A}: ICMP echo request`, `${B2} > ${A}: ICMP echo reply`), [])

  const denied = async (instance: Instance): Promise<string[]> =>
    (await instance.json<DeniedRow[]>('policy', 'denied'))
      .map((d) => `${d.from} ${d.to} ${d.protocol} ${d.port ?? '-'} ${d.source} ${d.destination}`).sort()
  t.deepEqual(await denied(two), [
    `A B tcp 9090 ${A} ${B2}`, `A B udp 8125 ${A} ${B2}`, `B B icmp - ${B1} ${B2}`, `B B tcp 7777 ${B1} ${B2}`,
    `C B icmp - ${C} ${B2}`, `C B tcp 7777 ${C} ${B2}`, `C B udp 8125 ${C} ${B2}`
  ])
  // b1 and b2 are one app: the last one is shown
  t.deepEqual(await denied(one), [`B A icmp - ${B1} ${A}`, `B A tcp 7777 ${B1} ${A}`])
  for (const instance of [one, two]) {
    const lost = await drops(instance)
    const sum = (await instance.json<DeniedRow[]>('policy', 'denied')).reduce((n, d) => n + d.packets, 0)
    t.deepEqual(Object.keys(lost).sort(), ['policy-denied', 'policy-fragment'])
    t.is(lost['policy-denied'], sum)
  }
})

systemTest('without policies nothing passes; policies come and go while all runs, and a connection ends with its policy', async (t) => {
  const { a, b1, b2, one, two } = await startCells([])
  t.regex(one.program.stdout, /^ready \S+: 3 bridges, 1 router, 1 vxlan, 2 hosts, 3 apps, 0 policies, in \d+ ms\n/)
  for (const host of [b1, b2]) await serve(host, 'tcp/8080')
  const policy = async (verb: 'add' | 'del', ...instances: Instance[]): Promise<void> => {
    for (const instance of instances) {
      const { status, stderr } = await instance.tapway('policy', verb, 'from', 'A', 'to', 'B', 'tcp', '8080')
      t.is(status, 0, stderr)
    }
  }
  const check = async (instance: Instance): Promise<string> =>
    (await instance.tapway('policy', 'check', 'from', 'A', 'to', 'B', 'tcp', '8080')).stdout
  for (const address of [B1, B2]) t.is((await curl(a, address, 8080, 0.4)).status, NO_ANSWER)
  t.is(await check(two), 'denied: no policy\n')
  await policy('add', one, two)
  t.is(await check(two), 'allowed by policy from A to B protocol tcp port 8080\n')
  for (const address of [B1, B2]) t.is((await curl(a, address, 8080)).stdout, `hello from ${address} to ${A}\n`)

  for (const [address, cell] of [[B1, one], [B2, two]] as const) {
    const slowly = startIn(a, 'curl', '-sS', '-N', '--speed-limit', '1', '--speed-time', '1', `http://${address}:8080/slowly`)
    await slowly.prints(/hello.*\n.*hello/)
    await policy('del', cell)
    const { status, stderr } = await slowly.ended
    t.is(status, NO_ANSWER, stderr)
    t.is((await curl(a, address, 8080, 0.4)).status, NO_ANSWER)
    await policy('add', cell)
    t.is((await curl(a, address, 8080)).status, 0)
  }
  // A policy beside it is not touched by the change of another
  const slowly = startIn(a, 'curl', '-sS', '-N', `http://${B2}:8080/slowly`)
  await slowly.prints(/hello/)
  t.is((await two.tapway('policy', 'add', 'from', 'A', 'to', 'B', 'udp', '1-100')).status, 0)
  t.is((await two.tapway('policy', 'del', 'from', 'A', 'to', 'B', 'udp', '1-100')).status, 0)
  const before = slowly.stdout.length
  await until('it goes on', () => slowly.stdout.length > before + 100)
})

systemTest('ICMP errors about allowed conversations pass: fragmentation needed, port unreachable, time exceeded', async (t) => {
  const machines = cable()
  const hosts = newHosts()
  const { a, b2 } = hosts
  const [first, second] = files(hosts, A_TO_B)
  const small = second.replace(`link-${b2}: { mtu: 1450 }`, `link-${b2}: { mtu: 1300 }`)
  t.not(small, second)
  // By an uplink super-frames come whole, and are cut for the link there: nobody is told about them
  const [one] = await Promise.all([startCell(machines[0], first.replace('    gbp:', '    uplink: socket\n    gbp:')), startCell(machines[1], small)])
  const big = await exec(a, 'ping', '-c', '1', '-W', '5', '-M', 'do', '-s', '1400', B2)
  t.regex(big.stdout, /Frag needed and DF set \(mtu = 1300\)/)
  t.regex(inNs(a, 'ip', 'route', 'get', B2), /mtu 1300/)
  inNs(a, 'ip', 'route', 'flush', 'cache')
  inNs(b2, 'ip', 'link', 'set', 'eth0', 'mtu', '1450') // says to a that it takes more than gets there
  await transfer(t, a, b2, B2)
  t.regex(inNs(a, 'ip', 'route', 'get', B2), /mtu 1300/)
  // A port where nobody listens, and for which there is a policy
  const probe = `const s = require("dgram").createSocket("udp4")
    s.on("error", (e) => { console.log(e.code); s.close() }).connect(8881, process.argv[1], () => s.send("x"))`
  t.is((await exec(a, process.execPath, '-e', probe, B2)).stdout, 'ECONNREFUSED\n')
  for (const hops of ['1', '2']) {
    const { stdout } = await exec(a, 'ping', '-c', '1', '-W', '5', '-t', hops, B2)
    t.regex(stdout, /Time to live exceeded/, hops)
  }
  t.deepEqual(await drops(one), { 'ttl-exceeded': 1 })
})

systemTest('the last link takes less than the tunnel: super-frames get there, however they leave', async (t) => {
  const machines = cable()
  const hosts = newHosts()
  const { a, b2 } = hosts
  const [first, second] = files(hosts, A_TO_B)
  await Promise.all([startCell(machines[0], first), startCell(machines[1], second.replace(`link-${b2}: { mtu: 1450 }`, `link-${b2}: { mtu: 1300 }`))])
  inNs(b2, 'ip', 'link', 'set', 'eth0', 'mtu', '1450') // says to a that it takes more than gets there
  await transfer(t, a, b2, B2)
})

systemTest('an error about nothing that was let in is denied', async (t) => {
  const { a, b2, c, two } = await startCells(A_TO_B)
  await serve(b2, 'tcp/7777')
  t.is((await curl(a, B2, 7777)).status, 0)
  const at = await listen(b2)
  // c says to b2 that a (with which b2 does talk) cannot be reached, and that c cannot
  const send = (from: string, to: string): string =>
    `send(IP(src="${C}", dst="${B2}") / ICMP(type=3, code=1) / IP(src="${B2}", dst="${from}") / TCP(sport=7777, dport=${to}), verbose=False)`
  const script = `from scapy.all import *\n${send(A, '40000')}\n${send(C, '40000')}\n`
  const { status, stderr } = await run('ip', ['netns', 'exec', c, '/usr/bin/python3', '-'], { input: script })
  t.is(status, 0, stderr)
  t.true(await ping(a, B2))
  t.notRegex(await at.until(/echo request/), /unreachable/)
  t.deepEqual(await drops(two), { 'policy-denied': 2 })
})

systemTest('a container cannot pretend to be another: addresses and MAC addresses that are not its own, IPv6', async (t) => {
  const { a, b2, c, one, two } = await startCells([...A_TO_B, 'from: C, to: A, protocol: icmp'])
  t.true(await ping(c, A))
  const at = await listen(b2)
  // c takes the address of a, that may reach b2, and one of nobody
  for (const address of [A, '10.255.97.77']) {
    inNs(c, 'ip', 'addr', 'add', `${address}/32`, 'dev', 'eth0')
    t.false(await ping(c, B2, '-W', '0.2', '-I', address), address)
    await exec(c, 'arping', '-c', '1', '-U', '-I', 'eth0', address).catch(() => {})
    inNs(c, 'ip', 'addr', 'del', `${address}/32`, 'dev', 'eth0')
  }
  const first = (await drops(two))['app-source-forged'] ?? 0
  t.true(first >= 2)
  inNs(c, 'ip', 'link', 'set', 'eth0', 'address', macOf('ee:ee', A))
  t.false(await ping(c, A, '-W', '0.2'))
  t.true((await drops(two))['app-source-forged']! > first)
  inNs(c, 'ip', 'link', 'set', 'eth0', 'address', macOf('ee:ee', C))
  t.true(await ping(c, A))
  inNs(a, 'sysctl', '-qw', 'net.ipv6.conf.eth0.disable_ipv6=0')
  await until('IPv6 is dropped', async () => ((await drops(one))['app-not-ip'] ?? 0) > 0)
  t.true(await ping(a, B2))
  t.notRegex(await at.until(/echo request/), /10\.255\.97\.(4|77)/)
})

/** An echo on TCP, and a client that says something five times a second and prints what comes back. */
const ECHO = 'require("net").createServer((s) => s.pipe(s)).listen(8080, () => console.log("listening"))'
const TALK = `const s = require("net").connect(8080, process.argv[1])
s.on("data", (d) => process.stdout.write(d)).on("error", (e) => { console.log(e.code); process.exit(1) })
let n = 0
setInterval(() => s.write(n++ + "\\n"), 200)`

systemTest('a cell that starts again: connections go on as policies say, and new ones are made', async (t) => {
  const machines = cable()
  const hosts = newHosts()
  const { a, b2 } = hosts
  addNetns(a)
  addNetns(b2)
  const adopt = (file: string): string =>
    [a, b2].reduce((text, name) => text.replace(`  ${name}:\n`, `  ${name}:\n    netns: ${name}\n`), file)
  const [first, second] = files(hosts, ['from: A, to: B, protocol: tcp, ports: 8080']).map(adopt)
  const cells: [Instance, Instance] = [await startCell(machines[0], first!), await startCell(machines[1], second!)]
  await startIn(b2, process.execPath, '-e', ECHO).prints(/listening/)
  const talk = startIn(a, process.execPath, '-e', TALK, B2)
  await talk.prints(/2\n/)
  for (const i of [1, 0] as const) {
    t.is((await cells[i].stop()).status, 0)
    cells[i] = await startCell(machines[i], i === 0 ? first! : second!)
    const before = talk.stdout.length
    await until(`it goes on after cell ${i + 1} was away`, () => talk.stdout.length > before + 10)
    const more = startIn(a, process.execPath, '-e', TALK, B2)
    await more.prints(/2\n/)
    await more.stop()
  }
  // Without the policy an old connection is not taken for one that is allowed
  t.is((await cells[1].stop()).status, 0)
  const text = second!.replace(/policies:[^]*/, '')
  t.not(text, second)
  cells[1] = await startCell(machines[1], text)
  const before = talk.stdout.length
  await until('it is denied', async () => ((await drops(cells[1]))['policy-denied'] ?? 0) > 3)
  t.is(talk.stdout.length, before)
})

systemTest('an end without gbp: its packets are unmarked and denied, and it takes no marked ones', async (t) => {
  const { a, c, one, two } = await startCells([...A_TO_B, 'from: C, to: B, protocol: icmp'], { gbp: [false, true] })
  t.true(await ping(a, B1), 'within a cell there is no header')
  t.false(await ping(a, B2, '-W', '0.4'))
  t.deepEqual(await drops(two), { 'policy-unmarked': 1 })
  // Both logs say so: of the file of the one, of the packets that come to the other
  await one.program.prints(/"level":40[^\n]*vxlans\.vtep\.gbp: warning: without gbp /, 'stderr')
  await two.program.prints(/"level":40[^\n]*vtep: packets from peer 192\.168\.77\.1 have no mark/, 'stderr')
  t.notRegex(two.program.stderr, /warning/)
  const [row] = await two.json<DeniedRow[]>('policy', 'denied')
  t.like(row, { mark: 0, to: 'B', protocol: 'icmp', source: A, destination: B2, packets: 1 })
  t.regex((await two.tapway('policy', 'denied')).stdout, /^from unmarked to B protocol icmp packets 1 /)
  t.true(await ping(c, B2))
  t.false(await ping(c, B1, '-W', '0.4'))
  t.deepEqual(await drops(one), { 'vxlan-reserved-bits': 1 })
})
