/**
 * Tests with optimisations left out. TAPWAY_TEST_WITHOUT names them, as `tapway up --without` does; this file alone reads it, and whoever
 * makes an engine or starts an instance for a test that compares hands `WITHOUT` or `WITHOUT_ARGS` on. scripts/test-without.js runs the
 * comparing suites with each of them left out, and with all.
 */
import type { TestFn } from 'ava'
import fc from 'fast-check'
import { parseCommandLine } from '../../src/cli/parse.js'
import { type Optimisation, type Without } from '../../src/optimisations.js'

const words = process.env['TAPWAY_TEST_WITHOUT'] ?? ''

const withoutOf = (): Without => {
  if (words === '') return []
  const { command } = parseCommandLine(['up', 'network.yaml', '--without', words])
  return command.kind === 'up' ? command.without : []
}

/** What is left out in this run; nothing in the ordinary one. */
export const WITHOUT: Without = withoutOf()

/** Words of `tapway up` that say the same. */
export const WITHOUT_ARGS: readonly string[] = words === '' ? [] : ['--without', words]

export const isLeftOut = (name: Optimisation): boolean => WITHOUT.includes(name)

/** A `test` for what holds only with these optimisations, because it is about them: skipped where one is left out. */
export const only = (test: TestFn, ...names: Optimisation[]): TestFn['skip'] => (names.some(isLeftOut) ? test.skip : test)

/** Some of these left out, beside those of the run; most of the time nothing. */
export const leavingOut = (...names: Optimisation[]): fc.Arbitrary<Optimisation[]> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant<Optimisation[]>([]) }, { weight: 2, arbitrary: fc.subarray(names, { minLength: 1 }) })
