/** Who sends is remembered with its row (element/tunnel-sender.ts), and the way of its frames (table/bridge-cache.ts): nothing else is different. */
import test from 'ava'
import fc from 'fast-check'
import { assertSame } from '../helpers/same.js'
import { ethernet, zeros } from '../oracle/naive-frames.js'
import type { Operation } from '../../src/network/operations.js'
import { allDrops, BRIDGE, createMachine, refusalOf, TUNNEL, VNI, type Machine, type MachineOptions } from './tunnel-lab.js'

const LOCALS = ['02:00:00:00:0a:01', '02:00:00:00:0a:02']
const STATIONS = ['02:00:00:00:0b:01', '02:00:00:00:0b:02', '02:00:00:00:0b:03']
const PEERS = ['192.168.77.2', '192.168.77.3']
const PORT = 'a.eth0'
const dev = TUNNEL

/** Mostly what was heard last, from the same peer. */
const event = fc.oneof(
  { weight: 12, arbitrary: fc.record({
    do: fc.constant('hear' as const), source: fc.option(fc.constantFrom(...STATIONS, LOCALS[0]!, '01:00:5e:00:00:01', '00:00:00:00:00:00')),
    to: fc.option(fc.constantFrom(...LOCALS, STATIONS[0]!, 'ff:ff:ff:ff:ff:ff')), peer: fc.option(fc.nat(1)), vni: fc.constantFrom(42, 42, 42, 77, 78),
    times: fc.integer({ min: 1, max: 3 })
  }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('local' as const), source: fc.constantFrom(...LOCALS, STATIONS[0]!) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 400, 1000, 400_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('apply' as const), operation: fc.oneof(
    fc.record({ op: fc.constantFrom('fdb.replace' as const, 'fdb.append' as const), mac: fc.constantFrom(...STATIONS), dev: fc.constant(dev),
      dst: fc.constantFrom(...PEERS), state: fc.constantFrom('static' as const, 'dynamic' as const, 'permanent' as const) }),
    fc.record({ op: fc.constant('fdb.del' as const), mac: fc.constantFrom(...STATIONS), dev: fc.constant(dev) }),
    fc.record({ op: fc.constant('fdb.del' as const), mac: fc.constantFrom(...STATIONS), dev: fc.constant(dev), master: fc.constant(true) }),
    fc.record({ op: fc.constant('fdb.flush' as const), dev: fc.constant(dev) }),
    fc.record({ op: fc.constant('link.set' as const), dev: fc.constant(dev), learning: fc.boolean() }),
    fc.record({ op: fc.constant('link.set' as const), dev: fc.constant(dev), up: fc.boolean() })
  ) }) }
)

test('whoever is heard from whom, and whatever is said meanwhile: as if each frame were learned from', (t) => {
  const config = fc.record({ learning: fc.constantFrom(true, true, true, false), maxaddress: fc.constantFrom(0, 0, 1, 2), ageing: fc.constantFrom(0, 2, 300) })
  fc.assert(fc.property(config, fc.array(event, { minLength: 5, maxLength: 60 }), (c, events) => {
    const both = [[], ['bridge-cache' as const, 'peer-cache' as const]].map((without): Machine => {
      const m = createMachine({ ...c as MachineOptions, without, ports: { [PORT]: { vnet: true, offloads: 0 } } })
      m.lab.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev, dst: PEERS[0]! })
      // Another tunnel of the same socket, in a bridge of its own
      m.lab.apply({ op: 'bridge.add', name: 'br1', mac: '02:00:00:00:00:02', mtu: 9000, ageing_time: 300, fdb_max_learned: 0 })
      m.lab.apply({ ...m.added, name: 'vxlan2', bridge: 'br1', mac: '02:00:00:00:42:02', id: 77 })
      return m
    })
    const last = { source: STATIONS[0]!, to: LOCALS[0]!, peer: 0 }
    for (const e of events) {
      if (e.do === 'hear') Object.assign(last, Object.fromEntries(Object.entries(e).filter(([key, value]) => key in last && value !== null)))
      const [one, other] = both.map((m): unknown => {
        if (e.do === 'hear') {
          for (let n = 0; n < e.times; n++) m.arrive([...VNI(e.vni), ...ethernet(last.to, last.source, 0x88b5, zeros(46))], { source: PEERS[last.peer]! })
        } else if (e.do === 'local') m.lab.send(PORT, Uint8Array.from(ethernet('ff:ff:ff:ff:ff:ff', e.source, 0x88b5, zeros(46))))
        else if (e.do === 'wait') m.lab.wait(e.ms, 1000)
        else {
          const refusal = refusalOf(m, e.operation as Operation)
          if (refusal !== undefined) return refusal
        }
        m.run()
        const { network } = m.lab
        return {
          out: m.lab.taken(PORT), sent: m.sent(), drops: allDrops(m.lab), counters: [...network.engine.tunnels.counters],
          fdb: [...network.show({ show: 'fdb' })], links: [...network.show({ show: 'link', dev: BRIDGE }), ...network.show({ show: 'link', dev })]
        }
      })
      assertSame(t, one, other)
    }
  }), { numRuns: 150 })
})
