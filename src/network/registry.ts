/**
 * The names of a running network and the rows they stand for. A bridge is also an interface (its own address), a router has
 * interfaces, a host's port is named HOST.IF. Looking a name up is where most wrong commands end, so errors list the choices.
 */
import { distance } from 'fastest-levenshtein'
import { NetworkError, type OperationOf } from './operations.js'

export interface BridgeEntry {
  kind: 'bridge'
  name: string
  ifindex: number
  row: number
  filter: number
  stack: number
  /** Its own interface and the port behind which that lies. */
  iface: number
  port: number
  mac: string
  mtu: number
  ageingTime: number
  fdbMaxLearned: number
  /** Ports in the order they were plugged in, its own first. */
  members: number[]
}

export interface RouterEntry {
  kind: 'router'
  name: string
  stack: number
  interfaces: InterfaceEntry[]
}

export interface InterfaceEntry {
  kind: 'interface'
  name: string
  router: RouterEntry
  bridge: BridgeEntry
  ifindex: number
  iface: number
  port: number
  mac: string
}

export interface PortEntry {
  kind: 'port'
  name: string
  bridge: BridgeEntry
  ifindex: number
  port: number
  handle: number
  mac: string
  netns: string
  ifname: string
  /** A TAP of a host, or a device that was there before. */
  io: 'tap' | 'packet'
}

/** A VXLAN port. */
export interface VxlanEntry {
  kind: 'vxlan'
  name: string
  bridge: BridgeEntry
  ifindex: number
  port: number
  /** Its row in table/tunnels.ts. */
  tunnel: number
  mac: string
  options: OperationOf<'vxlan.add'>
  /** Rows of its sockets. */
  receive: number[]
  send: number[]
}

/** An app: its ports here. */
export interface AppEntry {
  name: string
  /** The mark of its packets. */
  id: number
  members: { entry: PortEntry; addresses: string[]; mac: string }[]
}

export type LinkEntry = BridgeEntry | InterfaceEntry | PortEntry | VxlanEntry
/** What has a routing table. */
export type StackEntry = BridgeEntry | RouterEntry
/** What has addresses, and with them neighbours. */
export type AddressedEntry = BridgeEntry | InterfaceEntry

export type Registry = ReturnType<typeof createRegistry>

/** A port's full name: what it is called among all ports. */
export const linkName = (e: LinkEntry): string => (e.kind === 'interface' ? `${e.router.name}.${e.name}` : e.name)

const shortName = (e: LinkEntry): string => (e.kind === 'port' ? e.ifname : e.name)

export const createRegistry = () => {
  const bridges: BridgeEntry[] = []
  const routers: RouterEntry[] = []
  const ports: PortEntry[] = []
  const vxlans: VxlanEntry[] = []
  const apps: AppEntry[] = []
  let lastIndex = 0

  const links = (): LinkEntry[] =>
    [...bridges, ...routers.flatMap((r) => r.interfaces), ...ports, ...vxlans].sort((a, b) => a.ifindex - b.ifindex)

  const unknown = (what: string, name: string, choices: string[]): NetworkError => {
    const near = choices.filter((c) => distance(c, name) <= Math.max(1, Math.floor(name.length / 3)))
    near.sort((a, b) => distance(a, name) - distance(b, name))
    const hint = near.length > 0 ? `; did you mean "${near[0]}"?` : choices.length === 0 ? '; there is none' : `; there is ${choices.join(', ')}`
    return new NetworkError(`no ${what} "${name}"${hint}`, 2)
  }

  const ambiguous = (what: string, name: string, choices: string[]): NetworkError =>
    new NetworkError(`${what} "${name}" is not unique: say one of ${choices.join(', ')}`, 2)

  const pick = <T extends LinkEntry>(what: string, all: T[], name: string): T => {
    const exact = all.filter((e) => linkName(e) === name)
    const found = exact.length > 0 ? exact : all.filter((e) => shortName(e) === name)
    if (found.length === 1) return found[0]!
    if (found.length === 0) throw unknown(what, name, all.map(linkName))
    throw ambiguous(what, name, found.map(linkName))
  }

  const registry = {
    bridges, routers, ports, vxlans, apps, links,
    nextIndex: (): number => ++lastIndex,

    bridge: (name: string): BridgeEntry => {
      const found = bridges.find((b) => b.name === name)
      if (found === undefined) throw unknown('bridge', name, bridges.map((b) => b.name))
      return found
    },
    router: (name: string): RouterEntry => {
      const found = routers.find((r) => r.name === name)
      if (found === undefined) throw unknown('router', name, routers.map((r) => r.name))
      return found
    },
    /** A router, or a bridge as the host that its address is. */
    stack: (name: string): StackEntry => {
      const found = routers.find((r) => r.name === name) ?? bridges.find((b) => b.name === name)
      if (found === undefined) throw unknown('router', name, [...routers, ...bridges].map((e) => e.name))
      return found
    },
    /** Any link by full or unique short name; with `router`, one of its interfaces (or the bridge of that name). */
    link: (name: string, router?: string): LinkEntry => {
      if (router === undefined) return pick('device', links(), name)
      const owner = routers.find((r) => r.name === router)
      if (owner !== undefined) return pick(`interface of router "${router}"`, owner.interfaces, name)
      throw unknown('router', router, routers.map((r) => r.name))
    },
    /** A router's interface or a bridge: what has addresses and neighbours. */
    addressed: (name: string, router?: string): AddressedEntry => {
      if (router !== undefined) {
        const owner = routers.find((r) => r.name === router)
        if (owner !== undefined) return pick(`interface of router "${router}"`, owner.interfaces, name)
        const bridge = bridges.find((b) => b.name === router)
        if (bridge === undefined) throw unknown('router', router, [...routers, ...bridges].map((e) => e.name))
        if (name !== bridge.name) throw unknown(`interface of bridge "${router}"`, name, [bridge.name])
        return bridge
      }
      return pick<AddressedEntry>('interface of a router or bridge', [...routers.flatMap((r) => r.interfaces), ...bridges], name)
    },
    vxlan: (name: string): VxlanEntry => pick('VXLAN port', vxlans, name),
    /** A port with a device behind it. */
    port: (name: string): PortEntry => pick('port', ports, name),
    app: (name: string): AppEntry => {
      const found = apps.find((a) => a.name === name)
      if (found === undefined) throw unknown('app', name, apps.map((a) => a.name))
      return found
    },
    /** The VXLAN port of a tunnel's row. */
    byTunnel: (t: number): VxlanEntry | undefined => vxlans.find((e) => e.tunnel === t),
    /** What has neighbours: a router's interface, a bridge or a VXLAN port. */
    neighboring: (name: string, router?: string): AddressedEntry | VxlanEntry => {
      if (router !== undefined) return registry.addressed(name, router)
      return pick('device with neighbours', [...routers.flatMap((r) => r.interfaces), ...bridges, ...vxlans], name)
    },
    /** The link a port row stands for. */
    byPort: (row: number): LinkEntry | undefined => {
      const isIt = (e: LinkEntry): boolean => e.port === row
      return ports.find(isIt) ?? bridges.find(isIt) ?? vxlans.find(isIt) ?? links().find(isIt)
    },
    /** Refuses a name that is taken. */
    refuseTaken: (name: string): void => {
      const isIt = (e: { name: string }): boolean => e.name === name
      if ([bridges, routers, ports, vxlans, apps].some((entries) => entries.some(isIt))) throw new NetworkError(`"${name}" exists already`, 1)
    },
    unknown
  }
  return registry
}
