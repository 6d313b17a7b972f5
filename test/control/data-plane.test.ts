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
