// `_handle` of sockets and servers as tools use it: libuv's names on ferronet's handles, functions of theirs in the place
// of ours, and handles that a program brings itself.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import nodeNet from 'node:net'
import { parity } from '../helpers/parity.mjs'

const require = createRequire(import.meta.url)
const { ACCEPT_ERROR } = require('../../dist/lib/engine/batch.js')
const { errnoOf } = require('../../dist/lib/errors.js')

const unix = { on: 'unix' }
const own = { ...unix, module: 'ferronet' }

// --- names -------------------------------------------------------------------------------------------------------

const tcpNames = ['getsockname', 'getpeername', 'setNoDelay', 'setKeepAlive', 'reset', 'useUserBuffer']

parity('a TCP handle has the functions of libuv’s', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  for (const name of tcpNames) log(name, ...[client, peer].map(({ _handle }) => typeof _handle[name]))
  log('server', typeof server._handle.getsockname, typeof server._handle.onconnection)
  log('only on Windows', typeof client._handle.setSimultaneousAccepts)
  log('no stream of libuv’s for a reader of own names', Object.hasOwn(client._handle, 'getsockname'))
})

parity('a handle at a path has no names of its ends', unix, async t => {
  const { server, client, peer } = await t.pair({ path: t.socketPath() })
  for (const { _handle } of [server, client, peer])
    t.log('names', typeof _handle.getsockname, typeof _handle.getpeername)
})

parity('getsockname and getpeername fill in an object', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  const ask = (handle, name) => {
    const out = {}
    log(name, handle[name](out), Object.keys(out), out.address, out.family, typeof out.port)
    return out.port
  }
  const ports = [server, client, peer].map(({ _handle }) => ask(_handle, 'getsockname'))
  const others = [client, peer].map(({ _handle }) => ask(_handle, 'getpeername'))
  log('meet', ports[1] === others[1], ports[2] === others[0], ports[0] === ports[2])
  log('of a listener', server._handle.getpeername({}))
})

parity('a closed handle: what its functions return', async ({ pair, log, closed }) => {
  const { client } = await pair()
  const handle = client._handle
  client.destroy()
  await closed(client)
  log('fd', handle.fd < 0)
  const names = { getsockname: [{}], getpeername: [{}], setNoDelay: [true], setKeepAlive: [true, 1] }
  for (const [name, args] of Object.entries(names)) log(name, handle[name](...args))
})

parity('setNoDelay and setKeepAlive check nothing', async ({ pair, log }) => {
  const { client } = await pair()
  for (const args of [[], [true], [false], [1], [null], [{}]])
    log('setNoDelay', args, client._handle.setNoDelay(...args))
  for (const args of [
    [true, 1],
    [false, 0],
    [false, 5],
    [true, 0],
    [true, -1],
  ])
    log('setKeepAlive', args, client._handle.setKeepAlive(...args))
})

parity('fd cannot be assigned, but defined', unix, async ({ pair, log }) => {
  const { server, client } = await pair()
  for (const { _handle } of [server, client]) {
    const { fd } = _handle
    try {
      _handle.fd = 1000
      log('assigned')
    } catch (error) {
      log('threw', error.name)
    }
    log('kept', _handle.fd === fd)
    Object.defineProperty(_handle, 'fd', { value: 1000, configurable: true })
    log('defined', _handle.fd)
  }
})

// --- functions in the place of ours ---------------------------------------------------------------------------------

// What `handle[name]` is called with from now on, before it does what it did.
function tap(t, handle, name, label = name) {
  const original = handle[name]
  handle[name] = function (...args) {
    t.log(label, this === handle, ...args.map(argument => (argument === null ? null : typeof argument)))
    return Reflect.apply(original, this, args)
  }
}

parity('setNoDelay, ref and unref go through the handle', async t => {
  const { client } = await t.pair()
  const handle = client._handle
  handle.setNoDelay = function (...args) {
    t.log('handle setNoDelay', this === handle, ...args)
    return 0
  }
  tap(t, handle, 'ref')
  tap(t, handle, 'unref')
  t.log('chained', client.setNoDelay() === client)
  client.setNoDelay(true)
  client.setNoDelay(false)
  client.unref()
  client.ref()
})

const keepAlive = {
  since: ['24.19', '26.4'],
  expected: {
    main: [
      ['handle setKeepAlive', true, 5, '<undefined>', '<undefined>'],
      ['handle setKeepAlive', true, 5, 2, 3],
      ['handle setKeepAlive', false, 0, '<undefined>', '<undefined>'],
      ['handle setKeepAlive', true, 0, '<undefined>', '<undefined>'],
    ],
  },
}
parity('setKeepAlive goes through the handle, with what was asked for', keepAlive, async ({ pair, log }) => {
  const { client } = await pair()
  client._handle.setKeepAlive = (...args) => {
    log('handle setKeepAlive', ...args)
    return 0
  }
  client.setKeepAlive(true, 5000)
  client.setKeepAlive(true, 5000)
  client.setKeepAlive(true, 5000, 2000, 3)
  client.setKeepAlive(false)
  client.setKeepAlive(true)
})

parity('the delay of setKeepAlive in whole seconds, on the handle', async ({ pair, log }) => {
  const { client } = await pair()
  client._handle.setKeepAlive = (enable, delay) => log('handle', enable, delay)
  for (const delay of [1000, 2999, 500]) client.setKeepAlive(true, delay)
})

const typeOfService = {
  since: ['24.15', '25.6'],
  expected: {
    main: [
      ['set', 16],
      ['get', 7],
    ],
  },
}
parity('the type of service goes through the handle', typeOfService, async ({ pair, log }) => {
  const { client } = await pair()
  client._handle.setTypeOfService = tos => {
    log('set', tos)
    return 0
  }
  client._handle.getTypeOfService = () => 7
  client.setTypeOfService(16)
  log('get', client.getTypeOfService())
})

parity('the ends of a socket are asked of the handle, once', async ({ pair, log }) => {
  const { client, peer } = await pair()
  const tell = (name, port) =>
    function (out) {
      log(name, this === client._handle)
      Object.assign(out, { address: '192.0.2.7', family: 'IPv4', port })
      return 0
    }
  client._handle.getsockname = tell('getsockname', 7)
  client._handle.getpeername = tell('getpeername', 8)
  log('local', client.localAddress, client.localPort, client.localFamily, client.address())
  log('remote', client.remoteAddress, client.remotePort, client.remoteFamily)
  peer._handle.getsockname = () => -9
  log('unknown', peer.localAddress, peer.address())
})

parity(
  'the address of a server is asked of the handle, and its error thrown',
  async ({ listen, log, attempt }) => {
    const server = await listen()
    server._handle.getsockname = out =>
      Object.assign(out, { address: '192.0.2.7', family: 'IPv4', port: 1 }) && 0
    log('address', server.address())
    server._handle.getsockname = () => -9
    attempt('address', () => server.address())
  },
)

parity('readStop and readStart go through the handle', async t => {
  const { client, peer } = await t.pair({ client: { highWaterMark: 4 } })
  client.on('data', () => {})
  await t.turns()
  client.pause()
  tap(t, client._handle, 'readStop')
  tap(t, client._handle, 'readStart')
  peer.write('12345678')
  await t.until(() => client.readableLength > 0)
  await t.turns(2)
  t.log('full')
  client.resume()
  await t.until(() => client._handle.reading)
})

for (const [how, name, end] of [
  ['destroy()', 'close', client => client.destroy()],
  ['destroy(error)', 'close', client => client.on('error', () => {}).destroy(new Error('mine'))],
  ['resetAndDestroy()', 'reset', client => client.resetAndDestroy()],
]) {
  parity(`${how} goes through ${name}, which has one callback`, async t => {
    const { client } = await t.pair()
    t.watch(client, 'client', { into: 'main' })
    client.setTimeout(0)
    const original = client._handle[name]
    client._handle[name] = function (...args) {
      t.log(
        `handle ${name}`,
        args.map(argument => typeof argument),
      )
      const [callback] = args
      return original.call(this, function () {
        t.log('closed')
        return Reflect.apply(callback, this, arguments)
      })
    }
    end(client)
    await t.closed(client)
  })
}

parity('a close that is put off holds back the event', async ({ pair, log, turns, closed }) => {
  const { client } = await pair()
  const handle = client._handle
  const { close } = handle
  let go
  handle.close = callback => (go = () => close.call(handle, callback))
  client.on('close', () => log('close'))
  client.destroy()
  await turns(2)
  log('put off', client.destroyed, client._handle)
  go()
  await closed(client)
})

// --- listeners ------------------------------------------------------------------------------------------------------

parity('onconnection of a listening handle can be wrapped', async t => {
  const server = await t.listen({}, peer => peer.end('hello'))
  const handle = server._handle
  const original = handle.onconnection
  handle.onconnection = function (status, client) {
    const end = {}
    t.log('onconnection', this === handle, status, typeof client.fd, client.getpeername(end), end.address)
    return Reflect.apply(original, this, arguments)
  }
  t.log('arrived', await t.drained(t.connect(t.to(server))))
})

parity('onconnection of a listening handle can keep the connection for itself', async t => {
  const server = await t.listen({}, () => t.log('connection'))
  server._handle.onconnection = (status, handle) => {
    t.log('taken', status)
    t.own(new t.net.Socket({ handle })).end('by hand')
  }
  t.log('arrived', await t.drained(t.connect(t.to(server))))
  t.log('counted', server._connections)
})

parity('onconnection may be given a connection from elsewhere', async t => {
  const [first, second] = [
    await t.listen({}, () => t.log('first')),
    await t.listen({}, peer => {
      t.log('second')
      peer.end('passed on')
    }),
  ]
  first._handle.onconnection = (status, handle) => second._handle.onconnection(status, handle)
  t.log('arrived', await t.drained(t.connect(t.to(first))))
  t.log('counted', first._connections, second._connections)
})

parity('a failure that onconnection is given is an error of the server', unix, async t => {
  const server = await t.listen()
  server.on('error', ({ message, code, syscall }) => t.log('error', message, code, syscall))
  // ENOBUFS and EMFILE.
  for (const status of [-105, -24]) server._handle.onconnection(status)
  t.log('listening', server.listening)
  t.connect(t.to(server))
  await t.seen(server, 'connection')
})

// What the system says of an accept (a network that is down, a firewall, no memory) never gets there in Node.
parity('a server that could not accept says nothing, and accepts', own, async t => {
  const server = await t.listen()
  const told = []
  server.on('error', ({ code }) => told.push(code))
  for (const code of ['ENOBUFS', 'ENETDOWN', 'EPERM', 'EMFILE'])
    server._handle.deliver(ACCEPT_ERROR, errnoOf(code), 0)
  t.connect(t.to(server))
  await t.seen(server, 'connection')
  // A failure of ours.
  server._handle.deliver(ACCEPT_ERROR, errnoOf('UNKNOWN'), 0)
  assert.deepEqual(told, ['UNKNOWN'])
})

parity('listen, ref and close go through a handle that was made before', async t => {
  const handle = t.net._createServerHandle('127.0.0.1', 0, 4)
  for (const name of ['listen', 'ref', 'unref', 'close']) tap(t, handle, name)
  const server = t.watch(t.net.createServer(), 'server', { into: 'main' })
  server.listen(handle, 7)
  await t.seen(server, 'listening')
  server.unref()
  server.ref()
  server.close()
  await t.seen(server, 'close')
})

parity('a listen that fails on the handle is the server’s error', async t => {
  for (const status of [-98, -9999]) {
    const handle = t.net._createServerHandle('127.0.0.1', 0, 4)
    handle.listen = backlog => {
      t.log('backlog', backlog)
      return status
    }
    const server = t.watch(t.net.createServer(), `server ${status}`)
    server.listen(handle, 7)
    await t.seen(server, 'error')
  }
})

parity('what is put on the prototype of handles is called for all of them', async t => {
  const { client, peer } = await t.pair()
  let prototype = Object.getPrototypeOf(client._handle)
  while (!Object.hasOwn(prototype, 'setNoDelay')) prototype = Object.getPrototypeOf(prototype)
  const { setNoDelay } = prototype
  t.cleanup(() => (prototype.setNoDelay = setNoDelay))
  prototype.setNoDelay = function (enable) {
    t.log('setNoDelay', this === client._handle ? 'client' : 'peer', enable)
    return 0
  }
  client.setNoDelay()
  peer.setNoDelay()
  t.connect(t.to(await t.listen({ noDelay: true }), { noDelay: true })).destroy()
})

// --- handles that a program brings ------------------------------------------------------------------------------------

const base = process.binding('stream_wrap')
const { streamBaseState: state, kReadBytesOrError, kArrayBufferOffset, kBytesWritten } = base
const EOF = -4095

// The smallest handle that a Socket can live on, and a record of what is asked of it. `verbs` in the place of its own.
function duck(t, verbs = {}) {
  const own = {
    getAsyncId: () => 77,
    readStart: () => 0,
    readStop: () => 0,
    ref() {},
    unref() {},
    useUserBuffer() {},
    setNoDelay: () => 0,
    close: callback => setImmediate(callback),
    shutdown(request) {
      setImmediate(() => request.oncomplete(0))
      return 0
    },
    ...Object.fromEntries(
      ['Buffer', 'Latin1String', 'Utf8String', 'AsciiString', 'Ucs2String'].map(kind => [
        `write${kind}`,
        () => 0,
      ]),
    ),
    writev: () => 0,
    ...verbs,
  }
  return new Proxy(own, {
    get(target, name) {
      const value = target[name]
      if (typeof name === 'symbol' || typeof value !== 'function' || name === 'onread') return value
      return (...args) => {
        t.log(`call ${name}`, ...args.map(spelled))
        return Reflect.apply(value, target, args)
      }
    },
    set(target, name, value) {
      t.log(`set ${String(name)}`, typeof value === 'function' ? value.name : spelled(value))
      target[name] = value
      return true
    },
  })
}

// A request is one on Node up to 24, and null from 26 on.
function spelled(value) {
  if (value === null || value instanceof base.WriteWrap) return 'request'
  if (typeof value === 'function') return 'function'
  if (Array.isArray(value)) return value.map(spelled)
  if (Buffer.isBuffer(value)) return value.toString()
  return typeof value === 'object' ? value.constructor.name : value
}

function arrive(handle, text) {
  state[kReadBytesOrError] = text.length
  state[kArrayBufferOffset] = 0
  return handle.onread(new Uint8Array(Buffer.from(text)).buffer)
}

function tell(handle, status) {
  state[kReadBytesOrError] = status
  handle.onread()
}

// Begins a write that goes on after the call, in the words of the running Node.
function begin(request, bytes) {
  const given = request ?? new base.WriteWrap()
  state[kBytesWritten] = bytes
  state[base.kLastWriteErr ?? base.kLastWriteWasAsync] = base.kLastWriteErr === undefined ? 1 : 0
  return { request: given, result: request === null ? given : 0 }
}

function socketOn(t, handle, options) {
  return t.watch(new t.net.Socket({ handle, ...options }), 'socket', { into: 'main' })
}

for (const [how, options] of Object.entries({
  'by itself': {},
  paused: { pauseOnCreate: true },
  'on demand': { manualStart: true },
  'never, for a writer': { readable: false },
})) {
  parity(`a handle of the program’s is read ${how}`, async t => {
    const handle = duck(t)
    const socket = socketOn(t, handle, options)
    t.log('made', socket._handle === handle, socket.pending, socket.readyState, socket.readableFlowing)
    if (options.readable === false) return
    socket.resume()
    await t.turns()
  })
}

parity('a handle of the program’s: bytes, the end, and the close behind it', async t => {
  const handle = duck(t)
  const socket = socketOn(t, handle)
  socket.on('data', () => {})
  t.log('returned', arrive(handle, 'hello'))
  state[kReadBytesOrError] = 3
  state[kArrayBufferOffset] = 2
  handle.onread(new Uint8Array(Buffer.from('abcdefgh')).buffer)
  tell(handle, 0)
  tell(handle, EOF)
  await t.closed(socket)
  t.log('closed', socket._handle)
})

parity('a handle of the program’s: an error of reading', async t => {
  const handle = duck(t)
  const socket = socketOn(t, handle)
  tell(handle, -104)
  await t.closed(socket)
})

parity('a handle of the program’s: a reader that has enough', async t => {
  const handle = duck(t)
  const socket = socketOn(t, handle, { highWaterMark: 20 })
  socket.pause()
  for (let round = 0; round < 3; round++) arrive(handle, 'x'.repeat(10))
  t.log('reading', handle.reading, socket.readableLength)
  socket.on('data', () => {})
  socket.resume()
  await t.turns()
  t.log('reading', handle.reading)
})

parity('a handle of the program’s: the onread option', async t => {
  const handle = duck(t)
  const buffers = [Buffer.alloc(8), Buffer.alloc(4), Buffer.alloc(2)]
  const socket = socketOn(t, handle, {
    onread: {
      buffer: () => buffers.shift(),
      callback(nread, buffer) {
        t.log('onread', nread, buffer.length)
        return buffer.length > 4
      },
    },
  })
  state[kReadBytesOrError] = 3
  t.log('next', handle.onread()?.length)
  t.log('next', handle.onread()?.length)
  socket.pause()
  socket.resume()
})

parity('a handle of the program’s: how text and bytes are written', async t => {
  const socket = socketOn(t, duck(t))
  const calls = []
  socket.write('héllo', () => calls.push('callback'))
  socket.write(Buffer.from('abc'))
  for (const encoding of ['latin1', 'ascii', 'ucs2', 'utf16le', 'hex', 'base64'])
    socket.write('6161', encoding)
  socket.cork()
  socket.write('a')
  socket.write(Buffer.from('b'))
  socket.uncork()
  socket.cork()
  socket.write(Buffer.from('a'))
  socket.write(Buffer.from('b'))
  socket.uncork()
  await t.turns()
  t.log('heard', calls, socket.writableLength)
})

parity('a handle of the program’s: a write that fails at once', async t => {
  const socket = socketOn(t, duck(t, { writeBuffer: () => -32 }))
  socket.write(Buffer.from('abc'), error => t.log('callback', error))
  await t.closed(socket)
})

for (const status of [0, -32]) {
  parity(`a handle of the program’s: a write that goes on and ends with ${status}`, async t => {
    let under
    const handle = duck(t, {
      writeBuffer(request, bytes) {
        under = begin(request, bytes.length)
        return under.result
      },
    })
    const socket = socketOn(t, handle, { highWaterMark: 2 })
    t.log(
      'room',
      socket.write(Buffer.from('abc'), error => t.log('callback', error ?? null)),
    )
    t.log('waiting', socket.writableLength)
    await t.turns()
    t.log('request', under.request.async, under.request.bytes, under.request.handle === handle)
    under.request.oncomplete(status, handle)
    t.log('waiting', socket.writableLength)
    await (status === 0 ? t.turns() : t.closed(socket))
  })
}

for (const result of [1, -107, -9]) {
  parity(`a handle of the program’s: a shutdown that returns ${result}`, async t => {
    const socket = socketOn(t, duck(t, { shutdown: () => result }))
    socket.end()
    await t.turns(2)
    t.log('finished', socket.writableFinished, socket.destroyed)
  })
}

parity('a handle of the program’s: closed before its shutdown is through', async t => {
  const socket = socketOn(t, duck(t))
  socket.end()
  socket.destroy()
  await t.closed(socket)
})

parity('a handle of the program’s: the facts are its own', async t => {
  const name = port => out => Object.assign(out, { address: '192.0.2.7', family: 'IPv4', port }) && 0
  const handle = duck(t, { getsockname: name(7), getpeername: name(8), bytesRead: 12, bytesWritten: 34 })
  const socket = socketOn(t, handle, { manualStart: true })
  t.log(
    'ends',
    socket.localAddress,
    socket.localPort,
    socket.remoteAddress,
    socket.remotePort,
    socket.address(),
  )
  t.log('counts', socket.bytesRead, socket.bytesWritten, socket.bufferSize)
  socket.setNoDelay()
  socket.setNoDelay()
  socket.setKeepAlive(true, 1000)
  socket.ref()
  socket.unref()
  t.attempt('reset', () => socket.resetAndDestroy())
  socket.destroy()
  await t.closed(socket)
  t.log('counts', socket.bytesRead, socket.bytesWritten)
})

parity('a handle of the program’s: busyPoll is remembered', { module: 'ferronet' }, async t => {
  const socket = socketOn(t, duck(t), { manualStart: true, busyPoll: 30 })
  assert.equal(socket.getBusyPoll(), 30)
  assert.equal(socket.setBusyPoll(40), socket)
  assert.equal(socket.getBusyPoll(), 40)
})

parity('a handle of the program’s: connecting with it', async t => {
  let request
  const handle = duck(t, {
    connect(given) {
      request = given
      return 0
    },
  })
  const socket = socketOn(t, handle)
  socket.connect(80, '192.0.2.7')
  await t.until(() => request !== undefined)
  t.log('connecting', socket.connecting, request.address, request.port)
  request.oncomplete(0, handle, request, true, true)
  t.log('connected', socket.connecting)
})

parity('a handle of the program’s may have next to nothing', async t => {
  const handle = {
    readStart() {
      setImmediate(() => tell(handle, EOF))
    },
    close: callback => setImmediate(callback),
  }
  const socket = socketOn(t, handle, { writable: false })
  t.log('ends', socket.address(), socket.remoteAddress, socket.bytesRead)
  await t.closed(socket.setNoDelay().setKeepAlive(true, 1000).ref().unref().resume())
})

parity('an object that is no handle destroys the socket', async t => {
  t.catchUncaught()
  const socket = new t.net.Socket({ handle: { close: callback => setImmediate(callback) } })
  const error = await new Promise(resolve => socket.once('error', resolve))
  t.log('error', error instanceof TypeError)
  await t.seen(socket, 'close')
})

parity('_handle may be taken away and put back', async t => {
  for (const socket of [socketOn(t, duck(t)), (await t.pair()).client]) {
    const handle = socket._handle
    socket._handle = null
    t.log('away', socket.pending, socket.address())
    socket._handle = handle
    t.log('back', socket.pending, socket._handle === handle)
  }
})

parity('a handle of Node’s that has no descriptor yet can be connected', async t => {
  const { TCP, constants } = process.binding('tcp_wrap')
  const server = await t.listen({}, peer => peer.pipe(peer))
  const socket = t.own(new t.net.Socket({ handle: new TCP(constants.SOCKET), manualStart: true }))
  t.log('pending', socket.pending, socket.localPort)
  socket.connect(t.to(server))
  const arrived = t.drained(socket)
  socket.write('text ')
  socket.write(Buffer.alloc(1_000_000, 'x'))
  socket.end('and the end')
  t.log('arrived', await arrived)
})

parity('a handle of Node’s for streams in JavaScript carries a socket', async t => {
  const { JSStream } = process.binding('js_stream')
  const handle = new JSStream()
  handle.isClosing = () => false
  handle.close = callback => setImmediate(callback)
  handle.onreadstart = handle.onreadstop = () => 0
  handle.onwrite = (request, chunks) => {
    t.log('written', Buffer.concat(chunks))
    setImmediate(() => handle.finishWrite(request, 0))
    return 0
  }
  handle.onshutdown = request => {
    setImmediate(() => handle.finishShutdown(request, 0))
    return 0
  }
  const socket = t.watch(new t.net.Socket({ handle }), 'socket', { into: 'main' })
  socket.on('data', () => {})
  socket.write('out')
  handle.readBuffer(Buffer.from('in'))
  await t.turns(3)
  handle.emitEOF()
  await t.closed(socket)
})

parity('a path that Node bound serves through a handle that is read by us', unix, async t => {
  const path = t.socketPath()
  const server = t.own(nodeNet.createServer(peer => peer.end('over')))
  await new Promise(resolve => server.listen(path, resolve))
  const theirs = nodeNet.connect(path)
  await new Promise(resolve => theirs.once('connect', resolve))
  const socket = t.own(new t.net.Socket({ handle: theirs._handle }))
  t.log('arrived', await t.drained(socket), existsSync(path))
})

parity("resetAndDestroy() on a closed handle of Node's, of TCP and of a path", async t => {
  const { TCP, constants } = process.binding('tcp_wrap')
  const { Pipe, constants: ofPipes } = process.binding('pipe_wrap')
  for (const [name, handle] of [
    ['TCP', new TCP(constants.SOCKET)],
    ['Pipe', new Pipe(ofPipes.SOCKET)],
  ]) {
    handle.close()
    const socket = new t.net.Socket({ handle, manualStart: true })
    socket.on('error', error => t.log(name, 'error', error.message))
    socket.on('close', hadError => t.log(name, 'close', hadError))
    t.attempt(name, () => socket.resetAndDestroy() === socket)
    await t.turns(3)
    t.log(name, socket.destroyed, socket._handle === null)
  }
})
