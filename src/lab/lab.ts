/**
 * The lab: the hosts of one instance. It makes their namespaces and TAPs, configures them, attaches existing devices, and takes all of
 * it back.
 *
 * A new namespace has no name until everything in it is done: whatever goes wrong before, it vanishes with our
 * descriptors. Names are given last, and the record is written before that (see record.ts).
 */
import { closeSync, existsSync, rmSync } from 'node:fs'
import type { Host } from '../config/types.js'
import { openPacket, openTap, steerTap } from '../native.js'
import { blockStack, findDevices, lostTo, type DevicePlan, type FoundDevice } from './device.js'
import { configure, LO_INDEX } from './configure.js'
import { checkInstance, lockInstance, lockPath, type InstanceLock } from './lock.js'
import {
  identityAt, identityOf, makeNamespace, namespacePath, nameNamespaces, openNamespace, sameNamespace, takenName,
  type NewNamespace,
} from './namespace.js'
import { closeAll } from './native.js'
import { checkRights, checkTools, checkTun, mountWarning } from './preflight.js'
import { isAlive, newRecord, readRecord, recordPath, removeRecord, writeRecord, type InstanceRecord } from './record.js'
import { forEach, run } from './run.js'
import { HOST_DEFAULTS, readForRestore, sysctlInterface, sysctlPath, writeSysctls, type Sysctl } from './sysctl.js'
import { codeOf, LabError, messageOf, type LabDevice, type LabInterface, type LabLog } from './types.js'
import { undo, type Removed } from './undo.js'
import type { MadeUplink } from './uplink.js'

/** What opens and closes TAPs: src/native.ts, or something else in a test. */
export interface Taps {
  /** `netns` is a descriptor of the namespace. Throws when it cannot. */
  openTap(options: { readonly netns: number, readonly name: string, readonly offload: boolean, readonly multiQueue?: boolean, readonly isNew?: boolean }):
    { readonly fd: number, readonly vnetHeader: number, readonly offloads: number, readonly ifindex: number }
  /** Has every flow keep to one queue. Throws when it cannot. */
  steerTap?(fd: number): void
  /** Several at once, as each may take a while. */
  closeAll(fds: readonly number[]): void
}

export interface LabOptions {
  readonly instance: string
  readonly offload: boolean
  /** Queues of a TAP; one when left out. */
  readonly queues?: number
  readonly log: LabLog
  /** Path of the control socket, for the record: left over after a kill -9, it is removed with the rest. */
  readonly socket?: string
  /** Existing devices to attach to bridges. */
  readonly devices?: readonly DevicePlan[]
  /** packets; the kernel's default when left out */
  readonly txqueuelen?: number
  /** Leave hosts' devices the queueing discipline that the kernel gives them. */
  readonly qdisc?: boolean
  readonly taps?: Taps
  readonly openPacket?: typeof openPacket
}

interface LabHost {
  readonly plan: Host
  /** descriptor of its namespace */
  readonly netns: number
  /** set for a namespace of our own, until it has its name */
  readonly made: NewNamespace | undefined
  /** sysctls that need the interfaces, and those that must come before them */
  readonly late: readonly Sysctl[]
  readonly early: readonly Sysctl[]
  restore: readonly Sysctl[]
  /** interfaces by name: loopback, or what an adopted namespace has, and ours as they are made */
  readonly indexes: Map<string, number>
}

/** Where in /proc/sys, and when: those of one interface once it exists, all others before (`default` counts at its birth). */
const planSysctls = (plan: Host): Pick<LabHost, 'early' | 'late'> => {
  const names = new Set(plan.interfaces.map(({ name }) => name))
  const early: Sysctl[] = plan.netns === undefined ? [...HOST_DEFAULTS] : []
  const late: Sysctl[] = []
  for (const [name, value] of plan.sysctls) {
    const path = sysctlPath(plan.name, name)
    const list = names.has(sysctlInterface(path) ?? '') ? late : early
    list.push({ path, value })
  }
  return { early, late }
}

/** Interfaces in a namespace by name, alternative names included. */
const linkIndexes = async (host: string, netns: number): Promise<Map<string, number>> => {
  const { status, stdout, stderr } = await run('ip', ['-j', 'link', 'show'], { netns })
  if (status !== 0) throw new LabError(`host "${host}": cannot list the interfaces of its namespace: ${stderr.trim()}`)
  const links = JSON.parse(stdout || '[]') as { ifindex: number, ifname: string, altnames?: string[] }[]
  return new Map(links.flatMap(({ ifindex, ifname, altnames }) => [ifname, ...altnames ?? []].map((name) => [name, ifindex] as const)))
}

export class Lab {
  /** In the order of the plan. */
  readonly interfaces: LabInterface[] = []
  /** In the order of the plan. */
  readonly devices: LabDevice[] = []
  readonly #found: FoundDevice[] = []
  #unsteered = false
  readonly #hosts: LabHost[] = []
  readonly #taps: Taps
  /** descriptors of all queues of all TAPs */
  readonly #opened: number[] = []
  #record: InstanceRecord
  #recorded = false
  #destroyed: Promise<Removed> | undefined

  private constructor(readonly options: LabOptions, private readonly lock: InstanceLock) {
    this.#taps = options.taps ?? { openTap, steerTap, closeAll }
    this.#record = newRecord(options.instance, options.socket ?? null, [])
  }

  /**
   * Makes the hosts. What a killed instance of the same name left is removed first. Throws LabError, with everything
   * taken back: exit code 2 for names that are taken or missing, before anything is touched; 1 for the rest.
   */
  static async create(hosts: readonly Host[], options: LabOptions): Promise<Lab> {
    checkRights()
    checkTools(options.devices === undefined || options.devices.length === 0 ? [] : ['tc'])
    if (hosts.some(({ interfaces }) => interfaces.length > 0)) checkTun()
    const plans = hosts.map((plan) => ({ plan, ...planSysctls(plan) }))
    const lock = takeLock(options.instance)
    let lab: Lab | undefined
    try {
      await clean(options.instance, options.log)
      lab = new Lab(options, lock)
      await lab.#check(plans)
      const warning = hosts.some(({ netns }) => netns === undefined) ? mountWarning() : undefined
      if (warning !== undefined) options.log.warn(warning)
      await lab.#make()
      return lab
    } catch (error) {
      if (lab === undefined) lock.release()
      // The first error is what the user has to know; a second one while undoing it is told, too.
      else await lab.destroy().catch((second: unknown) => options.log.warn(messageOf(second)))
      throw error
    }
  }

  /**
   * Removes what a killed instance left: what its record lists and nothing else. Undefined when there is no record. Throws
   * LabError when the instance is running.
   */
  static async cleanLeftovers(instance: string, log: LabLog): Promise<Removed | undefined> {
    checkInstance(instance)
    checkRights()
    if (!existsSync(lockPath(instance)) && !existsSync(recordPath(instance))) return undefined
    const lock = takeLock(instance)
    try {
      return await clean(instance, log)
    } finally {
      lock.release()
    }
  }

  /** Writes down the uplinks there are, or will be. */
  recordUplinks(uplinks: readonly MadeUplink[]): void {
    this.#write({ ...this.#record, uplinks })
  }

  /** Writes down which processors the instance's threads stay on. */
  recordCpus(cpus: readonly number[]): void {
    this.#write({ ...this.#record, cpus })
  }

  /** What is written about this instance. */
  get record(): InstanceRecord {
    return this.#record
  }

  /** Descriptor of a host's namespace, valid until destroy. */
  netns(host: string): number | undefined {
    return this.#hosts.find(({ plan }) => plan.name === host)?.netns
  }

  /**
   * Takes everything back; the data plane must have stopped, for the TAPs are closed here. Programs that still run in a
   * namespace keep it alive without a name. Safe to call again. Throws LabError when something could not be removed: the
   * record then stays for the next one.
   */
  destroy(): Promise<Removed> {
    this.#destroyed ??= this.#undo()
    return this.#destroyed
  }

  /** Everything that can be found out without changing anything; new namespaces are made here, but have no name yet. */
  async #check(plans: readonly (Pick<LabHost, 'plan' | 'early' | 'late'>)[]): Promise<void> {
    for (const { plan } of plans) {
      if (plan.netns === undefined && identityAt(namespacePath(plan.name)) !== undefined) throw takenName(plan.name)
    }
    await findDevices(this.options.devices ?? [], this.options.instance, this.#found)
    for (const { plan, early, late } of plans) {
      if (plan.netns !== undefined) {
        const netns = openNamespace(`host "${plan.name}"`, plan.netns)
        this.#hosts.push({ plan, early, late, netns, made: undefined, restore: [], indexes: new Map() })
      }
    }
    await forEach(this.#hosts, async (host) => {
      const { plan, netns, early } = host
      for (const [name, index] of await linkIndexes(plan.name, netns)) host.indexes.set(name, index)
      const names = new Set(host.indexes.keys())
      for (const other of this.#hosts) { // two hosts may adopt the same namespace
        if (other === host) break
        if (!sameNamespace(identityOf(netns), identityOf(other.netns))) continue
        for (const { name } of other.plan.interfaces) names.add(name)
      }
      const taken = plan.interfaces.find(({ name }) => names.has(name))
      if (taken !== undefined) {
        throw new LabError(`host "${plan.name}": interface "${taken.name}" exists already in namespace "${plan.netns!}"`, 2)
      }
      host.restore = await readForRestore(plan.name, netns, early)
    })
    const made = new Map<Host, LabHost>(this.#hosts.map((host) => [host.plan, host]))
    try {
      for (const { plan, early, late } of plans) {
        if (plan.netns !== undefined) continue
        const namespace = makeNamespace()
        made.set(plan, { plan, early, late, netns: namespace.fd, made: namespace, restore: [], indexes: new Map([['lo', LO_INDEX]]) })
      }
    } finally {
      this.#hosts.splice(0, this.#hosts.length, ...plans.flatMap(({ plan }) => made.get(plan) ?? []))
    }
  }

  async #make(): Promise<void> {
    const { log, instance } = this.options
    const hosts = this.#hosts
    this.#write({
      ...this.#record,
      namespaces: hosts.flatMap(({ plan, made }) => (made ? [{ host: plan.name, identity: made.identity }] : [])),
      adopted: this.#adopted(),
      devices: this.#found.map(({ attached }) => attached),
    })
    for (const { plan, netns, early } of hosts) writeSysctls(plan.name, netns, early)
    for (const host of hosts) this.#openTaps(host)
    for (const found of this.#found) await this.#attach(found)
    // TAPs in adopted namespaces have an index now.
    if (hosts.some(({ made }) => made === undefined)) this.#write({ ...this.#record, adopted: this.#adopted() })
    for (const { plan, netns, late, indexes } of hosts) {
      writeSysctls(plan.name, netns, late)
      configure(plan, netns, indexes, this.options)
    }
    const named = hosts.flatMap(({ plan, made }) => (made === undefined ? [] : [{ name: plan.name, made }]))
    nameNamespaces(named)
    log.debug(`instance ${instance}: made namespaces ${named.map(({ name }) => name).join(', ') || 'none'}`)
  }

  #openTaps({ plan, netns, indexes }: LabHost): void {
    for (const { name, bridge, mac, mtu } of plan.interfaces) {
      let tap: ReturnType<Taps['openTap']>
      const queues: number[] = []
      const { offload, queues: count = 1 } = this.options
      try {
        tap = this.#taps.openTap({ netns, name, offload, ...(count > 1 ? { multiQueue: true, isNew: true } : {}) })
        this.#opened.push(tap.fd)
        for (let i = 1; i < count; i++) {
          const { fd } = this.#taps.openTap({ netns, name, offload, multiQueue: true })
          this.#opened.push(fd)
          queues.push(fd)
        }
      } catch (error) {
        const exitCode = codeOf(error) === 'EEXIST' ? 2 : 1
        throw new LabError(`host "${plan.name}": cannot make interface ${name}: ${messageOf(error)}`, exitCode, { cause: error })
      }
      if (count > 1) this.#steer(tap.fd)
      const { fd, vnetHeader, offloads, ifindex } = tap
      indexes.set(name, ifindex)
      this.interfaces.push({ host: plan.name, interface: name, bridge, fd, queues, vnetHeader, offloads, ifindex, mac, mtu })
    }
  }

  #steer(fd: number): void {
    try {
      this.#taps.steerTap?.(fd)
    } catch (error) {
      if (!this.#unsteered) this.options.log.warn(`queues are chosen by the kernel, which may change that of a flow and its order with it: ${messageOf(error)}`)
      this.#unsteered = true
    }
  }

  async #attach(found: FoundDevice): Promise<void> {
    const { plan, netns, attached } = found
    const { name, bridge } = plan
    const { device } = attached
    const lost = lostTo(found, this.options.instance)
    if (lost !== undefined) {
      // What the other one makes must not be undone with ours.
      this.#write({ ...this.#record, devices: this.#record.devices.filter((device) => device !== attached) })
      throw lost
    }
    // The stack lets go first, so that no frame is taken by both.
    await blockStack(found)
    let socket: ReturnType<typeof openPacket>
    try {
      // Always with the virtio-net header: without it, super-frames and partial checksums of the device's peer would come unmarked.
      const open = this.options.openPacket ?? openPacket
      socket = open({ name: device, offload: true, ...(netns === undefined ? {} : { netns }) })
    } catch (error) {
      throw new LabError(`bridge "${bridge}": cannot attach device "${device}": ${messageOf(error)}`, 1, { cause: error })
    }
    const { fd, vnetHeader, ifindex, mac, mtu, up } = socket
    const offloads = this.options.offload ? socket.offloads : 0
    this.devices.push({ name, bridge, device, fd, vnetHeader, offloads, mac, mtu })
    if (ifindex !== attached.ifindex) throw new LabError(`bridge "${bridge}": device "${device}" was replaced while it was attached`)
    if (!up) this.options.log.warn(`device "${device}" of bridge "${bridge}" is down: nothing passes until it is up (ip link set dev ${device} up)`)
  }

  #adopted(): InstanceRecord['adopted'] {
    return this.#hosts.filter(({ made }) => made === undefined).map(({ plan, netns, restore }) => ({
      host: plan.name,
      netns: plan.netns!,
      identity: identityOf(netns),
      interfaces: plan.interfaces.map(({ name }) => ({
        name, ifindex: this.interfaces.find((made) => made.host === plan.name && made.interface === name)?.ifindex ?? null,
      })),
      restore,
    }))
  }

  #write(record: InstanceRecord): void {
    writeRecord(record)
    this.#record = record
    this.#recorded = true
  }

  async #undo(): Promise<Removed> {
    this.#taps.closeAll([...this.#opened, ...this.devices.map(({ fd }) => fd)])
    try {
      const none = { namespaces: [], interfaces: [], devices: [], sysctls: [] }
      const removed = this.#recorded ? await undo(this.#record, this.options.log) : none
      removeRecord(this.options.instance)
      return removed
    } finally {
      for (const { netns } of [...this.#hosts, ...this.#found]) if (netns !== undefined) closeSync(netns)
      this.lock.release()
    }
  }
}

/** Seconds within which the lock of a killed process is free at the latest. */
const KILLED_WAIT = 3

const takeLock = (instance: string): InstanceLock => {
  const lock = lockInstance(instance)
  if (lock !== undefined) return lock
  const owner = readRecord(instance)
  if (owner === undefined || !isAlive(owner)) {
    // A process killed while it started another one: the copy has its descriptors until it becomes that other program.
    const late = lockInstance(instance, KILLED_WAIT)
    if (late !== undefined) return late
  }
  const pid = readRecord(instance)?.pid
  throw new LabError(`instance "${instance}" is running already${pid === undefined ? '' : ` (process ${pid})`}: `
    + `stop it with \`tapway down --name ${instance}\`, or choose another --name`)
}

/** Undoes the record of a dead instance; the caller has the lock. */
const clean = async (instance: string, log: LabLog): Promise<Removed | undefined> => {
  const record = readRecord(instance)
  if (record === undefined) return undefined
  const removed = await undo(record, log)
  if (record.socket !== null) rmSync(record.socket, { force: true })
  removeRecord(instance)
  const all = [...removed.namespaces, ...removed.interfaces, ...removed.devices, ...removed.sysctls]
  log.info(`removed what the killed instance ${instance} (process ${record.pid}) left: ${all.join(', ') || 'nothing'}`)
  return removed
}
