/** Runs a command in a host of a running instance, for `tapway exec` and `tapway shell`. */
import { spawn } from 'node:child_process'
import { accessSync, constants as access } from 'node:fs'
import { constants } from 'node:os'
import { RUN_DIR } from './lock.js'
import { identityAt, pathOf, sameNamespace } from './namespace.js'
import { checkRights, findCommand } from './preflight.js'
import { isAlive, readRecord, type InstanceRecord } from './record.js'
import { codeOf, LabError, messageOf } from './types.js'

/** Hosts of a record, in its order. */
const hostsOf = (record: InstanceRecord) => [
  ...record.namespaces.map(({ host, identity }) => ({ host, reference: host, identity })),
  ...record.adopted.map(({ host, netns, identity }) => ({ host, reference: netns, identity })),
]

/**
 * The words that run `argv` in a host. Throws LabError: exit 2 for a host that is not there (with the choices), exit 1
 * when its namespace is gone.
 */
export const hostCommand = (record: InstanceRecord, host: string, argv: readonly string[]): string[] => {
  const hosts = hostsOf(record)
  const found = hosts.find((candidate) => candidate.host === host)
  if (found === undefined) {
    const names = hosts.map((candidate) => candidate.host).join(', ')
    const choices = names === '' ? 'it has no hosts' : `choose one of ${names}`
    throw new LabError(`no host "${host}" in instance "${record.instance}": ${choices}`, 2)
  }
  const { reference, identity } = found
  const byPath = reference.includes('/')
  const now = identityAt(pathOf(reference))
  if (now === undefined || !sameNamespace(now, identity, !byPath)) {
    throw new LabError(`the namespace of host "${host}" is gone or was replaced: bring the instance down and up again`)
  }
  return byPath ? ['nsenter', `--net=${reference}`, '--', ...argv] : ['ip', 'netns', 'exec', reference, ...argv]
}

/** Exit status of a shell for a command that cannot be run: 127 not found, 126 found but not to be executed. */
const missing = (command: string): { status: number, why: string } | undefined => {
  if (findCommand(command, process.env['PATH'] ?? '/usr/bin:/bin') !== undefined) return undefined
  try {
    if (command.includes('/')) accessSync(command, access.F_OK)
  } catch (error) {
    return { status: 127, why: codeOf(error) === 'ENOENT' ? 'no such file' : messageOf(error) }
  }
  return command.includes('/') ? { status: 126, why: 'not executable' } : { status: 127, why: 'command not found' }
}

/**
 * Runs a command in a host, with this process's own standard streams, and gives its exit status: 128 + n when signal n
 * ended it, 127 when there is no such command. Throws LabError for an instance that is not running or an unknown host.
 */
export const execInHost = async (
  instance: string | InstanceRecord, host: string, argv: readonly string[], directory = RUN_DIR,
): Promise<number> => {
  checkRights()
  const record = typeof instance === 'string' ? readRecord(instance, directory) : instance
  if (record === undefined || !isAlive(record)) {
    const name = typeof instance === 'string' ? instance : instance.instance
    throw new LabError(`no instance "${name}" is running: start it with \`tapway up FILE\``)
  }
  const words = hostCommand(record, host, argv)
  const lack = missing(argv[0] ?? '')
  if (lack !== undefined) {
    process.stderr.write(`${argv[0]}: ${lack.why}\n`)
    return lack.status
  }
  return new Promise((resolve, reject) => {
    const child = spawn(findCommand(words[0]!) ?? words[0]!, words.slice(1), { stdio: 'inherit' })
    // The terminal sends these to the command as well: it decides, and we pass on how it ended.
    const ignore = () => {}
    const pass = (signal: NodeJS.Signals) => { child.kill(signal) }
    const stop = () => {
      process.off('SIGINT', ignore).off('SIGQUIT', ignore).off('SIGTERM', pass).off('SIGHUP', pass)
    }
    process.on('SIGINT', ignore).on('SIGQUIT', ignore).on('SIGTERM', pass).on('SIGHUP', pass)
    child.on('error', (error) => {
      stop()
      reject(new LabError(`cannot run ${words[0]}: ${error.message}`))
    })
    child.on('exit', (code, signal) => {
      stop()
      resolve(code ?? 128 + constants.signals[signal!])
    })
  })
}
