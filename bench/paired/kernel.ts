/**
 * The kernel's side: namespaces joined by veth pairs and the kernel's bridge, or by its IPv4 forwarding, in a third namespace.
 * Nothing is tuned down: offloads, queues and sysctls are what they are, but that bridged packets do not go through netfilter
 * (net.bridge.bridge-nf-call-* is 1 where br_netfilter is loaded, and slows the kernel).
 */
import { existsSync } from 'node:fs'
import { atEnd, inNetns, run } from './command.js'
import { PLANS, type Scenario, type Side } from './side.js'

const netns = async (name: string): Promise<string> => {
  await run(['ip', 'netns', 'add', name])
  atEnd(() => run(['ip', 'netns', 'del', name]))
  await run(['ip', '-n', name, 'link', 'set', 'lo', 'up'])
  return name
}

const sysctl = (where: string, key: string, value: number): Promise<string> =>
  run(inNetns(where, 'sysctl', '-q', '-w', `${key}=${value}`))

const host = async (name: string, middle: string, port: string, address: string): Promise<void> => {
  await netns(name)
  await sysctl(name, 'net.ipv4.ip_forward', 0)
  await run(['ip', '-n', name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', port, 'netns', middle])
  await run(['ip', '-n', name, 'addr', 'add', address, 'dev', 'eth0'])
  await run(['ip', '-n', name, 'link', 'set', 'eth0', 'up'])
  await run(['ip', '-n', middle, 'link', 'set', port, 'up'])
}

const NETFILTER = ['iptables', 'ip6tables', 'arptables'].map((table) => `net.bridge.bridge-nf-call-${table}`)

export const createKernelSide = async (scenario: Scenario): Promise<Side> => {
  const { clientAddress, serverAddress, prefixLength, gateways } = PLANS[scenario]
  const [client, server, middle] = ['bench-k-client', 'bench-k-server', 'bench-k-middle']
  await netns(middle)
  await host(client, middle, 'port1', `${clientAddress}/${prefixLength}`)
  await host(server, middle, 'port2', `${serverAddress}/${prefixLength}`)
  if (gateways === undefined) {
    await run(['ip', '-n', middle, 'link', 'add', 'br0', 'type', 'bridge'])
    if (existsSync('/proc/sys/net/bridge')) for (const key of NETFILTER) await sysctl(middle, key, 0)
    for (const port of ['port1', 'port2']) await run(['ip', '-n', middle, 'link', 'set', port, 'master', 'br0'])
    await run(['ip', '-n', middle, 'link', 'set', 'br0', 'up'])
  } else {
    await sysctl(middle, 'net.ipv4.ip_forward', 1)
    for (const [i, gateway] of gateways.entries()) {
      await run(['ip', '-n', middle, 'addr', 'add', `${gateway}/${prefixLength}`, 'dev', `port${i + 1}`])
    }
    await run(['ip', '-n', client, 'route', 'add', 'default', 'via', gateways[0]])
    await run(['ip', '-n', server, 'route', 'add', 'default', 'via', gateways[1]])
  }
  return {
    name: 'kernel', client, server, clientAddress, serverAddress, nextHop: gateways?.[0] ?? serverAddress,
    pause: () => undefined, resume: () => undefined
  }
}
