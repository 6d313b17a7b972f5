/** Which station is behind which peer: learned, moved, set by hand, and what becomes of frames meanwhile. */
import test from 'ava'
import { ethernet } from '../oracle/naive-frames.js'
import { arrive, BEHIND, EVERYBODY, LOCAL, machine, PORT, selfOf } from './tunnel-arrivals.js'
import { BRIDGE, createMachine, OWN_MAC, TUNNEL, VNI } from './tunnel-lab.js'

test('stations are learned with their peer, move at once, and static entries say where a station is', (t) => {
  const m = machine()
  const from = (source: string, peer: string) => arrive(m, [...VNI(42), ...ethernet(LOCAL, source, 0x88b5, [1])], { source: peer })
  from(BEHIND, '192.168.77.2')
  t.deepEqual(selfOf(m), [`${BEHIND} 192.168.77.2`])
  t.is(from(BEHIND, '192.168.99.3').out.length, 1, 'a peer nobody has heard of')
  t.deepEqual(selfOf(m), [`${BEHIND} 192.168.99.3`])
  t.is(m.lab.network.engine.tunnels.counters[0], 1)
  for (const state of ['static', 'permanent'] as const) {
    m.lab.apply({ op: 'fdb.replace', mac: BEHIND, dev: TUNNEL, dst: '192.168.77.4', state })
    t.deepEqual(from(BEHIND, '192.168.77.5'), { out: [], drops: { 'vxlan-station-elsewhere': 1 } })
    t.is(from(BEHIND, '192.168.77.4').out.length, 1)
    t.deepEqual(selfOf(m), [`${BEHIND} 192.168.77.4`])
  }
  m.lab.apply({ op: 'fdb.replace', mac: BEHIND, dev: TUNNEL, dst: '192.168.77.4', state: 'dynamic' })
  t.is(from(BEHIND, '192.168.77.6').out.length, 1)
  t.deepEqual(selfOf(m), [`${BEHIND} 192.168.77.6`])
  const one = createMachine({ learning: false, ports: { [PORT]: {} } })
  one.lab.apply({ op: 'fdb.add', mac: BEHIND, dev: TUNNEL, dst: '192.168.77.4' })
  one.arrive([...VNI(42), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [1])], { source: '192.168.77.5' })
  one.run()
  t.is(one.lab.taken(PORT).length, 1, 'without learning nobody looks')
  t.deepEqual(selfOf(one), [`${BEHIND} 192.168.77.4`])
})

test('a station in the middle of a piece moves; two peers\' pieces in one turn', (t) => {
  const m = machine()
  const frames = (n: number): number[][] => [0, 1, 2].map((i) => ethernet(LOCAL, `02:00:00:00:0d:0${i}`, 0x88b5, [n]))
  for (const [n, source] of [[1, '192.168.77.2'], [2, '192.168.77.3'], [3, '192.168.77.2']] as const) {
    const list = frames(n).map((f) => [...VNI(42), ...f])
    m.arrive(list.flat(), { gso: list[0]!.length, source })
  }
  m.run()
  t.deepEqual(selfOf(m), [0, 1, 2].map((i) => `02:00:00:00:0d:0${i} 192.168.77.2`))
  t.is(m.lab.network.engine.tunnels.counters[0], 6)
  t.is(m.lab.taken(PORT).length, 9)
})

test('maxaddress: frames of a station too many are delivered, and it is not learned', (t) => {
  const m = machine({ maxaddress: 2 })
  for (const [i, learned] of [1, 2, 2, 2].entries()) {
    t.is(arrive(m, [...VNI(42), ...ethernet(LOCAL, `02:00:00:00:0d:0${i}`, 0x88b5, [1])]).out.length, 1)
    t.is(selfOf(m).length, learned)
  }
  t.is(m.lab.network.engine.tunnels.counters[4], 2)
})

test('a frame for a station behind the same tunnel is not sent back, whoever the peer is; its sender is learned', (t) => {
  const m = machine()
  arrive(m, [...VNI(42), ...ethernet(LOCAL, '02:00:00:00:0d:01', 0x88b5, [1])], { source: '192.168.77.3' })
  t.deepEqual(arrive(m, [...VNI(42), ...ethernet('02:00:00:00:0d:01', BEHIND, 0x88b5, [1])]), { out: [], drops: { 'same-port': 1 } })
  t.deepEqual(m.sent(), [])
  t.is(selfOf(m).length, 2)
})

test('the tunnel\'s own address is the bridge\'s: nothing is sent, nothing flooded', (t) => {
  const m = machine()
  t.deepEqual(arrive(m, [...VNI(42), ...ethernet(OWN_MAC, BEHIND, 0x88b5, [1])]).out, [])
  m.lab.send(PORT, Uint8Array.from(ethernet(OWN_MAC, LOCAL, 0x88b5, [1])), {})
  m.run()
  t.deepEqual(m.sent(), [])
  t.deepEqual(m.lab.taken('b.eth0'), [])
})

test('IPv6 peers are learned', (t) => {
  const m = machine({ family: 6, local: 'fd00::1' })
  m.arrive([...VNI(42), ...ethernet(LOCAL, BEHIND, 0x88b5, [1, 2, 3, 4])], { source: 'fd000000000000000000000000000002' })
  m.run()
  t.deepEqual(selfOf(m), [`${BEHIND} fd00::2`])
  m.lab.send(PORT, Uint8Array.from(ethernet(BEHIND, LOCAL, 0x88b5, [1])), {})
  m.run()
  t.deepEqual(m.sent().map((d) => [d.to, d.port]), [['fd000000000000000000000000000002', 4789]])
  t.is(m.lab.network.registry.vxlan(TUNNEL).bridge.name, BRIDGE)
})

