/** How a command ends when it cannot be done: one line for stderr and an exit status. */

/** `exitCode` 1: it failed at run time; 2: the words are wrong. */
export class CliError extends Error {
  constructor(message: string, readonly exitCode: 1 | 2) {
    super(message)
    this.name = 'CliError'
  }
}

/** Wrong words. */
export const usageError = (message: string): CliError => new CliError(message, 2)

/** Right words in iproute2 or tcpdump, for something that is not built yet; nothing is accepted and ignored. */
export const notSupported = (what: string): CliError => new CliError(`not supported yet: ${what}`, 2)
