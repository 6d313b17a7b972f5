/**
 * Two machines (namespaces) joined by a veth pair, a container behind each, and VXLAN 42 between them. A machine is the kernel's
 * (bridge, vxlan device, veth pair), Tapway's (one process in the machine's namespace, one file), or Open vSwitch's (userspace
 * datapath, private daemons in a folder of their own).
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addNetns, inNs, ip, onSweep, uniqueName } from '../helpers/netns.js'
import { type Instance, type Program, run, start, startTapway, until } from '../helpers/tapway.js'
import { shellIn, sysctlLines } from './underlay.js'

export type Kind = 'kernel' | 'tapway' | 'ovs'

const DEVICE = 'u0'
const VNI = 42

/** A machine with its container. */
export interface Machine {
  readonly kind: Kind
  /** Namespace of the machine. */
  readonly name: string
  /** Namespace of the container, its address and its device. */
  readonly host: string
  readonly address: string
  readonly underlay: string
  readonly instance?: Instance
}

export interface LabOptions {
  /** Devices of the underlay with nothing done in hardware: no segmentation, no sums, no GRO. */
  readonly offloads?: boolean
  readonly ipv6?: boolean
  /** Further keys of the tunnels, in the words of Tapway's file and of ip. */
  readonly keys?: { readonly tapway: string; readonly kernel: string }
  /** The container of a Tapway machine keeps its veth pair, whose other end is plugged into the bridge. */
  readonly device?: boolean
  /** Further words of `tapway up`. */
  readonly args?: readonly string[]
}

/** Settings the kernel's bridge and containers need, whatever the machine has. */
const SETTINGS = {
  'bridge/bridge-nf-call-arptables': 0, 'bridge/bridge-nf-call-ip6tables': 0, 'bridge/bridge-nf-call-iptables': 0,
  'ipv4/conf/all/rp_filter': 0, 'ipv4/conf/default/rp_filter': 0, 'ipv6/conf/all/accept_dad': 0, 'ipv6/conf/default/accept_dad': 0
}
const OFF = ['tso', 'gso', 'gro', 'tx', 'rx', 'sg'].flatMap((feature) => [feature, 'off'])

interface Place {
  machine: string
  host: string
  address: string
  underlay: string
  remote: string
  mtu: number
}

const vethContainer = ({ machine, host, address, mtu }: Place): void => {
  ip('-n', machine, 'link', 'add', 'port1', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
  shellIn(machine, [`ip link set port1 mtu ${mtu} up`])
  shellIn(host, [`ip link set eth0 mtu ${mtu} up`, `ip addr add ${address}/24 dev eth0`])
}

const kernelMachine = (place: Place, words: string): void => {
  const { machine, underlay, remote, mtu } = place
  vethContainer(place)
  shellIn(machine, [
    'ip link add br0 type bridge', `ip link set br0 mtu ${mtu} up`, 'ip link set port1 master br0',
    `ip link add vxlan1 mtu ${mtu} type vxlan id ${VNI} local ${underlay} remote ${remote} dstport 4789 ${words}`,
    'ip link set vxlan1 master br0 up'
  ])
}

const tapwayMachine = (place: Place, { keys, device, args = [] }: LabOptions): Promise<Instance> => {
  const { machine, host, address, underlay, remote } = place
  if (device === true) vethContainer(place)
  const file = `version: 1
bridges: { br0: {${device === true ? ' ports: { port1: { device: port1 } } ' : ''}} }
vxlans: { vxlan1: { bridge: br0, id: ${VNI}, local: "${underlay}", remote: ["${remote}"]${keys?.tapway ?? ''} } }
hosts: {${device === true ? '' : ` ${host}: { netns: ${host}, interfaces: { eth0: { bridge: br0, address: ${address}/24 } } } `}}
`
  return startTapway(file, { netns: machine, args })
}

/** Open vSwitch with its userspace datapath: the container's veth pair and the tunnel in br0, the underlay's device in br-phy. */
const ovsMachine = async (place: Place): Promise<void> => {
  const { machine, host, underlay, remote } = place
  const folder = mkdtempSync(join(tmpdir(), 'tapway-ovs-'))
  onSweep(() => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 'db.sock')
  const environment = { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder, OVS_SYSCONFDIR: folder }
  const inside = (...command: string[]): Program =>
    start('nsenter', [`--net=/run/netns/${machine}`, ...command], { env: environment })
  const database = join(folder, 'conf.db')
  const made = await run('ovsdb-tool', ['create', database, '/usr/share/openvswitch/vswitch.ovsschema'])
  if (made.status !== 0) throw new Error(made.stderr)
  inside('ovsdb-server', database, `--remote=punix:${socket}`, `--unixctl=${join(folder, 'ovsdb.ctl')}`)
  await until('ovsdb-server listens', () => existsSync(socket))
  const control = async (...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await run('nsenter', [`--net=/run/netns/${machine}`, ...words], { env: environment })
    if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
    return stdout
  }
  const unixctl = join(folder, 'vswitchd.ctl')
  await control('ovs-vsctl', `--db=unix:${socket}`, '--no-wait', 'init')
  inside('ovs-vswitchd', `unix:${socket}`, `--unixctl=${unixctl}`, '--disable-system')
  vethContainer(place)
  inNs(machine, 'ethtool', '-K', 'port1', ...OFF)
  inNs(host, 'ethtool', '-K', 'eth0', ...OFF)
  await control(
    'ovs-vsctl', `--db=unix:${socket}`, '--timeout=20',
    '--', 'add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', 'datapath_type=netdev', 'fail-mode=standalone',
    '--', 'add-port', 'br-phy', DEVICE,
    '--', 'add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail-mode=standalone',
    '--', 'add-port', 'br0', 'port1',
    '--', 'add-port', 'br0', 'vxlan1', '--', 'set', 'interface', 'vxlan1', 'type=vxlan',
    `options:remote_ip=${remote}`, `options:local_ip=${underlay}`, `options:key=${VNI}`, 'options:dst_port=4789',
    'options:csum=true'
  )
  // The address moves from the device to the bridge that has it: the tunnel looks for it there
  shellIn(machine, [`ip addr flush dev ${DEVICE}`, `ip addr add ${underlay}/24 dev br-phy`, 'ip link set br-phy up',
    'ip link set br0 up'])
  await control('ovs-appctl', '-t', unixctl, 'ovs/route/show')
}

/** The two machines, ready when the tunnel is. */
export const createOverlay = async (kinds: readonly [Kind, Kind], options: LabOptions = {}): Promise<[Machine, Machine]> => {
  const mtu = options.ipv6 === true ? 1430 : 1450
  const machines = [addNetns(uniqueName('m')), addNetns(uniqueName('m'))]
  const hosts = [addNetns(uniqueName('c')), addNetns(uniqueName('c'))]
  const underlays = options.ipv6 === true ? ['fd77::1', 'fd77::2'] : ['192.168.77.1', '192.168.77.2']
  for (const ns of [...machines, ...hosts]) shellIn(ns, ['ip link set lo up', ...sysctlLines(SETTINGS)])
  ip('-n', machines[0]!, 'link', 'add', DEVICE, 'type', 'veth', 'peer', 'name', DEVICE, 'netns', machines[1]!)
  for (const [i, ns] of machines.entries()) {
    shellIn(ns, [`ip link set ${DEVICE} up`,
      `ip addr add ${underlays[i]!}/${options.ipv6 === true ? '64 nodad' : '24'} dev ${DEVICE}`])
    // Open vSwitch reads frames as they are on the wire: with sums, and none longer than the MTU
    if (options.offloads === false || kinds.includes('ovs')) inNs(ns, 'ethtool', '-K', DEVICE, ...OFF)
  }
  const made: Machine[] = []
  for (const [i, kind] of kinds.entries()) {
    const place = {
      machine: machines[i]!, host: hosts[i]!, address: `10.0.10.1${i + 1}`, mtu,
      underlay: underlays[i]!, remote: underlays[1 - i]!
    }
    if (kind === 'kernel') kernelMachine(place, options.keys?.kernel ?? '')
    if (kind === 'ovs') await ovsMachine(place)
    const instance = kind === 'tapway' ? await tapwayMachine(place, options) : undefined
    const { machine: name, host, address, underlay } = place
    made.push({ kind, name, host, address, underlay, ...(instance && { instance }) })
  }
  return made as [Machine, Machine]
}
