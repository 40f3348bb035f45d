// A server that greets each client with its number, echoes what it sends, and disconnects it when it has been idle.
//
//   node examples/counter-echo.mjs                 then, in another terminal:  nc 127.0.0.1 8000

import net from 'ferronet'
import { commandLine, explain, listen, portNumber, text, wholeNumber } from './common.mjs'

const usage = `usage: node examples/counter-echo.mjs [options]

  --port N       TCP port (8000; 0 lets the system choose)
  --host NAME    address to listen on (127.0.0.1)
  --path PATH    listen on a Unix socket instead of TCP
  --idle MS      milliseconds of silence before a client is disconnected (3000)
  --clients N    close after this many clients (no limit)`

const { values } = commandLine(usage, {
  options: {
    port: { type: 'string', default: '8000' },
    host: { type: 'string', default: '127.0.0.1' },
    path: { type: 'string' },
    idle: { type: 'string', default: '3000' },
    clients: { type: 'string', default: '0' },
  },
})
const endpoint = values.path ? { path: values.path } : { host: values.host, port: portNumber(values.port) }
const idle = wholeNumber(values.idle, '--idle')
const limit = wholeNumber(values.clients, '--clients')

let clients = 0
const connected = new Set()

const server = net.createServer(socket => {
  const number = ++clients
  connected.add(socket)
  console.log(`client ${number} came`)
  if (number === limit) server.close() // accepts no more clients; 'close' comes once the last one has left

  socket.write(`${number}\n`)
  socket.pipe(socket) // the echo; when the client ends its side, pipe() ends ours

  socket.setTimeout(idle)
  socket.on('timeout', () => {
    // 'timeout' closes nothing, we have to. The first time politely. A client that does not answer our FIN times out
    // a second time and is dropped.
    if (socket.writableEnded) socket.destroy()
    else farewell(socket, 'timeout\n')
  })

  socket.on('error', err => console.log(`client ${number} failed: ${explain(err)}`))
  socket.on('close', () => {
    connected.delete(socket)
    console.log(`client ${number} left`)
  })
})

function farewell(socket, words) {
  socket.unpipe() // nothing may be echoed after the end
  socket.end(words)
  socket.resume() // unpipe() paused the socket; read and drop the rest, up to the client's FIN
}

function shutDown() {
  if (server.listening) server.close()
  for (const socket of connected) farewell(socket, 'closing\n')
}

server.on('close', () => console.log('closed'))
console.log(`listening on ${text(await listen(server, endpoint))}`)
server.on('error', err => console.error(`accepting failed: ${explain(err)}`))
process.on('SIGINT', shutDown)
process.on('SIGTERM', shutDown)
