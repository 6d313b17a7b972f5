/** The network file: its text to a checked description, or to problems that say where and what. */
import { readFile } from 'node:fs/promises'
import { checkDuplicateAddresses, checkDuplicateMacs, checkPeers } from './check-addresses.js'
import { checkBridges, checkNames, checkNamespaces } from './check-names.js'
import { checkRoutes } from './check-routes.js'
import { readYaml } from './document.js'
import { normalise } from './normalise.js'
import { ConfigError, formatPath, type Problem, type Report } from './problem.js'
import { type NetworkShape } from './schema.js'
import { stationsOf } from './stations.js'
import { type NetworkFile } from './types.js'
import { refuseUnsupported } from './unsupported.js'
import { validate } from './validate.js'

export interface NetworkFileOptions {
  /** Name of the instance (`--name`): default MAC addresses without an IPv4 address are made from it. */
  readonly instance?: string
}

const check = (shape: NetworkShape, report: Report): void => {
  const stations = stationsOf(shape)
  checkNames(shape, report)
  checkBridges(shape, stations, report)
  checkNamespaces(shape, report)
  checkPeers(shape, report)
  checkDuplicateAddresses(stations, report)
  checkDuplicateMacs(stations, report)
  checkRoutes(shape, report)
}

/** Reads a network file's text (YAML 1.2 or JSON). Throws ConfigError; `fileName` is only for its messages. */
export const parseNetworkFile = (text: string, fileName: string, options: NetworkFileOptions = {}): NetworkFile => {
  const document = readYaml(text)
  const problems: Problem[] = document.problems.map((problem) => ({ file: fileName, ...problem, path: formatPath(problem.path) }))
  const report: Report = (path, message, at) => {
    const { path: known, ...position } = document.locate(path, at)
    problems.push({ file: fileName, ...position, path: formatPath(known), message })
  }
  // One step builds on the one before: what is no YAML has no keys, and what has the wrong type cannot be compared.
  const stopAtProblems = (): void => {
    if (problems.length > 0) throw new ConfigError(problems.sort((a, b) => a.line - b.line || a.column - b.column))
  }
  stopAtProblems()
  refuseUnsupported(document.value, report)
  const shape = validate(document.value, report)
  stopAtProblems()
  check(shape!, report)
  stopAtProblems()
  return normalise(shape!, options.instance ?? 'default')
}

const READ_ERRORS: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'a directory, not a file'
}

/** Reads a network file. Throws ConfigError, also when the file cannot be read. */
export const loadNetworkFile = async (path: string, options?: NetworkFileOptions): Promise<NetworkFile> => {
  const refuse = (message: string): never => {
    throw new ConfigError([{ file: path, line: 0, column: 0, path: '', message: `cannot be read: ${message}` }])
  }
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) =>
    refuse(READ_ERRORS[error.code ?? ''] ?? error.message))
  let text = ''
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    refuse('not UTF-8 text')
  }
  return parseNetworkFile(text, path, options)
}
