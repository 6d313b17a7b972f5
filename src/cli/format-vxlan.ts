/** VXLAN ports: their options as `ip -d link` prints them, and `tapway vxlan`. Goes by the keys of the JSON rows. */
import type { LinkRow, VxlanPeer, VxlanRow } from '../network/operations.js'

type Data = Readonly<Record<string, unknown>>

/** ` key value` of the first of these keys that the row has: ip has a key of its own for IPv6. */
const pair = (word: string, data: Data, ...keys: string[]): string => {
  const key = keys.find((k) => data[k] !== undefined)
  return key === undefined ? '' : ` ${word} ${String(data[key])}`
}

/** ` word` or ` noword`, for a key that is there. */
const either = (word: string, value: unknown): string => (value === undefined ? '' : value === true ? ` ${word}` : ` no${word}`)

/** ip's rows leave the ttl out when it is inherited, and have 0 for "auto". */
const ttlText = ({ ttl }: Data): string => ` ttl ${ttl === undefined ? 'inherit' : ttl === 0 ? 'auto' : String(ttl)}`

/** The options of info_data with a space before each, in the order and words of iproute2's vxlan_print_opt. */
export const vxlanOptions = (data: Data): string => {
  const range = data['port_range'] as { low: number; high: number } | undefined
  return pair('id', data, 'id')
    + pair('group', data, 'group', 'group6') + pair('remote', data, 'remote', 'remote6') + pair('local', data, 'local', 'local6')
    + pair('dev', data, 'link')
    + (range === undefined ? '' : ` srcport ${range.low} ${range.high}`)
    + pair('dstport', data, 'port')
    + (data['learning'] === false ? ' nolearning' : '')
    + ['proxy', 'rsc', 'l2miss', 'l3miss'].map((key) => (data[key] === true ? ` ${key}` : '')).join('')
    + (data['tos'] === '0x1' ? ' tos inherit' : pair('tos', data, 'tos'))
    + ttlText(data)
    + (data['df'] === 'unset' ? '' : pair('df', data, 'df'))
    + pair('ageing', data, 'ageing')
    + pair('maxaddr', data, 'limit')
    + either('udpcsum', data['udp_csum']) + either('udp6zerocsumtx', data['udp_zero_csum6_tx']) + either('udp6zerocsumrx', data['udp_zero_csum6_rx'])
    + ['remcsum_tx', 'remcsum_rx', 'gbp'].map((key) => (data[key] === true ? ` ${key.replace('_', '')}` : '')).join('')
}

const counters = ({ n_learned: learned, moved, l2miss, l3miss, unreachable, full }: LinkRow['tapway']): string =>
  `learned ${learned ?? 0} moved ${moved ?? 0} full ${full ?? 0} l2miss ${l2miss ?? 0} l3miss ${l3miss ?? 0} unreachable ${unreachable ?? 0}`

const peerText = (peer: VxlanPeer): string => {
  const data = { ...peer } as Data
  return `    peer ${peer.dst}${pair('port', data, 'port')}${pair('vni', data, 'vni')}${peer.flood ? ' flood' : ''} entries ${peer.entries}`
    + `${pair('path_mtu', data, 'path_mtu')} unreachable ${peer.unreachable}\n`
}

const NO_PEERS = '    no peers: nothing is sent until one is learned or added (tapway fdb append)\n'

/** `tapway vxlan`: a tunnel with its options, sockets, counters and a line for each peer. */
export const formatVxlans = (rows: readonly VxlanRow[]): string =>
  rows.map(({ ifname, master, operstate, mtu, address, info_data: data, tapway, sockets, peers }) =>
    `${ifname}: mtu ${mtu} master ${master} state ${operstate} address ${address}\n`
    + `    vxlan${vxlanOptions(data)}${pair('inner_vlan', { ...tapway }, 'inner_vlan')}${pair('netns', { ...tapway }, 'netns')}\n`
    + `    sockets ${sockets.receive} receiving, ${sockets.send} + ${sockets.send_df} sending${sockets.gso ? ', segmented by the kernel' : ''}\n`
    + `    ${counters(tapway)}\n`
    + (peers.length === 0 ? NO_PEERS : peers.map(peerText).join(''))).join('')
