// A socket below a TLS or HTTP/2 session of Node's: one that is not connected (yet), what the session asks of it, and the
// order in which the two close.

import { once } from 'node:events'
import http2 from 'node:http2'
import tls from 'node:tls'
import { identity, trust } from '../fixtures/interop/certificate.mjs'
import { parity, parityProcess } from '../helpers/parity.mjs'

// Sessions for whatever connects; the server's ends of the connections are in `peers`.
async function secureServer(t, onSession = () => {}) {
  const secure = tls.createServer({ ...identity, maxVersion: 'TLSv1.2' })
  secure.on('tlsClientError', () => {})
  secure.on('secureConnection', session => {
    t.own(session)
      .on('error', () => {})
      .resume()
    onSession(session)
  })
  const peers = []
  const server = await t.listen({}, peer => {
    peers.push(peer)
    secure.emit('connection', peer)
  })
  return { server, secure, peers }
}

async function session(t) {
  const { server, secure, peers } = await secureServer(t)
  const raw = t.connect(t.to(server))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  client.on('error', () => {}).resume()
  await Promise.all([once(client, 'secureConnect'), once(secure, 'secureConnection')])
  return { server, raw, client, peer: peers[0] }
}

// Only what is promised of the two together. First of the listeners: the session is one of the connection's, and Node's
// closes within its own.
function watchCloses(t, raw, client) {
  const except = ['connect', 'ready', 'data', 'end', 'drain', 'prefinish', 'finish', 'error']
  for (const [name, socket] of Object.entries({ raw, client })) {
    socket.prependListener('close', () => t.log(`${name} close`))
    t.watch(socket, name, { except: [...except, 'close'] })
  }
}

// --- not connected -------------------------------------------------------------------------------------------------

parity('a session over a socket that nobody connects waits', async t => {
  const raw = new t.net.Socket()
  const client = tls.connect({ ...trust, socket: raw })
  for (const socket of [raw, client]) t.own(socket).on('error', error => t.log('error', error))
  await t.quiet()
  t.log('waits', raw.destroyed, client.destroyed, client.secureConnecting)
})

for (const first of ['raw', 'client']) {
  parity(
    `a session over a socket that nobody connected ends with the ${first === 'raw' ? 'socket' : 'session'}`,
    async t => {
      const raw = t.own(new t.net.Socket())
      const client = t.own(tls.connect({ ...trust, socket: raw }))
      for (const socket of [raw, client]) socket.on('error', error => t.log('error', error))
      watchCloses(t, raw, client)
      await t.turns(2)
      ;(first === 'raw' ? raw : client).destroy()
      await t.closed(raw, client)
      t.log('gone', raw.destroyed, client.destroyed)
    },
  )
}

parity('a session over a socket that is connected later', async t => {
  const { server } = await secureServer(t, session => session.end('hello'))
  const raw = t.own(new t.net.Socket())
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  client.write('written before')
  const arrived = t.drained(client)
  await t.turns(2)
  raw.connect(t.to(server))
  t.log('arrived', await arrived)
})

parity('a session over a socket whose late connection is refused', async t => {
  const raw = t.own(new t.net.Socket())
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  client.on('error', error => t.log('error', error.code))
  await t.turns(2)
  // No port of a server that has closed: another test may have it by now.
  raw.connect({ host: '127.0.0.1', port: 1 })
  await t.closed(raw, client)
})

parity('a session over a socket that was closed before', async t => {
  const { server } = await secureServer(t)
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  raw.destroy()
  await t.closed(raw)
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  client.on('error', error => t.log('error', error))
  await t.quiet()
  t.log('destroyed', client.destroyed)
})

// --- closed under way --------------------------------------------------------------------------------------------------

for (const how of ['destroy', 'end']) {
  for (const when of ['while it connects', 'when it is connected']) {
    parity(`the peer’s ${how} at once is ECONNRESET for a session begun ${when}`, async t => {
      const server = await t.listen({}, peer => peer[how]())
      const raw = t.connect(t.to(server))
      if (when === 'when it is connected') await once(raw, 'connect')
      const client = t.own(tls.connect({ ...trust, socket: raw }))
      const [error] = await once(client, 'error')
      // Whether the ClientHello leaves before the peer has gone decides between an end and a reset, both with this code.
      if (how === 'destroy') t.log('error', error.code)
      else t.log('error', error.code, error.message)
      await t.closed(raw, client)
    })
  }
}

parity('a connection destroyed here in mid-handshake is no error of the session', async t => {
  const server = await t.listen()
  const raw = t.connect(t.to(server))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  client.on('error', error => t.log('error', error))
  watchCloses(t, raw, client)
  await once(server, 'connection')
  raw.destroy()
  await t.closed(raw, client)
})

parity('a connection destroyed with an error in mid-handshake tells the session', async t => {
  const server = await t.listen()
  const raw = t.connect(t.to(server))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  for (const [name, socket] of Object.entries({ raw, client }))
    socket.on('error', error => t.log(`${name} error`, error.message))
  watchCloses(t, raw, client)
  await once(server, 'connection')
  raw.destroy(new Error('mine'))
  await t.closed(raw, client)
})

parity('a connection destroyed by the server in mid-handshake is its tlsClientError', async t => {
  const secure = tls.createServer(identity)
  const complaint = once(secure, 'tlsClientError')
  const server = await t.listen({}, peer => {
    secure.emit('connection', peer)
    peer.destroy()
  })
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  client.on('error', error => t.log.to('client')('error', error.code))
  t.log('server', (await complaint)[0])
  await t.closed(client)
})

// --- the order of closing ------------------------------------------------------------------------------------------------

for (const [how, end] of Object.entries({
  'destroyed session': ({ client }) => client.destroy(),
  'session destroyed with an error': ({ client }) => client.destroy(new Error('mine')),
  'ended session': ({ client }) => client.end('last words'),
  'destroyed connection': ({ raw }) => raw.destroy(),
  'connection destroyed by the peer': ({ peer }) => peer.destroy(),
  'connection reset by the peer': ({ peer }) => peer.resetAndDestroy(),
})) {
  parity(`a ${how}: the connection closes before the session`, async t => {
    const both = await session(t)
    watchCloses(t, both.raw, both.client)
    end(both)
    await t.closed(both.raw, both.client)
  })
}

// --- passed through ------------------------------------------------------------------------------------------------------

function tap(t, handle, name) {
  const original = handle[name]
  handle[name] = function (...args) {
    t.log(`handle ${name}`, ...args.slice(0, 2))
    return Reflect.apply(original, this, args)
  }
}

parity('setNoDelay, setKeepAlive, ref and unref of a session reach the connection', async t => {
  const { raw, client } = await session(t)
  for (const name of ['setNoDelay', 'setKeepAlive', 'ref', 'unref']) tap(t, raw._handle, name)
  client.setNoDelay()
  client.setKeepAlive(true, 5000)
  client.unref()
  t.log('referenced', raw._handle.hasRef())
  client.ref()
  t.log('referenced', raw._handle.hasRef())
})

parity('what a session sets before there is a connection is set then', async t => {
  const { server } = await secureServer(t, session => session.end())
  const raw = t.own(new t.net.Socket())
  raw.on('error', error => t.log('error', error))
  const client = t.own(tls.connect({ ...trust, socket: raw }))
  t.log('chained', client.setNoDelay() === client, client.setKeepAlive(true, 5000) === client)
  raw.connect(t.to(server))
  await t.drained(client)
})

parity('a session knows the ends of its connection', async t => {
  const { raw, client, server } = await session(t)
  for (const name of [
    'remoteAddress',
    'remotePort',
    'remoteFamily',
    'localAddress',
    'localPort',
    'localFamily',
  ])
    t.log(name, typeof client[name], client[name] === raw[name])
  t.log('address', client.remotePort === server.address().port, client.address().port === raw.localPort)
})

parity('a session at a path knows no ends', { on: 'unix' }, async t => {
  const secure = tls.createServer(identity, session => t.own(session).end())
  const server = await t.listen({ path: t.socketPath() }, peer => secure.emit('connection', peer))
  const client = t.own(tls.connect({ ...trust, socket: t.connect(t.to(server)) }))
  await once(client, 'secureConnect')
  t.log('ends', client.remoteAddress, client.localAddress, client.address())
  client.setNoDelay().setKeepAlive(true, 1000)
  await t.drained(client)
})

parity('an HTTP/2 session knows its connection, and turns Nagle’s algorithm off', async t => {
  const site = http2.createServer((request, response) => {
    response.end(typeof request.socket.remoteAddress)
  })
  const server = await t.listen({}, peer => site.emit('connection', peer))
  const raw = t.connect(t.to(server))
  await once(raw, 'connect')
  const calls = []
  const { setNoDelay } = raw._handle
  raw._handle.setNoDelay = function (...args) {
    calls.push(args)
    return Reflect.apply(setNoDelay, this, args)
  }
  const client = http2.connect('http://localhost', { createConnection: () => raw })
  const request = client.request()
  t.log('server knows', String(await t.drained(request)))
  t.log('client knows', client.socket.remoteAddress, client.socket.remotePort === server.address().port)
  t.log('calls', calls)
  client.close()
  await t.closed(raw)
})

// In a process of its own, where no other session has come first.
parityProcess('sessions know a connection whose noDelay is on from the start', async t => {
  const site = http2.createServer((request, response) => response.end(request.socket.remoteAddress))
  const plain = await t.listen({ noDelay: true }, peer => site.emit('connection', peer))
  const client = http2.connect('http://localhost', {
    createConnection: () => t.connect({ ...t.to(plain), noDelay: true }),
  })
  t.log('server knows', String(await t.drained(client.request())))
  t.log('client knows', client.socket.remoteAddress)
  const closed = once(client, 'close')
  client.close()
  await closed
  plain.close()
})

parity('an HTTP/2 session emits connect when there is a connection', async t => {
  const site = http2.createServer((_request, response) => response.end('answer'))
  const server = await t.listen({}, peer => site.emit('connection', peer))
  const raw = t.connect(t.to(server))
  const client = http2.connect('http://localhost', { createConnection: () => raw })
  t.log('at first', client.connecting, client.encrypted)
  for (const [name, emitter] of Object.entries({ raw, client }))
    emitter.once('connect', () => t.log(name, client.connecting, client.encrypted, client.alpnProtocol))
  t.log('answer', String(await t.drained(client.request())))
  const closed = once(client, 'close')
  client.close()
  await closed
})

parity('an HTTP/2 session whose connection is refused emits no connect', async t => {
  const server = await t.listen()
  const to = t.to(server)
  server.close()
  await t.closed(server)
  const raw = t.connect(to).on('error', () => {})
  const client = http2.connect('http://localhost', { createConnection: () => raw })
  client.on('connect', () => t.log('connect')).on('error', error => t.log('error', error.code))
  await new Promise(resolve => client.once('close', resolve))
  t.log('closed', client.connecting, client.destroyed)
})

// --- flags of Node ---------------------------------------------------------------------------------------------------

// To reach what a session asks, ferronet calls what Node deprecates.
for (const flag of ['--no-deprecation', '--pending-deprecation']) {
  parityProcess(`a session in a process with ${flag}`, { execArgv: [flag] }, async t => {
    const before = Object.getOwnPropertyDescriptor(process, 'noDeprecation')
    const { server, raw, client, peer } = await session(t)
    t.log('through', client.setNoDelay(true) === client, client.remotePort === server.address().port)
    t.log('as it was', before, Object.getOwnPropertyDescriptor(process, 'noDeprecation'))
    client.destroy()
    await t.closed(raw, peer)
    server.close()
  })
}
