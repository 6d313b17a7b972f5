/** Composing and sending ARP packets, for the resolver (requests) and the responder (replies). */
import type { Packets } from '../core/packets.js'
import type { Interfaces } from '../table/interfaces.js'
import { ARP_LENGTH, writeArp } from '../wire/arp.js'
import { ETHERNET_HEADER, ETHERTYPE_ARP, writeEthernet } from '../wire/ethernet.js'
import { inPrefix } from '../wire/ip4.js'

/** Bytes of an ARP frame; frames are not padded here. */
export const ARP_FRAME = ETHERNET_HEADER + ARP_LENGTH

/** Sends an ARP packet from an interface to a MAC address; the sender MAC is the interface's. False when the pool is empty. */
export const sendArp = (
  packets: Packets, interfaces: Interfaces, toBridge: (p: number, port: number) => void, iface: number, operation: number,
  dstHi: number, dstLo: number, sender: number, targetHi: number, targetLo: number, target: number
): boolean => {
  const port = interfaces.port[iface]!
  const p = packets.originate(ARP_FRAME, port)
  if (p < 0) return false
  const at = packets.start[p]!
  const hi = interfaces.macHi[iface]!
  const lo = interfaces.macLo[iface]!
  writeEthernet(packets.view, at, dstHi, dstLo, hi, lo, ETHERTYPE_ARP)
  writeArp(packets.view, at + ETHERNET_HEADER, operation, hi, lo, sender, targetHi, targetLo, target)
  toBridge(p, port)
  return true
}

/** Is it an address of the stack, on any interface? */
const isStackAddress = (interfaces: Interfaces, stack: number, address: number): boolean => {
  for (let i = 0; i < interfaces.capacity; i++) {
    if (interfaces.used[i] === 0 || interfaces.stack[i] !== stack) continue
    const list = interfaces.addresses[i]!
    for (let a = 0; a < list.length; a++) if (list[a]!.address === address) return true
  }
  return false
}

/**
 * The sender address of a request (arp_solicit with arp_announce 0, inet_select_addr): `wanted`, the source of the packet that
 * waits, where it is the stack's own; else the first address of the interface whose prefix holds the target; else the interface's
 * first address; else the first address of the stack; else 0.
 */
export const requestSource = (interfaces: Interfaces, iface: number, target: number, wanted: number): number => {
  const stack = interfaces.stack[iface]!
  if (wanted !== 0 && isStackAddress(interfaces, stack, wanted)) return wanted
  const list = interfaces.addresses[iface]!
  for (let a = 0; a < list.length; a++) {
    const entry = list[a]!
    if (inPrefix(target, entry.peer ?? entry.address, entry.prefixLength)) return entry.address
  }
  if (list.length > 0) return list[0]!.address
  for (let i = 0; i < interfaces.capacity; i++) {
    if (interfaces.used[i] === 1 && interfaces.stack[i] === stack && interfaces.primary[i] !== 0) return interfaces.primary[i]!
  }
  return 0
}
