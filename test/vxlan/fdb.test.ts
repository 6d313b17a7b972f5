/** `fdb` about tunnels, in `bridge fdb`'s words: what is taken, refused, and shown afterwards; against the kernel's. */
import test from 'ava'
import { ALL } from '../helpers/frames.js'
import { datagram } from './datagram.js'
import {
  A, B, C, D, FLOOD, UNDERLAY, command, deviates, hello, peer, plain, send, show, toPeer2, vtep, type Step
} from './plan.js'
import { scenarios } from './scenario.js'

const heard = (station: string, from: number): Step =>
  send(UNDERLAY, datagram({ from, inner: hello(station) }), `station ${station.slice(-2)} from peer ${from}`)
const toD = send('p0', plain(D, A), 'A to D')
const E = '02:00:00:00:00:0e'

scenarios(test, [
  {
    name: 'add, append, replace and del of a station', plan: toPeer2(),
    steps: [
      command(`fdb add ${D} dev vx0 dst ${peer(3)} self`), toD, show, command(`fdb add ${D} dev vx0 dst ${peer(3)} self`),
      command(`fdb add ${D} dev vx0 dst ${peer(4)} self`),
      show, command(`fdb append ${D} dev vx0 dst ${peer(4)} self`), show, toD,
      command(`fdb replace ${D} dev vx0 dst ${peer(4)} self`), show, toD,
      command(`fdb replace ${D} dev vx0 dst ${peer(4)} vni 7 self`), show, toD,
      command(`fdb replace ${D} dev vx0 dst ${peer(4)} port 8472 self static`), show, toD,
      command(`fdb del ${D} dev vx0 dst ${peer(2)} self`), show, command(`fdb del ${D} dev vx0 self`), show,
      command(`fdb del ${D} dev vx0 self`)
    ]
  },
  {
    name: 'what self and master mean, and what is meant without them', plan: toPeer2(),
    steps: [
      command(`fdb add ${B} dev vx0 dst ${peer(3)}`), command(`fdb add ${C} dev vx0 master static`),
      command(`fdb add ${D} dev vx0 dst ${peer(4)} self master static`), show,
      toD, command(`fdb add ${E} dev vx0 self`), command(`fdb add ${E} dev vx0`), show, command(`fdb del ${D} dev vx0 master`),
      show, toD,
      command(`fdb del ${C} dev vx0 self`), command(`fdb del ${B} dev vx0`), show
    ]
  },
  {
    name: 'the flood list', plan: toPeer2(),
    steps: [
      command(`fdb add ${FLOOD} dev vx0 dst ${peer(3)}`), command(`fdb replace ${FLOOD} dev vx0 dst ${peer(3)}`), show,
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)} vni 7`),
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)} port 8472`), command(`fdb append ${FLOOD} dev vx0 dst ${peer(3)}`),
      show, toD,
      command(`fdb del ${FLOOD} dev vx0 dst ${peer(3)} vni 7`), show, command(`fdb del ${FLOOD} dev vx0 dst ${peer(4)}`), show,
      command(`fdb del ${FLOOD} dev vx0`), show, toD,
      command(`fdb del ${FLOOD} dev vx0`), command(`fdb add ${FLOOD} dev vx0 dst ${peer(4)} self permanent`), show, toD
    ]
  },
  {
    name: 'over what was learned', plan: toPeer2(),
    steps: [
      heard(B, 3), heard(C, 3), command(`fdb add ${B} dev vx0 dst ${peer(4)} self static`), show,
      command(`fdb replace ${B} dev vx0 dst ${peer(4)} self static`), show,
      send('p0', plain(B, A)), command(`fdb del ${C} dev vx0 dst ${peer(3)} self`), show, send('p0', plain(C, A)),
      command(`fdb del ${C} dev vx0 master`), show,
      send('p0', plain(C, A))
    ]
  },
  {
    name: 'groups and broadcast', plan: toPeer2(),
    steps: [
      command(`fdb append ${ALL} dev vx0 dst ${peer(3)} self`), command(`fdb append ${ALL} dev vx0 dst ${peer(4)} self`), show,
      send('p0', hello(A), 'broadcast'),
      command(`fdb replace ${ALL} dev vx0 dst ${peer(4)} self`), command(`fdb del ${ALL} dev vx0 dst ${peer(3)} self`), show,
      send('p0', hello(A), 'broadcast'),
      command(`fdb add 03:00:00:00:00:01 dev vx0 dst ${peer(3)} self`), show, send('p0', plain('03:00:00:00:00:01', A), 'group')
    ]
  },
  {
    name: 'flush', plan: toPeer2({ fdb: [{ mac: D, dst: peer(3) }] }),
    steps: [heard(B, 3), command(`fdb add ${C} dev vx0 master static`), show, command('fdb flush dev vx0 self'), show, toD,
      command(`fdb append ${FLOOD} dev vx0 dst ${peer(4)}`), toD]
  },
  {
    name: 'words that make no sense', plan: vtep(),
    steps: [
      command(`fdb add ${D} dev vx0 dst fd00::4 self`), command(`fdb add ${D} dev vx0 dst nonsense self`),
      deviates('only tunnels have a table of their own', command(`fdb add ${D} dev p0 dst ${peer(3)} self`), ['done'],
        ['refused']),
      command(`fdb add ${D} dev vx0 dst ${peer(3)} vni 16777216 self`),
      command(`fdb add ${D} dev vx0 dst ${peer(3)} port 65536 self`),
      deviates('no address, no peer', command(`fdb add ${D} dev vx0 dst 0.0.0.0 self`), ['done'], ['refused']),
      command(`fdb add ${E} dev vx0 dst 239.1.1.1 self`), command(`fdb add nonsense dev vx0 dst ${peer(3)} self`),
      command(`fdb add ${D} dev vx9 dst ${peer(3)} self`), command(`fdb add ${D} dst ${peer(3)} self`), send('p0', hello(A))
    ]
  }
])
