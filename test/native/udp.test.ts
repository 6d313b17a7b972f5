/** UDP sockets in the exchange, between namespaces with a veth pair. Needs root. */
import test from 'ava'
import fc from 'fast-check'
import { constants } from 'node:os'
import {
  close, CTL_GSO_FALLBACKS, CTL_RX_SLOTS, CTL_SLOT_BYTES, CTL_TX_COUNT, newEventFd, openNetns, openUdp, PORT_ERRORS, PORT_UDP, RX_ERROR,
  RX_FULL, RX_META, TX_SENDMSG, type Udp, type UdpOptions
} from '../../src/native.js'
import { addNetns, inNs, ip, netnsTest, onSweep } from '../helpers/netns.js'
import { createRig, sockaddr, type Range } from './rig.js'

const { EBADF, ECONNREFUSED, EFAULT, EINVAL, EMSGSIZE, ENOTSOCK } = constants.errno
const nsTest = netnsTest(test)
const PORT = 4789
const A = [10, 77, 0, 1]
const B = [10, 77, 0, 2]
const v6 = (last: number): number[] => [0xfd, 0x77, ...Array.from({ length: 13 }, () => 0), last]

/** Two machines, a and b, with a veth pair u0 and both families. */
const pair = () => {
  const [a, b] = [addNetns(), addNetns()]
  ip('-n', a, 'link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u0', 'netns', b)
  for (const [ns, host] of [[a, 1], [b, 2]] as const) {
    ip('-n', ns, 'link', 'set', 'lo', 'up')
    ip('-n', ns, 'link', 'set', 'u0', 'up')
    ip('-n', ns, 'addr', 'add', `10.77.0.${host}/24`, 'dev', 'u0')
    ip('-n', ns, 'addr', 'add', `fd77::${host}/64`, 'dev', 'u0', 'nodad')
  }
  const open = (name: string) => {
    const netns = openNetns(name)
    onSweep(() => close(netns))
    return netns
  }
  return { a, b, netnsA: open(a), netnsB: open(b) }
}

const open = (netns: number, options: Partial<UdpOptions> = {}): Udp => {
  const udp = openUdp({
    netns, family: 4, address: '', port: 0, gro: false, df: false, checksum: true, receive: false, ...options
  })
  onSweep(() => close(udp.fd))
  return udp
}

/** a sends, b receives on PORT; row 0 is b, row 1 is b over IPv6. */
const setUp = (receive: Partial<UdpOptions> = {}, send: Partial<UdpOptions> = {}) => {
  const names = pair()
  const rig = createRig()
  const receiver = open(names.netnsB, { port: PORT, gro: true, receive: true, ...receive })
  const sender = open(names.netnsA, send)
  rig.io.addPort(5000, receiver.fd, PORT_UDP, 0)
  rig.io.addPort(5001, sender.fd, PORT_ERRORS, 0)
  rig.addresses.set(sockaddr(B, PORT))
  rig.addresses.set(sockaddr(v6(2), PORT), 8)
  for (let i = 0; i < 65536; i++) rig.arena[rig.out + i] = i * 7 + (i >> 8)
  return { ...names, ...rig, rig, receiver, sender }
}

nsTest('a single datagram arrives with its sender, its tos and no gso size', (t) => {
  const { rig, sender, out, arena, receiver } = setUp()
  t.true(receiver.gro)
  t.true(sender.segment)
  t.false(sender.gro)
  t.is(receiver.port, PORT)
  rig.datagram(sender.fd, [[out, 100]], 0, 0, 9 | 0xb9 << 8)
  t.deepEqual(rig.send(), [0])
  const [got, ...more] = rig.collect(1)
  t.is(more.length, 0)
  t.deepEqual([got!.tag, got!.slot, got!.length, got!.flags & 0xff, got!.low, got!.high], [5000, 0, 100, RX_META, 0xb9, 0])
  t.deepEqual(got!.bytes, arena.slice(out, out + 100))
  t.deepEqual(got!.peer, { family: 2, port: sender.port, address: A })
})

nsTest('IPv6: the same, by rows in addresses', (t) => {
  const { rig, sender } = setUp({ family: 6 }, { family: 6, address: 'fd77::1', port: 50001 })
  rig.datagram(sender.fd, [[rig.out, 33]], 1, 0, 12 << 8)
  t.deepEqual(rig.send(), [0])
  const got = rig.collect(1)[0]!
  t.deepEqual([got.length, got.low, got.high], [33, 12, 0])
  t.deepEqual(got.peer, { family: 10, port: 50001, address: v6(1) })
  rig.datagram(sender.fd, [[rig.out, 1000], [rig.out + 1000, 1000]], 1, 1000, 7)
  t.deepEqual(rig.send(), [0])
  const block = rig.collect(1)[0]!
  t.deepEqual([block.length, block.high], [2000, 1000])
  rig.datagram(sender.fd, [[rig.out, 10]], 0) // an IPv4 destination
  t.not(rig.send()[0], 0)
})

nsTest('a run is gathered from many ranges, and arrives as one block with its gso size', (t) => {
  const { rig, sender, out, arena } = setUp()
  const ranges: Range[] = []
  const expected: number[] = []
  for (let i = 0; i < 44; i++) {
    const length = i < 43 ? 1400 : 100
    ranges.push([out + 60000 + i, 54], [out + i * 1300, length])
    expected.push(...arena.slice(out + 60000 + i, out + 60000 + i + 54), ...arena.slice(out + i * 1300, out + i * 1300 + length))
  }
  rig.datagram(sender.fd, ranges, 0, 1454)
  t.deepEqual(rig.send(), [0])
  const got = rig.collect(1)
  t.is(got.length, 1)
  t.is(got[0]!.high, 1454)
  t.is(got[0]!.length, 43 * 1454 + 154)
  t.deepEqual(got[0]!.bytes, Uint8Array.from(expected))
  t.is(rig.control[CTL_GSO_FALLBACKS], 0)
})

nsTest('without UDP_GRO each datagram comes by itself; 16 and more in one turn', (t) => {
  const { rig, sender, out, receiver } = setUp({ gro: false })
  t.false(receiver.gro)
  rig.datagram(sender.fd, [[out, 40 * 100 - 1]], 0, 100)
  const got = rig.collect(40)
  t.deepEqual(got.map(({ length, high }) => [length, high]), [...Array.from({ length: 39 }, () => [100, 0]), [99, 0]])
  t.deepEqual(got.map(({ bytes }) => bytes[0]), got.map((_, i) => rig.arena[out + i * 100]))
})

nsTest('the largest datagram, and one more byte', (t) => {
  const { rig, sender, out, arena } = setUp()
  rig.datagram(sender.fd, [[out, 30000], [out + 30000, 35507]], 0)
  rig.datagram(sender.fd, [[out, 30000], [out + 30000, 35508]], 0)
  t.deepEqual(rig.send(), [0, EMSGSIZE])
  const got = rig.collect(2).find((x) => x.tag === 5000)!
  t.is(got.length, 65507)
  t.is(got.flags & RX_FULL, 0)
  t.deepEqual(got.bytes, arena.slice(out, out + 65507))
})

nsTest('what is longer than the slot is said to be cut', (t) => {
  const { rig, sender, out, control } = setUp()
  control[CTL_SLOT_BYTES] = 92
  for (const length of [100, 101]) rig.datagram(sender.fd, [[out, length]], 0)
  const got = rig.collect(2)
  t.deepEqual(got.map((a) => [a.length, a.flags & RX_FULL]), [[100, 0], [100, RX_FULL]])
})

nsTest('few slots: nothing is lost, it comes in later turns', (t) => {
  const { rig, sender, out, control } = setUp({ gro: false })
  rig.datagram(sender.fd, [[out, 10 * 50]], 0, 50)
  control[CTL_RX_SLOTS] = 3
  const turns = [rig.turn().arrivals.length]
  while (turns.at(-1)! > 0) turns.push(rig.turn().arrivals.length)
  t.deepEqual(turns, [3, 3, 3, 1, 0])
})

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

nsTest('a gso size that does not fit the MTU falls back to single datagrams', (t) => {
  const { rig, sender, out, control, arena } = setUp({ gro: false })
  rig.datagram(sender.fd, [[out, 1000], [out + 1000, 999], [out + 1999, 0], [out + 1999, 3002]], 0, 2000) // MTU 1500
  t.deepEqual(rig.send(), [0])
  t.is(control[CTL_GSO_FALLBACKS], 1)
  const got = rig.collect(3)
  t.deepEqual(got.map((x) => x.length), [2000, 2000, 1001])
  t.deepEqual(Uint8Array.from(got.flatMap((x) => [...x.bytes])), arena.slice(out, out + 5001))
})

nsTest('the fallback cuts any list of ranges at the right places', (t) => {
  const { rig, sender, out, arena } = setUp({ gro: false, checksum: false }, { checksum: false })
  t.false(sender.segment, 'no checksum, no segmentation')
  fc.assert(fc.property(
    fc.array(fc.nat(300), { minLength: 1, maxLength: 40 }).filter((lengths) => lengths.some((n) => n > 0)), fc.integer({ min: 50, max: 900 }),
    (lengths, size) => {
      const total = lengths.reduce((sum, n) => sum + n)
      fc.pre(total <= size * 30)
      let at = out
      rig.datagram(sender.fd, lengths.map((n): Range => [(at += n) - n, n]), 0, size)
      const expected = Math.ceil(total / size)
      t.deepEqual(rig.send(), [0])
      const got = rig.collect(expected)
      t.deepEqual(got.map((x) => x.length), Array.from({ length: expected }, (_, i) => Math.min(size, total - i * size)))
      t.deepEqual(Uint8Array.from(got.flatMap((x) => [...x.bytes])), arena.slice(out, out + total))
    }), { numRuns: 60 })
})

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

nsTest('a socket that only sends keeps nothing that is sent to it', (t) => {
  const { rig, sender, receiver, out, a } = setUp()
  rig.addresses.set(sockaddr(A, sender.port), 16)
  rig.datagram(receiver.fd, [[out, 1000]], 2)
  t.deepEqual(rig.send(), [0])
  t.deepEqual(rig.turn(5).arrivals, [])
  t.regex(inNs(a, 'ss', '-Huan', `sport = ${sender.port}`), /^UNCONN\s+0\s+0/)
})

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
