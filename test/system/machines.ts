/** Machines that tunnels join, for tests: namespaces with an underlay between them. */
import { addNetns, inNs, ip } from '../helpers/netns.js'

export type Pair<T> = readonly [one: T, two: T]
export const BOTH = [0, 1] as const

/** Underlay addresses of the two on a cable. */
export const UNDERLAYS: Pair<string> = ['192.168.77.1', '192.168.77.2']
export const UNDERLAYS_6: Pair<string> = ['fd77::1', 'fd77::2']

/** Two machines joined by a cable `u`, with addresses of both families. */
export const cable = (mtu = 1500): Pair<string> => {
  const machines = [addNetns(), addNetns()] as const
  ip('-n', machines[0], 'link', 'add', 'u', 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', 'u', 'mtu', String(mtu), 'netns', machines[1])
  for (const i of BOTH) {
    inNs(machines[i], 'sh', '-c', 'echo 0 >/proc/sys/net/ipv6/conf/u/accept_dad')
    ip('-n', machines[i], 'addr', 'add', `${UNDERLAYS[i]}/24`, 'dev', 'u')
    ip('-n', machines[i], 'addr', 'add', `${UNDERLAYS_6[i]}/64`, 'dev', 'u', 'nodad')
    for (const dev of ['lo', 'u']) ip('-n', machines[i], 'link', 'set', dev, 'up')
  }
  return machines
}

/** Two machines with a router between them; `narrow` gives the second one's link a smaller MTU. */
export const narrowPath = () => {
  const machines = [addNetns(), addNetns()] as const
  const middle = addNetns()
  const addresses = ['10.77.1.1', '10.77.2.1'] as const
  for (const i of BOTH) {
    const [machine, far, router] = [machines[i], `m${i}`, `10.77.${i + 1}.254`]
    ip('-n', machine, 'link', 'add', 'u', 'type', 'veth', 'peer', 'name', far, 'netns', middle)
    ip('-n', machine, 'addr', 'add', `${addresses[i]}/24`, 'dev', 'u')
    ip('-n', middle, 'addr', 'add', `${router}/24`, 'dev', far)
    for (const [netns, dev] of [[machine, 'u'], [machine, 'lo'], [middle, far]] as const) ip('-n', netns, 'link', 'set', dev, 'up')
    ip('-n', machine, 'route', 'add', 'default', 'via', router)
  }
  inNs(middle, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward')
  const narrow = (mtu: number): void => {
    ip('-n', middle, 'link', 'set', 'm1', 'mtu', String(mtu))
    ip('-n', machines[1], 'link', 'set', 'u', 'mtu', String(mtu)) // a veth drops what its other end could not send
  }
  return { machines, addresses, narrow }
}
