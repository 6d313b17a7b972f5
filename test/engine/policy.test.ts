/**
 * Two cells with two hosts each, from file to frames: what reaches a host is what the policies of its own cell allow at that moment, and the
 * answers to that; all of it, and nothing else.
 */
import test from 'ava'
import fc from 'fast-check'
import type { Operation, PolicyProtocol } from '../../src/network/operations.js'
import { ipPacket, MF } from '../helpers/frames.js'
import { arrive, cellFile, createCell, macOf, sentBy, settle, type Cell } from '../network/cells-lab.js'
import { be16, ethernet } from '../oracle/naive-frames.js'

const APPS: Record<string, number> = { web: 1001, db: 1002, job: 65535 }
interface Host {
  name: string
  app: string
  cell: number
  address: string
}
const HOSTS: readonly Host[] = [
  { name: 'a', app: 'web', cell: 0, address: '10.255.96.3' }, { name: 'c', app: 'job', cell: 0, address: '10.255.96.4' },
  { name: 'b', app: 'db', cell: 1, address: '10.255.97.3' }, { name: 'd', app: 'web', cell: 1, address: '10.255.97.4' }
]
const UNDERLAY = ['192.168.77.1', '192.168.77.2'] as const

const apps = (cell: number): string =>
  `apps: { ${Object.entries(APPS).map(([name, id]) => `${name}: { id: ${id}, hosts: [${HOSTS.filter((h) => h.cell === cell && h.app === name).map((h) => h.name).join()}] }`).join(', ')} }`

const createCells = (gbp = true): [Cell, Cell] => [
  createCell(cellFile({ subnet: 96, underlay: UNDERLAY[0], remote: { subnet: 97, underlay: UNDERLAY[1] }, containers: { a: 3, c: 4 }, gbp, more: apps(0) }), 1),
  createCell(cellFile({ subnet: 97, underlay: UNDERLAY[1], remote: { subnet: 96, underlay: UNDERLAY[0] }, containers: { b: 3, d: 4 }, gbp, more: apps(1) }), 2)
]

type What = 'syn' | 'data' | 'udp' | 'ping' | 'fragments'
const PROTOCOL: Record<What, PolicyProtocol> = { syn: 'tcp', data: 'tcp', udp: 'udp', ping: 'icmp', fragments: 'udp' }
const NUMBER: Record<PolicyProtocol, number> = { icmp: 1, tcp: 6, udp: 17 }

const tcpHeader = (sport: number, dport: number, flags: number): number[] =>
  [...be16(sport), ...be16(dport), 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 4, 0, 0, 0, 0, 0]
const udpHeader = (sport: number, dport: number): number[] => [...be16(sport), ...be16(dport), 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]

const frame = (from: Host, to: Host, protocol: PolicyProtocol, payload: number[], flags = 0, id = 1): number[] =>
  ethernet(macOf('aa:aa', from.address), macOf('ee:ee', from.address), 0x0800, ipPacket({ src: from.address, dst: to.address, protocol: NUMBER[protocol], payload, flags, id }))

/** The packets of a request, sent with its port or identifier. */
const request = (what: What, from: Host, to: Host, sport: number, dport: number, id: number): number[][] => {
  switch (what) {
    case 'syn': return [frame(from, to, 'tcp', tcpHeader(sport, dport, 2))]
    case 'data': return [frame(from, to, 'tcp', tcpHeader(sport, dport, 16))]
    case 'udp': return [frame(from, to, 'udp', udpHeader(sport, dport))]
    case 'ping': return [frame(from, to, 'icmp', [8, 0, 0, 0, ...be16(sport), 0, 1])]
    case 'fragments': return [frame(from, to, 'udp', udpHeader(sport, dport), MF, id), frame(from, to, 'udp', [9, 9, 9, 9], 2, id)]
  }
}
/** What its receiver says to it; `isError`: port unreachable. */
const answer = (what: What, from: Host, to: Host, sport: number, dport: number, id: number, isError: boolean): number[] => {
  if (isError) return frame(to, from, 'icmp', [3, 3, 0, 0, 0, 0, 0, 0, ...request(what, from, to, sport, dport, id)[0]!.slice(14, 14 + 28)])
  switch (what) {
    case 'syn': return frame(to, from, 'tcp', tcpHeader(dport, sport, 18))
    case 'data': return frame(to, from, 'tcp', tcpHeader(dport, sport, 16))
    case 'ping': return frame(to, from, 'icmp', [0, 0, 0, 0, ...be16(sport), 0, 1])
    default: return frame(to, from, 'udp', udpHeader(dport, sport))
  }
}

interface Asked {
  what: What
  from: Host
  to: Host
  sport: number
  dport: number
  id: number
  second: number
}

const host = fc.constantFrom(...HOSTS)
const appName = fc.constantFrom(...Object.keys(APPS))
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('ask' as const), from: host, to: host, what: fc.constantFrom<What[]>('syn', 'data', 'udp', 'ping', 'fragments'), dport: fc.constantFrom(80, 90), sport: fc.constantFrom(80, 1000) })
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: fc.nat(), isError: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('policy' as const), add: fc.constantFrom(true, true, false), from: appName, to: appName, protocol: fc.constantFrom<PolicyProtocol[]>('tcp', 'udp', 'icmp'), ports: fc.constantFrom<[number, number][]>([80, 80], [80, 90]) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(1, 3, 40) }) }
)

test('a request arrives exactly if the policies at its destination allow it, and so does its answer', (t) => {
  let arrived = 0
  let denied = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), fc.boolean(), (steps, isEverywhere) => {
      const cells = createCells()
      /** What each cell's policies allow: lines of from, to, protocol and ports. */
      const rules: [Set<string>, Set<string>] = [new Set(), new Set()]
      const allows = (a: Asked): boolean => [...rules[a.to.cell]!].some((line) => {
        const [from, to, protocol, low, high] = line.split(' ')
        return from === a.from.app && to === a.to.app && protocol === PROTOCOL[a.what] && (protocol === 'icmp' || (a.dport >= Number(low) && a.dport <= Number(high)))
      })
      const asked: Asked[] = []
      const tried: Asked[] = []
      let second = 0
      let id = 0
      /** Sends frames from a host; how many reached the other host, and nobody else may have got one. */
      const deliver = (from: Host, to: Host, frames: readonly number[][]): number => {
        for (const f of frames) {
          cells[from.cell]!.lab.send(`${from.name}.eth0`, Uint8Array.from(f))
          settle(...cells)
        }
        let count = 0
        for (const h of HOSTS) {
          const got = cells[h.cell]!.lab.taken(`${h.name}.eth0`)
          if (h === to) count = got.length
          else if (got.length > 0) throw new Error(`${h.name} got what was for ${to.name}`)
        }
        return count
      }
      for (const s of steps) {
        if (s.kind === 'wait') {
          for (const { lab } of cells) lab.wait(s.seconds * 1000, 1000)
          second += s.seconds
        } else if (s.kind === 'policy') {
          const { from, to, protocol } = s
          const ports = protocol === 'icmp' ? undefined : s.ports
          const line = `${from} ${to} ${protocol} ${(ports ?? []).join(' ')}`
          for (const n of [0, 1]) {
            if (!isEverywhere && !HOSTS.some((h) => h.cell === n && h.app === to)) continue
            if (rules[n]!.has(line) === s.add) continue
            const o: Operation = { op: s.add ? 'policy.add' : 'policy.del', from, to, protocol, ...(ports === undefined ? {} : { ports }) }
            cells[n]!.lab.apply(o)
            if (s.add) rules[n]!.add(line)
            else rules[n]!.delete(line)
          }
        } else if (s.kind === 'ask') {
          const { kind: _, ...rest } = s
          if (s.from === s.to) continue
          const one: Asked = { ...rest, id: ++id, second }
          // To one that the other has tried, with the same ports, this would be an answer
          if (tried.some((o) => o.from === s.to && o.to === s.from && o.sport === s.dport && o.dport === s.sport && PROTOCOL[o.what] === PROTOCOL[s.what])) continue
          tried.push(one)
          const frames = request(s.what, s.from, s.to, s.sport, s.dport, id)
          const count = deliver(s.from, s.to, frames)
          if (count !== (allows(one) ? frames.length : 0)) throw new Error(`${JSON.stringify(one)}: ${count} arrived`)
          if (count > 0) {
            asked.push(one)
            arrived++
          } else denied++
        } else if (asked.length > 0) {
          const one = asked[s.which % asked.length]!
          const { what, from, to, sport, dport } = one
          const count = deliver(to, from, [answer(what, from, to, sport, dport, one.id, s.isError)])
          // A policy of the other direction may allow it as something of the answerer's own
          const isOwn = allows({ ...one, from: to, to: from, dport: sport })
          if (count > 0 && !allows(one) && !isOwn) throw new Error(`${JSON.stringify(one)}: answered, but denied`)
          // A connection whose opening was not seen is answered where its policy is known at both ends
          const isKnown = what !== 'data' || isEverywhere || from.cell === to.cell
          if (count === 0 && allows(one) && isKnown && second - one.second <= 25) throw new Error(`${JSON.stringify(one)}: not answered, error ${s.isError}`)
          if (count > 0) arrived++
          else denied++
        }
      }
      for (const { lab } of cells) if (lab.held() !== 0) throw new Error('a packet is held')
    }),
    { numRuns: 100 }
  )
  t.true(arrived > 100 && denied > 200, `${arrived} arrived, ${denied} denied`)
})

test('the mark is in the VXLAN header, and only the app\'s own', (t) => {
  const [one] = createCells()
  const [a, , b] = HOSTS
  one.lab.send('a.eth0', Uint8Array.from(request('syn', a!, b!, 1000, 80, 1)[0]!))
  one.lab.run()
  const [datagram] = sentBy(one)
  t.deepEqual(datagram!.slice(0, 8), [0x88, 0, 1001 >> 8, 1001 & 255, 0, 0, 1, 0])
  // The second packet of a conversation takes the short way: its mark is the same
  for (let i = 0; i < 3; i++) {
    one.lab.send('a.eth0', Uint8Array.from(request('data', a!, b!, 1000, 80, 1)[0]!))
    one.lab.run()
    t.deepEqual(sentBy(one)[0]!.slice(0, 4), [0x88, 0, 1001 >> 8, 1001 & 255])
  }
})

test('a peer without group policy: unmarked, denied, and said so', (t) => {
  const [one, two] = createCells(false)
  const [a, , b] = HOSTS
  two.lab.apply({ op: 'policy.add', from: 'web', to: 'db', protocol: 'tcp', ports: [80, 80] })
  one.lab.send('a.eth0', Uint8Array.from(request('syn', a!, b!, 1000, 80, 1)[0]!))
  one.lab.run()
  arrive(two, one.underlay, sentBy(one))
  t.is(two.lab.taken('b.eth0').length, 0)
  t.is(two.lab.drops('policy-unmarked'), 1)
})

test('what the cell\'s router says itself reaches its hosts, and what another cell\'s router says of a known conversation', (t) => {
  const [one, two] = createCells()
  const [a, c, b] = HOSTS
  // No time to live: the router of the own cell reports it
  const dying = (to: Host, ttl: number): Uint8Array => Uint8Array.from(ethernet(macOf('aa:aa', a!.address), macOf('ee:ee', a!.address), 0x0800,
    ipPacket({ src: a!.address, dst: to.address, protocol: 17, payload: udpHeader(1000, 80), ttl })))
  one.lab.send('a.eth0', dying(c!, 1))
  one.lab.run()
  t.is(one.lab.taken('a.eth0')[0]!.bytes[34], 11)
  // It ends at the other cell, whose router is known to nobody here but speaks of what a has sent
  one.lab.send('a.eth0', dying(b!, 2))
  settle(one, two)
  t.is(one.lab.taken('a.eth0')[0]!.bytes[34], 11)
  t.is(two.lab.taken('b.eth0').length, 0)
  t.is(two.lab.drops('ttl-exceeded'), 1)
})

test('a network without apps has no conversations', (t) => {
  const one = createCell(cellFile({ subnet: 96, underlay: UNDERLAY[0], remote: { subnet: 97, underlay: UNDERLAY[1] }, containers: { a: 3, c: 4 } }), 1)
  const [a, c] = HOSTS
  one.lab.send('a.eth0', Uint8Array.from(request('syn', a!, c!, 1000, 80, 1)[0]!))
  one.lab.run()
  t.is(one.lab.taken('c.eth0').length, 1)
  t.is(one.lab.network.engine.policy.flows.count(), 0)
})
