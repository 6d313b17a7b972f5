/** Results of many rows come in parts, and none is missing. */
import test from 'ava'
import { DataPlane } from '../../src/control/data-plane.js'
import type { FdbRow, Operation } from '../../src/network/operations.js'

test('a table of thousands of entries is shown whole', async (t) => {
  const count = 5000
  const mac = (i: number): string => `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`
  const operations: Operation[] = [
    { op: 'bridge.add', name: 'br1', mac: '02:ff:00:00:00:01', mtu: 1500, ageing_time: 300, fdb_max_learned: 0 },
    ...Array.from({ length: count }, (_, i): Operation => ({ op: 'fdb.add', mac: mac(i), dev: 'br1', master: true, state: 'static' }))
  ]
  const plane = await DataPlane.start({ instance: 'long-result', poll: 'sleep', operations })
  try {
    const rows = (await plane.show({ show: 'fdb' })) as FdbRow[]
    t.is(rows.length, count + 1)
    t.is(new Set(rows.map((row) => row.mac)).size, count + 1)
    t.is(((await plane.show({ show: 'fdb', mac: mac(4321) })) as FdbRow[]).length, 1)
    await t.throwsAsync(plane.show({ show: 'fdb', mac: '02:aa:00:00:00:01' }), { message: /no entry/ })
  } finally {
    await plane.stop()
  }
})
