/** Takes back what a record lists, and nothing else: at the end, after a failure half-way, and after a kill -9. */
import { closeSync, openSync, rmSync } from 'node:fs'
import { identityAt, identityOf, isStub, namespacePath, pathOf, removeNamespaces, sameNamespace } from './namespace.js'
import { bootId, type AdoptedNamespace, type InstanceRecord } from './record.js'
import { run } from './run.js'
import { findNamespace, unblockStack } from './device.js'
import { restoreSysctls, sysctlName } from './sysctl.js'
import { LabError, type LabLog } from './types.js'
import type { MadeUplink } from './uplink.js'

/** What was taken back. */
export interface Removed {
  namespaces: string[]
  /** `HOST.IF`, TAPs left in adopted namespaces, and uplinks */
  interfaces: string[]
  /** existing devices set free again, as `DEVICE` or `NETNS DEVICE` */
  devices: string[]
  /** sysctls restored, as `HOST net.ipv4...` */
  sysctls: string[]
}

const undoAdopted = async (adopted: AdoptedNamespace, removed: Removed, log: LabLog): Promise<void> => {
  const { host, netns, identity, interfaces, restore } = adopted
  let fd: number
  try {
    fd = openSync(pathOf(netns), 'r')
  } catch {
    return log.debug(`namespace ${netns} of host ${host} is gone`)
  }
  try {
    if (!sameNamespace(identityOf(fd), identity, !netns.includes('/'))) {
      return log.warn(`namespace ${netns} of host ${host} is another one now: left as it is`)
    }
    for (const { name, ifindex } of interfaces) {
      if (ifindex === null) continue // it went with the descriptor that made it
      // An index is not given out twice in a namespace: this is the TAP that was made, held open by another process.
      const { status, stdout } = await run('ip', ['-o', 'link', 'show', 'dev', name], { netns: fd })
      if (status !== 0 || !stdout.startsWith(`${ifindex}: `)) continue
      await run('ip', ['link', 'del', 'dev', name], { netns: fd })
      removed.interfaces.push(`${host}.${name}`)
    }
    const refused = new Set(await restoreSysctls(fd, restore))
    for (const { path } of restore) {
      if (refused.has(path)) log.warn(`host ${host}: sysctl ${sysctlName(path)} could not be restored`)
      else removed.sysctls.push(`${host} ${sysctlName(path)}`)
    }
  } finally {
    closeSync(fd)
  }
}

/** An uplink goes with its descriptor, unless another process has that, too. */
const undoUplink = async ({ name, netns, identity, ifindex }: MadeUplink, removed: Removed): Promise<void> => {
  const fd = ifindex === null ? undefined : findNamespace(netns, identity)
  if (fd === undefined) return
  try {
    const { status, stdout } = await run('ip', ['-o', 'link', 'show', 'dev', name], { netns: fd })
    if (status !== 0 || !stdout.startsWith(`${ifindex}: `)) return
    await run('ip', ['link', 'del', 'dev', name], { netns: fd })
    removed.interfaces.push(name)
  } finally {
    closeSync(fd)
  }
}

/**
 * Undoes a record. A namespace is removed only if the one that bears the name now is the one that was made; one that was
 * replaced stays. Throws LabError when something that is ours could not be removed: then the record must stay.
 */
export const undo = async (record: InstanceRecord, log: LabLog): Promise<Removed> => {
  const removed: Removed = { namespaces: [], interfaces: [], devices: [], sysctls: [] }
  const sameBoot = record.boot === bootId() // else all is gone but files
  // What cannot be undone must not keep the rest from it: it is told at the end, and the record stays.
  let stuck: unknown
  if (sameBoot) for (const device of record.devices) {
    try {
      if (await unblockStack(device, log)) removed.devices.push(device.netns === null ? device.device : `${device.netns} ${device.device}`)
    } catch (error) {
      stuck ??= error
    }
  }
  if (sameBoot) for (const adopted of record.adopted) await undoAdopted(adopted, removed, log)
  if (sameBoot) for (const uplink of record.uplinks) await undoUplink(uplink, removed)
  const ours: string[] = []
  for (const { host, identity } of record.namespaces) {
    const path = namespacePath(host)
    const now = identityAt(path)
    if (now === undefined) continue
    if (sameBoot && sameNamespace(now, identity)) {
      ours.push(host)
    } else if (isStub(path)) {
      // The name was free when the record was written: `ip netns` was stopped before it put the namespace there, or the
      // mount has gone with its mount namespace.
      rmSync(path, { force: true })
      removed.namespaces.push(host)
    } else {
      log.warn(`namespace ${host} is another one now: left as it is`)
    }
  }
  const left = await removeNamespaces(ours)
  if (left.length > 0) throw new LabError(`cannot remove namespace ${left.join(', ')}: remove it with \`ip netns del\``)
  removed.namespaces.push(...ours)
  if (stuck !== undefined) throw stuck
  return removed
}
