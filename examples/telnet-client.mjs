// A telnet-style client: sends what you type to the server and prints what the server sends.
//
//   node examples/telnet-client.mjs 127.0.0.1 8000
//   node examples/telnet-client.mjs /tmp/room.sock

import net from 'ferronet'
import { commandLine, destination, explain, text } from './common.mjs'

const usage = `usage: node examples/telnet-client.mjs [HOST] PORT
       node examples/telnet-client.mjs PATH

Connects over TCP (HOST is localhost if left out) or to a Unix socket. The end of the input (Ctrl+D) ends our side of
the connection; the client stays until the server has ended its side too.`

const { positionals } = commandLine(usage, { allowPositionals: true })
const endpoint = destination(positionals)

// Everything but the server's own bytes goes to stderr, so that stdout can be piped on.
const socket = net.connect(endpoint, () => console.error(`connected to ${text(endpoint)}`))

process.stdin.pipe(socket) // ends the socket when the input ends: the half-close
socket.pipe(process.stdout)

socket.on('end', () => process.stdin.unpipe(socket)) // the server has ended: nothing typed from here on can be sent
socket.on('error', err => {
  console.error(`telnet-client: ${text(endpoint)}: ${explain(err)}`)
  process.exitCode = 1
})
socket.on('close', hadError => {
  if (!hadError) console.error('connection closed')
  process.stdin.destroy() // an open terminal would keep the process alive
})
process.stdout.on('error', () => socket.destroy()) // the reader of our output went away, as in `… | head`
