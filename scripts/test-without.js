/**
 * Runs the tests that compare (with the kernel, with definitions, with themselves) with each optimisation left out, then with all of them, and
 * prints a table. Exits with 1 when a test failed.
 *
 *     npm run test:without -- [--only WORD,WORD...] [--suite SUITE,SUITE...] [--jobs N] [--record FILE]
 *
 * WORD: an optimisation, `all` or `none`. SUITE: kernel, engine, vxlan, system. An optimisation is left out in the suites that its code runs in.
 * N runs go on at a time (1), each in namespaces of its own; more of them than processors, and tests that wait for timers may differ.
 * FILE gets a line of JSON for each run when it ends; a run that stands there as passed, of this commit, is not repeated. So what takes hours can be
 * done in parts.
 */
import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { OPTIMISATION_NAMES } from '../dist/src/optimisations.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** By name: patterns of compiled tests. */
const SUITES = {
  // Bridge and router in memory, beside the kernel's
  kernel: ['dist/test/kernel/**/*.test.js'],
  // Whole networks in memory, beside definitions, and beside themselves
  engine: ['dist/test/engine/**/*.test.js', 'dist/test/element/policy*.test.js', 'dist/test/network/routed-overlay.test.js'],
  // Running instances, beside the kernel's vxlan
  vxlan: ['dist/test/vxlan/**/*.test.js'],
  // Running instances, with traffic of the kernel's own and beside its packet filter
  system: ['traffic', 'uplink', 'underlay', 'device-port', 'policy', 'policy-kernel', 'flood'].map((name) => `dist/test/system/${name}.test.js`)
}

/** Where an optimisation is in force: that of the kernel suite has no offloads and no tunnels, and none of the first two does I/O. */
const OF_DEVICES = [
  'offload', 'udp-segment', 'udp-gro', 'uplink', 'receive-batch', 'bursts', 'polling', 'yield', 'batch-thread', 'affinity', 'inlining',
  'near-ports', 'noqueue', 'bundle', 'spread', 'ring'
]
const OF_TUNNELS = ['coalesce-tcp', 'coalesce-udp', 'coalesce-tunnel', 'peer-cache', 'tunnel-way', 'slices', 'pieces', 'tunnel-gather', 'native-sums', 'policy-cache']
const suitesOf = (word) => (OF_DEVICES.includes(word) ? ['vxlan', 'system'] : OF_TUNNELS.includes(word) ? ['engine', 'vxlan', 'system'] : Object.keys(SUITES))

/** A command-line option's words, each one of `choices`. */
const choose = (option, text, choices) => {
  const words = text?.split(',') ?? choices
  for (const word of words) {
    if (choices.includes(word)) continue
    console.error(`tapway: "${word}" is wrong for --${option}: choose of ${choices.join(', ')}`)
    process.exit(2)
  }
  return words
}

/** Runs one suite: passed, failed and skipped tests, and all that was printed when some failed. */
const run = (word, suite) => new Promise((resolve, reject) => {
  const env = { ...process.env, TAPWAY_TEST_WITHOUT: word === 'none' ? '' : word }
  const child = spawn('scripts/isolated.sh', ['npx', 'ava', '--tap', ...SUITES[suite]], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text) => { out += text })
  child.stderr.setEncoding('utf8').on('data', (text) => { err += text })
  child.on('error', reject)
  child.on('close', (status) => {
    const results = out.split('\n').filter((line) => /^(not )?ok /.test(line))
    const failed = results.filter((line) => line.startsWith('not ok') && !/# (SKIP|TODO)/.test(line)).map((line) => line.replace(/^not ok \d+ - /, ''))
    const skipped = results.filter((line) => line.includes('# SKIP')).length
    // A run that ended early, or left something behind, has failed though no test has
    if (status !== 0 && failed.length === 0) failed.push(`exit ${status}: ${err.trim().split('\n').at(-1) ?? ''}`)
    const passed = results.filter((line) => line.startsWith('ok') && !line.includes('# SKIP')).length
    resolve({ passed, failed, skipped, text: failed.length === 0 ? '' : `${out}\n${err}` })
  })
})

/** What is tested: a commit, marked where files are other than its own. */
const commit = () => execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=10', '--match='], { cwd: ROOT, encoding: 'utf8' }).trim()

const { values } = parseArgs({
  options: { only: { type: 'string' }, suite: { type: 'string' }, jobs: { type: 'string', default: '1' }, record: { type: 'string' } }
})
const words = choose('only', values.only, ['none', ...OPTIMISATION_NAMES, 'all']).filter((word) => values.only !== undefined || word !== 'none')
const suites = choose('suite', values.suite, Object.keys(SUITES))

const jobs = Number(values.jobs)
if (!Number.isInteger(jobs) || jobs < 1 || jobs > 64) {
  console.error('tapway: --jobs is a whole number from 1 to 64')
  process.exit(2)
}

/** Runs that have passed before, by word and suite. */
const before = new Map()
const at = values.record === undefined ? '' : commit()
if (values.record !== undefined && existsSync(values.record)) {
  for (const line of readFileSync(values.record, 'utf8').split('\n').filter((text) => text !== '')) {
    const run = JSON.parse(line)
    if (run.commit === at && run.failed.length === 0 && !at.endsWith('-dirty')) before.set(`${run.word} ${run.suite}`, run)
  }
}

const runs = words.flatMap((word) => suites.filter((name) => suitesOf(word).includes(name)).map((suite) => ({ word, suite })))
const rows = []
let failures = 0
const waiting = runs.entries()
await Promise.all(Array.from({ length: jobs }, async () => {
  for (const [i, { word, suite }] of waiting) {
    const known = before.get(`${word} ${suite}`)
    const { passed, failed, skipped, text } = known ?? await run(word, suite)
    if (known === undefined && values.record !== undefined) {
      appendFileSync(values.record, `${JSON.stringify({ commit: at, word, suite, passed, failed, skipped })}\n`)
    }
    failures += failed.length
    rows[i] = [word, suite, String(passed), String(failed.length), String(skipped)]
    console.error(`without ${word}: ${suite}: ${passed} passed, ${failed.length} failed, ${skipped} skipped${known === undefined ? '' : ' (before)'}`)
    if (failed.length > 0) console.error(`${text}\n${failed.map((name) => `FAILED without ${word}: ${name}`).join('\n')}`)
  }
}))

const table = [['without', 'suite', 'passed', 'failed', 'skipped'], ['---', '---', '---', '---', '---'], ...rows]
for (const row of table) console.log(`| ${row.join(' | ')} |`)
process.exitCode = failures === 0 ? 0 : 1
