/**
 * The lock of an instance: flock(2) on /run/tapway/NAME.lock, held as long as the instance lives.
 *
 * Node has no flock, flock(1) has: called with the number of a descriptor that it inherits, it locks the open file
 * description, which is ours, and the lock stays when flock(1) ends. The kernel drops it when our process ends, however it
 * ends, so there is no stale lock and nothing to guess from process numbers.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, fstatSync, mkdirSync, openSync, statSync, rmSync } from 'node:fs'
import { packageOf, toolEnvironment } from './run.js'
import { LabError, messageOf } from './types.js'

/** Where records, locks and control sockets of instances are. */
export const RUN_DIR = '/run/tapway'

export interface InstanceLock {
  /** Gives the lock up and removes its file. The folder stays: something may be mounted on it elsewhere. */
  release(): void
}

export const lockPath = (instance: string, directory = RUN_DIR): string => `${directory}/${instance}.lock`

/** Refuses names that would lead out of the folder. Throws LabError (exit 2). */
export const checkInstance = (instance: string): void => {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(instance)) {
    throw new LabError(`"${instance}" is no name for an instance: letters, digits, _ and - only, at most 64`, 2)
  }
}

const openLockFile = (directory: string, path: string): number => {
  try {
    if (mkdirSync(directory, { recursive: true }) !== undefined) chmodSync(directory, 0o755) // whatever the umask
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw new LabError(`cannot write to ${directory}: ${messageOf(error)}`)
  }
}

/**
 * Takes the lock; undefined when a living process has it. Waits up to `waitSeconds` for it, blocking. Throws LabError
 * when the folder cannot be written to or flock(1) is missing.
 */
export const lockInstance = (instance: string, waitSeconds = 0, directory = RUN_DIR): InstanceLock | undefined => {
  checkInstance(instance)
  const path = lockPath(instance, directory)
  for (;;) {
    const fd = openLockFile(directory, path)
    const patience = waitSeconds > 0 ? ['-w', String(waitSeconds)] : ['-n']
    const { status, error } = spawnSync('flock', ['-x', ...patience, '3'], {
      stdio: ['ignore', 'ignore', 'ignore', fd], env: toolEnvironment(),
    })
    if (status !== 0) {
      closeSync(fd)
      if (error === undefined) return undefined
      throw new LabError(`cannot run flock: install the package ${packageOf('flock')} (${error.message})`)
    }
    // The holder before us removed the file that we had opened: what we locked is no longer the lock.
    const there = statSync(path, { throwIfNoEntry: false })
    if (there === undefined || there.ino !== fstatSync(fd).ino) {
      closeSync(fd)
      continue
    }
    let held = true
    return {
      release: () => {
        if (!held) return
        held = false
        rmSync(path, { force: true })
        closeSync(fd)
      },
    }
  }
}
