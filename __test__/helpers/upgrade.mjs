// `startTLS()` beside what programs do on node:net: scenarios that turn a connection secure, and run once for each
// engine of ferronet (OpenSSL of the process, and node:tls).
//
//   upgrades('a client …', async (t, upgrade) => { … await upgrade(socket, options) … })
//
// `upgrade` resolves when the handshake is done, with the stream to go on with: the socket itself, or on node:net a
// TLSSocket over it. It rejects with the error of a handshake that fails.

import { once } from 'node:events'
import tls from 'node:tls'
import { parity } from './parity.mjs'

export function upgrades(title, options, scenario) {
  if (typeof options === 'function') [options, scenario] = [{}, options]
  for (const engine of ['openssl', 'node']) {
    if (options.engine !== undefined && options.engine !== engine) continue
    parity(`${title}, ${engine}`, options, async t => {
      process.env.FERRONET_TLS = engine
      t.cleanup(() => delete process.env.FERRONET_TLS)
      const upgrade = t.moduleName === 'node:net' ? onNode : onFerronet(engine)
      await scenario(t, (socket, wanted) => upgrade(t, socket, wanted), engine)
    })
  }
}

const onFerronet = engine => async (_t, socket, options) => {
  const done = first(socket, 'secure')
  // Tests of the one engine must not pass by the other.
  socket.startTLS(options)
  await done
  if (socket.tls.engine !== engine) throw new Error(`TLS by ${socket.tls.engine} instead of ${engine}`)
  return socket
}

async function onNode(t, socket, options) {
  if (!options.isServer) {
    const client = t.own(tls.connect({ ...options, socket }))
    await first(client, 'secureConnect')
    return Object.assign(client, { tls: client })
  }
  const server = tls.createServer(options)
  const failed = once(server, 'tlsClientError').then(([error]) => {
    throw error
  })
  const done = once(server, 'secureConnection')
  server.emit('connection', socket)
  const [session] = await Promise.race([done, failed])
  return Object.assign(t.own(session), { tls: session })
}

function first(socket, event) {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`'close' before '${event}'`)))
  })
}

/** The next bytes of a plain socket, which is paused behind them. */
export function plain(socket) {
  return new Promise(resolve => {
    socket.once('data', chunk => {
      socket.pause()
      resolve(String(chunk))
    })
    socket.resume()
  })
}

/** `code` and `message` of an error, without what differs from run to run: OpenSSL's text names a thread and a line. */
export function told(error) {
  const message = error.message
    .replace(/^[0-9A-F]+:/, '')
    .replace(/(write EPROTO )[0-9A-F]+:/, '$1')
    .replace(/:[^:]*:\d+:\n/g, '')
  return { code: error.code, message, library: error.library, reason: error.reason }
}

/** The facts of a session that do not differ from run to run. */
export function facts(stream) {
  const { tls: session } = stream
  return {
    encrypted: stream.encrypted,
    authorized: stream.authorized,
    authorizationError: stream.authorizationError,
    alpn: stream.alpnProtocol,
    servername: session.servername,
    protocol: session.getProtocol(),
    cipher: session.getCipher(),
    key: session.getEphemeralKeyInfo(),
    reused: session.isSessionReused(),
    sigalgs: session.getSharedSigalgs(),
    peer: session.getPeerCertificate(true),
    own: session.getCertificate(),
    finished: session.getFinished()?.length,
    peerFinished: session.getPeerFinished()?.length,
  }
}
