/** Whose datagrams are in hand: the row is that peer's, whoever was heard before and whatever became of rows meanwhile. */
import test from 'ava'
import { createTunnelSender } from '../../src/element/tunnel-sender.js'
import { AF_INET, createRemotes } from '../../src/table/remotes.js'
import { createTunnels } from '../../src/table/tunnels.js'
import { createUnmarkedPeers } from '../../src/table/unmarked-peers.js'

const AF_INET6 = 10
/** Sockaddrs, of eight words each. */
const A = 0
const B = 8
const SIX = 16

const createParts = (collect: (remotes: ReturnType<typeof createRemotes>) => boolean = () => false, capacity = 16) => {
  const i32 = new Int32Array(32)
  i32.set([AF_INET | (50000 << 16), 0x0100000a], A)
  i32.set([AF_INET | (50001 << 16), 0x0200000a], B)
  i32.set([AF_INET6, 0, 1, 2, 3, 4], SIX)
  const remotes = createRemotes(capacity, 1)
  const sender = createTunnelSender({
    i32, tunnels: createTunnels(), remotes, unmarked: createUnmarkedPeers(), remembers: true, collect: () => collect(remotes)
  })
  return { remotes, sender }
}

test('a row is of the peer heard last, and of the tunnel asked for', (t) => {
  const { remotes, sender } = createParts()
  const isOf = (r: number, tunnel: number, ...address: [number, number, number, number, number]): boolean =>
    remotes.tunnel[r] === tunnel && remotes.isAddress(r, ...address)
  for (const tunnel of [0, 1, 0, 0]) {
    sender.heard(A)
    t.true(isOf(sender.row(tunnel), tunnel, AF_INET, 0x0100000a, 0, 0, 0))
    t.true(isOf(sender.row(1 - tunnel), 1 - tunnel, AF_INET, 0x0100000a, 0, 0, 0))
    sender.heard(B)
    t.true(isOf(sender.row(tunnel), tunnel, AF_INET, 0x0200000a, 0, 0, 0))
    sender.heard(SIX)
    t.true(isOf(sender.row(tunnel), tunnel, AF_INET6, 1, 2, 3, 4))
    t.true(sender.is(sender.row(tunnel)))
    sender.heard(A)
    t.false(sender.is(remotes.learned(tunnel, AF_INET6, 1, 2, 3, 4, 0, 0)))
  }
  t.is(remotes.count(), 6)
})

test('a row that was given back and is another peer\'s now is not taken for its own', (t) => {
  const { remotes, sender } = createParts()
  sender.heard(A)
  const before = sender.row(0)
  remotes.remove(before)
  t.is(remotes.add(0, AF_INET, 0x0900000a, 0, 0, 0, 4789, 42), before)
  sender.heard(A)
  t.not(sender.row(0), before)
  t.true(remotes.isAddress(sender.row(0), AF_INET, 0x0100000a, 0, 0, 0))
})

test('without a free row it is asked for one, and without one there is none', (t) => {
  const none = createParts(() => false, 1)
  none.sender.heard(A)
  t.is(none.sender.row(0), 0)
  none.sender.heard(B)
  t.deepEqual([none.sender.row(0), none.sender.row(0)], [-1, -1])
  const some = createParts((remotes) => {
    remotes.remove(0)
    return true
  }, 1)
  some.sender.heard(A)
  t.is(some.sender.row(0), 0)
  some.sender.heard(B)
  t.is(some.sender.row(0), 0)
  t.true(some.remotes.isAddress(0, AF_INET, 0x0200000a, 0, 0, 0))
})
