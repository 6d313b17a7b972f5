/**
 * The way out of a tunnel: a packet becomes a datagram, or a super-frame the datagrams of its segments, behind an 8-byte header. Datagrams of equal
 * size to the same peer by the same socket, one after the other, go to the kernel as one (UDP_SEGMENT), which keeps their order.
 * Payload is never copied: headers lie in scratch or in the headroom, an entry is a gather list.
 */
import { F_SLICE, type Packets } from '../core/packets.js'
import { CANNOT_SEGMENT, NO_BUFFER } from '../reason.js'
import { createCutter, MAX_SEGMENTS } from '../offload/encapsulate.js'
import { createSegmenter } from '../offload/segment.js'
import type { Rings } from './rings.js'
import { CTL_TX_COUNT, ENTRIES_A_PACKET, MAX_SENDMSG_PAIRS, TX_SENDMSG, TX_STRIDE } from './rings.js'

/** Bytes of the tunnel's header before the inner frame. */
const HEADER = 8
/** UDP payload of one call: 65535 without IPv4 and UDP headers. */
const MAX_TOTAL = 65507
/** Of the entry queued last: its number, the size of its datagrams, how many, bytes of all, its last packet, and whether more may be put to it. */
const LAST = 0
const EACH = 1
const COUNT = 2
const TOTAL = 3
const TAIL = 4
const OPEN = 5
/** UDP_MAX_SEGMENTS of older kernels; newer ones take 128. */
const MAX_DATAGRAMS = 64

export interface DatagramParts {
  packets: Packets
  rings: Rings
  sumRanges: (count: number) => void
  flush: () => void
  completeChecksum: (p: number) => boolean
  /** Off: a tunnel's header never stands before the frame, but apart; on when left out. */
  headroom?: boolean
  /** Off: a super-frame is cut into packets of their own (offload/segment.ts); on when left out. */
  gathers?: boolean
}

export const createDatagrams = ({
  packets, rings, sumRanges, flush, completeChecksum, headroom = true, gathers = true
}: DatagramParts) => {
  const { start, length, flags, gsoType, next, view } = packets
  const { control, tx, gather, txPacket, txPort } = rings
  const cutter = createCutter(packets, rings.sums, sumRanges)
  // In an array: a variable that changes is checked and untagged at each use
  const run = new Int32Array(6)
  run[LAST] = run[TAIL] = -1

  const mayJoin = (size: number, port: number, descriptor: number, remote: number, ttlTos: number): boolean => {
    const last = run[LAST]!
    if (run[OPEN] === 0 || last !== control[CTL_TX_COUNT]! - 1 || size > run[EACH]! || run[COUNT]! >= MAX_DATAGRAMS ||
      run[TOTAL]! + size > MAX_TOTAL) return false
    const e = last * TX_STRIDE
    return tx[e] === TX_SENDMSG && txPort[last] === port && tx[e + 1] === descriptor && tx[e + 5] === remote && tx[e + 6] === ttlTos &&
      tx[e + 2]! + tx[e + 3]! === rings.pairsUsed() && tx[e + 3]! + 2 <= MAX_SENDMSG_PAIRS
  }

  /**
   * Puts a datagram to the last entry, or begins one: the bytes at `begin`, and where they are not all, the rest elsewhere. `p` is -1 for all
   * segments but the first.
   */
  const put = (
    p: number, begin: number, beginBytes: number, rest: number, restBytes: number, port: number, descriptor: number, remote: number,
    ttlTos: number, gso: boolean
  ): void => {
    const size = beginBytes + restBytes
    const joins = mayJoin(size, port, descriptor, remote, ttlTos)
    const parts = restBytes === 0 ? 1 : 2
    const pair = rings.takePairs(parts)
    const g = pair * 2
    gather[g] = begin
    gather[g + 1] = beginBytes
    if (parts === 2) {
      gather[g + 2] = rest
      gather[g + 3] = restBytes
    }
    if (joins) {
      const last = run[LAST]!
      const each = run[EACH]!
      const e = last * TX_STRIDE
      tx[e + 3]! += parts
      tx[e + 4] = each
      run[TOTAL]! += size
      run[COUNT]!++
      if (size < each) run[OPEN] = 0
      if (p < 0) return
      next[p] = -1
      if (txPacket[last]! < 0) txPacket[last] = p
      else next[run[TAIL]!] = p
      run[TAIL] = p
      rings.addQueued()
      return
    }
    const last = rings.pushGathered(TX_SENDMSG, p, port, descriptor, pair, parts)
    const e = last * TX_STRIDE
    tx[e + 4] = 0
    tx[e + 5] = remote
    tx[e + 6] = ttlTos
    run[LAST] = last
    run[EACH] = size
    run[TOTAL] = size
    run[COUNT] = 1
    run[OPEN] = gso ? 1 : 0
    run[TAIL] = p
    if (p >= 0) next[p] = -1
  }

  const writeHeader = (at: number, header0: number, header1: number): void => {
    view.setInt32(at, header0)
    view.setInt32(at + 4, header1)
  }

  /** False when all of scratch, or all entries, are too few. */
  const makeRoom = (parts: number, scratch: number, entries: number): boolean => {
    if (rings.hasRoom(parts, scratch, entries)) return true
    flush()
    return rings.hasRoom(parts, scratch, entries)
  }

  // For the segments of the super-frame that is cut into packets: where they go
  let cutPort = 0
  let cutDescriptor = 0
  let cutRemote = 0
  let cutHeader0 = 0
  let cutHeader1 = 0
  let cutTtlTos = 0
  const segmenter = createSegmenter(packets, (p, gso) => send(p, cutPort, cutDescriptor, cutRemote, cutHeader0, cutHeader1, cutTtlTos, gso !== 0))

  /**
   * Sends `p`, which it owns, to the peer of row `remote` by a socket; `header0` and `header1` are the tunnel's header, big-endian.
   * `gso`: the socket knows UDP_SEGMENT. The caller has seen that it fits the MTU.
   */
  const send = (
    p: number, port: number, descriptor: number, remote: number, header0: number, header1: number, ttlTos: number, gso: boolean
  ): void => {
    if (gsoType[p] === 0) {
      if (!completeChecksum(p)) {
        packets.drop(p, NO_BUFFER)
        return
      }
      if (!makeRoom(2, HEADER + 4, 1)) {
        packets.drop(p, NO_BUFFER)
        return
      }
      // In the headroom, unless that is another one's, too
      if (headroom && (flags[p]! & F_SLICE) === 0 && !packets.isShared(p)) {
        const at = start[p]! - HEADER
        writeHeader(at, header0, header1)
        put(p, at, HEADER + length[p]!, 0, 0, port, descriptor, remote, ttlTos, gso)
        return
      }
      const at = rings.takeScratch(HEADER)
      writeHeader(at, header0, header1)
      put(p, at, HEADER, start[p]!, length[p]!, port, descriptor, remote, ttlTos, gso)
      return
    }
    if (!gathers) {
      cutPort = port
      cutDescriptor = descriptor
      cutRemote = remote
      cutHeader0 = header0
      cutHeader1 = header1
      cutTtlTos = ttlTos
      segmenter.segment(p, gso ? 1 : 0)
      return
    }
    const segments = cutter.begin(p)
    if (segments === 0 || segments > MAX_SEGMENTS) {
      packets.drop(p, CANNOT_SEGMENT)
      return
    }
    const headers = HEADER + cutter.headers()
    if (!makeRoom(2 * segments, segments * (headers + 4), gso ? Math.min(segments, ENTRIES_A_PACKET) : segments)) {
      packets.drop(p, NO_BUFFER)
      return
    }
    for (let i = 0; i < segments; i++) {
      const at = rings.takeScratch(headers)
      writeHeader(at, header0, header1)
      cutter.write(i, at + HEADER)
      put(i === 0 ? p : -1, at, headers, cutter.payloadAt(i), cutter.sizeOf(i), port, descriptor, remote, ttlTos, gso)
    }
  }
  return send
}
