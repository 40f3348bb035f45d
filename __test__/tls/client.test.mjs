// `connect()` of ferronet/tls: its arguments, the order of its events, whom it believes, and how it ends.

import { certificates } from '../helpers/certificates.mjs'
import { also, first, identity, outcome, secured, told, trust } from '../helpers/tls.mjs'

const all = certificates()

secured('the events of a client, and of the socket of its server', { both: true }, async (t, kit) => {
  let peer
  const server = await kit.listen({}, socket => {
    peer = socket
    t.watch(socket, 'server', { also })
    socket.on('data', data => socket.end(`got ${data}`))
  })
  const client = kit.connect(server)
  t.watch(client, 'client', { also, into: 'client' })
  client.on('secureConnect', () => {
    t.log.to('client')('facts', client.authorized, client.encrypted, client.alpnProtocol, client.servername)
    t.log.to('client')('ends', client.remoteAddress, client.remoteFamily, client.secureConnecting)
    client.write('question')
  })
  client.resume()
  await t.closed(client)
  await t.closed(peer)
})

secured('a listener of secure comes behind those of secureConnect', async (t, kit) => {
  const server = await kit.listen()
  const client = kit.connect(server)
  client.on('secure', () => t.log('secure', client.secureConnecting, client.authorized))
  client.on('secureConnect', () => t.log('secureConnect', client.secureConnecting, client.authorized))
  await first(client, 'secure')
})

secured('the arguments of connect', async (t, kit) => {
  const { tls } = kit
  const server = await kit.listen({ host: undefined })
  const { port } = server.address()
  const host = '127.0.0.1'
  const done = []
  const made = [
    resolve => tls.connect({ port, host, ...trust }, resolve),
    resolve => tls.connect(port, host, trust, resolve),
    resolve => tls.connect(port, { host, ...trust }, resolve),
    resolve => tls.connect(String(port), host, trust, resolve),
    resolve => tls.connect(port, trust, resolve),
  ]
  for (const make of made) {
    const client = await new Promise(resolve => {
      const socket = t.own(make(() => resolve(socket)))
    })
    done.push(client.authorized)
    client.destroy()
  }
  t.log('done', done)
})

secured('a path', { on: 'unix' }, async (t, kit) => {
  const path = t.socketPath()
  const server = t.own(kit.tls.createServer(identity, socket => t.own(socket).end('by path')))
  await new Promise(resolve => server.listen(path, resolve))
  const client = t.own(kit.tls.connect(path, trust))
  t.log('said', String(await t.drained(client)), client.remoteAddress)
})

// As Node 26 says it.
if (Number.parseInt(process.versions.node, 10) >= 26)
  secured('wrong options', async (t, { tls }) => {
    const wrong = {
      'no port': {},
      'a port out of range': { port: -1 },
      servername: { port: 1, servername: 5 },
      minDHSize: { port: 1, minDHSize: 'a' },
      'minDHSize 0': { port: 1, minDHSize: 0 },
      checkServerIdentity: { port: 1, checkServerIdentity: 1 },
      enableTrace: { port: 1, enableTrace: 5 },
      ciphers: { port: 1, ciphers: 5 },
      'no such cipher': { port: 1, ciphers: 'nonsense' },
      ca: { port: 1, ca: {} },
      cert: { port: 1, cert: 'nonsense' },
      key: { port: 1, key: 'nonsense' },
      minVersion: { port: 1, minVersion: 'x' },
      'two ways to say the version': { port: 1, minVersion: 'TLSv1.2', secureProtocol: 'TLSv1_2_method' },
      pskCallback: { port: 1, pskCallback: 4 },
      timeout: { port: 1, timeout: 'x' },
      lookup: { port: 1, lookup: 5 },
      session: { port: 1, session: 5 },
    }
    for (const [label, options] of Object.entries(wrong)) {
      try {
        // A socket that is made before its options are refused never gets an address.
        const nowhere = { host: 'made.up', lookup() {} }
        t.own(tls.connect({ ...(options.port === 1 ? nowhere : {}), ...options })).on('error', () => {})
        t.log(label, 'accepted')
      } catch (error) {
        t.log(label, error.name, told(error))
      }
    }
  })

for (const name of ['expired', 'wrong host', 'self-signed', 'not trusted', 'good']) {
  const { key, cert, ca } = all[name]
  secured(`a server whose certificate is: ${name}`, { both: true }, async (t, kit) => {
    const server = await kit.listen({ key, cert })
    for (const rejectUnauthorized of [true, false]) {
      const client = kit.connect(server, { ca, rejectUnauthorized })
      t.watch(client, `client, ${rejectUnauthorized}`, {
        also,
        except: ['error', 'data', 'end', 'finish', 'prefinish'],
      })
      t.log('outcome', await outcome(client), client.authorizationError)
      client.destroy()
      await t.closed(client)
    }
  })
}

secured('no data is delivered, and none sent, if the server is not believed', async (t, kit) => {
  const { key, cert } = all['self-signed']
  const server = await kit.listen({ key, cert }, socket => {
    socket.on('data', data => t.log('sent', data))
    socket.write('for nobody')
  })
  const client = kit.connect(server, { ca: undefined })
  client.on('data', data => t.log('delivered', data))
  client.write('a password')
  t.log('outcome', await outcome(client))
  await t.closed(client)
})

secured('a server that knows none of our ciphers', async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })
  const failed = new Promise(resolve =>
    server.once('tlsClientError', (error, socket) => resolve([told(error).code, socket.remoteAddress])),
  )
  const client = kit.connect(server, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' })
  const { code } = await outcome(client)
  t.log('client', /ALERT_HANDSHAKE_FAILURE/.test(code))
  t.log('server', await failed)
})

secured('a server that ends the connection in the handshake', async (t, kit) => {
  const server = await t.listen({}, socket => {
    socket.once('data', () => socket.end())
  })
  const client = kit.connect(server)
  t.watch(client, 'client', { also })
  await t.closed(client)
})

secured('a server that speaks no TLS', async (t, kit) => {
  const server = await t.listen({}, socket => socket.end('220 hello, this is not TLS\r\n'))
  const client = kit.connect(server)
  const { code, reason } = await outcome(client)
  t.log('outcome', code, reason)
  await t.closed(client)
})

secured('nobody listens', async (t, kit) => {
  const client = t.own(kit.tls.connect({ host: '127.0.0.1', port: 1, ...trust }))
  t.watch(client, 'client', { also })
  await t.closed(client)
})

for (const event of ['connect', 'ready', 'secure', 'secureConnect', 'session', 'keylog', 'data', 'end']) {
  secured(`destroy() in '${event}'`, { both: true }, async (t, kit) => {
    const server = await kit.listen({}, socket => socket.end('bytes'))
    const client = kit.connect(server)
    client.on('error', error => t.log('error', error.message))
    client.on('close', hadError => t.log('close', hadError))
    client.once(event, () => {
      t.log(event)
      client.destroy()
    })
    client.resume()
    await t.closed(client)
    t.log('destroyed', client.destroyed, client.readyState)
  })
}

secured('destroy() right behind connect()', async (t, kit) => {
  const server = await kit.listen()
  const client = kit.connect(server)
  t.watch(client, 'client', { also })
  client.destroy()
  await t.closed(client)
})

secured('a signal', async (t, kit) => {
  const server = await kit.listen()
  const controller = new AbortController()
  const client = kit.connect(server, { signal: controller.signal })
  t.watch(client, 'client', { also, except: ['lookup', 'connectionAttempt'] })
  client.once('secureConnect', () => controller.abort())
  await t.closed(client)
})

secured('allowHalfOpen lets the answer come behind the end', { both: true }, async (t, kit) => {
  const server = await kit.listen({ allowHalfOpen: true }, socket => {
    t.drained(socket).then(question => {
      t.log('question', question)
      socket.end('a late answer')
    })
  })
  const client = kit.connect(server, { allowHalfOpen: true })
  const answer = t.drained(client)
  client.end('question')
  t.log('answer', await answer)
  await t.closed(client)
})

secured('onread', async (t, kit) => {
  const server = await kit.listen({}, socket => socket.end('into the buffer'))
  const parts = []
  const onread = {
    buffer: Buffer.alloc(4),
    callback: (length, buffer) => {
      parts.push(buffer.toString('latin1', 0, length))
      return true
    },
  }
  const client = kit.connect(server, { onread })
  client.resume()
  await t.closed(client)
  t.log('read', parts.join(''), Math.max(...parts.map(part => part.length)))
})

secured('the option timeout', async (t, kit) => {
  const server = await kit.listen()
  const client = kit.connect(server, { timeout: 5 })
  await first(client, 'timeout')
  t.log('timeout', client.timeout, client.destroyed)
})

secured('lookup and the name that is asked for', async (t, kit) => {
  const server = await kit.listen()
  const { client } = await kit.meet({
    over: server,
    client: {
      host: 'localhost',
      servername: undefined,
      lookup: (name, options, done) => {
        t.log('lookup', name)
        done(null, options.all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4)
      },
    },
  })
  t.log('client', client.authorized, client.servername)
})

secured('what is written before the handshake is sent behind it', { both: true }, async (t, kit) => {
  let said
  const server = await kit.listen({}, socket => (said = t.drained(socket)))
  const client = kit.connect(server)
  t.log('written', client.write('one '), client.connecting)
  client.write('two ', () => t.log('callback', client.secureConnecting))
  client.end('three')
  await t.closed(client)
  t.log('said', await said)
})

secured('methods that come too late, and facts before and after', async (t, kit) => {
  const server = await kit.listen()
  const facts = (socket, begun = true) => ({
    peer: socket.getPeerCertificate(),
    own: socket.getCertificate(),
    cipher: socket.getCipher(),
    sigalgs: socket.getSharedSigalgs(),
    key: begun && socket.getEphemeralKeyInfo(),
    finished: socket.getFinished(),
    protocol: socket.getProtocol(),
    session: socket.getSession(),
    ticket: socket.getTLSTicket(),
    reused: socket.isSessionReused(),
  })
  const client = kit.connect(server)
  // Node 24 and 26 end the process when they are asked for the key exchange here.
  t.log('before', facts(client, false))
  t.attempt('too early', () => client.exportKeyingMaterial(16, 'label'))
  await first(client, 'secureConnect')
  t.log('material', client.exportKeyingMaterial(16, 'label').length)
  t.attempt('length', () => client.exportKeyingMaterial('x', 'label'))
  t.attempt('label', () => client.exportKeyingMaterial(16, 5))
  t.log('fragment', client.setMaxSendFragment(1024), client.setMaxSendFragment(5))
  t.log('address', client.address().family, client.localAddress)
  client.destroy()
  t.log('after', facts(client), client.authorized, client.encrypted)
})

secured('renegotiate, and its limits', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const { client, peer } = await kit.meet({ over: server })
  client.resume()
  t.attempt('without options', () => client.renegotiate())
  t.attempt('a callback that is none', () => client.renegotiate({}, 5))
  const ended = error => t.log('ended', error && told(error))
  const done = new Promise(resolve => {
    const begun = client.renegotiate({}, error => resolve(ended(error)))
    t.log('begun', begun)
  })
  await done
  t.log('open', client.destroyed, peer.destroyed)
  client.destroy()
  t.log(
    'destroyed',
    client.renegotiate({}, () => t.log('never')),
  )
})

secured('disableRenegotiation', async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2' })
  const { client, peer } = await kit.meet({ over: server })
  const failed = first(peer, 'error')
  peer.disableRenegotiation()
  client.resume()
  client.on('error', () => {})
  client.renegotiate({}, () => {})
  t.log('error', told(await failed).code)
})

// The TLS of Bun and Deno has no setKeyCert(), and words of its own.
secured(
  'a setKeyCert before the handshake leaves all else as it was',
  { both: true, since: '20.17', on: 'libuv' },
  async (t, kit) => {
    const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256'
    const server = await t.listen({}, raw => {
      const peer = t.own(new kit.tls.TLSSocket(raw, { isServer: true, ...identity, ...kit.limits, ciphers }))
      peer.setKeyCert(all.good)
      peer.on('secure', () => peer.end('x'))
    })
    const client = kit.connect(server, { ca: all.good.ca })
    await first(client, 'secureConnect')
    t.log('client', client.authorized, client.getCipher().name)
    client.resume()
    await t.closed(client)
  },
)

for (const [label, ca] of Object.entries({ 'no authority': undefined, 'an authority': all.good.ca })) {
  const title = `a setKeyCert before the handshake, of a context with ${label}: what a client is verified with`
  secured(title, { both: true, since: '20.17', on: 'libuv' }, async (t, kit) => {
    const asking = { requestCert: true, rejectUnauthorized: false, ca: all['self-signed'].ca }
    const server = await t.listen({}, raw => {
      const options = { isServer: true, ...identity, ...kit.limits, ...asking }
      const peer = t.own(new kit.tls.TLSSocket(raw, options))
      peer.setKeyCert(kit.tls.createSecureContext({ ...all.good, ca }))
      peer.on('secure', () => {
        const error = peer.ssl.verifyError()
        t.log('client is', peer.getPeerCertificate().subject?.CN, error && told(error))
        peer.end('x')
      })
    })
    for (const own of [all['self-signed'], all.good, {}]) {
      const client = kit.connect(server, { ...own, ca: all.good.ca })
      await first(client, 'secureConnect')
      client.resume()
      await t.closed(client)
    }
  })
}

secured('a setKeyCert before the handshake', { module: 'ferronet' }, async (t, kit) => {
  const { client: near, peer: far } = await t.pair()
  const server = t.own(new kit.tls.TLSSocket(far, { isServer: true, ...all['self-signed'] }))
  server.setKeyCert(all.good)
  const client = t.own(kit.tls.connect({ socket: near, ca: all.good.ca, servername: 'localhost' }))
  await first(client, 'secureConnect')
  if (!client.authorized) throw new Error('another certificate')
})
