/** `tapway capture` of a running network, beside tcpdump and tshark, and that it never disturbs the traffic it looks at. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { netnsTest, onSweep } from '../helpers/netns.js'
import { BIN, type Finished, type Instance, listening, type Program, run, SMOL_INTERNET, startTapway, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'tapway-capture-'))
  onSweep(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const tool = (name: string, ...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** A capture that has begun. */
const watch = async (network: Instance, ...words: string[]): Promise<Program> => {
  const capture = network.start('capture', ...words)
  await capture.prints(/^listening on .*\n/m, 'stderr')
  return capture
}

/** A capture whose output the rest of a shell's line takes. */
const piped = (network: Instance, rest: string, ...words: string[]): Promise<Finished> =>
  run('sh', ['-c', `"$@" ${rest}`, 'sh', process.execPath, BIN, '--name', network.name, 'capture', ...words])

/** With some replies there, ping waits for the last as long as an interval, not as long as -W: so the interval is long. */
const ping = async (network: Instance, count: number, address = '10.1.2.2', ...more: string[]): Promise<string> =>
  (await network.exec('client', 'ping', '-c', String(count), '-i', '0.2', '-W', '5', ...more, address)).stdout

/** Both neighbours are known, so that a capture sees pings alone. */
const warm = async (): Promise<Instance> => {
  const network = await startTapway(SMOL_INTERNET)
  await ping(network, 1)
  return network
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')

systemTest('lines as tcpdump -n prints them, and -c ends it', async (t) => {
  const network = await warm()
  const capture = await watch(network, 'client.eth0', '-c', '4', 'icmp')
  await ping(network, 2)
  const { status, stdout, stderr } = await capture.ended
  t.is(status, 0)
  const lines = linesOf(stdout)
  t.is(lines.length, 4, stdout)
  for (const [i, line] of lines.entries()) {
    const [who, what] = i % 2 === 0 ? ['10.1.1.2 > 10.1.2.2', 'request'] : ['10.1.2.2 > 10.1.1.2', 'reply']
    t.regex(
      line,
      new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{6} IP ${who}: ICMP echo ${what}, id \\d+, seq ${1 + (i >> 1)}, length 64$`)
    )
  }
  t.regex(stderr, /^listening on client\.eth0, link-type EN10MB \(Ethernet\)/)
  t.regex(stderr, /^4 packets captured$/m)
})

systemTest('-e shows the link-level header: the router has changed the addresses', async (t) => {
  const network = await warm()
  const [one, two] = [
    await watch(network, 'router.eth1', '-e', '-c', '1', 'icmp'),
    await watch(network, 'router.eth0', '-e', '-c', '1', 'icmp')
  ]
  await ping(network, 1)
  t.regex(
    (await one.ended).stdout,
    /02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 \(0x0800\), length 98: 10\.1\.1\.2 > 10\.1\.2\.2: ICMP echo request/
  )
  t.regex(
    (await two.ended).stdout,
    /02:42:0a:01:02:03 > 02:42:0a:01:02:02, ethertype IPv4 \(0x0800\), length 98: 10\.1\.1\.2 > 10\.1\.2\.2: ICMP echo request/
  )
})

systemTest('the ARP exchange as a host sees it', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const capture = await watch(network, 'client.eth0', '-c', '2', 'arp')
  await ping(network, 1)
  const { stdout } = await capture.ended
  t.regex(
    stdout,
    /ARP, Request who-has 10\.1\.1\.3 tell 10\.1\.1\.2, length 28\n.*ARP, Reply 10\.1\.1\.3 is-at 02:42:0a:01:01:03, length 28\n/
  )
})

systemTest("pinging the router's far address: nothing is seen on the far interface", async (t) => {
  const network = await warm()
  const [near, far] = [await watch(network, 'router.eth1', '-c', '2', 'icmp'), await watch(network, 'router.eth0', 'icmp')]
  t.regex(await ping(network, 1, '10.1.2.3'), /1 received/)
  t.regex(
    (await near.ended).stdout,
    /10\.1\.1\.2 > 10\.1\.2\.3: ICMP echo request.*\n.*10\.1\.2\.3 > 10\.1\.1\.2: ICMP echo reply/
  )
  await ping(network, 1) // this one passes both: all that came before has been shown
  await far.prints(/ICMP echo request/)
  const { stdout } = await far.stop('SIGINT')
  t.notRegex(stdout, /10\.1\.2\.3/)
})

systemTest('-w writes pcapng that tcpdump and tshark read, with the name of the port', async (t) => {
  const network = await warm()
  const path = join(folder(), 'ping.pcapng')
  const capture = await watch(network, 'router.eth1', '-w', path, '-c', '6', 'icmp')
  await ping(network, 3, '10.1.2.2', '-s', '1000')
  t.is((await capture.ended).status, 0)
  t.is(capture.stdout, '')
  const printed = linesOf(tool('tcpdump', '-n', '-r', path))
  t.is(printed.length, 6)
  t.regex(printed[5]!, /IP 10\.1\.2\.2 > 10\.1\.1\.2: ICMP echo reply, id \d+, seq 3, length 1008/)
  const fields = tool(
    'tshark',
    '-n',
    '-r',
    path,
    '-o',
    'ip.check_checksum:TRUE',
    '-T',
    'fields',
    '-e',
    'frame.interface_name',
    '-e',
    'frame.len',
    '-e',
    'ip.ttl',
    '-e',
    'ip.checksum.status',
    '-e',
    'icmp.checksum.status'
  )
  t.deepEqual(
    linesOf(fields),
    [0, 1, 2].flatMap(() => ['router.eth1\t1042\t64\t1\t1', 'router.eth1\t1042\t63\t1\t1'])
  )
})

systemTest('-w of two ports: one file, both interfaces, in the order of time', async (t) => {
  const network = await warm()
  const path = join(folder(), 'both.pcapng')
  const capture = await watch(network, 'router.eth1', 'router.eth0', '-w', path, '-c', '4', 'icmp')
  await ping(network, 1)
  await capture.ended
  const fields = linesOf(
    tool(
      'tshark',
      '-n',
      '-r',
      path,
      '-T',
      'fields',
      '-e',
      'frame.interface_name',
      '-e',
      'icmp.type',
      '-e',
      'ip.ttl',
      '-e',
      'frame.time_delta'
    )
  ).map((line) => line.split('\t'))
  t.deepEqual(
    fields.map((f) => f.slice(0, 3).join(' ')),
    ['router.eth1 8 64', 'router.eth0 8 63', 'router.eth0 0 64', 'router.eth1 0 63']
  )
  t.true(fields.every((f) => Number(f[3]) >= 0))
})

systemTest('-w - is a stream that tcpdump reads', async (t) => {
  const network = await warm()
  const shell = piped(network, '| tcpdump -n -r - 2>/dev/null', 'client.eth0', '-c', '2', '-w', '-', 'icmp')
  const pings = network.exec('client', 'ping', '-i', '0.05', '-c', '40', '-q', '10.1.2.2')
  const { status, stdout } = await shell
  t.is(status, 0)
  t.is(linesOf(stdout).length, 2, stdout)
  t.regex(stdout, /ICMP echo re/)
  await pings
})

systemTest('filter expressions are those of tcpdump', async (t) => {
  const network = await warm()
  const all = join(folder(), 'all.pcapng')
  const filters = [
    'icmp[icmptype] == icmp-echoreply',
    'tcp',
    'src host 10.1.2.2',
    'greater 500',
    'ip and not icmp',
    'udp port 7777 or tcp[tcpflags] & tcp-syn != 0'
  ]
  const everything = await watch(network, 'client.eth0', '-w', all)
  const captures = await Promise.all(
    filters.map((filter) => watch(network, 'client.eth0', '-w', `${all}.${filters.indexOf(filter)}`, filter))
  )
  await ping(network, 3)
  await ping(network, 2, '10.1.2.2', '-s', '1000')
  const server = network.startIn('server', 'nc', '-l', '7777')
  await listening('server', 7777)
  await network.exec('client', 'sh', '-c', 'echo hello | nc -N 10.1.2.2 7777')
  await server.ended
  await ping(network, 1)
  const read = (file: string, ...words: string[]): string => spawnSync('tcpdump', ['-n', '-r', file, ...words], { encoding: 'utf8' }).stdout
  await until('all of them have caught up', async () => linesOf(read(all, 'icmp[0] == 0')).length === 6 &&
    filters.every((filter, i) => read(`${all}.${i}`) === read(all, filter)))
  for (const capture of [everything, ...captures]) await capture.stop('SIGINT')
  for (const [i, filter] of filters.entries()) {
    const ours = tool('tcpdump', '-n', '-r', `${all}.${i}`)
    t.is(ours, tool('tcpdump', '-n', '-r', all, filter), filter)
    t.not(ours, '', filter)
  }
})

systemTest('a super-frame is captured whole, -s cuts it', async (t) => {
  const network = await warm()
  const path = join(folder(), 'tcp.pcapng')
  const [whole, short] = [
    await watch(network, 'router.eth1', '-w', path, 'tcp'),
    await watch(network, 'router.eth1', '-s', '60', '-w', `${path}.60`, 'tcp')
  ]
  const server = network.startIn('server', 'sh', '-c', 'nc -l 7777 | wc -c')
  await listening('server', 7777)
  await network.exec('client', 'sh', '-c', 'head -c 3000000 /dev/zero | nc -N 10.1.2.2 7777')
  t.is((await server.ended).stdout.trim(), '3000000')
  for (const file of [path, `${path}.60`]) {
    await until('both ends of the connection have gone by', async () =>
      linesOf(spawnSync('tshark', ['-n', '-r', file, '-Y', 'tcp.flags.fin == 1'], { encoding: 'utf8' }).stdout).length > 1)
  }
  await whole.stop('SIGINT')
  await short.stop('SIGINT')
  const lengths = linesOf(tool('tshark', '-n', '-r', path, '-T', 'fields', '-e', 'frame.len', '-e', 'frame.cap_len')).map(
    (line) => line.split('\t').map(Number)
  )
  t.true(lengths.every(([length, captured]) => length === captured))
  t.true(Math.max(...lengths.map(([length]) => length!)) > 10_000)
  const cut = linesOf(tool('tshark', '-n', '-r', `${path}.60`, '-T', 'fields', '-e', 'frame.len', '-e', 'frame.cap_len')).map(
    (line) => line.split('\t').map(Number)
  )
  t.true(cut.every(([length, captured]) => captured === Math.min(length!, 60)))
  t.deepEqual(
    cut.map(([length]) => length),
    lengths.map(([length]) => length)
  )
})

systemTest('a capture changes nothing: the same packets and counters with and without', async (t) => {
  const network = await warm()
  const count = async () => {
    const { ports, balance } = await network.json<StatsResult>('stats')
    t.true(balance.ok)
    const port = ports.find(({ name }) => name === 'client.eth0')!
    return [port.rx_packets, port.tx_packets]
  }
  const before = await count()
  await ping(network, 3)
  const plain = await count()
  const captures = await Promise.all(
    ['client.eth0', 'router.eth1', 'router.eth0', 'server.eth0', 'ten-one-net'].map((port) =>
      watch(network, port, '-w', '/dev/null')
    )
  )
  t.regex(await ping(network, 3), /3 received/)
  const watched = await count()
  for (const capture of captures) t.is((await capture.stop('SIGINT')).status, 0)
  for (const i of [0, 1]) t.true(watched[i]! - plain[i]! >= 3 && plain[i]! - before[i]! >= 3)
})

systemTest('a capture that nobody reads loses packets, counts them, and traffic goes on', async (t) => {
  const network = await warm()
  const path = join(folder(), 'stopped.pcapng')
  const capture = await watch(network, 'client.eth0', '-w', path)
  process.kill(capture.pid, 'SIGSTOP')
  const server = network.startIn('server', 'sh', '-c', 'nc -l 7777 | wc -c')
  await listening('server', 7777)
  const sent = 200 << 20
  t.is((await network.exec('client', 'sh', '-c', `head -c ${sent} /dev/zero | nc -N 10.1.2.2 7777`)).status, 0)
  t.is((await server.ended).stdout.trim(), String(sent))
  t.regex(await ping(network, 3), /3 received/)
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${network.pid}/status`, 'utf8'))![1])
  t.true(resident < 400 * 1024, `what is not read is not kept: ${resident} KiB`)
  process.kill(capture.pid, 'SIGCONT')
  // The pings of before were lost: once a later one is in the file, what was lost has been told
  await until('it has caught up', async () => {
    await ping(network, 1)
    return existsSync(path) && spawnSync('tshark', ['-n', '-r', path, '-Y', 'icmp']).stdout.length > 0
  })
  const { status, stderr } = await capture.stop('SIGINT')
  t.is(status, 0)
  t.true(Number(/^(\d+) packets? (?:dropped|lost)/m.exec(stderr)?.[1]) > 0, stderr)
  t.notThrows(() => tool('tshark', '-n', '-r', path, '-c', '10'))
})

systemTest('captures end with their instance, and a reader that leaves ends its capture', async (t) => {
  const network = await warm()
  const head = piped(network, '2>/dev/null | head -n 1', 'client.eth0', 'icmp')
  const pings = network.startIn('client', 'ping', '-i', '0.05', '-q', '10.1.2.2')
  t.is(linesOf((await head).stdout).length, 1)
  await pings.stop('SIGINT')
  await ping(network, 1) // what was on its way has arrived
  const capture = await watch(network, 'client.eth0', 'icmp')
  await ping(network, 1)
  await capture.prints(/echo reply/)
  t.is((await network.tapway('down')).status, 0)
  const { status, stdout } = await capture.ended
  t.is(status, 0)
  t.is(linesOf(stdout).length, 2, stdout)
})
