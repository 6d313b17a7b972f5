/** UDP (RFC 768). Offsets from its first byte. */
export const UDP_HEADER = 8
export const OFF_SOURCE_PORT = 0
export const OFF_DESTINATION_PORT = 2
export const OFF_LENGTH = 4
export const OFF_CHECKSUM = 6

export const udpLength = (view: DataView, o: number): number => view.getUint16(o + OFF_LENGTH)
export const udpChecksum = (view: DataView, o: number): number => view.getUint16(o + OFF_CHECKSUM)
