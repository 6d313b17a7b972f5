/** The record and the lock of an instance, in a folder of the test's own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import test, { type ExecutionContext } from 'ava'
import { lockInstance, lockPath } from '../../src/lab/lock.js'
import { isAlive, newRecord, readRecord, recordPath, removeRecord, startTimeOf, writeRecord } from '../../src/lab/record.js'
import { LabError } from '../../src/lab/types.js'

const folder = (t: ExecutionContext): string => {
  const parent = mkdtempSync(`${tmpdir()}/tapway-record-`)
  t.teardown(() => rmSync(parent, { recursive: true }))
  return `${parent}/run`
}

test('a record comes back as written, readable by its owner only', (t) => {
  const directory = folder(t)
  const lock = lockInstance('a', 0, directory)!
  const namespaces = [{ host: 'client', identity: { dev: '4', ino: '9', ctime: '1' } }]
  const device = { port: 'up', device: 'veth1', netns: null, identity: namespaces[0]!.identity, ifindex: 7, qdisc: true }
  const record = { ...newRecord('a', '/run/tapway/a.sock', [device]), namespaces }
  t.is(readRecord('a', directory), undefined)
  writeRecord(record, directory)
  t.deepEqual(readRecord('a', directory), record)
  t.is(statSync(recordPath('a', directory)).mode & 0o777, 0o600)
  t.is(statSync(directory).mode & 0o777, 0o755)
  removeRecord('a', directory)
  lock.release()
  t.deepEqual(readdirSync(directory), [])
})

test('a record is written over what a killed writer left', (t) => {
  const directory = folder(t)
  const lock = lockInstance('a', 0, directory)!
  writeFileSync(`${recordPath('a', directory)}.new`, '{"vers')
  writeRecord(newRecord('a', null, []), directory)
  t.is(readRecord('a', directory)?.pid, process.pid)
  removeRecord('a', directory)
  lock.release()
  t.deepEqual(readdirSync(directory), [])
})

test('a record of version 1, which knew no devices, can be read', (t) => {
  const directory = folder(t)
  const lock = lockInstance('a', 0, directory)!
  const { devices, ...old } = newRecord('a', null, [])
  writeFileSync(recordPath('a', directory), JSON.stringify({ ...old, version: 1, attached: [] }))
  t.like(readRecord('a', directory), { pid: process.pid, devices })
  removeRecord('a', directory)
  lock.release()
})

test('a record that is damaged or of another version is refused, not guessed at', (t) => {
  const directory = folder(t)
  const lock = lockInstance('a', 0, directory)!
  for (const text of ['{"version":1,', '{"version":99,"instance":"a"}', '{"version":1,"instance":"b"}', 'null']) {
    writeFileSync(recordPath('a', directory), text)
    t.is(t.throws(() => readRecord('a', directory), { instanceOf: LabError }).exitCode, 1, text)
  }
  removeRecord('a', directory)
  lock.release()
})

test('the owner is known by number, start time and boot', (t) => {
  const record = newRecord('a', null, [])
  t.true(isAlive(record))
  t.false(isAlive({ ...record, startTime: String(Number(record.startTime) + 1) }))
  t.false(isAlive({ ...record, boot: 'another' }))
  t.is(startTimeOf(2 ** 22 + 1), undefined)
})

test('one lock an instance; names that lead elsewhere are refused', (t) => {
  const directory = folder(t)
  const lock = lockInstance('a', 0, directory)!
  t.is(lockInstance('a', 0, directory), undefined)
  const other = lockInstance('b', 0, directory)!
  t.truthy(other)
  lock.release()
  lock.release()
  const again = lockInstance('a', 0, directory)!
  t.truthy(again)
  again.release()
  other.release()
  for (const name of ['../a', '', 'a/b', 'ü']) {
    t.is(t.throws(() => lockInstance(name, 0, directory), { instanceOf: LabError }).exitCode, 2)
  }
})

test('the kernel frees the lock of a killed process', async (t) => {
  const directory = folder(t)
  const module = new URL('../../src/lab/lock.js', import.meta.url).href
  const code = `const { lockInstance } = await import('${module}')
    if (lockInstance('a', 0, '${directory}') === undefined) process.exit(1)
    process.stdout.write('held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  t.is(lockInstance('a', 0, directory), undefined)
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
  t.true(existsSync(lockPath('a', directory)), 'its file is still there')
  const lock = lockInstance('a', 0, directory)
  t.truthy(lock)
  lock!.release()
})
