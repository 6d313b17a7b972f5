/** The platform's overlay in the words of the network file: subnets by cell behind one route, one neighbour and one entry each, /32 links. */
import test from 'ava'
import { readFileSync } from 'node:fs'
import { parseNetworkFile } from '../../src/config/load.js'
import type { AddrRow, NeighRow, RouteRow, VxlanRow } from '../../src/network/operations.js'
import { formatIp4 } from '../../src/wire/ip4.js'
import { formatMac } from '../../src/wire/mac.js'
import { arpFrame, describe } from '../helpers/frames.js'
import { partial } from '../offload/naive-cut.js'
import { echo, ethernet, ipv4, tcp, udp } from '../oracle/naive-frames.js'
import { arrive, cellFile, createCell, linkName, macOf, sentBy, settle, type Cell } from './cells-lab.js'

const ONE = '192.168.77.1'
const TWO = '192.168.77.2'

const cells = (): [Cell, Cell] => [
  createCell(cellFile({ subnet: 96, underlay: ONE, remote: { subnet: 97, underlay: TWO }, containers: { a1: 3, a2: 4 } }), 1),
  createCell(cellFile({ subnet: 97, underlay: TWO, remote: { subnet: 96, underlay: ONE }, containers: { b1: 3 } }), 2)
]

/** A ping as a container sends it: to the host's end of its link. */
const ping = (from: string, to: string, type = 8): Uint8Array =>
  Uint8Array.from(ethernet(macOf('aa:aa', from), macOf('ee:ee', from), 0x0800, ipv4(1, from, to, echo(type, 7, 1, [1, 2, 3, 4]))))

const frames = (cell: Cell, port: string): string[] => cell.lab.taken(port).map(({ bytes }) => describe(bytes))

test('names of links and MAC addresses are the platform\'s', (t) => {
  t.is(linkName('10.255.96.3'), 's-010255096003')
  t.is(macOf('ee:ee', '10.255.96.3'), 'ee:ee:0a:ff:60:03')
})

test('a container reaches one on another cell, and one beside it, without a flooded frame or an ARP packet', (t) => {
  const [one, two] = cells()
  one.lab.send('a1.eth0', ping('10.255.96.3', '10.255.97.3'))
  one.lab.run()
  const sent = sentBy(one)
  t.deepEqual(sent.map((d) => describe(d.slice(8))), [
    'ee:ee:0a:ff:60:00 > ee:ee:0a:ff:61:00 10.255.96.3 > 10.255.97.3 ttl 63 tos 0x0 len 32 DF icmp 8/0 rest 0.7.0.1'
  ])
  one.lab.send('a1.eth0', ping('10.255.96.3', '10.255.97.3'))
  settle(one, two)
  t.deepEqual(frames(two, 'b1.eth0'), [
    'aa:aa:0a:ff:61:03 > ee:ee:0a:ff:61:03 10.255.96.3 > 10.255.97.3 ttl 62 tos 0x0 len 32 DF icmp 8/0 rest 0.7.0.1'
  ])
  two.lab.send('b1.eth0', ping('10.255.97.3', '10.255.96.3', 0))
  settle(one, two)
  t.deepEqual(frames(one, 'a1.eth0'), [
    'aa:aa:0a:ff:60:03 > ee:ee:0a:ff:60:03 10.255.97.3 > 10.255.96.3 ttl 62 tos 0x0 len 32 DF icmp 0/0 rest 0.7.0.1'
  ])
  one.lab.send('a1.eth0', ping('10.255.96.3', '10.255.96.4'))
  settle(one, two)
  t.deepEqual(frames(one, 'a2.eth0'), [
    'aa:aa:0a:ff:60:04 > ee:ee:0a:ff:60:04 10.255.96.3 > 10.255.96.4 ttl 63 tos 0x0 len 32 DF icmp 8/0 rest 0.7.0.1'
  ])
  t.is(one.lab.drops('no-remote') + two.lab.drops('no-remote'), 0)
})

test('every link answers ARP for the address that all of them share, and with its own MAC address', (t) => {
  const [one] = cells()
  for (const [port, address] of [['a1.eth0', '10.255.96.3'], ['a2.eth0', '10.255.96.4']] as const) {
    one.lab.send(port, Uint8Array.from(arpFrame({ senderMac: macOf('ee:ee', address), sender: address, target: '169.254.0.1' })))
    one.lab.run()
    const [host, container] = [macOf('aa:aa', address), macOf('ee:ee', address)]
    t.deepEqual(frames(one, port), [`${host} > ${container} arp 2 169.254.0.1 (${host}) > ${address} (${container})`])
  }
})

test('without a neighbour entry the router asks the container, in the name of that address', (t) => {
  const [one] = cells()
  one.lab.apply({ op: 'neigh.del', dev: 's-010255096004', address: '10.255.96.4' })
  one.lab.send('a1.eth0', ping('10.255.96.3', '10.255.96.4'))
  one.lab.run()
  t.deepEqual(frames(one, 'a2.eth0'), [
    'aa:aa:0a:ff:60:04 > ff:ff:ff:ff:ff:ff arp 1 169.254.0.1 (aa:aa:0a:ff:60:04) > 10.255.96.4 (00:00:00:00:00:00)'
  ])
})

test('one route, one neighbour and one entry a remote cell', (t) => {
  const [one] = cells()
  const routes = [...one.lab.network.show({ show: 'route', router: 'cell' })] as RouteRow[]
  t.deepEqual(routes.map(({ dst, gateway, dev, flags, scope, prefsrc }) => ({ dst, gateway, dev, flags, scope, prefsrc })), [
    { dst: '10.255.96.3', gateway: undefined, dev: 's-010255096003', flags: [], scope: 'link', prefsrc: '169.254.0.1' },
    { dst: '10.255.96.4', gateway: undefined, dev: 's-010255096004', flags: [], scope: 'link', prefsrc: '169.254.0.1' },
    { dst: '10.255.97.0/24', gateway: '10.255.97.0', dev: 'silk-vtep', flags: ['onlink'], scope: undefined, prefsrc: undefined }
  ])
  const neighbors = [...one.lab.network.show({ show: 'neigh', dev: 'silk-vtep' })] as NeighRow[]
  t.deepEqual(neighbors, [{ dst: '10.255.97.0', dev: 'silk-vtep', lladdr: 'ee:ee:0a:ff:61:00', state: ['PERMANENT'], router: 'cell' }])
  const [vxlan] = [...one.lab.network.show({ show: 'vxlan' })].filter((row) => row !== undefined) as VxlanRow[]
  t.deepEqual(vxlan!.peers, [{ dst: TWO, flood: false, entries: 1, unreachable: 0 }])
  const [address] = [...one.lab.network.show({ show: 'addr', dev: 's-010255096003' })] as AddrRow[]
  t.like(address!.addr_info[0], { local: '169.254.0.1', address: '10.255.96.3', prefixlen: 32 })
})

test('the files of the example are of that form: names, MAC addresses, and one line of each kind for a remote cell', (t) => {
  for (const [n, other] of [[1, 2], [2, 1]] as const) {
    const [file, remote] = [n, other].map((i) => parseNetworkFile(readFileSync(new URL(`../../../examples/c2c/cell${i}.yaml`, import.meta.url), 'utf8'), `cell${i}.yaml`))
    const [router, vtep, endpoint] = [file!.routers[0]!, file!.vxlans[0]!, remote!.routers[0]!.interfaces[0]!]
    const [containers, there] = [file!.hosts.map(({ interfaces: [eth0] }) => eth0!), formatIp4(endpoint.addresses[0]!.address)]
    t.true(containers.length > 1)
    for (const { mac, addresses: [own] } of containers) {
      const address = formatIp4(own!.address)
      const link = router.interfaces.find(({ name }) => name === linkName(address))
      t.deepEqual([formatMac(...mac), own!.prefixLength, formatIp4(own!.peer!)], [macOf('ee:ee', address), 32, '169.254.0.1'])
      t.deepEqual([formatMac(...link!.mac), formatIp4(link!.addresses[0]!.peer!)], [macOf('aa:aa', address), address])
      t.is(router.neighbors.filter((e) => formatIp4(e.address) === address && e.dev === linkName(address) && formatMac(...e.lladdr) === macOf('ee:ee', address)).length, 1)
    }
    t.is(router.interfaces.length, containers.length + 1)
    t.is(router.neighbors.length, containers.length + 1)
    t.deepEqual(router.neighbors.filter((e) => e.dev === 'silk-vtep').map((e) => [formatIp4(e.address), formatMac(...e.lladdr)]), [[there, macOf('ee:ee', there)]])
    t.deepEqual(router.routes.map(({ to, via, dev, onlink }) => [formatIp4(to.address), to.prefixLength, formatIp4(via!), dev, onlink]), [[there, 24, there, 'silk-vtep', true]])
    t.deepEqual(vtep.fdb.map(({ mac, dst }) => [formatMac(...mac), dst]), [[macOf('ee:ee', there), remote!.vxlans[0]!.local]])
    t.like(vtep, { gbp: true, learning: false, remote: [] })
  }
})

test('no frame to all, to a group or to nobody known ever enters the tunnel, whoever sends it', (t) => {
  const [one, two] = cells()
  const from = '10.255.96.3'
  const packet = (mac: string, to: string): Uint8Array =>
    Uint8Array.from(ethernet(mac, macOf('ee:ee', from), 0x0800, ipv4(17, from, to, udp(from, 68, to, 67, [1]))))
  for (const target of ['169.254.0.1', '10.255.96.4', '10.255.97.3', '10.255.97.0', '10.255.96.0']) {
    one.lab.send('a1.eth0', Uint8Array.from(arpFrame({ senderMac: macOf('ee:ee', from), sender: from, target })))
  }
  for (const [mac, to] of [
    ['ff:ff:ff:ff:ff:ff', '255.255.255.255'], ['ff:ff:ff:ff:ff:ff', '10.255.97.255'], ['01:00:5e:00:00:fb', '224.0.0.251'], ['02:00:00:00:00:99', '10.255.97.3'],
    ['ee:ee:0a:ff:61:00', '10.255.97.3'], [macOf('aa:aa', from), '255.255.255.255'], [macOf('aa:aa', from), '224.0.0.251'], [macOf('aa:aa', from), '10.9.9.9']
  ] as const) one.lab.send('a1.eth0', packet(mac, to))
  // The router of the cell asks for a neighbour that it has not been told: nobody hears it
  one.lab.apply({ op: 'route.add', prefix: '10.255.98.0/24', router: 'cell', nexthops: [{ via: '10.255.98.0', dev: 'silk-vtep', onlink: true }] })
  one.lab.send('a1.eth0', packet(macOf('aa:aa', from), '10.255.98.3'))
  one.lab.wait(5000)
  t.deepEqual(sentBy(one), [])
  t.true(one.lab.drops('no-remote') > 0)
  // What is for the other cell goes to its end alone, whether that address is anybody's or not
  one.lab.send('a1.eth0', packet(macOf('aa:aa', from), '10.255.97.77'))
  one.lab.run()
  t.deepEqual(sentBy(one).map((d) => d.slice(8, 14)), [[0xee, 0xee, 10, 255, 97, 0]])
  t.deepEqual(frames(two, 'b1.eth0'), [])
})

test('a super-frame that came without the size of its segments is cut as small as the container\'s link wants it', (t) => {
  const [from, to] = ['10.255.96.3', '10.255.97.3']
  const text = cellFile({ subnet: 97, underlay: TWO, remote: { subnet: 96, underlay: ONE }, containers: { b1: 3 } })
  const data = Array.from({ length: 10_000 }, (_, i) => i & 255)
  for (const mtu of [1450, 1300, 600]) {
    const two = createCell(text.replace('link-b1: { mtu: 1450 }', `link-b1: { mtu: ${mtu} }`), 2)
    const whole = ethernet(macOf('ee:ee', '10.255.97.0'), macOf('ee:ee', '10.255.96.0'), 0x0800, ipv4(6, from, to, tcp(from, 1000, to, 80, data, { seq: 7 })))
    // As from a kernel or an uplink on the same machine: DF, and the checksum to be completed
    arrive(two, ONE, [[8, 0, 0, 0, 0, 0, 1, 0, ...partial(whole, 34, true)]])
    const got = two.lab.taken('b1.eth0').map(({ bytes }) => [...bytes])
    t.deepEqual(got.flatMap((frame) => frame.slice(54)), data)
    t.is(Math.max(...got.map((frame) => frame.length)), mtu + 14)
    t.deepEqual(sentBy(two), [], 'nobody is told to send less')
    two.lab.held()
  }
})

test('a container that goes takes nothing of the others with it, though they share the near end', (t) => {
  for (const how of ['addr', 'interface', 'down'] as const) {
    const [one, two] = cells()
    if (how === 'addr') one.lab.apply({ op: 'addr.del', dev: 's-010255096003', prefix: '169.254.0.1/32' })
    else if (how === 'interface') one.lab.apply({ op: 'interface.del', router: 'cell', name: 's-010255096003' })
    else one.lab.apply({ op: 'link.set', dev: 's-010255096003', router: 'cell', up: false })
    two.lab.send('b1.eth0', ping('10.255.97.3', '10.255.96.4'))
    settle(one, two)
    t.is(frames(one, 'a2.eth0').length, 1, how)
    two.lab.send('b1.eth0', ping('10.255.97.3', '10.255.96.3'))
    settle(one, two)
    t.is(frames(one, 'a1.eth0').length, 0, how)
    t.deepEqual(frames(two, 'b1.eth0').map((line) => line.split(' ').slice(3, 6).join(' ')), ['10.255.96.0 > 10.255.97.3'], how)
    one.lab.send('a2.eth0', Uint8Array.from(arpFrame({ senderMac: macOf('ee:ee', '10.255.96.4'), sender: '10.255.96.4', target: '169.254.0.1' })))
    one.lab.run()
    t.is(frames(one, 'a2.eth0').length, 1, how)
  }
})
