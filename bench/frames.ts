/** Frames for measurements: UDP in IPv4 in Ethernet, written by the codecs of src/wire. */
import { ETHERNET_HEADER, ETHERTYPE_IPV4, writeEthernet } from '../src/wire/ethernet.js'
import { checksum, pseudoSum } from '../src/wire/checksum.js'
import * as ip4 from '../src/wire/ip4.js'
import * as ipv4 from '../src/wire/ipv4.js'
import { parseMac } from '../src/wire/mac.js'
import * as udp from '../src/wire/udp.js'

/** Least Ethernet frame without its checksum: 64 bytes on the wire. */
const LEAST_FRAME = 60

export interface UdpFlow {
  sourceMac: string
  destinationMac: string
  source: string
  destination: string
  sourcePort: number
  destinationPort: number
}

/** A UDP datagram as a frame of `length` bytes, payload zero, with DF and a valid checksum. Throws on addresses that are none. */
export const udpFrame = (flow: UdpFlow, length = LEAST_FRAME): Uint8Array => {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  const to = parseMac(flow.destinationMac)
  const from = parseMac(flow.sourceMac)
  const source = ip4.parseIp4(flow.source)
  const destination = ip4.parseIp4(flow.destination)
  if (to === undefined || from === undefined || source === undefined || destination === undefined) {
    throw new Error(`a flow with bad addresses: ${JSON.stringify(flow)}`)
  }
  writeEthernet(view, 0, to[0], to[1], from[0], from[1], ETHERTYPE_IPV4)
  ipv4.writeIpv4(view, ETHERNET_HEADER, 0, length - ETHERNET_HEADER, 0, ipv4.FLAG_DF, 64, ipv4.PROTOCOL_UDP, source, destination)
  const o = ETHERNET_HEADER + ipv4.IPV4_HEADER
  const size = length - o
  view.setUint16(o + udp.OFF_SOURCE_PORT, flow.sourcePort)
  view.setUint16(o + udp.OFF_DESTINATION_PORT, flow.destinationPort)
  view.setUint16(o + udp.OFF_LENGTH, size)
  const sum = checksum(view, o, size, pseudoSum(source, destination, ipv4.PROTOCOL_UDP, size))
  view.setUint16(o + udp.OFF_CHECKSUM, sum === 0 ? 0xffff : sum)
  return bytes
}
