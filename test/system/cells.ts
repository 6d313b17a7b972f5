/**
 * Two cells of the platform on real machines, for tests: namespaces joined by a cable, an instance in each, containers that are point to
 * point. The files are those of test/network/cells-lab.ts, which runs them over memory.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { addNetns, inNs, ip, onSweep, uniqueName } from '../helpers/netns.js'
import { BIN, Instance, recordOf, run, start, tapway, temporaryFile, type Finished, type Program } from '../helpers/tapway.js'
import { cellFile, type CellPlan } from '../network/cells-lab.js'

export type Pair<T> = readonly [one: T, two: T]

export const UNDERLAYS: Pair<string> = ['192.168.77.1', '192.168.77.2']
/** Subnets 10.255.N.0/24. */
export const SUBNETS: Pair<number> = [96, 97]

/** Two machines, joined by a cable `u`. */
export const cable = (): Pair<string> => {
  const machines = [addNetns(), addNetns()] as const
  ip('-n', machines[0], 'link', 'add', 'u', 'type', 'veth', 'peer', 'name', 'u', 'netns', machines[1])
  for (const i of [0, 1] as const) {
    ip('-n', machines[i], 'addr', 'add', `${UNDERLAYS[i]}/24`, 'dev', 'u')
    ip('-n', machines[i], 'link', 'set', 'lo', 'up')
    ip('-n', machines[i], 'link', 'set', 'u', 'up')
  }
  return machines
}

/** Runs a program in a namespace to its end. */
export const exec = (netns: string, ...command: string[]): Promise<Finished> => run('ip', ['netns', 'exec', netns, ...command])
/** Starts a program in a namespace; it is ended after the test. */
export const startIn = (netns: string, ...command: string[]): Program => start('ip', ['netns', 'exec', netns, ...command])

const TRAFFIC = fileURLToPath(new URL('./traffic-program.js', import.meta.url))
/** Words that run the traffic program. */
export const traffic = (...words: string[]): string[] => [process.execPath, TRAFFIC, ...words]

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
export const startCell = async (machine: string, file: string, ...args: string[]): Promise<Instance> => {
  const name = uniqueName('cell')
  onSweep(async () => {
    if (existsSync(recordOf(name))) await tapway('--name', name, 'down')
  })
  const up = [`--net=/run/netns/${machine}`, process.execPath, BIN, '--name', name, 'up', temporaryFile(file), ...args]
  const instance = new Instance(name, start('nsenter', up))
  await instance.program.prints(/^ready/m)
  return instance
}

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
