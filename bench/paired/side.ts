/** One of the two networks that are compared: two hosts, and what joins them. */
export interface Side {
  name: 'kernel' | 'tapway'
  /** Namespaces of the hosts; the interface is eth0 in both. */
  client: string
  server: string
  clientAddress: string
  serverAddress: string
  /** What the client must know to send by itself: the next hop's address. */
  nextHop: string
  /** The process that forwards; none when the kernel does. */
  pid?: number
  /** Tapway takes no processor time while the other side is measured. */
  pause(): void
  resume(): void
}

export type Scenario = 'bridge' | 'router'
export const SCENARIOS: readonly Scenario[] = ['bridge', 'router']

export interface Plan {
  clientAddress: string
  serverAddress: string
  prefixLength: number
  /** The router's address on the client's and on the server's network. */
  gateways?: readonly [string, string]
}

/** The addresses of a scenario, the same on both sides. */
export const PLANS: Readonly<Record<Scenario, Plan>> = {
  bridge: { clientAddress: '10.1.1.2', serverAddress: '10.1.1.3', prefixLength: 24 },
  router: { clientAddress: '10.1.1.2', serverAddress: '10.1.2.2', prefixLength: 24, gateways: ['10.1.1.1', '10.1.2.1'] }
}
