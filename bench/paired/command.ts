/** Running programs, also inside network namespaces, and ending every one of them whatever happens. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** What is to be undone at the end, last first. Undoing never throws; what fails is told on stderr. */
const undo: (() => Promise<unknown> | unknown)[] = []

export const atEnd = (action: () => Promise<unknown> | unknown): void => {
  undo.push(action)
}

/** What is being undone; whoever ends early waits for it. */
const going = new Set<Promise<unknown>>()

/** Undoes what came after the first `depth` things. May run twice at once: when a signal comes while a scope is left. */
export const cleanUp = async (depth = 0): Promise<void> => {
  while (undo.length > depth) {
    const action = undo.pop()!
    const done = Promise.resolve().then(action).catch((error: unknown) => process.stderr.write(`while cleaning up: ${(error as Error).message}\n`))
    going.add(done)
    await done
    going.delete(done)
  }
  await Promise.all(going)
}

/** Marks where clean-up stands; the function it gives undoes what came after. */
export const scope = (): (() => Promise<void>) => {
  const depth = undo.length
  return () => cleanUp(depth)
}

/** A program's words inside a namespace. */
export const inNetns = (netns: string, ...words: string[]): string[] => ['nsenter', `--net=/run/netns/${netns}`, '--', ...words]

const finished = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? (signal === null ? -1 : 128)))
  })

/** Runs a program to its end and gives its stdout; throws with its words and stderr when it fails, or takes longer than a minute. */
export const run = async (words: readonly string[], options: { mayFail?: boolean } = {}): Promise<string> => {
  const child = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const running = track(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const code = await finished(child).finally(() => {
    clearTimeout(timer)
    running.delete(child)
  })
  if (code !== 0 && options.mayFail !== true) throw new Error(`${words.join(' ')}: exit ${code}: ${err.trim() || out.trim()}`)
  return out
}

const children = new Set<ChildProcess>()
const track = (child: ChildProcess): Set<ChildProcess> => children.add(child)
/** Ends programs that `run` waits for: part of leaving early. */
export const killRunning = (): void => {
  for (const child of children) child.kill('SIGKILL')
}

export interface Program {
  pid: number
  /** Sends a signal; throws with its stderr when it has ended by itself. */
  signal(name: NodeJS.Signals): void
  /** Sends SIGTERM, after a while SIGKILL, and waits for the end. */
  stop(): Promise<void>
}

/** Starts a program that goes on running. It is stopped at the end. Its stdin is open and says nothing. */
const start = (words: readonly string[]): Program & { child: ChildProcess; closed: Promise<number>; whatFailed: (why: string) => Error } => {
  const child = spawn(words[0]!, words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] })
  const closed = finished(child)
  closed.catch(() => undefined)
  child.stdin!.on('error', () => undefined)
  let err = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (err = (err + text).slice(-4000)))
  const whatFailed = (why: string): Error => new Error(`${words.join(' ')}: ${why}: ${err.trim()}`)
  const isAlive = (): boolean => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals): void => {
    if (!isAlive()) throw whatFailed('has ended by itself')
    child.kill(name)
  }
  const stop = async (): Promise<void> => {
    if (isAlive()) {
      child.kill('SIGTERM')
      child.kill('SIGCONT') // one that was stopped cannot end
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await closed.catch(() => undefined)
    clearTimeout(timer)
  }
  atEnd(stop)
  return { child, closed, whatFailed, pid: child.pid!, signal, stop }
}
/** An instance with a thousand ports takes its time to close them. */
const STOP_MS = 60_000

/** Starts a program that does not say when it is ready: `isReady` is asked until it is true. */
export const startUntil = async (words: readonly string[], isReady: () => Promise<boolean>): Promise<Program> => {
  const { child, closed, whatFailed, ...program } = start(words)
  child.stdout!.resume()
  let ended = false
  closed.catch(() => undefined).finally(() => (ended = true))
  for (const end = performance.now() + READY_MS; !await isReady();) {
    if (ended) throw whatFailed('has ended by itself')
    if (performance.now() > end) throw whatFailed(`not ready after ${READY_MS / 1000} s`)
    await sleep(50)
  }
  return program
}
const READY_MS = 20_000

export interface Service extends Program {
  /** The line that said it is ready. */
  line: string
  /** Milliseconds from start to that line. */
  readyAfter: number
}

/** Starts a program that goes on running, and waits for a line of its stdout. It is stopped at the end. */
export const serve = async (words: readonly string[], isReady: (line: string) => boolean, readyMs = READY_MS): Promise<Service> => {
  const begin = performance.now()
  const { child, closed, whatFailed, ...program } = start(words)
  const lines = createInterface({ input: child.stdout! })
  const line = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(whatFailed(`not ready after ${readyMs / 1000} s`)), readyMs)
    lines.on('line', (text) => {
      if (!isReady(text)) return
      clearTimeout(timer)
      resolve(text)
    })
    closed.then((code) => reject(whatFailed(`exit ${code}`)), reject).finally(() => clearTimeout(timer))
  })
  return { ...program, line, readyAfter: performance.now() - begin }
}
