// What a socket says of itself while attempts to connect come and go.

import { parity } from '../helpers/parity.mjs'

const events = ['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout']
const later = ['connect', 'ready', 'error', 'close']

const state = ({ connecting, _connecting, pending, readyState, destroyed, closed, readable, writable }) => ({
  ...{ connecting, _connecting, pending, readyState, destroyed, closed, readable, writable },
})
const facts = socket => [
  state(socket),
  [socket.address(), socket._sockname, socket.remoteAddress, socket.bufferSize, socket.errored?.code],
  [socket._handle === null, socket.bytesWritten, socket._hadError],
]

/** Tells at each event what the socket is then. */
function note({ log, own }, socket) {
  own(socket)
  for (const event of [...events, ...later]) {
    socket.on(event, (...args) => log(event, args.length, ...facts(socket)))
  }
  return socket
}

const answers =
  (...addresses) =>
  (_host, { all }, callback) => {
    const list = addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    if (all) process.nextTick(callback, null, list)
    else process.nextTick(callback, null, list[0].address, list[0].family)
  }
const nowhere = { port: 1, host: 'made.up', autoSelectFamilyAttemptTimeout: 8_000 }

const failing = {
  'an address': () => ({ port: 1, host: '127.0.0.1' }),
  'a name with one address': () => ({ ...nowhere, lookup: answers('127.0.0.1') }),
  'a name without autoSelectFamily': () => ({
    ...nowhere,
    lookup: answers('127.0.0.1', '127.0.0.2'),
    autoSelectFamily: false,
  }),
  'a localAddress': () => ({ port: 1, host: '127.0.0.1', localAddress: '127.0.0.1' }),
  'a localAddress of the wrong family': () => ({ port: 1, host: '127.0.0.1', localAddress: '::1' }),
  'a missing path': t => ({ path: t.socketPath() }),
  'two addresses': () => ({ ...nowhere, lookup: answers('127.0.0.1', '127.0.0.2') }),
  'three addresses': () => ({ ...nowhere, lookup: answers('127.0.0.1', '127.0.0.2', '127.0.0.3') }),
}
for (const [label, options] of Object.entries(failing)) {
  parity(`the state of a client of ${label} that nobody listens at`, { on: 'linux' }, async t => {
    const client = note(t, new t.net.Socket())
    client.connect(options(t))
    t.log('asked', ...facts(client))
    await t.closed(client)
    t.log('attempted', client.autoSelectFamilyAttemptedAddresses?.length)
  })
}

parity('the state of a client whose second address answers', { on: 'linux' }, async t => {
  const server = await t.listen({ host: '127.0.0.2' })
  const client = note(t, new t.net.Socket())
  client.connect({ ...nowhere, port: server.address().port, lookup: answers('127.0.0.1', '127.0.0.2') })
  await t.seen(client, 'ready')
})

parity('the state of a client whose attempt is given up', { on: 'linux' }, async t => {
  const { net, own, listen, closed, seen, cleanup } = t
  const server = await listen({ host: '127.0.0.2' })
  // A listener that is full and accepts nobody: Linux then drops what would connect.
  const { Worker } = await import('node:worker_threads')
  const full = new Worker(
    `const net = process.getBuiltinModule('node:net')
     const { parentPort, workerData } = require('node:worker_threads')
     const server = net.createServer().listen({ port: workerData, host: '127.0.0.1', backlog: 1 }, () => {
       parentPort.postMessage('listening')
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
     })`,
    { eval: true, workerData: server.address().port },
  )
  cleanup(() => full.terminate())
  await new Promise(resolve => full.once('message', resolve))
  const node = process.getBuiltinModule('node:net')
  const fillers = Array.from({ length: 2 }, () => own(node.connect(server.address().port, '127.0.0.1')))
  await Promise.all(fillers.map(filler => seen(filler, 'connect')))
  const client = note(t, new net.Socket())
  const lookup = answers('127.0.0.1', '127.0.0.2')
  client.connect({
    ...nowhere,
    port: server.address().port,
    lookup,
    autoSelectFamilyAttemptTimeout: 50,
  })
  await seen(client, 'ready')
  client.destroy()
  await closed(client)
})

const deeds = {
  'is destroyed': client => client.destroy(),
  'is destroyed with an error': client => client.destroy(new Error('mine')),
  'is ended': client => client.end(),
  'has been written to': () => {},
  'is reset': client => client.resetAndDestroy(),
  'is paused': client => client.pause(),
}
for (const [label, deed] of Object.entries(deeds)) {
  for (const [where, options] of Object.entries({
    path: failing['a missing path'],
    TCP: failing['an address'],
  })) {
    if (label === 'is reset' && where === 'path') continue
    parity(`a client that ${label} when its attempt has failed (${where})`, { on: 'unix' }, async t => {
      const client = note(t, new t.net.Socket())
      client.connect(options(t))
      if (label === 'has been written to') client.write('early', error => t.log('early', error?.code))
      client.once('connectionAttemptFailed', () => {
        t.attempt(label, () => deed(client) === client)
        t.log('after', ...facts(client))
      })
      await t.closed(client)
    })
  }
}

parity('a client that connects again when its attempt has failed', { on: 'unix' }, async t => {
  const server = await t.listen()
  const client = note(t, new t.net.Socket())
  client.connect(failing['an address']())
  client.once('error', () => client.once('close', () => client.connect(t.to(server))))
  await t.seen(client, 'ready')
})
