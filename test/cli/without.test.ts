/** Whatever can be left out is in the help and in the documentation, and nothing else is. */
import test from 'ava'
import { readFileSync } from 'node:fs'
import { helpText } from '../../src/cli/help.js'
import { COALESCE, OPTIMISATION_NAMES, OPTIMISATIONS } from '../../src/optimisations.js'

test('docs/commands.md has a row for every optimisation, as the help has', (t) => {
  const text = readFileSync(new URL('../../../docs/commands.md', import.meta.url), 'utf8')
  const [, table] = text.split('| WORD | without it |\n| --- | --- |\n')
  const rows = table!.split('\n\n')[0]!.split('\n')
  t.deepEqual(rows, Object.entries(OPTIMISATIONS).map(([name, without]) => `| \`${name}\` | ${without} |`))
  for (const [name, without] of Object.entries(OPTIMISATIONS)) t.regex(helpText('up'), new RegExp(`^  ${name} +${without}$`, 'm'))
})

test('what joins packets is among them, and no name is one of the words that stand for several', (t) => {
  t.true(COALESCE.every((name) => OPTIMISATION_NAMES.includes(name)))
  t.deepEqual(OPTIMISATION_NAMES.filter((name) => ['all', 'coalesce', 'none'].includes(name)), [])
})
