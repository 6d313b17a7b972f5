import test from 'ava'
import { F_LINK_BROADCAST, F_NEEDS_CSUM } from '../../src/core/packets.js'
import { GSO_TCPV4 } from '../../src/core/layout.js'
import { createIcmpError } from '../../src/element/icmp-error.js'
import { BEYOND, HOST, NEAR, bytesOf, icmp, ip, ipPacket, localLab, shape, tcpSegment, udpDatagram, type Ip4Fields } from '../helpers/local-lab.js'

const transit: Ip4Fields = { destination: BEYOND, protocol: 17 }
const datagram = ipPacket(transit, udpDatagram(Buffer.from('data'), HOST, BEYOND))
const quote = '45000020123400004011' + '50fc' + '0a4d01020a4d0202' + '045708ae000c027164617461'

test('the quoted packet of these tests', (t) => {
  t.is(datagram.toString('hex'), quote)
})

/** Literal bytes of each error about `datagram`: from 10.77.1.1 to 10.77.1.2, precedence 6, TTL 64. */
const literal = (head: string): string => shape('45c0003c' + '0001' + '0000' + '4001' + '6364' + '0a4d01010a4d0102' + head + quote)

test('destination unreachable: network, host, protocol, port, prohibited', (t) => {
  for (const [code, head] of [
    [0, '030014bb00000000'], [1, '030114ba00000000'], [2, '030214b900000000'], [3, '030314b800000000'], [13, '030d14ae00000000']
  ] as const) {
    t.deepEqual(localLab().errorAbout(datagram, 3, code).map(shape), [literal(head)])
  }
})

test('fragmentation needed carries the MTU', (t) => {
  t.deepEqual(localLab().errorAbout(datagram, 3, 4, 1400).map(shape), [literal('03040f3f00000578')])
})

test('time exceeded, in transit and in reassembly', (t) => {
  t.deepEqual(localLab().errorAbout(datagram, 11, 0).map(shape), [literal('0b000cbb00000000')])
  t.deepEqual(localLab().errorAbout(datagram, 11, 1).map(shape), [literal('0b010cba00000000')])
})

test('parameter problem carries its pointer', (t) => {
  t.deepEqual(localLab().errorAbout(datagram, 12, 0, 22 << 24).map(shape), [literal('0c00f5ba16000000')])
})

test('redirect carries the gateway, and comes less often while it is ignored', (t) => {
  const lab = localLab()
  const redirect = (): string[] => {
    const p = lab.packet(datagram)
    lab.errors.redirect(p, lab.eth0, ip('10.77.1.9'))
    lab.packets.delivered(p)
    return lab.sent.splice(0).map(shape)
  }
  t.deepEqual(redirect(), [literal('050107640a4d0109')])
  t.deepEqual(redirect(), [])
  lab.clock.now = 41
  t.is(redirect().length, 1)
  t.is(lab.errors.sent[5], 2)
  t.true(lab.isWhole())
})

test('what the Linux kernel sends about a long datagram to itself', (t) => {
  const lab = localLab()
  const request = ipPacket({ protocol: 17, tos: 0xe0, fragment: 0x4000 }, udpDatagram(Buffer.alloc(1000, 'B')))
  const [error] = lab.errorAbout(request, 3, 3)
  t.is(shape(error!), shape('45c00240e1390000400180270a4d01010a4d0102030335b900000000' + request.subarray(0, 548).toString('hex')))
})

test('and about one whose time is over, with a record route: the answer has options, and less room', (t) => {
  const lab = localLab()
  const request = ipPacket(
    { ...transit, tos: 0xff, ttl: 1, options: [7, 15, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }, udpDatagram(Buffer.alloc(700, 'C'), HOST, BEYOND))
  const b = bytesOf(lab.errorAbout(request, 11, 0)[0]!)
  t.is(b.length, 576)
  t.is(shape(b.toString('hex')).slice(0, 72), shape('49de0240e26100004001cbbb0a4d01010a4d0102070f0c0a4d01010a4d01010000000000').slice(0, 72))
  t.true(b.subarray(44).equals(request.subarray(0, 532)))
})

test('from the address it was sent to, else that of the way back, else not at all', (t) => {
  const lab = localLab()
  const sourceOf = (fields: Ip4Fields): string | undefined => lab.errorAbout(ipPacket({ protocol: 17, ...fields }, Buffer.alloc(8)), 3, 1)[0]?.slice(24, 32)
  t.is(sourceOf({ destination: '10.77.2.1' }), '0a4d0201')
  t.is(sourceOf({ destination: '10.9.9.9' }), '0a4d0101')
  t.is(sourceOf({ source: '10.77.2.77', destination: '10.9.9.9' }), '0a4d0201')
  t.is(sourceOf({ source: '203.0.113.1', destination: '10.9.9.9' }), undefined)
  t.is(lab.errors.counters.noSource, 1)
})

test('no error about an error, or a type nobody knows; queries and their answers may have one', (t) => {
  for (let type = 0; type < 256; type++) {
    const lab = localLab()
    const sent = lab.errorAbout(ipPacket({ destination: BEYOND }, icmp(type, 0, 0)), 11, 0)
    t.is(sent.length, [0, 8, 13, 14, 15, 16, 17, 18].includes(type) ? 1 : 0, `type ${type}`)
    t.true(lab.isWhole())
  }
  t.deepEqual(localLab().errorAbout(ipPacket({ destination: BEYOND }, Buffer.alloc(0)), 11, 0), [], 'no type at all')
})

test('no error about later fragments', (t) => {
  const about = (fragment: number): number => localLab().errorAbout(ipPacket({ ...transit, fragment }, Buffer.alloc(16)), 11, 0).length
  t.is(about(0x2000), 1)
  t.is(about(0x2001), 0)
  t.is(about(1), 0)
  t.is(about(0x4000), 1)
})

test('no error about link broadcasts, broadcasts and multicasts', (t) => {
  t.deepEqual(localLab().errorAbout(datagram, 11, 0, 0, F_LINK_BROADCAST), [])
  for (const destination of ['255.255.255.255', '10.77.1.255', '10.77.2.255', '224.0.0.1', '239.1.2.3']) {
    t.deepEqual(localLab().errorAbout(ipPacket({ ...transit, destination }, Buffer.alloc(8)), 11, 0), [], destination)
  }
})

test('no error to who is not one host', (t) => {
  for (const source of ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.5', '255.255.255.255', '10.77.1.255']) {
    t.deepEqual(localLab().errorAbout(ipPacket({ ...transit, source }, Buffer.alloc(8)), 11, 0), [], source)
  }
})

test('a super-frame with a partial checksum is quoted as it lies', (t) => {
  const lab = localLab()
  const segment = tcpSegment(1, 1, 0x10, 'x'.repeat(20_000), HOST, BEYOND)
  segment.writeUInt16BE(0x1234, 16)
  const packet = ipPacket({ destination: BEYOND, protocol: 6, fragment: 0x4000 }, segment)
  const p = lab.packet(packet, F_NEEDS_CSUM)
  lab.packets.gsoType[p] = GSO_TCPV4
  lab.packets.gsoSize[p] = 1448
  lab.errors.error(p, lab.eth0, 3, 4, 1400)
  lab.packets.delivered(p)
  t.true(bytesOf(lab.sent[0]!).subarray(28).equals(packet.subarray(0, 548)))
  t.true(lab.isWhole())
})

test('limited to six at once and one a second for a destination; fragmentation needed is not', (t) => {
  const lab = localLab()
  const send = (code: number): number => lab.errorAbout(datagram, 3, code).length
  t.is(Array.from({ length: 10 }, () => send(1)).reduce((a, b) => a + b), 6)
  t.is(Array.from({ length: 10 }, () => send(4)).reduce((a, b) => a + b), 10)
  lab.clock.now = 1000
  t.is(send(1) + send(1), 1)
  t.is(lab.errors.sent[3], 17)
  t.is(lab.limiter.counters.host, 5)
  t.true(lab.isWhole())
})

test('what is not sent for want of a way back costs nothing', (t) => {
  const lab = localLab()
  for (let i = 0; i < 10; i++) lab.errorAbout(ipPacket({ ...transit, source: '203.0.113.1' }, Buffer.alloc(8)), 3, 1)
  t.is(lab.limiter.counters.host, 0)
})

test('no longer than the route back allows', (t) => {
  const lab = localLab()
  let mtu = 296
  const icmpError = createIcmpError({
    packets: lab.packets, interfaces: lab.interfaces, clock: lab.clock, random: () => 0.5, send: lab.send, sourceFor: () => ip(NEAR),
    isLocal: () => false, isBroadcast: () => false, options: lab.ipOptions, mtuFor: () => mtu
  })
  const p = lab.packet(ipPacket(transit, Buffer.alloc(1000)))
  icmpError.error(p, lab.eth0, 3, 4, 1)
  mtu = 48
  icmpError.error(p, lab.eth0, 3, 4, 1)
  lab.packets.delivered(p)
  t.deepEqual(lab.sent.map((h) => h.length / 2), [296])
})

test('about a packet of our own: only whoever asked is told', (t) => {
  const lab = localLab()
  const p = lab.packet(datagram)
  lab.errors.error(p, -1, 3, 1, 0)
  lab.packets.delivered(p)
  t.deepEqual(lab.sent, [])
  t.true(lab.isWhole())
})

test('no packet left in the pool', (t) => {
  const lab = localLab({ pool: { packets: 1, largeSlots: 1, smallSlots: 1 } })
  t.deepEqual(lab.errorAbout(datagram, 3, 4), [])
  t.is(lab.errors.counters.noBuffer, 1)
  t.true(lab.isWhole())
})
