import test from 'ava'
import fc from 'fast-check'
import { NEIGH_ADD, NUD_DELAY, NUD_INCOMPLETE, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE } from '../../src/table/neighbors.js'
import { BROADCAST, FAR_MAC, PORT0, ROUTER_MAC, ZERO, arpFrame, arpLab, hex, ip, mac, macHex, outstanding } from '../helpers/arp-lab.js'

const A = '02:42:0a:01:01:02'
const B = '02:42:0a:01:01:99'
type Lab = ReturnType<typeof arpLab>

const request = (sender: string, target: string, station = A, dst = BROADCAST): string =>
  arpFrame(dst, station, 1, station, sender, ZERO, target)
const answer = (sender: string, station = A, dst = ROUTER_MAC): string =>
  arpFrame(dst, station, 2, station, sender, ROUTER_MAC, '10.1.1.3')
const reply = (target: string, sender: string, station = A): string =>
  `${PORT0}: ${arpFrame(station, ROUTER_MAC, 2, ROUTER_MAC, target, station, sender)}`
const macOf = (lab: Lab, address: string): string => {
  const row = lab.neighbors.lookup(lab.eth0, ip(address))
  const b = Buffer.alloc(6)
  b.writeUInt16LE(lab.neighbors.macHi[row]!)
  b.writeInt32LE(lab.neighbors.macLo[row]!, 2)
  return b.toString('hex')
}
const delivered = (lab: Lab): number => lab.packets.balance[5]!
const reachable = (lab: Lab): void => {
  lab.send(1, '10.1.1.2')
  lab.receive(answer('10.1.1.2'))
  lab.take()
}

test('answers a request for its address and remembers who asked', (t) => {
  const lab = arpLab()
  lab.receive(hex(`
    ffffffffffff 02420a010102 0806
    0001 0800 06 04 0001 02420a010102 0a010102 000000000000 0a010103`))
  t.deepEqual(lab.take(), [`10: ${hex(`
    02420a010102 020000000103 0806
    0001 0800 06 04 0002 020000000103 0a010103 02420a010102 0a010102`)}`])
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  t.is(delivered(lab), 1)
  t.deepEqual(lab.drops(), {})
  t.is(lab.packets.packetsInUse(), 0)
})

test('tolerates padding, and answers a request sent to its own MAC address', (t) => {
  const lab = arpLab()
  lab.receive(request('10.1.1.2', '10.1.1.3', A, ROUTER_MAC) + '00'.repeat(18))
  t.deepEqual(lab.take(), [reply('10.1.1.3', '10.1.1.2')])
})

test('answers for every address of the stack, with the MAC address of the interface asked', (t) => {
  const lab = arpLab()
  lab.receive(request('10.1.1.2', '10.1.2.3'))
  t.deepEqual(lab.take(), [reply('10.1.2.3', '10.1.1.2')])
})

test('does not answer for others', (t) => {
  const lab = arpLab()
  lab.receive(request('10.1.1.2', '10.1.1.4'))
  t.deepEqual(lab.take(), [])
  t.is(lab.stateOf('10.1.1.2'), -1)
  t.deepEqual(lab.drops(), { 'arp-ignored': 1 })
})

test('answers an address probe for an own address and learns nothing from it', (t) => {
  const lab = arpLab()
  lab.receive(request('0.0.0.0', '10.1.1.3'))
  t.deepEqual(lab.take(), [reply('10.1.1.3', '0.0.0.0')])
  lab.receive(request('0.0.0.0', '10.1.1.4'))
  lab.receive(arpFrame(ROUTER_MAC, A, 2, A, '0.0.0.0', ROUTER_MAC, '10.1.1.3'))
  t.deepEqual(lab.take(), [])
  t.is(lab.neighbors.count(), 0)
  t.deepEqual(lab.drops(), { 'arp-ignored': 2 })
})

test('a request for our address lets waiting packets go', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.take()
  lab.receive(request('10.1.1.2', '10.1.1.3'))
  t.is(lab.take().length, 2, 'the packet and the answer')
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY)
})

test('a request does not change the state of a known station, but does change its MAC address', (t) => {
  const lab = arpLab()
  reachable(lab)
  lab.receive(request('10.1.1.2', '10.1.1.3'))
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  lab.receive(request('10.1.1.2', '10.1.1.3', B))
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  t.is(macOf(lab, '10.1.1.2'), macHex(B))
})

test('nothing is learned from answers nobody asked for, nor from announcements', (t) => {
  const lab = arpLab()
  lab.receive(answer('10.1.1.2'))
  lab.receive(request('10.1.1.2', '10.1.1.2'))
  lab.receive(arpFrame(BROADCAST, A, 2, A, '10.1.1.2', A, '10.1.1.2'))
  t.is(lab.neighbors.count(), 0)
  t.deepEqual(lab.drops(), { 'arp-ignored': 3 })
})

test('a broadcast answer proves nothing', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.receive(answer('10.1.1.2', A, BROADCAST))
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY, 'stale, and used at once by the packet that waited')
})

test('the first of several answers counts for a second', (t) => {
  const lab = arpLab()
  reachable(lab)
  lab.advance(1000)
  lab.receive(answer('10.1.1.2', B))
  t.is(macOf(lab, '10.1.1.2'), macHex(A))
  lab.advance(1)
  lab.receive(answer('10.1.1.2', B))
  t.is(macOf(lab, '10.1.1.2'), macHex(B))
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  t.is(delivered(lab), 3)
})

test('an announcement counts at once, as a request or as a reply to itself', (t) => {
  const lab = arpLab()
  reachable(lab)
  lab.receive(request('10.1.1.2', '10.1.1.2', B))
  t.is(macOf(lab, '10.1.1.2'), macHex(B))
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  lab.receive(arpFrame(BROADCAST, A, 2, A, '10.1.1.2', A, '10.1.1.2'))
  t.is(macOf(lab, '10.1.1.2'), macHex(A))
  lab.receive(arpFrame(BROADCAST, B, 2, B, '10.1.1.2', ZERO, '10.1.1.2'))
  t.is(macOf(lab, '10.1.1.2'), macHex(A), 'a reply must name its sender as target')
  t.deepEqual(lab.take(), [])
})

test('what others ask updates an entry there is', (t) => {
  const lab = arpLab()
  reachable(lab)
  lab.advance(1001)
  lab.receive(request('10.1.1.2', '10.1.1.77', B))
  t.is(macOf(lab, '10.1.1.2'), macHex(B))
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  t.deepEqual(lab.drops(), {})
})

test('a permanent entry is not changed, its station is answered', (t) => {
  const lab = arpLab()
  lab.output.set(lab.eth0, ip('10.1.1.2'), ...mac(A), NUD_PERMANENT, NEIGH_ADD, 0, 0)
  lab.receive(request('10.1.1.2', '10.1.1.3', B))
  t.deepEqual(lab.take(), [reply('10.1.1.3', '10.1.1.2', B)])
  t.is(macOf(lab, '10.1.1.2'), macHex(A))
})

test('a claim on an own address is counted and teaches nothing', (t) => {
  const lab = arpLab()
  lab.receive(request('10.1.1.3', '10.1.1.3'))
  lab.receive(answer('10.1.2.3'))
  t.deepEqual(lab.drops(), { 'arp-duplicate-address': 2 })
  lab.receive(request('10.1.1.3', '10.1.1.4', ROUTER_MAC))
  lab.receive(request('10.1.2.3', '10.1.1.3', FAR_MAC))
  t.deepEqual(lab.drops(), { 'arp-duplicate-address': 2, 'arp-ignored': 2 }, 'our own frames are no claim')
  t.deepEqual(lab.take(), [])
  t.is(lab.neighbors.count(), 0)
})

test('refuses senders that are no station', (t) => {
  const lab = arpLab()
  const senders = ['255.255.255.255', '224.0.0.1', '127.0.0.1', '10.1.1.255', '10.9.255.255']
  for (const sender of senders) lab.receive(request(sender, '10.1.1.3'))
  for (const station of [BROADCAST, '01:00:5e:00:00:01', ZERO]) {
    lab.receive(arpFrame(BROADCAST, A, 1, station, '10.1.1.2', ZERO, '10.1.1.3'))
  }
  t.deepEqual(lab.drops(), { 'arp-sender-invalid': 8 })
  lab.send(1, '10.1.1.2')
  lab.receive(arpFrame(ROUTER_MAC, A, 2, '01:00:5e:00:00:01', '10.1.1.2', ROUTER_MAC, '10.1.1.3'))
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE)
})

test('ignores other operations and targets that are no address of a link', (t) => {
  const lab = arpLab()
  lab.receive(arpFrame(BROADCAST, A, 3, A, '10.1.1.2', ZERO, '10.1.1.3'))
  lab.receive(request('10.1.1.2', '224.0.0.1'))
  lab.receive(request('10.1.1.2', '127.0.0.1'))
  t.deepEqual(lab.drops(), { 'arp-ignored': 3 })
})

test('refuses what is not ARP for Ethernet and IPv4, or cut short', (t) => {
  const lab = arpLab()
  const good = request('10.1.1.2', '10.1.1.3')
  const at = (offset: number, bytes: string): string =>
    good.slice(0, (14 + offset) * 2) + bytes + good.slice((14 + offset) * 2 + bytes.length)
  const bad = [good.slice(0, -2), good.slice(0, 28), at(0, '0007'), at(2, '86dd'), at(4, '08'), at(5, '10')]
  for (const frame of bad) lab.receive(frame)
  t.deepEqual(lab.drops(), { 'arp-malformed': 6 })
  t.deepEqual(lab.take(), [])
})

test('proxy ARP answers for what lies behind another interface, when it forwards', (t) => {
  const lab = arpLab()
  const ask = (): string[] => {
    lab.receive(request('10.1.1.2', '10.1.2.2'))
    return lab.take()
  }
  t.deepEqual(ask(), [], 'off')
  lab.interfaces.proxyArp[lab.eth0] = 1
  t.deepEqual(ask(), [reply('10.1.2.2', '10.1.1.2')])
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  lab.interfaces.forwarding[lab.stack] = 0
  t.deepEqual(ask(), [])
  lab.interfaces.forwarding[lab.stack] = 1
  lab.interfaces.interfaceForwarding[lab.eth0] = 0
  t.deepEqual(ask(), [])
  lab.interfaces.interfaceForwarding[lab.eth0] = 1
  lab.receive(request('10.1.1.2', '10.1.1.77'))
  t.deepEqual(lab.take(), [], 'no route by another interface')
})

test('a full table answers nobody new', (t) => {
  const lab = arpLab({ table: { gcThresh3: 1 } })
  lab.output.set(lab.eth0, ip('10.1.1.9'), ...mac(B), NUD_PERMANENT, NEIGH_ADD, 0, 0)
  lab.receive(request('10.1.1.2', '10.1.1.3'))
  t.deepEqual(lab.take(), [])
  t.deepEqual(lab.drops(), { 'neigh-table-full': 1 })
})

test('no answer without a packet to put it in', (t) => {
  const lab = arpLab({ pool: { packets: 1, largeSlots: 1, smallSlots: 1 } })
  lab.receive(request('10.1.1.2', '10.1.1.3'))
  t.deepEqual(lab.take(), [])
  t.deepEqual(lab.drops(), { 'no-buffer': 1 })
  t.is(lab.packets.packetsInUse(), 0)
})

test('any bytes end exactly once, with at most one answer', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 14, maxLength: 64 }), fc.boolean(), (bytes, plausible) => {
      const lab = arpLab()
      const frame = Buffer.from(bytes)
      if (plausible) Buffer.from('0001080006040001', 'hex').copy(frame, 14)
      lab.receive(frame.toString('hex'))
      t.true(lab.take().length <= 1)
      t.is(outstanding(lab.packets.balance), 0)
      t.is(lab.packets.packetsInUse(), 0)
    })
  )
})
