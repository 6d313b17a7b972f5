/** Options of `npm run bench`. */
import { parseArgs } from 'node:util'
import { OPTIMISATION_NAMES, type Optimisation } from '../src/optimisations.js'
import { MICRO_GROUPS } from './micro/run.js'
import { MEASURES, type Measure } from './paired/scenario.js'
import { OTHER_SIDES, SCENARIOS, type OtherSide, type Scenario } from './paired/side.js'
import { POLL_MODES, type Poll } from './paired/tapway.js'

export const USAGE = `npm run bench -- [options]

  --scenario LIST   ${SCENARIOS.join(', ')} (all)
  --only LIST       ${[...MEASURES, 'ports', 'footprint', ...MICRO_GROUPS].join(', ')}
                    (the usual measures of each scenario, and all the rest)
  --with LIST       ${OTHER_SIDES.join(', ')}: other switches in user space beside these two, on the bridge (none).
                    ovs is Open vSwitch's userspace datapath with TSO on TAPs, ovs-packet the same on packet sockets.
                    Installs them where they are not there (Debian packages openvswitch-switch, vde2)
                    policy and policy-vxlan compare Tapway with apps and policies with Tapway without, on the same path
  --without LIST    a second instance of Tapway beside, without these optimisations (tapway up --without), on the bridge and through the router
  --poll LIST       how Tapway waits: ${POLL_MODES.join(', ')}. All measures are taken in the first, round trips in all.
                    With one mode named, all measures are taken in it
  --runs N          runs of each side, by turns (5)
  --seconds N       length of a run (2)
  --out FILE        JSON of all runs (bench/results/DATE.json)
`

export interface BenchOptions {
  scenarios: readonly Scenario[]
  /** Undefined: the usual ones of each scenario. */
  measures: readonly Measure[] | undefined
  micro: readonly string[]
  /** A bridge with a thousand ports. */
  ports: boolean
  footprint: boolean
  polls: readonly Poll[]
  others: readonly OtherSide[]
  without: readonly Optimisation[]
  runs: number
  seconds: number
  out: string | undefined
  /** Everything is measured, as often and as long as usual: worth being the latest result. */
  complete: boolean
}

const choose = <T extends string>(option: string, text: string | undefined, of: readonly T[]): readonly T[] => {
  if (text === undefined) return of
  const words = text.split(',')
  const unknown = words.find((w) => !(of as readonly string[]).includes(w))
  if (unknown !== undefined) throw new Error(`--${option}: "${unknown}" is none of ${of.join(', ')}`)
  return of.filter((w) => words.includes(w))
}

const number = (option: string, text: string | undefined, usual: number): number => {
  const value = text === undefined ? usual : Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 1000) throw new Error(`--${option} is a whole number from 1 to 1000`)
  return value
}

/** Throws with a line for the user when the words are wrong; undefined when help was asked for. */
export const readOptions = (argv: string[]): BenchOptions | undefined => {
  const { values } = parseArgs({
    args: argv, allowPositionals: false, options: {
      scenario: { type: 'string' }, only: { type: 'string' }, poll: { type: 'string' }, runs: { type: 'string' }, seconds: { type: 'string' },
      out: { type: 'string' }, with: { type: 'string' },
      without: { type: 'string' }, help: { type: 'boolean', short: 'h' }
    }
  })
  if (values.help === true) return undefined
  const parts = choose('only', values.only, [...MEASURES, 'ports', 'footprint', ...MICRO_GROUPS])
  const runs = number('runs', values.runs, 5)
  const seconds = number('seconds', values.seconds, 2)
  return {
    scenarios: choose('scenario', values.scenario, SCENARIOS),
    measures: values.only === undefined ? undefined : MEASURES.filter((m) => parts.includes(m)),
    micro: MICRO_GROUPS.filter((m) => parts.includes(m)),
    ports: parts.includes('ports'),
    footprint: parts.includes('footprint'),
    polls: choose('poll', values.poll, POLL_MODES),
    others: values.with === undefined ? [] : choose('with', values.with, OTHER_SIDES),
    without: values.without === undefined ? [] : choose('without', values.without, OPTIMISATION_NAMES),
    runs, seconds, out: values.out,
    complete: [values.scenario, values.only, values.poll, values.without].every((v) => v === undefined) && runs >= 5 && seconds >= 2
  }
}
