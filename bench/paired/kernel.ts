/**
 * The kernel's side: namespaces joined by veth pairs and the kernel's bridge, or by its IPv4 forwarding, in a third namespace.
 * Nothing is tuned down: offloads, queues and sysctls are what they are, but that bridged packets do not go through netfilter
 * (net.bridge.bridge-nf-call-* is 1 where br_netfilter is loaded, and slows the kernel).
 */
import { existsSync } from 'node:fs'
import { atEnd, inNetns, run } from './command.js'
import { PLANS, type KernelScenario, type Side } from './side.js'

/** A namespace that is deleted at the end. */
export const addNetns = async (name: string): Promise<string> => {
  await run(['ip', 'netns', 'add', name])
  atEnd(() => run(['ip', 'netns', 'del', name]))
  await run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
  return name
}

const sysctl = (where: string, key: string, value: number): Promise<string> =>
  run(inNetns(where, 'sysctl', '-q', '-w', `${key}=${value}`))

/** A host whose eth0 is joined to `port` of the namespace `middle` by a veth pair. Both ends are up. */
export const addHost = async (name: string, middle: string, port: string, address: string, mtu?: number): Promise<void> => {
  await addNetns(name)
  await sysctl(name, 'net.ipv4.ip_forward', 0)
  await run(['ip', '-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', middle])
  await run(['ip', '-n', name, 'addr', 'add', address, 'dev', 'eth0'])
  await run(['ip', '-n', name, 'link', 'set', 'eth0', 'up'])
  await run(['ip', '-n', middle, 'link', 'set', port, 'up'])
  if (mtu === undefined) return
  await run(['ip', '-n', name, 'link', 'set', 'eth0', 'mtu', String(mtu)])
  await run(['ip', '-n', middle, 'link', 'set', port, 'mtu', String(mtu)])
}

const NETFILTER = ['iptables', 'ip6tables', 'arptables'].map((table) => `net.bridge.bridge-nf-call-${table}`)

/** The kernel's bridge br0 with these devices as its ports; frames pass it without netfilter. */
export const addBridge = async (where: string, ports: readonly string[]): Promise<void> => {
  await run(['ip', '-n', where, 'link', 'add', 'br0', 'type', 'bridge'])
  if (existsSync('/proc/sys/net/bridge')) for (const key of NETFILTER) await sysctl(where, key, 0)
  for (const port of ports) await run(['ip', '-n', where, 'link', 'set', port, 'master', 'br0'])
  await run(['ip', '-n', where, 'link', 'set', 'br0', 'up'])
}

export const createKernelSide = async (scenario: KernelScenario): Promise<Side> => {
  const { clientAddress, serverAddress, prefixLength, gateways } = PLANS[scenario]
  const [client, server, middle] = ['bench-k-client', 'bench-k-server', 'bench-k-middle']
  await addNetns(middle)
  await addHost(client, middle, 'port1', `${clientAddress}/${prefixLength}`)
  await addHost(server, middle, 'port2', `${serverAddress}/${prefixLength}`)
  if (gateways === undefined) {
    await addBridge(middle, ['port1', 'port2'])
  } else {
    await sysctl(middle, 'net.ipv4.ip_forward', 1)
    for (const [i, gateway] of gateways.entries()) {
      await run(['ip', '-n', middle, 'addr', 'add', `${gateway}/${prefixLength}`, 'dev', `port${i + 1}`])
    }
    await run(['ip', '-n', client, 'route', 'add', 'default', 'via', gateways[0]])
    await run(['ip', '-n', server, 'route', 'add', 'default', 'via', gateways[1]])
  }
  return {
    name: 'kernel', client, server, clientAddress, serverAddress, nextHop: gateways?.[0] ?? serverAddress, pids: [],
    pause: () => undefined, resume: () => undefined
  }
}
