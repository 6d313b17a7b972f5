import test from 'ava'
import fc from 'fast-check'
import { B_DELIVERED, B_ORIGINATED, B_TRANSMITTED, F_CSUM_OK, F_LINK_BROADCAST, F_NEEDS_CSUM } from '../../src/core/packets.js'
import { FAR, HOST, NEAR, bytesOf, icmp, ip, ipPacket, localLab, shape, tcpSegment, udpDatagram } from '../helpers/local-lab.js'

// Requests and answers are the Linux 6.18 kernel's own, taken from a wire; identifications apart.

const SMALL_POOL = { packets: 16, largeSlots: 4, smallSlots: 12 }

/** Delivers `request` and compares what is sent with what the kernel sent; `time` is what its clock said. */
const answers = (request: string, answer: string | undefined, time = 0x033113fb) => {
  const lab = localLab()
  lab.wall.now = time
  const sent = lab.deliver(request)
  return { lab, sent: sent.map(shape), expected: answer === undefined ? [] : [shape(answer)] }
}

test('echo: type of service and code are kept, TTL is 64, DF is not', (t) => {
  const { lab, sent, expected } = answers(
    '45ff001f123440000901480f0a4d01020a4d01010805228611110001616263',
    '45ff001fdeda0000400184680a4d01010a4d010200052a8611110001616263')
  t.deepEqual(sent, expected)
  t.true(lab.isWhole())
  t.is(lab.packets.balance[B_ORIGINATED], 0, 'written over the request')
  t.is(lab.packets.balance[B_TRANSMITTED], 1)
})

test('echo: record route is continued twice, as receiver and as sender', (t) => {
  const { sent, expected } = answers(
    '4900003012340000400142ee0a4d01020a4d0101070f0400000000000000000000000000080022271111000161626364',
    '49000030df0200004001d2080a4d01010a4d0102070f0c0a4d01010a4d0101000000000000002a271111000161626364')
  t.deepEqual(sent, expected)
})

test('echo: of the far address, options behind a no-operation', (t) => {
  const { sent, expected } = answers(
    '490000301234000040013cf20a4d01020a4d020101070f04000000000000000000000000080022271111000161626364',
    '490000307269000040013da00a4d02010a4d0102070f0c0a4d02010a4d0201000000000000002a271111000161626364')
  t.deepEqual(sent, expected)
})

test('echo: a record route with one place left', (t) => {
  const { sent, expected } = answers(
    '4700002812340000400144fe0a4d01020a4d01010707040000000000080022271111000161626364',
    '47000028df4d0000400125d90a4d01010a4d01020707080a4d01010000002a271111000161626364')
  t.deepEqual(sent, expected)
})

test('echo: timestamps', (t) => {
  const only = answers(
    '4900003012340000400104ed0a4d01020a4d010144100500000000000000000000000000080022271111000161626364',
    '49000030df7b00004001014d0a4d01010a4d010244100d00033113fb033113fb0000000000002a271111000161626364', 0x033113fb + 86_400_000)
  t.deepEqual(only.sent, only.expected)
  const oneSlot = answers(
    '4800002c12340000400105f40a4d01020a4d0101440c05010000000000000000080022271111000161626364',
    '4800002cdfad000040010cd20a4d01010a4d0102440c0d010a4d01010331152900002a271111000161626364', 0x03311529)
  t.deepEqual(oneSlot.sent, oneSlot.expected)
  const threeSlots = answers(
    '4c00003c12340000400101d40a4d01020a4d0101441c0501000000000000000000000000000000000000000000000000080022271111000161626364',
    '4c00003cdfef00004001da470a4d01010a4d0102441c15010a4d0101033116690a4d010103311669000000000000000000002a271111000161626364',
    0x03311669)
  t.deepEqual(threeSlots.sent, threeSlots.expected)
  const prespecified = answers(
    '4a000034123400004001ed450a4d01020a4d0101441405030a4d0101000000000a4d010100000000080022271111000161626364',
    '4a000034e01900004001d9750a4d01010a4d0102441415030a4d0101033117c40a4d0101033117c400002a271111000161626364', 0x033117c4)
  t.deepEqual(prespecified.sent, prespecified.expected)
  const overflow = answers(
    '47000028123400004001fef60a4d01020a4d01014408090001020304080022271111000161626364',
    '47000028e0200000400130fa0a4d01010a4d0102440809100102030400002a271111000161626364')
  t.deepEqual(overflow.sent, overflow.expected)
})

test('echo: other options are not repeated', (t) => {
  const { lab, sent, expected } = answers(
    '470000281234000040011cfa0a4d01020a4d0101940400009e040102080022271111000161626364',
    '45000020e0530000400183ed0a4d01010a4d010200002a271111000161626364')
  t.deepEqual(sent, expected)
  t.true(lab.isWhole())
})

test('timestamp request, also one that is too short for the answer', (t) => {
  const whole = answers(
    '4500002c12340000400152010a4d01020a4d01010d00dde71111000101020304000000000000000000000000',
    '45000028e0ab00004001838d0a4d01010a4d01020e009d1d111100010102030403311cb403311cb4', 0x03311cb4)
  t.deepEqual(whole.sent, whole.expected)
  const short = answers(
    '45000020123400004001520d0a4d01020a4d01010d03dde41111000101020304',
    '45000028e0cd00004001836b0a4d01010a4d01020e009ac1111100010102030403311de203311de2', 0x03311de2)
  t.deepEqual(short.sent, short.expected)
  const none = localLab()
  t.deepEqual(none.deliver(ipPacket({}, icmp(13, 0, 1, Buffer.alloc(3)))), [])
  t.deepEqual(none.drops(), { 'icmp-malformed': 1 })
})

test('port unreachable quotes the datagram without what follows it', (t) => {
  const { lab, sent, expected } = answers(
    '451f003a12340000401151c40a4d01020a4d0101045708ae000c0000414141414141414141414141414141414141414141414141414141414141',
    '45de003ce1010000400182450a4d01010a4d010203036d6900000000451f003a12340000401151c40a4d01020a4d0101045708ae000c000041414141')
  t.deepEqual(sent, expected)
  t.deepEqual(lab.drops(), { 'port-unreachable': 1 })
  t.true(lab.isWhole())
})

test('protocol unreachable; IGMP is taken in silence', (t) => {
  const { lab, sent, expected } = answers(
    '4500001e12340000406351ad0a4d01020a4d010178787878787878787878',
    '45c0003ae1600000400182060a4d01010a4d01020302a2a3000000004500001e12340000406351ad0a4d01020a4d010178787878787878787878')
  t.deepEqual(sent, expected)
  t.deepEqual(lab.drops(), { 'protocol-unreachable': 1 })
  const igmp = answers('4500001c12340000400252100a4d01020a4d01017878787878787878', undefined)
  t.deepEqual(igmp.sent, [])
  t.deepEqual(igmp.lab.drops(), { 'broadcast-ignored': 1 })
})

test('a SYN is reset: DF, identification 0, ECN cleared, data and SYN acknowledged', (t) => {
  const lab = localLab()
  t.deepEqual(lab.deliver('45ff002a1234000003068dff0a4d01020a4d0101045708ae000003e800000000500203e80bf600007879'),
    ['45fc002800004000400623380a4d01010a4d010208ae045700000000000003eb5014000088440000'])
  t.deepEqual(lab.drops(), { 'port-unreachable': 1 })
  t.true(lab.isWhole())
})

test('a segment with ACK is reset at its acknowledgment number, options answered', (t) => {
  const lab = localLab()
  t.deepEqual(
    lab.deliver('4900003812340000400642e10a4d01020a4d0101070f0400000000000000000000000000045708ae000003e800001388501003e870db0000'),
    ['4900003800004000400670fe0a4d01010a4d0102070f0c0a4d01010a4d0101000000000008ae045700001388000000005004000078b70000'])
})

test('a FIN counts; a reset is not answered', (t) => {
  const lab = localLab()
  const [answer] = lab.deliver(ipPacket({ protocol: 6 }, tcpSegment(0xffffffff, 0, 0x01, 'abc')))
  t.is(bytesOf(answer!).readUInt32BE(28), 3)
  t.deepEqual(lab.deliver('4500002812340000400652000a4d01020a4d0101045708ae000003e800000000500403e8846f0000'), [])
  t.deepEqual(lab.drops(), { 'port-unreachable': 2 })
})

test('TCP: cut short, bad data offset, bad checksum', (t) => {
  const lab = localLab()
  const good = tcpSegment(1, 1, 0x10, 'data')
  t.deepEqual(lab.deliver(ipPacket({ protocol: 6 }, good.subarray(0, 19))), [])
  for (const offset of [0x40, 0x70]) {
    const bad = Buffer.from(good)
    bad[12] = offset
    t.deepEqual(lab.deliver(ipPacket({ protocol: 6 }, bad), F_CSUM_OK), [])
  }
  const wrong = Buffer.from(good)
  wrong[16]! ^= 1
  t.deepEqual(lab.deliver(ipPacket({ protocol: 6 }, wrong)), [])
  t.deepEqual(lab.drops(), { 'tcp-malformed': 4 })
  t.is(lab.deliver(ipPacket({ protocol: 6 }, wrong), F_NEEDS_CSUM).length, 1, 'a partial checksum is none to verify')
})

test('UDP: cut short, bad length, bad checksum, no checksum', (t) => {
  const lab = localLab()
  const good = udpDatagram(Buffer.from('data'))
  const change = (at: number, value: number): Buffer => {
    const b = Buffer.from(good)
    b.writeUInt16BE(value, at)
    return ipPacket({ protocol: 17 }, b)
  }
  for (const bad of [ipPacket({ protocol: 17 }, good.subarray(0, 7)), change(4, 13), change(4, 7), change(4, 0), change(6, 1)]) {
    t.deepEqual(lab.deliver(bad), [])
  }
  t.deepEqual(lab.drops(), { 'udp-malformed': 5 })
  t.is(lab.deliver(change(6, 1), F_NEEDS_CSUM).length, 1)
  t.is(lab.deliver(change(6, 1), F_CSUM_OK).length, 1)
  t.is(lab.deliver(change(6, 0)).length, 1)
})

test('broadcast and multicast are not answered', (t) => {
  for (const destination of ['10.77.1.255', '255.255.255.255', '224.0.0.1', '0.0.0.0']) {
    const lab = localLab()
    for (const [protocol, payload] of [
      [1, icmp(8, 0, 1)], [1, icmp(13, 0, 1, Buffer.alloc(12))], [1, icmp(0, 0, 1)],
      [17, udpDatagram(Buffer.alloc(4), HOST, destination)], [6, tcpSegment(1, 0, 2, '', HOST, destination)], [99, Buffer.alloc(4)], [2, Buffer.alloc(8)]
    ] as const) {
      t.deepEqual(lab.deliver(ipPacket({ destination, protocol }, payload), F_LINK_BROADCAST), [], `${protocol} to ${destination}`)
    }
    t.deepEqual(lab.drops(), { 'broadcast-ignored': 7 })
    t.true(lab.isWhole())
  }
})

test('our address in a link broadcast: echo is answered, nothing else', (t) => {
  const lab = localLab()
  t.is(lab.deliver(ipPacket({}, icmp(8, 0, 0x11110001)), F_LINK_BROADCAST).length, 1)
  t.deepEqual(lab.deliver(ipPacket({ protocol: 17 }, udpDatagram(Buffer.from('B'))), F_LINK_BROADCAST), [])
  t.deepEqual(lab.deliver(ipPacket({ protocol: 6 }, tcpSegment(1, 0, 2)), F_LINK_BROADCAST), [])
  t.deepEqual(lab.drops(), { 'port-unreachable': 1, 'broadcast-ignored': 1 })
})

test('ICMP: cut short, bad checksum, and what needs no action', (t) => {
  const lab = localLab()
  const wrong = icmp(8, 0, 1, Buffer.from('x'))
  wrong[2]! ^= 0x10
  lab.deliver(ipPacket({}, wrong))
  lab.deliver(ipPacket({}, icmp(8, 0, 1).subarray(0, 7)))
  t.deepEqual(lab.drops(), { 'icmp-malformed': 2 })
  for (const type of [0, 3, 4, 5, 11, 12, 14, 15, 17, 30, 42, 255]) t.deepEqual(lab.deliver(ipPacket({}, icmp(type, 0, 1, Buffer.alloc(28)))), [])
  t.deepEqual(lab.drops(), { 'icmp-malformed': 2, 'icmp-ignored': 12 })
})

test('nobody to answer: source 0.0.0.0', (t) => {
  const lab = localLab()
  t.deepEqual(lab.deliver(ipPacket({ source: '0.0.0.0' }, icmp(8, 0, 1))), [])
  t.deepEqual(lab.deliver(ipPacket({ source: '0.0.0.0', protocol: 6 }, tcpSegment(1, 0, 2, '', '0.0.0.0'))), [])
  t.deepEqual(lab.drops(), { 'icmp-ignored': 1, 'port-unreachable': 1 })
})

test('a flooded copy is answered, and the other copy keeps its bytes', (t) => {
  const lab = localLab()
  const request = ipPacket({}, icmp(8, 0, 0x77770001, Buffer.from('flooded')))
  const p = lab.packet(request)
  const copy = lab.packets.copy(p)
  lab.packets.l3[copy] = lab.packets.l3[p]!
  lab.packets.l4[copy] = lab.packets.l4[p]!
  lab.local.deliver(copy, lab.eth0)
  t.is(lab.sent.length, 1)
  t.is(lab.frameOf(p).subarray(14).toString('hex'), request.toString('hex'))
  lab.packets.delivered(p)
  t.true(lab.isWhole())
})

test('the largest echo request is answered whole', (t) => {
  const lab = localLab()
  const data = Buffer.alloc(65507, 'Tapway')
  const [answer] = lab.deliver(ipPacket({}, icmp(8, 0, 0x11110001, data)))
  const b = bytesOf(answer!)
  t.is(b.length, 65535)
  t.true(b.subarray(28).equals(data))
  t.true(lab.isWhole())
})

test('a packet to ourselves goes round in here', (t) => {
  const lab = localLab()
  t.is(lab.deliver(ipPacket({ source: FAR, destination: NEAR }, icmp(8, 0, 5, Buffer.from('x')))).length, 1)
  t.deepEqual(lab.drops(), { 'icmp-ignored': 1 }, 'the reply, to nobody')
  t.true(lab.isWhole())
})

test('no buffer for an answer: the packet is still counted once', (t) => {
  const lab = localLab({ pool: { packets: 1, largeSlots: 1, smallSlots: 1 } })
  t.deepEqual(lab.deliver(ipPacket({ protocol: 6 }, tcpSegment(1, 0, 2))), [])
  t.deepEqual(lab.deliver(ipPacket({ protocol: 17 }, udpDatagram(Buffer.from('x')))), [])
  t.deepEqual(lab.drops(), { 'port-unreachable': 2 })
  t.is(lab.local.counters.noBuffer, 1)
  t.is(lab.errors.counters.noBuffer, 1)
  t.true(lab.isWhole())
})

test('property: echo gives back what was sent, with a right checksum', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer(), fc.integer({ min: 0, max: 255 }), (data, rest, code) => {
    const lab = localLab({ pool: SMALL_POOL })
    const [answer] = lab.deliver(ipPacket({}, icmp(8, code, rest, data)))
    const expected = shape(ipPacket({ source: NEAR, destination: HOST }, icmp(0, code, rest, data)).toString('hex'))
    return shape(answer!) === expected && lab.isWhole()
  }), { numRuns: 60 })
  t.pass()
})

test('property: whatever arrives, nothing is lost and nothing is thrown', (t) => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 80 }), fc.constantFrom(1, 2, 6, 17, 99), fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
    fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(NEAR, '10.77.1.255'),
    (payload, protocol, options, fragment, destination) => {
      const lab = localLab({ pool: SMALL_POOL })
      lab.deliver(ipPacket({ protocol, options, destination, fragment: fragment & 0x3fff }, payload), F_CSUM_OK)
      lab.reassembly.tick(1e9)
      return lab.isWhole()
    }), { numRuns: 300 })
  t.pass()
})

test('counts what it answers', (t) => {
  const lab = localLab()
  lab.deliver(ipPacket({}, icmp(8, 0, 1)))
  lab.deliver(ipPacket({}, icmp(13, 0, 1, Buffer.alloc(12))))
  lab.deliver(ipPacket({ protocol: 6 }, tcpSegment(1, 0, 2)))
  t.deepEqual(lab.local.counters, { echoReplies: 1, timestampReplies: 1, resets: 1, noBuffer: 0 })
  t.is(lab.packets.balance[B_DELIVERED], 0)
  t.is(ip(HOST), 0x0a4d0102)
})
