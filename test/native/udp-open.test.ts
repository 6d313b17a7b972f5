/** How UDP sockets are opened: addresses, devices, groups, and what is refused. Needs root. */
import test from 'ava'
import { PORT_UDP } from '../../src/native.js'
import { ip, netnsTest } from '../helpers/netns.js'
import { createRig, sockaddr } from './rig.js'
import { open, pair, PORT, setUp, v6 } from './udp-pair.js'

const nsTest = netnsTest(test)

nsTest('a port that is taken, an address that is not there yet', (t) => {
  const { netnsA, netnsB, a, rig } = setUp()
  t.throws(() => open(netnsB, { port: PORT, receive: true }), { code: 'EADDRINUSE', message: /^bind \*:4789: Address already in use$/ })
  t.throws(() => open(netnsB, { port: PORT, address: '10.77.0.2' }), { code: 'EADDRINUSE', message: /^bind 10\.77\.0\.2:4789: / })
  t.notThrows(() => open(netnsB, { family: 6, port: PORT }), 'IPv6 by itself')
  t.throws(() => open(netnsB, { family: 6, port: PORT, address: 'fd77::2' }), { code: 'EADDRINUSE', message: /^bind \[fd77::2\]:4789: / })
  t.throws(() => open(netnsA, { device: 'nodev0' }), { code: 'ENODEV', message: /nodev0/ })
  t.throws(() => open(netnsA, { group: { address: '239.1.1.1', device: 'nodev0' }, receive: true }), { code: 'ENODEV' })
  t.throws(() => open(netnsA, { family: 6, address: '10.0.0.1' }), { instanceOf: RangeError })
  t.throws(() => open(netnsA, { address: '10.0.0.1x' }), { instanceOf: RangeError })
  t.throws(() => open(netnsA, { port: 65536 }), { instanceOf: RangeError })
  t.throws(() => open(netnsA, { family: 5 as 4 }), { instanceOf: RangeError })
  t.throws(() => open(netnsA, { device: 'a/b' }), { instanceOf: RangeError })

  for (const [family, address, later] of [[4, '10.77.0.99', '10.77.0.99/24'], [6, 'fd77::99', 'fd77::99/64']] as const) {
    const early = open(netnsA, { family, address })
    const row = family === 4 ? 0 : 1
    if (family === 6) {
      const receiver = open(netnsB, { family, port: 4790, receive: true })
      rig.io.addPort(5005, receiver.fd, PORT_UDP, 0)
      rig.addresses.set(sockaddr(v6(2), 4790), 8)
    }
    ip('-n', a, 'addr', 'add', later, 'dev', 'u0', ...(family === 6 ? ['nodad'] : []))
    rig.datagram(early.fd, [[rig.out, 5]], row)
    t.deepEqual(rig.send(), [0])
    t.is(rig.collect(1)[0]?.peer.address.at(-1), family === 4 ? 99 : 0x99)
  }
})

nsTest('link-local IPv6 needs the interface', (t) => {
  const { netnsB, b } = pair()
  const address = /inet6 (fe80::[\da-f:]+)/.exec(ip('-n', b, '-6', 'addr', 'show', 'dev', 'u0'))![1]!
  t.throws(() => open(netnsB, { family: 6, address }), { code: 'EINVAL' })
  t.true(open(netnsB, { family: 6, address, device: 'u0' }).port > 0)
  t.true(open(netnsB, { family: 6, address: `${address}%u0` }).port > 0)
  t.throws(() => open(netnsB, { family: 6, address: `${address}%u9` }), { code: 'ENODEV' })
})

nsTest('a group is joined on a device and sent to by one, and only members of their own receive', (t) => {
  const { netnsA, netnsB } = pair()
  const rig = createRig()
  const groups = [[4, '239.77.0.1', [239, 77, 0, 1]], [6, 'ff05::7701', [0xff, 5, ...Array.from({ length: 12 }, () => 0), 0x77, 1]]] as const
  for (const [family, address, bytes] of groups) {
    const member = open(netnsB, { family, port: PORT, receive: true, gro: true, group: { address, device: 'u0' } })
    const other = open(netnsB, { family, port: PORT + 1, receive: true, gro: true })
    const sender = open(netnsA, { family, device: 'u0' })
    rig.io.addPort(family, member.fd, PORT_UDP, 0)
    rig.io.addPort(family + 10, other.fd, PORT_UDP, 0)
    rig.addresses.set(sockaddr(bytes, PORT))
    rig.addresses.set(sockaddr(bytes, PORT + 1), 8)
    rig.datagram(sender.fd, [[rig.out, 12]], 1)
    rig.datagram(sender.fd, [[rig.out, 50], [rig.out, 50]], 0, 50, 3)
    t.deepEqual(rig.send(), [0, 0])
    t.deepEqual(rig.collect(2, 20).map(({ tag, length, high }) => [tag, length, high]), [[family, 100, 50]])
  }
})

nsTest('everyGroup: one socket takes what others have joined', (t) => {
  const { netnsA, netnsB } = pair()
  const rig = createRig()
  for (const [row, last] of [1, 2, 3].entries()) {
    if (last < 3) open(netnsB, { receive: true, group: { address: `239.77.0.${last}`, device: 'u0' } })
    rig.addresses.set(sockaddr([239, 77, 0, last], PORT), row * 8)
  }
  const all = open(netnsB, { port: PORT, receive: true, everyGroup: true })
  rig.io.addPort(1, all.fd, PORT_UDP, 0)
  const sender = open(netnsA, { device: 'u0' })
  for (const row of [0, 1, 2]) rig.datagram(sender.fd, [[rig.out, 10 + row]], row)
  t.deepEqual(rig.send(), [0, 0, 0])
  t.deepEqual(rig.collect(3, 20).map((x) => x.length), [10, 11], 'the third is joined by nobody')
})

nsTest('by `device` datagrams leave that interface whatever the routes say', (t) => {
  const { rig, netnsA, a } = setUp()
  ip('-n', a, 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1')
  ip('-n', a, 'link', 'set', 'd0', 'up')
  ip('-n', a, 'link', 'set', 'd1', 'up')
  ip('-n', a, 'route', 'add', '10.77.0.2/32', 'dev', 'd0')
  rig.datagram(open(netnsA).fd, [[rig.out, 5]], 0)
  rig.datagram(open(netnsA, { device: 'u0' }).fd, [[rig.out, 6]], 0)
  t.deepEqual(rig.send(), [0, 0])
  t.deepEqual(rig.collect(2, 20).map((x) => x.length), [6])
})
