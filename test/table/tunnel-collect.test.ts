import test from 'ava'
import { createFdb, F_STATIC } from '../../src/table/fdb.js'
import { AF_INET, createRemotes, REMOTE_FREE } from '../../src/table/remotes.js'
import { createRemoteCollector } from '../../src/table/tunnel-collect.js'

test('rows that no entry points to are given back, learned ones and those set by hand', (t) => {
  const fdb = createFdb()
  const remotes = createRemotes(64)
  const { collect } = createRemoteCollector(fdb, remotes)
  const row = (a: number): number => remotes.add(0, AF_INET, a, 0, 0, 0, 4789, 42)
  const learned = (a: number): number => remotes.learned(0, AF_INET, a, 0, 0, 0, 4789, 42)
  // A list of two, a station set by hand, one that is learned; and three rows that nobody has
  const list = row(1)
  remotes.next[list] = row(2)
  fdb.add(0, 0, 0, 0, list, F_STATIC, 0)
  fdb.add(0, 0, 0x4202, 1, row(3), F_STATIC, 0)
  fdb.learn(1, 1, 0x4202, 1, learned(4), 0)
  const lost = [row(5), learned(6), learned(7)]
  t.is(remotes.count(), 7)
  t.is(collect(10), 3)
  t.deepEqual(lost.map((r) => remotes.kind[r]), [REMOTE_FREE, REMOTE_FREE, REMOTE_FREE])
  t.is(remotes.count(), 4)
  t.deepEqual([remotes.isAddress(list, AF_INET, 1, 0, 0, 0), remotes.isAddress(remotes.next[list]!, AF_INET, 2, 0, 0, 0)], [true, true])
  // It is found again by its address
  const again = learned(4)
  t.is(again, fdb.portOf(fdb.find(1, 0x4202, 1)))
})

test('after a walk for nothing the next one waits for another second', (t) => {
  const fdb = createFdb()
  const remotes = createRemotes(4)
  const { collect } = createRemoteCollector(fdb, remotes)
  t.is(collect(10), 0)
  remotes.learned(0, AF_INET, 9, 0, 0, 0, 4789, 42)
  t.is(collect(10), 0)
  t.is(collect(11), 1)
  remotes.learned(0, AF_INET, 9, 0, 0, 0, 4789, 42)
  t.is(collect(11), 1)
})

test('a tunnel that goes gives all its rows back, and no others', (t) => {
  const remotes = createRemotes(16)
  const { removeTunnel } = createRemoteCollector(createFdb(), remotes)
  for (const tunnel of [0, 1, 0, 1, 1]) remotes.add(tunnel, AF_INET, 1, 0, 0, 0, 4789, 42)
  remotes.learned(1, AF_INET, 1, 0, 0, 0, 4789, 42)
  removeTunnel(1)
  t.is(remotes.count(), 2)
})
