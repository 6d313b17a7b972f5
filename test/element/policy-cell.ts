/** A cell with three hosts, each of an app of its own, and hosts of two of these apps elsewhere: what the tests of policies have in common. */
import { createPolicyLab, packetOf, PROTOCOLS, type PolicyLab } from './policy-lab.js'
import type { Packet } from './policy-model.js'

export const A = '10.0.0.1' // app 11, port 1
export const B = '10.0.0.3' // app 12, port 3
export const C = '10.0.0.4' // app 13, port 4
export const FAR_A = '10.1.0.1' // of app 11
export const FAR_B = '10.1.0.2' // of app 12
export const ROUTER = '10.9.0.1'
export const PORT_OF: Record<string, number> = { [A]: 1, [B]: 3, [C]: 4 }
export const MARK_OF: Record<string, number> = { [FAR_A]: 11, [FAR_B]: 12 }

export const cell = (...policies: [from: number, to: number, protocol: string, port?: number][]): PolicyLab => {
  const lab = createPolicyLab()
  lab.setPort(1, 11, [A])
  lab.setPort(3, 12, [B])
  lab.setPort(4, 13, [C])
  for (const [from, to, protocol, port] of policies) allow(lab, from, to, protocol, port)
  return lab
}
export const allow = (lab: PolicyLab, from: number, to: number, protocol: string, port = 80): void => {
  lab.policies.add(from, to, PROTOCOLS[protocol]!, port, port)
}
export const forbid = (lab: PolicyLab, from: number, to: number, protocol: string, port = 80): void => {
  lab.policies.del(from, to, PROTOCOLS[protocol]!, port, port)
}

/** From its end to its other end; 'ok', or why it was dropped. `mark` in place of the right one, for what comes from elsewhere. */
export const pass = (lab: PolicyLab, p: Partial<Packet>, mark?: number): string => {
  const packet = packetOf(p)
  const [by, at] = [PORT_OF[packet.from], PORT_OF[packet.to]]
  const n = by === undefined ? lab.arrive(packet, mark ?? MARK_OF[packet.from] ?? 0) : lab.mark(packet, by)
  if (typeof n === 'string') return `source ${n}`
  if (at !== undefined) return lab.admit(n, at)
  lab.packets.transmitted(n)
  return 'ok'
}
export const back = (p: Partial<Packet>, more: Partial<Packet> = {}): Partial<Packet> => {
  const q = packetOf(p)
  return { ...q, from: q.to, to: q.from, sport: q.dport, dport: q.sport, ...more }
}

export const CALL: Partial<Packet> = { from: A, to: B }
export const CALL_IN: Partial<Packet> = { from: FAR_A, to: B }
export const CALL_OUT: Partial<Packet> = { from: A, to: FAR_B }

/** A connection between two hosts here: what follows of it is let in by comparison. */
export const settled = (lab: PolicyLab, call: Partial<Packet>): void => {
  for (const p of [call, back(call, { tcp: 'SA' }), { ...call, tcp: 'A' }, back(call, { tcp: 'A' }), { ...call, tcp: 'A' }]) pass(lab, p)
}
