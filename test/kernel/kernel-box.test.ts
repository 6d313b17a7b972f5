/** What the kernel's boxes share although each has a namespace of its own. */
import { execFileSync } from 'node:child_process'
import test from 'ava'
import { echo, ethernet } from '../oracle/naive-frames.js'
import { data, ICMP, ipPacket } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { allClosed, createKernelBox } from './kernel-box.js'
import { A, A_MAC, NEAR, R0, router } from './router-plan.js'

/** More replies than the send buffer of the kernel's ICMP socket holds. */
const REQUESTS = 600

const request = (src: string): number[] =>
  ethernet(R0, A_MAC, 0x0800, ipPacket({ src, dst: NEAR, protocol: ICMP, payload: echo(8, 1, 1, data(56)) }))

netnsTest(test)('a box answers while replies of another one wait for a neighbour', (t) => {
  // Each processor has a socket of its own
  execFileSync('taskset', ['-cp', '0', String(process.pid)])
  const full = createKernelBox(router())
  const box = createKernelBox(router())
  try {
    for (let i = 0; i < REQUESTS; i++) full.step({ send: 'eth0', frame: request('10.1.1.99') }, 0)
    t.is(box.step({ send: 'eth0', frame: request(A) }, 1).length, 1)
  } finally {
    full.close()
    box.close()
  }
})

test.after.always(allClosed)
