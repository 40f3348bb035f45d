// A program as it is written against node:net, which must compile with `ferronet` in its place: every member, option
// and event, with the types that `net` has. Never run.

import net, { type AddressInfo, createConnection, createServer, isIP, Socket } from 'ferronet'

// --- servers ------------------------------------------------------------------------------------------------------

const options: net.ServerOpts = {
  allowHalfOpen: true,
  pauseOnConnect: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 1000,
  highWaterMark: 1024,
  blockList: new net.BlockList(),
}
const server: net.Server = createServer(options, socket => {
  socket.write('hello')
  socket.pipe(socket)
})
createServer(socket => socket.end())
createServer()
new net.Server(options, (socket: net.Socket) => socket.destroy())
net.Server()

server.listen()
server.listen(80, () => {})
server.listen(80, 'localhost', 511, () => {})
server.listen('/tmp/path', 511, () => {})
const listening: net.ListenOptions = {
  port: 0,
  host: '::1',
  backlog: 1,
  exclusive: true,
  ipv6Only: true,
  reusePort: true,
  signal: new AbortController().signal,
}
server.listen(listening).ref().unref()
server.listen({ path: '/tmp/path', readableAll: true, writableAll: true })
server.close(error => error?.message)
server.getConnections((error, count) => error?.message ?? count.toFixed())
server.maxConnections = 10
const bound: AddressInfo | string | null = server.address()
const isListening: boolean = server.listening
server.on('connection', socket => socket.resetAndDestroy())
server.once('error', error => error.message)
server.on('drop', data => data?.remoteAddress)
server.prependListener('listening', () => {})
async function disposed() {
  await using scoped = net.createServer()
  await server[Symbol.asyncDispose]()
  return scoped
}

// --- sockets ------------------------------------------------------------------------------------------------------

const fresh = new Socket({
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 1000,
  signal: new AbortController().signal,
  onread: {
    buffer: Buffer.alloc(10),
    callback: (nread: number, buffer: Uint8Array) => nread < buffer.length,
  },
})
Socket()
const stream: net.Stream = new net.Stream()
const lookup: net.LookupFunction = (_host, _options, callback) => callback(null, '127.0.0.1', 4)
const socket: net.Socket = createConnection(
  {
    port: 80,
    host: 'localhost',
    family: 4,
    hints: 0,
    localAddress: '127.0.0.1',
    localPort: 1,
    lookup,
    timeout: 10,
    noDelay: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 250,
  },
  () => {},
)
net.connect(80)
net.connect(80, 'localhost', () => {})
net.connect('/tmp/path', () => {})
net.connect({ path: '/tmp/path' })
fresh
  .connect(80)
  .connect(80, 'localhost')
  .connect('/tmp/path')
  .connect({ port: 80, host: 'localhost' }, () => {})

const written: boolean = socket.write('text', 'latin1', error => error?.message)
socket.write(new Uint8Array(1), () => {})
socket
  .end()
  .end('x')
  .end('x', 'utf8', () => {})
socket.setEncoding('utf8').pause().resume().ref().unref()
socket
  .setTimeout(10, () => {})
  .setNoDelay()
  .setNoDelay(true)
socket.setKeepAlive(true, 1000).setKeepAlive(true, 1000, 1000, 10)
socket.setKeepAlive({ enable: true, initialDelay: 1000, interval: 1000, count: 10 })
socket.destroySoon()
socket.destroy(new Error('x')).resetAndDestroy()

const state: net.SocketReadyState = socket.readyState
const facts: (string | number | boolean | string[] | undefined)[] = [
  socket.autoSelectFamilyAttemptedAddresses,
  socket.bufferSize,
  socket.bytesRead,
  socket.bytesWritten,
  socket.connecting,
  socket.pending,
  socket.destroyed,
  socket.localAddress,
  socket.localPort,
  socket.localFamily,
  socket.remoteAddress,
  socket.remotePort,
  socket.remoteFamily,
  socket.timeout,
]
const end: AddressInfo | object = socket.address()

socket.on('close', hadError => hadError === true)
socket.on('connect', () => {})
socket.on('connectionAttempt', (ip, port, family) => [ip.length, port.toFixed(), family.toFixed()])
socket.on('connectionAttemptFailed', (_ip, _port, _family, error) => error.message)
socket.on('connectionAttemptTimeout', (ip, _port, _family) => ip.length)
socket.on('data', data => data.length)
socket.on('lookup', (error, address, family, host) => [
  error?.message,
  address.length,
  String(family),
  host.length,
])
socket.once('ready', () => {}).once('timeout', () => {})
socket.emit('custom', 1)
async function iterated() {
  for await (const chunk of socket) String(chunk)
}

class Session extends net.Socket {
  user = 'nobody'
  override write(chunk: Uint8Array | string, ...rest: never[]): boolean {
    return super.write(chunk, ...rest)
  }
}
class Listener extends net.Server {
  override close(callback?: (error?: Error) => void): this {
    return super.close(callback)
  }
}
const isSession: boolean = new Session().connect(80) instanceof Session

// --- the rest -----------------------------------------------------------------------------------------------------

const version: number = isIP('::1')
const defaults: [boolean, number] = [
  net.getDefaultAutoSelectFamily(),
  net.getDefaultAutoSelectFamilyAttemptTimeout(),
]
net.setDefaultAutoSelectFamily(true)
net.setDefaultAutoSelectFamilyAttemptTimeout(250)
const list: net.BlockList = new net.BlockList()
list.addAddress('::1', 'ipv6')
const address: net.SocketAddress = new net.SocketAddress({ address: '::1', family: 'ipv6' })

export {
  address,
  bound,
  defaults,
  disposed,
  end,
  facts,
  isListening,
  isSession,
  iterated,
  Listener,
  state,
  stream,
  version,
  written,
}
