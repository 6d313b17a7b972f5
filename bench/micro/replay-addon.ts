/** The native part of the replay (bench/native/replay.c): compiled when it is older than its source, then loaded. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface ReplayAddon {
  create(...arrays: readonly (Uint8Array | Int32Array | Float64Array)[]): {
    load(words: Int32Array, ports: Int32Array, lengths: Int32Array): void
    link(peers: Int32Array): void
    exchange(): void
  }
}

/** Folder of package.json: this file is in dist/bench/micro of it, or part of a module in dist/bundle. */
const packageRoot = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

const modified = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

export const replayAddon = (): ReplayAddon => {
  const require = createRequire(import.meta.url)
  const root = packageRoot()
  const source = join(root, 'bench', 'native', 'replay.c')
  const addon = join(root, 'dist', 'bench', 'native', 'replay.node')
  if (modified(addon) < modified(source)) {
    const { include_dir: include } = require('node-api-headers') as { include_dir: string }
    mkdirSync(dirname(addon), { recursive: true })
    const fresh = `${addon}.${process.pid}` // several may compile it at once
    execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-fPIC', '-shared', '-DNAPI_VERSION=8', `-I${include}`, '-o', fresh, source], { stdio: 'inherit' })
    renameSync(fresh, addon)
  }
  return require(addon) as ReplayAddon
}
