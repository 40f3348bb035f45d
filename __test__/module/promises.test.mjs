// `ferronet/promises`: connect() and listen(). No released node:net has this yet, so each test states what to expect.

import { parity, parityProcess } from '../helpers/parity.mjs'

const promises = (title, main, scenario) => parity(title, { since: '99', expected: { main } }, scenario)
const alone = (title, { main = [] }, scenario) => {
  const end = { code: 0, signal: null, stdout: '', stderr: [] }
  parityProcess(title, { since: '99', expected: { main: [...main, ['process exit', 0]], end } }, async t => {
    const { connect, listen } = await import(`${t.moduleName}/promises`)
    return scenario({ ...t, connect, listen })
  })
}

const here = { host: '127.0.0.1' }

// How a promise ends, as an entry; an error as what people look at.
async function outcome(t, label, promise) {
  try {
    const value = await promise
    t.log(label, 'fulfilled')
    return value
  } catch (error) {
    const { name, code, syscall, message, cause } = error
    t.log(label, t.trace.spell({ name, code, syscall, message, cause }))
  }
}

const abortError = cause => ({
  name: 'AbortError',
  code: 'ABORT_ERR',
  syscall: '<undefined>',
  message: 'The operation was aborted',
  cause,
})
const defaultReason = {
  name: 'AbortError',
  constructor: 'DOMException',
  message: 'This operation was aborted',
}
const wrong = (name, code, message) => ({
  ...{ name, code, syscall: '<undefined>', message, cause: '<undefined>' },
})

// A signal, and how many listen to it.
async function watchedSignal() {
  const { getEventListeners } = await import('node:events')
  const controller = new AbortController()
  return {
    controller,
    signal: controller.signal,
    listeners: () => getEventListeners(controller.signal, 'abort').length,
  }
}

// --- the module ---------------------------------------------------------------------------------------------------

promises(
  'ferronet/promises and net.promises are the same two functions',
  [
    ['keys', ['connect', 'listen', 'startTLS']],
    ['same', true, true],
    ['names', 'connect', 'listen'],
    ['required', true],
  ],
  async ({ net, moduleName, log }) => {
    const { createRequire } = await import('node:module')
    const module = await import(`${moduleName}/promises`)
    log(
      'keys',
      Object.keys(net.promises)
        .filter(key => key !== '__esModule')
        .sort(),
    )
    log('same', net.promises.connect === module.connect, net.promises.listen === module.listen)
    log('names', net.promises.connect.name, net.promises.listen.name)
    const required = createRequire(import.meta.url)(`${moduleName}/promises`)
    log('required', required.connect === module.connect)
  },
)

// --- connect ------------------------------------------------------------------------------------------------------

promises(
  'connect() is fulfilled with a connected Socket, for each form of arguments',
  [
    ['(options)', true, false, 'open', true, []],
    ['(port, host)', true, false, 'open', true, []],
    ['(port)', true, false, 'open', true, []],
    ['(path)', true, false, 'open', true, []],
    ['({ path })', true, false, 'open', true, []],
  ],
  async ({ net, listen, socketPath, cleanup, log }) => {
    const { port } = (await listen()).address()
    const path = socketPath()
    await listen({ path })
    const forms = {
      '(options)': [{ port, ...here }],
      '(port, host)': [port, '127.0.0.1'],
      '(port)': [port],
      '(path)': [path],
      '({ path })': [{ path }],
    }
    for (const [form, args] of Object.entries(forms)) {
      const socket = await net.promises.connect(...args)
      const plain = new net.Socket()
      cleanup(() => socket.destroy())
      const left = socket.eventNames().filter(name => socket.listenerCount(name) > plain.listenerCount(name))
      log(
        form,
        socket instanceof net.Socket,
        socket.connecting,
        socket.readyState,
        socket._handle !== null,
        left,
      )
    }
  },
)

promises(
  'connect() loses nothing that was there before anybody awaited it',
  [['arrived', 'Buffer "early and late"']],
  async ({ net, listen, drained, own, turns, log }) => {
    const { port } = (
      await listen({}, peer => {
        peer.write('early ')
        peer.end('and late')
      })
    ).address()
    const promise = net.promises.connect({ port, ...here })
    await turns(20)
    log('arrived', await drained(own(await promise)))
  },
)

promises(
  'connect() is rejected with what the network says, the socket destroyed',
  [
    [
      'refused',
      {
        name: 'Error',
        code: 'ECONNREFUSED',
        syscall: 'connect',
        message: 'connect ECONNREFUSED 127.0.0.1:<port>',
        cause: '<undefined>',
      },
    ],
    [
      'no such path',
      {
        name: 'Error',
        code: 'ENOENT',
        syscall: 'connect',
        message: `connect ENOENT ${process.platform === 'win32' ? '\\\\.\\pipe\\ferronet-<unique>-s.sock' : '<tmp>/s.sock'}`,
        cause: '<undefined>',
      },
    ],
    ['no such name', wrong('Error', '<undefined>', 'no such name')],
    ['blocked', wrong('Error', 'ERR_IP_BLOCKED', 'IP(127.0.0.1) is blocked by net.BlockList')],
    ['destroyed', 4],
  ],
  async t => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const sockets = []
    const keep = ({ socket }) => sockets.push(socket)
    subscribe('net.client.socket', keep)
    t.cleanup(() => unsubscribe('net.client.socket', keep))
    const { connect } = t.net.promises
    const gone = await t.listen()
    const { port } = gone.address()
    gone.close()
    await outcome(t, 'refused', connect({ port, ...here }))
    await outcome(t, 'no such path', connect(t.socketPath()))
    const lookup = (_host, _options, callback) => process.nextTick(callback, new Error('no such name'))
    await outcome(t, 'no such name', connect({ port, host: 'nowhere', lookup }))
    const blockList = new t.net.BlockList()
    blockList.addAddress('127.0.0.1')
    await outcome(t, 'blocked', connect({ port, ...here, blockList }))
    t.log('destroyed', sockets.filter(socket => socket.destroyed && socket._handle === null).length)
  },
)

promises(
  'connect() to several addresses is rejected with all their errors',
  [['all', 'AggregateError', 'ECONNREFUSED', ['ECONNREFUSED', 'ECONNREFUSED']]],
  async ({ net, listen, log }) => {
    const gone = await listen()
    const { port } = gone.address()
    gone.close()
    const lookup = (_host, _options, callback) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ])
    const error = await net.promises
      .connect({ port, host: 'two', lookup, autoSelectFamily: true })
      .catch(e => e)
    log(
      'all',
      error.constructor.name,
      error.code,
      error.errors.map(each => each.code),
    )
  },
)

promises(
  'connect() is rejected for wrong arguments, and never throws',
  [
    [
      'nothing',
      wrong('TypeError', 'ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified'),
    ],
    [
      'port',
      wrong(
        'RangeError',
        'ERR_SOCKET_BAD_PORT',
        'Port should be >= 0 and < 65536. Received type number (70000).',
      ),
    ],
    [
      'host',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "options.host" property must be of type string. Received type number (5)',
      ),
    ],
    [
      'signal',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "signal" argument must be an instance of AbortSignal. Received type number (5)',
      ),
    ],
    [
      'objectMode',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_VALUE',
        "The property 'options.objectMode' is not supported. Received true",
      ),
    ],
  ],
  async t => {
    const { connect } = t.net.promises
    await outcome(t, 'nothing', connect({}))
    await outcome(t, 'port', connect({ port: 70000 }))
    await outcome(t, 'host', connect({ port: 1, host: 5 }))
    await outcome(t, 'signal', connect({ port: 1, ...here, signal: 5 }))
    await outcome(t, 'objectMode', connect({ port: 1, objectMode: true }))
  },
)

promises(
  'connect() with a signal that has fired is rejected, and nobody hears of it',
  [
    ['default', abortError(defaultReason)],
    ['reason', abortError('<tmp>')],
    ['connections', 0],
    ['listeners', 0],
  ].map(entry => (entry[0] === 'reason' ? ['reason', abortError('why not')] : entry)),
  async t => {
    const { signal, controller, listeners } = await watchedSignal()
    let connections = 0
    const server = await t.listen({}, () => connections++)
    const to = { port: server.address().port, ...here }
    await outcome(t, 'default', t.net.promises.connect({ ...to, signal: AbortSignal.abort() }))
    controller.abort('why not')
    await outcome(t, 'reason', t.net.promises.connect({ ...to, signal }))
    await t.quiet()
    t.log('connections', connections)
    t.log('listeners', listeners())
  },
)

promises(
  'connect() is rejected when its signal fires: in the same tick, while a name is looked up, while it connects',
  [
    ['same tick', abortError('now')],
    ['lookup', abortError('now')],
    ['attempt', abortError('now')],
    ['listeners', 0, 0, 0],
  ],
  async t => {
    const { connect } = t.net.promises
    const { port } = (await t.listen()).address()
    const signals = [await watchedSignal(), await watchedSignal(), await watchedSignal()]
    const abort = at => signals[at].controller.abort('now')
    const first = connect({ port, ...here, signal: signals[0].signal })
    abort(0)
    await outcome(t, 'same tick', first)
    let answer
    const lookup = (_host, _options, callback) => (answer = callback)
    const second = connect({ port, host: 'slow', lookup, signal: signals[1].signal })
    abort(1)
    await outcome(t, 'lookup', second)
    answer(null, [{ address: '127.0.0.1', family: 4 }])
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const abortAttempt = ({ socket }) => socket.once('connectionAttempt', () => process.nextTick(abort, 2))
    subscribe('net.client.socket', abortAttempt)
    t.cleanup(() => unsubscribe('net.client.socket', abortAttempt))
    const third = connect({ port, ...here, signal: signals[2].signal })
    await outcome(t, 'attempt', third)
    await t.quiet()
    t.log('listeners', ...signals.map(({ listeners }) => listeners()))
  },
)

promises(
  "the signal of connect() destroys the connected Socket, with an 'error'",
  [
    ['connected', false],
    ['error', 'AbortError', 'ABORT_ERR', 'enough'],
    ['closed', true],
    ['listeners', 0],
  ],
  async ({ net, listen, own, seen, log }) => {
    const { signal, controller, listeners } = await watchedSignal()
    const { port } = (await listen()).address()
    const socket = own(await net.promises.connect({ port, ...here, signal }))
    log('connected', socket.destroyed)
    socket.on('error', error => log('error', error.name, error.code, error.cause))
    controller.abort('enough')
    await seen(socket, 'close')
    log('closed', socket.destroyed)
    log('listeners', listeners())
  },
)

promises(
  'connect() leaves no listener on its signal when the Socket closes',
  [
    ['open', 2],
    ['closed', 0],
    ['failed', 0],
  ],
  async ({ net, listen, seen, own, turns, log }) => {
    const { signal, listeners } = await watchedSignal()
    const server = await listen({}, peer => peer.end())
    const { port } = server.address()
    const socket = own(await net.promises.connect({ port, ...here, signal }))
    log('open', listeners())
    socket.resume()
    await seen(socket, 'close')
    await turns(2)
    log('closed', listeners())
    server.close()
    await seen(server, 'close')
    await net.promises.connect({ port, ...here, signal }).catch(() => {})
    await turns(2)
    log('failed', listeners())
  },
)

promises(
  'a Socket destroyed by somebody else while it connects rejects connect()',
  [
    ['destroyed', abortError('<undefined>')],
    ['with an error', wrong('Error', '<undefined>', 'mine')],
  ],
  async t => {
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel')
    const { port } = (await t.listen()).address()
    let error
    const destroy = ({ socket }) => process.nextTick(() => socket.destroy(error))
    subscribe('net.client.socket', destroy)
    t.cleanup(() => unsubscribe('net.client.socket', destroy))
    await outcome(t, 'destroyed', t.net.promises.connect({ port, ...here }))
    error = new Error('mine')
    await outcome(t, 'with an error', t.net.promises.connect({ port, ...here }))
  },
)

promises('connect() takes a BoundSocket', [['local port', true]], async ({ net, listen, own, log }) => {
  const { port } = (await listen()).address()
  const handle = new net.BoundSocket(here)
  const reserved = handle.address().port
  const socket = own(await net.promises.connect({ handle, port, ...here }))
  log('local port', socket.localPort === reserved)
})

// --- listen -------------------------------------------------------------------------------------------------------

promises(
  'listen() is fulfilled with a listening Server, for each place to listen on',
  [
    ['undefined', true, true, 'object', []],
    ['port', true, true, 'object', []],
    ['localhost', true, true, 'object', []],
    ['path', true, true, 'string', []],
    ['bound', true, true, 'object', []],
  ],
  async ({ net, socketPath, own, log }) => {
    const places = {
      undefined: [],
      port: [{ port: 0, ...here }],
      localhost: [{ port: 0, host: 'localhost' }],
      path: [{ path: socketPath() }],
      bound: [{ handle: new net.BoundSocket(here) }],
    }
    for (const [place, args] of Object.entries(places)) {
      const server = await net.promises.listen(...args)
      const left = server.eventNames()
      own(server)
      log(place, server instanceof net.Server, server.listening, typeof server.address(), left)
    }
  },
)

promises(
  'listen() has options of createServer() too, and connectionListener',
  [
    ['options', true, true, 99],
    ['peer', true, true],
    ['arrived', 'Buffer "hello"'],
  ],
  async ({ net, own, connect, to, drained, log }) => {
    const connectionListener = peer => {
      log('peer', peer instanceof net.Socket, peer.allowHalfOpen)
      own(peer).on('error', () => {})
      peer.end('hello')
    }
    const options = {
      port: 0,
      ...here,
      allowHalfOpen: true,
      noDelay: true,
      highWaterMark: 99,
      connectionListener,
    }
    const server = own(await net.promises.listen(options))
    log('options', server.allowHalfOpen, server.noDelay, server.highWaterMark)
    log('arrived', await drained(connect(to(server))))
  },
)

promises(
  'listen() is rejected with what the system says',
  [
    [
      'in use',
      {
        name: 'Error',
        code: 'EADDRINUSE',
        syscall: 'listen',
        message: 'listen EADDRINUSE: address already in use 127.0.0.1:<port>',
        cause: '<undefined>',
      },
    ],
    [
      'not here',
      {
        name: 'Error',
        code: 'EADDRNOTAVAIL',
        syscall: 'listen',
        message: 'listen EADDRNOTAVAIL: address not available 192.0.2.1',
        cause: '<undefined>',
      },
    ],
    [
      'path',
      {
        name: 'Error',
        code: 'EACCES',
        syscall: 'listen',
        message: 'listen EACCES: permission denied <tmp>/missing/s.sock',
        cause: '<undefined>',
      },
    ],
    ['name', 'ENOTFOUND', 'getaddrinfo'],
  ],
  async t => {
    const { listen } = t.net.promises
    const { port } = (await t.listen()).address()
    await outcome(t, 'in use', listen({ port, ...here }))
    await outcome(t, 'not here', listen({ port: 0, host: '192.0.2.1' }))
    await outcome(t, 'path', listen({ path: `${t.directory()}/missing/s.sock` }))
    // A name that no resolver can know.
    const error = await listen({ port: 0, host: `${'x'.repeat(64)}.invalid` }).catch(e => e)
    t.log('name', error.code.replace('EAI_AGAIN', 'ENOTFOUND'), error.syscall)
  },
)

promises(
  'listen() is rejected for wrong arguments, and never throws',
  [
    [
      'port',
      wrong(
        'RangeError',
        'ERR_SOCKET_BAD_PORT',
        'options.port should be >= 0 and < 65536. Received type number (70000).',
      ),
    ],
    [
      'neither',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_VALUE',
        'The argument \'options\' must have the property "port" or "path". Received { host: \'::\' }',
      ),
    ],
    [
      'null',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "options" argument must be of type object. Received null',
      ),
    ],
    [
      'number',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "options" argument must be of type object. Received type number (80)',
      ),
    ],
    [
      'listener',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "options.connectionListener" property must be of type function. Received type number (5)',
      ),
    ],
    [
      'signal',
      wrong(
        'TypeError',
        'ERR_INVALID_ARG_TYPE',
        'The "options.signal" property must be an instance of AbortSignal. Received type number (5)',
      ),
    ],
    ['listeners', 0],
  ],
  async t => {
    const { listen } = t.net.promises
    const { signal, listeners } = await watchedSignal()
    await outcome(t, 'port', listen({ port: 70000, signal }))
    await outcome(t, 'neither', listen({ host: '::' }))
    await outcome(t, 'null', listen(null))
    await outcome(t, 'number', listen(80))
    await outcome(t, 'listener', listen({ port: 0, connectionListener: 5 }))
    await outcome(t, 'signal', listen({ port: 0, signal: 5 }))
    await t.turns(2)
    t.log('listeners', listeners())
  },
)

promises(
  'listen() is rejected when its signal fires: before, in the same tick, while a name is looked up',
  [
    ['before', abortError('now')],
    ['same tick', abortError('now')],
    ['lookup', abortError('now')],
    ['listeners', 0, 0, 0],
    ['free', true],
  ],
  async t => {
    const { listen } = t.net.promises
    const signals = [await watchedSignal(), await watchedSignal(), await watchedSignal()]
    const abort = at => signals[at].controller.abort('now')
    const free = await t.listen()
    const { port } = free.address()
    free.close()
    await t.seen(free, 'close')
    abort(0)
    await outcome(t, 'before', listen({ port, ...here, signal: signals[0].signal }))
    const second = listen({ port, ...here, signal: signals[1].signal })
    abort(1)
    await outcome(t, 'same tick', second)
    const third = listen({ port, host: 'localhost', signal: signals[2].signal })
    abort(2)
    await outcome(t, 'lookup', third)
    await t.quiet()
    t.log('listeners', ...signals.map(({ listeners }) => listeners()))
    t.log('free', t.own(await listen({ port, ...here })).listening)
  },
)

promises(
  'the signal of listen() closes the listening Server, and is let go of when it closes',
  [
    ['listening', true, 1],
    ['closed', false, 0],
    ['open', 1],
    ['closed by hand', 0],
    ['failed', 0],
  ],
  async ({ net, own, seen, turns, log }) => {
    const first = await watchedSignal()
    const server = own(await net.promises.listen({ port: 0, ...here, signal: first.signal }))
    log('listening', server.listening, first.listeners())
    first.controller.abort()
    await seen(server, 'close')
    log('closed', server.listening, first.listeners())
    const second = await watchedSignal()
    const other = own(await net.promises.listen({ port: 0, ...here, signal: second.signal }))
    log('open', second.listeners())
    const { port } = other.address()
    await net.promises.listen({ port, ...here, signal: second.signal }).catch(() => {})
    await turns(2)
    const failed = second.listeners() - 1
    other.close()
    await seen(other, 'close')
    log('closed by hand', second.listeners())
    log('failed', failed)
  },
)

promises('failures leave no descriptor behind', [['more', 0]], async ({ net, listen, log, turns }) => {
  const { readdirSync } = await import('node:fs')
  if (process.platform !== 'linux') {
    log('more', 0)
    return
  }
  const { port } = (await listen()).address()
  const { signal } = { signal: AbortSignal.abort() }
  async function round() {
    for (let at = 0; at < 20; at++) {
      await net.promises.connect({ port, ...here, signal }).catch(() => {})
      await net.promises.connect('/missing/socket').catch(() => {})
      await net.promises.connect({ port: 70000 }).catch(() => {})
      await net.promises.listen({ port, ...here }).catch(() => {})
      await net.promises.listen({ path: '/missing/socket' }).catch(() => {})
      const controller = new AbortController()
      const promise = net.promises.listen({ port: 0, ...here, signal: controller.signal })
      controller.abort()
      await promise.catch(() => {})
    }
    await turns(2)
  }
  await round()
  const before = readdirSync('/proc/self/fd').length
  await round()
  log('more', readdirSync('/proc/self/fd').length - before)
})

// --- the process --------------------------------------------------------------------------------------------------

alone(
  'a process that has awaited both ends by itself',
  { main: [['got', 'hi']] },
  async ({ connect, listen, log }) => {
    const server = await listen({ port: 0, ...here, connectionListener: peer => peer.end('hi') })
    const socket = await connect(server.address().port, '127.0.0.1')
    for await (const chunk of socket.setEncoding('utf8')) log('got', chunk)
    server.close()
  },
)

// What Node prints before it ends the process is its own affair.
const lastWords = log => process.on('uncaughtException', (error, origin) => log(origin, error.message))

alone(
  'a rejection that nobody handles is an unhandled rejection',
  { main: [['unhandledRejection', 'connect ENOENT /missing/socket']] },
  async ({ connect, log }) => {
    lastWords(log)
    connect('/missing/socket')
  },
)

alone(
  "an 'error' after the promise is the caller's: unheard, it is an uncaught exception",
  { main: ['connected', ['uncaughtException', 'mine']] },
  async ({ connect, listen, log }) => {
    lastWords(log)
    const server = await listen({ port: 0, ...here })
    const socket = await connect({ port: server.address().port, ...here })
    log('connected')
    server.close()
    socket.destroy(new Error('mine'))
  },
)
