/** What `ip -j -d link` says of a VXLAN port (iproute2 ip/iplink_vxlan.c vxlan_print_opt), and what Tapway adds. */
import { isIPv6 } from 'node:net'
import { P_FORWARDING } from '../core/ports.js'
import type { Engine } from '../engine/engine.js'
import { TC_FULL, TC_L2MISS, TC_L3MISS, TC_MOVED, TC_UNREACHABLE, TUNNEL_CELLS } from '../table/tunnels.js'
import { isZero } from '../wire/mac.js'
import type { LinkRow, OperationOf, Query, VxlanPeer, VxlanRow } from './operations.js'
import type { Registry, VxlanEntry } from './registry.js'
import { formatUnderlay } from './underlay.js'

/** Slots of the table looked at before traffic goes on. */
const SCAN_SLOTS = 4096

/** `group` or `group6`, `local` or `local6` ...: ip has a key for each family. */
const addressKey = (key: string, address: string | undefined): Record<string, string> =>
  address === undefined || address === '' ? {} : { [isIPv6(address) ? `${key}6` : key]: address }

/** info_data: keys in ip's order; options that are off are left out where ip leaves them out. A ttl that is inherited has no key there. */
export const vxlanData = (o: OperationOf<'vxlan.add'>): Record<string, unknown> => ({
  id: o.id,
  ...addressKey('group', o.group),
  ...addressKey('remote', o.remote),
  ...addressKey('local', o.local),
  ...(o.dev === undefined ? {} : { link: o.dev }),
  port_range: { low: o.srcport[0], high: o.srcport[1] },
  port: o.dstport,
  learning: o.learning,
  ...(o.proxy ? { proxy: true } : {}),
  ...(o.l2miss ? { l2miss: true } : {}),
  ...(o.l3miss ? { l3miss: true } : {}),
  ...(o.tos === 0 ? {} : { tos: o.tos === 'inherit' ? '0x1' : `0x${o.tos.toString(16)}` }),
  ...(o.ttl === 'inherit' ? {} : { ttl: o.ttl }),
  df: o.df,
  ageing: o.ageing,
  ...(o.maxaddress === 0 ? {} : { limit: o.maxaddress }),
  udp_csum: o.udpcsum,
  udp_zero_csum6_tx: o.family === 6 && !o.udpcsum,
  udp_zero_csum6_rx: o.family === 6 && !o.udpcsum,
  ...(o.gbp ? { gbp: true } : {})
})

/** What Tapway adds. */
export const vxlanExtra = ({ tunnels, tunnelFdb }: Engine, e: VxlanEntry): LinkRow['tapway'] => {
  const c = e.tunnel * TUNNEL_CELLS
  const { counters } = tunnels
  return {
    kind: 'vxlan', ...(e.options.netns === '' ? {} : { netns: e.options.netns }), inner_vlan: e.options.inner_vlan,
    ...(e.options.uplink === undefined ? {} : { uplink: tunnels.uplink[e.tunnel]! < 0 ? 'socket' : 'tap' }),
    n_learned: tunnelFdb.learnedCount(e.tunnel), moved: counters[c + TC_MOVED]!,
    l2miss: counters[c + TC_L2MISS]!, l3miss: counters[c + TC_L3MISS]!, unreachable: counters[c + TC_UNREACHABLE]!, full: counters[c + TC_FULL]!
  }
}

export const createVxlanRows = (engine: Engine, registry: Registry) => {
  const { ports, tunnels, tunnelFdb, remotes, clock } = engine

  /** Rows of one far end, which entries set by hand have each for themselves, as one. */
  const meet = (peers: Map<string, VxlanPeer>, t: number, r: number, flood: boolean): void => {
    const dst = formatUnderlay(remotes.octetsOf(r))
    const port = remotes.portOf(r)
    const vni = remotes.vni[r]!
    const key = `${dst} ${port} ${vni}`
    let peer = peers.get(key)
    if (peer === undefined) {
      peer = {
        dst, ...(port === tunnels.dstport[t] ? {} : { port }), ...(vni === tunnels.vni[t] ? {} : { vni }), flood: false, entries: 0, unreachable: 0
      }
      peers.set(key, peer)
    }
    if (flood) peer.flood = true
    else peer.entries++
    // An error about an address is counted by all its rows
    peer.unreachable = Math.max(peer.unreachable, remotes.unreachable[r]!)
    if (remotes.pathMtu[r] !== 0 && clock.second <= remotes.pathMtuUntil[r]!) peer.path_mtu = Math.min(peer.path_mtu ?? 0xffff, remotes.pathMtu[r]!)
  }

  const row = (e: VxlanEntry, peers: VxlanPeer[]): VxlanRow => {
    const { options } = e
    return {
      ifname: e.name, master: e.bridge.name, operstate: (ports.state[e.port]! & P_FORWARDING) === P_FORWARDING ? 'UP' : 'DOWN', mtu: ports.mtu[e.port]!,
      address: e.mac, info_data: vxlanData(options), tapway: vxlanExtra(engine, e),
      sockets: { receive: options.receive.length, send: options.send.length, send_df: options.send_df.length, gso: options.gso },
      peers
    }
  }

  /** One row a tunnel; `undefined` between the parts of a large table. */
  return function* (query: Extract<Query, { show: 'vxlan' }>): Generator<VxlanRow | undefined> {
    const wanted = query.dev === undefined ? [...registry.vxlans] : [registry.vxlan(query.dev)]
    const peers = new Map(wanted.map((e) => [e.tunnel, new Map<string, VxlanPeer>()]))
    for (let cursor = 0; cursor >= 0;) {
      // A table that changes in between may show an entry twice
      cursor = tunnelFdb.scan(cursor, SCAN_SLOTS, (entry) => {
        const t = tunnelFdb.filterOf(entry)
        const of = peers.get(t)
        if (of === undefined) return
        const flood = isZero(tunnelFdb.hiOf(entry), tunnelFdb.loOf(entry))
        for (let r = tunnelFdb.portOf(entry); r >= 0; r = remotes.next[r]!) meet(of, t, r, flood)
      })
      if (cursor >= 0) yield undefined
    }
    for (const e of wanted) {
      const listed = [...peers.get(e.tunnel)!.values()].sort((a, b) => Number(b.flood) - Number(a.flood))
      if (registry.vxlans.includes(e)) yield row(e, listed)
    }
  }
}
