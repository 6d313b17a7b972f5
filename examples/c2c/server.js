/**
 * A server of an app: `node server.js tcp/8080 udp/8125` answers HTTP at TCP port 8080, and each datagram at UDP port 8125.
 * http://ADDRESS:8080/ says who has answered whom, http://ADDRESS:8080/slowly says it again and again until the connection ends.
 */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'

/** Milliseconds between two lines of /slowly. */
const PAUSE = 200

const tcp = (port) => createServer(({ socket, url }, response) => {
  const line = `hello from ${socket.localAddress} to ${socket.remoteAddress}\n`
  if (url !== '/slowly') return response.end(line)
  const timer = setInterval(() => response.write(line), PAUSE)
  response.on('close', () => clearInterval(timer))
}).listen(port, '0.0.0.0', () => console.log(`listening on tcp ${port}`))

const udp = (port) => {
  const socket = createSocket('udp4')
  socket.on('message', (data, { address, port: from }) => {
    console.log(`${address}: ${String(data).trimEnd()}`)
    socket.send('thank you\n', from, address)
  })
  socket.bind(port, () => console.log(`listening on udp ${port}`))
}

for (const word of process.argv.slice(2)) {
  const [protocol, port] = word.split('/')
  if (protocol === 'udp') udp(Number(port))
  else tcp(Number(port))
}
