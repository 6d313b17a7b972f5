/** Entries set by hand (`bridge fdb add`) and roaming of their stations, against the kernel's. */
import test from 'ava'
import { ALL } from '../helpers/frames.js'
import { A, B, bridge, BRIDGE_MAC, hello, plain, send } from './bridge-plan.js'
import { scenarios } from './scenario.js'

/** The kernel's ageing time in seconds, short since it is real, and milliseconds after which an entry is gone for sure. */
const AGEING = 0.6
const AGED = 1500

const withEntry = (state: 'static' | 'dynamic' | 'permanent', sticky = false) =>
  bridge({ ageing: 1, kernelAgeing: AGEING, fdb: [{ mac: B, dev: 'p1', state, ...(sticky ? { sticky } : {}) }] })
const toB = send('p0', plain(B, A))

scenarios(test, [
  { name: 'a static entry is used before the station was heard', plan: withEntry('static'), steps: [toB], frames: 1 },
  { name: 'a static entry is not aged', plan: withEntry('static'), steps: [{ wait: 3000, kernel: AGED }, toB], frames: 1 },
  { name: 'a static entry moves with its station', plan: withEntry('static'), steps: [hello('p2', B), toB], frames: 4 },
  {
    name: 'a static entry that moved is still not aged',
    plan: withEntry('static'), steps: [hello('p2', B), { wait: 3000, kernel: AGED }, toB], frames: 4
  },
  { name: 'a sticky entry stays where it is', plan: withEntry('static', true), steps: [hello('p2', B), toB], frames: 4 },
  { name: 'a sticky dynamic entry stays where it is', plan: withEntry('dynamic', true), steps: [hello('p2', B), toB], frames: 4 },
  { name: 'a dynamic entry moves', plan: withEntry('dynamic'), steps: [hello('p2', B), toB], frames: 4 },
  { name: 'a dynamic entry is aged', plan: withEntry('dynamic'), steps: [toB, { wait: 3000, kernel: AGED }, toB], frames: 4 },
  { name: 'a permanent entry is the bridge itself: nothing is sent', plan: withEntry('permanent'), steps: [toB], frames: 0 },
  { name: 'a permanent entry does not move', plan: withEntry('permanent'), steps: [hello('p2', B), toB], frames: 3 },
  {
    name: 'a static entry taken away: its station is unknown again',
    plan: withEntry('static'),
    steps: [toB, { change: `fdb del ${B} dev p1 master`, operations: [{ op: 'fdb.del', mac: B, dev: 'p1' }] }, toB], frames: 4
  },
  {
    name: 'a learned entry made static stays',
    plan: bridge({ ageing: 1, kernelAgeing: AGEING }),
    steps: [
      hello('p1', B),
      {
        change: `fdb replace ${B} dev p1 master static`,
        operations: [{ op: 'fdb.replace', mac: B, dev: 'p1', state: 'static' }]
      },
      { wait: 3000, kernel: AGED }, toB
    ],
    frames: 4
  },
  {
    name: 'an entry appended where there is one takes its place',
    plan: withEntry('static'),
    steps: [
      { change: `fdb append ${B} dev p2 master static`, operations: [{ op: 'fdb.append', mac: B, dev: 'p2', state: 'static' }] },
      toB
    ],
    frames: 1
  },
  {
    name: 'a port that goes down loses what was learned on it',
    plan: bridge(),
    steps: [
      hello('p1', B), toB, { change: 'link set p1 down', operations: [{ op: 'link.set', dev: 'p1', up: false }] }, toB,
      { change: 'link set p1 up', operations: [{ op: 'link.set', dev: 'p1', up: true }] }, toB
    ],
    frames: 9
  },
  {
    name: 'a port that does not learn',
    plan: bridge(),
    steps: [
      { change: 'link set p1 type bridge_slave learning off', operations: [{ op: 'link.set', dev: 'p1', learning: false }] },
      hello('p1', B), toB
    ],
    frames: 6
  },
  {
    name: 'a port that unknown unicast is not flooded to',
    plan: bridge(),
    steps: [
      { change: 'link set p1 type bridge_slave flood off', operations: [{ op: 'link.set', dev: 'p1', flood: false }] }, toB,
      hello('p0', A)
    ],
    frames: 5
  },
  {
    name: "the bridge's own address on a port that claims it",
    plan: bridge(), steps: [hello('p1', BRIDGE_MAC), send('p0', plain(BRIDGE_MAC, A)), send('p0', plain(ALL, A))], frames: 6
  }
])
