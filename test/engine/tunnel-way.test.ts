/** A packet that takes the way of the one before it into a tunnel (element/tunnel-way.ts) leaves as if its way had been found anew. */
import test from 'ava'
import fc from 'fast-check'
import { assertSame } from '../helpers/same.js'
import { be16, ethernet, ipv4, udp, zeros } from '../oracle/naive-frames.js'
import type { Operation } from '../../src/network/operations.js'
import { allDrops, ALL_OFFLOADS, createMachine, refusalOf, sockaddr, TUNNEL, VNI, type Machine, type MachineOptions } from './tunnel-lab.js'

const LOCAL = '02:00:00:00:0a:01'
const STATIONS = ['02:00:00:00:0b:01', '02:00:00:00:0b:02', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01']
const PEERS = ['192.168.77.2', '192.168.77.3', '192.168.77.4']
const PORT = 'a.eth0'

interface Look {
  to: number; source: number; destination: number; port: number; tos: number; ttl: number; fragment: number; options: boolean; protocol: number
  tagged: boolean; size: number; type: number
}

/** Few values of each, so that packets are often alike but for one thing. */
const look: fc.Arbitrary<Look> = fc.record({
  to: fc.constantFrom(0, 0, 1, 1, 2, 3), source: fc.nat(1), destination: fc.nat(1), port: fc.nat(1), tos: fc.constantFrom(0, 1, 3, 0xb8), ttl: fc.constantFrom(1, 64),
  fragment: fc.constantFrom(0, 0x4000, 0x2000, 0x4001), options: fc.boolean(), protocol: fc.constantFrom(17, 6, 1), tagged: fc.boolean(),
  size: fc.constantFrom(0, 4, 100, 1400, 1422, 1423, 3000), type: fc.constantFrom(0x0800, 0x0800, 0x0800, 0x86dd, 0x88b5)
})

const frameOf = (l: Look): number[] => {
  const transport = udp(`10.0.0.${l.source}`, 1000 + l.port, `10.0.1.${l.destination}`, 9, zeros(l.size))
  const packet = ipv4(l.protocol, `10.0.0.${l.source}`, `10.0.1.${l.destination}`, transport, {
    ttl: l.ttl, tos: l.tos, flags: l.fragment, ...(l.options ? { options: [1, 1, 1, 1] } : {})
  })
  return ethernet(STATIONS[l.to]!, LOCAL, l.tagged ? 0x8100 : l.type, l.tagged ? [...be16(7), ...be16(l.type), ...packet] : packet)
}

const dev = TUNNEL

/** struct sock_extended_err: EMSGSIZE by ICMP, fragmentation needed. */
const tooLong = (mtu: number): Uint8Array => Uint8Array.of(90, 0, 0, 0, 2, 3, 4, 0, mtu & 255, mtu >> 8, 0, 0, 0, 0, 0, 0)

const event = fc.oneof(
  // Mostly what was sent last, or all but the same
  { weight: 12, arbitrary: fc.record({ do: fc.constant('send' as const), change: fc.option(look), only: fc.constantFrom('to', 'to', 'to', ...Object.keys({
    to: 0, source: 0, destination: 0, port: 0, tos: 0, ttl: 0, fragment: 0, options: 0, protocol: 0, tagged: 0, size: 0, type: 0
  } satisfies Record<keyof Look, 0>)) as fc.Arbitrary<keyof Look>, times: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hear' as const), station: fc.nat(1), peer: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 1000, 400_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mtu' as const), peer: fc.nat(2), mtu: fc.constantFrom(600, 1400) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('apply' as const), operation: fc.oneof(
    fc.record({ op: fc.constantFrom('fdb.replace' as const, 'fdb.append' as const), mac: fc.constantFrom(...STATIONS, '00:00:00:00:00:00'), dev: fc.constant(dev),
      dst: fc.constantFrom(...PEERS), vni: fc.constantFrom(42, 77) }),
    fc.record({ op: fc.constant('fdb.del' as const), mac: fc.constantFrom(...STATIONS), dev: fc.constant(dev) }),
    fc.record({ op: fc.constant('link.set' as const), dev: fc.constant(dev), mtu: fc.constantFrom(1000, 1450, 9000) }),
    fc.record({ op: fc.constant('link.set' as const), dev: fc.constant(dev), up: fc.boolean() })
  ) }) }
)

test('whatever is sent, learned, told and changed: as without it', (t) => {
  const config = fc.record({
    ttl: fc.constantFrom<number | 'inherit'>(0, 9, 'inherit'), tos: fc.constantFrom<number | 'inherit'>(0, 0x20, 'inherit'),
    df: fc.constantFrom('unset' as const, 'set' as const, 'inherit' as const), gbp: fc.boolean(), sockets: fc.constantFrom(1, 3)
  })
  const offloads = fc.constantFrom(0, ALL_OFFLOADS)
  fc.assert(fc.property(config, offloads, fc.array(event, { minLength: 5, maxLength: 60 }), (c, o, events) => {
    const both = [[], ['tunnel-way' as const]].map((without): Machine => {
      const m = createMachine({ ...c as MachineOptions, mtu: 1450, without, ports: { [PORT]: { vnet: true, offloads: o } } })
      m.lab.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev, dst: PEERS[0]! })
      return m
    })
    let last: Look = { to: 0, source: 0, destination: 0, port: 0, tos: 0, ttl: 64, fragment: 0x4000, options: false, protocol: 17, tagged: false, size: 100, type: 0x0800 }
    for (const e of events) {
      if (e.do === 'send') last = e.change === null ? last : { ...last, [e.only]: e.change[e.only] }
      const [one, other] = both.map((m): unknown => {
        if (e.do === 'send') for (let n = 0; n < e.times; n++) m.lab.send(PORT, Uint8Array.from(frameOf(last)))
        else if (e.do === 'hear') m.arrive([...VNI(42), ...ethernet(LOCAL, STATIONS[e.station]!, 0x88b5, zeros(46))], { source: PEERS[e.peer]! })
        else if (e.do === 'wait') m.lab.wait(e.ms, 1000)
        else if (e.do === 'mtu') m.lab.io.injectDatagram(m.sendDf[0]!, { bytes: tooLong(e.mtu), from: sockaddr(PEERS[e.peer]!, 4789), error: true })
        else {
          const refusal = refusalOf(m, e.operation as Operation)
          if (refusal !== undefined) return refusal
        }
        m.run()
        return { sent: m.sent(), drops: allDrops(m.lab), counters: [...m.lab.network.engine.tunnels.counters], out: m.lab.taken(PORT) }
      })
      assertSame(t, one, other)
    }
  }), { numRuns: 300 })
})
