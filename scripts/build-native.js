/**
 * Compiles native/*.c to build/tapway.node with the C compiler alone: $CC, else cc, gcc or clang. Node-API is a stable C
 * interface, so its headers (package node-api-headers) are all that is needed of Node. Does nothing when up to date.
 * What is missing is said in one line; exit code 1.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(import.meta.url)
const root = dirname(dirname(script))
const output = join(root, 'build', 'tapway.node')
const flags = [
  '-std=c11', '-O2', '-fPIC', '-shared', '-pthread', '-Wall', '-Wextra', '-fvisibility=hidden', '-D_GNU_SOURCE', '-DNAPI_VERSION=8'
]

const fail = (line) => {
  process.stderr.write(`tapway: ${line}\n`)
  process.exit(1)
}

const headers = () => {
  try {
    return createRequire(script)('node-api-headers').include_dir
  } catch {
    return fail('the package node-api-headers is missing: run npm install')
  }
}

const modified = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Runs the first compiler that exists; undefined when there is none. */
const compile = (args) => {
  const chosen = process.env.CC?.trim()
  for (const command of chosen ? [chosen] : ['cc', 'gcc', 'clang']) {
    const [program, ...own] = command.split(/\s+/)
    const result = spawnSync(program, [...own, ...args], { encoding: 'utf8' })
    if (!result.error) return result
    if (result.error.code !== 'ENOENT' && result.error.code !== 'EACCES') fail(`cannot run ${program}: ${result.error.message}`)
  }
  return fail(chosen ? `the C compiler CC=${chosen} was not found: correct CC, or unset it to use cc`
    : 'no C compiler found: apt-get install gcc libc6-dev (or set CC)')
}

if (process.platform !== 'linux') fail('TAP devices and network namespaces need Linux')

const folder = join(root, 'native')
const files = readdirSync(folder).filter((name) => /\.[ch]$/.test(name)).sort().map((name) => join(folder, name))
const newest = Math.max(...[script, folder, ...files].map(modified))

if (modified(output) <= newest) {
  const include = headers()
  mkdirSync(dirname(output), { recursive: true })
  // Renamed into place: a process that has the old one loaded keeps it, and two builds at once do no harm.
  const fresh = `${output}.${process.pid}`
  const result = compile([...flags, `-I${include}`, '-o', fresh, ...files.filter((name) => name.endsWith('.c'))])
  if (result.status === 0) {
    process.stderr.write(result.stderr)
    renameSync(fresh, output)
  } else {
    rmSync(fresh, { force: true })
    const header = /fatal error: '?([^:']+\.h)'?(:| file)/.exec(result.stderr)?.[1]
    if (header) fail(`the C header ${header} is missing: apt-get install libc6-dev linux-libc-dev`)
    process.stderr.write(result.stderr)
    fail('the native part does not compile: see the compiler\'s messages above')
  }
}
