/**
 * A running instance: what `tapway up FILE` does from the file to the last counter. The main thread makes the lab, owns the
 * descriptors and serves the control socket; the data plane runs beside it.
 */
import { loadNetworkFile } from '../config/load.js'
import type { NetworkFile } from '../config/types.js'
import { Lab } from '../lab/lab.js'
import { close, openNetns, setCarrier, setLink } from '../native.js'
import { NetworkError, type Operation, type StatsResult } from '../network/operations.js'
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
  offload: boolean
  poll: PollMode
  logLevel: string
  /** Where sockets and records lie. */
  runDirectory?: string
}

/** A terminal that is closed hangs up: what was made must not outlive it. Node does not leave SIGHUP ignored under nohup: setsid does. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs an instance until one of these signals or `down`; returns the exit code. Throws ConfigError and LabError before anything runs. */
export const runInstance = async (options: InstanceOptions): Promise<number> => {
  const started = performance.now()
  const file = await loadNetworkFile(options.file, { instance: options.name })
  const log = createLog(options.logLevel)
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

  const lab = await Lab.create(file.hosts, {
    instance: options.name, offload: options.offload, socket,
    log: { info: (m) => log.info(m), warn: (m) => log.warn(m), debug: (m) => log.debug(m) }
  })
  let code = 0
  let server: ControlServer | undefined
  let plane: DataPlane | undefined
  let captures: CaptureHub | undefined
  let last: StatsResult | undefined
  let ready = false
  let failure: unknown
  try {
    plane = await DataPlane.start({ instance: options.name, poll: options.poll, operations: buildOperations(file, lab.interfaces) })
    plane.on('failed', (error: Error) => abort(error))
    plane.on('restarted', (error: Error) => log.error({ error: error.message }, 'the data plane died; a new one has taken over'))
    plane.on('device-lost', (port: string, errno: number) => log.warn({ port, errno }, 'the device behind this port is gone'))
    captures = new CaptureHub(plane)
    const pings = new PingHub(plane)
    server = await ControlServer.listen(socket, serve({ plane, captures, pings, info: info(options, file), down: () => end('down') }))
    log.info({ instance: options.name, bridges: file.bridges.length, routers: file.routers.length, ports: lab.interfaces.length }, 'forwarding')
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

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

const describe = (file: NetworkFile): string =>
  [count(file.bridges.length, 'bridge'), count(file.routers.length, 'router'), count(file.hosts.length, 'host')].join(', ')

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
}

/** Carries out an operation, and lets the device of a port follow: no carrier for the host while its port is down, and its MTU. */
const apply = async (plane: DataPlane, operation: Operation): Promise<null> => {
  const { device } = await plane.apply(operation)
  if (device?.up !== undefined) setCarrier(device.handle, device.up)
  if (device?.mtu !== undefined) {
    const netns = openNetns(device.netns)
    try {
      setLink({ netns, name: device.ifname, mtu: device.mtu })
    } finally {
      close(netns)
    }
  }
  return null
}

/** Answers the requests of the control socket. */
const serve = ({ plane, captures, pings, info, down }: Services) => (request: Request, client: Client): unknown => {
  switch (request.method) {
    case 'apply': return apply(plane, request.operation)
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
