/**
 * May a conversation go on? One whose responder is behind an app's port here may while a policy lets the originator's app reach the
 * responder's; one whose responder is elsewhere may, as it is decided there. The answer is remembered with the conversation until policies
 * or apps change.
 *
 * A TCP connection whose opening was not seen, with its responder elsewhere, may be an old one of before the start, or one that was never
 * let in: it goes on only if a policy known here allows it.
 */
import type { Packets } from '../core/packets.js'
import type { AppPorts } from '../table/app-ports.js'
import { MIDSTREAM } from '../table/flow-states.js'
import { APPS, DESTINATION, GENERATION, KIND, NO_PORT, PORTS, REPLY, ROWS, SOURCE, type Flows } from '../table/flows.js'
import type { Policies } from '../table/policies.js'
import { PROTOCOL_ICMP } from '../wire/ipv4.js'
import * as header from './policy-headers.js'

/**
 * A bit of the mark that stays in here (tunnels carry the low 16 bits and two others): only the packet marked last has it, with its
 * copies and pieces. So a row of the pool that has become another packet is not taken for it.
 */
const MARKED_LAST = 1 << 30

export interface ConversationsParts {
  packets: Packets
  /** App id by port. */
  app: Int32Array
  appPorts: AppPorts
  policies: Policies
  flows: Flows
  clock: { second: number }
  /** Off: what was looked at once is looked at again with every packet. */
  remembers?: boolean | undefined
}

export type Conversations = ReturnType<typeof createConversations>

export const createConversations = ({ packets, app, appPorts, policies, flows, clock, remembers = true }: ConversationsParts) => {
  const { t } = flows
  const { mark: marks, length } = packets
  let marked = 0
  let markedFound = -1
  let markedLength = 0
  let markedChanges = 0
  let epoch = 1
  let epochSecond = -1
  let epochGeneration = -1

  /** Ports of two addresses (as loaded) as ROWS has them. */
  const rowsOf = (originator: number, responder: number): number =>
    (appPorts.ownerOf(originator) & NO_PORT) | ((appPorts.ownerOf(responder) & NO_PORT) << 16)

  /** The responder's port in host order; 0 of an ICMP query. */
  const portOf = (entry: number): number => {
    const ports = t[entry + PORTS]!
    return (t[entry + KIND]! & 0xff) === PROTOCOL_ICMP ? 0 : ((ports >>> 8) & 0xff00) | (ports >>> 24)
  }

  const decide = (entry: number, mark: number): boolean => {
    const generation = policies.generation()
    const originator = appPorts.ownerOf(t[entry + SOURCE]!)
    const responder = appPorts.ownerOf(t[entry + DESTINATION]!)
    const from = originator < 0 ? t[entry + APPS]! & 0xffff : app[originator]!
    const kind = t[entry + KIND]!
    const isUnseen = ((kind >>> 16) & MIDSTREAM) !== 0
    const to = responder < 0 ? 0 : app[responder]!
    const goesOn = responder < 0 && !isUnseen ? true : policies.find(from, responder < 0 ? mark : to, kind & 0xff, portOf(entry)) >= 0
    if (goesOn && responder < 0 && isUnseen) t[entry + KIND] = kind & ~(MIDSTREAM << 16)
    t[entry + APPS] = from | (to << 16)
    t[entry + ROWS] = (originator & NO_PORT) | ((responder & NO_PORT) << 16)
    t[entry + GENERATION] = goesOn ? generation : 0
    return goesOn
  }

  return {
    portOf, rowsOf,
    /** The conversation of a packet of a KIND_ with fields as `look` or `lookQuoted` have filled them: as `find` of flows tells. */
    of: (kind: number, f: Int32Array): number => {
      const source = f[header.SOURCE]!
      const destination = f[header.DESTINATION]!
      if (kind === header.KIND_PORTS) return flows.find(source, destination, f[header.PORTS]!, f[header.PROTOCOL]!, clock.second)
      if (kind === header.KIND_QUERY) return flows.findQuery(source, destination, f[header.PORTS]!, clock.second)
      if (kind !== header.KIND_ANSWER) return -1
      const asked = flows.findQuery(destination, source, f[header.PORTS]!, clock.second)
      return asked < 0 ? -1 : asked + REPLY
    },
    /** A number for this second and this state of policies and apps; never 0, and none comes back. */
    epoch: (): number => {
      if (!remembers || clock.second !== epochSecond || policies.generation() !== epochGeneration) {
        epochSecond = clock.second
        epochGeneration = policies.generation()
        epoch++
      }
      return epoch
    },
    /** Gives packet `p` its mark; it is one of a conversation (as `find` tells) whose STAMP says that it may go on. */
    mark: (p: number, app: number, found: number): void => {
      marks[marked] = marks[marked]! & ~MARKED_LAST
      marks[p] = app | MARKED_LAST
      marked = p
      markedFound = found
      markedLength = length[p]!
      markedChanges = flows.changes()
    },
    /**
     * The conversation of `p` if it is the packet that was marked last, whole, and conversations are where they were; -1 if not.
     * Fragments of it are shorter.
     */
    recall: (p: number): number => (
      p === marked && (marks[p]! & MARKED_LAST) !== 0 && markedLength === length[p] && markedChanges === flows.changes() ? markedFound : -1
    ),
    /** May it go on? `mark`: the app of the packet at hand, 0 for none. */
    goesOn: (entry: number, mark: number): boolean => t[entry + GENERATION] === policies.generation() || decide(entry, mark),
    /** Is its originator behind an app's port here? */
    isOriginatorHere: (entry: number): boolean => appPorts.ownerOf(t[entry + SOURCE]!) >= 0
  }
}
