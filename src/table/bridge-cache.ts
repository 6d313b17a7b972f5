/**
 * Where the frames between two stations went: a small direct-mapped cache in front of the forwarding database, for frames to a known station
 * by a port whose source is known there, too. An entry holds for the second it was made in (so that learning and use are noted as
 * often as before) and while the database has not changed. Two pairs that fall on one place push each other out.
 */
import { createEpoch } from './epoch.js'

const BITS = 16
/** Eight words, so that an entry lies in one cache line: MAC addresses as they lie in the frame (u16, i32, i32, u16), port in, when, port out. */
const STRIDE = 8

/** Without `isOn` it remembers nothing. */
export const createBridgeCache = (isOn = true) => {
  // Zero is no epoch, and memory that was never written takes none of the machine's
  const t = new Int32Array(STRIDE << BITS)
  return {
    /** Of this state of the database (epoch.ts). */
    epoch: createEpoch(() => t.fill(0)),
    /** Place of a pair; arguments are the frame's bytes 0..1, 2..5, 6..9, 10..11 as loaded little-endian, and the port. */
    slotOf: (a: number, b: number, c: number, d: number, port: number): number => {
      const h = Math.imul(b ^ port, 0x9e3779b1) ^ Math.imul(c ^ (a << 16), 0x85ebca6b) ^ d
      return (Math.imul(h ^ (h >>> 15), 0x9e3779b1) >>> (32 - BITS)) * STRIDE
    },
    /** The port that frames of the pair leave by; -1 when that is not known for `when`. */
    find: (slot: number, a: number, b: number, c: number, d: number, port: number, when: number): number =>
      t[slot] === b && t[slot + 1] === c && t[slot + 2] === (a | (d << 16)) && t[slot + 3] === port && t[slot + 4] === when ? t[slot + 5]! : -1,
    put: (slot: number, a: number, b: number, c: number, d: number, port: number, when: number, to: number): void => {
      if (!isOn) return
      t[slot] = b
      t[slot + 1] = c
      t[slot + 2] = a | (d << 16)
      t[slot + 3] = port
      t[slot + 4] = when
      t[slot + 5] = to
    }
  }
}
