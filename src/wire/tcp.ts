/** TCP's header as far as a switch needs it (RFC 9293 3.1): cutting super-frames, refusing connections. Offsets from its first byte. */
export const TCP_HEADER = 20
export const OFF_SOURCE_PORT = 0
export const OFF_DESTINATION_PORT = 2
export const OFF_SEQUENCE = 4
export const OFF_ACKNOWLEDGMENT = 8
export const OFF_DATA_OFFSET = 12
export const OFF_FLAGS = 13
export const OFF_WINDOW = 14
export const OFF_CHECKSUM = 16

export const FLAG_FIN = 0x01
export const FLAG_SYN = 0x02
export const FLAG_RST = 0x04
export const FLAG_PSH = 0x08
export const FLAG_ACK = 0x10
export const FLAG_CWR = 0x80

export const sourcePort = (view: DataView, o: number): number => view.getUint16(o + OFF_SOURCE_PORT)
export const destinationPort = (view: DataView, o: number): number => view.getUint16(o + OFF_DESTINATION_PORT)
export const sequence = (view: DataView, o: number): number => view.getInt32(o + OFF_SEQUENCE)
export const acknowledgment = (view: DataView, o: number): number => view.getInt32(o + OFF_ACKNOWLEDGMENT)
/** Bytes of header, options included. */
export const headerLength = (view: DataView, o: number): number => (view.getUint8(o + OFF_DATA_OFFSET) >>> 4) << 2
export const flags = (view: DataView, o: number): number => view.getUint8(o + OFF_FLAGS)
