/** Results as text: a table for the terminal, one for docs/performance.md. */
import type { Machine } from './machine.js'
import type { Goal, Single } from './result.js'
import { QUIET_PERCENT, type Series } from './paired/scenario.js'

export interface Results {
  machine: Machine
  options: { runs: number; seconds: number }
  paired: Series[]
  singles: Single[]
}

const goalText = (goal: Goal | undefined, met: boolean | undefined): string =>
  goal === undefined ? '' : `${goal.bound} ${goal.value}: ${met === true ? 'met' : 'NOT met'}`

const spread = (values: readonly number[]): string => (values.length < 2 ? '' : ` (${Math.min(...values)} to ${Math.max(...values)})`)

const PAIRED_HEAD = ['scenario', 'what', 'tapway polls', 'unit', 'kernel', 'tapway', 'ratio', 'goal']
const pairedRows = (rows: readonly Series[]): string[][] => rows.map((r) => [
  r.scenario, r.what, r.poll, r.unit, `${r.kernelMedian}${spread(r.kernel)}`, `${r.tapwayMedian}${spread(r.tapway)}`, r.ratio.toFixed(2),
  goalText(r.goal, r.met)
])
const SINGLE_HEAD = ['group', 'what', 'median', 'unit', 'goal']
const singleRows = (rows: readonly Single[]): string[][] =>
  rows.map((r) => [r.group, r.what, String(r.median), r.unit, goalText(r.goal, r.met)])

const machineText = (m: Machine, o: Results['options']): string =>
  `${m.cpu}, ${m.cores} cores, ${m.memory_gib} GiB; Linux ${m.kernel}; Node ${m.node} (V8 ${m.v8}); ` +
  `commit ${m.commit}; ${m.date.slice(0, 10)}; medians of ${o.runs} runs of ${o.seconds} s`

const columns = (head: readonly string[], rows: readonly string[][]): string => {
  const all = [head, ...rows]
  const widths = head.map((_, c) => Math.max(...all.map((r) => r[c]!.length)))
  return all.map((r) => r.map((cell, c) => cell.padEnd(widths[c]!)).join('  ').trimEnd()).join('\n')
}

const markdown = (head: readonly string[], rows: readonly string[][]): string =>
  [head, head.map(() => '---'), ...rows].map((r) => `| ${r.join(' | ')} |`).join('\n')

/** Whether the machine was ours alone, but for single runs. */
export const isQuiet = ({ paired }: Results): boolean => paired.every((r) => r.background <= QUIET_PERCENT)

const warning = (results: Results): string[] => {
  if (isQuiet(results)) return []
  const worst = Math.max(...results.paired.map((r) => r.background))
  return [`Other programs used up to ${Math.round(worst)} % of the machine between runs: these results are not to be relied on.`]
}

const tables = (results: Results, draw: (head: readonly string[], rows: readonly string[][]) => string): string => [
  machineText(results.machine, results.options), ...warning(results),
  ...(results.paired.length === 0 ? [] : [draw(PAIRED_HEAD, pairedRows(results.paired))]),
  ...(results.singles.length === 0 ? [] : [draw(SINGLE_HEAD, singleRows(results.singles))])
].join('\n\n')

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
