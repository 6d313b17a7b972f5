/** Random frames into the kernel's bridge and ours, the tables filling as they go: what comes out of each port is the same. */
import test from 'ava'
import fc from 'fast-check'
import { be16, ethernet } from '../oracle/naive-frames.js'
import { line } from '../helpers/compare.js'
import { ALL, arpFrame, data, ipPacket } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { bridge, BRIDGE_MAC } from './bridge-plan.js'
import { allClosed } from './kernel-box.js'
import { sideBySide } from './side-by-side.js'

const RUNS = 1200
const SEED = 20261
const STICKY = '02:00:00:00:00:51'
const STATIC = '02:00:00:00:00:52'
const PERMANENT = '02:00:00:00:00:53'

const plan = bridge({
  mtu: 1000, addresses: ['10.0.0.1/24'],
  fdb: [
    { mac: STICKY, dev: 'p1', state: 'static', sticky: true }, { mac: STATIC, dev: 'p2', state: 'static' },
    { mac: PERMANENT, dev: 'p3', state: 'permanent' }
  ]
})

const station = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }).map((n) => `02:00:00:00:01:0${n}`) },
  { weight: 1, arbitrary: fc.constantFrom(STICKY, STATIC, PERMANENT) }
)
const source = fc.oneof({ weight: 20, arbitrary: station },
  { weight: 1, arbitrary: fc.constantFrom(BRIDGE_MAC, ALL, '00:00:00:00:00:00', '03:00:00:00:00:01') })
const reserved = fc.nat(17).map((n) => `01:80:c2:00:00:${n.toString(16).padStart(2, '0')}`)
const destination = fc.oneof({ weight: 10, arbitrary: station }, { weight: 2, arbitrary: reserved },
  { weight: 3, arbitrary: fc.constantFrom(ALL, BRIDGE_MAC, '01:00:5e:01:02:03', '00:00:00:00:00:00', '33:33:00:00:00:01') })

const tag = fc.tuple(fc.constantFrom(0x8100, 0x88a8), fc.nat(0xffff)).map(([tpid, tci]) => [...be16(tpid), ...be16(tci)])
const inside = fc.oneof(
  { weight: 4, arbitrary: fc.nat(60).map((n) => [0x88, 0xb5, ...data(n + 4)]) },
  { weight: 1, arbitrary: fc.integer({ min: 990, max: 1010 }).map((n) => [0x88, 0xb5, ...data(n)]) },
  { weight: 1, arbitrary: fc.nat(0x5ff).map((n) => [...be16(n), ...data(46)]) },
  { weight: 1, arbitrary: fc.constant([8, 0, ...ipPacket({ src: '10.0.0.9', dst: '10.0.0.7', payload: data(20) })]) },
  { weight: 1, arbitrary: fc.constantFrom('10.0.0.1', '10.0.0.2').map((target) =>
    [8, 6, ...arpFrame({ senderMac: '02:00:00:00:01:01', sender: '10.0.0.9', target }).slice(14)]) }
)

const stimulus = fc.record({
  port: fc.constantFrom(...plan.ports), to: destination, from: source,
  tags: fc.oneof({ weight: 4, arbitrary: fc.constant<number[][]>([]) }, { weight: 1, arbitrary: fc.array(tag, { maxLength: 2 }) }),
  body: inside
})
  .map(({ port, to, from, tags, body }) => ({ port, frame: [...ethernet(to, from, 0, []).slice(0, 12), ...tags.flat(), ...body] }))
  // A port of the kernel's bridge is an interface as well, which takes reserved frames and answers ARP in them; ours is a port.
  .filter(({ frame }) => !(frame[0] === 1 && frame[1] === 0x80 && frame[12] === 8))

netnsTest(test)(`random frames (seed ${SEED})`, (t) => {
  sideBySide(t, plan, RUNS / 2, ({ compare }) => {
    for (const { port, frame } of fc.sample(stimulus, { numRuns: RUNS, seed: SEED })) {
      compare({ send: port, frame }, () => `sent:\n  ${line(port, frame)}`, (frames) => frames.map((f) => line(f.port, Array.from(f.bytes))))
    }
  })
})

test.after.always(allClosed)
