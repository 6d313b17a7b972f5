/** Tapway's side: an instance of its own, started as a user does, from a network file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Optimisation } from '../../src/optimisations.js'
import { atEnd, inNetns, serve, type Program, type Service } from './command.js'
import { PLANS, type KernelScenario, type Side } from './side.js'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const COMMAND = join(ROOT, 'bin', 'tapway.js')

export const POLL_MODES = ['adaptive', 'sleep', 'busy'] as const
export type Poll = (typeof POLL_MODES)[number]
/** What `tapway up` does when nothing is said. */
export const DEFAULT_POLL: Poll = 'adaptive'


const networkFile = (scenario: KernelScenario, client: string, server: string): string => {
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
    host(client, bridges[0]!, clientAddress, gateways?.[0]), host(server, bridges[1]!, serverAddress, gateways?.[1]), ''
  ].join('\n')
}

const upWords = (file: string, name: string, options: readonly string[]): string[] =>
  [process.execPath, COMMAND, 'up', file, '--name', name, '--log-level', 'warn', ...options]

const isReady = (line: string): boolean => line.startsWith('ready')

/** Starts `tapway up FILE` and waits until it is ready; it ends with the enclosing scope. */
export const tapwayUp = (file: string, name: string, ...options: string[]): Promise<Service> => serve(upWords(file, name, options), isReady)

/**
 * Starts an instance on the text of a network file, inside a namespace where one is given, and waits until it is ready; it ends with
 * the enclosing scope.
 */
export const startTapway = (
  text: string, name: string, poll: Poll, netns?: string, readyMs?: number, options: readonly string[] = []
): Promise<Service> => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-bench-'))
  atEnd(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, `${name}.yaml`)
  writeFileSync(file, text)
  const words = upWords(file, name, [...(poll === DEFAULT_POLL ? [] : ['--poll', poll]), ...options])
  return serve(netns === undefined ? words : inNetns(netns, ...words), isReady, readyMs)
}

/** `pause` and `resume` of a side that these processes make up. */
export const pausing = (instances: readonly Program[]): Pick<Side, 'pids' | 'pause' | 'resume'> => {
  const toAll = (name: NodeJS.Signals) => (): void => {
    for (const { signal } of instances) signal(name)
  }
  return { pids: instances.map(({ pid }) => pid), pause: toAll('SIGSTOP'), resume: toAll('SIGCONT') }
}

/** `without`: optimisations that are left out, for a side beside the one that has all. */
export const createTapwaySide = async (scenario: KernelScenario, poll: Poll, without: readonly Optimisation[] = []): Promise<Side> => {
  const whole = without.length === 0
  const prefix = whole ? 'bench-t' : 'bench-w'
  const [client, server] = [`${prefix}-client`, `${prefix}-server`]
  const options = whole ? [] : ['--without', without.join(',')]
  const instance = await startTapway(networkFile(scenario, client, server), prefix, poll, undefined, undefined, options)
  const { clientAddress, serverAddress, gateways } = PLANS[scenario]
  return {
    ...(whole ? { name: 'tapway' } : { name: 'without', version: without.join(', ') }), client, server, clientAddress, serverAddress, nextHop: gateways?.[0] ?? serverAddress, ...pausing([instance])
  }
}
