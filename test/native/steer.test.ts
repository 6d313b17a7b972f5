/** Which queue of a TAP frames are handed over by: one for a flow, whatever is written, and all of them used. */
import test from 'ava'
import { close, openNetns, openTap, setLink, steerTap } from '../../src/native.js'
import { readSync } from 'node:fs'
import { addNetns, inNs, netnsTest } from '../helpers/netns.js'

const nativeTest = netnsTest(test)

const PROGRAM = `
import socket, sys
for port in range(2000, 2064):
    for family, address in ((socket.AF_INET, '10.9.0.2'), (socket.AF_INET6, 'fd09::2')):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind(('', port))
        for i in range(4): s.sendto(b'x' * (20 + i), (address, 9))
        if port % 16 == 0 and family == socket.AF_INET: s.sendto(b'y' * 4000, (address, 9))
`

/** The frames that lie in a queue. */
const drain = (fd: number): Buffer[] => {
  const frames: Buffer[] = []
  const buffer = Buffer.alloc(70000)
  for (;;) {
    try {
      frames.push(Buffer.from(buffer.subarray(0, readSync(fd, buffer))))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return frames
      throw error
    }
  }
}

nativeTest('a flow has one queue, also fragments have, and flows are spread', (t) => {
  const name = addNetns()
  const netns = openNetns(name)
  const queues = [0, 1].map((i) => openTap({ netns, name: 'many', offload: false, multiQueue: true, isNew: i === 0 }))
  t.throws(() => openTap({ netns, name: 'many', offload: false, multiQueue: true, isNew: true }), { code: 'EEXIST' })
  steerTap(queues[0]!.fd)
  setLink({ netns, name: 'many', up: true, mtu: 1500, txqueuelen: 2000 })
  inNs(name, 'ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'many')
  inNs(name, 'ip', 'addr', 'add', 'fd09::1/64', 'dev', 'many', 'nodad')
  inNs(name, 'ip', 'neigh', 'add', '10.9.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'many')
  inNs(name, 'ip', 'neigh', 'add', 'fd09::2', 'lladdr', '02:00:00:00:00:02', 'dev', 'many')
  inNs(name, 'python3', '-c', PROGRAM)
  const seen = queues.map(({ fd }) => drain(fd))
  const queueOf = new Map<string, Set<number>>()
  const counts: Record<string, number[]> = { v4: [0, 0], v6: [0, 0] }
  for (const [queue, frames] of seen.entries()) {
    for (const frame of frames) {
      const type = frame.readUInt16BE(12)
      const v4 = type === 0x800
      if (!v4 && !(type === 0x86dd && frame[20] === 17)) continue
      const whole = !v4 || (frame.readUInt16BE(20) & 0x3fff) === 0
      const flow = `${type} ${whole ? frame.readUInt16BE(v4 ? 34 : 54) : 'fragment'}`
      queueOf.set(flow, (queueOf.get(flow) ?? new Set()).add(queue))
      if (whole) counts[v4 ? 'v4' : 'v6']![queue]!++
    }
  }
  for (const [flow, used] of queueOf) t.is(used.size, 1, flow)
  t.is(queueOf.size, 129, 'sixty-four flows of each family, and fragments')
  for (const [family, both] of Object.entries(counts)) for (const count of both) t.true(count >= 40, `${family}: ${both.join(' and ')}`)
  for (const { fd } of queues) close(fd)
  close(netns)
})
