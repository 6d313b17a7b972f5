/** More than there is room for: losses are counted under their reason, nothing breaks, and afterwards all is as before. */
import test from 'ava'
import { LARGE, SMALL } from '../../src/core/packets.js'
import { createMemoryLab, interfaceWith, type MemoryLab } from '../helpers/memory-lab.js'
import { isLeftOut } from '../helpers/without.js'
import { be16, echo, ethernet, ipv4, udp } from '../oracle/naive-frames.js'
import { build, data, expected, parse, SUPER } from './naive-segments.js'

const STATION = '02:00:00:00:00:0a'
const ROUTER = '02:00:00:00:01:03'
const ALL = 'ff:ff:ff:ff:ff:ff'

const whole = (lab: MemoryLab) => {
  const { packets } = lab.network.engine
  return [packets.packetsInUse(), packets.freeSlots(LARGE), packets.freeSlots(SMALL)]
}

const bridgeLab = (ports: number, pool: Parameters<typeof createMemoryLab>[1]): MemoryLab => {
  const lab = createMemoryLab(1, pool)
  lab.apply({ op: 'bridge.add', name: 'br', mac: '02:00:00:00:00:01', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 })
  for (let i = 0; i < ports; i++) lab.port(`p${i}.eth0`, 'br', { vnet: i === 0, offloads: 0 })
  return lab
}

/** Sends an echo request to the router and expects the answer: the network works. */
const answers = (lab: MemoryLab, id: number): boolean => {
  lab.send(
    'p0.eth0',
    Uint8Array.from(ethernet(ROUTER, STATION, 0x0800, ipv4(1, '10.1.1.2', '10.1.1.3', echo(8, id, 1, be16(id)))))
  )
  lab.run()
  return lab.taken('p0.eth0').some(({ bytes }) => bytes[34] === 0 && bytes[38] === id >> 8 && bytes[39] === (id & 255))
}

const routerLab = (pool?: Parameters<typeof createMemoryLab>[1]): MemoryLab => {
  const lab = bridgeLab(2, pool)
  lab.apply(
    { op: 'bridge.add', name: 'far', mac: '02:00:00:00:00:02', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 },
    { op: 'router.add', name: 'r', forwarding: true }
  )
  lab.apply(
    ...interfaceWith('r', 'eth1', 'br', ROUTER, '10.1.1.3/24'),
    ...interfaceWith('r', 'eth0', 'far', '02:00:00:00:02:03', '10.2.0.3/16')
  )
  lab.apply({ op: 'neigh.add', dev: 'eth1', router: 'r', address: '10.1.1.2', lladdr: STATION, nud: 'permanent' })
  lab.port('far.eth0', 'far')
  return lab
}

test('a flood bigger than the pool: copies that have no room are lost and counted, the rest arrives', (t) => {
  const ports = 30
  const lab = bridgeLab(ports, { packets: 64, largeSlots: 24, smallSlots: 32 })
  const before = whole(lab)
  const frames = 500
  for (let i = 0; i < frames; i++)
    lab.send('p0.eth0', Uint8Array.from(ethernet(ALL, STATION, 0x88b5, [...be16(i), ...data(100)])))
  lab.run()
  const { balance } = lab.network.stats()
  t.is(balance.received, frames)
  t.is(lab.drops('no-buffer') > 0, !isLeftOut('batches'), 'a flood of one frame at a time loses nothing')
  t.true(balance.transmitted >= frames)
  let arrived = 0
  for (let i = 1; i < ports; i++) {
    for (const { bytes } of lab.taken(`p${i}.eth0`)) {
      arrived++
      t.deepEqual([...bytes.slice(16)], data(100))
    }
  }
  t.is(arrived, balance.transmitted)
  t.is(lab.held(), 0)
  t.deepEqual(whole(lab), before)
})

test('super-frames that have no room to be cut lose segments, and what leaves is right', (t) => {
  const lab = bridgeLab(3, { packets: 64, largeSlots: 24, smallSlots: 20 })
  const before = whole(lab)
  const s = { ...SUPER, data: data(60_000), gso: 1000 }
  const { frame, offload } = build(s)
  for (let i = 0; i < 10; i++) lab.send('p0.eth0', frame, offload)
  lab.run()
  t.true(lab.drops('no-buffer') > 0)
  const known = new Set(expected(s).map((segment) => JSON.stringify(segment.data)))
  for (const port of ['p1.eth0', 'p2.eth0']) {
    for (const out of lab.taken(port).map(parse)) {
      t.deepEqual(out.faults, [])
      t.true(known.has(JSON.stringify(out.data)))
    }
  }
  t.is(lab.held(), 0)
  t.deepEqual(whole(lab), before)
})

test('packets for thousands of neighbours that do not answer: reception goes on, and all end under their reasons', (t) => {
  const lab = routerLab()
  const before = whole(lab)
  const count = 6000
  for (let i = 0; i < count; i++) {
    const to = `10.2.${1 + (i >> 8)}.${i & 255}`
    lab.send(
      'p0.eth0',
      Uint8Array.from(ethernet(ROUTER, STATION, 0x0800, ipv4(17, '10.1.1.2', to, udp('10.1.1.2', 1, to, 2, data(1000)))))
    )
    if (i % 500 === 499) {
      lab.run()
      t.true(answers(lab, i), 'what does not wait passes')
      t.true(lab.held() <= 1024 + 256, 'what waits is bounded')
    }
  }
  lab.wait(30_000, 100)
  t.is(lab.held(), 0)
  t.deepEqual(whole(lab), before)
  const reasons = ['neigh-failed', 'neigh-queue-full', 'neigh-table-full', 'no-buffer']
  t.true(reasons.reduce((sum, reason) => sum + lab.drops(reason), 0) >= count)
  t.true(answers(lab, 9999))
})

test('first fragments of thousands of datagrams: reception goes on, and all end under their reasons', (t) => {
  const lab = routerLab()
  const before = whole(lab)
  const count = 6000
  for (let i = 0; i < count; i++) {
    lab.send(
      'p0.eth0',
      Uint8Array.from(
        ethernet(ROUTER, STATION, 0x0800, ipv4(1, '10.1.1.2', '10.1.1.3', echo(8, 1, 1, data(1000)), { id: i, flags: 0x2000 }))
      )
    )
    if (i % 500 === 499) {
      lab.run()
      t.true(answers(lab, i))
    }
  }
  t.true(lab.held() > 0)
  lab.wait(40_000, 100)
  t.is(lab.held(), 0)
  t.deepEqual(whole(lab), before)
  t.is(lab.drops('reassembly-timeout') + lab.drops('reassembly-full') + lab.drops('no-buffer'), count)
  t.true(answers(lab, 9999))
})

test('a device that takes nothing: frames are lost at it alone', (t) => {
  const lab = bridgeLab(4, { packets: 256, largeSlots: 96, smallSlots: 64 })
  const before = whole(lab)
  for (const [errno, reason] of [
    [11, 'tx-queue-full'],
    [5, 'port-down'],
    [22, 'tx-error']
  ] as const) {
    lab.io.fail(1, errno)
    for (let i = 0; i < 200; i++) lab.send('p0.eth0', Uint8Array.from(ethernet(ALL, STATION, 0x88b5, be16(i))))
    lab.run()
    t.is(lab.drops(reason), 200, reason)
    t.is(lab.taken('p1.eth0').length, 0)
    for (const port of ['p2.eth0', 'p3.eth0']) t.is(lab.taken(port).length, 200)
  }
  t.is(lab.held(), 0)
  t.deepEqual(whole(lab), before)
})
