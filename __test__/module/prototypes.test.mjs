// What tools see that list, read or patch the classes and the exports, without a socket in hand.

import { Duplex } from 'node:stream'
import { parity } from '../helpers/parity.mjs'

// What Node 26 has and the Node that runs may lack, and what only ferronet has.
const newer = {
  Socket: ['setTypeOfService', 'getTypeOfService', 'setBusyPoll', 'getBusyPoll', 'startTLS', 'sendFile'],
  Server: [Symbol.asyncIterator],
  exports: ['BoundSocket'],
}
// Node's symbols of its own are as hidden as ferronet's.
const isShared = key =>
  typeof key === 'string' || [Symbol.asyncDispose, Symbol.for('nodejs.asyncDispose')].includes(key)

function keysOf(object, except) {
  const keys = Reflect.ownKeys(object).filter(key => isShared(key) && !except.includes(key))
  return keys.sort((one, other) => (String(one) < String(other) ? -1 : 1))
}

function kind({ get, set, value, ...attributes }) {
  return { ...attributes, get: typeof get, set: typeof set, value: typeof value }
}

for (const name of ['Socket', 'Server']) {
  parity(`${name}.prototype has Node's own keys, with their attributes`, ({ net, log }) => {
    const { prototype } = net[name]
    for (const key of keysOf(prototype, newer[name])) {
      log(String(key), kind(Object.getOwnPropertyDescriptor(prototype, key)))
    }
    log('enumerable symbols', Object.getOwnPropertyDescriptor(prototype, rejection)?.enumerable)
  })

  parity(`every accessor of ${name} can be read without an instance`, ({ net, log }) => {
    const { prototype } = net[name]
    const heir = Object.create(prototype)
    for (const key of keysOf(prototype, newer[name])) {
      if (Object.getOwnPropertyDescriptor(prototype, key).get === undefined) continue
      log(key, read(prototype, key), read(heir, key))
    }
    // Those that are properties of instances, or of a stream.
    for (const key of [
      'connecting',
      'timeout',
      'destroyed',
      'closed',
      'errored',
      'writableLength',
      '_events',
    ]) {
      log(key, read(prototype, key), read(heir, key))
    }
  })

  parity(`every accessor of ${name} can be assigned to, or not, without an instance`, ({ net, log }) => {
    const { prototype } = net[name]
    for (const key of keysOf(prototype, newer[name])) {
      if (Object.getOwnPropertyDescriptor(prototype, key).get === undefined) continue
      const heir = Object.create(prototype)
      log(key, write(heir, key), Object.hasOwn(heir, key), read(heir, key), Object.keys(heir))
      if (key !== '_handle') log(`${key} of the prototype`, write(prototype, key))
    }
  })
}

const rejection = Symbol.for('nodejs.rejection')

function read(object, key) {
  try {
    return object[key]
  } catch (error) {
    return error
  }
}

function write(object, key) {
  try {
    object[key] = null
    return 'assigned'
  } catch (error) {
    return error.name
  }
}

parity('the methods of addresses can be called without an instance', ({ net, attempt }) => {
  for (const name of ['address', '_getsockname', '_getpeername']) {
    attempt(name, () => net.Socket.prototype[name]())
    attempt(`${name} of an heir`, () => Object.create(net.Socket.prototype)[name]())
  }
})

parity('the exports are Node’s, descriptor by descriptor', async ({ net, log }) => {
  const node = process.getBuiltinModule('node:net')
  // Of Node's own handles, which ferronet has none of.
  const libuvs = ['_setSimultaneousAccepts', '_TransferredBoundSocket']
  for (const name of Reflect.ownKeys(node).sort()) {
    if (libuvs.includes(name)) continue
    const { value, get, ...rest } = Object.getOwnPropertyDescriptor(net, name)
    log(name, kind({ value, get, ...rest }), value?.name, value?.length)
  }
  log('marks', Object.hasOwn(net, '__esModule'), Object.hasOwn(net, 'default'), Object.isExtensible(net))
})

parity('BlockList and SocketAddress can be redefined, and not assigned', ({ net, log, attempt, cleanup }) => {
  for (const name of ['BlockList', 'SocketAddress']) {
    const descriptor = Object.getOwnPropertyDescriptor(net, name)
    cleanup(() => Object.defineProperty(net, name, descriptor))
    attempt(`${name} assigned`, () => {
      net[name] = 'mine'
    })
    log('still', typeof net[name])
    Object.defineProperty(net, name, { value: 'mine', configurable: true })
    log('redefined', net[name])
  }
})

parity('a tool that wraps Duplex.prototype.write sees every write', async t => {
  const { net, own, listen, connect, to, log, drained, seen, cleanup, until } = t
  const arrived = []
  const server = await listen({ allowHalfOpen: true }, peer => {
    arrived.push(drained(peer))
    peer.end('bye')
  })
  const client = connect(to(server))
  await seen(client, 'connect')
  client.write('before ')
  const { write } = Duplex.prototype
  cleanup(() => (Duplex.prototype.write = write))
  Duplex.prototype.write = function (...args) {
    if (this instanceof net.Socket) log('write', args.length, ...args)
    return Reflect.apply(write, this, args)
  }
  client.write('one ')
  client.write(Buffer.from('two '))
  client.write('three ', 'latin1')
  await new Promise(resolve => client.write('four ', resolve))
  const late = own(new net.Socket({ allowHalfOpen: true }))
  late.connect(to(server))
  late.write('early ')
  await seen(late, 'connect')
  late.write('open ')
  Duplex.prototype.write = write
  client.write('after')
  late.end()
  client.end()
  await until(() => arrived.length === 2)
  for (const each of await Promise.all(arrived)) log('arrived', String(each))
})

parity('who wraps write of a class, of an heir, or of one socket sees every write', async t => {
  const { net, own, listen, to, log, drained, seen, until } = t
  class Plain extends net.Socket {}
  class Loud extends net.Socket {
    write(...args) {
      log('heir', ...args)
      return super.write(...args)
    }
  }
  for (const Class of [net.Socket, Plain, Loud]) {
    const arrived = []
    const server = await listen({}, peer => arrived.push(drained(peer)))
    const client = own(new Class())
    client.connect(to(server))
    await seen(client, 'connect')
    client.write('a')
    const { write } = client
    client.write = function (...args) {
      log('socket', ...args)
      return Reflect.apply(write, this, args)
    }
    client.write('b')
    client.write('c', 'latin1')
    delete client.write
    client.write('d')
    if (Class === Plain) {
      Plain.prototype.write = function (...args) {
        log('class', ...args)
        return Reflect.apply(net.Socket.prototype.write, this, args)
      }
      client.write('e')
      delete Plain.prototype.write
    }
    // An object that stands for the socket, as mocks do.
    Object.create(client).write('f')
    client.end('g')
    await seen(client, 'close')
    await until(() => arrived.length === 1)
    log('arrived', Class.name, String(await arrived[0]))
  }
})

parity('write is nowhere in a list of keys', async ({ net, pair, log, closed }) => {
  const { client, peer } = await pair()
  client.write('x')
  peer.write('y')
  for (const socket of [net.Socket.prototype, client, peer])
    log('keys', Object.keys(socket).includes('write'))
  log('same', client.write.length, Object.hasOwn(net.Socket.prototype, 'write'))
  client.destroy()
  peer.destroy()
  await closed(client, peer)
})

parity('a tool that had wrapped Duplex.prototype.write before net was loaded sees every write', async t => {
  const { log, moduleName } = t
  const { Worker } = await import('node:worker_threads')
  const { once } = await import('node:events')
  const code = `
    const { Duplex } = require('node:stream')
    const { parentPort, workerData } = require('node:worker_threads')
    const seen = []
    const { write } = Duplex.prototype
    Duplex.prototype.write = function (...args) {
      seen.push(args.filter(arg => typeof arg === 'string'))
      return Reflect.apply(write, this, args)
    }
    const net = require(workerData)
    const server = net.createServer(peer => peer.resume().end()).listen(0, '127.0.0.1', () => {
      const client = net.connect(server.address().port, '127.0.0.1', () => {
        client.write('one')
        client.write('two', 'latin1')
        client.write('three', () => client.end())
      })
      client.resume().on('close', () => server.close(() => parentPort.postMessage(seen)))
    })
  `
  const worker = new Worker(code, { eval: true, workerData: moduleName })
  const [seen] = await once(worker, 'message')
  log('seen', seen)
  await worker.terminate()
})

parity('a socket that connects again writes as before', async t => {
  const { net, own, listen, to, log, drained, seen, closed, until } = t
  const arrived = []
  const server = await listen({}, peer => arrived.push(drained(peer)))
  const client = own(new net.Socket())
  const rounds = ['first', 'second']
  for (const round of rounds) {
    client.connect(to(server))
    await seen(client, 'connect')
    client.write(`${round} `)
    client.write('again', () => client.destroySoon())
    await closed(client)
    await until(() => arrived.length === rounds.indexOf(round) + 1)
    log('arrived', String(await arrived.at(-1)))
  }
})
