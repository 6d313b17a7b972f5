/** The programs other people wrote, where they are installed: tcpdump and tshark. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { enhancedPacket, interfaceDescription, sectionHeader } from '../../src/capture/pcapng.js'

/** True when `tool` can be run. If not, the test is passed over with a loud line; under CI it fails. */
export const has = (t: ExecutionContext, tool: string): boolean => {
  if (spawnSync(tool, ['--version']).error === undefined) return true
  if (process.env['CI'] !== undefined) t.fail(`${tool} is not installed`)
  else {
    t.log(`SKIPPED: ${tool} is not installed (apt-get install ${tool})`)
    t.pass()
  }
  return false
}

/** A capture file of frames on one port, one a millisecond. */
export const captureFile = (frames: readonly (readonly number[])[]): Buffer => Buffer.concat([
  sectionHeader(), interfaceDescription({ name: 'test' }),
  ...frames.map((frame, i) => enhancedPacket(0, 1_700_000_000_000_000_000n + BigInt(i) * 1_000_000n, Uint8Array.from(frame), frame.length, 1))
])

/** Lines of stdout of `tool args` with `input` on stdin. Throws with the tool's words when it fails. */
export const lines = (tool: string, args: string[], input: Buffer): string[] => {
  const run = spawnSync(tool, args, { input, maxBuffer: 1 << 28, env: { ...process.env, TZ: 'UTC' } })
  if (run.status !== 0) throw new Error(`${tool} ${args.join(' ')}: ${run.stderr}`)
  return run.stdout.toString().split('\n').slice(0, -1)
}

/** Calls `use` with the path of a file that holds `content` and is removed afterwards: tshark takes no socket on stdin, which is what spawnSync gives. */
export const withFile = <T>(content: Buffer, use: (path: string) => T): T => {
  const folder = mkdtempSync(join(tmpdir(), 'tapway-test-'))
  try {
    const path = join(folder, 'capture.pcapng')
    writeFileSync(path, content)
    return use(path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
