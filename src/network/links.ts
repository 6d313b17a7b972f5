/** Rows of `link`, `addr` and the ports of `stats`, with the keys of `ip -j -s -d link` and `ip -j addr`. */
import {
  C_RX_BYTES, C_RX_MULTICAST, C_RX_PACKETS, C_TX_BYTES, C_TX_DROPPED, C_TX_ERRORS, C_TX_PACKETS, PORT_CELLS, P_CARRIER, P_FLOOD, P_LEARNING,
  P_NEIGH_SUPPRESS, P_UP
} from '../core/ports.js'
import type { Engine } from '../engine/engine.js'
import { REASON_COUNT, REASONS } from '../reason.js'
import type { InterfaceAddress } from '../table/interfaces.js'
import * as ip4 from '../wire/ip4.js'
import type { AddrRow, LinkRow, Query, StatsResult } from './operations.js'
import { linkName, type AddressedEntry, type LinkEntry, type Registry } from './registry.js'
import { vxlanData, vxlanExtra } from './vxlan-rows.js'

type LinkQuery = Extract<Query, { show: 'link' }>
type AddrQuery = Extract<Query, { show: 'addr' }>

/** Addresses do not expire (INFINITY_LIFE_TIME of include/net/addrconf.h). */
const FOREVER = 0xffffffff

export const createLinkRows = (engine: Engine, registry: Registry) => {
  const { ports, interfaces, packets, fdb } = engine

  const dropsOf = (port: number): number => {
    let sum = 0
    for (let r = 1; r < REASON_COUNT; r++) sum += packets.portDrops[port * REASON_COUNT + r]!
    return sum
  }

  const isUp = (e: LinkEntry): boolean => (ports.state[e.port]! & P_UP) !== 0
  const hasCarrier = (e: LinkEntry): boolean => (ports.state[e.port]! & P_CARRIER) !== 0
  const mtuOf = (e: LinkEntry): number => (e.kind === 'port' || e.kind === 'vxlan' ? ports.mtu[e.port]! : interfaces.mtu[e.iface]!)

  const flagsOf = (e: LinkEntry): string[] => {
    const flags = ['BROADCAST', 'MULTICAST']
    if (isUp(e)) flags.push('UP')
    if (isUp(e) && !hasCarrier(e)) flags.unshift('NO-CARRIER')
    if (isUp(e) && hasCarrier(e)) flags.push('LOWER_UP')
    return flags
  }

  /**
   * Counters as `ip -s link` has them. A port counts as the switch sees it. A bridge or a router's interface counts as its
   * owner sees it, as the kernel's would: what the bridge sent to it, it received.
   */
  const stats64 = (e: LinkEntry): LinkRow['stats64'] => {
    const c = e.port * PORT_CELLS
    const { counters } = ports
    const entered = { bytes: counters[c + C_RX_BYTES]!, packets: counters[c + C_RX_PACKETS]! }
    const left = { bytes: counters[c + C_TX_BYTES]!, packets: counters[c + C_TX_PACKETS]! }
    const mirrored = e.kind === 'bridge' || e.kind === 'interface'
    return {
      rx: { ...(mirrored ? left : entered), errors: 0, dropped: dropsOf(e.port), over_errors: 0, multicast: counters[c + C_RX_MULTICAST]! },
      tx: {
        ...(mirrored ? entered : left), errors: counters[c + C_TX_ERRORS]!, dropped: counters[c + C_TX_DROPPED]!, carrier_errors: 0, collisions: 0
      }
    }
  }

  const linkinfo = (e: LinkEntry): LinkRow['linkinfo'] => {
    if (e.kind === 'bridge') {
      return {
        info_kind: 'bridge',
        info_data: {
          ageing_time: e.ageingTime * 100, stp_state: 0, vlan_filtering: 0, group_fwd_mask: '0',
          fdb_n_learned: fdb.learnedCount(e.row), fdb_max_learned: e.fdbMaxLearned
        }
      }
    }
    const state = ports.state[e.port]!
    return {
      info_kind: e.kind === 'vxlan' ? 'vxlan' : e.kind === 'interface' ? 'router' : e.io === 'packet' ? 'device' : 'tap',
      ...(e.kind === 'vxlan' ? { info_data: vxlanData(e.options) } : {}),
      info_slave_kind: 'bridge',
      info_slave_data: {
        state: isUp(e) ? 'forwarding' : 'disabled', learning: (state & P_LEARNING) !== 0, flood: (state & P_FLOOD) !== 0,
        ...(e.kind === 'vxlan' ? { neigh_suppress: (state & P_NEIGH_SUPPRESS) !== 0 } : {})
      }
    }
  }

  const extra = (e: LinkEntry): LinkRow['tapway'] => {
    if (e.kind === 'port' && e.io === 'packet') return { kind: 'device', device: e.ifname, ...(e.netns === '' ? {} : { netns: e.netns }) }
    if (e.kind === 'port') return { kind: 'host', netns: e.netns }
    if (e.kind === 'bridge') return { kind: 'bridge', moved: fdb.movedTotal(e.row), full: fdb.fullTotal(e.row) }
    if (e.kind === 'vxlan') return vxlanExtra(engine, e)
    return {
      kind: 'interface', router: e.router.name,
      forwarding: interfaces.forwarding[e.router.stack] !== 0 && interfaces.interfaceForwarding[e.iface] !== 0
    }
  }

  const link = (e: LinkEntry): LinkRow => ({
    ifindex: e.ifindex,
    ifname: linkName(e),
    flags: flagsOf(e),
    mtu: mtuOf(e),
    ...(e.kind === 'bridge' ? {} : { master: e.bridge.name }),
    operstate: isUp(e) && hasCarrier(e) ? 'UP' : 'DOWN',
    link_type: 'ether',
    address: e.mac,
    broadcast: 'ff:ff:ff:ff:ff:ff',
    linkinfo: linkinfo(e),
    stats64: stats64(e),
    tapway: extra(e)
  })

  const isSecondary = (iface: number, a: InterfaceAddress): boolean => interfaces.inNetworkOf(iface, a)[0] !== a

  /** As the kernel lists them: secondary ones behind all others. */
  const addressesOf = (iface: number): InterfaceAddress[] =>
    [...interfaces.addresses[iface]!].sort((a, b) => Number(isSecondary(iface, a)) - Number(isSecondary(iface, b)))

  const addr = (e: AddressedEntry): AddrRow => ({
    ifindex: e.ifindex,
    ifname: e.name,
    flags: flagsOf(e),
    mtu: mtuOf(e),
    operstate: isUp(e) ? 'UP' : 'DOWN',
    link_type: 'ether',
    address: e.mac,
    broadcast: 'ff:ff:ff:ff:ff:ff',
    router: e.kind === 'bridge' ? e.name : e.router.name,
    addr_info: addressesOf(e.iface).map((a) => ({
      family: 'inet',
      local: ip4.formatIp4(a.address),
      ...(a.peer === undefined ? {} : { address: ip4.formatIp4(a.peer) }),
      prefixlen: a.prefixLength,
      scope: 'global',
      ...(isSecondary(e.iface, a) ? { secondary: true } : {}),
      label: e.name,
      valid_life_time: FOREVER,
      preferred_life_time: FOREVER
    }))
  })

  return {
    links: function* (query: LinkQuery): Generator<LinkRow> {
      if (query.dev !== undefined) {
        yield link(registry.link(query.dev, query.router))
        return
      }
      const bridge = query.bridge === undefined ? undefined : registry.bridge(query.bridge)
      const router = query.router === undefined ? undefined : registry.router(query.router)
      for (const e of registry.links()) {
        if (bridge !== undefined && (e.kind === 'bridge' || e.bridge !== bridge)) continue
        if (router !== undefined && (e.kind !== 'interface' || e.router !== router)) continue
        yield link(e)
      }
    },
    addresses: function* (query: AddrQuery): Generator<AddrRow> {
      if (query.dev !== undefined) {
        yield addr(registry.addressed(query.dev, query.router))
        return
      }
      const owner = query.router === undefined ? undefined : registry.stack(query.router)
      for (const e of registry.links()) {
        if (e.kind === 'port' || e.kind === 'vxlan') continue
        if (owner !== undefined && e !== owner && !(e.kind === 'interface' && e.router === owner)) continue
        yield addr(e)
      }
    },
    ports: (): StatsResult['ports'] =>
      registry.links().map((e) => {
        const c = e.port * PORT_CELLS
        const { counters } = ports
        const drops: Record<string, number> = {}
        for (let r = 1; r < REASON_COUNT; r++) {
          const n = packets.portDrops[e.port * REASON_COUNT + r]!
          if (n > 0) drops[REASONS[r]!.name] = n
        }
        return {
          name: linkName(e),
          bridge: e.kind === 'bridge' ? e.name : e.bridge.name,
          rx_packets: counters[c + C_RX_PACKETS]!, rx_bytes: counters[c + C_RX_BYTES]!,
          tx_packets: counters[c + C_TX_PACKETS]!, tx_bytes: counters[c + C_TX_BYTES]!,
          tx_errors: counters[c + C_TX_ERRORS]! + counters[c + C_TX_DROPPED]!,
          drops
        }
      })
  }
}
