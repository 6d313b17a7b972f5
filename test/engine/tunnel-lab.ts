/**
 * Machines with a VXLAN port each, over memory: frames go in at a bridge port, datagrams come out at sockets, and a piece of underlay that
 * is written here carries them to another machine, joined and cut anew as a kernel's GRO may do it.
 */
import { OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../src/core/ports.js'
import type { PoolOptions } from '../../src/core/packets.js'
import { LARGE, SMALL } from '../../src/core/packets.js'
import type { NetworkOptions } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import type { Without } from '../../src/optimisations.js'
import type { MemoryArrival, MemoryFrame } from '../../src/port/memory.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { hexBytes, ip4 } from '../oracle/naive-frames.js'
import { complete, naiveCut } from '../offload/naive-cut.js'

export type VxlanAdd = Extract<Operation, { op: 'vxlan.add' }>

export const ALL_OFFLOADS = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO

/** A sockaddr_in or sockaddr_in6, in words as the kernel has it. */
export const sockaddr = (address: string, port = 50000): Int32Array => {
  const v6 = address.includes(':') || address.length === 32
  const bytes = new Uint8Array(28)
  bytes.set([v6 ? 10 : 2, 0, port >> 8, port & 255])
  if (v6) bytes.set(hexBytes(address), 8)
  else bytes.set(ip4(address), 4)
  return new Int32Array(bytes.buffer)
}

/** Text of the address in a sockaddr. */
export const addressText = (words: Int32Array): string => {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
  return bytes[0] === 2 ? bytes.subarray(4, 8).join('.') : Buffer.from(bytes.subarray(8, 24)).toString('hex')
}

const portOf = (words: Int32Array): number => {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, 4)
  return bytes[2]! * 256 + bytes[3]!
}

/** One datagram as it is on the wire. */
export interface Datagram {
  bytes: number[]
  to: string
  port: number
  /** The socket it was sent by. */
  socket: number
  ttl: number
  tos: number
  df: boolean
  /** Number of the call that sent it. */
  call: number
}

export interface Machine {
  lab: MemoryLab
  address: string
  receive: number
  send: number[]
  sendDf: number[]
  /** What made the tunnel. */
  added: VxlanAdd
  /** What was sent since the last call, cut into datagrams. */
  sent(): Datagram[]
  /** Lets datagrams arrive. */
  arrive(bytes: readonly number[] | Uint8Array, more?: Partial<MemoryArrival> & { source?: string }): void
  /** Turns until nothing moves; the balance is looked at after each. */
  run(): void
}

export interface MachineOptions extends Partial<VxlanAdd> {
  address?: string
  pool?: PoolOptions
  sockets?: number
  /** Optimisations left out. */
  without?: Without
  network?: Partial<NetworkOptions>
  bridgeMtu?: number
  /** Ports of the bridge, made before the sockets: what they receive in a turn comes first. */
  ports?: Record<string, { mtu?: number; offloads?: number; vnet?: boolean }>
}

export const BRIDGE = 'br0'
export const TUNNEL = 'vxlan1'
export const OWN_MAC = '02:00:00:00:42:01'

/** A bridge br0 and VXLAN 42 in it as vxlan1. */
export const createMachine = ({ address = '192.168.77.1', pool, sockets = 4, bridgeMtu = 9000, ports = {}, without = [], network = {},
  ...more }: MachineOptions = {}): Machine => {
  const lab = createMemoryLab(1, pool, { without, ...network })
  const { io } = lab
  lab.apply({ op: 'bridge.add', name: BRIDGE, mac: '02:00:00:00:00:01', mtu: bridgeMtu, ageing_time: 300, fdb_max_learned: 0 })
  for (const [name, port] of Object.entries(ports)) lab.port(name, BRIDGE, { mtu: bridgeMtu, ...port })
  const open = (n: number): number[] => Array.from({ length: n }, () => io.open(false))
  const [receive] = open(1) as [number]
  const send = open(sockets)
  const sendDf = open(sockets)
  const added: VxlanAdd = {
    op: 'vxlan.add', name: TUNNEL, bridge: BRIDGE, mac: OWN_MAC, mtu: bridgeMtu, id: 42, local: address, dstport: 4789,
      srcport: [49152, 65535],
    learning: true, proxy: false, neigh_suppress: false, ttl: 0, tos: 0, df: 'unset', udpcsum: true, ageing: 300, maxaddress: 0,
    l2miss: false, l3miss: false, gbp: false, inner_vlan: 'pass', netns: '', family: 4, receive: [receive], send, send_df: sendDf,
      gso: true, ...more
  }
  lab.apply(added)
  let call = 0
  return {
    lab, address, receive, send, sendDf, added,
    sent: () => [...send, ...sendDf].flatMap((socket) => io.takenDatagrams(socket).flatMap((d) => {
      call++
      const each = d.gso === 0 ? d.bytes.length : d.gso
      return Array.from({ length: Math.max(1, Math.ceil(d.bytes.length / each)) }, (_, i): Datagram => ({
        bytes: [...d.bytes.subarray(i * each, (i + 1) * each)], to: addressText(d.address), port: portOf(d.address), socket,
        ttl: d.ttlTos < 0 ? 0 : d.ttlTos & 255, tos: d.ttlTos < 0 ? 0 : d.ttlTos >> 8, df: sendDf.includes(socket), call
      }))
    })),
    arrive: (bytes, { source = '192.168.77.2', ...arrival } = {}) =>
      io.injectDatagram(receive, { bytes: Uint8Array.from(bytes), from: sockaddr(source), ...arrival }),
    run: () => {
      for (let idle = 0; idle < 2;) {
        idle = lab.network.engine.turn(false) === 0 ? idle + 1 : 0
        lab.held()
      }
    }
  }
}

/** Carries out an operation; the message where it is refused. */
export const refusalOf = (m: Machine, operation: Operation): string | undefined => {
  try {
    m.lab.apply(operation)
  } catch (error) {
    return (error as Error).message
  }
  return undefined
}

export const VNI = (vni: number): number[] => [8, 0, 0, 0, vni >> 16, (vni >> 8) & 255, vni & 255, 0]

/**
 * What a kernel with UDP_GRO makes of datagrams of one sender's socket: runs of one size, the last of them may be shorter. `most` gives
 * how many a piece may have.
 */
export const gro = (datagrams: readonly Datagram[], most: () => number): { bytes: number[]; gso: number; tos: number; to: string }[] => {
  const out: { bytes: number[]; gso: number; tos: number; to: string; open: boolean; room: number; socket: number }[] = []
  for (const { bytes, tos, socket, to } of datagrams) {
    const last = out.at(-1)
    const each = last === undefined ? 0 : last.gso === 0 ? last.bytes.length : last.gso
    if (last !== undefined && last.open && last.socket === socket && last.to === to && last.tos === tos && 
      bytes.length <= each && last.room > 1 && last.bytes.length + bytes.length <= 65_507) {
      last.gso = each
      last.bytes.push(...bytes)
      last.room--
      last.open = bytes.length === each
    } else out.push({ bytes: [...bytes], gso: 0, tos, to, open: true, room: most(), socket })
  }
  return out.map(({ bytes, gso, tos, to }) => ({ bytes, gso, tos, to }))
}

/** What somebody who takes frames off a port sees: super-frames cut, checksums complete. */
export const seen = (frame: MemoryFrame): number[][] => {
  const { bytes, gsoType = 0, gsoSize = 0, csumStart = 0, csumOffset = 0, needsCsum = false } = frame
  const isTcp = csumOffset === 16
  if (gsoType !== 0) return naiveCut([...bytes], csumStart, isTcp, gsoSize)
  return [needsCsum ? complete([...bytes], csumStart, isTcp) : [...bytes]]
}

/** What must be as before when all is over. */
export const whole = (lab: MemoryLab): unknown => {
  const { packets } = lab.network.engine
  return { inUse: packets.packetsInUse(), large: packets.freeSlots(LARGE), small: packets.freeSlots(SMALL) }
}

export const allDrops = (lab: MemoryLab): Record<string, number> =>
  Object.fromEntries(lab.network.stats().drops.filter((d) => d.packets > 0).map((d) => [d.reason, d.packets]))
