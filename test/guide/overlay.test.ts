/** Every command of docs/overlay.md does what the guide says (see run-guide.ts), and the script of the example does too. */
import test from 'ava'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { netnsTest } from '../helpers/netns.js'
import { ROOT, ownNamespaces, runGuide } from './run-guide.js'

const run = promisify(execFile)
const isolated = netnsTest(test)

isolated('the guide to overlays does what it says', async (t) => {
  t.timeout(180_000)
  await runGuide(t, 'docs/overlay.md')
})

isolated('examples/overlay/run.sh shows two machines with one network, and leaves nothing behind', async (t) => {
  t.timeout(120_000)
  const [enter, ...words] = await ownNamespaces()
  const env = { ...process.env, TAPWAY_SETUP: 'no' }
  const { stdout } = await run(enter!, [...words, 'env', '-C', ROOT, 'examples/overlay/run.sh'], { env })
  t.regex(stdout, /VXLAN, flags \[I\] \(0x08\), vni 42\nIP 10\.0\.10\.11 > 10\.0\.10\.12: ICMP echo request/)
  t.regex(stdout, /iperf Done\.$/m)
  t.regex(stdout, /\nTwo machines, one network: all as it should be\.\n$/)
  t.is((await run(enter!, [...words, 'ls', '/run/netns', '/run/tapway'])).stdout, '/run/netns:\n\n/run/tapway:\n')
})
