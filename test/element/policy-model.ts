/**
 * What policies mean, said as plainly as possible: packets are objects, tables are lists, nothing is remembered that can be asked again.
 * Written from what policies are to do, without the code under test.
 */

/** A packet as the model sees it. */
export interface Packet {
  /** What the frame carries. 'short' ends within its IPv4 header, 'ihl' has a header length of 4 words, 'cut' ends before its total length. */
  frame: 'ip' | 'arp' | 'ipv6' | 'vlan' | 'short' | 'ihl' | 'cut'
  from: string
  to: string
  /** Ethernet source is another station's. */
  forgedMac: boolean
  groupMac: boolean
  protocol: 'tcp' | 'udp' | 'icmp' | 'other'
  sport: number
  dport: number
  /** Letters of SYN, ACK, FIN, RST. */
  tcp: string
  type: number
  id: number
  /** Of an ICMP error. */
  quoted?: Packet
  /** A first fragment, a later one at this offset in units of 8, or none. */
  fragment: number | 'first' | 'none'
  datagram: number
  /** IPv4 options. */
  options: boolean
  /** Bytes of the transport header that are missing. */
  lacks: number
  /** Made by our own router. */
  own: boolean
}

export interface Policy {
  from: number
  to: number
  protocol: string
  low: number
  high: number
}

export interface Member {
  app: number
  addresses: string[]
}

type End = { address: string; port: number }

export interface Conversation {
  protocol: string
  /** ICMP: the type of the request. */
  request: number
  originator: End
  responder: End
  /** App of the originator, as far as its packets have told. */
  from: number
  state: string
  closed: Set<string>
  unseen: boolean
  until: number
}

interface Decision {
  key: string
  mark: number
  until: number
  policies: number
}

const OK = 'ok'
const SECONDS: Record<string, number> = {
  unreplied: 30, replied: 120, query: 30, midstream: 300, 'syn-sent': 120, 'syn-recv': 60, established: 7200, 'fin-wait': 120, 'time-wait': 120, close: 10
}
/** May be pushed out of a full table. */
export const mayGo = (c: Conversation): boolean => c.state !== 'established' && c.state !== 'replied'

const isGroup = (address: string): boolean => {
  const first = Number(address.split('.')[0])
  return (first >= 224 && first <= 239) || address === '255.255.255.255'
}
const REQUESTS = [8, 13, 15, 17]
/** Type of the request that an answer answers. */
const ANSWERS = new Map([[0, 8], [14, 13], [16, 15], [18, 17]])
const ERRORS = [3, 4, 5, 11, 12]
/** Bytes of a transport header, and how many of them an ICMP error quotes at least (RFC 792): enough to know a conversation by. */
const HEADERS: Record<Packet['protocol'], number> = { tcp: 20, udp: 8, icmp: 8, other: 4 }
const QUOTED = 8
const opensTcp = (p: Packet): boolean => p.tcp.includes('S') && !p.tcp.includes('A') && !p.tcp.includes('R')
const same = (a: End, b: End): boolean => a.address === b.address && a.port === b.port

export const conversationName = (c: Conversation): string =>
  `${c.protocol}${c.protocol === 'icmp' ? c.request : ''} ${c.originator.address}:${c.originator.port} ${c.responder.address}:${c.responder.port} ${c.state} ${c.until}`

export class PolicyModel {
  now = 0
  policies: Policy[] = []
  members = new Map<number, Member>()
  conversations: Conversation[] = []
  decisions: Decision[] = []
  /** Goes up with every change of policies and members. */
  changes = 0
  /** The table under test says that it is full. */
  isFull = false

  private ownerOf(address: string): number {
    for (const [port, m] of this.members) if (m.addresses.includes(address)) return port
    return -1
  }

  private appAt(address: string): number {
    return this.members.get(this.ownerOf(address))?.app ?? 0
  }

  allows(from: number, to: number, protocol: string, port: number): boolean {
    return from !== 0 && this.policies.some((r) =>
      r.from === from && r.to === to && r.protocol === protocol && (protocol === 'icmp' || (port >= r.low && port <= r.high)))
  }

  private ageOut(): void {
    this.conversations = this.conversations.filter((c) => c.until >= this.now)
  }

  /** May the conversation go on? `mark`: of the packet in hand. */
  private goesOn(c: Conversation, mark: number): boolean {
    if (this.ownerOf(c.originator.address) >= 0) c.from = this.appAt(c.originator.address)
    const port = c.protocol === 'icmp' ? 0 : c.responder.port
    if (this.ownerOf(c.responder.address) >= 0) return this.allows(c.from, this.appAt(c.responder.address), c.protocol, port)
    if (!c.unseen) return true
    if (!this.allows(c.from, mark, c.protocol, port)) return false
    c.unseen = false
    return true
  }

  /** The conversation of a packet, and whether it comes from the responder. */
  private find(p: Packet): { c: Conversation; reply: boolean } | undefined {
    const { a, b, request } = this.ends(p)
    for (const c of this.conversations) {
      if (c.protocol !== p.protocol || c.request !== request) continue
      if (p.protocol === 'icmp') {
        // Asker and asked are told by the type
        if (same(c.originator, a) && same(c.responder, b)) return { c, reply: ANSWERS.has(p.type) }
      } else {
        if (same(c.originator, a) && same(c.responder, b)) return { c, reply: false }
        if (same(c.originator, b) && same(c.responder, a)) return { c, reply: true }
      }
    }
    return undefined
  }

  private ends(p: Packet): { a: End; b: End; request: number } {
    if (p.protocol !== 'icmp') return { a: { address: p.from, port: p.sport }, b: { address: p.to, port: p.dport }, request: 0 }
    const answered = ANSWERS.get(p.type)
    const from = { address: p.from, port: p.id }
    const to = { address: p.to, port: p.id }
    return answered === undefined ? { a: from, b: to, request: p.type } : { a: to, b: from, request: answered }
  }

  private refresh(c: Conversation): void {
    c.until = this.now + SECONDS[c.state]!
  }

  private track(c: Conversation, p: Packet, reply: boolean): void {
    if (c.protocol === 'udp' && reply) c.state = 'replied'
    if (c.protocol === 'tcp') this.trackTcp(c, p, reply)
    this.refresh(c)
  }

  private trackTcp(c: Conversation, p: Packet, reply: boolean): void {
    const closing = ['fin-wait', 'time-wait', 'close'].includes(c.state)
    if (p.tcp.includes('R')) c.state = 'close'
    else if (opensTcp(p)) {
      if (closing || (!reply && c.state === 'midstream')) {
        c.state = 'syn-sent'
        c.closed.clear()
        if (!reply) c.unseen = false
      }
    } else if (p.tcp.includes('F') && c.state !== 'time-wait' && c.state !== 'close') {
      c.closed.add(reply ? 'responder' : 'originator')
      c.state = c.closed.size === 2 ? 'time-wait' : 'fin-wait'
    } else if (reply && c.state === 'syn-sent') c.state = 'syn-recv'
    else if (reply && c.state === 'midstream') c.state = 'established'
    else if (!reply && c.state === 'syn-recv' && !p.tcp.includes('S')) c.state = 'established'
  }

  /** Sets what a first packet says. */
  private begin(c: Conversation, p: Packet, from: number): void {
    const { a, b } = this.ends(p)
    c.originator = a
    c.responder = b
    c.from = from
    c.closed = new Set()
    c.unseen = p.protocol === 'tcp' && !opensTcp(p)
    c.state = p.protocol === 'udp' ? 'unreplied' : p.protocol === 'icmp' ? 'query' : opensTcp(p) ? 'syn-sent' : 'midstream'
    this.refresh(c)
  }

  private open(p: Packet, from: number): string {
    if (this.isFull) return 'flow-table-full'
    const c = { protocol: p.protocol, request: this.ends(p).request } as Conversation
    this.begin(c, p, from)
    this.conversations.push(c)
    return OK
  }

  private malformed(p: Packet): string {
    if (p.frame === 'short' || p.frame === 'cut') return 'ip-truncated'
    if (p.frame === 'ihl') return 'ip-header-invalid'
    if (typeof p.fragment === 'number' || p.lacks === 0 || p.protocol === 'other') return OK
    return `${p.protocol}-malformed`
  }

  private isAnswer(p: Packet): boolean {
    return p.protocol === 'icmp' && ANSWERS.has(p.type)
  }

  /** TCP, UDP, and ICMP requests and answers have conversations. */
  private mayConverse(p: Packet): boolean {
    return p.protocol === 'tcp' || p.protocol === 'udp' || (p.protocol === 'icmp' && (REQUESTS.includes(p.type) || ANSWERS.has(p.type)))
  }

  private opens(p: Packet): boolean {
    return this.mayConverse(p) && !this.isAnswer(p) && !(p.protocol === 'tcp' && p.tcp.includes('R'))
  }

  /** Comes in by an app's port: 'ok', or the reason why it is dropped. */
  mark(p: Packet, port: number): string {
    this.ageOut()
    const m = this.members.get(port)!
    if (p.forgedMac) return 'app-source-forged'
    if (p.frame === 'arp') return m.addresses.includes(p.from) || p.from === '0.0.0.0' ? OK : 'app-source-forged'
    if (p.frame === 'ipv6' || p.frame === 'vlan') return 'app-not-ip'
    const bad = this.malformed(p)
    if (bad !== OK) return bad
    if (!m.addresses.includes(p.from)) return 'app-source-forged'
    if (typeof p.fragment !== 'number' && p.protocol === 'icmp' && ERRORS.includes(p.type)) return this.isOfEnded(p, m.app) ? 'policy-denied' : OK
    if (typeof p.fragment === 'number' || !this.mayConverse(p)) return OK
    const found = this.find(p)
    if (found === undefined) return this.opens(p) && !p.groupMac && !isGroup(p.to) ? this.open(p, m.app) : OK
    const { c, reply } = found
    if (!reply) {
      c.from = m.app
      this.track(c, p, false)
      return OK
    }
    if (this.ownerOf(c.originator.address) >= 0 || this.goesOn(c, m.app)) {
      this.track(c, p, true)
      return OK
    }
    if ((p.protocol === 'tcp' && opensTcp(p)) || this.allows(m.app, c.from, p.protocol, p.dport)) {
      if (this.opens(p)) this.begin(c, p, m.app)
      return OK
    }
    this.refresh(c)
    return 'policy-denied'
  }

  /** Does a host report about a packet of a conversation that others have opened, and that may not go on? */
  private isOfEnded(p: Packet, mark: number): boolean {
    const q = this.quotedOf(p)
    const found = q === undefined || q.to !== p.from ? undefined : this.find(q)
    return found !== undefined && !found.reply && this.ownerOf(found.c.originator.address) < 0 && !this.goesOn(found.c, mark)
  }

  private quotedOf(p: Packet): Packet | undefined {
    const q = p.quoted
    return q === undefined || HEADERS[q.protocol] - q.lacks < QUOTED || typeof q.fragment === 'number' || !this.mayConverse(q) ? undefined : q
  }

  private isRelated(p: Packet, mark: number): boolean {
    const q = this.quotedOf(p)
    if (q === undefined) return false
    if (q.from !== p.to || (mark !== 0 && q.to !== p.from)) return false
    const found = this.find(q)
    return found !== undefined && this.goesOn(found.c, mark)
  }

  /** Would leave by an app's port: 'ok', or the reason why it is dropped. */
  admit(p: Packet, port: number, mark: number): string {
    this.ageOut()
    if (p.own || p.frame === 'arp') return OK
    if (p.frame === 'ipv6' || p.frame === 'vlan') return 'app-not-ip'
    const bad = this.malformed(p)
    if (bad !== OK) return bad
    const owner = this.ownerOf(p.from)
    const key = `${p.from} ${p.to} ${p.datagram} ${p.protocol} ${port}`
    const why = owner >= 0 && this.members.get(owner)!.app !== mark ? 'app-source-forged' : this.decide(p, port, mark, key)
    if (p.fragment === 'first') {
      this.decisions = this.decisions.filter((d) => d.key !== key)
      if (why === OK) this.decisions.push({ key, mark, until: this.now + 30, policies: this.changes })
    }
    return why
  }

  private decide(p: Packet, port: number, mark: number, key: string): string {
    const m = this.members.get(port)!
    const isHost = m.addresses.includes(p.to)
    if (!isHost && !p.groupMac && !isGroup(p.to)) return 'app-address-foreign'
    if (typeof p.fragment === 'number') {
      if (p.protocol === 'tcp' && p.fragment < 3) return 'policy-fragment'
      return this.decisions.some((d) => d.key === key && d.mark === mark && d.until >= this.now && d.policies === this.changes) ? OK : 'policy-fragment'
    }
    if (p.protocol === 'other') return mark === 0 ? 'policy-unmarked' : 'policy-denied'
    if (isHost && p.protocol === 'icmp' && ERRORS.includes(p.type) && this.isRelated(p, mark)) return OK
    const found = isHost && this.mayConverse(p) ? this.find(p) : undefined
    const isSyn = p.protocol === 'tcp' && opensTcp(p)
    if (found !== undefined) {
      const { c, reply } = found
      if (reply ? !isSyn && this.goesOn(c, mark) : c.from === mark && this.goesOn(c, mark)) {
        this.track(c, p, reply)
        return OK
      }
    }
    if (!this.allows(mark, m.app, p.protocol, p.dport)) return mark === 0 ? 'policy-unmarked' : 'policy-denied'
    if (!isHost || p.groupMac) return OK
    if (found === undefined) return this.opens(p) ? this.open(p, mark) : OK
    const { c, reply } = found
    if (!reply) {
      c.from = mark
      this.track(c, p, false)
    } else if (this.goesOn(c, mark)) this.track(c, p, true)
    else if (this.opens(p)) this.begin(c, p, mark)
    return OK
  }
}
