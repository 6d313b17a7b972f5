/** TAP devices in namespaces of their own, with the kernel's ARP responder as the other side. Needs root and /dev/net/tun. */
import test, { type ExecutionContext } from 'ava'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, fstatSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { Worker } from 'node:worker_threads'
import {
  close, createIo, CTL_BYTE_BUDGET, CTL_PORT_BUDGET, CTL_RX_SLOTS, CTL_SLEPT, CTL_SLOT_BYTES, CTL_TIMEOUT_MS, CTL_TX_COUNT,
  CTL_TX_FAILED, CTL_WORDS, newEventFd, openNetns, openTap, PORT_FILE, RX_FULL, RX_STRIDE, setCarrier, setLink, TX_STRIDE,
  TX_WRITE, TX_WRITEV, type Tap
} from '../../src/native.js'
import { OFFLOAD_CSUM } from '../../src/core/ports.js'

const SLOT = 4096
const PREFIX = `twnative${process.pid}n`
const OWN = readlinkSync('/proc/thread-self/ns/net')
const ip = (...words: string[]): string => execFileSync('ip', words, { encoding: 'utf8' })

/** Why these tests cannot run here, if so. */
const obstacle = ((): string | undefined => {
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  const added = spawnSync('ip', ['netns', 'add', `${PREFIX}probe`], { encoding: 'utf8' })
  if (added.status !== 0) return added.error?.message ?? added.stderr.trim()
  ip('netns', 'del', `${PREFIX}probe`)
  return undefined
})()

/** A test that needs TAPs: fails in CI where there are none, else is skipped with a word why. */
const tapTest = (title: string, body: (t: ExecutionContext) => void | Promise<void>): void => {
  test.serial(title, async (t) => {
    if (obstacle === undefined) return body(t)
    t.log(`skipped: ${obstacle}`)
    console.error(`skipped, ${obstacle}: ${title}`)
    if (process.env.CI) t.fail(obstacle)
    else t.pass()
  })
}

let made = 0
const namespace = (t: ExecutionContext): { name: string; netns: number } => {
  const name = `${PREFIX}${made++}`
  ip('netns', 'add', name)
  t.teardown(() => spawnSync('ip', ['netns', 'del', name]))
  ip('netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
  const netns = openNetns(name)
  t.teardown(() => close(netns))
  return { name, netns }
}

const setUpIo = (slots = 16) => {
  const words = (n: number) => new Int32Array(new SharedArrayBuffer(n * 4))
  const arena = new Uint8Array(new SharedArrayBuffer((slots + 2) * SLOT)) // the last two hold what is sent
  const control = words(CTL_WORDS)
  const rx = words(slots * RX_STRIDE)
  const rxSlots = words(slots)
  const tx = words(32 * TX_STRIDE)
  const gather = words(16)
  for (let i = 0; i < slots; i++) rxSlots[i] = i * SLOT + 66
  control[CTL_RX_SLOTS] = slots
  control[CTL_SLOT_BYTES] = 2048
  const io = createIo({ arena, control, rx, rxSlots, tx, gather, addresses: words(8), sums: words(3), eventFd: newEventFd() })
  const out = slots * SLOT + 66
  const entry = (i: number): number[] => [...rx.subarray(i * RX_STRIDE, (i + 1) * RX_STRIDE)]
  return {
    io, arena, control, rx, rxSlots, tx, gather, out, entry,
    /** Queues the frame at `out` for a TAP so many times, and takes a turn. */
    send: (tap: Tap, length: number, times = 1): number => {
      const entry = [TX_WRITE, tap.fd, out - tap.vnetHeader, length + tap.vnetHeader, 0, 0, 0, -1]
      for (let i = 0; i < times; i++) tx.set(entry, i * TX_STRIDE)
      control[CTL_TX_COUNT] = times
      const count = io.turn()
      control[CTL_TX_COUNT] = 0
      return count
    }
  }
}

/** Who has 10.9.0.1? Tell 10.9.0.2 (RFC 826). */
const REQUEST = Uint8Array.from([
  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // destination: broadcast
  0x02, 0, 0, 0, 0, 0x02, // source
  0x08, 0x06, // ARP
  0, 1, 0x08, 0, 6, 4, 0, 1, // Ethernet, IPv4, lengths, request
  0x02, 0, 0, 0, 0, 0x02, 10, 9, 0, 2, // sender
  0, 0, 0, 0, 0, 0, 10, 9, 0, 1 // target
])
const MAC = '02:00:00:00:00:01'
const REPLY = Uint8Array.from([
  0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06,
  0, 1, 0x08, 0, 6, 4, 0, 2,
  0x02, 0, 0, 0, 0, 0x01, 10, 9, 0, 1,
  0x02, 0, 0, 0, 0, 0x02, 10, 9, 0, 2
])

/** A namespace with a TAP that is up and has 10.9.0.1. */
const host = (t: ExecutionContext, offload: boolean, name = 'eth0'): Tap & { ns: string; netns: number } => {
  const ns = namespace(t)
  const tap = openTap({ netns: ns.netns, name, offload })
  t.teardown(() => close(tap.fd))
  ip('-n', ns.name, 'addr', 'add', '10.9.0.1/24', 'dev', name)
  setLink({ netns: ns.netns, name, mac: MAC, up: true })
  return { ...tap, ns: ns.name, netns: ns.netns }
}

for (const offload of [true, false]) {
  tapTest(`the kernel answers ARP over a TAP with offload: ${offload}`, (t) => {
    const tap = host(t, offload)
    const { io, arena, control, rxSlots, tx, gather, out, entry, send } = setUpIo()
    t.is(tap.vnetHeader, offload ? 10 : 0)
    t.is(tap.offloads & OFFLOAD_CSUM, offload ? OFFLOAD_CSUM : 0)
    if (!offload) t.is(tap.offloads, 0)
    io.addPort(7, tap.fd, PORT_FILE, tap.vnetHeader)
    arena.set(REQUEST, out)
    t.is(send(tap, REQUEST.length), 1)
    t.is(tx[7], 0)
    t.deepEqual(entry(0), [7, 0, REPLY.length, 0])
    t.deepEqual(arena.slice(rxSlots[0], rxSlots[0]! + REPLY.length), REPLY)

    // The same as a gather list of header, Ethernet header and the rest.
    gather.set([out - tap.vnetHeader, tap.vnetHeader, out, 14, out + 14, REQUEST.length - 14])
    tx.set([TX_WRITEV, tap.fd, 0, 3, 0, 0, 0, -1])
    control[CTL_TX_COUNT] = 1
    t.is(io.turn(), 1)
    t.is(tx[7], 0)
    t.deepEqual(arena.slice(rxSlots[0], rxSlots[0]! + REPLY.length), REPLY)

    control[CTL_SLOT_BYTES] = 20
    t.is(send(tap, REQUEST.length), 1)
    t.deepEqual(entry(0), [7, 0, 20, RX_FULL])
  })
}

tapTest('budgets and slots bound a turn, and nothing is lost by them', (t) => {
  const tap = host(t, true)
  const { io, arena, control, out, send } = setUpIo()
  io.addPort(7, tap.fd, PORT_FILE, tap.vnetHeader)
  arena.set(REQUEST, out)
  for (const [word, limit, most] of [[CTL_PORT_BUDGET, 2, 2], [CTL_BYTE_BUDGET, REPLY.length + 1, 2], [CTL_RX_SLOTS, 3, 3]] as const) {
    const usual = control[word]!
    control[word] = limit
    const turns = [send(tap, REQUEST.length, 5)]
    while (turns.at(-1)! > 0) turns.push(io.turn())
    t.true(turns.every((n) => n <= most), `${turns}`)
    t.is(turns.reduce((sum, n) => sum + n), 5, `${turns}`)
    control[word] = usual
  }
})

tapTest('with a byte budget for one frame, each of two busy ports has its turn', (t) => {
  const taps = [host(t, true), host(t, false)]
  const { io, arena, control, entry, out, send } = setUpIo()
  arena.set(REQUEST, out)
  for (const tap of taps) send(tap, REQUEST.length, 4)
  taps.forEach((tap, tag) => io.addPort(tag, tap.fd, PORT_FILE, tap.vnetHeader))
  control[CTL_BYTE_BUDGET] = 1
  const order = Array.from({ length: 4 }, () => {
    t.is(io.turn(), 1)
    return entry(0)[0]
  })
  t.deepEqual(order.sort(), [0, 0, 1, 1])
})

tapTest('a link that is down refuses frames with EIO and disturbs nothing', (t) => {
  const tap = host(t, true)
  const { io, arena, control, tx, out, send } = setUpIo()
  io.addPort(7, tap.fd, PORT_FILE, tap.vnetHeader)
  setLink({ netns: tap.netns, name: 'eth0', up: false })
  arena.set(REQUEST, out)
  control[CTL_TIMEOUT_MS] = 1
  t.is(send(tap, REQUEST.length), 0)
  t.is(tx[7], constants.errno.EIO)
  t.is(control[CTL_TX_FAILED], 1)
  t.is(control[CTL_SLEPT], 1)
  setLink({ netns: tap.netns, name: 'eth0', up: true })
  t.is(send(tap, REQUEST.length), 1)
})

tapTest('a deleted device is reported once, and the thread can sleep again', (t) => {
  const tap = host(t, true)
  const { io, control, entry } = setUpIo()
  io.addPort(7, tap.fd, PORT_FILE, tap.vnetHeader)
  ip('-n', tap.ns, 'link', 'del', 'eth0')
  control[CTL_TIMEOUT_MS] = 1
  t.is(io.turn(), 1)
  const [tag, slot, error] = entry(0)
  t.deepEqual([tag, slot], [7, -1])
  t.true(error! < 0)
  t.is(io.turn(), 0)
  t.is(control[CTL_SLEPT], 1)
  t.true(io.removePort(7))
})

tapTest('a namespace that lost its name lives on by the descriptor of its TAP, and does not spin', (t) => {
  const tap = host(t, true)
  const { io, arena, control, out, send } = setUpIo()
  io.addPort(7, tap.fd, PORT_FILE, tap.vnetHeader)
  ip('netns', 'del', tap.ns)
  control[CTL_TIMEOUT_MS] = 1
  t.is(io.turn(), 0)
  t.is(control[CTL_SLEPT], 1)
  arena.set(REQUEST, out)
  t.is(send(tap, REQUEST.length), 1)
})

tapTest('openTap makes a new device, in that namespace only, and comes back', (t) => {
  const { name, netns } = namespace(t)
  const tap = openTap({ netns, name: 'eth0', offload: true, napi: true })
  t.teardown(() => close(tap.fd))
  t.is(tap.name, 'eth0')
  t.is((JSON.parse(ip('-n', name, '-j', 'link', 'show', 'eth0')) as { ifindex: number }[])[0]!.ifindex, tap.ifindex)
  const taken = 'ioctl TUNSETIFF eth0: an interface of that name exists already'
  t.throws(() => openTap({ netns, name: 'eth0', offload: true }), { code: 'EEXIST', message: taken })
  t.throws(() => openTap({ netns, name: 'lo', offload: false }), { code: 'EEXIST' })
  t.throws(() => openTap({ netns: 0, name: 'eth1', offload: false }), { message: /^setns / })
  t.is(readlinkSync('/proc/thread-self/ns/net'), OWN)

  const queues = [0, 1].map(() => openTap({ netns, name: 'many', offload: true, multiQueue: true }))
  t.is(queues[0]!.ifindex, queues[1]!.ifindex)
  queues.forEach(({ fd }) => close(fd))
  t.notRegex(ip('-n', name, 'link'), /many/)
})

tapTest('setLink sets what is given, setCarrier the carrier', (t) => {
  const { name, netns } = namespace(t)
  const tap = openTap({ netns, name: 'eth0', offload: true })
  t.teardown(() => close(tap.fd))
  const show = () => (JSON.parse(ip('-n', name, '-j', 'link', 'show', 'eth0')) as Record<string, unknown>[])[0]!
  setLink({ netns, name: 'eth0', mac: '02:AB:cd:00:ef:ff', mtu: 9000, txqueuelen: 128, up: true })
  const { address, mtu, txqlen, flags } = show()
  t.deepEqual({ address, mtu, txqlen }, { address: '02:ab:cd:00:ef:ff', mtu: 9000, txqlen: 128 })
  t.true((flags as string[]).includes('UP'))
  setCarrier(tap.fd, false)
  t.true((show().flags as string[]).includes('NO-CARRIER'))
  setCarrier(tap.fd, true)
  t.false((show().flags as string[]).includes('NO-CARRIER'))
  setLink({ netns, name: 'eth0', up: false })
  t.false((show().flags as string[]).includes('UP'))
  t.is(show().mtu, 9000)
  t.throws(() => setLink({ netns, name: 'eth0', mtu: 70000 }), { code: 'EINVAL', message: /SIOCSIFMTU eth0/ })
  t.throws(() => setLink({ netns, name: 'eth0', mac: '03:00:00:00:00:01' }), { code: 'EADDRNOTAVAIL' })
  t.throws(() => setCarrier(netns, true), { message: /^ioctl TUNSETCARRIER/ })
  t.is(readlinkSync('/proc/thread-self/ns/net'), OWN)
})

/** Device and inode: equal for two descriptors of the same namespace. */
const identity = (netns: number): Record<string, number> => {
  const { dev, ino } = fstatSync(netns)
  return { dev, ino }
}

tapTest('a namespace is found by name, path and process', (t) => {
  const { name, netns } = namespace(t)
  const byPath = openNetns(`/run/netns/${name}`)
  const own = openNetns(String(process.pid))
  t.deepEqual(identity(byPath), identity(netns))
  t.notDeepEqual(identity(own), identity(netns))
  t.is(`net:[${identity(own).ino}]`, readlinkSync(`/proc/${process.pid}/ns/net`))
  close(byPath)
  close(own)
})

tapTest('a TAP that a worker opened goes with the worker', async (t) => {
  const { name } = namespace(t)
  const worker = new Worker(`
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(new URL('../../src/native.js', import.meta.url).href)}).then((n) => {
      n.openTap({ netns: n.openNetns(${JSON.stringify(name)}), name: 'eth0', offload: true })
      parentPort.postMessage('open')
      parentPort.once('message', () => {})
    })
  `, { eval: true })
  await once(worker, 'message')
  t.regex(ip('-n', name, 'link'), /eth0/)
  worker.postMessage('end')
  await once(worker, 'exit')
  t.notRegex(ip('-n', name, 'link'), /eth0/)
})
