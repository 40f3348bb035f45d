// Node's tls over ferronet's sockets: the client over a given socket, the server on a given connection, the handshake
// and its failures, and how a session ends.

import { once } from 'node:events'
import tls from 'node:tls'
import { bytes } from '../fixtures/interop/bytes.mjs'
import { cert, identity, key, trust } from '../fixtures/interop/certificate.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

// A tls.Server that listens nowhere: `listen` accepts for it.
async function secureServer(t, options, onSession) {
  const secure = tls.createServer({ ...identity, ...options })
  secure.on('secureConnection', session => t.own(session).on('error', () => {}))
  if (onSession) secure.on('secureConnection', onSession)
  const server = await t.listen({ allowHalfOpen: options?.allowHalfOpen, path: options?.path }, peer =>
    secure.emit('connection', peer),
  )
  return { secure, server }
}

// A TLS session with both its ends, established.
async function session(t, { server: serverOptions = {}, client: clientOptions = {} } = {}) {
  const { secure, server } = await secureServer(t, serverOptions)
  const accepted = once(secure, 'secureConnection')
  const raw = t.connect(t.to(server, { allowHalfOpen: clientOptions.allowHalfOpen }))
  const client = t.own(tls.connect({ ...trust, ...clientOptions, socket: raw }))
  const [[peer]] = await Promise.all([accepted, once(client, 'secureConnect')])
  return { server, secure, raw, client, peer }
}

// What can be promised of a session's end on any stream: not where in it the events of the socket below fall.
const outcome = { except: ['connect', 'ready', 'data', 'drain', 'prefinish', 'finish', 'connection'] }

parity('tls.connect over a socket that is still connecting', async t => {
  const { server } = await secureServer(t, {}, peer => peer.end('hello'))
  const raw = t.connect(t.to(server))
  t.log('connecting', raw.connecting)
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  const arrived = t.drained(client)
  await once(client, 'secureConnect')
  t.log('secure', client.encrypted, client.authorized, client.authorizationError, client.getProtocol())
  t.log('arrived', await arrived)
})

parity('tls.connect over a socket that is connected', async t => {
  const { server } = await secureServer(t, {}, peer => peer.end('hello'))
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  const client = t.own(tls.connect({ ...trust, socket: raw }, () => t.log('secureConnect')))
  t.log('arrived', await t.drained(client))
})

parity('tls.connect over a socket at a path', { on: 'unix' }, async t => {
  const { server } = await secureServer(t, { path: t.socketPath() }, peer => peer.end('hello'))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  t.log('arrived', await t.drained(client))
})

parity('new tls.TLSSocket as a client', async t => {
  const { server } = await secureServer(t, {}, peer => peer.end('hello'))
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  const client = t.own(new tls.TLSSocket(raw, { secureContext: tls.createSecureContext({ ca: cert }) }))
  // Without tls.connect nobody starts the handshake but the first write.
  client.write('anybody?')
  t.log('arrived', await t.drained(client))
})

parity('new tls.TLSSocket as a server', async t => {
  const sessions = []
  const server = await t.listen({}, peer => {
    const secure = t.own(new tls.TLSSocket(peer, { isServer: true, ...identity }))
    secure.on('secure', () => t.log('secure', secure.encrypted, secure.getProtocol()))
    sessions.push(secure)
    secure.on('data', chunk => secure.end(`you said ${chunk}`))
  })
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.write('this')
  t.log('arrived', await t.drained(client))
  await t.closed(...sessions)
})

parity('a dialogue in the clear, and STARTTLS after it', async t => {
  const server = await t.listen({}, peer => {
    peer.write('220 ready\r\n')
    const commands = t.log.to('server')
    peer.on('data', function command(line) {
      commands('command', String(line))
      if (String(line) !== 'STARTTLS\r\n') {
        peer.write('250 fine\r\n')
        return
      }
      peer.removeListener('data', command)
      peer.write('220 go ahead\r\n')
      const secure = t.own(new tls.TLSSocket(peer, { isServer: true, ...identity }))
      secure.on('data', line => {
        commands('secure command', String(line))
        if (String(line) === 'QUIT\r\n') secure.end('221 bye\r\n')
        else secure.write('250 fine in secret\r\n')
      })
    })
  })
  const raw = t.connect(t.to(server))
  const answer = async socket => String((await once(socket, 'data'))[0])
  t.log('greeting', await answer(raw))
  raw.write('EHLO me\r\n')
  t.log('answer', await answer(raw))
  raw.write('STARTTLS\r\n')
  t.log('answer', await answer(raw))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  await once(client, 'secureConnect')
  client.write('EHLO me again\r\n')
  t.log('answer', await answer(client))
  client.write('QUIT\r\n')
  t.log('answer', await answer(client))
  await t.closed(client, raw)
})

parity('STARTTLS from the server towards the client', async t => {
  // As in some mail and directory servers: who accepted the connection is the client of the session.
  const server = await t.listen({}, peer => {
    const secure = t.own(tls.connect({ ...trust, socket: peer }))
    secure.end('from the one that accepted')
  })
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  const secure = t.own(new tls.TLSSocket(raw, { isServer: true, ...identity }))
  t.log('arrived', await t.drained(secure))
})

parity('a server that looks at the first byte before it chooses TLS', async t => {
  const secure = tls.createServer(identity, peer => {
    t.own(peer)
    peer.on('data', chunk => peer.end(`secret ${chunk}`))
  })
  const server = await t.listen({}, peer => {
    peer.once('readable', () => {
      const first = peer.read(1)
      peer.unshift(first)
      if (first[0] === 22) secure.emit('connection', peer)
      else peer.on('data', chunk => peer.end(`plain ${chunk}`))
    })
  })
  const plain = t.connect(t.to(server))
  plain.write('words')
  t.log('plain', await t.drained(plain))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.write('words')
  t.log('secure', await t.drained(client))
})

parity('a paused connection that is given to TLS late has lost nothing', async t => {
  const secure = tls.createServer(identity, peer => t.own(peer).end('in time'))
  const server = await t.listen({ pauseOnConnect: true })
  const accepted = once(server, 'connection')
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  const arrived = t.drained(client)
  const [peer] = await accepted
  await t.quiet()
  t.log('read meanwhile', peer.bytesRead)
  secure.emit('connection', peer)
  t.log('arrived', await arrived)
})

parity('what was written in the clear leaves before the handshake', async t => {
  const secure = tls.createServer(identity, peer => t.own(peer).end('and then TLS'))
  const prologue = bytes(300_000)
  const server = await t.listen({ highWaterMark: 1_000_000 }, peer => {
    peer.on('readable', function prologueCame() {
      const words = peer.read(prologue.length)
      if (words === null) return
      peer.removeListener('readable', prologueCame)
      t.log('prologue', words.equals(prologue))
      secure.emit('connection', peer)
    })
  })
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  raw.write(prologue)
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  t.log('arrived', await t.drained(client))
})

parity('a TLS echo of several megabytes keeps every byte', async t => {
  const { server } = await secureServer(t, { allowHalfOpen: true }, peer => peer.pipe(peer))
  const raw = t.connect(t.to(server, { allowHalfOpen: true }))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  const [arrived, gone] = [t.drained(client), t.closed(client, raw)]
  client.end(bytes(6_000_000))
  t.log('arrived', await arrived)
  await gone
})

parity('a session ended before the echo has come gets all of it', async t => {
  // Without allowHalfOpen: the FIN of the client comes while the server still has much to send.
  const { server } = await secureServer(t, {}, peer => {
    peer.on('error', error => t.log('error', error))
    peer.pipe(peer)
  })
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.on('error', error => t.log('error', error))
  const arrived = t.drained(client)
  client.end(bytes(1_500_000))
  t.log('arrived', await arrived)
})

parity('TLS both ways at once keeps every byte', async t => {
  const { client, peer } = await session(t)
  const [there, back] = [t.drained(peer), t.drained(client)]
  const written = Promise.all([
    new Promise(resolve => client.write(bytes(3_000_000, 1), resolve)),
    new Promise(resolve => peer.write(bytes(3_000_000, 2), resolve)),
  ])
  t.log('errors of the writes', ...(await written).map(error => error ?? null))
  client.end()
  peer.end()
  t.log('there', await there)
  t.log('back', await back)
})

parity('thousands of small TLS records keep their order', async t => {
  const { client, peer } = await session(t)
  const arrived = t.drained(peer)
  for (let at = 0; at < 3_000; at++) client.write(`${at},`)
  client.end()
  t.log('arrived', await arrived)
})

parity('a TLS reader that pauses makes the writer wait', async t => {
  const { client, peer } = await session(t)
  peer.pause()
  let drained = false
  client.once('drain', () => (drained = true))
  t.log('room', client.write(bytes(16_000_000)))
  await t.quiet()
  t.log('drained', drained)
  const arrived = t.drained(peer.resume())
  client.end()
  t.log('arrived', await arrived)
  t.log('drained', drained)
})

parity('ALPN and the server name arrive', async t => {
  const { client, peer } = await session(t, {
    server: { ALPNProtocols: ['b', 'a'] },
    client: { ALPNProtocols: ['a', 'b'] },
  })
  t.log('protocols', client.alpnProtocol, peer.alpnProtocol)
  t.log('name', peer.servername)
  t.log('certificate', client.getPeerCertificate().subjectaltname)
})

parity('ALPN without a common protocol is an error on both sides', async t => {
  const { secure, server } = await secureServer(t, { ALPNProtocols: ['a'] })
  const complaint = once(secure, 'tlsClientError')
  const client = t.own(tls.connect({ ...trust, ALPNProtocols: ['z'], socket: t.connect(t.to(server)) }))
  const [error] = await once(client, 'error')
  t.log('client', error.code)
  t.log('server', (await complaint)[0].code)
  await t.closed(client)
})

parity('a context chosen by the server name', async t => {
  const { client } = await session(t, {
    server: {
      SNICallback: (name, done) => {
        t.log('asked for', name)
        setImmediate(done, null, tls.createSecureContext(identity))
      },
    },
  })
  t.log('authorized', client.authorized)
})

parity('a client shows its certificate', async t => {
  const { peer } = await session(t, {
    server: { requestCert: true, ca: cert },
    client: { key, cert },
  })
  t.log('server says', peer.authorized, peer.getPeerCertificate().subject?.CN)
})

parity('a session is taken up again', async t => {
  const { server } = await secureServer(t, { maxVersion: 'TLSv1.2' }, peer => peer.end('.'))
  const first = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  const [[kept]] = await Promise.all([once(first, 'session'), t.drained(first)])
  const second = t.own(tls.connect({ ...trust, session: kept, socket: t.connect(t.to(server)) }))
  await once(second, 'secureConnect')
  t.log('reused', second.isSessionReused())
  await t.drained(second)
})

parity('a certificate that nobody vouches for is an error, and no hang', async t => {
  const { secure, server } = await secureServer(t)
  secure.on('tlsClientError', () => {})
  const raw = t.connect(t.to(server))
  const client = t.watch(tls.connect({ servername: 'localhost', socket: raw }), 'client', outcome)
  await t.closed(client, raw)
  t.log('authorized', client.authorized, raw.destroyed)
})

parity('a certificate for another name is an error, and no hang', async t => {
  const { secure, server } = await secureServer(t)
  secure.on('tlsClientError', () => {})
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  const client = t.watch(tls.connect({ ca: cert, servername: 'elsewhere.test', socket: raw }), 'client', {
    except: [...outcome.except, 'error'],
  })
  const [error] = await once(client, 'error')
  t.log('error', error.code, error.reason)
  await t.closed(client, raw)
})

parity('a wrong certificate is accepted when the client says so', async t => {
  const { server } = await secureServer(t, {}, peer => peer.end('well'))
  const client = t.own(tls.connect({ rejectUnauthorized: false, socket: t.connect(t.to(server)) }))
  t.log('arrived', await t.drained(client))
  t.log('authorized', client.authorized, client.authorizationError)
})

parity('a connection that is refused below TLS is the error of the session', async t => {
  const server = await t.listen()
  const target = t.to(server)
  server.close()
  await t.closed(server)
  const raw = t.connect(target)
  const client = t.watch(tls.connect({ ...trust, socket: raw }), 'client', outcome)
  await t.closed(client, raw)
})

parity('a server that speaks no TLS is an error', async t => {
  const server = await t.listen({}, peer => peer.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  const [error] = await once(client, 'error')
  t.log('error', error.code, error.library, error.reason)
  await t.closed(client)
})

parity('a client that speaks no TLS is a tlsClientError', async t => {
  const { secure, server } = await secureServer(t)
  const complaint = once(secure, 'tlsClientError')
  const client = t.connect(t.to(server)).resume()
  const gone = t.closed(client)
  client.write('GET / HTTP/1.1\r\n\r\n')
  const [error, session] = await complaint
  t.log('error', error.code, session instanceof tls.TLSSocket)
  await gone
})

parity('a client that leaves in mid-handshake is a tlsClientError', async t => {
  const { secure, server } = await secureServer(t)
  const complaint = once(secure, 'tlsClientError')
  const raw = t.connect(t.to(server))
  const client = t.watch(tls.connect({ ...trust, socket: raw }), 'client', outcome)
  const gone = t.closed(client, raw)
  await once(server, 'connection')
  client.destroy()
  t.log('server', (await complaint)[0])
  await gone
  t.log('destroyed', raw.destroyed)
})

parity('a session destroyed before its socket has connected', async t => {
  const { secure, server } = await secureServer(t)
  secure.on('tlsClientError', () => {})
  const raw = t.connect(t.to(server))
  const client = t.watch(tls.connect({ ...trust, socket: raw }), 'client', outcome)
  client.destroy()
  await t.closed(client, raw)
  t.log('destroyed', raw.destroyed)
})

parity('a server that leaves in mid-handshake is an error of the client', async t => {
  const server = await t.listen({}, peer => peer.once('data', () => peer.destroy()))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  const [error] = await once(client, 'error')
  t.log('error', error.code, error.message)
  await t.closed(client)
})

parity('a server that resets in mid-handshake is an error of the client', async t => {
  const server = await t.listen({}, peer => peer.once('data', () => peer.resetAndDestroy()))
  const raw = t.connect(t.to(server))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  const [error] = await once(client, 'error')
  t.log('error', error.code)
  await t.closed(client, raw)
})

parity('a handshake that never begins times out on the server', async t => {
  const { secure, server } = await secureServer(t, { handshakeTimeout: 60 })
  const complaint = once(secure, 'tlsClientError')
  const client = t.connect(t.to(server)).resume()
  const gone = t.closed(client)
  const [error, session] = await complaint
  t.log('error', error.code)
  session.destroy()
  await gone
})

parity('the end of a session reaches the other side', async t => {
  const { client, peer, raw } = await session(t)
  t.watch(client, 'client', outcome)
  t.watch(peer, 'server', outcome)
  const arrived = t.drained(peer)
  client.resume().end('the last words')
  t.log('arrived', await arrived)
  await t.closed(client, peer, raw)
})

parity('a session half-closed by the client is answered', async t => {
  const { client, peer } = await session(t, {
    server: { allowHalfOpen: true },
    client: { allowHalfOpen: true },
  })
  const [question, answer, gone] = [t.drained(peer), t.drained(client), t.closed(client, peer)]
  client.end('question')
  t.log('question', await question)
  peer.end('answer after the end of the question')
  t.log('answer', await answer)
  await gone
})

// The connection below an established session is closed as `cut` does it; what the client sees.
async function severed(t, cut) {
  const peers = []
  const secure = tls.createServer({ ...identity, maxVersion: 'TLSv1.2' })
  secure.on('secureConnection', session => t.own(session).on('error', () => {}))
  const server = await t.listen({}, peer => {
    peers.push(peer)
    secure.emit('connection', peer)
  })
  const client = tls.connect({ ...trust, socket: t.connect(t.to(server)) })
  t.watch(client, 'client', { except: [...outcome.except, 'close'] })
  client.resume()
  await Promise.all([once(secure, 'secureConnection'), once(client, 'secureConnect')])
  cut(peers[0])
  await t.closed(client)
}

parity('a connection cut below an established session', t => severed(t, peer => peer.destroy()))

parity('a connection reset below an established session', t => severed(t, peer => peer.resetAndDestroy()))

parity('destroying a session closes the connection below it, on both sides', async t => {
  const { client, peer, raw } = await session(t)
  peer.resume()
  client.destroy()
  await t.closed(client, peer, raw)
  t.log('destroyed', raw.destroyed, client.destroyed, peer.destroyed)
})

parity('a session destroyed with an error tells it', async t => {
  const { client, peer, raw } = await session(t)
  t.watch(client, 'client', outcome)
  peer.resume()
  client.destroy(new Error('enough'))
  await t.closed(client, peer, raw)
})

parity('the idle timeout of a session', async t => {
  const { client } = await session(t)
  t.log('chained', client.setTimeout(30, () => t.log('callback')) === client)
  await once(client, 'timeout')
  t.log('open', client.destroyed)
  client.setTimeout(0)
})

parity('the calls that clients make on a session', async t => {
  const { client, peer } = await session(t)
  for (const session of [client, peer]) {
    t.log('setKeepAlive', session.setKeepAlive(true, 1000) === session)
    t.log('setNoDelay', session.setNoDelay(true) === session)
    t.log('setTimeout', session.setTimeout(0) === session)
    t.log('unref', session.unref() === session)
    t.log('ref', session.ref() === session)
    t.log('state', session.readyState, session.pending, session.connecting)
    session.cork()
    session.write('corked ')
    session.write('words')
    session.uncork()
  }
  t.log('arrived', String((await once(peer, 'data'))[0]), String((await once(client, 'data'))[0]))
})

parity('the calls that clients make before the connection is there', async t => {
  const { server } = await secureServer(t, {}, peer => peer.pipe(peer))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.setKeepAlive(true, 1000).setNoDelay(true).setTimeout(5_000).setEncoding('utf8')
  client.end('written at once')
  t.log('arrived', await t.drained(client))
})

parity('TLS within TLS', async t => {
  const inner = tls.createServer(identity, peer => {
    t.own(peer)
    peer.pipe(peer)
  })
  const { server } = await secureServer(t, {}, outer => inner.emit('connection', outer))
  const outer = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  await once(outer, 'secureConnect')
  const client = t.own(tls.connect({ ...trust, socket: outer }))
  await once(client, 'secureConnect')
  const arrived = t.drained(client)
  client.end(bytes(500_000))
  t.log('arrived', await arrived)
})

parity('forty sessions at once', async t => {
  const { server } = await secureServer(t, {}, peer => peer.pipe(peer))
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, at) => {
      const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
      client.end(`session ${at}`)
      return t.drained(client)
    }),
  )
  t.log('arrived', answers.join())
})

parityProcess('a process ends after its TLS session has', async t => {
  const { server } = await secureServer(t, {}, peer => peer.end('bye'))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  t.log('arrived', await t.drained(client))
  server.close()
})

parityProcess('an open TLS session keeps no process whose sockets are unreferenced', async t => {
  // On the socket below: of a session over a Duplex, ref and unref go nowhere.
  const secure = tls.createServer(identity)
  const accepted = once(secure, 'secureConnection')
  const server = await t.listen({}, peer => secure.emit('connection', peer.unref()))
  const raw = t.connect(t.to(server)).unref()
  const client = tls.connect({ ...trust, socket: raw })
  await Promise.all([accepted, once(client, 'secureConnect')])
  server.unref()
  t.log('open', client.readyState)
})
