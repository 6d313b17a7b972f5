/** Whatever comes, whatever changes meanwhile: what is let in, what is dropped and why is what the model says. */
import test from 'ava'
import fc from 'fast-check'
import { createPolicyLab, packetOf, PROTOCOLS, type PolicyLab } from './policy-lab.js'
import { conversationName, mayGo, PolicyModel, type Packet } from './policy-model.js'

const HOSTS: Record<number, string[]> = { 1: ['10.0.0.1'], 2: ['10.0.0.2', '10.0.0.22'], 3: ['10.0.0.3'], 4: ['10.0.0.4'] }
const APPS: Record<number, number> = { 1: 11, 2: 12, 3: 12, 4: 65535 }
/** Hosts of other cells, and their apps; 0: of none. */
const REMOTE: Record<string, number> = { '10.1.0.1': 11, '10.1.0.2': 12, '10.1.0.9': 0 }
const PORTS = [80, 5000, 5001]
const PORT_OF: Record<string, number> = { '10.0.0.1': 1, '10.0.0.2': 2, '10.0.0.22': 2, '10.0.0.3': 3, '10.0.0.4': 4 }

const often = <T>(value: T, weight: number, ...others: [T, ...T[]]): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.constantFrom(...others) })

const local = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.3', '10.0.0.22', '10.0.0.4')
const remote = fc.constantFrom(...Object.keys(REMOTE))
const group = fc.constantFrom('224.0.0.5', '239.255.255.250', '255.255.255.255')
const port = fc.constantFrom(...PORTS)
const flags = fc.constantFrom('S', 'S', 'SA', 'A', 'A', 'A', 'FA', 'RA', 'R', 'F', 'SF', 'SR', '')
const type = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(8, 0, 8, 0, 13, 14) }, { weight: 4, arbitrary: fc.constantFrom(3, 11) },
  { weight: 1, arbitrary: fc.constantFrom(4, 5, 9, 10, 12, 15, 16, 17, 18, 40, 255) }
)

const packet = (from: fc.Arbitrary<string>, to: fc.Arbitrary<string>): fc.Arbitrary<Packet> => fc.record({
  frame: often('ip', 40, 'arp', 'ipv6', 'vlan', 'short', 'ihl', 'cut'), from, to, forgedMac: often(false, 40, true), groupMac: often(false, 20, true),
  protocol: fc.constantFrom('tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp', 'icmp', 'other'), sport: port, dport: port, tcp: flags, type,
  id: fc.constantFrom(7, 8, 0x800), fragment: often<Packet['fragment']>('none', 9, 'first', 'first', 1, 2, 3, 185), datagram: fc.constantFrom(1, 2),
  options: often(false, 8, true), lacks: often(0, 30, 1, 8), own: often(false, 30, true)
})

/** An ICMP error has something to quote: mostly what its receiver could have sent to somebody. */
const withQuote = (p: Packet, quoted: Packet): Packet =>
  p.protocol === 'icmp' && [3, 4, 5, 11, 12].includes(p.type) && p.fragment === 'none' && p.lacks === 0
    ? { ...p, quoted: { ...quoted, frame: 'ip', own: false, groupMac: false } } : p
const quotable = (p: Packet): fc.Arbitrary<Packet> =>
  packet(fc.oneof({ weight: 4, arbitrary: fc.constant(p.to) }, { weight: 1, arbitrary: local }), fc.oneof(fc.constant(p.from), local, remote))
    .map((q) => withQuote(p, q))

/** Ends that talk again and again. */
const TALKS: readonly Partial<Packet>[] = [
  { from: '10.0.0.1', to: '10.0.0.3', protocol: 'tcp', sport: 5000, dport: 80 },
  { from: '10.0.0.1', to: '10.0.0.22', protocol: 'udp', sport: 5000, dport: 5000 },
  { from: '10.1.0.1', to: '10.0.0.3', protocol: 'tcp', sport: 5000, dport: 80 },
  { from: '10.1.0.1', to: '10.0.0.2', protocol: 'udp', sport: 5000, dport: 5001 },
  { from: '10.0.0.1', to: '10.1.0.2', protocol: 'tcp', sport: 5000, dport: 80 },
  { from: '10.0.0.1', to: '10.1.0.2', protocol: 'udp', sport: 5000, dport: 5000 },
  { from: '10.0.0.3', to: '10.0.0.1', protocol: 'icmp' },
  { from: '10.1.0.2', to: '10.0.0.1', protocol: 'icmp' },
  { from: '10.0.0.1', to: '10.1.0.9', protocol: 'icmp' },
  { from: '10.0.0.4', to: '10.0.0.1', protocol: 'tcp', sport: 5000, dport: 5000 },
  { from: '10.1.0.9', to: '10.0.0.3', protocol: 'tcp', sport: 5000, dport: 80 }
]

/** What may be wrong with a packet of theirs: its frame, its MAC address, its length, the port it comes by or leaves by. */
type Spoil = 'none' | 'cut' | 'vlan' | 'mac' | 'lacks' | 'own' | 'by' | 'at'

type Step =
  | { kind: 'talk'; who: number; reversed: boolean; tcp: string; fragment: Packet['fragment']; mark: number; spoil: Spoil }
  | { kind: 'sent'; by: number; packet: Packet; at: number; lost: boolean }
  | { kind: 'arrived'; packet: Packet; mark: number; at: number }
  | { kind: 'again'; back: number; reversed: boolean; tcp: string; sport: number }
  | { kind: 'policy'; add: boolean; from: number; to: number; protocol: string; low: number; high: number }
  | { kind: 'wait'; seconds: number }
  | { kind: 'member'; port: number; app: number }

const start: Step[] = [
  { kind: 'policy', add: true, from: 11, to: 12, protocol: 'tcp', low: 80, high: 80 },
  { kind: 'policy', add: true, from: 11, to: 12, protocol: 'udp', low: 5000, high: 5001 },
  { kind: 'policy', add: true, from: 12, to: 11, protocol: 'icmp', low: 0, high: 0 }
]

const app = fc.constantFrom(11, 12, 65535)
const range = fc.constantFrom<[number, number][]>([80, 80], [5000, 5001], [1, 65535], [5001, 5001])

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.tuple(
      local.chain((from) => packet(often(from, 20, '10.0.0.3', '10.1.0.1', '0.0.0.0', '224.0.0.5'), fc.oneof(local, remote, { weight: 1, arbitrary: group })).chain(quotable)
        .map((p) => ({ p, by: PORT_OF[from]! }))), fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 3), often(false, 9, true)
    ).map(([{ p, by }, at, lost]): Step => ({ kind: 'sent', by, packet: p, at: at === 0 ? PORT_OF[p.to] ?? 0 : at, lost }))
  },
  {
    weight: 10,
    arbitrary: fc.tuple(
      packet(fc.oneof({ weight: 12, arbitrary: remote }, { weight: 1, arbitrary: local }), fc.oneof({ weight: 12, arbitrary: local }, { weight: 1, arbitrary: group })).chain(quotable),
      fc.constantFrom(-1, -1, -1, -1, -1, 0, 11, 0x80000, 0x4b0000 | 12), fc.constantFrom(0, 0, 0, 0, 0, 1, 3)
    ).map(([p, mark, at]): Step => ({
      kind: 'arrived', packet: p, mark: mark === -1 ? REMOTE[p.from] ?? 11 : mark, at: at === 0 ? PORT_OF[p.to] ?? 1 : at
    }))
  },
  {
    weight: 45,
    arbitrary: fc.record({
      kind: fc.constant('talk' as const), who: fc.nat(TALKS.length - 1), reversed: fc.boolean(),
      tcp: fc.constantFrom('S', 'S', 'SA', 'A', 'A', 'A', 'A', 'FA', 'R'), fragment: often<Packet['fragment']>('none', 6, 'first', 185, 185, 2),
      mark: often(-1, 20, 0, 11, 12), spoil: often<Spoil>('none', 20, 'cut', 'vlan', 'mac', 'lacks', 'own', 'by', 'at')
    })
  },
  // The same ends again, mostly the other way
  {
    weight: 15,
    arbitrary: fc.record({ kind: fc.constant('again' as const), back: fc.nat(5), reversed: fc.boolean(), tcp: flags, sport: often(0, 20, ...PORTS as [number]) })
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('policy' as const), add: fc.constantFrom(true, true, false), which: fc.constantFrom(0, 1, 2) })
      .map(({ add, which }): Step => ({ ...(start[which] as Step & { kind: 'policy' }), add }))
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('policy' as const), add: fc.boolean(), from: app, to: app, protocol: fc.constantFrom('tcp', 'udp', 'icmp'), range })
      .map(({ range: [low, high], ...rest }) => ({ ...rest, low, high }))
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(1, 9, 10, 11, 29, 30, 31, 60, 119, 120, 121, 299, 7201) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('member' as const), port: fc.constantFrom(1, 2, 3, 4), app: fc.constantFrom(0, 11, 12, 65535) }) }
)

const answerOf = (p: Packet, reversed: boolean, tcp: string, sport: number): Packet => {
  const type = { 8: 0, 0: 8, 13: 14, 14: 13 }[p.type] ?? p.type
  const { quoted, ...rest } = p
  const again: Packet = reversed
    ? { ...rest, from: p.to, to: p.from, sport: p.dport, dport: p.sport, type, tcp } : { ...p, tcp, sport: sport === 0 ? p.sport : sport }
  return { ...again, frame: 'ip', forgedMac: false, lacks: 0, ...(!reversed && quoted !== undefined ? { quoted } : {}) }
}

class Run {
  readonly lab: PolicyLab
  readonly model = new PolicyModel()
  readonly history: Packet[] = []
  letIn = 0
  constructor(readonly capacity: number, seed: number) {
    this.lab = createPolicyLab({ capacity, seed })
    this.model.now = this.lab.clock.second
    for (const p of [1, 2, 3, 4]) this.member(p, APPS[p]!)
  }

  member(at: number, id: number): void {
    if (id === 0) {
      this.lab.policy.clearPort(at)
      this.model.members.delete(at)
    } else {
      if (!this.lab.setPort(at, id, HOSTS[at]!)) throw new Error('an address is somebody else\'s')
      this.model.members.set(at, { app: id, addresses: HOSTS[at]! })
    }
    this.model.changes++
  }

  policy({ add, from, to, protocol, low, high }: Step & { kind: 'policy' }): void {
    const { policies } = this.lab
    const isSame = (r: { from: number; to: number; protocol: string; low: number; high: number }): boolean =>
      r.from === from && r.to === to && r.protocol === protocol && (protocol === 'icmp' || (r.low === low && r.high === high))
    const had = this.model.policies.some(isSame)
    if (add) {
      if ((policies.add(from, to, PROTOCOLS[protocol]!, low, high) >= 0) === had) throw new Error('policy add')
      if (!had) this.model.policies.push({ from, to, protocol, low, high })
    } else {
      if (policies.del(from, to, PROTOCOLS[protocol]!, low, high) !== had) throw new Error('policy del')
      this.model.policies = this.model.policies.filter((r) => !isSame(r))
    }
    if (add !== had) this.model.changes++
  }

  private check(what: string, p: Packet, is: string, should: () => string): void {
    this.model.isFull = is === 'flow-table-full'
    if (this.model.isFull && this.lab.flows.count() < this.capacity) throw new Error('refused without need')
    const expected = should()
    if (is !== expected) throw new Error(`${what} ${JSON.stringify(p)}: ${is}, and the model says ${expected}`)
    this.compareTables()
  }

  /** The same conversations are known; but those that may go may have gone when the table was full. */
  private compareTables(): void {
    const known = new Set(this.lab.conversations())
    for (const c of this.model.conversations.filter((one) => one.until >= this.model.now)) {
      if (known.delete(conversationName(c))) continue
      if (this.capacity > 1000 || !mayGo(c)) throw new Error(`forgotten: ${conversationName(c)}; there is ${[...known].join('; ')}`)
      this.model.conversations = this.model.conversations.filter((one) => one !== c)
    }
    if (known.size > 0) throw new Error(`invented: ${[...known].join('; ')}`)
    if (this.lab.flows.count() > this.capacity) throw new Error('too many')
  }

  sent(p: Packet, by: number, at: number, lost: boolean): void {
    const member = this.model.members.get(by)
    this.history.push(p)
    const n = this.lab.mark(p, by)
    this.check('mark', p, typeof n === 'string' ? n : 'ok', () => this.model.mark(p, by))
    if (typeof n === 'string') return
    if ((this.lab.packets.mark[n]! & 0xffff) !== member!.app) throw new Error('the mark')
    if (lost || !this.model.members.has(at)) this.lab.packets.transmitted(n)
    else this.reach(n, p, at, member!.app)
  }

  arrived(p: Packet, mark: number, at: number): void {
    this.history.push(p)
    if (this.model.members.has(at)) this.reach(this.lab.arrive(p, mark), p, at, mark & 0xffff)
  }

  private reach(n: number, p: Packet, at: number, mark: number): void {
    const is = this.lab.admit(n, at)
    this.check(`admit by ${at} with ${mark}`, p, is, () => this.model.admit(p, at, mark))
    if (is === 'ok' && !p.own) this.letIn++
  }

  /** From where it comes from to where it is for. `mark`, of those from elsewhere: -1 for the right one. */
  private between(p: Packet, mark: number): void {
    const by = PORT_OF[p.from]
    const at = PORT_OF[p.to] ?? 0
    if (by === undefined) this.arrived(p, mark < 0 ? REMOTE[p.from] ?? 0 : mark, at)
    else if (this.model.members.has(by)) this.sent(p, by, at, false)
  }

  private spoilt(p: Packet, { spoil, mark }: Step & { kind: 'talk' }): void {
    switch (spoil) {
      case 'cut':
      case 'vlan': return this.between({ ...p, frame: spoil }, mark)
      case 'mac': return this.between({ ...p, forgedMac: true }, mark)
      case 'lacks': return this.between({ ...p, lacks: 1 }, mark)
      case 'own': return this.arrived({ ...p, own: true }, 0, PORT_OF[p.to] ?? 1)
      case 'by': return this.model.members.has(4) ? this.sent(p, 4, PORT_OF[p.to] ?? 0, false) : undefined
      case 'at': return PORT_OF[p.from] === undefined ? this.arrived(p, REMOTE[p.from] ?? 0, 4) : this.arrived(p, 0, PORT_OF[p.to] ?? 4)
      case 'none': return this.between(p, mark)
    }
  }

  step(s: Step): void {
    switch (s.kind) {
      case 'sent':
        if (this.model.members.has(s.by)) this.sent(s.packet, s.by, s.at, s.lost)
        break
      case 'arrived':
        this.arrived(s.packet, s.mark, s.at)
        break
      case 'again': {
        const before = this.history[this.history.length - 1 - s.back]
        if (before === undefined) break
        const p = answerOf(before, s.reversed, s.tcp, s.sport)
        this.between(p, -1)
        break
      }
      case 'talk': {
        const p = packetOf({ ...TALKS[s.who]!, tcp: s.tcp, fragment: s.fragment })
        const one = s.reversed ? answerOf(p, true, s.tcp, 0) : p
        this.spoilt(one, s)
        if (s.fragment === 'first') this.between({ ...one, fragment: 185 }, -1)
        break
      }
      case 'policy':
        this.policy(s)
        break
      case 'wait':
        this.lab.wait(s.seconds)
        this.model.now += s.seconds
        if (s.seconds % 2 === 1) this.lab.policy.sweep()
        break
      case 'member':
        this.member(s.port, s.app)
    }
  }

  end(): void {
    const { packets } = this.lab
    if (packets.packetsInUse() !== 0) throw new Error('a packet is left')
  }
}

const compare = (capacity: number, runs: number, steps: number): number => {
  let letIn = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: steps, size: 'max' }), fc.integer(), (list, seed) => {
      const run = new Run(capacity, seed)
      for (const s of start) run.step(s)
      for (const s of list) run.step(s)
      run.end()
      letIn += run.letIn
    }),
    { numRuns: runs, endOnFailure: false }
  )
  return letIn
}

test('random conversations: every decision is the model\'s, and so are the conversations known', (t) => {
  const letIn = compare(4096, 250, 150)
  t.true(letIn > 1000, `${letIn} let in`)
})

test('a table that is far too small: the same, but that unanswered and closing conversations may be forgotten, and new ones refused', (t) => {
  const letIn = compare(6, 200, 150)
  t.true(letIn > 500, `${letIn} let in`)
})
