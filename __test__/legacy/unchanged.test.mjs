// The net API of Node 0.1 to 12, item by item, where it has not changed since: what was true of `net.Stream` and is
// true of node:net today must be true of plain ferronet. Titles name the items. legacy.test.mjs has the items that
// differ.

import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import http from 'node:http'
import { Duplex } from 'node:stream'
import { parity, parityProcess } from '../helpers/parity.mjs'

const state = socket => [socket.readyState, socket.readable, socket.writable, socket.destroyed]
// Sends what it received back when its peer has ended, and its own end with it.
const answer = peer => {
  const chunks = []
  peer.on('data', chunk => chunks.push(chunk))
  peer.on('end', () => peer.end(Buffer.concat(chunks)))
}
const halfOpen = { allowHalfOpen: true }

// --- concept ------------------------------------------------------------------------------------------------------

parity('net.Stream is net.Socket, and new net.Stream() can be connected', async t => {
  const { net, own, listen, to, log, drained } = t
  const server = await listen({}, peer => {
    log('accepted', peer instanceof net.Stream)
    peer.end('hi')
  })
  log('one class', net.Stream === net.Socket)
  const stream = own(new net.Stream())
  log('fresh', ...state(stream))
  log('returns itself', stream.connect(to(server)) === stream)
  log('received', await drained(stream))
})

parity('net.Socket is a stream.Duplex', async ({ net, log }) => {
  log('instance', new net.Socket() instanceof Duplex, Object.getPrototypeOf(net.Socket) === Duplex)
})

parity('new net.Socket([options]) takes allowHalfOpen, readable and writable', async ({ net, log }) => {
  for (const options of [
    undefined,
    {},
    { allowHalfOpen: true },
    { allowHalfOpen: 'yes' },
    { readable: false },
    { writable: false },
    { readable: false, writable: false },
  ]) {
    const socket = new net.Socket(options)
    log('options', options, socket.allowHalfOpen, ...state(socket))
  }
})

parity('the net module: one kind of server and client for TCP and for IPC', { on: 'unix' }, async t => {
  const { net, own, socketPath, log, drained } = t
  for (const where of [{ port: 0, host: '127.0.0.1' }, { path: socketPath() }]) {
    const server = own(net.createServer(answer))
    server.listen(where)
    await once(server, 'listening')
    const client = own(net.connect(where.path ? where : server.address()))
    client.end('through')
    log('back', String(await drained(client)))
  }
})

parity('IPC: the path is a socket in the file system until the server closes', { on: 'unix' }, async t => {
  const { listen, socketPath, log, closed } = t
  const path = socketPath()
  const server = await listen({ path })
  log('listening', statSync(path).isSocket(), server.address())
  server.close()
  await closed(server)
  log('closed', existsSync(path))
})

parity('IPC: a name that begins with a NUL is abstract', { on: 'linux' }, async t => {
  const { pair, alias, drained, log } = t
  const path = `\0${alias(`ferronet-rows-${process.pid}`, 'name')}`
  const { server, client, peer } = await pair({ path, server: halfOpen })
  log('address', server.address())
  answer(peer)
  client.end('abstract')
  log('back', String(await drained(client)))
})

// --- events of sockets --------------------------------------------------------------------------------------------

parity("'connect' comes when connecting has become false, 'ready' right after it", async t => {
  const { net, own, listen, to, watch, log, seen } = t
  const server = await listen()
  const client = own(new net.Socket())
  watch(client, 'client', { into: 'main' })
  for (const event of ['connect', 'ready']) {
    client.on(event, () => log(event, client.connecting, client.pending, client.readyState))
  }
  client.connect(to(server))
  log('called', client.connecting, client.pending, client.readyState)
  await seen(client, 'ready')
})

parity("'data' has one argument: a Buffer, or a string after setEncoding", async t => {
  const { pair, log, seen } = t
  const { client, peer } = await pair()
  client.once('data', (...args) => log('data', args.length, ...args))
  peer.write('bytes')
  await seen(client, 'data')
  client.setEncoding('utf8')
  client.once('data', (...args) => log('data', args.length, typeof args[0], ...args))
  peer.write('text')
  await seen(client, 'data')
})

parity("'data' is lost if nobody listens while the stream flows", async t => {
  const { pair, log, until, drained } = t
  const { client, peer } = await pair()
  client.resume()
  peer.write('lost')
  await until(() => client.bytesRead === 4)
  const rest = drained(client)
  peer.end('heard')
  log('rest', String(await rest))
})

parity("'end' is the peer's FIN, after all data has been consumed", async t => {
  const { pair, log, until, seen, turns } = t
  const { client, peer } = await pair({ client: halfOpen })
  client.on('end', () => log('end', ...state(client)))
  client.pause()
  peer.end('first me')
  await until(() => client.bytesRead === 8)
  await turns(3)
  log('not yet', ...state(client))
  client.on('data', chunk => log('data', chunk))
  client.resume()
  await seen(client, 'end')
})

parity("'end' ends our side too, unless allowHalfOpen is true", async t => {
  const { pair, log, closed, watch } = t
  for (const allowHalfOpen of [false, true]) {
    const { client, peer } = await pair({ client: { allowHalfOpen } })
    watch(client, `allowHalfOpen ${allowHalfOpen}`).resume()
    const both = closed(client, peer)
    client.on('end', () =>
      setImmediate(() => {
        log('ended by itself', allowHalfOpen, client.writableEnded)
        client.end()
      }),
    )
    peer.resume().end()
    await both
  }
})

parity("'timeout' only tells of idleness, the socket stays open until it is closed", async t => {
  const { pair, watch, seen, log, drained } = t
  const { client, peer } = await pair()
  watch(client, 'client')
  client.setTimeout(20)
  await seen(client, 'timeout')
  client.setTimeout(0) // on a busy machine the rest takes longer than another 20 ms
  log('open', ...state(client))
  const got = drained(peer)
  client.end('still works')
  log('arrived', String(await got))
})

parity("'drain' follows a write that returned false, and no other", async t => {
  const { pair, watch, log, seen, quiet } = t
  const { client, peer } = await pair()
  watch(client, 'client', { except: ['data'] })
  peer.resume()
  log('small', client.write('small'))
  await quiet()
  log('nothing to drain', client.writableNeedDrain)
  peer.pause()
  while (client.write(Buffer.alloc(1 << 20)));
  log('full', client.writableNeedDrain)
  peer.resume()
  await seen(client, 'drain')
  log('drained', client.writableLength, client.writableNeedDrain)
})

parity("'error'(exception) comes in the next tick, 'close' follows", async t => {
  const { pair, watch, log, closed } = t
  const { client } = await pair()
  watch(client, 'client', { into: 'main' })
  client.destroy(new Error('enough'))
  log('returned')
  process.nextTick(() => log('next tick'))
  await closed(client)
})

parity("'error' without a connection: refused, then 'close' with true", async t => {
  const { listen, connect, to, watch, closed } = t
  const server = await listen()
  const where = to(server)
  server.close()
  await closed(server)
  const client = watch(connect(where), 'client')
  await closed(client)
})

parity("'close'(had_error) has a boolean, true after an error", async t => {
  const { pair, log, seen } = t
  for (const error of [undefined, new Error('bad')]) {
    const { client } = await pair()
    client.on('error', () => {})
    client.on('close', (...args) => log('close', ...args))
    client.destroy(error)
    await seen(client, 'close')
  }
})

parity("'lookup'(err, address, family, host) for each address, before 'connect'", async t => {
  const { net, own, watch, listen, seen } = t
  const server = await listen()
  const client = own(new net.Socket())
  watch(client, 'client')
  const lookup = (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }])
  client.connect({ port: server.address().port, host: 'a.name', lookup })
  await seen(client, 'ready')
})

parity("'lookup' does not come for addresses, nor for a UNIX path", { on: 'unix' }, async t => {
  const { net, own, watch, listen, to, seen, socketPath } = t
  for (const options of [{}, { path: socketPath() }]) {
    const server = await listen(options)
    const client = own(new net.Socket())
    watch(client, options.path ? 'path' : 'address')
    client.connect(to(server))
    await seen(client, 'ready')
  }
})

// --- functions and methods ----------------------------------------------------------------------------------------

parity('net.createConnection(port) connects to localhost', async t => {
  const { net, own, listen, log } = t
  const server = await listen()
  const client = own(net.createConnection(server.address().port))
  const hosts = new Set()
  client.on('lookup', (_error, _address, _family, host) => hosts.add(host))
  await once(client, 'connect')
  log('looked up', [...hosts], client.remoteAddress, client instanceof net.Socket)
})

parity('net.createConnection(port, host) connects to the host', async t => {
  const { net, own, listen, log } = t
  const server = await listen()
  const client = own(net.createConnection(server.address().port, '127.0.0.1'))
  await once(client, 'connect')
  log('connected', client.remoteAddress)
})

parity('net.createConnection(options[, connectListener]) is net.connect, and adds the listener', async t => {
  const { net, own, listen, to, log, seen, attempt } = t
  log('one function', net.createConnection === net.connect)
  const server = await listen()
  const listener = () => log('listener')
  const client = own(net.createConnection(to(server), listener))
  log('listeners', client.listeners('connect').includes(listener))
  await seen(client, 'connect')
  attempt('nothing', () => net.createConnection())
})

parity(
  'net.connect(options), (path) and (port, host), each with a connectListener',
  { on: 'unix' },
  async t => {
    const { net, own, listen, to, log, socketPath } = t
    const path = socketPath()
    const [tcp] = [await listen(), await listen({ path })]
    const { port } = tcp.address()
    for (const [name, ...args] of [
      ['options', to(tcp)],
      ['options with a path', { path }],
      ['path', path],
      ['port, host', port, '127.0.0.1'],
      ['text port, host', String(port), '127.0.0.1'],
    ]) {
      await new Promise(resolve => {
        const client = own(net.connect(...args, resolve))
        log(name, client instanceof net.Socket, client.readyState)
      })
    }
  },
)

parity('stream.connect(port, host) uses a closed stream again, for another host', async t => {
  const { net, own, listen, watch, log, drained } = t
  const servers = [await listen({}, peer => peer.end('one')), await listen({}, peer => peer.end('two'))]
  const stream = own(new net.Stream())
  watch(stream, 'stream', { except: ['data'] })
  for (const server of servers) {
    stream.connect(server.address().port, '127.0.0.1')
    log('opening', ...state(stream))
    const both = Promise.all([drained(stream), new Promise(resolve => stream.once('close', resolve))])
    log('received', String((await both)[0]))
    log('closed', ...state(stream), stream.bytesRead)
  }
})

parity('stream.connect emits error instead of connect on failure', async t => {
  const { net, own, listen, watch, closed } = t
  const gone = await listen()
  const { port } = gone.address()
  gone.close()
  await closed(gone)
  const stream = own(new net.Stream())
  watch(stream, 'stream')
  stream.connect(port, '127.0.0.1')
  await closed(stream)
})

parity(
  'socket.connect(options), (path) and (port[, host]), each with a listener',
  { on: 'unix' },
  async t => {
    const { net, own, listen, to, log, socketPath } = t
    const path = socketPath()
    const [tcp] = [await listen(), await listen({ path })]
    const { port } = tcp.address()
    for (const [name, ...args] of [
      ['options', to(tcp)],
      ['path', path],
      ['port', port],
      ['port, host', port, '127.0.0.1'],
    ]) {
      const socket = own(new net.Socket())
      await new Promise(resolve => {
        log(name, socket.connect(...args, resolve) === socket, socket.connecting)
      })
      log(name, socket.connecting, socket.readyState)
    }
  },
)

parity(
  'setEncoding(encoding) takes ascii, utf8, base64 and every other, and throws at what is none',
  async t => {
    const { pair, log, drained, attempt } = t
    for (const encoding of [
      'ascii',
      'utf8',
      'base64',
      'hex',
      'latin1',
      'binary',
      'utf16le',
      'ucs2',
      'UTF-8',
    ]) {
      const { client, peer } = await pair()
      log(encoding, client.setEncoding(encoding) === client, client.readableEncoding)
      const text = drained(client)
      peer.end(Buffer.from('€uro ÿ'))
      log(encoding, await text)
    }
    const { client } = await pair()
    attempt('uft8', () => client.setEncoding('uft8'))
  },
)

parity('setEncoding(), and setEncoding(null), mean utf8 now', async t => {
  const { pair, log, drained } = t
  for (const args of [[], [null], [undefined]]) {
    const { client, peer } = await pair()
    client.setEncoding(...args)
    const text = drained(client)
    peer.end('€')
    log('received', client.readableEncoding, await text)
  }
})

parity('write(data) sends utf8 now, write(data, encoding) the encoding, ascii too', async t => {
  const { pair, log, drained } = t
  for (const encoding of [undefined, 'ascii', 'utf8', 'base64', 'hex', 'latin1', 'utf16le']) {
    const { client, peer } = await pair()
    const bytes = drained(peer)
    const text = encoding === 'base64' || encoding === 'hex' ? 'abcd' : 'é€ '
    client.write(text, encoding)
    client.end()
    log('received', encoding, await bytes)
  }
})

parity('write(data) returns true when all is in the kernel, false when some is queued here', async t => {
  const { pair, log } = t
  const { client, peer } = await pair()
  log('taken', client.write('all of it'), client.writableLength)
  peer.pause()
  let taken = true
  for (let round = 0; taken && round < 1000; round++) taken = client.write(Buffer.alloc(1 << 20))
  log('queued', taken, client.writableLength > 0, client.bufferSize > 0)
})

parity('write(data[, encoding][, callback]) calls back when the data is written, in order', async t => {
  const { pair, log, drained } = t
  const { client, peer } = await pair()
  const bytes = drained(peer)
  await new Promise(resolve => {
    client.write('one ', () => log('one'))
    client.write('4pyTIA==', 'base64', () => log('two'))
    client.write(Buffer.from('three'), () => {
      log('three')
      resolve()
    })
    log('returned')
  })
  client.end()
  log('received', await bytes)
})

parity('end([data],[encoding]) is a half close: the peer may still send', async t => {
  const { pair, log, drained, closed } = t
  const { client, peer } = await pair({ server: halfOpen })
  const both = closed(client, peer)
  const [sent, back] = [drained(peer), drained(client)]
  client.end('/w==', 'base64')
  log('ended', ...state(client))
  log('received', await sent, ...state(peer))
  peer.write('late ')
  peer.end('answer')
  log('back', String(await back))
  await both
  log('closed', ...state(client), ...state(peer))
})

parity('end([data[, encoding]][, callback]) calls back when the stream has finished', async t => {
  const { pair, watch, log, closed } = t
  for (const args of [[], ['x'], ['eA==', 'base64']]) {
    const { client, peer } = await pair()
    const both = closed(client, peer.resume())
    watch(client, `${args.length} arguments`, { into: 'main', except: ['close', 'end'] }).resume()
    client.end(...args, () => log('callback', client.writableFinished))
    await both
  }
})

parity('destroy([exception]) ends all input and output, once, and keeps the error', async t => {
  const { pair, watch, log, closed } = t
  const { client, peer } = await pair()
  const both = closed(client, peer.resume())
  watch(client, 'client')
  log('itself', client.destroy(new Error('first')) === client, ...state(client))
  client.destroy(new Error('second'))
  client.destroy()
  log('write', client.write('nothing'))
  await both
  log('kept', client.errored)
})

parity("pause() stops 'data', and writing goes on", async t => {
  const { pair, log, until, drained } = t
  const { client, peer } = await pair()
  client.on('data', chunk => log('data', chunk))
  log('itself', client.pause() === client, client.isPaused())
  peer.write('waits')
  await until(() => client.readableLength === 5)
  log('nothing yet')
  const sent = drained(peer)
  client.end('written meanwhile')
  log('sent', String(await sent))
})

parity('a paused socket reads no further than its high-water mark', async t => {
  const { pair, log, until, turns } = t
  const { client, peer } = await pair({ client: { highWaterMark: 1024 } })
  client.pause()
  while (peer.write(Buffer.alloc(1 << 20)));
  await until(() => client.readableLength >= 1024)
  const before = client.bytesRead
  await turns(5)
  log('the same', client.bytesRead === before, peer.writableNeedDrain)
})

parity("resume() brings 'data' again", async t => {
  const { pair, log, until, seen } = t
  const { client, peer } = await pair()
  client.on('data', chunk => log('data', chunk))
  client.pause()
  peer.write('waited')
  await until(() => client.readableLength === 6)
  const data = seen(client, 'data')
  log('itself', client.resume() === client, client.isPaused())
  await data
})

parity('setTimeout(timeout[, callback]) tells once for the callback; 0 disables it', async t => {
  const { pair, log, seen, quiet } = t
  const { client } = await pair()
  log('itself', client.setTimeout(20, () => log('callback')) === client, client.timeout)
  await seen(client, 'timeout')
  log('left', client.listenerCount('timeout'))
  client.setTimeout(20, () => log('never'))
  client.setTimeout(0)
  client.on('timeout', () => log('nor this'))
  const other = await pair()
  other.client.setTimeout(40)
  await seen(other.client, 'timeout')
  await quiet()
  log('disabled', client.timeout)
})

parity('setNoDelay([noDelay]) and setKeepAlive([enable][, initialDelay]) return the socket', async t => {
  const { pair, log, attempt } = t
  const { client, peer } = await pair()
  for (const socket of [client, peer]) {
    log('setNoDelay', ...[[], [true], [false]].map(args => socket.setNoDelay(...args) === socket))
    log(
      'setKeepAlive',
      ...[[], [true], [true, 1000], [false]].map(args => socket.setKeepAlive(...args) === socket),
    )
  }
  attempt('setNoDelay', () => client.setNoDelay('yes') === client)
})

parity('socket.address() is the local end, and empty when there is none', async t => {
  const { net, pair, log } = t
  log('none', new net.Socket().address())
  const { server, client, peer } = await pair()
  const { port, ...rest } = client.address()
  log('client', rest, port === client.localPort, port === peer.remotePort)
  log('peer', peer.address().port === server.address().port)
  client.destroy()
  log('destroyed', client.address())
})

parityProcess('socket.unref() lets the process exit, socket.ref() keeps it', async t => {
  const { pair, log } = t
  const { server, client, peer } = await pair()
  server.unref()
  log('themselves', client.unref() === client, peer.unref() === peer)
  // Referenced again, it keeps the process for as long as it is open.
  log('itself', client.ref() === client)
  setTimeout(() => {
    log('still here')
    client.unref()
  }, 10).unref()
})

parity(
  'net.createServer([options][, listener]) serves TCP or IPC, as listen says',
  { on: 'unix' },
  async t => {
    const { net, own, socketPath, log } = t
    const listener = () => {}
    for (const args of [[], [listener], [{}], [{}, listener], [null, listener], [{ allowHalfOpen: true }]]) {
      const server = own(net.createServer(...args))
      log('made', server instanceof net.Server, server.listenerCount('connection'), server.allowHalfOpen)
      server.listen(args.length === 2 ? socketPath(`${server.allowHalfOpen}${args[0] === null}`) : 0)
      await once(server, 'listening')
      log('address', typeof server.address())
    }
  },
)

parity('isIP(input), isIPv4(input), isIPv6(input)', async ({ net, log }) => {
  const inputs = [
    '127.0.0.1',
    '127.000.000.001',
    '127.0.0.1/24',
    '::1',
    'fe80::1%eth0',
    '::ffff:1.2.3.4',
    '',
    'host',
  ]
  for (const input of [...inputs, undefined, null, 1, {}]) {
    log('input', input, net.isIP(input), net.isIPv4(input), net.isIPv6(input))
  }
})

// --- properties ---------------------------------------------------------------------------------------------------

parity('remoteAddress, remoteFamily and remotePort, on both sides', async t => {
  const { net, pair, log } = t
  const remote = socket => [socket.remoteAddress, socket.remoteFamily, typeof socket.remotePort]
  log('fresh', ...remote(new net.Socket()))
  const { server, client, peer } = await pair()
  log('client', ...remote(client), client.remotePort === server.address().port)
  log('peer', ...remote(peer), peer.remotePort === client.localPort)
  client.destroy()
  log('destroyed', ...remote(client))
})

parity('localAddress and localPort', async t => {
  const { net, pair, log } = t
  const local = socket => [socket.localAddress, typeof socket.localPort]
  log('fresh', ...local(new net.Socket()))
  const { server, client, peer } = await pair()
  log('client', ...local(client), client.localPort === peer.remotePort)
  log('peer', ...local(peer), peer.localPort === server.address().port)
  client.destroy()
  log('destroyed', ...local(client))
})

parity('readyState is open before connect too, opening, open, readOnly, writeOnly, closed', async t => {
  const { net, own, listen, to, log, seen, closed } = t
  const peers = []
  const server = await listen(halfOpen, peer => peers.push(peer.resume()))
  const client = own(new net.Socket(halfOpen)).resume()
  log('fresh', client.readyState)
  client.connect(to(server))
  log('connecting', client.readyState)
  await once(client, 'connect')
  log('connected', client.readyState)
  client.end()
  log('our end', client.readyState)
  await t.until(() => peers.length === 1)
  const [peer] = peers
  if (!peer.readableEnded) await seen(peer, 'end')
  log('its end', peer.readyState)
  const both = closed(client, peer)
  peer.end()
  log('both ends', peer.readyState)
  await both
  log('closed', client.readyState, peer.readyState)
})

parity('bufferSize is what waits to be written', async t => {
  const { net, own, listen, to, log } = t
  const server = await listen()
  const client = own(new net.Socket())
  log('fresh', client.bufferSize)
  client.connect(to(server))
  client.write('six by')
  log('connecting', client.bufferSize)
  await once(client, 'ready')
  await t.until(() => client.bytesWritten === 6 && client.writableLength === 0)
  log('written', client.bufferSize)
  client.destroy()
  log('destroyed', client.bufferSize)
})

parity('bytesRead and bytesWritten count bytes, not characters', async t => {
  const { pair, log, drained, closed } = t
  const { client, peer } = await pair()
  const both = closed(client, peer)
  const [sent] = [drained(peer), client.resume()]
  client.write('€')
  log('written', client.bytesWritten)
  client.end('ÿ', 'latin1')
  await sent
  log('counted', client.bytesWritten, peer.bytesRead)
  await both
  log('kept', client.bytesWritten, client.bytesRead, peer.bytesRead)
})

parity('connecting and destroyed', async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen()
  const facts = socket => [socket.connecting, socket.destroyed]
  const client = own(new net.Socket())
  log('fresh', ...facts(client))
  client.connect(to(server))
  log('called', ...facts(client))
  await once(client, 'connect')
  log('connected', ...facts(client))
  client.destroy()
  log('destroyed', ...facts(client))
  await closed(client)
  log('closed', ...facts(client))
})

// --- servers ------------------------------------------------------------------------------------------------------

parity('net.Server is an EventEmitter, with or without new', async ({ net, log }) => {
  const { EventEmitter } = await import('node:events')
  log('instances', new net.Server() instanceof EventEmitter, net.Server() instanceof net.Server)
})

parity("server 'listening' comes in the next tick after listen", async t => {
  const { net, own, watch, log, seen } = t
  const server = own(net.createServer())
  watch(server, 'server', { into: 'main' })
  server.listen(0)
  log('returned', server.listening)
  process.nextTick(() => log('next tick'))
  await seen(server, 'listening')
})

parity("server 'connection'(socket) gives a net.Socket", async t => {
  const { net, listen, connect, to, log, seen } = t
  const server = await listen({}, (...args) => {
    log('connection', args.length, args[0] instanceof net.Socket, args[0].readyState)
  })
  connect(to(server))
  await seen(server, 'connection')
})

parity("server 'close' comes only after all connections have ended", async t => {
  const { pair, log, closed } = t
  const { server, client, peer } = await pair()
  const gone = closed(server)
  server.on('close', () => log('server close'))
  server.close(() => log('callback'))
  log('called', server.listening)
  await t.turns(3)
  peer.on('close', () => log('peer close'))
  peer.resume()
  client.end()
  client.resume()
  await gone
})

parity("server 'error' is not followed by close, and listen may be tried again", async t => {
  const { net, own, watch, listen, log, seen } = t
  const taken = await listen()
  const server = own(net.createServer())
  watch(server, 'server')
  server.listen(taken.address().port, '127.0.0.1')
  await seen(server, 'error')
  log('after', server.listening)
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
})

parity('server.address() is an object, a path or null', { on: 'unix' }, async t => {
  const { net, listen, socketPath, log } = t
  log('not listening', net.createServer().address())
  const { port, ...rest } = (await listen()).address()
  log('TCP', rest, port > 0)
  log('path', (await listen({ path: socketPath() })).address())
})

parity('server.close([callback]) tells the callback when there was nothing to close', async t => {
  const { net, log, listen, closed } = t
  const server = await listen()
  const gone = closed(server)
  log('itself', server.close((...args) => log('closed', ...args)) === server)
  await gone
  await new Promise(resolve => {
    net.createServer().close((...args) => {
      log('never open', ...args)
      resolve()
    })
  })
})

parity('server.getConnections(callback) counts', async t => {
  const { pair, log, closed } = t
  const { server, peer } = await pair()
  const count = () => new Promise(resolve => server.getConnections((...args) => resolve(args)))
  log('open', ...(await count()))
  peer.destroy()
  await closed(peer)
  log('closed', ...(await count()))
})

parity('server.listen again is an error while it listens, and works after close', async t => {
  const { listen, log, attempt, closed, connect, to } = t
  const server = await listen()
  attempt('while listening', () => server.listen(0))
  server.close()
  await closed(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(to(server))
  await once(client, 'connect')
  log('again', server.listening)
})

parity('server.listen(port[, host][, backlog][, callback]) takes a backlog', async t => {
  const { net, own, connect, to, log } = t
  for (const args of [[0, '127.0.0.1', 5], [0, 5], [{ port: 0, host: '127.0.0.1', backlog: 5 }]]) {
    const server = own(net.createServer())
    await new Promise(resolve => log('itself', server.listen(...args, resolve) === server))
    const client = connect(to(server))
    await once(client, 'connect')
    log('connected')
  }
})

parity('server.listening is a boolean', async ({ net, listen, log }) => {
  log('fresh', net.createServer().listening)
  const server = await listen()
  log('listening', server.listening)
  server.close()
  log('closed', server.listening)
})

parity('server.maxConnections rejects what is beyond', async t => {
  const { listen, connect, to, log, seen, closed, alias } = t
  const server = await listen()
  log('at first', server.maxConnections)
  server.maxConnections = 1
  const first = connect(to(server))
  await Promise.all([once(first, 'connect'), seen(server, 'connection')])
  const dropped = once(server, 'drop')
  const second = connect(to(server)).resume()
  second.on('connect', () => alias(second.localPort, 'second'))
  const gone = closed(second)
  const [data] = await dropped
  await gone
  log('dropped', data)
  log('stays', first.readyState)
})

parity('server.connections is no more', async ({ pair, log }) => {
  const { server } = await pair()
  log('connections', server.connections, 'connections' in server)
})

parityProcess('server.unref() lets the process exit', async ({ listen, log }) => {
  const server = await listen()
  log('itself', server.unref() === server)
})

parityProcess('server.ref() keeps the process', async ({ listen, log }) => {
  const server = await listen()
  server.unref()
  log('itself', server.ref() === server)
  setTimeout(() => {
    log('still here')
    server.close()
  }, 10).unref()
})

// --- what is built on net -----------------------------------------------------------------------------------------

parity("http.Server's 'connection' takes a net.Stream, and http runs over it", async t => {
  const { listen, connect, to, log, drained } = t
  const web = http.createServer((request, response) => {
    log('request', request.method, request.url, request.socket.remoteAddress)
    response.end('hello')
  })
  const server = await listen({}, stream => web.emit('connection', stream))
  const client = connect(to(server))
  client.end('GET /page HTTP/1.0\r\n\r\n')
  const text = String(await drained(client))
  log('response', text.startsWith('HTTP/1.1 200 OK\r\n'), text.endsWith('\r\n\r\nhello'))
})
