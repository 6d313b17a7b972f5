/** Machines that take and refuse datagrams: what comes out of a port of the bridge for one, and why nothing does. */
import type { FdbRow } from '../../src/network/operations.js'
import { ethernet } from '../oracle/naive-frames.js'
import { allDrops, ALL_OFFLOADS, createMachine, type Machine, type MachineOptions, seen, TUNNEL } from './tunnel-lab.js'

export const LOCAL = '02:00:00:00:0a:01'
export const BEHIND = '02:00:00:00:0b:01'
export const EVERYBODY = 'ff:ff:ff:ff:ff:ff'
export const PORT = 'a.eth0'

export const machine = (more: MachineOptions = {}): Machine => {
  const m = createMachine({ ports: { [PORT]: { vnet: true, offloads: ALL_OFFLOADS }, 'b.eth0': {} }, ...more })
  m.lab.send(PORT, Uint8Array.from(ethernet(BEHIND, LOCAL, 0x88b5, [0])), {}) // the bridge knows LOCAL
  m.run()
  m.sent()
  m.lab.taken('b.eth0')
  return m
}

/** Drops since the machine was made ready. */
export const dropsOf = (m: Machine, before: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(allDrops(m.lab)).map(([reason, n]): [string, number] => [reason,
    n - (before[reason] ?? 0)]).filter(([, n]) => n > 0))

/** Lets one datagram arrive: what came out of the port, and why something did not. */
export const arrive = (m: Machine, bytes: readonly number[],
  more: Parameters<Machine['arrive']>[1] = {}): { out: number[][]; drops: Record<string, number> } => {
  const before = allDrops(m.lab)
  m.arrive(bytes, more)
  m.run()
  return { out: m.lab.taken(PORT).flatMap(seen), drops: dropsOf(m, before) }
}

export const selfOf = (m: Machine): string[] => ([...m.lab.network.show({ show: 'fdb', dev: TUNNEL,
  self: true })] as FdbRow[]).map((r) => `${r.mac} ${r.dst}`)
