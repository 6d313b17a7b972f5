/** Nothing is allocated by packet at apps' ports. Growth of the heap between two points without a collection. */
import test from 'ava'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createPolicyLab, packetOf, PROTOCOLS } from './policy-lab.js'
import type { Packet } from './policy-model.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const A = '10.0.0.1'
const B = '10.0.0.3'
const FAR = '10.1.0.1'

/** Packets by the port they come by: 1 and 3 are those of A and B, 9 is elsewhere; and the port they leave by. */
type Load = [by: number, p: Partial<Packet>, at: number][]

const conversation = (sport: number): Load => [
  [1, { from: A, to: B, sport, tcp: 'A' }, 3], [3, { from: B, to: A, sport: 80, dport: sport, tcp: 'A' }, 1]
]
const loads: Record<string, Load> = {
  'one conversation': conversation(1000),
  'many conversations': Array.from({ length: 50 }, (_, i) => conversation(1000 + i)).flat(),
  'connections that open and close': [
    [1, { from: A, to: B, tcp: 'S' }, 3], [3, { from: B, to: A, sport: 80, dport: 1000, tcp: 'SA' }, 1], [1, { from: A, to: B, tcp: 'A' }, 3],
    [1, { from: A, to: B, tcp: 'R' }, 3]
  ],
  'from elsewhere': [[9, { from: FAR, to: B, protocol: 'udp' }, 3], [9, { from: FAR, to: B, tcp: 'A' }, 3]],
  'pings, errors and fragments': [
    [1, { from: A, to: B, protocol: 'icmp' }, 3], [3, { from: B, to: A, protocol: 'icmp', type: 0 }, 1],
    [3, { from: B, to: A, protocol: 'icmp', type: 3, quoted: packetOf({ from: A, to: B, protocol: 'icmp' }) }, 1],
    [9, { from: FAR, to: B, protocol: 'udp', fragment: 'first' }, 3], [9, { from: FAR, to: B, protocol: 'udp', fragment: 185 }, 3]
  ],
  'denied': [[1, { from: A, to: B, dport: 81, protocol: 'udp' }, 3], [9, { from: FAR, to: B, dport: 81, tcp: 'S' }, 3], [1, { from: FAR, to: B }, 3]]
}

for (const [name, load] of Object.entries(loads)) {
  test(name, (t) => {
    const lab = createPolicyLab({ pool: { packets: 128, smallSlots: 120 } })
    const { packets, policy, policies } = lab
    lab.setPort(1, 11, [A])
    lab.setPort(3, 12, [B])
    for (const protocol of ['tcp', 'udp', 'icmp']) policies.add(11, 12, PROTOCOLS[protocol]!, 80, 80)
    const templates = Int32Array.from(load, ([by, p]) => lab.put(packetOf(p), by))
    const [by, at] = [Int32Array.from(load, ([port]) => port), Int32Array.from(load, ([, , port]) => port)]
    let letIn = 0
    const turn = (): void => {
      for (let i = 0; i < templates.length; i++) {
        const from = templates[i]!
        const p = packets.originate(packets.length[from]!, by[i]!)
        packets.flags[p] = 0
        packets.bytes.copyWithin(packets.start[p]!, packets.start[from]!, packets.start[from]! + packets.length[from]!)
        if (by[i] === 9) packets.mark[p] = 11
        else if (!policy.mark(p, by[i]!)) continue
        if (!policy.admit(p, at[i]!)) continue
        packets.transmitted(p)
        letIn++
      }
      lab.clock.now += 0.25
      if (letIn % 1000 === 0) lab.clock.second++
    }
    const turns = Math.ceil(4000 / load.length)
    for (let i = 0; i < turns * 5; i++) turn()
    // Until the code is compiled, numbers are objects; on a busy machine that takes its time
    let least = Infinity
    for (let runs = 0; runs < 100 && least / (turns * load.length) >= 1; runs++) {
      collect()
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < turns; i++) turn()
      least = Math.min(least, process.memoryUsage().heapUsed - before)
    }
    // The least object has 16 bytes; a turn makes a number, the clock's
    const each = least / (turns * load.length)
    t.true(each < 12, `${each} bytes a packet`)
    t.is(letIn === 0, name === 'denied')
    t.log(`${each.toFixed(2)} bytes a packet`)
  })
}
