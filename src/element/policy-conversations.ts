/**
 * May a conversation go on? One whose responder is behind an app's port here may while a policy lets the originator's app reach the
 * responder's; one whose responder is elsewhere may, as it is decided there. The answer is remembered with the conversation until policies
 * or apps change.
 *
 * A TCP connection whose opening was not seen, with its responder elsewhere, may be an old one of before the start, or one that was never
 * let in: it goes on only if a policy known here allows it.
 */
import type { AppPorts } from '../table/app-ports.js'
import { MIDSTREAM } from '../table/flow-states.js'
import { APPS, DESTINATION, GENERATION, KIND, PORTS, SOURCE, type Flows } from '../table/flows.js'
import type { Policies } from '../table/policies.js'
import { PROTOCOL_ICMP } from '../wire/ipv4.js'

export interface ConversationsParts {
  /** App id by port. */
  app: Int32Array
  appPorts: AppPorts
  policies: Policies
  flows: Flows
}

export type Conversations = ReturnType<typeof createConversations>

export const createConversations = ({ app, appPorts, policies, flows }: ConversationsParts) => {
  const { t } = flows

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
    t[entry + GENERATION] = goesOn ? generation : 0
    return goesOn
  }

  return {
    portOf,
    /** May it go on? `mark`: the app of the packet at hand, 0 for none. */
    goesOn: (entry: number, mark: number): boolean => t[entry + GENERATION] === policies.generation() || decide(entry, mark),
    /** Is its originator behind an app's port here? */
    isOriginatorHere: (entry: number): boolean => appPorts.ownerOf(t[entry + SOURCE]!) >= 0
  }
}
