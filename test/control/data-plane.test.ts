import test from 'ava'
import { buildOperations } from '../../src/control/build-operations.js'
import { parseNetworkFile } from '../../src/config/load.js'
import { DataPlane } from '../../src/control/data-plane.js'
import type { Worker } from 'node:worker_threads'

const file = parseNetworkFile(`
version: 1
bridges: { br0: { address: 10.0.0.1/24 } }
routers: { r: { interfaces: { eth0: { bridge: br0, address: 10.0.0.2/24 } } } }
`, 'test.yaml')

test('a data plane that dies is replaced, with everything that had been set', async (t) => {
  const plane = await DataPlane.start({ instance: 'test', poll: 'sleep', operations: buildOperations(file, []) })
  t.teardown(() => plane.stop())
  await plane.apply({ op: 'route.add', router: 'r', prefix: '10.9.0.0/16', nexthops: [{ via: '10.0.0.7' }] })
  const before = await plane.show({ show: 'route', router: 'r' })
  const restarted = new Promise((resolve) => plane.once('restarted', resolve))
  // The thread ends as it would by an error in its loop
  await (plane as unknown as { threads: { worker: Worker }[] }).threads[0]!.worker.terminate()
  await restarted
  t.deepEqual(await plane.show({ show: 'route', router: 'r' }), before)
  t.is((before as unknown[]).length, 2)
})

test('an operation that fails is answered, and the end tells the counters', async (t) => {
  const plane = await DataPlane.start({ instance: 'test', poll: 'sleep', operations: buildOperations(file, []) })
  t.teardown(() => plane.stop())
  const error = await t.throwsAsync(plane.apply({ op: 'route.add', router: 'r', prefix: '10.9.0.0/16', nexthops: [{ via: '10.3.0.7' }] }))
  t.regex(error.message, /Nexthop has invalid gateway/)
  t.is((await plane.stop()).balance.ok, true)
})

for (const worker of [0, 1]) {
  test(`of two workers, worker ${worker} dies and is replaced; the other goes on, and both have everything that had been set`, async (t) => {
    const plane = await DataPlane.start({ instance: 'test', poll: 'sleep', workers: 2, operations: buildOperations(file, []) })
    t.teardown(() => plane.stop())
    await plane.apply({ op: 'route.add', router: 'r', prefix: '10.9.0.0/16', nexthops: [{ via: '10.0.0.7' }] })
    const before = await plane.show({ show: 'route', router: 'r' })
    const restarted = new Promise<number>((resolve) => plane.once('restarted', (_error, which: number) => resolve(which)))
    const { threads } = plane as unknown as { threads: { worker: Worker; request(body: object): Promise<unknown> }[] }
    await threads[worker]!.worker.terminate()
    // Operations while it comes up reach it, too
    await plane.apply({ op: 'route.add', router: 'r', prefix: '10.8.0.0/16', nexthops: [{ via: '10.0.0.8' }] })
    t.is(await restarted, worker)
    await plane.apply({ op: 'route.del', router: 'r', prefix: '10.8.0.0/16' })
    t.deepEqual(await plane.show({ show: 'route', router: 'r' }), before)
    for (const thread of threads) {
      t.is(((await thread.request({ kind: 'show', query: { show: 'route', router: 'r' } })) as unknown[]).length, 2)
    }
    t.true(((await plane.show({ show: 'stats' })) as { balance: { ok: boolean } }).balance.ok)
  })
}

test('several workers refuse apps', async (t) => {
  const plane = await DataPlane.start({ instance: 'test', poll: 'sleep', workers: 2, operations: [] })
  t.teardown(() => plane.stop())
  await t.throwsAsync(plane.apply({ op: 'app.add', name: 'web', id: 1 }), { message: 'not supported yet: apps with several workers' })
  await t.throwsAsync(DataPlane.start({ instance: 'test', poll: 'sleep', workers: 65, operations: [] }))
})
