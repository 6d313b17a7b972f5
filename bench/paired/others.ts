/**
 * Other switches in user space, as further sides: Open vSwitch's userspace datapath with TSO and VDE, the versions that the distribution has.
 * Each has the ports that it does best with on two hosts of one machine: TAPs that one process opens and that are moved into the hosts'
 * namespaces, as Tapway's are. Open vSwitch is measured on packet sockets (veth pairs), too, which is how its guide joins namespaces.
 * All of it runs beside whatever the machine has of the kind: sockets and database lie in a folder of their own.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd, inNetns, run, startUntil, type Program } from './command.js'
import { addHost, addNetns } from './kernel.js'
import { PLANS, type OtherSide, type Side } from './side.js'
import { pausing } from './tapway.js'

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

/** What is to be installed for each, as a Debian package. */
export const PACKAGES: Readonly<Record<OtherSide, string>> = { ovs: 'openvswitch-switch', 'ovs-packet': 'openvswitch-switch', vde: 'vde2' }

/** The version of what is installed; undefined when nothing is. */
export const versionOf = async (name: OtherSide): Promise<string | undefined> => {
  try {
    const words = name === 'vde' ? ['vde_switch', '--version'] : ['ovs-vswitchd', '--version']
    return /\d+(\.\d+)+/.exec(await run(words))?.[0]
  } catch {
    return undefined
  }
}

interface Place {
  /** For sockets and files, removed at the end. */
  folder: string
  middle: string
  client: string
  server: string
}

const ADDRESSES = [PLANS.bridge.clientAddress, PLANS.bridge.serverAddress].map((a) => `${a}/${PLANS.bridge.prefixLength}`)
const PORTS = ['port1', 'port2']

const place = async (name: OtherSide): Promise<Place> => {
  const folder = mkdtempSync(join(tmpdir(), `tapway-bench-${name}-`))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const prefix = `bench-${name}`
  return { folder, middle: await addNetns(`${prefix}-middle`), client: `${prefix}-client`, server: `${prefix}-server` }
}

/** Gives the TAPs of the middle namespace to the two hosts, which are made for it. */
const moveTaps = async ({ middle, client, server }: Place): Promise<void> => {
  for (const [i, host] of [client, server].entries()) {
    await addNetns(host)
    await run(inNetns(host, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=0'))
    await run(['ip', '-n', middle, 'link', 'set', PORTS[i]!, 'netns', host, 'name', 'eth0'])
    await run(['ip', '-n', host, 'addr', 'add', ADDRESSES[i]!, 'dev', 'eth0'])
    await run(['ip', '-n', host, 'link', 'set', 'eth0', 'up'])
  }
}

const ovs = async (at: Place, taps: boolean): Promise<Program[]> => {
  const { folder, middle } = at
  const database = `unix:${folder}/db.sock`
  const vsctl = (...words: string[]): Promise<string> => run(['ovs-vsctl', `--db=${database}`, '--timeout=20', ...words])
  const daemon = (...words: string[]): string[] => ['env', `OVS_RUNDIR=${folder}`, `OVS_LOGDIR=${folder}`, ...words, '-vconsole:warn']
  await run(['ovsdb-tool', 'create', `${folder}/conf.db`, SCHEMA])
  await startUntil(
    daemon('ovsdb-server', `${folder}/conf.db`, `--remote=p${database}`, `--unixctl=${folder}/database.ctl`),
    async () => existsSync(`${folder}/db.sock`)
  )
  await vsctl('--no-wait', 'init')
  await vsctl('--no-wait', 'set', 'Open_vSwitch', '.', 'other_config:userspace-tso-enable=true')
  if (!taps) {
    for (const [i, host] of [at.client, at.server].entries()) await addHost(host, middle, PORTS[i]!, ADDRESSES[i]!)
  }
  const control = `${folder}/switch.ctl`
  const forwarder = await startUntil(
    inNetns(middle, ...daemon('ovs-vswitchd', database, '--disable-system', `--unixctl=${control}`)), async () => existsSync(control)
  )
  const tap = (port: string): string[] => (taps ? ['--', 'set', 'interface', port, 'type=tap'] : [])
  await vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev')
  for (const port of PORTS) await vsctl('add-port', 'br0', port, ...tap(port))
  if (taps) await moveTaps(at)
  return [forwarder]
}

const vde = async (at: Place): Promise<Program[]> => {
  const { folder, middle } = at
  const words = ['vde_switch', '-s', `${folder}/ports`, ...PORTS.flatMap((port) => ['-tap', port])]
  const last = PORTS.at(-1)!
  const program = await startUntil(
    inNetns(middle, ...words), async () => (await run(['ip', '-n', middle, 'link', 'show', 'dev', last], { mayFail: true })) !== ''
  )
  await moveTaps(at)
  return [program]
}

/** Two hosts on one bridge of another switch. What is needed must be installed. */
export const createOtherSide = async (name: OtherSide): Promise<Side> => {
  const at = await place(name)
  const programs = name === 'vde' ? await vde(at) : await ovs(at, name === 'ovs')
  const { clientAddress, serverAddress } = PLANS.bridge
  const version = await versionOf(name)
  return {
    name, ...(version === undefined ? {} : { version }), client: at.client, server: at.server, clientAddress, serverAddress,
    nextHop: serverAddress, ...pausing(programs)
  }
}
