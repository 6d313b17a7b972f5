/** Packets that wait until their neighbour's MAC address is known: a queue an entry, bounded each and all together. */
import type { Packets } from '../core/packets.js'
import { NEIGH_QUEUE_FULL, NO_BUFFER } from '../reason.js'
import type { Neighbors } from '../table/neighbors.js'

export interface HeldLimits {
  /** Packets an entry may hold. */
  unresQlen: number
  /** Bytes of frames an entry may hold; a single packet may be larger. */
  unresQlenBytes: number
  /** Packets all entries may hold; at most a quarter of the pool's small slots is used. */
  maxHeld: number
  /** Of these, in large slots, which reception needs. */
  maxHeldLarge: number
}

export const createHeldPackets = (packets: Packets, neighbors: Neighbors, limits: HeldLimits) => {
  const { slot, length, next, largeSlots } = packets
  const { queueHead, queueTail, queueCount, queueBytes } = neighbors
  const { unresQlen, unresQlenBytes, maxHeldLarge } = limits
  const maxHeld = Math.min(limits.maxHeld, packets.smallSlots >> 2)
  let all = 0
  let large = 0

  const forget = (p: number): void => {
    all--
    if (slot[p]! < largeSlots) large--
  }

  const dropOldest = (row: number): void => {
    const p = queueHead[row]!
    queueHead[row] = next[p]!
    if (next[p]! < 0) queueTail[row] = -1
    queueCount[row] = queueCount[row]! - 1
    queueBytes[row] = queueBytes[row]! - length[p]!
    forget(p)
    packets.drop(p, NEIGH_QUEUE_FULL)
  }

  const full = (row: number, size: number): boolean =>
    queueCount[row]! >= unresQlen || queueBytes[row]! + size > unresQlenBytes

  /**
   * Queues a packet at an entry; owns it. The entry's oldest packets make room (unres_qlen_bytes). Where all entries together hold too
   * much and this one has nothing to give, the packet itself is lost; one that cannot leave its large slot is lost when too many did.
   */
  const add = (p: number, row: number): void => {
    const size = length[p]!
    while (queueCount[row]! > 0 && (full(row, size) || all >= maxHeld)) dropOldest(row)
    if (all >= maxHeld) {
      packets.drop(p, NEIGH_QUEUE_FULL)
      return
    }
    if (!packets.moveToSmall(p)) {
      if (large >= maxHeldLarge) {
        packets.drop(p, NO_BUFFER)
        return
      }
      large++
    }
    all++
    next[p] = -1
    if (queueTail[row]! < 0) queueHead[row] = p
    else next[queueTail[row]!] = p
    queueTail[row] = p
    queueCount[row] = queueCount[row]! + 1
    queueBytes[row] = queueBytes[row]! + size
  }

  /** Takes the whole queue off an entry: its first packet, the others by `next`, -1 at the end. The caller owns them. */
  const take = (row: number): number => {
    const first = queueHead[row]!
    for (let p = first; p >= 0; p = next[p]!) forget(p)
    queueHead[row] = -1
    queueTail[row] = -1
    queueCount[row] = 0
    queueBytes[row] = 0
    return first
  }

  /** Drops all packets of an entry. */
  const drop = (row: number, reason: number): void => {
    for (let p = take(row), then = -1; p >= 0; p = then) {
      then = next[p]!
      packets.drop(p, reason)
    }
  }

  return { add, take, drop, count: () => all }
}
