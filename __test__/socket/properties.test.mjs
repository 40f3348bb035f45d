// Addresses, counters and states of sockets at every stage of their lives, and the classes themselves.

import { parity } from '../helpers/parity.mjs'

// Ports are only said to be there or not.
const addresses = socket => ({
  address: withoutPort(socket.address()),
  local: [socket.localAddress, socket.localPort > 0, socket.localFamily],
  remote: [socket.remoteAddress, socket.remotePort > 0, socket.remoteFamily],
})
const withoutPort = ({ port, ...address }) => ({ ...address, port: typeof port })
const state = socket => ({
  connecting: socket.connecting,
  pending: socket.pending,
  readyState: socket.readyState,
  destroyed: socket.destroyed,
  closed: socket.closed,
  readable: socket.readable,
  writable: socket.writable,
  errored: socket.errored,
  hadError: socket._hadError,
})
const counters = socket => ({
  bytesRead: socket.bytesRead,
  bytesWritten: socket.bytesWritten,
  bufferSize: socket.bufferSize,
  writableLength: socket.writableLength,
  readableLength: socket.readableLength,
})

parity('addresses of a client at every stage', async ({ net, own, listen, to, log, seen, closed }) => {
  const server = await listen({}, peer => peer.end())
  const client = own(new net.Socket())
  log('fresh', addresses(client))
  client.connect(to(server))
  log('connecting', addresses(client))
  await seen(client, 'connect')
  log('connected', addresses(client))
  log('right', client.remotePort === server.address().port)
  client.resume()
  client.on('end', () => log('end', addresses(client)))
  await closed(client)
  log('closed', addresses(client))
})

parity('addresses never read before the close', async ({ listen, connect, to, log, closed }) => {
  const server = await listen({}, peer => peer.end())
  const client = connect(to(server)).resume()
  await closed(client)
  log('closed', addresses(client))
})

parity('addresses after destroy', async ({ pair, log, closed }) => {
  const { client, peer } = await pair()
  log('read before', client.remoteAddress)
  client.destroy()
  log('client', addresses(client))
  peer.destroy()
  log('peer', addresses(peer))
  await closed(client, peer)
})

parity('addresses of an accepted socket', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  log('peer', addresses(peer))
  log('right', peer.localPort === server.address().port, peer.remotePort === client.localPort)
  log('object', peer.address().port === peer.localPort)
})

parity('addresses over IPv6', async ({ net, own, connect, log, seen }) => {
  const server = own(net.createServer())
  const outcome = new Promise(resolve => server.once('listening', resolve).once('error', resolve))
  server.listen({ host: '::1', port: 0 })
  // A machine without IPv6 has nothing to say here.
  if (await outcome) return
  const accepted = new Promise(resolve => server.once('connection', resolve))
  const client = connect(server.address().port, '::1')
  await seen(client, 'connect')
  log('client', addresses(client))
  log('peer', addresses(await accepted))
})

parity(
  'an IPv4 client of a dual-stack server has a mapped address',
  async ({ net, own, connect, log, seen }) => {
    const server = own(net.createServer().listen(0))
    await seen(server, 'listening')
    const accepted = new Promise(resolve => server.once('connection', resolve))
    connect(server.address().port, '127.0.0.1')
    log('peer', addresses(await accepted))
  },
)

parity('path sockets have no addresses', { on: 'unix' }, async ({ pair, log, socketPath }) => {
  const { client, peer } = await pair({ path: socketPath() })
  log('client', addresses(client))
  log('peer', addresses(peer))
})

parity('the state of a client at every stage', async ({ net, own, listen, to, log, closed }) => {
  const server = await listen({}, peer => peer.resume().end())
  const client = own(new net.Socket())
  log('fresh', state(client))
  client.connect(to(server))
  log('connecting', state(client))
  for (const event of ['connect', 'ready', 'end', 'finish', 'close'])
    client.on(event, () => log(event, state(client)))
  client.resume()
  await closed(client)
})

parity(
  'the state of an accepted socket at every stage',
  async ({ listen, connect, to, log, closed, until }) => {
    let peer
    const server = await listen({}, socket => {
      peer = socket
      log('connection', state(peer))
      for (const event of ['end', 'finish', 'close']) peer.on(event, () => log(event, state(peer)))
      peer.resume()
    })
    const client = connect(to(server)).resume()
    await until(() => peer)
    client.end()
    await closed(peer)
  },
)

parity('the state of a refused client', async ({ connect, log, closed }) => {
  const client = connect(1, '127.0.0.1')
  client.on('error', () => log('error', { ...state(client), errored: client.errored.code }))
  await closed(client)
  log('close', { ...state(client), errored: client.errored.code })
})

parity('the state of a destroyed client', async ({ pair, log, closed }) => {
  const { client } = await pair()
  client.destroy()
  log('destroyed', state(client))
  await closed(client)
  log('closed', state(client))
})

parity('the counters of a client at every stage', async ({ net, own, listen, to, log, closed, seen }) => {
  const server = await listen({ allowHalfOpen: true }, peer => {
    peer.on('data', data => peer.write(data)).on('end', () => peer.end())
  })
  const client = own(new net.Socket())
  log('fresh', counters(client))
  client.connect(to(server))
  log('connecting', counters(client))
  client.write('hällo')
  client.write('latin1 é', 'latin1')
  client.write(Buffer.alloc(10))
  log('queued', counters(client))
  await seen(client, 'connect')
  client.once('ready', () => log('ready', counters(client)))
  let got = 0
  client.on('data', data => (got += data.length))
  client.end()
  client.on('end', () => log('end', counters(client)))
  await closed(client)
  log('closed', counters(client), got)
})

parity('bytesWritten counts what waits', async ({ pair, log }) => {
  const { client } = await pair({ server: { pauseOnConnect: true } })
  client.write(Buffer.alloc(16 * 1024 * 1024))
  client.write('é€')
  client.write('é€', 'latin1')
  client.write('é€', 'utf16le')
  log('waiting', client.bytesWritten, client.writableLength, client.bufferSize)
  client.destroy()
  log('destroyed', client.bufferSize, client.writableLength)
})

parity('bytesWritten counts what is corked', async ({ pair, log }) => {
  const { client } = await pair()
  client.cork()
  client.write('é€')
  client.write(Buffer.alloc(7))
  log('corked', client.bytesWritten, client.writableLength, client.writableCorked)
  client.uncork()
  log('uncorked', client.bytesWritten, client.writableLength, client.writableCorked)
})

parity('counters survive the close', async ({ pair, log, closed, drained }) => {
  const { client, peer } = await pair()
  const arrived = drained(peer)
  client.resume().end('12345')
  await arrived
  await closed(client)
  log('client', client.bytesWritten, client.bytesRead, client._bytesDispatched)
  log('peer', peer.bytesWritten, peer.bytesRead, peer._bytesDispatched)
})

parity('where each property lives', async ({ net, own, log, listen, connect, to, seen }) => {
  const kind = (object, name) => {
    const descriptor = Object.getOwnPropertyDescriptor(object, name)
    if (!descriptor) return 'absent'
    const { enumerable, configurable, get, set, writable } = descriptor
    return get
      ? { get: true, set: Boolean(set), enumerable, configurable }
      : { writable, enumerable, configurable }
  }
  const names = [
    ...[
      'connecting',
      '_connecting',
      'pending',
      'readyState',
      'bufferSize',
      'bytesRead',
      'bytesWritten',
      '_bytesDispatched',
    ],
    ...[
      'localAddress',
      'localPort',
      'localFamily',
      'remoteAddress',
      'remotePort',
      'remoteFamily',
      'timeout',
      'server',
      '_server',
    ],
  ]
  const server = await listen()
  const client = connect(to(server))
  await seen(client, 'connect')
  for (const name of names) log(name, kind(net.Socket.prototype, name), kind(client, name))
  log('listening', kind(net.Server.prototype, 'listening'))
  log('fresh', own(new net.Socket()) instanceof net.Socket)
})

parity('the methods of Socket and their lengths', async ({ net, log }) => {
  const methods = [
    ...[
      'connect',
      'address',
      'destroySoon',
      'resetAndDestroy',
      'setTimeout',
      'setNoDelay',
      'ref',
      'unref',
      'end',
      'pause',
    ],
    ...[
      'resume',
      'read',
      'write',
      'destroy',
      'setEncoding',
      'cork',
      'uncork',
      'pipe',
      '_read',
      '_write',
      '_writev',
      '_final',
      '_destroy',
    ],
  ]
  for (const name of methods) log(name, typeof net.Socket.prototype[name], net.Socket.prototype[name]?.length)
})

parity('Stream is Socket, and Socket is a Duplex', async ({ net, log }) => {
  const { Duplex, Readable, Writable, Stream } = await import('node:stream')
  log('Stream', net.Stream === net.Socket)
  const socket = new net.Socket()
  for (const parent of [Duplex, Readable, Writable, Stream]) log(parent.name, socket instanceof parent)
  log(
    'statics',
    Object.getPrototypeOf(net.Socket) === Duplex,
    Object.getPrototypeOf(net.Socket.prototype) === Duplex.prototype,
  )
  log('names', net.Socket.name, net.Socket.length, socket.constructor === net.Socket)
})

parity('Socket works without new', async ({ net, own, listen, to, log, drained }) => {
  const server = await listen({}, peer => peer.end('hello'))
  const client = own(net.Socket({ allowHalfOpen: true }))
  log('instance', client instanceof net.Socket, client.allowHalfOpen)
  client.connect(to(server))
  log('arrived', await drained(client))
})

parity('Socket.call with util.inherits makes a socket', async ({ net, own, listen, to, log, drained }) => {
  const { inherits } = await import('node:util')
  function Old(options) {
    net.Socket.call(this, options)
    this.old = true
  }
  inherits(Old, net.Socket)
  Old.prototype.greet = function () {
    return this.write('from the subclass')
  }
  const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = own(new Old({ allowHalfOpen: false }))
  client.connect(to(server))
  log('instance', client instanceof net.Socket, client instanceof Old, client.old, client.greet())
  client.end()
  log('arrived', await drained(client))
})

parity('a class that extends Socket is a socket', async ({ net, own, listen, to, log, drained }) => {
  class Shouting extends net.Socket {
    static made = 0
    constructor(options) {
      super(options)
      Shouting.made++
    }
    write(data, ...rest) {
      return super.write(String(data).toUpperCase(), ...rest)
    }
    connect(...args) {
      log('connect is called', args.length)
      return super.connect(...args)
    }
  }
  const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
  const client = own(new Shouting())
  client.connect(to(server)).write('quiet')
  client.end()
  log('arrived', await drained(client))
  log('class', client instanceof Shouting, Shouting.made, client.constructor.name)
})

parity('a subclass may override the hooks of streams', async ({ net, own, listen, to, log, closed }) => {
  class Observed extends net.Socket {
    _write(chunk, encoding, callback) {
      log('_write', chunk, encoding)
      super._write(chunk, encoding, callback)
    }
    _final(callback) {
      log('_final')
      super._final(callback)
    }
    _destroy(error, callback) {
      log('_destroy', error)
      super._destroy(error, callback)
    }
  }
  const server = await listen({}, peer => peer.resume())
  const client = own(new Observed())
  client.connect(to(server)).resume()
  client.write('text')
  client.write(Buffer.from('bytes'))
  client.end()
  await closed(client)
})

parity('users may hang what they like on a socket and a server', async ({ pair, log }) => {
  const { client, server, peer } = await pair()
  for (const object of [client, peer, server]) {
    object.mine = 1
    object.on = object.on.bind(object)
    log('extensible', Object.isExtensible(object), object.mine, Object.keys(object).includes('mine'))
  }
})

parity('methods of the prototype can be patched', async ({ net, own, listen, to, log, drained, cleanup }) => {
  const { connect } = net.Socket.prototype
  net.Socket.prototype.connect = function (...args) {
    log('patched connect')
    return Reflect.apply(connect, this, args)
  }
  cleanup(() => (net.Socket.prototype.connect = connect))
  const server = await listen({}, peer => peer.end('x'))
  const client = own(net.connect(to(server)))
  log('arrived', await drained(client))
})

parity('isIP and its kin', async ({ net, log }) => {
  const inputs = [
    '1.2.3.4',
    '01.2.3.4',
    '1.2.3',
    '256.1.1.1',
    '::1',
    '::',
    'fe80::1%eth0',
    '::ffff:1.2.3.4',
    '1::2::3',
    '',
    ' 1.2.3.4',
    'x',
  ]
  for (const input of [...inputs, null, undefined, 1, {}, ['1.1.1.1'], { toString: () => '::1' }]) {
    log(
      'is',
      typeof input === 'object' ? 'an object' : input,
      net.isIP(input),
      net.isIPv4(input),
      net.isIPv6(input),
    )
  }
})

parity(
  'every export of node:net is there, but those about libuv',
  {
    since: '99',
    expected: {
      main: [
        ['missing', []],
        ['kinds', []],
      ],
    },
  },
  async ({ net, log }) => {
    const node = (await import('node:net')).default
    // What Node's own handles are made of on Windows, and what a worker makes of a BoundSocket that has arrived.
    const libuvs = ['_setSimultaneousAccepts', '_TransferredBoundSocket']
    const names = Object.keys(node).filter(name => !libuvs.includes(name))
    log(
      'missing',
      names.filter(name => !(name in net)),
    )
    log(
      'kinds',
      names.filter(name => typeof net[name] !== typeof node[name]),
    )
  },
)

parity('JSON.stringify takes servers, and sockets with their server', async ({ pair, log }) => {
  const { server, client, peer } = await pair()
  log('server', JSON.parse(JSON.stringify(server))._handle)
  log('client', typeof JSON.stringify(client))
  log('peer', JSON.parse(JSON.stringify(peer)).server._handle)
})
