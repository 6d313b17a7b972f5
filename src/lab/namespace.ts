/**
 * Network namespaces and their identity.
 *
 * The kernel gives the inode number of a dead namespace to the next one that is made, so device and inode alone cannot
 * tell a namespace from its successor. The change time can: the inode of a namespace is made when it is first looked at
 * and lives as long as something holds it (a descriptor, or the bind mount that gives it its name), and its times never
 * change (fs/nsfs.c). We hold a descriptor from birth until the name is there, so all three stay what they were.
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readlinkSync, statSync, type BigIntStats } from 'node:fs'
import { nameNetns, newNetns, shareNetnsFolder } from './native.js'
import { run } from './run.js'
import { codeOf, LabError, messageOf } from './types.js'

/** Where iproute2 keeps named namespaces. */
export const NETNS_DIR = '/var/run/netns'

/** Decimal texts, for JSON has no 64-bit numbers. */
export interface NamespaceIdentity {
  readonly dev: string
  readonly ino: string
  /** nanoseconds */
  readonly ctime: string
}

export const namespacePath = (name: string): string => `${NETNS_DIR}/${name}`

/** A path stands for itself, anything else is a name of `ip netns`. */
export const pathOf = (reference: string): string => (reference.includes('/') ? reference : namespacePath(reference))

const identityFrom = (stat: BigIntStats): NamespaceIdentity =>
  ({ dev: String(stat.dev), ino: String(stat.ino), ctime: String(stat.ctimeNs) })

export const identityOf = (fd: number): NamespaceIdentity => identityFrom(fstatSync(fd, { bigint: true }))

/** Identity of what is at a path; undefined when nothing is. */
export const identityAt = (path: string): NamespaceIdentity | undefined => {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : identityFrom(stat)
}

/**
 * Whether both are the same namespace. A namespace reached by a path such as /proc/PID/ns/net has nothing that holds its
 * inode, so its times may differ between two looks: `held` is false for it, and device and inode must do.
 */
export const sameNamespace = (a: NamespaceIdentity, b: NamespaceIdentity, held = true): boolean =>
  a.dev === b.dev && a.ino === b.ino && (!held || a.ctime === b.ctime)

/** Whether a path is a file that `ip netns` left behind, or has just made: empty, mode 0, and no namespace on it. */
export const isStub = (path: string): boolean => {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && stat.isFile() && stat.size === 0 && (stat.mode & 0o777) === 0 && !isNamespace(String(stat.dev))
}

/** Namespaces live on the kernel's nsfs, which has one device number. */
const isNamespace = (dev: string): boolean => dev === identityAt('/proc/self/ns/net')?.dev

/** A descriptor of an existing namespace; `subject` is what it is of, as `host "client"`. Throws LabError (exit 2) when there is none. */
export const openNamespace = (subject: string, reference: string): number => {
  const path = pathOf(reference)
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // whatever it is, do not wait for it
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be opened: ${messageOf(error)}`
    throw new LabError(`${subject}: namespace "${reference}" ${why}`, 2)
  }
  // An open file of /proc/PID/ns is called net:[NUMBER], a named one by its path.
  if (isNamespace(identityOf(fd).dev) && !/^(?!net:)\w+:\[/.test(readlinkSync(`/proc/self/fd/${fd}`))) return fd
  closeSync(fd)
  throw new LabError(`${subject}: "${reference}" is no network namespace`, 2)
}

export interface NewNamespace {
  /** all that keeps it until it has a name */
  readonly fd: number
  readonly identity: NamespaceIdentity
}

/** Makes a namespace that has no name yet: it goes with our descriptor, also after a crash. Throws LabError. */
export const makeNamespace = (): NewNamespace => {
  try {
    const fd = newNetns()
    return { fd, identity: identityOf(fd) }
  } catch (error) {
    throw new LabError(`cannot make a network namespace: ${messageOf(error)}`, 1, { cause: error })
  }
}

/** Gives new namespaces their names, as ip-netns(8) does. Throws LabError, exit 2 when a name has been taken meanwhile. */
export const nameNamespaces = (named: readonly { readonly name: string, readonly made: NewNamespace }[]): void => {
  if (named.length === 0) return
  try {
    mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 })
    shareNetnsFolder(NETNS_DIR)
  } catch (error) {
    throw new LabError(`cannot make names of namespaces in ${NETNS_DIR}: ${messageOf(error)}`, 1, { cause: error })
  }
  for (const { name, made } of named) {
    try {
      nameNetns(made.fd, namespacePath(name))
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw takenName(name)
      throw new LabError(`cannot make namespace "${name}": ${messageOf(error)}`, 1, { cause: error })
    }
    const now = identityAt(namespacePath(name))
    if (now !== undefined && sameNamespace(now, made.identity)) continue
    throw new LabError(`namespace "${name}" was replaced while it was made`)
  }
}

export const takenName = (name: string): LabError => new LabError(
  `namespace "${name}" exists already and was not made by this instance: rename the host, adopt it with \`netns: ${name}\`, `
  + `or remove it with \`ip netns del ${name}\``, 2)

/** Removes names, and with each its namespace once nobody is in it any more. Returns the names that are still there. */
export const removeNamespaces = async (names: readonly string[]): Promise<string[]> => {
  if (names.length === 0) return []
  await run('ip', ['-force', '-batch', '-'], { input: names.map((name) => `netns del ${name}\n`).join('') })
  return names.filter((name) => identityAt(namespacePath(name)) !== undefined)
}
