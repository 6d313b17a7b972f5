/** The benchmarks' programs in C (bench/native). */
import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

const modified = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Compiles a source of bench/native where what came of it is older; the path of that, in dist/bench/native. Several processes may do so at once. */
export const compile = (root: string, from: string, to: string, ...options: readonly string[]): string => {
  const source = join(root, 'bench', 'native', from)
  const compiled = join(root, 'dist', 'bench', 'native', to)
  if (modified(compiled) >= modified(source)) return compiled
  mkdirSync(dirname(compiled), { recursive: true })
  const fresh = `${compiled}.${process.pid}`
  execFileSync('cc', ['-O2', '-Wall', ...options, '-o', fresh, source], { stdio: 'inherit' })
  renameSync(fresh, compiled)
  return compiled
}
