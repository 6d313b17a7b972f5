/** Results as text: tables and sentences for the terminal and for docs/performance.md. */
import type { Machine } from './machine.js'
import { goalText, type Single } from './result.js'
import { QUIET_PERCENT, type Series } from './paired/scenario.js'

export interface Results {
  machine: Machine
  options: { runs: number; seconds: number }
  paired: Series[]
  singles: Single[]
}

type Rows = readonly (readonly string[])[]
type Draw = (head: readonly string[], rows: Rows) => string

const spread = (values: readonly number[]): string => (values.length < 2 ? '' : ` (${Math.min(...values)} to ${Math.max(...values)})`)

/** The heads of the columns of two sides. */
const PAIRED_HEAD = ['scenario', 'what', 'tapway polls', 'unit', 'kernel', 'tapway', 'ratio', 'goal']
const POLICY_HEAD = ['scenario', 'what', 'tapway polls', 'unit', 'without policies', 'with policies', 'ratio', 'goal']
const isBesideKernel = (r: Series): boolean => r.base === undefined
const isBesidePlain = (r: Series): boolean => r.base === 'plain'
/** How a side is called in tables that hold rows of both kinds. */
const sideText = (r: Series, side: string): string => (r.base === undefined ? side : side === 'tapway' ? 'tapway, policies' : 'tapway, none')
const pairedRows = (rows: readonly Series[]): string[][] => rows.map((r) => [
  r.scenario, r.what, r.poll, r.unit, `${r.kernelMedian}${spread(r.kernel)}`, `${r.tapwayMedian}${spread(r.tapway)}`, r.ratio.toFixed(2),
  goalText(r.ratio, r.goal)
])

const OTHERS_HEAD = ['scenario', 'what', 'tapway polls', 'unit', 'switch', 'its figure', 'tapway', 'tapway by it']
const othersRows = (rows: readonly Series[]): string[][] => rows.flatMap((r) => (r.others ?? []).map((o) => [
  r.scenario, r.what, r.poll, r.unit, `${o.name} ${o.version}`, `${o.median}${spread(o.runs)}`, String(r.tapwayMedian), o.ratio.toFixed(2)
]))

const SINGLE_HEAD = ['group', 'what', 'median', 'unit', 'goal']
const singleRows = (rows: readonly Single[]): string[][] =>
  rows.map((r) => [r.group, r.what, String(r.median), r.unit, goalText(r.median, r.goal)])

const RUNS_HEAD = ['what', 'unit', 'side', 'every run']
const runsRows = ({ paired, singles }: Results): string[][] => [
  ...paired.flatMap((r) => {
    const what = `${r.scenario}, ${r.what}, ${r.poll}`
    const sides = [[sideText(r, 'kernel'), r.kernel] as const, [sideText(r, 'tapway'), r.tapway] as const, ...(r.others ?? []).map((o) => [o.name, o.runs] as const)]
    return [
      ...sides.map(([side, runs]) => [what, r.unit, side, runs.join(' ')]),
      ...(r.lines === undefined ? [] : [[what, 'ns', 'a cache line there and back', r.lines.join(' ')]])
    ]
  }),
  ...singles.filter((r) => r.runs.length > 1 && r.runs.length < 20).map((r) => [`${r.group}, ${r.what}`, r.unit, 'tapway', r.runs.join(' ')])
]

const CPU_HEAD = ['scenario', 'what', 'side', 'whole machine', 'of these']
const cpuRows = (rows: readonly Series[]): string[][] => rows.flatMap((r) => Object.entries(r.cpu ?? {}).map(([side, seconds]) => {
  const [[, machine], ...parts] = Object.entries(seconds) as [[string, number], ...[string, number][]]
  return [r.scenario, `${r.what}, ${r.poll}`, sideText(r, side), machine.toFixed(2), parts.map(([name, s]) => `${name} ${s.toFixed(2)}`).join(', ')]
}))

/** Whether more of a unit is better. */
const moreIsBetter = (unit: string): boolean => unit !== 'µs'

/** Where Tapway is slower than the kernel, one sentence each. */
const slowerThanKernel = (rows: readonly Series[]): string[] => rows.flatMap((r) => {
  if (moreIsBetter(r.unit) ? r.ratio >= 1 : r.ratio <= 1) return []
  const where = `${r.scenario}, ${r.what}${moreIsBetter(r.unit) ? '' : ` (${r.poll})`}`
  return [moreIsBetter(r.unit)
    ? `${where}: ${Math.round(r.ratio * 100)} % of the kernel's ${r.unit} (${r.tapwayMedian} against ${r.kernelMedian}).`
    : `${where}: ${r.ratio.toFixed(1)} times the kernel's (${r.tapwayMedian} against ${r.kernelMedian} ${r.unit}).`]
})

const OTHERS_FLOOR = 1
const OTHERS_AIM = 1.3

/** Tapway beside the better of the other switches, one sentence for each measure. */
const besideOthers = (rows: readonly Series[]): string[] => rows.flatMap((r) => {
  const others = (r.others ?? []).filter((o) => o.name !== 'without')
  if (others.length === 0 || r.unit.includes(' per ')) return []
  const best = others.reduce((a, b) => ((moreIsBetter(r.unit) ? b.median > a.median : b.median < a.median) ? b : a))
  const goal = moreIsBetter(r.unit) ? ` (${goalText(best.ratio, { bound: 'at least', value: OTHERS_FLOOR, aim: OTHERS_AIM })})` : ''
  return [`${r.scenario}, ${r.what}: Tapway has ${best.ratio.toFixed(2)} times the ${r.unit} of the better of the others, ${best.name}${goal}.`]
})

const machineText = (m: Machine, o: Results['options']): string =>
  `${m.cpu}, ${m.cores} cores, ${m.memory_gib} GiB; Linux ${m.kernel}; Node ${m.node} (V8 ${m.v8}); ` +
  `TCP ${m.tcp}; a system call takes ${m.call_ns} ns; ` +
  `commit ${m.commit}; ${m.date.slice(0, 10)}; medians of ${o.runs} runs of ${o.seconds} s, of one stream and of round trips thrice as many`

const columns: Draw = (head, rows) => {
  const all = [head, ...rows]
  const widths = head.map((_, c) => Math.max(...all.map((r) => r[c]!.length)))
  return all.map((r) => r.map((cell, c) => cell.padEnd(widths[c]!)).join('  ').trimEnd()).join('\n')
}

const markdown: Draw = (head, rows) => [head, head.map(() => '---'), ...rows].map((r) => `| ${r.join(' | ')} |`).join('\n')

/** Whether the machine was ours alone, but for single runs. */
export const isQuiet = ({ paired }: Results): boolean => paired.every((r) => r.background <= QUIET_PERCENT)

const warning = (results: Results): string[] => {
  if (isQuiet(results)) return []
  const worst = Math.max(...results.paired.map((r) => r.background))
  return [`Other programs used up to ${Math.round(worst)} % of the machine between runs: these results are not to be relied on.`]
}

const list = (title: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : [`${title}\n\n${lines.map((l) => `- ${l}`).join('\n')}`])

const tables = (results: Results, draw: Draw): string => {
  const { paired, singles } = results
  const table = (title: string, head: readonly string[], rows: Rows): string[] =>
    (rows.length === 0 ? [] : [...(title === '' ? [] : [title]), draw(head, rows)])
  return [
    machineText(results.machine, results.options), ...warning(results),
    ...table('', PAIRED_HEAD, pairedRows(paired.filter(isBesideKernel))),
    ...list('Where Tapway is slower than the kernel:', slowerThanKernel(paired.filter(isBesideKernel))),
    ...table('Tapway without apps and policies beside Tapway with them, the same path (the kernel takes no part):', POLICY_HEAD, pairedRows(paired.filter(isBesidePlain))),
    ...table('Beside other switches in user space, or Tapway without something, in the same runs:', OTHERS_HEAD, othersRows(paired)),
    ...list('Against the better of them:', besideOthers(paired)),
    ...table('', SINGLE_HEAD, singleRows(singles)),
    ...table('Processor seconds of a run, median. What is missing from the sum is the kernel beside these processes, or others:', CPU_HEAD, cpuRows(paired)),
    ...table('Every run:', RUNS_HEAD, runsRows(results))
  ].join('\n\n')
}

export const terminalText = (results: Results): string => `${tables(results, columns)}\n`

const BEGIN = '<!-- results: written by npm run bench -->'
const END = '<!-- end of results -->'

/** Puts the tables between the two marks of a document; throws when they are not there. */
export const withResults = (document: string, results: Results): string => {
  const from = document.indexOf(BEGIN)
  const to = document.indexOf(END)
  if (from < 0 || to < from) throw new Error('the document has no place for results')
  return `${document.slice(0, from)}${BEGIN}\n\n${tables(results, markdown)}\n\n${document.slice(to)}`
}
