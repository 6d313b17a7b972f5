/**
 * What happens in tunnels, in words for the log: stations and addresses that nobody knows, peers that cannot be reached, paths that take less.
 * It may happen with every packet, so the same is said once in a while only, and little altogether; nothing is allocated for what is not said.
 */
import { getSystemErrorName } from 'node:util'
import type { Engine } from '../engine/engine.js'
import { TUNNEL_L2MISS, TUNNEL_L3MISS, TUNNEL_PATH_MTU, TUNNEL_UNMARKED, TUNNEL_UNREACHABLE, type OnTunnelEvent } from '../engine/tunnels.js'
import { formatIp4 } from '../wire/ip4.js'
import { formatMac } from '../wire/mac.js'
import type { Registry } from './registry.js'
import { formatUnderlay } from './underlay.js'

export type OnNotice = (level: 'info' | 'warn', text: string) => void

/** Seconds until the same is said again. */
const AGAIN_SECONDS = 60
/** Notices within a second. */
const MOST_A_SECOND = 5
/** What was said lately: a place for each hash; whoever comes later takes it over. */
const PLACES = 1024

/** `engine` is asked when something has happened: it takes this function when it is made. */
export const createTunnelNotices = (engine: () => Engine, registry: Registry, say: OnNotice): OnTunnelEvent => {
  const kinds = new Int32Array(PLACES).fill(-1)
  const tunnelOf = new Int32Array(PLACES)
  const first = new Int32Array(PLACES)
  const second = new Int32Array(PLACES)
  const saidAt = new Int32Array(PLACES)
  let inSecond = 0
  let said = 0

  const peer = (row: number): string => {
    const { remotes } = engine()
    return `${formatUnderlay(remotes.octetsOf(row))} port ${remotes.portOf(row)}`
  }

  const tell = (kind: number, name: string, a: number, b: number): void => {
    switch (kind) {
      case TUNNEL_L2MISS: return say('info', `${name}: no entry for ${formatMac(a, b)}, and no peer to flood to (l2miss)`)
      case TUNNEL_L3MISS: return say('info', `${name}: no neighbour ${formatIp4(a)} (l3miss)`)
      case TUNNEL_UNREACHABLE: return say('warn', `${name}: peer ${peer(a)} was not reached: ${getSystemErrorName(-b)}`)
      case TUNNEL_PATH_MTU: return say('info', `${name}: the path to ${peer(a)} takes packets of ${b} bytes`)
      case TUNNEL_UNMARKED: {
        const address = formatUnderlay(engine().unmarkedPeers.octetsOf(a))
        return say('warn', `${name}: packets from peer ${address} have no mark, and apps here let none of them in (is gbp on there?)`)
      }
    }
  }

  return (kind, tunnel, a, b) => {
    const now = engine().clock.second
    let h = Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0x9e3779b1) ^ Math.imul(tunnel * 8 + kind, 0xc2b2ae35)
    h = (h ^ (h >>> 15)) & (PLACES - 1)
    const known = kinds[h] === kind && tunnelOf[h] === tunnel && first[h] === a && second[h] === b
    if (known && now - saidAt[h]! < AGAIN_SECONDS) return
    if (now !== inSecond) {
      inSecond = now
      said = 0
    }
    if (said === MOST_A_SECOND) return
    said++
    kinds[h] = kind
    tunnelOf[h] = tunnel
    first[h] = a
    second[h] = b
    saidAt[h] = now
    const name = registry.byTunnel(tunnel)?.name
    if (name !== undefined) tell(kind, name, a, b)
  }
}
