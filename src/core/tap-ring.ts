/**
 * A ring of captured frames in shared memory, from the data plane (the one producer) to whoever writes the capture (the one
 * consumer). The producer never waits: what does not fit is counted as lost. Nothing here is touched while nobody captures.
 *
 * Layout: three cells on cache lines of their own (head, tail, lost), then `size` bytes of records. Head and tail count
 * bytes modulo 2^32; a record starts at a multiple of 8:
 *
 *   0 int32 bytes of the record, 0 when the rest of the ring is skipped
 *   4 int32 port
 *   8 int32 length of the frame
 *  12 int32 captured bytes << 4 | direction << 3 | gap
 *  16 float64 time, milliseconds since the epoch
 *  24 `gap` unused bytes, then the frame: source and destination are equal modulo 8, so that the copy moves whole words
 */

export const TAP_RX = 0
export const TAP_TX = 1

const HEAD = 0 // index of int32 cells
const TAIL = 16
const LOST = 16 // index of the float64 cell, byte 128
const CELLS = 192 // bytes before the records
const RECORD_HEADER = 24
const MAX_CAPTURE = 1 << 20
/** Up to here a loop of words is faster than a view made for `set` (measured: equal at about 1500 bytes). */
const LOOP_BYTES = 1536

/** A frame taken from the ring. One object is used again for all; `bytes` is a view of the ring, valid during the visit only. */
export interface TapRecord {
  port: number
  /** TAP_RX or TAP_TX, the switch's view. */
  direction: number
  /** Nanoseconds since the epoch (as fine as the producer's clock: a float64 of milliseconds has a quarter of a microsecond). */
  time: bigint
  /** Length of the frame on the wire; `bytes` may have fewer. */
  length: number
  bytes: Buffer
}

export interface TapRingProducer {
  /**
   * Puts a copy of the first `captureLength` bytes of a frame of `length` bytes at `offset` of `bytes` into the ring; `time` in
   * milliseconds since the epoch. False when there was no room: the capture is counted as lost. Never blocks; allocates a view
   * for frames above 1.5 KiB only.
   */
  push(bytes: Uint8Array, offset: number, length: number, captureLength: number, port: number, direction: number, time: number): boolean
  /** Counts a capture that was lost before it came to `push`. */
  lose(): void
}

export interface TapRingConsumer {
  /** Hands at most `maxRecords` records to `visit`, oldest first; gives back how many there were. A record whose visit throws is gone. */
  drain(visit: (record: TapRecord) => void, maxRecords?: number): number
  /** Captures lost so far. */
  lost(): number
  /** True when nothing waits to be drained. */
  empty(): boolean
}

/** Memory of a new ring with room for `bytes` of records (a power of two, 4 KiB to 1 GiB), for both threads to attach. */
export const createTapRing = (bytes = 8 << 20): SharedArrayBuffer => {
  if (bytes < 4096 || bytes > 1 << 30 || (bytes & (bytes - 1)) !== 0) throw new RangeError('tap ring: size is a power of two, 4 KiB to 1 GiB')
  return new SharedArrayBuffer(CELLS + bytes)
}

/** The ring in `buffer`, made by `createTapRing`. One thread may push, one may drain. */
export const attachTapRing = (buffer: SharedArrayBuffer): TapRingProducer & TapRingConsumer => {
  const size = buffer.byteLength - CELLS
  const mask = size - 1
  const i32 = new Int32Array(buffer)
  const f64 = new Float64Array(buffer)
  const u8 = new Uint8Array(buffer)
  let source: ArrayBufferLike | undefined // buffer of the frame pushed last, with its views
  let source8: Uint8Array = u8
  let source32: Int32Array = i32

  const lose = (): void => {
    f64[LOST]!++
  }

  /** Copies `count` bytes from `from` in the source buffer to `to` here; the two are equal modulo 8. */
  const copy = (from: number, to: number, count: number): void => {
    if (count > LOOP_BYTES) {
      u8.set(source8.subarray(from, from + count), to)
      return
    }
    const end = from + count
    let s = from
    let d = to
    while ((s & 3) !== 0 && s < end) u8[d++] = source8[s++]!
    let sw = s >> 2
    let dw = d >> 2
    for (const last = end >> 2; sw < last; sw++, dw++) i32[dw] = source32[sw]!
    s = Math.max(s, sw << 2)
    d = to + (s - from)
    while (s < end) u8[d++] = source8[s++]!
  }

  const push = (
    bytes: Uint8Array, offset: number, length: number, captureLength: number, port: number, direction: number, time: number
  ): boolean => {
    if (bytes.buffer !== source) {
      source = bytes.buffer
      source8 = new Uint8Array(source)
      source32 = new Int32Array(source, 0, source.byteLength >> 2)
    }
    const from = bytes.byteOffset + offset
    const captured = Math.min(length, captureLength, MAX_CAPTURE)
    const gap = from & 7
    const need = (RECORD_HEADER + gap + captured + 7) & ~7
    const head = Atomics.load(i32, HEAD)
    const free = size - ((head - Atomics.load(i32, TAIL)) | 0)
    const at = head & mask
    const rest = size - at
    const skip = rest < need ? rest : 0
    if (skip + need > free) {
      lose()
      return false
    }
    if (skip !== 0) i32[(CELLS + at) >> 2] = 0
    const base = CELLS + (skip === 0 ? at : 0)
    const w = base >> 2
    i32[w] = need
    i32[w + 1] = port
    i32[w + 2] = length
    i32[w + 3] = (captured << 4) | (direction << 3) | gap
    f64[(base >> 3) + 2] = time
    copy(from, base + RECORD_HEADER + gap, captured)
    Atomics.store(i32, HEAD, (head + skip + need) | 0)
    return true
  }

  const record: TapRecord = { port: 0, direction: 0, time: 0n, length: 0, bytes: Buffer.alloc(0) }

  const drain = (visit: (record: TapRecord) => void, maxRecords = 1024): number => {
    const head = Atomics.load(i32, HEAD)
    let tail = Atomics.load(i32, TAIL)
    let count = 0
    while (tail !== head && count < maxRecords) {
      const at = tail & mask
      const base = CELLS + at
      const w = base >> 2
      const bytes = i32[w]!
      if (bytes === 0) {
        tail = (tail + size - at) | 0
        Atomics.store(i32, TAIL, tail)
        continue
      }
      const packed = i32[w + 3]!
      record.port = i32[w + 1]!
      record.length = i32[w + 2]!
      record.direction = (packed >> 3) & 1
      record.time = BigInt(Math.round(f64[(base >> 3) + 2]! * 1000)) * 1000n
      record.bytes = Buffer.from(buffer, base + RECORD_HEADER + (packed & 7), packed >>> 4)
      tail = (tail + bytes) | 0
      count++
      try {
        visit(record)
      } finally {
        Atomics.store(i32, TAIL, tail)
      }
    }
    return count
  }

  return {
    push, drain, lose,
    lost: () => f64[LOST]!,
    empty: () => Atomics.load(i32, HEAD) === Atomics.load(i32, TAIL)
  }
}
