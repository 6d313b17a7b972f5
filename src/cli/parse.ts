/** The words of a command line to what they mean: pure, and throws usage errors only. */
import { COALESCE, OPTIMISATION_NAMES, type Optimisation, type Without } from '../optimisations.js'
import { type CaptureCommand, type Command, type Invocation, type PingCommand, POLLS } from './command.js'
import { MAX_WORKERS } from '../control/messages.js'
import { notSupported, usageError } from './error.js'
import { ADDR_VERBS, LINK_VERBS, parseAddr, parseLink, parseVxlan, VXLAN_VERBS } from './grammar-link.js'
import { FDB_VERBS, NEIGH_VERBS, parseFdb, parseNeigh } from './grammar-neigh.js'
import { APP_VERBS, FLOW_VERBS, parseApp, parseFlow, parsePolicy, POLICY_VERBS } from './grammar-policy.js'
import { parseRoute, ROUTE_VERBS } from './grammar-route.js'
import { suggestion } from './nearest.js'
import { globalsOf, readOptions, type Options, type OptionTable } from './options.js'
import * as values from './values.js'
import { defined, expand, Words } from './words.js'

/** Objects may be abbreviated, in iproute2's order of precedence. */
const OBJECTS = {
  addr: ['address', 'a'], route: ['r'], link: ['l'], neigh: ['neighbor', 'neighbour', 'n'], fdb: [], vlan: [], vxlan: [], stats: [], app: [], policy: [], flow: [],
} as const
const COMMANDS = ['up', 'check', 'down', 'exec', 'shell', 'ping', 'capture', 'reload', 'trace', 'top', 'bench', 'help', 'version'] as const
const UNSUPPORTED: readonly string[] = ['reload', 'vlan', 'trace', 'top', 'bench']

/** Every first word that is built. */
const FIRST_WORDS = [...COMMANDS, ...Object.keys(OBJECTS)].filter((word) => !UNSUPPORTED.includes(word))

const VERBS = {
  link: LINK_VERBS, addr: ADDR_VERBS, route: ROUTE_VERBS, neigh: NEIGH_VERBS, fdb: FDB_VERBS, vxlan: VXLAN_VERBS, app: APP_VERBS, policy: POLICY_VERBS,
  flow: FLOW_VERBS,
} as const
const PARSERS = {
  link: parseLink, addr: parseAddr, route: parseRoute, neigh: parseNeigh, fdb: parseFdb, vxlan: parseVxlan, app: parseApp, policy: parsePolicy,
  flow: parseFlow,
} as const
type ObjectName = keyof typeof VERBS

const OPTIONS: Readonly<Record<string, OptionTable>> = {
  up: { flags: ['--no-offload', '--no-udp-segment', '--no-udp-gro', '--no-coalesce', '--without <names...>', '--poll <mode>', '--workers <count>'] },
  exec: { flags: [], passThrough: true },
  ping: { flags: ['-c <count>', '-i <seconds>', '-s <size>', '-t <ttl>', '-I <interface>', '-q', '-n'] },
  capture: { flags: ['-c <count>', '-w <file>', '-s <snaplen>', '-e', '-n', '-l', '-i <port...>'] },
}
const NO_OPTIONS: OptionTable = { flags: [] }

/** The command that a first word stands for; undefined for no such word. */
const commandOf = (word: string): string | undefined =>
  (COMMANDS as readonly string[]).includes(word) ? word : expand(word, OBJECTS)

/** Exactly one word. */
const only = (command: string, words: readonly string[], what: string): string => {
  const [word, extra] = words
  if (word === undefined || word === '') throw usageError(`${command} needs ${what}: tapway ${command} ${what.split(' ').at(-1)}`)
  if (extra !== undefined) throw usageError(`${command} takes one word, not also "${extra}"`)
  return word
}

const none = (command: string, words: readonly string[]): void => {
  if (words[0] !== undefined) throw usageError(`${command} takes no further words, not "${words[0]}"`)
}

const object = (name: ObjectName, words: readonly string[]): Command => {
  const [word = 'show', ...rest] = words
  const verb = expand(word, VERBS[name])
  if (verb === undefined) throw usageError(`unknown word "${word}" after ${name}: ${suggestion(word, verbsOf(name))}`)
  if (verb === 'help') return { kind: 'help', topic: name }
  return PARSERS[name](verb, new Words(rest, `${name} ${verb}`))
}

/** The verbs of an object that are built. */
const verbsOf = (name: ObjectName): string[] => ({
  link: ['show', 'set', 'help'],
  addr: ['show', 'add', 'replace', 'del', 'help'],
  route: ['show', 'get', 'add', 'replace', 'append', 'del', 'help'],
  neigh: ['show', 'get', 'add', 'replace', 'change', 'del', 'flush', 'help'],
  fdb: ['show', 'get', 'add', 'replace', 'append', 'del', 'flush', 'help'],
  vxlan: ['show', 'help'],
  app: ['show', 'help'],
  policy: ['show', 'add', 'del', 'check', 'denied', 'help'],
  flow: ['show', 'help'],
}[name])

/** exec HOST [--] CMD...: all from CMD on belongs to it, but options may still stand between HOST and CMD or `--`. */
const exec = (first: Options): { command: Command; given: Options['given'] } => {
  const [host, ...rest] = first.words
  if (host === undefined || host === '' || host === '--') throw usageError('exec needs a host and a command: tapway exec HOST -- CMD')
  const { given, words } = readOptions(rest, OPTIONS['exec']!)
  const argv = words[0] === '--' ? words.slice(1) : words
  if (argv[0] === undefined || argv[0] === '') throw usageError(`exec needs a command: tapway exec ${host} -- CMD, or tapway shell ${host}`)
  return { command: { kind: 'exec', host, argv }, given }
}

const seconds = (text: string): number => {
  const value = /^\d*\.?\d+$|^\d+\.$/.test(text) ? Number(text) : NaN
  if (!(value >= 0.001 && value <= 86400)) throw usageError(`"${text}" is wrong: -i expects seconds from 0.001 to 86400`)
  return value
}

/** An option with a number. */
const number = (given: Options['given'], key: string, low: number, high: number): number | undefined =>
  given[key] === undefined ? undefined : values.integer(String(given[key]), key.length === 1 ? `-${key}` : `--${key}`, low, high)

const ping = ({ given, words: list }: Options): PingCommand => {
  const words = new Words(list, 'ping')
  const address = words.next()
  if (address === undefined) throw usageError('ping needs an address: tapway ping 10.1.2.2')
  const destination = values.address(address, 'ping')
  const from: { router?: string; bridge?: string } = {}
  const [key, value, extra] = [words.next(), words.peek(), words.peek(1)]
  if (key !== undefined) {
    if (key !== 'router' && key !== 'bridge') throw usageError(`unknown word "${key}" in ping: ${suggestion(key, ['router', 'bridge'])}`)
    if (value === undefined || value === '') throw usageError(`"${key}" is the last word of ping: a name must follow it`)
    if (extra !== undefined) throw usageError(`unknown word "${extra}" in ping: ping is from one router or one bridge`)
    from[key] = value
  }
  return defined({
    kind: 'ping' as const,
    address: destination,
    from,
    dev: given['I'] as string | undefined,
    count: number(given, 'c', 1, 0x7fffffff),
    intervalMs: given['i'] === undefined ? 1000 : seconds(String(given['i'])) * 1000,
    size: number(given, 's', 0, 65507) ?? 56,
    ttl: number(given, 't', 1, 255),
    quiet: given['q'] === true,
  })
}

/** Words that a filter expression of pcap-filter(7) begins with; what stands before the first of them names ports. */
const FILTER_WORDS = new Set([
  'host', 'net', 'port', 'portrange', 'src', 'dst', 'ether', 'ip', 'ip6', 'arp', 'rarp', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'igmp', 'vlan', 'mpls',
  'broadcast', 'multicast', 'gateway', 'less', 'greater', 'proto', 'protochain', 'not', 'inbound', 'outbound', 'len', 'geneve', 'stp', 'llc', 'link',
])

/** A word may be a whole expression in quotes, or `tcp[13]`. */
const beginsFilter = (word: string): boolean => /^[^A-Za-z_]|\s/.test(word) || FILTER_WORDS.has(word.split('[')[0]!)

const capture = ({ given, words }: Options): CaptureCommand => {
  const listed = (given['i'] ?? []) as string[]
  const begin = words.findIndex((word, i) => (i > 0 || listed.length > 0) && beginsFilter(word))
  const ports = [...listed, ...(begin < 0 ? words : words.slice(0, begin))]
  if (ports.length === 0 || ports.includes('')) throw usageError('capture needs a port: tapway capture client.eth0 (tapway link lists them)')
  const snaplen = number(given, 's', 0, 262144) ?? 0
  return defined({
    kind: 'capture' as const,
    ports,
    filter: begin < 0 ? '' : words.slice(begin).join(' '),
    ethernet: given['e'] === true,
    count: number(given, 'c', 1, 0x7fffffff),
    write: given['w'] as string | undefined,
    snaplen: snaplen === 0 ? 262144 : snaplen, // 0 means the most there is, as in tcpdump
  })
}

/** Words that stand for several. */
const GROUPS: ReadonlyMap<string, Without> = new Map([['all', OPTIMISATION_NAMES], ['coalesce', COALESCE]])
/** Options that leave something out: commander's names. */
const LEFT_OUT: Readonly<Record<string, Without>> = {
  offload: ['offload'], udpSegment: ['udp-segment'], udpGro: ['udp-gro'], coalesce: COALESCE,
}

/** The optimisations that the options of `up` leave out, in the order of the list. */
const withoutOf = (given: Options['given']): Without => {
  const choices = [...OPTIMISATION_NAMES, ...GROUPS.keys()]
  const listed = ((given['without'] ?? []) as string[]).flatMap((words) => words.split(','))
    .flatMap((word) => GROUPS.get(word) ?? [values.oneOf(word, '--without', choices) as Optimisation])
  const flagged = Object.entries(LEFT_OUT).flatMap(([option, names]) => (given[option] === false ? names : []))
  return OPTIMISATION_NAMES.filter((name) => listed.includes(name) || flagged.includes(name))
}

const command = (name: string, options: Options): Command => {
  const { given, words } = options
  switch (name) {
    case 'help': return { kind: 'help', topic: words[0] === undefined ? '' : helpTopic(words[0]) }
    case 'version': return { kind: 'version' }
    case 'up': {
      const poll = given['poll'] === undefined ? 'adaptive' : values.oneOf(String(given['poll']), '--poll', POLLS)
      const file = only(name, words, 'a network file FILE')
      return defined({ kind: 'up' as const, file, poll, without: withoutOf(given), workers: number(given, 'workers', 1, MAX_WORKERS) })
    }
    case 'check': return { kind: 'check', file: only(name, words, 'a network file FILE') }
    case 'down':
      none(name, words)
      return { kind: 'down' }
    case 'shell': return { kind: 'exec', host: only(name, words, 'a host HOST') }
    case 'ping': return ping(options)
    case 'capture': return capture(options)
    case 'stats':
      if (words[0] === 'help') return { kind: 'help', topic: 'stats' }
      none('stats', words[0] === 'show' ? words.slice(1) : words)
      return { kind: 'show', query: { show: 'stats' } }
    default: return object(name as ObjectName, words)
  }
}

const helpTopic = (word: string): string => {
  const name = commandOf(word)
  if (name === undefined) throw usageError(`no help for "${word}": ${suggestion(word, FIRST_WORDS)}`)
  return name
}

/** What a command line means. Throws CliError with exit code 2, and nothing else. */
export const parseCommandLine = (argv: readonly string[]): Invocation => {
  const before = readOptions(argv, { flags: [], passThrough: true })
  const [word, ...rest] = before.words
  if (before.given['version'] === true) return { globals: globalsOf(before.given), command: { kind: 'version' } }
  if (word === undefined) return { globals: globalsOf(before.given), command: { kind: 'help', topic: '' } }
  const name = commandOf(word)
  if (name === undefined) throw usageError(`unknown word "${word}": ${suggestion(word, FIRST_WORDS)}`)
  if (UNSUPPORTED.includes(name)) throw notSupported(name)
  if (before.given['help'] === true) return { globals: globalsOf(before.given), command: { kind: 'help', topic: name } }
  const after = readOptions(rest, OPTIONS[name] ?? NO_OPTIONS)
  const globals = globalsOf(before.given, after.given)
  if (after.given['help'] === true) return { globals, command: { kind: 'help', topic: name } }
  if (after.given['version'] === true) return { globals, command: { kind: 'version' } }
  if (name !== 'exec') return { globals, command: command(name, after) }
  const { command: words, given } = exec(after)
  return { globals: globalsOf(before.given, after.given, given), command: words }
}
