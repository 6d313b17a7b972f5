/** The wire to the peers: a TAP in a namespace whose far end the test holds, with addresses; the peers are static neighbours. */
import { ip } from '../helpers/netns.js'
import type { RawPorts } from '../helpers/raw-port.js'
import { LOCAL, LOCAL6, PEERS, SECOND, UNDERLAY, UNDERLAY_MAC, peer, peer6, peerMac, type VtepPlan } from './plan.js'

/**
 * The kernel's own defaults whatever the machine has (a new namespace inherits init's settings), no limit to ICMP errors, and
 * nothing of IPv6 that comes unasked.
 */
const settings = (ipv6: boolean): Record<string, number> => ({
  'ipv6/conf/all/disable_ipv6': ipv6 ? 0 : 1,
  'ipv6/conf/default/disable_ipv6': 1,
  'ipv4/ip_forward': 0,
  'ipv4/icmp_ratelimit': 0,
  'ipv4/conf/all/rp_filter': 0,
  'ipv4/conf/default/rp_filter': 0,
  'ipv4/conf/all/log_martians': 0,
  'ipv4/conf/default/log_martians': 0,
  'bridge/bridge-nf-call-arptables': 0,
  'bridge/bridge-nf-call-ip6tables': 0,
  'bridge/bridge-nf-call-iptables': 0
})

/** Lines for a shell. Those of the bridge are there only where br_netfilter is loaded. */
export const sysctlLines = (values: Record<string, number>): string[] =>
  Object.entries(values).map(([path, value]) => `[ ! -e /proc/sys/net/${path} ] || echo ${value} >/proc/sys/net/${path}`)

/** Runs shell lines in the namespace. */
export const shellIn = (ns: string, lines: readonly string[]): string => ip('netns', 'exec', ns, 'sh', '-ec', lines.join('\n'))

export const batch = (commandName: 'ip' | 'bridge', lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`${commandName} -batch - <<END`, ...lines, 'END']

/** Makes u0 the next port of `ports`. */
export const makeUnderlay = (ns: string, netns: number, ports: RawPorts, plan: VtepPlan): void => {
  shellIn(ns, sysctlLines(settings(plan.ipv6 === true)))
  ports.open(netns, UNDERLAY, UNDERLAY_MAC, plan.underlayMtu ?? 1500)
  shellIn(ns, [
    ...(plan.ipv6 === true ? sysctlLines({ [`ipv6/conf/${UNDERLAY}/disable_ipv6`]: 0 }) : []),
    ...batch('ip', [
      'link set lo up',
      `addr add ${LOCAL}/24 dev ${UNDERLAY}`, `addr add ${SECOND}/24 dev ${UNDERLAY}`,
      ...PEERS.map((n) => `neigh add ${peer(n)} lladdr ${peerMac(n)} dev ${UNDERLAY} nud permanent`),
      ...(plan.ipv6 === true ? [
        `addr add ${LOCAL6}/64 dev ${UNDERLAY} nodad`,
        ...PEERS.map((n) => `neigh add ${peer6(n)} lladdr ${peerMac(n)} dev ${UNDERLAY} nud permanent`)
      ] : [])
    ])
  ])
}

/** What IP says unasked, of neighbours and groups: not what a tunnel sends. */
export const isUnasked = (frame: Uint8Array): boolean => {
  const type = (frame[12]! << 8) | frame[13]!
  return type === 0x86dd ? frame[20] === 0 || (frame[20] === 58 && frame[54]! > 127) : type === 0x0800 && frame[23] === 2
}
