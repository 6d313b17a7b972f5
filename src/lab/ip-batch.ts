/** Lines for `ip -batch`, each with the words that name it in an error. */
import type { Address, Host, HostInterface, NextHop, Route } from '../config/types.js'
import { formatIp4 } from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import { run } from './run.js'
import { LabError } from './types.js'

export interface IpCommand {
  readonly line: string
  /** `address 10.1.1.2/24 of eth0` */
  readonly subject: string
}

const addressCommand = (dev: string, { address, prefixLength, peer }: Address): IpCommand => {
  const local = formatIp4(address)
  const text = peer === undefined ? `${local}/${prefixLength}` : `${local} peer ${formatIp4(peer)}/${prefixLength}`
  // ip(8) sets no broadcast address unless told; programs that ask for it by SIOCGIFBRDADDR would find 0.0.0.0.
  const broadcast = peer === undefined && prefixLength < 31 ? ' brd +' : ''
  return { line: `addr add ${text}${broadcast} dev ${dev}`, subject: `address ${text} of ${dev}` }
}

/** MAC, MTU and addresses, then up: the interface is complete before the first packet. `txqueuelen` in packets. */
export const interfaceCommands = (plan: HostInterface, txqueuelen?: number): IpCommand[] => {
  const { name, mac, mtu, addresses } = plan
  const queue = txqueuelen === undefined ? '' : ` txqueuelen ${txqueuelen}`
  const settings = `address ${formatMac(mac[0], mac[1])} mtu ${mtu}${queue}`
  return [
    { line: `link set dev ${name} ${settings}`, subject: `${settings} of ${name}` },
    ...addresses.map((address) => addressCommand(name, address)),
    { line: `link set dev ${name} up`, subject: `${name} up` },
  ]
}

const hop = ({ via, dev, onlink }: Omit<NextHop, 'weight'>): string =>
  (via === undefined ? '' : ` via ${formatIp4(via)}`) + (dev === undefined ? '' : ` dev ${dev}`) + (onlink ? ' onlink' : '')

/** `ip route add ...`, also for several next hops. */
export const routeCommand = (route: Route): IpCommand => {
  const { address, prefixLength } = route.to
  const prefix = prefixLength === 0 ? 'default' : `${formatIp4(address)}/${prefixLength}`
  const type = route.type === 'unicast' ? '' : `${route.type} `
  const metric = route.metric === 0 ? '' : ` metric ${route.metric}`
  const nexthops = route.nexthops.map((next) => ` nexthop${hop(next)} weight ${next.weight}`).join('')
  const words = `${type}${prefix}${hop(route)}${metric}${nexthops}`
  return { line: `route add ${words}`, subject: `route ${words}` }
}

/** Everything of a host: interfaces in order, then routes in order, since a route needs its interface up. */
export const hostCommands = (plan: Host, txqueuelen?: number): IpCommand[] => [
  ...(plan.netns === undefined ? [{ line: 'link set dev lo up', subject: 'lo up' }] : []),
  ...plan.interfaces.flatMap((each) => interfaceCommands(each, txqueuelen)),
  ...plan.routes.map(routeCommand),
]

/** Runs the commands in a namespace, in one process. Throws LabError that names the first one refused, and the reason. */
export const runIp = async (host: string, netns: number, commands: readonly IpCommand[]): Promise<void> => {
  if (commands.length === 0) return
  const input = commands.map(({ line }) => `${line}\n`).join('')
  const { status, stderr } = await run('ip', ['-batch', '-'], { netns, input })
  if (status === 0) return
  const lines = stderr.split('\n').filter((line) => line !== '')
  const failed = lines.findIndex((line) => line.startsWith('Command failed '))
  const subject = commands[Number(/-:(\d+)/.exec(lines[failed] ?? '')?.[1] ?? 0) - 1]?.subject
  // Warnings of earlier commands come first; the line before "Command failed" is the reason.
  const reason = (failed > 0 ? lines[failed - 1]! : lines[0] ?? `ip ended with status ${status}`)
    .replace(/^(RTNETLINK answers|Error): /, '')
  throw new LabError(`host "${host}": ${subject === undefined ? 'ip failed' : `cannot set ${subject}`}: ${reason}`)
}
