/** Entries of UDP sockets that are wrong, whatever stands in them. Needs root. */
import test from 'ava'
import fc from 'fast-check'
import { constants } from 'node:os'
import { CTL_GSO_FALLBACKS, CTL_RX_SLOTS, CTL_TX_COUNT, newEventFd, PORT_UDP, TX_SENDMSG } from '../../src/native.js'
import { netnsTest } from '../helpers/netns.js'
import type { Range } from './rig.js'
import { setUp } from './udp-pair.js'

const { EBADF, EFAULT, EINVAL, ENOTSOCK } = constants.errno
const nsTest = netnsTest(test)

nsTest('wrong entries are errors, whatever they say', (t) => {
  const { rig, sender, out, arena } = setUp()
  rig.addresses.set([1, 0, 0, 0], 16) // AF_UNIX
  const event = newEventFd()
  const first = rig.datagram(sender.fd, [[arena.length - 3, 4]], 0)
  t.is(first, 0)
  rig.datagram(sender.fd, [[-1, 4]], 0)
  rig.datagram(sender.fd, [[out, -4]], 0)
  rig.datagram(sender.fd, [[0x7fffffff, 0x7fffffff]], 0)
  rig.datagram(sender.fd, [[out, 4]], -1)
  rig.datagram(sender.fd, [[out, 4]], 8)
  rig.datagram(sender.fd, [[out, 4]], 0x7fffffff)
  rig.datagram(sender.fd, [[out, 4]], 2)
  rig.datagram(sender.fd, [[out, 4]], 0, -1)
  rig.datagram(sender.fd, [[out, 4]], 0, 65536)
  rig.datagram(sender.fd, [], 0)
  rig.datagram(sender.fd, Array.from({ length: 513 }, (): Range => [out, 1]), 0)
  rig.datagram(event, [[out, 4]], 0)
  rig.datagram(0x7ffffff0, [[out, 4]], 0)
  rig.datagram(sender.fd, Array.from({ length: 512 }, (): Range => [out, 2]), 0, 8) // 128 datagrams
  rig.datagram(sender.fd, [[out, 129 * 8]], 0, 8) // 129: cut here
  t.deepEqual(rig.send(), [
    EFAULT, EFAULT, EFAULT, EFAULT, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, ENOTSOCK, EBADF, 0, 0
  ])
  t.is(rig.control[CTL_GSO_FALLBACKS], 1)
})

nsTest('a slot without room for an address, a port that is no socket', (t) => {
  const { rig, sender, out } = setUp()
  rig.datagram(sender.fd, [[out, 4]], 0)
  rig.rxSlots[0] = 41
  t.throws(() => rig.turn(50), { instanceOf: RangeError })
  rig.rxSlots[0] = 42
  t.is(rig.collect(1)[0]!.length, 4)
  const event = newEventFd()
  rig.io.addPort(1, event, PORT_UDP, 0)
  rig.rxSlots[0] = 66
  t.deepEqual(rig.turn().arrivals, [])
})

nsTest('whatever stands in the arrays, a turn ends with an errno in every entry', (t) => {
  const { rig, sender } = setUp()
  const edge = fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(-0x80000000, 0x7fffffff, 511, 512, 513, 65535, rig.out), fc.integer())
  const words = (length: number) => fc.array(edge, { minLength: length, maxLength: length })
  fc.assert(fc.property(words(5 * 8), words(32), words(64), words(4), fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    (entries, gather, addresses, slots, send) => {
      rig.tx.set(entries)
      // Only of the own socket; a write to a socket without destination is an error too.
      for (let i = 0; i < 5; i++) rig.tx.set([send[i]! ? TX_SENDMSG : entries[i * 8]! & 1, sender.fd], i * 8)
      rig.gather.set(gather)
      rig.addresses.set(addresses)
      rig.addresses[8] = 2
      rig.addresses[16] = 10
      rig.rxSlots.set(slots)
      rig.control[CTL_TX_COUNT] = 5
      rig.control[CTL_RX_SLOTS] = 4
      try {
        rig.turn()
      } catch (error) {
        t.true(error instanceof RangeError)
      }
      rig.control[CTL_TX_COUNT] = 0
      return [0, 1, 2, 3, 4].every((i) => rig.tx[i * 8 + 7]! >= 0 && rig.tx[i * 8 + 7]! < 4096)
    }), { numRuns: 500 })
  t.pass()
})
