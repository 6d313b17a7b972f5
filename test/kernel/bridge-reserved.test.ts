/** Addresses a bridge does not forward: 01-80-C2-00-00-00 to 0F (IEEE 802.1D 7.12.6), and its neighbours, which it does. */
import test from 'ava'
import { ethernet } from '../oracle/naive-frames.js'
import { data } from '../helpers/frames.js'
import { A, B, bridge, plain, send, vlanFrame, EXPERIMENTAL } from './bridge-plan.js'
import { scenarios, type Scenario } from './scenario.js'

const plan = bridge()
const reserved = (octet: number): string => `01:80:c2:00:00:${octet.toString(16).padStart(2, '0')}`
/** Afterwards B asks for A: an answer to A's port alone shows that the frame was learned from. */
const learned = send('p1', plain(A, B))
const bpdu = [0x42, 0x42, 0x03, 0, 0, 0, 0, 0, ...data(31)]

const each: Scenario[] = Array.from({ length: 16 }, (_, octet): Scenario => {
  const passes = octet === 0
  return {
    name: `${reserved(octet)} ${passes ? 'passes (STP is off)' : 'is not forwarded'}; ${octet === 1 ? 'not ' : ''}learned from`,
    plan,
    steps: [send('p0', plain(reserved(octet), A)), learned],
    frames: (passes ? 3 : 0) + (octet === 1 ? 3 : 1),
    drops: { 'link-local-reserved': passes ? 0 : 1 }
  }
})

scenarios(test, [
  ...each,
  { name: 'a real BPDU passes', plan, steps: [send('p0', ethernet(reserved(0), A, 39, bpdu))], frames: 3 },
  {
    name: 'a tagged reserved frame is not forwarded',
    plan, steps: [send('p0', vlanFrame(reserved(2), A, 10, 0, EXPERIMENTAL, data(42)))], frames: 0
  },
  { name: '01:80:c2:00:00:10 is forwarded', plan, steps: [send('p0', plain(reserved(0x10), A))], frames: 3 },
  { name: '01:80:c2:00:00:21 (GVRP) is forwarded', plan, steps: [send('p0', plain(reserved(0x21), A))], frames: 3 },
  { name: '01:80:c2:00:01:00 is forwarded', plan, steps: [send('p0', plain('01:80:c2:00:01:00', A))], frames: 3 },
  { name: '01:00:0c:cc:cc:cc (CDP) is forwarded', plan, steps: [send('p0', plain('01:00:0c:cc:cc:cc', A))], frames: 3 },
  {
    name: '00:80:c2:00:00:02, a unicast address, is forwarded',
    plan, steps: [send('p0', plain('00:80:c2:00:00:02', A))], frames: 3
  },
  { name: '03:80:c2:00:00:02 is forwarded', plan, steps: [send('p0', plain('03:80:c2:00:00:02', A))], frames: 3 }
])
