import test from 'ava'
import { OK, VXLAN_FLAGS_INVALID, VXLAN_RESERVED_BITS } from '../../src/reason.js'
import * as vxlan from '../../src/wire/vxlan.js'
import { hexBytes } from '../oracle/naive-frames.js'
import { viewOf } from '../oracle/poison.js'

const of = (text: string): [DataView, number] => viewOf(hexBytes(text))

test('the I flag; whatever else is set', (t) => {
  t.is(vxlan.check(...of('0800000000002a00')), OK)
  t.is(vxlan.check(...of('f7ffffffffffffff')), VXLAN_FLAGS_INVALID)
  t.is(vxlan.check(...of('ffffffffffffffff')), OK)
})

test('every bit that is not known is refused, and no other', (t) => {
  for (const gbp of [false, true]) {
    for (let bit = 0; bit < 64; bit++) {
      const header = hexBytes('0800000000002a00')
      header[bit >> 3]! |= 0x80 >> (bit & 7)
      const byte = bit >> 3
      const known = (byte >= 4 && byte < 7) || header[0] === 8 && byte === 0 || (gbp && (bit === 0 || (byte > 0 && byte < 4)))
      t.is(vxlan.checkReserved(...viewOf(header), gbp), known ? OK : VXLAN_RESERVED_BITS, `bit ${bit}`)
    }
  }
})

test('VNI and mark', (t) => {
  t.is(vxlan.vni(...of('08000000ffffff00')), 0xffffff)
  t.is(vxlan.vni(...of('08000000800001ff')), 0x800001)
  for (const [bytes, mark] of [['8800001200000000', 0x12], ['0800001200000000', 0], ['88ffffff00000000', 0x48ffff],
    ['8840000000000000', 0x400000], ['8808000100000000', 0x80001]] as const) {
    t.is(vxlan.mark(...of(bytes)), mark)
  }
})
