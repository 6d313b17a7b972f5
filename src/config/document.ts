/** YAML text to plain values, each with its place in the text. */
import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Scalar } from 'yaml'
import { compose, MAX_DEPTH, TOO_DEEP } from './compose.js'
import { type Path } from './problem.js'

/** What YAML can say. Mappings are Maps: the file's order holds, and no key is special. */
export type Raw = null | boolean | number | string | Raw[] | Mapping
export type Mapping = Map<string, Raw>

export interface Position {
  readonly line: number
  readonly column: number
}

export interface SyntaxProblem extends Position {
  readonly path: Path
  readonly message: string
}

interface Place {
  /** Offsets in the text. */
  key: number
  value: number
  parts: Map<string | number, Place>
}

export interface YamlDocument {
  readonly value: Raw
  readonly problems: readonly SyntaxProblem[]
  /** The place of a path, and the path itself as far as the file has it; what is missing stands at the key it is missing from. */
  locate(path: Path, at?: 'key' | 'value'): Position & { path: Path }
}

// An alias of aliases could otherwise fill the memory.
const MAX_VALUES = 1_000_000

class TooMuch extends Error {
  constructor(readonly offset: number, message: string) {
    super(message)
  }
}

const keyText = (key: unknown): string | undefined => {
  if (!isScalar(key)) return undefined
  return typeof key.value === 'string' ? key.value : (key.source ?? String(key.value))
}

interface Converted {
  value: Raw
  root: Place
}

/** Values and places of a document's nodes; `complain` hears of what YAML allows and a network file does not. */
const convert = (contents: Node | null, complain: (offset: number, path: Path, message: string) => void): Converted => {
  const anchors = new Map<string, Node>()
  const open = new Set<Node>()
  const path: (string | number)[] = []
  let values = 0
  let aliases = 0

  const place = (key: number, value: number): Place => ({ key, value, parts: new Map() })
  const offsetOf = (node: Node | null, otherwise: number): number => node?.range?.[0] ?? otherwise

  const target = (alias: Alias, offset: number): Node | null => {
    const node = anchors.get(alias.source)
    if (node === undefined) complain(offset, path, `unknown alias *${alias.source}: nothing above is marked &${alias.source}`)
    else if (open.has(node)) complain(offset, path, `alias *${alias.source} is used inside of what it stands for`)
    else return node
    return null
  }

  const walk = (node: Node | null, here: Place): Raw => {
    if (++values > MAX_VALUES) throw new TooMuch(here.value, 'too much for a network file')
    if (path.length > MAX_DEPTH) throw new TooMuch(here.value, TOO_DEEP)
    if (isAlias(node)) {
      aliases++
      const value = walk(target(node, here.value), here)
      aliases--
      return value
    }
    if (node === null) return null
    // An alias means the last anchor above it: what an alias repeats was counted where it stands.
    if (aliases === 0 && 'anchor' in node && node.anchor) anchors.set(node.anchor, node)
    if (isScalar(node)) return scalar(node)
    open.add(node)
    const value = isMap(node) ? mapping(node.items, here) : isSeq(node) ? list(node.items as Node[], here) : null
    open.delete(node)
    return value
  }

  const scalar = ({ value }: Scalar): Raw =>
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null

  const list = (items: readonly (Node | null)[], here: Place): Raw[] =>
    items.map((item, i) => {
      const offset = offsetOf(item, here.value)
      const part = place(offset, offset)
      here.parts.set(i, part)
      path.push(i)
      const value = walk(item, part)
      path.pop()
      return value
    })

  const mapping = (items: readonly { key: unknown; value: unknown }[], here: Place): Mapping => {
    const values: Mapping = new Map()
    for (const { key, value } of items) {
      const keyNode = key as Node | null
      const keyOffset = offsetOf(keyNode, here.value)
      const name = keyText(isAlias(keyNode) ? target(keyNode, keyOffset) : keyNode)
      if (name === undefined) {
        complain(keyOffset, path, 'a key must be a single word or text')
        continue
      }
      if (aliases === 0 && isScalar(keyNode) && keyNode.anchor) anchors.set(keyNode.anchor, keyNode)
      path.push(name)
      if (values.has(name)) complain(keyOffset, path, 'this key stands here twice')
      else {
        const node = value as Node | null
        const empty = node === null || (isScalar(node) && node.source === '' && node.value === null)
        const part = place(keyOffset, empty ? keyOffset : offsetOf(node, keyOffset))
        here.parts.set(name, part)
        values.set(name, walk(node, part))
      }
      path.pop()
    }
    return values
  }

  const start = offsetOf(contents, 0)
  const root = place(start, start)
  return { value: walk(contents, root), root }
}

/** Reads one YAML document. What is wrong is told in `problems`; `value` is of use only when there are none. */
export const readYaml = (text: string): YamlDocument => {
  const { document, faults, lines } = compose(text)
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const problems: SyntaxProblem[] = []
  const complain = (offset: number, path: Path, message: string): void => {
    problems.push({ ...positionOf(offset), path: [...path], message })
  }
  for (const { offset, message } of faults) complain(offset, [], message)

  let result: Converted = { value: null, root: { key: 0, value: 0, parts: new Map() } }
  if (document !== undefined && problems.length === 0) {
    try {
      result = convert(document.contents, complain)
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error
      complain(error.offset, [], error.message)
    }
  }

  const locate = (path: Path, at: 'key' | 'value' = 'value'): Position & { path: Path } => {
    let here = result.root
    let known = 0
    for (const step of path) {
      const next = here.parts.get(step)
      if (next === undefined) break
      here = next
      known++
    }
    // `address: A` is read as a list of one: index 0 is the value itself.
    const scalarOfList = known === path.length - 1 && typeof path[known] === 'number'
    const whole = known === path.length || scalarOfList
    const position = positionOf(at === 'key' || !whole ? here.key : here.value)
    return { ...position, path: scalarOfList ? path.slice(0, known) : path }
  }
  return { value: result.value, problems, locate }
}
