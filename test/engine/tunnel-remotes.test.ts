/** Datagrams that are queued when tables change go to where they were meant to go. */
import test from 'ava'
import { ethernet } from '../oracle/naive-frames.js'
import { allDrops, createMachine, type Machine, TUNNEL, VNI } from './tunnel-lab.js'

const A = '02:00:00:00:0a:01'
const B = '02:00:00:00:0b:01'
const C = '02:00:00:00:0c:01'

/** A machine that has queued a datagram to B at 192.168.77.2. */
const withQueued = (): Machine => {
  const m = createMachine()
  m.lab.port('a.eth0', 'br0')
  m.lab.apply({ op: 'fdb.add', mac: B, dev: TUNNEL, dst: '192.168.77.2' })
  m.lab.send('a.eth0', Uint8Array.from(ethernet(B, A, 0x88b5, [1, 2, 3])))
  m.lab.network.engine.turn(false)
  return m
}

test('an entry that is deleted while a datagram to it is queued: nobody else gets it', (t) => {
  const m = withQueued()
  m.lab.apply({ op: 'fdb.del', mac: B, dev: TUNNEL }, { op: 'fdb.add', mac: C, dev: TUNNEL, dst: '192.168.77.9' })
  m.run()
  t.deepEqual(m.sent().map((d) => d.to), ['192.168.77.2'])
})

test('a VXLAN port that is deleted while a datagram of it is queued: the same', (t) => {
  const m = withQueued()
  m.lab.apply({ op: 'vxlan.del', name: TUNNEL })
  m.lab.port('b.eth0', 'br0')
  m.run()
  t.deepEqual(m.sent().map((d) => d.to), ['192.168.77.2'])
  t.is(m.lab.held(), 0)
})

const peer = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
const station = (n: number): string => `06:00:00:${[n >> 16, (n >> 8) & 255, n & 255].map((x) => x.toString(16).padStart(2, '0')).join(':')}`

test('more peers than there are rows: who is not learned is flooded to, rows of peers that nobody is behind any more are used again, and no datagram goes astray', (t) => {
  const m = createMachine({ ports: { 'a.eth0': {} } })
  const { remotes, turn, tunnelFdb, tunnels } = m.lab.network.engine
  const from = (n: number, who: number): void => m.arrive([...VNI(42), ...ethernet(A, station(who), 0x88b5, [1])], { source: peer(n) })
  m.lab.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev: TUNNEL, dst: '192.168.77.7' })
  m.lab.send('a.eth0', Uint8Array.from(ethernet(station(1), A, 0x88b5, [0])))
  for (let n = 1; n < remotes.capacity; n++) from(n, n)
  m.run()
  t.is(remotes.count(), remotes.capacity)
  m.sent()
  m.lab.taken('a.eth0')
  // One more: nobody can give up a row
  from(0x20000, 0x20000)
  m.run()
  t.is(m.lab.taken('a.eth0').length, 1, 'its frames arrive')
  t.is(tunnels.counters[4], 1)
  m.lab.send('a.eth0', Uint8Array.from(ethernet(station(0x20000), A, 0x88b5, [0])))
  m.run()
  t.deepEqual(m.sent().map((d) => d.to), ['192.168.77.7'], 'what is not learned is flooded')
  m.lab.clock.now += 2000
  // In one turn: a datagram to a station; it moves, so that nobody is behind its peer; a new peer
  m.lab.send('a.eth0', Uint8Array.from(ethernet(station(1), A, 0x88b5, [7])))
  from(2, 1)
  from(0x20001, 0x20001)
  turn(false)
  m.run()
  t.deepEqual(m.sent().map((d) => d.to), [peer(1)])
  m.lab.send('a.eth0', Uint8Array.from(ethernet(station(1), A, 0x88b5, [7])))
  m.lab.send('a.eth0', Uint8Array.from(ethernet(station(0x20001), A, 0x88b5, [7])))
  m.run()
  t.deepEqual(m.sent().map((d) => d.to).sort(), [peer(2), peer(0x20001)])
  t.is(tunnelFdb.count(), remotes.capacity + 1)
  t.deepEqual(allDrops(m.lab), {})
})
