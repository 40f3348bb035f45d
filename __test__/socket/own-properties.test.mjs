// The properties of sockets as property dumps, for..in loops and tools see them: which are own, in which order, which
// can be set, and their values at each stage. properties.test.mjs has the rest.

import { parity } from '../helpers/parity.mjs'

// What ferronet has or has not on purpose: its own `write`, `startTLS` and `sendFile`, and methods of newer Nodes, which have their own tests.
const elsewhere = ['write', 'setTypeOfService', 'getTypeOfService', 'setBusyPoll', 'getBusyPoll', 'startTLS', 'sendFile']

const descriptors = object =>
  Object.fromEntries(
    Object.entries(Object.getOwnPropertyDescriptors(object)).map(([name, { value, get, set, ...flags }]) => [
      name,
      { ...flags, kind: get || set ? `${get ? 'get' : ''}${set ? 'set' : ''}` : typeof value },
    ]),
  )

parity(
  'own keys: of a client at every stage, in order',
  async ({ net, own, listen, to, log, seen, closed }) => {
    const server = await listen({}, peer => peer.resume().end('hi'))
    const client = own(new net.Socket())
    const note = stage => log(stage, Object.keys(client))
    note('fresh')
    client.setTimeout(10_000)
    note('with a timeout')
    client.connect(to(server))
    note('connecting')
    await seen(client, 'connect')
    note('connected')
    log('remote', client.remoteAddress, client.localAddress)
    note('asked')
    client.once('end', () => note('end'))
    client.resume().end('x')
    await closed(client)
    note('closed')
    client.connect(to(server)).resume()
    note('connecting again')
    await new Promise(resolve => client.once('close', resolve))
    note('closed again')
  },
)

parity('own keys: of an accepted socket, in order', async ({ pair, log, closed }) => {
  const { client, peer } = await pair()
  log('accepted', Object.keys(peer))
  log('asked', peer.remoteAddress, peer.localAddress, Object.keys(peer))
  client.end()
  peer.resume()
  await closed(peer)
  log('closed', Object.keys(peer))
})

parity('own keys: with every option, and after a refusal, a reset and an abort', async t => {
  const { net, own, pair, log, closed } = t
  const { signal } = new AbortController()
  const options = {
    onread: { buffer: Buffer.alloc(1), callback: () => {} },
    noDelay: true,
    keepAlive: true,
    signal,
  }
  log('options', Object.keys(own(new net.Socket(options))))
  const refused = own(new net.Socket()).on('error', () => {})
  refused.connect(1, '127.0.0.1')
  await closed(refused)
  log('refused', Object.keys(refused))
  const { client } = await pair()
  client.resetAndDestroy()
  await closed(client)
  log('reset', Object.keys(client))
})

parity('own properties: each writable, enumerable and configurable', async ({ pair, log }) => {
  const { client, peer } = await pair()
  log('client', descriptors(client))
  log('peer', descriptors(peer))
})

parity('the prototype: its members and what may be done with them', ({ net, log }) => {
  const members = Object.entries(descriptors(net.Socket.prototype)).filter(
    ([name]) => !elsewhere.includes(name),
  )
  for (const [name, descriptor] of members.sort(([a], [b]) => (a < b ? -1 : 1))) log(name, descriptor)
})

parity('the prototype of Server: its members and what may be done with them', ({ net, log }) => {
  const members = Object.entries(descriptors(net.Server.prototype))
  for (const [name, descriptor] of members.sort(([a], [b]) => (a < b ? -1 : 1))) log(name, descriptor)
})

parity('for..in: what a loop over a socket and a server meets', ({ net, own, log }) => {
  for (const object of [own(new net.Socket()), own(net.createServer())]) {
    const names = []
    for (const name in object) if (!elsewhere.includes(name)) names.push(name)
    log('names', names.length, names.sort())
  }
})

parity(
  'the methods: their lengths',
  {
    since: ['24.19', '26.4'],
    expected: {
      main: [
        ...[
          ['connect', 0],
          ['address', 0],
          ['destroySoon', 0],
          ['resetAndDestroy', 0],
          ['setTimeout', 2],
        ],
        ...[
          ['setNoDelay', 1],
          ['setKeepAlive', 4],
          ['ref', 0],
          ['unref', 0],
          ['end', 3],
          ['pause', 0],
          ['resume', 0],
        ],
        ...[
          ['read', 1],
          ['_read', 1],
          ['_write', 3],
          ['_writev', 2],
          ['_writeGeneric', 4],
          ['_final', 1],
        ],
        ...[
          ['_destroy', 2],
          ['_reset', 0],
          ['_onTimeout', 0],
          ['_unrefTimer', 0],
          ['_getpeername', 0],
          ['_getsockname', 0],
        ],
        ...[
          ['Server', '_listen2', 6],
          ['Server', 'listen', 0],
          ['Server', 'close', 1],
          ['Server', 'address', 0],
        ],
        ...[
          ['Server', 'getConnections', 1],
          ['Server', '_emitCloseIfDrained', 0],
          ['Server', '_setupWorker', 1],
        ],
        ...[
          ['Server', 'ref', 0],
          ['Server', 'unref', 0],
        ],
      ],
    },
  },
  ({ net, log }) => {
    for (const name of [
      ...['connect', 'address', 'destroySoon', 'resetAndDestroy', 'setTimeout', 'setNoDelay', 'setKeepAlive'],
      ...[
        'ref',
        'unref',
        'end',
        'pause',
        'resume',
        'read',
        '_read',
        '_write',
        '_writev',
        '_writeGeneric',
        '_final',
      ],
      ...['_destroy', '_reset', '_onTimeout', '_unrefTimer', '_getpeername', '_getsockname'],
    ]) {
      log(name, net.Socket.prototype[name].length)
    }
    const server = ['_listen2', 'listen', 'close', 'address', 'getConnections', '_emitCloseIfDrained']
    for (const name of [...server, '_setupWorker', 'ref', 'unref'])
      log('Server', name, net.Server.prototype[name].length)
  },
)

const readOnly = [
  ...['bytesRead', 'bytesWritten', '_bytesDispatched', 'bufferSize', 'readyState', 'pending', '_connecting'],
  ...['localAddress', 'localPort', 'localFamily', 'remoteAddress', 'remotePort', 'remoteFamily'],
]
for (const name of readOnly) {
  parity(`${name}: can only be read`, async ({ pair, attempt, log }) => {
    const { client } = await pair()
    const before = client[name]
    attempt('set', () => {
      client[name] = 'mine'
    })
    log('unchanged', client[name] === before, name in client, Object.hasOwn(client, name))
    attempt('define', () => Object.defineProperty(client, name, { value: 'mine', configurable: true })[name])
    attempt('delete', () => delete client[name])
    log('back', client[name] === before)
  })
}

parity(
  'connecting: a plain property that may be set, which pending and readyState follow',
  ({ net, own, log }) => {
    const socket = own(new net.Socket())
    for (const value of [true, false]) {
      socket.connecting = value
      log('set', socket.connecting, socket._connecting, socket.pending, socket.readyState)
    }
  },
)

parity('the private facts: their values at every stage', async t => {
  const { net, own, listen, log, seen, closed } = t
  const server = await listen({}, peer => peer.resume().end())
  const client = own(new net.Socket())
  const note = stage =>
    log(stage, {
      _parent: client._parent,
      _host: client._host,
      _hadError: client._hadError,
      _closeAfterHandlingError: client._closeAfterHandlingError,
      _pendingData: client._pendingData,
      _pendingEncoding: client._pendingEncoding,
      _sockname: client._sockname === null ? null : Object.keys(client._sockname ?? {}),
      _peername: client._peername == null ? String(client._peername) : Object.keys(client._peername),
      server: client.server,
      _server: client._server,
      handle: client._handle !== null,
    })
  note('fresh')
  client.connect({
    port: server.address().port,
    host: 'made.up',
    lookup: (_host, _options, callback) =>
      setImmediate(callback, null, [{ address: '127.0.0.1', family: 4 }]),
  })
  note('connecting')
  client.write('first')
  client.write('second', 'latin1')
  note('written')
  await seen(client, 'connect')
  note('connected')
  log('ends', client.remoteFamily, client.localFamily)
  note('asked')
  client.resume()
  await closed(client)
  note('closed')
})

parity('_pendingData: several corked writes wait as a list', async ({ net, own, listen, to, log }) => {
  const server = await listen()
  const client = own(new net.Socket())
  client.connect(to(server))
  client.cork()
  client.write('é')
  client.write(Buffer.from('xyz'))
  log('corked', client._pendingData, client.bytesWritten)
  client.uncork()
  const data = client._pendingData
  log(
    'uncorked',
    Array.isArray(data),
    data.length,
    data.map(({ chunk, encoding }) => [chunk, encoding]),
  )
  log('counted', client.bytesWritten, client._pendingEncoding)
})

parity('autoSelectFamilyAttemptedAddresses: own only when there were several addresses', async t => {
  const { net, own, log, closed, alias } = t
  alias(1, 'port')
  for (const addresses of [['127.0.0.1'], ['127.0.0.1', '127.0.0.1'], ['127.0.0.1', '127.0.0.2']]) {
    const client = own(new net.Socket()).on('error', () => {})
    client.connect({
      port: 1,
      host: 'made.up',
      lookup: (_host, _options, callback) =>
        process.nextTick(
          callback,
          null,
          addresses.map(address => ({ address, family: 4 })),
        ),
    })
    await closed(client)
    log(
      'own',
      addresses,
      Object.hasOwn(client, 'autoSelectFamilyAttemptedAddresses'),
      client.autoSelectFamilyAttemptedAddresses,
    )
  }
})

parity('timeout: own once it has been set, and stays what was given', async ({ net, own, log }) => {
  const socket = own(new net.Socket())
  log('fresh', socket.timeout, 'timeout' in socket)
  socket.setTimeout(1000)
  log('set', socket.timeout, Object.hasOwn(socket, 'timeout'))
  socket.setTimeout(0)
  log('cleared', socket.timeout, Object.hasOwn(socket, 'timeout'))
})

parity('bytesRead, bytesWritten: begin again with each connection of the same socket', async t => {
  const { net, own, listen, to, log } = t
  const server = await listen({}, peer => peer.resume().end('12345'))
  const client = own(new net.Socket())
  for (const text of ['a', 'bb']) {
    client.connect(to(server)).resume()
    log('connecting', client.bytesRead, client.bytesWritten)
    client.write(text)
    log('written', client.bytesRead, client.bytesWritten)
    await new Promise(resolve => client.once('close', resolve))
    log('closed', client.bytesRead, client.bytesWritten)
  }
})

parity(
  'server, _server: the server of an accepted socket also after its close, null on a client',
  async t => {
    const { pair, log, closed } = t
    const { server, client, peer } = await pair()
    log('client', client.server, client._server)
    log('peer', peer.server === server, peer._server === server)
    peer.destroy()
    await closed(peer)
    log('closed', peer.server === server, peer._server === server)
  },
)

parity('_handle: null without a connection, and the same object while there is one', async t => {
  const { net, own, listen, to, log, seen, closed } = t
  const server = await listen({}, peer => peer.resume().end())
  const client = own(new net.Socket())
  log('fresh', client._handle)
  client.connect(to(server))
  const handle = client._handle
  log('connecting', handle !== null, typeof handle)
  await seen(client, 'connect')
  log('connected', client._handle === handle)
  client.resume()
  await closed(client)
  log('closed', client._handle)
})

parity(
  'path sockets: facts at every stage',
  { on: 'unix' },
  async ({ net, own, listen, to, log, seen, closed, socketPath }) => {
    const server = await listen({ path: socketPath() }, peer => peer.resume().end('hi'))
    const client = own(new net.Socket())
    client.connect(to(server))
    const note = stage => {
      log(stage, client.address(), client.localAddress, client.localPort, client.localFamily)
      log(
        stage,
        client.remoteAddress,
        client.remotePort,
        client.remoteFamily,
        client._peername,
        client._sockname,
      )
      log(stage, client.readyState, client.pending, client.bufferSize, client.bytesRead, client.bytesWritten)
    }
    note('connecting')
    await seen(client, 'connect')
    note('connected')
    client.resume().end('x')
    await closed(client)
    note('closed')
  },
)
