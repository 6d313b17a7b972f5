/** The element under test with its tables, and frames for the packets of policy-model.ts. */
import { createPackets, F_OWN, LARGE, SMALL, type PoolOptions } from '../../src/core/packets.js'
import { createPolicy } from '../../src/element/policy.js'
import { REASONS } from '../../src/reason.js'
import { createDenials } from '../../src/table/denials.js'
import { STATE_NAMES } from '../../src/table/flow-states.js'
import { createFlows } from '../../src/table/flows.js'
import { createPolicies } from '../../src/table/policies.js'
import { formatIp4 } from '../../src/wire/ip4.js'
import { ip, mac } from '../helpers/arp-lab.js'
import { ALL, arpFrame, ipPacket, MF, patch } from '../helpers/frames.js'
import { isLeftOut } from '../helpers/without.js'
import { be16, ethernet } from '../oracle/naive-frames.js'
import type { Packet } from './policy-model.js'

export const PROTOCOLS: Record<string, number> = { icmp: 1, tcp: 6, udp: 17, other: 47 }
export const macOf = (port: number): string => `02:00:00:00:00:0${port}`

export const packetOf = (more: Partial<Packet>): Packet => ({
  frame: 'ip', from: '10.0.0.1', to: '10.0.0.3', forgedMac: false, groupMac: false, protocol: 'tcp', sport: 1000, dport: 80, tcp: 'S', type: 8, id: 7,
  fragment: 'none', datagram: 1, options: false, lacks: 0, own: false, ...more
})

const tcpFlags = (letters: string): number =>
  (letters.includes('F') ? 1 : 0) | (letters.includes('S') ? 2 : 0) | (letters.includes('R') ? 4 : 0) | (letters.includes('A') ? 16 : 0)

const transport = (p: Packet): number[] => {
  const whole = p.protocol === 'tcp' ? [...be16(p.sport), ...be16(p.dport), 0, 0, 0, 1, 0, 0, 0, 2, 0x50, tcpFlags(p.tcp), 16, 0, 0, 0, 0, 0]
    : p.protocol === 'udp' ? [...be16(p.sport), ...be16(p.dport), 0, 12, 0, 0]
      : p.protocol === 'icmp' ? [p.type, 0, 0, 0, ...be16(p.id), 0, 1]
        : [0, 0, 8, 0]
  if (p.quoted !== undefined) whole.push(...ipOf(p.quoted, 8))
  else if (p.lacks === 0) whole.push(1, 2, 3, 4)
  return whole.slice(0, p.lacks === 0 ? whole.length : Math.max(0, { tcp: 20, udp: 8, icmp: 8, other: 4 }[p.protocol] - p.lacks))
}

/** The IPv4 packet; with `most` no more bytes of its payload than that, as an ICMP error quotes it. */
const ipOf = (p: Packet, most = 65535): number[] => {
  const payload = typeof p.fragment === 'number' ? [9, 9, 9, 9, 9, 9, 9, 9] : transport(p)
  const packet = ipPacket({
    src: p.from, dst: p.to, protocol: PROTOCOLS[p.protocol]!, payload, id: p.datagram,
    flags: p.fragment === 'none' ? 0x4000 : p.fragment === 'first' ? MF : p.fragment, options: p.options ? [1, 1, 1, 0] : []
  })
  return packet.slice(0, (p.options ? 24 : 20) + most)
}

/** The frame of a packet that comes from, or is for, `port`. */
export const frameOf = (p: Packet, port: number): number[] => {
  // One that differs in its first bytes or in its last ones
  const source = p.forgedMac ? (p.sport % 2 === 0 ? `06:00:00:00:00:0${port}` : '02:00:00:00:99:99') : macOf(port)
  const destination = p.groupMac ? ALL : '02:00:00:00:77:77'
  if (p.frame === 'arp') return arpFrame({ senderMac: source, sender: p.from, target: p.to })
  if (p.frame === 'ipv6') return ethernet(destination, source, 0x86dd, new Array<number>(60).fill(0))
  const packet = ipOf(p)
  if (p.frame === 'vlan') return ethernet(destination, source, 0x8100, [0, 5, 8, 0, ...packet])
  const bytes = p.frame === 'ihl' ? patch(packet, 0, 0x44) : p.frame === 'short' ? packet.slice(0, 19) : p.frame === 'cut' ? packet.slice(0, packet.length - 1) : packet
  return ethernet(destination, source, 0x0800, bytes)
}

export const createPolicyLab = ({ capacity = 4096, seed = 1, pool = {} as PoolOptions } = {}) => {
  const packets = createPackets({ packets: 16, largeSlots: 4, smallSlots: 8, ports: 16, ...pool })
  const ports = { app: new Int32Array(16), capacity: 16 }
  const clock = { now: 5000, second: 5 }
  const flows = createFlows({ capacity, seed })
  const policies = createPolicies({ capacity: 64 })
  const denials = createDenials({ capacity: 16 })
  const policy = createPolicy({ packets, ports, policies, flows, denials, clock, seed, remembers: !isLeftOut('policy-cache') })
  const REMOTE = 9

  const put = (p: Packet, port: number): number => {
    const frame = frameOf(p, port)
    const n = packets.received(packets.takeSlot(frame.length > 1982 ? LARGE : SMALL), frame.length, port)
    // What lies behind the frame is none of its bytes
    packets.bytes.fill(0x45, packets.start[n]!, packets.start[n]! + 200)
    packets.bytes.set(frame, packets.start[n]!)
    if (p.own) packets.flags[n] = F_OWN
    return n
  }

  const before = new Float64Array(REASONS.length)
  /** The reason of the drop that has just happened; there must be one. */
  const dropped = (): string => {
    let name = ''
    for (let r = 0; r < REASONS.length; r++) if (packets.drops[r] !== before[r]) name += REASONS[r]!.name
    before.set(packets.drops)
    return name
  }

  return {
    packets, ports, clock, flows, policies, denials, policy, REMOTE, put,
    /** Counted drops by reason. */
    drops: (): Record<string, number> => Object.fromEntries(REASONS.map((r, i) => [r.name, packets.drops[i]!])),
    /** Sends a packet in by an app's port: the number of the packet if it goes on, or why not. */
    mark: (p: Packet, port: number): number | string => {
      const n = put(p, port)
      return policy.mark(n, port) ? n : dropped()
    },
    /** What becomes of packet `n` at an app's port; it ends. */
    admit: (n: number, port: number): string => {
      const length = packets.length[n]!
      const bytes = Buffer.from(packets.bytes.subarray(packets.start[n]!, packets.start[n]! + length))
      const isLetOut = policy.admit(n, port)
      if (!isLetOut) return dropped()
      if (!bytes.equals(packets.bytes.subarray(packets.start[n]!, packets.start[n]! + length))) throw new Error('it has written to the packet')
      packets.transmitted(n)
      return 'ok'
    },
    /** From elsewhere, with this mark, for an app's port. */
    arrive: (p: Packet, mark: number): number => {
      const n = put(p, REMOTE)
      packets.mark[n] = mark
      return n
    },
    setPort: (port: number, app: number, addresses: readonly string[]): boolean => policy.setPort(port, app, ...mac(macOf(port)), addresses.map(ip)),
    wait: (seconds: number): void => {
      clock.now += seconds * 1000
      clock.second += seconds
    },
    /** All conversations, as `conversationName` of the model writes them. */
    conversations: (): string[] => {
      const all: string[] = []
      flows.forEach(clock.second, (e) => {
        const protocol = Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === flows.protocolOf(e))!
        const isIcmp = protocol === 'icmp'
        const responder = isIcmp ? flows.sourcePortOf(e) : flows.destinationPortOf(e)
        // The type of request is a byte where ports have their high one
        all.push(`${protocol}${isIcmp ? flows.destinationPortOf(e) >>> 8 : ''} ${formatIp4(flows.sourceOf(e))}:${flows.sourcePortOf(e)} ` +
          `${formatIp4(flows.destinationOf(e))}:${responder} ${STATE_NAMES[flows.stateOf(e)]} ${flows.deadlineOf(e)}`)
      })
      return all
    }
  }
}

export type PolicyLab = ReturnType<typeof createPolicyLab>
