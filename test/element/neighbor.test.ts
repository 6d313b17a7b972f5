import test from 'ava'
import {
  NEIGH_ADD, NEIGH_CHANGE, NEIGH_EXISTS, NEIGH_INVALID, NEIGH_NOT_FOUND, NEIGH_OK, NEIGH_REPLACE, NO_MAC, NUD_DELAY,
  NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE
} from '../../src/table/neighbors.js'
import {
  BROADCAST, FAR_MAC, PORT0, PORT1, ROUTER_MAC, ZERO, arpFrame, arpLab, hex, ip, mac, macHex
} from '../helpers/arp-lab.js'

const CLIENT_MAC = '02:42:0a:01:01:02'
const OTHER_MAC = '02:42:0a:01:01:99'
const request = `${PORT0}: ${arpFrame(BROADCAST, ROUTER_MAC, 1, ROUTER_MAC, '10.1.1.3', ZERO, '10.1.1.2')}`
const probe = `${PORT0}: ${arpFrame(CLIENT_MAC, ROUTER_MAC, 1, ROUTER_MAC, '10.1.1.3', ZERO, '10.1.1.2')}`
const answer = arpFrame(ROUTER_MAC, CLIENT_MAC, 2, CLIENT_MAC, '10.1.1.2', ROUTER_MAC, '10.1.1.3')

type Lab = ReturnType<typeof arpLab>
const reachable = (lab: Lab): void => {
  lab.send(1, '10.1.1.2')
  lab.receive(answer)
  lab.take()
}
/** Brings the client's entry to STALE: reachable time is 30 s with the lab's random number of 0.5. */
const stale = (lab: Lab): void => {
  reachable(lab)
  lab.pass(30_100)
}
/** Identifications of the IPv4 packets among frames sent. */
const ids = (frames: string[]): number[] =>
  frames.map((f) => f.split(' ')[1]!).filter((f) => f.slice(24, 28) === '0800').map((f) => parseInt(f.slice(36, 40), 16))

test('asks by broadcast for an unknown next hop, then sends what waited, in order', (t) => {
  const lab = arpLab()
  for (const id of [1, 2, 3]) lab.send(id, '10.1.1.2')
  t.deepEqual(lab.take(), [`10: ${hex(`
    ffffffffffff 020000000103 0806
    0001 0800 06 04 0001 020000000103 0a010103 000000000000 0a010102`)}`])
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE)
  t.is(lab.output.heldPackets(), 3)
  t.is(lab.packets.freeSlots(0), 32, 'what is held is not in large slots')

  lab.receive(hex(`
    020000000103 02420a010102 0806
    0001 0800 06 04 0002 02420a010102 0a010102 020000000103 0a010103`))
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  const frames = lab.take()
  t.deepEqual(ids(frames), [1, 2, 3])
  t.is(frames[0]!.slice(0, 4 + 28), `10: ${macHex(CLIENT_MAC)}${macHex(ROUTER_MAC)}0800`)

  lab.send(4, '10.1.1.2')
  t.deepEqual(ids(lab.take()), [4], 'known now')
  t.deepEqual(lab.drops(), {})
  t.is(lab.packets.packetsInUse(), 0)
})

test('three requests a second apart, then failed at three seconds: every sender is told', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.send(2, '10.1.1.2')
  t.deepEqual(lab.take(), [request])
  for (const at of [1000, 2000]) {
    lab.pass(900)
    t.deepEqual(lab.take(), [])
    lab.pass(100)
    t.is(lab.clock.now, at)
    t.deepEqual(lab.take(), [request])
  }
  lab.pass(900)
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE)
  t.deepEqual(lab.unreachable, [])
  lab.pass(100)
  t.is(lab.stateOf('10.1.1.2'), NUD_FAILED)
  t.deepEqual(lab.unreachable, [1, 2])
  t.deepEqual(lab.drops(), { 'neigh-failed': 2 })
  t.deepEqual(lab.take(), [])
  t.is(lab.packets.packetsInUse(), 0)

  lab.send(3, '10.1.1.2')
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE, 'a failed neighbour is tried again')
  t.deepEqual(lab.take(), [request])
  lab.receive(answer)
  t.deepEqual(ids(lab.take()), [3])
})

test('never more than one request a second, also when an entry is made to fail by hand', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.output.set(lab.eth0, ip('10.1.1.2'), NO_MAC, 0, NUD_FAILED, NEIGH_REPLACE, 0, 0)
  t.deepEqual(lab.unreachable, [1])
  lab.advance(300)
  lab.send(2, '10.1.1.2')
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE)
  t.deepEqual(lab.take(), [request])
  lab.pass(600)
  t.deepEqual(lab.take(), [])
  lab.pass(100)
  t.deepEqual(lab.take(), [request])
  lab.pass(3000)
  t.is(lab.take().length, 2)
  t.deepEqual(lab.unreachable, [1, 2])
})

test('reachable becomes stale after the reachable time', (t) => {
  const lab = arpLab()
  reachable(lab)
  lab.pass(30_000)
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  lab.pass(100)
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  t.is(lab.neighbors.nextTimer(), Infinity)
  t.deepEqual(lab.take(), [], 'silently')
})

test('reachable becomes delay when it was used a moment before', (t) => {
  const lab = arpLab({ parameters: { baseReachableTime: 3000 } })
  reachable(lab)
  lab.pass(3100)
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY)
})

test('reachable times are drawn between half and one and a half times the base, and drawn anew', (t) => {
  let draw = 0
  const lab = arpLab({ random: () => draw })
  t.is(lab.output.reachableTime[lab.eth0], 15_000)
  draw = 0.999
  lab.advance(300_000)
  t.is(lab.output.reachableTime[lab.eth0], 15_000)
  lab.advance(15_001)
  t.is(lab.output.reachableTime[lab.eth0], 30_000 * 1.499)
})

test('a packet to a stale neighbour goes out and starts the delay; three unicast probes a second apart, then failed', (t) => {
  const lab = arpLab()
  stale(lab)
  lab.send(5, '10.1.1.2')
  t.deepEqual(ids(lab.take()), [5])
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY)
  lab.pass(4900)
  t.deepEqual(lab.take(), [])
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY)
  for (let n = 0; n < 3; n++) {
    lab.pass(n === 0 ? 100 : 1000)
    t.is(lab.stateOf('10.1.1.2'), NUD_PROBE)
    t.deepEqual(lab.take(), [probe])
  }
  lab.send(6, '10.1.1.2')
  t.deepEqual(ids(lab.take()), [6], 'still used while probed')
  lab.pass(900)
  t.is(lab.stateOf('10.1.1.2'), NUD_PROBE)
  lab.pass(100)
  t.is(lab.stateOf('10.1.1.2'), NUD_FAILED)
  t.deepEqual(lab.take(), [])
  t.deepEqual(lab.unreachable, [])
  lab.send(7, '10.1.1.2')
  t.deepEqual(lab.take(), [request])
})

test('an answer to a probe makes it reachable again', (t) => {
  const lab = arpLab()
  stale(lab)
  lab.send(5, '10.1.1.2')
  lab.pass(5000)
  t.is(lab.stateOf('10.1.1.2'), NUD_PROBE)
  lab.receive(answer)
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
})

test('an answer during the delay makes it reachable, without a probe', (t) => {
  const lab = arpLab()
  stale(lab)
  lab.send(5, '10.1.1.2')
  lab.take()
  lab.receive(answer)
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  lab.pass(10_000)
  t.deepEqual(lab.take(), [])
})

test('a confirmation during the delay makes it reachable when the delay ends', (t) => {
  const lab = arpLab()
  stale(lab)
  lab.send(5, '10.1.1.2')
  lab.take()
  lab.pass(2000)
  lab.output.confirm(lab.eth0, ip('10.1.1.2'))
  lab.pass(2900)
  t.is(lab.stateOf('10.1.1.2'), NUD_DELAY)
  lab.pass(100)
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  t.deepEqual(lab.take(), [])
})

test('a queue drops its oldest packet when it is full', (t) => {
  const lab = arpLab()
  for (let id = 1; id <= 103; id++) lab.send(id, '10.1.1.2')
  t.deepEqual(lab.drops(), { 'neigh-queue-full': 2 })
  t.is(lab.output.heldPackets(), 101)
  lab.take()
  lab.receive(answer)
  t.deepEqual(ids(lab.take()), Array.from({ length: 101 }, (_, i) => i + 3))
})

test('a queue is bounded in bytes', (t) => {
  const lab = arpLab({ parameters: { unresQlenBytes: 3000 } })
  for (const id of [1, 2, 3]) lab.send(id, '10.1.1.2', 966)
  t.deepEqual(lab.drops(), {})
  lab.send(4, '10.1.1.2', 966)
  t.deepEqual(lab.drops(), { 'neigh-queue-full': 1 })
  lab.take()
  lab.receive(answer)
  t.deepEqual(ids(lab.take()), [2, 3, 4])
})

test('few super-frames are held, so that reception keeps its large slots', (t) => {
  const lab = arpLab({ parameters: { maxHeldLarge: 2 } })
  for (const id of [1, 2, 3]) lab.send(id, '10.1.1.2', 4000)
  t.deepEqual(lab.drops(), { 'no-buffer': 1 })
  lab.receive(answer)
  t.deepEqual(ids(lab.take()), [1, 2])
  for (const id of [4, 5]) lab.send(id, '10.1.1.4', 4000)
  t.is(lab.output.heldPackets(), 2, 'room again')
})

test('all queues together are bounded', (t) => {
  const lab = arpLab({ parameters: { maxHeld: 3 } })
  for (const host of [10, 11, 12, 13]) lab.send(host, `10.1.1.${host}`)
  t.is(lab.output.heldPackets(), 3)
  t.is(lab.take().length, 4, 'asked for all the same')
  lab.send(20, '10.1.1.10')
  t.deepEqual(lab.drops(), { 'neigh-queue-full': 2 })
  lab.pass(3000)
  t.deepEqual(lab.unreachable, [20, 11, 12])
  t.is(lab.packets.packetsInUse(), 0)
})

test('a full table refuses new neighbours', (t) => {
  const lab = arpLab({ table: { gcThresh3: 2 } })
  for (const host of [10, 11, 12]) lab.send(host, `10.1.1.${host}`)
  t.deepEqual(lab.drops(), { 'neigh-table-full': 1 })
  lab.pass(3000)
  lab.send(13, '10.1.1.13')
  t.is(lab.stateOf('10.1.1.13'), NUD_INCOMPLETE, 'in place of one that failed')
  t.is(lab.neighbors.count(), 2)
})

test('unused entries are collected after a minute when there are many', (t) => {
  const lab = arpLab({ table: { gcThresh1: 1 } })
  stale(lab)
  lab.pass(29_000)
  t.is(lab.stateOf('10.1.1.2'), NUD_STALE)
  lab.pass(30_000)
  t.is(lab.stateOf('10.1.1.2'), -1)
})

test('asks with the source of the packet where it is an own one, else with the address of the target\'s network', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2', 0, '10.1.2.3')
  lab.send(2, '10.9.7.7')
  lab.send(3, '192.0.2.1')
  t.deepEqual(lab.take(), [
    `10: ${arpFrame(BROADCAST, ROUTER_MAC, 1, ROUTER_MAC, '10.1.2.3', ZERO, '10.1.1.2')}`,
    `10: ${arpFrame(BROADCAST, ROUTER_MAC, 1, ROUTER_MAC, '10.9.0.3', ZERO, '10.9.7.7')}`,
    `10: ${arpFrame(BROADCAST, ROUTER_MAC, 1, ROUTER_MAC, '10.1.1.3', ZERO, '192.0.2.1')}`
  ])
  lab.interfaces.removeAddress(lab.eth1, ip('10.1.2.3'), 24)
  lab.output.sendRequest(lab.eth1, ip('192.0.2.1'), ...mac(OTHER_MAC))
  t.deepEqual(lab.take(), [`${PORT1}: ${arpFrame(OTHER_MAC, FAR_MAC, 1, FAR_MAC, '10.1.1.3', ZERO, '192.0.2.1')}`])
})

test('an answer that comes before the request\'s call returned finds the packet waiting', (t) => {
  const lab = arpLab()
  lab.hooks.onSent = (frame) => {
    if (frame.slice(24, 28) === '0806') lab.receive(answer)
  }
  lab.send(1, '10.1.1.2')
  t.is(lab.stateOf('10.1.1.2'), NUD_REACHABLE)
  t.deepEqual(ids(lab.take()), [1])
  lab.pass(60_000)
  t.is(lab.packets.packetsInUse(), 0)
})

test('an error message that takes the way of the packet it is about does not confuse the queue', (t) => {
  const lab = arpLab()
  let told = 0
  lab.hooks.onUnreachable = () => {
    if (told++ === 0) lab.send(100, '10.1.1.2')
  }
  lab.send(1, '10.1.1.2')
  lab.send(2, '10.1.1.2')
  lab.pass(3000)
  t.deepEqual(lab.unreachable, [1, 2])
  t.is(lab.stateOf('10.1.1.2'), NUD_INCOMPLETE)
  t.is(lab.output.heldPackets(), 1)
  lab.receive(answer)
  t.deepEqual(ids(lab.take()), [100])
})

test('ip neigh add, replace, change and del', (t) => {
  const lab = arpLab()
  const { set, remove } = lab.output
  const a = ip('10.1.1.2')
  const [hi, lo] = mac(CLIENT_MAC)
  const [hi2, lo2] = mac(OTHER_MAC)
  t.is(set(lab.eth0, a, hi, lo, NUD_PERMANENT, NEIGH_CHANGE, 0, 0), NEIGH_NOT_FOUND)
  t.is(set(lab.eth0, a, hi, lo, NUD_PERMANENT, NEIGH_ADD, 2, 0), NEIGH_OK)
  t.is(set(lab.eth0, a, hi, lo, NUD_PERMANENT, NEIGH_ADD, 2, 0), NEIGH_EXISTS)
  t.is(lab.neighbors.owner[lab.neighbors.lookup(lab.eth0, a)], 2)
  lab.send(1, '10.1.1.2')
  t.deepEqual(ids(lab.take()), [1])
  lab.receive(arpFrame(ROUTER_MAC, OTHER_MAC, 2, OTHER_MAC, '10.1.1.2', ROUTER_MAC, '10.1.1.3'))
  lab.pass(100_000)
  t.is(lab.stateOf('10.1.1.2'), NUD_PERMANENT, 'neither ARP nor time changes it')

  for (const state of [NUD_NOARP, NUD_REACHABLE, NUD_STALE, NUD_PROBE]) {
    t.is(set(lab.eth0, a, hi2, lo2, state, NEIGH_REPLACE, 2, 0), NEIGH_OK)
    t.is(lab.stateOf('10.1.1.2'), state)
  }
  lab.advance(100)
  t.is(lab.take().length, 1, 'probing starts at once')
  t.is(set(lab.eth0, a, NO_MAC, 0, NUD_STALE, NEIGH_CHANGE, 2, 0), NEIGH_OK)
  lab.send(2, '10.1.1.2')
  t.true(lab.take()[0]!.startsWith(`10: ${macHex(OTHER_MAC)}`), 'the MAC address stayed')
  t.is(remove(lab.eth0, a), NEIGH_OK)
  t.is(remove(lab.eth0, a), NEIGH_NOT_FOUND)
  t.is(lab.stateOf('10.1.1.2'), -1)

  t.is(set(lab.eth0, a, NO_MAC, 0, NUD_PERMANENT, NEIGH_ADD, 2, 0), NEIGH_INVALID)
  t.is(set(lab.eth0, a, hi, lo, NUD_INCOMPLETE, NEIGH_ADD, 2, 0), NEIGH_INVALID)
  t.is(lab.neighbors.count(), 0)
})

test('a static entry lets waiting packets go; its removal tells those who wait', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.output.set(lab.eth0, ip('10.1.1.2'), ...mac(CLIENT_MAC), NUD_PERMANENT, NEIGH_REPLACE, 0, 0)
  t.deepEqual(ids(lab.take()), [1])
  lab.send(2, '10.1.1.4')
  lab.output.remove(lab.eth0, ip('10.1.1.4'))
  t.deepEqual(lab.unreachable, [2])
  t.is(lab.packets.packetsInUse(), 0)
})

test('an interface that goes down loses its entries and the packets they hold', (t) => {
  const lab = arpLab()
  lab.send(1, '10.1.1.2')
  lab.output.set(lab.eth0, ip('10.1.1.9'), ...mac(OTHER_MAC), NUD_PERMANENT, NEIGH_ADD, 0, 0)
  lab.output.flush(lab.eth0, true)
  t.deepEqual(lab.drops(), { 'port-down': 1 })
  t.is(lab.neighbors.count(), 1)
  lab.output.flush(lab.eth0, false)
  t.is(lab.neighbors.count(), 0)
  t.deepEqual(lab.unreachable, [])
  t.is(lab.packets.packetsInUse(), 0)
})
