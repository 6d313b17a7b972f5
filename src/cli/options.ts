/**
 * Options, by commander: those of every command, which may stand before or after its other words, and those of one
 * command. Words that belong to another program (exec) are never looked at.
 */
import { Command as Commander, CommanderError } from 'commander'
import { type Globals, LOG_LEVELS } from './command.js'
import { notSupported, usageError } from './error.js'
import * as values from './values.js'

const INSTANCE_NAME = /^[A-Za-z0-9_-]{1,64}$/

/** Options of one command: commander's flags, and whether options end at its first other word. */
export interface OptionTable {
  readonly flags: readonly string[]
  readonly passThrough?: boolean
}

/** What the options said: by commander's attribute names, and the other words. */
export interface Options {
  readonly given: Readonly<Record<string, unknown>>
  readonly words: readonly string[]
}

/** Options of every command. A command's own option of the same letter (`ping -s`) takes precedence over these. */
const GLOBAL_FLAGS = [
  '--name <name>', '-j, --json', '-p, --pretty', '-s, --stats', '--statistics', '-d, --details', '--brief', '-4', '--log-level <level>',
  '-h, --help', '-V, --version',
]

/** iproute2 writes its long options with one dash. */
const ONE_DASH: ReadonlyMap<string, string> = new Map([
  ['-json', '--json'], ['-pretty', '--pretty'], ['-stats', '--stats'], ['-statistics', '--stats'], ['-details', '--details'],
  ['-brief', '--brief'], ['-br', '--brief'], ['-Version', '--version'], ['-help', '--help'],
])
const UNSUPPORTED = new Set([
  '-6', '-0', '-B', '-D', '-I', '-M', '-o', '-oneline', '--oneline', '-n', '-netns', '--netns', '-b', '-batch', '-force', '-c', '-color',
  '-t', '-timestamp', '-ts', '-tshort', '-r', '-resolve', '-a', '-all', '-N', '-Numeric', '-rc', '-iec', '-l', '-loops', '-f', '-family',
  '-echo', '-compressvlans',
])

const letterOf = (flag: string): string | undefined => /^-(\w)/.exec(flag)?.[1]

const counted = (_: unknown, before: number | undefined): number => (before ?? 0) + 1

const listed = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value]

const build = (table: OptionTable, globals: boolean): Commander => {
  const program = new Commander('tapway')
    .helpOption(false)
    .argument('[words...]')
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .passThroughOptions(table.passThrough === true)
  const taken = new Set(table.flags.map(letterOf))
  for (const flag of table.flags) {
    if (flag.includes('...')) program.option(flag.replace('...', ''), '', listed) // may be repeated; takes one word each time
    else program.option(flag)
  }
  if (globals) {
    for (const flag of GLOBAL_FLAGS) {
      const letter = letterOf(flag)
      const free = letter === undefined || !taken.has(letter)
      const form = free ? flag : flag.replace(/^-\w(, )?/, '')
      if (form === '') continue
      if (form.includes('--stats')) program.option(form, '', counted)
      else program.option(form)
    }
  }
  return program
}

/** Reads the options of a command. Throws usage errors only. */
export const readOptions = (argv: readonly string[], table: OptionTable): Options => {
  const own = new Set(table.flags.map((flag) => `-${letterOf(flag) ?? ''}`))
  const program = build(table, true)
  const words: string[] = []
  for (const [i, word] of argv.entries()) {
    if (word === '--' || (table.passThrough === true && !word.startsWith('-') && !takesValue(argv[i - 1]))) {
      words.push(...argv.slice(i))
      break
    }
    if (table.flags.length === 0 && UNSUPPORTED.has(word) && !takesValue(argv[i - 1])) throw notSupported(word)
    words.push(own.has(word) ? word : ONE_DASH.get(word) ?? word)
  }
  try {
    program.parse(words, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) throw usageError(sentence(error.message))
    throw error
  }
  return { given: program.opts(), words: program.args }
}

/** Whether the word after this one is its value; an option's value is never looked at as an option. */
const takesValue = (word: string | undefined): boolean => word === '--name' || word === '--log-level'

/** `error: unknown option '--nmae'\n(Did you mean --name?)` as the rest of our one line. */
const sentence = (message: string): string => message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ').replaceAll("'", '"')

/** The options of every command out of what was given before and after its name. Throws usage errors. */
export const globalsOf = (...given: Options['given'][]): Globals => {
  const all = Object.assign({}, ...given) as Options['given']
  const name = all['name'] === undefined ? 'default' : String(all['name'])
  if (!INSTANCE_NAME.test(name)) throw usageError(`"${name}" is no name for an instance: letters, digits, _ and - only, at most 64`)
  const level = all['logLevel'] === undefined ? 'info' : values.oneOf(String(all['logLevel']), '--log-level', LOG_LEVELS)
  const count = given.reduce((sum, { stats, statistics }) => sum + Number(stats ?? 0) + Number(statistics ?? 0), 0)
  return {
    name, logLevel: level, stats: count, json: all['json'] === true, pretty: all['pretty'] === true, details: all['details'] === true,
    brief: all['brief'] === true,
  }
}
