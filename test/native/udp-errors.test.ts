/** What the error queue of a UDP socket tells: of routers on the way, of the far end, of the path MTU. Needs root. */
import test from 'ava'
import { constants } from 'node:os'
import { CTL_RX_SLOTS, RX_ERROR, RX_META } from '../../src/native.js'
import { inNs, ip, netnsTest } from '../helpers/netns.js'
import { sockaddr } from './rig.js'
import { A, B, PORT, setUp, v6 } from './udp-pair.js'

const { ECONNREFUSED, EMSGSIZE } = constants.errno
const nsTest = netnsTest(test)

/** b forwards to a network behind it, on a link of that MTU; rows 2 and 3 are an address there. */
const withNetworkBehind = ({ a, b, rig }: ReturnType<typeof setUp>, mtu: number): void => {
  inNs(b, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
  ip('-n', b, 'link', 'add', 'd0', 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', 'd1')
  for (const name of ['d0', 'd1']) ip('-n', b, 'link', 'set', name, 'up')
  ip('-n', b, 'addr', 'add', '10.78.0.1/24', 'dev', 'd0')
  ip('-n', b, 'addr', 'add', 'fd78::1/64', 'dev', 'd0', 'nodad')
  ip('-n', b, 'neigh', 'replace', '10.78.0.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'd0')
  ip('-n', b, 'neigh', 'replace', 'fd78::9', 'lladdr', '02:00:00:00:00:09', 'dev', 'd0')
  ip('-n', a, 'route', 'add', '10.78.0.0/24', 'via', '10.77.0.2')
  ip('-n', a, 'route', 'add', 'fd78::/64', 'via', 'fd77::2')
  rig.addresses.set(sockaddr([10, 78, 0, 9], PORT), 16)
  rig.addresses.set(sockaddr([0xfd, 0x78, ...Array.from({ length: 13 }, () => 0), 9], PORT), 24)
}

nsTest('ttl: a datagram sent with 1 does not get past a router', (t) => {
  for (const [family, row, exceeded] of [[4, 2, [2, 11, 0]], [6, 3, [3, 3, 0]]] as const) {
    const set = setUp({ family }, { family })
    const { rig, sender, out } = set
    withNetworkBehind(set, 1500)
    rig.datagram(sender.fd, [[out, 20]], row, 0, 2)
    t.deepEqual(rig.send(), [0])
    t.deepEqual(rig.collect(1, 10), [])
    rig.datagram(sender.fd, [[out, 20]], row, 0, 1 | 4 << 8)
    t.deepEqual(rig.send(), [0])
    const error = rig.collect(1)[0]!
    t.is(error.tag, 5001)
    t.deepEqual([...error.bytes.slice(4, 7)], [...exceeded])
  }
})

nsTest('df: the MTU of a router further on comes as an error, then EMSGSIZE, also of a run', (t) => {
  for (const [family, row, origin, headers] of [[4, 2, 2, 28], [6, 3, 3, 48]] as const) {
    const set = setUp({ family }, { family, df: true })
    const { rig, sender, out } = set
    withNetworkBehind(set, 1300)
    rig.datagram(sender.fd, [[out, 1301 - headers]], row)
    t.deepEqual(rig.send(), [0])
    const told = rig.collect(1)[0]!
    const view = new DataView(told.bytes.buffer)
    t.deepEqual([view.getUint32(0, true), told.bytes[4], view.getUint32(8, true)], [EMSGSIZE, origin, 1300])
    rig.datagram(sender.fd, [[out, 1301 - headers]], row)
    rig.datagram(sender.fd, [[out, 5000]], row, 1301 - headers)
    rig.datagram(sender.fd, [[out, 5000]], row, 1300 - headers)
    t.deepEqual(rig.send(), [EMSGSIZE, EMSGSIZE, 0])
  }
})

nsTest('port unreachable is an entry, and the next send is not lost', (t) => {
  for (const [family, address, refused] of [[4, B, [2, 3, 3]], [6, v6(2), [3, 1, 4]]] as const) {
    const { rig, sender, out } = setUp({ family }, { family })
    rig.addresses.set(sockaddr(address, 9), 16)
    const row = family === 4 ? 0 : 1
    rig.datagram(sender.fd, [[out, 20]], 2) // nobody there: the answer is back at once
    rig.datagram(sender.fd, [[out, 21]], row)
    rig.datagram(sender.fd, [[out, 20]], 2)
    rig.datagram(sender.fd, [[out, 44], [out, 44]], row, 44)
    t.deepEqual(rig.send(), [0, 0, 0, 0])
    const all = rig.collect(4)
    t.deepEqual(all.filter((x) => x.tag === 5000).map((x) => x.length), [21, 88])
    const errors = all.filter((x) => x.tag === 5001)
    t.is(errors.length, 2)
    for (const error of errors) {
      t.deepEqual([error.length, error.flags], [16, RX_META | RX_ERROR])
      t.is(new DataView(error.bytes.buffer).getUint32(0, true), ECONNREFUSED)
      t.deepEqual([...error.bytes.slice(4, 7)], [...refused])
      t.deepEqual(error.peer, { family: family === 4 ? 2 : 10, port: 9, address: [...address] })
    }
    t.deepEqual(rig.turn(1).arrivals, [], 'the thread can sleep again')
  }
})

nsTest('a receiving socket that also sends has errors of its own, and stays', (t) => {
  const { rig, receiver, sender, out } = setUp()
  rig.addresses.set(sockaddr(A, 9), 16)
  rig.datagram(receiver.fd, [[out, 20]], 2)
  rig.datagram(sender.fd, [[out, 22]], 0)
  t.deepEqual(rig.send(), [0, 0])
  const all = rig.collect(2)
  t.deepEqual(all.map((x) => [x.tag, x.flags & RX_ERROR, x.length]), [[5000, RX_ERROR, 16], [5000, 0, 22]])
})

nsTest('at most 8 errors of a socket a turn, and none is lost by lack of slots', (t) => {
  const { rig, sender, out, control } = setUp()
  rig.addresses.set(sockaddr([127, 0, 0, 1], 9), 16) // ICMP over lo is not limited in rate
  for (let i = 0; i < 20; i++) rig.datagram(sender.fd, [[out, 20]], 2)
  const { errors, arrivals } = rig.turn()
  t.deepEqual(errors, Array.from({ length: 20 }, () => 0))
  t.is(arrivals.length, 8)
  control[CTL_RX_SLOTS] = 5
  t.deepEqual([rig.turn(), rig.turn(), rig.turn(), rig.turn(1)].map((x) => x.arrivals.length), [5, 5, 2, 0])
})

nsTest('df: the path MTU is an entry and EMSGSIZE; without df it is fragmented', (t) => {
  for (const df of [true, false]) {
    const { rig, sender, out, a, b } = setUp({ gro: false }, { df })
    ip('-n', a, 'link', 'set', 'u0', 'mtu', '1400')
    ip('-n', b, 'link', 'set', 'u0', 'mtu', '1400')
    rig.datagram(sender.fd, [[out, 1372]], 0)
    rig.datagram(sender.fd, [[out, 1373]], 0)
    const errors = rig.send()
    const all = rig.collect(3, 50)
    t.deepEqual(errors, df ? [0, EMSGSIZE] : [0, 0])
    t.deepEqual(all.filter((x) => x.tag === 5000).map((x) => x.length), df ? [1372] : [1372, 1373])
    const local = all.find((x) => x.tag === 5001)
    t.is(local === undefined, !df)
    if (local !== undefined) t.deepEqual([...local.bytes.slice(4, 12)], [1, 0, 0, 0, 0x78, 0x05, 0, 0]) // local, mtu 1400
  }
})
