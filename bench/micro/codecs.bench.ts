/**
 * Codecs, by the package `benchmark`. A call of a test works on 64 headers in turn, so that what is measured is the codec and
 * neither the call of the closure nor one line of the cache.
 */
import Benchmark from 'benchmark'
import { OK } from '../../src/reason.js'
import { checksum, updateChecksum } from '../../src/wire/checksum.js'
import { ETHERNET_HEADER } from '../../src/wire/ethernet.js'
import * as ipv4 from '../../src/wire/ipv4.js'
import { udpFrame } from '../frames.js'
import { single } from '../result.js'
import { report } from './measure.js'

const COUNT = 64
const STRIDE = 2048
const view = new DataView(new SharedArrayBuffer(COUNT * STRIDE))
const bytes = new Uint8Array(view.buffer)
for (let i = 0; i < COUNT; i++) {
  bytes.set(udpFrame({
    sourceMac: '02:42:0a:01:00:02', destinationMac: '02:42:0a:02:00:02', source: `10.1.0.${i + 1}`, destination: `10.2.0.${i + 1}`,
    sourcePort: 1000 + i, destinationPort: 9
  }, 1514), i * STRIDE + 2)
}
const AT = 2 + ETHERNET_HEADER
const IP_LENGTH = 1500

/** What the tests compute ends here, so that nothing of it can be left out. */
let sink = 0

const suite = new Benchmark.Suite()
suite.add('checkIpv4', () => {
  for (let i = 0; i < COUNT; i++) sink |= ipv4.checkIpv4(view, i * STRIDE + AT, IP_LENGTH) ^ OK
})
suite.add('checksum of 20 bytes', () => {
  for (let i = 0; i < COUNT; i++) sink ^= checksum(view, i * STRIDE + AT, 20)
})
suite.add('checksum of 1480 bytes', () => {
  for (let i = 0; i < COUNT; i++) sink ^= checksum(view, i * STRIDE + AT + 20, 1480)
})
suite.add('updateChecksum', () => {
  for (let i = 0; i < COUNT; i++) sink ^= updateChecksum(i, i, i + 1)
})
suite.add('decrementTtl', () => {
  for (let i = 0; i < COUNT; i++) ipv4.decrementTtl(view, i * STRIDE + AT)
})
suite.on('cycle', ({ target }: { target: Benchmark }) => {
  if (target.error !== undefined) throw target.error as Error
  report(single('codecs', target.name!, 'ns', target.stats!.sample.map((seconds) => (seconds * 1e9) / COUNT)))
})
suite.run({ async: false, minSamples: 20, maxTime: 1 })
if (sink === -1) process.stdout.write('')
