/** What the lab hands back, whom it tells, and how it says that it could not. */
import type { Mac } from '../config/types.js'

/** An interface of a host, its TAP open: what the data plane needs to know of it. */
export interface LabInterface {
  readonly host: string
  readonly interface: string
  readonly bridge: string
  readonly fd: number
  /** descriptors of its further queues, one for each worker but the first */
  readonly queues: readonly number[]
  /** bytes of virtio-net header before each frame: 0, 10 or 12 */
  readonly vnetHeader: number
  /** OFFLOAD_ flags of src/core/ports.ts */
  readonly offloads: number
  readonly ifindex: number
  readonly mac: Mac
  readonly mtu: number
}

/** An existing device attached to a bridge, its packet socket open. */
export interface LabDevice {
  /** of the port */
  readonly name: string
  readonly bridge: string
  readonly device: string
  readonly fd: number
  /** bytes of virtio-net header before each frame */
  readonly vnetHeader: number
  /** OFFLOAD_ flags of src/core/ports.ts */
  readonly offloads: number
  readonly mac: string
  readonly mtu: number
}

/** The part of a logger that the lab uses; a pino logger fits. */
export interface LabLog {
  info(message: string): void
  warn(message: string): void
  debug(message: string): void
}

export const SILENT: LabLog = { info: () => {}, warn: () => {}, debug: () => {} }

/** One line that says what is wrong and what to do. Exit code 1: failed at run time; 2: the words or the file are wrong. */
export class LabError extends Error {
  override readonly name = 'LabError'
  constructor(message: string, readonly exitCode: 1 | 2 = 1, options?: ErrorOptions) {
    super(message, options)
  }
}

/** The text of whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** `ENOENT` and the like of a failed system call; undefined for other errors. */
export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code
