// connect() and createConnection(): every form of the call, to an address, a name and a path.

import { parity } from '../helpers/parity.mjs'

parity('connect and createConnection are one function', async ({ net, log }) => {
  log('same', net.connect === net.createConnection)
  log('shape', net.connect.name, net.connect.length, net.createServer.length)
})

// Each form connects, calls its callback once with no argument and `this` the socket, and returns the socket.
const forms = {
  'connect(port, host, callback)': (net, port, callback) => net.connect(port, '127.0.0.1', callback),
  'connect(port as a string, host, callback)': (net, port, callback) =>
    net.connect(String(port), '127.0.0.1', callback),
  'connect(options, callback)': (net, port, callback) => net.connect({ port, host: '127.0.0.1' }, callback),
  'connect(options with the port as a string, callback)': (net, port, callback) =>
    net.connect({ port: String(port), host: '127.0.0.1' }, callback),
  'connect(options with the port in hexadecimal, callback)': (net, port, callback) =>
    net.connect({ port: `0x${port.toString(16)}`, host: '127.0.0.1' }, callback),
  'createConnection(port, host, callback)': (net, port, callback) =>
    net.createConnection(port, '127.0.0.1', callback),
  'createConnection(options, callback)': (net, port, callback) =>
    net.createConnection({ port, host: '127.0.0.1', allowHalfOpen: false }, callback),
  'new Socket().connect(port, host, callback)': (net, port, callback) =>
    new net.Socket().connect(port, '127.0.0.1', callback),
  'new Socket().connect(options, callback)': (net, port, callback) =>
    new net.Socket().connect({ port, host: '127.0.0.1' }, callback),
  'Socket without new, connect([port, host], callback)': (net, port, callback) =>
    net.Socket().connect(port, '127.0.0.1', callback),
}
for (const [form, call] of Object.entries(forms)) {
  parity(`${form} connects and calls back once`, async ({ net, log, listen, watch, closed }) => {
    const server = await listen({}, peer => peer.end())
    const client = call(net, server.address().port, function (...args) {
      log('callback', args.length, this === client)
    })
    log('at once', client instanceof net.Socket, client.connecting, client.pending, client.readyState)
    watch(client, 'client', { into: 'main' }).resume()
    await closed(client)
  })
}

parity('connect(port, callback) goes to localhost', async ({ net, log, own, listen, seen, watch }) => {
  const server = await listen({ host: 'localhost' }, peer => peer.end())
  const client = own(net.connect(server.address().port, () => log('callback')))
  watch(client, 'client')
  await seen(client, 'ready')
})

parity(
  'connect(port) without host and callback goes to localhost',
  async ({ net, own, listen, watch, seen }) => {
    const server = await listen({ host: 'localhost' }, peer => peer.end())
    const client = own(net.connect(server.address().port))
    watch(client, 'client')
    await seen(client, 'ready')
  },
)

parity('connect(port, null host) goes to localhost', async ({ net, own, listen, watch, seen }) => {
  const server = await listen({ host: 'localhost' }, peer => peer.end())
  const client = own(net.connect({ port: server.address().port, host: '' }))
  watch(client, 'client')
  await seen(client, 'ready')
})

parity('a name is looked up first, and says so', async ({ net, log, own, listen, watch, seen }) => {
  const server = await listen({ host: 'localhost' }, peer => peer.end())
  const client = watch(
    own(net.connect(server.address().port, 'localhost', () => log('callback'))),
    'client',
    {
      into: 'main',
      except: ['data', 'end', 'finish', 'prefinish', 'close'],
    },
  )
  await seen(client, 'ready')
})

parity('connect(path, callback) connects to a path', { on: 'unix' }, async t => {
  const { net, own, log, listen, watch, closed, socketPath } = t
  const path = socketPath()
  await listen({ path }, peer => peer.end())
  const client = watch(own(new net.Socket()), 'client', { into: 'main' })
  log('returned', client.connect(path, () => log('callback')) === client)
  log('at once', client.connecting, client.pending, client.readyState)
  client.resume()
  await closed(client)
})

parity('connect({ path }, callback) connects to a path', { on: 'unix' }, async t => {
  const { net, own, log, listen, watch, closed, socketPath } = t
  const path = socketPath()
  await listen({ path }, peer => peer.end())
  const client = own(net.connect({ path, port: 1 }, () => log('callback')))
  watch(client, 'client', { into: 'main' })
  client.resume()
  await closed(client)
})

parity('arguments that cannot be meant throw at once', async ({ net, own, attempt }) => {
  const cases = {
    nothing: [],
    'an empty object': [{}],
    'port null': [{ port: null }],
    'port undefined': [{ port: undefined }],
    'port true': [{ port: true }],
    'port {}': [{ port: {} }],
    'port -1': [{ port: -1 }],
    'port 65536': [{ port: 65536 }],
    'port NaN': [{ port: Number.NaN }],
    'port Infinity': [{ port: Number.POSITIVE_INFINITY }],
    'port 1.5': [{ port: 1.5 }],
    "port ''": [{ port: '' }],
    "port ' '": [{ port: ' ' }],
    "port 'x'": [{ port: 'x' }],
    'positional port -1': [-1],
    'positional port 65536': [65536],
    'positional NaN': [Number.NaN],
    'path 1': [{ path: 1 }],
    'path true': [{ path: true }],
    'path {}': [{ path: {} }],
    'lookup 1': [{ port: 1, host: 'localhost', lookup: 1 }],
    'lookup {}': [{ port: 1, host: 'localhost', lookup: {} }],
    'localAddress a name': [{ port: 1, localAddress: 'localhost' }],
    "localPort 'x'": [{ port: 1, localPort: 'x' }],
    'localPort {}': [{ port: 1, localPort: {} }],
    'family 7': [{ port: 1, host: 'localhost', family: 7 }],
    'hints 1 << 30': [{ port: 1, host: 'localhost', hints: 1 << 30 }],
    'autoSelectFamily 1': [{ port: 1, host: 'localhost', autoSelectFamily: 1 }],
    'autoSelectFamilyAttemptTimeout 0': [{ port: 1, host: 'localhost', autoSelectFamilyAttemptTimeout: 0 }],
    "autoSelectFamilyAttemptTimeout 'x'": [
      { port: 1, host: 'localhost', autoSelectFamilyAttemptTimeout: 'x' },
    ],
  }
  for (const [label, args] of Object.entries(cases)) {
    attempt(label, () => {
      const socket = own(new net.Socket())
      socket.on('error', () => {})
      return socket.connect(...args)
    })
  }
})

// Node 20 calls it "hostname", because there dns.lookup is the first to look.
const notAHost = received => ({
  name: 'TypeError',
  constructor: 'TypeError',
  code: 'ERR_INVALID_ARG_TYPE',
  message: `The "options.host" property must be of type string. Received ${received}`,
})
parity(
  'a host that is no string throws at once',
  {
    since: '22',
    expected: {
      main: [
        ['1', 'threw', notAHost('type number (1)')],
        ['true', 'threw', notAHost('type boolean (true)')],
        ['[object Object]', 'threw', notAHost('an instance of Object')],
      ],
    },
  },
  async ({ net, own, attempt }) => {
    for (const host of [1, true, {}])
      attempt(String(host), () => own(new net.Socket()).connect({ port: 1, host }))
  },
)

parity('constructor options of the wrong kind throw at once', async ({ net, attempt, own }) => {
  const cases = {
    objectMode: { objectMode: true },
    readableObjectMode: { readableObjectMode: true },
    writableObjectMode: { writableObjectMode: true },
    "keepAliveInitialDelay 'x'": { keepAliveInitialDelay: 'x' },
    'signal 1': { signal: 1 },
    'signal {}': { signal: {} },
    "highWaterMark 'x'": { highWaterMark: 'x' },
    'highWaterMark -1': { highWaterMark: -1 },
    'null is no options': null,
    'undefined is no options': undefined,
    'noDelay of any kind': { noDelay: 'yes' },
    'onread without a callback': { onread: { buffer: Buffer.alloc(1) } },
  }
  for (const [label, options] of Object.entries(cases)) attempt(label, () => own(new net.Socket(options)))
})

parity('a connection nobody accepts is refused', async ({ connect, watch, closed, log }) => {
  const client = watch(
    connect(1, '127.0.0.1', () => log('callback')),
    'client',
  )
  await closed(client)
  log('after', client.connecting, client.pending, client.readyState, client.destroyed, client.errored?.code)
})

parity(
  'port 0 is refused without a port in the error',
  { on: 'linux' },
  async ({ connect, watch, closed }) => {
    await closed(watch(connect(0, '127.0.0.1'), 'client'))
  },
)

parity(
  'a path that is not there is ENOENT',
  { on: 'unix' },
  async ({ connect, watch, closed, socketPath }) => {
    await closed(watch(connect(socketPath('missing.sock')), 'client'))
  },
)

parity('a path that is an ordinary file is ECONNREFUSED', { on: 'linux' }, async t => {
  const { connect, watch, closed, socketPath } = t
  const { writeFileSync } = await import('node:fs')
  const path = socketPath('file')
  writeFileSync(path, '')
  await closed(watch(connect(path), 'client'))
})

parity('a directory in the path that is a file is ENOTDIR', { on: 'unix' }, async t => {
  const { connect, watch, closed, socketPath } = t
  const { writeFileSync } = await import('node:fs')
  const path = socketPath('file')
  writeFileSync(path, '')
  await closed(watch(connect(`${path}/x.sock`), 'client'))
})

parity('the error of a path connection has no port', { on: 'unix' }, async t => {
  const { connect, watch, closed, socketPath, log } = t
  const client = watch(connect({ path: socketPath('missing.sock') }), 'client')
  client.on('error', error => log('keys', Object.keys(error).sort()))
  await closed(client)
})

parity('lookup is called with the host and its options', async ({ connect, listen, watch, seen, log }) => {
  const server = await listen({}, peer => peer.end())
  const lookup = (host, options, callback) => {
    log('lookup', host, { ...options }, typeof callback)
    process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }])
  }
  const client = connect({ port: server.address().port, host: 'made.up', lookup })
  watch(client, 'client')
  await seen(client, 'ready')
})

for (const [label, more] of Object.entries({
  'family 4': { family: 4 },
  "family 'IPv4'": { family: 'IPv4' },
  hints: { hints: 0x20 },
  'autoSelectFamily false': { autoSelectFamily: false },
  localAddress: { localAddress: '127.0.0.1' },
})) {
  parity(`lookup sees ${label}`, { on: 'unix' }, async ({ connect, listen, watch, seen, log }) => {
    const server = await listen({}, peer => peer.end())
    const lookup = (host, options, callback) => {
      log('lookup', host, { ...options })
      if (options.all) process.nextTick(callback, null, [{ address: '127.0.0.1', family: 4 }])
      else process.nextTick(callback, null, '127.0.0.1', 4)
    }
    const client = connect({ port: server.address().port, host: 'made.up', lookup, ...more })
    watch(client, 'client')
    await seen(client, 'ready')
  })
}

parity('a lookup that answers synchronously works', async ({ net, own, listen, watch, seen }) => {
  const server = await listen({}, peer => peer.end())
  const client = watch(own(new net.Socket()), 'client')
  client.connect({
    port: server.address().port,
    host: 'made.up',
    lookup: (_host, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
  })
  await seen(client, 'ready')
})

parity('a lookup that fails is the error of the connection', async ({ connect, watch, closed }) => {
  const error = Object.assign(new Error('no such name'), { code: 'ENOTFOUND', hostname: 'made.up' })
  for (const autoSelectFamily of [true, false]) {
    const lookup = (_host, _options, callback) => process.nextTick(callback, error)
    const client = connect({ port: 1, host: 'made.up', autoSelectFamily, lookup })
    await closed(watch(client, `autoSelectFamily ${autoSelectFamily}`))
  }
})

parity('a lookup that throws makes connect throw', async ({ net, own, attempt, log }) => {
  const socket = own(new net.Socket())
  attempt('connect', () =>
    socket.connect({
      port: 1,
      host: 'made.up',
      lookup: () => {
        throw new Error('not today')
      },
    }),
  )
  log('after', socket.connecting, socket.destroyed)
})

for (const [label, autoSelectFamily, answer] of [
  ['an address that is none', false, ['not an address', 4]],
  ['an address that is none, in a list', true, [[{ address: 'not an address', family: 4 }]]],
  ['a family that is none', false, ['127.0.0.1', 5]],
  ['a family that is none, in a list', true, [[{ address: '127.0.0.1', family: 5 }]]],
  ['undefined', false, []],
  ['a list where one address was asked for', false, [[{ address: '127.0.0.1', family: 4 }]]],
]) {
  parity(`a lookup that answers ${label} is an error`, async ({ connect, watch, closed }) => {
    const lookup = (_host, _options, callback) => process.nextTick(callback, null, ...answer)
    await closed(watch(connect({ port: 1, host: 'made.up', autoSelectFamily, lookup }), 'client'))
  })
}

// Other engines than V8 have other words.
for (const [label, answer] of Object.entries({ undefined: undefined, null: null, 'an empty list': [] })) {
  parity(`a lookup that answers ${label} instead of a list throws`, { on: 'libuv' }, async t => {
    t.catchUncaught()
    const lookup = (_host, _options, callback) => process.nextTick(callback, null, answer)
    const client = t.watch(t.connect({ port: 1, host: 'made.up', autoSelectFamily: true, lookup }), 'client')
    await t.turns(2)
    t.log('connecting', client.connecting)
  })
}

parity(
  'a socket destroyed during its lookup never connects',
  async ({ connect, listen, watch, closed, quiet }) => {
    const server = watch(await listen(), 'server')
    let answer
    const lookup = (_host, _options, callback) => (answer = callback)
    const client = watch(connect({ port: server.address().port, host: 'made.up', lookup }), 'client')
    client.destroy()
    await closed(client)
    answer(null, [{ address: '127.0.0.1', family: 4 }])
    await quiet()
  },
)

parity('localAddress and localPort are what the peer sees', { on: 'linux' }, async t => {
  const { connect, listen, to, log, seen } = t
  const spare = await listen()
  const localPort = spare.address().port
  spare.close()
  await seen(spare, 'close')
  const server = await listen()
  const accepted = new Promise(resolve => server.once('connection', resolve))
  const client = connect(to(server, { localAddress: '127.0.0.2', localPort }))
  const peer = await accepted
  log('peer sees', peer.remoteAddress, peer.remotePort === localPort)
  log('client', client.localAddress, client.localPort === localPort)
})

parity('a local address of another machine cannot be bound', async ({ connect, watch, closed }) => {
  await closed(watch(connect({ port: 1, host: '127.0.0.1', localAddress: '192.0.2.1' }), 'client'))
})

parity(
  'a local port in use cannot be bound',
  { on: 'linux' },
  async ({ connect, listen, to, watch, closed }) => {
    const server = await listen()
    const { port } = server.address()
    await closed(watch(connect(to(server, { localAddress: '127.0.0.1', localPort: port })), 'client'))
  },
)

parity(
  'connect on a connecting socket is EALREADY',
  { on: 'linux' },
  async ({ net, own, listen, to, watch, closed }) => {
    const server = await listen()
    const client = watch(own(new net.Socket()), 'client')
    client.connect(to(server))
    client.connect(to(server))
    await closed(client)
  },
)

parity(
  'a closed socket connects again, counting from zero',
  async ({ net, own, listen, to, watch, seen, log }) => {
    const server = await listen({}, peer => peer.end('hello'))
    const client = watch(own(new net.Socket()), 'client')
    for (const round of [1, 2, 3]) {
      client.connect(to(server))
      log(`round ${round} began`, client.connecting, client.destroyed, client.bytesRead, client.bytesWritten)
      client.resume()
      client.write('x'.repeat(round))
      await new Promise(resolve => client.once('close', resolve))
      log(`round ${round} over`, client.bytesRead, client.bytesWritten, client.destroyed, client.readyState)
    }
    await seen(client, 'close')
  },
)

parity('a socket refused once connects later', async ({ net, own, listen, to, watch, log }) => {
  const server = await listen({}, peer => peer.end('hello'))
  const client = watch(own(new net.Socket()), 'client')
  client.connect(1, '127.0.0.1')
  await new Promise(resolve => client.once('close', resolve))
  log('between', client.errored?.code, client.destroyed)
  client.connect(to(server)).resume()
  await new Promise(resolve => client.once('close', resolve))
  log('after', client.errored, client.destroyed)
})

parity(
  'connecting to 0.0.0.0 reaches this machine',
  { on: 'linux' },
  async ({ connect, listen, log, seen }) => {
    const server = await listen({ host: '0.0.0.0' })
    const client = connect(server.address().port, '0.0.0.0')
    await seen(client, 'connect')
    log('remote', client.remoteAddress, client.remoteFamily)
  },
)
