/**
 * Existing devices that become ports of a bridge. A packet socket takes what a device receives, but a copy only: the device's own stack
 * would still answer and forward it. So a filter at the device's ingress drops everything there; packet sockets are served before it
 * (net/core/dev.c, __netif_receive_skb_core). The filter is one instruction of classic BPF under tc(8), which iproute2 brings along. It
 * stays when we are killed, therefore it is in the record before it is made. Promiscuous mode is the socket's, and ends with it.
 */
import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import type { BridgeDevice } from '../config/types.js'
import { identityAt, NETNS_DIR, openNamespace, pathOf, sameNamespace, identityOf, type NamespaceIdentity } from './namespace.js'
import { isAlive, type AttachedDevice, type InstanceRecord } from './record.js'
import { run } from './run.js'
import { LabError, messageOf, type LabLog } from './types.js'
import { otherRecords } from './underlay-look.js'

/** A device that is to be plugged into a bridge. */
export interface DevicePlan extends BridgeDevice {
  readonly bridge: string
}

/** A device that was found fit. */
export interface FoundDevice {
  readonly plan: DevicePlan
  /** descriptor of its namespace; undefined: our own */
  readonly netns: number | undefined
  /** what is to be undone */
  readonly attached: AttachedDevice
}

/** Our filter among those of a device: `tw`. The preference comes before all others that are not set by hand. */
const HANDLE = '0x7477'
const PREFERENCE = '1'
/** Returns TC_ACT_SHOT (linux/pkt_cls.h). */
const DROP_ALL = '1,6 0 0 2'

const OWN_NAMESPACE = '/proc/self/ns/net'

interface LinkRow {
  readonly ifindex: number
  readonly ifname: string
  readonly link_type: string
  readonly master?: string
  readonly altnames?: readonly string[]
}
interface FilterRow { readonly kind?: string, readonly options?: { readonly handle?: string } }

const inside = (netns: number | undefined): { netns?: number } => (netns === undefined ? {} : { netns })

/** Rows of `ip -j` or `tc -j`; undefined when it fails. */
const rows = async <T>(netns: number | undefined, command: 'ip' | 'tc', ...args: string[]): Promise<T[] | undefined> => {
  const { status, stdout } = await run(command, ['-j', ...args], inside(netns))
  return status === 0 ? (JSON.parse(stdout.trim() || '[]') as T[]) : undefined
}

/** The first line that tells why tc(8) failed. */
const reason = (stderr: string): string =>
  stderr.split('\n').find((line) => line !== '')?.replace(/^(RTNETLINK answers|Error): /, '').replace(/\.$/, '') ?? 'it gave no reason'

const whereIs = (netns: string | null | undefined): string => (netns == null ? '' : ` in namespace "${netns}"`)

/** Whoever has a device already: an instance of which the record says so. */
const holder = (others: readonly InstanceRecord[], identity: NamespaceIdentity, ifindex: number): InstanceRecord | undefined =>
  others.find(({ devices }) => devices.some((device) => device.ifindex === ifindex && sameNamespace(device.identity, identity, false)))

const hasOwner = ({ device, netns }: AttachedDevice, owner: InstanceRecord): LabError => {
  const what = isAlive(owner) ? `instance "${owner.instance}" (process ${owner.pid}) has it: stop that`
    : `the killed instance "${owner.instance}" had it: remove what that left`
  return new LabError(`device "${device}"${whereIs(netns)}: ${what} with \`tapway down --name ${owner.instance}\``)
}

/** What to say when another instance has recorded the device as well, since it was found; undefined when it is ours alone. */
export const lostTo = ({ attached }: FoundDevice, instance: string): LabError | undefined => {
  const owner = holder(otherRecords(instance), attached.identity, attached.ifindex)
  return owner === undefined ? undefined : hasOwner(attached, owner)
}

/** Whether a device has a qdisc that filters at ingress can be put on, and whether our filter is there. */
const ingressOf = async (netns: number | undefined, dev: string): Promise<{ qdisc: boolean, ours: boolean, others: boolean }> => {
  const qdiscs = await rows<{ kind: string }>(netns, 'tc', 'qdisc', 'show', 'dev', dev) ?? []
  if (!qdiscs.some(({ kind }) => kind === 'clsact' || kind === 'ingress')) return { qdisc: false, ours: false, others: false }
  const filters = [
    ...await rows<FilterRow>(netns, 'tc', 'filter', 'show', 'dev', dev, 'ingress') ?? [],
    ...await rows<FilterRow>(netns, 'tc', 'filter', 'show', 'dev', dev, 'egress') ?? [],
  ].filter(({ options }) => options !== undefined)
  const isOurs = ({ kind, options }: FilterRow): boolean => kind === 'bpf' && options?.handle === HANDLE
  return { qdisc: true, ours: filters.some(isOurs), others: filters.some((row) => !isOurs(row)) }
}

/**
 * Looks at the devices, without changing anything. Throws LabError: exit 2 for one that is not there or cannot be a port, 1 for one that
 * another instance has. The namespaces of those found are the caller's to close, also those in `found` when this throws.
 */
export const findDevices = async (plans: readonly DevicePlan[], instance: string, found: FoundDevice[]): Promise<void> => {
  const others = otherRecords(instance)
  for (const plan of plans) {
    const { device, netns: reference } = plan
    const where = whereIs(reference)
    const netns = reference === undefined ? undefined : openNamespace(`device "${device}"`, reference)
    const identity = netns === undefined ? identityAt(OWN_NAMESPACE)! : identityOf(netns)
    const attached = { port: plan.name, device, netns: reference ?? null, identity, ifindex: 0, qdisc: false }
    found.push({ plan, netns, attached })
    const links = await rows<LinkRow>(netns, 'ip', 'link', 'show') ?? []
    const link = links.find(({ ifname, altnames }) => ifname === device || altnames?.includes(device) === true)
    if (link === undefined) throw new LabError(`bridge "${plan.bridge}": there is no device "${device}"${where}`, 2)
    if (link.link_type !== 'ether') {
      throw new LabError(`bridge "${plan.bridge}": device "${device}"${where} is no Ethernet device but ${link.link_type}`, 2)
    }
    if (link.master !== undefined) {
      throw new LabError(`bridge "${plan.bridge}": device "${device}"${where} belongs to "${link.master}": `
        + `take it out with \`ip link set dev ${device} nomaster\``, 2)
    }
    const twin = found.find((other) => other.attached.ifindex === link.ifindex && sameNamespace(other.attached.identity, identity, false))
    if (twin !== undefined) {
      const { name, bridge } = twin.plan
      throw new LabError(`bridge "${plan.bridge}": device "${device}"${where} is port "${name}" of bridge "${bridge}" already`, 2)
    }
    const owner = holder(others, identity, link.ifindex)
    if (owner !== undefined) throw hasOwner(attached, owner)
    const { qdisc } = await ingressOf(netns, link.ifname)
    found[found.length - 1] = { plan, netns, attached: { ...attached, device: link.ifname, ifindex: link.ifindex, qdisc: !qdisc } }
  }
}

/** Has the device's own stack take nothing more. Throws LabError. */
export const blockStack = async ({ plan, netns, attached }: FoundDevice): Promise<void> => {
  const dev = attached.device
  const failed = (stderr: string): LabError => new LabError(`device "${dev}"${whereIs(plan.netns)}: cannot keep its own stack from taking `
    + `what is switched: ${reason(stderr)} (tc needs sch_ingress and cls_bpf of the kernel)`)
  if (attached.qdisc) {
    const { status, stderr } = await run('tc', ['qdisc', 'add', 'dev', dev, 'clsact'], inside(netns))
    if (status !== 0 && !/File exists|Exclusivity/.test(stderr)) throw failed(stderr)
  }
  // skip_hw: a network card that drops by itself would keep the frames from us as well.
  const filter = ['filter', 'add', 'dev', dev, 'ingress', 'pref', PREFERENCE, 'handle', HANDLE, 'bpf', 'da', 'skip_hw', 'bytecode', DROP_ALL]
  const { status, stderr } = await run('tc', filter, inside(netns))
  // No record claims one that is there: that of an instance whose record was lost.
  if (status !== 0 && !/already exists|File exists/.test(stderr)) throw failed(stderr)
}

/** A descriptor of the namespace, wherever it can still be reached; undefined when it is gone. */
export const findNamespace = (reference: string | null, identity: NamespaceIdentity): number | undefined => {
  const list = (folder: string): string[] => {
    try {
      return readdirSync(folder)
    } catch {
      return []
    }
  }
  const candidates = [
    reference === null ? OWN_NAMESPACE : pathOf(reference), ...list(NETNS_DIR).map((name) => `${NETNS_DIR}/${name}`),
    ...list('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => `/proc/${pid}/ns/net`),
  ]
  for (const path of candidates) {
    let fd: number | undefined
    try {
      // Times may differ between two looks at a namespace without a name. What is undone there bears our mark besides.
      const now = identityAt(path)
      if (now === undefined || !sameNamespace(now, identity, false)) continue
      fd = openSync(path, constants.O_RDONLY)
      if (sameNamespace(identityOf(fd), identity, false)) return fd
    } catch {
      // of a process that has ended meanwhile, or not ours to look at
    }
    if (fd !== undefined) closeSync(fd)
  }
  return undefined
}

/**
 * Takes our filter from a device, and the qdisc that was made for it unless somebody else uses it now. Returns whether there was
 * something to remove; a device that is gone took all of it along. Throws LabError when it could not be removed.
 */
export const unblockStack = async ({ device, netns, identity, ifindex, qdisc }: AttachedDevice, log: LabLog): Promise<boolean> => {
  const fd = findNamespace(netns, identity)
  if (fd === undefined) {
    log.debug(`device ${device}: its namespace is gone`)
    return false
  }
  try {
    // By its number: it may have another name by now. One that moves to another namespace loses its filters on the way.
    const name = (await rows<LinkRow>(fd, 'ip', 'link', 'show') ?? []).find((link) => link.ifindex === ifindex)?.ifname
    if (name === undefined) {
      log.debug(`device ${device}${whereIs(netns)} is gone`)
      return false
    }
    const before = await ingressOf(fd, name)
    if (before.ours) {
      const filter = ['filter', 'del', 'dev', name, 'ingress', 'pref', PREFERENCE, 'handle', HANDLE, 'bpf']
      const { status, stderr } = await run('tc', filter, inside(fd))
      if (status !== 0 && (await ingressOf(fd, name)).ours) {
        throw new LabError(`device "${name}"${whereIs(netns)}: cannot remove its ingress filter: ${reason(stderr)}: `
          + `remove it with \`tc filter del dev ${name} ingress pref ${PREFERENCE}\``)
      }
    }
    if (qdisc && before.qdisc && !before.others) await run('tc', ['qdisc', 'del', 'dev', name, 'clsact'], inside(fd))
    return before.ours || (qdisc && before.qdisc)
  } catch (error) {
    if (error instanceof LabError) throw error
    throw new LabError(`device "${device}"${whereIs(netns)}: ${messageOf(error)}`)
  } finally {
    closeSync(fd)
  }
}
