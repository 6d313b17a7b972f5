/**
 * iproute2's grammar: words in any order, most of them a key and its value (`via 10.1.1.1 dev eth0`), some alone (`onlink`),
 * one without a key (the prefix), a few that open a group of their own (`nexthop via … weight …`). A grammar is a
 * table of keys, each with a function that takes its value; a group is a grammar within a key's function.
 */
import { notSupported, usageError } from './error.js'
import { suggestion } from './nearest.js'

/** The words of one command and how far they are read. */
export class Words {
  private at = 0

  /** `command` is what the words belong to, such as `route add`, for errors. */
  constructor(private readonly list: readonly string[], readonly command: string) {}

  get done(): boolean {
    return this.at >= this.list.length
  }

  /** The word `ahead` of the next one; undefined behind the end. */
  peek(ahead = 0): string | undefined {
    return this.list[this.at + ahead]
  }

  next(): string | undefined {
    return this.list[this.at++]
  }

  /** Takes the next word if it is this one. */
  accept(word: string): boolean {
    if (this.peek() !== word) return false
    this.at++
    return true
  }

  /** The value of a key. Throws a usage error when the words end here. */
  value(key: string, what = 'a value'): string {
    const word = this.next()
    if (word === undefined || word === '') throw usageError(`"${key}" is the last word of ${this.command}: ${what} must follow it`)
    return word
  }
}

export interface Grammar {
  /** Key to the function that takes what follows it; aliases share one function. */
  readonly keys: Readonly<Record<string, () => void>>
  /** Keys of iproute2 that are not built yet. */
  readonly unsupported?: readonly string[]
  /** Takes a word that is no key; false when it has no place for it. */
  readonly bare?: (word: string) => boolean
  /** Keys that may be given again. */
  readonly repeated?: readonly string[]
  /** A group: ends before the first word that is not its own. */
  readonly group?: boolean
}

/** Reads words until the end (of the group). Throws usage errors only. */
export const readWords = (words: Words, grammar: Grammar): void => {
  const { keys, unsupported = [], bare, repeated = [], group = false } = grammar
  const seen = new Set<() => void>()
  for (let word = words.peek(); word !== undefined; word = words.peek()) {
    const take = Object.hasOwn(keys, word) ? keys[word]! : undefined
    if (take === undefined && group) return
    words.next()
    if (take !== undefined) {
      if (seen.has(take) && !repeated.includes(word)) throw usageError(`"${word}" is given twice in ${words.command}`)
      seen.add(take)
      take()
    } else if (unsupported.includes(word)) {
      throw notSupported(word)
    } else if (bare?.(word) !== true) {
      const known = Object.keys(keys)
      throw usageError(`unknown word "${word}" in ${words.command}: ${known.length === 0 ? 'it takes none' : suggestion(word, known)}`)
    }
  }
}

/** `link`, `route` …: the name that an abbreviation or alias stands for; the first that fits, in the order of the table. */
export const expand = (word: string, table: Readonly<Record<string, readonly string[]>>): string | undefined => {
  for (const [name, aliases] of Object.entries(table)) if (name === word || aliases.includes(word)) return name
  if (word === '') return undefined
  for (const [name, aliases] of Object.entries(table)) {
    if (name.startsWith(word) || aliases.some((alias) => alias.startsWith(word))) return name
  }
  return undefined
}

/** The same object without the keys that have no value. */
export const defined = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
