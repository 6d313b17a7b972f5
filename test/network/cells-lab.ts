/**
 * Two cells of the platform over memory: each a network file as a user would write it, containers on links that are point to point, a
 * VXLAN endpoint with one route, one neighbour and one entry for the other cell. What leaves a tunnel's sockets is carried over.
 */
import { parseNetworkFile } from '../../src/config/load.js'
import { buildOperations } from '../../src/control/build-operations.js'
import type { NetworkOptions } from '../../src/network/network.js'
import { createMemoryLab, type MemoryLab } from '../helpers/memory-lab.js'
import { sockaddr } from '../engine/tunnel-lab.js'

export interface Cell {
  lab: MemoryLab
  receive: number
  send: number[]
  underlay: string
}

const three = (n: number): string => String(n).padStart(3, '0')
/** `s-010255096003`, as the platform calls the host's end of a container's link. */
export const linkName = (address: string): string => `s-${address.split('.').map((octet) => three(Number(octet))).join('')}`
/** The prefix and the address: ee:ee for a container and an endpoint, aa:aa for the host's end. */
export const macOf = (prefix: string, address: string): string =>
  `${prefix}:${address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0')).join(':')}`

export interface CellPlan {
  /** Third octet of the subnet 10.255.N.0/24. */
  subnet: number
  underlay: string
  remote: { subnet: number; underlay: string }
  /** Containers: name and last octet. */
  containers: Record<string, number>
  gbp?: boolean
  /** More of the file: apps and policies. */
  more?: string
}

/** A cell as a network file. */
export const cellFile = ({ subnet, underlay, remote, containers, gbp = true, more = '' }: CellPlan): string => {
  const own = (n: number): string => `10.255.${subnet}.${n}`
  const links = Object.entries(containers).map(([name, n]) => ({ name, address: own(n), link: linkName(own(n)) }))
  const there = `10.255.${remote.subnet}.0`
  return `version: 1
bridges:
  overlay: {}
${links.map(({ name }) => `  link-${name}: { mtu: 1450 }`).join('\n')}
vxlans:
  vtep:
    bridge: overlay
    id: 1
    local: ${underlay}
    learning: false
    gbp: ${gbp}
    fdb: [ { mac: ${macOf('ee:ee', there)}, dst: ${remote.underlay} } ]
routers:
  cell:
    interfaces:
      silk-vtep: { bridge: overlay, address: ${own(0)}/32, mac: ${macOf('ee:ee', own(0))} }
${links.map(({ name, link, address }) => `      ${link}: { bridge: link-${name}, address: 169.254.0.1/32, peer: ${address}, mac: ${macOf('aa:aa', address)} }`).join('\n')}
    routes: [ { to: ${there}/24, via: ${there}, dev: silk-vtep, onlink: true } ]
    neighbors:
      - { address: ${there}, lladdr: ${macOf('ee:ee', there)}, dev: silk-vtep }
${links.map(({ link, address }) => `      - { address: ${address}, lladdr: ${macOf('ee:ee', address)}, dev: ${link} }`).join('\n')}
hosts:
${links.map(({ name, address }) => `  ${name}:
    interfaces: { eth0: { bridge: link-${name}, address: ${address}/32, peer: 169.254.0.1, mac: ${macOf('ee:ee', address)} } }
    routes: [ { to: default, via: 169.254.0.1, dev: eth0 } ]`).join('\n')}
${more}
`
}

/** The network of a file, its hosts' ports and its only tunnel over memory. */
export const createCell = (text: string, seed = 1, more: Partial<NetworkOptions> = {}): Cell => {
  const lab = createMemoryLab(seed, undefined, more)
  const file = parseNetworkFile(text, 'cell.yaml')
  const receive = lab.io.open(false)
  const send = [lab.io.open(false), lab.io.open(false)]
  const taps = file.hosts.flatMap((h) => h.interfaces.map((i) => ({ host: h.name, interface: i.name, fd: -1, vnetHeader: 0, offloads: 0 })))
  const operations = buildOperations(file, taps, { tunnel: () => ({ receive: [receive], send, sendDf: [], gso: true }) })
  for (const o of operations) {
    if (o.op === 'port.add') lab.port(o.name, o.bridge, { mtu: o.mtu })
    else lab.apply(o)
  }
  return { lab, receive, send, underlay: file.vxlans[0]?.local ?? '' }
}

/** Datagrams that a cell has sent since the last call. */
export const sentBy = (cell: Cell): number[][] =>
  cell.send.flatMap((socket) => cell.lab.io.takenDatagrams(socket).flatMap(({ bytes, gso }) => {
    const each = gso === 0 ? bytes.length : gso
    return Array.from({ length: Math.ceil(bytes.length / each) }, (_, i) => [...bytes.subarray(i * each, (i + 1) * each)])
  }))

/** Lets datagrams arrive at a cell. */
export const arrive = (cell: Cell, source: string, datagrams: readonly (readonly number[])[]): void => {
  for (const bytes of datagrams) cell.lab.io.injectDatagram(cell.receive, { bytes: Uint8Array.from(bytes), from: sockaddr(source) })
  cell.lab.run()
}

/** Runs both until nothing moves. */
export const settle = (a: Cell, b: Cell): void => {
  for (let moved = true; moved;) {
    a.lab.run()
    b.lab.run()
    const [fromA, fromB] = [sentBy(a), sentBy(b)]
    moved = fromA.length + fromB.length > 0
    if (fromA.length > 0) arrive(b, a.underlay, fromA)
    if (fromB.length > 0) arrive(a, b.underlay, fromB)
  }
  a.lab.held()
  b.lab.held()
}
