/** Looks at the underlay as the kernel has it: addresses, the MTU of the way to a peer, and who has a UDP port. */
import { closeSync, readdirSync } from 'node:fs'
import { RUN_DIR } from './lock.js'
import { openNamespace } from './namespace.js'
import { isAlive, readRecord, type InstanceRecord } from './record.js'
import { run } from './run.js'

interface RouteRow { readonly dev?: string, readonly metrics?: readonly { readonly mtu?: number }[] }
interface LinkRow { readonly ifname: string, readonly mtu: number }
interface AddressRow { readonly mtu: number, readonly addr_info: readonly { readonly local?: string }[] }
interface VxlanRow { readonly ifname: string, readonly linkinfo?: { readonly info_data?: { readonly port?: number } } }

/** What tells the way to a VXLAN's peers. */
export interface UnderlayPath {
  readonly local?: string
  /** The peers; the first one counts. */
  readonly remote: readonly string[]
  readonly dev?: string
  readonly netns?: string
}

/** Rows that a look gives; none when it fails, also where ip(8) is missing or the namespace may not be entered. */
const rows = async <T>(netns: number | undefined, ...args: string[]): Promise<T[]> => {
  try {
    const { status, stdout } = await run('ip', ['-j', ...args], netns === undefined ? {} : { netns })
    // Rows that ip(8) leaves empty stand for what its words did not select.
    return status === 0 ? (JSON.parse(stdout || '[]') as T[]) : []
  } catch {
    return []
  }
}

/** Underlay addresses of a namespace (descriptor; undefined: our own), as ip(8) writes them. */
export const underlayAddresses = async (netns: number | undefined): Promise<Set<string>> => {
  const found = await rows<AddressRow>(netns, 'addr', 'show')
  return new Set(found.flatMap(({ addr_info }) => addr_info ?? []).flatMap(({ local }) => local ?? []))
}

const deviceMtu = async (netns: number | undefined, dev: string): Promise<number | undefined> =>
  (await rows<LinkRow>(netns, 'link', 'show', 'dev', dev))[0]?.mtu

const routeMtu = async (netns: number | undefined, to: string, from: string | undefined): Promise<number | undefined> => {
  const words = ['route', 'get', to]
  const [route] = [
    ...(from === undefined ? [] : await rows<RouteRow>(netns, ...words, 'from', from)), ...await rows<RouteRow>(netns, ...words),
  ]
  if (route === undefined) return undefined
  return route.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu ?? (route.dev === undefined ? undefined : deviceMtu(netns, route.dev))
}

const addressMtu = async (netns: number | undefined, address: string): Promise<number | undefined> =>
  (await rows<AddressRow>(netns, 'addr', 'show', 'to', address)).find(({ addr_info }) => (addr_info ?? []).length > 0)?.mtu

/**
 * Largest IP packet that the underlay of a VXLAN takes, in bytes: the MTU of `dev`, else of the route to its first peer, else of the
 * device that has `local`. Undefined when none of them is there (yet). Never throws: what is wrong with them is found elsewhere.
 */
export const underlayMtu = async (path: UnderlayPath): Promise<number | undefined> => {
  let netns: number | undefined
  try {
    netns = path.netns === undefined ? undefined : openNamespace('underlay', path.netns)
  } catch {
    return undefined
  }
  try {
    const { dev, local, remote: [peer] } = path
    return (dev === undefined ? undefined : await deviceMtu(netns, dev))
      ?? (peer === undefined ? undefined : await routeMtu(netns, peer, local))
      ?? (local === undefined ? undefined : await addressMtu(netns, local))
  } finally {
    if (netns !== undefined) closeSync(netns)
  }
}

/** Records of the other instances: those whose process lives, or all. Ones that cannot be read are passed over. */
export const otherRecords = (instance: string, directory = RUN_DIR): InstanceRecord[] => {
  let names: string[] = []
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  } catch {
    return []
  }
  return names.filter((name) => name !== instance).flatMap((name) => {
    try {
      return readRecord(name, directory) ?? []
    } catch {
      return []
    }
  })
}

/** Whether the local column of ss(8) covers an address and port. */
const covers = (column: string, address: string, port: number): boolean => {
  const at = column.lastIndexOf(':')
  const local = column.slice(0, at).replace(/%.*$/, '').replace(/^\[(.*)\]$/, '$1')
  return column.slice(at + 1) === String(port) && (address === '' || local === address || ['0.0.0.0', '::', '*'].includes(local))
}

/** Who has a UDP port, as well as that can be found out: words that follow "is taken by". */
export const portOwner = async (netns: number | undefined, address: string, port: number, instance: string): Promise<string> => {
  const inside = netns === undefined ? {} : { netns }
  // Without a filter: ss(8) would look up the names of services for it. A socket of the kernel has no users.
  const { stdout } = await run('ss', ['-Hulnp'], inside).catch(() => ({ stdout: '' }))
  const line = stdout.split('\n').find((text) => covers(text.trim().split(/\s+/)[3] ?? '', address, port))
  const [, program, number] = /users:\(\("([^"]*)",pid=(\d+)/.exec(line ?? '') ?? []
  if (number !== undefined) {
    const owner = otherRecords(instance).find((record) => record.pid === Number(number) && isAlive(record))
    return owner === undefined ? `${program} (process ${number})` : `instance "${owner.instance}" of tapway (process ${number})`
  }
  const devices = await rows<VxlanRow>(netns, '-d', 'link', 'show', 'type', 'vxlan')
  const device = devices.find(({ linkinfo }) => linkinfo?.info_data?.port === port)
  return device === undefined ? 'another program' : `the kernel's device ${device.ifname} (ip link del ${device.ifname})`
}
