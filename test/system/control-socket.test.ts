/** Whatever comes by the control socket, and whether anybody reads what is printed: the instance lives on and forwards. */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { netnsNames, netnsTest, onSweep, uniqueName } from '../helpers/netns.js'
import { type Instance, launchTapway, SMOL_INTERNET, startTapway, until } from '../helpers/tapway.js'

const systemTest = netnsTest(test)

const pings = async (network: Instance): Promise<boolean> =>
  (await network.exec('client', 'ping', '-c', '2', '-i', '0.01', '-W', '5', '10.1.2.2')).status === 0

const dial = async (network: Instance): Promise<Socket> => {
  const socket = connect(network.socket)
  socket.on('error', () => {})
  onSweep(() => {
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/** The next lines that come, until there are `count` or the connection ends. */
const lines = async (socket: Socket, count: number): Promise<Record<string, unknown>[]> => {
  let text = ''
  const late = setTimeout(() => socket.destroy(), 20_000)
  for await (const piece of socket) {
    text += String(piece)
    if (text.split('\n').length > count) break // which ends the connection, too
  }
  clearTimeout(late)
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

systemTest('garbage is answered with an error, line by line, and the connection goes on', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const socket = await dial(network)
  const garbage = [
    'hello',
    '{',
    'null',
    '[]',
    '7',
    '"text"',
    '{}',
    '{"id":"1","method":"info"}',
    '{"id":1}',
    '{"id":2,"method":"explode"}',
    '{"id":3,"method":"show"}',
    '{"id":4,"method":"show","query":{"show":"nothing"}}',
    '{"id":5,"method":"show","query":null}',
    '{"id":6,"method":"apply"}',
    '{"id":7,"method":"apply","operation":{"op":"link.set"}}',
    '{"id":8,"method":"apply","operation":{"op":"route.add","prefix":7}}',
    '{"id":9,"method":"apply","operation":{"op":"port.add"}}',
    '{"id":10,"method":"capture"}',
    '{"id":11,"method":"capture","ports":"all","snaplen":-1}',
    '{"id":12,"method":"ping"}',
    '{"id":13,"method":"ping","from":{},"address":"x","interval_ms":-1,"size":1e9}',
    '{"id":14,"method":"__proto__"}',
    '{"id":15,"method":"apply","operation":{"op":"constructor"}}',
    '\u0000\u0001\ufffd',
    '{"id":1e999,"method":"info"}'
  ]
  socket.write(Buffer.from([0xff, 0xfe, 0x80, 0x0a]))
  for (const line of garbage) socket.write(`${line}\n`)
  socket.write('{"id":99,"method":"info"}\n')
  const answers = await lines(socket, garbage.length + 2)
  t.is(answers.length, garbage.length + 2)
  for (const answer of answers) {
    if (answer['id'] === 99) t.is((answer['result'] as { name: string }).name, network.name)
    else {
      const { code, message } = (answer['error'] ?? {}) as { code?: number; message?: string }
      t.true(code === 1 || code === 2, JSON.stringify(answer))
      t.true(typeof message === 'string' && message !== '')
    }
  }
  t.true(network.program.running)
  t.true(await pings(network))
})

systemTest('a line without end costs the client its connection, and nobody else anything', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const socket = await dial(network)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const piece = Buffer.alloc(1 << 18, 0x61)
  for (let i = 0; i < 64 && !socket.destroyed; i++) {
    socket.write(piece)
    await sleep(1)
  }
  await closed
  t.true(await pings(network))
  t.is((await network.json('link', 'show')).length, 6)
})

systemTest('requests cut off, and clients that leave without reading', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  for (const text of [
    '{"id":1,"met',
    '{"id":1,"method":"info"}\n',
    '{"id":1,"method":"show","query":{"show":"route","table":"all"}}\n'.repeat(200),
    '{"id":1,"method":"capture","ports":["client.eth0"],"snaplen":100}\n',
    '{"id":1,"method":"ping","from":{"router":"router"},"address":"10.1.2.2","interval_ms":2,"size":56}\n'
  ]) {
    for (const leave of ['end', 'destroy', 'reset'] as const) {
      const socket = await dial(network)
      socket.write(text)
      if (leave === 'reset') await sleep(5)
      if (leave === 'end') socket.end()
      else socket.destroy()
    }
  }
  t.true(await pings(network))
  const { status, stderr } = await network.tapway('stats')
  t.is(status, 0, stderr)
  t.true(network.program.running)
})

systemTest('many clients at once', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const answers = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = await dial(network)
      socket.write('{"id":5,"method":"show","query":{"show":"link"}}\n')
      const [answer] = await lines(socket, 1)
      return (answer!['result'] as unknown[]).length
    })
  )
  t.deepEqual(new Set(answers), new Set([6]))
})

systemTest('ping sessions end with their clients', async (t) => {
  const network = await startTapway(SMOL_INTERNET)
  const sent = async (): Promise<number> => (await network.json<{ balance: { originated: number } }>('stats')).balance.originated
  const socket = await dial(network)
  socket.write('{"id":1,"method":"ping","from":{"router":"router"},"address":"10.1.2.2","interval_ms":2,"size":56}\n')
  t.true((await lines(socket, 20)).length >= 20)
  await until('no more is sent', async () => {
    const before = await sent()
    await sleep(200)
    return (await sent()) - before < 20
  })
})

/** Both ends of a pipe that is full, so that a write to it would wait for ever; its descriptor. */
const fullPipe = (): number => {
  const path = join(tmpdir(), uniqueName('tapway-pipe'))
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  rmSync(path)
  onSweep(() => closeSync(fd))
  const block = Buffer.alloc(4096, 0x2e)
  try {
    for (;;) writeSync(fd, block)
  } catch (error) {
    if ((error as { code?: string }).code !== 'EAGAIN') throw error
  }
  return fd
}

systemTest('nobody reads stdout and stderr, and the pipes are full: it forwards, answers and ends', async (t) => {
  const before = netnsNames()
  const [out, err] = [fullPipe(), fullPipe()]
  const network = launchTapway(SMOL_INTERNET, { stdio: ['ignore', out, err], args: ['--log-level', 'debug'] })
  await until('it answers', async () => (await network.tapway('stats')).status === 0)
  t.true(await pings(network))
  for (let i = 0; i < 3; i++) t.is((await network.tapway('stats')).status, 0)
  const down = await network.tapway('down')
  t.deepEqual([down.status, down.stderr], [0, ''])
  await network.program.ended
  t.deepEqual(netnsNames(), before)
})

systemTest('the readers of stdout and stderr have gone: it forwards, answers and ends', async (t) => {
  const before = netnsNames()
  const network = await startTapway(SMOL_INTERNET, { args: ['--log-level', 'debug'] })
  network.program.child.stdout!.destroy()
  network.program.child.stderr!.destroy()
  t.true(await pings(network))
  t.is((await network.tapway('stats')).status, 0)
  t.is((await network.tapway('down')).status, 0)
  t.is((await network.program.ended).status, 0)
  t.deepEqual(netnsNames(), before)
})

systemTest('stdout and stderr on a full disk: it forwards, answers and ends', async (t) => {
  const before = netnsNames()
  const full = openSync('/dev/full', 'w')
  onSweep(() => closeSync(full))
  const network = launchTapway(SMOL_INTERNET, { stdio: ['ignore', full, full] })
  await until('it answers', async () => (await network.tapway('stats')).status === 0)
  t.true(await pings(network))
  t.is((await network.tapway('down')).status, 0)
  t.is((await network.program.ended).status, 0)
  t.deepEqual(netnsNames(), before)
})

systemTest('a closed stdin, stdout and stderr', (t) => {
  const name = uniqueName('t')
  const script = `node bin/tapway.js --name ${name} up examples/smol-internet.yaml <&- >&- 2>&- &
    for i in $(seq 100); do node bin/tapway.js --name ${name} stats >/dev/null 2>&1 && break; sleep 0.05; done
    ip netns exec client ping -c 1 -W 5 10.1.2.2 && node bin/tapway.js --name ${name} down && wait`
  const root = new URL('../../../', import.meta.url)
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: root, encoding: 'utf8', timeout: 30_000 })
  t.is(status, 0, stdout + stderr)
})
