/** Real programs across a bridge and a router: what arrives is what was sent, with offloads and without, whole or in fragments. */
import test, { type ExecutionContext } from 'ava'
import type { StatsResult } from '../../src/network/operations.js'
import { inNs, ipJson, netnsTest, sysctl } from '../helpers/netns.js'
import { type Instance, startTapway, until } from '../helpers/tapway.js'
import { echoes, traffic, transfer } from '../helpers/traffic.js'
import { isLeftOut } from '../helpers/without.js'

const systemTest = netnsTest(test)

/** The smol internet with a second host on the client's network, and IPv6 addresses that are there at once. */
const NETWORK = `version: 1
bridges: { one: {}, two: {} }
routers:
  router:
    interfaces:
      eth1: { bridge: one, address: 10.1.1.3/24 }
      eth0: { bridge: two, address: 10.1.2.3/24 }
hosts:
  client:
    interfaces: { eth0: { bridge: one, address: 10.1.1.2/24 } }
    routes: [ { to: default, via: 10.1.1.3 } ]
    sysctls: { net.ipv6.conf.default.accept_dad: 0 }
  neighbor:
    interfaces: { eth0: { bridge: one, address: 10.1.1.9/24 } }
    sysctls: { net.ipv6.conf.default.accept_dad: 0 }
  server:
    interfaces: { eth0: { bridge: two, address: 10.1.2.2/24 } }
    routes: [ { to: default, via: 10.1.2.3 } ]
`

const portOf = async (network: Instance, name: string) => {
  const { ports } = await network.json<StatsResult>('stats')
  return ports.find((port) => port.name === name)!
}

const linkLocal = (host: string): string =>
  ipJson<{ addr_info: { local: string; scope: string }[] }[]>(host, '-6', 'addr', 'show', 'dev', 'eth0')[0]!.addr_info.find(
    ({ scope }) => scope === 'link'
  )!.local

/** Errors the kernels of the hosts have counted: of checksums and of reassembly. */
const kernelErrors = (host: string): string[] =>
  inNs(
    host,
    'nstat',
    '-asz',
    'TcpInCsumErrors',
    'UdpInCsumErrors',
    'IcmpInCsumErrors',
    'IpExtInCsumErrors',
    'IpInHdrErrors',
    'IpReasmFails'
  )
    .split('\n')
    .filter((line) => /^\w+ +[1-9]/.test(line))

const pings = async (t: ExecutionContext, network: Instance, host: string, address: string, ...more: string[]): Promise<void> => {
  // One by one: with some replies there, ping waits for the last no longer than a few round trips
  const three = 'for i in 1 2 3; do ping -c 1 -W 5 "$@" || exit 1; done'
  const { status, stdout } = await network.exec(host, 'sh', '-c', three, 'sh', ...more, address)
  t.is(status, 0, `${host} to ${address} ${more.join(' ')}: ${stdout}`)
  t.notRegex(stdout, /wrong data|DUP/)
}

const BYTES = 48 << 20
/** The most that one TCP packet may carry without segmentation offload, and what shows that it was not so: bytes. */
const FULL_FRAME = 1514
const SUPER = 10_000

for (const [mode, args] of [
  ['with offloads', []],
  ['without offloads', ['--no-offload']]
] as const) {
  const isWhole = args.length === 0 && !isLeftOut('offload')

  systemTest(`pings of every size, near and far, ${mode}`, async (t) => {
    const network = await startTapway(NETWORK, { args })
    for (const address of ['10.1.1.3', '10.1.2.3', '10.1.2.2', '10.1.1.9']) {
      for (const size of ['0', '56', '1472', '1473', '4000', '60000', '65507'])
        await pings(t, network, 'client', address, '-s', size)
    }
    await pings(t, network, 'server', '10.1.1.2')
    await pings(t, network, 'server', '10.1.1.3')
    for (const host of ['client', 'neighbor', 'server']) t.deepEqual(kernelErrors(host), [], host)
    const { balance, drops } = await network.json<StatsResult>('stats')
    t.true(balance.ok)
    t.deepEqual(
      drops.filter(
        ({ reason, packets }) => packets > 0 && !['protocol-unknown', 'arp-ignored', 'no-other-port'].includes(reason)
      ),
      []
    )
  })

  systemTest(`TCP across bridge and router arrives bit by bit, ${mode}`, async (t) => {
    const network = await startTapway(NETWORK, { args })
    for (const [from, to, address] of [
      ['client', 'neighbor', '10.1.1.9'],
      ['client', 'server', '10.1.2.2'],
      ['server', 'client', '10.1.1.2']
    ] as const) {
      const [entered, left] = [await portOf(network, `${from}.eth0`), await portOf(network, `${to}.eth0`)]
      await transfer(t, from, to, address, { bytes: BYTES })
      const [rx, tx] = [await portOf(network, `${from}.eth0`), await portOf(network, `${to}.eth0`)]
      const received = (rx.rx_bytes - entered.rx_bytes) / (rx.rx_packets - entered.rx_packets)
      const sent = (tx.tx_bytes - left.tx_bytes) / (tx.tx_packets - left.tx_packets)
      if (isWhole) {
        t.true(received > SUPER, `${from} to ${to}: frames come whole, ${received} bytes each`)
        t.true(sent > SUPER, `${from} to ${to}: and leave whole, ${sent} bytes each`)
      } else t.true(received <= FULL_FRAME && sent <= FULL_FRAME, `${received} ${sent}`)
    }
    for (const host of ['client', 'neighbor', 'server']) t.deepEqual(kernelErrors(host), [], host)
    t.true((await network.json<StatsResult>('stats')).balance.ok)
  })

  systemTest(`UDP of every size comes back as it was, ${mode}`, async (t) => {
    await startTapway(NETWORK, { args })
    for (const [host, address] of [
      ['server', '10.1.2.2'],
      ['neighbor', '10.1.1.9']
    ] as const) {
      await echoes(t, 'client', host, address, [0, 1, 18, 19, 1471, 1472, 1473, 4000, 32768, 65507])
    }
    t.deepEqual(kernelErrors('server'), [])
  })

  systemTest(`IPv6 passes the bridge, ${mode}`, async (t) => {
    const network = await startTapway(NETWORK, { args })
    const address = `${linkLocal('neighbor')}%eth0`
    await pings(t, network, 'client', address)
    await pings(t, network, 'client', address, '-s', '5000')
    const before = await portOf(network, 'client.eth0')
    await transfer(t, 'client', 'neighbor', address, { bytes: BYTES / 2 })
    const after = await portOf(network, 'client.eth0')
    const each = (after.rx_bytes - before.rx_bytes) / (after.rx_packets - before.rx_packets)
    t.true(isWhole ? each > SUPER : each <= FULL_FRAME, `${each} bytes a packet`)
    t.deepEqual(kernelErrors('neighbor'), [])
  })
}

systemTest('a smaller MTU beyond the router: fragments without DF, an answer with it, and TCP finds its way', async (t) => {
  const network = await startTapway(NETWORK.replace('two: {}', 'two: { mtu: 1280 }'))
  await pings(t, network, 'client', '10.1.2.2', '-M', 'dont', '-s', '1400')
  await pings(t, network, 'client', '10.1.2.2', '-M', 'dont', '-s', '20000')
  const { status, stdout } = await network.exec('client', 'ping', '-c', '1', '-W', '5', '-M', 'do', '-s', '1400', '10.1.2.2')
  t.is(status, 1)
  t.regex(stdout, /From 10\.1\.1\.3 .*Frag needed and DF set \(mtu = 1280\)/)
  await transfer(t, 'client', 'server', '10.1.2.2', { bytes: BYTES / 4 })
  await transfer(t, 'server', 'client', '10.1.1.2', { bytes: BYTES / 4 })
  t.is(
    Number((await network.json<StatsResult>('stats')).drops.find(({ reason }) => reason === 'fragmentation-needed')!.packets) > 0,
    true
  )
})

systemTest('large frames: a bridge and hosts with an MTU of 9000', async (t) => {
  const network = await startTapway(NETWORK.replace('one: {}', 'one: { mtu: 9000 }').replace('two: {}', 'two: { mtu: 9000 }'), {
    args: ['--no-offload']
  })
  await pings(t, network, 'client', '10.1.2.2', '-M', 'do', '-s', '8972')
  await transfer(t, 'client', 'server', '10.1.2.2', { bytes: BYTES / 4 })
})

systemTest('many streams at once', async (t) => {
  const network = await startTapway(NETWORK)
  const receiver = network.startIn('server', ...traffic('receive', '7777'))
  await receiver.prints(/listening/)
  const sent = await Promise.all(
    Array.from({ length: 8 }, () => network.exec('client', ...traffic('send', '10.1.2.2', '7777', String(BYTES / 8))))
  )
  for (const { stdout } of sent) await receiver.prints(new RegExp(`^${stdout.trim()}$`, 'm'))
  t.true((await network.json<StatsResult>('stats')).balance.ok)
})

systemTest('iperf3 with eight streams, UDP at a high rate, and the balance after it', async (t) => {
  const network = await startTapway(NETWORK)
  const server = network.startIn('server', 'iperf3', '-s', '--forceflush')
  await server.prints(/listening/i)
  const iperf = async (...words: string[]) => {
    const { status, stdout } = await network.exec('client', 'iperf3', '-c', '10.1.2.2', '-J', '-t', '1', ...words)
    t.is(status, 0, stdout)
    return (JSON.parse(stdout) as { end: { sum_received?: { bytes: number }; sum: { packets: number } } }).end
  }
  t.true((await iperf('-P', '8')).sum_received!.bytes > 1 << 20)
  t.true((await iperf('-u', '-b', '0', '-l', '64')).sum.packets > 1000)
  await until('nothing is on its way', async () => {
    const { balance } = await network.json<StatsResult>('stats')
    t.true(balance.ok)
    return balance.held === 0
  })
  t.is(sysctl('server', 'net/ipv4/ip_forward'), '0')
})
