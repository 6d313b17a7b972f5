/** A packet pool with frames put into it by hand, as reception would. */
import { createPackets, LARGE, type Packets } from '../../src/core/packets.js'
import { F_NEEDS_CSUM } from '../../src/core/packets.js'
import { naiveSum } from '../oracle/naive-checksum.js'

type Bytes = readonly number[] | Uint8Array

export interface SuperColumns {
  gsoType: number
  gsoSize: number
  csumStart: number
  csumOffset: number
  headerLength: number
}

export const createPool = (): Packets => createPackets({ packets: 1024, largeSlots: 16, smallSlots: 64 })

/** A packet with these bytes, in a large slot. */
const put = (packets: Packets, frame: Bytes): number => {
  const s = packets.takeSlot(LARGE)
  packets.bytes.set(frame, packets.slotData[s]!)
  return packets.received(s, frame.length, 0)
}

/** A super-frame; with `stride`, payloads lie so far apart, with other bytes between them. */
export const putSuper = (packets: Packets, frame: Bytes, o: SuperColumns, stride = 0): number => {
  const p = put(packets, frame)
  const at = packets.start[p]!
  if (stride !== 0) {
    const data = Uint8Array.from(frame)
    packets.bytes.fill(0xa5, at + o.headerLength, at + 65536)
    for (let i = 0, from = o.headerLength; from < data.length; i++, from += o.gsoSize) {
      packets.bytes.set(data.subarray(from, from + o.gsoSize), at + o.headerLength + i * stride)
    }
  }
  packets.stride[p] = stride
  packets.gsoType[p] = o.gsoType
  packets.gsoSize[p] = o.gsoSize
  packets.csumStart[p] = o.csumStart
  packets.csumOffset[p] = o.csumOffset
  packets.headerLength[p] = o.headerLength
  packets.flags[p] = F_NEEDS_CSUM
  return p
}

/** The bytes of a packet whose bytes lie together. */
export const bytesOf = (packets: Packets, p: number): number[] => [...packets.bytes.subarray(packets.start[p]!,
  packets.start[p]! + packets.length[p]!)]

/** Sums by the definition, in place of the native part. */
export const naiveSums = (packets: Packets, sums: Int32Array) => (count: number): void => {
  for (let i = 0; i < count; i++) {
    const at = sums[i * 3]!
    sums[i * 3 + 2] = naiveSum([...packets.bytes.subarray(at, at + sums[i * 3 + 1]!)])
  }
}

/** Everything created has ended, but for `held` packets. */
export const balanceOf = (packets: Packets): number => {
  const b = packets.balance
  return b[0]! + b[1]! + b[2]! + b[3]! - b[4]! - b[5]! - b[6]! - b[7]!
}
