/** Every command of docs/build-your-own-internet.md does what the guide says: see run-guide.ts. */
import test from 'ava'
import { netnsTest } from '../helpers/netns.js'
import { runGuide } from './run-guide.js'

netnsTest(test)('the guide does what it says', async (t) => {
  t.timeout(180_000)
  await runGuide(t, 'docs/build-your-own-internet.md')
})
