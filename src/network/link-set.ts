/** `link set`: what can be changed of a link there is. All is checked before anything is changed. */
import { P_FLOOD, P_LEARNING, P_NEIGH_SUPPRESS, P_UP, type Ports } from '../core/ports.js'
import type { Engine } from '../engine/engine.js'
import type { Addresses } from './addresses.js'
import type { FdbCommands } from './fdb.js'
import { NetworkError, type ApplyResult, type OperationOf } from './operations.js'
import { stationMacOf } from './parse.js'
import type { BridgeEntry, InterfaceEntry, LinkEntry, Registry } from './registry.js'
import type { Vxlans } from './vxlans.js'

/** Highest MTU of a TAP: 65535 without the Ethernet header (tun_net_initialize() of drivers/net/tun.c). */
const TAP_MAX_MTU = 65521

/** Sets or clears a P_ flag of a port. */
export const setFlag = (ports: Ports, port: number, flag: number, on: boolean): void => {
  ports.state[port] = on ? ports.state[port]! | flag : ports.state[port]! & ~flag
}

/** What a router, which is no link, has of all options. */
const onlyForwarding = ({ op: _op, dev: _dev, forwarding: _forwarding, ...rest }: OperationOf<'link.set'>): boolean => Object.keys(rest).length === 0

export const createLinkSet = (engine: Engine, registry: Registry, addresses: Addresses, fdbCommands: FdbCommands, vxlans: Vxlans) => {
  const { ports, interfaces, fdb, layer3 } = engine

  const setLink = (o: OperationOf<'link.set'>): ApplyResult => {
    if (o.forwarding !== undefined && o.router === undefined) {
      const router = registry.routers.find((r) => r.name === o.dev)
      if (router !== undefined) {
        if (!onlyForwarding(o)) throw new NetworkError(`"${o.dev}" is a router: only forwarding can be set`, 2)
        interfaces.forwarding[router.stack] = o.forwarding ? 1 : 0
        return {}
      }
    }
    const e = registry.link(o.dev, o.router)
    // All is checked before anything is changed
    if (o.forwarding !== undefined && e.kind !== 'interface') throw new NetworkError(`"${o.dev}" does not forward: only routers and their interfaces do`, 2)
    if (o.mtu !== undefined && (!Number.isInteger(o.mtu) || o.mtu < 68 || o.mtu > 65535)) throw new NetworkError('an MTU is 68 to 65535', 2)
    if (o.mtu !== undefined && o.mtu > TAP_MAX_MTU && e.kind === 'port') {
      throw new NetworkError(`the MTU of "${o.dev}" is ${TAP_MAX_MTU} at most: its host's device takes no more`, 2)
    }
    if (o.address !== undefined && e.kind === 'port') throw new NetworkError(`the address of "${o.dev}" is its host's: set it there`, 2)
    if ((o.learning !== undefined || o.flood !== undefined) && e.kind === 'bridge') throw new NetworkError('learning and flood are options of a port', 2)
    if (o.neigh_suppress !== undefined && e.kind !== 'vxlan') throw new NetworkError(`"${o.dev}" is no VXLAN port: neigh_suppress is an option of theirs`, 2)
    const mac = o.address === undefined ? undefined : stationMacOf(o.address)
    if (o.forwarding !== undefined && e.kind === 'interface') interfaces.interfaceForwarding[e.iface] = o.forwarding ? 1 : 0
    if (o.mtu !== undefined) setMtu(e, o.mtu)
    if (mac !== undefined && e.kind === 'vxlan') vxlans.setMac(e, mac, o.address!)
    if (mac !== undefined && (e.kind === 'bridge' || e.kind === 'interface')) setMac(e, mac, o.address!)
    if (o.learning !== undefined) setFlag(ports, e.port, P_LEARNING, o.learning)
    if (o.flood !== undefined) setFlag(ports, e.port, P_FLOOD, o.flood)
    if (o.neigh_suppress !== undefined) setFlag(ports, e.port, P_NEIGH_SUPPRESS, o.neigh_suppress)
    if (o.up !== undefined) setUp(e, o.up)
    if (e.kind !== 'port' || (o.up === undefined && o.mtu === undefined)) return {}
    return {
      device: {
        handle: e.handle, netns: e.netns, ifname: e.ifname,
        ...(o.up === undefined ? {} : { up: o.up }), ...(o.mtu === undefined ? {} : { mtu: o.mtu })
      }
    }
  }

  const setMtu = (e: LinkEntry, mtu: number): void => {
    ports.mtu[e.port] = mtu
    if (e.kind === 'bridge') e.mtu = mtu
    if (e.kind === 'bridge' || e.kind === 'interface') interfaces.mtu[e.iface] = mtu
  }

  const setMac = (e: BridgeEntry | InterfaceEntry, mac: readonly [number, number], text: string): void => {
    const b = e.kind === 'bridge' ? e : e.bridge
    fdb.removeByPort(e.port, true)
    interfaces.macHi[e.iface] = mac[0]
    interfaces.macLo[e.iface] = mac[1]
    e.mac = text
    fdbCommands.addLocal(b, mac, e.port)
    layer3.neighborOutput.flush(e.iface, true)
  }

  const setUp = (e: LinkEntry, up: boolean): void => {
    if (((ports.state[e.port]! & P_UP) !== 0) === up) return
    setFlag(ports, e.port, P_UP, up)
    if (e.kind === 'port' || e.kind === 'vxlan') {
      if (!up) fdb.removeByPort(e.port)
      if (!up && e.kind === 'vxlan') vxlans.down(e)
    } else if (up) addresses.up(e.iface)
    else addresses.down(e.iface)
  }

  return setLink
}
