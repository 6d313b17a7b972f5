import test from 'ava'
import { TUNNEL_L2MISS, TUNNEL_L3MISS, TUNNEL_PATH_MTU, TUNNEL_UNREACHABLE } from '../../src/engine/tunnels.js'
import { createTunnelNotices } from '../../src/network/tunnel-notices.js'
import type { NeighRow, VxlanRow } from '../../src/network/operations.js'
import { createVxlanLab } from './vxlan-lab.js'

const MAC = '02:42:0a:00:0a:0b'

test('neighbours of a VXLAN port stand beside those of routers and bridges', (t) => {
  const lab = createVxlanLab()
  const rows = (q: object = {}): NeighRow[] => [...lab.network.show({ show: 'neigh', ...q })] as NeighRow[]
  lab.apply(
    { op: 'addr.add', dev: 'br0', prefix: '10.0.10.1/24' },
    { op: 'neigh.add', dev: 'br0', address: '10.0.10.9', lladdr: '02:42:0a:00:0a:09' },
    { op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.11', lladdr: MAC },
    { op: 'neigh.replace', dev: 'vxlan1', address: '10.0.10.12', lladdr: MAC, nud: 'reachable' }
  )
  t.deepEqual(rows(), [
    { dst: '10.0.10.9', dev: 'br0', lladdr: '02:42:0a:00:0a:09', state: ['PERMANENT'], router: 'br0' },
    { dst: '10.0.10.11', dev: 'vxlan1', lladdr: MAC, state: ['PERMANENT'] },
    { dst: '10.0.10.12', dev: 'vxlan1', lladdr: MAC, state: ['REACHABLE'] }
  ])
  t.deepEqual(rows({ dev: 'vxlan1', nud: 'permanent' }).map((r) => r.dst), ['10.0.10.11'])
  t.deepEqual(rows({ router: 'br0' }).map((r) => r.dst), ['10.0.10.9'])
  t.deepEqual(rows({ address: '10.0.10.12' }).map((r) => r.dev), ['vxlan1'])
  t.throws(() => lab.apply({ op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.11', lladdr: MAC }), { message: /neighbour 10.0.10.11 on vxlan1 exists already/ })
  t.throws(() => lab.apply({ op: 'neigh.change', dev: 'vxlan1', address: '10.0.10.99', lladdr: MAC }), { message: /no neighbour 10.0.10.99/ })
  t.throws(() => lab.apply({ op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.99' }), { message: /needs an lladdr/ })
  t.throws(() => lab.apply({ op: 'neigh.add', dev: 'vxlan1', address: '224.0.0.1', lladdr: MAC }), { message: /no address a host can have/ })
  t.throws(() => lab.apply({ op: 'neigh.add', dev: 'client.eth0', address: '10.0.10.99', lladdr: MAC }), { message: /no device with neighbours "client.eth0"/ })
  lab.wait(31_000, 1000)
  t.deepEqual(rows({ dev: 'vxlan1' }).map((r) => r.state[0]), ['PERMANENT', 'STALE'])
  lab.apply({ op: 'neigh.flush', dev: 'vxlan1' })
  t.deepEqual(rows({ dev: 'vxlan1' }).map((r) => r.dst), ['10.0.10.11'])
  lab.apply({ op: 'neigh.del', dev: 'vxlan1', address: '10.0.10.11' })
  t.throws(() => lab.apply({ op: 'neigh.del', dev: 'vxlan1', address: '10.0.10.11' }), { message: /no neighbour/ })
  lab.apply({ op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.12', lladdr: MAC, nud: 'stale' }, { op: 'neigh.flush' })
  t.deepEqual(rows().map((r) => r.dst), ['10.0.10.9'])
})

test('vxlan show: options, sockets, counters and one row a peer', (t) => {
  const lab = createVxlanLab({ remote: '192.168.77.2' })
  const { tunnelFdb, remotes, clock, tunnels } = lab.network.engine
  lab.wait(100)
  lab.apply(
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.2' },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.3' },
    { op: 'fdb.add', mac: MAC, dev: 'vxlan1', dst: '192.168.77.2' },
    { op: 'fdb.add', mac: '02:42:0a:00:0a:0c', dev: 'vxlan1', dst: '192.168.77.4', vni: 43, port: 5000 }
  )
  const learned = remotes.learned(0, 2, 0x024da8c0, 0, 0, 0, 4789, 42)
  tunnelFdb.learn(0, 0, 0x4202, 7, learned, clock.second)
  remotes.unreachable[learned] = 3
  remotes.pathMtu[learned] = 1400
  remotes.pathMtuUntil[learned] = clock.second + 10
  tunnels.counters[1] = 5
  const [row] = [...lab.network.show({ show: 'vxlan', dev: 'vxlan1' })].filter((r) => r !== undefined) as VxlanRow[]
  t.deepEqual(row!.peers.sort((a, b) => (a.dst < b.dst ? -1 : 1)), [
    { dst: '192.168.77.2', flood: true, entries: 2, unreachable: 3, path_mtu: 1400 },
    { dst: '192.168.77.3', flood: true, entries: 0, unreachable: 0 },
    { dst: '192.168.77.4', port: 5000, vni: 43, flood: false, entries: 1, unreachable: 0 }
  ])
  t.like(row, { ifname: 'vxlan1', master: 'br0', operstate: 'UP', mtu: 1450, sockets: { receive: 1, send: 2, send_df: 1, gso: true } })
  t.like(row!.tapway, { n_learned: 1, l2miss: 5 })
  t.is(row!.info_data['id'], 42)
  t.throws(() => [...lab.network.show({ show: 'vxlan', dev: 'vxlan9' })], { message: /no VXLAN port "vxlan9"; did you mean "vxlan1"/ })
})

test('the same is said once a minute, and little in one second', (t) => {
  const lab = createVxlanLab()
  const said: string[] = []
  const { clock, remotes } = lab.network.engine
  const tell = createTunnelNotices(() => lab.network.engine, lab.network.registry, (level, text) => said.push(`${level} ${text}`))
  const row = remotes.learned(0, 2, 0x024da8c0, 0, 0, 0, 4789, 42)
  clock.second = 1000
  for (let i = 0; i < 1000; i++) {
    tell(TUNNEL_L2MISS, 0, 0x4202, 0x0b0a000a)
    tell(TUNNEL_L3MISS, 0, 0x0a000a0b, 0)
    tell(TUNNEL_UNREACHABLE, 0, row, 111)
    tell(TUNNEL_PATH_MTU, 0, row, 1400)
  }
  t.deepEqual(said.splice(0), [
    `info vxlan1: no entry for ${MAC}, and no peer to flood to (l2miss)`, 'info vxlan1: no neighbour 10.0.10.11 (l3miss)',
    'warn vxlan1: peer 192.168.77.2 port 4789 was not reached: ECONNREFUSED', 'info vxlan1: the path to 192.168.77.2 port 4789 takes packets of 1400 bytes'
  ])
  for (let i = 0; i < 1000; i++) tell(TUNNEL_L3MISS, 0, i, 0)
  t.is(said.splice(0).length, 1)
  clock.second = 1001
  for (let i = 0; i < 1000; i++) tell(TUNNEL_L3MISS, 0, 5000 + i, 0)
  t.is(said.splice(0).length, 5)
  clock.second = 1061
  tell(TUNNEL_UNREACHABLE, 0, row, 111)
  t.is(said.length, 1)
})
