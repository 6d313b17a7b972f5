/** Who has sent the datagrams in hand, mostly the same peer as those before, and its row for a tunnel. */
import { AF_INET, type Remotes } from '../table/remotes.js'
import type { Tunnels } from '../table/tunnels.js'
import type { UnmarkedPeers } from '../table/unmarked-peers.js'

export interface TunnelSenderParts {
  i32: Int32Array
  tunnels: Tunnels
  remotes: Remotes
  /** Who sends without marks where marks are expected. */
  unmarked: UnmarkedPeers
  /** Off: its row is looked up for every frame. */
  remembers: boolean
  /** No row is left for a peer: makes room if it can. */
  collect: () => boolean
}

// Of what is known. In an array: a variable that changes is checked and untagged at each use
const FAMILY = 0
/** Four words; of an IPv4 address the first. */
const ADDRESS = 1
/** The tunnel that its row was looked up for, -1 for none, */
const TUNNEL = 5
const REMOTE = 6
/** and when. */
const CHANGES = 7

export type TunnelSender = ReturnType<typeof createTunnelSender>

export const createTunnelSender = ({ i32, tunnels, remotes, unmarked, remembers, collect }: TunnelSenderParts) => {
  const known = new Int32Array(8)
  known[TUNNEL] = -1

  const learned = (t: number): number => remotes.learned(
    t, known[FAMILY]!, known[ADDRESS]!, known[ADDRESS + 1]!, known[ADDRESS + 2]!, known[ADDRESS + 3]!, tunnels.dstport[t]!, tunnels.vni[t]!
  )

  return {
    /** The sockaddr at word `w` is the sender's. */
    heard: (w: number): void => {
      const family = i32[w]! & 0xffff
      if (family === AF_INET) {
        if (known[FAMILY] === AF_INET && known[ADDRESS] === i32[w + 1] && known[CHANGES] === remotes.changes()) return
        known[CHANGES] = remotes.changes()
        known[ADDRESS] = i32[w + 1]!
        known[ADDRESS + 1] = known[ADDRESS + 2] = known[ADDRESS + 3] = 0
      } else for (let i = 0; i < 4; i++) known[ADDRESS + i] = i32[w + 2 + i]!
      known[FAMILY] = family
      known[TUNNEL] = -1
    },
    /** Its row for the tunnel; -1 when there is no room for one. */
    row: (t: number): number => {
      if (remembers && t === known[TUNNEL]) return known[REMOTE]!
      known[TUNNEL] = t
      let r = learned(t)
      if (r < 0 && collect()) r = learned(t)
      known[REMOTE] = r
      return r
    },
    /** Is it the peer of a row? */
    is: (r: number): boolean => remotes.isAddress(
      r, known[FAMILY]!, known[ADDRESS]!, known[ADDRESS + 1]!, known[ADDRESS + 2]!, known[ADDRESS + 3]!
    ),
    /** Its tag, as bits of a mark. */
    tag: (t: number): number => unmarked.tag(t, known[FAMILY]!, known[ADDRESS]!, known[ADDRESS + 1]!, known[ADDRESS + 2]!, known[ADDRESS + 3]!)
  }
}
