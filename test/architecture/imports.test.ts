/** Which folder may import which: the table of docs/architecture.md, read from the code's own imports. */
import test from 'ava'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../src', import.meta.url))

/** By folder: what it may import besides itself. Files directly under src stand by their own name. */
const allowed: Record<string, readonly string[]> = {
  'reason.ts': [],
  'version.ts': [],
  'io-layout.ts': [],
  'optimisations.ts': [],
  'native.ts': ['io-layout.ts'],
  'index.ts': ['network', 'engine', 'element', 'table', 'wire', 'core', 'port', 'config', 'control', 'capture', 'lab', 'optimisations.ts', 'reason.ts', 'version.ts'],
  wire: ['reason.ts'],
  core: ['reason.ts'],
  table: ['wire', 'io-layout.ts', 'reason.ts'],
  element: ['table', 'wire', 'core', 'reason.ts'],
  offload: ['wire', 'core', 'reason.ts'],
  port: ['core', 'offload', 'wire', 'native.ts', 'io-layout.ts', 'reason.ts'],
  engine: ['element', 'offload', 'port', 'table', 'core', 'wire', 'optimisations.ts', 'reason.ts'],
  network: ['engine', 'element', 'table', 'port', 'core', 'wire', 'optimisations.ts', 'reason.ts'],
  capture: ['wire'],
  config: ['wire'],
  lab: ['config', 'wire', 'native.ts'],
  control: ['network', 'engine', 'port', 'core', 'config', 'lab', 'capture', 'wire', 'native.ts', 'optimisations.ts', 'version.ts'],
  cli: ['control', 'network', 'config', 'lab', 'capture', 'wire', 'optimisations.ts', 'version.ts']
}

const files = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? files(join(folder, e.name)) : e.name.endsWith('.ts') ? [join(folder, e.name)] : []))

const placeOf = (file: string): string => relative(root, file).split('/')[0]!

test('imports point one way', (t) => {
  const wrong: string[] = []
  for (const file of files(root)) {
    const place = placeOf(file)
    const may = allowed[place]
    if (may === undefined) {
      wrong.push(`${relative(root, file)}: a folder that docs/architecture.md does not know`)
      continue
    }
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const to = placeOf(resolve(dirname(file), target!.replace(/\.js$/, '.ts')))
      if (to !== place && !may.includes(to)) wrong.push(`${relative(root, file)} imports ${target}`)
    }
  }
  t.deepEqual(wrong, [])
})

test('no file of the source is longer than 400 lines', (t) => {
  const long = files(root).filter((f) => readFileSync(f, 'utf8').split('\n').length > 401).map((f) => relative(root, f))
  t.deepEqual(long, [])
})
