/**
 * Network namespaces for tests.
 *
 * Tests that make namespaces need root, and must not see or touch the machine's own. So a test run has a mount namespace
 * of its own, with an empty tmpfs on /run/netns and on /run/tapway:
 *
 *     unshare --mount sh -c 'mkdir -p /run/netns /run/tapway &&
 *       mount -t tmpfs tmpfs /run/netns && mount -t tmpfs tmpfs /run/tapway && exec npx ava'
 *
 * A file that uses `netnsTest` refuses to run without that. Without root it is skipped, loudly; in CI that is a failure.
 * Test files run beside each other in one mount namespace: every name comes from `uniqueName`, and nothing may be said
 * about the list of all namespaces, only about one's own.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { ExecutionContext, TestFn } from 'ava'
import type { Optimisation } from '../../src/optimisations.js'
import { isLeftOut } from './without.js'

const ISOLATE = 'unshare --mount sh -c \'mkdir -p /run/netns /run/tapway && mount -t tmpfs tmpfs /run/netns && '
  + 'mount -t tmpfs tmpfs /run/tapway && exec "$@"\' sh COMMAND'

/** Whether a folder is the root of a tmpfs mounted just there. The machine's own /run/netns, bound to itself, is not. */
const hasOwnTmpfs = (folder: string): boolean => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').some((line) => {
  const fields = line.split(' ')
  return fields[3] === '/' && fields[4] === folder && fields[fields.indexOf('-', 6) + 1] === 'tmpfs'
})

/** Whether this process may make namespaces: CAP_NET_ADMIN and CAP_SYS_ADMIN, and is root for /run. */
const isPrivileged = (): boolean => {
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]!}`)
  return process.getuid!() === 0 && (effective >> 12n & 1n) === 1n && (effective >> 21n & 1n) === 1n
}

/** Throws when /run/netns or /run/tapway are the machine's own. */
export const refuseUnlessIsolated = (): void => {
  for (const folder of ['/run/netns', '/run/tapway']) {
    if (!hasOwnTmpfs(folder)) throw new Error(`${folder} is the machine's own: run the tests under ${ISOLATE}`)
  }
}

type Body = (t: ExecutionContext) => Promise<void> | void

/**
 * A `test` for tests that make namespaces. They run one after the other within a file, and what `addNetns` and `onSweep`
 * know is removed after each of them, also when it fails. With `about` they are about these optimisations, and skipped where one is left out.
 */
export const netnsTest = (test: TestFn, ...about: Optimisation[]): ((title: string, body: Body) => void) => {
  if (!isPrivileged()) {
    if (process.env['CI'] !== undefined) throw new Error('these tests need root')
    process.stderr.write('\n*** SKIPPED: tests with network namespaces need root ***\n\n')
    return (title, body) => test.skip(title, body)
  }
  refuseUnlessIsolated()
  if (about.some(isLeftOut)) return (title, body) => test.skip(title, body)
  test.afterEach.always(sweep)
  return (title, body) => test.serial(title, body)
}

let count = 0

/** A name that no other test has: for an instance, a host, a namespace. */
export const uniqueName = (prefix: string): string => `${prefix}-${process.pid}-${++count}`

/** Runs iproute2's ip; its stdout. Throws with its stderr. */
export const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Runs a command in a named namespace; its stdout. Throws with its stderr. */
export const inNs = (netns: string, ...command: string[]): string => ip('netns', 'exec', netns, ...command)

/** `ip -j` in a namespace, parsed. */
export const ipJson = <T = Record<string, unknown>[]>(netns: string, ...args: string[]): T =>
  JSON.parse(ip('-n', netns, '-j', ...args) || '[]') as T

/** Value of a sysctl in a namespace, by its path below /proc/sys. */
export const sysctl = (netns: string, path: string): string => inNs(netns, 'cat', `/proc/sys/${path}`).trim()

/** Names of all namespaces, sorted. */
export const netnsNames = (): string[] =>
  ip('netns', 'list').split('\n').filter((line) => line !== '').map((line) => line.split(' ')[0]!).sort()

/**
 * A line of sh that waits until a bridge of the kernel sends: what it makes itself is lost until the kernel has noticed that its ports are up,
 * which on a busy machine takes its time. Fails after some ten seconds.
 */
export const untilUp = (bridge: string): string =>
  `n=0; until ip -br link show ${bridge} | grep -q ' UP '; do n=$((n + 1)); [ $n -lt 1000 ]; sleep 0.01; done`

const undone: (() => Promise<unknown> | void)[] = []

/** Has something undone after the test, last first; errors are shown and do not stop the rest. */
export const onSweep = (undo: () => Promise<unknown> | void): void => {
  undone.push(undo)
}

/** Deletes a namespace if it is there. */
export const removeNetns = (name: string): void => {
  if (netnsNames().includes(name)) ip('netns', 'del', name)
}

/** Makes a namespace (under a unique name unless given one) that is removed after the test. */
export const addNetns = (name = uniqueName('ns')): string => {
  ip('netns', 'add', name)
  onSweep(() => removeNetns(name))
  return name
}

/** Undoes everything. `netnsTest` calls it after each test. */
const sweep = async (): Promise<void> => {
  for (let undo = undone.pop(); undo !== undefined; undo = undone.pop()) {
    try {
      await undo()
    } catch (error) {
      process.stderr.write(`sweep: ${String(error)}\n`)
    }
  }
}
