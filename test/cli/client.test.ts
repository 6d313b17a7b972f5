/** Commands against an instance that answers as the test says: what is asked, what is printed, how it exits. */
import test from 'ava'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { main } from '../../src/cli/main.js'
import { ClientError, ControlClient } from '../../src/control/client.js'
import type { LinkRow, Query, RouteRow } from '../../src/network/operations.js'
import { fakeInstance, memoryIo, temporaryFolder, type Answer } from './fake-instance.js'

const words = (line: string): string[] => line.split(' ')

/** Runs a command against a fake instance. */
const run = async (t: Parameters<typeof fakeInstance>[0], line: string, answer: Answer) => {
  const instance = await fakeInstance(t, answer)
  const io = memoryIo(instance.directory)
  const status = await main(words(line), io)
  return { status, ...io.printed, requests: instance.requests }
}

const link = (ifname: string, router?: string): LinkRow => ({
  ifindex: 1, ifname, flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'], mtu: 1500, operstate: 'UP', link_type: 'ether', address: '02:00:00:00:00:01',
  broadcast: 'ff:ff:ff:ff:ff:ff', linkinfo: { info_kind: 'router' },
  stats64: {
    rx: { bytes: 1, packets: 1, errors: 0, dropped: 0, over_errors: 0, multicast: 0 },
    tx: { bytes: 1, packets: 1, errors: 0, dropped: 0, carrier_errors: 0, collisions: 0 },
  },
  tapway: { kind: 'interface', ...(router !== undefined && { router }) },
})

const route = (dst: string, dev: string, router: string): RouteRow => ({ dst, dev, flags: [], router })

/** Answers queries with these rows. */
const rows = (tables: Partial<Record<Query['show'], readonly object[]>>): Answer => (request, send) => {
  if (request.method === 'show') send({ id: request.id, result: tables[request.query.show] ?? [] })
  else send({ id: request.id, error: { code: 1, message: `not expected: ${request.method}` } })
}

test('nobody runs: one line, exit 1', async (t) => {
  const io = memoryIo(temporaryFolder(t))
  t.is(await main(['route'], io), 1)
  t.is(await main(['--name', 'lab', 'ping', '10.1.1.1'], io), 1)
  t.deepEqual(io.printed, {
    out: '',
    err: 'tapway: no instance "default" is running (start one: tapway up FILE)\n'
      + 'tapway: no instance "lab" is running (start one: tapway up FILE --name lab)\n',
  })
})

test('a socket that nobody listens on is nobody running', async (t) => {
  const instance = await fakeInstance(t, () => {})
  instance.stop()
  writeFileSync(join(instance.directory, 'x.sock'), '')
  const io = memoryIo(instance.directory)
  t.is(await main(['--name', 'x', 'link'], io), 1)
  t.regex(io.printed.err, /^tapway: no instance "x" is running/)
})

test('wrong words: one line, exit 2, and a stack only for debug', async (t) => {
  const io = memoryIo(temporaryFolder(t))
  t.is(await main(['rute'], io), 2)
  t.is(io.printed.err, 'tapway: unknown word "rute": did you mean "route"?\n')
  const debug = memoryIo(temporaryFolder(t))
  t.is(await main(['--log-level', 'debug', 'rute'], debug), 2)
  t.regex(debug.printed.err, /^tapway: unknown word "rute".*\nCliError: .*\n {4}at /)
})

test('an operation is sent and nothing is said', async (t) => {
  const result = await run(t, 'route add 10.1.1.0/24 via 10.1.2.3 router r', ({ id }, send) => send({ id, result: null }))
  t.like(result, { status: 0, out: '', err: '' })
  t.deepEqual(result.requests.map(({ id: _, ...rest }) => rest) as object[], [
    { method: 'apply', operation: { op: 'route.add', prefix: '10.1.1.0/24', router: 'r', nexthops: [{ via: '10.1.2.3' }] } },
  ])
})

test('an error of the instance is one line with its code', async (t) => {
  for (const code of [1, 2]) {
    const result = await run(t, 'link set eth9 up', ({ id }, send) => send({ id, error: { code, message: 'no device "eth9"' } }))
    t.like(result, { status: code, out: '', err: 'tapway: no device "eth9"\n' })
  }
})

test('rows in human form; router R only where it is not clear', async (t) => {
  const table = [route('10.1.1.0/24', 'eth1', 'r1'), route('10.0.0.0/8', 'br0', 'br0')]
  const one = await run(t, 'route', rows({ route: table, link: [link('br0'), link('r1.eth1', 'r1')] }))
  t.like(one, { status: 0, err: '', out: '10.1.1.0/24 dev eth1 \n10.0.0.0/8 dev br0 \n' })
  const two = await run(t, 'route', rows({ route: table, link: [link('r1.eth1', 'r1'), link('r2.eth1', 'r2')] }))
  t.is(two.out, '10.1.1.0/24 dev eth1 router r1 \n10.0.0.0/8 dev br0 \n')
  const chosen = await run(t, 'route show router r1', rows({ route: table.slice(0, 1) }))
  t.is(chosen.out, '10.1.1.0/24 dev eth1 \n')
  const device = await run(t, 'route show dev eth1', rows({ route: table.slice(0, 1) }))
  t.is(device.out, '10.1.1.0/24 \n')
})

test('-j: the rows in one line; counters only with -s, kinds only with -d', async (t) => {
  const plain = await run(t, '-j link', rows({ link: [link('a')] }))
  const { stats64, linkinfo, ...bare } = link('a')
  t.is(plain.out, `${JSON.stringify([bare])}\n`)
  const all = await run(t, 'link -j -s -d', rows({ link: [link('a')] }))
  t.deepEqual(JSON.parse(all.out), [link('a')])
  t.deepEqual([stats64, linkinfo], [link('a').stats64, link('a').linkinfo])
  t.is((await run(t, '-j route', rows({}))).out, '[]\n')
  t.is((await run(t, '-j -p route', rows({ route: [{ dst: 'default' }] }))).out, '[\n    {\n        "dst": "default"\n    }\n]\n')
})

test('fdb: ages only with -s', async (t) => {
  const row = { mac: '02:00:00:00:00:01', ifname: 'p', flags: [], master: 'br0', state: '', used: 2, updated: 3 }
  t.is((await run(t, 'fdb', rows({ fdb: [row] }))).out, '02:00:00:00:00:01 dev p master br0 \n')
  t.is((await run(t, '-s fdb show dev p', rows({ fdb: [row] }))).out, '02:00:00:00:00:01 used 2/3 master br0 \n')
  t.deepEqual(JSON.parse((await run(t, '-j fdb', rows({ fdb: [row] }))).out), [{ mac: row.mac, ifname: 'p', flags: [], master: 'br0', state: '' }])
})

test('rows that were not asked for are left out', async (t) => {
  const down = { ...link('b'), flags: ['BROADCAST'], linkinfo: { info_kind: 'tap' as const } }
  t.regex((await run(t, 'link show up', rows({ link: [link('a'), down] }))).out, /^1: a: .*\n.*\n$/)
  t.regex((await run(t, 'link show type tap', rows({ link: [link('a'), down] }))).out, /^1: b: .*\n.*\n$/)
  const table = [{ ...route('10.1.1.0/24', 'eth1', 'r'), protocol: 'kernel' }, route('10.2.0.0/16', 'eth1', 'r')]
  t.is((await run(t, 'route show proto boot router r', rows({ route: table }))).out, '10.2.0.0/16 dev eth1 \n')
})

test('get without an answer: exit 1', async (t) => {
  const result = await run(t, 'neigh get 10.1.1.2 dev eth1', rows({}))
  t.like(result, { status: 1, out: '', err: 'tapway: no neighbour 10.1.1.2 on eth1\n' })
})

test('an answer in pieces, with multi-byte letters cut in two, and two in one piece', async (t) => {
  const instance = await fakeInstance(t, ({ id }, _send, socket) => {
    if (id !== 2) return
    const bytes = Buffer.from(`${JSON.stringify({ id: 1, result: ['größe'] })}\n\n${JSON.stringify({ id: 2, result: 'b' })}\n`)
    const cut = bytes.indexOf(0xc3) + 1
    socket.write(bytes.subarray(0, cut))
    setTimeout(() => socket.write(bytes.subarray(cut)), 20)
  })
  const client = await ControlClient.connect('default', instance.directory)
  t.deepEqual(await Promise.all([client.request({ method: 'info' }), client.request({ method: 'info' })]), [['größe'], 'b'])
  client.close()
  await client.closed
})

test('a lost connection is an error, before and after the request', async (t) => {
  const instance = await fakeInstance(t, (_request, _send, socket) => socket.destroy())
  const client = await ControlClient.connect('default', instance.directory)
  for (let i = 0; i < 2; i++) {
    const error = await t.throwsAsync(client.request({ method: 'info' }), { instanceOf: ClientError })
    t.is(error.exitCode, 1)
    t.regex(error.message, /closed the connection/)
  }
})

test('an instance that talks nonsense is a lost connection', async (t) => {
  const result = await run(t, 'link', (_request, _send, socket) => socket.write('SSH-2.0-OpenSSH\n'))
  t.is(result.status, 1)
  t.regex(result.err, /^tapway: instance "default" closed the connection.*\n$/)
})

const pong = (id: number, seq: number): object => ({ id, event: 'reply', from: '10.1.2.2', seq, ttl: 64, bytes: 64, time_ms: 0.5 })

test('ping: the events as ping prints them, also those before the answer', async (t) => {
  const result = await run(t, 'ping -c 2 -I eth0 10.1.2.2 router r', ({ id }, send) => {
    send(pong(id, 1))
    send({ id, result: { source: '10.1.2.3', destination: '10.1.2.2' } })
    send(pong(id, 2))
    send({ id, event: 'done', transmitted: 2, received: 2, end: true })
  })
  t.deepEqual(result.requests as object[], [{ id: 1, method: 'ping', from: { router: 'r' }, address: '10.1.2.2', interval_ms: 1000, size: 56, dev: 'eth0', count: 2 }])
  t.is(result.status, 0)
  t.is(result.err, '')
  t.regex(result.out, new RegExp(`^PING 10.1.2.2 \\(10.1.2.2\\) from 10.1.2.3 eth0: 56\\(84\\) bytes of data.
64 bytes from 10.1.2.2: icmp_seq=1 ttl=64 time=0.500 ms
64 bytes from 10.1.2.2: icmp_seq=2 ttl=64 time=0.500 ms

--- 10.1.2.2 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time \\d+ms
rtt min/avg/max/mdev = 0.500/0.500/0.500/0.000 ms
$`))
})

test('ping: nobody answers, exit 1; -q prints the end only', async (t) => {
  const result = await run(t, 'ping -q -c 1 10.1.2.9', ({ id }, send) => {
    send({ id, result: { source: '10.1.2.3', destination: '10.1.2.9' } })
    send({ id, event: 'error', from: '10.1.2.3', seq: 1, type: 3, code: 1, text: 'Destination Host Unreachable' })
    send({ id, event: 'done', transmitted: 1, received: 0, end: true })
  })
  t.is(result.status, 1)
  t.regex(result.out, /^PING 10.1.2.9 \(10.1.2.9\) 56\(84\) bytes of data.\n\n--- .*\n1 packets transmitted, 0 received, \+1 errors, 100% packet loss, time 0ms\n\n$/)
})

test('ping: it cannot be sent, exit 2', async (t) => {
  const result = await run(t, 'ping 10.9.9.9', ({ id }, send) => send({ id, error: { code: 1, message: 'Network is unreachable' } }))
  t.like(result, { status: 2, out: '', err: 'tapway: Network is unreachable\n' })
})

test('ping: interrupted, the end is printed', async (t) => {
  const instance = await fakeInstance(t, ({ id }, send) => {
    send({ id, result: { source: '10.1.2.3', destination: '10.1.2.2' } })
    send(pong(id, 1))
    setTimeout(() => io.interrupt(), 50)
  })
  const io = memoryIo(instance.directory)
  t.is(await main(words('ping -i 100 10.1.2.2'), io), 0)
  t.regex(io.printed.out, /\n1 packets transmitted, 1 received, 0% packet loss, time \d+ms\nrtt/)
})

test('capture -w: the frames of the ports in pcapng, until the instance goes down', async (t) => {
  const file = join(temporaryFolder(t), 'x.pcapng')
  const frame = Buffer.from('ffffffffffff0242000000010806', 'hex')
  const result = await run(t, `capture client.eth0 -w ${file}`, ({ id }, send) => {
    send({ id, result: { ports: [{ id: 7, name: 'client.eth0' }] } })
    send({ id, event: 'packet', port: 7, direction: 'rx', time: '1700000000000000000', length: 14, data: frame.toString('base64') })
    send({ id, event: 'lost', packets: 3 })
    send({ id, event: 'closed', end: true })
  })
  t.is(result.status, 0)
  t.deepEqual(result.requests as object[], [{ id: 1, method: 'capture', ports: ['client.eth0'], snaplen: 262144 }])
  const bytes = readFileSync(file)
  t.is(bytes.readUInt32LE(0), 0x0a0d0d0a)
  t.true(bytes.includes('client.eth0'))
  t.true(bytes.includes(frame))
})

test('capture -c and SIGINT end it with exit 0', async (t) => {
  const answer: Answer = ({ id }, send) => {
    send({ id, result: { ports: [{ id: 7, name: 'client.eth0' }] } })
    send({ id, event: 'packet', port: 7, direction: 'rx', time: '1', length: 1, data: 'AA==' })
  }
  const file = join(temporaryFolder(t), 'x.pcapng')
  t.is((await run(t, `capture client.eth0 -c 1 -w ${file}`, answer)).status, 0)
  const instance = await fakeInstance(t, (request, send, socket) => {
    answer(request, send, socket)
    setTimeout(() => io.interrupt(), 50)
  })
  const io = memoryIo(instance.directory)
  t.is(await main(words(`capture client.eth0 -w ${file}`), io), 0)
})

test('down: nobody there, exit 1', async (t) => {
  const io = memoryIo(temporaryFolder(t))
  t.is(await main(['down'], io), 1)
  t.is(io.printed.err, 'tapway: no instance "default" is running (start one: tapway up FILE)\n')
})

test('down: returns when the connection is closed and the process is gone', async (t) => {
  let asked = 0
  const instance = await fakeInstance(t, ({ id, method }, send, socket) => {
    if (method === 'info') send({ id, result: { name: 'default', pid: 0x3fffffff, version: '', file: '', hosts: [] } })
    if (method !== 'down') return
    asked++
    send({ id, result: null })
    setTimeout(() => socket.end(), 50)
  })
  const io = memoryIo(instance.directory)
  t.is(await main(['down'], io), 0)
  t.is(asked, 1)
  t.deepEqual(io.printed, { out: '', err: '' })
})

test('help and version need nobody', async (t) => {
  const io = memoryIo(temporaryFolder(t))
  t.is(await main(['help'], io), 0)
  t.is(await main(['route', 'help'], io), 0)
  t.is(await main(['-V'], io), 0)
  t.regex(io.printed.out, /^Usage: tapway \[ OPTIONS \][^]*Usage: tapway route show[^]*tapway \d+\.\d+\.\d+\n$/)
})

test('-j where there are no rows is refused', async (t) => {
  const io = memoryIo(temporaryFolder(t))
  t.is(await main(['-j', 'ping', '10.1.1.1'], io), 2)
  t.is(io.printed.err, 'tapway: not supported yet: -j with ping\n')
})

test('check: every problem with its place, exit 2', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'net.yaml')
  writeFileSync(file, 'version: 1\nbridges:\n  br0: { mtuu: 1 }\n')
  const io = memoryIo(folder)
  t.is(await main(['check', file], io), 2)
  t.regex(io.printed.err, /net\.yaml:3:\d+: bridges\.br0/)
  writeFileSync(file, 'version: 1\nbridges:\n  br0: {}\n')
  t.is(await main(['check', file], memoryIo(folder)), 0)
})

test('check: what is hardly meant is said, exit 0', async (t) => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'net.yaml')
  writeFileSync(file, `version: 1
bridges: { br0: {} }
vxlans: { vtep: { bridge: br0, id: 1, remote: 192.168.77.2 } }
hosts: { a: { interfaces: { eth0: { bridge: br0, address: 10.0.0.1/24 } } } }
apps: { web: { id: 1, hosts: a } }
`)
  const io = memoryIo(folder)
  t.is(await main(['check', file], io), 0)
  t.is(io.printed.out, '')
  t.regex(io.printed.err, /^\S+net\.yaml:3:\d+: vxlans\.vtep\.gbp: warning: without gbp [^\n]+\n$/)
})
