/** `tapway down` of what no longer listens: a killed instance's record, and a process that is just starting or ending. */
import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { main } from '../../src/cli/main.js'
import { newRecord, recordPath, startTimeOf, writeRecord } from '../../src/lab/record.js'
import { netnsTest, onSweep, uniqueName } from '../helpers/netns.js'
import { memoryIo } from './fake-instance.js'

const netns = netnsTest(test)
const DIRECTORY = '/run/tapway'

netns('what a killed instance left is removed, and said', async (t) => {
  const name = uniqueName('cli')
  mkdirSync(DIRECTORY, { recursive: true })
  const child = spawn('true')
  await once(child, 'exit')
  writeRecord({ ...newRecord(name, null, []), pid: child.pid!, startTime: '1' })
  const io = memoryIo(DIRECTORY)
  t.is(await main(['down', '--name', name], io), 0)
  t.deepEqual(io.printed, { out: `removed what a killed instance "${name}" left: its record\n`, err: '' })
  t.false(existsSync(recordPath(name)))
  t.is(await main(['down', '--name', name], io), 1)
})

netns('a process without a socket is told to end, and waited for', async (t) => {
  const name = uniqueName('cli')
  mkdirSync(DIRECTORY, { recursive: true })
  const child = spawn('sleep', ['600'])
  onSweep(() => { child.kill('SIGKILL') })
  await once(child, 'spawn')
  writeRecord({ ...newRecord(name, null, []), pid: child.pid!, startTime: startTimeOf(child.pid!)! })
  const ended = once(child, 'exit')
  t.is(await main(['down', '--name', name], memoryIo(DIRECTORY)), 0)
  t.deepEqual(await ended, [null, 'SIGTERM'])
  t.false(existsSync(recordPath(name)))
})
