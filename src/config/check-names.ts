/** Names: no two things with one name, and nothing that refers to what is not there. */
import { suggest } from './names.js'
import { type Report } from './problem.js'
import { type NetworkShape } from './schema.js'
import { type Station } from './stations.js'

const KINDS = ['bridges', 'routers', 'hosts'] as const
const KINDS_SHARE = 'bridges, routers, vxlans and hosts share one name space'

/** Bridges, routers and hosts share one name space. */
export const checkNames = (shape: NetworkShape, report: Report): void => {
  const owners = new Map<string, string>()
  for (const kind of KINDS) {
    for (const [name] of shape[kind]) {
      const other = owners.get(name)
      if (other === undefined) owners.set(name, kind.slice(0, -1))
      else report([kind, name], `a ${other} has this name already; ${KINDS_SHARE}`, 'key')
    }
  }
}

/** Every interface is on a bridge of the file. */
export const checkBridges = (shape: NetworkShape, stations: readonly Station[], report: Report): void => {
  const bridges = shape.bridges.map(([name]) => name)
  for (const { kind, bridge, path } of stations) {
    if (kind !== 'bridge' && !bridges.includes(bridge)) {
      report([...path, 'bridge'], `unknown bridge "${bridge}"; ${suggest(bridge, bridges, 'bridge in this file')}`)
    }
  }
}

/** An adopted namespace belongs to one host, and is not one that the file makes. */
export const checkNamespaces = (shape: NetworkShape, report: Report): void => {
  const made = new Set(shape.hosts.filter(([, host]) => host.netns === undefined).map(([name]) => name))
  const adopted = new Map<string, string>()
  for (const [name, { netns }] of shape.hosts) {
    if (netns === undefined) continue
    const path = ['hosts', name, 'netns']
    const known = netns.replace(/^(?:\/var)?\/run\/netns\/(?=[^/]+$)/, '')
    const other = adopted.get(known)
    if (made.has(known)) report(path, `${netns} is the namespace made for host ${known}; leave out netns or rename one`)
    else if (other !== undefined) report(path, `host ${other} has this namespace already; put both hosts' interfaces into one`)
    else adopted.set(known, name)
  }
}
