// Programs against `ferronet/legacy`: those of 2010, and those that mix it with ferronet and node:net. Never run.

import type * as nodeNet from 'node:net'
import type * as ferronet from 'ferronet'
import legacy, {
  createConnection,
  createCredentials,
  createServer,
  isIP,
  Server,
  Socket,
  Stream,
} from 'ferronet/legacy'

// --- a server -----------------------------------------------------------------------------------------------------

const server: legacy.Server = createServer(stream => {
  stream.setEncoding('utf8')
  stream.addListener('connect', () => stream.write('welcome\n'))
  stream.addListener('data', data => stream.write(data))
  stream.addListener('end', () => stream.end('farewell\n'))
  stream.setEncoding(null)
})
const open: number = server.connections
server.maxConnections = 10
server
  .listen(7000)
  .listen(7000, 'localhost')
  .listen('/tmp/path', () => {})
server.on('connection', stream => stream.setEncoding(null).setEncoding())
server.once('connection', (stream: legacy.Stream) => stream.readyState)
server.addListener('connection', stream => stream.verifyPeer())
server.prependListener('connection', stream => stream.verifyPeer())
server.prependOnceListener('connection', stream => stream.verifyPeer())
server.on('close', () => {}).on('error', error => error.message)
server.on('drop', data => data?.remoteAddress)
createServer()
createServer(null, stream => stream.setEncoding(null))
new Server({ allowHalfOpen: false }, stream => stream.destroy())
legacy.Server()
// @ts-expect-error: it is a count
server.connections = 0

// --- streams ------------------------------------------------------------------------------------------------------

const stream: legacy.Stream = new Stream()
const called: legacy.Stream = legacy.Stream({ defaultEncoding: 'ascii', allowHalfOpen: false })
const socket: legacy.Socket = new Socket()
createConnection(7000)
createConnection(7000, 'localhost')
createConnection('/tmp/path', () => {})
createConnection({ port: 7000, timeout: 10 }).setEncoding(null)
stream.connect(7000).connect(7000, 'localhost').connect('/tmp/path').connect({ port: 7000 }).setEncoding(null)
const state: 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' = stream.readyState
const queued: number = stream.bufferSize
const all: boolean = stream.write('text', 'ascii')
stream.write(Buffer.alloc(1))
stream.end('text', 'ascii')
stream.pause().resume().setTimeout(1000).setNoDelay().setKeepAlive(true, 1000)
stream.on('close', hadError => hadError === true)
stream.on('timeout', () => stream.destroy())
// @ts-expect-error: no such encoding
stream.setEncoding('uft8')

// --- TLS ----------------------------------------------------------------------------------------------------------

const credentials: legacy.Credentials = createCredentials({ key: 'key', cert: 'cert', ca: ['one', 'two'] })
createCredentials()
stream.setSecure(credentials).setEncoding(null)
stream.setSecure()
stream.on('secure', () => stream.write('now encrypted'))
const verified: boolean = stream.verifyPeer()
const { subject, issuer, valid_from, valid_to } = stream.getPeerCertificate()
const names: string[] = [String(subject), `${issuer}`, valid_from, valid_to]
const common: string | string[] | undefined = subject.CN
// @ts-expect-error: not made by createCredentials()
stream.setSecure({ key: 'key' })
// @ts-expect-error: there is no such option
createCredentials({ keys: 'key' })

class Session extends Stream {
  user = 'nobody'
}
const isSession: boolean = new Session().connect(7000) instanceof Stream

// --- the encoding, and the rest -------------------------------------------------------------------------------------

legacy.setDefaultEncoding('ascii')
const encoding: BufferEncoding = legacy.getDefaultEncoding()
// @ts-expect-error: no such encoding
legacy.setDefaultEncoding('uft8')
const version: number = isIP('::1')
const list: legacy.BlockList = new legacy.BlockList()

// What is typed for a modern socket takes a legacy one.
const modern: ferronet.Socket = stream
const node: nodeNet.Socket = stream
const modernServer: ferronet.Server = server
const nodeServer: nodeNet.Server = server
const options: legacy.NetConnectOpts = { port: 7000 }

export {
  all,
  called,
  common,
  encoding,
  isSession,
  list,
  modern,
  modernServer,
  names,
  node,
  nodeServer,
  open,
  options,
  queued,
  socket,
  state,
  verified,
  version,
}
