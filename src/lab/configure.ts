/** What a host's namespace is told: its links, addresses and routes, in order, each with the words that name it in an error. */
import type { Address, Host, HostInterface, Mac, NextHop, Route } from '../config/types.js'
import { broadcastOf, formatIp4, networkOf } from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import { rtnetlink } from './native.js'
import { addAddress, addRoute, concatenate, setLink, setLinkUp, type Hop, setNoqueue } from './rtnetlink.js'
import { LabError, messageOf } from './types.js'

/** Interfaces of a namespace by name. */
export type Indexes = ReadonlyMap<string, number>

export interface Command {
  readonly request: Uint8Array
  /** `address 10.1.1.2/24 of eth0` */
  readonly subject: string
}

/** The loopback interface is the first of every namespace. */
export const LO_INDEX = 1

const octets = ([hi, lo]: Mac): number[] => [hi, hi >>> 8, lo, lo >>> 8, lo >>> 16, lo >>> 24].map((byte) => byte & 0xff)

/** The index of an interface. Throws LabError when it is not there. */
const indexOf = (indexes: Indexes, name: string): number => {
  const index = indexes.get(name)
  if (index === undefined) throw new LabError(`there is no interface "${name}"`)
  return index
}

const addressCommand = (name: string, index: number, { address, prefixLength, peer }: Address): Command => {
  const local = formatIp4(address)
  const text = peer === undefined ? `${local}/${prefixLength}` : `${local} peer ${formatIp4(peer)}/${prefixLength}`
  // Programs that ask for the broadcast address by SIOCGIFBRDADDR would find 0.0.0.0 if none were set.
  const broadcast = peer === undefined && prefixLength < 31 ? broadcastOf(networkOf(address, prefixLength), prefixLength) : undefined
  return { request: addAddress(index, address, prefixLength, peer, broadcast), subject: `address ${text} of ${name}` }
}

/** MAC, MTU and addresses, then up: the interface is complete before the first packet. `txqueuelen` in packets. */
export const interfaceCommands = (plan: HostInterface, index: number, txqueuelen?: number): Command[] => {
  const { name, mac, mtu, addresses } = plan
  const queue = txqueuelen === undefined ? '' : ` txqueuelen ${txqueuelen}`
  return [
    { request: setLink(index, octets(mac), mtu, txqueuelen), subject: `address ${formatMac(mac[0], mac[1])} mtu ${mtu}${queue} of ${name}` },
    ...addresses.map((address) => addressCommand(name, index, address)),
    { request: setLinkUp(index), subject: `${name} up` },
  ]
}

const hopText = ({ via, dev, onlink }: Omit<NextHop, 'weight'>): string =>
  (via === undefined ? '' : ` via ${formatIp4(via)}`) + (dev === undefined ? '' : ` dev ${dev}`) + (onlink ? ' onlink' : '')

const hop = ({ via, dev, onlink }: Omit<NextHop, 'weight'>, indexes: Indexes): Hop =>
  ({ ...(via === undefined ? {} : { via }), index: dev === undefined ? 0 : indexOf(indexes, dev), onlink })

/** A route as `ip route add` has it, also with several next hops. */
export const routeCommand = (route: Route, indexes: Indexes): Command => {
  const { type, metric, nexthops } = route
  const { address, prefixLength } = route.to
  const prefix = prefixLength === 0 ? 'default' : `${formatIp4(address)}/${prefixLength}`
  const nexthopText = nexthops.map((next) => ` nexthop${hopText(next)} weight ${next.weight}`).join('')
  const words = `${type === 'unicast' ? '' : `${type} `}${prefix}${hopText(route)}${metric === 0 ? '' : ` metric ${metric}`}${nexthopText}`
  const hops = nexthops.map((next) => ({ ...hop(next, indexes), weight: next.weight }))
  return { request: addRoute(type, address, prefixLength, metric, hop(route, indexes), hops), subject: `route ${words}` }
}

/** Everything of a host: interfaces in order, then routes in order, since a route needs its interface up. */
export const hostCommands = (plan: Host, indexes: Indexes, txqueuelen?: number): Command[] => [
  ...(plan.netns === undefined ? [{ request: setLinkUp(LO_INDEX), subject: 'lo up' }] : []),
  ...plan.interfaces.flatMap((each) => interfaceCommands(each, indexOf(indexes, each.name), txqueuelen)),
  ...plan.routes.map((route) => routeCommand(route, indexes)),
]

export interface ConfigureOptions {
  /** Packets; the kernel's default when left out. */
  readonly txqueuelen?: number | undefined
  /** Leave the devices the queueing discipline that the kernel gives them. */
  readonly qdisc?: boolean | undefined
}

/** Tells a namespace all of it. Throws LabError that names the first one refused, and the reason. */
export const configure = (plan: Host, netns: number, indexes: Indexes, { txqueuelen, qdisc = false }: ConfigureOptions = {}): void => {
  let refused: { subject: string, reason: string } | undefined
  try {
    const commands = hostCommands(plan, indexes, txqueuelen)
    const refusal = rtnetlink(netns, concatenate(commands.map(({ request }) => request)))
    if (refusal !== undefined) refused = { subject: commands[refusal.index]!.subject, reason: refusal.reason }
    // A TAP never stops its queue, so a discipline before it only costs time. Refused by a kernel that has none (CONFIG_NET_SCHED)
    else if (!qdisc) rtnetlink(netns, concatenate(plan.interfaces.map(({ name }) => setNoqueue(indexOf(indexes, name)))))
  } catch (error) {
    throw new LabError(`host "${plan.name}": cannot set its interfaces and routes: ${messageOf(error)}`, 1, { cause: error })
  }
  if (refused !== undefined) throw new LabError(`host "${plan.name}": cannot set ${refused.subject}: ${refused.reason}`)
}
