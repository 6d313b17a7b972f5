/** Runs the micro-benchmarks, each file (and each variant of the pipeline) in a process of its own. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { single, type Goal, type Single } from '../result.js'
import { report } from './measure.js'

/** File and arguments. */
const BENCHES: readonly (readonly string[])[] = [
  ['codecs'], ['tables'], ['routes'], ['routes', 'updates'], ['pipeline', 'replay'],
  ['workers', 'bridge', '256'], ['workers', 'router', '256'], ['workers', 'learning', '256']
]

/** Arguments of the pipeline, each in so many processes by turns: what V8 makes of the same code differs by a tenth from one to the next. */
const PIPELINE_PROCESSES = 5
const PIPELINE: readonly (readonly string[])[] = [
  ['bridge', '1'], ['bridge', '256'], ['router', '1'], ['router', '256'], ['bridge', '1', 'joined'], ['router', '1', 'joined'],
  ['vxlan', '1', 'joined'], ['vxlan', '256', 'joined'], ['vxlan', '1']
]

/** What something costs: the same flows with it and without, by turns, as a machine drifts. */
interface Comparison {
  group: 'scale' | 'policy'
  /** What the ratio is called. */
  what: string
  /** Arguments of the pipeline: without, and with. */
  without: readonly string[]
  having: readonly string[]
  goal?: Goal
}
const COMPARISON_RUNS = 5
const COMPARISONS: readonly Comparison[] = [
  {
    group: 'scale', what: 'bridge, 256 flows: throughput among 1000000 entries against 1000',
    without: ['bridge-among', '256', '1000'], having: ['bridge-among', '256', '1000000'], goal: { bound: 'at least', value: 0.95, aim: 0.98 }
  },
  {
    group: 'scale', what: 'router, 256 flows: throughput among 100000 entries against 1000',
    without: ['router-among', '256', '1000'], having: ['router-among', '256', '100000']
  },
  ...['1', '256'].map((flows): Comparison => ({
    group: 'policy', what: `router, ${flows} flow${flows === '1' ? '' : 's'}: throughput with policies against none`,
    without: ['router-with', flows, '0'], having: ['router-with', flows, '1']
  }))
]

export const MICRO_GROUPS = ['codecs', 'tables', 'routes', 'pipeline', 'scale', 'policy', 'workers'] as const

/** What a file has reported; throws when it fails. */
const runFile = async (file: string, args: readonly string[]): Promise<Single[]> => {
  const results: Single[] = []
  const child = fork(fileURLToPath(new URL(`../../bundle/${file}.bench.js`, import.meta.url)), args, { execArgv: ['--expose-gc'] })
  child.on('message', (result) => results.push(result as Single))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`bench/micro/${file}.bench.ts ${args.join(' ')}: exit ${code}`)
  return results
}

/** Rows as several processes tell them: the runs are their medians. */
const createRows = () => {
  const rows = new Map<string, Single>()
  return {
    add: ({ group, what, unit, median, goal }: Single): void => {
      rows.set(what, single(group, what, unit, [...rows.get(what)?.runs ?? [], median], goal))
    },
    all: (): Single[] => [...rows.values()]
  }
}

const runPipeline = async (): Promise<Single[]> => {
  const rows = createRows()
  for (let i = 0; i < PIPELINE_PROCESSES; i++) {
    for (const args of PIPELINE) for (const row of await runFile('pipeline', args)) rows.add(row)
  }
  process.stdout.write(`medians of ${PIPELINE_PROCESSES} processes:\n`)
  for (const row of rows.all()) report(row)
  return rows.all()
}

/** Every row of both sides with the figures of all its processes, then the ratio of their throughput (Mpps). */
const compare = async ({ group, what, without, having, goal }: Comparison): Promise<Single[]> => {
  const rows = createRows()
  const ratios: number[] = []
  for (let i = 0; i < COMPARISON_RUNS; i++) {
    const speed: number[] = []
    for (const args of [without, having]) {
      for (const row of await runFile('pipeline', args)) {
        if (row.unit === 'Mpps') speed.push(row.median)
        rows.add(row)
      }
    }
    ratios.push(speed[1]! / speed[0]!)
  }
  const ratio = single(group, what, 'ratio', ratios, goal)
  report(ratio)
  return [...rows.all(), ratio]
}

/** Runs the named groups; they print as they go. Throws when one of them fails. */
export const runMicro = async (groups: readonly string[] = MICRO_GROUPS): Promise<Single[]> => {
  const results: Single[] = []
  for (const [file, ...args] of BENCHES) if (groups.includes(file!)) results.push(...await runFile(file!, args))
  if (groups.includes('pipeline')) results.push(...await runPipeline())
  for (const comparison of COMPARISONS) if (groups.includes(comparison.group)) results.push(...await compare(comparison))
  return results
}
