/**
 * The whole of tapway as its users run it, for tests: instances as processes of their own, commands against them, programs in
 * their hosts. Whatever a test starts here is ended after it, also when it fails: it goes through `onSweep` of netns.ts, which
 * `netnsTest` calls. Should the test's own process die, the instances are told to end and clean up by the kernel.
 *
 *     const network = await startTapway(SMOL_INTERNET)
 *     const { status, stdout } = await network.exec('client', 'ping', '-c', '1', '10.1.2.2')
 *     const routes = await network.json<RouteRow[]>('route', 'show')
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onSweep, uniqueName } from './netns.js'
import { createPatience } from './patience.js'
import { WITHOUT_ARGS } from './without.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The command, to be run by node. */
export const BIN = join(ROOT, 'bin/tapway.js')
/** Path of a file in examples/. */
export const example = (name: string): string => join(ROOT, 'examples', name)
export const SMOL_INTERNET = example('smol-internet.yaml')

/** How long anything may take before a test gives up on it: milliseconds, by patience.ts. */
const PATIENCE = 30_000

export interface Finished {
  /** Exit status; 128 + n when signal n ended it. */
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** A program that was started: what it has printed so far, and how it ends. */
export class Program {
  stdout = ''
  stderr = ''
  /** Resolves when it has ended and everything it printed is here. */
  readonly ended: Promise<Finished>

  constructor(readonly child: ChildProcess, readonly what: string) {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => { this.stdout += text })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { this.stderr += text })
    child.stdin?.on('error', () => {}) // it may end without having read everything
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        resolve({ status: code ?? 128 + constants.signals[signal!], stdout: this.stdout, stderr: this.stderr })
      })
    })
    this.ended.catch(() => {}) // whoever awaits it is told
  }

  get pid(): number {
    return this.child.pid!
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Waits until what it printed on a stream matches. Throws when it ends before, or takes too long. */
  async prints(pattern: RegExp, stream: 'stdout' | 'stderr' = 'stdout'): Promise<RegExpMatchArray> {
    for (const patience = createPatience(PATIENCE); ; await sleep(5)) {
      const running = this.running
      const match = pattern.exec(this[stream])
      if (match !== null) return match
      if (!running || patience.isOver()) {
        if (!running) await this.ended
        throw new Error(`${this.what}: no ${String(pattern)} on ${stream}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`)
      }
    }
  }

  /** Sends a signal and waits for the end; SIGKILL when that takes too long. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    if (this.running) {
      this.child.kill(signal)
      const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE / 2)
      await this.ended.finally(() => clearTimeout(timer))
    }
    return this.ended
  }
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  /** Text for its standard input. */
  readonly input?: string
  /** Instead of pipes that are read here. */
  readonly stdio?: StdioOptions
}

/** Starts a program that is ended after the test; it also ends when this process does. */
export const start = (command: string, args: readonly string[], options: RunOptions = {}): Program => {
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', command, ...args], {
    stdio: options.stdio ?? [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'], env: options.env ?? process.env
  })
  const program = new Program(child, [command, ...args].join(' '))
  if (options.input !== undefined) child.stdin!.end(options.input)
  onSweep(async () => { await program.stop() })
  return program
}

/** Runs a program to its end. Throws when it takes longer than half a minute. */
export const run = async (command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> => {
  const program = start(command, args, options)
  const patience = createPatience(PATIENCE)
  for (;;) {
    const ended = await Promise.race([program.ended, sleep(50, undefined, { ref: false })])
    if (ended !== undefined) return ended
    if (patience.isOver()) throw new Error(`${program.what}: does not end`)
  }
}

/** Runs the command `tapway` with these words. */
export const tapway = (...args: string[]): Promise<Finished> => run(process.execPath, [BIN, ...args])

/** A file with this text, removed after the test; its path. */
export const temporaryFile = (text: string, name = 'network.yaml'): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-test-'))
  onSweep(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** Runs a program in a namespace to its end. */
export const exec = (netns: string, ...command: string[]): Promise<Finished> => run('ip', ['netns', 'exec', netns, ...command])
/** Starts a program in a namespace; it is ended after the test. */
export const startIn = (netns: string, ...command: string[]): Program => start('ip', ['netns', 'exec', netns, ...command])

export const recordOf = (name: string): string => `/run/tapway/${name}.json`
export const socketOf = (name: string): string => `/run/tapway/${name}.sock`

/** A running instance. */
export class Instance {
  constructor(readonly name: string, readonly program: Program) {}

  get pid(): number {
    return this.program.pid
  }

  /** A command about this instance. */
  tapway(...args: string[]): Promise<Finished> {
    return tapway('--name', this.name, ...args)
  }

  /** Starts a command about this instance that goes on, such as capture. */
  start(...args: string[]): Program {
    return start(process.execPath, [BIN, '--name', this.name, ...args])
  }

  /** The answer of a command with -j. Throws when it fails. */
  async json<T = Record<string, unknown>[]>(...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.tapway('-j', ...args)
    if (status !== 0) throw new Error(`tapway -j ${args.join(' ')}: exit ${status}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** Runs a program in a namespace to its end. */
  exec(host: string, ...command: string[]): Promise<Finished> {
    return exec(host, ...command)
  }

  /** Starts a program in a namespace; it is ended after the test. */
  startIn(host: string, ...command: string[]): Program {
    return startIn(host, ...command)
  }

  /** The control socket. */
  get socket(): string {
    return socketOf(this.name)
  }

  /** Ends it by a signal; its exit status and all it printed. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    return this.program.stop(signal)
  }

  /** As `kill -9`: it cannot clean up. */
  async kill(): Promise<void> {
    await this.program.stop('SIGKILL')
  }
}

/** Words of `up` for every instance of a run of tests: TAPWAY_TEST_WORKERS=2 has all of them with two workers. */
const EVERY_UP: readonly string[] = process.env['TAPWAY_TEST_WORKERS'] === undefined ? [] : ['--workers', process.env['TAPWAY_TEST_WORKERS']]

export interface UpOptions extends RunOptions {
  /** The instance's name; one that no other test has, when left out. */
  readonly name?: string
  /** Further words of `up`, such as --no-offload. */
  readonly args?: readonly string[]
  /** The namespace that it is to run in; that of the tests, when left out. */
  readonly netns?: string
}

/**
 * Starts `tapway up` without waiting for anything. `network` is the path of a file, or its text when it has several lines. What
 * the instance leaves behind when it is killed is removed after the test.
 */
export const launchTapway = (network: string, options: UpOptions = {}): Instance => {
  const name = options.name ?? uniqueName('t')
  const file = network.includes('\n') ? temporaryFile(network) : network
  onSweep(async () => {
    if (existsSync(recordOf(name))) await tapway('--name', name, 'down')
  })
  const words = [process.execPath, BIN, '--name', name, 'up', file, ...EVERY_UP, ...WITHOUT_ARGS, ...options.args ?? []]
  const enter = options.netns === undefined ? [] : ['nsenter', `--net=/run/netns/${options.netns}`, '--']
  const [command, ...args] = [...enter, ...words]
  return new Instance(name, start(command!, args, options))
}

/** Starts `tapway up` and waits for its ready line. Throws with what it printed when it ends before. */
export const startTapway = async (network: string, options: UpOptions = {}): Promise<Instance> => {
  const instance = launchTapway(network, options)
  await instance.program.prints(/^ready.*\n/m)
  return instance
}

/** Waits until something is so. Throws when it does not come to that within half a minute. */
export const until = async (what: string, done: () => boolean | Promise<boolean>): Promise<void> => {
  for (const patience = createPatience(PATIENCE); !await done(); await sleep(10)) {
    if (patience.isOver()) throw new Error(`not within ${PATIENCE / 1000} s: ${what}`)
  }
}

/** Waits until a program in a namespace listens on a TCP port; UDP with `table` udp. */
export const listening = (netns: string, port: number, table: 'tcp' | 'udp' = 'tcp'): Promise<void> =>
  until(`${netns} listens on ${table} ${port}`, async () => {
    const { stdout } = await exec(netns, 'cat', `/proc/net/${table}`, `/proc/net/${table}6`)
    const wanted = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+:0000 0[A7] `)
    return wanted.test(stdout)
  })
