import test from 'ava'
import fc from 'fast-check'
import { OPTIONS_REFUSED } from '../../src/element/ip-options.js'
import { checksum } from '../../src/wire/checksum.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import { BEYOND, FAR, bytesOf, ip, ipPacket, localLab } from '../helpers/local-lab.js'

// What is expected is what the Linux 6.18 kernel did with the same packets.

const check = (...options: number[]): number => {
  const lab = localLab()
  const p = lab.packet(ipPacket({ destination: BEYOND, protocol: 17, options }, Buffer.alloc(8)))
  const before = lab.frameOf(p).toString('hex')
  const verdict = lab.ipOptions.check(p)
  if (lab.frameOf(p).toString('hex') !== before) throw new Error('changed')
  return verdict
}
/** The pointer of the parameter problem that options give rise to; 0 for none. */
const pointer = (...options: number[]): number => {
  const verdict = check(...options)
  return verdict === 0 ? 0 : verdict - 1
}

test('well-formed options pass', (t) => {
  t.is(check(1, 1, 1, 0), 0)
  t.is(check(0, 1, 2, 3), 0, 'what follows the end is nobody\'s business')
  t.is(check(7, 7, 4, 0, 0, 0, 0), 0)
  t.is(check(7, 3, 4), 0, 'no room at all')
  t.is(check(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0), 0)
  t.is(check(68, 8, 9, 0xe0, 1, 2, 3, 4), 0)
  t.is(check(68, 12, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0), 0, 'a flag nobody knows')
  t.is(check(148, 4, 0, 0), 0)
  t.is(check(0x9e, 4, 1, 2, 0x1e, 2), 0)
})

test('the pointer of a parameter problem', (t) => {
  t.is(pointer(7, 1, 4, 0), 20)
  t.is(pointer(1, 7, 11, 4, 0, 0, 0, 0), 21, 'longer than the header')
  t.is(pointer(1, 1, 1, 7), 23, 'a type without a length')
  t.is(pointer(7, 7, 3, 0, 0, 0, 0, 0), 22)
  t.is(pointer(7, 8, 6, 0, 0, 0, 0, 0), 22)
  t.is(pointer(7, 2, 0, 0), 21)
  t.is(pointer(7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0), 27, 'two of them')
  t.is(pointer(68, 3, 5, 0), 21)
  t.is(pointer(68, 8, 4, 0, 0, 0, 0, 0), 22)
  t.is(pointer(68, 8, 6, 0, 0, 0, 0, 0), 22)
  t.is(pointer(68, 8, 5, 1, 0, 0, 0, 0), 22, 'room for a time, none for an address')
  t.is(pointer(68, 8, 5, 3, 0, 0, 0, 0), 22)
  t.is(pointer(68, 8, 9, 0xf0, 0, 0, 0, 0), 23, 'the overflow counter overflows')
  t.is(pointer(68, 4, 5, 0, 68, 4, 5, 0), 24)
  t.is(pointer(148, 3, 0, 0), 21)
  t.is(pointer(131, 2, 0, 0), 21)
  t.is(pointer(137, 7, 3, 0, 0, 0, 0, 0), 22)
  t.is(pointer(131, 7, 4, 1, 2, 3, 4, 131, 7, 4, 1, 2, 3, 4), 27)
})

test('source routes are refused, whatever else there is', (t) => {
  t.is(check(131, 7, 4, 10, 77, 2, 2), OPTIONS_REFUSED)
  t.is(check(137, 7, 4, 10, 77, 2, 2, 7, 7, 4, 0, 0, 0, 0), OPTIONS_REFUSED)
  t.is(check(131, 7, 8, 10, 77, 2, 2), OPTIONS_REFUSED, 'even one that is used up')
})

/** Forwards a packet from eth0 out of eth1, TTL and options, as the forwarder does. */
const forward = (hex: string, time = 0): string => {
  const lab = localLab()
  lab.wall.now = time
  const p = lab.packet(bytesOf(hex))
  ipv4.decrementTtl(lab.packets.view, lab.packets.l3[p]!)
  lab.ipOptions.update(p, ip(FAR), lab.eth0)
  return lab.frameOf(p).subarray(14).toString('hex')
}

test('record route: the address of the way out', (t) => {
  t.is(forward('4900003312340000401141da0a4d01020a4d0202070f0400000000000000000000000000045708ae000fce6343434343434343'),
    '49000033123400003f11f0cd0a4d01020a4d0202070f080a4d0201000000000000000000045708ae000fce6343434343434343')
  t.is(forward('4700002b12340000401139e60a4d01020a4d02020707080102030400045708ae000fce6343434343434343'),
    '4700002b123400003f113ae60a4d01020a4d02020707080102030400045708ae000fce6343434343434343', 'full: left as it is')
})

test('timestamp: times', (t) => {
  t.is(forward('4800002f12340000401104e10a4d01020a4d0202440c05000000000000000000045708ae000fce6343434343434343', 0x033144e9),
    '4800002f123400003f11b9c60a4d01020a4d0202440c0900033144e900000000045708ae000fce6343434343434343')
})

test('timestamp: addresses and times; the address is that of the way the packet came', (t) => {
  t.is(forward('4a00003712340000401102d00a4d01020a4d02024414050100000000000000000000000000000000045708ae000fce6343434343434343', 0x03314616),
    '4a000037123400003f11a73a0a4d01020a4d020244140d010a4d0101033146160000000000000000045708ae000fce6343434343434343')
})

test('timestamp: prespecified addresses, ours and another', (t) => {
  t.is(forward('4a000037123400004011ea300a4d01020a4d0202441405030a4d0201000000000a4d020200000000045708ae000fce6343434343434343', 0x03314752),
    '4a000037123400003f1198ad0a4d01020a4d020244140d030a4d0201033147520a4d020200000000045708ae000fce6343434343434343')
  t.is(forward('4800002f123400004011f88e0a4d01020a4d0202440c05030a4d020200000000045708ae000fce6343434343434343'),
    '4800002f123400003f11f98e0a4d01020a4d0202440c05030a4d020200000000045708ae000fce6343434343434343')
})

test('timestamp: overflow is counted, unknown flags are left alone', (t) => {
  t.is(forward('4700002b12340000401101d90a4d01020a4d02024408091000000000045708ae000fce6343434343434343'),
    '4700002b123400003f1102c90a4d01020a4d02024408092000000000045708ae000fce6343434343434343')
  t.is(forward('4800002f12340000401104df0a4d01020a4d0202440c05020000000000000000045708ae000fce6343434343434343'),
    '4800002f123400003f1105df0a4d01020a4d0202440c05020000000000000000045708ae000fce6343434343434343')
})

test('what follows the end of options is cleared; unknown options pass', (t) => {
  t.is(forward('460000271234000040114df10a4d01020a4d020200010203045708ae000fce6343434343434343'),
    '46000027123400003f1150f50a4d01020a4d020200000000045708ae000fce6343434343434343')
  t.is(forward('4700002b123400004011ade90a4d01020a4d02029e04010201010100045708ae000fce6343434343434343'),
    '4700002b123400003f11aee90a4d01020a4d02029e04010201010100045708ae000fce6343434343434343')
})

const echo = (...options: number[]): string | number => {
  const lab = localLab()
  const p = lab.packet(ipPacket({ options }, Buffer.alloc(8)))
  const size = lab.ipOptions.echo(p, lab.eth0, ip('10.77.1.1'))
  return size < 0 ? size : Buffer.from(lab.ipOptions.reply.subarray(0, size)).toString('hex')
}

test('options of an answer', (t) => {
  t.is(echo(), '')
  t.is(echo(1, 1, 1, 0), '')
  t.is(echo(7, 7, 8, 1, 2, 3, 4), '0707080102030400', 'full: repeated')
  t.is(echo(7, 11, 8, 1, 2, 3, 4, 0, 0, 0, 0), '070b0c010203040a4d010100')
  t.is(echo(7, 9, 4, 0, 0, 0, 0, 0, 0), -1, 'a rest that holds no address')
  t.is(echo(68, 8, 5, 0, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0), '0707080a4d010144080900033113fb00', 'record route comes first')
  t.is(echo(68, 10, 5, 0, 0, 0, 0, 0, 0, 0), -1)
  t.is(echo(68, 16, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), -1)
  t.is(echo(68, 20, 5, 3, 10, 77, 2, 1, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0), '44140d030a4d0201033113fb0909090900000000')
  t.is(echo(68, 12, 5, 3, 9, 9, 9, 9, 0, 0, 0, 0), '440c05030909090900000000')
  t.is(echo(68, 12, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0), '', 'a flag nobody knows')
})

test('property: any options: no fault outside them, checksum right after an update, the rest untouched', (t) => {
  const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 3, 4, 5, 7, 8, 12, 68, 131, 148))
  fc.assert(fc.property(fc.array(byte, { minLength: 1, maxLength: 40 }), (options) => {
    const lab = localLab({ pool: { packets: 4, largeSlots: 2, smallSlots: 2 } })
    const packet = ipPacket({ destination: BEYOND, protocol: 17, options }, Buffer.from('payload.'))
    const p = lab.packet(packet)
    const header = (packet[0]! & 15) << 2
    const verdict = lab.ipOptions.check(p)
    if (verdict > 0) {
      if (verdict - 1 < 20 || verdict - 1 > header) return false
    } else if (verdict === 0) {
      lab.ipOptions.update(p, ip(FAR), lab.eth0)
      const after = lab.frameOf(p).subarray(14)
      if (checksum(lab.packets.view, lab.packets.l3[p]!, header) !== 0) return false
      if (!after.subarray(header).equals(packet.subarray(header)) || !after.subarray(0, 10).equals(packet.subarray(0, 10))) return false
      // A rest of a list that holds no entry is a fault only when the list has got there
      if (lab.ipOptions.check(p) > 0 && options.every((o) => o !== 68 && o !== 7)) return false
    }
    const size = lab.ipOptions.echo(p, lab.eth0, ip(FAR))
    return size >= -1 && size <= 40 && (size < 0 || size % 4 === 0)
  }), { numRuns: 500 })
  t.pass()
})
