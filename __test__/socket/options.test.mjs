// Socket options and their setters: return values, validation, and values that are set before the socket connects.

import { parity } from '../helpers/parity.mjs'

parity(
  'setNoDelay returns the socket at every stage',
  async ({ net, own, listen, to, log, seen, closed }) => {
    const server = await listen({}, peer => peer.end())
    const client = own(new net.Socket())
    log('before', client.setNoDelay() === client, client.setNoDelay(false) === client)
    client.connect(to(server))
    log('connecting', client.setNoDelay(true) === client)
    await seen(client, 'connect')
    for (const value of [undefined, true, false, 0, 1, 'yes', null])
      log('connected', client.setNoDelay(value) === client)
    client.resume()
    await closed(client)
    log('closed', client.setNoDelay(true) === client)
  },
)

parity(
  'setKeepAlive returns the socket at every stage',
  async ({ net, own, listen, to, log, seen, closed }) => {
    const server = await listen({}, peer => peer.end())
    const client = own(new net.Socket())
    log('before', client.setKeepAlive() === client, client.setKeepAlive(true, 1000) === client)
    client.connect(to(server))
    log('connecting', client.setKeepAlive(true, 2000) === client)
    await seen(client, 'connect')
    for (const args of [
      [],
      [true],
      [true, 1000],
      [true, 1999.9],
      [false],
      [true, 0],
      [1, '1000'],
      [null, null],
    ]) {
      log('connected', client.setKeepAlive(...args) === client)
    }
    client.resume()
    await closed(client)
    log('closed', client.setKeepAlive(true) === client)
  },
)

// The kernel's word for it: /proc shows a timer of kind 02 on a socket whose keep-alive is on.
async function kernelTimer(socket) {
  const { readFileSync } = await import('node:fs')
  const ends = [socket.localPort, socket.remotePort].map(port =>
    port.toString(16).toUpperCase().padStart(4, '0'),
  )
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const row = rows
    .map(line => line.trim().split(/\s+/))
    .find(([, ...both]) => ends.every((end, at) => both[at]?.endsWith(`:${end}`)))
  return row?.[5].split(':')[0]
}

parity('setKeepAlive reaches the kernel', { on: 'linux' }, async ({ pair, log }) => {
  const { client, peer } = await pair()
  client.setKeepAlive(true, 60_000)
  log('on', await kernelTimer(client), await kernelTimer(peer))
  client.setKeepAlive(false)
  log('off', await kernelTimer(client))
})

parity(
  'setKeepAlive before connect reaches the kernel',
  { on: 'linux' },
  async ({ net, own, listen, to, log, seen }) => {
    const server = await listen()
    const client = own(new net.Socket()).setKeepAlive(true, 60_000)
    client.connect(to(server))
    await seen(client, 'connect')
    log('on', await kernelTimer(client))
  },
)

parity(
  'the keepAlive options of client and server reach the kernel',
  { on: 'linux' },
  async ({ pair, log }) => {
    const options = { keepAlive: true, keepAliveInitialDelay: 60_000, noDelay: true }
    const { client, peer } = await pair({ client: options, server: options })
    log('on', await kernelTimer(client), await kernelTimer(peer))
  },
)

parity(
  'setNoDelay and setKeepAlive do nothing to a path socket',
  { on: 'unix' },
  async ({ pair, log, socketPath, turns }) => {
    const { client, peer } = await pair({
      path: socketPath(),
      client: { noDelay: true, keepAlive: true, keepAliveInitialDelay: 1000 },
      server: { noDelay: true, keepAlive: true },
    })
    for (const socket of [client, peer])
      log('returns', socket.setNoDelay() === socket, socket.setKeepAlive(true, 1) === socket)
    await turns(2)
    log('open', client.readyState, peer.readyState)
  },
)

parity('highWaterMark options are those of streams', async ({ net, own, log }) => {
  for (const options of [
    { highWaterMark: 1 },
    { highWaterMark: 0 },
    { highWaterMark: 100_000 },
    { readableHighWaterMark: 10 },
    { writableHighWaterMark: 20 },
    { readableHighWaterMark: 10, writableHighWaterMark: 20 },
    { highWaterMark: 5, readableHighWaterMark: 10 },
  ]) {
    const socket = own(new net.Socket(options))
    log('marks', options, socket.readableHighWaterMark, socket.writableHighWaterMark)
  }
})

parity('a small highWaterMark makes write return false sooner', async ({ net, own, listen, to, log }) => {
  const server = await listen({}, peer => peer.resume())
  const client = own(new net.Socket({ highWaterMark: 10 }))
  client.connect(to(server))
  log('5', client.write('12345'), client.writableNeedDrain)
  log('10', client.write('12345'), client.writableNeedDrain)
  await new Promise(resolve => client.once('drain', resolve))
  log('drained', client.writableLength, client.writableNeedDrain)
})

parity('allowHalfOpen is a boolean on the socket', async ({ net, own, log }) => {
  for (const allowHalfOpen of [undefined, true, false, 0, 1, 'yes', null]) {
    log('value', allowHalfOpen, own(new net.Socket({ allowHalfOpen })).allowHalfOpen)
  }
})

parity('the options object stays as it was', async ({ net, listen, own, to, log, seen }) => {
  const server = await listen({}, peer => peer.end())
  const options = Object.freeze(
    to(server, { noDelay: true, keepAlive: true, keepAliveInitialDelay: 5, highWaterMark: 10 }),
  )
  const client = own(net.connect(options)).resume()
  await seen(client, 'close')
  log('keys', Object.keys(options))
})

parity('keepAliveInitialDelay is kept in whole seconds on the server', async ({ net, own, log }) => {
  for (const keepAliveInitialDelay of [0, 999, 1000, 1999, 60_000, -1]) {
    log(
      'delay',
      keepAliveInitialDelay,
      own(net.createServer({ keepAliveInitialDelay })).keepAliveInitialDelay,
    )
  }
})

parity(
  'ref and unref return the socket at every stage',
  async ({ net, own, listen, to, log, seen, closed }) => {
    const server = await listen({}, peer => peer.end())
    const client = own(new net.Socket())
    log('before', client.ref() === client, client.unref() === client)
    client.connect(to(server))
    log('connecting', client.ref() === client, client.unref() === client, client.ref() === client)
    await seen(client, 'connect')
    log('connected', client.unref() === client, client.ref() === client)
    client.resume()
    await closed(client)
    log('closed', client.ref() === client, client.unref() === client)
  },
)

parity('an encrypted connection is what a plain one never claims to be', async ({ pair, log }) => {
  const { client, peer } = await pair()
  for (const socket of [client, peer])
    log('plain', socket.encrypted, socket.authorized, socket.getPeerCertificate)
})
