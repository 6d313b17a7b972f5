/** Layer 3 of an engine: tables and elements of all routers and bridge addresses, wired. */
import { F_OWN, type Packets } from '../core/packets.js'
import { createArp } from '../element/arp.js'
import { createFragmenter } from '../element/fragment.js'
import { createIcmpError } from '../element/icmp-error.js'
import { createInterfaceInput } from '../element/interface-input.js'
import { createIpOptions } from '../element/ip-options.js'
import { createIpv4 } from '../element/ipv4.js'
import { createIpv4Output } from '../element/ipv4-output.js'
import { createLocal } from '../element/local.js'
import { createNeighborOutput } from '../element/neighbor.js'
import { createPing } from '../element/ping.js'
import { createReassembly } from '../element/reassemble.js'
import { createSegmenter } from '../offload/segment.js'
import type { Without } from '../optimisations.js'
import type { Interfaces } from '../table/interfaces.js'
import { createNeighbors } from '../table/neighbors.js'
import { createRouting } from '../table/routing.js'
import type { Sharing } from './sharing.js'
import * as icmp4 from '../wire/icmp4.js'
import * as ip4 from '../wire/ip4.js'

/** How often timers are looked at: while pings run, and at least. */
const TICK_PING_MS = 1
const TICK_MS = 1000

export interface Layer3Parts {
  packets: Packets
  interfaces: Interfaces
  clock: { now: number }
  random: () => number
  wallClock: () => number
  toBridge: (p: number, port: number) => void
  completeChecksum: (p: number) => boolean
  /** Interface row by bridge-side port (ports.layer3). */
  interfaceOfPort: Int32Array
  /** Other workers, who are to know what this one hears. */
  sharing: Sharing | undefined
  /** By which flows are spread over several paths; drawn when undefined. */
  flowSeed: number | undefined
  /** Optimisations left out. */
  without: Without
}

export type Layer3 = ReturnType<typeof createLayer3>

export const createLayer3 = ({
  packets, interfaces, clock, random, wallClock, toBridge, completeChecksum, interfaceOfPort, sharing, flowSeed, without
}: Layer3Parts) => {
  const flatFrom = without.includes('flat-routes') ? Infinity : without.includes('trie-routes') ? -1 : undefined
  const routing = createRouting(interfaces, flowSeed ?? Math.floor(random() * 0x7fffffff), flatFrom)
  const neighbors = createNeighbors({ seed: Math.floor(random() * 0x7fffffff) })
  const isLocal = (stack: number, address: number): boolean => routing.isLocal(stack, address)
  const isBroadcast = (stack: number, iface: number, address: number): boolean =>
    address === ip4.LIMITED_BROADCAST || routing.isBroadcast(stack, iface, address)
  const sourceFor = (stack: number, destination: number): number => routing.sourceFor(stack, destination)

  const options = createIpOptions({ packets, interfaces, wallClock, isLocal, sourceFor })
  const icmp = createIcmpError({
    packets, interfaces, clock, random, sourceFor, isBroadcast, isLocal, options, mtuFor: routing.mtuFor, send: (p, stack) => output.originate(p, stack),
    ownError: (p, type, code, rest) => ping.onOwnError(p, type, code, rest)
  })
  const neighborOutput = createNeighborOutput({
    packets, interfaces, neighbors, clock, random, toBridge,
    hostUnreachable: (p) => icmp.error(p, interfaceOf(p), icmp4.DESTINATION_UNREACHABLE, icmp4.HOST_UNREACHABLE, 0),
    ...(sharing === undefined ? {} : { asked: sharing.neighborAsked })
  })
  /** The interface a held packet came by; -1 for one of our own. */
  const interfaceOf = (p: number): number => ((packets.flags[p]! & F_OWN) !== 0 ? -1 : interfaceOfPort[packets.inPort[p]!]!)
  const segmenter = createSegmenter(packets, (p, a) => output.sendSegment(p, a))
  const fragmenter = createFragmenter({ packets, completeChecksum, emit: (p, a, b) => output.sendPiece(p, a, b) })
  const output = createIpv4Output({
    packets, interfaces, routing, toBridge,
    neighborOutput: neighborOutput.output,
    fragment: fragmenter.fragment,
    segment: segmenter.segment,
    icmpError: icmp.error,
    deliver: (p, iface) => local.deliver(p, iface)
  })
  const ping = createPing({
    packets, interfaces, clock, random, sourceFor, send: output.originate,
    ...(sharing === undefined ? {} : { replyElsewhere: sharing.pingReply, errorElsewhere: sharing.pingError })
  })
  const reassembly = createReassembly({
    packets, interfaces, clock, icmpError: icmp.error, limits: { seed: Math.floor(random() * 0x7fffffff) }
  })
  const local = createLocal({ packets, interfaces, random, wallClock, isLocal, icmp, options, reassembly, ping, send: output.originate })
  const ipv4 = createIpv4({
    packets, interfaces, routing, icmp, options, output, deliver: local.deliver,
    byWords: !without.includes('aligned-headers')
  })
  const arp = createArp({
    packets, interfaces, neighbors, neighborOutput, clock, toBridge, isLocal,
    routeFor: (stack, iface, target) => routing.proxies(stack, iface, target),
    ...(sharing === undefined ? {} : { heard: sharing.neighborHeard })
  })
  const receive = createInterfaceInput({ packets, interfaces, ipv4: ipv4.receive, arp: arp.receive })

  return {
    routing, neighbors, neighborOutput, icmp, ping, reassembly, arp, local, receive,
    /** Does what is due: neighbour states, reassembly time-outs, pings. */
    tick: (now: number): void => {
      neighborOutput.tick(now)
      reassembly.tick(now)
      ping.tick(now)
    },
    /** Milliseconds until tick wants to be called again. */
    untilNextTick: (now: number): number => {
      if (ping.active() > 0) return TICK_PING_MS
      const due = Math.min(neighbors.nextTimer(), reassembly.nextTimer()) - now
      return due < TICK_MS ? Math.max(due, 1) : TICK_MS
    },
    /** A router or a bridge's address goes away. */
    removeStack: (stack: number): void => {
      reassembly.flush(stack)
      interfaces.removeStack(stack)
      routing.remove(stack)
    },
    /** Packets that wait for ARP or for their other fragments. */
    held: (): number => neighborOutput.heldPackets() + reassembly.held()
  }
}
