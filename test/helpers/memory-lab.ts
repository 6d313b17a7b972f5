/**
 * A network over memory ports with a clock of its own: what tests of elements and of whole networks stand on. Frames go in by
 * port name, `run` lets the engine work until nothing moves, frames that came out are taken by port name.
 */
import { createMemoryIo, type MemoryFrame, type MemoryIo, type Offload } from '../../src/port/memory.js'
import type { PoolOptions } from '../../src/core/packets.js'
import { createNetwork, type Network, type NetworkOptions } from '../../src/network/network.js'
import type { Operation } from '../../src/network/operations.js'
import { WITHOUT } from './without.js'

export interface MemoryLab {
  network: Network
  /** Milliseconds; turns read it. */
  clock: { now: number }
  apply(...operations: Operation[]): void
  /** A bridge port with a memory device behind it. */
  port(name: string, bridge: string, options?: { mtu?: number; offloads?: number; vnet?: boolean }): void
  send(port: string, frame: Uint8Array, offload?: Offload): void
  /** Turns until nothing arrives and nothing is left to send. */
  run(): void
  /** Lets time pass in steps, the engine working after each. */
  wait(milliseconds: number, step?: number): void
  taken(port: string): MemoryFrame[]
  io: MemoryIo
  /** Counted drops of a reason. */
  drops(reason: string): number
  /** Throws unless the balance holds; the number of packets held. */
  held(): number
}

export const createMemoryLab = (
  seed = 1, pool: PoolOptions = { packets: 4096, largeSlots: 256, smallSlots: 1024 }, more: Partial<NetworkOptions> = {}
): MemoryLab => {
  const clock = { now: 1_000_000 }
  const devices = new Map<string, number>()
  let io: MemoryIo | undefined
  const network = createNetwork({
    instance: 'test', seed, poll: 'sleep', pool,
    makeIo: (packets, rings) => (io = createMemoryIo(packets, rings)),
    attachPort: (tag, handle) => io!.bind(handle, tag),
    detachPort: () => undefined,
    readClock: () => clock.now,
    wallClock: () => 1_700_000_000_000 + clock.now,
    ...more,
    without: [...WITHOUT, ...more.without ?? []]
  })
  const device = (name: string): number => {
    const d = devices.get(name)
    if (d === undefined) throw new Error(`no port ${name}`)
    return d
  }
  const run = (): void => {
    for (let idle = 0; idle < 2;) idle = network.engine.turn(false) === 0 ? idle + 1 : 0
  }
  return {
    network, clock, io: io!, run,
    apply: (...operations) => {
      for (const o of operations) network.apply(o)
    },
    port: (name, bridge, { mtu = 1500, offloads = 0, vnet = false } = {}) => {
      const handle = io!.open(vnet)
      devices.set(name, handle)
      network.apply({
        op: 'port.add', name, bridge, mtu, handle, vnet_header: vnet ? 10 : 0, offloads, mac: '02:00:00:00:00:00', netns: '', ifname: name.split('.').pop()!
      })
    },
    send: (port, frame, offload) => io!.inject(device(port), frame, offload),
    wait: (milliseconds, step = 50) => {
      for (let passed = 0; passed < milliseconds; passed += step) {
        clock.now += Math.min(step, milliseconds - passed)
        run()
      }
    },
    taken: (port) => io!.taken(device(port)),
    drops: (reason) => network.stats().drops.find((d) => d.reason === reason)!.packets,
    held: () => {
      const { balance } = network.stats()
      if (!balance.ok) throw new Error(`the balance is broken: ${JSON.stringify(balance)}`)
      return balance.held
    }
  }
}

type InterfaceAdd = Extract<Operation, { op: 'interface.add' }>

/** Operations for an interface of a router with an address; switches as the network file has them unless said otherwise. */
export const interfaceWith = (
  router: string, name: string, bridge: string, mac: string, prefix: string, more: Partial<InterfaceAdd> = {}
): Operation[] => [
  {
    op: 'interface.add', router, name, bridge, mac, mtu: 1500, forwarding: true, proxy_arp: false, rp_filter: 0, send_redirects: true,
    bc_forwarding: false, ...more
  },
  { op: 'addr.add', dev: name, router, prefix }
]
