/** A router with two interfaces in memory: what it sends to the bridge is written down as hex and ended. */
import { LARGE, SMALL, createPackets } from '../../src/core/packets.js'
import type { PoolOptions } from '../../src/core/packets.js'
import { createArp } from '../../src/element/arp.js'
import type { NeighborParameters } from '../../src/element/neighbor.js'
import { createNeighborOutput } from '../../src/element/neighbor.js'
import { REASONS } from '../../src/reason.js'
import { STACK_ROUTER, createInterfaces } from '../../src/table/interfaces.js'
import type { NeighborsOptions } from '../../src/table/neighbors.js'
import { createNeighbors } from '../../src/table/neighbors.js'
import { parseIp4 } from '../../src/wire/ip4.js'
import { writeIpv4 } from '../../src/wire/ipv4.js'
import { parseMac } from '../../src/wire/mac.js'

export const ip = (text: string): number => parseIp4(text)!
export const mac = (text: string): [number, number] => parseMac(text)!
/** Hex without the spaces and line breaks that make it readable. */
export const hex = (text: string): string => text.replace(/\s+/g, '')
export const macHex = (text: string): string => text.replaceAll(':', '')
const ipHex = (text: string): string => (ip(text) >>> 0).toString(16).padStart(8, '0')

export const ROUTER_MAC = '02:00:00:00:01:03'
export const FAR_MAC = '02:00:00:00:02:03'
export const PORT0 = 10
export const PORT1 = 11
export const BROADCAST = 'ff:ff:ff:ff:ff:ff'
export const ZERO = '00:00:00:00:00:00'

/** An ARP frame as hex, field by field. */
export const arpFrame = (
  dst: string, src: string, op: number, senderMac: string, sender: string, targetMac: string, target: string
): string =>
  `${macHex(dst)}${macHex(src)}0806` + '0001080006040' + `00${op}`.slice(-3) +
  macHex(senderMac) + ipHex(sender) + macHex(targetMac) + ipHex(target)

export interface LabOptions {
  pool?: PoolOptions
  table?: NeighborsOptions
  parameters?: Partial<NeighborParameters>
  random?: () => number
}

export const arpLab = (options: LabOptions = {}) => {
  const clock = { now: 0 }
  const packets = createPackets({ packets: 512, largeSlots: 32, smallSlots: 480, ...options.pool })
  const interfaces = createInterfaces(8, 4)
  const stack = interfaces.addStack(STACK_ROUTER)
  const [hi0, lo0] = mac(ROUTER_MAC)
  const [hi1, lo1] = mac(FAR_MAC)
  const eth0 = interfaces.add(stack, PORT0, hi0, lo0, 1500)
  const eth1 = interfaces.add(stack, PORT1, hi1, lo1, 1500)
  interfaces.addAddress(eth0, { address: ip('10.1.1.3'), prefixLength: 24 })
  interfaces.addAddress(eth0, { address: ip('10.9.0.3'), prefixLength: 16 })
  interfaces.addAddress(eth1, { address: ip('10.1.2.3'), prefixLength: 24 })
  const neighbors = createNeighbors({ seed: 0x5eed, ...options.table })
  /** Frames sent, `port: hex`. */
  const sent: string[] = []
  /** Identification fields of packets whose sender was told of an unreachable host. */
  const unreachable: number[] = []
  const hooks = {
    /** Called with the frame's hex after it was written down. */
    onSent: (_frame: string, _port: number): void => undefined,
    onUnreachable: (_p: number): void => undefined
  }

  const frameOf = (p: number): string =>
    Buffer.from(packets.arena, packets.start[p]!, packets.length[p]!).toString('hex')

  const toBridge = (p: number, port: number): void => {
    const frame = frameOf(p)
    sent.push(`${port}: ${frame}`)
    packets.transmitted(p)
    hooks.onSent(frame, port)
  }

  const output = createNeighborOutput({
    packets, interfaces, neighbors, clock,
    random: options.random ?? (() => 0.5),
    toBridge,
    hostUnreachable: (p) => {
      unreachable.push(packets.view.getUint16(packets.start[p]! + 14 + 4))
      hooks.onUnreachable(p)
    },
    parameters: options.parameters
  })
  const isLocal = (s: number, address: number): boolean =>
    [eth0, eth1].some((i) => interfaces.stack[i] === s && interfaces.addresses[i]!.some((a) => a.address === address))
  const arp = createArp({
    packets, interfaces, neighbors, neighborOutput: output, isLocal, clock, toBridge,
    routeFor: (_s, iface, target) => iface === eth0 && target >>> 8 === ip('10.1.2.0') >>> 8
  })

  /** An IPv4 packet in a large slot, as reception leaves it, `payload` bytes behind the header; `id` to tell it by. */
  const ipPacket = (id: number, payload = 0, source = '10.1.2.2', destination = '10.1.1.2'): number => {
    const p = packets.received(packets.takeSlot(LARGE), 14 + 20 + payload, PORT1)
    const at = packets.start[p]!
    packets.bytes.fill(0, at, at + packets.length[p]!)
    writeIpv4(packets.view, at + 14, 0, 20 + payload, id, 0, 64, 17, ip(source), ip(destination))
    packets.l3[p] = at + 14
    packets.l4[p] = at + 34
    return p
  }

  /** Sends packet `id` to a next hop by eth0. */
  const send = (id: number, nextHop: string, payload = 0, source?: string): void =>
    output.output(ipPacket(id, payload, source), eth0, ip(nextHop))

  /** A frame, as hex, comes to an interface. */
  const receive = (frame: string, iface = eth0): void => {
    const data = Buffer.from(frame, 'hex')
    const p = packets.received(packets.takeSlot(SMALL), data.length, interfaces.port[iface]!)
    packets.bytes.set(data, packets.start[p]!)
    arp.receive(p, iface)
  }

  const advance = (milliseconds: number): void => {
    clock.now += milliseconds
    output.tick(clock.now)
  }

  /** Time passes in steps of 100 ms, timers running. */
  const pass = (milliseconds: number): void => {
    for (let t = 0; t < milliseconds; t += 100) advance(Math.min(100, milliseconds - t))
  }

  const stateOf = (address: string, iface = eth0): number => {
    const row = neighbors.lookup(iface, ip(address))
    return row < 0 ? -1 : neighbors.state[row]!
  }

  /** Drops by reason name, without zeros. */
  const drops = (): Record<string, number> =>
    Object.fromEntries(REASONS.map((r, i) => [r.name, packets.drops[i]!] as const).filter(([, n]) => n > 0))

  /** What was sent since the last call. */
  const take = (): string[] => sent.splice(0)

  return {
    clock, packets, interfaces, neighbors, output, arp, stack, eth0, eth1, sent, unreachable, hooks,
    ipPacket, send, receive, advance, pass, stateOf, drops, take
  }
}

/** Created minus ended, by the balance; equals what is in use when nothing leaks. */
export const outstanding = (balance: Float64Array): number =>
  balance[0]! + balance[1]! + balance[2]! + balance[3]! - balance[4]! - balance[5]! - balance[6]! - balance[7]!
