/** What `ip -j -d link` says of a VXLAN port (iproute2 ip/iplink_vxlan.c vxlan_print_opt), and what Tapway adds. */
import { isIPv6 } from 'node:net'
import type { Engine } from '../engine/engine.js'
import { TC_FULL, TC_L2MISS, TC_L3MISS, TC_MOVED, TC_UNREACHABLE, TUNNEL_CELLS } from '../table/tunnels.js'
import type { LinkRow, OperationOf } from './operations.js'
import type { VxlanEntry } from './registry.js'

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
    kind: 'vxlan', netns: e.options.netns, inner_vlan: e.options.inner_vlan,
    n_learned: tunnelFdb.learnedCount(e.tunnel), moved: counters[c + TC_MOVED]!,
    l2miss: counters[c + TC_L2MISS]!, l3miss: counters[c + TC_L3MISS]!, unreachable: counters[c + TC_UNREACHABLE]!, full: counters[c + TC_FULL]!
  }
}
