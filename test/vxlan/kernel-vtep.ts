/** A plan built of the kernel's parts: bridge, vxlan devices and TAPs in a namespace of its own. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { close, openNetns } from '../../src/native.js'
import { ip, uniqueName, untilUp } from '../helpers/netns.js'
import { createRawPorts } from '../helpers/raw-port.js'
import { startIn, until } from '../helpers/tapway.js'
import {
  BRIDGE, BRIDGE_MAC, FLOOD, PORT, SRCPORT, UNDERLAY, VNI, innerMtu, portNames, tunnelMac, tunnelName, type FdbRow, type Seen,
  type Tunnel, type VtepBox, type VtepPlan
} from './plan.js'
import { batch, isUnasked, makeUnderlay, shellIn } from './underlay.js'

/** Milliseconds without a frame after which nothing more is expected: what a frame causes is there when its write returns. */
const QUIET = 3
const innerMac = (i: number): string => `02:ee:00:00:00:${(i + 1).toString(16).padStart(2, '0')}`

const onOff = (word: string, value: boolean | undefined, otherwise: boolean): string => `${value ?? otherwise ? '' : 'no'}${word}`

const vxlanWords = (t: Tunnel): string => [
  `id ${t.id ?? VNI}`, t.local && `local ${t.local}`, t.remote?.[0] && `remote ${t.remote[0]}`, t.group && `group ${t.group}`,
  t.dev && `dev ${t.dev}`,
  `dstport ${t.dstport ?? PORT}`, `srcport ${(t.srcport ?? SRCPORT).join(' ')}`, t.ttl !== undefined
    && `ttl ${t.ttl === 0 ? 'auto' : t.ttl}`,
  t.tos !== undefined && `tos ${typeof t.tos === 'number' ? `0x${t.tos.toString(16)}` : t.tos}`, t.df && `df ${t.df}`,
  onOff('learning', t.learning, true), onOff('proxy', t.proxy, false),
  onOff('l2miss', t.l2miss, false), onOff('l3miss', t.l3miss, false), onOff('udpcsum', t.udpcsum, true), t.gbp === true && 'gbp',
  t.ageing !== undefined && `ageing ${t.ageing}`, t.maxaddress !== undefined && `maxaddress ${t.maxaddress}`
].filter(Boolean).join(' ')

/** Over IPv6 it is another word that leaves out the checksum. */
const checksumWords = (t: Tunnel): string => (t.udpcsum === false && t.local?.includes(':') === true
  ? ' udp6zerocsumtx udp6zerocsumrx' : '')

const tunnelLines = (t: Tunnel, i: number, mtu: number): string[] => [
  `link add ${tunnelName(i)} address ${tunnelMac(i)} mtu ${t.mtu ?? mtu} type vxlan ${vxlanWords(t)}${checksumWords(t)}`,
  `link set ${tunnelName(i)} master ${BRIDGE} up`,
  ...(t.neigh_suppress === true ? [`link set ${tunnelName(i)} type bridge_slave neigh_suppress on`] : []),
  ...(t.neighbors ?? []).map((n) =>
    `neigh add ${n.address} lladdr ${n.lladdr} dev ${t.neigh_suppress === true ? BRIDGE : tunnelName(i)} nud permanent`)
]

const fdbLines = (t: Tunnel, i: number): string[] => [
  ...(t.remote ?? []).slice(1).map((dst) => `fdb append ${FLOOD} dev ${tunnelName(i)} dst ${dst}`),
  ...(t.fdb ?? []).map((e) => [
    `fdb ${e.mac === FLOOD ? 'append' : 'add'} ${e.mac} dev ${tunnelName(i)} dst ${e.dst}`, e.vni !== undefined && `vni ${e.vni}`,
    e.port !== undefined && `port ${e.port}`
  ].filter(Boolean).join(' '))
]

export const createKernelVtep = (plan: VtepPlan): VtepBox => {
  const ns = uniqueName('kv')
  ip('netns', 'add', ns)
  const netns = openNetns(ns)
  const ports = createRawPorts()
  const names = [UNDERLAY, ...portNames(plan)]
  const closeAll = (): Promise<void> => new Promise((resolve) => {
    spawn('ip', ['netns', 'del', ns], { stdio: 'ignore' }).on('close', () => {
      ports.close()
      close(netns)
      resolve()
    })
  })
  const mtu = plan.mtu ?? 1500
  makeUnderlay(ns, netns, ports, plan)
  for (const [i, name] of portNames(plan).entries()) ports.open(netns, name, innerMac(i), mtu)
  shellIn(ns, [
    ...batch('ip', [
      `link add ${BRIDGE} address ${BRIDGE_MAC} type bridge mcast_snooping 0`,
      `link set ${BRIDGE} mtu ${mtu} up`,
      ...portNames(plan).map((name) => `link set ${name} master ${BRIDGE}`),
      ...plan.tunnels.flatMap((t, i) => tunnelLines(t, i, innerMtu(plan))),
      ...(plan.address === undefined ? [] : [`addr add ${plan.address} brd + dev ${BRIDGE}`])
    ]),
    untilUp(BRIDGE),
    ...batch('bridge', plan.tunnels.flatMap(fdbLines))
  ])

  // It listens when `misses` was called for the first time
  const monitor = plan.tunnels.some((t) => t.l2miss === true || t.l3miss === true)
    ? startIn(ns, 'stdbuf', '-oL', 'ip', 'monitor', 'neigh') : undefined
  let told = 0

  const collect = (quiet: number): Seen[] => {
    const frames: Seen[] = []
    for (let more = ports.collect(quiet); more.length > 0; more = ports.collect(quiet)) {
      for (const { port, bytes } of more) if (!isUnasked(bytes)) frames.push({ port: names[port]!, bytes })
    }
    return frames
  }
  collect(QUIET)

  return {
    send: (port, frame) => {
      const errno = ports.send(names.indexOf(port), frame)
      if (errno !== 0) throw new Error(`the kernel refused a frame with errno ${errno}`)
      return collect(QUIET)
    },
    wait: async (ms) => {
      await new Promise((resolve) => { setTimeout(resolve, ms) })
      return collect(QUIET)
    },
    command: (words) => {
      const name = words.startsWith('fdb') ? 'bridge' : 'ip'
      const { status, stderr } = spawnSync('ip', ['netns', 'exec', ns, name, ...words.split(' ')], { encoding: 'utf8' })
      return Promise.resolve({ ok: status === 0, text: stderr.trim() })
    },
    fdb: () => Promise.resolve(JSON.parse(
      execFileSync('ip', ['netns', 'exec', ns, 'bridge', '-j', 'fdb', 'show'], { encoding: 'utf8' })
    ) as FdbRow[]),
    misses: async () => {
      // A neighbour that is changed behind everything that was told: when that is heard, all is
      const marker = `10.255.0.${++told}`
      await until('the monitor hears of it', async () => {
        shellIn(ns, [`ip neigh replace ${marker} lladdr 02:00:00:00:00:01 dev ${UNDERLAY} nud permanent`,
          `ip neigh del ${marker} dev ${UNDERLAY}`])
        await new Promise((resolve) => { setTimeout(resolve, 20) })
        return monitor!.stdout.includes(`${marker} dev`)
      })
      const lines = monitor!.stdout.split('\n').filter((line) => line.startsWith('miss'))
      monitor!.stdout = ''
      return lines.map((line) => line.replace(/^miss (?:(\S+) )?dev (\S+) (?:lladdr (\S+) )?.*$/, '$2 $1$3'))
    },
    close: async () => {
      await monitor?.stop()
      await closeAll()
    }
  }
}
