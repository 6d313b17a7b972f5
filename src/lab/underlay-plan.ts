/**
 * Which UDP sockets the VXLANs of a file need. A socket receives for all VXLANs of its address and port, which are told apart by their
 * VNI; where one of them has no `local`, a single socket for any address does, since the kernel would not bind the others beside it.
 */
import type { Vxlan } from '../config/types.js'
import { LabError } from './types.js'

/** A socket that receives, or with port 0 one that only holds the membership of a group. */
export interface ReceivePlan {
  readonly netns: string | undefined
  readonly family: 4 | 6
  /** Empty: any. */
  readonly address: string
  readonly port: number
  readonly group: { readonly address: string, readonly device: string } | undefined
  /** Whether it takes what is sent to groups that others of these hold the membership of. */
  everyGroup: boolean
  /** Device that a link-local address is on. */
  readonly device: string | undefined
  /** False: one of its VXLANs takes datagrams without a checksum over IPv6. */
  checksum: boolean
  readonly vxlans: string[]
}

/** Sockets that send, each from a port of its own. */
export interface PoolPlan {
  readonly netns: string | undefined
  readonly family: 4 | 6
  readonly address: string
  readonly srcport: readonly [low: number, high: number]
  readonly checksum: boolean
  readonly df: boolean
  /** Device that datagrams leave by. */
  readonly device: string | undefined
  /** How many sockets are wanted. */
  size: number
  readonly vxlans: string[]
}

export interface UnderlayPlan {
  readonly receives: readonly ReceivePlan[]
  readonly pools: readonly PoolPlan[]
}

/** Ports of a pool: enough that flows spread over the queues and paths of an underlay, few enough to watch. */
export const POOL_SOCKETS = 32

const isAnyPort = ([low, high]: readonly [number, number]): boolean => low === 0 && high === 0

const overlap = (a: PoolPlan, b: PoolPlan): boolean => a.netns === b.netns && a.family === b.family
  && (a.address === b.address || a.address === '' || b.address === '')
  && !isAnyPort(a.srcport) && !isAnyPort(b.srcport) && a.srcport[0] <= b.srcport[1] && b.srcport[0] <= a.srcport[1]

/** fe80::/10 */
const isLinkLocal = (address: string): boolean => /^fe[89ab][0-9a-f]:/i.test(address)

/** The sockets, shared wherever they can be. Throws LabError (exit 2) for VXLANs that could not be told apart. */
export const planUnderlay = (vxlans: readonly Vxlan[]): UnderlayPlan => {
  const space = (v: Vxlan): string => JSON.stringify([v.netns, v.family, v.dstport])
  const wild = new Set(vxlans.filter(({ local }) => local === undefined).map(space))
  const receives = new Map<string, ReceivePlan>()
  const pools = new Map<string, PoolPlan>()
  const ids = new Map<string, string>()

  const receive = (v: Vxlan, address: string, port: number, group: ReceivePlan['group']): void => {
    const device = isLinkLocal(address) ? v.dev : undefined
    const key = JSON.stringify([v.netns, v.family, address, port, group, device])
    const plan = receives.get(key)
      ?? { netns: v.netns, family: v.family, address, port, group, device, everyGroup: false, checksum: true, vxlans: [] }
    plan.vxlans.push(v.name)
    if (!v.udpcsum) plan.checksum = false
    if (port !== 0 && address === '' && v.group !== undefined) plan.everyGroup = true
    receives.set(key, plan)
    if (port === 0) return
    const other = ids.get(`${key} ${v.id}`)
    if (other !== undefined) {
      const where = `UDP port ${port} of ${address || 'any address'}`
      throw new LabError(`vxlan "${v.name}": id ${v.id} on ${where} is that of vxlan "${other}" already`, 2)
    }
    ids.set(`${key} ${v.id}`, v.name)
  }

  const pool = (v: Vxlan, df: boolean): void => {
    const address = v.local ?? ''
    const device = v.dev
    const key = JSON.stringify([v.netns, v.family, address, v.srcport, v.udpcsum, df, device])
    const plan = pools.get(key)
      ?? { netns: v.netns, family: v.family, address, srcport: v.srcport, checksum: v.udpcsum, df, device, size: POOL_SOCKETS, vxlans: [] }
    plan.vxlans.push(v.name)
    pools.set(key, plan)
  }

  for (const v of vxlans) {
    const any = wild.has(space(v))
    receive(v, any ? '' : v.local!, v.dstport, undefined)
    if (v.group !== undefined && v.dev !== undefined) {
      const group = { address: v.group, device: v.dev }
      // The kernel binds no second socket beside one of any address. That one is told to take every group, and another only joins.
      receive(v, any ? '' : v.group, any ? 0 : v.dstport, group)
    }
    if (v.df !== 'set') pool(v, false)
    if (v.df !== 'unset') pool(v, true)
  }
  const all = [...pools.values()]
  for (const plan of all) {
    if (isAnyPort(plan.srcport)) continue
    const ports = plan.srcport[1] - plan.srcport[0] + 1
    plan.size = Math.min(POOL_SOCKETS, Math.max(1, Math.floor(ports / all.filter((other) => overlap(plan, other)).length)))
  }
  return { receives: [...receives.values()], pools: all }
}
