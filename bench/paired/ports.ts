/**
 * A bridge with a thousand ports, each with a host (a namespace) of its own: how long `tapway up` takes, how long a broadcast takes to the
 * last port, and what two of the hosts move beside the two of a bridge that has no others, by turns. IPv6 is off in the hosts: a thousand of
 * them that come up at the same time tell each other so in millions of frames, which would be what is measured.
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { single, type Single } from '../result.js'
import { median, rounded } from '../statistics.js'
import { scope } from './command.js'
import { processSeconds, residentMiB } from './cpu.js'
import { tcp, udp, type Figures } from './measures.js'
import type { Side } from './side.js'
import { DEFAULT_POLL, pausing, startTapway } from './tapway.js'

const PORTS = 1000
const BROADCASTS = 100
const UP_RUNS = 3
/** After ready: what the hosts still have to say (IGMP) is over. */
const SETTLE_MS = 2000
const READY_MS = 120_000
const PROGRAM = fileURLToPath(new URL('../native/broadcast', import.meta.url))

const addressOf = (i: number): string => `10.1.${(i + 1) >> 8}.${(i + 1) & 255}`
const hostsOf = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`)

const networkFile = (hosts: readonly string[]): string => [
  'version: 1', 'bridges: { br1: {} }', 'hosts:',
  ...hosts.map((name, i) => `  ${name}: { interfaces: { eth0: { bridge: br1, address: ${addressOf(i)}/16 } }, `
    + 'sysctls: { net.ipv6.conf.all.disable_ipv6: 1, net.ipv6.conf.default.disable_ipv6: 1 } }'), ''
].join('\n')

/** The first and the last host of a bridge with so many. */
const sideOf = async (prefix: string, count: number): Promise<Side & { readyAfter: number, hosts: string[] }> => {
  const hosts = hostsOf(prefix, count)
  const instance = await startTapway(networkFile(hosts), `bench-${count}`, DEFAULT_POLL, undefined, READY_MS)
  const serverAddress = addressOf(count - 1)
  return {
    name: 'tapway', client: hosts[0]!, server: hosts.at(-1)!, clientAddress: addressOf(0), serverAddress, nextHop: serverAddress,
    readyAfter: instance.readyAfter, hosts, ...pausing([instance])
  }
}

interface Broadcasts { ports: number, milliseconds: number[], lost: number }

const broadcasts = (hosts: readonly string[]): Broadcasts => {
  const input = hosts.map((name) => `/run/netns/${name}\n`).join('')
  const { status, stdout, stderr } = spawnSync(PROGRAM, ['eth0', String(BROADCASTS)], { input, encoding: 'utf8' })
  if (status !== 0) throw new Error(`broadcast: exit ${status}: ${stderr.trim()}`)
  return JSON.parse(stdout) as Broadcasts
}

const measureBroadcasts = (side: Side & { hosts: string[] }): Single[] => {
  const before = processSeconds(side.pids[0]!)
  const { ports, milliseconds, lost } = broadcasts(side.hosts)
  const spent = processSeconds(side.pids[0]!) - before
  return [
    single('ports', `broadcast to ${ports} ports, until the last one has it`, 'ms', milliseconds, { bound: 'at most', value: 4, aim: 2 }),
    single('ports', 'broadcast: receptions lost', '', [lost]),
    single('ports', 'broadcast: processor time of the switch', 'ms', [(spent * 1000) / (BROADCASTS + 1)])
  ]
}

/** What the pair moves among all the others by what it moves alone, run by run. */
const pairRatio = async (
  what: string, measure: (side: Side) => Promise<Figures>, alone: Side, among: Side, runs: number, say: (line: string) => void
): Promise<Single> => {
  const seen: [number[], number[]] = [[], []]
  let unit = ''
  for (let i = 0; i <= runs; i++) {
    for (const [k, side] of [alone, among].entries()) {
      const [[name, value]] = Object.entries(await measure(side)) as [[string, number]]
      unit = name
      if (i === 0) continue // the first one of each is not counted
      seen[k]!.push(value)
      say(`ports, ${what} ${i}/${runs} ${k === 0 ? 'alone' : `among ${PORTS}`}: ${rounded(value)} ${name}`)
    }
  }
  const ratio = median(seen[1]) / median(seen[0])
  say(`ports, ${what}: ${rounded(median(seen[1]))} among ${PORTS}, ${rounded(median(seen[0]))} alone (${unit})`)
  return single('ports', `${what}: two of ${PORTS} ports against two alone`, 'ratio', [ratio], { bound: 'at least', value: 0.9, aim: 0.97 })
}

export const runPorts = async (runs: number, seconds: number, say: (line: string) => void): Promise<Single[]> => {
  const up: number[] = []
  const results: Single[] = []
  for (let i = 1; i <= UP_RUNS; i++) {
    const leave = scope()
    try {
      const among = await sideOf('bench-p', PORTS)
      up.push(among.readyAfter / 1000)
      say(`${PORTS} ports ${i}/${UP_RUNS}: ready after ${rounded(among.readyAfter / 1000)} s`)
      if (i < UP_RUNS) continue
      await sleep(SETTLE_MS)
      results.push(single('ports', `resident memory with ${PORTS} ports`, 'MiB', [residentMiB(among.pids[0]!)]), ...measureBroadcasts(among))
      const alone = await sideOf('bench-q', 2)
      results.push(
        await pairRatio('TCP, 1 stream', (side) => tcp(side, 1, seconds), alone, among, runs, say),
        await pairRatio('UDP, 60-byte frames', (side) => udp(side, seconds), alone, among, runs, say)
      )
    } finally {
      await leave()
    }
  }
  return [
    single('ports', `up with ${PORTS} hosts until ready, from process start`, 's', up, { bound: 'at most', value: 8, aim: 3 }), ...results
  ]
}
