/** `tapway down`: returns when the instance and all that it made is gone. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ClientError, ControlClient } from '../control/client.js'
import type { InfoResult } from '../control/protocol.js'
import type { InstanceRecord } from '../lab/record.js'
import { CliError } from './error.js'
import type { Io } from './io.js'

/** How long an instance may take to end, and how long its process may take after it has removed everything: milliseconds. */
const PATIENCE = 30_000
const AFTERWARDS = 2_000
const POLL = 20

/** Waits until `done`, for `patience` at most; whether it came to that. */
const until = async (done: () => boolean, patience: number): Promise<boolean> => {
  for (const begun = performance.now(); !done(); await sleep(POLL)) if (performance.now() - begun > patience) return false
  return true
}

const connect = async (name: string, io: Io): Promise<ControlClient | ClientError> => {
  try {
    return await ControlClient.connect(name, io.directory)
  } catch (error) {
    if (error instanceof ClientError && !error.running) return error
    throw error
  }
}

/** Asks a running instance to stop; gives its process. A connection that ends instead of an answer is one, too. */
const ask = async (client: ControlClient): Promise<number> => {
  const { pid } = await client.request<InfoResult>({ method: 'info' })
  try {
    await client.request({ method: 'down' })
  } catch (error) {
    if (!(error instanceof ClientError) || error.exitCode === 2) throw error
  }
  await Promise.race([client.closed, sleep(PATIENCE, undefined, { ref: false })])
  client.close()
  return pid
}

/** Exit status 0 when it is gone. Throws ClientError, CliError and LabError. */
export const down = async (name: string, io: Io): Promise<number> => {
  const { isAlive, readRecord, startTimeOf } = await import('../lab/record.js')
  const client = await connect(name, io)
  let pid: number
  let before: InstanceRecord | undefined
  let alive: () => boolean
  if (client instanceof ClientError) {
    before = readRecord(name, io.directory)
    if (before === undefined) throw client
    const record = before
    if (!isAlive(record)) return cleanUp(name, io)
    // Its socket is not there yet or no longer: it starts or ends just now.
    pid = record.pid
    alive = () => isAlive(record)
    process.kill(pid, 'SIGTERM')
  } else {
    pid = await ask(client)
    const started = startTimeOf(pid)
    alive = () => started !== undefined && startTimeOf(pid) === started
  }
  const gone = await until(() => readRecord(name, io.directory) === undefined || !alive(), PATIENCE)
  if (!gone) throw new CliError(`instance "${name}" (process ${pid}) did not end within ${PATIENCE / 1000} s: see its log; after kill -9 ${pid}, tapway down removes the rest`, 1)
  await until(() => !alive(), AFTERWARDS)
  return readRecord(name, io.directory) === undefined ? 0 : cleanUp(name, io)
}

/** Removes what a dead instance left, and says what. */
const cleanUp = async (name: string, io: Io): Promise<number> => {
  const { Lab } = await import('../lab/lab.js')
  const log = { info: () => {}, debug: () => {}, warn: (message: string) => io.err(`tapway: ${message}\n`) }
  const removed = await Lab.cleanLeftovers(name, log)
  const kinds = removed === undefined ? [] : [
    ...removed.namespaces.map((namespace) => `namespace ${namespace}`),
    ...removed.interfaces.map((device) => `interface ${device}`),
    ...removed.devices.map((device) => `ingress filter of device ${device}`),
    ...removed.sysctls.map((sysctl) => `changed ${sysctl}`),
  ]
  io.out(`removed what a killed instance "${name}" left: ${kinds.length === 0 ? 'its record' : kinds.join(', ')}\n`)
  return 0
}
