/**
 * Three machines with a tunnel between them: whatever goes into one bridge comes out of the others as it went in, flow by flow and in order,
 * whatever was cut and joined on the way.
 */
import test from 'ava'
import fc from 'fast-check'
import { GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 } from '../../src/core/layout.js'
import type { PoolOptions } from '../../src/core/packets.js'
import type { MemoryFrame } from '../../src/port/memory.js'
import { assertSame } from '../helpers/same.js'
import { isLeftOut } from '../helpers/without.js'
import { arp, be16, be32, ethernet, hexBytes, ip4, mac } from '../oracle/naive-frames.js'
import { complete, naiveCut, partial, withoutIdentification } from '../offload/naive-cut.js'
import { allDrops, ALL_OFFLOADS, createMachine, gro, type Machine, type MachineOptions, seen, TUNNEL, whole } from './tunnel-lab.js'

const ACK = 0x10
const PSH = 8
const EVERYBODY = 'ff:ff:ff:ff:ff:ff'

/** Bridge ports behind the far ends: with all offloads, with a virtio-net header but none, plain. */
const FAR_PORTS = { 'whole.eth0': { vnet: true, offloads: ALL_OFFLOADS }, 'none.eth0': { vnet: true }, 'plain.eth0': {} } as const
type FarPort = keyof typeof FAR_PORTS
const FAR = Object.keys(FAR_PORTS) as FarPort[]
const ADDRESSES = ['192.168.77.1', '192.168.77.2', '192.168.77.3']
const stationAt = (machine: number, port: number): string => `02:00:00:00:0${machine}:0${port}`
const flowMac = (n: number): string => `02:00:00:00:f0:0${n}`

interface Flow {
  protocol: 'tcp' | 'udp' | 'udp without checksum' | 'arp' | 'other'
  v6: boolean
  tags: number
  df: boolean
  options: number
  /** Where its frames go: a station behind a port of a machine, somebody unknown, everybody. */
  to: [machine: number, port: number] | 'unknown' | 'everybody'
}

interface Event {
  flow: number
  size: number
  /** Bytes of data of a segment of a super-frame; 0 for a frame that is none. */
  gso: number
  partial: boolean
  push: boolean
  gap: boolean
}

const flow: fc.Arbitrary<Flow> = fc.record({
  protocol: fc.constantFrom('tcp', 'tcp', 'udp', 'udp', 'udp without checksum', 'arp', 'other'), v6: fc.boolean(),
    tags: fc.constantFrom(0, 0, 0, 1, 2), df: fc.boolean(),
  options: fc.constantFrom(0, 3),
  to: fc.oneof(
    { weight: 4, arbitrary: fc.tuple(fc.constantFrom(1, 2), fc.nat(2)) as fc.Arbitrary<[number, number]> },
    fc.constantFrom<'unknown' | 'everybody'>('unknown', 'everybody')
  )
})

const event: fc.Arbitrary<Event> = fc.record({
  flow: fc.nat(3), size: fc.oneof(fc.constantFrom(1, 18, 100, 100, 1000, 1448), fc.integer({ min: 1, max: 20_000 })),
    gso: fc.constantFrom(0, 0, 100, 536, 1448, 4000),
  partial: fc.boolean(), push: fc.integer({ min: 0, max: 9 }).map((n) => n === 0), gap: fc.integer({ min: 0, max: 9 }).map((n) => n === 0)
})

/** A frame that goes in, with its virtio-net header, and what must come out for it. */
interface Given {
  input: MemoryFrame
  output: number[][]
}

/** Makes the frames of flows; sequence numbers and identifications go on from frame to frame. */
const createSource = (flows: readonly Flow[]) => {
  const sequence = flows.map(() => 0xffffff00)
  const identification = flows.map(() => 0xfff0)
  return (e: Event): Given => {
    const n = e.flow % flows.length
    const f = flows[n]!
    const to = f.to === 'everybody' ? EVERYBODY : f.to === 'unknown' ? '02:00:00:00:99:99' : stationAt(...f.to)
    const tags = Array.from({ length: f.tags }, (_, i) => [...be16(f.tags - i === 2 ? 0x88a8 : 0x8100), ...be16(100 + i)]).flat()
    const data = Array.from({ length: e.size }, (_, i) => ((i + sequence[n]!) * 7 + 3) & 255)
    if (f.protocol === 'arp' || f.protocol === 'other') {
      const body = f.protocol === 'arp' ? arp(1, flowMac(n), '10.1.1.2', to, '10.1.1.9') : data.slice(0, 1500)
      sequence[n] = (sequence[n]! + 1) % 2 ** 32
      const bytes = Uint8Array.from(ethernet(to, flowMac(n), f.protocol === 'arp' ? 0x0806 : 0x88b5, [...body, ...be32(sequence[n]!)]))
      return { input: { bytes }, output: [[...bytes]] }
    }
    const isTcp = f.protocol === 'tcp'
    if (e.gap) sequence[n] = (sequence[n]! + 1000) % 2 ** 32
    const source = f.v6 ? hexBytes(`fd0000000000000000000000000000f${n}`) : ip4(`10.1.1.${100 + n}`)
    const destination = f.v6 ? hexBytes('fd000000000000000000000000000001') : ip4('10.1.1.1')
    const ip = f.v6 ? [0x60, 0, 0, 0, 0, 0, isTcp ? 6 : 17, 64]
      : [0x45, 0, 0, 0, ...be16(identification[n]!), f.df ? 0x40 : 0, 0, 64, isTcp ? 6 : 17, 0, 0]
    const before = [...mac(to), ...mac(flowMac(n)), ...tags, ...(f.v6 ? [0x86, 0xdd] : [8, 0]), ...ip, ...source, ...destination]
    const l4 = before.length
    const transport = isTcp
      ? [...be16(40000 + n), ...be16(5201), ...be32(sequence[n]!), ...be32(99), (5 + f.options) << 4, ACK | (e.push ? PSH : 0),
        ...be16(500), 0, 0, 0, 0,
          ...new Array<number>(f.options * 4).fill(1)]
      : [...be16(40000 + n), ...be16(5201), 0, 0, 0, 0]
    const isSuper = e.gso !== 0 && f.protocol !== 'udp without checksum'
    const payload = isSuper ? data : data.slice(0, 8800)
    const frame = complete([...before, ...transport, ...payload], l4, isTcp)
    if (f.protocol === 'udp without checksum') frame.splice(l4 + 6, 2, 0, 0)
    const output = isSuper ? naiveCut(frame, l4, isTcp, e.gso) : [frame]
    sequence[n] = (sequence[n]! + payload.length) % 2 ** 32
    identification[n] = (identification[n]! + output.length) & 0xffff
    if (!isSuper && (!e.partial || f.protocol === 'udp without checksum')) return { input: { bytes: Uint8Array.from(frame) }, output }
    const kind = isTcp ? (f.v6 ? GSO_TCPV6 : GSO_TCPV4) : GSO_UDP_L4
    return {
      input: {
        bytes: Uint8Array.from(partial(frame, l4, isTcp)), needsCsum: true, csumStart: l4, csumOffset: isTcp ? 16 : 6,
        ...(isSuper ? { gsoType: kind, gsoSize: e.gso, headerLength: l4 + transport.length } : {})
      },
      output
    }
  }
}

const text = (frame: readonly number[]): string => Buffer.from(withoutIdentification(frame)).toString('hex')
/** Flows are told apart by the source address. */
const flowOf = (line: string): string => line.slice(12, 24)

const byFlow = (lines: readonly string[]): Record<string, string[]> => {
  const flows: Record<string, string[]> = {}
  for (const line of lines) (flows[flowOf(line)] ??= []).push(line)
  return flows
}

const createMachines = (pool?: PoolOptions, more: MachineOptions = {}): Machine[] => ADDRESSES.map((address, i) => {
  const m = createMachine({
    address, ports: i === 0 ? { 'in.eth0': { vnet: true, offloads: ALL_OFFLOADS }, 'beside.eth0': {} } : FAR_PORTS,
      ...(pool === undefined ? {} : { pool }), ...more
  })
  for (const dst of ADDRESSES) if (dst !== address) m.lab.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev: TUNNEL, dst })
  return m
})

/** Carries what all have sent to where it goes, until nothing moves. */
const settle = (machines: readonly Machine[], most: () => number): void => {
  for (const m of machines) m.run()
  for (let moved = true; moved;) {
    moved = false
    for (const from of machines) {
      for (const d of gro(from.sent(), most)) {
        moved = true
        machines.find((m) => m.address === d.to)!.arrive(d.bytes, { source: from.address, gso: d.gso, tos: d.tos })
      }
    }
    for (const m of machines) m.run()
  }
}

/** All stations say something, so that everybody knows where they are. */
const introduce = (machines: readonly Machine[]): void => {
  for (const [i, m] of machines.entries()) {
    if (i > 0) FAR.forEach((port, k) => m.lab.send(port, Uint8Array.from(ethernet(EVERYBODY, stationAt(i, k), 0x88b5, [0]))))
  }
  settle(machines, () => 64)
  for (const [i, m] of machines.entries()) for (const port of i === 0 ? ['in.eth0', 'beside.eth0'] : FAR) m.lab.taken(port)
}

const numbers = (list: readonly number[]) => {
  let i = 0
  return (): number => list[i++ % list.length]!
}

/** Why the bridge's own interface does not take what is flooded to it, too. */
const OF_THE_BRIDGE = new Set(['protocol-unknown', 'arp-ignored', 'no-route', 'forwarding-disabled', 'link-broadcast', 'not-for-us'])

/** Lets frames in, `perTurn` at a time. */
const feed = (machines: readonly Machine[], given: readonly Given[], perTurn: number, most: () => number): void => {
  for (let i = 0; i < given.length; i += perTurn) {
    for (const { input: { bytes, ...offload } } of given.slice(i, i + perTurn)) machines[0]!.lab.send('in.eth0', bytes, offload)
    settle(machines, most)
  }
}

const lines = (frames: readonly MemoryFrame[]): string[] => frames.flatMap(seen).map(text)

/** Is this station's frame due at this port? */
const isDue = (f: Flow, machine: number, port: number): boolean => typeof f.to === 'string' || (f.to[0] === machine && f.to[1] === port)

/** Has events of these flows come in and waits for all there is. `before`: the machines as they were, `given`: what came in. */
const stream = (machines: readonly Machine[], flows: readonly Flow[], events: readonly Event[], perTurn: number, most: readonly number[]) => {
  introduce(machines)
  const before = machines.map(({ lab }) => whole(lab))
  const given = events.map(createSource(flows))
  feed(machines, given, perTurn, numbers(most))
  return { before, given }
}

const counts = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 5 })

test('what goes into one bridge comes out of the others, each flow in its order, whatever is cut and joined on the way', (t) => {
  let joined = 0
  fc.assert(
    fc.property(
      fc.array(flow, { minLength: 1, maxLength: 4 }), fc.array(event, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 12 }), counts, fc.boolean(), fc.integer({ min: 1, max: 4 }),
      (flows, events, perTurn, most, gso, sockets) => {
        const machines = createMachines(undefined, { gso, sockets })
        const { before, given } = stream(machines, flows, events, perTurn, most)
        for (const [i, m] of machines.entries()) {
          for (const [k, port] of i === 0 ? [[0, 'beside.eth0'] as const] : FAR.map((name, n) => [n, name] as const)) {
            const due = given.flatMap(({ output }, n) => {
              const f = flows[events[n]!.flow % flows.length]!
              return (i === 0 ? typeof f.to === 'string' : isDue(f, i, k)) ? output.map(text) : []
            })
            const out = m.lab.taken(port)
            joined += out.filter((f) => (f.gsoType ?? 0) !== 0).length
            assertSame(t, byFlow(lines(out)), byFlow(due), `${m.address} ${port}`)
          }
          t.deepEqual(Object.keys(allDrops(m.lab)).filter((reason) => !OF_THE_BRIDGE.has(reason)), [])
          t.is(m.lab.held(), 0)
          assertSame(t, whole(m.lab), before[i])
        }
      }
    ),
    { numRuns: 100 }
  )
  t.is(joined > 10, !isLeftOut('coalesce-tunnel'), `${joined} super-frames came out`)
})

/** Is `part` what is left of `all` when some are taken out? */
const isSubsequence = (part: readonly string[], all: readonly string[]): boolean => {
  let i = 0
  for (const line of all) if (line === part[i]) i++
  return i === part.length
}

test('pools that are far too small: what comes out is what went in, in order; what does not is counted', (t) => {
  fc.assert(
    fc.property(
      fc.array(flow, { minLength: 1, maxLength: 4 }), fc.array(event, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 4, max: 25 }), counts,
      fc.record({ packets: fc.integer({ min: 5, max: 24 }), largeSlots: fc.integer({ min: 2, max: 9 }),
        smallSlots: fc.integer({ min: 1, max: 8 }), scratchBytes: fc.constantFrom(256, 4096, 65536) }),
      (flows, events, perTurn, most, pool) => {
        const machines = createMachines(pool)
        const { before, given } = stream(machines, flows, events, perTurn, most)
        for (const [i, m] of machines.entries()) {
          for (const port of i === 0 ? ['beside.eth0'] : FAR) {
            const all = byFlow(given.flatMap(({ output }) => output.map(text)))
            for (const [name, got] of Object.entries(byFlow(lines(m.lab.taken(port))))) {
              if (!isSubsequence(got, all[name] ?? [])) t.deepEqual(got, all[name], `${m.address} ${port}`)
            }
          }
          const { drops, balance } = m.lab.network.stats()
          t.is(drops.reduce((sum, { packets }) => sum + packets, 0), balance.dropped)
          t.is(m.lab.held(), 0)
          assertSame(t, whole(m.lab), before[i])
        }
      }
    ),
    { numRuns: 50 }
  )
})
