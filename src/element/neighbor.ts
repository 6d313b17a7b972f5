/**
 * Neighbour resolution and output: the last step of an IPv4 packet's way out. It finds the next hop's MAC address, asks for it by
 * ARP when it is not known, holds packets meanwhile, and runs the timers of the states (net/core/neighbour.c, RFC 1122 2.3.2).
 *
 * A frame sent here may come back as an answer before `toBridge` returns. So an entry is always complete, and a packet queued,
 * before a request leaves; and a queue is taken off its entry before the packets in it are given away.
 */
import type { Packets } from '../core/packets.js'
import { F_LINK_BROADCAST } from '../core/packets.js'
import { NEIGH_FAILED, NEIGH_TABLE_FULL, PORT_DOWN } from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import type { Neighbors } from '../table/neighbors.js'
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_FULL, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_OK, NO_MAC, NUD_CONNECTED,
  NUD_DELAY, NUD_FAILED, NUD_IN_TIMER, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE,
  NUD_VALID, TIMER_GRAIN
} from '../table/neighbors.js'
import { ARP_REQUEST } from '../wire/arp.js'
import { ETHERNET_HEADER, ETHERTYPE_IPV4, writeEthernet } from '../wire/ethernet.js'
import * as ipv4 from '../wire/ipv4.js'
import { BROADCAST_HI, BROADCAST_LO } from '../wire/mac.js'
import { requestSource, sendArp } from './arp-send.js'
import { createHeldPackets } from './neighbor-queue.js'

/** Names and defaults of net.ipv4.neigh.default (Documentation/networking/ip-sysctl.rst, arp(7)); times in milliseconds. */
export const NEIGHBOR_DEFAULTS = {
  baseReachableTime: 30_000,
  retransTime: 1000,
  delayFirstProbeTime: 5000,
  ucastSolicit: 3,
  mcastSolicit: 3,
  /** Packets an entry may hold while it is resolved; the kernel's default. */
  unresQlen: 101,
  /** Bytes of frames an entry may hold. */
  unresQlenBytes: 212_992,
  locktime: 1000,
  /** How often the reachable time of each interface is drawn anew. */
  reachableTimeRedraw: 300_000,
  /** Packets all entries together may hold: a bounded share of the pool. */
  maxHeld: 1024,
  /** Of these, in large slots: super-frames, or when small slots ran out. */
  maxHeldLarge: 16
}
export type NeighborParameters = typeof NEIGHBOR_DEFAULTS

/** Flags of `update`, as in linux net/neighbour.h: the MAC address may replace another; the change is an administrator's. */
export const NEIGH_UPDATE_OVERRIDE = 1
export const NEIGH_UPDATE_ADMIN = 2

const SETTABLE = NUD_VALID | NUD_FAILED

export interface NeighborOutputParts {
  packets: Packets
  interfaces: Interfaces
  neighbors: Neighbors
  /** Milliseconds, set once a turn. */
  clock: { now: number }
  /** Uniform in [0, 1). */
  random: () => number
  /** Gives a frame to the bridge as if it came in by `port`. Owns the packet. */
  toBridge: (p: number, port: number) => void
  /** Tells the sender of an IPv4 packet that its next hop does not answer (ICMP 3/1); does not own the packet. */
  hostUnreachable: (p: number) => void
  /** Told when a request leaves, with interface and address: somebody else may get the answer. */
  asked?: (iface: number, ip: number) => void
  parameters?: Partial<NeighborParameters>
}

export type NeighborOutput = ReturnType<typeof createNeighborOutput>

export const createNeighborOutput = (parts: NeighborOutputParts) => {
  const { packets, interfaces, neighbors, clock, random, toBridge, hostUnreachable } = parts
  const parameters: NeighborParameters = { ...NEIGHBOR_DEFAULTS, ...parts.parameters }
  const { baseReachableTime, delayFirstProbeTime, ucastSolicit, mcastSolicit } = parameters
  const retransTime = Math.max(parameters.retransTime, TIMER_GRAIN)
  const { start, flags: packetFlags, next, view } = packets
  const { port, macHi: interfaceMacHi, macLo: interfaceMacLo } = interfaces
  const { state, macHi, macLo, interfaceOf, address, confirmed, updated, lastUsed, solicited, probes, queueHead, generation } = neighbors
  const held = createHeldPackets(packets, neighbors, parameters)
  const asked = parts.asked ?? (() => undefined)

  // Reachable time by interface: uniform between half and one and a half times the base (RFC 4861 6.3.2).
  const reachableTime = new Float64Array(interfaces.capacity)
  const drawReachableTimes = (): void => {
    for (let i = 0; i < reachableTime.length; i++) reachableTime[i] = baseReachableTime * (0.5 + random())
  }
  drawReachableTimes()
  let lastDraw = clock.now
  let lastRow = -1
  let nextCollect = clock.now + baseReachableTime / 2

  const setState = (row: number, newState: number, now: number, at: number): void => {
    updated[row] = now
    neighbors.setState(row, newState, at)
  }

  /** Finds or makes an entry; a new one has state NONE. -1 when the table is full. */
  const obtain = (iface: number, ip: number): number => {
    const known = neighbors.lookup(iface, ip)
    if (known >= 0) return known
    const row = neighbors.create(iface, ip, clock.now)
    if (row >= 0) confirmed[row] = clock.now - 2 * baseReachableTime
    return row
  }

  /**
   * Sends the ARP request that the entry's state asks for; the source is that of the first packet held where it is ours
   * (arp_solicit).
   */
  const solicit = (row: number, now: number): void => {
    const first = queueHead[row]!
    const iface = interfaceOf[row]!
    const wanted = first < 0 ? 0 : ipv4.source(view, start[first]! + ETHERNET_HEADER)
    const source = requestSource(interfaces, iface, address[row]!, wanted)
    const unicast = probes[row]! < ucastSolicit
    probes[row] = probes[row]! + 1
    solicited[row] = now
    asked(iface, address[row]!)
    sendArp(
      packets, interfaces, toBridge, iface, ARP_REQUEST,
      unicast ? macHi[row]! : BROADCAST_HI, unicast ? macLo[row]! : BROADCAST_LO, source, 0, 0, address[row]!
    )
  }

  /** Writes the Ethernet header and sends; the entry is valid. */
  const transmit = (p: number, row: number): void => {
    lastRow = row
    const iface = interfaceOf[row]!
    const f = packetFlags[p]!
    if ((f & F_LINK_BROADCAST) !== 0) packetFlags[p] = f & ~F_LINK_BROADCAST
    writeEthernet(view, start[p]!, macHi[row]!, macLo[row]!, interfaceMacHi[iface]!, interfaceMacLo[iface]!, ETHERTYPE_IPV4)
    toBridge(p, port[iface]!)
  }

  /** Output by an entry that is not connected (neigh_event_send). */
  const resolve = (p: number, row: number): void => {
    const now = clock.now
    const st = state[row]!
    lastUsed[row] = now
    if ((st & NUD_VALID) !== 0) {
      if (st === NUD_STALE) setState(row, NUD_DELAY, now, now + delayFirstProbeTime)
      transmit(p, row)
      return
    }
    if (st === NUD_INCOMPLETE) {
      held.add(p, row)
      return
    }
    if (mcastSolicit === 0) {
      setState(row, NUD_FAILED, now, 0)
      packets.drop(p, NEIGH_FAILED)
      return
    }
    probes[row] = ucastSolicit
    // An entry that failed a moment ago, by hand, waits for its next second (RFC 1122 2.3.2.1).
    const at = solicited[row]! + retransTime
    const soon = at <= now
    setState(row, NUD_INCOMPLETE, now, soon ? now + retransTime : at)
    held.add(p, row)
    if (soon) solicit(row, now)
  }

  /**
   * Sends an IPv4 packet to the neighbour of `row`, whose generation the caller has compared. Owns the packet: the IPv4 header stands
   * ETHERNET_HEADER bytes behind `start`, and the room before it may be written.
   */
  const outputTo = (p: number, row: number): void => {
    if ((state[row]! & NUD_CONNECTED) !== 0) transmit(p, row)
    else resolve(p, row)
  }

  /** Sends an IPv4 packet to `nextHop`, a unicast address on the link of `iface`. Owns the packet, as in outputTo. */
  const output = (p: number, iface: number, nextHop: number): void => {
    const row = neighbors.lookup(iface, nextHop)
    if (row >= 0) {
      outputTo(p, row)
      return
    }
    const fresh = obtain(iface, nextHop)
    if (fresh >= 0) resolve(p, fresh)
    else packets.drop(p, NEIGH_TABLE_FULL)
  }

  /** The neighbour is given up: those who wait are told (neigh_invalidate). */
  const invalidate = (row: number): void => {
    for (let p = held.take(row), then = -1; p >= 0; p = then) {
      then = next[p]!
      hostUnreachable(p)
      packets.drop(p, NEIGH_FAILED)
    }
  }

  /** The neighbour is known: those who wait go out in their order, as long as it stays known. */
  const release = (row: number): void => {
    const was = generation[row]!
    for (let p = held.take(row), then = -1; p >= 0; p = then) {
      then = next[p]!
      if ((state[row]! & NUD_VALID) !== 0 && generation[row] === was) outputTo(p, row)
      else packets.drop(p, NEIGH_FAILED)
    }
  }

  /**
   * What was heard or ordered about a neighbour (neigh_update): MAC address and new state, under NEIGH_UPDATE_ flags. A different MAC
   * address needs OVERRIDE where one is valid; permanent and noarp entries need ADMIN; hearing that a known address is STALE
   * changes nothing. False when the entry may not be changed.
   */
  const update = (row: number, hi: number, lo: number, newState: number, flags: number): boolean => {
    const now = clock.now
    const old = state[row]!
    const admin = (flags & NEIGH_UPDATE_ADMIN) !== 0
    if (!admin && (old & (NUD_NOARP | NUD_PERMANENT)) !== 0) return false
    if ((newState & NUD_VALID) === 0) {
      setState(row, newState, now, 0)
      if ((old & (NUD_INCOMPLETE | NUD_PROBE)) !== 0) invalidate(row)
      return true
    }
    const wasValid = (old & NUD_VALID) !== 0
    const same = wasValid && macHi[row] === hi && macLo[row] === lo
    if ((newState & NUD_CONNECTED) !== 0) confirmed[row] = now
    if (wasValid && !same && (flags & NEIGH_UPDATE_OVERRIDE) === 0) return true
    const st = same && newState === NUD_STALE && !admin ? old : newState
    if (same && st === old) return true
    neighbors.setMac(row, hi, lo)
    if (!same && (st & NUD_CONNECTED) === 0) confirmed[row] = now - 2 * baseReachableTime
    if (st === old) updated[row] = now
    else {
      if (st === NUD_PROBE) probes[row] = 0
      setState(row, st, now, st === NUD_REACHABLE ? now + reachableTime[interfaceOf[row]!]! : now)
    }
    if (!wasValid) release(row)
    return true
  }

  /**
   * Somebody asked for one of our addresses and told its own: known from now on, but not proven (neigh_event_ns). Row, -1
   * when the table is full.
   */
  const learn = (iface: number, ip: number, hi: number, lo: number): number => {
    const row = obtain(iface, ip)
    if (row >= 0) update(row, hi, lo, NUD_STALE, NEIGH_UPDATE_OVERRIDE)
    return row
  }

  /** Another worker of this data plane has heard of a neighbour; `made`: it becomes known here also when nobody has asked. */
  const heard = (iface: number, ip: number, hi: number, lo: number, newState: number, flags: number, made: boolean): void => {
    const row = made ? obtain(iface, ip) : neighbors.lookup(iface, ip)
    if (row >= 0) update(row, hi, lo, newState, flags)
  }

  /** Another worker of this data plane asks for a neighbour, whose answer may come here: a place for it, which is given up like any other. */
  const expect = (iface: number, ip: number): void => {
    if (neighbors.lookup(iface, ip) >= 0) return
    const row = obtain(iface, ip)
    if (row >= 0) setState(row, NUD_FAILED, clock.now, 0)
  }

  /** An upper layer knows that packets to the neighbour arrive (neigh_confirm). */
  const confirm = (iface: number, ip: number): void => {
    const row = neighbors.lookup(iface, ip)
    if (row >= 0 && (state[row]! & NUD_VALID) !== 0) confirmed[row] = clock.now
  }

  /** A timer of a state is due (neigh_timer_handler). */
  const onTimer = (row: number, now: number): void => {
    const st = state[row]!
    if (st === NUD_REACHABLE) {
      const until = confirmed[row]! + reachableTime[interfaceOf[row]!]!
      if (now <= until) neighbors.setState(row, NUD_REACHABLE, Math.max(until, now + TIMER_GRAIN))
      else if (now <= lastUsed[row]! + delayFirstProbeTime) setState(row, NUD_DELAY, now, now + delayFirstProbeTime)
      else setState(row, NUD_STALE, now, 0)
      return
    }
    if (st === NUD_DELAY) {
      if (now <= confirmed[row]! + delayFirstProbeTime) {
        const until = confirmed[row]! + reachableTime[interfaceOf[row]!]!
        setState(row, NUD_REACHABLE, now, Math.max(until, now + TIMER_GRAIN))
        return
      }
      probes[row] = 0
      updated[row] = now
    }
    const probing = st !== NUD_INCOMPLETE
    // Probing ordered by hand right after a request waits for its second as well.
    const at = solicited[row]! + retransTime
    if (at > now) {
      neighbors.setState(row, probing ? NUD_PROBE : NUD_INCOMPLETE, at)
      return
    }
    if (probes[row]! >= (probing ? ucastSolicit : ucastSolicit + mcastSolicit)) {
      setState(row, NUD_FAILED, now, 0)
      invalidate(row)
      return
    }
    neighbors.setState(row, probing ? NUD_PROBE : NUD_INCOMPLETE, now + retransTime)
    solicit(row, now)
  }

  /** Timers and garbage collection; `now` is the clock's. Call it every turn: when nothing is due it costs two comparisons. */
  const tick = (now: number): void => {
    neighbors.expire(now, onTimer)
    if (now < nextCollect) return
    nextCollect = now + baseReachableTime / 2
    if (now > lastDraw + parameters.reachableTimeRedraw) {
      lastDraw = now
      drawReachableTimes()
    }
    neighbors.collect(now)
  }

  /**
   * `ip neigh add|replace|change` (`mode` NEIGH_ADD, …) with a state; `hi` may be NO_MAC where the entry has a MAC address,
   * or for FAILED. A NEIGH_ code.
   */
  const set = (
    iface: number, ip: number, hi: number, lo: number, newState: number, mode: number, owner: number, flags: number
  ): number => {
    let row = neighbors.lookup(iface, ip)
    if (row >= 0 && mode === NEIGH_ADD) return NEIGH_EXISTS
    if (row < 0 && mode === NEIGH_CHANGE) return NEIGH_NOT_FOUND
    if ((newState & SETTABLE) === 0 || (newState & (newState - 1)) !== 0) return NEIGH_INVALID
    const known = row >= 0 && (state[row]! & NUD_VALID) !== 0
    if (hi === NO_MAC && newState !== NUD_FAILED && !known) return NEIGH_INVALID
    if (row < 0) row = obtain(iface, ip)
    if (row < 0) return NEIGH_FULL
    neighbors.owner[row] = owner
    neighbors.flags[row] = flags
    // Entered again under its new flags, which decide about garbage collection.
    if ((state[row]! & NUD_IN_TIMER) === 0) neighbors.setState(row, state[row]!, 0)
    const newHi = hi === NO_MAC ? macHi[row]! : hi
    const newLo = hi === NO_MAC ? macLo[row]! : lo
    update(row, newHi, newLo, newState, NEIGH_UPDATE_ADMIN | NEIGH_UPDATE_OVERRIDE)
    return NEIGH_OK
  }

  /** `ip neigh del`: those who wait for it are told that it failed. A NEIGH_ code. */
  const remove = (iface: number, ip: number): number => {
    const row = neighbors.lookup(iface, ip)
    if (row < 0) return NEIGH_NOT_FOUND
    const was = generation[row]
    update(row, 0, 0, NUD_FAILED, NEIGH_UPDATE_ADMIN)
    // Telling them may have sent packets by the entry again.
    if (generation[row] !== was) return NEIGH_OK
    held.drop(row, NEIGH_FAILED)
    neighbors.remove(row)
    return NEIGH_OK
  }

  const dropHeld = (row: number): void => held.drop(row, PORT_DOWN)

  /**
   * The interface went down, was removed or changed its MAC address (neigh_ifdown): its entries go, all or all but permanent
   * ones.
   */
  const flush = (iface: number, keepPermanent: boolean): void => neighbors.removeByInterface(iface, keepPermanent, dropHeld)

  /** Asks for `target` on the link of `iface`, by broadcast or to a MAC address. False when the pool is empty. */
  const sendRequest = (iface: number, target: number, hi: number, lo: number): boolean =>
    sendArp(packets, interfaces, toBridge, iface, ARP_REQUEST, hi, lo, requestSource(interfaces, iface, target, 0), 0, 0, target)

  return {
    parameters, reachableTime, output, outputTo, tick, update, learn, heard, expect, confirm, set, remove, flush, sendRequest,
    /** Packets held by all entries. */
    heldPackets: held.count,
    /** The entry that a packet was sent by last; -1 before that. */
    lastRow: (): number => lastRow
  }
}
