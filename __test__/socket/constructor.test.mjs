// `new Socket()`: its options with unusual values. options.test.mjs, reading.test.mjs and connect/connect.test.mjs have
// the usual ones.

import { parity } from '../helpers/parity.mjs'

const state = socket => ({
  readable: socket.readable,
  writable: socket.writable,
  readyState: socket.readyState,
  allowHalfOpen: socket.allowHalfOpen,
  connecting: socket.connecting,
  pending: socket.pending,
  destroyed: socket.destroyed,
})

const oddOptions = {
  'no argument': [],
  undefined: [undefined],
  null: [null],
  true: [true],
  false: [false],
  'a string': ['x'],
  'an empty string': [''],
  'an array': [[]],
  'a symbol': [Symbol('x')],
  'an object without a prototype': [Object.create(null)],
}
for (const [label, args] of Object.entries(oddOptions)) {
  parity(`options: ${label}`, ({ net, own, attempt }) => {
    attempt('new', () => state(own(new net.Socket(...args))))
  })
}

parity('options: inherited ones count, and the object is not touched', ({ net, own, log }) => {
  const options = Object.freeze({ allowHalfOpen: 1, keepAliveInitialDelay: 5, highWaterMark: 7 })
  const socket = own(new net.Socket(options))
  log('own', socket.allowHalfOpen, socket.readableHighWaterMark)
  const heir = own(new net.Socket(Object.create(options)))
  log('inherited', heir.allowHalfOpen, heir.readableHighWaterMark)
})

parity('keepAliveInitialDelay: a number, negative ones count as 0', ({ net, own, log, attempt }) => {
  for (const value of [undefined, null, '1000', true, {}, -1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    const options = { keepAliveInitialDelay: value }
    attempt(String(value), () => own(new net.Socket(options)).destroyed)
    log('given', options)
  }
})

parity('highWaterMark: what streams refuse is refused', ({ net, own, attempt }) => {
  for (const name of ['highWaterMark', 'readableHighWaterMark', 'writableHighWaterMark']) {
    for (const value of [null, 0, 1.5, -1, Number.NaN, '10', 'x', {}]) {
      attempt(`${name} ${String(value)}`, () => {
        const socket = own(new net.Socket({ [name]: value }))
        return [socket.readableHighWaterMark, socket.writableHighWaterMark]
      })
    }
  }
})

parity(
  'the stream: emitClose, autoDestroy, decodeStrings and object mode are not the caller’s to choose',
  t => {
    const { net, own, log, attempt } = t
    for (const value of [true, false, undefined]) {
      const socket = own(
        new net.Socket({
          emitClose: value,
          autoDestroy: value,
          decodeStrings: value,
          defaultEncoding: 'latin1',
        }),
      )
      const { _readableState: readable, _writableState: writable } = socket
      log('readable', readable.emitClose, readable.autoDestroy, readable.objectMode)
      log(
        'writable',
        writable.emitClose,
        writable.autoDestroy,
        writable.decodeStrings,
        writable.defaultEncoding,
      )
    }
    for (const value of [false, 0, '', null, undefined]) {
      attempt(
        'object mode',
        () => own(new net.Socket({ objectMode: value, readableObjectMode: value })).readableObjectMode,
      )
    }
  },
)

parity(
  'the stream: other options of streams work as on any Duplex',
  async ({ net, own, listen, to, log, drained }) => {
    const server = await listen({ allowHalfOpen: true }, peer => peer.pipe(peer))
    const client = own(
      new net.Socket({
        encoding: 'utf8',
        defaultEncoding: 'latin1',
        construct(callback) {
          log('construct')
          callback()
        },
      }),
    )
    client.connect(to(server)).write('é')
    client.end()
    log('arrived', client.readableEncoding, await drained(client))
  },
)

parity('the stream: its functions may be options', async ({ net, own, listen, to, log, closed }) => {
  const server = await listen({}, peer => peer.resume().end('hi'))
  const noted = name =>
    function (...args) {
      log(name, args.length)
      return Reflect.apply(net.Socket.prototype[`_${name}`], this, args)
    }
  const client = own(
    new net.Socket({ write: noted('write'), final: noted('final'), destroy: noted('destroy') }),
  )
  client.connect(to(server)).resume()
  client.write('x')
  client.end()
  await closed(client)
})

for (const options of [{ readable: false }, { writable: false }, { readable: false, writable: false }]) {
  const label = Object.keys(options).join(', ')
  parity(`${label}: false before and without a connection`, ({ net, own, log }) => {
    const socket = own(new net.Socket(options))
    log('state', state(socket), socket.readableEnded, socket.writableEnded)
  })

  parity(`${label}: false on a connection`, async ({ net, own, listen, to, log, watch, seen, quiet }) => {
    const server = await listen({}, peer => peer.resume().end('hi'))
    const client = watch(own(new net.Socket(options)), 'client', { into: 'main' })
    client.connect(to(server))
    await seen(client, 'connect')
    log('connected', state(client))
    await quiet()
    log('later', state(client))
    client.destroy()
    await seen(client, 'close')
  })
}

parity(
  'writable: false makes the empty socket that agents replay a response with',
  async ({ net, own, log, drained }) => {
    const socket = own(new net.Socket({ writable: false }))
    socket.readable = true
    const arrived = drained(socket)
    socket.push('what was ')
    socket.push(Buffer.from('read too much'))
    socket.push(null)
    log('arrived', await arrived)
  },
)

for (const [label, onread] of Object.entries({
  true: true,
  null: null,
  'an empty object': {},
  'no buffer': { callback: () => {} },
  'no callback': { buffer: Buffer.alloc(8) },
  'a string as buffer': { buffer: 'buffer', callback: () => {} },
  'an ArrayBuffer as buffer': { buffer: new ArrayBuffer(8), callback: () => {} },
  'a string as callback': { buffer: Buffer.alloc(8), callback: 'callback' },
})) {
  parity(`onread: ${label} is ignored`, async ({ net, own, listen, to, log, drained, attempt }) => {
    const server = await listen({}, peer => peer.end('text'))
    const client = attempt('new', () => own(new net.Socket({ onread })))
    client.connect(to(server))
    log('arrived', await drained(client))
  })
}

parity('onread: the callback is called on the socket with the number and the buffer', async t => {
  const { net, own, listen, to, log, closed } = t
  const server = await listen({}, peer => peer.end('text'))
  for (const buffer of [Buffer.alloc(64), new Uint8Array(64), () => Buffer.alloc(64)]) {
    let client
    const onread = {
      buffer,
      callback(nread, got, ...more) {
        log(
          'read',
          this === client,
          this === onread,
          nread,
          got === buffer,
          got.constructor.name,
          got.length,
          more.length,
        )
        log('text', Buffer.from(got.buffer, got.byteOffset, nread))
        return true
      },
    }
    client = own(new net.Socket({ onread }))
    client.connect(to(server))
    await closed(client)
  }
})

for (const [label, made] of Object.entries({
  nothing: [undefined, undefined, undefined],
  'nothing, and then a buffer': [undefined, Buffer.alloc(2), undefined],
  'an ArrayBuffer': [new ArrayBuffer(8), new ArrayBuffer(8)],
})) {
  parity(`onread: a function for buffers that makes ${label}`, async t => {
    const { net, own, listen, to, log, closed, until } = t
    let peer
    const server = await listen({ allowHalfOpen: true }, socket => (peer = socket))
    let calls = 0
    let bytes = 0
    const client = own(
      new net.Socket({
        onread: {
          buffer: () => made[calls++],
          callback: (nread, buffer) => {
            bytes += nread
            log('read', nread, buffer === true || buffer?.length)
          },
        },
      }),
    )
    client.on('data', () => log('data'))
    client.connect(to(server))
    await until(() => peer !== undefined)
    for (const [text, total] of [
      ['abc', 3],
      ['de', 5],
    ]) {
      peer.write(text)
      await until(() => bytes === total)
    }
    log('calls', calls > 2, client.bytesRead)
    peer.end()
    await closed(client)
  })
}

for (const [label, buffer] of Object.entries({
  'a buffer': Buffer.alloc(0),
  'a function that makes one': () => Buffer.alloc(0),
})) {
  parity(`onread: ${label} without room is an error of the read`, async t => {
    const { net, own, listen, to, watch, closed } = t
    const server = await listen({}, peer => peer.write('text'))
    const callback = nread => t.log('read', nread)
    const client = watch(own(new net.Socket({ onread: { buffer, callback } })), 'client')
    client.connect(to(server))
    await closed(client)
  })
}

parity('onread: what the callback returns stops reading only if it is false', async t => {
  const { net, own, listen, to, log, until } = t
  let peer
  const server = await listen({}, socket => (peer = socket))
  for (const value of [undefined, null, 0, '', true, false]) {
    peer = undefined
    let reads = 0
    const callback = () => {
      reads++
      return value
    }
    const client = own(new net.Socket({ onread: { buffer: Buffer.alloc(8), callback } }))
    client.connect(to(server))
    await until(() => peer !== undefined)
    peer.write('1')
    await until(() => reads === 1)
    log('returned', value, client._handle.reading)
    client.destroy()
  }
})

parity(
  // (When the socket has closed Node leaves one behind; here there is none.)
  'signal: its listeners, while the socket is open',
  async ({ net, own, listen, to, log, closed, turns }) => {
    const { getEventListeners } = await import('node:events')
    const server = await listen({}, peer => peer.end())
    const { signal } = new AbortController()
    const client = own(new net.Socket({ signal }))
    client.connect(to(server)).resume()
    await turns()
    log('open', getEventListeners(signal, 'abort').length > 0)
    await closed(client)
  },
)

parity(
  'signal: aborted between two attempts ends the series',
  { on: 'linux' },
  async ({ net, own, watch, closed, turns }) => {
    const controller = new AbortController()
    const client = watch(own(new net.Socket({ signal: controller.signal })), 'client', { into: 'main' })
    client.once('connectionAttemptFailed', () => controller.abort())
    client.connect({
      port: 1,
      host: 'made.up',
      autoSelectFamilyAttemptTimeout: 8_000,
      lookup: (_host, _options, callback) =>
        process.nextTick(
          callback,
          null,
          ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(address => ({ address, family: 4 })),
        ),
    })
    await closed(client)
    await turns(5)
  },
)

parity('signal: the reason of the abort is the cause of the error', async ({ net, own, log }) => {
  for (const reason of [undefined, new Error('enough'), 'a string']) {
    const controller = new AbortController()
    const client = own(new net.Socket({ signal: controller.signal }))
    const failed = new Promise(resolve => client.once('error', resolve))
    controller.abort(reason)
    const error = await failed
    log('error', error.name, error.code, error.message)
    log('cause', error.cause === controller.signal.reason)
  }
})

parity('noDelay, keepAlive: any truthy value counts', async ({ net, own, listen, to, log, seen }) => {
  const server = await listen()
  for (const value of [1, 'yes', {}, 0, '', null]) {
    const client = own(new net.Socket({ noDelay: value, keepAlive: value }))
    client.connect(to(server))
    await seen(client, 'connect')
    log('open', value, client.readyState)
    client.destroy()
  }
})

parity('a fresh socket: one listener, for end, and room for more', ({ net, own, log }) => {
  const socket = own(new net.Socket())
  log('listeners', socket.eventNames(), socket.listenerCount('end'), socket.getMaxListeners())
  log('facts', socket.address(), socket.bufferSize, socket.bytesRead, socket.bytesWritten, socket.timeout)
  log('state', state(socket), socket.readyState, socket._handle, socket.server, socket._server)
})

parity('an accepted socket: the same listener and nothing else', async ({ pair, log }) => {
  const { client, peer } = await pair()
  for (const socket of [client, peer]) {
    log(
      'listeners',
      socket.listenerCount('end'),
      socket.listenerCount('error') > 0,
      socket.listenerCount('connect'),
    )
  }
})
