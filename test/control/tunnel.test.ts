/** Tunnels of two data planes in one process: their sockets are the main thread's, so a thread that dies leaves them to the next one. */
import type { Worker } from 'node:worker_threads'
import test from 'ava'
import { parseNetworkFile } from '../../src/config/load.js'
import { buildOperations } from '../../src/control/build-operations.js'
import { DataPlane } from '../../src/control/data-plane.js'
import { SILENT } from '../../src/lab/types.js'
import { Underlay } from '../../src/lab/underlay.js'
import type { FdbRow, LinkRow, NeighRow, StatsResult } from '../../src/network/operations.js'
import type { PingReport } from '../../src/network/ping.js'
import { addNetns, ip, netnsTest, onSweep, uniqueName } from '../helpers/netns.js'

const tunnelTest = netnsTest(test)

/** A data plane with a bridge 10.0.10.N and a tunnel to the other end, in an underlay of loopback addresses. */
const machine = async (netns: string, n: 1 | 2): Promise<DataPlane> => {
  const file = parseNetworkFile(`
version: 1
bridges: { br0: { address: 10.0.10.${n}/24, ports: { vxlan1: { learning: false } } } }
vxlans:
  vxlan1:
    bridge: br0
    id: 42
    netns: ${netns}
    local: 127.0.0.${n}
    remote: [127.0.0.${3 - n}, 127.0.0.9]
    neigh_suppress: true
    fdb:
      - { mac: "02:00:00:00:00:07", dst: 127.0.0.${3 - n}, vni: 43, port: 8472 }
      - { mac: "00:00:00:00:00:00", dst: 127.0.0.8 }
    neighbors: [ { address: 10.0.10.7, lladdr: "02:00:00:00:00:07" } ]
`, 'test.yaml')
  const underlay = await Underlay.open(file.vxlans, { instance: uniqueName('t'), log: SILENT, udpSegment: true, udpGro: true })
  onSweep(() => underlay.close())
  const operations = buildOperations(file, [], { tunnel: (name) => underlay.tunnel(name) })
  const plane = await DataPlane.start({ instance: 'test', poll: 'sleep', operations })
  onSweep(async () => { await plane.stop() })
  return plane
}

/** Whether one echo request from the bridge is answered. */
const pings = async (plane: DataPlane, address: string): Promise<boolean> => {
  const ended = new Promise<boolean>((resolve) => {
    let answered = false
    const take = (_session: number, reports: PingReport[], done: boolean): void => {
      answered ||= reports.some(({ event }) => event === 'reply')
      if (!done) return
      plane.off('ping', take)
      resolve(answered)
    }
    plane.on('ping', take)
  })
  await plane.startPing({ bridge: 'br0', address, count: 1, interval_ms: 1000, size: 56 })
  return ended
}

tunnelTest('what the file says of a tunnel is there, and a new thread goes on with its sockets', async (t) => {
  const netns = addNetns()
  ip('-n', netns, 'link', 'set', 'lo', 'up')
  const [one, two] = await Promise.all([machine(netns, 1), machine(netns, 2)])
  const fdb = (await one.show({ show: 'fdb', dev: 'vxlan1' })) as FdbRow[]
  const flood = fdb.filter(({ mac }) => mac === '00:00:00:00:00:00').map(({ dst }) => dst)
  t.deepEqual(flood.sort(), ['127.0.0.2', '127.0.0.8', '127.0.0.9'])
  t.like(fdb.find(({ mac }) => mac === '02:00:00:00:00:07'), { dst: '127.0.0.2', vni: 43, port: 8472, state: 'permanent' })
  t.like((await one.show({ show: 'neigh', dev: 'vxlan1' })) as NeighRow[], [{ dst: '10.0.10.7', lladdr: '02:00:00:00:00:07', state: ['PERMANENT'] }])
  t.like(((await one.show({ show: 'link', dev: 'vxlan1' })) as LinkRow[])[0]!.linkinfo, { info_kind: 'vxlan', info_slave_data: { learning: false, neigh_suppress: true } })
  t.true(await pings(one, '10.0.10.2'))
  const restarted = new Promise((resolve) => one.once('restarted', resolve))
  await (one as unknown as { threads: { worker: Worker }[] }).threads[0]!.worker.terminate()
  await restarted
  t.true(await pings(one, '10.0.10.2'))
  t.true(await pings(two, '10.0.10.1'))
  for (const plane of [one, two]) t.true(((await plane.show({ show: 'stats' })) as StatsResult).balance.ok)
})
