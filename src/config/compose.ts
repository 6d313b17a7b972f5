/** YAML text to the nodes of one document: YAML 1.2 core schema, no tags of one's own, nested as a file for people is. */
import { Composer, type CST, type Document, LineCounter, Parser, type YAMLError } from 'yaml'

/** Far beyond any network file. */
export const MAX_DEPTH = 32
export const TOO_DEEP = 'nested too deeply'

export interface Fault {
  /** In the text, UTF-16 units. */
  readonly offset: number
  readonly message: string
}

/** In words of ours where the library's are not for the reader of a network file. */
const MESSAGES: Partial<Record<YAMLError['code'], string>> = {
  TAB_AS_INDENT: 'a tab in the indentation; YAML wants spaces'
}

const contentsOf = (token: CST.Token): (CST.Token | null | undefined)[] => {
  if (token.type === 'document') return [token.value]
  return 'items' in token ? token.items.flatMap((item) => [item.key, item.value]) : []
}

/** First token nested too deeply. The parser keeps a list, but the composer recurses: deep nesting would end the process. */
const findTooDeep = (tokens: readonly CST.Token[]): CST.Token | undefined => {
  let level = tokens
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH + 1) return level[0]
    level = level.flatMap(contentsOf).filter((token) => token !== null && token !== undefined)
  }
  return undefined
}

export interface Composed {
  /** Absent when the text is nested too deeply. */
  readonly document: Document.Parsed | undefined
  readonly faults: readonly Fault[]
  readonly lines: LineCounter
}

/** Nodes of the only document in `text`, what is wrong with it as YAML, and the lines' beginnings. Never throws. */
export const compose = (text: string): Composed => {
  const lines = new LineCounter()
  const tokens = [...new Parser(lines.addNewLine).parse(text)]
  const deep = findTooDeep(tokens)
  if (deep !== undefined) return { document: undefined, faults: [{ offset: deep.offset, message: TOO_DEEP }], lines }

  const composer = new Composer({
    version: '1.2', schema: 'core', merge: false, resolveKnownTags: false,
    uniqueKeys: false, stringKeys: false, prettyErrors: false
  })
  const [document, second] = composer.compose(tokens, true, text.length) as Iterable<Document.Parsed>
  const faults: Fault[] = []
  const { version, explicit } = document?.directives?.yaml ?? {}
  if (explicit === true && version !== '1.2') {
    faults.push({ offset: 0, message: `YAML ${version} is asked for; a network file is YAML 1.2` })
  }
  for (const fault of [...(document?.errors ?? []), ...(document?.warnings ?? [])]) {
    faults.push({ offset: fault.pos[0], message: MESSAGES[fault.code] ?? fault.message })
  }
  if (second !== undefined) {
    faults.push({ offset: second.range[0], message: 'a second document begins here; a network file is one document' })
  }
  return { document, faults, lines }
}
