/** `route`: ip-route(8). */
import type { NextHopText, Query, RouteType } from '../network/operations.js'
import type { ObjectCommand } from './command.js'
import { notSupported, usageError } from './error.js'
import * as values from './values.js'
import { defined, readWords, type Grammar, type Words } from './words.js'

/** In the order in which ip-route(8) matches abbreviations. */
export const ROUTE_VERBS = {
  show: ['list', 'ls', 'lst'], get: [], add: [], append: [], change: ['chg'], replace: [], prepend: [], test: [], delete: ['del'], flush: [],
  save: [], restore: [], showdump: [], help: [],
}

const TYPES: readonly RouteType[] = ['unicast', 'local', 'broadcast', 'blackhole', 'unreachable', 'prohibit']
const UNSUPPORTED_TYPES = ['throw', 'multicast', 'anycast', 'nat']
const UNSUPPORTED = [
  'tos', 'dsfield', 'scope', 'ttl-propagate', 'nhid', 'encap', 'mtu', 'advmss', 'rtt', 'rttvar', 'reordering', 'window', 'cwnd',
  'initcwnd', 'initrwnd', 'ssthresh', 'realms', 'rto_min', 'hoplimit', 'features', 'quickack', 'congctl', 'pref', 'expires',
  'fastopen_no_cookie', 'pervasive', 'vrf', 'equalize', 'lock', 'as', 'realm',
]

/** Route types of a routing table that is looked at. */
const typeOf = (word: string): string => values.oneOf(word, 'type', TYPES)

/** The keys of a next hop, which a route has for its only one and each `nexthop` group again. */
const hopKeys = (words: Words, hop: NextHopText): Grammar['keys'] => {
  const dev = (): void => { hop.dev = values.name(words, 'dev') }
  return {
    via: () => {
      let gateway = words.value('via', 'an address')
      if (gateway === 'inet') gateway = words.value('via inet', 'an address')
      if (gateway === 'inet6') throw notSupported('via inet6')
      hop.via = values.address(gateway, 'via')
    },
    dev,
    oif: dev,
    onlink: () => { hop.onlink = true },
  }
}

const nextHop = (words: Words): NextHopText => {
  const hop: NextHopText = {}
  readWords(words, {
    keys: {
      ...hopKeys(words, hop),
      weight: () => { hop.weight = values.integer(words.value('weight'), 'weight', 1, 256) },
    },
    group: true,
  })
  if (hop.via === undefined && hop.dev === undefined) throw usageError('a nexthop needs via ADDRESS or dev NAME')
  return hop
}

/** Only the main table can be changed: local routes come with addresses. */
const mainTable = (words: Words): void => {
  const table = words.value('table')
  if (table !== 'main' && table !== '254') throw notSupported(`table ${table}`)
}

const change = (verb: 'add' | 'replace' | 'append' | 'delete', words: Words): ObjectCommand => {
  const found: { type?: RouteType; prefix?: string; router?: string; metric?: number; src?: string; protocol?: string } = {}
  const hop: NextHopText = {}
  const nexthops: NextHopText[] = []
  const takeMetric = (): void => { found.metric = values.integer(words.value('metric'), 'metric', 0, 0xffffffff) }
  const takeProtocol = (): void => { found.protocol = words.value('proto') }
  const first = words.peek()
  if (first !== undefined && UNSUPPORTED_TYPES.includes(first)) throw notSupported(first)
  if (first !== undefined && (TYPES as readonly string[]).includes(first)) found.type = words.next() as RouteType
  readWords(words, {
    keys: {
      to: () => { found.prefix = values.destination(words.value('to', 'a prefix')) },
      ...hopKeys(words, hop),
      nexthop: () => { nexthops.push(nextHop(words)) },
      metric: takeMetric,
      priority: takeMetric,
      preference: takeMetric,
      src: () => { found.src = values.address(words.value('src', 'an address'), 'src') },
      proto: takeProtocol,
      protocol: takeProtocol,
      table: () => mainTable(words),
      router: () => { found.router = values.name(words, 'router') },
    },
    repeated: ['nexthop'],
    unsupported: UNSUPPORTED,
    bare: (word) => {
      if (found.prefix !== undefined || !(values.looksLikeAddress(word) || word === 'any' || word === 'all')) return false
      found.prefix = values.destination(word)
      return true
    },
  })
  const { prefix, type } = found
  if (prefix === undefined) throw usageError(`route ${verb} needs a destination: tapway route ${verb} 10.1.1.0/24 via ADDRESS, or default via ADDRESS`)
  const single = Object.keys(hop).length > 0
  if (single && nexthops.length > 0) throw usageError('a route has either via and dev of its own or nexthop groups, not both')
  if (hop.onlink === true && hop.dev === undefined) throw usageError('onlink needs a device: via ADDRESS dev NAME onlink')
  if (verb !== 'delete' && !single && nexthops.length === 0 && (type === undefined || type === 'unicast')) {
    throw usageError(`route ${verb} ${prefix} leads nowhere: add via ADDRESS, dev NAME, or a type such as blackhole before the prefix`)
  }
  const op = verb === 'delete' ? 'route.del' as const : `route.${verb}` as const
  const hops = single ? [hop] : nexthops.length > 0 ? nexthops : undefined
  return { kind: 'apply', operation: defined({ ...found, op, prefix, nexthops: hops }) }
}

const show = (words: Words): ObjectCommand => {
  const query: Extract<Query, { show: 'route' }> = { show: 'route' }
  const where: { protocol?: string } = {}
  const takePrefix = (word: string): void => { query.prefix = values.destination(word) }
  const takeDev = (): void => { query.dev = values.name(words, 'dev') }
  const takeProtocol = (): void => { where.protocol = words.value('proto') }
  const takeTable = (): void => { query.table = values.oneOf(words.value('table'), 'table', ['main', 'local', 'all'] as const) }
  readWords(words, {
    keys: {
      to: () => {
        words.accept('exact')
        takePrefix(words.value('to', 'a prefix'))
      },
      exact: () => takePrefix(words.value('exact', 'a prefix')),
      dev: takeDev,
      oif: takeDev,
      table: takeTable,
      type: () => { query.type = typeOf(words.value('type')) },
      proto: takeProtocol,
      protocol: takeProtocol,
      router: () => { query.router = values.name(words, 'router') },
    },
    unsupported: ['root', 'match', 'vrf', 'scope', 'via', 'src', 'from', 'iif', 'tos', 'dsfield', 'cache', 'cloned', 'metric', 'mark', 'realms'],
    bare: (word) => {
      if (query.prefix !== undefined || !values.looksLikeAddress(word)) return false
      takePrefix(word)
      return true
    },
  })
  return where.protocol === undefined ? { kind: 'show', query } : { kind: 'show', query, where }
}

const get = (words: Words): ObjectCommand => {
  const found: { router?: string; address?: string; from?: string; iif?: string } = {}
  const takeAddress = (word: string): void => {
    const bare = word.endsWith('/32') ? word.slice(0, -3) : word
    found.address = values.address(bare, 'route get')
  }
  readWords(words, {
    keys: {
      to: () => takeAddress(words.value('to', 'an address')),
      from: () => { found.from = values.address(words.value('from', 'an address'), 'from') },
      iif: () => { found.iif = values.name(words, 'iif') },
      router: () => { found.router = values.name(words, 'router') },
    },
    unsupported: ['oif', 'dev', 'tos', 'dsfield', 'mark', 'vrf', 'uid', 'ipproto', 'sport', 'dport', 'fibmatch', 'connected', 'notify'],
    bare: (word) => {
      if (found.address !== undefined || !values.looksLikeAddress(word)) return false
      takeAddress(word)
      return true
    },
  })
  const { address } = found
  if (address === undefined) throw usageError('route get needs an address: tapway route get 10.1.2.2')
  const query: Query = { show: 'route-get', ...found, address }
  return { kind: 'show', query, missing: `no route to ${address}` }
}

export const parseRoute = (verb: string, words: Words): ObjectCommand => {
  switch (verb) {
    case 'show': return show(words)
    case 'get': return get(words)
    case 'add': case 'replace': case 'append': case 'delete': return change(verb, words)
    default: throw notSupported(`route ${verb}`)
  }
}

