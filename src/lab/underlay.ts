/**
 * The UDP sockets of an instance's VXLANs. They are the main thread's, like the TAPs, and end with the process: nothing of them has to
 * be recorded. A flow's outer source port is that of the socket it is sent by, so there is a pool of them for every range.
 */
import { closeSync } from 'node:fs'
import type { Vxlan } from '../config/types.js'
import { close, openUdp, type Udp, type UdpOptions } from '../native.js'
import { identityOf, openNamespace } from './namespace.js'
import { codeOf, LabError, messageOf, type LabLog } from './types.js'
import { portOwner, underlayAddresses } from './underlay-look.js'
import { planUnderlay, type PoolPlan, type ReceivePlan } from './underlay-plan.js'
import { Uplink, type MadeUplink } from './uplink.js'

/** What opens and closes sockets: src/native.ts, or something else in a test. */
export interface UdpSockets {
  openUdp(options: UdpOptions): Udp
  close(fd: number): void
}

export interface UnderlayOptions {
  readonly instance: string
  readonly log: LabLog
  /** Use UDP_SEGMENT, and UDP_GRO, where the kernel has them. */
  readonly udpSegment: boolean
  readonly udpGro: boolean
  /** Off: super-frames go by the sockets, whatever a VXLAN wants; on when left out. */
  readonly uplinks?: boolean
  /** Workers of the data plane, each with sockets of its own; one when left out. */
  readonly workers?: number
  readonly sockets?: UdpSockets
  /** Told what uplinks there are, before each is made; without it there are none. */
  readonly recordUplinks?: (uplinks: readonly MadeUplink[]) => void
}

/** Descriptors of a VXLAN's sockets. `send` and `sendDf` are never both empty; where DF is always set, they are the same. */
export interface TunnelSockets {
  readonly receive: readonly number[]
  readonly send: readonly number[]
  readonly sendDf: readonly number[]
  /** Whether those that send know UDP_SEGMENT. */
  readonly gso: boolean
  /** Those of the further workers, at the same ports. */
  readonly others?: readonly WorkerSockets[]
  /** For super-frames; `on`: they get through. `ports` are those of `send`, `portsDf` those of `sendDf`. */
  readonly uplink?: TunnelUplink
}

export interface WorkerSockets {
  readonly receive: readonly number[]
  readonly send: readonly number[]
  readonly sendDf: readonly number[]
}

export interface TunnelUplink {
  readonly fd: number
  readonly ttl: number
  readonly on: boolean
  readonly ports: readonly number[]
  readonly portsDf: readonly number[]
}

interface Sockets { receive: number[], send: number[], sendDf: number[] }
interface Tunnel extends Sockets { ports: number[], portsDf: number[], gso: boolean, others: Sockets[] }
/** A VXLAN with an uplink. */
interface Uplinked { readonly name: string, readonly local: string, readonly uplink: Uplink, on: boolean }

const mayUplink = ({ uplink, local, family, dev }: Vxlan): boolean =>
  uplink !== 'socket' && local !== undefined && family === 4 && dev === undefined

/** How often uplinks are looked at. */
const LOOK_MS = 2000

const place = (address: string): string => (address === '' ? 'any address' : address)

export class Underlay {
  readonly #tunnels = new Map<string, Tunnel>()
  readonly #uplinked: Uplinked[] = []
  #watch: NodeJS.Timeout | undefined
  readonly #namespaces = new Map<string, number>()
  readonly #sockets: UdpSockets
  readonly #workers: number
  #open: number[] = []

  private constructor(private readonly options: UnderlayOptions) {
    this.#workers = options.workers ?? 1
    this.#sockets = options.sockets ?? { openUdp, close }
  }

  /** Opens the sockets of all VXLANs. Throws LabError, with none left open. */
  static async open(vxlans: readonly Vxlan[], options: UnderlayOptions): Promise<Underlay> {
    const underlay = new Underlay(options)
    try {
      await underlay.#openAll(vxlans)
      return underlay
    } catch (error) {
      underlay.close()
      throw error
    } finally {
      for (const fd of underlay.#namespaces.values()) closeSync(fd)
      underlay.#namespaces.clear()
    }
  }

  /** Descriptors for a VXLAN of the file, valid until `close`. */
  tunnel(name: string): TunnelSockets {
    const found = this.#tunnels.get(name)
    if (found === undefined) throw new Error(`no sockets were opened for vxlan ${name}`)
    const { receive, send, sendDf, ports, portsDf, gso, others } = found
    const up = this.#uplinked.find((each) => each.name === name)
    return {
      receive, send, sendDf, gso, ...(others.length === 0 ? {} : { others }),
      ...(up === undefined ? {} : { uplink: { fd: up.uplink.fd, ttl: up.uplink.ttl, on: up.on, ports, portsDf } }),
    }
  }

  /** Looks from now on whether super-frames get through the uplinks, and tells when that has changed. */
  watchUplinks(changed: (vxlan: string, on: boolean) => void): void {
    if (this.#uplinked.length === 0) return
    this.#watch = setInterval(() => {
      for (const each of this.#uplinked) {
        const on = each.uplink.passes(each.local)
        if (on === each.on) continue
        each.on = on
        changed(each.name, on)
      }
    }, LOOK_MS)
    this.#watch.unref()
  }

  /** Closes all; the data plane must have stopped. Safe to call again. */
  close(): void {
    clearInterval(this.#watch)
    for (const fd of this.#open.splice(0)) this.#sockets.close(fd)
  }

  async #openAll(vxlans: readonly Vxlan[]): Promise<void> {
    const plan = planUnderlay(vxlans)
    for (const { name, netns } of vxlans) {
      if (netns !== undefined && !this.#namespaces.has(netns)) this.#namespaces.set(netns, openNamespace(`vxlan "${name}"`, netns))
      this.#tunnels.set(name, {
        receive: [], send: [], sendDf: [], ports: [], portsDf: [], gso: this.options.udpSegment,
        others: Array.from({ length: this.#workers - 1 }, () => ({ receive: [], send: [], sendDf: [] })),
      })
    }
    await this.#tellMissing(vxlans)
    // Those that receive come first: their port is given, the others go round it.
    for (const receive of plan.receives) await this.#openReceive(receive)
    for (const pool of plan.pools) this.#openPool(pool)
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.send.length > 0) continue
      tunnel.send.push(...tunnel.sendDf)
      for (const other of tunnel.others) other.send.push(...other.sendDf)
      tunnel.ports.push(...tunnel.portsDf)
    }
    if (this.options.uplinks !== false) await this.#openUplinks(vxlans.filter(mayUplink))
  }

  /** One for each namespace. Where there is none to be had, super-frames go by the sockets as all else. */
  async #openUplinks(vxlans: readonly Vxlan[]): Promise<void> {
    const made = new Map<string, MadeUplink>()
    const uplinks = new Map<string, Uplink | string>()
    for (const { name, local, netns, uplink: wish } of vxlans) {
      const level = wish === 'tap' ? 'warn' : 'debug'
      const fd = this.#netns(netns) ?? this.#own()
      const identity = identityOf(fd)
      const key = JSON.stringify(identity)
      const uplink = uplinks.get(key) ?? await Uplink.open(fd, (device, ifindex) => {
        made.set(key, { name: device, netns: netns ?? null, identity, ifindex })
        this.options.recordUplinks?.([...made.values()])
      }, (tap) => this.#open.push(tap)).catch((error: unknown) => messageOf(error))
      uplinks.set(key, uplink)
      if (typeof uplink === 'string') {
        this.options.log[level](`vxlan "${name}": no uplink, super-frames are cut and go by the sockets: ${uplink}`)
        continue
      }
      const on = uplink.passes(local!)
      if (!on) {
        this.options.log[level](`vxlan "${name}": what comes in by ${uplink.name} is not forwarded (does a firewall forbid it?): `
          + 'super-frames are cut and go by the sockets while that is so')
      }
      this.#uplinked.push({ name, local: local!, uplink, on })
    }
  }

  /** A descriptor of the process's own namespace. */
  #own(): number {
    const fd = this.#namespaces.get('') ?? openNamespace('vxlan', '/proc/self/ns/net')
    this.#namespaces.set('', fd)
    return fd
  }

  #netns(reference: string | undefined): number | undefined {
    return reference === undefined ? undefined : this.#namespaces.get(reference)!
  }

  async #tellMissing(vxlans: readonly Vxlan[]): Promise<void> {
    const addresses = new Map<string | undefined, Set<string>>()
    for (const { name, netns, local } of vxlans) {
      if (local === undefined) continue
      const known = addresses.get(netns) ?? await underlayAddresses(this.#netns(netns))
      addresses.set(netns, known)
      if (known.has(local)) continue
      const where = netns === undefined ? '' : ` in namespace "${netns}"`
      this.options.log.warn(`vxlan "${name}": no interface${where} has its address ${local} yet: nothing is sent or received until one has`)
    }
  }

  #try(reference: string | undefined, options: Omit<UdpOptions, 'netns'>): Udp {
    const netns = this.#netns(reference)
    const socket = this.#sockets.openUdp({ ...options, ...(netns === undefined ? {} : { netns }) })
    this.#open.push(socket.fd)
    return socket
  }

  async #openReceive({ netns, family, address, port, group, everyGroup, device, checksum, vxlans }: ReceivePlan): Promise<void> {
    let socket: Udp
    const further: Udp[] = []
    // What comes for a group is given to every socket of a port: only the first worker may have one
    const shared = this.#workers > 1 && port !== 0 && group === undefined && !everyGroup
    const options: Omit<UdpOptions, 'netns'> = {
      family, address, port, gro: this.options.udpGro, df: false, checksum: family === 4 || checksum, everyGroup, receive: true,
      ...(group === undefined ? {} : { group }), ...(device === undefined ? {} : { device }),
    }
    try {
      socket = this.#try(netns, { ...options, ...(shared ? { share: 'first' } : {}) })
      for (let i = 1; shared && i < this.#workers; i++) further.push(this.#try(netns, { ...options, share: 'further' }))
    } catch (error) {
      if (codeOf(error) === 'EADDRINUSE') {
        const owner = await portOwner(this.#netns(netns), address, port, this.options.instance)
        throw new LabError(`UDP port ${port} of ${place(address)} is taken by ${owner}: end that, or give vxlan "${vxlans[0]}" `
          + 'another dstport', 1, { cause: error })
      }
      throw this.#failed(`UDP port ${port} of ${place(address)}`, vxlans[0]!, group?.device ?? device, error)
    }
    if (port === 0) return
    for (const name of vxlans) {
      const { receive, others } = this.#tunnels.get(name)!
      receive.push(socket.fd)
      for (const [i, { fd }] of further.entries()) others[i]!.receive.push(fd)
    }
    if (this.options.udpGro && !socket.gro) this.options.log.debug(`vxlan "${vxlans[0]}": the kernel has no UDP_GRO`)
  }

  #openPool(plan: PoolPlan): void {
    const sockets = this.#fillPool(plan)
    const [low, high] = plan.srcport
    if (sockets.length === 0) {
      throw new LabError(`vxlan "${plan.vxlans[0]}": no UDP port of ${place(plan.address)} from ${low} to ${high} is free: `
        + 'give it another srcport')
    }
    if (sockets.length < plan.size) {
      this.options.log.debug(`vxlan "${plan.vxlans[0]}": ${sockets.length} UDP ports from ${low} to ${high} are free, for flows to spread over`)
    }
    // A flow has the same source port by whichever worker it goes
    const further = Array.from({ length: this.#workers - 1 }, () => sockets.map(({ port }) => this.#openSend(plan, port, 'further')!))
    // The kernel refuses UDP_SEGMENT on a socket without checksums (net/ipv4/udp.c, udp_send_skb).
    const gso = plan.checksum && sockets.every(({ segment }) => segment)
    for (const name of plan.vxlans) {
      const tunnel = this.#tunnels.get(name)!
      for (const { fd, port } of sockets) {
        (plan.df ? tunnel.sendDf : tunnel.send).push(fd)
        ;(plan.df ? tunnel.portsDf : tunnel.ports).push(port)
      }
      for (const [i, other] of tunnel.others.entries()) (plan.df ? other.sendDf : other.send).push(...further[i]!.map(({ fd }) => fd))
      if (!gso) tunnel.gso = false
    }
  }

  /** Sockets spread over the range; each looks for its port upwards from its place, past those that are taken. */
  #fillPool(plan: PoolPlan): Udp[] {
    const [low, high] = plan.srcport
    const any = low === 0 && high === 0 // the kernel's own range, and its choice
    const count = any ? plan.size : high - low + 1
    const sockets: Udp[] = []
    const tried = new Set<number>()
    for (let i = 0; i < plan.size; i++) {
      for (let at = Math.floor(i * count / plan.size); tried.size < count; at = (at + 1) % count) {
        if (tried.has(at)) continue
        tried.add(at)
        const socket = this.#openSend(plan, any ? 0 : low + at, this.#workers > 1 ? 'first' : undefined)
        if (socket === undefined) continue
        sockets.push(socket)
        break
      }
    }
    return sockets
  }

  /** Undefined when the port is taken. */
  #openSend(plan: PoolPlan, port: number, share: UdpOptions['share']): Udp | undefined {
    const { netns, family, address, checksum, df, device, vxlans } = plan
    try {
      return this.#try(netns, {
        family, address, port, gro: false, df, checksum, receive: false, ...(device === undefined ? {} : { device }),
        ...(share === undefined ? {} : { share }),
      })
    } catch (error) {
      if (codeOf(error) === 'EADDRINUSE' && share !== 'further') return undefined
      throw this.#failed(`a UDP port of ${place(address)}`, vxlans[0]!, device, error)
    }
  }

  #failed(what: string, vxlan: string, device: string | undefined, error: unknown): LabError {
    const code = codeOf(error)
    const why = code === 'ENODEV' && device !== undefined ? `there is no device "${device}"`
      : code === 'EAFNOSUPPORT' ? 'the kernel has no IPv6' : messageOf(error)
    return new LabError(`vxlan "${vxlan}": cannot open ${what}: ${why}`, 1, { cause: error })
  }
}
