/** `link` and `addr`: ip-link(8), ip-address(8). */
import type { Operation, Query } from '../network/operations.js'
import { broadcastOf, formatIp4, parsePrefix } from '../wire/ip4.js'
import type { ObjectCommand } from './command.js'
import { notSupported, usageError } from './error.js'
import * as values from './values.js'
import { defined, readWords, type Words } from './words.js'

/** `vxlan` is Tapway's own: everything about a tunnel in one place. */
export const VXLAN_VERBS = { show: ['list', 'ls', 'lst'], help: [] }

/** In the order in which ip-link(8) matches abbreviations. */
export const LINK_VERBS = {
  add: [], set: ['change'], replace: [], delete: ['del'], show: ['list', 'ls', 'lst'], help: [], xstats: [], afstats: [], property: [],
}
export const ADDR_VERBS = {
  add: [], change: ['chg'], replace: [], delete: ['del'], show: ['list', 'ls', 'lst'], flush: [], save: [], restore: [], help: [],
}

const LINK_SET_UNSUPPORTED = [
  'arp', 'dynamic', 'multicast', 'allmulticast', 'promisc', 'trailers', 'carrier', 'txqueuelen', 'txqlen', 'qlen', 'name', 'index',
  'broadcast', 'brd', 'netns', 'link-netns', 'link-netnsid', 'alias', 'vf', 'xdp', 'xdpgeneric', 'xdpdrv', 'xdpoffload', 'master', 'vrf',
  'nomaster', 'addrgenmode', 'protodown', 'protodown_reason', 'gso_max_size', 'gso_max_segs', 'gro_max_size', 'group', 'mode', 'state',
  'priority', 'cost', 'hairpin', 'guard', 'root_block', 'fastleave', 'mcast_flood', 'bcast_flood', 'mcast_router', 'proxy_arp',
  'vlan_tunnel', 'isolated', 'locked',
]

type LinkSet = Extract<Operation, { op: 'link.set' }>

const linkSet = (words: Words): ObjectCommand => {
  words.accept('dev')
  const dev = words.next()
  if (dev === undefined) throw usageError('link set needs the name of a device: tapway link set NAME { up | down | mtu N | ... }')
  if (dev === 'group') throw notSupported('group')
  const operation: LinkSet = { op: 'link.set', dev }
  const onOff = (key: 'forwarding' | 'learning' | 'flood' | 'neigh_suppress') => (): void => { operation[key] = values.onOff(words.value(key), key) }
  readWords(words, {
    keys: {
      router: () => { operation.router = values.name(words, 'router') },
      up: () => { operation.up = true },
      down: () => { operation.up = false },
      mtu: () => { operation.mtu = values.integer(words.value('mtu'), 'mtu', 68, 65535) },
      address: () => { operation.address = values.mac(words.value('address'), 'address') },
      forwarding: onOff('forwarding'),
      learning: onOff('learning'),
      flood: onOff('flood'),
      neigh_suppress: onOff('neigh_suppress'),
      type: () => {
        const type = words.value('type')
        if (type !== 'bridge_slave') throw notSupported(`type ${type}`) // its keys are learning, flood …
      },
    },
    unsupported: LINK_SET_UNSUPPORTED,
  })
  const { op: _op, dev: _dev, router: _router, ...change } = operation
  if (Object.keys(change).length === 0) throw usageError(`link set ${dev}: say what to set, such as up, down, mtu N, forwarding on`)
  return { kind: 'apply', operation }
}

/** Takes the name of a device that stands alone, as `ip link show eth0` has it. */
const bareDev = (query: { dev?: string }) => (word: string): boolean => {
  if (query.dev !== undefined) return false
  query.dev = word
  return true
}

const linkShow = (words: Words): ObjectCommand => {
  const query: Extract<Query, { show: 'link' }> = { show: 'link' }
  const where: { up?: true; kind?: string } = {}
  readWords(words, {
    keys: {
      dev: () => { query.dev = values.name(words, 'dev') },
      router: () => { query.router = values.name(words, 'router') },
      master: () => { query.bridge = values.name(words, 'master') },
      up: () => { where.up = true },
      type: () => { where.kind = words.value('type') },
    },
    unsupported: ['group', 'vrf', 'nomaster'],
    bare: bareDev(query),
  })
  return Object.keys(where).length === 0 ? { kind: 'show', query } : { kind: 'show', query, where }
}

export const parseLink = (verb: string, words: Words): ObjectCommand => {
  if (verb === 'show') return linkShow(words)
  if (verb === 'set') return linkSet(words)
  throw notSupported(`link ${verb}`)
}

/** `vxlan show [ [ dev ] NAME ]`: VXLAN ports are made by the network file. */
export const parseVxlan = (_verb: string, words: Words): ObjectCommand => {
  const query: Extract<Query, { show: 'vxlan' }> = { show: 'vxlan' }
  readWords(words, { keys: { dev: () => { query.dev = values.name(words, 'dev') } }, bare: bareDev(query) })
  return { kind: 'show', query }
}

const addrShow = (words: Words): ObjectCommand => {
  const query: Extract<Query, { show: 'addr' }> = { show: 'addr' }
  const where: { up?: true } = {}
  readWords(words, {
    keys: {
      dev: () => { query.dev = values.name(words, 'dev') },
      router: () => { query.router = values.name(words, 'router') },
      up: () => { where.up = true },
    },
    unsupported: ['scope', 'master', 'nomaster', 'type', 'to', 'label', 'vrf', 'permanent', 'dynamic', 'secondary', 'primary', 'deprecated', 'tentative'],
    bare: bareDev(query),
  })
  return where.up === undefined ? { kind: 'show', query } : { kind: 'show', query, where }
}

/** `brd +` is what every address gets; another broadcast address is not built yet. */
const checkBroadcast = (broadcast: string, prefix: string): void => {
  if (broadcast === '+') return
  const [local, length] = parsePrefix(prefix)!
  if (values.address(broadcast, 'brd') !== formatIp4(broadcastOf(local, length))) throw notSupported(`brd ${broadcast}`)
}

export const parseAddr = (verb: string, words: Words): ObjectCommand => {
  if (verb === 'show') return addrShow(words)
  if (verb !== 'add' && verb !== 'replace' && verb !== 'delete') throw notSupported(`addr ${verb}`)
  const found: { prefix?: string; dev?: string; router?: string; peer?: string; broadcast?: string } = {}
  const local = (text: string): void => { found.prefix = values.prefix(text, 'an address with its prefix length') }
  const brd = (): void => { found.broadcast = words.value('brd', '+ or an address') }
  const remote = (): void => { found.peer = values.prefix(words.value('peer', 'an address'), 'the address of the peer') }
  readWords(words, {
    keys: {
      local: () => local(words.value('local', 'an address')),
      peer: remote,
      remote,
      brd,
      broadcast: brd,
      dev: () => { found.dev = values.name(words, 'dev') },
      router: () => { found.router = values.name(words, 'router') },
    },
    unsupported: [
      'anycast', 'label', 'scope', 'metric', 'valid_lft', 'preferred_lft', 'home', 'nodad', 'mngtmpaddr', 'noprefixroute', 'autojoin', 'proto',
    ],
    bare: (word) => {
      if (found.prefix !== undefined || !values.looksLikeAddress(word)) return false
      local(word)
      return true
    },
  })
  const { prefix, dev, router, peer, broadcast } = found
  if (prefix === undefined) throw usageError(`addr ${verb} needs an address: tapway addr ${verb} 10.1.1.3/24 dev NAME`)
  if (dev === undefined) throw usageError(`addr ${verb} needs a device: tapway addr ${verb} ${prefix} dev NAME`)
  if (broadcast !== undefined) checkBroadcast(broadcast, prefix)
  const op = verb === 'delete' ? 'addr.del' as const : `addr.${verb}` as const
  return { kind: 'apply', operation: defined({ op, dev, router, prefix, peer }) }
}
