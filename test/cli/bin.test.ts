/** bin/tapway.js as a process: exit status, pipes, and what it says when nothing is built. */
import test from 'ava'
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fakeInstance, temporaryFolder } from './fake-instance.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const bin = join(root, 'bin/tapway.js')

/** As a build would leave them; what is in them does not matter. */
const PARTS = ['dist/bundle/command/main.js', 'dist/bundle/worker.js', 'build/tapway.node']

test('it is not built, or not all of it: one line', (t) => {
  for (const missing of [PARTS, ...PARTS.map((part) => [part])]) {
    const folder = temporaryFolder(t)
    for (const part of ['bin/tapway.mjs', ...PARTS]) {
      mkdirSync(join(folder, dirname(part)), { recursive: true })
      if (!missing.includes(part)) copyFileSync(bin, join(folder, part))
    }
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, 'bin/tapway.mjs'), 'link'], { encoding: 'utf8' })
    t.deepEqual([status, stdout, stderr], [1, '', 'tapway: not built yet: run npm ci && npm run build\n'], missing.join())
  }
})

const built = existsSync(join(root, 'build/tapway.node'))
const run = (directory: string, ...args: string[]) =>
  spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8', env: { ...process.env, TAPWAY_RUN_DIR: directory } })

test('exit status and streams', (t) => {
  t.true(built)
  const folder = temporaryFolder(t)
  const nobody = run(folder, 'link')
  t.deepEqual([nobody.status, nobody.stdout, nobody.stderr], [1, '', 'tapway: no instance "default" is running (start one: tapway up FILE)\n'])
  const wrong = run(folder, 'lnik')
  t.deepEqual([wrong.status, wrong.stdout, wrong.stderr], [2, '', 'tapway: unknown word "lnik": did you mean "link"?\n'])
  const help = run(folder, '--help')
  t.is(help.status, 0)
  t.regex(help.stdout, /^Usage: tapway /)
})

test('a reader that goes away (| head) is no error', async (t) => {
  const rows = Array.from({ length: 20_000 }, (_, i) => ({ dst: `10.${i >> 8}.${i & 255}.0/24`, dev: 'eth0', flags: [], router: 'r' }))
  const { directory } = await fakeInstance(t, ({ id }, send) => send({ id, result: rows }))
  const child = spawn('sh', ['-c', '"$0" "$1" route show router r | head -n 1', process.execPath, bin], {
    stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TAPWAY_RUN_DIR: directory },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => { out += String(data) })
  child.stderr.on('data', (data) => { err += String(data) })
  await new Promise((resolve) => child.on('close', resolve))
  t.deepEqual([out, err], ['10.0.0.0/24 dev eth0 \n', ''])
})

test('stdout on a full disk: one line, exit 1', async (t) => {
  const { directory } = await fakeInstance(t, ({ id }, send) => send({ id, result: [] }))
  const child = spawn('sh', ['-c', '"$0" "$1" -j route show > /dev/full', process.execPath, bin], {
    stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, TAPWAY_RUN_DIR: directory },
  })
  let err = ''
  child.stderr.on('data', (data) => { err += String(data) })
  const status = await new Promise((resolve) => child.on('close', resolve))
  t.deepEqual([status, err], [1, 'tapway: cannot write to stdout: no space left on device\n'])
})

test('Ctrl-C during ping prints the statistics', async (t) => {
  const { directory } = await fakeInstance(t, ({ id }, send) => {
    send({ id, result: { source: '10.1.2.3', destination: '10.1.2.2' } })
    send({ id, event: 'reply', from: '10.1.2.2', seq: 1, ttl: 64, bytes: 64, time_ms: 0.5 })
  })
  const child = spawn(process.execPath, [bin, 'ping', '-i', '100', '10.1.2.2'], {
    stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TAPWAY_RUN_DIR: directory },
  })
  let out = ''
  child.stdout.on('data', (data) => {
    if (!out.includes('icmp_seq=1') && String(data).includes('icmp_seq=1')) child.kill('SIGINT')
    out += String(data)
  })
  const status = await new Promise((resolve) => child.on('close', resolve))
  t.is(status, 0)
  t.regex(out, /\n64 bytes from .*\n\n--- 10.1.2.2 ping statistics ---\n1 packets transmitted, 1 received, 0% packet loss, time \d+ms\nrtt .*\n$/)
})
