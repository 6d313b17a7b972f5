/**
 * Segments of several flows that came out of a tunnel in one piece of memory (UDP_GRO): each is a slice, before which nothing may be
 * written, and yet those of a flow leave as one super-frame.
 */
import test from 'ava'
import fc from 'fast-check'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../src/core/ports.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { ethernet, MAC_A, MAC_B } from '../oracle/naive-frames.js'
import { comparable, countOf, cut, flowOf, frameOf, SEGMENT } from './naive-joins.js'

const ALL = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const AF_INET = 2
const VXLAN_HEADER = [8, 0, 0, 0, 0, 0, 42, 0]
const PEER = Int32Array.from([AF_INET | (0xb512 << 16), 0x024da8c0, 0, 0, 0, 0, 0])

const tunnelLab = (): { l: MemoryLab; socket: number } => {
  const l = createMemoryLab()
  const socket = l.io.open(false)
  l.apply(
    { op: 'bridge.add', name: 'br', mac: '02:00:00:00:00:01', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 },
    {
      op: 'vxlan.add', name: 'vx', bridge: 'br', mac: '02:00:00:00:00:02', mtu: 1450, id: 42, local: '192.168.77.1', dstport: 4789,
      srcport: [32768, 60999], remote: '192.168.77.2', learning: true, proxy: false, neigh_suppress: false, ttl: 64, tos: 0, df: 'unset',
      udpcsum: true, ageing: 300, maxaddress: 0, l2miss: false, l3miss: false, gbp: false, inner_vlan: 'pass', netns: '', family: 4,
      receive: [socket], send: [l.io.open(false)], send_df: [], gso: true
    }
  )
  l.port('b.eth0', 'br', { vnet: true, offloads: ALL })
  l.send('b.eth0', Uint8Array.from(ethernet(MAC_A, MAC_B, 0x88b5, [0, 0])), {})
  l.run()
  l.taken('b.eth0')
  return { l, socket }
}

/** Datagrams of `size` bytes of inner data, of the flows in `order`, as one arrival. */
const block = (order: readonly number[], size: number, version: 4 | 6): { frames: Uint8Array[]; bytes: Uint8Array; each: number } => {
  const sent = new Map<number, number>()
  const frames = order.map((flow, i) => {
    const seq = sent.get(flow) ?? 0
    sent.set(flow, seq + size)
    return frameOf({ ...SEGMENT, version, sport: 40000 + flow, seq, data: Array.from({ length: size }, (_, k) => (k + i) & 255) }).bytes
  })
  return { frames, bytes: Uint8Array.from(frames.flatMap((f) => [...VXLAN_HEADER, ...f])), each: frames[0]!.length + VXLAN_HEADER.length }
}

const text = (frames: readonly Uint8Array[], of: Uint8Array): string[] => frames.filter((f) => flowOf(f) === flowOf(of)).map(comparable)

test('two flows, one segment of each after the other, leave as two super-frames', (t) => {
  for (const version of [4, 6] as const) {
    // Datagrams whose size is no multiple of 4 are moved, the others stay where they are
    for (const size of [1022, 1024, 1021]) {
      const { l, socket } = tunnelLab()
      const { frames, bytes, each } = block([0, 1, 0, 1, 0, 1], size, version)
      l.io.injectDatagram(socket, { bytes, from: PEER, gso: each })
      l.run()
      const out = l.taken('b.eth0')
      t.deepEqual(out.map(countOf), [3, 3], `${size}`)
      const again = out.flatMap(cut)
      for (const f of frames) t.deepEqual(text(again, f), text(frames, f))
      t.is(l.held(), 0)
    }
  }
})

test('property: any mix of flows: each comes as it went, in order', (t) => {
  const { l, socket } = tunnelLab()
  const mix = fc.record({
    order: fc.array(fc.nat(3), { minLength: 2, maxLength: 60, size: 'max' }),
    size: fc.integer({ min: 1, max: 900 }),
    version: fc.constantFrom<4 | 6>(4, 6)
  })
  let joined = 0
  fc.assert(fc.property(mix, ({ order, size, version }) => {
    const { frames, bytes, each } = block(order, size, version)
    l.io.injectDatagram(socket, { bytes, from: PEER, gso: each })
    l.run()
    const out = l.taken('b.eth0')
    if (out.length < frames.length) joined++
    const again = out.flatMap(cut)
    t.is(again.length, frames.length)
    for (const f of new Map(frames.map((one) => [flowOf(one), one])).values()) t.deepEqual(text(again, f), text(frames, f))
    t.is(l.held(), 0)
  }), { numRuns: 60, seed: 13 })
  t.true(joined > 40)
})
