/**
 * Markdown whose commands are run: what a reader types and sees, in fenced blocks tagged `console`.
 *
 *     ```console
 *     # terminal 3
 *     $ tapway exec tara -- tcpdump -ni eth0 icmp
 *     listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes
 *     ```
 *
 * - `$ ` begins a command, `> ` continues it, all other lines are what it prints.
 * - A first line `# terminal N` says where (N = 1..9), `# every terminal` in all; without it the block belongs to terminal 2.
 * - A block that begins without a command shows what a command left running in that terminal has printed since. `^C` is the
 *   key. So a command is left running when the next block of its terminal begins without a command, and must end otherwise.
 * - All of the output must match; see `matchOutput` for what may differ. A command without output must print nothing, and `…`
 *   alone is no output: a step that cannot fail is refused.
 * - Exit status 0 is expected; `console exit=1` behind the fence expects 1 of the last command of the block.
 *
 * A `yaml` block that begins with `# save as FILE` is a file that the reader writes; with `# from FILE` it must stand in FILE,
 * word for word. Blocks of other kinds are not looked at.
 */

/** What a terminal shows. */
export interface Expected {
  /** Lines to be seen before the key Ctrl-C, or all where it is not pressed. */
  readonly lines: readonly string[]
  /** Lines from the `^C` on, or from a `…` before it; undefined where the key is not pressed. */
  readonly afterInterrupt?: readonly string[]
}

export interface CommandStep {
  readonly kind: 'command'
  readonly line: number
  readonly terminal: number
  /** What is typed; empty where a command left running goes on. */
  readonly command: string
  readonly expected: Expected
  /** Whether the command has ended behind this step, and with which status. */
  readonly exit: number | 'left running'
}

export interface FileStep {
  readonly kind: 'save' | 'excerpt'
  readonly line: number
  readonly path: string
  readonly text: string
}

export type Step = CommandStep | FileStep

const WORK_TERMINAL = 2
const TERMINALS = 4

interface Block {
  readonly info: string
  /** Number of the first line inside the fence, from 1. */
  readonly line: number
  readonly lines: readonly string[]
}

/** All fenced blocks. Throws on a fence that is not closed. */
const fencedBlocks = (markdown: string): Block[] => {
  const blocks: Block[] = []
  let open: { info: string; line: number; lines: string[] } | undefined
  markdown.split('\n').forEach((text, index) => {
    if (!text.startsWith('```')) open?.lines.push(text)
    else if (open === undefined) open = { info: text.slice(3).trim(), line: index + 2, lines: [] }
    else {
      blocks.push(open)
      open = undefined
    }
  })
  if (open !== undefined) throw new Error(`line ${open.line - 1}: fence without an end`)
  return blocks
}

type Draft = Omit<CommandStep, 'exit'>

const expectedOf = (lines: readonly string[]): Expected => {
  const key = lines.findIndex((line) => line.startsWith('^C'))
  if (key < 0) return { lines }
  const split = lines[key - 1] === '…' ? key - 1 : key
  return { lines: lines.slice(0, split), afterInterrupt: lines.slice(split) }
}

/** The commands of one block, for one terminal. */
const commandsOf = (lines: readonly string[], line: number, terminal: number): Draft[] => {
  const drafts: Draft[] = []
  for (let i = 0; i < lines.length;) {
    const at = line + i
    let command = ''
    if (lines[i]!.startsWith('$ ')) {
      command = lines[i++]!.slice(2)
      while (lines[i]?.startsWith('> ') || lines[i] === '>') command += `\n${lines[i++]!.slice(2)}`
    }
    const begin = i
    while (i < lines.length && !lines[i]!.startsWith('$ ')) i++
    if (i > begin && lines.slice(begin, i).every((text) => text === '…')) throw new Error(`line ${at}: nothing to compare`)
    drafts.push({ kind: 'command', line: at, terminal, command, expected: expectedOf(lines.slice(begin, i)) })
  }
  if (drafts.length === 0) throw new Error(`line ${line}: a console block with nothing in it`)
  return drafts
}

const consoleBlock = ({ info, line, lines }: Block): { drafts: Draft[]; exit: number } => {
  const options = info.split(/\s+/).slice(1)
  const exit = Number(options.find((option) => option.startsWith('exit='))?.slice(5) ?? 0)
  if (options.length > 1 || !Number.isInteger(exit) || (options.length === 1 && exit === 0)) {
    throw new Error(`line ${line - 1}: unknown "${info}"`)
  }
  const place = /^# (every terminal|terminal (\d))$/.exec(lines[0] ?? '')
  if (place === null && lines[0]?.startsWith('#')) throw new Error(`line ${line}: unknown "${lines[0]}"`)
  const body = place === null ? lines : lines.slice(1)
  const first = place === null ? line : line + 1
  if (place?.[1] !== 'every terminal') return { drafts: commandsOf(body, first, Number(place?.[2] ?? WORK_TERMINAL)), exit }
  return { drafts: Array.from({ length: TERMINALS }, (_, i) => commandsOf(body, first, i + 1)).flat(), exit }
}

/** Everything to be done, in order. Throws where the document breaks its own rules. */
export const parseShellDoc = (markdown: string): Step[] => {
  const steps: (FileStep | (Draft & { exit: number }))[] = []
  for (const block of fencedBlocks(markdown)) {
    const kind = block.info.split(/\s+/)[0]
    const file = /^# (save as|from) (\S+)$/.exec(block.lines[0] ?? '')
    if (kind === 'console') {
      const { drafts, exit } = consoleBlock(block)
      steps.push(...drafts.map((draft, i) => ({ ...draft, exit: i === drafts.length - 1 ? exit : 0 })))
    } else if (kind === 'yaml' && file !== null) {
      const text = `${block.lines.slice(1).join('\n')}\n`
      steps.push({ kind: file[1] === 'from' ? 'excerpt' : 'save', line: block.line, path: file[2]!, text })
    }
  }
  return steps.map((step, i): Step => {
    if (step.kind !== 'command') return step
    const next = steps.slice(i + 1).filter((other) => other.kind === 'command').find(({ terminal }) => terminal === step.terminal)
    const goesOn = next?.command === ''
    if (goesOn && step.expected.afterInterrupt !== undefined) {
      throw new Error(`line ${next.line}: terminal ${step.terminal} has nothing running`)
    }
    return { ...step, exit: goesOn ? 'left running' : step.exit }
  })
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')

/** What may differ (sticky, to be tried at a place of a line), and the pattern it must keep. The first that matches counts. */
const VARIABLE: readonly (readonly [RegExp, (text: string) => string])[] = [
  [/…/y, () => '.+?'],
  [/\b\d\d:\d\d:\d\d\.\d{6}\b/y, () => '\\d\\d:\\d\\d:\\d\\d\\.\\d{6}'],
  [/(?<![\w.])[\d./]*\d ?ms\b/y, (text) => `[\\d./]*\\d${text.endsWith(' ms') ? ' ' : ''}ms`],
  [/\bid \d+, /y, () => 'id \\d+, '],
  [/ {2,}/y, () => ' {2,}'],
  [/[^]/y, literal],
]

/** A line of the document as a pattern for a line of output. */
const linePattern = (line: string): string => {
  let pattern = ''
  for (let at = 0; at < line.length;) {
    for (const [start, toPattern] of VARIABLE) {
      start.lastIndex = at
      const text = start.exec(line)?.[0]
      if (text === undefined) continue
      pattern += toPattern(text)
      at += text.length
      break
    }
  }
  return pattern
}

/**
 * Length of the text at the start of `actual` that the lines describe, or -1. With `whole`, they must describe all of it.
 *
 * A line that is only `…` stands for any number of lines. Within a line, `…` stands for any text but none; a time of day, a
 * number (or several by `/`) of milliseconds, and an ICMP id stand for any other one; several blanks for several others, since
 * the width of a column depends on what is in it. Blanks at the end of a line do not count.
 */
export const matchOutput = (lines: readonly string[], actual: string, whole: boolean): number => {
  const patterns = lines.map((line) => (line === '…' ? '(?:[^\\n]*\\n)*?' : `${linePattern(line.trimEnd())} *\\n`))
  const text = actual === '' || actual.endsWith('\n') ? actual : `${actual}\n`
  const match = new RegExp(`^${patterns.join('')}${whole ? '$' : ''}`).exec(text)
  return match === null ? -1 : Math.min(match[0].length, actual.length)
}
