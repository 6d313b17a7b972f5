/**
 * Where captured frames go: lines on stdout as `tcpdump -n` prints them, or pcapng to a file or stdout (-w).
 *
 * Lines come from tcpdump itself, which reads our pcapng on its stdin and knows far more protocols than we do. Where it is not
 * installed, and where several ports are watched (it does not say which one a packet of a file came by), `wire/format.ts`
 * prints them. Nothing piles up here: `accept` says when the reader is behind, and the caller then waits for `drained`, so
 * that what is too much is lost, and counted, where the instance hands out captures.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Writable } from 'node:stream'
import { createFilter, type Filter, type Program } from '../capture/bpf.js'
import { CaptureError } from '../capture/error.js'
import { enhancedPacket, INBOUND, interfaceDescription, OUTBOUND, sectionHeader } from '../capture/pcapng.js'
import { format } from '../wire/format.js'

export interface CaptureOutputOptions {
  /** Names of the watched ports: interface blocks of the file, in this order. */
  ports: readonly string[]
  /** A path, or `-` for stdout, to write pcapng to; lines are printed when it is left out. */
  write?: string
  /** Print the link-level header (-e). */
  link: boolean
  /** Stop after so many packets (-c). */
  count?: number
  filter?: Program
  /** Bytes of a packet that are kept. */
  snaplen: number
  /** For tests: instead of the process's own. */
  stdout?: Writable
  stderr?: Writable
  /** False: the built-in printer, whatever is installed. */
  tcpdump?: boolean
}

export interface CaptureRecord {
  /** Name of the port. */
  port: string
  /** The switch's view: rx came in by the port. */
  direction: 'rx' | 'tx'
  /** Nanoseconds since the epoch. */
  time: bigint
  /** The captured bytes; taken over, not to be changed afterwards. */
  bytes: Uint8Array
  /** Length on the wire. */
  length: number
}

/** How long tcpdump may take to print the rest at the end. */
const LAST_LINES_MS = 2000

/** Local time of day with microseconds, as tcpdump prints it. */
export const timeOfDay = (time: bigint): string => {
  const date = new Date(Number(time / 1_000_000n))
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String((time / 1000n) % 1_000_000n).padStart(6, '0')}`
}

/** What the system says, without errno's name and the call: `no space left on device`. */
const systemWords = (error: Error): string => error.message.replace(/^E[A-Z0-9]+: /, '').replace(/, [a-z]+( '.*')?$/, '')

const packets = (n: number): string => `${n} packet${n === 1 ? '' : 's'}`

/**
 * tcpdump as a printer, or undefined where it is not installed. In a session of its own, so that a Ctrl-C reaches us alone and
 * the last lines come out.
 */
const startTcpdump = async (link: boolean, stdout: Writable | undefined): Promise<ChildProcess | undefined> => {
  const args = ['-n', '-l', ...(link ? ['-e'] : []), '-r', '-']
  const child = spawn('tcpdump', args, { stdio: ['pipe', stdout === undefined ? 'inherit' : 'pipe', 'pipe'], detached: true })
  try {
    await once(child, 'spawn')
  } catch {
    return undefined
  }
  if (stdout !== undefined) child.stdout!.pipe(stdout, { end: false })
  return child
}

const openFile = async (path: string): Promise<Writable> => {
  const file = createWriteStream(path)
  try {
    await once(file, 'open')
  } catch (error) {
    throw new CaptureError(`cannot write ${path}: ${systemWords(error as Error)}`, 1)
  }
  return file
}

export class CaptureOutput {
  /** Resolves when there is nothing more to do: -c reached, or nobody reads any more. */
  readonly finished: Promise<void>
  private finish!: () => void
  private over = false
  /** Ends the wait for the reader, if there is one. */
  private goOn = (): void => {}
  /** Somebody closed our stdout: end without a word. */
  private unread = false
  private failure: CaptureError | undefined
  private childClosed: Promise<void> | undefined
  private captured = 0
  private lost = 0
  private readonly interfaces = new Map<string, number>()
  private readonly filter: Filter | undefined
  private readonly stderr: Writable

  private constructor(
    private readonly options: CaptureOutputOptions, private to: Writable, private child: ChildProcess | undefined, private text: boolean
  ) {
    this.finished = new Promise((resolve) => { this.finish = resolve })
    this.filter = options.filter === undefined ? undefined : createFilter(options.filter)
    this.stderr = options.stderr ?? process.stderr
    this.expectRoom(to)
    if (child === undefined) this.watch(to)
    else this.watchTcpdump(child)
    if (!text) {
      to.write(sectionHeader({ application: 'tapway' }))
      for (const name of options.ports) this.interfaceOf(name)
    }
    this.say(`listening on ${options.ports.join(', ')}, link-type EN10MB (Ethernet), snapshot length ${options.snaplen} bytes`)
  }

  /** Opens the file, or starts tcpdump. Throws a CaptureError when the file cannot be written. */
  static async open(options: CaptureOutputOptions): Promise<CaptureOutput> {
    const stdout = options.stdout ?? process.stdout
    if (options.write === '-') return new CaptureOutput(options, stdout, undefined, false)
    if (options.write !== undefined) return new CaptureOutput(options, await openFile(options.write), undefined, false)
    const wanted = options.tcpdump !== false && options.ports.length === 1
    const child = wanted ? await startTcpdump(options.link, options.stdout) : undefined
    return new CaptureOutput(options, child?.stdin ?? stdout, child, child === undefined)
  }

  /** True when -c was reached or nobody reads: the caller stops. */
  get done(): boolean {
    return this.over
  }

  /** Takes a packet. False when the reader is behind: wait for `drained` before the next. */
  accept(record: CaptureRecord): boolean {
    if (this.over) return true
    const bytes = record.bytes.length > this.options.snaplen ? record.bytes.subarray(0, this.options.snaplen) : record.bytes
    if (this.filter !== undefined && this.filter(bytes, 0, bytes.length, record.length) === 0) return true
    this.captured++
    const more = this.to.write(this.text
      ? this.line(record, bytes)
      : enhancedPacket(this.interfaceOf(record.port), record.time, bytes, record.length, record.direction === 'rx' ? INBOUND : OUTBOUND))
    if (this.captured === this.options.count) this.stop()
    return more || this.over
  }

  /** Resolves when the reader has caught up, or never will. For one caller at a time. */
  async drained(): Promise<void> {
    if (this.over || !this.to.writableNeedDrain) return
    await new Promise<void>((resolve) => { this.goOn = resolve })
  }

  /** Says how many captures were lost on the way here, in all. */
  setLost(count: number): void {
    this.lost = count
  }

  /** Brings everything out and prints the counts on stderr. Throws a CaptureError when something could not be written. */
  async close(): Promise<void> {
    this.stop()
    const { child, to } = this
    if (child !== undefined) {
      to.end()
      const last = setTimeout(() => child.kill(), this.unread ? 0 : LAST_LINES_MS)
      await this.childClosed
      clearTimeout(last)
    } else if (this.options.write !== undefined && this.options.write !== '-') {
      await new Promise<void>((resolve) => {
        if (to.destroyed) resolve()
        else to.once('close', resolve).end()
      })
    } else if (to.writableLength > 0 && !to.destroyed) {
      await new Promise<void>((resolve) => to.once('close', resolve).write('', () => resolve()))
    }
    if (this.unread) return
    this.say(`${packets(this.captured)} captured`)
    this.say(`${packets(this.lost)} dropped by capture`)
    if (this.failure !== undefined) throw this.failure
  }

  private stop(): void {
    this.over = true
    this.finish()
    this.goOn()
  }

  private say(line: string): void {
    this.stderr.write(`${line}\n`)
  }

  /** Number of a port's interface block; a port that was not announced gets one now. */
  private interfaceOf(name: string): number {
    let id = this.interfaces.get(name)
    if (id === undefined) {
      id = this.interfaces.size
      this.interfaces.set(name, id)
      this.to.write(interfaceDescription({ name, snaplen: this.options.snaplen }))
    }
    return id
  }

  /** With several ports, port and direction stand before the packet as in `tcpdump -i any`. */
  private line(record: CaptureRecord, bytes: Uint8Array): string {
    const where = this.options.ports.length === 1 ? '' : `${record.port.padEnd(5)} ${record.direction === 'rx' ? 'In ' : 'Out'} `
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return `${timeOfDay(record.time)} ${where}${format(view, 0, bytes.length, { link: this.options.link, originalLength: record.length })}\n`
  }

  /** Once for each stream: a reader may be behind any number of times. */
  private expectRoom(to: Writable): void {
    to.on('drain', () => this.goOn()).on('close', () => this.goOn())
  }

  private watch(to: Writable): void {
    to.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') this.unread = true
      else this.failure ??= new CaptureError(`cannot write ${this.options.write ?? 'stdout'}: ${systemWords(error)}`, 1)
      this.stop()
    })
  }

  private watchTcpdump(child: ChildProcess): void {
    let said = ''
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => { said = (said + chunk).slice(-4096) })
    child.stdin!.on('error', () => undefined) // told by its end
    if (this.options.stdout !== undefined) this.watch(this.options.stdout)
    this.childClosed = once(child, 'close').then(([status, signal]: (number | string | null)[]) => {
      if (signal === 'SIGPIPE' || /Broken pipe/.test(said)) {
        this.unread = true
        this.stop()
      } else if (!this.over) {
        // It should not end before us; the capture goes on without it.
        const words = said.split('\n').filter((line) => line !== '' && !line.startsWith('reading from file')).at(-1)
        const why = words?.replace(/^tcpdump: /, '') ?? `status ${signal ?? status}`
        this.say(`tcpdump ended (${why}); lines are now those of the built-in printer`)
        this.child = undefined
        this.to = this.options.stdout ?? process.stdout
        this.text = true
        this.expectRoom(this.to)
        if (this.options.stdout === undefined) this.watch(this.to)
      }
    })
  }
}
