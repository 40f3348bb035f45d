// listen(): every form of the call, what is true when it returns, and how it fails.

import { parity } from '../helpers/parity.mjs'

parity('listen binds at once and says so on nextTick', async ({ net, watch, log, seen }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  log('before', server.listening, server.address())
  process.nextTick(() => log('nextTick before'))
  const result = server.listen(0, () => log('callback'))
  const { port, ...address } = server.address()
  log('at once', result === server, server.listening, address, port > 0)
  process.nextTick(() => log('nextTick after'))
  queueMicrotask(() => log('microtask'))
  setImmediate(() => log('setImmediate'))
  await seen(server, 'listening')
  await new Promise(resolve => setImmediate(resolve))
  server.close()
  log('closing', server.listening, server.address())
  await seen(server, 'close')
})

parity('with a host, even a numeric one, listen binds on nextTick', async ({ net, watch, log, seen }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  process.nextTick(() => log('nextTick before', server.listening))
  server.listen(0, '127.0.0.1', () => log('callback'))
  log('at once', server.listening, server.address())
  process.nextTick(() => log('nextTick after', server.listening))
  queueMicrotask(() => log('microtask', server.listening))
  setImmediate(() => log('setImmediate', server.listening))
  await seen(server, 'listening')
  await new Promise(resolve => setImmediate(resolve))
})

const forms = {
  'listen()': server => server.listen(),
  'listen(null)': server => server.listen(null),
  'listen(undefined)': server => server.listen(undefined),
  'listen(callback)': (server, callback) => server.listen(callback),
  'listen(0)': server => server.listen(0),
  "listen('0')": server => server.listen('0'),
  'listen(0, callback)': (server, callback) => server.listen(0, callback),
  'listen(0, host)': server => server.listen(0, '127.0.0.1'),
  'listen(0, host, callback)': (server, callback) => server.listen(0, '127.0.0.1', callback),
  'listen(0, backlog)': server => server.listen(0, 5),
  'listen(0, backlog, callback)': (server, callback) => server.listen(0, 5, callback),
  'listen(0, host, backlog, callback)': (server, callback) => server.listen(0, '127.0.0.1', 5, callback),
  'listen(0, undefined host, backlog, callback)': (server, callback) =>
    server.listen(0, undefined, 5, callback),
  'listen({ port })': server => server.listen({ port: 0 }),
  'listen({ port as a string })': server => server.listen({ port: '0' }),
  'listen({ port in hexadecimal })': server => server.listen({ port: '0x0' }),
  'listen({ port: undefined })': server => server.listen({ port: undefined }),
  'listen({ port: null })': server => server.listen({ port: null }),
  'listen({ port, host }, callback)': (server, callback) =>
    server.listen({ port: 0, host: '127.0.0.1' }, callback),
  'listen({ port, host, backlog, exclusive }, callback)': (server, callback) =>
    server.listen({ port: 0, host: '127.0.0.1', backlog: 5, exclusive: true }, callback),
  'listen({ port, path }) prefers the port': server =>
    server.listen({ port: 0, host: '127.0.0.1', path: '/nowhere' }),
  'listen({ port, ipv6Only: false })': server => server.listen({ port: 0, ipv6Only: false }),
}
for (const [form, call] of Object.entries(forms)) {
  parity(`${form} listens`, async ({ net, watch, log, seen }) => {
    const server = watch(net.createServer(), 'server')
    const result = call(server, function (...args) {
      log('callback', args.length, this === server)
    })
    log('at once', result === server, server.listening, server.address() === null)
    await seen(server, 'listening')
    const { port, ...address } = server.address()
    log('address', address, port > 1023)
    log('connection key', server._connectionKey?.replace(/\d+$/, 'port'))
  })
}

parity('a numeric string is a port', async ({ net, own, listen, seen, log }) => {
  const free = await listen()
  const { port } = free.address()
  free.close()
  await seen(free, 'close')
  const server = own(net.createServer())
  server.listen(String(port), '127.0.0.1')
  await seen(server, 'listening')
  log('address', server.address())
})

parity('listen on a path', { on: 'unix' }, async ({ net, watch, log, seen, socketPath }) => {
  const { existsSync, statSync } = await import('node:fs')
  const path = socketPath()
  const server = watch(net.createServer(), 'server')
  log('returned', server.listen(path, () => log('callback')) === server)
  log('at once', server.listening, server.address(), existsSync(path), statSync(path).isSocket())
  await seen(server, 'listening')
  server.close()
  log('closing', server.listening, server.address(), existsSync(path))
  await seen(server, 'close')
})

for (const [form, call] of Object.entries({
  'listen(path, backlog, callback)': (server, path, callback) => server.listen(path, 5, callback),
  'listen({ path }, callback)': (server, path, callback) => server.listen({ path }, callback),
  'listen({ path, backlog, exclusive }, callback)': (server, path, callback) =>
    server.listen({ path, backlog: 5, exclusive: true }, callback),
})) {
  parity(`${form} listens on the path`, { on: 'unix' }, async ({ net, watch, log, seen, socketPath }) => {
    const server = watch(net.createServer(), 'server')
    call(server, socketPath(), () => log('callback'))
    log('at once', server.listening, server.address())
    await seen(server, 'listening')
  })
}

parity('arguments that cannot be meant throw at once', async ({ net, own, attempt, log }) => {
  const cases = {
    'port -1': [-1],
    'port 65536': [65536],
    'port NaN': [Number.NaN],
    'port 1.5': [1.5],
    'port true': [true],
    'port false': [false],
    'an empty object': [{}],
    'a host alone': [{ host: '127.0.0.1' }],
    '{ port: -1 }': [{ port: -1 }],
    '{ port: 65536 }': [{ port: 65536 }],
    "{ port: '' }": [{ port: '' }],
    "{ port: 'x' }": [{ port: 'x' }],
    '{ port: true }': [{ port: true }],
    '{ port: {} }': [{ port: {} }],
    '{ path: 1 }': [{ path: 1 }],
    '{ path: true }': [{ path: true }],
    '{ path: null }': [{ path: null }],
    '{ signal: 1 }': [{ port: 0, signal: 1 }],
    'a symbol': [Symbol('port')],
  }
  for (const [label, args] of Object.entries(cases)) {
    const server = own(net.createServer())
    attempt(label, () => server.listen(...args))
    log('after', server.listening)
  }
})

parity('a port in use is EADDRINUSE, emitted on nextTick', async ({ net, listen, watch, log, seen, to }) => {
  const taken = await listen()
  const server = watch(net.createServer(), 'server', { into: 'main' })
  process.nextTick(() => log('nextTick before'))
  server.listen(to(taken), () => log('callback'))
  log('at once', server.listening, server.address())
  process.nextTick(() => log('nextTick after'))
  await seen(server, 'error')
  log('after', server.listening, server.address())
})

parity('a port in use without a host is EADDRINUSE too', async ({ net, own, watch, log, seen, alias }) => {
  const taken = own(net.createServer().listen(0))
  const { port } = taken.address()
  alias(port, 'port')
  const server = watch(net.createServer(), 'server', { into: 'main' })
  process.nextTick(() => log('nextTick before'))
  server.listen(port, () => log('callback'))
  log('at once', server.listening, server.address())
  process.nextTick(() => log('nextTick after'))
  await seen(server, 'error')
})

parity('after EADDRINUSE the server listens elsewhere, and fires the first callback too', async t => {
  const { net, listen, watch, log, seen, to } = t
  const taken = await listen()
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(to(taken), () => log('first callback'))
  await seen(server, 'error')
  server.listen(0, '127.0.0.1', () => log('second callback'))
  log('at once', server.listening)
  await seen(server, 'listening')
})

parity(
  'an error of listen without a listener is uncaught',
  async ({ net, listen, own, to, catchUncaught }) => {
    const taken = await listen()
    const caught = new Promise(resolve => catchUncaught(resolve))
    own(net.createServer()).listen(to(taken))
    await caught
  },
)

parity(
  'a path in use is EADDRINUSE',
  { on: 'unix' },
  async ({ net, listen, watch, log, seen, socketPath }) => {
    const path = socketPath()
    await listen({ path })
    const server = watch(net.createServer(), 'server')
    server.listen(path)
    log('at once', server.listening, server.address())
    await seen(server, 'error')
  },
)

parity('a path in a directory that is not there cannot be bound', { on: 'unix' }, async t => {
  const { net, watch, log, seen, directory } = t
  const server = watch(net.createServer(), 'server')
  server.on('error', error => log('keys', Object.keys(error).sort()))
  server.listen(`${directory()}/missing/s.sock`)
  await seen(server, 'error')
})

parity('an address of another machine cannot be bound', async ({ net, watch, seen }) => {
  const server = watch(net.createServer(), 'server')
  server.listen(0, '192.0.2.1')
  await seen(server, 'error')
})

parity('listening twice throws ERR_SERVER_ALREADY_LISTEN', async ({ net, own, attempt, log, seen }) => {
  const server = own(net.createServer())
  server.listen(0)
  attempt('at once', () => server.listen(0))
  await seen(server, 'listening')
  attempt('later', () => server.listen())
  attempt('with a path', () => server.listen('/tmp/never'))
  log('still', server.listening)
})

parity(
  'listening twice with a host is not noticed before it is bound',
  async ({ net, watch, attempt, seen }) => {
    const server = watch(net.createServer(), 'server')
    server.listen(0, '127.0.0.1')
    attempt('at once', () => server.listen(0, '127.0.0.1'))
    await seen(server, 'listening')
  },
)

parity('a closed server listens again', async ({ net, watch, log, seen, connect, to }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.on('connection', peer => peer.end())
  for (const round of [1, 2, 3]) {
    server.listen(0, '127.0.0.1', () => log('callback', round))
    await new Promise(resolve => server.once('listening', resolve))
    const client = connect(to(server)).resume()
    await seen(client, 'close')
    server.close()
    log('at once', server.listening)
    await new Promise(resolve => server.once('close', resolve))
  }
})

parity('listen right after close works before the close event', async ({ net, watch, log, seen, turns }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  server.close(() => log('close callback'))
  server.listen(0, () => log('callback'))
  log('at once', server.listening)
  await turns(3)
  log('later', server.listening)
})

parity('close before the listening event', async ({ net, watch, log, turns }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(0, () => log('callback', server.listening))
  server.close(error => log('close callback', error))
  await turns(3)
})

parity('close before a server with a host is bound', async ({ net, watch, log, turns }) => {
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(0, '127.0.0.1', () => log('callback', server.listening))
  server.close(error => log('close callback', error))
  await turns(3)
  log('later', server.listening)
})

parity('a host name is resolved before the server listens', async ({ net, watch, log, seen }) => {
  const server = watch(net.createServer(), 'server')
  server.listen(0, 'localhost', () => log('callback'))
  log('at once', server.listening, server.address())
  await seen(server, 'listening')
  const { port, ...address } = server.address()
  log('then', server.listening, address, port > 0)
})

parity('closing while the host name is resolved', async ({ net, watch, log, turns, closed }) => {
  const server = watch(net.createServer(), 'server')
  server.listen(0, 'localhost')
  server.close(error => log('callback', error))
  await closed(server)
  // A lookup begun later has been answered after this one.
  const { lookup } = await import('node:dns/promises')
  await lookup('localhost')
  await turns(3)
  log('then', server.listening)
})

parity('createServer checks its arguments', async ({ net, own, attempt }) => {
  const cases = {
    nothing: [],
    null: [null],
    undefined: [undefined],
    'a function': [() => {}],
    'options and a function': [{ allowHalfOpen: true }, () => {}],
    'a number': [1],
    'a string': ['x'],
    true: [true],
    'an array': [[]],
    'options and a number': [{}, 1],
    'options and a string': [{}, 'x'],
    "keepAliveInitialDelay 'x'": [{ keepAliveInitialDelay: 'x' }],
    'keepAliveInitialDelay -1': [{ keepAliveInitialDelay: -1 }],
    "highWaterMark 'x'": [{ highWaterMark: 'x' }],
    'highWaterMark -1': [{ highWaterMark: -1 }],
  }
  for (const [label, args] of Object.entries(cases)) attempt(label, () => own(net.createServer(...args)))
})

parity('Server works without new and is what createServer returns', async ({ net, log }) => {
  const listener = () => {}
  const server = net.Server(listener)
  log('instance', server instanceof net.Server, server.listeners('connection').length)
  log('createServer', net.createServer() instanceof net.Server)
  log('constructor', net.Server.name, net.Server.length, server.constructor === net.Server)
  const { EventEmitter } = await import('node:events')
  log('emitter', server instanceof EventEmitter, Object.getPrototypeOf(net.Server) === EventEmitter)
})

parity('a class that extends Server is a server', async ({ net, own, connect, to, log, seen }) => {
  class Greeter extends net.Server {
    constructor() {
      super({ allowHalfOpen: true }, peer => peer.end('hello from a subclass'))
      this.greeting = true
    }
  }
  const server = own(new Greeter())
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  const client = connect(to(server)).setEncoding('utf8')
  client.on('data', data => log('data', data))
  await seen(client, 'close')
  log('server', server.greeting, server.allowHalfOpen, server instanceof net.Server)
})

parity('Server.call with util.inherits makes a server', async ({ net, own, connect, to, log, seen }) => {
  const { inherits } = await import('node:util')
  function Old(listener) {
    net.Server.call(this, listener)
  }
  inherits(Old, net.Server)
  const server = own(new Old(peer => peer.end('hello from 2012')))
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  const client = connect(to(server)).setEncoding('utf8')
  client.on('data', data => log('data', data))
  await seen(client, 'close')
})

parity('a signal closes the server', async ({ net, watch, seen, log }) => {
  const controller = new AbortController()
  const server = watch(net.createServer(), 'server')
  server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal })
  await seen(server, 'listening')
  controller.abort()
  log('at once', server.listening)
  await seen(server, 'close')
})

parity('a signal already aborted closes the server', async ({ net, watch, seen, log }) => {
  const server = watch(net.createServer(), 'server')
  server.listen({ port: 0, host: '127.0.0.1', signal: AbortSignal.abort() })
  log('at once', server.listening)
  await seen(server, 'close')
})

parity('address is null before and after listening', async ({ net, own, log, seen }) => {
  const server = own(net.createServer())
  log('before', server.address(), server.listening)
  server.listen(0)
  log('during', server.address().family, server.listening)
  await seen(server, 'listening')
  server.close()
  log('after', server.address(), server.listening)
})

parity('an IPv6 server says so', async ({ net, watch, log, seen }) => {
  const server = watch(net.createServer(), 'server', { except: ['error', 'listening'] })
  const outcome = Promise.race([seen(server, 'listening'), seen(server, 'error')])
  server.listen({ port: 0, host: '::1', ipv6Only: true })
  await outcome
  const { port, ...address } = server.address() ?? {}
  log('address', address, port > 0)
})

parity('a server without host takes IPv4 connections', async ({ net, own, seen, connect, log }) => {
  const server = own(net.createServer(peer => peer.end()))
  server.listen(0)
  await seen(server, 'listening')
  const client = connect(server.address().port, '127.0.0.1').resume()
  await seen(client, 'connect')
  log('remote', client.remoteAddress, client.remoteFamily)
  await seen(client, 'close')
})

parity('the fields tools read are there', async ({ net, own, log, seen }) => {
  const server = own(
    net.createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 2500 }),
  )
  log('options', {
    allowHalfOpen: server.allowHalfOpen,
    pauseOnConnect: server.pauseOnConnect,
    noDelay: server.noDelay,
    keepAlive: server.keepAlive,
    keepAliveInitialDelay: server.keepAliveInitialDelay,
    maxConnections: server.maxConnections,
    _connections: server._connections,
    _usingWorkers: server._usingWorkers,
    _unref: server._unref,
  })
  log('getter', Object.getOwnPropertyDescriptor(net.Server.prototype, 'listening').enumerable)
  log(
    'methods',
    ['listen', 'close', 'address', 'getConnections', 'ref', 'unref'].map(
      name => net.Server.prototype[name].length,
    ),
  )
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
})

parity('ref and unref return the server at every stage', async ({ net, own, log, seen }) => {
  const server = own(net.createServer())
  log('before', server.ref() === server, server.unref() === server, server._unref)
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  log('during', server.ref() === server, server._unref, server.unref() === server, server._unref)
  server.close()
  log('after', server.ref() === server, server.unref() === server)
  await seen(server, 'close')
})

parity('events have no arguments beyond the promised', async ({ net, own, log, seen, connect, to }) => {
  const server = own(net.createServer())
  for (const event of ['listening', 'error', 'close', 'connection'])
    server.on(event, (...args) => log(event, args.length))
  server.listen(0, '127.0.0.1')
  await seen(server, 'listening')
  const client = connect(to(server)).resume()
  const [peer] = await new Promise(resolve => server.once('connection', (...args) => resolve(args)))
  peer.end()
  await seen(client, 'close')
  server.close()
  await seen(server, 'close')
})
