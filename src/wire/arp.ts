/** ARP for Ethernet and IPv4 (RFC 826). Offsets from the first byte behind the Ethernet header. */
import { ARP_MALFORMED, OK } from '../reason.js'
import { macHi, macLo, setMac } from './mac.js'
import { ETHERTYPE_IPV4 } from './ethernet.js'

export const ARP_LENGTH = 28
export const OFF_HARDWARE_TYPE = 0
export const OFF_PROTOCOL_TYPE = 2
export const OFF_HARDWARE_LENGTH = 4
export const OFF_PROTOCOL_LENGTH = 5
export const OFF_OPERATION = 6
export const OFF_SENDER_MAC = 8
export const OFF_SENDER_IP = 14
export const OFF_TARGET_MAC = 18
export const OFF_TARGET_IP = 24

export const HARDWARE_ETHERNET = 1
/** Some stations call Ethernet that; Linux takes it for the same. */
export const HARDWARE_IEEE802 = 6
export const ARP_REQUEST = 1
export const ARP_REPLY = 2

/** `length` is what follows the Ethernet header, padding included. */
export const checkArp = (view: DataView, o: number, length: number): number => {
  if (length < ARP_LENGTH) return ARP_MALFORMED
  const hardware = view.getUint16(o + OFF_HARDWARE_TYPE)
  if (hardware !== HARDWARE_ETHERNET && hardware !== HARDWARE_IEEE802) return ARP_MALFORMED
  if (view.getUint16(o + OFF_PROTOCOL_TYPE) !== ETHERTYPE_IPV4) return ARP_MALFORMED
  if (view.getUint8(o + OFF_HARDWARE_LENGTH) !== 6 || view.getUint8(o + OFF_PROTOCOL_LENGTH) !== 4) return ARP_MALFORMED
  return OK
}

export const operation = (view: DataView, o: number): number => view.getUint16(o + OFF_OPERATION)
export const senderMacHi = (view: DataView, o: number): number => macHi(view, o + OFF_SENDER_MAC)
export const senderMacLo = (view: DataView, o: number): number => macLo(view, o + OFF_SENDER_MAC)
export const senderIp = (view: DataView, o: number): number => view.getInt32(o + OFF_SENDER_IP)
export const targetMacHi = (view: DataView, o: number): number => macHi(view, o + OFF_TARGET_MAC)
export const targetMacLo = (view: DataView, o: number): number => macLo(view, o + OFF_TARGET_MAC)
export const targetIp = (view: DataView, o: number): number => view.getInt32(o + OFF_TARGET_IP)

/** Writes all 28 bytes. */
export const writeArp = (
  view: DataView, o: number, op: number,
  senderHi: number, senderLo: number, sender: number, targetHi: number, targetLo: number, target: number
): void => {
  view.setUint16(o + OFF_HARDWARE_TYPE, HARDWARE_ETHERNET)
  view.setUint16(o + OFF_PROTOCOL_TYPE, ETHERTYPE_IPV4)
  view.setUint8(o + OFF_HARDWARE_LENGTH, 6)
  view.setUint8(o + OFF_PROTOCOL_LENGTH, 4)
  view.setUint16(o + OFF_OPERATION, op)
  setMac(view, o + OFF_SENDER_MAC, senderHi, senderLo)
  view.setInt32(o + OFF_SENDER_IP, sender)
  setMac(view, o + OFF_TARGET_MAC, targetHi, targetLo)
  view.setInt32(o + OFF_TARGET_IP, target)
}
