// A chat room over TCP and a Unix socket at once: the first line is your name, every other line goes to everybody.
//
//   npm start                                      then, in another terminal:  nc 127.0.0.1 8000

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import net from 'ferronet'
import { commandLine, explain, listen, portNumber, text, wholeNumber } from './common.mjs'
import { TelnetLines } from './telnet-lines.mjs'

const usage = `usage: node examples/chat-room.mjs [options]

  --port N           TCP port (the environment's PORT, or 8000; 0 lets the system choose)
  --host NAME        address to listen on (127.0.0.1)
  --path PATH        Unix socket to listen on
  --max-buffered N   bytes that may wait for one slow client before it is dropped (1048576)

With only --port or only --path the room listens there alone; without either it listens on both.`

const { values } = commandLine(usage, {
  options: {
    port: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    path: { type: 'string' },
    'max-buffered': { type: 'string', default: '1048576' },
  },
})
const maxBuffered = wholeNumber(values['max-buffered'], '--max-buffered')
const maxLine = 4096 // characters
const grace = 1000 // milliseconds for clients to read the goodbye when the room closes

/** Every connection, with or without a name. @type {Set<import('ferronet').Socket>} */
const sockets = new Set()
/** Clients that have given their name, by that name in lower case. */
const members = new Map()
let closing = false

function onConnection(socket) {
  const lines = new TelnetLines(maxLine)
  let member = null
  sockets.add(socket)
  send(socket, '* Welcome. What is your name?')

  const hear = line => {
    if (member) {
      if (line.trim() !== '') broadcast(`${member.name}: ${line}`, member)
    } else {
      member = enter(socket, line.trim())
    }
  }

  socket.on('data', chunk => {
    if (!socket.writable) return // we said goodbye already: ignore the rest
    let heard = []
    try {
      heard = lines.push(chunk)
    } catch (err) {
      socket.end(`* Goodbye: ${err.message}.\r\n`)
    }
    heard.forEach(hear)
  })
  socket.on('end', () => {
    if (member) lines.end().forEach(hear) // the last line may lack its line end
  })
  socket.on('error', err => console.log(`${member?.name ?? 'a stranger'}: ${explain(err)}`))
  socket.on('close', () => {
    sockets.delete(socket)
    if (member) leave(member, socket.errored)
  })
}

function enter(socket, name) {
  const key = name.normalize('NFC').toLowerCase()
  if (!/^[\p{L}\p{N}_-]{1,20}$/u.test(name)) {
    send(socket, '* A name has 1 to 20 letters, digits, - or _. What is your name?')
    return null
  }
  if (members.has(key)) {
    send(socket, `* ${name} is already here. Choose another name.`)
    return null
  }
  const others = [...members.values()].map(other => other.name)
  const member = { key, name, socket }
  members.set(key, member)
  const company = others.length ? `Here are: ${others.join(', ')}.` : 'You are the first here.'
  send(socket, `* Hello, ${name}. ${company}`)
  broadcast(`* ${name} joined`, member)
  return member
}

function leave({ key, name }, err) {
  members.delete(key)
  broadcast(`* ${name} left${err ? `: ${explain(err)}` : ''}`)
}

function broadcast(line, except) {
  console.log(line)
  for (const member of members.values()) {
    if (member !== except) send(member.socket, line)
  }
}

function send(socket, line) {
  if (!socket.writable) return
  socket.write(`${line}\r\n`)
  // write() accepts everything and buffers what the client does not read. The room cannot wait for its slowest client,
  // and must not fill the memory for it either.
  if (socket.writableLength > maxBuffered) socket.destroy(new Error('reads too slowly'))
}

// One server listens on one endpoint; two of them share the room.
const servers = []

async function open(endpoint) {
  // keepAlive notices clients that disappear without closing the connection, as laptops do.
  const server = net.createServer({ keepAlive: true, keepAliveInitialDelay: 60_000 }, onConnection)
  const advice = endpoint.path ? '' : `PORT=${(endpoint.port + 1) % 65536} npm start uses another`
  endpoint = await listen(server, endpoint, advice)
  server.on('error', err => console.error(`accepting failed: ${explain(err)}`))
  server.on('close', () => console.log(`closed ${text(endpoint)}`))
  servers.push(server)
  console.log(`listening on ${text(endpoint)}`)
  return endpoint
}

function shutDown() {
  if (closing) return // npm forwards the Ctrl+C that the terminal has already sent us
  closing = true
  for (const server of servers) server.close()
  for (const socket of sockets) socket.end('* The room is closing. Goodbye.\r\n')
  setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, grace).unref()
}

const both = values.port === undefined && values.path === undefined
let tcp
let unix
if (both) {
  const port = portNumber(process.env.PORT || '8000', 'PORT')
  tcp = await open({ host: values.host, port })
  if (process.platform !== 'win32')
    unix = await open({ path: join(tmpdir(), `ferronet-chat-${tcp.port}.sock`) })
} else {
  if (values.port !== undefined) tcp = await open({ host: values.host, port: portNumber(values.port) })
  if (values.path !== undefined) unix = await open({ path: values.path })
}
process.on('SIGINT', shutDown)
process.on('SIGTERM', shutDown)

console.log('\nJoin from another terminal:')
if (tcp) console.log(`  nc ${tcp.host} ${tcp.port}`)
if (tcp) console.log(`  node examples/telnet-client.mjs ${tcp.host} ${tcp.port}`)
if (unix) console.log(`  nc -U ${unix.path}`)
if (unix) console.log(`  node examples/telnet-client.mjs ${unix.path}`)
console.log('\nCtrl+C closes the room.\n')
