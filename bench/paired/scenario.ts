/**
 * A scenario: the kernel's network and Tapway's set up side by side, one of them loaded at a time, by turns (A B A B ...), so that
 * a machine that drifts drifts for both. Judged are ratios of medians.
 */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { paired, type Goal, type Paired } from '../result.js'
import { median, rounded } from '../statistics.js'
import { scope } from './command.js'
import { machineSeconds } from './cpu.js'
import { createKernelSide } from './kernel.js'
import { roundTrip, tcp, udp, type Figures } from './measures.js'
import type { Scenario, Side, Underlay } from './side.js'
import { createTapwaySide, DEFAULT_POLL, type Poll } from './tapway.js'
import { createVxlanSide, isVxlan } from './vxlan.js'

export const MEASURES = ['tcp1', 'tcp4', 'tcp8', 'udp', 'rtt'] as const
export type Measure = (typeof MEASURES)[number]

/** What is measured when nothing is asked for by name. */
const USUAL: Readonly<Record<Scenario, readonly Measure[]>> = {
  bridge: ['tcp1', 'tcp8', 'udp', 'rtt'], router: ['tcp1', 'tcp8', 'udp', 'rtt'],
  vxlan: ['tcp1', 'udp', 'rtt'], 'vxlan-send': ['tcp1', 'udp'], 'vxlan-receive': ['tcp1', 'udp']
}

export interface PairedOptions {
  runs: number
  seconds: number
  /** Undefined: the usual ones of each scenario. */
  measures: readonly Measure[] | undefined
  polls: readonly Poll[]
  underlay: Underlay
  say: (line: string) => void
}

/** A paired result with all that was seen in its runs. */
export interface Series extends Paired {
  /** Percent of the machine that others used right before the runs, median: above QUIET_PERCENT the result is void. */
  background: number
  details?: { kernel: Figures[]; tapway: Figures[] }
}

/** Above this share the machine was not ours. */
export const QUIET_PERCENT = 10
const BACKGROUND_MS = 100

/** How busy the machine is while nothing of ours is. */
const backgroundPercent = async (): Promise<number> => {
  const begin = performance.now()
  const before = machineSeconds()
  await sleep(BACKGROUND_MS)
  return ((machineSeconds() - before) / ((performance.now() - begin) / 1000) / cpus().length) * 100
}

const WHAT: Readonly<Record<Measure, string>> = {
  tcp1: 'TCP, 1 stream', tcp4: 'TCP, 4 streams', tcp8: 'TCP, 8 streams', udp: 'UDP, 60-byte frames', rtt: 'round trip, ping -f'
}
const PINGS = 20_000

const once = (measure: Measure, side: Side, seconds: number): Promise<Figures> => {
  switch (measure) {
    case 'tcp1': return tcp(side, 1, seconds)
    case 'tcp4': return tcp(side, 4, seconds)
    case 'tcp8': return tcp(side, 8, seconds)
    case 'udp': return udp(side, seconds)
    case 'rtt': return roundTrip(side, PINGS, seconds)
  }
}

/** What is asked of a ratio, tapway by kernel. */
const goalOf = (scenario: Scenario, measure: Measure, poll: Poll): Goal | undefined => {
  if (measure === 'tcp1') return { bound: 'at least', value: TCP_GOALS[scenario] }
  if (scenario !== 'bridge' && scenario !== 'vxlan') return undefined
  if (measure === 'udp') return { bound: 'at least', value: scenario === 'bridge' ? 1.3 : 1.1 }
  if (measure === 'rtt') return { bound: 'at most', value: poll !== 'sleep' ? 2 : scenario === 'bridge' ? 5 : 4 }
  return undefined
}
const TCP_GOALS: Readonly<Record<Scenario, number>> = { bridge: 0.75, router: 0.75, vxlan: 0.7, 'vxlan-send': 0.4, 'vxlan-receive': 0.8 }

/** How a scenario is called in the results. */
const labelOf = (scenario: Scenario, underlay: Underlay): string => (underlay === 'veth' ? scenario : `${scenario}, ${underlay}`)

const headline = (figures: Figures): [string, number] => Object.entries(figures)[0]!

const series = async (
  scenario: Scenario, measure: Measure, poll: Poll, sides: readonly Side[], o: PairedOptions
): Promise<Series[]> => {
  const label = labelOf(scenario, o.underlay)
  const seen: Record<Side['name'], Figures[]> = { kernel: [], tapway: [] }
  const background: number[] = []
  for (let i = 1; i <= o.runs; i++) {
    for (const side of sides) {
      const others = await backgroundPercent()
      background.push(others)
      side.resume()
      const figures = await once(measure, side, o.seconds)
      side.pause()
      seen[side.name].push(figures)
      const text = Object.entries(figures).map(([name, value]) => `${rounded(value)} ${name}`).join(', ')
      const noise = others > QUIET_PERCENT ? ` (others used ${Math.round(others)} % of the machine)` : ''
      o.say(`${label} ${measure} ${poll} ${i}/${o.runs} ${side.name}: ${text}${noise}`)
    }
  }
  const values = (name: string): [number[], number[]] => [seen.kernel.map((f) => f[name]!), seen.tapway.map((f) => f[name]!)]
  const [unit] = headline(seen.kernel[0]!)
  const byCpu = Object.keys(seen.kernel[0]!).filter((name) => name.endsWith('per CPU second'))
  const of = (name: string, goal?: Goal): Series => ({
    ...paired(label, WHAT[measure], poll, name, ...values(name), goal), background: rounded(median(background))
  })
  const goal = o.underlay === 'veth' ? goalOf(scenario, measure, poll) : undefined
  return [{ ...of(unit, goal), details: seen }, ...byCpu.map((name) => of(name))]
}

/** Before anything counts: neighbours are known, and V8 has optimised the path. */
const warmUp = async (sides: readonly Side[], measures: readonly Measure[]): Promise<void> => {
  for (const side of sides) {
    side.resume()
    await roundTrip(side, 500, 1)
    for (const measure of measures) if (measure !== 'rtt') await once(measure, side, 1)
    side.pause()
  }
}

/** Runs a scenario in every asked way of waiting: all measures in the default one, round trips in the others. */
export const runScenario = async (scenario: Scenario, o: PairedOptions): Promise<Series[]> => {
  const results: Series[] = []
  const leave = scope()
  try {
    const tunnel = isVxlan(scenario)
    const kernel = await (tunnel ? createVxlanSide('kernel', scenario, DEFAULT_POLL, o.underlay) : createKernelSide(scenario))
    for (const poll of o.polls) {
      const measures = (o.measures ?? USUAL[scenario]).filter((m) => poll === DEFAULT_POLL || m === 'rtt' || o.polls.length === 1)
      if (measures.length === 0) continue
      const leaveTapway = scope()
      try {
        const tapway = await (tunnel ? createVxlanSide('tapway', scenario, poll, o.underlay) : createTapwaySide(scenario, poll))
        // A polling instance would take a core from the kernel's runs
        const sides = [kernel, poll === 'busy' ? tapway : { ...tapway, pause: () => undefined }]
        await warmUp(sides, measures)
        for (const measure of measures) results.push(...await series(scenario, measure, poll, sides, o))
      } finally {
        await leaveTapway()
      }
    }
  } finally {
    await leave()
  }
  return results
}
