/**
 * ARP reception (RFC 826 "Packet Reception", net/ipv4/arp.c arp_rcv and arp_process with arp_ignore, arp_filter and arp_accept 0):
 * answers requests for the addresses of the stack, on whichever interface they come, and feeds the neighbour table.
 *
 * Only who asks for one of our addresses (or one we answer for) gets a new entry; everybody else's ARP packets change the
 * entries there are, and no more. Beyond the kernel, a sender MAC that is a group address or zero is refused (RFC 1812 3.3.2),
 * and a claim on one of our own addresses is counted.
 */
import type { Packets } from '../core/packets.js'
import { ARP_DUPLICATE_ADDRESS, ARP_IGNORED, ARP_SENDER_INVALID, NEIGH_TABLE_FULL, NO_BUFFER, OK } from '../reason.js'
import type { Interfaces } from '../table/interfaces.js'
import type { Neighbors } from '../table/neighbors.js'
import { NUD_REACHABLE, NUD_STALE, NUD_VALID } from '../table/neighbors.js'
import * as arp from '../wire/arp.js'
import { ETHERNET_HEADER, OFF_DESTINATION } from '../wire/ethernet.js'
import { LIMITED_BROADCAST, broadcastOf, isLoopback, isMulticast } from '../wire/ip4.js'
import * as mac from '../wire/mac.js'
import { sendArp } from './arp-send.js'
import type { NeighborOutput } from './neighbor.js'
import { NEIGH_UPDATE_OVERRIDE } from './neighbor.js'

/** Least time between two proofs of one neighbour that are told. */
const TELL_AGAIN_MS = 1000

export interface ArpParts {
  packets: Packets
  interfaces: Interfaces
  neighbors: Neighbors
  neighborOutput: NeighborOutput
  /** Is it a unicast address of the stack? */
  isLocal: (stack: number, address: number) => boolean
  /** For proxy ARP: has the stack a unicast route to the target that leaves by another interface than `iface`? */
  routeFor: (stack: number, iface: number, target: number) => boolean
  clock: { now: number }
  /** Told what was heard of a neighbour that changes its entry; `made`: its sender asked for one of our addresses. */
  heard?: (iface: number, ip: number, hi: number, lo: number, state: number, flags: number, made: boolean) => void
  /** Gives a frame to the bridge as if it came in by `port`. Owns the packet. */
  toBridge: (p: number, port: number) => void
}

export const createArp = (parts: ArpParts) => {
  const { packets, interfaces, neighbors, neighborOutput, isLocal, routeFor, clock, toBridge } = parts
  const { start, length, view } = packets
  const { stack, forwarding, interfaceForwarding, proxyArp, macHi, macLo } = interfaces
  const { locktime } = neighborOutput.parameters
  const heard = parts.heard ?? (() => undefined)

  /** Told are only changes, and proofs that it is there: who floods the link with ARP says nothing new. */
  const update = (row: number, iface: number, hi: number, lo: number, newState: number, flags: number): void => {
    const { state, macHi: knownHi, macLo: knownLo, address, confirmed } = neighbors
    const proves = newState === NUD_REACHABLE && (state[row] !== NUD_REACHABLE || confirmed[row]! + TELL_AGAIN_MS <= clock.now)
    const isNew = proves || (state[row]! & NUD_VALID) === 0 || knownHi[row] !== hi || knownLo[row] !== lo
    const ip = address[row]!
    neighborOutput.update(row, hi, lo, newState, flags)
    if (isNew) heard(iface, ip, hi, lo, newState, flags, false)
  }

  /** As NeighborOutput.learn. */
  const learn = (iface: number, ip: number, hi: number, lo: number): number => {
    const known = neighbors.lookup(iface, ip)
    const isNew = known < 0 || (neighbors.state[known]! & NUD_VALID) === 0 || neighbors.macHi[known] !== hi || neighbors.macLo[known] !== lo
    const row = neighborOutput.learn(iface, ip, hi, lo)
    if (isNew) heard(iface, ip, hi, lo, NUD_STALE, NEIGH_UPDATE_OVERRIDE, true)
    return row
  }

  /** An address no single station on this link can have as its own (RFC 1812 5.3.7, 4.2.2.11). */
  const isNoStation = (iface: number, ip: number): boolean => {
    if (isMulticast(ip) || isLoopback(ip) || ip === LIMITED_BROADCAST) return true
    const list = interfaces.addresses[iface]!
    for (let a = 0; a < list.length; a++) {
      const entry = list[a]!
      if (entry.prefixLength < 31 && ip === broadcastOf(entry.peer ?? entry.address, entry.prefixLength)) return true
    }
    return false
  }

  /** The MAC address of an interface of the stack: the packet is our own, come back or come by another interface of ours. */
  const isOwnMac = (s: number, hi: number, lo: number): boolean => {
    for (let i = 0; i < interfaces.capacity; i++) {
      if (interfaces.used[i] === 1 && stack[i] === s && macHi[i] === hi && macLo[i] === lo) return true
    }
    return false
  }

  /** Answers the request in `p` and ends it. */
  const reply = (p: number, iface: number): void => {
    const o = start[p]! + ETHERNET_HEADER
    const hi = arp.senderMacHi(view, o)
    const lo = arp.senderMacLo(view, o)
    const sender = arp.senderIp(view, o)
    const target = arp.targetIp(view, o)
    if (sendArp(packets, interfaces, toBridge, iface, arp.ARP_REPLY, hi, lo, target, hi, lo, sender)) packets.delivered(p)
    else packets.drop(p, NO_BUFFER)
  }

  /** Merges what the packet says into an entry that exists (RFC 826; locktime as in arp_process). */
  const merge = (row: number, o: number, iface: number, frame: number): void => {
    const hi = arp.senderMacHi(view, o)
    const lo = arp.senderMacLo(view, o)
    const isReply = arp.operation(view, o) === arp.ARP_REPLY
    const gratuitous = arp.senderIp(view, o) === arp.targetIp(view, o) &&
      (!isReply || (arp.targetMacHi(view, o) === hi && arp.targetMacLo(view, o) === lo))
    // Of several answers to one request the first one counts; a gratuitous announcement always does.
    const override = gratuitous || clock.now > neighbors.updated[row]! + locktime
    // Only an answer meant for us proves that it hears us.
    const toUs = mac.macHi(view, frame) === macHi[iface] && mac.macLo(view, frame) === macLo[iface]
    update(row, iface, hi, lo, isReply && toUs ? NUD_REACHABLE : NUD_STALE, override ? NEIGH_UPDATE_OVERRIDE : 0)
  }

  /**
   * An ARP frame, Ethernet header included, has come to an interface by broadcast or to its MAC address. Owns the packet;
   * does not write to it.
   */
  const receive = (p: number, iface: number): void => {
    const o = start[p]! + ETHERNET_HEADER
    const malformed = arp.checkArp(view, o, length[p]! - ETHERNET_HEADER)
    if (malformed !== OK) {
      packets.drop(p, malformed)
      return
    }
    const op = arp.operation(view, o)
    const target = arp.targetIp(view, o)
    if ((op !== arp.ARP_REQUEST && op !== arp.ARP_REPLY) || isMulticast(target) || isLoopback(target)) {
      packets.drop(p, ARP_IGNORED)
      return
    }
    const s = stack[iface]!
    const hi = arp.senderMacHi(view, o)
    const lo = arp.senderMacLo(view, o)
    const sender = arp.senderIp(view, o)
    if (mac.isGroup(hi) || mac.isZero(hi, lo) || (sender !== 0 && isNoStation(iface, sender))) {
      packets.drop(p, ARP_SENDER_INVALID)
      return
    }
    if (sender === 0) {
      // An address probe (RFC 5227 2.1.1): defend our own, learn nothing.
      if (op === arp.ARP_REQUEST && isLocal(s, target)) reply(p, iface)
      else packets.drop(p, ARP_IGNORED)
      return
    }
    if (isLocal(s, sender)) {
      packets.drop(p, isOwnMac(s, hi, lo) ? ARP_IGNORED : ARP_DUPLICATE_ADDRESS)
      return
    }
    if (op === arp.ARP_REQUEST) {
      if (isLocal(s, target)) {
        if (learn(iface, sender, hi, lo) >= 0) reply(p, iface)
        else packets.drop(p, NEIGH_TABLE_FULL)
        return
      }
      if (proxyArp[iface] !== 0 && forwarding[s] !== 0 && interfaceForwarding[iface] !== 0 && routeFor(s, iface, target)) {
        learn(iface, sender, hi, lo)
        reply(p, iface)
        return
      }
    }
    const row = neighbors.lookup(iface, sender)
    if (row < 0) {
      packets.drop(p, ARP_IGNORED)
      return
    }
    merge(row, o, iface, start[p]! + OFF_DESTINATION)
    packets.delivered(p)
  }

  return { receive }
}
