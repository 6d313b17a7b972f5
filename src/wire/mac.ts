/** MAC addresses (IEEE 802): text and the number pair `(hi, lo)` of README.md. */

/** hi and lo of ff:ff:ff:ff:ff:ff. */
export const BROADCAST_HI = 0xffff
export const BROADCAST_LO = -1

export const macHi = (view: DataView, o: number): number => view.getUint16(o, true)
export const macLo = (view: DataView, o: number): number => view.getInt32(o + 2, true)

export const setMac = (view: DataView, o: number, hi: number, lo: number): void => {
  view.setUint16(o, hi, true)
  view.setInt32(o + 2, lo, true)
}

/** The group bit (I/G) of the first octet: multicast or broadcast. */
export const isGroup = (hi: number): boolean => (hi & 1) !== 0
export const isZero = (hi: number, lo: number): boolean => (hi | lo) === 0

const hex = (n: number): string => (n & 0xff).toString(16).padStart(2, '0')

/** `02:42:0a:01:01:02`, as `ip link` prints it. */
export const formatMac = (hi: number, lo: number): string =>
  `${hex(hi)}:${hex(hi >>> 8)}:${hex(lo)}:${hex(lo >>> 8)}:${hex(lo >>> 16)}:${hex(lo >>> 24)}`

const TEXT = /^[0-9a-f]{1,2}([:-])(?:[0-9a-f]{1,2}\1){4}[0-9a-f]{1,2}$/i

/** `[hi, lo]` of six hex octets separated by `:` or `-`; undefined when the text is no MAC address. */
export const parseMac = (text: string): [hi: number, lo: number] | undefined => {
  if (!TEXT.test(text)) return undefined
  const b = text.split(/[:-]/).map((octet) => parseInt(octet, 16))
  return [b[0]! | (b[1]! << 8), b[2]! | (b[3]! << 8) | (b[4]! << 16) | (b[5]! << 24)]
}
