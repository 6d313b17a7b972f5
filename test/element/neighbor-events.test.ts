import test from 'ava'
import fc from 'fast-check'
import {
  NUD_DELAY, NUD_FAILED, NUD_INCOMPLETE, NUD_NOARP, NUD_PERMANENT, NUD_PROBE, NUD_REACHABLE, NUD_STALE
} from '../../src/table/neighbors.js'
import { BROADCAST, ROUTER_MAC, arpFrame, arpLab, ip, mac, outstanding } from '../helpers/arp-lab.js'

const CLIENT_MAC = '02:42:0a:01:01:02'
const OTHER_MAC = '02:42:0a:01:01:99'

test('no sequence of events leaks a packet, asks too often or leaves a state it must not', (t) => {
  const host = fc.integer({ min: 2, max: 7 })
  const event = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), host, size: fc.constantFrom(0, 1000, 4000) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(5, 100, 900, 1000, 5000, 31_000) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('arp' as const), host, op: fc.integer({ min: 1, max: 2 }), station: fc.integer({ min: 1, max: 3 }),
        target: fc.constantFrom('10.1.1.3', '10.1.1.5', '10.1.2.9'), dst: fc.constantFrom(BROADCAST, ROUTER_MAC)
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('set' as const), host, mode: fc.integer({ min: 0, max: 2 }),
        state: fc.constantFrom(NUD_PERMANENT, NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_NOARP, NUD_FAILED)
      })
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), host }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) }
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.boolean(), fc.boolean(), (events, answering, bouncing) => {
      const lab = arpLab({
        pool: { packets: 64, largeSlots: 12, smallSlots: 40 },
        table: { gcThresh3: 4, gcThresh1: 2 },
        parameters: { unresQlen: 3, maxHeld: 6, maxHeldLarge: 2 }
      })
      const asked = new Map<string, number>()
      lab.hooks.onSent = (frame) => {
        if (frame.slice(24, 28) !== '0806' || frame.slice(40, 44) !== '0001') return
        const target = frame.slice(76)
        t.true(lab.clock.now - (asked.get(target) ?? -Infinity) >= 1000)
        asked.set(target, lab.clock.now)
        const last = parseInt(target.slice(6), 16)
        if (answering && last % 2 === 0) {
          lab.receive(arpFrame(ROUTER_MAC, OTHER_MAC, 2, OTHER_MAC, `10.1.1.${last}`, ROUTER_MAC, '10.1.1.3'))
        }
      }
      lab.hooks.onUnreachable = () => {
        if (bouncing && lab.packets.freeSlots(0) > 0 && lab.packets.packetsInUse() < 60) lab.send(9, '10.1.1.7')
      }
      const check = (): void => {
        t.is(lab.packets.packetsInUse(), lab.output.heldPackets())
        t.is(outstanding(lab.packets.balance), lab.output.heldPackets())
        let held = 0
        lab.neighbors.scan(0, 4, (row) => {
          const state = lab.neighbors.state[row]!
          const count = lab.neighbors.queueCount[row]!
          t.true(state !== 0 && (state & (state - 1)) === 0)
          t.true(count === 0 || state === NUD_INCOMPLETE)
          t.true(count <= 3)
          held += count
        })
        t.is(held, lab.output.heldPackets())
        t.true(held <= 6)
      }
      for (const e of events) {
        if (e.kind === 'send') lab.send(e.host, `10.1.1.${e.host}`, e.size)
        else if (e.kind === 'pass') lab.advance(e.ms)
        else if (e.kind === 'arp') {
          const station = `02:00:00:00:00:0${e.station}`
          lab.receive(arpFrame(e.dst, station, e.op, station, `10.1.1.${e.host}`, ROUTER_MAC, e.target))
        } else if (e.kind === 'set') {
          // A failed entry may be pushed out, and what it remembers with it.
          if (e.state === NUD_FAILED) asked.clear()
          lab.output.set(lab.eth0, ip(`10.1.1.${e.host}`), ...mac(CLIENT_MAC), e.state, e.mode, 0, 0)
        } else {
          // A new entry may ask at once.
          asked.clear()
          if (e.kind === 'remove') lab.output.remove(lab.eth0, ip(`10.1.1.${e.host}`))
          else lab.output.flush(lab.eth0, false)
        }
        check()
      }
      lab.hooks.onUnreachable = () => undefined
      for (let i = 0; i < 8; i++) lab.advance(1000)
      t.is(lab.packets.packetsInUse(), 0)
    }),
    { numRuns: 300 }
  )
})
