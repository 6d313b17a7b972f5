/** What is wrong with a network file, and where: one line each. */

/** Keys and list indices from the top of the file. */
export type Path = readonly (string | number)[]

export interface Problem {
  readonly file: string
  /** From 1; 0 when the problem has no place in the text (the file cannot be read). */
  readonly line: number
  /** From 1, in UTF-16 units as editors count; 0 as for `line`. */
  readonly column: number
  /** `hosts.client.interfaces.eth0.address`; empty for the file as a whole. */
  readonly path: string
  readonly message: string
}

/** Where in the text a checker finds fault: at the key of the path or at its value. */
export type Report = (path: Path, message: string, at?: 'key' | 'value') => void

const PLAIN = /^[A-Za-z0-9_-]+$/

/** A path as it is printed: `bridges.br0.mtu`, `routes[2].via`, `sysctls["net.ipv4.ip_forward"]`. */
export const formatPath = (path: Path): string =>
  path
    .map((step, i) => {
      if (typeof step === 'number') return `[${step}]`
      if (!PLAIN.test(step)) return `[${JSON.stringify(step)}]`
      return i === 0 ? step : `.${step}`
    })
    .join('')

// Whatever a file name or a key holds, a problem stays on one line and cannot steer a terminal.
const oneLine = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** `FILE:LINE:COL: PATH: MESSAGE`, always one line. */
export const formatProblem = ({ file, line, column, path, message }: Problem): string => {
  const place = line === 0 ? file : `${file}:${line}:${column}`
  return oneLine(path === '' ? `${place}: ${message}` : `${place}: ${path}: ${message}`)
}

/** The same of something that is allowed. */
export const formatWarning = (warning: Problem): string => formatProblem({ ...warning, message: `warning: ${warning.message}` })

/** A network file that cannot be used. `message` is the line of the first problem, `problems` are all, in the file's order. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** What the command exits with. */
  readonly exitCode = 2

  constructor(readonly problems: readonly Problem[]) {
    super(formatProblem(problems[0]!))
  }
}
