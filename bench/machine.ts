/** The machine and the code that results belong to. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { compile } from './compile.js'

export interface Machine {
  cpu: string
  cores: number
  memory_gib: number
  kernel: string
  node: string
  v8: string
  /** Congestion control that namespaces have when they are made (tcp(7)). */
  tcp: string
  /** What a system call that does nothing takes. */
  call_ns: number
  commit: string
  date: string
}

const output = (command: string, ...args: string[]): string | undefined => {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

const callNs = (folder: string): number => (JSON.parse(execFileSync(compile(folder, 'call.c', 'call'), { encoding: 'utf8' })) as { ns: number }).ns

/** `commit` has a + behind it when files that are under version control were changed since. */
export const describeMachine = (folder: string): Machine => {
  const commit = output('git', '-C', folder, 'rev-parse', '--short=10', 'HEAD')
  const changed = output('git', '-C', folder, 'status', '--porcelain', '--untracked-files=no') !== ''
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: cpus().length, memory_gib: Math.round(totalmem() / 2 ** 30), kernel: release(),
    node: process.version, v8: process.versions.v8,
    tcp: readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'latin1').trim(), call_ns: callNs(folder),
    commit: commit === undefined ? 'unknown' : `${commit}${changed ? '+' : ''}`,
    date: new Date().toISOString()
  }
}
