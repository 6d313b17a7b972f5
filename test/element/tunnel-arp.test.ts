/** Answers are compared with what Linux 6.18 sent in the same place: a bridge with a host port and a VXLAN port. */
import test from 'ava'
import fc from 'fast-check'
import { LARGE, SMALL, createPackets, type PoolOptions } from '../../src/core/packets.js'
import { createTunnelArp } from '../../src/element/tunnel-arp.js'
import { REASONS } from '../../src/reason.js'
import { NEIGH_ADD, NUD_FAILED, NUD_NOARP, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE } from '../../src/table/neighbors.js'
import { createTunnelNeighbors } from '../../src/table/tunnel-neighbors.js'
import { BROADCAST, ZERO, arpFrame, ip, mac, outstanding } from '../helpers/arp-lab.js'

const A = '02:00:00:00:0a:01'
const B = '02:00:00:00:0b:02'
const TUNNEL = 3
const PORT = 7
const HOST_PORT = 1

const lab = (pool: PoolOptions = {}) => {
  const packets = createPackets({ packets: 16, largeSlots: 4, smallSlots: 12, ports: 16, ...pool })
  const neighbors = createTunnelNeighbors({ capacity: 16 })
  const clock = { now: 0 }
  const tunnels = { port: new Int32Array(8) }
  tunnels.port[TUNNEL] = PORT
  const answers: string[] = []
  const missed: number[] = []
  const isMac = (text: string) => (tunnel: number, hi: number, lo: number): boolean => tunnel === TUNNEL && mac(text)[0] === hi && mac(text)[1] === lo
  const arp = createTunnelArp({
    packets, neighbors, tunnels, clock,
    isBridgeLocal: isMac('02:00:00:00:0b:04'),
    isElsewhere: isMac('02:00:00:00:0b:05'),
    isOwn: (tunnel, address) => tunnel === TUNNEL && address === ip('10.0.10.77'),
    answer: (p, tunnel) => {
      answers.push(`${tunnel} ${packets.inPort[p]} ${Buffer.from(packets.arena, packets.start[p]!, packets.length[p]!).toString('hex')}`)
      packets.transmitted(p)
    },
    miss: (tunnel, address) => missed.push(tunnel, address)
  })
  const add = (last: number, state: number): void => {
    const [hi, lo] = mac(`02:00:00:00:0b:0${last}`)
    neighbors.set(TUNNEL, ip(`10.0.10.${last}`), hi, lo, state, NEIGH_ADD, clock.now)
  }
  add(2, NUD_PERMANENT)
  add(3, NUD_STALE)
  add(4, NUD_PERMANENT)
  add(5, NUD_NOARP)
  add(6, NUD_REACHABLE)
  add(8, NUD_FAILED)
  const packet = (frame: Uint8Array): number => {
    const p = packets.received(packets.takeSlot(frame.length > 1982 ? LARGE : SMALL), frame.length, HOST_PORT)
    packets.bytes.set(frame, packets.start[p]!)
    return p
  }
  const drops = (): Record<string, number> =>
    Object.fromEntries(REASONS.map((r, i) => [r.name, packets.drops[i]!] as const).filter(([, n]) => n > 0))
  /** What became of an ARP frame at a proxy tunnel: the answer, or the drops. */
  const proxy = (frame: string, tunnel = TUNNEL): string => {
    arp.proxy(packet(Buffer.from(frame, 'hex')), tunnel)
    return answers.pop() ?? Object.keys(drops()).join()
  }
  /** The same at one with neigh_suppress; 'on' when it goes on. */
  const suppress = (frame: string, tunnel = TUNNEL): string => {
    const p = packet(Buffer.from(frame, 'hex'))
    if (arp.suppress(p, tunnel)) return answers.pop() ?? Object.keys(drops()).join()
    packets.transmitted(p)
    return 'on'
  }
  return { packets, neighbors, clock, arp, add, answers, missed, packet, drops, proxy, suppress }
}

const request = (target: string, sender = '10.0.10.1', to = BROADCAST, from = A): string => arpFrame(to, from, 1, A, sender, ZERO, target)
const reply = (sender: string, target: string): string => arpFrame(B, A, 2, A, sender, B, target)
/** What the kernel answered about 10.0.10.2. */
const ANSWER = '020000000a01020000000b0208060001080006040002020000000b020a000a02020000000a01'
const answered = `${TUNNEL} ${PORT} ${ANSWER}0a000a01`

test('proxy: a connected neighbour is answered for, to the sender that the packet names', (t) => {
  const { proxy, packets, arp, missed } = lab()
  t.is(proxy(request('10.0.10.2')), answered)
  t.is(proxy(request('10.0.10.2', '10.0.10.1', B)), answered, 'asked by unicast')
  t.is(proxy(request('10.0.10.2', '10.0.10.1', BROADCAST, '02:00:00:00:0a:09')), answered, 'from another Ethernet address')
  t.is(proxy(`${request('10.0.10.2')}${'00'.repeat(18)}`), answered, 'padded')
  t.is(proxy(request('10.0.10.2').replace('08060001', '08060006')), answered, 'hardware type 6')
  t.is(proxy(request('10.0.10.6')), `${TUNNEL} ${PORT} ${arpFrame(A, '02:00:00:00:0b:06', 2, '02:00:00:00:0b:06', '10.0.10.6', A, '10.0.10.1')}`)
  t.deepEqual([arp.counters.proxied, packets.balance[5], packets.balance[6]], [6, 6, 0])
  t.deepEqual(missed, [])
  t.is(packets.packetsInUse(), 0)
})

test('proxy: probes and announcements of a neighbour are requests like others', (t) => {
  const { proxy } = lab()
  t.is(proxy(request('10.0.10.2', '0.0.0.0')), `${TUNNEL} ${PORT} ${ANSWER}00000000`)
  t.is(proxy(request('10.0.10.2', '10.0.10.2')), `${TUNNEL} ${PORT} ${ANSWER}0a000a02`)
})

test('proxy: entries that are stale, failed or on this side are no answer, and no miss', (t) => {
  for (const last of [3, 4, 8]) {
    const { proxy, missed } = lab()
    t.is(proxy(request(`10.0.10.${last}`)), 'tunnel-arp-unanswered')
    t.deepEqual(missed, [])
  }
})

test('proxy: a reachable neighbour for 30 seconds', (t) => {
  const { proxy, clock } = lab()
  clock.now = 29_999
  t.true(proxy(request('10.0.10.6')).startsWith(`${TUNNEL} `))
  clock.now = 30_000
  t.is(proxy(request('10.0.10.6')), 'tunnel-arp-unanswered')
})

test('proxy: somebody nobody knows is told', (t) => {
  const { proxy, missed, arp } = lab()
  t.is(proxy(request('10.0.10.9')), 'tunnel-arp-unanswered')
  t.deepEqual(missed, [TUNNEL, ip('10.0.10.9')])
  t.is(proxy(request('10.0.10.2'), 0), 'tunnel-arp-unanswered', 'a neighbour of another tunnel')
  t.deepEqual(missed.slice(2), [0, ip('10.0.10.2')])
  t.is(arp.counters.missed, 2)
  proxy(request('255.255.255.255'))
  proxy(request('0.0.0.0'))
  t.deepEqual(missed.slice(4), [TUNNEL, -1, TUNNEL, 0])
})

test('proxy: what is no request for a station ends there', (t) => {
  for (const frame of [
    reply('10.0.10.1', '10.0.10.2'), arpFrame(BROADCAST, A, 3, A, '10.0.10.1', ZERO, '10.0.10.2'), request('127.0.0.1'), request('224.0.0.1')
  ]) {
    const { proxy, missed } = lab()
    t.is(proxy(frame), 'tunnel-arp-no-request')
    t.deepEqual(missed, [])
  }
})

test('proxy: nor does anything malformed get through', (t) => {
  const good = request('10.0.10.2')
  for (const frame of [
    good.slice(0, -2), good.slice(0, 28), good.replace('08060001', '08060007'),
    ...['86dd0604', '08000804', '08000610'].map((wrong) => good.replace('08000604', wrong))
  ]) t.is(lab().proxy(frame), 'arp-malformed', frame)
})

test('proxy: no packet left for the answer', (t) => {
  const { proxy, packets } = lab({ packets: 1, largeSlots: 1, smallSlots: 1 })
  t.is(proxy(request('10.0.10.2')), 'no-buffer')
  t.is(packets.packetsInUse(), 0)
})

test('proxy: a packet that others have too is not written to', (t) => {
  const { arp, packets, packet, answers } = lab()
  const frame = request('10.0.10.2')
  const p = packet(Buffer.from(frame, 'hex'))
  const c = packets.copy(p)
  arp.proxy(c, TUNNEL)
  t.is(answers.length, 1)
  t.is(Buffer.from(packets.arena, packets.start[p]!, packets.length[p]!).toString('hex'), frame)
  packets.transmitted(p)
  t.is(packets.packetsInUse(), 0)
})

test('suppress: any neighbour with a MAC address is answered for', (t) => {
  const { suppress, arp, packets } = lab()
  t.is(suppress(request('10.0.10.2')), answered)
  t.is(suppress(request('10.0.10.3')), `${TUNNEL} ${PORT} ${arpFrame(A, '02:00:00:00:0b:03', 2, '02:00:00:00:0b:03', '10.0.10.3', A, '10.0.10.1')}`)
  t.is(suppress(request('10.0.10.2', '0.1.2.3')), `${TUNNEL} ${PORT} ${ANSWER}00010203`)
  t.deepEqual([arp.counters.suppressed, packets.balance[5]], [3, 3])
})

test('suppress: the rest goes on', (t) => {
  const { suppress, missed, packets } = lab()
  for (const frame of [
    request('10.0.10.9'), request('10.0.10.8'), reply('10.0.10.1', '10.0.10.2'), request('10.0.10.2', '0.0.0.0'), request('10.0.10.2', '10.0.10.2'),
    request('10.0.10.1'), request('10.0.10.2', '10.0.10.1', B), request('10.0.10.77', '10.0.10.1', B), request('127.0.0.1'), request('239.1.2.3'), request('10.0.10.2').slice(0, -2), request('10.0.10.2').slice(0, 24),
    request('10.0.10.2').replace('08060001', '08000001'), request('10.0.10.2').replace('08000604', '08000704')
  ]) t.is(suppress(frame), 'on', frame)
  t.is(suppress(request('10.0.10.2'), 0), 'on')
  t.deepEqual(missed, [])
  t.is(packets.balance[6], 0)
})

test('suppress: who is on this side hears the request there', (t) => {
  for (const target of ['10.0.10.77', '10.0.10.5', '10.0.10.4']) t.is(lab().suppress(request(target)), 'tunnel-arp-suppressed', target)
})

test('suppress: without a packet for the answer the request goes on', (t) => {
  const { suppress, packets } = lab({ packets: 1, largeSlots: 1, smallSlots: 1 })
  t.is(suppress(request('10.0.10.2')), 'on')
  t.is(packets.packetsInUse(), 0)
})

test('any bytes: each packet ends once, and all are accounted for', (t) => {
  const l = lab()
  const base = Uint8Array.from(Buffer.from(request('10.0.10.2'), 'hex'))
  const mutated = fc.tuple(fc.array(fc.tuple(fc.nat(41), fc.nat(255)), { maxLength: 4 }), fc.nat(60)).map(([changes, size]) => {
    const frame = new Uint8Array(60)
    frame.set(base)
    for (const [at, byte] of changes) frame[at] = byte
    return frame.subarray(0, size)
  })
  fc.assert(fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 64 })), fc.boolean(), (frame, proxy) => {
    const p = l.packet(frame)
    if (proxy) l.arp.proxy(p, TUNNEL)
    else if (!l.arp.suppress(p, TUNNEL)) l.packets.transmitted(p)
    return l.packets.packetsInUse() === 0 && outstanding(l.packets.balance) === 0
  }), { numRuns: 500 })
  t.pass()
})
