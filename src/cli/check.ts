/** `tapway check`: what is wrong with a network file, or hardly meant, a line each. */
import { loadNetworkFile } from '../config/load.js'
import { ConfigError, formatProblem, formatWarning } from '../config/problem.js'
import type { Io } from './io.js'

/** Exit status 0 or 2. */
export const check = async (file: string, instance: string, io: Io): Promise<number> => {
  try {
    await loadNetworkFile(file, { instance, onWarning: (warning) => io.err(`${formatWarning(warning)}\n`) })
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    io.err(error.problems.map((problem) => `${formatProblem(problem)}\n`).join(''))
    return error.exitCode
  }
}
