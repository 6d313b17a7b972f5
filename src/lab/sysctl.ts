/** Sysctls of a network namespace, read and written from inside it through /proc/sys. */
import { writeSysctl } from './native.js'
import { run } from './run.js'
import { codeOf, LabError } from './types.js'

export interface Sysctl {
  /** below /proc/sys: net/ipv4/ip_forward */
  readonly path: string
  readonly value: string
}

/**
 * Path below /proc/sys of a name as sysctl(8) takes it: the first separator decides, and with dots a slash stands for a
 * dot in the name of an interface (net.ipv4.conf.eth0/10.forwarding). Throws LabError (exit 2) for what does not belong
 * to a network namespace: the rest of /proc/sys is the whole machine's.
 */
export const sysctlPath = (host: string, name: string): string => {
  const dotted = /[./]/.exec(name)?.[0] === '.'
  const path = dotted ? name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.')) : name
  const parts = path.split('/')
  const odd = parts.some((part) => part === '' || part === '.' || part === '..' || /[\s\0*?[\\]/.test(part))
  if (parts[0] === 'net' && parts.length >= 3 && !odd) return path
  throw new LabError(`host "${host}": sysctl ${name} is not one of a network namespace (net.ipv4..., net.core...)`, 2)
}

/** The name as one types it, for messages. */
export const sysctlName = (path: string): string => path.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'))

/** Interface that a per-interface sysctl is about (net/ipv4/conf/eth0/forwarding); undefined for others. */
export const sysctlInterface = (path: string): string | undefined =>
  /^net\/(?:ipv4|ipv6|mpls)\/(?:conf|neigh)\/([^/]+)\//.exec(path)?.[1]

/** A new namespace inherits init's settings (net/ipv4/devinet.c); a host of ours starts the same on every machine. */
export const HOST_DEFAULTS: readonly Sysctl[] = [
  { path: 'net/ipv4/ip_forward', value: '0' },
  { path: 'net/ipv4/conf/default/forwarding', value: '0' },
  { path: 'net/ipv4/conf/lo/forwarding', value: '0' },
  { path: 'net/ipv4/conf/all/rp_filter', value: '0' },
  { path: 'net/ipv4/conf/default/rp_filter', value: '0' },
  { path: 'net/ipv4/conf/lo/rp_filter', value: '0' },
]

// Writing these changes the same setting of every interface, so undoing them must undo that as well.
const SPREADING = new Set(['forwarding', 'mc_forwarding', 'disable_ipv6', 'ignore_routes_with_linkdown'])

/** Pattern below /proc/sys of what a write to `path` changes besides; undefined when nothing. */
export const spreadOf = (path: string): string | undefined => {
  if (path === 'net/ipv4/ip_forward') return 'net/ipv4/conf/*/forwarding'
  const [, , family, what] = /^(net\/(ipv[46])\/conf)\/all\/(\w+)$/.exec(path) ?? []
  return what !== undefined && SPREADING.has(what) ? `net/${family}/conf/*/${what}` : undefined
}

/** Writes in order. Throws LabError that names the sysctl refused. */
export const writeSysctls = (host: string, netns: number, sysctls: readonly Sysctl[]): void => {
  for (const { path, value } of sysctls) {
    try {
      writeSysctl(netns, `/proc/sys/${path}`, `${value}\n`)
    } catch (error) {
      const code = codeOf(error) ?? ''
      if (code === 'ENOENT') throw new LabError(`host "${host}": there is no sysctl ${sysctlName(path)} in its namespace`)
      const why = ['EACCES', 'EPERM', 'EROFS'].includes(code) ? 'it is read-only there' : 'the kernel refused the value'
      throw new LabError(`host "${host}": cannot set sysctl ${sysctlName(path)} to "${value}": ${why}`, 1, { cause: error })
    }
  }
}

// Arguments are patterns. A shell's own `read` takes single bytes, and a sysctl gives nothing after the first read(2): so grep.
const READ = 'cd /proc/sys && exec grep -sH "" $*'

/** Present values of paths below /proc/sys (or of shell patterns), in the order asked for. What is not there is left out. */
export const readSysctls = async (netns: number, patterns: readonly string[]): Promise<Sysctl[]> => {
  if (patterns.length === 0) return []
  const { stdout } = await run('sh', ['-c', READ, 'sh', ...patterns], { netns })
  return stdout.split('\n').filter((line) => line !== '').map((line) => {
    const colon = line.indexOf(':') // the kernel allows none in the name of an interface
    return { path: line.slice(0, colon), value: line.slice(colon + 1) }
  })
}

/**
 * What to write, in order, so that the namespace is again as it is now after `sysctls` have been set in it. Throws
 * LabError (exit 2) for one that is not there: what cannot be read cannot be restored.
 */
export const readForRestore = async (host: string, netns: number, sysctls: readonly Sysctl[]): Promise<Sysctl[]> => {
  const own = await readSysctls(netns, sysctls.map(({ path }) => path))
  const old = new Map(own.map(({ path, value }) => [path, value]))
  const missing = sysctls.find(({ path }) => !old.has(path))
  if (missing !== undefined) {
    throw new LabError(`host "${host}": there is no sysctl ${sysctlName(missing.path)} in its namespace`, 2)
  }
  const changed = sysctls.filter(({ path, value }) => old.get(path) !== value)
  const patterns = changed.map(({ path }) => spreadOf(path)).filter((pattern) => pattern !== undefined)
  const spread = await readSysctls(netns, patterns)
  const restore = new Map<string, string>() // general ones first, since they spread
  for (const { path } of changed) restore.set(path, old.get(path)!)
  for (const { path, value } of spread) {
    if (path.includes('/all/')) continue
    restore.delete(path) // to the end
    restore.set(path, value)
  }
  return [...restore].map(([path, value]) => ({ path, value }))
}

const RESTORE = `while [ $# -gt 0 ]; do
  [ ! -e "/proc/sys/$1" ] || printf '%s\\n' "$2" >"/proc/sys/$1" || echo "$1"
  shift 2
done`

/** Writes old values back, passing over interfaces that are gone. Returns the paths that the kernel refused. */
export const restoreSysctls = async (netns: number, sysctls: readonly Sysctl[]): Promise<string[]> => {
  if (sysctls.length === 0) return []
  const { stdout } = await run('sh', ['-c', RESTORE, 'sh', ...sysctls.flatMap(({ path, value }) => [path, value])], { netns })
  return stdout.split('\n').filter((line) => line !== '')
}
