/** Does what a document says, in terminals, and compares what is shown with what it says is shown. */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { matchOutput, type CommandStep, type FileStep, type Step } from '../helpers/shell-doc.js'
import type { Terminal } from './terminal.js'

export interface Place {
  /** Folder of the commands and files. */
  readonly folder: string
  /** The terminal of a number; made when first asked for. */
  readonly terminal: (number: number) => Promise<Terminal>
}

const indent = (text: string): string => text.replaceAll(/^/gm, '    ')

const mismatch = (expected: readonly string[], shown: string): Error =>
  new Error(`expected:\n${indent(expected.join('\n'))}\nshown:\n${indent(shown)}`)

const file = (step: FileStep, folder: string): void => {
  const path = resolve(folder, step.path)
  if (step.kind === 'save') writeFileSync(path, step.text)
  else if (!readFileSync(path, 'utf8').includes(step.text)) throw new Error(`${step.path} has no such lines`)
}

/** Waits until the lines are seen, while the command goes on, and takes them. */
const seeLines = async (terminal: Terminal, lines: readonly string[]): Promise<void> => {
  let length = -1
  const seen = (): boolean => (length = matchOutput(lines, terminal.shown, false)) >= 0
  try {
    await terminal.waitFor('such lines', () => seen() || terminal.exitStatus !== undefined)
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${mismatch(lines, terminal.shown).message}`)
  }
  if (!seen()) throw mismatch(lines, terminal.shown)
  if (terminal.exitStatus !== undefined) throw new Error(`it has ended, with exit status ${terminal.exitStatus}`)
  terminal.skip(length)
}

/** Waits until the command has ended, and takes the rest. */
const seeEnd = async (terminal: Terminal, lines: readonly string[], exit: number): Promise<void> => {
  try {
    await terminal.waitFor('end of it', () => terminal.exitStatus !== undefined)
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${mismatch(lines, terminal.shown).message}`)
  }
  if (matchOutput(lines, terminal.shown, true) < 0) throw mismatch(lines, terminal.shown)
  if (terminal.exitStatus !== exit) throw new Error(`exit status ${terminal.exitStatus}, expected ${exit}`)
  terminal.skip(terminal.shown.length)
}

const command = async ({ command: typed, expected, exit }: CommandStep, terminal: Terminal): Promise<void> => {
  if (typed !== '') {
    if (terminal.exitStatus === undefined) throw new Error('something is still running in this terminal')
    terminal.type(typed)
  }
  const { lines, afterInterrupt } = expected
  if (exit === 'left running') return seeLines(terminal, lines)
  if (afterInterrupt === undefined) return seeEnd(terminal, lines, exit)
  await seeLines(terminal, lines)
  terminal.interrupt()
  return seeEnd(terminal, afterInterrupt, exit)
}

const nameOf = (step: Step): string => {
  if (step.kind !== 'command') return step.path
  return `terminal ${step.terminal}: ${step.command === '' ? '(what runs there)' : `$ ${step.command}`}`
}

/** Throws at the first thing that is not as the document says, with its line. */
export const runDoc = async (steps: readonly Step[], { folder, terminal }: Place): Promise<void> => {
  for (const step of steps) {
    try {
      if (step.kind === 'command') await command(step, await terminal(step.terminal))
      else file(step, folder)
    } catch (error) {
      throw new Error(`line ${step.line}: ${nameOf(step)}\n${(error as Error).message}`)
    }
  }
}
