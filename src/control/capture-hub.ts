/**
 * Captures for everybody who asks: one ring between each worker of the data plane and here, emptied every few milliseconds while somebody
 * watches. A client that does not keep up loses captures and is told how many; traffic never waits.
 */
import { attachTapRing, createTapRing, type TapRecord, type TapRingConsumer, type TapRingProducer } from '../core/tap-ring.js'
import type { DataPlane } from './data-plane.js'
import type { CaptureEvent, CaptureResult, LostEvent } from './protocol.js'
import type { Client } from './server.js'

const RING_BYTES = 8 << 20
const DRAIN_MS = 5
const RECORDS_A_DRAIN = 4096
/** Bytes a client may leave unread before its captures are dropped. */
const CLIENT_BACKLOG = 16 << 20

interface Watcher {
  id: number
  client: Client
  ports: Set<number>
  snaplen: number
  lost: number
  told: number
}

type PacketEvent = CaptureEvent & { id: number }

interface Taken {
  time: bigint
  watcher: Watcher
  event: PacketEvent
}

export class CaptureHub {
  private readonly watchers = new Set<Watcher>()
  private readonly memory: SharedArrayBuffer[]
  private readonly rings: (TapRingProducer & TapRingConsumer)[]
  /** Of several workers: what was taken from a ring and may come behind what is still in another one. */
  private waiting: Taken[] = []
  private timer: NodeJS.Timeout | undefined
  private ringLost = 0
  private closing = false

  constructor(private readonly plane: DataPlane) {
    this.memory = Array.from({ length: plane.workers }, () => createTapRing(RING_BYTES))
    this.rings = this.memory.map(attachTapRing)
    plane.on('restarted', () => void this.update().catch(() => undefined))
  }

  /** Starts a capture for a client; its events carry `id`. */
  async watch(id: number, client: Client, names: string[], snaplen: number): Promise<CaptureResult> {
    const ports = await this.plane.resolvePorts(names)
    const watcher: Watcher = { id, client, ports: new Set(ports.map((p) => p.id)), snaplen, lost: 0, told: 0 }
    this.watchers.add(watcher)
    client.onClose(() => {
      this.watchers.delete(watcher)
      this.update().catch(() => undefined)
    })
    await this.update()
    return { ports }
  }

  /** Tells every client that there will be no more. */
  close(): void {
    clearInterval(this.timer)
    this.closing = true
    this.drain()
    for (const { client, id } of this.watchers) {
      client.send({ id, event: 'closed', end: true })
      client.end()
    }
    this.watchers.clear()
  }

  private async update(): Promise<void> {
    const ports = new Set<number>()
    let snaplen = 0
    for (const w of this.watchers) {
      for (const p of w.ports) ports.add(p)
      snaplen = Math.max(snaplen, w.snaplen)
    }
    clearInterval(this.timer)
    this.timer = this.watchers.size === 0 ? undefined : setInterval(() => this.drain(), DRAIN_MS)
    await this.plane.capture(this.memory, [...ports], snaplen)
  }

  private drain(): void {
    const lost = this.rings.reduce((sum, ring) => sum + ring.lost(), 0)
    for (const w of this.watchers) w.lost += lost - this.ringLost
    this.ringLost = lost
    const [only] = this.rings
    if (this.rings.length === 1) only!.drain((record) => this.take(record, (w, event) => w.client.send(event)), RECORDS_A_DRAIN)
    else this.drainSeveral()
    this.tellLost()
  }

  /** In the order of time: what is younger than this look at the rings waits for the next, as another ring may have older ones by then. */
  private drainSeveral(): void {
    const now = BigInt(Math.floor((performance.timeOrigin + performance.now()) * 1000)) * 1000n
    const { waiting } = this
    for (const ring of this.rings) {
      ring.drain((record) => this.take(record, (watcher, event) => waiting.push({ time: record.time, watcher, event })), RECORDS_A_DRAIN)
    }
    waiting.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
    let ready = 0
    while (ready < waiting.length && (this.closing || waiting[ready]!.time <= now)) ready++
    for (const { watcher, event } of waiting.splice(0, ready)) watcher.client.send(event)
  }

  /** Makes an event of a record for everybody who watches its port. */
  private take(record: TapRecord, give: (w: Watcher, event: PacketEvent) => void): void {
    for (const w of this.watchers) {
      if (!w.ports.has(record.port)) continue
      if (w.client.backlog() > CLIENT_BACKLOG) {
        w.lost++
        continue
      }
      const bytes = record.bytes.subarray(0, w.snaplen)
      give(w, {
        id: w.id, event: 'packet', port: record.port, direction: record.direction === 0 ? 'rx' : 'tx',
        time: String(record.time), length: record.length, data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
      })
    }
  }

  private tellLost(): void {
    for (const w of this.watchers) {
      if (w.lost === w.told) continue
      w.told = w.lost
      const event: LostEvent & { id: number } = { id: w.id, event: 'lost', packets: w.lost }
      w.client.send(event)
    }
  }
}
