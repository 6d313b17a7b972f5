/** Filter expressions (pcap-filter(7)): compiled by tcpdump itself, run here. */
import { spawn } from 'node:child_process'
import { checkProgram, type Program } from './bpf.js'
import { CaptureError } from './error.js'

/**
 * A pcap file without packets: little-endian, version 2.4, snapshot length 262144, Ethernet. tcpdump compiles for a file's link
 * type, without asking for an interface and the right to open it.
 */
const EMPTY_PCAP = Buffer.from('d4c3b2a10200040000000000000000000000040001000000', 'hex')

/** Host names in an expression are looked up by tcpdump; a dead name server must not hang the command. */
const COMPILE_TIMEOUT_MS = 20_000

/** What tcpdump said, as one line, without its name and the lines that are no complaint. */
const complaint = (stderr: string): string =>
  stderr.split('\n').filter((line) => line !== '' && !line.startsWith('reading from file'))
    .map((line) => line.replace(/^tcpdump: /, '')).join('; ')

/**
 * The program that `tcpdump -ddd` prints: a line with the count, then `code jt jf k` a line, k unsigned. Throws a CaptureError
 * when the text is something else.
 */
export const parseProgram = (text: string): Program => {
  const lines = text.trim().split('\n')
  const count = Number(lines[0])
  if (!/^\d+$/.test(lines[0] ?? '') || lines.length !== count + 1) throw new CaptureError('capture filter: not the output of tcpdump -ddd', 1)
  const program = new Int32Array(4 * count)
  for (let i = 0; i < count; i++) {
    const m = /^(\d+) (\d+) (\d+) (\d+)$/.exec(lines[i + 1]!)
    if (m === null) throw new CaptureError('capture filter: not the output of tcpdump -ddd', 1)
    for (let j = 0; j < 4; j++) program[4 * i + j] = Number(m[j + 1]) | 0
  }
  checkProgram(program)
  return program
}

/**
 * Compiles an expression of pcap-filter(7) for Ethernet. Throws a CaptureError of one line: exitCode 2 when the expression is
 * wrong (tcpdump's words), 1 when tcpdump is not installed or does not answer.
 */
export const compileFilter = async (expression: string): Promise<Program> => {
  const child = spawn('tcpdump', ['-n', '-ddd', '-r', '-', '--', expression], { timeout: COMPILE_TIMEOUT_MS, stdio: 'pipe' })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  child.stdin.on('error', () => undefined) // it may have seen the mistake before it read
  child.stdin.end(EMPTY_PCAP)
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'ENOENT'
      ? new CaptureError('capture filters need tcpdump: apt-get install tcpdump', 1)
      : new CaptureError(`cannot run tcpdump: ${error.message}`, 1)))
    child.once('close', (status, sig) => resolve([status, sig]))
  })
  if (signal !== null) throw new CaptureError(`capture filter: tcpdump gave no answer (${signal}); is a host name in it that cannot be looked up?`, 1)
  if (code !== 0) throw new CaptureError(`capture filter: ${complaint(stderr) || `tcpdump ended with status ${code}`}`, 2)
  return parseProgram(stdout)
}
