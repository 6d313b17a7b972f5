/**
 * Writes pcapng (draft-ietf-opsawg-pcapng), as far as a capture of Ethernet ports needs it. A file is a section header, an
 * interface description for each port, then enhanced packets; a description may also follow later, before its first packet.
 *
 * Blocks are little-endian; each begins and ends with its length, options and packet data are padded to 4 bytes.
 */

const SECTION_HEADER = 0x0a0d0d0a
const INTERFACE_DESCRIPTION = 1
const ENHANCED_PACKET = 6
const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const LINKTYPE_ETHERNET = 1

const OPT_END = 0
const OPT_COMMENT = 1
const SHB_USERAPPL = 4
const IF_NAME = 2
const IF_DESCRIPTION = 3
const IF_TSRESOL = 9
const EPB_FLAGS = 2

/** Values of epb_flags, bits 0 and 1: as the device sees it, so what a switch receives is inbound. */
export const INBOUND = 1
export const OUTBOUND = 2

/** The draft's resolution of timestamps: 10 to the minus 6 or 9 seconds. */
export const MICROSECONDS = 6
export const NANOSECONDS = 9

/** Snapshot length tcpdump uses, above any frame there is. */
const MAX_SNAPLEN = 262144

const pad4 = (n: number): number => (n + 3) & ~3

const option = (code: number, value: Buffer): Buffer => {
  const b = Buffer.alloc(4 + pad4(value.length))
  b.writeUInt16LE(code, 0)
  b.writeUInt16LE(value.length, 2)
  value.copy(b, 4)
  return b
}

/** UTF-8 text, cut to what the 16-bit length of an option holds (the cut may fall into a character). */
const text = (code: number, value: string): Buffer => option(code, Buffer.from(value).subarray(0, 0xffff))

/** All options with the end marker; nothing when there are none. */
const options = (list: Buffer[]): Buffer => (list.length === 0 ? Buffer.alloc(0) : Buffer.concat([...list, Buffer.alloc(4, OPT_END)]))

/** A block around fixed fields of `fixed` bytes, packet data and options. `fill` writes the fixed fields behind the 8-byte head. */
const block = (type: number, fixed: number, data: Uint8Array, opts: Buffer, fill: (b: Buffer) => void): Buffer => {
  const total = 8 + fixed + pad4(data.length) + opts.length + 4
  const b = Buffer.alloc(total)
  b.writeUInt32LE(type, 0)
  b.writeUInt32LE(total, 4)
  fill(b)
  b.set(data, 8 + fixed)
  opts.copy(b, 8 + fixed + pad4(data.length))
  b.writeUInt32LE(total, total - 4)
  return b
}

const NO_DATA = new Uint8Array(0)

/** Section header block: the first of a file. */
export const sectionHeader = (info: { application?: string; comment?: string } = {}): Buffer => {
  const list: Buffer[] = []
  if (info.comment !== undefined) list.push(text(OPT_COMMENT, info.comment))
  if (info.application !== undefined) list.push(text(SHB_USERAPPL, info.application))
  return block(SECTION_HEADER, 16, NO_DATA, options(list), (b) => {
    b.writeUInt32LE(BYTE_ORDER_MAGIC, 8)
    b.writeUInt16LE(1, 12) // version 1.0
    b.writeUInt16LE(0, 14)
    b.writeBigInt64LE(-1n, 16) // length of the section is not known
  })
}

export interface InterfaceInfo {
  name: string
  description?: string
  snaplen?: number
  /** MICROSECONDS or NANOSECONDS (default). */
  resolution?: number
}

/** Interface description block. Interfaces are numbered from 0 in the order of their blocks. */
export const interfaceDescription = (info: InterfaceInfo): Buffer => {
  const list = [text(IF_NAME, info.name)]
  if (info.description !== undefined) list.push(text(IF_DESCRIPTION, info.description))
  list.push(option(IF_TSRESOL, Buffer.from([info.resolution ?? NANOSECONDS])))
  return block(INTERFACE_DESCRIPTION, 8, NO_DATA, options(list), (b) => {
    b.writeUInt16LE(LINKTYPE_ETHERNET, 8)
    b.writeUInt32LE(info.snaplen ?? MAX_SNAPLEN, 12)
  })
}

/**
 * Enhanced packet block: `data` as captured, of a frame of `length` bytes; `time` in the interface's resolution since the epoch;
 * `direction` INBOUND, OUTBOUND or 0 for unknown.
 */
export const enhancedPacket = (
  interfaceId: number, time: bigint, data: Uint8Array, length: number, direction = 0, comment?: string
): Buffer => {
  const list: Buffer[] = []
  if (comment !== undefined) list.push(text(OPT_COMMENT, comment))
  if (direction !== 0) list.push(option(EPB_FLAGS, Buffer.from([direction, 0, 0, 0])))
  return block(ENHANCED_PACKET, 20, data, options(list), (b) => {
    b.writeUInt32LE(interfaceId, 8)
    b.writeUInt32LE(Number((time >> 32n) & 0xffffffffn), 12)
    b.writeUInt32LE(Number(time & 0xffffffffn), 16)
    b.writeUInt32LE(data.length, 20)
    b.writeUInt32LE(length, 24)
  })
}
