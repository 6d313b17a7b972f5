/**
 * A terminal with a shell, as a reader has it: bash on a pty, so that programs print line by line, ask nobody, and Ctrl-C reaches
 * what is in the foreground. script(1) makes the pty.
 */
import { spawn, type ChildProcess } from 'node:child_process'

/** Record separator: nothing that the guide runs prints it. */
const MARK = '\x1e'
const PROMPT = new RegExp(`${MARK}(\\d+)${MARK}`)
// Quoted apart, so that the terminal's echo of this very line is not taken for its effect.
const SET_UP = `stty -echo -onlcr cols 250; PS2=; set +H; unset HISTFILE; PS1=$'\\x1e$?\\x1e'\n`

// eslint-disable-next-line no-control-regex
const COLOURS = /\x1b\[[\d;?]*[A-Za-z]/g

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

export class Terminal {
  /** Printed and not yet taken, without prompts. */
  private output = ''
  private status: number | undefined
  private all = ''

  private constructor(private readonly shell: ChildProcess) {
    for (const stream of [shell.stdout!, shell.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.take(text))
    }
    shell.stdin!.on('error', () => { /* the shell is gone: waitFor says so */ })
  }

  /** A shell in a folder. The words of `enter` execute what follows them, in whatever namespaces. */
  static async open(folder: string, enter: readonly string[]): Promise<Terminal> {
    const shell = 'exec bash --noprofile --norc --noediting'
    const [program, ...args] = [...enter, 'env', '-C', folder, 'script', '-qfe', '-c', shell, '/dev/null']
    const { PATH } = process.env
    const env = { PATH, HOME: folder, TERM: 'dumb', LANG: 'C.UTF-8', PS1: '' }
    const terminal = new Terminal(spawn(program!, args, { env, stdio: 'pipe' }))
    terminal.shell.stdin!.write(SET_UP)
    await terminal.waitFor('a prompt', () => terminal.status === 0)
    terminal.output = ''
    terminal.all = ''
    return terminal
  }

  private take(text: string): void {
    this.all += text
    this.output += text.replace(COLOURS, '').replaceAll('\r', '')
    for (let prompt = PROMPT.exec(this.output); prompt !== null; prompt = PROMPT.exec(this.output)) {
      this.status = Number(prompt[1])
      this.output = this.output.slice(0, prompt.index) + this.output.slice(prompt.index + prompt[0].length)
    }
  }

  /** Exit status of the last command; undefined while it runs. */
  get exitStatus(): number | undefined {
    return this.status
  }

  /** What was printed and not taken by `skip`. */
  get shown(): string {
    return this.output
  }

  /** All of it, for somebody who looks for a mistake. */
  get transcript(): string {
    return this.all.replace(COLOURS, '').replaceAll(MARK, '|')
  }

  skip(length: number): void {
    this.output = this.output.slice(length)
  }

  type(command: string): void {
    this.status = undefined
    this.shell.stdin!.write(`${command}\n`)
  }

  /** The key Ctrl-C; shown as a terminal shows it. */
  interrupt(): void {
    this.output += '^C'
    this.shell.stdin!.write('\x03')
  }

  /** Waits until something holds; throws after `seconds`, which only a broken program needs. */
  async waitFor(what: string, holds: () => boolean, seconds = 30): Promise<void> {
    const deadline = performance.now() + seconds * 1000
    while (!holds()) {
      if (this.shell.exitCode !== null) throw new Error(`the shell ended while waiting for ${what}`)
      if (performance.now() > deadline) throw new Error(`no ${what} within ${seconds} s`)
      await pause(10)
    }
  }

  /** Ends the shell and what runs in it. */
  close(): void {
    this.shell.stdin!.end()
    this.shell.kill('SIGHUP')
  }
}
