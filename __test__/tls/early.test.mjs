// What a program says, or does, before there is a handshake.

import assert from 'node:assert/strict'
import { createServer, connect as plainConnect } from 'node:net'
import { certificates } from '../helpers/certificates.mjs'
import { also, first, identity, outcome, secured, told } from '../helpers/tls.mjs'

const all = certificates()

for (const none of [undefined, null, false, 0, '']) {
  secured(`checkServerIdentity returns ${JSON.stringify(none)}`, async (t, kit) => {
    const server = await kit.listen()
    const client = kit.connect(server, { checkServerIdentity: () => none })
    t.log('outcome', await outcome(client), client.secureConnecting)
  })
}

// Node 24 and 26 abort the process.
secured('a signal that is aborted already', { module: 'ferronet' }, async (t, kit) => {
  const server = await kit.listen()
  server.on('secureConnection', () => t.log('secureConnection'))
  const client = kit.connect(server, { signal: AbortSignal.abort() })
  client.write('not to be seen')
  assert.equal((await first(client, 'error')).name, 'AbortError')
  await t.until(() => client.destroyed)
})

secured('names and sessions that are set behind connect()', { engine: 'openssl' }, async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2' })
  const session = await kit.earned(server)
  const asked = first(server, 'secureConnection')
  const client = kit.connect(server, { servername: 'localhost', checkServerIdentity: () => undefined })
  client.setServername('example.org')
  client.setSession(session)
  t.log('outcome', await outcome(client), client.isSessionReused(), (await asked).servername)
})

secured('the size of records that is set before the handshake', async (t, kit) => {
  const server = await kit.listen({ maxVersion: 'TLSv1.2' })
  const parts = []
  const between = t.own(
    createServer(socket => {
      const on = t.own(plainConnect(server.address().port, '127.0.0.1'))
      socket.on('error', () => {})
      on.on('error', () => {})
      socket.on('data', data => parts.push(data))
      socket.pipe(on).pipe(socket)
    }),
  )
  await new Promise(resolve => between.listen(0, '127.0.0.1', resolve))
  const accepted = first(server, 'secureConnection')
  const client = kit.connect(between)
  t.log('sizes', client.setMaxSendFragment(511), client.setMaxSendFragment(16_385))
  t.log('sizes', client.setMaxSendFragment(512))
  const peer = await accepted
  let got = 0
  peer.on('data', data => (got += data.length))
  client.write(Buffer.alloc(10_000))
  await t.until(() => got === 10_000)
  let largest = 0
  const sent = Buffer.concat(parts)
  for (let at = 0; at < sent.length; at += 5 + sent.readUInt16BE(at + 3)) {
    if (sent[at] === 23) largest = Math.max(largest, sent.readUInt16BE(at + 3))
  }
  t.log('largest record of data is small', largest > 512 && largest < 600)
})

secured("a listener of 'connection' turns a client away", { both: true }, async (t, kit) => {
  const server = await kit.listen({}, () => t.log('secureConnection'))
  server.on('connection', socket => socket.end())
  const failed = first(server, 'tlsClientError')
  const client = kit.connect(server)
  client.on('error', () => {})
  client.write('not to be seen')
  t.log('tlsClientError', (await failed).code)
  await t.closed(client)
})

secured("a client that says nothing: the server's listener sees the socket as it is", async (t, kit) => {
  const server = await kit.listen({ handshakeTimeout: 50 })
  server.removeAllListeners('tlsClientError')
  const silent = t.own(plainConnect(server.address().port, '127.0.0.1')).on('error', () => {})
  const failed = new Promise(resolve => {
    server.once('tlsClientError', (error, socket) => {
      t.log('timed out', error.code, socket.destroyed, socket.writable, socket.errored, socket.remoteAddress)
      t.log('the same client', socket.remotePort === silent.localPort)
      socket
        .on('error', error => t.log('error', error.code))
        .on('close', hadError => t.log('close', hadError))
      socket.destroy()
      resolve(socket)
    })
  })
  await t.closed(await failed)
})

for (const [name, bytes] of [
  ['without a word', ''],
  ['in the middle of a record', Buffer.from([22, 3, 1, 0, 100])],
]) {
  secured(`a client that hangs up ${name}`, async (t, kit) => {
    const server = await kit.listen()
    server.removeAllListeners('tlsClientError')
    server.on('connection', raw => raw.on('close', hadError => t.log('close', hadError)))
    const failed = new Promise(resolve => server.once('tlsClientError', (...args) => resolve(args)))
    t.own(plainConnect(server.address().port, '127.0.0.1'))
      .on('error', () => {})
      .end(bytes)
    const [error, socket] = await failed
    t.log('tlsClientError', error.code, error.message, socket.destroyed, socket.errored)
  })
}

const onceMore = { since: '20.17', both: true }

secured("a listener's `this`, and a certificate that ALPNCallback chooses", onceMore, async (t, kit) => {
  const { good } = all
  const seen = []
  const options = {
    SNICallback(_name, done) {
      seen.push('SNICallback', this instanceof kit.tls.TLSSocket)
      done(null)
    },
    ALPNCallback({ servername }) {
      seen.push('ALPNCallback', this instanceof kit.tls.TLSSocket)
      if (servername === 'localhost') this.setKeyCert(good)
      return 'a'
    },
  }
  const server = await kit.listen(options)
  for (const servername of ['localhost', 'example.org']) {
    const client = kit.connect(server, {
      servername,
      ca: [good.ca, identity.cert],
      ALPNProtocols: ['a'],
      checkServerIdentity() {
        t.log('its options', this.servername)
      },
    })
    t.log('outcome', await outcome(client), client.getPeerCertificate().fingerprint256, seen.splice(0).sort())
    client.destroy()
  }
})

secured('setKeyCert() where there is nothing to show, or nobody to show it to', onceMore, async (t, kit) => {
  const { good } = all
  const attempt = (name, socket, given) => {
    try {
      t.log(name, socket.setKeyCert(given))
    } catch (error) {
      t.log(name, error.name, error.code, error.message)
    }
  }
  const wrong = [{}, { key: good.key }, undefined, 'text', 5]
  const server = await kit.listen({
    ALPNCallback() {
      for (const given of wrong) attempt('early', this, given)
      return 'a'
    },
  })
  const { client, peer } = await kit.meet({ over: server, client: { ALPNProtocols: ['a'] } })
  for (const given of wrong) {
    attempt('late', peer, given)
    attempt('client', client, given)
  }
  attempt('late', peer, good)
  attempt('client', client, good)
  peer.end('all the same')
  t.log('read', String(await first(client, 'data')))
  await t.closed(client, peer)
  attempt('after', peer, good)
})

secured('setKeyCert() and enableTrace() behind connect()', { since: '20.17' }, async (t, kit) => {
  const server = await kit.listen()
  const port = server.address().port
  server.close()
  await first(server, 'close')
  const client = t.own(kit.tls.connect({ host: '127.0.0.1', port }))
  t.log('done', client.setKeyCert(all.good), client.enableTrace())
  t.log('outcome', (await outcome(client)).code)
  t.log('done', client.setKeyCert(all.good), client.enableTrace())
})

for (const [when, run] of [
  ['at once', (_client, end) => end()],
  ["in 'connect'", (client, end) => client.once('connect', end)],
  ['when the hello has been sent', (client, end) => client.once('connect', () => process.nextTick(end))],
]) {
  secured(
    `end() ${when}: nothing waits, and the server hears of a hang-up`,
    { both: true },
    async (t, kit) => {
      const server = await kit.listen()
      server.removeAllListeners('tlsClientError')
      const failed = first(server, 'tlsClientError')
      const client = kit.connect(server)
      t.watch(client, 'client', { also, except: ['lookup'] })
      run(client, () => client.end())
      client.resume()
      t.log('tlsClientError', told(await failed))
      await t.closed(client)
    },
  )
}

secured('end() for a server that does not answer', async (t, kit) => {
  const server = t.own(createServer({ allowHalfOpen: true }))
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const accepted = first(server, 'connection')
  const client = kit.connect(server)
  const peer = t.own(await accepted)
  await first(peer, 'data')
  const finished = first(client, 'finish')
  client.end()
  peer.resume()
  await Promise.all([finished, first(peer, 'end')])
  t.log('state', client.readyState, client.secureConnecting)
})

secured('end() with a word waits for the handshake', { both: true }, async (t, kit) => {
  const server = await kit.listen()
  const accepted = first(server, 'secureConnection')
  const client = kit.connect(server)
  t.watch(client, 'client', { also, except: ['lookup'] })
  client.end('a word')
  client.resume()
  const peer = await accepted
  t.log('read', String(await t.drained(peer)))
  await t.closed(client, peer)
})

const chainOf = certificate =>
  certificate ? [certificate.subject, ...chainOf(certificate.issuerCertificate)] : []

secured('certificates before the handshake and behind it', { both: true }, async (t, kit) => {
  for (const name of ['good', 'intermediate sent', 'self-signed and trusted']) {
    const { key, cert, ca } = all[name]
    const server = await kit.listen({ key, cert, ca, requestCert: true })
    const accepted = first(server, 'secureConnection')
    const client = kit.connect(server, { key, cert, ca, servername: 'localhost' })
    t.log('own', client.getCertificate()?.subject, client.getX509Certificate()?.fingerprint256)
    await first(client, 'secureConnect')
    const peer = await accepted
    for (const end of [client, peer]) {
      t.log('own', end.getCertificate()?.subject, chainOf(end.getX509Certificate()))
    }
    // Once, for Node gives something else the second time. Node 24 knows no issuers on the server's side.
    t.log("the peer's", chainOf(client.getPeerX509Certificate()), peer.getPeerX509Certificate().subject)
    client.destroy()
    await t.closed(client, peer)
    t.log('closed', client.getCertificate(), client.getX509Certificate(), client.getPeerX509Certificate())
  }
})

for (const listens of [false, true]) {
  secured(`highWaterMark of a server, ${listens ? 'with' : 'without'} a plain socket`, async (t, kit) => {
    for (const highWaterMark of [1000, 0, undefined]) {
      const server = await kit.listen({ highWaterMark })
      if (listens)
        server.on('connection', raw => t.log('raw', raw.writableHighWaterMark, raw.readableHighWaterMark))
      const { client, peer } = await kit.meet({ over: server, client: { highWaterMark } })
      for (const end of [client, peer]) t.log('marks', end.writableHighWaterMark, end.readableHighWaterMark)
      client.destroy()
      await t.closed(client, peer)
    }
  })
}

// As Node up to 22 does; newer ones drop it.
secured(
  "what is written in 'secureConnect' leaves before a destroy() right behind it",
  { both: true, engine: 'openssl', module: 'ferronet' },
  async (t, kit) => {
    for (const size of [1, 20_000]) {
      const server = await kit.listen()
      const accepted = first(server, 'secureConnection')
      const client = kit.connect(server)
      const called = new Promise(resolve => {
        client.once('secureConnect', () => {
          client.write(Buffer.alloc(size), resolve)
          client.destroy()
        })
      })
      const peer = await accepted
      assert.equal((await t.drained(peer)).length, size)
      assert.equal((await called) ?? null, null)
      await t.closed(client)
    }
  },
)

// Node leaves the socket to whoever listens.
secured(
  "a listener of 'tlsClientError' that throws: a silent client is gone",
  { module: 'ferronet' },
  async (t, kit) => {
    const server = await kit.listen({ handshakeTimeout: 50 })
    server.removeAllListeners('tlsClientError')
    server.once('tlsClientError', () => {
      throw new Error('boom')
    })
    const thrown = new Promise(resolve => t.catchUncaught(resolve))
    const silent = t.own(plainConnect(server.address().port, '127.0.0.1')).on('error', () => {})
    const closed = first(silent.resume(), 'close')
    assert.equal((await thrown).message, 'boom')
    await closed
  },
)

// On node:tls resetAndDestroy() throws: its handle is none of TCP.
secured('a client over a socket is reset before its handshake', { module: 'ferronet' }, async (t, kit) => {
  const server = t.own(createServer())
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const accepted = first(server, 'connection')
  const lower = t.connect(t.to(server))
  await first(lower, 'connect')
  const peer = t.own(await accepted)
  const failed = first(peer, 'error')
  const client = kit.connect(server, { socket: lower })
  const closed = t.closed(client, lower)
  client.resetAndDestroy()
  assert.equal((await failed).code, 'ECONNRESET')
  await closed
})
