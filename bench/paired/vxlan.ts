/**
 * Two machines (namespaces) on one underlay, each with a host behind a bridge, and VXLAN 42 that makes the two bridges one network.
 * Each machine is the kernel's (bridge, vxlan device, veth pair) or Tapway's (one process, started inside the machine's namespace
 * from one file). Both make floods by head-end replication to the other one, and learn.
 */
import { inNetns, run, type Service } from './command.js'
import { addBridge, addHost, addNetns } from './kernel.js'
import { PLANS, type KernelScenario, type Scenario, type Side } from './side.js'
import { pausing, startTapway, type Poll } from './tapway.js'

/** Bytes that fit through the tunnel: the underlay's 1500 less Ethernet, VXLAN, UDP and IPv4 header. */
const INNER_MTU = 1450
export const UNDERLAY_ADDRESSES = ['192.168.77.1', '192.168.77.2'] as const
const UNDERLAY_DEVICE = 'u0'

/**
 * What a veth pair can do and a plain network card cannot: cut super-frames inside a tunnel and of UDP, and sum whatever it is told to.
 * A card's driver joins what it receives (GRO), a veth pair only when asked.
 */
const NIC_FEATURES = [
  'tx-udp_tnl-segmentation', 'off', 'tx-udp_tnl-csum-segmentation', 'off', 'tx-udp-segmentation', 'off', 'tx-checksum-ip-generic', 'off',
  'gro', 'on', 'rx-udp-gro-forwarding', 'on'
]

type Joined = Pick<Machine, 'name' | 'local'>

interface Machine {
  name: string
  /** Its host, whose eth0 is a port of its bridge. */
  host: string
  hostAddress: string
  local: string
  remote: string
}

/** Two namespaces with a cable between them, which is a veth pair or can do no more than a network card. */
export const joinMachines = async ([one, other]: readonly [Joined, Joined], isCard = false): Promise<void> => {
  for (const { name } of [one, other]) await addNetns(name)
  await run(['ip', '-n', one.name, 'link', 'add', UNDERLAY_DEVICE, 'type', 'veth', 'peer', 'name', UNDERLAY_DEVICE, 'netns', other.name])
  for (const { name, local } of [one, other]) {
    await run(['ip', '-n', name, 'addr', 'add', `${local}/24`, 'dev', UNDERLAY_DEVICE])
    await run(['ip', '-n', name, 'link', 'set', UNDERLAY_DEVICE, 'up'])
    if (isCard) await run(inNetns(name, 'ethtool', '-K', UNDERLAY_DEVICE, ...NIC_FEATURES))
  }
}

const kernelMachine = async ({ name, host, hostAddress, local, remote }: Machine): Promise<void> => {
  await addHost(host, name, 'port1', hostAddress, INNER_MTU)
  await run([
    'ip', '-n', name, 'link', 'add', 'vxlan1', 'mtu', String(INNER_MTU), 'type', 'vxlan', 'id', '42', 'local', local, 'remote', remote,
    'dstport', '4789', 'dev', UNDERLAY_DEVICE
  ])
  await run(['ip', '-n', name, 'link', 'set', 'vxlan1', 'up'])
  await addBridge(name, ['port1', 'vxlan1'])
}

const networkFile = ({ host, hostAddress, local, remote }: Machine, scenario: KernelScenario): string => [
  'version: 1',
  `bridges: { br0: { mtu: ${INNER_MTU} } }`,
  `vxlans: { vxlan1: { bridge: br0, id: 42, local: ${local}, remote: [${remote}]${scenario.endsWith('socket') ? ', uplink: socket' : ''} } }`,
  `hosts: { ${host}: { interfaces: { eth0: { bridge: br0, address: ${hostAddress} } } } }`, ''
].join('\n')

/** Which of the two machines, the sending and the receiving one, are Tapway's. */
const TAPWAYS: Readonly<Partial<Record<Scenario, readonly [boolean, boolean]>>> = {
  vxlan: [true, true], 'vxlan-send': [true, false], 'vxlan-receive': [false, true],
  'vxlan-socket': [true, true], 'vxlan-send-socket': [true, false], 'vxlan-nic': [true, true], 'vxlan-nic-socket': [true, true]
}

/** Whether a scenario is one with a tunnel. */
export const isVxlan = (scenario: Scenario): boolean => TAPWAYS[scenario] !== undefined

/** One of the networks of a tunnel scenario: the kernel's on both machines, or Tapway's on those that the scenario names. */
export const createVxlanSide = async (name: Side['name'], scenario: KernelScenario, poll: Poll): Promise<Side> => {
  const { clientAddress, serverAddress, prefixLength } = PLANS[scenario]
  const prefix = `bench-${name[0]}`
  const [client, server] = [`${prefix}-client`, `${prefix}-server`]
  const machines = [client, server].map((host, i): Machine => ({
    name: `${prefix}-m${i + 1}`, host, hostAddress: `${[clientAddress, serverAddress][i]}/${prefixLength}`,
    local: UNDERLAY_ADDRESSES[i]!, remote: UNDERLAY_ADDRESSES[1 - i]!
  })) as [Machine, Machine]
  await joinMachines(machines, scenario.includes('nic'))
  const instances: Service[] = []
  for (const [i, machine] of machines.entries()) {
    if (name === 'kernel' || !TAPWAYS[scenario]![i]) await kernelMachine(machine)
    else instances.push(await startTapway(networkFile(machine, scenario), machine.name, poll, machine.name))
  }
  return { name, client, server, clientAddress, serverAddress, nextHop: serverAddress, ...pausing(instances) }
}
