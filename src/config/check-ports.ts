/** `bridges.*.ports`: devices to attach, and options of ports that the file has elsewhere. */
import { namespaceOf, SHARED_NAMES } from './check-names.js'
import { interfaceNameFault, suggest } from './names.js'
import { type Path, type Report } from './problem.js'
import { type NetworkShape, type PortShape } from './schema.js'
import { type Station } from './stations.js'

const KINDS = { bridge: 'a bridge', router: 'a router\'s interface', vxlan: 'a VXLAN port', host: 'a host\'s interface' } as const

/** Every entry is a device of its own, or a port of its bridge. */
export const checkPorts = (shape: NetworkShape, stations: readonly Station[], report: Report): void => {
  const byName = new Map(stations.map((station) => [station.name, station]))
  const elements = new Map<string, string>()
  for (const kind of ['bridges', 'routers', 'hosts', 'apps'] as const) {
    for (const [name] of shape[kind]) if (!elements.has(name)) elements.set(name, kind.slice(0, -1))
  }
  const made = new Set(shape.hosts.filter(([, host]) => host.netns === undefined).map(([name]) => name))
  const portNames = new Map<string, string>()
  const attached = new Map<string, string>()

  const checkDevice = (bridge: string, name: string, { device, netns }: PortShape, path: Path): void => {
    const station = byName.get(name)
    if (station !== undefined && station.kind !== 'bridge') {
      const message = `${name} is ${KINDS[station.kind]} of this file; leave device out, or choose another name`
      return report([...path, 'device'], message, 'key')
    }
    const fault = interfaceNameFault(name)
    if (fault !== undefined) return report(path, fault, 'key')
    const element = elements.get(name)
    if (element !== undefined) return report(path, `${element === 'app' ? 'an' : 'a'} ${element} has this name already; ${SHARED_NAMES}`, 'key')
    const other = portNames.get(name)
    if (other !== undefined) return report(path, `bridge ${other} has a port of this name already`, 'key')
    portNames.set(name, bridge)
    if (device === 'lo') return report([...path, 'device'], 'lo is the loopback interface: it carries no frames')
    const namespace = namespaceOf(netns)
    if (made.has(namespace)) {
      return report([...path, 'netns'], `${namespace} is a namespace that the file makes: there is no device in it yet`)
    }
    const key = `${namespace} ${device}`
    const port = attached.get(key)
    if (port !== undefined) return report([...path, 'device'], `${device} is attached as port ${port} already`)
    attached.set(key, name)
  }

  const checkOptions = (bridge: string, name: string, port: PortShape, path: Path): void => {
    if (port.netns !== undefined) {
      return report([...path, 'netns'], 'netns is the namespace of a device, and here is no device', 'key')
    }
    const station = byName.get(name)
    if (station === undefined || station.kind === 'bridge') {
      const there = stations.filter(({ kind, bridge: on }) => on === bridge && (kind === 'host' || kind === 'vxlan'))
      const meant = suggest(name, there.map((s) => s.name), `interface of a host, or VXLAN port, on ${bridge}`)
      return report(path, `device is missing, and ${bridge} has no such port without it; ${meant}`, 'key')
    }
    if (station.kind === 'router') return report(path, `${name} is ${KINDS.router}, whose port has no options`, 'key')
    if (station.bridge !== bridge) return report(path, `${name} is a port of bridge ${station.bridge}`, 'key')
    if (station.kind !== 'vxlan' || port.neigh_suppress === undefined) return
    const own = shape.vxlans.find(([vxlan]) => vxlan === name)?.[1].neigh_suppress
    if (own !== undefined && own !== port.neigh_suppress) {
      report([...path, 'neigh_suppress'], `${port.neigh_suppress} here, and vxlans.${name}.neigh_suppress is ${own}; one of them is enough`)
    }
  }

  for (const [bridge, { ports }] of shape.bridges) {
    for (const [name, port] of ports) {
      const path = ['bridges', bridge, 'ports', name]
      if (port.device === undefined) checkOptions(bridge, name, port, path)
      else checkDevice(bridge, name, port, path)
    }
  }
}
