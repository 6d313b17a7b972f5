/** Child processes of the lab: iproute2 and util-linux, short-lived, with their output collected. */
import { spawn } from 'node:child_process'
import { codeOf, LabError } from './types.js'

export interface Finished {
  /** exit status; 128 + n for signal n */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  /** A descriptor of a namespace: the command runs in it, by nsenter(1). */
  readonly netns?: number
}

/** English messages, and the sbin folders that an unprivileged PATH may lack. */
export const toolEnvironment = (): NodeJS.ProcessEnv =>
  ({ ...process.env, LC_ALL: 'C', PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/sbin:/sbin` })

/** What to install when a command is missing. */
export const packageOf = (command: string): string => (['ip', 'tc', 'ss'].includes(command) ? 'iproute2' : 'util-linux')

/** Runs a command to its end. Throws LabError when it cannot be started; a bad exit status is the caller's to judge. */
export const run = (command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> => {
  const inside = options.netns !== undefined
  // The namespace travels as descriptor 3, so that it is the very one we hold, whatever has become of its name.
  const program = inside ? 'nsenter' : command
  const argv = inside ? ['--net=/proc/self/fd/3', '--', command, ...args] : args
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {
      stdio: ['pipe', 'pipe', 'pipe', ...(inside ? [options.netns!] : [])],
      env: toolEnvironment(),
      detached: true, // Ctrl-C goes to the whole group of the terminal: it shall end us, not our work in the middle
    })
    let stdout = ''
    let stderr = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => { stdout += text })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => { stderr += text })
    child.stdin!.on('error', () => {}) // it may end before it has read everything: its status tells
    child.stdin!.end(options.input ?? '')
    child.on('error', (error) => reject(codeOf(error) === 'ENOENT'
      ? new LabError(`${program} is not installed: install the package ${packageOf(program)}`)
      : new LabError(`cannot run ${program}: ${error.message}`)))
    child.on('close', (code) => resolve({ status: code ?? 128 + 9, stdout, stderr }))
  })
}

/** Most commands at work at the same time: a file of hundreds of hosts must not start hundreds of processes at once. */
const CONCURRENT = 8

/**
 * Runs `work` for every item, some at a time, and waits for all of them even when one fails, so that nothing is still
 * going on when the caller begins to undo. Then throws the first error in the order of the items.
 */
export const forEach = async <T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> => {
  const errors: { index: number, error: unknown }[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length && errors.length === 0) {
      const index = next++
      try {
        await work(items[index]!, index)
      } catch (error) {
        errors.push({ index, error })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(CONCURRENT, items.length) }, worker))
  if (errors.length > 0) throw errors.sort((a, b) => a.index - b.index)[0]!.error
}
