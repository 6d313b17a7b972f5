/** Super-frames whose segment size nobody told may be cut finer, and only those. */
import test from 'ava'
import { GSO_TCPV4 } from '../../src/core/layout.js'
import { createPackets, F_GUESSED } from '../../src/core/packets.js'

test('segments get as long as asked, never longer than they were, and only where their size is a guess', (t) => {
  const packets = createPackets({ packets: 4, largeSlots: 2, smallSlots: 2, ports: 1 })
  const p = packets.originate(1000, 0)
  packets.headerLength[p] = 54
  packets.gsoSize[p] = 400
  packets.flags[p] = F_GUESSED
  t.false(packets.recut(p, 300), 'no super-frame')
  packets.gsoType[p] = GSO_TCPV4
  packets.flags[p] = 0
  t.false(packets.recut(p, 300), 'told')
  packets.flags[p] = F_GUESSED
  t.false(packets.recut(p, 54), 'no room for data')
  t.is(packets.gsoSize[p], 400)
  t.true(packets.recut(p, 1500))
  t.is(packets.gsoSize[p], 400)
  t.true(packets.recut(p, 300))
  t.is(packets.gsoSize[p], 246)
  // A copy's size is a guess, too
  const c = packets.copy(p)
  t.true(packets.recut(c, 200))
  t.deepEqual([packets.gsoSize[c], packets.gsoSize[p]], [146, 246])
})
