/** Packet sockets on one end of a veth pair; the other end is a host of the kernel's. Needs root. */
import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  close, CTL_RX_REFUSED, CTL_SLEPT, CTL_SLOT_BYTES, openNetns, openPacket, openUdp, PORT_PACKET, PORT_UDP, RX_FULL, RX_QINQ, RX_VLAN
} from '../../src/native.js'
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from '../../src/core/ports.js'
import { addNetns, inNs, ip, netnsTest, onSweep } from '../helpers/netns.js'
import { createRig, sockaddr } from './rig.js'

const nsTest = netnsTest(test)

/** `host` has eth0 with 10.9.0.1; its peer p0 is in `mine`, where the packet socket is. */
const setUp = (offload = true, addresses = true) => {
  const [mine, host] = [addNetns(), addNetns()]
  for (const ns of [mine, host]) inNs(ns, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
  ip('-n', mine, 'link', 'add', 'p0', 'address', '02:00:00:00:00:02', 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
  ip('-n', host, 'link', 'set', 'eth0', 'address', '02:00:00:00:00:01', 'up')
  ip('-n', mine, 'link', 'set', 'p0', 'up')
  if (addresses) ip('-n', host, 'addr', 'add', '10.9.0.1/24', 'dev', 'eth0')
  const [netns, netnsHost] = [openNetns(mine), openNetns(host)]
  const socket = openPacket({ netns, name: 'p0', offload })
  let open = true
  const end = () => {
    if (open) close(socket.fd)
    open = false
  }
  onSweep(() => {
    end()
    close(netns)
    close(netnsHost)
  })
  const rig = createRig()
  rig.io.addPort(3, socket.fd, PORT_PACKET, socket.vnetHeader)
  return { mine, host, netns, netnsHost, socket, rig, end }
}

const MACS = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
const promiscuity = (ns: string, name: string): number =>
  (JSON.parse(ip('-n', ns, '-d', '-j', 'link', 'show', name)) as { promiscuity: number }[])[0]!.promiscuity

/** A UDP socket of the host, and the host's neighbour entry for 10.9.0.2. */
const hostUdp = (netnsHost: number, host: string, port = 0) => {
  ip('-n', host, 'neigh', 'replace', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'eth0')
  const udp = openUdp({ netns: netnsHost, family: 4, address: '', port, gro: true, df: false, checksum: true, receive: true })
  onSweep(() => close(udp.fd))
  return udp
}

/** IPv4 and UDP headers of 10.9.0.2 to 10.9.0.1; the UDP checksum is that of the pseudo header, for NEEDS_CSUM. */
const udpFrame = (view: DataView, at: number, payload: number, port: number): number => {
  MACS.forEach((byte, i) => view.setUint8(at + i, byte))
  const words = [0x0800, 0x4500, 28 + payload, 0, 0, 0x4011, 0, 0x0a09, 2, 0x0a09, 1, 5555, port, 8 + payload, 0]
  words.forEach((word, i) => view.setUint16(at + 12 + i * 2, word))
  const sum = (list: number[]): number => list.reduce((a, b) => a + b) % 0xffff
  view.setUint16(at + 24, 0xffff - sum(words.slice(1, 11)))
  view.setUint16(at + 40, sum([0x0a09, 2, 0x0a09, 1, 17, 8 + payload]))
  for (let i = 0; i < payload; i++) view.setUint8(at + 42 + i, i * 5)
  return 42 + payload
}

const vnet = (view: DataView, at: number, gsoType: number, gsoSize: number): void => {
  view.setUint8(at, 1)
  view.setUint8(at + 1, gsoType)
  ;[42, gsoSize, 34, 6].forEach((word, i) => view.setUint16(at + 2 + i * 2, word, true))
}

nsTest('openPacket says what the device is', (t) => {
  const { socket, mine, netns, end } = setUp()
  const shown = (JSON.parse(ip('-n', mine, '-j', 'link', 'show', 'p0')) as { ifindex: number }[])[0]!
  const { fd, offloads, ...rest } = socket
  t.true(fd >= 0)
  t.is(offloads & (OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6), OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6)
  t.deepEqual(rest, { ifindex: shown.ifindex, mac: '02:00:00:00:00:02', mtu: 1500, up: true, vnetHeader: 10 })
  t.throws(() => openPacket({ netns, name: 'p9', offload: true }), { code: 'ENODEV', message: /p9: No such device/ })
  t.throws(() => openPacket({ netns, name: 'lo', offload: true }), { code: 'EINVAL', message: 'openPacket lo: not an Ethernet interface' })
  t.throws(() => openPacket({ netns, name: 'a/b', offload: true }), { instanceOf: RangeError })
  ip('-n', mine, 'link', 'set', 'p0', 'down')
  const plain = openPacket({ netns, name: 'p0', offload: false })
  t.deepEqual([plain.up, plain.vnetHeader, plain.offloads], [false, 0, 0])
  t.is(promiscuity(mine, 'p0'), 2)
  close(plain.fd)
  t.is(promiscuity(mine, 'p0'), 1)
  end()
  t.is(promiscuity(mine, 'p0'), 0, 'promiscuity ends with the socket')
})

nsTest('without offload: ARP and back, and own frames are not seen', (t) => {
  const { rig, socket } = setUp(false)
  const request = [
    ...Array.from({ length: 6 }, () => 255), 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 9, 0, 2, 0, 0, 0, 0, 0, 0,
    10, 9, 0, 1
  ]
  rig.arena.set(request, rig.out)
  rig.write(socket.fd, rig.out, request.length)
  rig.writev(socket.fd, [[rig.out, 14], [rig.out + 14, request.length - 14]])
  t.deepEqual(rig.send(), [0, 0])
  const got = rig.collect(3, 50)
  t.is(got.length, 2)
  for (const reply of got) {
    t.deepEqual([reply.tag, reply.length, reply.flags], [3, 42, 0])
    t.deepEqual([...reply.bytes.slice(0, 22)], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2])
  }
})

nsTest('a UDP super-frame goes both ways whole', (t) => {
  const { rig, socket, host, netnsHost } = setUp()
  const udp = hostUdp(netnsHost, host, 6000)
  rig.io.addPort(4, udp.fd, PORT_UDP, 0)
  const length = udpFrame(rig.view, rig.out, 10 * 1000 + 1, 6000)
  vnet(rig.view, rig.out - 10, 5, 1000)
  rig.writev(socket.fd, [[rig.out - 10, 52], [rig.out + 42, length - 42]])
  t.deepEqual(rig.send(), [0])
  const block = rig.collect(1)[0]!
  t.deepEqual([block.tag, block.length, block.high], [4, 10001, 1000])
  t.deepEqual(block.bytes, rig.arena.slice(rig.out + 42, rig.out + length))

  rig.addresses.set(sockaddr([10, 9, 0, 2], 5555))
  rig.datagram(udp.fd, [[rig.out, 20 * 1400]], 0, 1400)
  t.deepEqual(rig.send(), [0])
  const frame = rig.collect(1)[0]!
  t.deepEqual([frame.tag, frame.length, frame.flags], [3, 42 + 20 * 1400, 0])
  t.deepEqual([...frame.header.slice(0, 2)], [1, 5])
  t.deepEqual([frame.header[4]! | frame.header[5]! << 8, frame.header[6], frame.header[8]], [1400, 34, 6])
  t.deepEqual(frame.bytes.slice(42), rig.arena.slice(rig.out, rig.out + 20 * 1400))
})

nsTest('TCP super-frames of a host arrive whole', async (t) => {
  const { rig, host, mine } = setUp()
  // The packet socket sees what arrives beside the stack of its own namespace, which is the other end of the connection here.
  ip('-n', mine, 'addr', 'add', '10.9.0.2/24', 'dev', 'p0')
  const script = `
    import socket, sys
    s = socket.create_connection(('10.9.0.2', 7000))
    s.sendall(b'x' * 400000)
    s.close()`
  const server = spawn('ip', ['netns', 'exec', mine, 'python3', '-c', `
import socket
s = socket.create_server(('10.9.0.2', 7000))
print('ready', flush=True)
c, _ = s.accept()
while c.recv(65536): pass`], { stdio: ['ignore', 'pipe', 'inherit'] })
  onSweep(() => { server.kill() })
  await once(server.stdout, 'data')
  inNs(host, 'python3', '-c', script.replaceAll('\n    ', '\n'))
  const frames = rig.collect(100, 20)
  t.true(frames.some((x) => x.length > 3000 && x.header[1] === 1), 'a frame with gso type TCPV4')
})

nsTest('what is too long for a slot is said to be cut', (t) => {
  const { rig, host, netnsHost } = setUp()
  const udp = hostUdp(netnsHost, host)
  rig.addresses.set(sockaddr([10, 9, 0, 2], 5555))
  rig.control[CTL_SLOT_BYTES] = 142
  for (const length of [100, 101]) rig.datagram(udp.fd, [[rig.out, length]], 0)
  t.deepEqual(rig.send(), [0, 0])
  t.deepEqual(rig.collect(2).map((x) => [x.length, x.flags]), [[142, 0], [142, RX_FULL]])
})

nsTest('a VLAN tag comes beside the frame, and goes in it', (t) => {
  const { rig, netnsHost } = setUp(true, false)
  const far = openPacket({ netns: netnsHost, name: 'eth0', offload: true })
  onSweep(() => close(far.fd))
  const tagged = (at: number, tpid: number, tci: number, payload: number): number => {
    const length = udpFrame(rig.view, at, payload, 6000)
    rig.arena.copyWithin(at + 16, at + 12, at + length)
    rig.view.setUint16(at + 12, tpid)
    rig.view.setUint16(at + 14, tci)
    return length + 4
  }
  // A frame with partial checksum, a super-frame, one of 802.1ad with an inner 802.1Q tag.
  let length = tagged(rig.out, 0x8100, 3 << 13 | 7, 30)
  vnet(rig.view, rig.out - 10, 0, 0)
  rig.view.setUint16(rig.out - 4, 38, true)
  rig.write(far.fd, rig.out - 10, length + 10)
  const second = rig.out + 1000
  length = tagged(second, 0x8100, 4095, 20_000)
  vnet(rig.view, second - 10, 5, 1000)
  rig.view.setUint16(second - 8, 46, true)
  rig.view.setUint16(second - 4, 38, true)
  rig.write(far.fd, second - 10, length + 10)
  const third = rig.out + 30_000
  length = tagged(third, 0x8100, 5, 40)
  rig.arena.copyWithin(third + 16, third + 12, third + length)
  rig.view.setUint16(third + 12, 0x88a8)
  rig.view.setUint16(third + 14, 9)
  rig.write(far.fd, third - 10, length + 14)
  t.deepEqual(rig.send(), [0, 0, 0])
  const got = rig.collect(3)
  t.deepEqual(got.map((x) => [x.length, x.flags & 0xff, x.high]), [
    [72, RX_VLAN, 3 << 13 | 7], [20_042, RX_VLAN, 4095], [86, RX_VLAN | RX_QINQ, 9]
  ])
  t.deepEqual(got.map((x) => [...x.header.slice(0, 2), x.header[6]]), [[1, 0, 34], [1, 5, 34], [0, 0, 0]])
  t.deepEqual([...got[0]!.bytes.slice(12, 16)], [8, 0, 0x45, 0])
  t.deepEqual([...got[2]!.bytes.slice(12, 18)], [0x81, 0, 0, 5, 8, 0])
})

nsTest('a device that is down refuses frames, and comes back', (t) => {
  const { rig, mine, host, netnsHost, socket, netns } = setUp()
  const udp = hostUdp(netnsHost, host)
  ip('-n', mine, 'link', 'set', 'p0', 'down')
  t.deepEqual(rig.turn(1).arrivals, [])
  t.deepEqual(rig.turn(1).arrivals, [])
  t.is(rig.control[CTL_SLEPT], 1, 'and the thread can sleep')
  udpFrame(rig.view, rig.out, 10, 6000)
  rig.write(socket.fd, rig.out - 10, 62)
  const [error] = rig.send()
  t.true(error! > 0)
  ip('-n', mine, 'link', 'set', 'p0', 'up')
  rig.addresses.set(sockaddr([10, 9, 0, 2], 5555))
  rig.datagram(udp.fd, [[rig.out, 100]], 0)
  t.deepEqual(rig.send(), [0])
  t.is(rig.collect(1)[0]!.length, 142)
  t.is(rig.control[CTL_RX_REFUSED], 0)
  t.true(netns >= 0)
})

nsTest('a device that is down when it is opened gives frames once it is up', (t) => {
  const { rig, mine, netns, host, netnsHost } = setUp()
  ip('-n', mine, 'link', 'set', 'p0', 'down')
  const early = openPacket({ netns, name: 'p0', offload: true })
  onSweep(() => close(early.fd))
  t.true(rig.io.removePort(3))
  rig.io.addPort(8, early.fd, PORT_PACKET, 10)
  t.deepEqual([rig.turn(1), rig.turn(1)].flatMap((x) => x.arrivals), [])
  t.is(rig.control[CTL_SLEPT], 1)
  ip('-n', mine, 'link', 'set', 'p0', 'up')
  rig.addresses.set(sockaddr([10, 9, 0, 2], 5555))
  rig.datagram(hostUdp(netnsHost, host).fd, [[rig.out, 9]], 0)
  t.deepEqual(rig.send(), [0])
  t.deepEqual(rig.collect(1).map((x) => [x.tag, x.length]), [[8, 51]])
})

const ways: [string, (s: ReturnType<typeof setUp>) => void][] = [
  ['deleted', ({ mine }) => ip('-n', mine, 'link', 'del', 'p0')],
  ['deleted with its peer', ({ host }) => ip('-n', host, 'link', 'del', 'eth0')],
  ['down, then deleted after a turn', ({ mine, rig }) => {
    ip('-n', mine, 'link', 'set', 'p0', 'down')
    rig.turn(1)
    ip('-n', mine, 'link', 'del', 'p0')
  }],
  ['down, noticed by a write, then deleted', ({ mine, rig, socket }) => {
    ip('-n', mine, 'link', 'set', 'p0', 'down')
    rig.write(socket.fd, rig.out - 10, 70)
    rig.turn()
    ip('-n', mine, 'link', 'del', 'p0')
  }],
  ['moved to another namespace', ({ mine, host }) => ip('-n', mine, 'link', 'set', 'p0', 'netns', host, 'name', 'p7')]
]
for (const [title, away] of ways) {
  nsTest(`a device that is ${title} is gone, once`, (t) => {
    const set = setUp()
    const { rig } = set
    away(set)
    const gone = [rig.turn(1), rig.turn(1), rig.turn(1)].flatMap((x) => x.arrivals)
    t.is(gone.length, 1)
    t.deepEqual([gone[0]!.tag, gone[0]!.slot], [3, -1])
    t.true(gone[0]!.length < 0)
    rig.turn(1)
    t.is(rig.control[CTL_SLEPT], 1)
    t.true(rig.io.removePort(3))
  })
}

nsTest('frames of other interfaces of the namespace are not seen', (t) => {
  const { rig, mine, host, netnsHost } = setUp()
  const other = addNetns()
  ip('-n', mine, 'link', 'add', 'q0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', other)
  ip('-n', other, 'link', 'set', 'eth0', 'up')
  ip('-n', mine, 'link', 'set', 'q0', 'up')
  ip('-n', other, 'addr', 'add', '10.9.0.1/24', 'dev', 'eth0')
  const netnsOther = openNetns(other)
  onSweep(() => close(netnsOther))
  rig.addresses.set(sockaddr([10, 9, 0, 2], 5555))
  rig.datagram(hostUdp(netnsOther, other).fd, [[rig.out, 50]], 0)
  rig.datagram(hostUdp(netnsHost, host).fd, [[rig.out, 51]], 0)
  t.deepEqual(rig.send(), [0, 0])
  t.deepEqual(rig.collect(2, 20).map((x) => x.length), [93])
})
