/**
 * A scenario: the kernel's network and Tapway's (or Tapway's without apps and with them) set up side by side, one of them loaded at a time, by turns (A B A B ...), so that
 * a machine that drifts drifts for both. Judged are ratios of medians.
 */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Optimisation } from '../../src/optimisations.js'
import { other, paired, type Goal, type Other, type Paired } from '../result.js'
import { median, rounded } from '../statistics.js'
import { scope } from './command.js'
import { machineSeconds } from './cpu.js'
import { createKernelSide } from './kernel.js'
import { cacheLine, CPU_SECONDS, LINE_NS, OF_THESE, roundTrip, tcp, udp, type Figures } from './measures.js'
import { createOtherSide } from './others.js'
import { createPolicySide, isPolicy } from './policy.js'
import type { OtherSide, Scenario, Side } from './side.js'
import { createTapwaySide, DEFAULT_POLL, type Poll } from './tapway.js'
import { createVxlanSide, isVxlan } from './vxlan.js'

export const MEASURES = ['tcp1', 'tcp4', 'tcp8', 'udp', 'rtt'] as const
export type Measure = (typeof MEASURES)[number]

/** What is measured when nothing is asked for by name. */
const USUAL: Readonly<Record<Scenario, readonly Measure[]>> = {
  bridge: ['tcp1', 'tcp8', 'udp', 'rtt'], router: ['tcp1', 'tcp8', 'udp', 'rtt'],
  vxlan: ['tcp1', 'tcp4', 'udp', 'rtt'], 'vxlan-send': ['tcp1', 'udp'], 'vxlan-receive': ['tcp1', 'udp'],
  'vxlan-socket': ['tcp1'], 'vxlan-send-socket': ['tcp1'], 'vxlan-nic': ['tcp1'], 'vxlan-nic-socket': ['tcp1'],
  policy: ['tcp1', 'udp', 'rtt'], 'policy-vxlan': ['tcp1', 'udp', 'rtt']
}

export interface PairedOptions {
  runs: number
  seconds: number
  /** Undefined: the usual ones of each scenario. */
  measures: readonly Measure[] | undefined
  polls: readonly Poll[]
  /** Other switches, measured on the bridge and in the default way of waiting. */
  others: readonly OtherSide[]
  /** Left out of a second instance, on the bridge and through the router. */
  without: readonly Optimisation[]
  say: (line: string) => void
}

/** A paired result with all that was seen in its runs. */
export interface Series extends Paired {
  /** Percent of the machine that others used right before the runs, median: above QUIET_PERCENT the result is void. */
  background: number
  details?: Seen
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
/** So many runs for one of the others: a flood is over in parts of a second, within which a machine may be slow; runs of one stream differ most. */
const OFTEN = 3
const OFTENER: readonly Measure[] = ['rtt', 'tcp1']

const once = (measure: Measure, side: Side, seconds: number): Promise<Figures> => {
  switch (measure) {
    case 'tcp1': return tcp(side, 1, seconds)
    case 'tcp4': return tcp(side, 4, seconds)
    case 'tcp8': return tcp(side, 8, seconds)
    case 'udp': return udp(side, seconds)
    case 'rtt': return roundTrip(side, PINGS, seconds)
  }
}

type Limits = readonly [floor: number, aim?: number]
type Goals = Readonly<Partial<Record<Measure, Limits>>>

/** What is asked of a ratio, tapway by the other side: of the headline, and of the same per CPU second of the whole machine. */
const GOALS: Readonly<Partial<Record<Scenario, Goals>>> = {
  bridge: { tcp1: [0.9, 1.25], tcp8: [0.36, 0.6], udp: [1.5, 2.3], rtt: [1.5, 1.2] },
  router: { tcp1: [0.9, 1.25], udp: [1.5, 2.3] },
  vxlan: { tcp1: [0.85, 1.1], tcp4: [0.4, 0.7], udp: [1.3, 1.9] },
  'vxlan-send': { tcp1: [0.9, 1.1] },
  'vxlan-receive': { tcp1: [0.9, 1.1] },
  'vxlan-nic': { tcp1: [1, 1.2] },
  policy: { tcp1: [0.95], udp: [0.85] },
  'policy-vxlan': { tcp1: [0.95], udp: [0.85] }
}
const SLEEPING_GOAL = [5, 3] as const
const CPU_GOALS: Readonly<Partial<Record<Scenario, Goals>>> = {
  bridge: { tcp8: [0.36, 0.6], udp: [0.7, 1.1] }, router: { udp: [0.7, 1.1] }
}

const goal = (bound: Goal['bound'], limits: Limits | undefined): Goal | undefined =>
  (limits === undefined ? undefined : { bound, value: limits[0], ...(limits[1] === undefined ? {} : { aim: limits[1] }) })

const goalOf = (scenario: Scenario, measure: Measure, poll: Poll): Goal | undefined => {
  const goals = GOALS[scenario] ?? {}
  return goal(measure === 'rtt' ? 'at most' : 'at least', measure === 'rtt' && poll === 'sleep' && goals.rtt !== undefined ? SLEEPING_GOAL : goals[measure])
}

const cpuGoalOf = (scenario: Scenario, measure: Measure): Goal | undefined => goal('at least', CPU_GOALS[scenario]?.[measure])

const headline = (figures: Figures): [string, number] => Object.entries(figures)[0]!

type Seen = Partial<Record<Side['name'], Figures[]>>

/** Processor seconds of each side, and what they went to: medians of its runs. */
const cpuOf = (seen: Seen): Record<string, Record<string, number>> => Object.fromEntries(Object.entries(seen).map(([side, runs]) => [
  side,
  Object.fromEntries(Object.keys(runs[0]!).filter((name) => name === CPU_SECONDS || name.startsWith(OF_THESE))
    .map((name) => [name.replace(OF_THESE, ''), rounded(median(runs.map((f) => f[name]!)))]))
]))

const series = async (
  scenario: Scenario, measure: Measure, poll: Poll, sides: readonly Side[], o: PairedOptions
): Promise<Series[]> => {
  const seen: Seen = {}
  const background: number[] = []
  const runs = OFTENER.includes(measure) ? o.runs * OFTEN : o.runs
  for (let i = 1; i <= runs; i++) {
    for (const side of sides) {
      const others = await backgroundPercent()
      background.push(others)
      side.resume()
      const figures = await once(measure, side, o.seconds)
      side.pause()
      if (measure === 'rtt' && side.name === 'tapway') Object.assign(figures, await cacheLine())
      ;(seen[side.name] ??= []).push(figures)
      const text = Object.entries(figures).map(([name, value]) => `${rounded(value)} ${name}`).join(', ')
      const noise = others > QUIET_PERCENT ? ` (others used ${Math.round(others)} % of the machine)` : ''
      o.say(`${scenario} ${measure} ${poll} ${i}/${runs} ${side.name}: ${text}${noise}`)
    }
  }
  const values = (side: Side['name'], name: string): number[] => seen[side]!.map((f) => f[name]!)
  const base = sides[0]!.name
  const [unit] = headline(seen[base]![0]!)
  const byCpu = Object.keys(seen[base]![0]!).filter((name) => name.endsWith('per CPU second'))
  const of = (name: string, asked?: Goal): Series => {
    const row = paired(scenario, WHAT[measure], poll, name, values(base, name), values('tapway', name), asked)
    const others = sides.filter((side) => side.name !== base && side.name !== 'tapway').map((side): Other =>
      other(side.name, side.version ?? '', values(side.name, name), row.tapwayMedian))
    return { ...row, ...(base === 'plain' ? { base } : {}), ...(others.length === 0 ? {} : { others }), background: rounded(median(background)) }
  }
  const lines = seen['tapway']![0]![LINE_NS] === undefined ? {} : { lines: values('tapway', LINE_NS).map(rounded) }
  const first: Series = { ...of(unit, goalOf(scenario, measure, poll)), ...lines, cpu: cpuOf(seen), details: seen }
  return [first, ...byCpu.map((name) => of(name, cpuGoalOf(scenario, measure)))]
}

/** Seconds: a router's first one of TCP is slower by a third, the second by a tenth. */
const WARM_UP = 3

/** Before anything counts: neighbours are known, and V8 has optimised the path. */
const warmUp = async (sides: readonly Side[], measures: readonly Measure[]): Promise<void> => {
  for (const side of sides) {
    side.resume()
    await roundTrip(side, 500, 1)
    for (const measure of measures) if (measure !== 'rtt') await once(measure, side, WARM_UP)
    if (measures.every((m) => m === 'rtt')) for (let i = 0; i < WARM_UP; i++) await once('rtt', side, 1)
    side.pause()
  }
}

/** Runs a scenario in every asked way of waiting: all measures in the default one, round trips in the others. */
export const runScenario = async (scenario: Scenario, o: PairedOptions): Promise<Series[]> => {
  const results: Series[] = []
  const leave = scope()
  try {
    const kernel = isPolicy(scenario) ? undefined
      : await (isVxlan(scenario) ? createVxlanSide('kernel', scenario, DEFAULT_POLL) : createKernelSide(scenario))
    const others: Side[] = []
    if (scenario === 'bridge') {
      for (const name of o.others) {
        const side = await createOtherSide(name)
        side.pause()
        others.push(side)
      }
    }
    for (const poll of o.polls) {
      const measures = (o.measures ?? USUAL[scenario]).filter((m) => poll === DEFAULT_POLL || m === 'rtt' || o.polls.length === 1)
      if (measures.length === 0) continue
      const leaveTapway = scope()
      try {
        const made = isPolicy(scenario) ? [await createPolicySide('plain', scenario, poll), await createPolicySide('tapway', scenario, poll)]
          : isVxlan(scenario) ? [await createVxlanSide('tapway', scenario, poll)]
          : [await createTapwaySide(scenario, poll), ...(o.without.length === 0 ? [] : [await createTapwaySide(scenario, poll, o.without)])]
        // A polling instance would take a core from the other side's runs
        const tapways = poll === 'busy' ? made : made.map((side) => ({ ...side, pause: () => undefined }))
        const sides = [...(kernel === undefined ? [] : [kernel]), ...tapways, ...(poll === o.polls[0] ? others : [])]
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
