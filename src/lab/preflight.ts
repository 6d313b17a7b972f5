/** What the machine must offer before anything is made; every lack is one line that says what to do. */
import { closeSync, accessSync, constants, openSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { packageOf, toolEnvironment } from './run.js'
import { codeOf, LabError, messageOf } from './types.js'

const CAP_NET_ADMIN = 12 // linux/capability.h
const CAP_SYS_ADMIN = 21

/** Throws LabError unless this process may make namespaces and devices. */
export const checkRights = (): void => {
  const text = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0'
  const effective = BigInt(`0x${text}`)
  const missing = [['CAP_NET_ADMIN', CAP_NET_ADMIN], ['CAP_SYS_ADMIN', CAP_SYS_ADMIN]] as const
  const names = missing.filter(([, bit]) => (effective >> BigInt(bit) & 1n) === 0n).map(([name]) => name)
  if (names.length === 0) return
  throw new LabError(`needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN (missing: ${names.join(', ')}): run it with sudo`)
}

const TUN_ADVICE = new Map([
  ['ENOENT', 'load it with `modprobe tun`; in a container, pass it in with `--device /dev/net/tun`'],
  ['ENXIO', 'load it with `modprobe tun`'],
  ['ENODEV', 'load it with `modprobe tun`'],
  ['EACCES', 'run it with sudo'],
  ['EPERM', 'in a container, allow it with `--device /dev/net/tun`'],
])

/** Throws LabError unless TAP devices can be made. */
export const checkTun = (path = '/dev/net/tun'): void => {
  try {
    closeSync(openSync(path, 'r+'))
  } catch (error) {
    const advice = TUN_ADVICE.get(codeOf(error) ?? '')
    throw new LabError(`cannot open ${path} (${codeOf(error) ?? messageOf(error)})${advice === undefined ? '' : `: ${advice}`}`)
  }
}

/** The file that a command name stands for, by PATH; undefined when there is none. A name with a slash is a path. */
export const findCommand = (command: string, path = toolEnvironment()['PATH']!): string | undefined => {
  const candidates = command.includes('/') ? [command] : path.split(':').map((folder) => `${folder || '.'}/${command}`)
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return statSync(file).isFile()
    } catch {
      return false
    }
  })
}

/** Throws LabError unless iproute2 and util-linux are there, and the tools named besides. */
export const checkTools = (more: readonly string[] = []): void => {
  for (const tool of ['ip', 'nsenter', 'flock', ...more]) {
    if (findCommand(tool) === undefined) throw new LabError(`${tool} is not installed: install the package ${packageOf(tool)}`)
  }
}

/** A line of /proc/PID/mountinfo (proc(5)). */
interface Mount {
  readonly point: string
  /** shared:N and master:N */
  readonly propagation: readonly string[]
  readonly type: string
  readonly source: string
}

/** Mounts in the order they were made. */
const parseMounts = (mountinfo: string): Mount[] => mountinfo.split('\n').filter((line) => line !== '').map((line) => {
  const fields = line.split(' ')
  const dash = fields.indexOf('-', 6)
  return { point: fields[4]!, propagation: fields.slice(6, dash), type: fields[dash + 1]!, source: fields[dash + 2]! }
})

const peerGroup = (mounts: readonly Mount[], folder: string): string | undefined => {
  const over = mounts.filter(({ point }) => folder === point || folder.startsWith(point === '/' ? '/' : `${point}/`))
  const depth = Math.max(...over.map(({ point }) => point.length))
  const deepest = over.filter(({ point }) => point.length === depth).at(-1) // the last one hides those before it
  return deepest?.propagation.find((tag) => tag.startsWith('shared:'))
}

/**
 * Whether the namespaces we name will be hidden from the rest of the machine, given mountinfo and mount namespace of this
 * process and of process 1 (undefined where not allowed to look). A mount is seen elsewhere only within its peer group.
 */
export const isHidden = (
  own: string, first: string | undefined, ownNamespace: string, firstNamespace: string | undefined,
): boolean => {
  if (ownNamespace === firstNamespace) return false
  const mounts = parseMounts(own)
  if (firstNamespace !== undefined && first !== undefined) {
    const group = peerGroup(mounts, '/run/netns')
    return group === undefined || group !== peerGroup(parseMounts(first), '/run/netns')
  }
  // `ip netns exec NAME` mounts a sysfs of its own and calls its source NAME (iproute2 lib/namespace.c).
  const sys = mounts.filter(({ point, type }) => point === '/sys' && type === 'sysfs').at(-1)
  return sys !== undefined && mounts.some(({ point, type }) => type === 'nsfs' && point.endsWith(`/netns/${sys.source}`))
}

const attempt = (read: () => string): string | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** The warning due when this process runs under `ip netns exec` or the like; undefined when all is well. */
export const mountWarning = (): string | undefined => {
  const own = attempt(() => readFileSync('/proc/self/mountinfo', 'utf8'))
  const namespace = attempt(() => readlinkSync('/proc/self/ns/mnt'))
  if (own === undefined || namespace === undefined) return undefined
  const first = attempt(() => readFileSync('/proc/1/mountinfo', 'utf8'))
  if (!isHidden(own, first, namespace, attempt(() => readlinkSync('/proc/1/ns/mnt')))) return undefined
  return 'this process has a mount namespace of its own, as under `ip netns exec`: the rest of the machine will not see the '
    + 'namespaces made here; start it with `nsenter --net=/var/run/netns/NAME` instead'
}
