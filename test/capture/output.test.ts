import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import test from 'ava'
import { CaptureError } from '../../src/capture/error.js'
import { compileFilter } from '../../src/capture/filter.js'
import { CaptureOutput, timeOfDay, type CaptureOutputOptions, type CaptureRecord } from '../../src/cli/capture-output.js'
import { arp, echo, ethernet, ipFrame, ipv4, MAC_A, MAC_ALL, pattern } from '../oracle/naive-frames.js'
import { has, lines } from '../oracle/tool.js'

process.env['TZ'] = 'UTC'

const T0 = 1_700_000_000_123_456_789n // 22:13:20.123456 UTC
const request = ipFrame(ipv4(1, '10.1.1.2', '10.1.2.2', echo(8, 7, 1, pattern(56))))
const question = ethernet(MAC_ALL, MAC_A, 0x806, arp(1, MAC_A, '10.1.1.2', '00:00:00:00:00:00', '10.1.1.3'))

const record = (frame: readonly number[], more: Partial<CaptureRecord> = {}): CaptureRecord =>
  ({ port: 'client.eth0', direction: 'rx', time: T0, bytes: Uint8Array.from(frame), length: frame.length, ...more })

/** A stream that keeps what it gets. */
class Kept extends Writable {
  readonly chunks: Buffer[] = []
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(chunk)
    this.emit('kept')
    done()
  }

  text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}

const setup = async (more: Partial<CaptureOutputOptions> = {}) => {
  const stdout = new Kept()
  const stderr = new Kept()
  const output = await CaptureOutput.open({ ports: ['client.eth0'], link: false, snaplen: 262144, stdout, stderr, ...more })
  return { output, stdout, stderr }
}

const REQUEST_LINE = '22:13:20.123456 IP 10.1.1.2 > 10.1.2.2: ICMP echo request, id 7, seq 1, length 64\n'
const QUESTION_LINE = '22:13:20.123456 ARP, Request who-has 10.1.1.3 tell 10.1.1.2, length 28\n'

test('time of day', (t) => {
  t.is(timeOfDay(T0), '22:13:20.123456')
  t.is(timeOfDay(0n), '00:00:00.000000')
})

for (const tcpdump of [true, false]) {
  const printer = tcpdump ? 'tcpdump' : 'the built-in printer'

  test(`${printer} prints a line as soon as a packet is there`, async (t) => {
    if (tcpdump && !has(t, 'tcpdump')) return
    const { output, stdout, stderr } = await setup({ tcpdump })
    t.is(stderr.text(), 'listening on client.eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n')
    for (const [frame, line] of [[request, REQUEST_LINE], [question, QUESTION_LINE], [request, REQUEST_LINE]] as const) {
      const before = stdout.text()
      output.accept(record(frame))
      while (stdout.text().length < before.length + line.length) await once(stdout, 'kept')
      t.is(stdout.text(), before + line)
    }
    output.setLost(1)
    await output.close()
    t.is(stdout.text(), REQUEST_LINE + QUESTION_LINE + REQUEST_LINE)
    t.regex(stderr.text(), /\n3 packets captured\n1 packet dropped by capture\n$/)
  })

  test(`${printer} prints the link-level header, and stops after -c packets`, async (t) => {
    if (tcpdump && !has(t, 'tcpdump')) return
    const { output, stdout, stderr } = await setup({ tcpdump, link: true, count: 1 })
    output.accept(record(request))
    await output.finished
    t.true(output.done)
    output.accept(record(question))
    await output.close()
    t.is(stdout.text(), `22:13:20.123456 02:42:0a:01:01:02 > 02:42:0a:01:01:03, ethertype IPv4 (0x0800), length 98: ${REQUEST_LINE.slice(19)}`)
    t.regex(stderr.text(), /\n1 packet captured\n0 packets dropped by capture\n$/)
  })
}

test('several ports: the port and the direction stand before the packet', async (t) => {
  const { output, stdout } = await setup({ ports: ['router.eth0', 'router.eth1'] })
  output.accept(record(request, { port: 'router.eth1' }))
  output.accept(record(request, { port: 'router.eth0', direction: 'tx' }))
  await output.close()
  t.is(stdout.text(), REQUEST_LINE.replace(' IP', ' router.eth1 In  IP') + REQUEST_LINE.replace(' IP', ' router.eth0 Out IP'))
})

test('the filter decides what is counted and printed', async (t) => {
  if (!has(t, 'tcpdump')) return
  const { output, stdout, stderr } = await setup({ tcpdump: false, count: 2, filter: await compileFilter('arp') })
  for (const frame of [request, question, request]) output.accept(record(frame))
  t.false(output.done)
  output.accept(record(question))
  t.true(output.done)
  await output.close()
  t.is(stdout.text(), QUESTION_LINE + QUESTION_LINE)
  t.regex(stderr.text(), /\n2 packets captured\n/)
})

test('-w FILE: pcapng with an interface for each port, cut to the snapshot length', async (t) => {
  if (!has(t, 'tshark')) return
  const folder = mkdtempSync(join(tmpdir(), 'tapway-output-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'both.pcapng')
  const { output, stdout } = await setup({ write: path, ports: ['a.eth0', 'b.eth0'], snaplen: 60 })
  output.accept(record(request, { port: 'b.eth0' }))
  output.accept(record(question, { port: 'a.eth0', direction: 'tx', time: T0 + 1n }))
  output.accept(record(question, { port: 'late' }))
  await output.close()
  t.is(stdout.text(), '')
  const fields = ['frame.interface_name', 'frame.time_epoch', 'frame.packet_flags_direction', 'frame.len', 'frame.cap_len']
  t.deepEqual(lines('tshark', ['-r', path, '-T', 'fields', '-E', 'separator=|', ...fields.flatMap((field) => ['-e', field])], Buffer.alloc(0)), [
    'b.eth0|1700000000.123456789|0x00000001|98|60',
    'a.eth0|1700000000.123456790|0x00000002|42|42',
    'late|1700000000.123456789|0x00000001|42|42'
  ])
})

test('-w -: pcapng on stdout, packet by packet', async (t) => {
  if (!has(t, 'tcpdump')) return
  const { output, stdout } = await setup({ write: '-' })
  t.is(stdout.chunks.length, 2) // header and interface are out before the first packet
  output.accept(record(request))
  await output.close()
  t.deepEqual(lines('tcpdump', ['-n', '-r', '-'], Buffer.concat(stdout.chunks)), [REQUEST_LINE.trimEnd()])
})

test('a file that cannot be written is told in one line', async (t) => {
  const message = 'cannot write /nonexistent/x.pcapng: no such file or directory'
  const error = await t.throwsAsync(setup({ write: '/nonexistent/x.pcapng' }), { instanceOf: CaptureError, message })
  t.is(error?.exitCode, 1)
})

test('a full disk ends it with an error, after the counts', async (t) => {
  const { output, stderr } = await setup({ write: '/dev/full' })
  await output.finished
  const error = await t.throwsAsync(output.close(), { instanceOf: CaptureError, message: 'cannot write /dev/full: no space left on device' })
  t.is(error?.exitCode, 1)
  t.regex(stderr.text(), /0 packets captured/)
})

test('a reader that falls behind is waited for', async (t) => {
  let go = (): void => {}
  const slow = new Writable({ highWaterMark: 100, write: (_chunk, _encoding, done) => { go = done } })
  const output = await CaptureOutput.open({ ports: ['p'], link: false, snaplen: 262144, tcpdump: false, stdout: slow, stderr: new Kept() })
  t.true(output.accept(record(question)))
  t.false(output.accept(record(question)))
  let drained = false
  const waiting = output.drained().then(() => { drained = true })
  await new Promise((resolve) => setImmediate(resolve))
  t.false(drained)
  go()
  go()
  await waiting
  await output.drained() // at once
  const listeners = slow.listenerCount('close')
  for (let i = 0; i < 20; i++) {
    while (output.accept(record(question)));
    const again = output.drained()
    while (slow.writableNeedDrain) go()
    await again
  }
  t.is(slow.listenerCount('close'), listeners, 'nothing is left of a wait')
  await output.close()
})

/** Runs a program that prints many packets on its real stdout, into `head -n 1`. */
const intoHead = async (tcpdump: boolean): Promise<{ status: number | null; stdout: string; stderr: string }> => {
  const script = `
    import { CaptureOutput } from ${JSON.stringify(new URL('../../src/cli/capture-output.js', import.meta.url).href)}
    const output = await CaptureOutput.open({ ports: ['p'], link: false, snaplen: 262144, tcpdump: ${tcpdump} })
    const bytes = Uint8Array.from(${JSON.stringify(question)})
    while (!output.done) {
      output.accept({ port: 'p', direction: 'rx', time: ${T0}n, bytes, length: bytes.length })
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await output.close()`
  const child = spawn('sh', ['-c', '"$0" --input-type=module -e "$1" | head -n 1', process.execPath, script], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30000 })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => (text.stdout += chunk))
  child.stderr.on('data', (chunk) => (text.stderr += chunk))
  const [status] = await once(child, 'close')
  return { status, ...text }
}

for (const tcpdump of [true, false]) {
  test(`a reader that has enough ends it without a word (${tcpdump ? 'tcpdump' : 'built-in'})`, async (t) => {
    if (tcpdump && !has(t, 'tcpdump')) return
    const { status, stdout, stderr } = await intoHead(tcpdump)
    t.is(status, 0)
    t.is(stdout, QUESTION_LINE)
    t.regex(stderr, /^listening on p[^\n]*\n$/)
  })
}

test.serial('when tcpdump is gone in the middle, the built-in printer goes on', async (t) => {
  if (!has(t, 'tcpdump')) return
  const { output, stdout, stderr } = await setup({ tcpdump: true })
  output.accept(record(request))
  while (stdout.text() === '') await once(stdout, 'kept')
  // The only child of this process: serial tests run before the others.
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim().split(' ').map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('tcpdump\0'))
  t.is(children.length, 1)
  process.kill(children[0]!)
  while (!stderr.text().includes('built-in printer')) await once(stderr, 'kept')
  output.accept(record(question))
  await output.close()
  // Killed while it waits, tcpdump may put an empty line out.
  t.is(stdout.text().replace(/\n+/g, '\n'), REQUEST_LINE + QUESTION_LINE)
  t.regex(stderr.text(), /\ntcpdump ended \([^\n]+\); lines are now those of the built-in printer\n2 packets captured\n/)
})
