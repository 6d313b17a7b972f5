/**
 * `npm run bench`: Tapway and the kernel side by side, the micro-benchmarks, the footprint. To be started by scripts/bench.sh,
 * which gives it a mount namespace with a /run/netns and a /run/tapway of its own.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuseUnlessIsolated } from '../test/helpers/netns.js'
import { chartOf } from './chart.js'
import { compile } from './compile.js'
import { describeMachine } from './machine.js'
import { runMicro } from './micro/run.js'
import { readOptions, USAGE, type BenchOptions } from './options.js'
import { cleanUp, killRunning } from './paired/command.js'
import { runFootprint } from './paired/footprint.js'
import { PACKAGES, versionOf } from './paired/others.js'
import { runPorts } from './paired/ports.js'
import { runScenario } from './paired/scenario.js'
import { ROOT } from './paired/tapway.js'
import { isQuiet, terminalText, withResults, type Results } from './report.js'

const RESULTS = join(ROOT, 'bench', 'results')
const CHART = join(ROOT, 'docs', 'performance.svg')
const DOCUMENT = join(ROOT, 'docs', 'performance.md')

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** What sends and receives. */
const compilePrograms = (): void => {
  for (const name of ['udpflood', 'udpsink', 'pingflood', 'broadcast']) compile(ROOT, `${name}.c`, name)
  compile(ROOT, 'line.c', 'line', '-pthread')
}

/** Names of namespaces and instances are machine-wide: never beside somebody else's. */
const isolated = (): void => {
  try {
    refuseUnlessIsolated()
  } catch {
    throw new Error('this needs a /run/netns and a /run/tapway of its own: start it by npm run bench')
  }
}

/** Whether what is to be measured besides is there: scripts/bench.sh installs it. */
const checkOthers = async (o: BenchOptions): Promise<void> => {
  for (const name of o.others) {
    if (await versionOf(name) === undefined) throw new Error(`${name} is not installed: install the package ${PACKAGES[name]}`)
  }
}

const loads = (o: BenchOptions): boolean => o.measures === undefined || o.measures.length > 0

const measure = async (o: BenchOptions, results: Results): Promise<void> => {
  if (loads(o) || o.ports) compilePrograms()
  if (o.micro.length > 0) results.singles.push(...await runMicro(o.micro))
  if (loads(o)) {
    for (const scenario of o.scenarios) results.paired.push(...await runScenario(scenario, { ...o, say }))
  }
  if (o.ports) results.singles.push(...await runPorts(o.runs, o.seconds, say))
  if (o.footprint) results.singles.push(...await runFootprint(o.runs, say))
}

const write = (o: BenchOptions, results: Results): void => {
  const text = `${JSON.stringify(results, undefined, 1)}\n`
  writeFileSync(o.out ?? join(RESULTS, `${results.machine.date.replaceAll(':', '-')}.json`), text)
  if (!o.complete) return
  if (!isQuiet(results)) {
    say('bench/results/latest.json, docs/performance.md and docs/performance.svg stay as they are: the machine was not ours alone')
    return
  }
  const summary = { ...results, paired: results.paired.map(({ details: _, ...rest }) => rest) }
  writeFileSync(join(RESULTS, 'latest.json'), `${JSON.stringify(summary, undefined, 1)}\n`)
  writeFileSync(CHART, chartOf(results))
  writeFileSync(DOCUMENT, withResults(readFileSync(DOCUMENT, 'utf8'), results))
}

let stopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopped = true
    killRunning()
    void cleanUp().then(() => process.exit(130))
  })
}

const main = async (): Promise<void> => {
  let o: BenchOptions | undefined
  try {
    o = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n`)
    process.exitCode = 2
    return
  }
  if (o === undefined) {
    process.stdout.write(USAGE)
    return
  }
  if (o.footprint || o.ports || loads(o)) isolated()
  await checkOthers(o)
  const results: Results = { machine: describeMachine(ROOT), options: { runs: o.runs, seconds: o.seconds }, paired: [], singles: [] }
  await measure(o, results)
  write(o, results)
  process.stdout.write(`\n${terminalText(results)}`)
}

try {
  await main()
} catch (error) {
  if (!stopped) {
    process.stderr.write(`bench: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
} finally {
  if (!stopped) await cleanUp()
}
