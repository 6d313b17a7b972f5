/** VXLAN ports: their rows, their places in a bridge, their sockets and who listens to which VNI. */
import { P_NEIGH_SUPPRESS, PORT_TUNNEL } from '../core/ports.js'
import type { Engine } from '../engine/engine.js'
import { PORT_ERRORS, PORT_UDP, SOCKET_TAGS } from '../port/rings.js'
import type { RemoteCollector } from '../table/tunnel-collect.js'
import {
  DF_INHERIT, DF_SET, DF_UNSET, INHERIT, T_DROP_INNER_VLAN, T_GBP, T_GSO, T_L2MISS, T_L3MISS, T_LEARNING, T_PROXY
} from '../table/tunnels.js'
import * as ip4 from '../wire/ip4.js'
import type { Attachment, Building } from './building.js'
import type { FdbCommands } from './fdb.js'
import { setFlag } from './link-set.js'
import { NetworkError, type OperationOf } from './operations.js'
import { stationMacOf } from './parse.js'
import type { Registry, VxlanEntry } from './registry.js'
import type { TunnelFdbCommands } from './tunnel-fdb.js'

type VxlanAdd = OperationOf<'vxlan.add'>

const MAX_VNI = 0xffffff
const DF = { unset: DF_UNSET, set: DF_SET, inherit: DF_INHERIT }
/** What stands for "never aged": longer than anything runs. The table takes 0 for "learn nothing", VXLAN for "keep for ever". */
const FOREVER_MS = 0x7fffffff * 1000

const flagsOf = (o: VxlanAdd): number =>
  (o.learning ? T_LEARNING : 0) | (o.proxy ? T_PROXY : 0) | (o.l2miss ? T_L2MISS : 0) | (o.l3miss ? T_L3MISS : 0) | (o.gbp ? T_GBP : 0) |
  (o.inner_vlan === 'drop' ? T_DROP_INNER_VLAN : 0) | (o.gso ? T_GSO : 0)

export interface VxlanParts {
  engine: Engine
  registry: Registry
  building: Building
  fdbCommands: FdbCommands
  tunnelFdbCommands: TunnelFdbCommands
  collector: RemoteCollector
  options: Attachment
}

export type Vxlans = ReturnType<typeof createVxlans>

export const createVxlans = ({ engine, registry, building, fdbCommands, tunnelFdbCommands, collector, options }: VxlanParts) => {
  const { ports, tunnels, tunnelFdb, tunnelNeighbors } = engine

  /** A socket of the main thread, watched from its first user on. Its row. */
  const useSocket = (descriptor: number, kind: number, undo: (() => void)[]): number => {
    const { row, fresh } = tunnels.useSocket(descriptor)
    if (row < 0) throw new NetworkError(`there can be no more than ${tunnels.socketCapacity} sockets of tunnels`, 1)
    if (fresh) options.attachPort(SOCKET_TAGS + row, descriptor, kind, 0)
    undo.push(() => leaveSocket(row))
    return row
  }

  const leaveSocket = (row: number): void => {
    if (tunnels.leaveSocket(row)) options.detachPort(SOCKET_TAGS + row)
  }

  const fill = (t: number, port: number, o: VxlanAdd, mac: readonly [number, number]): void => {
    tunnels.port[t] = port
    tunnels.vni[t] = o.id
    tunnels.flags[t] = flagsOf(o)
    tunnels.family[t] = o.family
    tunnels.dstport[t] = o.dstport
    tunnels.ttl[t] = o.ttl === 'inherit' ? INHERIT : o.ttl
    tunnels.tos[t] = o.tos === 'inherit' ? INHERIT : o.tos
    tunnels.df[t] = DF[o.df]
    tunnels.macHi[t] = mac[0]
    tunnels.macLo[t] = mac[1]
    tunnels.send[t] = Int32Array.from(o.send)
    tunnels.sendDf[t] = Int32Array.from(o.send_df)
    if (o.uplink === undefined) return
    tunnels.uplink[t] = o.uplink.on ? o.uplink.handle : -1
    tunnels.uplinkTtl[t] = o.uplink.ttl
    tunnels.uplinkCsum[t] = o.udpcsum ? 1 : 0
    tunnels.local[t] = ip4.parseIp4(o.local)!
    tunnels.sendPorts[t] = Int32Array.from(o.uplink.ports)
    tunnels.sendPortsDf[t] = Int32Array.from(o.uplink.ports_df)
  }

  const add = (o: VxlanAdd): void => {
    registry.refuseTaken(o.name)
    const b = registry.bridge(o.bridge)
    const mac = stationMacOf(o.mac)
    if (!Number.isInteger(o.id) || o.id < 0 || o.id > MAX_VNI) throw new NetworkError(`a VNI is 0 to ${MAX_VNI}`, 2)
    const t = tunnels.add()
    if (t < 0) throw new NetworkError(`there can be no more than ${tunnels.capacity} VXLAN ports`, 1)
    const undo: (() => void)[] = [() => tunnels.remove(t)]
    try {
      const port = building.newPort(PORT_TUNNEL, b, o.mtu)
      undo.push(() => ports.remove(port))
      const receive = o.receive.map((descriptor) => {
        const row = useSocket(descriptor, PORT_UDP, undo)
        if (!tunnels.listen(row, o.id, t)) {
          const other = registry.byTunnel(tunnels.sockets[row]!.byVni.get(o.id)!)?.name
          throw new NetworkError(`VNI ${o.id} is that of ${other} at ${o.local === '' ? 'any address' : o.local} port ${o.dstport} already`, 1)
        }
        undo.push(() => tunnels.unlisten(row, o.id))
        return row
      })
      const send = [...o.send, ...o.send_df].map((descriptor) => useSocket(descriptor, PORT_ERRORS, undo))
      fill(t, port, o, mac)
      ports.layer3[port] = t
      setFlag(ports, port, P_NEIGH_SUPPRESS, o.neigh_suppress)
      tunnelFdb.setAgeing(t, o.ageing === 0 ? FOREVER_MS : o.ageing * 1000)
      tunnelFdb.setLimit(t, o.maxaddress)
      registry.vxlans.push({
        kind: 'vxlan', name: o.name, bridge: b, ifindex: registry.nextIndex(), port, tunnel: t, mac: o.mac, options: o, receive, send
      })
      building.plug(b, port)
      fdbCommands.addLocal(b, mac, port)
    } catch (error) {
      for (const step of undo.reverse()) step()
      throw error
    }
  }

  const remove = (e: VxlanEntry): void => {
    const t = e.tunnel
    for (const row of e.receive) tunnels.unlisten(row, e.options.id)
    for (const row of [...e.receive, ...e.send]) leaveSocket(row)
    registry.vxlans.splice(registry.vxlans.indexOf(e), 1)
    building.unplug(e.bridge, e.port)
    tunnelFdb.removeBridge(t)
    tunnelNeighbors.flush(t, false)
    collector.removeTunnel(t)
    tunnels.remove(t)
  }

  return {
    add,
    remove: (name: string): void => remove(registry.vxlan(name)),
    /** Super-frames go by its uplink, or by its sockets. */
    setUplink: (name: string, on: boolean): void => {
      const { tunnel, options: { uplink } } = registry.vxlan(name)
      if (uplink === undefined) throw new NetworkError(`${name} has no uplink`, 2)
      tunnels.uplink[tunnel] = on ? uplink.handle : -1
    },
    /** Its address: frames from it are not taken from the tunnel, and the bridge knows it as its own. */
    setMac: (e: VxlanEntry, mac: readonly [number, number], text: string): void => {
      const t = e.tunnel
      engine.fdb.remove(e.bridge.filter, tunnels.macHi[t]!, tunnels.macLo[t]!, e.port)
      tunnels.macHi[t] = mac[0]
      tunnels.macLo[t] = mac[1]
      e.mac = text
      fdbCommands.addLocal(e.bridge, mac, e.port)
      tunnelNeighbors.flush(t, false)
    },
    /** When it goes down, what is learned is forgotten (vxlan_stop), and all neighbours are, also permanent ones (neigh_ifdown). */
    down: (e: VxlanEntry): void => {
      tunnelFdbCommands.flushDynamic(e)
      tunnelNeighbors.flush(e.tunnel, false)
    }
  }
}
