/**
 * What apps and policies cost: the same network twice, each Tapway's own, without apps and with them. It is that of a platform: containers with a
 * /32 address and a point-to-point link to their cell's router; two of them on one cell, or one on each of two cells, which VXLAN with group
 * policy joins. The client's app may reach the server's by what is measured, and nothing else.
 */
import type { PolicyScenario, Scenario, Side } from './side.js'
import { pausing, startTapway, type Poll } from './tapway.js'
import { joinMachines, UNDERLAY_ADDRESSES } from './vxlan.js'

/** Containers' MTU: what fits through the tunnel. */
const MTU = 1450
/** The other end of every container's link. */
const GATEWAY = '169.254.0.1'

interface Container {
  name: string
  /** Fourth octet; the third one is the cell's. */
  station: number
}

const SUBNETS = [96, 97] as const
const addressOf = (cell: number, station: number): string => `10.255.${SUBNETS[cell]}.${station}`
const macOf = (prefix: string, address: string): string => `${prefix}:${address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0')).join(':')}`

/** Whether a scenario is one of those. */
export const isPolicy = (scenario: Scenario): scenario is PolicyScenario => scenario === 'policy' || scenario === 'policy-vxlan'

const containerLines = (cell: number, { name, station }: Container): { bridge: string; inner: string; host: string } => {
  const address = addressOf(cell, station)
  const interfaceName = `s-${address.split('.').map((octet) => octet.padStart(3, '0')).join('')}`
  return {
    bridge: `  link-${station}: { mtu: ${MTU} }`,
    inner: `      ${interfaceName}: { bridge: link-${station}, address: ${GATEWAY}/32, peer: ${address}, mac: ${macOf('aa:aa', address)} }`,
    host: [
      `  ${name}:`,
      `    interfaces: { eth0: { bridge: link-${station}, address: ${address}/32, peer: ${GATEWAY}, mac: ${macOf('ee:ee', address)} } }`,
      `    routes: [ { to: default, via: ${GATEWAY}, dev: eth0, onlink: true } ]`
    ].join('\n')
  }
}

/** What joins a cell to the other one. */
const tunnelLines = (cell: number): { vxlan: string; inner: string; router: string } => {
  const [own, other] = [addressOf(cell, 0), addressOf(1 - cell, 0)]
  const mac = macOf('ee:ee', other)
  return {
    vxlan: `vxlans: { vtep: { bridge: overlay, id: 1, local: ${UNDERLAY_ADDRESSES[cell]}, gbp: true, learning: false, fdb: [ { mac: "${mac}", dst: ${UNDERLAY_ADDRESSES[1 - cell]} } ] } }`,
    inner: `      silk-vtep: { bridge: overlay, address: ${own}/32, mac: "${macOf('ee:ee', own)}" }`,
    router: `    routes: [ { to: ${other}/24, via: ${other}, dev: silk-vtep, onlink: true } ]\n    neighbors: [ { address: ${other}, lladdr: "${mac}", dev: silk-vtep } ]`
  }
}

const fileOf = (cell: number, containers: readonly Container[], isTunnelled: boolean, apps: string): string => {
  const lines = containers.map((container) => containerLines(cell, container))
  const tunnel = isTunnelled ? tunnelLines(cell) : undefined
  return [
    'version: 1',
    'bridges:', ...lines.map(({ bridge }) => bridge), ...(tunnel === undefined ? [] : ['  overlay: {}', tunnel.vxlan]),
    'routers:', '  cell:', '    interfaces:', ...lines.map(({ inner }) => inner), ...(tunnel === undefined ? [] : [tunnel.inner, tunnel.router]),
    'hosts:', ...lines.map(({ host }) => host), apps, ''
  ].join('\n')
}

/** Ports are those of measures.ts. */
const appsOf = (clients: readonly string[], servers: readonly string[]): string => [
  `apps: { frontend: { id: 1001, hosts: [${clients.join()}] }, backend: { id: 1002, hosts: [${servers.join()}] } }`,
  'policies:',
  ...['protocol: tcp, ports: 5201', 'protocol: udp, ports: 9000', 'protocol: icmp'].map((what) => `  - { from: frontend, to: backend, ${what} }`)
].join('\n')

/** The network with apps (`tapway`), or without (`plain`). */
export const createPolicySide = async (name: 'plain' | 'tapway', scenario: PolicyScenario, poll: Poll): Promise<Side> => {
  const prefix = name === 'plain' ? 'bench-plain' : 'bench-apps'
  const [client, server] = [`${prefix}-client`, `${prefix}-server`]
  const apps = (clients: readonly string[], servers: readonly string[]): string => (name === 'plain' ? '' : appsOf(clients, servers))
  const side = { name, client, server, clientAddress: addressOf(0, 3), nextHop: GATEWAY }
  if (scenario === 'policy') {
    const text = fileOf(0, [{ name: client, station: 3 }, { name: server, station: 4 }], false, apps([client], [server]))
    return { ...side, serverAddress: addressOf(0, 4), ...pausing([await startTapway(text, prefix, poll)]) }
  }
  const machines = UNDERLAY_ADDRESSES.map((local, i) => ({ name: `${prefix}-m${i + 1}`, local }))
  await joinMachines([machines[0]!, machines[1]!])
  const texts = [fileOf(0, [{ name: client, station: 3 }], true, apps([client], [])), fileOf(1, [{ name: server, station: 3 }], true, apps([], [server]))]
  const instances = []
  for (const [i, machine] of machines.entries()) instances.push(await startTapway(texts[i]!, machine.name, poll, machine.name))
  return { ...side, serverAddress: addressOf(1, 3), ...pausing(instances) }
}
