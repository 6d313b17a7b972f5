/** Nothing is allocated by packet on the way into a tunnel and out of it. Growth of the heap between two points without a collection. */
import test from 'ava'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Packets } from '../../src/core/packets.js'
import { VNET_HDR } from '../../src/core/layout.js'
import { createNetwork } from '../../src/network/network.js'
import { CTL_RX_COUNT, CTL_RX_SLOTS, CTL_TX_FAILED, DATAGRAM_LEAD, RX_META, RX_STRIDE, type Rings,
  SENDER_LEAD } from '../../src/port/rings.js'
import { fold, sumBytes } from '../../src/wire/checksum.js'
import { ethernet, ipv4, tcp, udp, zeros } from '../oracle/naive-frames.js'
import { partial } from '../offload/naive-cut.js'
import { ALL_OFFLOADS, sockaddr, VNI } from './tunnel-lab.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const LOCAL = '02:00:00:00:0a:01'
const BEHIND = '02:00:00:00:0b:01'
const RECEIVE = 100
const SLOTS = 8
/** Bytes of the least object V8 makes: who stays below it in a turn makes none, neither by turn nor by packet. */
const LEAST_OBJECT = 16
/** So many runs one after another are to be so. */
const QUIET_RUNS = 3

interface Arrival {
  tag: 'port' | 'socket'
  bytes: Uint8Array
  /** Of a frame, its virtio-net header; of datagrams, the size of each. */
  vnet: Uint8Array
  gso: number
}

/** An engine whose every exchange brings the same arrivals; whatever it sends is gone. */
const createLoop = (arrivals: readonly Arrival[]): { turn: () => void; sent: () => number; dropped: () => number } => {
  const from = sockaddr('192.168.77.2')
  const tags = new Map<number, number>()
  const network = createNetwork({
    instance: 'test', seed: 1, poll: 'sleep', readClock: () => 1_000_000, wallClock: () => 0,
    attachPort: (tag, handle) => {
      tags.set(handle, tag)
    },
    detachPort: () => undefined,
    makeIo: (packets: Packets, { control, rx, rxSlots, sums }: Rings) => ({
      now: () => 1_000_000,
      sumRanges: (count) => {
        for (let i = 0; i < count; i++) sums[i * 3 + 2] = fold(sumBytes(packets.view, sums[i * 3]!, sums[i * 3 + 1]!, 0))
      },
      exchange: () => {
        control[CTL_TX_FAILED] = 0
        const count = Math.min(control[CTL_RX_SLOTS]!, SLOTS)
        for (let i = 0; i < count; i++) {
          const a = arrivals[i % arrivals.length]!
          const at = rxSlots[i]!
          const isSocket = a.tag === 'socket'
          packets.bytes.set(a.bytes, isSocket ? at - DATAGRAM_LEAD : at)
          if (isSocket) packets.i32.set(from, (at - SENDER_LEAD) >> 2)
          else packets.bytes.set(a.vnet, at - VNET_HDR)
          rx[i * RX_STRIDE] = tags.get(isSocket ? RECEIVE : 1)!
          rx[i * RX_STRIDE + 1] = i
          rx[i * RX_STRIDE + 2] = a.bytes.length
          rx[i * RX_STRIDE + 3] = isSocket ? RX_META | (a.gso << 16) : 0
        }
        control[CTL_RX_COUNT] = count
        return count
      },
      close: () => undefined
    })
  })
  network.apply({ op: 'bridge.add', name: 'br0', mac: '02:00:00:00:00:01', mtu: 1450, ageing_time: 300, fdb_max_learned: 0 })
  network.apply({ op: 'port.add', name: 'a.eth0', bridge: 'br0', mtu: 1450, handle: 1, vnet_header: VNET_HDR,
    offloads: ALL_OFFLOADS, mac: '02:00:00:00:00:00', netns: '', ifname: 'eth0' })
  network.apply({
    op: 'vxlan.add', name: 'vxlan1', bridge: 'br0', mac: '02:00:00:00:42:01', mtu: 1450, id: 42, local: '192.168.77.1',
      dstport: 4789, srcport: [1, 2], learning: true, proxy: false,
    neigh_suppress: false, ttl: 64, tos: 0, df: 'unset', udpcsum: true, ageing: 300, maxaddress: 0, l2miss: false, l3miss: false,
      gbp: false, inner_vlan: 'pass', netns: '', family: 4,
    receive: [RECEIVE], send: [101, 102, 103, 104], send_df: [], gso: true
  })
  network.apply({ op: 'fdb.append', mac: '00:00:00:00:00:00', dev: 'vxlan1', dst: '192.168.77.2' })
  // Both stations are known
  const { engine } = network
  engine.fdb.learn(0, 0, 0x0002, 0x010a0000, network.resolvePorts(['a.eth0'])[0]!.id, 1000)
  return {
    turn: () => {
      engine.turn(false)
    },
    sent: () => network.stats().ports.reduce((sum, p) => sum + p.tx_packets, 0),
    dropped: () => network.stats().balance.dropped
  }
}

const NONE = new Uint8Array(VNET_HDR)
const segment = (to: string, from: string, n: number, size: number, flags = 0x10): number[] =>
  ethernet(to, from, 0x0800, ipv4(6, '10.0.0.1', '10.0.0.2',
    tcp('10.0.0.1', 1, '10.0.0.2', 2, zeros(size), { seq: n * size, flags }), { id: n }))
const datagram = (to: string, from: string, n: number, size: number): number[] =>
  ethernet(to, from, 0x0800, ipv4(17, '10.0.0.1', '10.0.0.2', udp('10.0.0.1', n, '10.0.0.2', 2, zeros(size))))

const block = (frames: readonly number[][]): Arrival => ({
  tag: 'socket', bytes: Uint8Array.from(frames.flatMap((f) => [...VNI(42), ...f])), vnet: NONE,
    gso: frames.length > 1 ? 8 + frames[0]!.length : 0
})
const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

const superFrame: Arrival = {
  tag: 'port', gso: 0, bytes: Uint8Array.from(partial(segment(BEHIND, LOCAL, 0, 60_000), 34, true)),
  vnet: Uint8Array.of(1, 1, 54, 0, 1396 & 255, 1396 >> 8, 34, 0, 16, 0)
}

const LOADS: Record<string, Arrival[]> = {
  'super-frames into a tunnel': [superFrame],
  'datagrams into a tunnel': [{ tag: 'port', bytes: Uint8Array.from(datagram(BEHIND, LOCAL, 1, 18)), vnet: NONE, gso: 0 }],
  'single datagrams out of it': [block([datagram(LOCAL, BEHIND, 1, 18)])],
  'runs of segments': [block(count(40).map((n) => segment(LOCAL, BEHIND, n, 1396)))],
  'runs, flooded and in pieces': [block([...count(10).map((n) => segment('ff:ff:ff:ff:ff:ff', BEHIND, n, 1000)),
    ...count(9).map((n) => segment(LOCAL, BEHIND, n, 1000))])],
  'datagrams of many flows': [block(count(60).map((n) => datagram(LOCAL, BEHIND, n, 18)))],
  'datagrams of a size that is no multiple of four': [block(count(60).map((n) => datagram(LOCAL, BEHIND, n, 19)))],
  'a bit of everything': [superFrame, block(count(20).map((n) => segment(LOCAL, BEHIND, n, 1395))), block([datagram(LOCAL, BEHIND, 1, 18)])]
}

for (const [name, arrivals] of Object.entries(LOADS)) {
  test(`nothing is allocated by packet: ${name}`, (t) => {
    const loop = createLoop(arrivals)
    for (let i = 0; i < 1000; i++) loop.turn()
    const sent = loop.sent()
    // Until the code is compiled, numbers are objects; on a busy machine that takes its time. One run alone may have had something collected in it
    let bytes = Infinity
    let runs = 0
    let quiet = 0
    const turns = 200
    for (; runs < 100 && quiet < QUIET_RUNS; runs++) {
      collect()
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < turns; i++) loop.turn()
      bytes = (process.memoryUsage().heapUsed - before) / turns
      quiet = bytes < LEAST_OBJECT ? quiet + 1 : 0
    }
    const packets = (loop.sent() - sent) / runs
    t.true(packets >= turns, 'packets were sent')
    t.is(quiet, QUIET_RUNS, `${bytes} bytes a turn of ${packets / turns} packets`)
    t.log(`${bytes} bytes a turn of ${packets / turns} packets, after ${runs} runs`)
  })
}
