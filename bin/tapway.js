#!/usr/bin/env node
/** The command `tapway`: starts what `npm run build` made. */
import { existsSync } from 'node:fs'

const notBuilt = () => {
  process.stderr.write('tapway: not built yet: run npm ci && npm run build\n')
  process.exitCode = 1
}

const parts = ['../dist/bundle/command/main.js', '../dist/bundle/worker.js', '../build/tapway.node'].map((path) => new URL(path, import.meta.url))
if (!parts.every((part) => existsSync(part))) {
  notBuilt()
} else {
  let main
  try {
    ({ main } = await import(parts[0].href))
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
    notBuilt()
  }
  if (main !== undefined) process.exitCode = await main(process.argv.slice(2))
}
