/** Sockets, who listens to which VNI on them, and the memory of the last look-up. */
import test from 'ava'
import fc from 'fast-check'
import { createTunnels, TUNNEL_CELLS } from '../../src/table/tunnels.js'

type Step =
  | { kind: 'use' | 'leave'; descriptor: number }
  | { kind: 'listen' | 'unlisten' | 'find'; descriptor: number; vni: number; tunnel: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('use' as const, 'use' as const, 'leave' as const), descriptor: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('listen' as const, 'unlisten' as const, 'find' as const,
    'find' as const), descriptor: fc.nat(4), vni: fc.nat(2), tunnel: fc.nat(3) }) }
)

test('whatever is done: a VNI on a socket is found where it listens, and nowhere else', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const table = createTunnels(8, 3)
      const model = new Map<number, { row: number; users: number; byVni: Map<number, number> }>()
      const use = (descriptor: number): void => {
        const socket = model.get(descriptor)
        const { row, fresh } = table.useSocket(descriptor)
        t.is(fresh, socket === undefined && model.size < 3)
        if (socket !== undefined) {
          t.is(row, socket.row)
          socket.users++
        } else if (model.size === 3) t.is(row, -1)
        else {
          t.true(row >= 0 && row < 3 && ![...model.values()].some((o) => o.row === row))
          model.set(descriptor, { row, users: 1, byVni: new Map() })
        }
      }
      for (const s of steps) {
        const socket = model.get(s.descriptor)
        if (!('vni' in s)) {
          if (s.kind === 'use') use(s.descriptor)
          else if (socket !== undefined) {
            t.is(table.leaveSocket(socket.row), --socket.users === 0)
            if (socket.users === 0) model.delete(s.descriptor)
          }
        } else if (socket === undefined) continue
        else if (s.kind === 'listen') {
          t.is(table.listen(socket.row, s.vni, s.tunnel), !socket.byVni.has(s.vni))
          if (!socket.byVni.has(s.vni)) socket.byVni.set(s.vni, s.tunnel)
        } else if (s.kind === 'unlisten') {
          table.unlisten(socket.row, s.vni)
          socket.byVni.delete(s.vni)
        } else t.is(table.find(socket.row, s.vni), socket.byVni.get(s.vni) ?? -1)
      }
      for (let row = 0; row < 3; row++) {
        for (let vni = 0; vni < 3; vni++) t.is(table.find(row, vni), [...model.values()].find((o) => o.row === row)?.byVni.get(vni) ?? -1)
      }
    }),
    { numRuns: 200 }
  )
})

test('rows are used again with nothing of who had them before', (t) => {
  const table = createTunnels(2)
  t.is(table.add(), 0)
  t.is(table.add(), 1)
  t.is(table.add(), -1)
  table.flags[0] = 5
  table.counters[0] = 7
  table.counters[TUNNEL_CELLS] = 9
  table.send[0] = Int32Array.of(3)
  table.sendDf[0] = Int32Array.of(4)
  table.remove(0)
  t.is(table.add(), 0)
  t.deepEqual([table.flags[0], table.counters[0], table.counters[TUNNEL_CELLS], table.send[0]!.length, table.sendDf[0]!.length],
    [0, 0, 9, 0, 0])
})
