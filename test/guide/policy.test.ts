/** Every command of docs/policy.md does what the guide says (see run-guide.ts), and the script of the example does too. */
import test from 'ava'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { netnsTest } from '../helpers/netns.js'
import { ROOT, ownNamespaces, runGuide } from './run-guide.js'

const run = promisify(execFile)
const isolated = netnsTest(test)

isolated('the guide to apps and policies does what it says', async (t) => {
  t.timeout(180_000)
  await runGuide(t, 'docs/policy.md')
})

isolated('examples/c2c/run.sh shows two cells, what is allowed and what is denied, and leaves nothing behind', async (t) => {
  t.timeout(120_000)
  const [enter, ...words] = await ownNamespaces()
  const env = { ...process.env, TAPWAY_SETUP: 'no' }
  const { stdout } = await run(enter!, [...words, 'env', '-C', ROOT, 'examples/c2c/run.sh'], { env })
  t.regex(stdout, /\$ tapway1 exec a1 -- curl [^\n]* http:\/\/10\.255\.97\.3:8080\/\nhello from 10\.255\.97\.3 to 10\.255\.96\.3\n/)
  t.regex(stdout, /\$ tapway1 exec a1 -- curl [^\n]* http:\/\/10\.255\.97\.3:9090\/\ncurl: \(28\) [^\n]* timed out/)
  t.regex(stdout, /^from sensor to backend protocol tcp port 8080 packets \d+ src 10\.255\.97\.4 dst 10\.255\.96\.4 age \d+sec$/m)
  t.regex(stdout, /^curl: \(28\) Operation too slow/m)
  t.regex(stdout, /\nTwo cells, three apps, and only what policies allow: all as it should be\.\n$/)
  t.is((await run(enter!, [...words, 'ls', '/run/netns', '/run/tapway'])).stdout, '/run/netns:\n\n/run/tapway:\n')
})
