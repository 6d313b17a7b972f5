import test from 'ava'
import { MAX_PING_SIZE, PING_BUSY, PING_NO_ROUTE } from '../../src/element/ping.js'
import { BEYOND, FAR, HOST, bytesOf, icmp, ip, ipPacket, localLab } from '../helpers/local-lab.js'

type Lab = ReturnType<typeof localLab>

const begin = (lab: Lab, options = {}): number => lab.ping.start({ stack: lab.stack, destination: ip(HOST), ...options })
/** Time passes in steps of a millisecond, as in the engine's loop while pings run. */
const pass = (lab: Lab, milliseconds: number): void => {
  for (let i = 0; i < milliseconds; i++) lab.ping.tick(++lab.clock.now)
}
/** What the pinged host answers to the requests sent so far. */
const answers = (lab: Lab, ttl = 63): Buffer[] =>
  lab.sent.splice(0).map((h) => {
    const request = bytesOf(h)
    return ipPacket({ source: HOST, ttl }, icmp(0, 0, request.readInt32BE(24), request.subarray(28)))
  })
const arrive = (lab: Lab, packets: Buffer[]): void => {
  for (const b of packets) lab.local.deliver(lab.packet(b), lab.eth0)
}

test('the request: identifier, sequence from 1, 56 bytes that count up behind a time', (t) => {
  const lab = localLab()
  lab.clock.now = 1
  t.is(begin(lab), 0)
  const data = '3ff0000000000000' + '0000000000000000' + Buffer.from(Array.from({ length: 40 }, (_, i) => i + 16)).toString('hex')
  const identifier = '8001' // random() is 0.5
  t.is(lab.sent[0], '4500005480030000' + '4001e409' + '0a4d01010a4d0102' + '0800' + '793a' + identifier + '0001' + data)
  t.true(lab.isWhole())
})

test('answers are matched and timed; the end comes with the last', (t) => {
  const lab = localLab()
  const session = begin(lab, { count: 2, intervalMs: 100 })
  t.is(lab.ping.active(), 1)
  lab.clock.now = 0.25
  arrive(lab, answers(lab))
  t.deepEqual(lab.ping.drain(session), [{ kind: 'reply', from: ip(HOST), sequence: 1, ttl: 63, timeMs: 0.25, bytes: 64, duplicate: false }])
  t.is(lab.ping.nextTimer(), 100)
  lab.clock.now = 0
  pass(lab, 99)
  t.deepEqual(lab.sent, [])
  pass(lab, 1)
  t.is(lab.sent.length, 1)
  pass(lab, 3)
  arrive(lab, answers(lab))
  pass(lab, 1)
  t.deepEqual(lab.ping.drain(session), [
    { kind: 'reply', from: ip(HOST), sequence: 2, ttl: 63, timeMs: 3, bytes: 64, duplicate: false },
    { kind: 'done', transmitted: 2, received: 2 }
  ])
  t.is(lab.ping.active(), 0)
  t.is(lab.ping.nextTimer(), Infinity)
  t.deepEqual(lab.ping.stop(session), { transmitted: 2, received: 2 })
  t.true(lab.isWhole())
})

test('an answer that comes twice, and answers nobody asked for', (t) => {
  const lab = localLab()
  const session = begin(lab)
  const [answer] = answers(lab)
  arrive(lab, [answer!, answer!])
  t.deepEqual(lab.ping.drain(session).map((e) => e.kind === 'reply' && e.duplicate), [false, true])
  const rest = answer!.readInt32BE(24)
  arrive(lab, [
    ipPacket({ source: BEYOND }, icmp(0, 0, rest)), // from elsewhere
    ipPacket({ source: HOST }, icmp(0, 0, rest + 1)), // not sent yet
    ipPacket({ source: HOST }, icmp(0, 0, rest - 1)), // sequence 0
    ipPacket({ source: HOST }, icmp(0, 0, rest + 0x10000)) // another identifier
  ])
  t.deepEqual(lab.ping.drain(session), [])
  t.deepEqual(lab.drops(), { 'icmp-ignored': 4 })
  t.deepEqual(lab.ping.stop(session), { transmitted: 1, received: 1 })
})

test('no answer: given up after 10 s, or soon after the last request when others were answered', (t) => {
  const silent = localLab()
  const a = begin(silent, { count: 1 })
  pass(silent, 9999)
  t.deepEqual(silent.ping.drain(a), [])
  pass(silent, 1)
  t.deepEqual(silent.ping.drain(a), [{ kind: 'timeout', sequence: 1 }, { kind: 'done', transmitted: 1, received: 0 }])

  const lossy = localLab()
  const b = begin(lossy, { count: 2, intervalMs: 50 })
  arrive(lossy, answers(lossy))
  pass(lossy, 50)
  lossy.ping.drain(b)
  pass(lossy, 50)
  t.deepEqual(lossy.ping.drain(b), [{ kind: 'timeout', sequence: 2 }, { kind: 'done', transmitted: 2, received: 1 }])
})

test('an ICMP error about a request', (t) => {
  const lab = localLab()
  const session = begin(lab, { destination: ip('10.9.9.9'), count: 1 })
  const request = bytesOf(lab.sent.splice(0)[0]!)
  // What quotes another's packet, or too little of it, is none of ours
  const other = Buffer.from(request)
  other[24]! ^= 1
  arrive(lab, [
    ipPacket({ source: BEYOND }, icmp(3, 1, 0, other)), ipPacket({ source: BEYOND }, icmp(3, 1, 0, request.subarray(0, 27))),
    ipPacket({ source: BEYOND }, icmp(3, 1, 0, request.subarray(0, 19)))
  ])
  t.deepEqual(lab.drops(), { 'icmp-ignored': 3 })
  arrive(lab, [ipPacket({ source: BEYOND }, icmp(3, 4, 1400, request.subarray(0, 28)))])
  pass(lab, 1)
  t.deepEqual(lab.ping.drain(session), [
    { kind: 'error', from: ip(BEYOND), sequence: 1, type: 3, code: 4, rest: 1400 }, { kind: 'done', transmitted: 1, received: 0 }
  ])
})

test('after a redirect the answer still counts', (t) => {
  const lab = localLab()
  const session = begin(lab, { count: 1 })
  const request = bytesOf(lab.sent[0]!)
  arrive(lab, [ipPacket({ source: BEYOND }, icmp(5, 1, ip(BEYOND), request)), ...answers(lab)])
  pass(lab, 1)
  t.deepEqual(lab.ping.drain(session).map((e) => e.kind), ['error', 'reply', 'done'])
})

test('a request that does not leave', (t) => {
  const lab = localLab()
  lab.hooks.onSent = (p) => lab.errors.error(p, -1, 3, 1, 0) // as when nobody answers ARP
  const session = begin(lab, { count: 1 })
  pass(lab, 1)
  t.deepEqual(lab.ping.drain(session), [
    { kind: 'error', from: ip('10.77.1.1'), sequence: 1, type: 3, code: 1, rest: 0 }, { kind: 'done', transmitted: 1, received: 0 }
  ])
})

test('an own address answers in here', (t) => {
  const lab = localLab()
  const session = begin(lab, { destination: ip(FAR), count: 1, source: ip('10.77.1.1') })
  pass(lab, 1)
  t.deepEqual(lab.ping.drain(session).map((e) => e.kind), ['reply', 'done'])
  t.true(lab.isWhole())
})

test('sessions are told apart, and bounded', (t) => {
  const lab = localLab()
  const ids = Array.from({ length: 64 }, () => begin(lab))
  t.deepEqual(ids, ids.map((_, i) => i))
  t.is(begin(lab), PING_BUSY)
  const replies = answers(lab)
  t.is(new Set(replies.map((b) => b.readUInt16BE(24))).size, 64)
  arrive(lab, replies.slice(5, 6))
  t.deepEqual(ids.filter((id) => lab.ping.drain(id).length > 0), [5])
  lab.ping.stop(7)
  t.is(begin(lab), 7)
  t.is(lab.ping.active(), 64)
})

test('no route, no session; sizes are checked', (t) => {
  const lab = localLab()
  t.is(begin(lab, { destination: ip('203.0.113.1') }), PING_NO_ROUTE)
  t.throws(() => begin(lab, { size: MAX_PING_SIZE + 1 }), { instanceOf: RangeError })
  t.throws(() => begin(lab, { size: -1 }), { instanceOf: RangeError })
  begin(lab, { size: MAX_PING_SIZE })
  begin(lab, { size: 0, ttl: 1 })
  const [large, small] = lab.sent.map(bytesOf)
  t.is(large!.length, 65535)
  t.is(small!.length, 28)
  t.is(small![8], 1)
  t.is(lab.ping.sourceOf(0), ip('10.77.1.1'))
})

test('sequence numbers go round', (t) => {
  const lab = localLab()
  const session = begin(lab, { intervalMs: 1 })
  for (let i = 0; i < 65536; i++) {
    lab.sent.length = 0
    pass(lab, 1)
  }
  lab.ping.drain(session)
  arrive(lab, answers(lab))
  const [event] = lab.ping.drain(session)
  t.like(event, { kind: 'reply', sequence: 1, timeMs: 0 })
})

test('events nobody takes away are bounded', (t) => {
  const lab = localLab()
  const session = begin(lab)
  const [answer] = answers(lab)
  for (let i = 0; i < 4100; i++) arrive(lab, [answer!])
  t.true(lab.ping.hasEvents())
  t.is(lab.ping.drain(session).length, 4096)
  t.false(lab.ping.hasEvents())
  t.is(lab.ping.lost(session), 4)
})

test('an empty pool: the request goes out later', (t) => {
  const lab = localLab({ pool: { packets: 1, largeSlots: 1, smallSlots: 1 } })
  const p = lab.packet(ipPacket({}, icmp(0, 0, 0)))
  const session = begin(lab)
  t.deepEqual(lab.sent, [])
  lab.packets.delivered(p)
  pass(lab, 1)
  t.is(lab.sent.length, 1)
  t.deepEqual(lab.ping.stop(session), { transmitted: 1, received: 0 })
})
