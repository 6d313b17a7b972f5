/** `npm run bench:micro -- [codecs] [tables] [routes] [pipeline] [scale] [policy] [workers]` */
import { MICRO_GROUPS, runMicro } from './run.js'

const groups = process.argv.slice(2)
const unknown = groups.find((g) => !(MICRO_GROUPS as readonly string[]).includes(g))
if (unknown !== undefined) {
  process.stderr.write(`"${unknown}" is no group of micro-benchmarks; there is ${MICRO_GROUPS.join(', ')}\n`)
  process.exitCode = 2
} else await runMicro(groups.length === 0 ? undefined : groups)
