/**
 * The Ethernet bridge (IEEE 802.1D clause 7), all bridges of an engine in one element.
 *
 * A frame comes in by a port; its source is learned, its destination looked up, and it leaves by one port, by all others
 * (flood), or is dropped with a reason. Where the standard leaves room this does what Linux does (net/bridge/br_input.c,
 * br_forward.c) with group_fwd_mask 0 and STP off: BPDUs are flooded like any group frame, other reserved addresses end here;
 * an entry set by hand moves to the port its station is heard on unless it is sticky; unknown unicast does not go to
 * layer-3 interfaces, whose addresses are in the table; a permanent (local) entry on a port means the bridge itself, so that frames
 * to it go nowhere. VLAN tags are data.
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import type { Ports } from '../core/ports.js'
import { P_FLOOD, P_FORWARDING, P_LEARNING, PORT_INTERFACE } from '../core/ports.js'
import { LINK_LOCAL_RESERVED, NO_OTHER_PORT, NOT_FOR_US, PORT_DOWN, SAME_PORT, SOURCE_MAC_INVALID } from '../reason.js'
import { createBridgeCache } from '../table/bridge-cache.js'
import { F_LOCAL, FDB_FULL, FDB_KNOWN, type Fdb } from '../table/fdb.js'

/** 01-80-C2-00-00-0X as a wire-order pair: hi is 01-80; lo is C2-00-00 with X in the top byte. */
const RESERVED_HI = 0x8001
const RESERVED_LO = 0xc2
const RESERVED_LO_MASK = ~0x0f000000
/** Its last octet when it is the bridge group address (BPDUs) or MAC control (pause frames). */
const BRIDGE_GROUP = 0
const MAC_CONTROL = 1

export interface BridgeParts {
  packets: Packets
  ports: Ports
  fdb: Fdb
  /** Whole seconds, set once a turn. */
  clock: { second: number }
  output: (p: number, port: number) => void
  /** Remember ways (table/bridge-cache.ts); on when left out. */
  remembers?: boolean
}

export const createBridge = ({ packets, ports, fdb, clock, output, remembers }: BridgeParts) => {
  const { start, u16, i32, flags } = packets
  const { state, kind, filter, bridge } = ports
  /** Ports of each bridge, in the order they were plugged in. */
  const members: Int32Array[] = []
  const cache = createBridgeCache(remembers)

  /** Sends `p` to every other port of the bridge that takes it; the last one gets the packet, the others copies. */
  const flood = (p: number, port: number, unknownUnicast: boolean): void => {
    const list = members[bridge[port]!]!
    let last = -1
    for (let i = 0; i < list.length; i++) {
      const to = list[i]!
      if (to === port || (state[to]! & P_FORWARDING) !== P_FORWARDING) continue
      if (unknownUnicast && ((state[to]! & P_FLOOD) === 0 || kind[to] === PORT_INTERFACE)) continue
      if (last >= 0) {
        const c = packets.copy(p)
        if (c >= 0) output(c, last)
      }
      last = to
    }
    if (last < 0) packets.drop(p, NO_OTHER_PORT)
    else output(p, last)
  }

  /** A frame, at least an Ethernet header long, has come in by `port`. Owns the packet. */
  const receive = (p: number, port: number): void => {
    const at = start[p]!
    const word = (at + 2) >> 2 // destination bytes 2..5; the frame starts at 2 modulo 4
    const st = state[port]!
    if ((st & P_FORWARDING) !== P_FORWARDING) {
      packets.drop(p, PORT_DOWN)
      return
    }
    const sourceHead = i32[word + 1]!
    const hi = u16[at >> 1]!
    const tail = u16[(at + 10) >> 1]!
    // Learned and looked up a moment ago, and nothing has changed
    const lo = i32[word]!
    const slot = cache.slotOf(hi, lo, sourceHead, tail, port)
    const known = cache.find(slot, hi, lo, sourceHead, tail, port, cache.epoch(fdb.changes(), clock.second))
    if (known >= 0) {
      output(p, known)
      return
    }
    const sourceHi = sourceHead & 0xffff
    const sourceLo = (sourceHead >>> 16) | (tail << 16)
    if ((sourceHi & 1) !== 0 || (sourceHi | sourceLo) === 0) {
      packets.drop(p, SOURCE_MAC_INVALID)
      return
    }
    const learns = (st & P_LEARNING) !== 0
    if ((hi & 1) !== 0) {
      const reserved = hi === RESERVED_HI && (lo & RESERVED_LO_MASK) === RESERVED_LO ? lo >>> 24 : -1
      if (learns && reserved !== MAC_CONTROL) fdb.learn(filter[port]!, bridge[port]!, sourceHi, sourceLo, port, clock.second)
      if (reserved > BRIDGE_GROUP) {
        packets.drop(p, LINK_LOCAL_RESERVED)
        return
      }
      flags[p] = flags[p]! | F_LINK_BROADCAST
      flood(p, port, false)
      return
    }
    const learned = learns ? fdb.learn(filter[port]!, bridge[port]!, sourceHi, sourceLo, port, clock.second) : FDB_KNOWN
    const to = forward(p, port, hi, lo)
    if (to >= 0 && learned !== FDB_FULL) cache.put(slot, hi, lo, sourceHead, tail, port, cache.epoch(fdb.changes(), clock.second), to)
  }

  /** To the station that has the address; the port that was, or -1 when it was none or several. */
  const forward = (p: number, port: number, hi: number, lo: number): number => {
    const entry = fdb.find(filter[port]!, hi, lo)
    if (entry < 0) {
      flood(p, port, true)
      return -1
    }
    fdb.use(entry, clock.second)
    const to = fdb.portOf(entry)
    if (to === port) packets.drop(p, SAME_PORT)
    else if (kind[to] !== PORT_INTERFACE && (fdb.flagsOf(entry) & F_LOCAL) !== 0) packets.drop(p, NOT_FOR_US)
    else {
      output(p, to)
      return to
    }
    return -1
  }

  /**
   * A frame of an interface of ours enters by its port: its source is in the table, and it needs no checks. Owns the packet. Returns the port
   * of the station that it went to, -1 when it went elsewhere or nowhere.
   */
  const inject = (p: number, port: number): number => {
    const hi = u16[start[p]! >> 1]!
    if ((state[port]! & P_FORWARDING) !== P_FORWARDING) packets.drop(p, PORT_DOWN)
    else if ((hi & 1) !== 0) {
      flags[p] = flags[p]! | F_LINK_BROADCAST
      flood(p, port, false)
    } else return forward(p, port, hi, i32[(start[p]! + 2) >> 2]!)
    return -1
  }

  return {
    receive, inject,
    /** Sets the ports of a bridge. */
    setMembers: (row: number, list: readonly number[]): void => {
      members[row] = Int32Array.from(list)
    }
  }
}
