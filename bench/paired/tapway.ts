/** Tapway's side: an instance of its own, started as a user does, from a network file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { atEnd, serve, type Service } from './command.js'
import { PLANS, type Scenario, type Side } from './side.js'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const COMMAND = join(ROOT, 'bin', 'tapway.js')

export const POLL_MODES = ['adaptive', 'sleep', 'busy'] as const
export type Poll = (typeof POLL_MODES)[number]
/** What `tapway up` does when nothing is said. */
export const DEFAULT_POLL: Poll = 'adaptive'

const CLIENT = 'bench-t-client'
const SERVER = 'bench-t-server'

const networkFile = (scenario: Scenario): string => {
  const { clientAddress, serverAddress, prefixLength, gateways } = PLANS[scenario]
  const host = (name: string, bridge: string, address: string, gateway: string | undefined): string => [
    `  ${name}:`,
    `    interfaces: { eth0: { bridge: ${bridge}, address: ${address}/${prefixLength} } }`,
    ...(gateway === undefined ? [] : [`    routes: [ { to: default, via: ${gateway} } ]`])
  ].join('\n')
  const bridges = gateways === undefined ? ['br1', 'br1'] : ['br1', 'br2']
  const router = gateways === undefined ? [] : [
    'routers:', '  router:', '    interfaces:',
    ...gateways.map((a, i) => `      eth${i + 1}: { bridge: ${bridges[i]}, address: ${a}/${prefixLength} }`)
  ]
  return [
    'version: 1', `bridges: { ${[...new Set(bridges)].map((b) => `${b}: {}`).join(', ')} }`, ...router, 'hosts:',
    host(CLIENT, bridges[0]!, clientAddress, gateways?.[0]), host(SERVER, bridges[1]!, serverAddress, gateways?.[1]), ''
  ].join('\n')
}

/** Starts `tapway up FILE` and waits until it is ready; it ends with the enclosing scope. */
export const tapwayUp = (file: string, name: string, ...options: string[]): Promise<Service> =>
  serve([process.execPath, COMMAND, 'up', file, '--name', name, '--log-level', 'warn', ...options], (line) => line.startsWith('ready'))

export const createTapwaySide = async (scenario: Scenario, poll: Poll): Promise<Side> => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-bench-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, `${scenario}.yaml`)
  writeFileSync(file, networkFile(scenario))
  const { pid } = await tapwayUp(file, 'bench', ...(poll === DEFAULT_POLL ? [] : ['--poll', poll]))
  const { clientAddress, serverAddress, gateways } = PLANS[scenario]
  // A stopped process cannot end: it goes on before anybody stops it for good.
  atEnd(() => process.kill(pid, 'SIGCONT'))
  return {
    name: 'tapway', client: CLIENT, server: SERVER, clientAddress, serverAddress, nextHop: gateways?.[0] ?? serverAddress, pid,
    pause: () => process.kill(pid, 'SIGSTOP'), resume: () => process.kill(pid, 'SIGCONT')
  }
}
