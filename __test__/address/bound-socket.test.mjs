// BoundSocket: reserves an address before it is used. Works on every Node as on the versions that have it.

import { existsSync, fstatSync, statSync } from 'node:fs'
import nodeNet from 'node:net'
import { inspect } from 'node:util'
import { parity, parityProcess } from '../helpers/parity.mjs'
import { recorded } from '../helpers/recorded.mjs'

const expected = recorded('bound-socket')

// Node 24.19 and 26.4 had them first, without paths, and connected from them with other events.
const since = ['24.20', '26.7']
const test = (title, scenario) => parity(title, { on: 'unix', since, expected: expected(title) }, scenario)
const linux = (title, scenario) => parity(title, { on: 'linux', since, expected: expected(title) }, scenario)
const alone = (title, scenario) =>
  parityProcess(title, { on: 'unix', since, expected: expected(title) }, scenario)

const loopback = { host: '127.0.0.1' }

// A BoundSocket on the loopback interface, closed at the end if it is nobody else's by then.
function bind(t, options = loopback) {
  const bound = new t.net.BoundSocket(options)
  t.cleanup(() => bound[Symbol.dispose]())
  return bound
}

const facts = socket => {
  const { connecting, pending, readyState, destroyed, bufferSize, bytesRead, readableFlowing } = socket
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket
  return {
    ...{ connecting, pending, readyState, destroyed, bufferSize, bytesRead, readableFlowing },
    ...{ localAddress, localPort: typeof localPort, localFamily },
    ...{ remoteAddress, remotePort: typeof remotePort, remoteFamily },
    address: Object.keys(socket.address()),
  }
}

const abstractName = t => {
  const name = `ferronet-${process.pid}-${process.hrtime.bigint()}`
  t.alias(name, 'name')
  return `\0${name}`
}

const isOpen = fd => {
  try {
    return fstatSync(fd).isSocket()
  } catch (error) {
    return error.code
  }
}

// --- the constructor ----------------------------------------------------------------------------------------------

test('without options: any port of 0.0.0.0', t => {
  for (const given of [[], [undefined], [{}]]) {
    const { address, family, port } = bind(t, ...given).address()
    t.log('bound', address, family, port > 0)
  }
})

test('options that are no object throw ERR_INVALID_ARG_TYPE', ({ net, attempt }) => {
  for (const options of [null, [], () => {}, 1, 'x', true]) {
    attempt(String(options), () => new net.BoundSocket(options))
  }
})

test('a BoundSocket is made with new', ({ net, attempt }) => {
  attempt('call', () => net.BoundSocket(loopback))
})

test('port takes what a port can be, and throws ERR_SOCKET_BAD_PORT otherwise', t => {
  for (const port of [0, '0', '0x0', null, undefined]) {
    t.attempt(`port ${port}`, () => bind(t, { ...loopback, port }).address().port > 0)
  }
  for (const port of [-1, 65536, 1.5, Number.NaN, '', ' ', 'abc', true, {}, [], 10n, () => {}]) {
    t.attempt(`port ${String(port)}`, () => bind(t, { ...loopback, port }))
  }
})

test('port is the port', t => {
  const { port } = bind(t).address()
  // The first is not listening, so the address is not in use yet.
  t.log('same', bind(t, { ...loopback, port }).address().port === port)
  t.log('as a string', bind(t, { ...loopback, port: `${port}` }).address().port === port)
})

test('host is a numeric address', t => {
  for (const host of ['127.0.0.1', '::1', '::', '0.0.0.0', '::ffff:127.0.0.1', null, undefined]) {
    const { address, family } = bind(t, { host }).address()
    t.log(`host ${host}`, address, family)
  }
})

test('host as a name throws ERR_INVALID_ARG_VALUE, as another type ERR_INVALID_ARG_TYPE', ({
  net,
  attempt,
}) => {
  for (const host of ['localhost', '', ' 127.0.0.1', '127.0.0.1\0', '01.2.3.4', 1, true, {}]) {
    attempt(`host ${JSON.stringify(host)}`, () => new net.BoundSocket({ host }))
  }
})

test('ipv6Only and reusePort are booleans', t => {
  for (const value of [true, false, null, undefined, 1, 0, 'true', {}]) {
    t.attempt(`ipv6Only ${value}`, () => bind(t, { ipv6Only: value }).address().address)
    t.attempt(`reusePort ${value}`, () => bind(t, { reusePort: value }).address().address)
  }
})

test('options are checked in order: port, ipv6Only, reusePort, host', ({ net, attempt }) => {
  attempt('all', () => new net.BoundSocket({ port: -1, ipv6Only: 1, reusePort: 1, host: 1 }))
  attempt('three', () => new net.BoundSocket({ ipv6Only: 1, reusePort: 1, host: 1 }))
  attempt('two', () => new net.BoundSocket({ reusePort: 1, host: 1 }))
  attempt('one', () => new net.BoundSocket({ host: 1 }))
})

test('bind errors throw: EADDRNOTAVAIL', ({ net, attempt }) => {
  attempt('IPv4', () => new net.BoundSocket({ host: '192.0.2.1' }))
  attempt('IPv6', () => new net.BoundSocket({ host: '2001:db8::1' }))
  attempt('with a port', () => new net.BoundSocket({ host: '192.0.2.1', port: 1023 }))
})

test('bind errors throw: EADDRINUSE, where somebody listens', async ({ net, listen, attempt }) => {
  const { port } = (await listen()).address()
  attempt('in use', () => new net.BoundSocket({ ...loopback, port }))
})

test('ipv6Only means nothing to an IPv4 address', t => {
  t.attempt('ipv6Only', () => bind(t, { ...loopback, ipv6Only: true }).address().family)
})

test('ipv6Only leaves the port to IPv4, :: without it takes both', async t => {
  const saying = word => t.own(t.net.createServer(peer => peer.on('error', () => {}).end(word)))
  const heard = async (port, host) => String(await t.drained(t.connect(port, host)))
  const four = saying('four').listen(0, '0.0.0.0')
  await t.seen(four, 'listening')
  const { port } = four.address()
  t.attempt('both', () => bind(t, { host: '::', port }))
  saying('six').listen(bind(t, { host: '::', port, ipv6Only: true }))
  t.log('one each', await heard(port, '127.0.0.1'), await heard(port, '::1'))
  const both = saying('both').listen(bind(t, { host: '::' }))
  t.log('both', await heard(both.address().port, '127.0.0.1'), await heard(both.address().port, '::1'))
})

linux('reusePort: two servers on one port, and neither without it', async t => {
  const first = bind(t, { ...loopback, reusePort: true })
  const { port } = first.address()
  const second = bind(t, { ...loopback, port, reusePort: true })
  for (const bound of [first, second]) {
    const server = t.watch(t.net.createServer(), bound === first ? 'first' : 'second')
    server.listen(bound)
    await t.seen(server, 'listening')
    t.log('port', server.address().port === port)
  }
  t.attempt('without', () => new t.net.BoundSocket({ ...loopback, port }))
})

// --- paths --------------------------------------------------------------------------------------------------------

test('path: the address is the path, and there is a socket', t => {
  const name = t.socketPath()
  const bound = bind(t, { path: name })
  t.log('bound', bound.address(), bound.isPipe, bound.fd() > 0, statSync(name).isSocket())
})

test('path excludes host, port, ipv6Only and reusePort', t => {
  const name = t.socketPath()
  for (const more of [{ host: '::1' }, { port: 0 }, { ipv6Only: false }, { reusePort: false }]) {
    const [key] = Object.keys(more)
    t.attempt(key, () => new t.net.BoundSocket({ path: name, ...more }))
    t.attempt(`${key} null`, () => new t.net.BoundSocket({ path: name, [key]: null }))
    t.attempt(`${key} undefined`, () => new t.net.BoundSocket({ path: name, [key]: undefined }).close())
  }
})

test('path must be a string', t => {
  for (const name of [null, 1, true, {}, []]) {
    t.attempt(JSON.stringify(name), () => new t.net.BoundSocket({ path: name }))
  }
  t.attempt('undefined', () => bind(t, { path: undefined }).isPipe)
})

test('bind errors of paths throw: EADDRINUSE, EACCES, EINVAL', t => {
  const name = t.socketPath()
  bind(t, { path: name })
  t.attempt('in use', () => new t.net.BoundSocket({ path: name }))
  t.attempt('a directory', () => new t.net.BoundSocket({ path: '/' }))
  t.attempt('no directory', () => new t.net.BoundSocket({ path: `${name}-missing/socket` }))
  t.attempt('too long', () => new t.net.BoundSocket({ path: `/tmp/${'x'.repeat(200)}` }))
})

test('an empty path is bound to no name', t => {
  const bound = bind(t, { path: '' })
  t.log('bound', bound.address(), bound.isPipe)
})

linux('an abstract path is in use until it is closed', t => {
  const name = abstractName(t)
  const bound = new t.net.BoundSocket({ path: name })
  t.log('bound', bound.address(), bound.isPipe, existsSync(name.slice(1)))
  t.attempt('in use', () => new t.net.BoundSocket({ path: name }))
  bound.close()
  t.attempt('again', () => bind(t, { path: name }).address() === name)
})

// --- members ------------------------------------------------------------------------------------------------------

test('address() is the same object each time', t => {
  const bound = bind(t)
  const first = bound.address()
  t.log('same', bound.address() === first, Object.keys(first))
})

linux('fd() is the open descriptor, closed by close()', t => {
  for (const options of [loopback, { path: t.socketPath() }]) {
    const bound = new t.net.BoundSocket(options)
    const fd = bound.fd()
    t.log('open', isOpen(fd), bound.fd() === fd)
    bound.close()
    t.log('closed', isOpen(fd))
  }
})

test('isPipe tells, also when closed or adopted', t => {
  for (const options of [loopback, { path: t.socketPath() }]) {
    const bound = new t.net.BoundSocket(options)
    t.log('open', bound.isPipe)
    bound.close()
    t.log('closed', bound.isPipe)
    const adopted = bind(t, options)
    t.own(new t.net.Socket({ handle: adopted }))
    t.log('adopted', adopted.isPipe)
  }
})

test('close() frees the address, and unlinks the path', async t => {
  const name = t.socketPath()
  const bound = new t.net.BoundSocket({ path: name })
  t.log('returned', bound.close(), existsSync(name))
  const tcpBound = bind(t)
  const { port } = tcpBound.address()
  tcpBound.close()
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(port, '127.0.0.1')
  await t.seen(server, 'listening')
})

test('after close() every method throws ERR_SOCKET_HANDLE_ADOPTED', t => {
  const bound = bind(t)
  bound.close()
  for (const method of ['address', 'fd', 'close']) t.attempt(method, () => bound[method]())
})

test('[Symbol.dispose]() closes, and does nothing when there is nothing to close', t => {
  const bound = bind(t)
  t.log('disposed', bound[Symbol.dispose](), bound[Symbol.dispose]())
  t.attempt('address', () => bound.address())
  const adopted = bind(t)
  const socket = t.own(new t.net.Socket({ handle: adopted }))
  t.log('adopted', adopted[Symbol.dispose](), socket.destroyed)
})

test('[Symbol.dispose]() unlinks the path', t => {
  const name = t.socketPath()
  new t.net.BoundSocket({ path: name })[Symbol.dispose]()
  t.log('left', existsSync(name))
})

test('members are those of a class: nothing enumerable, nothing to see', t => {
  const { BoundSocket } = t.net
  const bound = bind(t)
  for (const name of ['constructor', 'address', 'fd', 'close', 'isPipe', Symbol.dispose]) {
    const { value, get, set, ...flags } = Object.getOwnPropertyDescriptor(BoundSocket.prototype, name)
    const label = name === Symbol.dispose ? 'dispose' : name
    t.log(label, typeof value, typeof get, typeof set, flags, value?.length)
    if (label === name) t.log('name', value?.name)
  }
  t.log('statics', Object.getOwnPropertyNames(BoundSocket).sort())
  t.log('names', Object.getOwnPropertyNames(BoundSocket.prototype).sort())
  t.log('class', BoundSocket.name, BoundSocket.length)
  t.log('instance', Reflect.ownKeys(bound), JSON.stringify(bound), inspect(bound), String(bound))
  const { value: _value, ...flags } = Object.getOwnPropertyDescriptor(t.net, 'BoundSocket')
  t.log('export', flags)
})

test('methods borrowed by something else throw a TypeError', t => {
  const { prototype } = t.net.BoundSocket
  for (const borrow of [() => prototype.address(), () => prototype.isPipe, () => prototype.close.call({})]) {
    try {
      borrow()
    } catch (error) {
      t.log('threw', error.constructor.name)
    }
  }
})

test('a class can inherit from BoundSocket', async t => {
  class Reserved extends t.net.BoundSocket {
    constructor() {
      super(loopback)
    }
  }
  const bound = new Reserved()
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(bound)
  await t.seen(server, 'listening')
  t.log('instance', bound instanceof t.net.BoundSocket)
})

// --- adopted by a server ------------------------------------------------------------------------------------------

const ways = {
  'listen(bound)': (server, bound) => server.listen(bound),
  'listen({ handle: bound })': (server, bound) => server.listen({ handle: bound }),
  'listen({ handle: bound }) with other options': (server, bound) =>
    server.listen({ handle: bound, port: 'nonsense', host: 5, path: 7, fd: -3, exclusive: true }),
  'listen(bound, backlog)': (server, bound) => server.listen(bound, 16),
  'new Server().listen(bound)': (server, bound) => server.listen(bound),
}
for (const [how, listen] of Object.entries(ways)) {
  test(`${how} accepts on the reserved port`, async t => {
    const bound = bind(t)
    const { port } = bound.address()
    const server = t.watch(how.startsWith('new') ? new t.net.Server() : t.net.createServer(), 'server')
    server.on('connection', peer => t.own(peer).end('hi'))
    t.log('returned', listen(server, bound) === server)
    t.log('at once', server.listening, server.address().port === port, server._connectionKey)
    for (const method of ['address', 'fd', 'close']) t.attempt(method, () => bound[method]())
    t.log('still', bound.isPipe, server._pipeName)
    await t.seen(server, 'listening')
    t.log('arrived', await t.drained(t.connect(port, '127.0.0.1')))
    server.close()
    await t.seen(server, 'close')
  })
}

test("the callback of listen(bound) is a 'listening' listener", async t => {
  const order = t.log
  const server = t.own(t.net.createServer())
  server.on('listening', () => order('event'))
  server.listen(bind(t), () => order('callback'))
  order('returned')
  process.nextTick(order, 'tick')
  await t.seen(server, 'listening')
})

test('listen() of an adopted or closed one throws ERR_SOCKET_HANDLE_ADOPTED', async t => {
  const bound = bind(t)
  const server = t.watch(t.net.createServer(), 'server').listen(bound)
  const second = t.watch(t.net.createServer(), 'second')
  t.attempt('adopted', () => second.listen(bound))
  t.attempt('as an option', () => second.listen({ handle: bound }))
  const closed = bind(t)
  closed.close()
  t.attempt('closed', () => second.listen(closed))
  t.log('listening', second.listening, second.listenerCount('listening'))
  second.listen(bind(t))
  await t.seen(server, 'listening')
  await t.seen(second, 'listening')
})

test('listen(bound) of a listening server throws and leaves it to the caller', async t => {
  const server = t.own(t.net.createServer()).listen(bind(t))
  const bound = bind(t)
  t.attempt('listen', () => server.listen(bound))
  t.log('mine', bound.address().address)
  await t.seen(server, 'listening')
})

test('two reservations of one port: the first to listen has it', async t => {
  const first = bind(t)
  const { port } = first.address()
  const second = bind(t, { ...loopback, port })
  const winner = t.watch(t.net.createServer(), 'winner')
  const loser = t.watch(t.net.createServer(), 'loser')
  winner.listen(first)
  loser.listen(second, () => t.log('in the end'))
  t.log('listening', winner.listening, loser.listening, loser._connectionKey)
  loser.once('error', error => t.log('keys', Object.keys(error)))
  await t.seen(loser, 'error')
  t.attempt('adopted all the same', () => second.address())
  winner.close()
  await t.seen(winner, 'close')
  loser.listen(port, '127.0.0.1')
  await t.seen(loser, 'listening')
})

test('a reserved port refuses clients before it listens', async t => {
  const bound = bind(t, { ...loopback })
  const { port } = bound.address()
  const client = t.watch(t.connect(port, '127.0.0.1'), 'client')
  client.on('error', error => t.log('port', error.port === port))
  t.alias(port, 'reserved')
  await t.closed(client)
})

test('the signal option counts for nothing beside a BoundSocket', async t => {
  const controller = new AbortController()
  const server = t.watch(t.net.createServer(), 'server')
  server.listen({ handle: bind(t), signal: controller.signal })
  controller.abort()
  await t.seen(server, 'listening')
  t.log('listening', server.listening)
  const careless = t.own(t.net.createServer())
  t.attempt('no signal', () => careless.listen({ handle: bind(t), signal: 5 }) === careless)
})

test('a server closed before it says so never listens', async t => {
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(bind(t), () => t.log('called')).close(error => t.log('closed', error))
  await t.seen(server, 'close')
})

test('unref() before listen(bound) is remembered', async t => {
  const server = t.own(t.net.createServer()).unref().listen(bind(t))
  t.log('referenced', server._handle.hasRef())
  await t.seen(server, 'listening')
})

test('the diagnostics channel of listen() tells of a BoundSocket', async t => {
  const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
  for (const name of ['asyncStart', 'asyncEnd', 'error']) {
    const channel = `tracing:net.server.listen:${name}`
    const hear = ({ server, options, error }) => t.log(name, server === mine, options === bound, error?.code)
    subscribe(channel, hear)
    t.cleanup(() => unsubscribe(channel, hear))
  }
  const bound = bind(t)
  const mine = t.own(t.net.createServer())
  mine.listen(bound)
  await t.seen(mine, 'listening')
})

test('a path is listened on, and unlinked when the server closes', async t => {
  const name = t.socketPath()
  const server = t.watch(
    t.net.createServer(peer => {
      t.log('peer', peer.remoteAddress, peer.localAddress, peer.address())
      t.own(peer).end('hi')
    }),
    'server',
  )
  server.listen(bind(t, { path: name }))
  t.log('at once', server.address(), server._pipeName, server._connectionKey)
  await t.seen(server, 'listening')
  t.log('arrived', await t.drained(t.connect(name)))
  server.close()
  t.log('left', existsSync(name))
  await t.seen(server, 'close')
})

test('readableAll and writableAll do nothing to a path that is bound', async t => {
  const name = t.socketPath()
  const bound = bind(t, { path: name })
  const before = statSync(name).mode
  const server = t.own(t.net.createServer())
  server.listen({ handle: bound, readableAll: true, writableAll: true })
  t.log('same', statSync(name).mode === before)
  await t.seen(server, 'listening')
})

test('a server that had a path can have a port', async t => {
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(bind(t, { path: t.socketPath() }))
  await t.seen(server, 'listening')
  server.close()
  await t.seen(server, 'close')
  server.listen(0, '127.0.0.1')
  t.log('address', typeof server.address(), typeof server._pipeName)
})

linux('an abstract path is listened on, and free when the server closes', async t => {
  const name = abstractName(t)
  const server = t.watch(
    t.net.createServer(peer => t.own(peer).end('hi')),
    'server',
  )
  server.listen({ handle: bind(t, { path: name }) })
  t.log('address', server.address())
  t.log('arrived', await t.drained(t.connect(name)))
  server.close()
  await t.seen(server, 'close')
  t.attempt('free', () => new t.net.BoundSocket({ path: name }).close())
})

test('an empty path is listened on', async t => {
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(bind(t, { path: '' }))
  await t.seen(server, 'listening')
  t.log('address', server.address(), server._pipeName)
})

// --- adopted by a client ------------------------------------------------------------------------------------------

// A server that tells where its clients come from, and what it is.
async function tellingServer(t) {
  const server = await t.listen({}, peer => {
    t.log.to('server')('from', peer.remoteAddress, t.reserved === peer.remotePort)
    peer.end('hi')
  })
  return server.address().port
}

// Reserves a port for a client.
function reserve(t, options) {
  const bound = bind(t, options)
  t.reserved = bound.address().port
  return bound
}

const clients = {
  'new Socket({ handle }) and connect(port, host)': (t, handle, port) =>
    t.watch(new t.net.Socket({ handle }), 'client').connect(port, '127.0.0.1'),
  'new Socket({ handle }) and connect(options)': (t, handle, port) =>
    t.watch(new t.net.Socket({ handle }), 'client').connect({ port, host: '127.0.0.1' }),
  'connect({ handle })': (t, handle, port) =>
    t.watch(t.net.connect({ handle, port, host: '127.0.0.1' }), 'client'),
  'createConnection({ handle })': (t, handle, port) =>
    t.watch(t.net.createConnection({ handle, port, host: '127.0.0.1' }), 'client'),
}
for (const [how, connect] of Object.entries(clients)) {
  test(`${how} connects from the reserved port, in the same tick`, async t => {
    const port = await tellingServer(t)
    const bound = reserve(t)
    const client = connect(t, bound, port)
    t.log('connecting', facts(client), client.localPort === t.reserved)
    t.attempt('adopted', () => bound.address())
    client.resume()
    await t.seen(client, 'connect')
    t.log('connected', facts(client), client.localPort === t.reserved)
    await t.closed(client)
    t.log('closed', facts(client))
  })
}

test('localAddress is concrete in the same tick, also from 0.0.0.0', async t => {
  const port = await tellingServer(t)
  const client = t.own(new t.net.Socket({ handle: reserve(t, {}) }))
  t.log('bound', client.localAddress, client.localPort === t.reserved)
  client.connect(port, '127.0.0.1')
  t.log('connecting', client.localAddress, client.localPort === t.reserved)
  client.resume()
  await t.closed(client)
})

test('a Socket on a bound handle is neither connecting nor reading', async t => {
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  t.log('fresh', facts(client), client.localPort === t.reserved, client.isPaused())
  await t.quiet()
  t.log('later', facts(client))
})

test('options of the Socket hold for one on a bound handle', async t => {
  const port = await tellingServer(t)
  const options = { noDelay: true, keepAlive: true, allowHalfOpen: true, highWaterMark: 1000 }
  const handle = reserve(t)
  const client = t.watch(new t.net.Socket({ handle, ...options }), 'client')
  t.log('facts', client.allowHalfOpen, client.readableHighWaterMark)
  client.connect(port, '127.0.0.1').resume()
  await t.seen(client, 'end')
  t.log('half open', client.readyState)
  client.end()
  await t.closed(client)
})

test('pauseOnCreate, manualStart and readable: false change nothing before the connection', async t => {
  for (const option of ['pauseOnCreate', 'manualStart']) {
    const client = t.watch(new t.net.Socket({ handle: reserve(t), [option]: true }), option)
    t.log(option, facts(client))
    client.destroy()
    await t.closed(client)
  }
  const client = t.watch(new t.net.Socket({ handle: reserve(t), readable: false }), 'readable')
  t.log('readable', client.readable, client.readyState)
})

test('localAddress and localPort with a bound handle throw ERR_INVALID_ARG_VALUE', async t => {
  const port = await tellingServer(t)
  t.alias(port, 'port of the server')
  for (const more of [
    { localAddress: '127.0.0.1' },
    { localAddress: null },
    { localAddress: '' },
    { localAddress: 'nonsense' },
    { localPort: 1 },
    { localPort: 0 },
    { localPort: 'x' },
    { localAddress: '127.0.0.1', localPort: 1 },
  ]) {
    const client = t.own(new t.net.Socket({ handle: bind(t) }))
    t.attempt(JSON.stringify(more), () => client.connect({ port: 1, host: '127.0.0.1', ...more }))
    t.log('left', facts(client))
  }
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.connect({ port, host: '127.0.0.1', localAddress: undefined, localPort: undefined }).resume()
  await t.closed(client)
})

test('wrong arguments of connect() throw, and the bound handle is gone with net.connect', async t => {
  for (const options of [{}, { port: -1 }, { port: 'x' }, { port: {} }, { port: 1, host: 5 }]) {
    const handle = bind(t)
    t.attempt(JSON.stringify(options), () => t.net.connect({ handle, ...options }))
    t.attempt('bound', () => handle.address())
  }
})

test('a name as host is looked up, for one address', async t => {
  const port = await tellingServer(t)
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  const lookup = (host, options, callback) => {
    t.log('lookup', host, options.all)
    callback(null, '127.0.0.1', 4)
  }
  client.connect({ port, host: 'somewhere', lookup, autoSelectFamily: true })
  t.log('connecting', facts(client), client.localPort === t.reserved)
  client.resume()
  await t.closed(client)
})

test('localhost as host, and none, connect from the reserved port', async t => {
  const port = await tellingServer(t)
  for (const args of [[port, 'localhost'], [port]]) {
    const client = t.own(new t.net.Socket({ handle: reserve(t) }))
    client.connect(...args).resume()
    await t.closed(client)
  }
})

test('a name that leads to another family is an error', async t => {
  const port = await tellingServer(t)
  t.alias(port, 'port of the server')
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.connect({ port, host: 'somewhere', lookup: (_host, _options, callback) => callback(null, '::1', 6) })
  await t.closed(client)
})

test('a lookup that fails is an error, and the port is free again', async t => {
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  const lookup = (_host, _options, callback) => callback(new Error('no such name'))
  client.connect({ port: 1, host: 'nowhere', lookup })
  await t.closed(client)
  t.log('again', bind(t, { ...loopback, port: t.reserved }).address().port === t.reserved)
})

test('a refused connection is told like any other', async t => {
  const gone = bind(t)
  const { port } = gone.address()
  t.alias(port, 'nobody')
  const client = t.watch(t.net.connect({ handle: reserve(t), port, host: '127.0.0.1' }), 'client')
  t.log('connecting', facts(client))
  await t.closed(client)
  t.log('closed', facts(client))
})

linux('the other family fails at once: EAFNOSUPPORT from IPv4, EINVAL from IPv6', async t => {
  const port = await tellingServer(t)
  t.alias(port, 'port of the server')
  const four = t.watch(new t.net.Socket({ handle: reserve(t) }), 'IPv4')
  t.log('returned', four.connect(port, '::1') === four, facts(four))
  await t.closed(four)
  const six = t.watch(new t.net.Socket({ handle: reserve(t, { host: '::1' }) }), 'IPv6')
  t.log('returned', six.connect(port, '127.0.0.1') === six, facts(six))
  await t.closed(six)
})

linux('a second connection between the same two ends is EADDRNOTAVAIL', async t => {
  const port = await tellingServer(t)
  t.alias(port, 'port of the server')
  const first = reserve(t)
  const second = bind(t, { ...loopback, port: t.reserved })
  const client = t.own(t.net.connect({ handle: first, port, host: '127.0.0.1' }))
  await t.seen(client, 'connect')
  const late = t.watch(t.net.connect({ handle: second, port, host: '127.0.0.1' }), 'late')
  await t.closed(late)
})

test('a listener on the port of a bound client is EADDRINUSE to it', async t => {
  const bound = reserve(t)
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(t.reserved, '127.0.0.1')
  await t.seen(server, 'listening')
  const port = await tellingServer(t)
  const client = t.watch(t.net.connect({ handle: bound, port, host: '127.0.0.1' }), 'client').resume()
  await t.closed(client)
})

test('an address that the blockList blocks', async t => {
  const blockList = new t.net.BlockList()
  blockList.addAddress('127.0.0.1')
  const client = t.watch(
    t.net.connect({ handle: reserve(t), port: 1, host: '127.0.0.1', blockList }),
    'client',
  )
  t.log('at once', facts(client))
  await t.closed(client)
})

test('connect() twice is EALREADY', async t => {
  const port = await tellingServer(t)
  t.alias(port, 'port of the server')
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.connect(port, '127.0.0.1')
  t.attempt('again', () => client.connect(port, '127.0.0.1') === client)
  await t.closed(client)
})

test('a Socket connects again after its bound handle has closed, from any port', async t => {
  const port = await tellingServer(t)
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.connect(port, '127.0.0.1').resume()
  await t.closed(client)
  client.connect(port, '127.0.0.1')
  t.log('connecting', facts(client))
  await t.seen(client, 'connect')
  t.log('same port', client.localPort === t.reserved)
})

test('localAddress still throws when its bound handle has closed', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  client.destroy()
  await t.closed(client)
  t.attempt('again', () => client.connect({ port: 1, host: '127.0.0.1', localAddress: '127.0.0.1' }))
})

test('a path as destination of a TCP handle is ignored', async t => {
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  t.attempt('connect', () => client.connect({ path: t.socketPath() }) === client)
  await t.closed(client)
})

test('a Socket that had a bound handle can have a path', async t => {
  const name = t.socketPath()
  await t.listen({ path: name }, peer => peer.end('hi'))
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.destroy()
  await t.closed(client)
  client.connect(name).resume()
  await t.seen(client, 'connect')
  t.log('connected', facts(client))
})

test('destroy() before connect() frees the port', async t => {
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  client.destroy()
  await t.closed(client)
  t.log('closed', facts(client))
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(t.reserved, '127.0.0.1')
  await t.seen(server, 'listening')
})

test('destroy() while a name is looked up frees the port', async t => {
  const client = t.watch(new t.net.Socket({ handle: reserve(t) }), 'client')
  let answer
  client.connect({ port: 1, host: 'slow', lookup: (_host, _options, callback) => (answer = callback) })
  client.destroy()
  await t.closed(client)
  answer(null, '127.0.0.1', 4)
  const server = t.watch(t.net.createServer(), 'server')
  server.listen(t.reserved, '127.0.0.1')
  await t.seen(server, 'listening')
})

linux('write() before connect() fails: EPIPE', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  client.write('early', error => t.log('written', error))
  await t.closed(client)
  const silent = t.watch(new t.net.Socket({ handle: bind(t) }), 'silent')
  silent.write('nobody asks')
  await t.closed(silent)
  const ending = t.watch(new t.net.Socket({ handle: bind(t) }), 'ending')
  ending.end('early', error => t.log('ended', error))
  await t.closed(ending)
  const large = t.watch(new t.net.Socket({ handle: bind(t) }), 'large')
  large.write(Buffer.alloc(100_000), error => t.log('written', error))
  await t.closed(large)
})

test('end() before connect() ends our side', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  client.end(error => t.log('ended', error))
  await t.seen(client, 'finish')
  t.log('ended', facts(client))
})

test('reading before connect() is ENOTCONN', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  client.resume()
  await t.closed(client)
  t.log('closed', facts(client))
})

test('resetAndDestroy() before connect()', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  t.attempt('reset', () => client.resetAndDestroy() === client)
  await t.closed(client)
})

test('setTimeout, setNoDelay, setKeepAlive, ref and unref before connect()', async t => {
  const client = t.watch(new t.net.Socket({ handle: bind(t) }), 'client')
  t.attempt('set', () => client.setNoDelay(true).setKeepAlive(true, 1000) === client)
  t.log('referenced', client._handle.hasRef(), client.unref()._handle.hasRef(), client.ref()._handle.hasRef())
  client.setTimeout(5)
  await t.seen(client, 'timeout')
})

test('a path as source: the local address is the path, and goes with the socket', async t => {
  const [name, mine] = [t.socketPath('server.sock'), t.socketPath('client.sock')]
  t.alias(mine, 'mine')
  await t.listen({ path: name }, peer => {
    t.log.to('server')('from', peer.remoteAddress)
    peer.end('hi')
  })
  const bound = bind(t, { path: mine })
  const client = t.watch(new t.net.Socket({ handle: bound }), 'client')
  t.log('fresh', facts(client), client.address())
  t.log('returned', client.connect(name) === client)
  t.log('connecting', facts(client), client.localAddress)
  client.resume()
  await t.seen(client, 'connect')
  t.log('connected', facts(client), client.address(), existsSync(mine))
  await t.closed(client)
  t.log('closed', facts(client), client.address(), existsSync(mine))
})

test('connect({ handle, path }) from a path', async t => {
  const name = t.socketPath('server.sock')
  const mine = t.socketPath('client.sock')
  t.alias(mine, 'mine')
  await t.listen({ path: name }, peer => peer.end('hi'))
  const client = t.watch(t.net.connect({ handle: bind(t, { path: mine }), path: name }), 'client')
  t.log('connecting', facts(client))
  client.resume()
  await t.closed(client)
  t.log('left', existsSync(mine))
})

test('localAddress and localPort count for nothing with a path as source', async t => {
  const name = t.socketPath('server.sock')
  await t.listen({ path: name }, peer => peer.end('hi'))
  const client = t.watch(new t.net.Socket({ handle: bind(t, { path: t.socketPath() }) }), 'client')
  t.attempt(
    'connect',
    () => client.connect({ path: name, localAddress: '127.0.0.1', localPort: 4 }) === client,
  )
  client.resume()
  await t.closed(client)
})

test('a port as destination of a path throws ERR_INVALID_ARG_TYPE', t => {
  const client = t.own(new t.net.Socket({ handle: bind(t, { path: t.socketPath() }) }))
  t.attempt('connect', () => client.connect(80, '127.0.0.1'))
  t.log('left', facts(client))
})

test('a path that leads nowhere is told, and the source is unlinked', async t => {
  const mine = t.socketPath()
  const client = t.watch(t.net.connect({ handle: bind(t, { path: mine }), path: `${mine}-none` }), 'client')
  await t.closed(client)
  t.log('left', existsSync(mine))
})

test('destroy() before connect() unlinks at once, and the address is remembered', async t => {
  const mine = t.socketPath()
  const client = t.watch(new t.net.Socket({ handle: bind(t, { path: mine }) }), 'client')
  client.destroy()
  t.log('left', existsSync(mine), client.address())
  await t.closed(client)
  t.log('closed', client.address(), client.localAddress)
})

test('a Socket that had a path connects again', async t => {
  const name = t.socketPath('server.sock')
  await t.listen({ path: name }, peer => peer.end('hi'))
  const client = t.watch(new t.net.Socket({ handle: bind(t, { path: t.socketPath() }) }), 'client')
  client.connect(name).resume()
  await t.closed(client)
  client.connect(name)
  t.log('connecting', facts(client))
  await t.closed(client)
})

linux('write, read, end and reset before connect() on a path', async t => {
  const fresh = name =>
    t.watch(new t.net.Socket({ handle: bind(t, { path: t.socketPath(`${name}.sock`) }) }), name)
  const writer = fresh('writer')
  writer.write('early', error => t.log('written', error))
  await t.closed(writer)
  const reader = fresh('reader')
  reader.resume()
  await t.closed(reader)
  const ender = fresh('ender')
  ender.end()
  await t.seen(ender, 'finish')
  t.attempt('reset', () => fresh('resetter').resetAndDestroy())
})

linux('an abstract path as source', async t => {
  const name = t.socketPath('server.sock')
  const mine = abstractName(t)
  await t.listen({ path: name }, peer => peer.end('hi'))
  const client = t.watch(t.net.connect({ handle: bind(t, { path: mine }), path: name }), 'client')
  t.log('address', client.localAddress)
  client.resume()
  await t.closed(client)
  t.attempt('free', () => new t.net.BoundSocket({ path: mine }).close())
})

test('a Socket is no second owner: new Socket({ handle }) of an adopted one throws', t => {
  const bound = bind(t)
  t.own(new t.net.Socket({ handle: bound }))
  t.attempt('again', () => new t.net.Socket({ handle: bound }))
  t.attempt('connect', () => t.net.connect({ handle: bound, port: 1 }))
  t.attempt('listen', () => t.net.createServer().listen(bound))
})

// --- the process --------------------------------------------------------------------------------------------------

alone('a BoundSocket does not keep the process alive', ({ net }) => {
  new net.BoundSocket(loopback)
})

alone('a Socket on a bound handle does not keep the process alive', ({ net }) => {
  new net.Socket({ handle: new net.BoundSocket(loopback) })
})

alone('an unreferenced server on a bound handle does not keep the process alive', ({ net }) => {
  net.createServer().listen(new net.BoundSocket(loopback)).unref()
})

alone('a path is left behind when the process exits with it', ({ net, socketPath, log }) => {
  const name = socketPath()
  new net.BoundSocket({ path: name })
  process.on('exit', () => log('at exit', existsSync(name)))
})

linux('a BoundSocket that nobody adopts keeps its address when it is collected', async t => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  const gc = globalThis.Bun ? () => globalThis.Bun.gc(true) : runInNewContext('gc')
  let collected = 0
  const registry = new FinalizationRegistry(() => collected++)
  const name = abstractName(t)
  const descriptor = (() => {
    const bound = new t.net.BoundSocket({ path: name })
    registry.register(bound, null)
    return bound.fd()
  })()
  for (let turn = 0; collected === 0 && turn < 100; turn++) {
    gc()
    await t.turns(1)
  }
  t.log('collected', collected, 'open', isOpen(descriptor))
  t.attempt('in use', () => new t.net.BoundSocket({ path: name }))
})

linux('many reservations leave no descriptor behind', async t => {
  const { readdirSync } = await import('node:fs')
  const count = () => readdirSync('/proc/self/fd').length
  const server = await t.listen({}, peer => peer.end('hi'))
  const { port } = server.address()
  async function round() {
    for (let at = 0; at < 20; at++) {
      new t.net.BoundSocket(loopback).close()
      new t.net.BoundSocket({ path: t.socketPath() }).close()
      const socket = new t.net.Socket({ handle: new t.net.BoundSocket(loopback) })
      const other = t.net.createServer().listen(new t.net.BoundSocket(loopback))
      await t.seen(other, 'listening')
      other.close()
      socket.connect(port, '127.0.0.1').resume()
      await Promise.all([t.seen(other, 'close'), t.seen(socket, 'close')])
      for (const host of ['192.0.2.1', '2001:db8::1']) {
        try {
          new t.net.BoundSocket({ host })
        } catch {}
      }
      try {
        new t.net.BoundSocket({ path: '/missing/socket' })
      } catch {}
    }
    await t.until(() => server._connections === 0)
    await t.turns(2)
  }
  await round()
  const before = count()
  await round()
  t.log('more', count() - before)
})

// --- Node's own ---------------------------------------------------------------------------------------------------

// On an older Node there is nothing to adopt, or no path.
const { BoundSocket: NodesBoundSocket } = nodeNet
const nodesHasPaths = NodesBoundSocket !== undefined && 'isPipe' in NodesBoundSocket.prototype
const nodes = (title, main, scenario, isThere = NodesBoundSocket !== undefined) => {
  if (isThere) {
    parity(title, { on: 'unix', since: '99', expected: { main } }, scenario)
  }
}

const adopted = {
  name: 'Error',
  constructor: 'Error',
  message: 'The bound socket has already been adopted by a server or socket',
  code: 'ERR_SOCKET_HANDLE_ADOPTED',
}

nodes(
  "a server listens on a BoundSocket of Node's, in each way",
  [
    ['listening', true, true],
    ['adopted', 'threw', adopted],
    ['arrived', 'Buffer "hi"'],
    ['listening', true, true],
    ['adopted', 'threw', adopted],
    ['arrived', 'Buffer "hi"'],
  ],
  async t => {
    for (const wrap of [bound => bound, handle => ({ handle })]) {
      const bound = new NodesBoundSocket(loopback)
      const { port } = bound.address()
      const server = t.own(t.net.createServer(peer => t.own(peer).end('hi'))).listen(wrap(bound))
      t.log('listening', server.listening, server.address().port === port)
      t.attempt('adopted', () => bound.address())
      t.log('arrived', await t.drained(t.connect(port, '127.0.0.1')))
    }
  },
)

nodes(
  "a client connects from a BoundSocket of Node's",
  [
    ['same port', true],
    ['adopted', 'threw', adopted],
    ['again', 'threw', adopted],
    ['arrived', 'Buffer "hi"'],
  ],
  async t => {
    const server = await t.listen({}, peer => peer.end('hi'))
    const bound = new NodesBoundSocket(loopback)
    const { port } = bound.address()
    const client = t.own(t.net.connect({ handle: bound, ...t.to(server), host: '127.0.0.1' }))
    t.log('same port', client.localPort === port)
    t.attempt('adopted', () => bound.close())
    t.attempt('again', () => new t.net.Socket({ handle: bound }))
    t.log('arrived', await t.drained(client))
  },
)

nodes(
  "a path of Node's cannot be adopted, and stays Node's",
  [
    [
      'listen',
      'threw',
      {
        name: 'TypeError',
        constructor: 'TypeError',
        message: 'This handle type cannot be sent',
        code: 'ERR_INVALID_HANDLE_TYPE',
      },
    ],
    ['left', '<tmp>/s.sock', true],
  ],
  t => {
    const bound = new NodesBoundSocket({ path: t.socketPath() })
    t.cleanup(() => bound.close())
    t.attempt('listen', () => t.net.createServer().listen(bound))
    t.log('left', bound.address(), existsSync(bound.address()))
  },
  nodesHasPaths,
)
