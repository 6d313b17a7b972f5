/** The command: words to an exit status. What one command needs is loaded when it is asked for, so that short ones start fast. */
import type { Command, Globals, Invocation } from './command.js'
import { CliError, notSupported } from './error.js'
import { type Io, processIo } from './io.js'
import { parseCommandLine } from './parse.js'

/** Runs a command that has been understood. Throws what it throws; `main` makes a line of it. */
const run = async (command: Command, globals: Globals, io: Io): Promise<number> => {
  const { name } = globals
  switch (command.kind) {
    case 'help': {
      const { helpText } = await import('./help.js')
      io.out(helpText(command.topic))
      return 0
    }
    case 'version': {
      const { VERSION } = await import('../version.js')
      io.out(`tapway ${VERSION}\n`)
      return 0
    }
    case 'up': {
      const { runInstance } = await import('../control/instance.js')
      const { kind: _kind, ...options } = command
      io.outliveReader()
      const status = await runInstance({ ...options, name, logLevel: globals.logLevel, runDirectory: io.directory })
      io.endUnread(status)
      return status
    }
    case 'check': {
      const { check } = await import('./check.js')
      return check(command.file, name, io)
    }
    case 'down': {
      const { down } = await import('./down.js')
      return down(name, io)
    }
    case 'exec': {
      const { execInHost } = await import('../lab/exec.js')
      return execInHost(name, command.host, command.argv ?? [process.env['SHELL'] ?? '/bin/sh'], io.directory)
    }
    default: return ask(command, globals, io)
  }
}

type Asking = Extract<Command, { kind: 'show' | 'apply' | 'policy-check' | 'ping' | 'capture' }>

/** Commands that ask the running instance. */
const ask = async (command: Asking, globals: Globals, io: Io): Promise<number> => {
  const { ControlClient } = await import('../control/client.js')
  if (globals.json && (command.kind === 'ping' || command.kind === 'capture')) throw notSupported(`-j with ${command.kind}`)
  const client = await ControlClient.connect(globals.name, io.directory)
  try {
    switch (command.kind) {
      case 'show': {
        const { show } = await import('./show.js')
        io.out(await show(client, command, globals))
        return 0
      }
      case 'apply':
        await client.request({ method: 'apply', operation: command.operation })
        return 0
      case 'policy-check': {
        const { policyCheck } = await import('./policy-check.js')
        return await policyCheck(client, command, globals, io)
      }
      case 'ping': {
        const { ping } = await import('./ping.js')
        return await ping(client, command, io)
      }
      case 'capture': {
        const { capture } = await import('./capture.js')
        return await capture(client, command, io)
      }
    }
  } finally {
    client.close()
  }
}

/** Errors that were meant for the user carry their exit status: CliError, ClientError, LabError, ConfigError, CaptureError. */
const statusOf = (error: unknown): 1 | 2 | undefined => {
  const { exitCode, code } = error as { exitCode?: unknown; code?: unknown }
  const status = exitCode ?? code
  return status === 1 || status === 2 ? status : undefined
}

/** A network file's error begins with its own place, as compilers write it; everything else with our name. */
const line = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  const one = message.replace(/\s*\n\s*/g, ' ')
  if (error instanceof Error && error.name === 'ConfigError') {
    const more = ((error as { problems?: readonly unknown[] }).problems?.length ?? 1) - 1
    return more === 0 ? one : `${one} (${more} more: tapway check FILE)`
  }
  return `tapway: ${statusOf(error) === undefined ? 'unexpected error: ' : ''}${one}`
}

const wantsTrace = (argv: readonly string[]): boolean => {
  const at = argv.indexOf('--log-level')
  return argv.includes('--log-level=debug') || (at >= 0 && argv[at + 1] === 'debug')
}

/** Runs a command line; gives its exit status. An error is one line on stderr, with a stack trace only at log level debug. */
export const main = async (argv: readonly string[], io: Io = processIo()): Promise<number> => {
  let invocation: Invocation | undefined
  try {
    invocation = parseCommandLine(argv)
    return await run(invocation.command, invocation.globals, io)
  } catch (error) {
    io.err(`${line(error)}\n`)
    const debug = invocation === undefined ? wantsTrace(argv) : invocation.globals.logLevel === 'debug'
    if (debug && error instanceof Error) io.err(`${error.stack ?? ''}\n`)
    const status = statusOf(error) ?? 1
    // ping(8) ends with 1 when nobody answered, with 2 for everything else; nobody running is our 1 everywhere.
    return invocation?.command.kind === 'ping' && (error as { running?: boolean }).running !== false && !(error instanceof CliError) ? 2 : status
  }
}
