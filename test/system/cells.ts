/**
 * Two cells of the platform on real machines, for tests: namespaces joined by a cable, an instance in each, containers that are point to
 * point. The files are those of test/network/cells-lab.ts, which runs them over memory.
 */
import { fileURLToPath } from 'node:url'
import { inNs, uniqueName } from '../helpers/netns.js'
import { exec, startIn, startTapway, type Finished, type Instance, type Program } from '../helpers/tapway.js'
import { cellFile, type CellPlan } from '../network/cells-lab.js'
import { UNDERLAYS, type Pair } from './machines.js'

export { exec, startIn } from '../helpers/tapway.js'
export { traffic } from '../helpers/traffic.js'
export { cable, UNDERLAYS, type Pair } from './machines.js'

/** Subnets 10.255.N.0/24. */
const SUBNETS: Pair<number> = [96, 97]

const SERVER = fileURLToPath(new URL('../../../examples/c2c/server.js', import.meta.url))
/** The server of the example, listening: `tcp/8080`, `udp/8125`. */
export const serve = async (netns: string, ...ports: string[]): Promise<Program> => {
  const program = startIn(netns, process.execPath, SERVER, ...ports)
  for (const port of ports) await program.prints(new RegExp(`listening on ${port.replace('/', ' ')}`))
  return program
}

/** The file of a cell; a container's name is that of its namespace. */
export const fileOf = (i: 0 | 1, containers: Record<string, number>, more: string, gbp = true): string => {
  const plan: CellPlan = {
    subnet: SUBNETS[i], underlay: UNDERLAYS[i], containers, gbp, more,
    remote: { subnet: SUBNETS[1 - i]!, underlay: UNDERLAYS[1 - i]! }
  }
  // IPv6 says things unasked, which are dropped
  return cellFile(plan).replaceAll(/^( +)(interfaces: \{ eth0:.*)$/gm, '$1$2\n$1sysctls: { net.ipv6.conf.eth0.disable_ipv6: 1 }')
}

/** Starts a cell in its machine, and waits until it is ready. */
export const startCell = (machine: string, file: string, ...args: string[]): Promise<Instance> =>
  startTapway(file, { name: uniqueName('cell'), netns: machine, args })

/** Packets lost, by reason; only what was, and what policies are not about left out. Throws when the packets do not add up. */
export const drops = async (instance: Instance): Promise<Record<string, number>> => {
  interface Stats { drops: { reason: string; packets: number }[]; balance: { ok: boolean } }
  const { drops: rows, balance } = await instance.json<Stats>('stats')
  if (!balance.ok) throw new Error(`packets do not add up: ${JSON.stringify(balance)}`)
  return Object.fromEntries(rows.filter((d) => d.packets > 0 && d.reason !== 'arp-ignored').map((d) => [d.reason, d.packets]))
}

/** Sends a datagram, without looking at what becomes of it. */
export const datagram = (netns: string, address: string, port: number, bytes = 20): Promise<Finished> =>
  exec(netns, 'bash', '-c', `head -c ${bytes} /dev/zero >/dev/udp/${address}/${port}`)

/** Exit status of curl when there was no answer in time. */
export const NO_ANSWER = 28
export const curl = (netns: string, address: string, port: number, seconds = 5): Promise<Finished> =>
  exec(netns, 'curl', '-sS', '-m', String(seconds), `http://${address}:${port}/`)

export const ping = async (netns: string, address: string, ...words: string[]): Promise<boolean> =>
  (await exec(netns, 'ping', '-c', '1', '-W', '5', ...words, address)).status === 0

/** Writes a value below /proc/sys/net of a namespace. */
export const setSysctl = (netns: string, path: string, value: number): void => {
  inNs(netns, 'sh', '-c', `echo ${value} >/proc/sys/net/${path}`)
}
