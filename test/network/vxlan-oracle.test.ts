/** VXLAN ports beside the kernel's: the same commands to both, then the same rows. */
import test from 'ava'
import fc from 'fast-check'
import type { FdbRow, LinkRow } from '../../src/network/operations.js'
import { addNetns, inNs, ipJson, netnsTest } from '../helpers/netns.js'
import { operation, wordsOf } from './fdb-model.js'
import { createVxlanLab, selfRows, vxlanAdd, type VxlanAdd } from './vxlan-lab.js'

const netns = netnsTest(test)

const TUNNEL = 'id 42 local 192.168.77.1 dstport 4789'

const addVxlan = (ns: string, options = TUNNEL): void => {
  inNs(ns, 'ip', 'link', 'add', 'vxlan1', 'type', 'vxlan', ...options.split(' '))
}

const kernelRows = (ns: string): string[] => {
  const rows = JSON.parse(inNs(ns, 'bridge', '-j', 'fdb', 'show', 'dev', 'vxlan1') || '[]') as FdbRow[]
  return rows.sort((a, b) => (a.mac < b.mac ? -1 : a.mac > b.mac ? 1 : 0)).map((r) => [
    r.mac, r.dst, ...(r.port === undefined ? [] : [`port ${r.port}`]), ...(r.vni === undefined ? [] : [`vni ${r.vni}`]),
    ...r.flags.filter((f) => f !== 'self'), r.state
  ].join(' ').trim())
}

netns('random commands for the own table: the kernel and Tapway take the same ones and end with the same rows', (t) => {
  const ns = addNetns()
  fc.assert(fc.property(fc.array(operation(), { minLength: 10, maxLength: 40 }), (operations) => {
    addVxlan(ns)
    const lab = createVxlanLab()
    try {
      for (const o of operations) {
        let kernel = ''
        let ours = ''
        try {
          inNs(ns, 'bridge', ...wordsOf(o))
        } catch (error) {
          kernel = String(error)
        }
        try {
          lab.apply(o)
        } catch (error) {
          ours = String(error)
        }
        if ((kernel === '') !== (ours === '')) throw new Error(`bridge ${wordsOf(o).join(' ')}: kernel "${kernel}", Tapway "${ours}"`)
      }
      const [kernel, ours] = [kernelRows(ns), selfRows(lab)]
      if (JSON.stringify(kernel) !== JSON.stringify(ours)) throw new Error(`kernel ${JSON.stringify(kernel)}, Tapway ${JSON.stringify(ours)}`)
    } finally {
      inNs(ns, 'ip', 'link', 'del', 'vxlan1')
    }
  }), { numRuns: 8 })
  t.pass()
})

/** An option line of ip, and the operation that says the same. */
const OPTIONS: readonly [line: string, more: Partial<VxlanAdd>][] = [
  [`${TUNNEL} remote 192.168.77.2 ttl 64 srcport 49152 65535`, { remote: '192.168.77.2' }],
  [`${TUNNEL} nolearning proxy l2miss l3miss gbp ttl inherit tos inherit df set ageing 10 maxaddress 7 noudpcsum srcport 100 200`, {
    learning: false, proxy: true, l2miss: true, l3miss: true, gbp: true, ttl: 'inherit', tos: 'inherit', df: 'set', ageing: 10, maxaddress: 7, udpcsum: false, srcport: [100, 200]
  }],
  [`${TUNNEL} ttl auto tos 0x10 df inherit srcport 49152 65535`, { ttl: 0, tos: 16, df: 'inherit' }],
  ['id 43 group 239.1.1.1 dev lo dstport 4790 ttl 1 srcport 49152 65535', { id: 43, local: '', group: '239.1.1.1', dev: 'lo', dstport: 4790, ttl: 1 }],
  ['id 44 local fd00::1 remote fd00::2 dstport 4791 ttl 64 srcport 49152 65535', { id: 44, local: 'fd00::1', remote: 'fd00::2', dstport: 4791, family: 6 }],
]

netns('info_data has the keys and values of ip -d -j link', (t) => {
  const ns = addNetns()
  inNs(ns, 'ip', 'link', 'set', 'lo', 'up')
  for (const [line, more] of OPTIONS) {
    addVxlan(ns, line)
    const [kernel] = ipJson<LinkRow[]>(ns, '-d', 'link', 'show', 'type', 'vxlan')
    const lab = createVxlanLab(more)
    const [ours] = [...lab.network.show({ show: 'link', dev: 'vxlan1' })] as LinkRow[]
    t.deepEqual(ours!.linkinfo.info_data, kernel!.linkinfo.info_data, line)
    t.deepEqual(Object.keys(ours!.linkinfo.info_data!), Object.keys(kernel!.linkinfo.info_data!), line)
    inNs(ns, 'ip', 'link', 'del', 'vxlan1')
  }
  t.is(vxlanAdd().ttl, 64)
})

netns('down, up and flush leave what they leave in the kernel', (t) => {
  const ns = addNetns()
  addVxlan(ns, `${TUNNEL} remote 192.168.77.2`)
  inNs(ns, 'ip', 'link', 'set', 'vxlan1', 'up')
  const lab = createVxlanLab({ remote: '192.168.77.2' })
  lab.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.2' })
  const step = (line: string, ...operations: Parameters<typeof lab.apply>): void => {
    for (const one of line.split('; ')) inNs(ns, ...one.split(' '))
    lab.apply(...operations)
    t.deepEqual(selfRows(lab), kernelRows(ns), line)
    const neighbours = ipJson<{ dst: string }[]>(ns, '-4', 'neigh', 'show', 'dev', 'vxlan1').map((n) => n.dst).sort()
    t.deepEqual(([...lab.network.show({ show: 'neigh', dev: 'vxlan1' })] as { dst: string }[]).map((n) => n.dst).sort(), neighbours, line)
  }
  const [a, b, c] = ['02:42:0a:00:0a:0b', '02:42:0a:00:0a:0c', '02:42:0a:00:0a:0d']
  step(`bridge fdb add ${a} dev vxlan1 dst 192.168.77.2; bridge fdb add ${b} dev vxlan1 dst 192.168.77.2 static; bridge fdb add ${c} dev vxlan1 dst 192.168.77.2 dynamic`,
    { op: 'fdb.add', mac: a!, dev: 'vxlan1', dst: '192.168.77.2' }, { op: 'fdb.add', mac: b!, dev: 'vxlan1', dst: '192.168.77.2', state: 'static' },
    { op: 'fdb.add', mac: c!, dev: 'vxlan1', dst: '192.168.77.2', state: 'dynamic' })
  step(`ip neigh add 10.0.10.11 lladdr ${a} dev vxlan1; ip neigh add 10.0.10.12 lladdr ${b} dev vxlan1 nud reachable`,
    { op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.11', lladdr: a! }, { op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.12', lladdr: b!, nud: 'reachable' })
  step('ip neigh flush dev vxlan1', { op: 'neigh.flush', dev: 'vxlan1' })
  step('ip link set vxlan1 down', { op: 'link.set', dev: 'vxlan1', up: false })
  step('ip link set vxlan1 up', { op: 'link.set', dev: 'vxlan1', up: true })
  step(`ip neigh add 10.0.10.11 lladdr ${a} dev vxlan1`, { op: 'neigh.add', dev: 'vxlan1', address: '10.0.10.11', lladdr: a! })
  step('ip link set vxlan1 address 02:00:00:00:00:77', { op: 'link.set', dev: 'vxlan1', address: '02:00:00:00:00:77' })
  step('bridge fdb flush dev vxlan1', { op: 'fdb.flush', dev: 'vxlan1' })
})
