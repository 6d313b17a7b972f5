/**
 * What the format of the network file has and Tapway has not yet. Nothing is accepted and ignored: such a key is refused, unless
 * its value asks for what happens anyway. When something is built, its row here goes and its key enters schema.ts.
 */
import { type Mapping, type Raw } from './document.js'
import { type Report } from './problem.js'

interface Row {
  /** Keys from the top, `*` for any. */
  readonly path: string
  /** Values that change nothing. */
  readonly harmless?: readonly Raw[]
}

const UNSUPPORTED: readonly Row[] = [
  { path: 'bridges.*.vlan_filtering', harmless: [false, 0] },
  { path: 'bridges.*.stp_state', harmless: [false, 0] },
  { path: 'bridges.*.priority' },
  { path: 'bridges.*.hello_time' },
  { path: 'bridges.*.max_age' },
  { path: 'bridges.*.forward_delay' },
  { path: 'routers.*.interfaces.*.vlan' },
  { path: 'hosts.*.interfaces.*.vlan' },
  { path: 'hosts.*.interfaces.*.link', harmless: ['tap'] }
]

/** Keys of the table that stand directly in the mapping at `path`: one may be meant by a key that is unknown. */
export const unsupportedKeys = (path: readonly (string | number)[]): string[] =>
  UNSUPPORTED.map((row) => row.path.split('.'))
    .filter((steps) => steps.length === path.length + 1 && path.every((step, i) => steps[i] === '*' || steps[i] === step))
    .map((steps) => steps.at(-1)!)
    .filter((key) => key !== '*')

/** Takes out of the file what the table names, and reports it where it asks for something. Changes `file`. */
export const refuseUnsupported = (file: Raw, report: Report): void => {
  for (const row of UNSUPPORTED) {
    const steps = row.path.split('.')
    const visit = (within: Raw | undefined, path: readonly string[]): void => {
      if (!(within instanceof Map)) return
      const step = steps[path.length]!
      for (const key of step === '*' ? [...within.keys()] : [step]) {
        if (!within.has(key)) continue
        const here = [...path, key]
        if (here.length < steps.length) visit(within.get(key), here)
        else take(within, key, here)
      }
    }
    const take = (within: Mapping, key: string, path: readonly string[]): void => {
      const value = within.get(key)!
      within.delete(key)
      if (row.harmless?.includes(value) !== true) report(path, `not supported yet: ${key}`, 'key')
    }
    visit(file, [])
  }
}
