/** VXLAN ports over memory sockets: what tests of tunnels' tables stand on. */
import type { FdbRow, Operation } from '../../src/network/operations.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'

export type VxlanAdd = Extract<Operation, { op: 'vxlan.add' }>

export const vxlanAdd = (more: Partial<VxlanAdd> = {}): VxlanAdd => ({
  op: 'vxlan.add', name: 'vxlan1', bridge: 'br0', mac: '02:00:00:00:42:01', mtu: 1450, id: 42, local: '192.168.77.1', dstport: 4789,
  srcport: [49152, 65535], learning: true, proxy: false, neigh_suppress: false, ttl: 64, tos: 0, df: 'unset', udpcsum: true, ageing: 300,
  maxaddress: 0, l2miss: false, l3miss: false, gbp: false, inner_vlan: 'pass', netns: '', family: 4, receive: [], send: [], send_df: [], gso: true,
  ...more
})

export const bridgeAdd = (name = 'br0', n = 1): Operation => ({ op: 'bridge.add', name, mac: `02:00:00:00:00:0${n}`, mtu: 1450, ageing_time: 300, fdb_max_learned: 0 })

/** A bridge br0 with a port client.eth0 and VXLAN 42 as vxlan1. */
export const createVxlanLab = (more: Partial<VxlanAdd> = {}): MemoryLab => {
  const lab = createMemoryLab()
  lab.apply(bridgeAdd())
  lab.port('client.eth0', 'br0')
  lab.apply(vxlanAdd({ receive: [lab.io.open(false)], send: [lab.io.open(false), lab.io.open(false)], send_df: [lab.io.open(false)], ...more }))
  return lab
}

/** Rows of a tunnel's own table, as text: `MAC DST [port] [vni] [flags] [state]`, sorted by address; a list of destinations in its order. */
export const selfRows = (lab: MemoryLab, dev = 'vxlan1'): string[] => {
  const rows = [...lab.network.show({ show: 'fdb', dev, self: true })].filter((row) => row !== undefined) as FdbRow[]
  return rows.map((r) => [
    r.mac, r.dst, ...(r.port === undefined ? [] : [`port ${r.port}`]), ...(r.vni === undefined ? [] : [`vni ${r.vni}`]),
    ...r.flags.filter((f) => f !== 'self'), r.state
  ].join(' ').trim())
}
