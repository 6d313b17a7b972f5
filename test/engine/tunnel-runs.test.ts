/** Super-frames that still lie in pieces: captured, quoted in errors, refused, held, answered, cut for another tunnel. */
import test from 'ava'
import { attachTapRing, createTapRing } from '../../src/core/tap-ring.js'
import { interfaceWith } from '../helpers/memory-lab.js'
import { only } from '../helpers/without.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { be32, echo, ethernet, ipv4, tcp, udp, zeros } from '../oracle/naive-frames.js'
import { partial, withoutIdentification } from '../offload/naive-cut.js'
import { allDrops, ALL_OFFLOADS, createMachine, type Machine, type MachineOptions, seen, TUNNEL, VNI, whole } from './tunnel-lab.js'

const LOCAL = '02:00:00:00:0a:01'
const BEHIND = '02:00:00:00:0b:01'
const BRIDGE_MAC = '02:00:00:00:00:01'
const ROUTER = '02:00:00:00:01:01'
const EVERYBODY = 'ff:ff:ff:ff:ff:ff'
const SOURCE = '10.0.10.2'
const WHOLE = 'whole.eth0'

const data = (count: number, from: number): number[] => Array.from({ length: count }, (_, i) => ((i + from) * 7 + ((i + from) >> 8)) & 255)

/** Segments of one stream, as they would come from a sender with `size` bytes of room. */
const stream = (to: string, dst: string, count: number, size = 100,
  more: object = {}): number[][] => Array.from({ length: count }, (_, n) =>
  ethernet(to, BEHIND, 0x0800, ipv4(6, SOURCE, dst, tcp(SOURCE, 1000, dst, 80, data(size, n * size), { seq: n * size }),
    { id: n, ...more })))

const datagrams = (to: string, dst: string, count: number, size = 100,
  more: object = {}): number[][] => Array.from({ length: count }, (_, n) =>
  ethernet(to, BEHIND, 0x0800, ipv4(17, SOURCE, dst, udp(SOURCE, 1000, dst, 80, data(size, n * size)), { id: n, ...more })))

/** A bridge with an address and a router, and a second network behind that. */
const machine = (more: MachineOptions = {}): Machine => {
  const m = createMachine({ ports: { [WHOLE]: { vnet: true, offloads: ALL_OFFLOADS }, 'plain.eth0': {} }, ...more })
  m.lab.apply(
    { op: 'addr.add', dev: 'br0', router: 'br0', prefix: '10.0.10.1/24' },
    { op: 'neigh.add', dev: 'br0', address: SOURCE, lladdr: BEHIND, nud: 'permanent' },
    { op: 'router.add', name: 'r', forwarding: true },
    ...interfaceWith('r', 'near', 'br0', ROUTER, '10.0.10.254/24', { mtu: 9000 }),
    { op: 'neigh.add', dev: 'near', router: 'r', address: SOURCE, lladdr: BEHIND, nud: 'permanent' },
    { op: 'fdb.append', mac: '00:00:00:00:00:00', dev: TUNNEL, dst: '192.168.77.2' }
  )
  m.lab.send(WHOLE, Uint8Array.from(ethernet(EVERYBODY, LOCAL, 0x88b5, [0])), {})
  m.arrive([...VNI(42), ...ethernet(EVERYBODY, BEHIND, 0x88b5, [0])])
  m.run()
  m.sent()
  for (const port of [WHOLE, 'plain.eth0']) m.lab.taken(port)
  return m
}

const arrive = (m: Machine, frames: readonly number[][]): void => {
  m.arrive(frames.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + frames[0]!.length })
  m.run()
}

/** The ICMP error among what was sent: type, code, and what it quotes; its checksums are right. */
const errorIn = (m: Machine): { type: number; code: number; quoted: number[] }[] => m.sent().map(({ bytes }) => {
  const packet = bytes.slice(22)
  if (naiveSum(packet.slice(0, 20)) !== 0xffff || naiveSum(packet.slice(20)) !== 0xffff) throw new Error('checksum')
  return { type: packet[20]!, code: packet[21]!, quoted: packet.slice(28) }
})

/** About super-frames that datagrams of a tunnel have become. */
const joined = only(test, 'coalesce-tunnel')

joined('captured bytes are those of the super-frame, in and out, and what is lost of it is behind the snap length only', (t) => {
  for (const snaplen of [262_144, 120, 60]) {
    const m = machine()
    const memory = createTapRing(1 << 20)
    const ring = attachTapRing(memory)
    const ids = m.lab.network.resolvePorts([TUNNEL, WHOLE]).map(({ id }) => id)
    m.lab.network.capture(ring, ids, snaplen)
    const list = stream(LOCAL, '10.0.10.3', 6)
    arrive(m, [...list, ethernet(LOCAL, BEHIND, 0x88b5, zeros(list[0]!.length - 14))])
    const [out] = m.lab.taken(WHOLE)
    t.deepEqual(seen(out!).map(withoutIdentification), list.map(withoutIdentification))
    const captured: { port: number; direction: number; length: number; bytes: number[] }[] = []
    ring.drain(({ port, direction, length, bytes }) => captured.push({ port, direction, length, bytes: [...bytes] }))
    t.deepEqual(captured.map((c) => [c.port, c.direction, c.length]), [
      [ids[0], 0, out!.bytes.length], [ids[0], 0, list[0]!.length], [ids[1], 1, out!.bytes.length], [ids[1], 1, list[0]!.length]
    ])
    for (const c of captured.filter((_, i) => i % 2 === 0)) t.deepEqual(c.bytes, [...out!.bytes.subarray(0, snaplen)])
    t.is(ring.lost(), 0)
  }
})

joined('a capture that begins while a super-frame in pieces is queued: bytes that are shown are right', (t) => {
  const m = machine()
  const list = stream(LOCAL, '10.0.10.3', 6)
  m.arrive(list.flatMap((f) => [...VNI(42), ...f]), { gso: 8 + list[0]!.length })
  m.lab.network.engine.turn(false)
  const ring = attachTapRing(createTapRing(1 << 20))
  m.lab.network.capture(ring, m.lab.network.resolvePorts([WHOLE]).map(({ id }) => id), 262_144)
  m.run()
  const [out] = m.lab.taken(WHOLE)
  const captured: number[][] = []
  ring.drain(({ length, bytes }) => {
    t.is(length, out!.bytes.length)
    captured.push([...bytes])
  })
  t.is(captured.length, 1)
  t.deepEqual(captured[0], [...out!.bytes.subarray(0, captured[0]!.length)])
  t.true(captured[0]!.length >= 154)
})

joined('a capture of what is flooded from a tunnel, with no buffers to put it together', (t) => {
  const m = machine({ pool: { packets: 64, largeSlots: 6, smallSlots: 8 } })
  const ring = attachTapRing(createTapRing(1 << 20))
  m.lab.network.capture(ring, m.lab.network.resolvePorts([TUNNEL, WHOLE, 'plain.eth0']).map(({ id }) => id), 262_144)
  const list = stream('02:00:00:00:99:99', '10.0.10.3', 6)
  for (let i = 0; i < 5; i++) arrive(m, [...list, ethernet(LOCAL, BEHIND, 0x88b5, zeros(list[0]!.length - 14))])
  const outs = m.lab.taken(WHOLE).filter((f) => f.gsoType !== 0)
  t.true(outs.length > 0)
  for (const out of outs) t.deepEqual(seen(out).map(withoutIdentification), list.map(withoutIdentification))
  ring.drain(({ bytes, length }) => {
    if (length === outs[0]!.bytes.length) t.deepEqual([...bytes], [...outs[0]!.bytes.subarray(0, bytes.length)])
  })
  t.is(m.lab.held(), 0)
})

joined('errors quote what lies apart as one: time over, port unreachable, too big for the next link', (t) => {
  const m = machine()
  const before = whole(m.lab)
  const payload = data(1000, 0)
  arrive(m, stream(ROUTER, '10.0.10.9', 10, 100, { ttl: 1 }))
  const [over, ...more] = errorIn(m)
  t.deepEqual(more, [])
  t.deepEqual([over!.type, over!.code], [11, 0])
  t.deepEqual(over!.quoted.slice(40), payload.slice(0, 508))
  arrive(m, datagrams(BRIDGE_MAC, '10.0.10.1', 10))
  const [unreachable] = errorIn(m)
  t.deepEqual([unreachable!.type, unreachable!.code], [3, 3])
  t.deepEqual(unreachable!.quoted.slice(28), payload.slice(0, 520))
  t.deepEqual(whole(m.lab), before)
})

joined('a run to no connection is refused once', (t) => {
  const m = machine()
  arrive(m, stream(BRIDGE_MAC, '10.0.10.1', 10))
  const sent = m.sent()
  t.is(sent.length, 1)
  t.is(sent[0]!.bytes[8 + 34 + 13]! & 4, 4)
})

test('pings in one piece are all answered, with their own data', (t) => {
  const m = machine()
  const list = Array.from({ length: 7 }, (_, n) => ethernet(BRIDGE_MAC, BEHIND, 0x0800,
    ipv4(1, SOURCE, '10.0.10.1', echo(8, 7, n, data(57, n * 57)))))
  arrive(m, list)
  t.deepEqual(m.sent().map(({ bytes }) => [bytes[42], bytes.slice(50)]), list.map((f) => [0, f.slice(42)]))
})

joined('a run that does not fit another tunnel is answered with what its first segment was', (t) => {
  const m = machine()
  const { options } = m.lab.network.registry.vxlan(TUNNEL)
  m.lab.apply({ ...options, name: 'vxlan2', id: 43, mac: '02:00:00:00:43:01', mtu: 1000 },
    { op: 'fdb.add', mac: '02:00:00:00:0e:01', dev: 'vxlan2', dst: '192.168.77.9' })
  const list = stream('02:00:00:00:0e:01', '10.0.10.9', 5, 1400, { flags: 0x4000 })
  // It is known there: said something
  m.arrive([...VNI(43), ...ethernet(EVERYBODY, '02:00:00:00:0e:01', 0x88b5, [0])], { source: '192.168.77.9' })
  m.run()
  m.sent()
  arrive(m, list)
  const [error, ...more] = errorIn(m)
  t.deepEqual(more, [])
  t.deepEqual([error!.type, error!.code], [3, 4])
  t.deepEqual(error!.quoted.slice(40), data(1400, 0).slice(0, 508))
  t.is(allDrops(m.lab)['fragmentation-needed'], 1)
})

test('more pieces than one write takes are put together', (t) => {
  const m = machine()
  const list = Array.from({ length: 300 }, (_, n) => ethernet(LOCAL, BEHIND, 0x0800,
    ipv4(6, SOURCE, '10.0.10.3', tcp(SOURCE, 1, '10.0.10.3', 2, be32(n), { seq: n * 4 }), { id: n, flags: 0 })))
  const before = whole(m.lab)
  arrive(m, list)
  t.deepEqual(m.lab.taken(WHOLE).flatMap(seen), list)
  t.deepEqual(whole(m.lab), before)
})

joined('a super-frame from a port and one in pieces, to the same station: in order', (t) => {
  const m = machine()
  m.lab.send('plain.eth0', Uint8Array.from(ethernet(LOCAL, '02:00:00:00:0f:01', 0x88b5, [1])))
  arrive(m, datagrams(LOCAL, '10.0.10.3', 4))
  m.lab.send('plain.eth0', Uint8Array.from(datagrams(LOCAL, '10.0.10.3', 1)[0]!))
  m.run()
  const out = m.lab.taken(WHOLE)
  t.is(out.length, 3)
  t.is(out[1]!.gsoType, 5)
})

test('a data offset that is none is no super-frame', (t) => {
  const m = machine({ bridgeMtu: 1450 })
  const [frame] = stream(LOCAL, '10.0.10.3', 1, 3000)
  const wrong = partial(frame!, 34, true)
  wrong[46] = 0x40
  const before = allDrops(m.lab)['mtu-exceeded'] ?? 0
  m.arrive([...VNI(42), ...wrong])
  m.run()
  t.deepEqual(m.lab.taken(WHOLE), [])
  t.is(allDrops(m.lab)['mtu-exceeded'], before + 1)
})

test('who asks a tunnel with proxy for a neighbour is answered before it has stopped asking: the router forwards all that waits', (t) => {
  const m = machine({ proxy: true })
  m.lab.apply({ op: 'neigh.add', dev: TUNNEL, address: '10.0.10.77', lladdr: '02:00:00:00:77:77', nud: 'permanent' })
  m.lab.apply({ op: 'addr.add', dev: 'br0', router: 'br0', prefix: '10.2.0.1/24' })
  const list = stream(ROUTER, '10.0.10.77', 5, 200, { flags: 0 })
  arrive(m, list)
  m.run()
  const out = m.sent().filter((d) => d.bytes[31] === 6)
  t.is(out.length, 5, 'a super-frame that waited for the answer')
  t.true(out.every((d) => Buffer.from(d.bytes.slice(8, 14)).toString('hex') === '020000007777' && d.bytes[30] === 63))
  t.deepEqual(out.flatMap((d) => d.bytes.slice(8 + 54)), data(1000, 0))
  t.is(m.lab.held(), 0)
})

test('what is cut for a tunnel out of pieces that lie apart is what came', (t) => {
  const m = machine()
  const list = stream(ROUTER, SOURCE, 9, 333, { flags: 0 })
  arrive(m, list) // back to where it came from, by the router
  const out = m.sent().map((d) => d.bytes.slice(8)).filter((f) => f[23] === 6)
  t.deepEqual(out.map((f) => f.slice(34)), list.map((f) => f.slice(34)))
  t.deepEqual(out.map((f) => [f[22], f.slice(18, 20)]), list.map((f) => [63, f.slice(18, 20)]))
  t.true(out.every((f) => naiveSum(f.slice(14, 34)) === 0xffff))
})
