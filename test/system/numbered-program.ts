/**
 * Numbered datagrams of several flows, and who looks at their order: `send ADDRESS PORT FLOWS COUNT`, `receive PORT`. Some are
 * answered, so that traffic goes both ways. The receiver prints once a flow's last datagram has come, or nothing comes any more.
 */
import { createSocket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'

const [what, ...words] = process.argv.slice(2)
const BURST = 32
const QUIET_MS = 1500

const send = async (address: string, port: number, flows: number, count: number): Promise<void> => {
  const sockets = Array.from({ length: flows }, () => createSocket('udp4'))
  for (let n = 0; n < count; n += BURST) {
    for (const [flow, socket] of sockets.entries()) {
      for (let i = n; i < Math.min(n + BURST, count); i++) {
        const bytes = Buffer.alloc(18 + ((i * 7) % 64))
        bytes.writeUInt32BE(i, 0)
        bytes.writeUInt32BE(flow, 4)
        socket.send(bytes, port, address)
      }
    }
    await sleep(2)
  }
  for (const socket of sockets) socket.close()
}

const receive = (port: number): void => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
  const last = new Map<number, number>()
  let received = 0
  let late = 0
  let timer: NodeJS.Timeout | undefined
  socket.on('message', (bytes, from) => {
    const n = bytes.readUInt32BE(0)
    const flow = bytes.readUInt32BE(4)
    received++
    if (n < (last.get(flow) ?? -1)) late++
    else last.set(flow, n)
    if (n % 16 === 0) socket.send(bytes, from.port, from.address)
    clearTimeout(timer)
    timer = setTimeout(() => process.stdout.write(`received ${received} late ${late}\n`), QUIET_MS)
  })
  socket.bind(port, () => process.stdout.write('listening\n'))
}

if (what === 'send') await send(words[0]!, Number(words[1]), Number(words[2]), Number(words[3]))
else receive(Number(words[0]))
