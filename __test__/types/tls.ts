// Programs against `ferronet/tls`. Never run.

import * as nodeTls from 'node:tls'
import type * as ferronet from 'ferronet'
import tls, {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  DEFAULT_MIN_VERSION,
  type PeerCertificate,
  rootCertificates,
  Server,
  TLSSocket,
  type TLSSocketOptions,
  type TlsOptions,
} from 'ferronet/tls'

// --- clients ------------------------------------------------------------------------------------------------------

const client: tls.TLSSocket = connect({ host: 'example.org', port: 443, servername: 'example.org' }, () => {})
connect(443)
connect(443, 'example.org', { ALPNProtocols: ['h2'] }, () => {})
connect(443, { rejectUnauthorized: true })
connect('/tmp/path', { session: Buffer.alloc(0) })
connect({ socket: client, secureContext: createSecureContext({ minVersion: 'TLSv1.3' }) })
client.on('secureConnect', () => client.authorized)
client.on('session', session => session.length)
client.once('keylog', line => line.length)
client.setServername('example.org')
client.setSession(client.getSession()!)
const protocol: string | null = client.getProtocol()
const name: string | undefined = client.getPeerCertificate().subject?.CN as string | undefined
const engine: 'openssl' | 'node' | undefined = client.tls?.engine
const waits: boolean = client.secureConnecting
// It is ferronet's, and Node's for code that is typed for that.
const socket: ferronet.Socket = client
const nodes: nodeTls.TLSSocket = client
const alone = new TLSSocket(client, { isServer: true })
const identity: PeerCertificate = client.getPeerCertificate()
// The options of the socket, and ferronet's own.
const { signal } = new AbortController()
const options: ConnectionOptions = { port: 443, signal, highWaterMark: 1024, family: 6, noDelay: true }
connect({ ...options, requireCloseNotify: true, busyPoll: 50, sharedChunks: true })
const over: TLSSocketOptions = { requireCloseNotify: true }
new TLSSocket(client, over)
const nodesOptions: nodeTls.ConnectionOptions = options
// @ts-expect-error: a port is a number
connect('443', 80)
// @ts-expect-error: what is required is a yes or a no
connect({ port: 443, requireCloseNotify: 1 })
// @ts-expect-error: the name has to be text
client.setServername(5)

// --- servers ------------------------------------------------------------------------------------------------------

const server: tls.Server = createServer({ key: 'key', cert: 'cert', noDelay: true }, peer => {
  const secure: tls.TLSSocket = peer
  secure.end(String(secure.remoteAddress))
})
createServer(peer => peer.alpnProtocol)
const serverOptions: TlsOptions = { requireCloseNotify: true, busyPoll: 50 }
createServer(serverOptions)
createServer()
new Server({ requestCert: true })
tls.Server()
server.listen(443).on('tlsClientError', (error, peer) => peer.destroy(error))
server.addContext('*.example.org', createSecureContext())
server.setTicketKeys(server.getTicketKeys())
const nodesServer: nodeTls.Server = server
const ours: ferronet.Server = server

// --- the rest -----------------------------------------------------------------------------------------------------

const context: nodeTls.SecureContext = tls.createSecureContext()
nodeTls.createServer().addContext('x', context)
tls.DEFAULT_MIN_VERSION satisfies string
const known: readonly string[] = rootCertificates
const wrong: Error | undefined = checkServerIdentity('example.org', client.getPeerCertificate())
const all: string[] = tls.getCiphers()

export {
  all,
  alone,
  DEFAULT_MIN_VERSION,
  engine,
  identity,
  known,
  name,
  nodes,
  nodesOptions,
  nodesServer,
  ours,
  protocol,
  socket,
  waits,
  wrong,
}
