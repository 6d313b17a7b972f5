/** Names: no two things with one name, and nothing that refers to what is not there. */
import { suggest } from './names.js'
import { type Report } from './problem.js'
import { type NetworkShape } from './schema.js'
import { type Station } from './stations.js'

const KINDS = ['bridges', 'routers', 'vxlans', 'hosts', 'apps'] as const
export const SHARED_NAMES = 'bridges, routers, vxlans, hosts and apps share one name space'

/** Bridges, routers, VXLAN ports, hosts and apps share one name space. */
export const checkNames = (shape: NetworkShape, report: Report): void => {
  const owners = new Map<string, string>()
  for (const kind of KINDS) {
    for (const [name] of shape[kind]) {
      const other = owners.get(name)
      if (other === undefined) owners.set(name, kind === 'vxlans' ? 'VXLAN port' : kind.slice(0, -1))
      else report([kind, name], `a ${other} has this name already; ${SHARED_NAMES}`, 'key')
    }
  }
}

/** Every interface and VXLAN port is on a bridge of the file. */
export const checkBridges = (shape: NetworkShape, stations: readonly Station[], report: Report): void => {
  const bridges = shape.bridges.map(([name]) => name)
  for (const { kind, bridge, path } of stations) {
    if (kind !== 'bridge' && !bridges.includes(bridge)) {
      report([...path, 'bridge'], `unknown bridge "${bridge}"; ${suggest(bridge, bridges, 'bridge in this file')}`)
    }
  }
}

/** One text for one namespace: the name where it is known by name; empty for that of the process. */
export const namespaceOf = (netns: string | undefined): string => netns?.replace(/^(?:\/var)?\/run\/netns\/(?=[^/]+$)/, '') ?? ''

/** An adopted namespace belongs to one host, and is not one that the file makes. */
export const checkNamespaces = (shape: NetworkShape, report: Report): void => {
  const made = new Set(shape.hosts.filter(([, host]) => host.netns === undefined).map(([name]) => name))
  const adopted = new Map<string, string>()
  for (const [name, { netns }] of shape.hosts) {
    if (netns === undefined) continue
    const path = ['hosts', name, 'netns']
    const known = namespaceOf(netns)
    const other = adopted.get(known)
    if (made.has(known)) report(path, `${netns} is the namespace made for host ${known}; leave out netns or rename one`)
    else if (other !== undefined) report(path, `host ${other} has this namespace already; put both hosts' interfaces into one`)
    else adopted.set(known, name)
  }
}
