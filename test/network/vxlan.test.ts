import test from 'ava'
import { P_NEIGH_SUPPRESS } from '../../src/core/ports.js'
import type { FdbRow, LinkRow } from '../../src/network/operations.js'
import { createMemoryLab } from '../helpers/memory-lab.js'
import { bridgeAdd, createVxlanLab, selfRows, vxlanAdd } from './vxlan-lab.js'

const code = (expected: number) => (error: unknown): boolean => (error as { code?: number }).code === expected

test('a VXLAN port is a link of its bridge', (t) => {
  const lab = createVxlanLab({ remote: '192.168.77.2', proxy: true, l3miss: true, tos: 'inherit', maxaddress: 10, gbp: true })
  const [row] = [...lab.network.show({ show: 'link', dev: 'vxlan1' })] as LinkRow[]
  t.like(row, { ifname: 'vxlan1', mtu: 1450, master: 'br0', operstate: 'UP', address: '02:00:00:00:42:01', flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'] })
  t.deepEqual(row!.linkinfo.info_data, {
    id: 42, remote: '192.168.77.2', local: '192.168.77.1', port_range: { low: 49152, high: 65535 }, port: 4789, learning: true, proxy: true, l3miss: true,
    tos: '0x1', ttl: 64, df: 'unset', ageing: 300, limit: 10, udp_csum: true, udp_zero_csum6_tx: false, udp_zero_csum6_rx: false, gbp: true
  })
  t.deepEqual(row!.linkinfo.info_slave_data, { state: 'forwarding', learning: true, flood: true, neigh_suppress: false })
  t.like(row!.tapway, { kind: 'vxlan', inner_vlan: 'pass', moved: 0, unreachable: 0 })
  t.true(lab.network.stats().ports.some((p) => p.name === 'vxlan1' && p.bridge === 'br0'))
  t.deepEqual(lab.network.resolvePorts(['vxlan1']).map((p) => p.name), ['vxlan1'])
  // The bridge knows the port's own address
  t.deepEqual(
    ([...lab.network.show({ show: 'fdb', dev: 'vxlan1' })] as FdbRow[]).map(({ mac, master, state }) => ({ mac, master, state })),
    [{ mac: '02:00:00:00:42:01', master: 'br0', state: 'permanent' }]
  )
})

test('VXLANs share sockets and are told apart by VNI; a VNI that is taken leaves nothing behind', (t) => {
  const watched = new Map<number, number>()
  const lab = createMemoryLab()
  lab.apply(bridgeAdd(), bridgeAdd('br1', 2))
  const { tunnels } = lab.network.engine
  const receive = [lab.io.open(false)]
  const send = [lab.io.open(false), lab.io.open(false)]
  const bind = lab.io.bind
  lab.io.bind = (descriptor, tag) => {
    watched.set(tag, descriptor)
    bind(descriptor, tag)
  }
  lab.apply(vxlanAdd({ receive, send }), vxlanAdd({ name: 'vxlan2', id: 43, receive, send, bridge: 'br1' }))
  t.is(watched.size, 3)
  const row = tunnels.sockets.findIndex((s) => s?.descriptor === receive[0])
  t.is(tunnels.find(row, 42), 0)
  t.is(tunnels.find(row, 43), 1)
  t.is(tunnels.find(row, 44), -1)
  const before = JSON.stringify([...lab.network.show({ show: 'link' })])
  t.throws(() => lab.apply(vxlanAdd({ name: 'vxlan3', receive: [lab.io.open(false), ...receive], send: [lab.io.open(false)] })), { message: /VNI 42 is that of vxlan1/ })
  t.is(JSON.stringify([...lab.network.show({ show: 'link' })]), before)
  t.is(tunnels.sockets.filter((s) => s !== undefined).length, 3)
  t.throws(() => lab.apply(vxlanAdd({ id: 44 })), { message: /exists already/ })
  t.throws(() => lab.apply(vxlanAdd({ name: 'x', bridge: 'br9' })), { message: /no bridge/ })
  lab.apply({ op: 'vxlan.del', name: 'vxlan1' })
  t.is(tunnels.find(row, 42), -1)
  t.is(tunnels.find(row, 43), 1)
  lab.apply({ op: 'vxlan.del', name: 'vxlan2' })
  t.true(tunnels.sockets.every((s) => s === undefined))
  t.throws(() => lab.apply({ op: 'vxlan.del', name: 'vxlan2' }), { message: /no VXLAN port "vxlan2"/ })
})

test('vxlan.del takes everything with it', (t) => {
  const lab = createVxlanLab()
  const { tunnelFdb, remotes, tunnels, fdb } = lab.network.engine
  const before = fdb.count() - 1
  lab.apply(
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.2' },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.3' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0b', dev: 'vxlan1', dst: '192.168.77.2' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0c', dev: 'vxlan1', master: true, state: 'static' }
  )
  tunnelFdb.learn(0, 0, 0x4202, 7, remotes.learned(0, 2, 0x024da8c0, 0, 0, 0, 4789, 42), lab.network.engine.clock.second)
  t.is(remotes.count(), 4)
  lab.apply({ op: 'vxlan.del', name: 'vxlan1' })
  t.is(remotes.count(), 0)
  t.is(tunnelFdb.count(), 0)
  t.is(fdb.count(), before)
  t.is(tunnels.used[0], 0)
  lab.apply(vxlanAdd({ id: 7 }))
  t.deepEqual(selfRows(lab), [])
})

test('link set: down forgets what was learned, the address is known to bridge and tunnel', (t) => {
  const lab = createVxlanLab()
  const { tunnels, ports } = lab.network.engine
  lab.apply(
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.2' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0b', dev: 'vxlan1', dst: '192.168.77.2', state: 'dynamic' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0c', dev: 'vxlan1', dst: '192.168.77.2', state: 'static' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0b', dev: 'vxlan1', master: true, state: 'dynamic' },
    { op: 'link.set', dev: 'vxlan1', up: false }
  )
  t.deepEqual(selfRows(lab), ['00:00:00:00:00:00 192.168.77.2 permanent', '02:42:0a:00:0a:0c 192.168.77.2 static'])
  t.is(([...lab.network.show({ show: 'fdb', dev: 'vxlan1', master: true })]).length, 1)
  lab.apply({ op: 'link.set', dev: 'vxlan1', up: true, mtu: 1400, address: '02:00:00:00:42:09', neigh_suppress: true, flood: false, learning: false })
  const [row] = [...lab.network.show({ show: 'link', dev: 'vxlan1' })] as LinkRow[]
  t.like(row, { mtu: 1400, address: '02:00:00:00:42:09', linkinfo: { info_slave_data: { learning: false, flood: false, neigh_suppress: true } } })
  t.is(tunnels.macLo[0], 0x09420000)
  t.true((ports.state[tunnels.port[0]!]! & P_NEIGH_SUPPRESS) !== 0)
  t.deepEqual(([...lab.network.show({ show: 'fdb', dev: 'vxlan1', master: true })] as FdbRow[]).map((r) => r.mac), ['02:00:00:00:42:09'])
  t.throws(() => lab.apply({ op: 'link.set', dev: 'client.eth0', neigh_suppress: true }), { message: /no VXLAN port/ })
  t.throws(() => lab.apply({ op: 'link.set', dev: 'vxlan1', forwarding: true }), { message: /does not forward/ })
  t.throws(() => lab.apply({ op: 'addr.add', dev: 'vxlan1', prefix: '10.0.0.1/24' }), { message: /no interface/ })
  t.true(code(2)(t.throws(() => lab.apply({ op: 'link.set', dev: 'vxlan1', address: 'ff:ff:ff:ff:ff:ff' }))))
})

test('ageing 0 keeps learned stations for ever, and learns them', (t) => {
  for (const [ageing, kept] of [[0, 1], [10, 0]] as const) {
    const lab = createVxlanLab({ ageing })
    const { tunnelFdb, remotes, clock } = lab.network.engine
    lab.wait(100)
    const row = remotes.learned(0, 2, 0x024da8c0, 0, 0, 0, 4789, 42)
    t.is(tunnelFdb.learn(0, 0, 0x4202, 7, row, clock.second), 1)
    tunnelFdb.sweep(clock.now + 100_000_000, tunnelFdb.slots())
    t.is(tunnelFdb.count(), kept)
  }
})

test('a port with an existing device behind it says so', (t) => {
  const lab = createVxlanLab()
  lab.apply({
    op: 'port.add', name: 'eth1', bridge: 'br0', mtu: 1500, handle: lab.io.open(true), vnet_header: 10, offloads: 0, mac: '02:00:00:00:00:07', netns: 'there',
    ifname: 'veth1', io: 'packet'
  })
  const [row] = [...lab.network.show({ show: 'link', dev: 'eth1' })] as LinkRow[]
  t.like(row, { ifname: 'eth1', linkinfo: { info_kind: 'device' }, tapway: { kind: 'device', device: 'veth1', netns: 'there' } })
})

test('a station that moves between a peer and a port of this side is counted by its bridge', (t) => {
  const lab = createVxlanLab()
  const { fdb, clock, tunnels } = lab.network.engine
  const moved = (): number => ([...lab.network.show({ show: 'link', dev: 'br0' })] as LinkRow[])[0]!.tapway.moved!
  const client = lab.network.resolvePorts(['client.eth0'])[0]!.id
  const hear = (port: number): number => fdb.learn(0, 0, 0x4202, 7, port, clock.second)
  hear(client)
  t.is(moved(), 0)
  hear(tunnels.port[0]!)
  hear(client)
  t.is(moved(), 2)
})
