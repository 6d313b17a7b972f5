/**
 * Rows of remotes that no entry of the tunnels' forwarding database points to: entries age, and stations move from one peer to another,
 * without a word to the table of remotes. They are collected when rows run out.
 */
import type { Fdb } from './fdb.js'
import { REMOTE_FREE, REMOTE_SET, type Remotes } from './remotes.js'

export type RemoteCollector = ReturnType<typeof createRemoteCollector>

/** `flush` sends what is queued: until then it names rows of its destinations. */
export const createRemoteCollector = (tunnelFdb: Fdb, remotes: Remotes, flush: () => void = () => undefined) => {
  const marks = new Uint8Array(remotes.capacity)
  let fruitless = -1

  const mark = (entry: number): void => {
    for (let r = tunnelFdb.portOf(entry); r >= 0; r = remotes.next[r]!) marks[r] = 1
  }

  /**
   * Gives back all rows that are not in use; returns how many. Walks the whole database, so that after a walk that found nothing the next
   * one within the same `second` is spared: peers that come faster than rows get free cost no more than that.
   */
  const collect = (second: number): number => {
    if (second === fruitless) return 0
    flush()
    marks.fill(0)
    for (let cursor = 0; cursor >= 0;) cursor = tunnelFdb.scan(cursor, tunnelFdb.slots(), mark)
    let given = remotes.collect(-1, marks)
    for (let r = 0; r < remotes.capacity; r++) {
      if (remotes.kind[r] !== REMOTE_SET || marks[r] !== 0) continue
      remotes.remove(r)
      given++
    }
    fruitless = given === 0 ? second : -1
    return given
  }

  return {
    collect,
    /** A tunnel goes: all its rows are free. Its entries are gone already. */
    removeTunnel: (t: number): void => {
      for (let r = 0; r < remotes.capacity; r++) if (remotes.kind[r] !== REMOTE_FREE && remotes.tunnel[r] === t) remotes.remove(r)
    }
  }
}
