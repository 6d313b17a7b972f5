/** The measures: each loads one side for a while and gives its figures by name. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { udpFrame } from '../frames.js'
import { inNetns, run, serve } from './command.js'
import { endedSeconds, machineSeconds, processSeconds } from './cpu.js'
import type { Side } from './side.js'

/** Name to value; the first one is the headline. */
export type Figures = Record<string, number>

const TCP_PORT = 5201
const UDP_PORT = 9000
const FLOOD = fileURLToPath(new URL('../native/udpflood', import.meta.url))
const PINGFLOOD = fileURLToPath(new URL('../native/pingflood', import.meta.url))
const LINE = fileURLToPath(new URL('../native/line', import.meta.url))
const SINK = fileURLToPath(new URL('../native/udpsink', import.meta.url))

/**
 * Does something, and how much processor time it took: of the machine, of the switch and of each of its processes where there are several,
 * and of the programs in the hosts, which `programs` says from the result and the time it took.
 */
const withCpu = async <T>(
  side: Side, action: () => Promise<T>, programs: (result: T, seconds: number) => Figures
): Promise<{ result: T; cpu: Figures }> => {
  const begin = performance.now()
  const machine = machineSeconds()
  const before = side.pids.map(processSeconds)
  const result = await action()
  const own = side.pids.map((pid, i) => processSeconds(pid) - before[i]!)
  const all = machineSeconds() - machine
  return {
    result,
    cpu: {
      [CPU_SECONDS]: all,
      ...(own.length === 0 ? {} : { [`${OF_THESE}switch`]: own.reduce((a, b) => a + b, 0) }),
      ...(own.length < 2 ? {} : Object.fromEntries(own.map((seconds, i) => [`${OF_THESE}machine ${i + 1}`, seconds]))),
      ...programs(result, (performance.now() - begin) / 1000)
    }
  }
}
/** Figures that are processor seconds: of all cores, and what they went to. What is missing from the sum the kernel took beside, or others. */
export const CPU_SECONDS = 'CPU seconds'
export const OF_THESE = 'of these '
const CLIENT = `${OF_THESE}client's program`
const SERVER = `${OF_THESE}server's program`

interface IperfReport {
  end: {
    sum_received: { bits_per_second: number; bytes: number }
    sum_sent: { retransmits: number; seconds: number }
    cpu_utilization_percent: { host_total: number; remote_total: number }
  }
}

/** TCP from client to server: what the receiver got. */
export const tcp = async (side: Side, streams: number, seconds: number): Promise<Figures> => {
  const server = await serve(
    inNetns(side.server, 'iperf3', '-s', '-1', '-p', String(TCP_PORT), '--forceflush'), (line) => line.startsWith('Server listening')
  )
  try {
    const { result, cpu } = await withCpu(side, () => run(inNetns(
      side.client, 'iperf3', '-J', '-c', side.serverAddress, '-p', String(TCP_PORT), '-t', String(seconds), '-P', String(streams)
    )), (text) => {
      const { sum_sent, cpu_utilization_percent: percent } = (JSON.parse(text) as IperfReport).end
      return { [CLIENT]: (percent.host_total / 100) * sum_sent.seconds, [SERVER]: (percent.remote_total / 100) * sum_sent.seconds }
    })
    const { end } = JSON.parse(result) as IperfReport
    const gigabits = (end.sum_received.bytes * 8) / 1e9
    return {
      'Gbit/s': end.sum_received.bits_per_second / 1e9, 'Gbit per CPU second': gigabits / cpu[CPU_SECONDS]!, ...cpu,
      retransmits: end.sum_sent.retransmits
    }
  } finally {
    await server.stop()
  }
}

const macOf = async (netns: string): Promise<string> => {
  const [link] = JSON.parse(await run(['ip', '-n', netns, '-j', 'link', 'show', 'dev', 'eth0'])) as { address: string }[]
  return link!.address
}

/** The MAC address that the client sends to; a ping has resolved it before. */
const nextHopMac = async (side: Side): Promise<string> => {
  await run(inNetns(side.client, 'ping', '-q', '-c', '1', '-W', '2', side.serverAddress))
  const shown = await run(['ip', '-n', side.client, '-j', 'neigh', 'show', 'dev', 'eth0'])
  const neighbors = JSON.parse(shown) as { dst: string; lladdr?: string }[]
  const mac = neighbors.find((n) => n.dst === side.nextHop)?.lladdr
  if (mac === undefined) throw new Error(`no MAC address of ${side.nextHop} in ${side.client}`)
  return mac
}

/** Datagrams that reached UDP in the namespace of a process: taken by the receiver, or lost at its full buffer. */
const datagrams = (pid: number): { received: number; overflowed: number } => {
  const lines = readFileSync(`/proc/${pid}/net/snmp`, 'latin1').split('\n').filter((l) => l.startsWith('Udp:'))
  const [names, values] = lines.map((l) => l.split(' '))
  const cell = (name: string): number => Number(values![names!.indexOf(name)])
  return { received: cell('InDatagrams'), overflowed: cell('RcvbufErrors') }
}

/** One flow of 60-byte frames as fast as they can be sent: datagrams a second that reach the receiver's UDP. */
export const udp = async (side: Side, seconds: number): Promise<Figures> => {
  const frame = udpFrame({
    sourceMac: await macOf(side.client), destinationMac: await nextHopMac(side),
    source: side.clientAddress, destination: side.serverAddress, sourcePort: 9001, destinationPort: UDP_PORT
  })
  const sink = await serve(inNetns(side.server, SINK, String(UDP_PORT)), (line) => line === 'ready')
  try {
    const before = datagrams(sink.pid)
    const [flooded, sunk] = [endedSeconds(), processSeconds(sink.pid)]
    const { result, cpu } = await withCpu(side, () =>
      run(inNetns(side.client, FLOOD, 'eth0', String(seconds * 1000), Buffer.from(frame).toString('hex'))),
    () => ({ [CLIENT]: endedSeconds() - flooded, [SERVER]: processSeconds(sink.pid) - sunk }))
    const after = datagrams(sink.pid)
    const sender = JSON.parse(result) as { sent: number; seconds: number }
    const taken = after.received - before.received
    const arrived = taken + after.overflowed - before.overflowed
    return {
      'kpps': arrived / sender.seconds / 1e3, 'kpackets per CPU second': arrived / cpu[CPU_SECONDS]! / 1e3, ...cpu,
      'kpps sent': sender.sent / sender.seconds / 1e3, 'kpps read by the receiver': taken / sender.seconds / 1e3
    }
  } finally {
    await sink.stop()
  }
}

interface FloodReport {
  received: number
  mean: number
  least: number
}

/**
 * Mean round trip of a ping flood: a request as soon as the reply to the last one is there. Our own program measures to the nanosecond; what
 * `ping -f` says, cut off at whole microseconds, stands beside it.
 */
export const roundTrip = async (side: Side, count: number, seconds: number): Promise<Figures> => {
  const before = endedSeconds()
  const { result, cpu } = await withCpu(side, () =>
    run(inNetns(side.client, PINGFLOOD, side.serverAddress, String(count), String(seconds))),
  () => ({ [CLIENT]: endedSeconds() - before }))
  const { received, mean, least } = JSON.parse(result) as FloodReport
  const said = await run(inNetns(side.client, 'ping', '-f', '-q', '-c', String(count >> 1), '-w', String(seconds), side.serverAddress), { mayFail: true })
  const times = /= ([\d.]+)\/([\d.]+)\//.exec(said)
  return { 'µs': mean, 'µs at least': least, ...cpu, replies: received, ...(times === null ? {} : { 'µs as ping -f says': Number(times[2]) * 1000 }) }
}

/** A figure that stands beside round trips of Tapway. */
export const LINE_NS = 'ns for a cache line there and back'

/**
 * How long a cache line takes from one processor to another and back; no figure with one processor. The host of a virtual machine may move its
 * processors to where they share no cache: a round trip between two threads takes longer then, one in the client's own thread does not.
 */
export const cacheLine = async (): Promise<Figures> => {
  const { ns } = JSON.parse(await run([LINE])) as { ns?: number }
  return ns === undefined ? {} : { [LINE_NS]: ns }
}
