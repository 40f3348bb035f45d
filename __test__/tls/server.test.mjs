// Servers of ferronet/tls: their events and options, what they tell of clients that fail, and connections that are given
// to them by hand.

import { once } from 'node:events'
import nodeNet from 'node:net'
import { certificates } from '../helpers/certificates.mjs'
import { also, first, identity, outcome, secured, told, trust } from '../helpers/tls.mjs'

const all = certificates()
const events = [...also, 'secureConnection', 'tlsClientError', 'newSession', 'resumeSession', 'OCSPRequest']

/** `tlsClientError` in words that do not differ from run to run. */
const failure = server =>
  new Promise(resolve =>
    server.once('tlsClientError', (error, socket) =>
      resolve({ ...told(error), from: socket.remoteAddress, encrypted: socket.encrypted }),
    ),
  )

secured('the events of a server', { both: true }, async (t, kit) => {
  const server = await kit.listen({}, socket => {
    t.log('socket', socket.remoteAddress, socket.remoteFamily, socket.encrypted, socket.authorized)
    t.log('server', socket.server === server, socket.servername, socket.alpnProtocol, socket.secureConnecting)
    socket.end('hello')
  })
  // There is one object for a connection here, where Node has two.
  t.watch(server, 'server', { also: events, except: ['connection'] })
  const client = kit.connect(server)
  t.log('said', String(await t.drained(client)))
  await t.closed(client)
  server.close()
  await t.closed(server)
})

secured('a listener of connection gets the connection as it is', async (t, kit) => {
  const server = await kit.listen({}, socket => {
    t.log('secure', socket.remoteAddress, socket.remotePort === below.remotePort, socket === below)
    socket.end('hello')
  })
  let below
  server.on('connection', socket => {
    below = t.own(socket)
    t.log('connection', socket instanceof kit.tls.TLSSocket, socket.remoteAddress, socket.server === server)
  })
  const client = kit.connect(server)
  t.log('said', String(await t.drained(client)))
  await t.closed(client, below)
  const count = new Promise(resolve => server.getConnections((_error, number) => resolve(number)))
  t.log('connections', await count)
})

// As Node 26 says it.
if (Number.parseInt(process.versions.node, 10) >= 26)
  secured('wrong options', async (t, { tls }) => {
    const wrong = {
      'a number': 5,
      'a string': 'x',
      handshakeTimeout: { handshakeTimeout: 'a' },
      SNICallback: { SNICallback: 5 },
      'both ways to choose a protocol': { ALPNCallback() {}, ALPNProtocols: ['a'] },
      pskCallback: { pskCallback: 4 },
      pskIdentityHint: { pskIdentityHint: 4 },
      'ticketKeys, a string': { ticketKeys: 'x' },
      'ticketKeys, too short': { ticketKeys: Buffer.alloc(4) },
      sessionTimeout: { sessionTimeout: 'x' },
      sessionIdContext: { sessionIdContext: 5 },
      cert: { cert: 'nonsense' },
      highWaterMark: { highWaterMark: 'x' },
    }
    for (const [label, options] of Object.entries(wrong)) {
      try {
        tls.createServer(options)
        t.log(label, 'accepted')
      } catch (error) {
        t.log(label, error.name, told(error))
      }
    }
    t.attempt('a listener', () => tls.createServer({}, 5))
    const server = tls.createServer()
    t.attempt('addContext without a name', () => server.addContext())
    t.attempt('addContext without a context', () => server.addContext('a', 5))
    t.attempt('setTicketKeys', () => server.setTicketKeys('x'))
    t.attempt('setSecureContext', () => server.setSecureContext())
    t.log('keys', server.getTicketKeys().length)
  })

secured('a client that speaks no TLS', async (t, kit) => {
  const server = await kit.listen()
  t.watch(server, 'server', { also: ['secureConnection'], except: ['connection'] })
  const failed = failure(server)
  const client = t.own(nodeNet.connect(t.to(server))).on('error', () => {})
  client.write('GET / HTTP/1.0\r\n\r\n')
  t.log('failed', await failed)
  await t.closed(client)
})

secured('a server without a certificate', { both: true }, async (t, kit) => {
  const server = await kit.listen({ key: undefined, cert: undefined })
  const failed = failure(server)
  t.log('client', await outcome(kit.connect(server)))
  t.log('server', await failed)
})

for (const sends of [false, true]) {
  secured(
    `a client that leaves in the handshake, ${sends ? 'behind a hello' : 'at once'}`,
    async (t, kit) => {
      const server = await kit.listen()
      const failed = failure(server)
      const client = t.own(nodeNet.connect(t.to(server))).on('error', () => {})
      // The beginning of a record of a handshake, of which more should follow.
      if (sends) client.write(Buffer.from([22, 3, 1, 2, 0, 1]))
      client.end()
      const { from, ...rest } = await failed
      t.log('failed', rest)
      await t.closed(client)
    },
  )
}

secured('a client that hangs in the handshake', async (t, kit) => {
  const server = await kit.listen({ handshakeTimeout: 20 })
  const failed = failure(server)
  const client = t.own(nodeNet.connect(t.to(server))).on('error', () => {})
  const { from, ...rest } = await failed
  t.log('failed', rest)
  await t.closed(client.resume())
})

for (const rejectUnauthorized of [true, false]) {
  for (const [label, name] of [
    ['good', 'good'],
    ['self-signed', 'self-signed'],
    ['missing', undefined],
  ]) {
    const title = `requestCert, rejectUnauthorized ${rejectUnauthorized}, a certificate that is ${label}`
    secured(title, { both: true }, async (t, kit) => {
      const { key, cert, ca } = all.good
      const server = await kit.listen({ key, cert, ca, requestCert: true, rejectUnauthorized })
      const own = name === undefined ? {} : { key: all[name].key, cert: all[name].cert }
      const end = new Promise(resolve => {
        server.once('secureConnection', socket => {
          resolve([socket.authorized, socket.authorizationError, socket.getPeerCertificate().subject])
        })
        server.once('tlsClientError', (error, socket) => resolve([told(error), socket.remoteAddress !== '']))
      })
      const client = kit.connect(server, { ca, ...own }).on('error', () => {})
      client.resume()
      t.log('server', await end)
      client.destroy()
    })
  }
}

for (const event of ['connection', 'secureConnection', 'keylog', 'data', 'end']) {
  secured(`destroy() in '${event}' of a server's socket`, { both: true }, async (t, kit) => {
    const server = await kit.listen({}, socket => {
      socket.on('data', () => event === 'data' && socket.destroy())
      socket.on('end', () => event === 'end' && socket.destroy())
    })
    if (event === 'connection' || event === 'secureConnection') server.on(event, socket => socket.destroy())
    if (event === 'keylog') server.on('keylog', (_line, socket) => socket.destroy())
    const client = kit.connect(server).on('error', () => {})
    client.resume().end('bytes')
    await t.closed(client)
    server.close()
    await t.closed(server)
    t.log('closed', client.destroyed)
  })
}

secured('a keylog of the server', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const lines = []
  server.on('keylog', (line, socket) => lines.push([String(line).split(' ')[0], socket.encrypted]))
  const mine = []
  const accepted = first(server, 'secureConnection')
  const client = kit.connect(server)
  client.on('keylog', line => mine.push(String(line).split(' ')[0]))
  await Promise.all([accepted, first(client, 'secureConnect')])
  client.end()
  await t.closed(client.resume())
  t.log('server', lines)
  t.log('client', mine.sort())
})

secured('a socket that is given by hand', { both: true }, async (t, kit) => {
  const server = t.own(kit.tls.createServer({ ...identity, ...kit.limits }))
  server.on('secureConnection', socket => {
    t.own(socket)
    t.log('secure', socket.remoteAddress, socket.encrypted, socket instanceof kit.tls.TLSSocket)
    socket.setNoDelay(true)
    socket.setTimeout(100_000)
    socket.unref().ref()
    socket.end('hello')
  })
  const listener = await t.listen({}, socket => server.emit('connection', socket))
  const client = t.own(kit.tls.connect({ ...t.to(listener), ...trust, ...kit.limits }))
  t.log('said', String(await t.drained(client)))
  await t.closed(client)
})

secured('STARTTLS behind a plain exchange', { both: true }, async (t, kit) => {
  const server = t.own(kit.tls.createServer({ ...identity, ...kit.limits }))
  server.on('secureConnection', socket => {
    t.own(socket)
    socket.on('data', data => socket.end(`secret ${data}`))
  })
  const listener = await t.listen({}, socket => {
    socket.once('data', command => {
      t.log('command', command)
      socket.write('go ahead')
      server.emit('connection', socket)
    })
  })
  const below = t.connect(t.to(listener))
  below.write('STARTTLS')
  const [answer] = await once(below, 'data')
  t.log('answer', answer)
  const client = t.own(kit.tls.connect({ socket: below, ...trust, ...kit.limits }))
  t.watch(client, 'client', { also })
  client.once('secureConnect', () => {
    t.log('addresses', client.remoteAddress, client.remotePort === below.remotePort)
    client.write('question')
  })
  client.resume()
  await t.closed(client, below)
})

secured('setSecureContext is for the connections to come', async (t, kit) => {
  const server = await kit.listen(all.good)
  const seen = async () => {
    const { client, peer } = await kit.meet({ over: server, client: { rejectUnauthorized: false } })
    const { fingerprint } = client.getPeerCertificate()
    for (const end of [client, peer]) end.destroy()
    await t.closed(client, peer)
    return fingerprint
  }
  const before = await seen()
  server.setSecureContext(all['self-signed'])
  const after = await seen()
  t.log('changed', before !== after, before.length)
})

secured('pauseOnConnect', async (t, kit) => {
  const server = await kit.listen({ pauseOnConnect: true })
  const { client, peer } = await kit.meet({ over: server })
  t.log('paused', peer.isPaused(), peer.readableFlowing)
  client.end('bytes')
  const said = t.drained(peer)
  peer.resume()
  t.log('said', String(await said))
})

secured('an error that a promise rejects with destroys the socket', async (t, kit) => {
  const server = t.own(
    kit.tls.createServer({ ...identity, captureRejections: true }, async socket => {
      t.own(socket).on('error', error => t.log('error', error.message))
      throw new Error('of the program')
    }),
  )
  server[Symbol.for('nodejs.rejection')](new Error('by hand'), 'secureConnection', {
    destroy: error => t.log('destroyed', error.message),
  })
})
