/**
 * Runs of equal datagrams: what leaves as a super-frame, cut again as a receiver's kernel cuts it, is what came; and whatever is
 * not exactly such a run leaves as it came, each flow in order.
 */
import test from 'ava'
import fc from 'fast-check'
import { GSO_UDP_L4 } from '../../src/core/layout.js'
import { OFFLOAD_CSUM, OFFLOAD_USO } from '../../src/core/ports.js'
import type { MemoryFrame } from '../../src/port/memory.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { ipFrame, ipv4, MAC_A, MAC_B, ethernet, udp } from '../oracle/naive-frames.js'

const A = '10.1.1.2'
const B = '10.1.1.3'
const DF = 0x4000

const lab = (): MemoryLab => {
  const l = createMemoryLab()
  l.apply({ op: 'bridge.add', name: 'br', mac: '02:00:00:00:00:01', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 })
  l.port('a.eth0', 'br')
  l.port('b.eth0', 'br', { vnet: true, offloads: OFFLOAD_CSUM | OFFLOAD_USO })
  // b is known, so that frames to it are not flooded
  l.send('b.eth0', Uint8Array.from(ethernet(MAC_A, MAC_B, 0x88b5, [0, 0])), {})
  l.run()
  l.taken('a.eth0')
  return l
}

interface Fields { data: number[]; sport?: number; flags?: number; id?: number; tos?: number; ttl?: number }

const datagram = ({ data, sport = 1000, flags = DF, id = 0, tos = 0, ttl = 64 }: Fields): Uint8Array =>
  Uint8Array.from(ipFrame(ipv4(17, A, B, udp(A, sport, B, 2000, data), { flags, id, tos, ttl })))

const HEADERS = 42

/** Cuts a super-frame into datagrams (linux net/ipv4/udp_offload.c __udp_gso_segment), identification 0. */
const cut = (frame: MemoryFrame): Uint8Array[] => {
  if (frame.gsoType !== GSO_UDP_L4) return [frame.bytes]
  const pieces: Uint8Array[] = []
  for (let at = HEADERS; at < frame.bytes.length; at += frame.gsoSize!) {
    const data = frame.bytes.subarray(at, Math.min(at + frame.gsoSize!, frame.bytes.length))
    const view = new DataView(frame.bytes.buffer, frame.bytes.byteOffset)
    const piece = datagram({ data: [...data], sport: view.getUint16(34), tos: view.getUint8(15), ttl: view.getUint8(22) })
    pieces.push(piece)
  }
  return pieces
}

const hex = (frames: readonly Uint8Array[]): string[] => frames.map((f) => Buffer.from(f).toString('hex'))

const through = (l: MemoryLab, frames: readonly Uint8Array[]): MemoryFrame[] => {
  for (const f of frames) l.send('a.eth0', f)
  l.run()
  return l.taken('b.eth0')
}

test('equal datagrams of one flow leave as one super-frame, the shorter last one with them', (t) => {
  const l = lab()
  const frames = [1, 2, 3].map((n) => datagram({ data: new Array<number>(18).fill(n) }))
  frames.push(datagram({ data: [9, 9, 9] }))
  const [one, ...others] = through(l, frames)
  t.deepEqual(others, [])
  t.is(one!.gsoType, GSO_UDP_L4)
  t.is(one!.gsoSize, 18)
  t.true(one!.needsCsum)
  t.deepEqual([one!.csumStart, one!.csumOffset, one!.headerLength], [34, 6, 42])
  t.is(one!.bytes.length, HEADERS + 3 * 18 + 3)
  t.deepEqual(hex(cut(one!)), hex(frames))
  const { ports, balance } = l.network.stats()
  t.is(ports.find((p) => p.name === 'b.eth0')!.tx_packets, 4, 'each counts')
  t.true(balance.ok)
  t.is(balance.held, 0)
})

for (const [what, second] of [
  ['another port', { sport: 1001 }], ['another TOS', { tos: 8 }], ['another TTL', { ttl: 63 }], ['no DF', { flags: 0 }], ['a fragment', { flags: 0x6000 }]
] as const) {
  test(`not joined: ${what}`, (t) => {
    const frames = [datagram({ data: [1, 2, 3, 4] }), datagram({ data: [1, 2, 3, 4], ...second }), datagram({ data: [1, 2, 3, 4], ...second })]
    const out = through(lab(), frames)
    t.deepEqual(hex(out.flatMap(cut)), hex(frames))
    t.true(out.length >= 2)
  })
}

test('a wrong checksum stays wrong, none stays none', (t) => {
  const wrong = datagram({ data: [1, 2, 3, 4] })
  wrong[41]! ^= 1
  const none = datagram({ data: [1, 2, 3, 4] })
  none.fill(0, 40, 42)
  const good = datagram({ data: [1, 2, 3, 4] })
  for (const frames of [[wrong, wrong, good], [good, wrong, good], [none, none, good], [good, none, none]]) {
    const out = through(lab(), frames)
    t.is(out.length, 3)
    t.deepEqual(hex(out.map((f) => f.bytes)), hex(frames))
  }
})

test('a longer one begins a new run; order is kept', (t) => {
  const frames = [4, 4, 8, 8, 2, 8].map((n) => datagram({ data: new Array<number>(n).fill(n) }))
  const out = through(lab(), frames)
  t.deepEqual(out.map((f) => f.bytes.length - HEADERS), [8, 18, 8])
  t.deepEqual(hex(out.flatMap(cut)), hex(frames))
})

test('a port without the offload gets what came', (t) => {
  const l = lab()
  l.port('c.eth0', 'br', { vnet: true, offloads: OFFLOAD_CSUM })
  l.send('c.eth0', Uint8Array.from(ethernet(MAC_A, '02:00:00:00:00:0c', 0x88b5, [0, 0])), {})
  l.run()
  const frames = [1, 2].map((n) => datagram({ data: [n] })).map((f) => Uint8Array.from([2, 0, 0, 0, 0, 0x0c, ...f.subarray(6)]))
  for (const f of frames) l.send('a.eth0', f)
  l.run()
  t.deepEqual(hex(l.taken('c.eth0').map((f) => f.bytes)), hex(frames))
})

test('property: cut again, everything is as it came but for identifications, each flow in order', (t) => {
  const flow = fc.record({
    size: fc.constantFrom(0, 1, 4, 4, 4, 18, 18, 1472), sport: fc.constantFrom(1000, 1000, 1000, 1001), flags: fc.constantFrom(DF, DF, DF, 0),
    ttl: fc.constantFrom(64, 64, 64, 1), damage: fc.constantFrom(0, 0, 0, 0, 1, 24, 40, 41)
  })
  fc.assert(fc.property(fc.array(flow, { minLength: 1, maxLength: 120 }), (list) => {
    const l = lab()
    const frames = list.map(({ size, sport, flags, ttl, damage }, i) => {
      const f = datagram({ data: Array.from({ length: size }, (_, k) => (k + i) & 255), sport, flags, ttl })
      if (damage > 6) f[damage]! ^= 0x40
      return f
    })
    const out = through(l, frames).flatMap(cut)
    const ofPort = (fs: readonly Uint8Array[], port: number) => hex(fs.filter((f) => f[35] === (port & 255)))
    for (const port of [1000, 1001]) t.deepEqual(ofPort(out, port), ofPort(frames, port))
    t.is(out.length, frames.length)
    t.is(l.held(), 0)
  }), { numRuns: 60, seed: 7 })
})

test('a checksum to be completed elsewhere is none of ours: an inner one', (t) => {
  const l = lab()
  l.port('v.eth0', 'br', { vnet: true, offloads: OFFLOAD_CSUM })
  const offload = { needsCsum: true, csumStart: 60, csumOffset: 16 }
  const frames = [1, 2].map((n) => datagram({ data: new Array<number>(60).fill(n) }))
  for (const f of frames) l.send('v.eth0', f, offload)
  l.run()
  const out = l.taken('b.eth0')
  t.deepEqual(hex(out.map((f) => f.bytes)), hex(frames))
  for (const f of out) t.like(f, { ...offload, gsoType: 0 })
})

test('two flows at once, one datagram of each after the other', (t) => {
  let two = 0
  for (let sport = 1000; sport < 1016; sport++) {
    const flows = [sport, sport + 1].map((port) => [1, 2, 3].map((n) => datagram({ data: new Array<number>(300).fill(n), sport: port })))
    const out = through(lab(), [0, 1, 2].flatMap((i) => flows.map((f) => f[i]!)))
    if (out.length === 2) two++
    for (const [i, flow] of flows.entries()) t.deepEqual(hex(out.flatMap(cut).filter((f) => f[35] === ((sport + i) & 255))), hex(flow))
  }
  t.true(two >= 8, `${two} of 16`)
})

test('a flood is not joined: its bytes are shared', (t) => {
  const l = lab()
  l.port('c.eth0', 'br', { vnet: true, offloads: OFFLOAD_CSUM | OFFLOAD_USO })
  const frames = [1, 2, 3].map((n) => datagram({ data: [n] })).map((f) => Uint8Array.from([2, 0, 0, 0, 0, 0x77, ...f.subarray(6)]))
  for (const f of frames) l.send('a.eth0', f)
  l.run()
  for (const port of ['b.eth0', 'c.eth0']) t.deepEqual(hex(l.taken(port).map((f) => f.bytes)), hex(frames))
})
