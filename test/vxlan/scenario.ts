/**
 * A scenario: the same plan built of the kernel and of Tapway, the same steps done to both, what they send compared: outer
 * headers (the source port, which is a hash, only by its range), inner frames byte by byte, rows of the FDB.
 *
 * A step that is an intended deviation (docs/decisions/0010-deviations-from-linux.md) says so, and what both send is written down
 * in it: it fails when either side begins to do otherwise.
 */
import type { ExecutionContext, TestFn } from 'ava'
import { createNormaliser, summary } from '../helpers/compare.js'
import { describe } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { innerLine, isOuter, outerLine, readUnderlay } from './datagram.js'
import { createKernelVtep } from './kernel-vtep.js'
import {
  LOCAL, SECOND, SRCPORT, UNDERLAY, portNames, type FdbRow, type Seen, type Step, type VtepBox, type VtepPlan
} from './plan.js'
import { createTapwayVtep } from './tapway-vtep.js'

export interface Scenario {
  name: string
  plan: VtepPlan
  steps: Step[]
  /** How many frames both send in all, so that "nothing" is never equal to "nothing" by mistake. */
  frames?: number
  /** Drop reasons that our side counted, with their numbers; asserted where given. */
  drops?: Record<string, number>
}

const createReader = (plan: VtepPlan): ((seen: readonly Seen[]) => string[]) => {
  const normalise = createNormaliser([LOCAL, SECOND, ...(plan.address === undefined ? [] : [plan.address.split('/')[0]!])])
  const ranges = plan.tunnels.map((t) => t.srcport ?? SRCPORT)
  return (seen) => {
    const underlay = readUnderlay(seen.filter((s) => s.port === UNDERLAY).map((s) => s.bytes)).map((o) => {
      if (!isOuter(o)) return `u0 ${innerLine(normalise(o))}`
      const fits = ranges.some(([low, high]) => o.sport >= low && o.sport <= high)
      return outerLine(o, (inner) => innerLine(normalise(inner))) + (fits ? '' : ` SOURCE PORT ${o.sport}`)
    })
    const inner = portNames(plan).flatMap((port) => seen.filter((s) => s.port === port).map((s) =>
      `${port} ${innerLine(normalise(s.bytes))}`))
    // What one frame causes goes to several peers, or to several stations of a port, in no order that matters
    return [...underlay.sort(), ...inner.sort()]
  }
}

/** Rows about tunnels as lines; ports of Tapway have no address of their own, groups of the kernel's devices are no stations. */
const fdbLines = (rows: readonly FdbRow[]): string[] => rows
  .filter((r) => r.ifname.startsWith('vx') && !/^(33:33|01:00:5e:00:00:01|02:dd:)/.test(r.mac))
  .map((r) => {
    const to = [r.dst && `dst ${r.dst}`, r.port !== undefined && `port ${r.port}`, r.vni !== undefined && `vni ${r.vni}`, r.via
      && `via ${r.via}`]
    const rest = [r.master && `master ${r.master}`, ...r.flags, r.state]
    return [r.mac, 'dev', r.ifname, ...to, ...rest].filter(Boolean).join(' ')
  })
  .sort()

const doStep = async (box: VtepBox, read: (seen: readonly Seen[]) => string[], step: Step): Promise<string[]> => {
  if ('send' in step) return read(box.send(step.send, step.frame))
  if ('wait' in step) return read(await box.wait(step.wait))
  if ('show' in step) return step.show === 'fdb' ? fdbLines(await box.fdb()) : (await box.misses()).sort()
  const { ok, text } = await box.command(step.command)
  if (!ok && process.env['VTEP_SHOW'] !== undefined) process.stderr.write(`    ${step.command}: ${text}\n`)
  return [ok ? 'done' : 'refused']
}

const stepText = (s: Step): string => {
  const what = 'send' in s ? `${s.send} < ${s.what ?? describe(s.frame)}` : 'wait' in s ? `wait ${s.wait}` : 'show' in s
    ? s.show : s.command
  return s.what === undefined || 'send' in s ? what : `${what} (${s.what})`
}

/** Lines of all steps. */
const play = async (box: VtepBox, plan: VtepPlan, steps: readonly Step[]): Promise<string[][]> => {
  const read = createReader(plan)
  const lines: string[][] = []
  for (const step of steps) lines.push(await doStep(box, read, step))
  return lines
}

/** Steps in which the two differ without being meant to, in lines. */
const differences = (steps: readonly Step[], kernel: readonly string[][], tapway: readonly string[][]): string[] =>
  steps.flatMap((s, i) => {
  const [theirs, ours] = [kernel[i]!, tapway[i]!]
  if (s.deviation !== undefined || theirs.join('\n') === ours.join('\n')) return []
  return [
    `step ${i + 1}: ${stepText(s)}`,
    ...theirs.map((l) => `  ${ours.includes(l) ? 'both:  ' : 'kernel:'} ${l}`),
    ...ours.filter((l) => !theirs.includes(l)).map((l) => `  Tapway: ${l}`)
  ]
})

const show = (title: string, steps: readonly Step[], sent: readonly string[][]): void => {
  process.stderr.write(`${title}\n${steps.map((s, i) =>
    `  ${stepText(s)}\n${sent[i]!.map((l) => `      ${summary(`${l} | `)}\n`).join('')}`).join('')}`)
}

/** After five seconds neighbours are asked whether they are still there: on a busy machine, in the middle of a scenario, of one of the two. */
const DELAY_FIRST_PROBE_MS = 5000

const judge = async (t: ExecutionContext, s: Scenario, isAgain = false): Promise<void> => {
  const begin = Date.now()
  const theirs = createKernelVtep(s.plan)
  const kernel = await play(theirs, s.plan, s.steps).finally(() => theirs.close())
  if (process.env['VTEP_SHOW'] !== undefined) show(`kernel: ${s.name}`, s.steps, kernel)
  if (process.env['VTEP_KERNEL_ONLY'] !== undefined) {
    t.pass()
    return
  }
  const ours = await createTapwayVtep(s.plan)
  const tapway = await play(ours, s.plan, s.steps)
  const { drops, balanced } = await ours.stats()
  const differ = differences(s.steps, kernel, tapway)
  if (differ.length > 0 && !isAgain && Date.now() - begin > DELAY_FIRST_PROBE_MS) {
    t.log(`took ${Date.now() - begin} ms, and differed:`, ...differ, 'Once more')
    await ours.close()
    await judge(t, s, true)
    return
  }
  t.deepEqual(differ, [], 'the kernel and Tapway')
  for (const [i, { deviation }] of s.steps.entries()) {
    if (deviation === undefined) continue
    t.deepEqual(kernel[i]!.map((l) => summary(`${l} | `)), deviation.kernel, `the kernel: ${deviation.why}`)
    t.deepEqual(tapway[i]!.map((l) => summary(`${l} | `)), deviation.tapway, `Tapway: ${deviation.why}`)
    t.notDeepEqual(tapway[i], kernel[i], `no deviation any more: ${deviation.why}`)
  }
  const sent = kernel.flatMap((lines, i) => ('send' in s.steps[i]! || 'wait' in s.steps[i]! ? lines : []))
  if (s.frames !== undefined) t.is(sent.length, s.frames, 'frames the kernel sent in all')
  else t.true(sent.length > 0, 'the kernel sent nothing at all')
  for (const [reason, count] of Object.entries(s.drops ?? {})) {
    t.is(drops[reason] ?? 0, count, `drops for ${reason}; all: ${JSON.stringify(drops)}`)
  }
  t.true(balanced, 'every packet ended once')
  await ours.close()
}

/** One test for every row. */
export const scenarios = (test: TestFn, rows: readonly Scenario[]): void => {
  const run = netnsTest(test)
  for (const s of rows) run(s.name, (t) => judge(t, s))
}
