/** Super-frames on their way into an uplink: the bytes that are written, for each way a packet's own may lie, and what is left to the socket. */
import test from 'ava'
import { GSO_TCPV4, GSO_UDP_L4 } from '../../src/core/layout.js'
import { F_SLICE } from '../../src/core/packets.js'
import { createUplink } from '../../src/port/uplink.js'
import { createRings, CTL_TX_COUNT, TX_STRIDE, TX_WRITE, TX_WRITEV } from '../../src/port/rings.js'
import { AF_INET, createRemotes } from '../../src/table/remotes.js'
import { createTunnels } from '../../src/table/tunnels.js'
import { naiveSum } from '../oracle/naive-checksum.js'
import { be16, be32, ip4 } from '../oracle/naive-frames.js'
import { partial } from '../offload/naive-cut.js'
import { createPool, putSuper } from '../offload/packet-lab.js'

const PORT = 3
const TAP = 77
const LOCAL = 0xc0a84d01 | 0 // 192.168.77.1
const HEADER0 = 0x08000000
const HEADER1 = 42 << 8
const IDENTIFICATION = 0x8000

const createLab = (udpCsum = true) => {
  const packets = createPool()
  const remotes = createRemotes(16)
  const rings = createRings(packets, remotes.addresses)
  const tunnels = createTunnels(4)
  const t = tunnels.add()
  tunnels.uplinkCsum[t] = udpCsum ? 1 : 0
  tunnels.uplink[t] = TAP
  tunnels.uplinkTtl[t] = 64
  tunnels.local[t] = LOCAL
  tunnels.sendPorts[t] = Int32Array.of(50000, 50001)
  tunnels.sendPortsDf[t] = Int32Array.of(60000, 60001)
  const [word] = new Int32Array(Uint8Array.of(192, 168, 77, 2).buffer)
  const remote = remotes.add(t, AF_INET, word!, 0, 0, 0, 4789, 42)
  const send = createUplink({ packets, rings, tunnels, flush: () => undefined, random: () => 0.5 })
  /** The bytes of entry `i`. */
  const written = (i = rings.control[CTL_TX_COUNT]! - 1): number[] => {
    const [kind, fd, at, size] = rings.tx.subarray(i * TX_STRIDE, (i + 1) * TX_STRIDE)
    if (fd !== TAP) throw new Error(`descriptor ${fd}`)
    if (kind === TX_WRITE) return [...packets.bytes.subarray(at!, at! + size!)]
    if (kind !== TX_WRITEV) throw new Error(`kind ${kind}`)
    const bytes: number[] = []
    for (let g = at!; g < at! + size!; g++) bytes.push(...packets.bytes.subarray(rings.gather[g * 2]!, rings.gather[g * 2]! + rings.gather[g * 2 + 1]!))
    return bytes
  }
  return { packets, rings, tunnels, t, remote, send, written }
}

const le16 = (n: number): number[] => [n & 255, n >> 8]

/** A TCP or UDP packet of `size` bytes, behind `tags` of 802.1Q, its checksum that of the pseudo-header. */
const inner = (isTcp: boolean, size: number, tags: number): number[] => {
  const l4 = isTcp ? [...be16(1), ...be16(2), ...be32(3), ...be32(4), 0x50, 0x18, 0, 0, 0, 0, 0, 0] : [...be16(1), ...be16(2), 0, 0, 0, 0]
  const ip = [0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, isTcp ? 6 : 17, 0, 0, ...ip4('10.0.0.1'), ...ip4('10.0.0.2')]
  const data = Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255)
  const frame = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, ...ip, ...l4, ...data]
  const summed = partial(frame, 34, isTcp)
  const vlan = Array.from({ length: tags }, () => [0x81, 0, 0, 5]).flat()
  return [...summed.slice(0, 12), ...vlan, ...summed.slice(12)]
}

interface Shape {
  isTcp?: boolean
  tags?: number
  size?: number
  gso?: number
  stride?: number
}

const put = ({ packets }: ReturnType<typeof createLab>, { isTcp = true, tags = 0, size = 30_000, gso = 1400, stride = 0 }: Shape = {}) => {
  const frame = inner(isTcp, size, tags)
  const l4 = 34 + 4 * tags
  const headerLength = l4 + (isTcp ? 20 : 8)
  const p = putSuper(packets, frame, { gsoType: isTcp ? GSO_TCPV4 : GSO_UDP_L4, gsoSize: gso, csumStart: l4, csumOffset: isTcp ? 16 : 6, headerLength }, stride)
  return { p, frame, headerLength, l4 }
}

interface Outer {
  gsoType: number
  gso: number
  frame: number[]
  l4: number
  headerLength: number
  sourcePort?: number
  df?: boolean
  ttl?: number
  tos?: number
  id?: number
  udpCsum?: boolean
}

/** What the kernel wants to see (struct virtio_net_hdr_v1_hash_tunnel), then Ethernet, IPv4, UDP, VXLAN, by the definitions. */
const expected = ({
  gsoType, gso, frame, l4, headerLength, sourcePort = 50001, df = false, ttl = 64, tos = 0, id = IDENTIFICATION, udpCsum = true
}: Outer): number[] => {
  const vnet = [
    udpCsum ? 9 : 1, gsoType | 0x20, ...le16(50 + headerLength), ...le16(gso), ...le16(50 + l4), ...le16(16), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ...le16(34), ...le16(64)
  ]
  const mac = [2, 0x74, 0x77, 0x75, 0x70, 0x30]
  const addresses = [...ip4('192.168.77.1'), ...ip4('192.168.77.2')]
  const datagram = 16 + frame.length
  const ip = [0x45, tos, ...be16(20 + datagram), ...be16(id), df ? 0x40 : 0, 0, ttl + 1, 17, 0, 0, ...addresses]
  ip.splice(10, 2, ...be16(~naiveSum(ip) & 0xffff))
  const check = udpCsum ? naiveSum([...addresses, 0, 17, ...be16(datagram)]) : 0
  return [...vnet, ...mac, ...mac, 8, 0, ...ip, ...be16(sourcePort), ...be16(4789), ...be16(datagram), ...be16(check), 8, 0, 0, 0, 0, 0, 42, 0, ...frame]
}

test('in its own slot: written in one piece, headers in the headroom', (t) => {
  const lab = createLab()
  const { p, frame, l4, headerLength } = put(lab)
  t.true(lab.send(p, PORT, lab.t, 1, false, lab.remote, HEADER0, HEADER1, -1))
  t.is(lab.rings.tx[0], TX_WRITE)
  t.deepEqual(lab.written(), expected({ gsoType: GSO_TCPV4, gso: 1400, frame, l4, headerLength }))
  t.is(lab.rings.txPort[0], PORT)
  t.is(lab.packets.next[p], -1)
})

test('shared with another packet: its bytes and those before them stay as they are', (t) => {
  const lab = createLab()
  const { p, frame, l4, headerLength } = put(lab)
  const at = lab.packets.start[p]!
  const other = lab.packets.copy(p)
  const before = lab.packets.bytes.slice(at - 130, at)
  t.true(lab.send(p, PORT, lab.t, 1, false, lab.remote, HEADER0, HEADER1, -1))
  t.deepEqual(lab.written(), expected({ gsoType: GSO_TCPV4, gso: 1400, frame, l4, headerLength }))
  t.deepEqual(lab.packets.bytes.slice(at - 130, at), before)
  t.true(other >= 0)
})

test('a slice of a slot that others are in', (t) => {
  const lab = createLab()
  const { p, frame, l4, headerLength } = put(lab)
  lab.packets.flags[p] = lab.packets.flags[p]! | F_SLICE
  const at = lab.packets.start[p]!
  const before = lab.packets.bytes.slice(at - 130, at)
  t.true(lab.send(p, PORT, lab.t, 1, false, lab.remote, HEADER0, HEADER1, -1))
  t.deepEqual(lab.written(), expected({ gsoType: GSO_TCPV4, gso: 1400, frame, l4, headerLength }))
  t.deepEqual(lab.packets.bytes.slice(at - 130, at), before)
})

for (const [size, gso] of [[30_000, 1400], [1401, 1400], [4000, 100]] as const) {
  test(`in pieces (${size} bytes in segments of ${gso}): gathered in order`, (t) => {
    const lab = createLab()
    const { p, frame, l4, headerLength } = put(lab, { size, gso, stride: gso + 54 })
    t.true(lab.send(p, PORT, lab.t, 1, false, lab.remote, HEADER0, HEADER1, -1))
    t.deepEqual(lab.written(), expected({ gsoType: GSO_TCPV4, gso, frame, l4, headerLength }))
  })
}

test('TTL, TOS, DF with its own ports, no checksum; the identification goes on by as many as there are segments', (t) => {
  const lab = createLab(false)
  const { p, frame, l4, headerLength } = put(lab)
  const common = { gsoType: GSO_TCPV4, gso: 1400, frame, l4, headerLength, udpCsum: false }
  t.true(lab.send(p, PORT, lab.t, 0, true, lab.remote, HEADER0, HEADER1, 7 | (0xb8 << 8)))
  t.deepEqual(lab.written(), expected({ ...common, sourcePort: 60000, df: true, ttl: 7, tos: 0xb8 }))
  const q = put(lab).p
  t.true(lab.send(q, PORT, lab.t, 0, false, lab.remote, HEADER0, HEADER1, 0 | (4 << 8)))
  t.deepEqual(lab.written(), expected({ ...common, sourcePort: 50000, tos: 4, id: IDENTIFICATION + Math.ceil(30_000 / 1400) }))
})

test('left to the socket: UDP, a VLAN tag, too long for one outer packet, TTL 255, a complete checksum, more pieces than one write takes', (t) => {
  const lab = createLab()
  const { packets, rings, remote } = lab
  const refused = (p: number, ttlTos = -1): boolean => {
    const sent = lab.send(p, PORT, lab.t, 0, false, remote, HEADER0, HEADER1, ttlTos)
    packets.delivered(p)
    return !sent && rings.control[CTL_TX_COUNT] === 0
  }
  t.true(refused(put(lab, { isTcp: false }).p))
  t.true(refused(put(lab, { tags: 1 }).p))
  t.true(refused(put(lab, { size: 65_535 - 36 - 40 + 1 }).p))
  t.true(refused(put(lab).p, 255))
  const { p } = put(lab)
  packets.flags[p] = 0
  t.true(refused(p))
  t.true(refused(put(lab, { size: 256 * 20, gso: 20, stride: 80 }).p))
  t.true(lab.send(put(lab, { size: 65_535 - 36 - 14 - 40 }).p, PORT, lab.t, 0, false, remote, HEADER0, HEADER1, 254))
})
