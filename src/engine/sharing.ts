/**
 * What the engines of several workers tell each other. Each has all tables for itself; operations come to all of them in the same order,
 * so that rows are equal. What a packet teaches, only the worker that got it knows, and posts it (core/posts.ts): stations heard,
 * neighbours asked for and heard, path MTUs, answers to pings.
 *
 * What is posted is what was heard, not what became of it: every engine decides for itself what that changes. A post that was written
 * under another state of rows than the reader's is not applied, as its rows may be others' by now. A post that is lost is made up for by the
 * next refresh: of a station that goes on talking within SHARE_SECONDS (table/fdb.ts), of a neighbour when it is asked for again.
 */
import { P_FORWARDING, P_LEARNING, P_UP, PORT_FREE, type Ports } from '../core/ports.js'
import type { Posts } from '../core/posts.js'
import type { NeighborOutput } from '../element/neighbor.js'
import type { Ping } from '../element/ping.js'
import type { Fdb } from '../table/fdb.js'
import type { Interfaces } from '../table/interfaces.js'
import { ADDRESS_WORDS } from '../port/rings.js'
import { AF_INET, type Remotes } from '../table/remotes.js'
import { T_LEARNING, type Tunnels } from '../table/tunnels.js'

// Kinds of posts, in the record's first word; the second is the writer's state of rows
const STATION = 1 // filtering id, bridge, MAC hi, MAC lo, port, second
const FAR_STATION = 2 // tunnel, MAC hi, MAC lo, second, family, four words of address
const NEIGHBOR_ASKED = 3 // interface, IPv4 address
const NEIGHBOR_HEARD = 4 // interface, IPv4 address, MAC hi, MAC lo, state, NEIGH_UPDATE_ flags, 1 when it is to be made
const PATH_MTU = 5 // family, four words of address, MTU
const PING_REPLY = 6 // stack, identifier << 16 | sequence number, from, TTL, bytes
const PING_ERROR = 7 // stack, identifier << 16 | sequence number, from, type << 8 | code, rest, source, destination

/** Answers to pings that nobody here has sent are posted at most so often: who sends them unasked must not fill the rings. */
const PINGS_A_SECOND = 4096

/** What posts are applied to. */
export interface Shared {
  ports: Ports
  fdb: Fdb
  interfaces: Interfaces
  neighborOutput: NeighborOutput
  ping: Ping
  tunnels: Tunnels
  tunnelFdb: Fdb
  remotes: Remotes
  clock: { second: number }
  /** No row is left for a peer: makes room if it can. */
  collect: () => boolean
  /** Largest packet of the underlay on the way to an address. */
  pathMtu: (family: number, a: number, b: number, c: number, d: number, mtu: number) => void
}

export type Sharing = ReturnType<typeof createSharing>

/** `wake`: makes a sleeping worker's exchange return. `shared` is asked for once, with the first post that comes. */
export const createSharing = (posts: Posts, wake: (worker: number) => void, shared: () => Shared) => {
  const { words } = posts
  let rows = 0 // state of rows: operations that have changed which there are
  let applying = false
  let applied = 0
  let outdated = 0
  let pingSecond = -1
  let pings = 0
  let parts: Shared | undefined

  const begin = (kind: number): number => {
    if (applying) return -1
    const at = posts.begin()
    if (at >= 0) {
      words[at] = kind
      words[at + 1] = rows
    }
    return at
  }

  const applyStation = ({ ports, fdb }: Shared, at: number): void => {
    const filter = words[at + 2]!
    const hi = words[at + 4]!
    const lo = words[at + 5]!
    const port = words[at + 6]!
    const second = words[at + 7]!
    if (ports.kind[port] === PORT_FREE || ports.bridge[port] !== words[at + 3] || (ports.state[port]! & P_FORWARDING) !== P_FORWARDING ||
      (ports.state[port]! & P_LEARNING) === 0) return
    // Who has heard it last knows where it is
    const entry = fdb.find(filter, hi, lo)
    if (entry >= 0 && (fdb.portOf(entry) === port ? fdb.updatedOf(entry) >= second : fdb.updatedOf(entry) > second)) return
    fdb.learn(filter, words[at + 3]!, hi, lo, port, second)
  }

  const applyFarStation = ({ ports, tunnels, tunnelFdb, remotes, collect }: Shared, at: number): void => {
    const t = words[at + 2]!
    if (tunnels.used[t] === 0 || (tunnels.flags[t]! & T_LEARNING) === 0 || (ports.state[tunnels.port[t]!]! & P_UP) === 0) return
    const hi = words[at + 3]!
    const lo = words[at + 4]!
    const second = words[at + 5]!
    const family = words[at + 6]!
    const a = words[at + 7]!
    const b = words[at + 8]!
    const c = words[at + 9]!
    const d = words[at + 10]!
    const entry = tunnelFdb.find(t, hi, lo)
    if (entry >= 0) {
      const same = remotes.isAddress(tunnelFdb.portOf(entry), family, a, b, c, d)
      if (same ? tunnelFdb.updatedOf(entry) >= second : tunnelFdb.updatedOf(entry) > second) return
      if (same) {
        tunnelFdb.learn(t, t, hi, lo, tunnelFdb.portOf(entry), second)
        return
      }
    }
    let r = remotes.learned(t, family, a, b, c, d, tunnels.dstport[t]!, tunnels.vni[t]!)
    if (r < 0 && collect()) r = remotes.learned(t, family, a, b, c, d, tunnels.dstport[t]!, tunnels.vni[t]!)
    if (r >= 0) tunnelFdb.learn(t, t, hi, lo, r, second)
  }

  const apply = (at: number): void => {
    if (words[at + 1] !== rows) {
      outdated++
      return
    }
    const s = (parts ??= shared())
    applied++
    switch (words[at]) {
      case STATION:
        applyStation(s, at)
        return
      case FAR_STATION:
        applyFarStation(s, at)
        return
      case NEIGHBOR_ASKED:
        if (s.interfaces.used[words[at + 2]!] !== 0) s.neighborOutput.expect(words[at + 2]!, words[at + 3]!)
        return
      case NEIGHBOR_HEARD:
        if (s.interfaces.used[words[at + 2]!] === 0) return
        s.neighborOutput.heard(words[at + 2]!, words[at + 3]!, words[at + 4]!, words[at + 5]!, words[at + 6]!, words[at + 7]!, words[at + 8] !== 0)
        return
      case PATH_MTU:
        s.pathMtu(words[at + 2]!, words[at + 3]!, words[at + 4]!, words[at + 5]!, words[at + 6]!, words[at + 7]!)
        return
      case PING_REPLY:
        s.ping.heardReply(words[at + 2]!, words[at + 3]! >>> 16, words[at + 3]! & 0xffff, words[at + 4]!, words[at + 5]!, words[at + 6]!)
        return
      case PING_ERROR:
        s.ping.heardError(words[at + 2]!, words[at + 3]! >>> 16, words[at + 3]! & 0xffff, words[at + 7]!, words[at + 8]!, words[at + 4]!,
          words[at + 5]! >>> 8, words[at + 5]! & 0xff, words[at + 6]!)
        return
    }
  }

  const mayPing = (): boolean => {
    const { second } = (parts ??= shared()).clock
    if (second !== pingSecond) {
      pingSecond = second
      pings = 0
    }
    return pings++ < PINGS_A_SECOND
  }

  return {
    workers: posts.workers,
    /** Rows were added or taken away by an operation; every worker has to say so for the same ones. */
    restructured: (): void => {
      rows = (rows + 1) | 0
    },
    /** A station of a bridge was heard. */
    station: (filter: number, bridge: number, hi: number, lo: number, port: number, second: number): void => {
      const at = begin(STATION)
      if (at < 0) return
      words[at + 2] = filter
      words[at + 3] = bridge
      words[at + 4] = hi
      words[at + 5] = lo
      words[at + 6] = port
      words[at + 7] = second
      posts.commit(false)
    },
    /** A station was heard through a tunnel, from remote `r`. */
    farStation: (t: number, hi: number, lo: number, r: number, second: number): void => {
      const at = begin(FAR_STATION)
      if (at < 0) return
      const { addresses } = (parts ??= shared()).remotes
      const w = r * ADDRESS_WORDS
      const family = addresses[w]! & 0xffff
      const o = family === AF_INET ? w + 1 : w + 2
      words[at + 2] = t
      words[at + 3] = hi
      words[at + 4] = lo
      words[at + 5] = second
      words[at + 6] = family
      words[at + 7] = addresses[o]!
      words[at + 8] = family === AF_INET ? 0 : addresses[o + 1]!
      words[at + 9] = family === AF_INET ? 0 : addresses[o + 2]!
      words[at + 10] = family === AF_INET ? 0 : addresses[o + 3]!
      posts.commit(false)
    },
    /** A neighbour is asked for: whoever gets the answer needs to know that it is wanted. */
    neighborAsked: (iface: number, ip: number): void => {
      const at = begin(NEIGHBOR_ASKED)
      if (at < 0) return
      words[at + 2] = iface
      words[at + 3] = ip
      posts.commit(false)
    },
    /** A neighbour has said where it is; `made`: also who did not ask for it takes it in. Packets may wait for this. */
    neighborHeard: (iface: number, ip: number, hi: number, lo: number, state: number, flags: number, made: boolean): void => {
      const at = begin(NEIGHBOR_HEARD)
      if (at < 0) return
      words[at + 2] = iface
      words[at + 3] = ip
      words[at + 4] = hi
      words[at + 5] = lo
      words[at + 6] = state
      words[at + 7] = flags
      words[at + 8] = made ? 1 : 0
      posts.commit(true)
    },
    /** The underlay has told the largest packet on the way to an address. */
    pathMtu: (family: number, a: number, b: number, c: number, d: number, mtu: number): void => {
      const at = begin(PATH_MTU)
      if (at < 0) return
      words[at + 2] = family
      words[at + 3] = a
      words[at + 4] = b
      words[at + 5] = c
      words[at + 6] = d
      words[at + 7] = mtu
      posts.commit(false)
    },
    /** An echo reply that answers no ping of this worker. False when it was not posted. */
    pingReply: (stack: number, identifier: number, sequence: number, from: number, ttl: number, bytes: number): boolean => {
      const at = mayPing() ? begin(PING_REPLY) : -1
      if (at < 0) return false
      words[at + 2] = stack
      words[at + 3] = (identifier << 16) | sequence
      words[at + 4] = from
      words[at + 5] = ttl
      words[at + 6] = bytes
      posts.commit(true)
      return true
    },
    /** An ICMP error about an echo request that no ping of this worker has sent. False when it was not posted. */
    pingError: (
      stack: number, identifier: number, sequence: number, source: number, destination: number, from: number, type: number, code: number, rest: number
    ): boolean => {
      const at = mayPing() ? begin(PING_ERROR) : -1
      if (at < 0) return false
      words[at + 2] = stack
      words[at + 3] = (identifier << 16) | sequence
      words[at + 4] = from
      words[at + 5] = (type << 8) | code
      words[at + 6] = rest
      words[at + 7] = source
      words[at + 8] = destination
      posts.commit(true)
      return true
    },
    /** Before an exchange: wakes who is to read what was posted. With `sleeps`, false when there is something to be read before. */
    beforeExchange: (sleeps: boolean): boolean => {
      posts.wakeOthers(wake)
      if (!sleeps) return false
      posts.sleeps()
      if (!posts.pending()) return true
      posts.wakes()
      return false
    },
    /** After an exchange, before packets are looked at: takes in what the others have posted. */
    afterExchange: (slept: boolean): void => {
      if (slept) posts.wakes()
      applying = true
      posts.take(apply)
      applying = false
    },
    /** Posts that found no room, those taken in, and those written under another state of rows. */
    counts: (): { lost: number; applied: number; outdated: number } => ({ lost: posts.lost(), applied, outdated })
  }
}
