/**
 * Apps and policies: names to marks and rows. What a name stands for changes here only; the tables and the element that decides
 * (element/policy.ts) know numbers.
 */
import type { Policy } from '../element/policy.js'
import { KIND } from '../table/flows.js'
import { STATE_NAMES } from '../table/flow-states.js'
import { POLICIES_FULL, POLICY_EXISTS } from '../table/policies.js'
import * as ip4 from '../wire/ip4.js'
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/ipv4.js'
import { formatMac } from '../wire/mac.js'
import {
  NetworkError, type AppRow, type DeniedRow, type FlowRow, type FlowVerdict, type Operation, type OperationOf, type PolicyCheckRow,
  type PolicyProtocol, type PolicyRow, type Query
} from './operations.js'
import { addressOf, hostAddressOf, stationMacOf } from './parse.js'
import type { AppEntry, PortEntry, Registry } from './registry.js'

type PolicyOperation = Extract<Operation, { op: `app.${string}` | `policy.${string}` }>
type PolicyQuery = Extract<Query, { show: 'app' | 'policy' | 'policy-check' | 'denied' | 'flow' }>

const MAX_ID = 0xffff
const MAX_PORT = 0xffff
const PROTOCOLS: Readonly<Record<PolicyProtocol, number>> = { tcp: PROTOCOL_TCP, udp: PROTOCOL_UDP, icmp: PROTOCOL_ICMP }
/** Entries of the flow table looked at before traffic goes on. */
const SCAN_ENTRIES = 4096

const protocolName = (protocol: number): PolicyProtocol | number => {
  if (protocol === PROTOCOL_TCP) return 'tcp'
  return protocol === PROTOCOL_UDP ? 'udp' : protocol === PROTOCOL_ICMP ? 'icmp' : protocol
}

const isPort = (port: unknown): port is number => Number.isInteger(port) && (port as number) >= 1 && (port as number) <= MAX_PORT

const protocolOf = (text: string): number => {
  if (!Object.hasOwn(PROTOCOLS, text)) throw new NetworkError(`"${text}" is no protocol of a policy; there is tcp, udp, icmp`, 2)
  return PROTOCOLS[text as PolicyProtocol]
}

const textOf = ({ from, to, protocol, ports }: Omit<PolicyRow, 'hits' | 'ports'> & { ports?: readonly [number, number] }): string => {
  const range = ports === undefined ? '' : ` port ${ports[0] === ports[1] ? ports[0] : ports.join('-')}`
  return `from ${from} to ${to} protocol ${protocol}${range}`
}

/** Of the engine. */
export interface PolicyParts {
  policy: Policy
  /** Milliseconds, and whole seconds. */
  clock: { now: number; second: number }
}

export const createPolicyCommands = ({ policy, clock }: PolicyParts, registry: Registry) => {
  const { policies, flows, denials } = policy

  const addApp = ({ name, id }: OperationOf<'app.add'>): void => {
    registry.refuseTaken(name)
    if (!Number.isInteger(id) || id < 1 || id > MAX_ID) throw new NetworkError(`the id of an app is 1 to ${MAX_ID}`, 2)
    const other = registry.apps.find((a) => a.id === id)
    if (other !== undefined) throw new NetworkError(`id ${id} is that of app "${other.name}" already`, 1)
    registry.apps.push({ name, id, members: [] })
  }

  /** Refused while it has ports: they would be open to all without it. */
  const removeApp = (app: AppEntry): void => {
    if (app.members.length > 0) {
      throw new NetworkError(`app "${app.name}" has ports here: ${app.members.map((m) => m.entry.name).join(', ')}; remove them first`, 1)
    }
    policies.removeApp(app.id)
    registry.apps.splice(registry.apps.indexOf(app), 1)
  }

  const addMember = (o: OperationOf<'app.member'>): void => {
    const app = registry.app(o.name)
    const entry = registry.port(o.port)
    const owner = registry.apps.find((a) => a.members.some((m) => m.entry === entry))
    if (owner !== undefined) throw new NetworkError(`${entry.name} is a port of app "${owner.name}" already`, 1)
    const mac = stationMacOf(o.mac)
    if (o.addresses.length === 0) throw new NetworkError('a port of an app needs an address: without one whatever comes in is forged', 2)
    const addresses = o.addresses.map((text) => hostAddressOf(addressOf(text), text))
    if (!policy.setPort(entry.port, app.id, mac[0], mac[1], addresses)) {
      const taken = registry.apps.flatMap((a) => a.members).find((m) => m.addresses.some((text) => addresses.includes(addressOf(text))))
      throw new NetworkError(`${taken?.entry.name ?? 'another port'} of an app has one of these addresses already: ${o.addresses.join(', ')}`, 1)
    }
    app.members.push({ entry, mac: formatMac(...mac), addresses: addresses.map(ip4.formatIp4) })
  }

  /** A policy's ids and ports. */
  const numbersOf = (o: OperationOf<'policy.add' | 'policy.del'>): [from: number, to: number, protocol: number, low: number, high: number] => {
    const [from, to, protocol] = [registry.app(o.from).id, registry.app(o.to).id, protocolOf(o.protocol)]
    if (protocol === PROTOCOL_ICMP) {
      if (o.ports !== undefined) throw new NetworkError('icmp has no ports', 2)
      return [from, to, protocol, 0, MAX_PORT]
    }
    const [low, high] = o.ports ?? []
    if (!isPort(low) || !isPort(high) || low > high) throw new NetworkError(`${o.protocol} needs ports from 1 to ${MAX_PORT}, the lower one first`, 2)
    return [from, to, protocol, low, high]
  }

  const addPolicy = (o: OperationOf<'policy.add'>): void => {
    const code = policies.add(...numbersOf(o))
    if (code === POLICY_EXISTS) throw new NetworkError(`policy ${textOf(o)} exists already`, 1)
    if (code === POLICIES_FULL) throw new NetworkError(`there can be no more than ${policies.capacity} policies`, 1)
  }

  const removePolicy = (o: OperationOf<'policy.del'>): void => {
    if (!policies.del(...numbersOf(o))) throw new NetworkError(`no policy ${textOf(o)}`, 1)
  }

  /** Names by mark. */
  const names = (): ReadonlyMap<number, string> => new Map(registry.apps.map(({ id, name }) => [id, name]))

  function* apps({ name }: Extract<PolicyQuery, { show: 'app' }>): Generator<AppRow> {
    for (const app of name === undefined ? registry.apps : [registry.app(name)]) {
      const members = app.members.map(({ entry, mac, addresses }) => ({ port: entry.name, mac, addresses }))
      yield { name: app.name, id: app.id, members }
    }
  }

  const policyRow = (row: number, known: ReadonlyMap<number, string>): PolicyRow => ({
    from: known.get(policies.from[row]!)!,
    to: known.get(policies.to[row]!)!,
    protocol: protocolName(policies.protocol[row]!) as PolicyProtocol,
    ...(policies.protocol[row] === PROTOCOL_ICMP ? {} : { ports: [policies.low[row]!, policies.high[row]!] }),
    hits: policies.hits[row]!
  })

  /** All at once: rows may be given to other policies between two turns. */
  const list = ({ from, to }: Extract<PolicyQuery, { show: 'policy' }>): PolicyRow[] => {
    const [source, destination] = [from, to].map((name) => (name === undefined ? undefined : registry.app(name).id))
    const known = names()
    return policies.rows()
      .filter((r) => (source === undefined || policies.from[r] === source) && (destination === undefined || policies.to[r] === destination))
      .map((r) => policyRow(r, known))
  }

  const check = ({ from, to, protocol, port }: Extract<PolicyQuery, { show: 'policy-check' }>): PolicyCheckRow => {
    const [a, b, number] = [registry.app(from).id, registry.app(to).id, protocolOf(protocol)]
    if (number === PROTOCOL_ICMP ? port !== undefined : !isPort(port)) {
      throw new NetworkError(number === PROTOCOL_ICMP ? 'icmp has no ports' : `${protocol} needs a port from 1 to ${MAX_PORT}`, 2)
    }
    const row = policies.find(a, b, number, port ?? 0)
    return {
      from, to, protocol, ...(port === undefined ? {} : { port }), allowed: row >= 0, ...(row < 0 ? {} : { policy: policyRow(row, names()) })
    }
  }

  const denied = (): DeniedRow[] => {
    const known = names()
    return denials.list().map((d) => {
      const [from, to, protocol] = [known.get(d.from), known.get(d.to), protocolName(d.protocol)]
      return {
        ...(from === undefined ? {} : { from }), mark: d.from, ...(to === undefined ? {} : { to }), to_id: d.to, protocol,
        ...(protocol === 'tcp' || protocol === 'udp' ? { port: d.port } : {}),
        source: ip4.formatIp4(d.source), destination: ip4.formatIp4(d.destination),
        packets: d.packets, age: Math.max(0, Math.floor((clock.now - d.last) / 1000))
      }
    })
  }

  /** As it was when it was last looked at, and would be again. */
  const verdictOf = (entry: number): FlowVerdict => {
    const decided = flows.generationOf(entry)
    if (decided === 0) return 'denied'
    if (flows.toOf(entry) === 0) return 'sent'
    if (decided === policies.generation()) return 'admitted'
    const [from, to, protocol] = [flows.fromOf(entry), flows.toOf(entry), flows.protocolOf(entry)]
    return policies.find(from, to, protocol, flows.destinationPortOf(entry)) < 0 ? 'denied' : 'admitted'
  }

  const flowRow = (entry: number, known: ReadonlyMap<number, string>): FlowRow => {
    const protocol = protocolName(flows.protocolOf(entry))
    const [from, to] = [known.get(flows.fromOf(entry)), known.get(flows.toOf(entry))]
    const [first, second] = [flows.sourcePortOf(entry), flows.destinationPortOf(entry)]
    return {
      protocol, state: STATE_NAMES[flows.stateOf(entry)]!,
      source: ip4.formatIp4(flows.sourceOf(entry)), destination: ip4.formatIp4(flows.destinationOf(entry)),
      ...(protocol === 'icmp' ? { id: first, icmp_type: second >>> 8 } : { sport: first, dport: second }),
      ...(from === undefined ? {} : { from }), mark: flows.fromOf(entry), ...(to === undefined ? {} : { to }),
      verdict: verdictOf(entry),
      age: clock.second - flows.sinceOf(entry), expires: flows.deadlineOf(entry) - clock.second
    }
  }

  /** A part of the table at a time, `undefined` between them: what moves meanwhile may be shown twice or not at all. */
  function* conversations(): Generator<FlowRow | undefined> {
    const stride = flows.t.length / flows.places
    for (let begin = 0; begin < flows.places; begin += SCAN_ENTRIES) {
      const known = names()
      const rows: FlowRow[] = []
      for (let place = begin; place < Math.min(begin + SCAN_ENTRIES, flows.places); place++) {
        const entry = place * stride
        if (flows.t[entry + KIND] !== 0 && flows.deadlineOf(entry) >= clock.second) rows.push(flowRow(entry, known))
      }
      yield* rows
      yield undefined
    }
  }

  return {
    apply: (o: PolicyOperation): void => {
      switch (o.op) {
        case 'app.add': return addApp(o)
        case 'app.del': return removeApp(registry.app(o.name))
        case 'app.member': return addMember(o)
        case 'policy.add': return addPolicy(o as OperationOf<'policy.add'>)
        case 'policy.del': return removePolicy(o as OperationOf<'policy.del'>)
      }
    },
    /** A port that is about to go leaves its app. */
    leave: (entry: PortEntry): void => {
      for (const app of registry.apps) {
        const at = app.members.findIndex((m) => m.entry === entry)
        if (at < 0) continue
        app.members.splice(at, 1)
        policy.clearPort(entry.port)
      }
    },
    show: (q: PolicyQuery): Iterable<object | undefined> => {
      switch (q.show) {
        case 'app': return apps(q)
        case 'policy': return list(q)
        case 'policy-check': return [check(q)]
        case 'denied': return denied()
        case 'flow': return conversations()
      }
    }
  }
}
