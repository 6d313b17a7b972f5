/** `tapway ping`: the instance sends, this prints as ping(8) does. */
import type { ControlClient } from '../control/client.js'
import type { PingEvent, PingResult } from '../control/protocol.js'
import type { PingCommand } from './command.js'
import type { Io } from './io.js'

/** ICMP and IPv4 header. */
const HEADERS = 28

/** Milliseconds in ping's three to four digits. */
export const formatTime = (ms: number): string => {
  if (ms >= 99.95) return ms.toFixed(0)
  if (ms >= 9.995) return ms.toFixed(1)
  return ms.toFixed(ms >= 0.9995 ? 2 : 3)
}

/** C's %g: six digits at most, no zeros at the end. */
const general = (value: number): string => String(Number(value.toPrecision(6)))

export interface PingTotals {
  readonly transmitted: number
  readonly received: number
  readonly duplicates: number
  readonly errors: number
  /** From the first request to the last. */
  readonly elapsedMs: number
  /** Round-trip times of all replies. */
  readonly times: readonly number[]
}

/** The last lines of ping. */
export const formatTotals = (destination: string, totals: PingTotals): string => {
  const { transmitted, received, duplicates, errors, elapsedMs, times } = totals
  const parts = [`${transmitted} packets transmitted`, `${received} received`]
  if (duplicates > 0) parts.push(`+${duplicates} duplicates`)
  if (errors > 0) parts.push(`+${errors} errors`)
  if (transmitted > 0) {
    parts.push(`${general(Math.max(0, transmitted - received) * 100 / transmitted)}% packet loss`, `time ${Math.floor(elapsedMs)}ms`)
  }
  const head = `\n--- ${destination} ping statistics ---\n${parts.join(', ')}\n`
  if (times.length === 0) return `${head}\n`
  const average = times.reduce((sum, ms) => sum + ms, 0) / times.length
  const deviation = Math.sqrt(Math.max(0, times.reduce((sum, ms) => sum + ms * ms, 0) / times.length - average * average))
  const [low, high] = [times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))]
  return `${head}rtt min/avg/max/mdev = ${[low, average, high, deviation].map((ms) => ms.toFixed(3)).join('/')} ms\n`
}

/** The line of a reply or an error. */
export const formatEvent = (event: Exclude<PingEvent, { event: 'done' }>): string => {
  if (event.event === 'error') return `From ${event.from} icmp_seq=${event.seq} ${event.text}\n`
  const again = event.duplicate === true ? ' (DUP!)' : ''
  return `${event.bytes} bytes from ${event.from}: icmp_seq=${event.seq} ttl=${event.ttl} time=${formatTime(event.time_ms)} ms${again}\n`
}

/** Exit status 0 when something answered, 1 when nothing did. Throws ClientError. */
export const ping = async (client: ControlClient, command: PingCommand, io: Io): Promise<number> => {
  const { address, from, dev, count, intervalMs, size, ttl, quiet } = command
  const { result: { source, destination }, events } = await client.stream<PingResult>({
    method: 'ping', from, address, interval_ms: intervalMs, size,
    ...(dev !== undefined && { dev }), ...(count !== undefined && { count }), ...(ttl !== undefined && { ttl }),
  })
  const origin = dev === undefined ? '' : ` from ${source} ${dev}:`
  io.out(`PING ${destination} (${destination})${origin} ${size}(${size + HEADERS}) bytes of data.\n`)
  const begun = performance.now()
  const release = io.onInterrupt(() => client.close())
  const times: number[] = []
  let [transmitted, received, duplicates, errors, last] = [0, 0, 0, 0, begun] // last: when the last request left
  let complete = false
  for await (const event of events as AsyncIterable<PingEvent>) {
    if (event.event === 'done') {
      complete = true
      if (event.transmitted > transmitted) last = begun + (event.transmitted - 1) * intervalMs
      transmitted = event.transmitted
      break
    }
    if (event.seq > transmitted) last = event.event === 'error' ? begun + (event.seq - 1) * intervalMs : performance.now() - event.time_ms
    transmitted = Math.max(transmitted, event.seq)
    if (event.event === 'error') errors++
    else {
      if (event.duplicate === true) duplicates++
      else received++
      times.push(event.time_ms)
    }
    if (!quiet) io.out(formatEvent(event))
  }
  release()
  client.close()
  if (!complete) {
    // Interrupted: those that nobody answered have been sent all the same.
    const due = Math.min(Math.floor((performance.now() - begun) / intervalMs) + 1, count ?? Infinity)
    if (due > transmitted) last = begun + (due - 1) * intervalMs
    transmitted = Math.max(transmitted, due)
  }
  io.out(formatTotals(destination, { transmitted, received, duplicates, errors, elapsedMs: Math.max(0, last - begun), times }))
  return received > 0 ? 0 : 1
}
