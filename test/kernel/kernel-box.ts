/** A plan built of the kernel's parts, in a namespace of its own: interfaces are TAPs whose far ends the test holds. */
import { spawn } from 'node:child_process'
import { close, openNetns } from '../../src/native.js'
import { inNs, ip, uniqueName, untilUp } from '../helpers/netns.js'
import { createRawPorts, type RawPorts } from '../helpers/raw-port.js'
import {
  BRIDGE_NAME, type Box, type BridgePlan, type FdbEntry, type Plan, type Route, type RouterPlan, type Sent, type Station
} from './box.js'

/** How long the kernel may take for what we sent at once, and how long we wait for it to send more than we did; milliseconds. */
const PATIENCE = 500
const QUIET = 2
/** How often a frame is sent again whose answer the kernel had no room for: neighbours that hold it give up within 3 seconds. */
const AGAIN = 10
/** Ends of TAPs have addresses that no frame of a scenario carries: the kernel takes them for a bridge's own. */
const portMac = (i: number): string => `02:ee:00:00:00:${(i + 1).toString(16).padStart(2, '0')}`

/**
 * The kernel's own defaults, whatever the machine has (a new namespace inherits init's settings): no source routes, as Tapway
 * has it; answers as fast as asked for, except where a scenario is about the limits.
 */
const BASE: Record<string, number> = {
  'ipv4/ip_forward': 0,
  'bridge/bridge-nf-call-arptables': 0,
  'bridge/bridge-nf-call-ip6tables': 0,
  'bridge/bridge-nf-call-iptables': 0,
  'ipv6/conf/all/disable_ipv6': 1,
  'ipv6/conf/default/disable_ipv6': 1,
  'ipv4/conf/all/rp_filter': 0,
  'ipv4/conf/default/rp_filter': 0,
  'ipv4/conf/all/accept_source_route': 0,
  'ipv4/conf/default/accept_source_route': 0,
  'ipv4/conf/all/send_redirects': 0,
  'ipv4/conf/default/send_redirects': 1,
  'ipv4/conf/all/log_martians': 0,
  'ipv4/conf/default/log_martians': 0,
  'ipv4/conf/all/proxy_arp': 0,
  'ipv4/conf/default/proxy_arp': 0
}

/** The kernel's bridge joins groups for its snooping (IGMP, source 0.0.0.0). Tapway sends nothing unasked. */
const isOwnIgmp = (frame: Uint8Array, mac: string): boolean =>
  frame[23] === 2 && mac === Array.from(frame.slice(6, 12), (b) => b.toString(16).padStart(2, '0')).join(':')

/** All links of a box are of one group, to be removed in one go: each removal waits for the kernel's readers. */
const GROUP = 1

/** Runs shell lines in the namespace: one process for all, since there are hundreds of boxes. */
const run = (ns: string, lines: string[]): void => {
  ip('netns', 'exec', ns, 'sh', '-ec', lines.join('\n'))
}

/** Those of the bridge are there only where br_netfilter is loaded. */
const sysctlLines = (values: Record<string, number>): string[] => Object.entries(values).map(([path, value]) =>
  `${path.startsWith('bridge/') ? `[ ! -e /proc/sys/net/${path} ] || ` : ''}echo ${value} >/proc/sys/net/${path}`)

const batchLines = (command: 'ip' | 'bridge', lines: string[]): string[] =>
  lines.length === 0 ? [] : [`${command} -batch - <<END`, ...lines, 'END']

const routeLine = (r: Route): string => {
  const hops = r.nexthops ?? []
  const words = hops.map((h) =>
    [h.via && `via ${h.via}`, h.dev && `dev ${h.dev}`, hops.length > 1 && `weight ${h.weight ?? 1}`].filter(Boolean).join(' '))
  const options = [r.metric !== undefined && `metric ${r.metric}`, r.src && `src ${r.src}`]
  const way = hops.length > 1 ? words.map((w) => `nexthop ${w}`).join(' ') : words[0]
  return ['route append', r.type, r.to, ...options, way].filter(Boolean).join(' ')
}

const fdbLine = (e: FdbEntry): string => `fdb add ${e.mac} dev ${e.dev} master ${e.state}${e.sticky === true ? ' sticky' : ''}`

/** The command of a step: for ip, for bridge where it is about the FDB, or the setting of a sysctl. */
const commandOf = (change: string): string => {
  const [word, path, value] = change.split(' ')
  if (word === 'sysctl') return sysctlLines({ [path!]: Number(value) })[0]!
  return `${word === 'fdb' ? 'bridge' : 'ip'} ${change}`
}

const neighbor = (s: Station): string => `neigh add ${s.address} lladdr ${s.mac} dev ${s.dev} nud permanent`

const buildRouter = (ns: string, netns: number, plan: RouterPlan, ports: RawPorts): void => {
  const links: Record<string, number> = {}
  for (const l of plan.links) {
    ports.open(netns, l.name, l.mac, l.mtu ?? 1500)
    const path = `ipv4/conf/${l.name}`
    links[`${path}/forwarding`] = l.forwarding === false ? 0 : plan.forwarding === false ? 0 : 1
    links[`${path}/proxy_arp`] = l.proxyArp === true ? 1 : 0
    links[`${path}/rp_filter`] = l.rpFilter ?? 0
    links[`${path}/send_redirects`] = l.sendRedirects === false ? 0 : 1
    links[`${path}/bc_forwarding`] = l.bcForwarding === true ? 1 : 0
  }
  if (plan.links.some((l) => l.bcForwarding === true)) links['ipv4/conf/all/bc_forwarding'] = 1
  const sysctls = sysctlLines({ 'ipv4/ip_forward': plan.forwarding === false ? 0 : 1, ...links, ...plan.sysctls })
  run(ns, [...sysctls, ...batchLines('ip', [
    ...plan.links.map((l) => `link set ${l.name} group ${GROUP}`),
    ...plan.links.flatMap((l) => (l.addresses ?? []).map((a) => `addr add ${a} brd + dev ${l.name}`)),
    ...(plan.routes ?? []).map(routeLine),
    ...(plan.stations ?? []).map(neighbor)
  ])])
}

const buildBridge = (ns: string, netns: number, plan: BridgePlan, ports: RawPorts): void => {
  const ageing = (plan.kernelAgeing ?? plan.ageing ?? 300) * 100
  for (const [i, name] of plan.ports.entries()) ports.open(netns, name, portMac(i), plan.mtu ?? 1500)
  run(ns, [
    ...batchLines('ip', [
      `link add ${BRIDGE_NAME} address ${plan.mac} type bridge ageing_time ${ageing}`,
      `link set ${BRIDGE_NAME} mtu ${plan.mtu ?? 1500} group ${GROUP} up`,
      ...plan.ports.map((name) => `link set ${name} master ${BRIDGE_NAME} group ${GROUP}`),
      ...(plan.addresses ?? []).map((a) => `addr add ${a} brd + dev ${BRIDGE_NAME}`),
      ...(plan.stations ?? []).map(neighbor)
    ]),
    ...sysctlLines(plan.sysctls ?? {}),
    untilUp(BRIDGE_NAME),
    // `permanent` is what the command calls a local entry, `static` one that is not aged
    ...batchLines('bridge', (plan.fdb ?? []).map(fdbLine))
  ])
}

/**
 * ICMP messages that the kernel could not send from a namespace. All namespaces send by one socket a processor: where replies of
 * any of them wait for a neighbour that does not answer, they fill its buffer, and all the others fall silent.
 */
const icmpFailures = (ns: string): number => {
  const [names, values] = inNs(ns, 'cat', '/proc/net/snmp').split('\n').filter((l) => l.startsWith('Icmp: '))
  return Number(values!.split(' ')[names!.split(' ').indexOf('OutErrors')])
}

const closing = new Set<Promise<void>>()

/** Removing a box takes the kernel longer than making the next one: it is waited for at the end. */
export const allClosed = async (): Promise<void> => {
  await Promise.all(closing)
}

export const createKernelBox = (plan: Plan): Box => {
  const ns = uniqueName('ko')
  ip('netns', 'add', ns)
  const netns = openNetns(ns)
  const ports = createRawPorts()
  const names = plan.kind === 'bridge' ? plan.ports : plan.links.map((l) => l.name)
  const closeAll = (): void => {
    const commands = `ip -n ${ns} link del group ${GROUP}; ip netns del ${ns}`
    const removal = spawn('sh', ['-c', commands], { stdio: ['ignore', 'ignore', 'inherit'] })
    const closed = new Promise<void>((resolve) => {
      removal.on('close', () => {
        ports.close()
        close(netns)
        closing.delete(closed)
        resolve()
      })
    })
    closing.add(closed)
  }
  try {
    run(ns, sysctlLines(BASE))
    if (plan.kind === 'bridge') buildBridge(ns, netns, plan, ports)
    else buildRouter(ns, netns, plan, ports)
  } catch (error) {
    closeAll()
    throw error
  }

  const collect = (expected: number, patience: number): Sent[] => {
    const frames: Sent[] = []
    for (let deadline = performance.now() + patience; ;) {
      const left = frames.length < expected ? Math.max(deadline - performance.now(), 0) : QUIET
      const more = ports.collect(Math.ceil(left))
      for (const { port, bytes } of more) {
        if (plan.kind === 'router' || !isOwnIgmp(bytes, plan.mac)) frames.push({ port: names[port]!, bytes })
      }
      if (more.length === 0 && (left === QUIET || performance.now() >= deadline)) break
    }
    // In the order of ports, as the other box gives them
    return names.flatMap((name) => frames.filter((f) => f.port === name))
  }
  collect(0, 0)

  const send = (from: string, frame: readonly number[], expected: number): Sent[] => {
    const errno = ports.send(names.indexOf(from), frame)
    if (errno !== 0) throw new Error(`the kernel refused a frame with errno ${errno}`)
    return collect(expected, PATIENCE)
  }

  let failures = 0
  /** ICMP messages that the kernel had no room for since last asked. */
  const newFailures = (): number => {
    const before = failures
    failures = icmpFailures(ns)
    return failures - before
  }

  return {
    step: (step, expected) => {
      if ('send' in step) {
        let frames = send(step.send, step.frame, expected)
        for (let i = 0; i < AGAIN && frames.length < expected && newFailures() > 0; i++) frames = send(step.send, step.frame, expected)
        return frames
      }
      if ('wait' in step) return collect(Infinity, step.kernel ?? step.wait)
      run(ns, [commandOf(step.change)])
      return collect(expected, PATIENCE)
    },
    close: closeAll
  }
}
