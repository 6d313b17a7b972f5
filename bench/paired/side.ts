/** Other switches in user space that can be measured beside Tapway (others.ts). */
export const OTHER_SIDES = ['ovs', 'ovs-packet', 'vde'] as const
export type OtherSide = (typeof OTHER_SIDES)[number]

/** One of the networks that are compared: two hosts, and what joins them. `plain` is Tapway without apps (policy.ts), `without` is it without some of its optimisations. */
export interface Side {
  name: 'kernel' | 'tapway' | 'plain' | 'without' | OtherSide
  /** Of another switch, what it says it is; of Tapway without something, what that is. */
  version?: string
  /** Namespaces of the hosts; the interface is eth0 in both. */
  client: string
  server: string
  clientAddress: string
  serverAddress: string
  /** What the client must know to send by itself: the next hop's address. */
  nextHop: string
  /** The processes that forward, in the order of the path; none where the kernel does. */
  pids: readonly number[]
  /** Tapway takes no processor time while the other side is measured. */
  pause(): void
  resume(): void
}

/**
 * `vxlan`: two machines joined by a tunnel, each with one of the hosts behind a bridge. In `vxlan-send` and `vxlan-receive` Tapway is
 * the sending or the receiving machine and the kernel the other one; what they are compared with is the kernel on both.
 * `vxlan-socket` and `vxlan-send-socket` are `vxlan` and `vxlan-send` with `uplink: socket` in Tapway's files, where super-frames are cut here.
 * In `vxlan-nic` and `vxlan-nic-socket` the cable between the machines can do no more than a plain network card; elsewhere it is a veth pair as it is.
 * `policy` and `policy-vxlan` are Tapway with apps and policies beside Tapway without: on one cell, and between two.
 */
export const SCENARIOS = [
  'bridge', 'router', 'vxlan', 'vxlan-send', 'vxlan-receive', 'vxlan-socket', 'vxlan-send-socket', 'vxlan-nic', 'vxlan-nic-socket', 'policy', 'policy-vxlan'
] as const
export type Scenario = (typeof SCENARIOS)[number]
export type PolicyScenario = Extract<Scenario, `policy${string}`>
export type KernelScenario = Exclude<Scenario, PolicyScenario>

export interface Plan {
  clientAddress: string
  serverAddress: string
  prefixLength: number
  /** The router's address on the client's and on the server's network. */
  gateways?: readonly [string, string]
}

const OVERLAY: Plan = { clientAddress: '10.0.10.2', serverAddress: '10.0.10.3', prefixLength: 24 }

/** The addresses of a scenario, the same on both sides; policy.ts has its own. */
export const PLANS: Readonly<Record<KernelScenario, Plan>> = {
  bridge: { clientAddress: '10.1.1.2', serverAddress: '10.1.1.3', prefixLength: 24 },
  router: { clientAddress: '10.1.1.2', serverAddress: '10.1.2.2', prefixLength: 24, gateways: ['10.1.1.1', '10.1.2.1'] },
  vxlan: OVERLAY, 'vxlan-send': OVERLAY, 'vxlan-receive': OVERLAY, 'vxlan-socket': OVERLAY, 'vxlan-send-socket': OVERLAY,
  'vxlan-nic': OVERLAY, 'vxlan-nic-socket': OVERLAY
}
