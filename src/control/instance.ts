/**
 * A running instance: what `tapway up FILE` does from the file to the last counter. The main thread makes the lab, owns the
 * descriptors and serves the control socket; the data plane runs beside it.
 */
import { loadNetworkFile } from '../config/load.js'
import { formatWarning } from '../config/problem.js'
import type { NetworkFile } from '../config/types.js'
import { chooseCpus, cpusInUse } from '../lab/cpus.js'
import { Lab } from '../lab/lab.js'
import { LabError, messageOf, type LabLog } from '../lab/types.js'
import { underlayMtu } from '../lab/underlay-look.js'
import { Underlay } from '../lab/underlay.js'
import { close, getAffinity, openNetns, setCarrier, setLink } from '../native.js'
import { NetworkError, type Operation, type StatsResult } from '../network/operations.js'
import type { Without } from '../optimisations.js'
import { VERSION } from '../version.js'
import { buildOperations } from './build-operations.js'
import { CaptureHub } from './capture-hub.js'
import { DataPlane } from './data-plane.js'
import { createLog } from './log.js'
import type { PollMode } from './messages.js'
import { PingHub } from './ping-hub.js'
import type { InfoResult, Request } from './protocol.js'
import { ControlServer, type Client } from './server.js'
import { formatLastCounters } from './summary.js'

export interface InstanceOptions {
  file: string
  name: string
  poll: PollMode
  /** Optimisations to be left out; none by default. */
  without?: Without
  logLevel: string
  /** Threads that forward; one when left out. */
  workers?: number
  /** Where sockets and records lie. */
  runDirectory?: string
}

/** A terminal that is closed hangs up: what was made must not outlive it. Node does not leave SIGHUP ignored under nohup: setsid does. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs an instance until one of these signals or `down`; returns the exit code. Throws ConfigError and LabError before anything runs. */
export const runInstance = async (options: InstanceOptions): Promise<number> => {
  const started = performance.now()
  const log = createLog(options.logLevel)
  const file = await loadNetworkFile(options.file, {
    instance: options.name, underlayMtu, onWarning: (warning) => log.warn(formatWarning(warning))
  })
  const { workers = 1 } = options
  if (workers > 1 && file.apps.length > 0) throw new LabError('not supported yet: apps with --workers above 1', 2)
  const directory = options.runDirectory ?? '/run/tapway'
  const socket = `${directory}/${options.name}.sock`

  let end: (why: string) => void
  let abort: (error: Error) => void
  const ended = new Promise<string>((resolve, reject) => {
    end = resolve
    abort = reject
  })
  ended.catch(() => undefined) // whoever awaits it later gets the error; until then it is not unhandled
  const onSignal = (signal: string): void => end(signal)
  for (const signal of ENDING) process.on(signal, onSignal)

  const { without = [] } = options
  const labLog: LabLog = { info: (m) => log.info(m), warn: (m) => log.warn(m), debug: (m) => log.debug(m) }
  const lab = await Lab.create(file.hosts, {
    instance: options.name, offload: !without.includes('offload'), qdisc: without.includes('noqueue'), queues: workers, socket, log: labLog,
    devices: file.bridges.flatMap((bridge) => bridge.devices.map((device) => ({ ...device, bridge: bridge.name })))
  })
  let code = 0
  let server: ControlServer | undefined
  let underlay: Underlay | undefined
  let plane: DataPlane | undefined
  let captures: CaptureHub | undefined
  let last: StatsResult | undefined
  let ready = false
  let failure: unknown
  try {
    underlay = await Underlay.open(file.vxlans, {
      instance: options.name, log: labLog, workers, udpSegment: !without.includes('udp-segment'), udpGro: !without.includes('udp-gro'),
      uplinks: !without.includes('uplink'), recordUplinks: (uplinks) => lab.recordUplinks(uplinks)
    })
    const operations = buildOperations(file, lab.interfaces, { devices: lab.devices, tunnel: (name) => underlay!.tunnel(name) })
    const cpus = without.includes('affinity') ? [] : chooseCpus(workers, getAffinity(), cpusInUse(options.name))
    lab.recordCpus(cpus)
    plane = await DataPlane.start({ instance: options.name, poll: options.poll, workers, cpus, without, operations })
    plane.on('failed', (error: Error) => abort(error))
    plane.on('restarted', (error: Error) => log.error({ error: error.message }, 'the data plane died; a new one has taken over'))
    plane.on('device-lost', (port: string, errno: number) => log.warn({ port, errno }, 'the device behind this port is gone'))
    plane.on('notice', (level: 'info' | 'warn', text: string) => log[level](text))
    underlay.watchUplinks((vxlan, on) => {
      log[on ? 'info' : 'warn']({ vxlan }, on ? 'super-frames go by the uplink' : 'super-frames go by the sockets: the uplink\'s are not forwarded any more')
      plane!.apply({ op: 'vxlan.uplink', name: vxlan, on }).catch((error: unknown) => log.debug(messageOf(error)))
    })
    captures = new CaptureHub(plane)
    const pings = new PingHub(plane)
    server = await ControlServer.listen(socket, serve({
      plane, captures, pings, info: info(options, file), down: () => end('down'), devices: new Set(lab.devices.map(({ fd }) => fd))
    }))
    log.debug({
      instance: options.name, bridges: file.bridges.length, routers: file.routers.length, vxlans: file.vxlans.length,
      ports: lab.interfaces.length + lab.devices.length
    }, 'forwarding')
    process.stdout.write(`ready ${options.name}: ${describe(file)}, in ${Math.round(performance.now() - started)} ms\n`)
    ready = true
    const why = await ended
    log.info({ why }, 'ending')
  } catch (error) {
    failure = error
    code = 1
  } finally {
    captures?.close()
    last = await plane?.stop().catch((): undefined => undefined)
    await server?.close()
    underlay?.close()
    await lab.destroy().catch((error: unknown) => {
      log.error(error instanceof Error ? error.message : String(error))
      code = 1
    })
    for (const signal of ENDING) process.off(signal, onSignal)
  }
  // What went wrong before anything ran is the command's one line; later it is an entry of the log
  if (failure !== undefined && !ready) throw failure
  if (failure !== undefined) log.error(failure instanceof Error ? failure.message : String(failure))
  if (last !== undefined) process.stdout.write(formatLastCounters(last))
  return code
}

const count = (n: number, what: string, several = `${what}s`): string => `${n} ${n === 1 ? what : several}`

const describe = ({ bridges, routers, vxlans, hosts, apps, policies }: NetworkFile): string => [
  count(bridges.length, 'bridge'), count(routers.length, 'router'), ...(vxlans.length === 0 ? [] : [count(vxlans.length, 'vxlan')]),
  count(hosts.length, 'host'), ...(apps.length === 0 ? [] : [count(apps.length, 'app'), count(policies.length, 'policy', 'policies')])
].join(', ')

const info = (options: InstanceOptions, file: NetworkFile): InfoResult => ({
  name: options.name, pid: process.pid, version: VERSION, file: options.file,
  hosts: file.hosts.map((h) => ({ name: h.name, netns: h.netns ?? h.name, made: h.netns === undefined }))
})

interface Services {
  plane: DataPlane
  captures: CaptureHub
  pings: PingHub
  info: InfoResult
  down: () => void
  /** Descriptors of ports that are existing devices. */
  devices: ReadonlySet<number>
}

/**
 * Carries out an operation, and lets the device of a port follow: its MTU, and no carrier for a host while its port is down. An existing
 * device has a carrier of its own.
 */
const apply = async ({ plane, devices }: Services, operation: Operation): Promise<null> => {
  const { device } = await plane.apply(operation)
  if (device?.up !== undefined && !devices.has(device.handle)) setCarrier(device.handle, device.up)
  if (device?.mtu !== undefined) {
    const netns = openNetns(device.netns === '' ? '/proc/self/ns/net' : device.netns)
    try {
      setLink({ netns, name: device.ifname, mtu: device.mtu })
    } finally {
      close(netns)
    }
  }
  return null
}

/** Answers the requests of the control socket. */
const serve = (services: Services) => (request: Request, client: Client): unknown => {
  const { plane, captures, pings, info, down } = services
  switch (request.method) {
    case 'apply': return apply(services, request.operation)
    case 'show': return plane.show(request.query)
    case 'info': return info
    case 'capture': return captures.watch(request.id, client, request.ports, request.snaplen)
    case 'ping': return pings.start(request, client)
    case 'down':
      // The answer is out before the socket closes: ending takes a turn of the event loop.
      setTimeout(down, 0)
      return null
    default: throw new NetworkError(`unknown method ${JSON.stringify((request as { method: unknown }).method)}`, 2)
  }
}
