/** Routes and neighbours of routers and hosts: what the kernel would refuse (fib_check_nh() of net/ipv4/fib_semantics.c). */
import { broadcastOf, formatIp4, inPrefix, networkOf } from '../wire/ip4.js'
import { suggest } from './names.js'
import { type Path, type Report } from './problem.js'
import { type NetworkShape, type RouteShape } from './schema.js'
import { addressesOf } from './stations.js'
import { type Address, type Prefix } from './types.js'

/** A prefix whose stations are reached without a gateway. */
interface Link extends Prefix {
  readonly dev: string
}

/** A router or host, as its routes see it. */
interface Node {
  readonly name: string
  readonly interfaces: readonly (readonly [name: string, addresses: readonly Address[]])[]
  /** What `dev` may be besides. */
  readonly devices: readonly string[]
  /** An adopted namespace may have more interfaces, addresses and routes than the file knows. */
  readonly open: boolean
}

const text = ({ address, prefixLength }: Prefix): string => `${formatIp4(address)}/${prefixLength}`

/** The route that comes with an address (fib_add_ifaddr()): a /32 without peer has none. */
const connectedOf = ({ address, prefixLength, peer }: Address, dev: string): Link[] => {
  if (peer !== undefined) return [{ address: peer, prefixLength: 32, dev }]
  return prefixLength === 32 ? [] : [{ address: networkOf(address, prefixLength), prefixLength, dev }]
}

const createRouteCheck = (node: Node, report: Report) => {
  const names = [...node.interfaces.map(([name]) => name), ...node.devices]
  const own = node.interfaces.flatMap(([, addresses]) => addresses)
  const links = node.interfaces.flatMap(([dev, addresses]) => addresses.flatMap((address) => connectedOf(address, dev)))
  const broadcasts = new Set(own.filter((a) => a.prefixLength < 31).map((a) => broadcastOf(a.address, a.prefixLength)))
  const present = new Map<string, string>(links.map((link) => [`${text(link)} 0`, `the network of ${link.dev}`]))

  const checkDev = (dev: string, path: Path): boolean => {
    if (node.open || names.includes(dev)) return true
    report([...path, 'dev'], `unknown interface "${dev}" of ${node.name}; ${suggest(dev, names, `interface of ${node.name}`)}`)
    return false
  }

  /** One next hop: somewhere to send to, and a gateway that is on the link. */
  const checkHop = (hop: { via?: number | undefined; dev?: string | undefined; onlink: boolean }, path: Path): void => {
    const { via, dev, onlink } = hop
    if (via === undefined && dev === undefined) return report(path, 'a route needs via, dev or both')
    if (dev !== undefined && !checkDev(dev, path)) return
    if (onlink && (via === undefined || dev === undefined)) return report([...path, 'onlink'], 'onlink needs via and dev')
    if (via === undefined) return
    const at = [...path, 'via']
    if (own.some(({ address }) => address === via)) return report(at, `${formatIp4(via)} is an address of ${node.name} itself`)
    if (node.open || onlink) return
    const through = links.filter((link) => dev === undefined || link.dev === dev)
    const reachable = through.filter((link) => inPrefix(via, link.address, link.prefixLength))
    if (reachable.length === 0) {
      const networks = through.map((link) => (dev === undefined ? `${text(link)} (${link.dev})` : text(link)))
      const expected = networks.length === 0 ? 'it has none' : `expected an address in ${networks.join(' or ')}`
      report(at, `${formatIp4(via)} is on no network of ${dev ?? node.name}; ${expected}`)
    } else if (broadcasts.has(via)) report(at, `${formatIp4(via)} is the broadcast address of its network`)
  }

  return {
    checkDev,
    checkRoute: (route: RouteShape, path: Path): void => {
      const { to, type, metric, via, dev, onlink, nexthops } = route
      const single = via !== undefined ? 'via' : dev !== undefined ? 'dev' : onlink ? 'onlink' : undefined
      if (type !== 'unicast') {
        const key = nexthops !== undefined ? 'nexthops' : single
        if (key !== undefined) report([...path, key], `a ${type} route goes nowhere and has no ${key}`, 'key')
      } else if (nexthops === undefined) checkHop(route, path)
      else if (single !== undefined) {
        report([...path, single], `${single} and nexthops exclude each other; put ${single} into nexthops`, 'key')
      } else if (nexthops.length === 0) report([...path, 'nexthops'], 'expected at least one next hop')
      else nexthops.forEach((hop, i) => checkHop(hop, [...path, 'nexthops', i]))

      const key = `${text(to)} ${metric}`
      const other = present.get(key)
      if (other === undefined) present.set(key, 'another route')
      else report([...path, 'to'], `${other} has the prefix ${text(to)} and metric ${metric} already; one needs another metric`)
      // A route to a link makes its prefix reachable for the gateways of routes behind it.
      if (type === 'unicast' && dev !== undefined && via === undefined) links.push({ ...to, dev })
    }
  }
}

/** Routes and neighbours of every router, routes of every host. */
export const checkRoutes = (shape: NetworkShape, report: Report): void => {
  for (const [name, router] of shape.routers) {
    const interfaces = router.interfaces.map(([dev, i]) => [dev, addressesOf(i)] as const)
    const check = createRouteCheck({ name, interfaces, devices: [], open: false }, report)
    router.routes.forEach((route, i) => check.checkRoute(route, ['routers', name, 'routes', i]))
    const seen = new Set<string>()
    router.neighbors.forEach(({ address, dev }, i) => {
      const path = ['routers', name, 'neighbors', i]
      check.checkDev(dev, path)
      const key = `${dev} ${address}`
      if (seen.has(key)) report([...path, 'address'], `${formatIp4(address)} stands here twice for ${dev}`)
      seen.add(key)
    })
  }
  for (const [name, host] of shape.hosts) {
    const interfaces = host.interfaces.map(([dev, i]) => [dev, addressesOf(i)] as const)
    const check = createRouteCheck({ name, interfaces, devices: ['lo'], open: host.netns !== undefined }, report)
    host.routes.forEach((route, i) => check.checkRoute(route, ['hosts', name, 'routes', i]))
  }
}
