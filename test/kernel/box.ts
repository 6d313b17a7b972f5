/** A bridge or a router described once, to be built twice: of the kernel's parts, and of ours. */
import type { Operation } from '../../src/network/operations.js'

export interface Link {
  name: string
  mac: string
  mtu?: number
  /** `10.1.1.1/24`, the first one primary. */
  addresses?: string[]
  forwarding?: boolean
  proxyArp?: boolean
  rpFilter?: number
  sendRedirects?: boolean
  bcForwarding?: boolean
}

export interface Station {
  address: string
  mac: string
  dev: string
}

export interface Route {
  to: string
  type?: 'unicast' | 'blackhole' | 'unreachable' | 'prohibit'
  nexthops?: { via?: string; dev?: string; weight?: number }[]
  src?: string
  metric?: number
}

export interface RouterPlan {
  kind: 'router'
  forwarding?: boolean
  links: Link[]
  routes?: Route[]
  /** Permanent neighbours. */
  stations?: Station[]
  /** Settings of the kernel's namespace beyond those all boxes get, below /proc/sys/net. */
  sysctls?: Record<string, number>
}

export interface FdbEntry {
  mac: string
  dev: string
  state: 'static' | 'dynamic' | 'permanent'
  sticky?: boolean
}

export interface BridgePlan {
  kind: 'bridge'
  mac: string
  mtu?: number
  addresses?: string[]
  ports: string[]
  /** Seconds. */
  ageing?: number
  /** Where the kernel's shall be shorter, since its seconds are real. */
  kernelAgeing?: number
  fdb?: FdbEntry[]
  stations?: Station[]
  sysctls?: Record<string, number>
}

export type Plan = RouterPlan | BridgePlan

/** What happens to a box, in order. After each step what it has sent is collected. */
export type Step =
  | { send: string; frame: readonly number[] }
  /** Milliseconds of our clock; the kernel's are real, and fewer where the plan makes its timers shorter. */
  | { wait: number; kernel?: number }
  /** What one says to `ip` or `bridge`, or `sysctl PATH VALUE`, and the operations that say the same. */
  | { change: string; operations: Operation[] }

/** A frame that a box has sent, by port. */
export interface Sent {
  port: string
  bytes: Uint8Array
}

export interface Box {
  /** Lets a frame arrive, or carries out what the step says; the frames sent meanwhile, by port, in order. */
  step(step: Step, expected: number): Sent[]
  close(): void
}

export const BRIDGE_NAME = 'br0'
export const ROUTER_NAME = 'r'

/** The addresses a plan gives to the box. */
export const ownAddresses = (plan: Plan): string[] =>
  (plan.kind === 'bridge' ? plan.addresses ?? [] : plan.links.flatMap((l) => l.addresses ?? [])).map((a) => a.split('/')[0]!)
