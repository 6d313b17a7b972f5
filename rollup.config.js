// The data plane's thread, and the benchmarks that run an engine, each as one module (docs/decisions/0012): what another module exports, V8
// reads anew each time; a constant of the same module it knows when it compiles. And the command, which starts sooner from few files than from 300.
import { readdirSync } from 'node:fs'
import { basename, relative } from 'node:path'
import resolve from '@rollup/plugin-node-resolve'

const COMMAND = 'dist/bundle/command'

const micro = readdirSync('dist/bench/micro').filter((name) => name.endsWith('.bench.js')).map((name) => `dist/bench/micro/${name}`)

const output = { format: 'es', generatedCode: { constBindings: true } }
const isPackage = (id) => !id.startsWith('.') && !id.startsWith('/')
/** Of many files each; the others are CommonJS, or small. */
const isLarge = (id) => /^(yaml|zod)(\/|$)/.test(id)

/** What a module says of its own place stays true in the bundle, whose files are elsewhere. */
const ownPlaces = {
  name: 'own-places',
  resolveImportMeta: (property, { moduleId }) =>
    property === 'url' ? `new URL('${relative(COMMAND, relative('', moduleId))}', import.meta.url).href` : null
}

const threads = ['dist/src/control/worker.js', ...micro].map((input) => ({
  input,
  external: isPackage,
  output: { ...output, file: `dist/bundle/${basename(input)}` }
}))

const command = {
  input: 'dist/src/cli/main.js',
  external: (id) => isPackage(id) && !isLarge(id),
  // Not as for Node, where yaml is CommonJS
  plugins: [ownPlaces, resolve({ exportConditions: ['default'] })],
  output: { ...output, dir: COMMAND, entryFileNames: 'main.js', chunkFileNames: 'part-[name].js' }
}

export default [...threads, command]
