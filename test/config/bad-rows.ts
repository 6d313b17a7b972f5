/** A test of each row: a text, and where and in what words it is refused. */
import test from 'ava'
import { parseNetworkFile } from '../../src/config/load.js'
import { ConfigError, type Problem } from '../../src/config/problem.js'

/** Text, then what the first problem must be. `message` is a part of the whole. */
export type Row = readonly [what: string, text: string, place: string, path: string, message: string]

export const problemsOf = (text: string): readonly Problem[] => {
  try {
    parseNetworkFile(text, 'net.yaml')
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

export const run = (rows: readonly Row[]): void => {
  for (const [what, text, place, path, message] of rows) {
    test(what, (t) => {
      const [first] = problemsOf(text)
      t.truthy(first, 'it was accepted')
      t.is(`${first!.line}:${first!.column}`, place)
      t.is(first!.path, path)
      t.true(first!.message.includes(message), first!.message)
    })
  }
}
