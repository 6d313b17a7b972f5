/** `neigh` and `fdb`: ip-neighbour(8), bridge(8). */
import type { Operation, Query } from '../network/operations.js'
import type { ObjectCommand } from './command.js'
import { notSupported, usageError } from './error.js'
import * as values from './values.js'
import { defined, readWords, type Words } from './words.js'

/** In the order in which ip-neighbour(8) matches abbreviations. */
export const NEIGH_VERBS = {
  add: [], change: ['chg'], replace: [], delete: ['del'], get: [], show: ['list', 'ls', 'lst'], flush: [], help: [],
}
export const FDB_VERBS = {
  add: [], append: [], replace: [], delete: ['del'], get: [], flush: [], show: ['list', 'ls', 'lst'], help: [],
}

const STATES = ['permanent', 'noarp', 'reachable', 'stale', 'delay', 'probe', 'failed', 'incomplete', 'none'] as const
const NEIGH_UNSUPPORTED = ['proxy', 'use', 'managed', 'extern_learn', 'protocol', 'vrf', 'nomaster', 'unused', 'unresolved']

/** The keys that every neighbour command has, and what they took. */
const neighbor = (words: Words, more: Record<string, () => void> = {}) => {
  const found: { address?: string; dev?: string; router?: string; nud?: string } = {}
  const takeAddress = (word: string): void => { found.address = values.address(word, 'neigh') }
  readWords(words, {
    keys: {
      to: () => takeAddress(words.value('to', 'an address')),
      dev: () => { found.dev = values.name(words, 'dev') },
      nud: () => { found.nud = values.oneOf(words.value('nud', 'a state').toLowerCase(), 'nud', STATES) },
      router: () => { found.router = values.name(words, 'router') },
      ...more,
    },
    unsupported: NEIGH_UNSUPPORTED,
    bare: (word) => {
      if (found.address !== undefined || !values.looksLikeAddress(word)) return false
      takeAddress(word)
      return true
    },
  })
  return found
}

const neighChange = (verb: 'add' | 'replace' | 'change' | 'delete', words: Words): ObjectCommand => {
  const more: { lladdr?: string; permanent?: true } = {}
  const found = neighbor(words, {
    lladdr: () => { more.lladdr = values.mac(words.value('lladdr', 'a MAC address'), 'lladdr') },
    permanent: () => { more.permanent = true },
  })
  if (found.address === undefined) throw usageError(`neigh ${verb} needs an address: tapway neigh ${verb} 10.1.1.2 lladdr MAC dev NAME`)
  if (found.dev === undefined) throw usageError(`neigh ${verb} needs a device: tapway neigh ${verb} ${found.address} ... dev NAME`)
  if (more.permanent && found.nud !== undefined) throw usageError('permanent and nud are two ways to say the state: leave one out')
  const nud = more.permanent ? 'permanent' : found.nud
  const op = verb === 'delete' ? 'neigh.del' as const : `neigh.${verb}` as const
  const { address, dev, router } = found
  return { kind: 'apply', operation: defined({ op, dev, router, address, lladdr: more.lladdr, nud }) }
}

export const parseNeigh = (verb: string, words: Words): ObjectCommand => {
  if (verb === 'add' || verb === 'replace' || verb === 'change' || verb === 'delete') return neighChange(verb, words)
  const found = neighbor(words)
  const { address, dev, router, nud } = found
  if (verb === 'show') return { kind: 'show', query: defined({ show: 'neigh' as const, dev, router, address, nud }) }
  if (verb === 'flush') {
    if (address !== undefined) throw notSupported('neigh flush of one address (use neigh del)')
    if (nud !== undefined) throw notSupported('nud')
    return { kind: 'apply', operation: defined({ op: 'neigh.flush' as const, dev, router }) }
  }
  if (verb === 'get') {
    if (address === undefined || dev === undefined) throw usageError('neigh get needs an address and a device: tapway neigh get 10.1.1.2 dev NAME')
    return { kind: 'show', query: defined({ show: 'neigh' as const, dev, router, address }), missing: `no neighbour ${address} on ${dev}` }
  }
  throw notSupported(`neigh ${verb}`)
}

const FDB_UNSUPPORTED = ['src_vni', 'via', 'vlan', 'nhid', 'use', 'router', 'extern_learn', 'activity_notify', 'inactive', 'norefresh']
/** What picks entries to show or flush. */
const FDB_PICK_UNSUPPORTED = ['dst', 'port', 'vni', 'state', 'dynamic', 'nodynamic', 'static', 'nostatic', 'permanent', 'nopermanent', 'sticky', 'nosticky']

const fdbChange = (verb: 'add' | 'append' | 'replace' | 'delete', words: Words): ObjectCommand => {
  const found: {
    mac?: string; dev?: string; state?: 'static' | 'dynamic' | 'permanent'; sticky?: true; dst?: string; port?: number; vni?: number; self?: true; master?: true
  } = {}
  const takeMac = (word: string): void => { found.mac = values.mac(word, `fdb ${verb}`) }
  const takeState = (value: NonNullable<typeof found.state>) => (): void => {
    if (found.state !== undefined && found.state !== value) throw usageError(`an entry is either ${found.state} or ${value}`)
    found.state = value
  }
  readWords(words, {
    keys: {
      to: () => takeMac(words.value('to', 'a MAC address')),
      dev: () => { found.dev = values.name(words, 'dev') },
      dst: () => { found.dst = values.underlay(words.value('dst', 'an address'), 'dst') },
      port: () => { found.port = values.integer(words.value('port'), 'port', 1, 65535) },
      vni: () => { found.vni = values.integer(words.value('vni'), 'vni', 0, 0xffffff) },
      // Only VXLAN ports have a table of their own beside their bridge's; elsewhere both words mean the bridge's
      master: () => { found.master = true },
      self: () => { found.self = true },
      static: takeState('static'),
      dynamic: takeState('dynamic'),
      permanent: takeState('permanent'),
      local: takeState('permanent'),
      temp: takeState('static'),
      sticky: () => { found.sticky = true },
    },
    unsupported: FDB_UNSUPPORTED,
    bare: (word) => {
      if (found.mac !== undefined || !/[:-]|^\d/.test(word)) return false
      takeMac(word)
      return true
    },
  })
  const { mac, dev, state = 'permanent', sticky, ...where } = found
  if (mac === undefined) throw usageError(`fdb ${verb} needs a MAC address: tapway fdb ${verb} 02:42:0a:01:01:02 dev PORT`)
  if (dev === undefined) throw usageError(`fdb ${verb} needs a port: tapway fdb ${verb} ${mac} dev PORT`)
  if (verb === 'delete') return { kind: 'apply', operation: { op: 'fdb.del', ...where, mac, dev } }
  const operation: Operation = defined({ op: `fdb.${verb}` as const, ...where, mac, dev, state, sticky })
  return { kind: 'apply', operation }
}

const fdbLook = (verb: 'show' | 'get' | 'flush', words: Words): ObjectCommand => {
  const found: { bridge?: string; dev?: string; mac?: string; self?: true; master?: true } = {}
  const takeMac = (word: string): void => { found.mac = values.mac(word, 'fdb get') }
  const takeDev = (): void => { found.dev = values.name(words, 'dev') }
  const takeBridge = (): void => { found.bridge = values.name(words, 'br') }
  readWords(words, {
    keys: {
      br: takeBridge, bridge: takeBridge, brport: takeDev, dev: takeDev,
      ...(verb === 'get' && { to: () => takeMac(words.value('to')) }),
      ...(verb !== 'show' && { self: () => { found.self = true }, master: () => { found.master = true } }),
    },
    unsupported: [...FDB_UNSUPPORTED, ...FDB_PICK_UNSUPPORTED, 'self', 'master'],
    bare: (word) => {
      if (verb !== 'get' || found.mac !== undefined || !/[:-]|^\d/.test(word)) return false
      takeMac(word)
      return true
    },
  })
  const { bridge, dev, mac, self, master } = found
  if (verb === 'flush') {
    if (bridge === undefined && dev === undefined) throw usageError('fdb flush needs a bridge or a port: tapway fdb flush br NAME, or dev PORT')
    return { kind: 'apply', operation: defined({ op: 'fdb.flush' as const, bridge, dev, self, master }) }
  }
  const query: Query = { show: 'fdb', ...found }
  if (verb === 'show') return { kind: 'show', query }
  if (mac === undefined || (bridge === undefined && dev === undefined)) {
    throw usageError('fdb get needs a MAC address and a bridge: tapway fdb get 02:42:0a:01:01:02 br NAME')
  }
  // As in bridge(8), the bridge's table is meant unless `self` is said
  return { kind: 'show', query: self === true ? query : { ...query, master: true }, missing: `no entry for ${mac} in ${bridge ?? dev}` }
}

export const parseFdb = (verb: string, words: Words): ObjectCommand => {
  if (verb === 'add' || verb === 'append' || verb === 'replace' || verb === 'delete') return fdbChange(verb, words)
  if (verb === 'show' || verb === 'get' || verb === 'flush') return fdbLook(verb, words)
  throw notSupported(`fdb ${verb}`)
}
