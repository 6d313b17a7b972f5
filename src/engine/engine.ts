/**
 * The engine: all elements, tables and I/O of one data plane wired together, and its turn.
 *
 * A turn: send what the last one queued and collect what has arrived, or sleep (one exchange); decide about every packet; do
 * what is due. Frames for layer-3 interfaces go through a work ring, so that a packet that crosses several routers is a loop
 * here and no recursion. Runs on any thread; time comes from `readClock`, once a turn.
 */
import { createPackets, type Packets, type PoolOptions } from '../core/packets.js'
import { C_TX_BYTES, C_TX_DROPPED, C_TX_ERRORS, C_TX_PACKETS, C_RX_BYTES, C_RX_PACKETS, createPorts, PORT_CELLS, P_CAPTURE } from '../core/ports.js'
import type { Posts } from '../core/posts.js'
import type { TapRingProducer } from '../core/tap-ring.js'
import { createBridge } from '../element/bridge.js'
import { createFastPath, FORWARDED, NOT_PLAIN } from '../element/fast-path.js'
import { createPolicy } from '../element/policy.js'
import type { Without } from '../optimisations.js'
import { createOutput } from '../port/output.js'
import {
  createRings, CTL_RX_COUNT, CTL_RX_SLOTS, CTL_SPIN_US, CTL_TIMEOUT_MS, CTL_TX_COUNT, CTL_TX_FAILED, CTL_WITHOUT, CTL_WOKEN, RX_STRIDE,
  SKIP_BURSTS, SKIP_NEAR, SKIP_RECEIVE_BATCH, SKIP_RING, SKIP_SPREAD, SKIP_YIELD, SOCKET_TAGS, TX_SENDMSG, TX_STRIDE, type Io, type Rings
} from '../port/rings.js'
import { TX_QUEUE_FULL } from '../reason.js'
import { createDenials } from '../table/denials.js'
import { createFdb } from '../table/fdb.js'
import { createFlows } from '../table/flows.js'
import { createPolicies } from '../table/policies.js'
import { createRemotes } from '../table/remotes.js'
import { createInterfaces } from '../table/interfaces.js'
import { sumRanges as sumInScript } from '../wire/checksum.js'
import { createLayer3 } from './layer3.js'
import { createReceive } from './receive.js'
import { createSharing } from './sharing.js'
import { createTunnelPath, type OnTunnelEvent } from './tunnels.js'
import { whyNotSent, whyNotWritten } from './tx-errors.js'

/** Longest sleep: the loop is asked to stop through an eventfd, but never depends on it. */
const MAX_SLEEP_MS = 1000
/**
 * Adaptive polling: the loop polls before it sleeps while there is traffic, but little of it, so that a request and its answer
 * need not wait for wake-ups. Bulk traffic fills the processors with those who make and take it; polling would take them away.
 */
const SPARSE_MS = 1
const BULK_BYTES = 8192
const BULK_MS = 5
/** So long after bulk traffic more of it is to be expected. */
const STAY_MS = 100

/** Of the work ring. */
const HEAD = 0
const COUNT = 1

/** The FDB is looked through for aged entries in this many goes, one a second, of at least so many slots. */
const SWEEP_GOES = 16
const SWEEP_SLOTS = 2048
const SWEEP_EVERY_MS = 1000

export interface EngineOptions {
  pool?: PoolOptions
  makeIo: (packets: Packets, rings: Rings) => Io
  /** Milliseconds, monotonic, with fractions; the I/O layer's when left out. */
  readClock?: () => number
  /** Milliseconds since the epoch, for ICMP timestamps and captures. */
  wallClock: () => number
  /** 0 <= x < 1. */
  random: () => number
  /** A device behind a port is gone: it delivers an error instead of frames. */
  onDeviceLost?: (port: number, errno: number) => void
  /** Something to tell about a tunnel (engine/tunnels.ts). */
  onTunnelEvent?: OnTunnelEvent
  /** Microseconds to poll before sleeping, while traffic flows (adaptive) or always (busy). */
  spinUs?: number
  busy?: boolean
  batch?: number
  /** Optimisations to be left out; none by default. */
  without?: Without
  /** There are other workers with an engine of the same network: what is posted to them, and how one that sleeps is woken. */
  posts?: Posts
  wake?: (worker: number) => void
  /** By which flows are spread over several paths; drawn when left out. */
  flowSeed?: number
}

export type Engine = ReturnType<typeof createEngine>

export const createEngine = (options: EngineOptions) => {
  const { random, without = [] } = options
  const packets = createPackets({ ...options.pool, sharedFrames: !without.includes('shared-frames') })
  const ports = createPorts()
  const remotes = createRemotes(undefined, Math.floor(random() * 0x7fffffff))
  const rings = createRings(packets, remotes.addresses, without.includes('batches') ? 1 : options.batch)
  const interfaces = createInterfaces()
  const sharing = options.posts === undefined ? undefined : createSharing(options.posts, options.wake ?? (() => undefined), () => ({
    ports, fdb, interfaces, clock, remotes, neighborOutput: layer3.neighborOutput, ping: layer3.ping, tunnels: tunnelPath.tunnels,
    tunnelFdb: tunnelPath.fdb, collect: tunnelPath.collect, pathMtu: tunnelPath.setPathMtu
  }))
  const fdb = createFdb({ seed: Math.floor(random() * 0x7fffffff), ...(sharing === undefined ? {} : { heard: sharing.station }) })
  const io = options.makeIo(packets, rings)
  const readClock = options.readClock ?? io.now
  const clock = { now: readClock(), second: 0 }
  const { control, rx, rxSlotIds, tx, txPacket, txPort } = rings
  control[CTL_WITHOUT] = (without.includes('yield') ? SKIP_YIELD : 0) | (without.includes('bursts') ? SKIP_BURSTS : 0) |
    (without.includes('receive-batch') ? SKIP_RECEIVE_BATCH : 0) | (without.includes('near-ports') ? SKIP_NEAR : 0) |
    (without.includes('spread') ? SKIP_SPREAD : 0) | (without.includes('ring') ? SKIP_RING : 0)
  const { counters, state, app, layer3: interfaceOf } = ports
  const { length, start, next, bytes } = packets

  // Work ring: packets on their way to a layer-3 interface, with the port they go through. It cannot overflow: it has at
  // least as many places as there are packets.
  const workPlaces = 2 ** Math.ceil(Math.log2(packets.capacity))
  const workPacket = new Int32Array(workPlaces)
  const workPort = new Int32Array(workPlaces)
  const workPlace = new Int32Array(workPlaces) // what the fast path said
  const work = new Int32Array(2) // in an array: a variable that changes is checked and untagged at each use
  const toInterface = (p: number, port: number): void => {
    // Nobody overtakes what waits: of a packet in fragments the last may be plain when the others are not
    const place = usesFastPath && !capturing && work[COUNT] === 0 ? fastPath.forward(p, port, interfaceOf[port]!) : NOT_PLAIN
    if (place === FORWARDED) return
    const at = (work[HEAD]! + work[COUNT]!++) & (workPlaces - 1)
    workPlace[at] = place
    workPacket[at] = p
    workPort[at] = port
  }

  let capturing = false
  let ring: TapRingProducer | undefined
  let snaplen = 0
  const watch = (p: number, port: number, direction: number): void => {
    if ((state[port]! & P_CAPTURE) === 0) return
    // What came in pieces was put together, unless it was on its way when the capture began
    const together = packets.stride[p] === 0 ? snaplen : Math.min(snaplen, packets.headerLength[p]! + packets.gsoSize[p]!)
    ring!.push(bytes, start[p]!, length[p]!, together, port, direction, options.wallClock())
  }

  /** Ends what the exchange has sent; an entry may hold several packets, joined to one write. */
  const complete = (): void => {
    const count = control[CTL_TX_COUNT]!
    const failed = control[CTL_TX_FAILED]!
    // Counted together as long as they have left by one port
    let port = 0
    let sent = 0
    let sentBytes = 0
    for (let i = 0; i < count; i++) {
      const errno = failed === 0 ? 0 : tx[i * TX_STRIDE + 7]!
      if (errno === 0) {
        if (txPort[i] !== port) {
          countSent(port, sent, sentBytes)
          port = txPort[i]!
          sent = sentBytes = 0
        }
        for (let p = txPacket[i]!; p >= 0; sent++) {
          const following = next[p]!
          sentBytes += length[p]!
          packets.release(p)
          p = following
        }
        continue
      }
      const c = txPort[i]! * PORT_CELLS
      const reason = tx[i * TX_STRIDE] === TX_SENDMSG ? whyNotSent(errno) : whyNotWritten(errno)
      if (txPacket[i]! < 0) counters[c + C_TX_ERRORS]!++ // the rest of a super-frame, which is in the entry before
      for (let p = txPacket[i]!; p >= 0;) {
        const following = next[p]!
        refused(p, c, reason)
        p = following
      }
    }
    countSent(port, sent, sentBytes)
    rings.reset()
  }

  const countSent = (port: number, sent: number, sentBytes: number): void => {
    counters[port * PORT_CELLS + C_TX_PACKETS]! += sent
    counters[port * PORT_CELLS + C_TX_BYTES]! += sentBytes
    packets.countTransmitted(sent)
  }

  const refused = (p: number, cells: number, reason: number): void => {
    counters[cells + (reason === TX_QUEUE_FULL ? C_TX_DROPPED : C_TX_ERRORS)]!++
    packets.drop(p, reason)
  }

  const watchQueued = (): void => {
    for (let i = 0; i < control[CTL_TX_COUNT]!; i++) for (let p = txPacket[i]!; p >= 0; p = next[p]!) watch(p, txPort[i]!, 1)
  }

  /** Sends what is queued without receiving: for a tx ring that is full in the middle of a turn. */
  const flush = (): void => {
    if (capturing) watchQueued()
    seal()
    const slots = control[CTL_RX_SLOTS]!
    control[CTL_RX_SLOTS] = 0
    control[CTL_TIMEOUT_MS] = 0
    const spin = control[CTL_SPIN_US]!
    control[CTL_SPIN_US] = 0
    // A wake-up that this exchange or an earlier one has taken is still to be answered, when the turn is over
    const woken = control[CTL_WOKEN]!
    io.exchange()
    control[CTL_WOKEN] = woken | control[CTL_WOKEN]!
    control[CTL_RX_SLOTS] = slots
    control[CTL_SPIN_US] = spin
    complete()
  }

  const sumRanges = without.includes('native-sums') ? (n: number): void => sumInScript(packets.view, rings.sums, n) : (n: number): void => io.sumRanges(n)
  const { output, seal, completeChecksum } = createOutput({
    packets, ports, rings, flush, toInterface, toTunnel: (p, port) => tunnelPath.output(p, port), admit: (p, port) => policy.admit(p, port), sumRanges,
    coalesce: { tcp: !without.includes('coalesce-tcp'), udp: !without.includes('coalesce-udp') }, headroom: !without.includes('headroom')
  })
  const policy = createPolicy({
    packets, ports, clock, seed: Math.floor(random() * 0x7fffffff),
    policies: createPolicies(), flows: createFlows({ seed: Math.floor(random() * 0x7fffffff) }), denials: createDenials(),
    remembers: !without.includes('policy-cache'),
    onUnmarked: (mark) => tunnelPath.onUnmarked(mark)
  })
  const bridge = createBridge({ packets, ports, fdb, clock, output, remembers: !without.includes('bridge-cache') })

  /** A frame leaves a layer-3 interface into its bridge. */
  const fromInterface = (p: number, port: number): void => {
    const c = port * PORT_CELLS
    counters[c + C_RX_PACKETS]!++
    counters[c + C_RX_BYTES]! += length[p]!
    if (capturing) watch(p, port, 0)
    packets.inPort[p] = port
    const row = layer3.neighborOutput.lastRow()
    const isFollowed = fastPath.mayFollow(p, interfaceOf[port]!, row)
    const to = bridge.inject(p, port)
    if (isFollowed && to >= 0) fastPath.remember(interfaceOf[port]!, to, row)
  }

  const layer3 = createLayer3({
    packets, interfaces, clock, random, wallClock: options.wallClock, toBridge: fromInterface, completeChecksum, interfaceOfPort: interfaceOf,
    sharing, flowSeed: options.flowSeed, without
  })

  const usesFastPath = !without.includes('fast-path')
  const fastPath = createFastPath({
    packets, ports, interfaces, neighbors: layer3.neighbors, clock, changes: fdb.changes, output
  })

  /** Frames that the bridge gave to interfaces, until there are none: routers answer, forward, and may reach each other. */
  const drainWork = (): void => {
    while (work[COUNT]! > 0) {
      const p = workPacket[work[HEAD]!]!
      const port = workPort[work[HEAD]!]!
      const place = workPlace[work[HEAD]!]!
      work[HEAD] = (work[HEAD]! + 1) & (workPlaces - 1)
      work[COUNT]!--
      const c = port * PORT_CELLS
      counters[c + C_TX_PACKETS]!++
      counters[c + C_TX_BYTES]! += length[p]!
      if (capturing) watch(p, port, 1)
      packets.inPort[p] = port
      if (place >= 0) fastPath.watch(p, place, interfaceOf[port]!)
      layer3.receive(p, interfaceOf[port]!)
      fastPath.end()
    }
  }

  const take = createReceive(packets, ports)

  /** A frame comes out of a tunnel, into the bridge and to its end. */
  const fromTunnel = (p: number, port: number): void => {
    if (capturing) {
      packets.linearize(p)
      watch(p, port, 0)
    }
    bridge.receive(p, port)
    if (work[COUNT]! > 0) drainWork()
  }
  const tunnelPath = createTunnelPath({
    packets, ports, rings, remotes, bridgeFdb: fdb, interfaces, clock, random, without, sumRanges, flush, completeChecksum, deliver: fromTunnel,
    onEvent: options.onTunnelEvent ?? (() => undefined), sharing
  })

  // Times in an array: a variable that holds a fraction would be given a new object with every value
  const times = new Float64Array(4)
  const NEXT_TICK = 0
  const NEXT_SWEEP = 1
  const LAST_TRAFFIC = 2
  const LAST_BULK = 3
  times[LAST_TRAFFIC] = times[LAST_BULK] = -1e9
  const spinUs = options.spinUs ?? 0

  const tick = (): void => {
    const { now } = clock
    layer3.tick(now)
    times[NEXT_TICK] = now + layer3.untilNextTick(now)
    if (now >= times[NEXT_SWEEP]!) {
      fdb.sweep(now, Math.max(SWEEP_SLOTS, Math.ceil(fdb.slots() / SWEEP_GOES)))
      policy.sweep()
      tunnelPath.sweep(now, Math.max(SWEEP_SLOTS, Math.ceil(tunnelPath.fdb.slots() / SWEEP_GOES)))
      times[NEXT_SWEEP] = now + SWEEP_EVERY_MS
    }
    drainWork()
  }

  /** Others are woken for what was posted to them; does the exchange that follows sleep? Not while there is something to be read from them. */
  const mayRest = (): boolean => {
    if (sharing!.beforeExchange(control[CTL_TIMEOUT_MS] !== 0)) return true
    control[CTL_TIMEOUT_MS] = 0
    return false
  }

  /** One turn. With `maySleep` it waits for arrivals, a wake-up or the next timer, at most a second. Returns the frames received. */
  const turn = (maySleep: boolean): number => {
    if (capturing) watchQueued()
    seal()
    const wait = Math.ceil(times[NEXT_TICK]! - clock.now)
    control[CTL_TIMEOUT_MS] = !maySleep || wait <= 0 ? 0 : wait < MAX_SLEEP_MS ? wait : MAX_SLEEP_MS
    const sleeps = sharing !== undefined && mayRest()
    const count = io.exchange()
    const now = readClock()
    clock.now = now
    clock.second = (now * 0.001) | 0
    complete()
    if (sharing !== undefined) {
      sharing.afterExchange(sleeps)
      // Packets that waited for a neighbour may be on their way
      if (work[COUNT]! > 0) drainWork()
    }
    let arrived = 0
    for (let i = 0; i < count; i++) {
      const e = i * RX_STRIDE
      const port = rx[e]!
      const size = rx[e + 2]!
      if (size < 0) {
        options.onDeviceLost?.(port, -size)
        continue
      }
      arrived += size
      if (port >= SOCKET_TAGS) {
        tunnelPath.receive(rxSlotIds[rx[e + 1]!]!, size, port - SOCKET_TAGS, rx[e + 3]!)
        continue
      }
      const p = take(rxSlotIds[rx[e + 1]!]!, size, port, rx[e + 3]!)
      if (p < 0) continue
      if (capturing) watch(p, port, 0)
      if (app[port] !== 0 && !policy.mark(p, port)) continue
      bridge.receive(p, port)
      // One packet to its end before the next: what happens does not depend on how many came in one turn
      if (work[COUNT]! > 0) drainWork()
    }
    rings.refill(count)
    if (count > 0) times[LAST_TRAFFIC] = now
    if (arrived >= BULK_BYTES) times[LAST_BULK] = now
    control[CTL_SPIN_US] = options.busy === true || (now - times[LAST_TRAFFIC]! < SPARSE_MS && now - times[LAST_BULK]! > BULK_MS) ? spinUs : 0
    if (now >= times[NEXT_TICK]!) tick()
    return count
  }

  rings.refill(0)
  control[CTL_RX_COUNT] = 0

  return {
    packets, ports, rings, interfaces, fdb, remotes, policy, sharing, clock, io, bridge, layer3, fastPath, turn,
    tunnels: tunnelPath.tunnels,
    tunnelFdb: tunnelPath.fdb,
    tunnelNeighbors: tunnelPath.neighbors,
    unmarkedPeers: tunnelPath.unmarked,
    remoteCollector: tunnelPath.collector,
    /** Sends what the last turn has queued: before tables change that it names rows of. */
    flush: (): void => {
      if (control[CTL_TX_COUNT]! > 0) flush()
    },
    /** Watches the ports whose P_CAPTURE flag is set; undefined ends it. */
    capture: (producer: TapRingProducer | undefined, bytesAFrame: number): void => {
      ring = producer
      snaplen = bytesAFrame
      capturing = producer !== undefined
    },
    /** Packets in somebody's hands at the end of a turn: queued for sending, waiting for ARP, being reassembled. */
    held: (): number => rings.queued() + work[COUNT]! + layer3.held(),
    /** Has the timers looked at in the next turn: something was started that needs them. */
    wake: (): void => {
      times[NEXT_TICK] = 0
    },
    /** There is much to do, or there was a moment ago. */
    isBusy: (): boolean => clock.now - times[LAST_BULK]! < STAY_MS,
    close: (): void => io.close()
  }
}
