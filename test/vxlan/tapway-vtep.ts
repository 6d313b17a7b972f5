/**
 * The same plan built of Tapway, as its users run it: `tapway up FILE` in the namespace of the underlay, and the inner ports as
 * interfaces of an adopted namespace. Each of those is joined to a TAP whose far end the test holds: whatever arrives at one of
 * the two leaves by the other (nftables, at ingress, before any protocol sees it).
 */
import { stringify } from 'yaml'
import { close, openNetns } from '../../src/native.js'
import { addNetns, ip, onSweep, uniqueName } from '../helpers/netns.js'
import { createPatience } from '../helpers/patience.js'
import { createRawPorts } from '../helpers/raw-port.js'
import { type Instance, startTapway } from '../helpers/tapway.js'
import { isLeftOut } from '../helpers/without.js'
import {
  BRIDGE, BRIDGE_MAC, PORT, UNDERLAY, VNI, portNames, tunnelMac, tunnelName, type FdbRow, type Seen, type Tunnel, type VtepBox,
  type VtepPlan
} from './plan.js'
import { isUnasked, makeUnderlay, shellIn, sysctlLines } from './underlay.js'
import { ethernet } from '../oracle/naive-frames.js'

/** A bridge beside the others, over which the test hears that everything sent before has been dealt with. */
const SYNC = ['s0', 's1'] as const
const SYNC_TYPE = 0x88b6
const PATIENCE = 5000
/** By its path: a package that ava needs puts another `nft` on the path of npx. */
const NFT = '/usr/sbin/nft'
/** How the log says that an address is not known. */
const MISS = /(vx\d+): no (?:entry for|neighbour) ([0-9a-f.:]+)(?=[ ,])/g
/**
 * Turns of the data plane to wait for: what it reads in one it has sent, and been asked for, by the next; and of sixteen turns in which ports that are
 * near have something, one reads the others (native/turn.c). Where a turn reads one frame, that is one of the others' frames, every other time.
 */
const TURNS = isLeftOut('batches') ? 12 * 18 : 18

const vxlanKeys = (t: Tunnel, i: number): Record<string, unknown> => {
  const { neighbors, ...rest } = t
  return { bridge: BRIDGE, mac: tunnelMac(i), dstport: PORT, ...rest, id: t.id ?? VNI, ...(neighbors && { neighbors }) }
}

const networkFile = (plan: VtepPlan, inner: string): string => stringify({
  version: 1,
  bridges: {
    [BRIDGE]: { mac: BRIDGE_MAC, mtu: plan.mtu ?? 1500, ...(plan.address !== undefined && { address: plan.address }) },
    sync: {}
  },
  vxlans: Object.fromEntries(plan.tunnels.map((t, i) => [tunnelName(i), vxlanKeys(t, i)])),
  hosts: {
    inner: {
      netns: inner,
      interfaces: {
        ...Object.fromEntries(portNames(plan).map((name) => [name, { bridge: BRIDGE }])),
        ...Object.fromEntries(SYNC.map((name) => [name, { bridge: 'sync' }]))
      }
    }
  }
})

const far = (name: string): string => `${name}far`

export interface TapwayVtep extends VtepBox {
  instance: Instance
  /** Packets lost, by reason, only those that are not zero; and whether every packet ended once. */
  stats(): Promise<{ drops: Record<string, number>; balanced: boolean }>
}

export const createTapwayVtep = async (plan: VtepPlan): Promise<TapwayVtep> => {
  const outer = addNetns(uniqueName('tv'))
  const inner = addNetns(uniqueName('ti'))
  const netns = { outer: openNetns(outer), inner: openNetns(inner) }
  const ports = createRawPorts()
  onSweep(() => {
    ports.close()
    close(netns.outer)
    close(netns.inner)
  })
  const names = [UNDERLAY, ...portNames(plan), ...SYNC]
  makeUnderlay(outer, netns.outer, ports, plan)
  shellIn(inner, sysctlLines({ 'ipv6/conf/all/disable_ipv6': 1, 'ipv6/conf/default/disable_ipv6': 1 }))
  for (const [i, name] of names.entries()) {
    if (i > 0) ports.open(netns.inner, far(name), `02:ef:00:00:00:${i.toString(16).padStart(2, '0')}`, (plan.mtu ?? 1500) + 4)
  }
  const instance = await startTapway(networkFile(plan, inner), { netns: outer })
  const { program } = instance
  const join = (from: string, to: string): string =>
    `table netdev ${from} { chain c { type filter hook ingress device "${from}" priority 0; policy drop; fwd to "${to}"; }; }`
  ip('netns', 'exec', inner, NFT, names.slice(1).flatMap((n) => [join(n, far(n)), join(far(n), n)]).join('; '))

  let heard = 0
  let held: Seen[] = []
  const read = (ms: number): boolean => {
    let synced = false
    for (const { port, bytes } of ports.collect(ms)) {
      if (names[port] === SYNC[1]) synced = true
      else if (!isUnasked(bytes)) held.push({ port: names[port]!, bytes })
    }
    return synced
  }
  const write = (port: string, frame: readonly number[]): void => {
    const errno = ports.send(names.indexOf(port), frame)
    if (errno !== 0) throw new Error(`the kernel refused a frame with errno ${errno}`)
  }
  const settle = (): Seen[] => {
    for (let i = 0; i < TURNS; i++) {
      write(SYNC[0], ethernet('02:00:00:00:51:01', '02:00:00:00:51:00', SYNC_TYPE, [i]))
      for (const patience = createPatience(PATIENCE); !read(10);) {
        if (patience.isOver() || !program.running) throw new Error(`Tapway does not forward\n${program.stderr}`)
      }
    }
    read(0)
    const seen = held
    held = []
    return seen
  }
  settle()

  return {
    instance,
    send: (port, frame) => {
      write(port, frame)
      return settle()
    },
    wait: async (ms) => {
      await new Promise((resolve) => { setTimeout(resolve, ms) })
      return settle()
    },
    command: async (words) => {
      const { status, stderr } = await instance.tapway(...words.split(' '))
      return { ok: status === 0, text: stderr.trim() }
    },
    fdb: () => instance.json<FdbRow[]>('fdb', 'show'),
    misses: async () => {
      await instance.json('stats') // an answer comes behind what was told before it, but by another pipe; and five a second are told at most
      await new Promise((resolve) => { setTimeout(resolve, 250) })
      const log = program.stderr.slice(heard)
      heard += log.length
      return [...log.matchAll(MISS)].map(([, tunnel, address]) => `${tunnel} ${address}`)
    },
    stats: async () => {
      const { drops,
        balance } = await instance.json<{ drops: { reason: string; packets: number }[]; balance: { ok: boolean } }>('stats')
      return { drops: Object.fromEntries(drops.filter((d) => d.packets > 0).map((d) => [d.reason, d.packets])),
        balanced: balance.ok }
    },
    close: async () => {
      await instance.stop()
    }
  }
}
