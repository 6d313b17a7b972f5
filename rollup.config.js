// The data plane's thread, and the benchmarks that run an engine, each as one module (docs/decisions/0012): what another module exports, V8
// reads anew each time; a constant of the same module it knows when it compiles.
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'

const micro = readdirSync('dist/bench/micro').filter((name) => name.endsWith('.bench.js')).map((name) => `dist/bench/micro/${name}`)

export default ['dist/src/control/worker.js', ...micro].map((input) => ({
  input,
  external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  output: { file: `dist/bundle/${basename(input)}`, format: 'es', generatedCode: { constBindings: true } }
}))
