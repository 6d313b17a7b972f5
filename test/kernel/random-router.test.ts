/** Random IPv4 packets, most of them valid, into the kernel's router and ours: what comes out is the same. */
import test from 'ava'
import fc from 'fast-check'
import { be16, echo, ethernet, ip4, tcp, udp, zeros } from '../oracle/naive-frames.js'
import { createNormaliser, line, summary } from '../helpers/compare.js'
import { ALL, data, DF, ICMP, ipPacket, MF, TCP, UDP, type Ip } from '../helpers/frames.js'
import { netnsTest } from '../helpers/netns.js'
import { ownAddresses, type Sent } from './box.js'
import { allClosed } from './kernel-box.js'
import { A, A2, A_MAC, B, FAR, NEAR, R0, router, withLinks } from './router-plan.js'
import { sideBySide } from './side-by-side.js'

const RUNS = 1500
const SEED = 20260
/** Between two packets, so that nobody's rate limit is reached here; the kernel's are off. */
const PAUSE = 1100
const END = 0
const RECORD_ROUTE = 7
const TIMESTAMP = 68
/** Commercial IP security: what the kernel does with it depends on how it was built. */
const CIPSO = 134

const plan = withLinks({ eth0: { sendRedirects: false }, eth1: { mtu: 1000, sendRedirects: false } }, {
  routes: [...router().routes!, { to: '0.0.0.0/1', nexthops: [{ via: '10.1.2.254' }] }],
  sysctls: { 'ipv4/icmp_ratelimit': 0, 'ipv4/icmp_msgs_per_sec': 100_000, 'ipv4/icmp_msgs_burst': 100_000 }
})

const text = (n: number): string => be16(n >>> 16).concat(be16(n & 0xffff)).join('.')
/** Anything but what is on the links, where nobody would answer ARP. */
const anyAddress = fc.integer({ min: 0, max: 0xffffffff }).map(text).filter((a) => !/^10\.1\.[12]\./.test(a))
const special = ['0.0.0.0', '127.0.0.1', '224.0.0.1', '239.1.1.1', '255.255.255.255', NEAR, FAR]
const someAddress = fc.constantFrom(...special, '240.0.0.1', '169.254.1.1')
const distant = fc.noBias(fc.nat(0xffff)).map((n) => `10.9.${be16(n).join('.')}`)
const source = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(A, A2, '10.8.1.1') }, { weight: 3, arbitrary: distant },
  { weight: 1, arbitrary: someAddress }, { weight: 1, arbitrary: anyAddress })
/**
 * Deviation: the kernel limits unreachables by a further bucket, one a source, which without a rate limit is emptied by the first of them when
 * a tick comes in the middle (inetpeer.c); so these come from a new source each, and once.
 */
const isUnreachable = (dst: string): boolean => !/^10\.(1|8|9)\./.test(dst) && !special.includes(dst)
const destination = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(B, '10.9.1.2', '10.8.1.2', A2) }, { weight: 5, arbitrary: fc.constantFrom(NEAR, FAR) },
  { weight: 2, arbitrary: fc.constantFrom('10.66.1.1', '10.66.2.1', '10.66.3.1', '172.16.0.1', '10.1.1.255', '10.1.2.255') },
  { weight: 1, arbitrary: someAddress }, { weight: 1, arbitrary: anyAddress }
)

/** A value most of the time left out, which means right. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 30, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

const word = fc.nat(0xffff)
const bytes = (maxLength: number) => fc.array(fc.integer({ min: 0, max: 255 }), { maxLength })
const option = fc.oneof(
  fc.constantFrom([1], [148, 4, 0, 0], [0x5e, 4, 1, 2], [0x9e, 6, 1, 2, 3, 4], [RECORD_ROUTE, 11, 4, ...zeros(8)],
    [TIMESTAMP, 12, 5, 0, ...zeros(8)], [131, 7, 4, ...ip4(B)], [END]),
  bytes(6).map((b) => b.map((x) => (x === CIPSO ? 1 : x)))
)
const options = fc.oneof({ weight: 5, arbitrary: fc.constant<number[]>([]) },
  { weight: 1, arbitrary: fc.array(option, { maxLength: 5 }).map((list) => list.flat().slice(0, 40)) })

interface Packet extends Ip {
  frame: number[]
}

/** What travels inside, with right checksums for these addresses or just bytes. */
const payload = (src: string, dst: string): fc.Arbitrary<Pick<Ip, 'protocol' | 'payload'>> => fc.oneof(
  bytes(64).map((b) => ({ protocol: 253, payload: b })),
  fc.record({ protocol: fc.constantFrom(0, ICMP, TCP, UDP, 99, 200, 255), payload: bytes(80) }),
  fc.integer({ min: 0, max: 1480 }).map((n) => ({ protocol: 253, payload: data(n) })),
  fc.tuple(word, word, fc.nat(1400)).map(([id, n, size]) => ({ protocol: ICMP, payload: echo(8, id, n, data(size)) })),
  fc.tuple(word, word, fc.nat(100)).map(([s, d, size]) => ({ protocol: UDP, payload: udp(src, s, dst, d, data(size)) })),
  fc.tuple(word, fc.nat(0x1ff), fc.nat(0xffffffff), fc.nat(20)).map(([s, flags, seq, size]) =>
    ({ protocol: TCP, payload: tcp(src, s, dst, 80, data(size), { flags, seq, ack: seq ^ 0x5555 }) }))
)

/** Fragments that stay for reassembly would expire by different clocks: only fragments that are forwarded. */
const isForwarded = (dst: string): boolean =>
  ![NEAR, FAR, '10.1.1.255', '255.255.255.255'].includes(dst) && Number(dst.split('.')[0]) < 224

const addresses = fc.tuple(source, distant, destination).map(([src, far, dst]) => [isUnreachable(dst) ? far : src, dst] as const)
const ttl = fc.oneof({ weight: 2, arbitrary: fc.constant(64) }, { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 255) },
  { weight: 1, arbitrary: fc.nat(255) })
const station = fc.oneof({ weight: 15, arbitrary: fc.constant(R0) },
  { weight: 1, arbitrary: fc.constantFrom(ALL, '01:00:5e:00:00:01', '02:00:00:00:01:44') })
const flagsForwarded = fc.oneof(fc.constantFrom(0, DF, MF, 0x8000, 5, MF | 100), word)
const flagsLocal = fc.constantFrom(0, DF, 0x8000)

const packet: fc.Arbitrary<Packet> = addresses
  .chain(([src, dst]) => fc.record({
  tos: fc.nat(255), id: fc.nat(0xffff), inside: payload(src, dst), options,
  ttl, to: station, flags: isForwarded(dst) ? flagsForwarded : flagsLocal,
  version: seldom(fc.nat(15)), ihl: seldom(fc.nat(15)), total: seldom(fc.nat(200)), checksum: seldom(fc.nat(0xffff)),
  padding: fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, { weight: 1, arbitrary: bytes(20) })
}).map(({ inside, to, padding, version, ihl, total, checksum, ...rest }): Packet => {
  const given = Object.fromEntries(Object.entries({ version, ihl, total, checksum }).filter(([, value]) => value !== undefined))
  const p: Ip = { src, dst, ...rest, ...inside, ...given }
  return { ...p, frame: [...ethernet(to, A_MAC, 0x0800, ipPacket(p)), ...padding] }
}))

netnsTest(test)(`random packets (seed ${SEED})`, (t) => {
  const own = ownAddresses(plan)
  sideBySide(t, plan, RUNS / 2, ({ compare, wait }) => {
    // No shrinking: packets are small, and each is looked at by itself
    for (const { frame, dst } of fc.sample(packet, { numRuns: RUNS, seed: SEED })) {
      wait(PAUSE)
      // Deviation: errors quote options as they came, without what the kernel has written into them
      const written = frame.slice(34, 14 + (frame[14]! & 15) * 4)
      const whole = ![END, RECORD_ROUTE, TIMESTAMP].some((type) => written.includes(type))
      const send = (): readonly Sent[] => compare({ send: 'eth0', frame }, () => `sent:\n  ${line('eth0', frame)}`, (frames) => {
        const normalise = createNormaliser(own)
        return frames.map((f) => line(f.port, normalise(f.bytes))).map((l) => (whole ? l : summary(l)))
      })
      // What is forwarded is sent once more: now its way is known
      if (send().some(({ port }) => port === 'eth1') && !isUnreachable(dst)) send()
    }
  })
})

test.after.always(allClosed)
