/** Hosts of the mesh that speak to each other while anything else may happen, and all that can be seen of it. */
import fc from 'fast-check'
import type { MemoryLab } from '../helpers/memory-lab.js'
import { arp, echo, ethernet, ipv4, udp } from '../oracle/naive-frames.js'
import { anyEvent, carryOut, type Event, PORTS } from './mesh.js'

export const R1 = ['02:00:00:00:01:03', '02:00:00:00:02:03'] as const
const R2 = ['02:00:00:00:02:04', '02:00:00:00:03:04'] as const

/** Hosts as they would speak: with the address they have, to the router that is next. */
export const HOSTS = [
  { port: 'a.eth0', mac: '02:00:00:00:00:00', address: '10.1.1.2', router: R1[0] },
  { port: 'c.eth0', mac: '02:00:00:00:00:02', address: '10.1.2.2', router: R1[1] },
  { port: 'd.eth0', mac: '02:00:00:00:00:03', address: '10.1.2.9', router: R2[0] },
  { port: 'e.eth0', mac: '02:00:00:00:00:04', address: '10.1.3.2', router: R2[1] }
] as const

const conversation = fc
  .record({
    from: fc.constantFrom(...HOSTS), to: fc.constantFrom('10.1.1.2', '10.1.2.2', '10.1.2.9', '10.1.3.2', '10.66.0.1'), length: fc.constantFrom(0, 10, 500, 1372, 1380),
    ttl: fc.constantFrom(2, 64, 64, 64), flags: fc.constantFrom(0, 0x4000), kind: fc.nat(1), packets: fc.integer({ min: 1, max: 6 }), padding: fc.constantFrom(0, 0, 7)
  })
  .map(({ from, to, length, ttl, flags, kind, packets, padding }): Event[] => {
    const body = Array.from({ length }, (_, i) => i & 255)
    const content = kind === 0 ? ipv4(17, from.address, to, udp(from.address, 1000, to, 2000, body), { ttl, flags }) : ipv4(1, from.address, to, echo(8, 1, 1, body), { ttl, flags })
    const frame = [...ethernet(from.router, from.mac, 0x0800, content), ...Array.from({ length: padding }, () => 0)]
    return Array.from({ length: packets }, () => ({ kind: 'frame', port: from.port, frame, offload: {} }))
  })

type Host = (typeof HOSTS)[number]

/** A host asks its router for it, and answers its question. */
export const announce = (host: Host, mac: string = host.mac, port: string = host.port): Event[] => {
  const target = { 'a.eth0': '10.1.1.3', 'c.eth0': '10.1.2.3', 'd.eth0': '10.1.2.4', 'e.eth0': '10.1.3.4' }[host.port]
  const frames = [arp(1, mac, host.address, '00:00:00:00:00:00', target), arp(2, mac, host.address, host.router, target)]
  return frames.map((body) => ({ kind: 'frame', port, frame: [...ethernet(host.router, mac, 0x0806, body)], offload: {} }))
}

/** With another MAC address than before, sometimes, and sometimes by another port. */
const announcement = fc
  .tuple(fc.constantFrom(...HOSTS), fc.constantFrom(undefined, undefined, '02:00:00:00:00:77'), fc.constantFrom(undefined, 'b.eth0', 'd.eth0'))
  .map(([host, mac, port]) => announce(host, mac, port))

export const events = fc
  .array(fc.oneof({ weight: 6, arbitrary: conversation }, { weight: 2, arbitrary: announcement }, { weight: 1, arbitrary: anyEvent.map((e) => [e]) }), { minLength: 5, maxLength: 80 })
  .map((lists) => [...HOSTS.flatMap((host) => announce(host)), ...lists.flat()])

export const carry = (lab: MemoryLab, list: readonly Event[], perTurn: number): unknown[] => {
  const gone = new Set<string>()
  const seen: unknown[] = []
  for (let i = 0; i < list.length; i += perTurn) {
    for (const event of list.slice(i, i + perTurn)) carryOut(lab, event, gone)
    lab.network.engine.turn(false)
    seen.push(lab.held(), ...PORTS.map(([name]) => lab.taken(name)))
  }
  lab.run()
  const tables = (['link', 'neigh', 'fdb'] as const).map((show) => [...lab.network.show({ show })])
  return [...seen, ...PORTS.map(([name]) => lab.taken(name)), lab.network.stats(), ...tables]
}
