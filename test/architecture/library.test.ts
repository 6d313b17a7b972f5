/** What others import from `tapway`: all that the command stands on, all rows and operations, and what the documents name. */
import test from 'ava'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as library from '../../src/index.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')

/** `{ a, type B, c as d }` of an import or export: the names before any `as`. */
const namesIn = (braces: string): string[] =>
  braces.split(',').map((word) => word.trim().replace(/^type /, '').split(' as ')[0]!).filter((name) => name !== '')

/** Names by the module that they come from, as src/index.ts exports them. */
const exported = new Map([...read('src', 'index.ts').matchAll(/^export (?:type )?\{([^}]*)\} from '\.\/([^']+)\.js'/gm)]
  .map(([, names, module]): [string, string[]] => [module!, namesIn(names!)]))
const all = new Set([...exported.values()].flat())

test('whatever the command imports from the other parts is there', (t) => {
  const missing: string[] = []
  let count = 0
  for (const file of readdirSync(join(root, 'src', 'cli'))) {
    for (const [, braces, module] of read('src', 'cli', file).matchAll(/import (?:type )?\{([^}]*)\} from '\.\.\/([^']+)\.js'/g)) {
      for (const name of namesIn(braces!)) {
        count++
        if (exported.get(module!)?.includes(name) !== true) missing.push(`${file}: ${name} of ${module}`)
      }
    }
    for (const [, braces, module] of read('src', 'cli', file).matchAll(/const \{([^}]*)\} = await import\('\.\.\/([^']+)\.js'\)/g)) {
      for (const name of namesIn(braces!)) {
        count++
        if (exported.get(module!)?.includes(name) !== true) missing.push(`${file}: ${name} of ${module}`)
      }
    }
  }
  t.deepEqual(missing, [])
  t.true(count > 40, `${count} names`)
})

test('every operation, query and row, and every part of a network file, has its type there', (t) => {
  for (const [module, ...left] of [['network/operations'], ['config/types', 'RouteType'], ['control/protocol', 'Response']] as const) {
    const own = [...read('src', `${module}.ts`).matchAll(/^export (?:interface|type|class|const) (\w+)/gm)].map(([, name]) => name!)
    t.true(own.length > 5)
    t.deepEqual(own.filter((name) => !exported.get(module)!.includes(name) && !(left as readonly string[]).includes(name)), [], module)
  }
})

test('what the documents name is there', (t) => {
  const comment = read('src', 'index.ts').split('*/')[0]!
  const section = read('docs', 'network-file.md').split('## From a program')[1]!
  const named = [...`${comment}${section}`.matchAll(/`(\w+)(?:\([^`]*)?`/g)].map(([, name]) => name!)
  const identifiers = named.filter((name) => /^[A-Z]?[a-z]+[A-Z]\w*$/.test(name))
  t.true(identifiers.length > 10, identifiers.join())
  t.deepEqual(identifiers.filter((name) => !all.has(name)), [])
})

test('values are values, also for who imports the package by its name', async (t) => {
  const byName = await import('tapway' as string) as typeof library
  t.is(byName.createNetwork, library.createNetwork)
  for (const name of ['loadNetworkFile', 'createNetwork', 'createMemoryIo', 'underlayMtu', 'buildOperations', 'runInstance', 'execInHost', 'compileFilter'] as const) {
    t.is(typeof library[name], 'function', name)
  }
  for (const name of ['Lab', 'Underlay', 'DataPlane', 'ControlClient', 'NetworkError', 'ConfigError', 'ClientError', 'LabError'] as const) {
    t.is(typeof library[name], 'function', name)
  }
})
