/** `app`, `policy` and `flow`: words of Tapway's own, in iproute2's manner. */
import type { PolicyProtocol } from '../network/operations.js'
import type { ObjectCommand } from './command.js'
import { usageError } from './error.js'
import * as values from './values.js'
import { defined, readWords, type Words } from './words.js'

const SHOW = ['list', 'ls', 'lst']
export const APP_VERBS = { show: SHOW, help: [] }
export const POLICY_VERBS = { add: [], delete: ['del'], show: SHOW, check: [], denied: [], help: [] }
export const FLOW_VERBS = { show: SHOW, help: [] }

const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const
const isProtocol = (word: string): word is PolicyProtocol => (PROTOCOLS as readonly string[]).includes(word)

/** `app show [ NAME ]`: the network file makes apps. */
export const parseApp = (_verb: string, words: Words): ObjectCommand => {
  const query: { show: 'app'; name?: string } = { show: 'app' }
  readWords(words, {
    keys: {},
    bare: (word) => {
      if (query.name !== undefined) return false
      query.name = word
      return true
    },
  })
  return { kind: 'show', query }
}

export const parseFlow = (_verb: string, words: Words): ObjectCommand => {
  readWords(words, { keys: {} })
  return { kind: 'show', query: { show: 'flow' } }
}

/** `8080` or `8000-8100`. */
const range = (text: string): [low: number, high: number] => {
  const [first, last, more] = text.split('-')
  if (more !== undefined) throw usageError(`"${text}" is wrong: port expects one such as 8080 or a range such as 8000-8100`)
  const low = values.integer(first!, 'port', 1, 65535)
  const high = last === undefined ? low : values.integer(last, 'port', 1, 65535)
  if (low > high) throw usageError(`"${text}" is wrong: a range of ports goes from the lower one to the higher one`)
  return [low, high]
}

interface Conversation {
  from?: string
  to?: string
  protocol?: PolicyProtocol
  ports?: [low: number, high: number]
}

/** From, to, protocol and port; the last two also without their keys: `tcp 8080`. */
const conversation = (words: Words): Conversation => {
  const found: Conversation = {}
  const takePorts = (text: string): void => { found.ports = range(text) }
  const takePort = (): void => takePorts(words.value('port', 'a port'))
  readWords(words, {
    keys: {
      from: () => { found.from = values.name(words, 'from') },
      to: () => { found.to = values.name(words, 'to') },
      protocol: () => { found.protocol = values.oneOf(words.value('protocol'), 'protocol', PROTOCOLS) },
      port: takePort,
      ports: takePort,
    },
    bare: (word) => {
      if (found.protocol === undefined && isProtocol(word)) found.protocol = word
      else if (found.ports === undefined && /^\d/.test(word)) takePorts(word)
      else return false
      return true
    },
  })
  return found
}

/** All that one policy or one question needs; `icmp` has no ports, the others need some. */
const whole = (verb: string, found: Conversation) => {
  const { from, to, protocol, ports } = found
  const form = `tapway policy ${verb} from APP to APP tcp 8080`
  if (from === undefined || to === undefined) throw usageError(`policy ${verb} needs two apps: ${form}`)
  if (protocol === undefined) throw usageError(`policy ${verb} needs a protocol (tcp, udp or icmp): ${form}`)
  if (protocol === 'icmp' && ports !== undefined) throw usageError('icmp has no ports: leave the port out')
  if (protocol !== 'icmp' && ports === undefined) throw usageError(`policy ${verb} needs a port with ${protocol}: ${form}`)
  return { from, to, protocol, ports }
}

export const parsePolicy = (verb: string, words: Words): ObjectCommand => {
  if (verb === 'denied') {
    readWords(words, { keys: {} })
    return { kind: 'show', query: { show: 'denied' } }
  }
  const found = conversation(words)
  if (verb === 'show') {
    const { from, to, ...more } = found
    if (Object.keys(more).length > 0) throw usageError('policy show takes from and to; tapway policy check says what is allowed')
    return { kind: 'show', query: defined({ show: 'policy' as const, from, to }) }
  }
  if (verb === 'check') {
    const { ports, ...rest } = whole(verb, found)
    if (ports !== undefined && ports[0] !== ports[1]) throw usageError(`policy check is about one port, not ${ports.join('-')}`)
    return { kind: 'policy-check', query: defined({ show: 'policy-check' as const, ...rest, port: ports?.[0] }) }
  }
  const op = verb === 'delete' ? 'policy.del' as const : 'policy.add' as const
  return { kind: 'apply', operation: defined({ op, ...whole(verb === 'delete' ? 'del' : verb, found) }) }
}
