// A chat room whose clients may turn secure where they stand: after the line STARTTLS the same connection goes on in TLS.
// The program is the room, and with --join one of its clients.
//
//   node examples/starttls-chat.mjs                             then, in another terminal:
//   node examples/starttls-chat.mjs --join 8000 --trust CERT    and type /secure there

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import net from 'ferronet'
import { commandLine, destination, explain, fail, listen, misuse, portNumber, text } from './common.mjs'
import { TelnetLines } from './telnet-lines.mjs'

const usage = `usage: node examples/starttls-chat.mjs [options]
       node examples/starttls-chat.mjs --join [HOST] PORT [--trust FILE]
       node examples/starttls-chat.mjs --join PATH [--trust FILE]

  --port N       TCP port of the room (8000; 0 lets the system choose)
  --path PATH    use a Unix socket instead of TCP
  --key FILE     private key of the room, in PEM; without it openssl makes one,
  --cert FILE    and the certificate
  --join         be a client; the line /secure turns the connection secure
  --trust FILE   certificate that the client accepts, in PEM; the room prints the path of its own`

const { values, positionals } = commandLine(usage, {
  options: {
    port: { type: 'string', default: '8000' },
    path: { type: 'string' },
    key: { type: 'string' },
    cert: { type: 'string' },
    join: { type: 'boolean' },
    trust: { type: 'string' },
  },
  allowPositionals: true,
})

const GO_AHEAD = '* Go ahead with TLS.'

if (values.join) joinRoom(destination(positionals))
else if (positionals.length > 0) misuse(`Unexpected argument '${positionals[0]}'`)
else if (values.trust) misuse('--trust is an option of --join')
else await openRoom()

// --- the room -----------------------------------------------------------------------------------------------------

async function openRoom() {
  if (!values.key !== !values.cert) misuse('--key and --cert belong together')
  const identity = values.key
    ? { key: read(values.key), cert: read(values.cert), file: values.cert }
    : selfMade()
  /** Every client, by its connection. `name` is null until it has said it. */
  const clients = new Map()

  const server = net.createServer({ keepAlive: true, keepAliveInitialDelay: 60_000 }, socket => {
    const client = { socket, name: null, secure: false }
    const lines = new TelnetLines()
    clients.set(socket, client)
    send(client, '* Welcome. What is your name?')

    socket.on('data', chunk => {
      try {
        for (const { line, rest } of linesOf(lines, chunk)) {
          if (line === 'STARTTLS' && !socket.encrypted) return turnSecure(client, rest)
          hear(client, line.trim())
        }
      } catch (err) {
        socket.end(`* Goodbye: ${err.message}.\r\n`)
      }
    })
    // Without close_notify somebody may have cut off what the client wanted to say last.
    socket.on(
      'end',
      () => client.secure && !socket.tls.closeNotify && console.log(`${who(client)} was cut off`),
    )
    socket.on('error', err => console.log(`${who(client)}: ${explain(err)}`))
    socket.on('close', () => {
      clients.delete(socket)
      if (client.name) broadcast(`* ${client.name} left`)
    })
  })

  function turnSecure(client, rest) {
    const { socket } = client
    send(client, GO_AHEAD) // leaves before TLS begins
    startTLS(socket, rest, { isServer: true, ...identity }, () => {
      client.secure = true
      send(client, `* You are secure now, with ${socket.tls.getProtocol()}.`)
      if (client.name) broadcast(`* ${client.name} is secure now`, client)
    })
  }

  function hear(client, line) {
    if (client.name) {
      if (line !== '') broadcast(`${who(client)}: ${line}`, client)
    } else if (!/^[\p{L}\p{N}_-]{1,20}$/u.test(line)) {
      send(client, '* A name has 1 to 20 letters, digits, - or _. What is your name?')
    } else {
      const others = [...clients.values()].filter(({ name }) => name).map(who)
      client.name = line
      send(
        client,
        `* Hello, ${line}. ${others.length ? `Here are: ${others.join(', ')}` : 'You are the first here'}.`,
      )
      broadcast(`* ${line} joined`, client)
    }
  }

  function broadcast(line, except) {
    console.log(line)
    for (const client of clients.values()) if (client !== except && client.name) send(client, line)
  }

  function send({ socket }, line) {
    if (!socket.writable) return
    socket.write(`${line}\r\n`)
    if (socket.writableLength > 1 << 20) socket.destroy(new Error('reads too slowly'))
  }

  const where = values.path ? { path: values.path } : { host: '127.0.0.1', port: portNumber(values.port) }
  const endpoint = await listen(server, where)
  console.log(`listening on ${text(endpoint)}`)
  console.log(`certificate: ${identity.file}`)
  const address = endpoint.path ?? `${endpoint.host} ${endpoint.port}`
  console.log(`\nJoin from another terminal:`)
  console.log(`  node examples/starttls-chat.mjs --join ${address} --trust ${identity.file}\n`)

  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      server.close()
      for (const { socket } of clients.values()) socket.end('* The room is closing. Goodbye.\r\n')
      setTimeout(() => {
        for (const { socket } of clients.values()) socket.destroy()
      }, 1000).unref()
    })
  }
}

function who({ name, secure }) {
  return `${name ?? 'a stranger'}${secure ? ' (secure)' : ''}`
}

/** A key that only this process knows, and a certificate that nobody has signed but itself. */
function selfMade() {
  const directory = mkdtempSync(join(tmpdir(), 'ferronet-chat-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  const [key, file] = ['key.pem', 'cert.pem'].map(name => join(directory, name))
  const made = spawnSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-days', '30', '-keyout', key, '-out', file],
    ],
    { encoding: 'utf8' },
  )
  if (made.error)
    fail('openssl is missing, which makes the certificate: install it, or give --key and --cert')
  if (made.status !== 0) fail(`openssl cannot make a certificate: ${made.stderr.trim().split('\n').at(-1)}`)
  const identity = { key: readFileSync(key), cert: readFileSync(file), file }
  rmSync(key)
  return identity
}

// --- a client -----------------------------------------------------------------------------------------------------

async function joinRoom(endpoint) {
  const ca = values.trust && read(values.trust)
  const lines = new TelnetLines()
  const socket = net.connect(endpoint)
  let goAhead

  socket.on('data', chunk => {
    for (const { line, rest } of linesOf(lines, chunk)) {
      console.log(line)
      if (line === GO_AHEAD && goAhead) return goAhead(rest)
    }
  })
  socket.on('error', err => {
    console.error(`starttls-chat: ${text(endpoint)}: ${explain(err)}`)
    process.exitCode = 1
  })
  const input = createInterface({ input: process.stdin })
  socket.on('close', () => input.close()) // an open terminal would keep the process alive

  // Nothing is said between the command and its answer: it would be in the clear.
  const turnSecure = () =>
    new Promise(resolve => {
      goAhead = rest => {
        goAhead = undefined
        startTLS(socket, rest, { ca, servername: 'localhost' })
        resolve()
      }
      socket.write('STARTTLS\r\n')
    })

  for await (const line of input) {
    if (line !== '/secure') socket.write(`${line}\r\n`)
    else if (!socket.encrypted) await turnSecure()
  }
  socket.end()
}

// --- both ---------------------------------------------------------------------------------------------------------

/** The lines of a chunk, each with the bytes behind it: from STARTTLS on they are not text. */
function* linesOf(lines, chunk) {
  while (chunk.length > 0) {
    const end = chunk.indexOf('\n') + 1 || chunk.length
    const [line] = lines.push(chunk.subarray(0, end))
    chunk = chunk.subarray(end)
    if (line !== undefined) yield { line, rest: chunk }
  }
}

/**
 * The socket goes on in TLS. `rest` was read already, and goes back: it is the beginning of the handshake. If somebody on
 * the way has put in plain text, the handshake fails.
 */
function startTLS(socket, rest, options, listener) {
  socket.pause()
  if (rest.length > 0) socket.unshift(rest)
  socket.startTLS(options, listener)
  socket.resume()
}

function read(path) {
  try {
    return readFileSync(path)
  } catch (err) {
    return fail(`cannot read ${path}: ${explain(err)}`)
  }
}
