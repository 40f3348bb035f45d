// The options of createServer and listen() with unusual values, and the members of a Server. listen.test.mjs and
// connections.test.mjs have the usual ones.

import { parity } from '../helpers/parity.mjs'

// What a server keeps of its options.
const kept = server =>
  Object.fromEntries(
    [
      ...['allowHalfOpen', 'pauseOnConnect', 'noDelay', 'keepAlive', 'keepAliveInitialDelay'],
      ...['highWaterMark', 'blockList', 'maxConnections', 'dropMaxConnection'],
    ].map(name => [name, server[name]]),
  )

const oddValues = {
  'left out': {},
  undefined,
  null: null,
  true: true,
  false: false,
  0: 0,
  1: 1,
  2500: 2500,
  '-1': -1,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  1.9: 1.9,
  'an empty string': '',
  "'yes'": 'yes',
  'an object': { valueOf: () => 3000 },
}
for (const option of [
  'allowHalfOpen',
  'pauseOnConnect',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'highWaterMark',
]) {
  parity(`${option}: what a server keeps of each kind of value`, ({ net, own, log, attempt }) => {
    for (const [label, value] of Object.entries(oddValues)) {
      const options = label === 'left out' ? {} : { [option]: value }
      attempt(label, () => own(net.createServer(options))[option])
      log('kept', typeof options[option] === 'object' || options[option])
    }
  })
}

parity('createServer: a server without options keeps the defaults', ({ net, own, log }) => {
  for (const server of [own(net.createServer()), own(new net.Server({})), own(net.Server(null))])
    log('kept', kept(server))
})

parity('createServer: the options are copied, and inherited ones count too', ({ net, own, log }) => {
  const options = { allowHalfOpen: true, keepAliveInitialDelay: -5 }
  const server = own(net.createServer(Object.freeze(options)))
  log('kept', kept(server), options)
  log('inherited', kept(own(net.createServer(Object.create(options)))))
  log(
    'of a class',
    kept(
      own(
        net.createServer(
          new (class {
            allowHalfOpen = true
          })(),
        ),
      ),
    ),
  )
  log('an array', kept(own(net.createServer([]))))
  const trap = {
    get allowHalfOpen() {
      return log('read') ?? true
    },
  }
  log('a getter', own(net.createServer(trap)).allowHalfOpen)
})

parity(
  'createServer: the listener is the second argument unless the first is one',
  ({ net, own, attempt }) => {
    const [one, two] = [() => {}, () => {}]
    for (const [label, args] of Object.entries({
      'one function': [one],
      'two functions': [one, two],
      'options and a function': [{}, one],
      'null and a function': [null, one],
      'undefined and a function': [undefined, one],
      'options and an object': [{}, {}],
      'options and null': [{}, null],
    })) {
      attempt(label, () =>
        own(net.createServer(...args))
          .listeners('connection')
          .map(each => (each === one ? 'one' : 'two')),
      )
    }
  },
)

parity('createServer: changing a field changes the next connection', async t => {
  const { listen, connect, to, log, seen } = t
  const server = await listen()
  for (const [field, value] of [
    ['allowHalfOpen', true],
    ['pauseOnConnect', true],
    ['highWaterMark', 5],
  ]) {
    server[field] = value
    const accepted = new Promise(resolve => server.once('connection', resolve))
    connect(to(server))
    const peer = await accepted
    log(
      field,
      peer.allowHalfOpen,
      peer.readableFlowing,
      peer.readableHighWaterMark,
      peer.writableHighWaterMark,
    )
    peer.destroy()
    await seen(peer, 'close')
  }
})

parity(
  'instance fields: own, writable, enumerable and configurable, in the same order',
  async ({ net, own, log, seen }) => {
    const server = own(net.createServer())
    const fields = () => Object.keys(server).filter(name => !/^_events|^_maxListeners/.test(name))
    log('fresh', fields())
    for (const name of fields()) {
      const { value, ...descriptor } = Object.getOwnPropertyDescriptor(server, name)
      log(name, descriptor, typeof value === 'object' ? String(value) : value)
    }
    server.listen(0, '127.0.0.1')
    await seen(server, 'listening')
    log('listening', fields(), server._listeningId, server._connectionKey, server._pipeName)
    server.close()
    log('closed', fields(), server._listeningId, server._connectionKey?.replace(/\d+$/, 'port'))
    await seen(server, 'close')
  },
)

parity(
  'instance fields: of a server on a path',
  { on: 'unix' },
  async ({ net, own, log, seen, socketPath }) => {
    const server = own(net.createServer())
    const path = socketPath()
    server.listen(path)
    await seen(server, 'listening')
    log('fields', Object.keys(server).slice(-3), server._pipeName === path, server._connectionKey)
  },
)

// --- listen: overloads ------------------------------------------------------------------------------------------

// `_listen2` is where all overloads meet, and what tools wrap: what it is called with is what was understood.
const understood = {
  'no arguments': [],
  null: [null],
  'null and a callback': [null, () => {}],
  'undefined and a callback': [undefined, () => {}],
  'a callback and more': [() => {}, 5],
  0: [0],
  '-0': [-0],
  "'0'": ['0'],
  "'+0'": ['+0'],
  "' 0 '": [' 0 '],
  "'0x0'": ['0x0'],
  "'0.0'": ['0.0'],
  "'0e5'": ['0e5'],
  'a boxed 0': [new Number(0)],
  'an array': [[0]],
  '0n': [0n],
  'an empty string': [''],
  'a blank string': [' '],
  '{ port } and a number': [{ port: 0 }, 7],
  '{ port, backlog } and a number': [{ port: 0, backlog: 3 }, 7],
  "{ backlog: '3' }": [{ port: 0, backlog: '3' }],
  '{ backlog: NaN }': [{ port: 0, backlog: Number.NaN }],
  '{ backlog: 0 }': [{ port: 0, backlog: 0 }],
  '{ backlog: 1.5 }': [{ port: 0, backlog: 1.5 }],
  '{ backlog: null }': [{ port: 0, backlog: null }],
  '{ backlog: true }': [{ port: 0, backlog: true }],
  'a port and a backlog': [0, 7],
  'a port, null and a backlog': [0, null, 7],
  'a port, undefined and a backlog': [0, undefined, 7],
  'a port, no host and a backlog': [0, '', 7],
  'a port, a negative backlog': [0, -7],
  'a port and a backlog as a string is a host': [0, '127.0.0.1', '7'],
  'a port and null': [0, null],
  'a port, null, null and a callback': [0, null, null, () => {}],
  "{ host: '' }": [{ port: 0, host: '' }],
  '{ host: null }': [{ port: 0, host: null }],
  '{ host: undefined }': [{ port: 0, host: undefined }],
  '{ host: 0 }': [{ port: 0, host: 0 }],
  '{ host: 1 }': [{ port: 0, host: 1 }],
  '{ host: {} }': [{ port: 0, host: {} }],
  '{ host: true }': [{ port: 0, host: true }],
  '{ port: undefined, host }': [{ port: undefined, host: '127.0.0.1' }],
  "{ port: '0' }": [{ port: '0' }],
  '{ port: -0 }': [{ port: -0 }],
  '{ port: 0n }': [{ port: 0n }],
  '{ port: [] }': [{ port: [] }],
  '{ port: null, path }': [{ port: null, path: '/nowhere' }],
  '{ port: undefined, path }': [{ port: undefined, path: '/nowhere' }],
  "{ path: '' }": [{ path: '' }],
  "{ path: '0' }": [{ path: '0' }],
  '{ path: Symbol }': [{ path: Symbol('path') }],
  '{ path: [] }': [{ path: [] }],
  '{ path: undefined }': [{ path: undefined }],
  '{ exclusive }': [{ port: 0, exclusive: true }],
  '{ ipv6Only: 1 }': [{ port: 0, ipv6Only: 1 }],
  '{ signal: undefined }': [{ port: 0, signal: undefined }],
  '{ signal: null }': [{ port: 0, signal: null }],
  '{ signal: {} }': [{ port: 0, signal: {} }],
  '{ signal: { aborted } }': [{ port: 0, signal: { aborted: false } }],
  'a function in options': [Object.assign(() => {}, { port: 0 })],
}
// With these libuv ends the process on Windows: "Assertion failed: backlog > 0".
if (process.platform !== 'win32') {
  understood["{ backlog: 'x' }"] = [{ port: 0, backlog: 'x' }]
  understood['{ backlog: -1 }'] = [{ port: 0, backlog: -1 }]
}
for (const [label, args] of Object.entries(understood)) {
  parity(`listen: ${label}`, async ({ net, own, log, attempt, turns }) => {
    const server = own(net.createServer()).on('error', error => log('error', error.code))
    const { _listen2 } = server
    server._listen2 = function (...given) {
      log('_listen2', ...given.slice(0, 4))
      return Reflect.apply(_listen2, this, given)
    }
    attempt('listen', () => server.listen(...args) === server)
    log('after', server.listening, server.listenerCount('listening'))
    await turns(2)
  })
}

// --- listen: options ---------------------------------------------------------------------------------------------

parity(
  'listen: a listening server throws before it looks at its arguments',
  async ({ net, own, attempt, log }) => {
    const server = own(net.createServer())
    server.listen(0)
    attempt('bad port', () => server.listen(-1, () => {}))
    attempt('nothing to listen on', () => server.listen({}))
    attempt('a bad signal', () => server.listen({ port: 0, signal: 1 }))
    log('listeners', server.listenerCount('listening'))
  },
)

parity(
  'listen: a callback stays registered when the arguments throw',
  async ({ net, own, attempt, log, seen }) => {
    const server = own(net.createServer())
    attempt('bad port', () => server.listen(-1, () => log('first')))
    attempt('bad signal', () => server.listen({ port: 0, signal: 1 }, () => log('second')))
    log('listeners', server.listenerCount('listening'), server.listening)
    server.listen(0, () => log('third'))
    await seen(server, 'listening')
    log('listeners', server.listenerCount('listening'))
  },
)

parity('listen: an error is not followed by close, and leaves the server as it was', async t => {
  const { net, listen, watch, to, log, seen, quiet } = t
  const taken = await listen()
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(to(taken))
  await seen(server, 'error')
  await quiet()
  log('after', server.listening, server._handle, server._connections, server.address())
})

// Replaces dns.lookup, which is where node:net looks too, until the scenario is over. Node 20 asks for one address.
async function answerLookups(t, answer) {
  const { default: dns } = await import('node:dns')
  const { lookup } = dns
  dns.lookup = (host, options, callback) => {
    t.log('dns.lookup', host)
    const [error, addresses] = answer
    if (typeof options !== 'function') process.nextTick(callback, error, addresses)
    else process.nextTick(options, error, addresses?.[0].address, addresses?.[0].family)
  }
  t.cleanup(() => (dns.lookup = lookup))
}

parity('host: a name is looked up with dns.lookup, whoever has replaced it', async t => {
  const { net, own, seen, log } = t
  await answerLookups(t, [null, [{ address: '127.0.0.1', family: 4 }]])
  const server = own(net.createServer())
  server.listen(0, 'made.up')
  await seen(server, 'listening')
  log('address', server.address().address, server._connectionKey)
})

parity('host: the error of the lookup is the error of the server', async t => {
  const { net, watch, seen, log } = t
  await answerLookups(t, [Object.assign(new Error('getaddrinfo ENOTFOUND made.up'), { code: 'ENOTFOUND' })])
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen(0, 'made.up', () => log('callback'))
  await seen(server, 'error')
  log('after', server.listening, server.listenerCount('listening'))
})

parity(
  'host: of several addresses the first that is not link-local',
  {
    since: '22.8',
    expected: {
      main: [
        ['dns.lookup', 'made.up'],
        ['address', '127.0.0.1', '4:127.0.0.1:0'],
      ],
    },
  },
  async t => {
    const { net, own, seen, log } = t
    await answerLookups(t, [
      null,
      [
        { address: 'fe80::1', family: 6 },
        { address: 'FEBF::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ],
    ])
    const server = own(net.createServer())
    server.listen(0, 'made.up')
    await seen(server, 'listening')
    log('address', server.address().address, server._connectionKey)
  },
)

parity('ipv6Only: true takes IPv6 connections alone, anything else takes both', async t => {
  const { net, own, connect, log } = t
  for (const ipv6Only of [true, false, 1, 'true']) {
    const server = own(net.createServer(peer => peer.destroy()))
    const outcome = new Promise(resolve => server.once('listening', resolve).once('error', resolve))
    server.listen({ port: 0, host: '::', ipv6Only })
    // A machine without IPv6 has nothing to say here.
    if (await outcome) return
    for (const host of ['::1', '127.0.0.1']) {
      const client = connect(server.address().port, host)
      log(
        'connected',
        ipv6Only,
        host,
        await new Promise(resolve =>
          client.once('connect', () => resolve(true)).once('error', () => resolve(false)),
        ),
      )
    }
  }
})

parity(
  'ipv6Only: without a host it leaves IPv4 to others',
  {
    since: ['22.12', '23.1'],
    expected: {
      main: [
        ['family', 'IPv6', '::'],
        ['IPv4', 'ECONNREFUSED'],
      ],
    },
  },
  async ({ net, own, connect, log, seen }) => {
    const server = own(net.createServer(peer => peer.destroy()))
    server.listen({ port: 0, ipv6Only: true })
    await seen(server, 'listening')
    log('family', server.address().family, server.address().address)
    const client = connect(server.address().port, '127.0.0.1')
    const outcome = await new Promise(resolve =>
      client.once('connect', resolve).once('error', error => resolve(error.code)),
    )
    log('IPv4', outcome)
  },
)

parity(
  'reusePort: two servers of one process share a port, three do not if one does not say so',
  {
    on: 'linux',
    since: ['22.12', '23.1'],
    expected: {
      main: [
        ['both', true, true],
        ['without', 'EADDRINUSE', false],
      ],
    },
  },
  async ({ net, own, log, seen }) => {
    const [one, two, three] = [1, 2, 3].map(() => own(net.createServer()))
    one.listen({ port: 0, host: '127.0.0.1', reusePort: true })
    await seen(one, 'listening')
    const { port } = one.address()
    two.listen({ port, host: '127.0.0.1', reusePort: true })
    await seen(two, 'listening')
    log('both', one.listening, two.address().port === port)
    const refused = new Promise(resolve => three.once('error', resolve))
    three.listen({ port, host: '127.0.0.1' })
    log('without', (await refused).code, three.listening)
  },
)

parity(
  'readableAll, writableAll: not for an abstract name',
  { on: 'linux' },
  ({ net, own, attempt, log }) => {
    for (const more of [{ readableAll: true }, { writableAll: true }, { readableAll: 1 }]) {
      const server = own(net.createServer())
      attempt('listen', () => server.listen({ path: '\0ferronet-never', ...more }))
      log('after', server.listening, server.address())
    }
  },
)

parity('signal: its listener goes when the server closes', async ({ net, own, log, seen }) => {
  const { getEventListeners } = await import('node:events')
  const { signal } = new AbortController()
  const server = own(net.createServer())
  for (const round of [1, 2]) {
    server.listen({ port: 0, host: '127.0.0.1', signal })
    await seen(server, 'listening')
    log('listening', round, getEventListeners(signal, 'abort').length)
    const over = new Promise(resolve => server.once('close', resolve))
    server.close()
    await over
    log('closed', round, getEventListeners(signal, 'abort').length)
  }
})

parity('signal: an abort before the host is known closes without listening', async t => {
  const { net, watch, log, closed, turns } = t
  const controller = new AbortController()
  const server = watch(net.createServer(), 'server', { into: 'main' })
  server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal }, () => log('callback'))
  controller.abort()
  await closed(server)
  await turns(2)
  log('after', server.listening)
})

parity('signal: an abort while connections are open waits for them', async t => {
  const { net, own, watch, connect, to, log, seen, quiet } = t
  const controller = new AbortController()
  const server = watch(net.createServer(), 'server', { into: 'main', except: ['connection'] })
  server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal })
  await seen(server, 'listening')
  const accepted = new Promise(resolve => server.once('connection', resolve))
  const client = connect(to(server)).resume()
  const peer = own(await accepted)
  controller.abort()
  await quiet()
  log('still open', peer.readyState, server._connections)
  peer.end()
  client.end()
  peer.resume()
  await seen(server, 'close')
})

// --- members -----------------------------------------------------------------------------------------------------

parity('close: what is no function is no callback', async ({ listen, attempt, log, seen }) => {
  for (const callback of [undefined, null, 1, 'x', {}]) {
    const server = await listen()
    attempt(String(callback), () => server.close(callback) === server)
    log('listeners', server.listenerCount('close'))
    await seen(server, 'close')
  }
})

parity('close: the callback is a listener of close, called on the server without arguments', async t => {
  const { listen, log, seen } = t
  const server = await listen()
  const before = server.listenerCount('close')
  server.close(function (...args) {
    log('callback', this === server, args)
  })
  log('listeners', server.listenerCount('close') - before)
  await seen(server, 'close')
  log('then', server.listenerCount('close') - before)
})

parity('[Symbol.asyncDispose]: waits for the connections', async ({ pair, log, turns, quiet }) => {
  const { server, client, peer } = await pair()
  let over = false
  const disposed = server[Symbol.asyncDispose]().then(value => {
    over = true
    log('value', value)
  })
  await turns(2)
  await quiet()
  log('open', over, server.listening)
  client.destroy()
  peer.resume()
  await disposed
  log('closed', over)
})

parity(
  '[Symbol.asyncDispose]: rejects when somebody else has closed the server meanwhile',
  async ({ listen, log }) => {
    const server = await listen()
    const first = server[Symbol.asyncDispose]()
    const second = server[Symbol.asyncDispose]()
    log('first', await first)
    log('second', await second.catch(error => error))
  },
)

parity('address(): a new object each time', async ({ listen, log }) => {
  const server = await listen()
  const first = server.address()
  first.port = 1
  log('same', server.address() === first, Object.keys(first))
  log('untouched', server.address().port !== 1)
})

parity('getConnections: wants a function', async ({ listen, attempt }) => {
  const server = await listen()
  for (const callback of [undefined, null, 1])
    attempt(String(callback), () => server.getConnections(callback))
})

parity('listening: can only be read', ({ net, own, attempt, log }) => {
  const server = own(net.createServer())
  attempt('set', () => {
    server.listening = true
  })
  log('value', server.listening, 'listening' in server, Object.hasOwn(server, 'listening'))
})

parity(
  'maxConnections: null, undefined, NaN and Infinity are no limit, a string is a number',
  {
    since: '21',
    expected: {
      main: [
        ...[null, '<undefined>', '<NaN>', '<Infinity>', 1].map(limit => ['limit', limit, 'connection']),
        ...[0, -1, '0', false].map(limit => ['limit', limit, 'drop']),
        ['limit', '1', 'connection'],
      ],
    },
  },
  async ({ listen, connect, to, log, closed }) => {
    const server = await listen({}, peer => peer.destroy())
    for (const limit of [null, undefined, Number.NaN, Number.POSITIVE_INFINITY, 1, 0, -1, '0', false, '1']) {
      server.maxConnections = limit
      const outcome = new Promise(resolve => {
        server.removeAllListeners('drop').once('drop', () => resolve('drop'))
        server.once('connection', () => resolve('connection'))
      })
      const client = connect(to(server)).resume()
      client.on('error', () => {})
      log('limit', limit, await outcome)
      await closed(client)
    }
  },
)

parity(
  'drop: the data of a TCP connection, member by member',
  async ({ listen, connect, to, log, closed, seen }) => {
    const server = await listen()
    server.maxConnections = 1
    const first = connect(to(server))
    await seen(server, 'connection')
    const dropped = new Promise(resolve => server.once('drop', (...args) => resolve(args)))
    const second = connect(to(server)).resume()
    second.on('error', () => {})
    const { localPort } = await new Promise(resolve =>
      second.once('connect', () => resolve({ localPort: second.localPort })),
    )
    const [data, ...more] = await dropped
    log('keys', Object.keys(data), more.length)
    log('ends', data.localAddress, data.localPort === server.address().port, data.localFamily)
    log('ends', data.remoteAddress, data.remotePort === localPort, data.remoteFamily)
    await closed(second)
    first.destroy()
  },
)

parity('[nodejs.rejection]: called for a connection it destroys the socket, else it emits error', async t => {
  const { net, pair, log, closed } = t
  const { server, peer } = await pair()
  const rejection = Symbol.for('nodejs.rejection')
  log('kind', typeof net.Server.prototype[rejection], Object.hasOwn(net.Server.prototype, rejection))
  peer.on('error', error => log('peer', error.message))
  server.on('error', error => log('server', error.message))
  server[rejection](new Error('one'), 'connection', peer)
  server[rejection](new Error('two'), 'listening')
  await closed(peer)
})

parity('captureRejections: a listener of another event that rejects is an error of the server', async t => {
  const { net, own, cleanup, log } = t
  const events = (await import('node:events')).default
  events.captureRejections = true
  cleanup(() => (events.captureRejections = false))
  const server = own(net.createServer())
  server.on('listening', async () => {
    throw new Error('rejected')
  })
  const failed = new Promise(resolve => server.once('error', resolve))
  server.listen(0)
  log('error', await failed, server.listening)
})

parity('ref, unref: remembered from before listen, and across close', async ({ net, own, log }) => {
  const server = own(net.createServer()).unref()
  for (const round of [1, 2]) {
    server.listen(0)
    log('round', round, server._unref, server._handle.hasRef())
    server.ref()
    log('ref', server._unref, server._handle.hasRef())
    server.unref()
    const over = new Promise(resolve => server.once('close', resolve))
    server.close()
    await over
  }
})
