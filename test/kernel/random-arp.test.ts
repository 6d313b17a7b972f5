/** Random ARP into fresh routers, and packets that show what they know: answers, requests and what is held are the same. */
import test from 'ava'
import fc from 'fast-check'
import { arpFrame, data, ipPacket, type Arp } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import type { Step } from './box.js'
import { allClosed } from './kernel-box.js'
import { fromB, B, R0, router } from './router-plan.js'
import { playBoth, script } from './scenario.js'

const RUNS = 40
const SEED = 20262
/** Nobody is known but who sends the packets. */
const plan = router({ stations: [{ address: B, mac: '02:00:00:00:02:02', dev: 'eth1' }] })

/** All in less than a second: no timer of the kernel's is to run out within a run. */
const address = fc.constantFrom('10.1.1.5', '10.1.1.6', '10.1.1.7', '10.1.1.1', '10.1.2.1', '10.9.1.1', '0.0.0.0')
const station = fc.constantFrom('02:00:00:00:01:05', '02:00:00:00:01:06', '02:00:00:00:01:07')
const arp = fc.record({
  op: fc.constantFrom(1, 1, 2, 2, 3), to: fc.constantFrom('ff:ff:ff:ff:ff:ff', R0),
  senderMac: station, sender: address, target: address,
  targetMac: fc.constantFrom('00:00:00:00:00:00', R0, '02:00:00:00:01:05', '02:00:00:00:01:06')
}).map((a: Arp): Step => ({ send: 'eth0', frame: arpFrame(a) }))
const packet = fc.tuple(fc.constantFrom('10.1.1.5', '10.1.1.6', '10.1.1.7'), fc.nat(0xffff))
  .map(([dst, id]) => fromB(ipPacket({ src: B, dst, id, payload: data(4) })))
const steps = fc.array(fc.oneof({ weight: 2, arbitrary: arp }, { weight: 1, arbitrary: packet }), { minLength: 10, maxLength: 25 })

netnsTest(test)(`random ARP (seed ${SEED})`, (t) => {
  let sent = 0
  for (const list of fc.sample(steps, { numRuns: RUNS, seed: SEED })) {
    const { kernel, tapway, balanced } = playBoth(plan, list)
    t.deepEqual(script(list, tapway), script(list, kernel), 'Tapway (actual) and the kernel (expected)')
    t.true(balanced)
    sent += tapway.flat().length
  }
  t.true(sent > RUNS, `${sent} frames came out`)
})

test.after.always(allClosed)
