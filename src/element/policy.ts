/**
 * Apps and policies: packets are marked with their app where they leave its hosts, and let in by policy where they reach another app's.
 *
 * Two calls on the packet path, both only for ports with an app (`ports.app`): `mark` for what came in by one, `admit` for what would leave
 * by one. The mark is the packet's column `mark`, which bridges, routers and pieces keep and tunnels with group policy carry.
 */
import type { Packets } from '../core/packets.js'
import { createAppPorts } from '../table/app-ports.js'
import type { Denials } from '../table/denials.js'
import type { Flows } from '../table/flows.js'
import { createFragmentDecisions } from '../table/fragment-decisions.js'
import type { Policies } from '../table/policies.js'
import { createConversations } from './policy-conversations.js'
import { createPolicyDestination } from './policy-destination.js'
import { createPolicyHeaders } from './policy-headers.js'
import { createPolicySource } from './policy-source.js'

/** The flow table is looked through in this many goes, one a call of `sweep`, of at least so many places. */
const SWEEP_GOES = 16
const SWEEP_PLACES = 2048

export interface PolicyParts {
  packets: Packets
  /** `app`: id by port, 0 for none; written here. */
  ports: { app: Int32Array; capacity: number }
  policies: Policies
  flows: Flows
  denials: Denials
  /** Milliseconds, and whole seconds, set once a turn. */
  clock: { now: number; second: number }
  /** Any integer; unknown to hosts. */
  seed?: number
  /** Off: every packet has its conversation looked at. */
  remembers?: boolean
  /** A packet was not let in as it has no app's mark; the other bits of its mark may tell where it is from. */
  onUnmarked?: (mark: number) => void
}

export type Policy = ReturnType<typeof createPolicy>

export const createPolicy = ({
  packets, ports, policies, flows, denials, clock, seed, remembers, onUnmarked = () => undefined
}: PolicyParts) => {
  const { app } = ports
  const appPorts = createAppPorts(ports.capacity)
  const fragments = createFragmentDecisions({ seed: seed ?? 0 })
  const headers = createPolicyHeaders(packets)
  const conversations = createConversations({ packets, app, appPorts, policies, flows, clock, remembers })
  const shared = { packets, app, appPorts, policies, flows, denials, headers, conversations, clock }

  return {
    policies, flows, denials,
    /** A frame has come in by a port with an app. Checks its source and gives it the app's mark. False: it was dropped. */
    mark: createPolicySource(shared),
    /** A frame would leave by a port with an app. Does not write to it. False: it was dropped. */
    admit: createPolicyDestination({ ...shared, fragments, onUnmarked }),
    /**
     * The host behind `port` belongs to app `id`: its MAC address as the pair of wire/mac.ts and its IPv4 addresses in host order. Again for a
     * port: replaces what was said. False, and nothing is set, when another port has one of the addresses.
     */
    setPort: (port: number, id: number, hi: number, lo: number, addresses: readonly number[]): boolean => {
      if (!appPorts.set(port, hi, lo, addresses)) return false
      app[port] = id
      policies.touch()
      return true
    },
    /** The port's host belongs to no app any more, or the port goes. */
    clearPort: (port: number): void => {
      app[port] = 0
      appPorts.clear(port)
      policies.touch()
    },
    /** Once a second: conversations whose time is over go. */
    sweep: (): void => {
      flows.sweep(clock.second, Math.max(SWEEP_PLACES, Math.ceil(flows.places / SWEEP_GOES)))
    }
  }
}
