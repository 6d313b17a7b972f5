/**
 * A program of the tests, run in hosts: sends and receives what can be checked to the last bit.
 *
 *     receive PORT                listens on TCP, says `listening`; for each connection prints bytes and SHA-256 of what came
 *     send ADDRESS PORT BYTES     sends random bytes on TCP, prints their number and SHA-256
 *     mixed ADDRESS PORT ROUNDS   sends a few and many bytes by turns on TCP, each as soon as it is there; prints as send
 *     echo PORT                   sends UDP datagrams back as they came, says `listening`
 *     probe ADDRESS PORT SIZE...  sends UDP datagrams of random bytes to an echo, one at a time, and compares; prints `same` for each
 *     stream ADDRESS PORT MS      keeps numbered datagrams on their way to an echo for so long; prints how many were sent and came back
 */
import { createHash, randomBytes } from 'node:crypto'
import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const BLOCK = 1 << 18
/** How long an answer may take: milliseconds. */
const PATIENCE = 10_000
/** Datagrams on their way at the same time: few enough for every socket buffer on the way. */
const WINDOW = 32

const receive = (port: number): void => {
  const server = createServer((socket) => {
    const hash = createHash('sha256')
    let bytes = 0
    socket.on('data', (piece) => {
      hash.update(piece)
      bytes += piece.length
    })
    socket.on('error', (error) => say(`error ${error.message}`))
    socket.on('end', () => say(`${bytes} ${hash.digest('hex')}`))
  })
  server.listen(port, '::', () => say('listening'))
}

const send = async (address: string, port: number, bytes: number): Promise<void> => {
  const socket = connect(port, address)
  await once(socket, 'connect')
  const hash = createHash('sha256')
  const block = randomBytes(BLOCK)
  for (let left = bytes, i = 0; left > 0; left -= BLOCK, i++) {
    const piece = Buffer.from(block.subarray(0, Math.min(BLOCK, left)))
    piece.writeUInt32BE(i) // no two blocks are alike, so that order counts
    hash.update(piece)
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  socket.end()
  await once(socket, 'close')
  say(`${bytes} ${hash.digest('hex')}`)
}

const mixed = async (address: string, port: number, rounds: number): Promise<void> => {
  const socket = connect({ port, host: address, noDelay: true })
  await once(socket, 'connect')
  const hash = createHash('sha256')
  let bytes = 0
  for (let i = 0; i < rounds; i++) {
    const piece = randomBytes(i % 2 === 0 ? 60 : 40_000)
    hash.update(piece)
    bytes += piece.length
    if (!socket.write(piece)) await once(socket, 'drain')
    await sleep(0)
  }
  socket.end()
  await once(socket, 'close')
  say(`${bytes} ${hash.digest('hex')}`)
}

const udp = (address: string): Datagrams =>
  createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 })

const echo = (port: number): void => {
  const socket = createSocket({ type: 'udp6', recvBufferSize: 4 << 20 })
  socket.on('message', (data, { address, port: to }) => socket.send(data, to, address))
  socket.bind(port, () => say('listening'))
}

const probe = async (address: string, port: number, sizes: readonly number[]): Promise<void> => {
  const socket = udp(address)
  for (const size of sizes) {
    const sent = randomBytes(size)
    socket.send(sent, port, address)
    const timer = setTimeout(() => socket.emit('message', undefined), PATIENCE)
    const [back] = (await once(socket, 'message')) as [Buffer | undefined]
    clearTimeout(timer)
    say(back === undefined ? `${size} lost` : back.equals(sent) ? `${size} same` : `${size} different`)
  }
  socket.close()
}

const stream = async (address: string, port: number, milliseconds: number): Promise<void> => {
  const socket = udp(address)
  const waiting = new Map<number, number>()
  let [sent, back, lost] = [0, 0, 0]
  const post = (): void => {
    const data = Buffer.alloc(64)
    data.writeUInt32BE(sent)
    waiting.set(sent++, performance.now())
    socket.send(data, port, address)
  }
  const end = performance.now() + milliseconds
  socket.on('message', (data: Buffer) => {
    if (waiting.delete(data.readUInt32BE())) back++
    if (performance.now() < end) post()
  })
  for (let i = 0; i < WINDOW; i++) post()
  // One that is lost is replaced, so that the stream never stands still
  while (performance.now() < end || waiting.size > 0) {
    await sleep(50)
    for (const [number, at] of waiting) {
      if (performance.now() - at < PATIENCE / 5) continue
      waiting.delete(number)
      lost++
      if (performance.now() < end) post()
    }
  }
  socket.close()
  say(`sent ${sent} back ${back} lost ${lost}`)
}

const [what, ...words] = process.argv.slice(2)
const [first = '', second = ''] = words
if (what === 'receive') receive(Number(first))
else if (what === 'send') await send(first, Number(second), Number(words[2]))
else if (what === 'mixed') await mixed(first, Number(second), Number(words[2]))
else if (what === 'echo') echo(Number(first))
else if (what === 'probe') await probe(first, Number(second), words.slice(2).map(Number))
else if (what === 'stream') await stream(first, Number(second), Number(words[2]))
else throw new Error(`unknown word ${what}`)
