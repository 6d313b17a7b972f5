/** Real programs between namespaces: what arrives is what was sent, to the last bit. */
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { exec, startIn } from './tapway.js'

const PROGRAM = fileURLToPath(new URL('./traffic-program.js', import.meta.url))

/** Words that run the traffic program. */
export const traffic = (...words: string[]): string[] => [process.execPath, PROGRAM, ...words]

export interface Transfer {
  readonly bytes?: number
  /** Few and many bytes by turns: 20 MB a thousand of these. */
  readonly rounds?: number
}

/** Sends random bytes on TCP from one namespace to another, 8 MiB unless told, and compares what arrived by its digest. */
export const transfer = async (
  t: ExecutionContext, from: string, to: string, address: string, { bytes = 8 << 20, rounds }: Transfer = {}
): Promise<void> => {
  const receiver = startIn(to, ...traffic('receive', '7777'))
  await receiver.prints(/listening/)
  const words = rounds === undefined ? ['send', address, '7777', String(bytes)] : ['mixed', address, '7777', String(rounds)]
  const { status, stdout, stderr } = await exec(from, ...traffic(...words))
  t.is(status, 0, stderr)
  await receiver.prints(new RegExp(`^${stdout.trim()}$`, 'm'))
  await receiver.stop()
}

/** UDP datagrams of these sizes, one at a time, each back as it was. */
export const echoes = async (t: ExecutionContext, from: string, to: string, address: string, sizes: readonly number[]): Promise<void> => {
  const server = startIn(to, ...traffic('echo', '8888'))
  await server.prints(/listening/)
  const { stdout } = await exec(from, ...traffic('probe', address, '8888', ...sizes.map(String)))
  t.is(stdout, sizes.map((size) => `${size} same\n`).join(''))
  await server.stop()
}
