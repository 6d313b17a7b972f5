/** Super-frames and partial checksums through bridge and router to ports that take them and to ports that do not. */
import test from 'ava'
import fc from 'fast-check'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../src/core/ports.js'
import { createMemoryLab, interfaceWith, type MemoryLab } from '../helpers/memory-lab.js'
import { ethernet } from '../oracle/naive-frames.js'
import { build, CWR, data, expected, FIN, parse, PSH, SUPER, TCP, UDP, type Segment, type Super } from './naive-segments.js'

const ALL = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO
const A = SUPER.src
const B = SUPER.dst

/** A sender with offloads and receivers of every kind on one bridge, all known to it; large MTU, so that segments of any size fit. */
const bridgeLab = (): MemoryLab => {
  const lab = createMemoryLab()
  lab.apply({ op: 'bridge.add', name: 'br', mac: '02:00:00:00:00:01', mtu: 9216, ageing_time: 300, fdb_max_learned: 0 })
  lab.port('sender.eth0', 'br', { mtu: 9216, vnet: true, offloads: ALL })
  for (const [name, vnet, offloads] of RECEIVERS) lab.port(`${name}.eth0`, 'br', { mtu: 9216, vnet, offloads })
  return lab
}

const RECEIVERS = [
  ['whole', true, ALL],
  ['csum', true, OFFLOAD_CSUM],
  ['none', true, 0],
  ['plain', false, 0]
] as const
const STATIONS = new Map(RECEIVERS.map(([name], i) => [name, `02:00:00:00:0b:0${i}`]))

/** Lets the bridge know who is where. */
const introduce = (lab: MemoryLab): void => {
  for (const [name, station] of STATIONS) lab.send(`${name}.eth0`, Uint8Array.from(ethernet(A, station, 0x88b5, [0])))
  lab.send('sender.eth0', Uint8Array.from(ethernet(B, A, 0x88b5, [0])))
  lab.run()
  for (const name of ['sender', ...STATIONS.keys()]) lab.taken(`${name}.eth0`)
}

const V6 = ['fd000000000000000000000000000002', 'fd000000000000000000000000000009'] as const

const anySuper: fc.Arbitrary<Super> = fc
  .record({
    v6: fc.boolean(),
    protocol: fc.constantFrom(TCP, UDP),
    tags: fc.integer({ min: 0, max: 2 }),
    options: fc.integer({ min: 0, max: 10 }),
    flags: fc.integer({ min: 0, max: 255 }),
    seq: fc.nat(0xffffffff),
    id: fc.nat(0xffff),
    size: fc.integer({ min: 1, max: 60_000 }),
    segments: fc.integer({ min: 1, max: 40 }),
    odd: fc.nat(8)
  })
  .map(({ v6, protocol, tags, options, flags, seq, id, size, segments, odd }) => ({
    ...SUPER,
    v6,
    protocol,
    tags,
    seq,
    id,
    from: v6 ? V6[0] : SUPER.from,
    to: v6 ? V6[1] : SUPER.to,
    options: protocol === TCP ? data(options * 4) : [],
    flags: protocol === TCP ? flags : 0,
    data: data(size, odd),
    gso: Math.min(8900, Math.ceil(size / segments) + odd)
  }))

const bare = ({ id, seq, flags, options, data: bytes }: Segment) => ({ id, seq, flags, options, data: bytes })

test('a super-frame passes whole to who takes it, and is cut exactly for who does not', (t) => {
  const lab = bridgeLab()
  introduce(lab)
  fc.assert(
    fc.property(anySuper, fc.constantFrom(...RECEIVERS), (s, [name, , offloads]) => {
      const frame = { ...s, dst: STATIONS.get(name)! }
      const { frame: bytes, offload } = build(frame)
      lab.send('sender.eth0', bytes, offload)
      lab.run()
      const out = lab.taken(`${name}.eth0`)
      if (offloads === ALL) {
        t.is(out.length, 1)
        t.deepEqual(out[0]!.bytes, bytes)
        t.like(out[0], { ...offload })
      } else {
        const segments = out.map(parse)
        t.deepEqual(
          segments.flatMap(({ faults }) => faults),
          []
        )
        t.deepEqual(segments.map(bare), expected(frame))
        for (const segment of segments) t.deepEqual(segment.ethernet, [...bytes.slice(0, 14 + 4 * s.tags)])
        t.true(out.every(({ gsoType, needsCsum }) => !gsoType && !needsCsum))
      }
      t.is(lab.held(), 0)
    }),
    { numRuns: 150 }
  )
})

test('a flooded super-frame is right for every port, and for each in its own way', (t) => {
  fc.assert(
    fc.property(anySuper, (s) => {
      const lab = bridgeLab() // nobody is known
      const { frame, offload } = build(s)
      lab.send('sender.eth0', frame, offload)
      lab.run()
      for (const [name, , offloads] of RECEIVERS) {
        const out = lab.taken(`${name}.eth0`)
        if (offloads === ALL)
          t.deepEqual(
            out.map(({ bytes }) => bytes),
            [frame]
          )
        else
          t.deepEqual(
            out.map(parse).map(({ faults, ...rest }) => [...faults, bare({ ...rest, faults })]),
            expected(s).map((e) => [e])
          )
      }
      t.is(lab.held(), 0)
    }),
    { numRuns: 30 }
  )
})

test('a partial checksum is completed for who does not take it', (t) => {
  const lab = bridgeLab()
  introduce(lab)
  fc.assert(
    fc.property(anySuper, fc.constantFrom(...RECEIVERS), fc.integer({ min: 0, max: 8000 }), (s, [name, vnet, offloads], size) => {
      const one = { ...s, gso: 0, dst: STATIONS.get(name)!, data: s.data.slice(0, size) }
      const { frame, offload } = build(one)
      lab.send('sender.eth0', frame, offload)
      lab.run()
      const [out, ...more] = lab.taken(`${name}.eth0`)
      t.is(more.length, 0)
      t.is(out!.needsCsum, vnet ? (offloads & OFFLOAD_CSUM) !== 0 : undefined)
      const { faults, data: bytes } = parse(out!)
      t.deepEqual(faults, [])
      t.deepEqual(bytes, one.data)
    }),
    { numRuns: 200 }
  )
})

test('a UDP checksum that comes out as zero is sent as ones', (t) => {
  const lab = bridgeLab()
  introduce(lab)
  // The sixteen bits of data that make the sum come out: try them all until the naive sum says so
  const s = { ...SUPER, protocol: UDP, dst: STATIONS.get('plain')! }
  let zero = -1
  for (let v = 0; v < 65536 && zero < 0; v++) {
    const { frame, offload } = build({ ...s, data: [v >> 8, v & 255] })
    const sum = [...frame.subarray(offload.csumStart)].reduce((a, byte, i) => a + (i % 2 === 0 ? byte * 256 : byte), 0)
    if (sum % 65535 === 0) zero = v
  }
  const { frame, offload } = build({ ...s, data: [zero >> 8, zero & 255] })
  lab.send('sender.eth0', frame, offload)
  lab.run()
  const [out] = lab.taken('plain.eth0')
  t.deepEqual([out!.bytes[40], out!.bytes[41]], [255, 255])
  t.deepEqual(parse(out!).faults, [])
})

/** Two bridges and a router; `mtu` is that of the second network. */
const routerLab = (mtu: number, offloads: number): MemoryLab => {
  const lab = createMemoryLab()
  const bridge = { op: 'bridge.add', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 } as const
  lab.apply(
    { ...bridge, name: 'one', mac: '02:00:00:00:00:01' },
    { ...bridge, name: 'two', mac: '02:00:00:00:00:02', mtu },
    { op: 'router.add', name: 'r', forwarding: true }
  )
  lab.apply(
    ...interfaceWith('r', 'eth1', 'one', R1, '10.1.1.3/24'),
    ...interfaceWith('r', 'eth0', 'two', R2, '10.1.2.3/24', { mtu })
  )
  lab.apply({ op: 'neigh.add', dev: 'eth0', router: 'r', address: '10.1.2.2', lladdr: B, nud: 'permanent' })
  lab.apply({ op: 'neigh.add', dev: 'eth1', router: 'r', address: '10.1.1.2', lladdr: A, nud: 'permanent' })
  lab.port('client.eth0', 'one', { vnet: true, offloads: ALL })
  lab.port('server.eth0', 'two', { mtu, vnet: true, offloads })
  lab.send('client.eth0', Uint8Array.from(ethernet(R1, A, 0x88b5, [0])))
  lab.send('server.eth0', Uint8Array.from(ethernet(R2, B, 0x88b5, [0])))
  lab.run()
  return lab
}

const R1 = '02:00:00:00:01:03'
const R2 = '02:00:00:00:02:03'
const routed = (more: Partial<Super>): Super => ({ ...SUPER, dst: R1, to: '10.1.2.2', ...more })

for (const protocol of [TCP, UDP]) {
  test(`a router forwards a super-frame of protocol ${protocol}: whole, or cut`, (t) => {
    for (const offloads of [ALL, OFFLOAD_CSUM, 0]) {
      for (const gso of [1400, 1448, 536]) {
        const lab = routerLab(1500, offloads)
        const s = routed({ protocol, data: data(20_000), gso, flags: protocol === TCP ? FIN | PSH | CWR | 0x10 : 0 })
        const { frame, offload } = build(s)
        lab.send('client.eth0', frame, offload)
        lab.run()
        const out = lab.taken('server.eth0')
        const segments = out.map(parse)
        t.deepEqual(
          segments.flatMap(({ faults }) => faults),
          []
        )
        t.true(segments.every(({ ttl }) => ttl === 63))
        for (const { ethernet: head } of segments) t.deepEqual(head, ethernet(B, R2, 0x0800, []))
        if (offloads === ALL) {
          t.like(out[0], { gsoSize: gso, needsCsum: true })
          t.deepEqual(
            segments.map((x) => x.data),
            [s.data]
          )
        } else t.deepEqual(segments.map(bare), expected(s))
        t.is(lab.held(), 0)
      }
    }
  })
}

test('a super-frame whose segments are too big for the next link: with DF its sender is told the MTU', (t) => {
  const lab = routerLab(1000, ALL)
  const { frame, offload } = build(routed({ data: data(20_000), gso: 1448 }))
  lab.send('client.eth0', frame, offload)
  lab.run()
  t.deepEqual(lab.taken('server.eth0'), [])
  const [error, ...more] = lab.taken('client.eth0')
  t.is(more.length, 0)
  const b = [...error!.bytes]
  t.deepEqual([b[23], b[34], b[35], b[40]! * 256 + b[41]!], [1, 3, 4, 1000], 'ICMP fragmentation needed with the MTU')
  t.is(lab.drops('fragmentation-needed'), 1)
  t.is(lab.held(), 0)
})

test('and without DF its segments arrive in fragments that make them up again', (t) => {
  for (const protocol of [TCP, UDP]) {
    const lab = routerLab(1000, ALL)
    const s = routed({ protocol, data: data(10_000), gso: 1448, df: 0, flags: protocol === TCP ? PSH : 0 })
    const { frame, offload } = build(s)
    lab.send('client.eth0', frame, offload)
    lab.run()
    const parts = new Map<number, number[][]>()
    for (const { bytes } of lab.taken('server.eth0')) {
      const b = [...bytes]
      t.true(b.length <= 1014)
      const id = b[18]! * 256 + b[19]!
      const offset = ((b[20]! & 31) * 256 + b[21]!) * 8
      const list = parts.get(id) ?? []
      parts.set(id, list)
      if (list.length === 0) list.push(b.slice(0, 34))
      t.is(list.slice(1).flat().length, offset, 'in order, without gaps')
      list.push(b.slice(34, 14 + b[16]! * 256 + b[17]!))
    }
    const whole = [...parts.values()].map(([head, ...rest]) => {
      const body = rest.flat()
      const ip = [...head!]
      const total = 20 + body.length
      ip.splice(16, 2, total >> 8, total & 255)
      ip.splice(20, 2, 0, 0)
      ip.splice(24, 2, 0, 0)
      let sum = 0
      for (let i = 14; i < 34; i += 2) sum += ip[i]! * 256 + ip[i + 1]!
      while (sum > 65535) sum = (sum & 65535) + (sum >> 16)
      ip.splice(24, 2, (65535 - sum) >> 8, (65535 - sum) & 255)
      return parse({ bytes: Uint8Array.from([...ip, ...body]) })
    })
    t.deepEqual(
      whole.flatMap(({ faults }) => faults),
      []
    )
    t.deepEqual(whole.map(bare), expected(s))
    t.is(lab.held(), 0)
  }
})

test('a virtio-net header that does not fit its frame costs that frame, under its reason', (t) => {
  const lab = bridgeLab()
  introduce(lab)
  const s = { ...SUPER, data: data(3000), gso: 1000, dst: STATIONS.get('plain')! }
  const { frame, offload } = build(s)
  const wrong: [what: string, header: typeof offload][] = [
    ['no checksum asked for', { ...offload, needsCsum: false }],
    ['a segment size of 0', { ...offload, gsoSize: 0 }],
    ['an unknown kind', { ...offload, gsoType: 2 }],
    ['UDP fragmentation offload', { ...offload, gsoType: 3 }],
    ['headers behind the end', { ...offload, csumStart: frame.length - 4 }],
    ['a checksum behind the end', { ...offload, gsoType: 0, csumStart: frame.length, csumOffset: 0 }],
    ['headers in the Ethernet header', { ...offload, csumStart: 4 }]
  ]
  for (const [i, [what, header]] of wrong.entries()) {
    lab.send('sender.eth0', frame, header)
    lab.run()
    t.is(lab.drops('bad-offload-header'), i + 1, what)
    t.deepEqual(lab.taken('plain.eth0'), [], what)
  }
  lab.send('sender.eth0', frame, offload)
  lab.run()
  t.is(lab.taken('plain.eth0').length, 3, 'and the next one is not disturbed')
  t.is(lab.held(), 0)
})
