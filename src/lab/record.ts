/**
 * The record of an instance, /run/tapway/NAME.json: what it makes, written before it is made, so that after a kill -9
 * the next one can remove exactly that. Whoever writes it holds the lock (lock.ts); reading needs no lock, since a
 * record is replaced whole.
 */
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { RUN_DIR } from './lock.js'
import type { NamespaceIdentity } from './namespace.js'
import type { Sysctl } from './sysctl.js'
import { codeOf, LabError, messageOf } from './types.js'
import type { MadeUplink } from './uplink.js'

/** Version 1 had no devices. */
const RECORD_VERSION = 2

/** A namespace that the instance makes; the name is the host's. */
export interface MadeNamespace {
  readonly host: string
  readonly identity: NamespaceIdentity
}

/** A namespace that was there before, and what the instance changes in it. */
export interface AdoptedNamespace {
  readonly host: string
  /** as in the network file: a name of `ip netns`, or a path */
  readonly netns: string
  readonly identity: NamespaceIdentity
  /** TAPs in it; ifindex is null until it exists */
  readonly interfaces: readonly { readonly name: string, readonly ifindex: number | null }[]
  /** values to write back, in order */
  readonly restore: readonly Sysctl[]
}

/** An existing device attached to a bridge, of which the ingress is blocked (device.ts). */
export interface AttachedDevice {
  /** the port's name */
  readonly port: string
  readonly device: string
  /** as in the network file; null: the namespace of the process */
  readonly netns: string | null
  readonly identity: NamespaceIdentity
  readonly ifindex: number
  /** whether the qdisc `clsact` is ours, too */
  readonly qdisc: boolean
}

export interface InstanceRecord {
  readonly version: typeof RECORD_VERSION
  readonly instance: string
  /** the process, by number and start time (clock ticks since boot) of one boot, for numbers are given out again */
  readonly pid: number
  readonly startTime: string
  readonly boot: string
  /** path of the control socket */
  readonly socket: string | null
  readonly namespaces: readonly MadeNamespace[]
  readonly adopted: readonly AdoptedNamespace[]
  readonly devices: readonly AttachedDevice[]
  readonly uplinks: readonly MadeUplink[]
  /** processors that its threads stay on when there is much to do */
  readonly cpus: readonly number[]
}

export const recordPath = (instance: string, directory = RUN_DIR): string => `${directory}/${instance}.json`

/** Identity of this boot of the machine. */
export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

/** Start time of a process in clock ticks since boot (proc(5), stat field 22); undefined when it is gone or a zombie. */
export const startTimeOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // field 3 on: the name may hold spaces and brackets
    const ended = fields[0] === 'Z' || fields[0] === 'X'
    // The first thread may be gone while another still holds the descriptors.
    return ended && readdirSync(`/proc/${pid}/task`).length <= 1 ? undefined : fields[19]
  } catch {
    return undefined
  }
}

/** Whether the process that wrote a record is still there. */
export const isAlive = (record: InstanceRecord): boolean =>
  record.boot === bootId() && startTimeOf(record.pid) === record.startTime

/** The beginning of a record: this process, nothing made yet. */
export const newRecord = (instance: string, socket: string | null, devices: readonly AttachedDevice[]): InstanceRecord => ({
  version: RECORD_VERSION, instance, pid: process.pid, startTime: startTimeOf(process.pid)!, boot: bootId(), socket,
  namespaces: [], adopted: [], devices, uplinks: [], cpus: [],
})

/** Reads a record; undefined when there is none. Throws LabError for one that this version did not write. */
export const readRecord = (instance: string, directory = RUN_DIR): InstanceRecord | undefined => {
  const path = recordPath(instance, directory)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new LabError(`cannot read ${path}: ${messageOf(error)}`)
  }
  try {
    const record = JSON.parse(text) as Omit<InstanceRecord, 'version' | 'devices' | 'uplinks' | 'cpus'> & { version: number }
      & Partial<Pick<InstanceRecord, 'devices' | 'uplinks' | 'cpus'>>
    if ([1, RECORD_VERSION].includes(record.version) && record.instance === instance) {
      return { ...record, version: RECORD_VERSION, devices: record.devices ?? [], uplinks: record.uplinks ?? [], cpus: record.cpus ?? [] }
    }
  } catch {
    // said below
  }
  throw new LabError(`${path} is no record of this version of tapway: remove what it lists by hand, then the file`)
}

/** Writes a record: whole or not at all, and on the disk before it returns. */
export const writeRecord = (record: InstanceRecord, directory = RUN_DIR): void => {
  const path = recordPath(record.instance, directory)
  const temporary = `${path}.new`
  try {
    rmSync(temporary, { force: true }) // of one that was killed while it wrote
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      writeSync(fd, `${JSON.stringify(record, undefined, 2)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
    const folder = openSync(directory, 'r')
    fsyncSync(folder)
    closeSync(folder)
  } catch (error) {
    throw new LabError(`cannot write ${path}: ${messageOf(error)}`)
  }
}

export const removeRecord = (instance: string, directory = RUN_DIR): void => {
  rmSync(`${recordPath(instance, directory)}.new`, { force: true })
  rmSync(recordPath(instance, directory), { force: true })
}
