// What a TLSSocket stands on: a socket of ferronet, whose connection it takes over, or any other stream.

import nodeNet from 'node:net'
import { Duplex } from 'node:stream'
import nodeTls from 'node:tls'
import { also, first, identity, secured, told, trust } from '../helpers/tls.mjs'

const bothClosed = {
  main: [['destroyed', true, true]],
  order: [
    ['below close', false],
    ['secure close', false],
  ],
}

/** Two streams, each of which reads what is written to the other. */
function duplexes() {
  const make = () =>
    new Duplex({
      allowHalfOpen: true,
      read() {},
      write(chunk, _encoding, done) {
        this.other.push(chunk)
        done()
      },
      final(done) {
        this.other.push(null)
        done()
      },
    })
  const [one, other] = [make(), make()]
  one.other = other
  other.other = one
  return [one, other]
}

secured('a stream that is no socket', { both: true }, async (t, kit) => {
  const [near, far] = duplexes()
  const server = t.own(kit.tls.createServer({ ...identity, ...kit.limits }))
  server.on('secureConnection', socket => {
    t.own(socket)
    t.log('server', socket instanceof kit.tls.TLSSocket, socket.encrypted, socket.server === server)
    socket.end('hello')
  })
  server.emit('connection', far)
  const client = t.own(kit.tls.connect({ socket: near, ...trust, ...kit.limits }))
  t.log('client', client instanceof kit.tls.TLSSocket, client instanceof nodeTls.TLSSocket)
  t.log('said', String(await t.drained(client)))
})

secured('names hold for a stream that is no socket', { both: true }, async (t, kit) => {
  const { certificates } = await import('../helpers/certificates.mjs')
  const all = certificates()
  const server = await kit.listen({ ...all.good })
  server.addContext('other.org', all['self-signed'])
  const over = async options => {
    const [near, far] = duplexes()
    const accepted = first(server, 'secureConnection')
    server.emit('connection', far)
    const client = t.own(
      kit.tls.connect({
        socket: near,
        ca: all.good.ca,
        rejectUnauthorized: false,
        ...kit.limits,
        ...options,
      }),
    )
    const session = first(client, 'session')
    const [peer] = await Promise.all([accepted, first(client, 'secureConnect')])
    peer.write('x')
    client.resume()
    await session
    return client
  }
  const client = await over({ servername: 'other.org' })
  t.log('name', client.getPeerCertificate().subject, client.authorizationError)
})

secured("a socket of node:net, under ferronet's server", async (t, kit) => {
  const server = t.own(kit.tls.createServer(identity))
  server.on('secureConnection', socket => {
    t.own(socket)
    t.log('server', socket.remoteAddress, socket instanceof kit.tls.TLSSocket, socket.server === server)
    socket.end('hello')
  })
  const listener = t.own(nodeNet.createServer(socket => server.emit('connection', t.own(socket))))
  await new Promise(resolve => listener.listen(0, '127.0.0.1', resolve))
  const client = t.own(kit.tls.connect({ ...t.to(listener), ...trust }))
  t.log('said', String(await t.drained(client)))
})

secured('TLS in TLS', { both: true }, async (t, kit) => {
  const inner = t.own(kit.tls.createServer({ ...identity, ...kit.limits }))
  inner.on('secureConnection', socket => t.own(socket).end('from inside'))
  const outer = await kit.listen({}, socket => inner.emit('connection', socket))
  const below = kit.connect(outer)
  await first(below, 'secureConnect')
  const client = t.own(kit.tls.connect({ socket: below, ...trust, ...kit.limits }))
  t.log('said', String(await t.drained(client)), client.authorized)
})

secured('a socket that is still connecting', { both: true }, async (t, kit) => {
  const server = await kit.listen({}, socket => socket.end('hello'))
  const below = t.connect(t.to(server))
  const client = t.own(kit.tls.connect({ socket: below, ...trust, ...kit.limits }))
  t.watch(client, 'client', { also })
  t.log('connecting', client.connecting, below.connecting)
  client.resume()
  await t.closed(client, below)
})

secured('a socket that is connected later', async (t, kit) => {
  const server = await kit.listen({}, socket => socket.on('data', data => socket.write(`got ${data}`)))
  const below = t.own(new t.net.Socket())
  const client = t.own(kit.tls.connect({ socket: below, ...trust }))
  client.write('early')
  below.connect(t.to(server))
  t.log('said', String(await first(client, 'data')))
})

secured('a socket that cannot connect', async (t, kit) => {
  const below = t.own(t.net.connect(1, '127.0.0.1'))
  const client = t.own(kit.tls.connect({ socket: below, ...trust }))
  t.watch(below, 'below', { except: ['connectionAttempt', 'connectionAttemptFailed', 'lookup'] })
  t.watch(client, 'client', { also })
  await t.closed(below, client)
})

secured('new TLSSocket by hand, both sides', { both: true }, async (t, kit) => {
  const { client: near, peer: far } = await t.pair()
  const { TLSSocket } = kit.tls
  const server = t.own(new TLSSocket(far, { isServer: true, ...identity, ...kit.limits }))
  const client = t.own(new TLSSocket(near, { ca: trust.ca, ...kit.limits }))
  client.setServername('localhost')
  for (const [name, socket] of Object.entries({ client, server })) {
    t.watch(socket, name, { also, except: ['drain'] })
    t.log(name, socket.encrypted, socket.remoteAddress, socket.authorized, socket.secureConnecting)
  }
  const both = Promise.all([first(client, 'secure'), first(server, 'secure')])
  client._start()
  await both
  // Nobody has looked at the certificate.
  t.log('authorized', client.authorized, client.authorizationError, server.servername)
  const said = t.drained(server)
  client.end('hello')
  t.log('said', String(await said))
  await t.closed(client, server, near, far)
})

secured('a secure context of the program, both sides', { both: true }, async (t, kit) => {
  const { createSecureContext } = kit.tls
  const { client: near, peer: far } = await t.pair()
  const forServer = createSecureContext({ ...identity, ...kit.limits })
  const server = t.own(new kit.tls.TLSSocket(far, { isServer: true, secureContext: forServer }))
  const secureContext = createSecureContext({ ca: trust.ca, ...kit.limits })
  const client = t.own(kit.tls.connect({ socket: near, secureContext, servername: 'localhost' }))
  await Promise.all([first(client, 'secureConnect'), first(server, 'secure')])
  t.log('client', client.authorized, client.getProtocol(), client.getPeerCertificate().subject)
  // The same again, and the other way round: Node's own tls uses it as well.
  const pair = await t.pair()
  const again = t.own(new kit.tls.TLSSocket(pair.peer, { isServer: true, secureContext: forServer }))
  const node = t.own(nodeTls.connect({ socket: pair.client, secureContext, servername: 'localhost' }))
  await Promise.all([first(again, 'secure'), first(node, 'secureConnect')])
  t.log('node', node.authorized)
})

secured('a context of node:tls is used by its own engine', async (t, kit) => {
  const { client: near, peer: far } = await t.pair()
  t.own(new kit.tls.TLSSocket(far, { isServer: true, ...identity }))
  const secureContext = nodeTls.createSecureContext({ ca: trust.ca })
  const client = t.own(kit.tls.connect({ socket: near, secureContext, servername: 'localhost' }))
  await first(client, 'secureConnect')
  t.log('authorized', client.authorized)
})

for (const who of ['the TLSSocket', 'the socket below']) {
  // Node's TLSSocket tells of a write that was cancelled, after its 'close', if the socket below is destroyed.
  const comparable = who === 'the TLSSocket' ? {} : { module: 'ferronet', expected: bothClosed }
  secured(`destroy() of ${who} closes both`, { both: true, ...comparable }, async (t, kit) => {
    const { client: near, peer: far } = await t.pair()
    t.own(new kit.tls.TLSSocket(far, { isServer: true, ...identity, ...kit.limits })).on('error', () => {})
    const client = t.own(kit.tls.connect({ socket: near, ...trust, ...kit.limits }))
    await first(client, 'secureConnect')
    t.watch(near, 'below', { into: 'order' })
    t.watch(client, 'secure', { into: 'order' })
    ;(who === 'the TLSSocket' ? client : near).destroy()
    await t.closed(client, near)
    t.log('destroyed', client.destroyed, near.destroyed)
  })
}

secured('an idle timer of the socket below counts what happens above', async (t, kit) => {
  const { client: near, peer: far } = await t.pair()
  const server = t.own(new kit.tls.TLSSocket(far, { isServer: true, ...identity }))
  server.resume()
  const client = t.own(kit.tls.connect({ socket: near, ...trust }))
  await first(client, 'secureConnect')
  near.setTimeout(10)
  await first(near, 'timeout')
  t.log('timeout', near.timeout, client.destroyed)
})

secured('what is written to the socket below before leaves before', { both: true }, async (t, kit) => {
  const big = Buffer.alloc(3_000_000, 'plain')
  const { client: near, peer: far } = await t.pair()
  let length = 0
  far.on('data', function listener(chunk) {
    length += chunk.length
    if (length < big.length) return
    far.removeListener('data', listener)
    far.pause()
    t.log('plain')
    if (length > big.length) far.unshift(chunk.subarray(big.length - length))
    const server = t.own(new kit.tls.TLSSocket(far, { isServer: true, ...identity, ...kit.limits }))
    server.on('data', data => t.log('secret', data))
    server.on('error', error => t.log('error', told(error)))
    server.on('end', () => server.end())
  })
  near.write(big)
  const client = t.own(kit.tls.connect({ socket: near, ...trust, ...kit.limits }))
  client.resume().end('secret')
  await t.closed(client)
})

for (const who of ['the TLSSocket', 'the socket below']) {
  secured(
    `a write that waits is cancelled by destroy() of ${who}`,
    { module: 'ferronet' },
    async (t, kit) => {
      const { client: near, peer: far } = await t.pair()
      t.own(new kit.tls.TLSSocket(far, { isServer: true, ...identity }))
        .on('error', () => {})
        .pause()
      const client = t.own(kit.tls.connect({ socket: near, ...trust })).on('error', () => {})
      await first(client, 'secureConnect')
      const written = new Promise(resolve => client.write(Buffer.alloc(20_000_000), resolve))
      ;(who === 'the TLSSocket' ? client : near).destroy()
      const error = await written
      if (!(error instanceof Error)) throw new Error('taken for written')
      await t.closed(client, near)
    },
  )
}

for (const ca of [trust.ca, undefined]) {
  secured(
    `a program that judges by itself, ${ca ? 'trusted' : 'not trusted'}`,
    { both: true },
    async (t, kit) => {
      const { client: near, peer: far } = await t.pair()
      const isServer = { isServer: true, ...identity, ...kit.limits }
      t.own(new kit.tls.TLSSocket(far, isServer)).on('error', () => {})
      const secureContext = kit.tls.createSecureContext({ ca, ...kit.limits })
      const options = { rejectUnauthorized: true, requestCert: true, secureContext, isServer: false }
      const client = t.own(new kit.tls.TLSSocket(near, options))
      client.on('secure', function () {
        const error = this.ssl.verifyError()
        t.log('verdict', error && told(error))
      })
      const done = first(client, 'secure')
      client._start()
      await done
      t.log('authorized', client.authorized, client.destroyed)
      client.destroy()
      t.log('after', client.ssl)
    },
  )
}

for (const yes of [true, 1, 'yes']) {
  for (const rejectUnauthorized of [yes, false, 0, undefined]) {
    secured(
      `a client without a certificate, at a server with ${JSON.stringify(yes)} and ${JSON.stringify(rejectUnauthorized)}`,
      { both: true },
      async (t, kit) => {
        const { client: near, peer: far } = await t.pair()
        const asks = { isServer: yes, requestCert: yes, rejectUnauthorized }
        const server = t.own(new kit.tls.TLSSocket(far, { ...asks, ...identity, ...kit.limits }))
        const judged = new Promise(resolve => {
          server.once('error', error => resolve(['error', error.code]))
          server.once('secure', () => resolve(['secure', server.ssl.verifyError()?.code]))
        })
        const client = t.own(kit.tls.connect({ socket: near, ...trust, ...kit.limits }))
        client.on('error', () => {})
        t.log('server', ...(await judged), server.authorized)
        client.destroy()
        server.destroy()
      },
    )
  }
}
