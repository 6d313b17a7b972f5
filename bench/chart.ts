/**
 * `npm run chart`: the comparison of bench/results/latest.json as docs/performance.svg. Bars are shares of the kernel's figure, which is
 * the line at 1; a round trip counts by how many fit into a second, so that longer is better everywhere. What is text or a line takes the
 * colour of the page's text, light or dark.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BarChart } from 'echarts/charts'
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from 'echarts/components'
import * as echarts from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { ROOT } from './paired/tapway.js'
import type { Results } from './report.js'

const WIDTH = 860
/** Height of a row of bars, and of what is above and below them. */
const BAR = 17
const GAP = 16
const ABOVE = 106
const BELOW = 64

/** What the text is to look like; `currentColor` is set by the style of the document. */
const TEXT = 'currentColor'
/** Without quotes: they would end the attribute that the font is written to. */
const FONT = 'system-ui, -apple-system, Helvetica, Arial, sans-serif'
const STYLE = '<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>'

/** Colour-blind safe beside each other, and visible on white and on black: Tapway stands out. */
const SIDES: readonly { name: string; label: string; color: string }[] = [
  { name: 'tapway', label: 'Tapway', color: '#e8730c' },
  { name: 'ovs', label: 'Open vSwitch, userspace', color: '#3f88c5' },
  { name: 'ovs-packet', label: 'on packet sockets', color: '#8fbce0' },
  { name: 'vde', label: 'VDE', color: '#8c8f99' }
]

/** Rows from top to bottom: scenario, what, and what the row is called. */
const ROWS: readonly (readonly [scenario: string, what: string, label: string])[] = [
  ['bridge', 'TCP, 1 stream', 'Bridge: TCP, 1 stream'],
  ['bridge', 'TCP, 8 streams', 'Bridge: TCP, 8 streams'],
  ['bridge', 'UDP, 60-byte frames', 'Bridge: 64-byte UDP'],
  ['bridge', 'round trip, ping -f', 'Bridge: round trips/s'],
  ['router', 'TCP, 1 stream', 'Router: TCP, 1 stream'],
  ['router', 'UDP, 60-byte frames', 'Router: 64-byte UDP'],
  ['vxlan', 'TCP, 1 stream', 'VXLAN: TCP, 1 stream'],
  ['vxlan', 'UDP, 60-byte frames', 'VXLAN: 64-byte UDP']
]

interface Row {
  label: string
  /** Share of the kernel's figure by side; what was not measured is missing. */
  shares: Readonly<Record<string, number>>
}

const rowsOf = ({ paired }: Results): Row[] => ROWS.flatMap(([scenario, what, label]) => {
  const measured = paired.find((p) => p.scenario === scenario && p.what === what && !p.unit.includes(' per '))
  if (measured === undefined) return []
  const { kernelMedian, tapwayMedian, others = [], unit } = measured
  const share = (median: number): number => (unit === 'µs' ? kernelMedian / median : median / kernelMedian)
  return [{ label, shares: Object.fromEntries([['tapway', share(tapwayMedian)], ...others.map((o) => [o.name, share(o.median)])]) }]
})

/** The chart as SVG. Throws when there is nothing to draw. */
export const chartOf = (results: Results): string => {
  const rows = rowsOf(results)
  if (rows.length === 0) throw new Error('there are no results to draw')
  const sides = SIDES.filter(({ name }) => rows.some(({ shares }) => shares[name] !== undefined))
  const { cpu, cores, kernel, node, commit, date } = results.machine
  echarts.use([BarChart, GridComponent, LegendComponent, MarkLineComponent, SVGRenderer, TitleComponent])
  const height = ABOVE + BELOW + rows.length * (sides.length * BAR + GAP)
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  const line = { lineStyle: { color: TEXT, opacity: 0.15 } }
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: FONT, color: TEXT },
    title: [
      { text: "Throughput against the Linux kernel's own bridge and router", left: 12, top: 8, textStyle: { color: TEXT, fontSize: 17 } },
      {
        text: `${cpu}, ${cores} cores; Linux ${kernel}; Node ${node}; commit ${commit}; ${date.slice(0, 10)}. `
          + 'Same machine, same runs, by turns; medians.',
        left: 12, bottom: 8, textStyle: { color: TEXT, fontSize: 11, fontWeight: 'normal' }
      }
    ],
    legend: { top: 38, left: 8, itemWidth: 14, itemHeight: 10, itemGap: 28, textStyle: { color: TEXT, fontSize: 12 }, data: sides.map(({ label }) => label) },
    grid: { left: 176, right: 46, top: ABOVE, bottom: BELOW },
    xAxis: { type: 'value', min: 0, max: ({ max }: { max: number }) => Math.max(1, Math.ceil(max * 2) / 2), interval: 0.5, splitLine: line, axisLabel: { color: TEXT, formatter: (value: number) => `${value}×` } },
    yAxis: {
      type: 'category', inverse: true, data: rows.map(({ label }) => label), axisTick: { show: false },
      axisLine: { lineStyle: { color: TEXT, opacity: 0.4 } }, axisLabel: { color: TEXT, fontSize: 13 }
    },
    series: sides.map(({ name, label, color }, i) => ({
      type: 'bar', name: label, barWidth: BAR - 3, barGap: '18%', color, itemStyle: { borderRadius: [0, 3, 3, 0] },
      label: { show: true, position: 'right', color: TEXT, fontSize: 11, formatter: ({ value }: { value: unknown }) => `${Number(value).toFixed(2)}×` },
      data: rows.map(({ shares }) => shares[name] ?? null),
      ...(i > 0 ? {} : {
        markLine: {
          symbol: 'none', silent: true, data: [{ xAxis: 1 }], lineStyle: { color: TEXT, type: 'solid', width: 1.5, opacity: 0.8 },
          label: { formatter: 'kernel = 1', position: 'start', distance: 22, color: TEXT, fontSize: 12, fontWeight: 'bold' }
        }
      })
    }))
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return `${svg.replace(/(<svg [^>]*>)/, `$1${STYLE}`)}\n`
}

if (process.argv[1] === import.meta.filename) {
  const results = JSON.parse(readFileSync(process.argv[2] ?? join(ROOT, 'bench', 'results', 'latest.json'), 'utf8')) as Results
  writeFileSync(process.argv[3] ?? join(ROOT, 'docs', 'performance.svg'), chartOf(results))
}
