// Internals that popular packages use although nobody promised them, and the ways in which tools patch. The handles are
// ferronet's own, so only what these packages use of them is compared.

import { EventEmitter } from 'node:events'
import { parity } from '../helpers/parity.mjs'

// --- handles -----------------------------------------------------------------------------------------------------

parity('_handle: what http, http2 and tools ask of it', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  for (const name of ['readStart', 'readStop', 'ref', 'unref', 'hasRef', 'getAsyncId', 'close']) {
    log(name, ...[client, peer].map(({ _handle }) => typeof _handle[name]))
  }
  for (const name of ['reading', 'bytesRead', 'bytesWritten', 'writeQueueSize', 'fd']) {
    log(name, ...[client, peer].map(({ _handle }) => typeof _handle[name]))
  }
  for (const name of ['ref', 'unref', 'hasRef', 'getAsyncId', 'close', 'listen'])
    log('server', name, typeof server._handle[name])
  log('extensible', ...[client, peer, server].map(({ _handle }) => Object.isExtensible(_handle)))
  log('ids', client._handle.getAsyncId() > 0, client._handle.getAsyncId() !== peer._handle.getAsyncId())
})

parity('_handle: truthy from connect to close', async ({ net, own, listen, to, log, seen, closed }) => {
  const server = await listen({}, peer => peer.resume().end())
  const client = own(new net.Socket())
  const note = stage => log(stage, Boolean(client._handle), client.pending)
  note('fresh')
  client.connect(to(server))
  note('connecting')
  for (const event of ['connect', 'end', 'finish', 'close']) client.on(event, () => note(event))
  await seen(client, 'connect')
  client.resume()
  await closed(client)
})

parity('_handle.fd: the descriptor of an open connection, and of no other', { on: 'linux' }, async t => {
  const { pair, log, closed } = t
  const { readlinkSync } = await import('node:fs')
  const { server, client, peer } = await pair()
  const descriptors = [server, client, peer].map(({ _handle }) => _handle.fd)
  log('sockets', ...descriptors.map(fd => readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')))
  log('different', new Set(descriptors).size)
  const handle = client._handle
  client.destroy()
  peer.resume()
  await closed(client)
  log('closed', handle.fd < 0)
})

parity('_handle.readStop, readStart: stop and start what is read', async ({ pair, log, until, quiet }) => {
  const { client, peer } = await pair()
  let text = ''
  client.on('data', chunk => (text += chunk))
  peer.write('1')
  await until(() => text === '1')
  log('reading', client._handle.reading)
  client._handle.readStop()
  peer.write('2')
  await quiet()
  log('stopped', text)
  client._handle.readStart()
  await until(() => text === '12')
  log('started', text)
})

parity(
  '_handle.readStart: reads for a socket that was accepted paused',
  async ({ pair, log, until, quiet }) => {
    const { client, peer } = await pair({ server: { pauseOnConnect: true } })
    client.write('x')
    await quiet()
    log('paused', peer._handle.reading, peer.bytesRead)
    peer._handle.readStart()
    await until(() => peer.bytesRead === 1)
    log('started', peer.readableLength, peer.isPaused())
  },
)

parity('_handle.reading: follows pause, the high-water mark and the end', async t => {
  const { pair, log, until, turns } = t
  const { client, peer } = await pair({ client: { highWaterMark: 4 } })
  client.on('data', () => {})
  log('flowing', client._handle.reading)
  client.pause()
  peer.write('12345678')
  await until(() => client.readableLength > 0)
  await turns(2)
  log('full', client._handle.reading, client.readableLength)
  client.resume()
  await until(() => client.readableLength === 0)
  await turns(2)
  log('resumed', client._handle.reading)
})

parity('_handle.ref, unref, hasRef: what the socket’s own do', async ({ pair, log }) => {
  const { server, client } = await pair()
  for (const owner of [server, client]) {
    log('fresh', owner._handle.hasRef())
    owner._handle.unref()
    log('unref', owner._handle.hasRef())
    owner.ref()
    log('ref', owner._handle.hasRef())
  }
})

parity('_handle.writeQueueSize: what the kernel has not taken', async ({ pair, log, until }) => {
  const { client, peer } = await pair({ server: { pauseOnConnect: true } })
  log('idle', client._handle.writeQueueSize)
  client.write(Buffer.alloc(8_000_000))
  log('waiting', client._handle.writeQueueSize > 0, client.writableLength)
  peer.resume()
  await until(() => client.writableLength === 0)
  log('sent', client._handle.writeQueueSize)
})

parity('_handle: of a server, null before listen and after close', async ({ net, own, log, seen }) => {
  const server = own(net.createServer())
  log('fresh', server._handle)
  server.listen(0)
  log('listening', server._handle !== null, server._handle.fd > 0)
  await seen(server, 'listening')
  server.close()
  log('closed', server._handle)
})

// --- the states of streams ---------------------------------------------------------------------------------------

parity('_writableState, _readableState: what packages read of them, at every stage', async t => {
  const { net, own, listen, to, log, seen, closed } = t
  const server = await listen({}, peer => peer.resume().end('hi'))
  const client = own(new net.Socket())
  const note = stage => {
    const { _writableState: writable, _readableState: readable } = client
    const facts = [
      'ended',
      'ending',
      'finished',
      'length',
      'needDrain',
      'errorEmitted',
      'destroyed',
      'closed',
      'corked',
    ]
    log(stage, Object.fromEntries(facts.map(name => [name, writable[name]])))
    const others = [
      'endEmitted',
      'length',
      'ended',
      'objectMode',
      'flowing',
      'destroyed',
      'closed',
      'errorEmitted',
    ]
    log(stage, Object.fromEntries(others.map(name => [name, readable[name]])))
  }
  note('fresh')
  client.connect(to(server))
  client.write('x')
  note('connecting')
  await seen(client, 'ready')
  note('connected')
  client.once('end', () => note('end'))
  client.once('finish', () => log('finish', client._writableState.finished, client._writableState.ended))
  client.resume()
  await closed(client)
  note('closed')
})

parity('_writableState: after an error', async ({ pair, log, closed }) => {
  const { client } = await pair()
  client.on('error', () => {})
  client.destroy(new Error('mine'))
  await closed(client)
  const { _writableState: writable, _readableState: readable } = client
  log('writable', writable.errorEmitted, writable.destroyed, writable.errored?.message, writable.closed)
  log('readable', readable.errorEmitted, readable.destroyed, readable.errored?.message, readable.closed)
})

parity(
  '_events, _eventsCount: changed by the socket as by node:net',
  async ({ net, own, listen, to, log, seen }) => {
    const server = await listen()
    const client = own(new net.Socket())
    const names = () => client.eventNames().map(String).sort()
    log('fresh', client._eventsCount, names())
    client.connect(to(server))
    client.write('x')
    client.ref()
    log('connecting', names())
    await seen(client, 'ready')
    log('connected', names())
  },
)

// --- what others hang on sockets ----------------------------------------------------------------------------------

parity(
  'encrypted, authorized, alpnProtocol, parser, _httpMessage, _paused: left to others',
  async ({ pair, log }) => {
    const { client, peer } = await pair()
    const names = [
      'encrypted',
      'authorized',
      'alpnProtocol',
      'parser',
      '_httpMessage',
      '_paused',
      'ssl',
      'secureConnecting',
    ]
    for (const name of names) {
      log(name, ...[client, peer].map(socket => name in socket))
      client[name] = name
      log(name, client[name], Object.hasOwn(client, name))
    }
  },
)

parity('on, once, addListener, removeListener, pause, resume: may be replaced on one socket', async t => {
  const { pair, log, seen } = t
  const { client, peer } = await pair()
  const calls = new Set()
  for (const name of ['on', 'once', 'addListener', 'removeListener', 'off', 'pause', 'resume', 'emit']) {
    const original = client[name]
    client[name] = function (...args) {
      calls.add(name)
      return Reflect.apply(original, this, args)
    }
  }
  client.on('data', chunk => log('data', chunk))
  client.pause()
  client.resume()
  const listener = () => {}
  client.addListener('x', listener).removeListener('x', listener)
  peer.end('hello')
  await seen(client, 'end')
  log(
    'called',
    ['on', 'addListener', 'removeListener', 'pause', 'resume', 'emit'].map(name => calls.has(name)),
  )
})

parity('Socket.prototype.on: works on any emitter, as http calls it', ({ net, log }) => {
  const emitter = new EventEmitter()
  log(
    'returned',
    Reflect.apply(net.Socket.prototype.addListener, emitter, ['x', () => log('heard')]) === emitter,
  )
  emitter.emit('x')
})

// --- patching ----------------------------------------------------------------------------------------------------

// As shimmer and its kin do it: the function of an object, wrapped in place, put back at the end.
function wrap(t, object, name, before) {
  const own = Object.hasOwn(object, name)
  const original = object[name]
  object[name] = function (...args) {
    before.call(this, args)
    return Reflect.apply(original, this, args)
  }
  t.cleanup(() => {
    if (own) object[name] = original
    else delete object[name]
  })
}

parity('patching net.connect and net.createConnection: what calls the export goes through', async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen({}, peer => peer.end())
  for (const name of ['connect', 'createConnection'])
    wrap(t, net, name, args => log(name, args.length, typeof args[0]))
  await closed(own(net.connect(to(server))).resume())
  await closed(own(net.createConnection(server.address().port, '127.0.0.1')).resume())
})

parity(
  'patching net.createServer and net.Server: what calls the export goes through',
  ({ net, log, ...t }) => {
    wrap(t, net, 'createServer', args => log('createServer', args.length))
    const server = net.createServer({}, () => {})
    log('server', server instanceof net.Server)
    const { Server } = net
    t.cleanup(() => (net.Server = Server))
    net.Server = class Wrapped extends Server {}
    log('replaced', new net.Server() instanceof Server, net.createServer() instanceof net.Server)
  },
)

for (const method of [
  'connect',
  'write',
  'end',
  'destroy',
  'setTimeout',
  'setNoDelay',
  'setKeepAlive',
  '_destroy',
  '_read',
  '_final',
  '_writeGeneric',
]) {
  parity(`patching Socket.prototype.${method}: seen for the sockets of both ends`, async t => {
    const { net, own, listen, to, log, closed, until } = t
    const calls = new Map()
    wrap(t, net.Socket.prototype, method, function () {
      calls.set(this, (calls.get(this) ?? 0) + 1)
    })
    let peer
    const server = await listen({}, socket => {
      peer = own(socket).resume()
      peer.setTimeout(5000)
      peer.setNoDelay().setKeepAlive(true)
      peer.write('hello')
      peer.end()
    })
    const client = own(net.connect(to(server, { timeout: 5000 }))).resume()
    client.setNoDelay().setKeepAlive(true)
    client.write('hello')
    client.end('x')
    await closed(client)
    await until(() => peer.closed)
    log('seen', calls.has(client), calls.has(peer))
  })
}

parity('patching Socket.prototype.write: every write is seen, with its arguments', async t => {
  const { pair, net, log, drained } = t
  const { client, peer } = await pair()
  wrap(t, net.Socket.prototype, 'write', args => log('write', ...args))
  const arrived = drained(peer)
  client.write('one')
  client.write('two', 'latin1')
  client.write(Buffer.from('three'), () => {})
  client.end('four')
  log('arrived', await arrived)
})

parity('patching Socket.prototype.emit: all events pass through it', async t => {
  const { pair, net, log, closed } = t
  const { client, peer } = await pair()
  const events = new Set()
  wrap(t, net.Socket.prototype, 'emit', function ([event]) {
    if (this === client) events.add(event)
  })
  client.on('data', () => {})
  peer.resume().end('hi')
  await closed(client)
  log(
    'seen',
    ['data', 'end', 'finish', 'close'].map(event => events.has(event)),
  )
})

parity('patching EventEmitter.prototype.emit: all events pass through it', async t => {
  const { net, own, listen, to, log, closed } = t
  const events = []
  wrap(t, EventEmitter.prototype, 'emit', function ([event]) {
    if (this instanceof net.Server) events.push(`server ${event}`)
    else if (this === client && !/pause|resume|readable/.test(event)) events.push(event)
  })
  let client
  const server = await listen({}, peer => peer.resume().end('hi'))
  client = own(new net.Socket())
  client.connect(to(server)).resume()
  await closed(client)
  log(
    'server',
    events.filter(event => event.startsWith('server')),
  )
  log(
    'client',
    events.filter(event => !event.startsWith('server')),
  )
})

for (const method of ['listen', '_listen2', 'close', 'emit', 'address', '_emitCloseIfDrained']) {
  parity(`patching Server.prototype.${method}: seen`, async t => {
    const { net, own, log, seen } = t
    const calls = []
    wrap(t, net.Server.prototype, method, args => calls.push(method === 'emit' ? args[0] : args.length))
    const server = own(net.createServer())
    server.listen(0, () => {})
    await seen(server, 'listening')
    log('address', typeof server.address().port)
    server.close()
    await seen(server, 'close')
    log('calls', calls)
  })
}

parity('patching a server: listen, _listen2 and emit of one alone', async t => {
  const { net, own, connect, to, log, seen } = t
  const server = own(net.createServer())
  for (const name of ['listen', '_listen2', 'emit'])
    wrap(t, server, name, args => log(name, name === 'emit' ? args[0] : args.length > 0))
  server.listen(0)
  await seen(server, 'listening')
  const client = connect(to(server)).resume()
  const peer = await new Promise(resolve => server.once('connection', resolve))
  peer.end()
  await seen(client, 'close')
})

parity('patching Socket.prototype.connect: it may change the arguments', async t => {
  const { net, own, listen, log, closed } = t
  const server = await listen({}, peer => peer.end('redirected'))
  wrap(t, net.Socket.prototype, 'connect', ([first]) => {
    // As interceptors do: what net.connect hands over is a list of options and callback.
    const options = Array.isArray(first) ? first[0] : first
    log('was', options.port, options.host)
    options.port = server.address().port
  })
  const client = own(net.connect({ port: 1, host: '127.0.0.1' })).setEncoding('utf8')
  client.on('data', text => log('data', text))
  await closed(client)
})

// --- handing over ------------------------------------------------------------------------------------------------

parity(
  '_setupWorker: the connections of those who share a server count, and close waits for them',
  async t => {
    const { net, own, log, seen, turns } = t
    const server = own(net.createServer())
    server.listen(0)
    await seen(server, 'listening')
    const lists = [2, 3].map(count => {
      const list = new EventEmitter()
      list.getConnections = callback => process.nextTick(callback, null, count)
      list.close = callback => (list.closed = callback)
      server._setupWorker(list)
      return list
    })
    log('shared', server._usingWorkers, server._workers.length)
    log('count', await new Promise(resolve => server.getConnections((...args) => resolve(args))))
    const failing = Object.assign(new EventEmitter(), {
      getConnections: callback => callback(new Error('gone')),
    })
    server._setupWorker(failing)
    log('error', await new Promise(resolve => server.getConnections(error => resolve(error))))
    failing.emit('exit', failing)
    log('left', server._workers.length)
    let closed = false
    server.close(() => (closed = true))
    await turns(2)
    log('waiting', closed, server._connections)
    for (const list of lists) list.closed()
    await seen(server, 'close')
    log('closed', closed, server._connections)
  },
)

parity(
  '_emitCloseIfDrained: emits close on nextTick, unless something is open',
  async ({ net, own, listen, log, turns }) => {
    const idle = own(net.createServer()).on('close', () => log('close'))
    log('idle', idle._emitCloseIfDrained())
    process.nextTick(() => log('nextTick'))
    await turns()
    const open = await listen()
    open.on('close', () => log('close of an open server'))
    open._emitCloseIfDrained()
    await turns()
    idle._connections = 1
    idle._emitCloseIfDrained()
    await turns()
    log('counted', idle._connections)
  },
)

parity('_connectionKey, _connections, _usingWorkers, _workers: sane at every stage', async t => {
  const { net, own, listen, connect, to, log, seen } = t
  const server = own(net.createServer())
  const note = stage =>
    log(
      stage,
      server._connectionKey?.replace(/\d{2,}$/, 'port'),
      server._connections,
      server._usingWorkers,
      server._workers,
    )
  note('fresh')
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  note('listening')
  const client = connect(to(server)).resume()
  const peer = await new Promise(resolve => server.once('connection', resolve))
  note('connected')
  peer.resume().end()
  await seen(client, 'close')
  if (!peer.destroyed) await seen(peer, 'close')
  note('left')
  const elsewhere = await listen()
  server.close()
  server.listen(0)
  note('listening again')
  elsewhere.close()
})
