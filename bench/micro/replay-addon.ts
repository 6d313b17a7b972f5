/** The native part of the replay (bench/native/replay.c): compiled when it is older than its source, then loaded. */
import { createRequire } from 'node:module'
import { packageRoot } from '../../src/native.js'
import { compile } from '../compile.js'

export interface ReplayAddon {
  create(...arrays: readonly (Uint8Array | Int32Array | Float64Array)[]): {
    load(words: Int32Array, ports: Int32Array, lengths: Int32Array): void
    exchange(): void
  }
}

export const replayAddon = (): ReplayAddon => {
  const require = createRequire(import.meta.url)
  const { include_dir: include } = require('node-api-headers') as { include_dir: string }
  return require(compile(packageRoot(), 'replay.c', 'replay.node', '-Wextra', '-fPIC', '-shared', '-DNAPI_VERSION=8', `-I${include}`)) as ReplayAddon
}
