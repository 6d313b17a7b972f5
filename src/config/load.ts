/** The network file: its text to a checked description, or to problems that say where and what. */
import { readFile } from 'node:fs/promises'
import { checkDuplicateAddresses, checkDuplicateMacs, checkPeers } from './check-addresses.js'
import { checkApps, warnOfApps } from './check-apps.js'
import { checkBridges, checkNames, checkNamespaces } from './check-names.js'
import { checkPorts } from './check-ports.js'
import { checkRoutes } from './check-routes.js'
import { checkVxlans } from './check-vxlans.js'
import { readYaml } from './document.js'
import { type Underlay, underlayOf } from './mtu.js'
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
  /** Takes what is allowed, but hardly meant, one by one in no order. */
  readonly onWarning?: (warning: Problem) => void
}

export interface LoadOptions extends NetworkFileOptions {
  /**
   * MTU of the way to a VXLAN port's peers, asked for each without an `mtu` of its own, before anything is made. Undefined, or no
   * function: taken for 1500.
   */
  readonly underlayMtu?: (underlay: Underlay) => Promise<number | undefined>
}

const check = (shape: NetworkShape, report: Report): void => {
  const stations = stationsOf(shape)
  checkNames(shape, report)
  checkBridges(shape, stations, report)
  checkNamespaces(shape, report)
  checkPorts(shape, stations, report)
  checkVxlans(shape, report)
  checkPeers(shape, report)
  checkDuplicateAddresses(stations, report)
  checkDuplicateMacs(stations, report)
  checkRoutes(shape, report)
  checkApps(shape, report)
}

/** The checked shape of a text. Throws ConfigError. */
const readShape = (text: string, fileName: string, onWarning?: (warning: Problem) => void): NetworkShape => {
  const document = readYaml(text)
  const problems: Problem[] = document.problems.map((problem) => ({ file: fileName, ...problem, path: formatPath(problem.path) }))
  const problemAt = (...[path, message, at]: Parameters<Report>): Problem => {
    const { path: known, ...position } = document.locate(path, at)
    return { file: fileName, ...position, path: formatPath(known), message }
  }
  const report: Report = (...fault) => void problems.push(problemAt(...fault))
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
  if (onWarning !== undefined) warnOfApps(shape!, (...doubt) => onWarning(problemAt(...doubt)))
  return shape!
}

const DEFAULT_INSTANCE = 'default'

/**
 * Reads a network file's text (YAML 1.2 or JSON); MTUs of underlays count as 1500. Throws ConfigError; `fileName` is only for its
 * messages.
 */
export const parseNetworkFile = (text: string, fileName: string, options: NetworkFileOptions = {}): NetworkFile =>
  normalise(readShape(text, fileName, options.onWarning), options.instance ?? DEFAULT_INSTANCE, new Map())

const READ_ERRORS: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EISDIR: 'a directory, not a file'
}

/** Reads a network file. Throws ConfigError, also when the file cannot be read, and what `underlayMtu` throws. */
export const loadNetworkFile = async (path: string, options: LoadOptions = {}): Promise<NetworkFile> => {
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
  const shape = readShape(text, path, options.onWarning)
  const mtus = new Map<string, number>()
  for (const [name, vxlan] of shape.vxlans) {
    const mtu = vxlan.mtu === undefined ? await options.underlayMtu?.(underlayOf(vxlan)) : undefined
    if (mtu !== undefined) mtus.set(name, mtu)
  }
  return normalise(shape, options.instance ?? DEFAULT_INSTANCE, mtus)
}
