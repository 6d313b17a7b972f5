/**
 * Runs the commands of a guide, in order, in terminals as a reader has them: what is printed must be what the guide says.
 * The rules are in test/helpers/shell-doc.ts.
 *
 * The terminals live in a mount and a process namespace of their own, with an empty /run/netns and /run/tapway: the names of
 * a guide (client, router) meet nobody else's, and the kernel ends whatever is left when the first process of it is killed.
 */
import type { ExecutionContext } from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onSweep } from '../helpers/netns.js'
import { parseShellDoc } from '../helpers/shell-doc.js'
import { runDoc } from './run-doc.js'
import { Terminal } from './terminal.js'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** Makes the namespaces, removed after the test, for terminals and other commands; the words that run a command in them. */
export const ownNamespaces = async (): Promise<string[]> => {
  const folders = ['/run/netns', '/run/tapway'].map((path) => `mkdir -p ${path} && mount -t tmpfs guide ${path}`)
  const first = [...folders, 'echo made', 'exec sleep infinity'].join(' && ')
  const args = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', first]
  const holder = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(holder, 'exit')
  onSweep(async () => {
    holder.kill('SIGKILL')
    await ended
  })
  const [made] = await Promise.race([once(holder.stdout, 'data'), ended]) as [unknown]
  if (String(made) !== 'made\n') throw new Error('unshare failed')
  const pid = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim()
  return ['nsenter', '-t', pid, '-m', '-p']
}

/** The folder of a fresh clone, as far as a guide needs it; files of the guide are written beside. */
const ownFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-guide-'))
  onSweep(() => rmSync(folder, { recursive: true }))
  for (const name of ['bin', 'examples']) symlinkSync(join(ROOT, name), join(folder, name))
  return folder
}

/** Does what a document, named by its path in this repository, says. In the end no namespace and no instance may be left. */
export const runGuide = async (t: ExecutionContext, path: string): Promise<void> => {
  const steps = parseShellDoc(readFileSync(join(ROOT, path), 'utf8'))
  const folder = ownFolder()
  const enter = await ownNamespaces()
  const terminals = new Map<number, Terminal>()
  const open = async (number: number): Promise<Terminal> => {
    const terminal = await Terminal.open(folder, enter)
    terminals.set(number, terminal)
    onSweep(() => terminal.close())
    return terminal
  }
  const terminal = async (number: number): Promise<Terminal> => terminals.get(number) ?? open(number)
  try {
    await runDoc(steps, { folder, terminal })
  } catch (error) {
    for (const [number, { transcript }] of terminals) t.log(`--- terminal ${number}\n${transcript}`)
    throw error
  }
  for (const { exitStatus } of terminals.values()) t.not(exitStatus, undefined)
  const left = await terminal(2)
  left.type('ls /run/netns /run/tapway')
  await left.waitFor('a prompt', () => left.exitStatus !== undefined)
  t.is(left.shown, '/run/netns:\n\n/run/tapway:\n')
}
