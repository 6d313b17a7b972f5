/** Runs the micro-benchmarks, each file (and each variant of the pipeline) in a process of its own. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Single } from '../result.js'

/** File and arguments. */
const BENCHES: readonly (readonly string[])[] = [
  ['codecs'], ['tables'], ['pipeline', 'replay'],
  ['pipeline', 'bridge', '1'], ['pipeline', 'bridge', '256'], ['pipeline', 'router', '1'], ['pipeline', 'router', '256'],
  ['pipeline', 'bridge', '1', 'joined'], ['pipeline', 'router', '1', 'joined'],
  ['pipeline', 'vxlan', '1', 'joined'], ['pipeline', 'vxlan', '256', 'joined'], ['pipeline', 'vxlan', '1']
]
export const MICRO_GROUPS = ['codecs', 'tables', 'pipeline'] as const

/** Runs the named groups; they print as they go. Throws when one of them fails. */
export const runMicro = async (groups: readonly string[] = MICRO_GROUPS): Promise<Single[]> => {
  const results: Single[] = []
  for (const [file, ...args] of BENCHES) {
    if (!groups.includes(file!)) continue
    const child = fork(fileURLToPath(new URL(`./${file}.bench.js`, import.meta.url)), args, { execArgv: ['--expose-gc'] })
    child.on('message', (result) => results.push(result as Single))
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (code !== 0) throw new Error(`bench/micro/${file}.bench.ts ${args.join(' ')}: exit ${code}`)
  }
  return results
}
